"""A workbench for cards: keys, profiles, a terminal's values, and taps."""

from dataclasses import replace

from shanfu.card import Card, CardKeys, CardProfile, Interface, debit_2_0, personalise
from shanfu.dialogue import Memory
from shanfu.emv import FCI, commands, parse_gpo_response
from shanfu.iso7816 import CommandAPDU, ResponseAPDU
from shanfu.pan import PAN, luhn_digit
from shanfu.store import DictMemory

NUMBER = PAN("620901000000001" + luhn_digit("620901000000001"))
MASTERS = CardKeys(ac=bytes(range(16)), mac=bytes(range(16, 32)), enc=bytes(range(32, 48)))
DEBIT = debit_2_0(NUMBER, "LIN/YUE")
CONTACTLESS, CONTACT = Interface.CONTACTLESS, Interface.CONTACT

# What the terminal of the published trace said
TERMINAL = {
    0x9F66: "36800000", 0x9F02: "000000000001", 0x9F03: "000000000000", 0x9F1A: "0156", 0x95: "0000000000",
    0x5F2A: "0156", 0x9A: "170601", 0x9C: "00", 0x9F37: "2B29EBE4", 0xDF60: "00", 0xDF69: "01",
}  # fmt: skip


def keys_for(profile: CardProfile) -> CardKeys:
    return CardKeys.derive(MASTERS, profile.algorithm, pan=profile.pan, psn=profile.psn)


def chip(profile: CardProfile = DEBIT, **changes: object) -> DictMemory:
    memory, made = DictMemory(), replace(profile, **changes)
    personalise(made, keys_for(made), memory)
    return memory


def card(profile: CardProfile = DEBIT, *, interface: Interface = CONTACTLESS, **changes: object) -> Card:
    made = Card(chip(profile, **changes))
    assert made.power_on(interface)
    return made


def ask(to: Card, command: CommandAPDU | str) -> ResponseAPDU:
    return ResponseAPDU.parse(to.answer(bytes.fromhex(command) if isinstance(command, str) else bytes(command)))


def gpo(to: Card, profile: CardProfile = DEBIT, **said: str) -> ResponseAPDU:
    """SELECT and GET PROCESSING OPTIONS; `said` overrides the terminal's values, as T9F66="..."."""
    values = {tag: bytes.fromhex(text) for tag, text in TERMINAL.items()}
    values |= {int(tag[1:], 16): bytes.fromhex(text) for tag, text in said.items()}
    fci = FCI.parse(ask(to, commands.select(profile.aid)).data)
    return ask(to, commands.get_processing_options(fci.pdol.fill(values) if fci.pdol else b""))


def tap(to: Card, profile: CardProfile = DEBIT, **said: str) -> dict[int, bytes]:
    answer = gpo(to, profile, **said)
    assert answer.ok, answer
    return parse_gpo_response(answer.data)


class PowerCut(Exception):
    """The antenna's field is gone."""


class FailingMemory(DictMemory):
    """Raises `fault` before or after the write numbered `at`."""

    def __init__(self, inner: DictMemory, *, at: int, after: bool, fault: Exception) -> None:
        self.inner, self.at, self.after, self.fault, self.writes = inner, at, after, fault, 0

    def read(self, name: str) -> bytes | None:
        return self.inner.read(name)

    def names(self) -> list[str]:
        return self.inner.names()

    def write(self, records) -> None:
        self.writes += 1
        if self.writes == self.at and not self.after:
            raise self.fault
        self.inner.write(records)
        if self.writes == self.at:
            raise self.fault


def memory_of(inner: Memory) -> dict[str, bytes | None]:
    return {name: inner.read(name) for name in inner.names()}
