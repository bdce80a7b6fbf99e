"""Golden dialogues: what card, terminal and acquirer said to each other, byte by byte, recorded once and replayed against
either side alone.

With fixed keys, a fixed clock and a fixed "random" number everything on the wires is determined. A trace is a JSON list of
exchanges `to, ask, answer` (hexadecimal; `to` is card or acquirer). Replayed against the card, its commands are sent and
every response must be the recorded one; replayed against the terminal, the recorded answers are given and every byte that
the terminal sends must be the recorded one. The keys and numbers are those of the laboratory, nobody's.

    python -m tests.traces.play      records all traces anew; the difference to the old ones is what a reviewer reads
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shanfu.card import Card, CardKeys, CardProfile, Interface, credit_2_0, debit_2_0, debit_3_0, personalise
from shanfu.clock import ManualClock
from shanfu.crypto import CardAlgorithm
from shanfu.dialogue import run
from shanfu.pan import PAN, luhn_digit
from shanfu.store import DictMemory
from shanfu.terminal import ACQUIRER, CARD, PIN_PAD, PinPad, Reader, Receipt, Terminal, unionpay_aids
from tests.terminal.shop import IMK, NOON_MS, PIN_DIGITS, TMK, Acquirer, config, declines, yuan

FOLDER = Path(__file__).parent
Exchange = dict[str, str]


@dataclass(frozen=True)
class Scene:
    """One payment and the stage it is played on."""

    name: str
    profile: Callable[[PAN], CardProfile]
    bin: str
    amount: str
    enrolled: bool = True
    code: str = "00"
    ends: str = "approved"


# fmt: off
SCENES = [
    Scene("debit-pin-free",      debit_2_0,  "620901", "12.34"),
    Scene("debit-with-pin",      debit_2_0,  "620901", "1000.01"),
    Scene("debit-not-enrolled",  debit_2_0,  "620901", "12.34",   enrolled=False),
    Scene("debit-sm4",           debit_3_0,  "620901", "12.34"),
    Scene("credit",              credit_2_0, "620902", "88.00"),
    Scene("refused-51",          debit_2_0,  "620901", "12.34",   code="51", ends="declined"),
]
# fmt: on


def card_of(scene: Scene) -> Card:
    """The scene's card, fresh from the bureau: its first transaction has ATC 1."""
    payload = f"{scene.bin}000000001"
    profile, memory = scene.profile(PAN(payload + luhn_digit(payload))), DictMemory()
    algorithm = CardAlgorithm[profile.algorithm.name]
    personalise(profile, CardKeys.derive(IMK, algorithm, pan=profile.pan, psn=profile.psn), memory)
    return Card(memory, interfaces=[Interface.CONTACTLESS])


def stage(scene: Scene) -> tuple[Terminal, PinPad, DictMemory]:
    """The scene's terminal: its unpredictable numbers are A0, A1, A2 …"""
    memory, clock = DictMemory(), ManualClock(NOON_MS)
    settings = config(aids=unionpay_aids(enrolled=scene.enrolled))
    terminal = Terminal(settings, memory, clock=clock, random=lambda size: bytes(0xA0 + at for at in range(size)))
    return terminal, PinPad(TMK, DictMemory(), lambda _: PIN_DIGITS), memory


def play(scene: Scene, *, card: Callable[[bytes], bytes], acquirer: Callable[[bytes], bytes]) -> Receipt:
    """Pay, with these two at the ends of the terminal's wires."""
    terminal, pad, memory = stage(scene)
    peers: dict[str, Callable[[Any], Any]] = {CARD: card, ACQUIRER: acquirer, PIN_PAD: pad.answer}
    return run(terminal.pay(yuan(scene.amount)), peers, memory)


def record(scene: Scene) -> list[Exchange]:
    """Play a scene with the real card and the scripted acquirer, and write down what is said."""
    exchanges: list[Exchange] = []
    reader, host = Reader(), Acquirer()
    reader.present(card_of(scene))
    if scene.code != "00":
        host.plays("0200", declines(scene.code))

    def noted(to: str, ask: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
        def carry(message: bytes) -> bytes:
            answer = ask(message)
            exchanges.append({"to": to, "ask": message.hex().upper(), "answer": answer.hex().upper()})
            return answer

        return carry

    receipt = play(scene, card=noted(CARD, reader.ask), acquirer=noted(ACQUIRER, host.answer))
    assert receipt.outcome.value == scene.ends, receipt
    return exchanges


def recorded(scene: Scene) -> list[Exchange]:
    exchanges: list[Exchange] = json.loads((FOLDER / f"{scene.name}.json").read_text())
    return exchanges


if __name__ == "__main__":
    for each in SCENES:
        (FOLDER / f"{each.name}.json").write_text(json.dumps(record(each), indent=1) + "\n")
