"""Cards that misbehave, by name, for those who make terminals: what a right terminal does with each is theirs to show.

A misbehaviour is either a card made so (expired, blocked, without PIN tries: `profile` changes what the bureau is given, before
it signs certificates) or a card that is in order inside and lies outside: `Misbehaving` stands before a card and bends its
answers. Nothing here is used by a card that pays.

Called by whoever offers cards to foreign terminals and by their tests. Sources: EMV Book 3 6.5 and 7.5 (what is wrong with
each), EMV CL B 3.3, JR/T 0025.12.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from shanfu.card.card import Card
from shanfu.card.image import Interface
from shanfu.card.profile import CardProfile
from shanfu.errors import DecodeError, NotFound
from shanfu.iso7816 import ResponseAPDU, parse, tlv

__all__ = ["MISBEHAVIOURS", "Misbehaving", "Misbehaviour"]

SELECT, GPO, GENERATE_AC, READ_RECORD = 0xA4, 0xA8, 0xAE, 0xB2
SILENCE: Final = b""
SLOW_SECONDS: Final = 2.0  # longer than any reader of cards waits for an answer without a waiting time extension
OVERSIZED_BYTES: Final = 300  # more than a short answer holds, and than EMV B1 11.3.4 lets an FCI have
SHIFT: Final = 1  # by how much the transaction number is wrong

Objects = list[tuple[int, bytes]]
Bend = Callable[[bytes, ResponseAPDU], ResponseAPDU]  # (command, what the card answered) -> what it says it answered


def _straight(_: bytes, response: ResponseAPDU) -> ResponseAPDU:
    return response


def _no_bend() -> Bend:
    return _straight


@dataclass(frozen=True, slots=True, kw_only=True)
class Misbehaviour:
    """What is wrong, in words, and how: `profile` before the card is made, `bend` (a fresh one a card) afterwards."""

    en: str
    zh: str
    profile: Callable[[CardProfile], CardProfile] = lambda profile: profile
    bend: Callable[[], Bend] = _no_bend
    tears: bool = False
    slow: bool = False

    @property
    def made(self) -> bool:
        """Whether the card itself is made so, and answers as it is."""
        return not (self.tears or self.slow) and self.bend is _no_bend


class Misbehaving:
    """A card that misbehaves as `name` says; a reader holds it as it holds a `Card`.

    `at` is the command (from 1) at which a torn card leaves: it is carried out, and its answer never comes. `pause` is how a
    slow card waits. `NotFound` for a name that is none.
    """

    def __init__(self, card: Card, name: str, *, at: int = 3, pause: Callable[[float], None] = time.sleep) -> None:
        if name not in MISBEHAVIOURS:
            raise NotFound(f"misbehaviour {name!r}: there are {', '.join(MISBEHAVIOURS)}")
        self._card, self._how, self._at, self._pause = card, MISBEHAVIOURS[name], at, pause
        self._bend, self._heard, self._gone = self._how.bend(), 0, False

    def __repr__(self) -> str:
        return f"Misbehaving({self._card!r}, {self._how.en})"

    def has_interface(self, interface: Interface) -> bool:
        """Whether the card has an antenna, or contacts."""
        return self._card.has_interface(interface)

    def power_on(self, interface: Interface) -> bytes:
        """Give power, as to any card."""
        self._heard, self._gone = 0, False
        return self._card.power_on(interface)

    def power_off(self) -> None:
        """Take power away."""
        self._card.power_off()

    def answer(self, command: bytes) -> bytes:
        """Answer a command, wrongly."""
        if self._gone:
            return SILENCE
        self._heard += 1
        if self._how.slow:
            self._pause(SLOW_SECONDS)
        raw = self._card.answer(command)
        if self._how.tears and self._heard == self._at:
            self._gone = True
            self._card.power_off()
            return SILENCE
        if len(raw) < 2 or len(command) < 2:
            return raw
        return bytes(self._bend(command, ResponseAPDU.parse(raw)))


def _edits(instructions: Iterable[int], edit: Callable[[Objects], Objects]) -> Callable[[], Bend]:
    """Bend the objects inside the template (70, 77) that these instructions answer."""
    at = frozenset(instructions)

    def bend(command: bytes, response: ResponseAPDU) -> ResponseAPDU:
        return _within(response, edit) if command[1] in at else response

    return lambda: bend


def _within(response: ResponseAPDU, edit: Callable[[Objects], Objects]) -> ResponseAPDU:
    try:
        objects = parse(response.data)
    except DecodeError:
        return response
    if len(objects) != 1 or objects[0].children is None:
        return response
    inside = edit([(node.tag, node.value) for node in objects[0].children])
    return ResponseAPDU(bytes(tlv(objects[0].tag, *(tlv(tag, value) for tag, value in inside))), response.sw)


def _spoilt(*tags: int) -> Callable[[Objects], Objects]:
    def edit(objects: Objects) -> Objects:
        return [(tag, value[:-1] + bytes((value[-1] ^ 1,)) if tag in tags and value else value) for tag, value in objects]

    return edit


def _without(*tags: int) -> Callable[[Objects], Objects]:
    return lambda objects: [(tag, value) for tag, value in objects if tag not in tags]


def _twice(*tags: int) -> Callable[[Objects], Objects]:
    return lambda objects: [one for one in objects for _ in range(2 if one[0] in tags else 1)]


def _wrong_aip() -> Bend:
    """EMV B3 C1: a profile other than the one that was signed, in either format of the answer to GPO."""

    def bend(command: bytes, response: ResponseAPDU) -> ResponseAPDU:
        if command[1] != GPO or not response.data:
            return response
        return _in_format_1(response, 0) or _within(response, _flipped(0x82, 0))

    return bend


def _wrong_atc() -> Bend:
    """JR/T 0025.5: a number other than the one that was signed, wherever the card tells it."""

    def bend(command: bytes, response: ResponseAPDU) -> ResponseAPDU:
        if command[1] == GENERATE_AC and response.data:
            return _in_format_1(response, 2) or _within(response, _flipped(0x9F36, 1))
        return _within(response, _flipped(0x9F36, 1)) if command[1] == GPO else response

    return bend


def _flipped(wanted: int, at: int) -> Callable[[Objects], Objects]:
    def flip(value: bytes) -> bytes:
        return value[:at] + bytes((value[at] ^ (0x40 if at == 0 else SHIFT),)) + value[at + 1 :] if len(value) > at else value

    return lambda objects: [(tag, flip(value) if tag == wanted else value) for tag, value in objects]


def _in_format_1(response: ResponseAPDU, at: int) -> ResponseAPDU | None:
    """Flip a bit of template 80's value at this place; None if the answer is no template 80."""
    try:
        objects = parse(response.data)
    except DecodeError:
        return None
    if len(objects) != 1 or objects[0].tag != 0x80:
        return None
    (_, value), *_ = _flipped(0x80, at)([(0x80, objects[0].value)])
    return ResponseAPDU(bytes(tlv(0x80, value)), response.sw)


def _replays() -> Bend:
    """Give the first cryptogram again, whatever the terminal says afterwards."""
    first: dict[int, ResponseAPDU] = {}

    def bend(command: bytes, response: ResponseAPDU) -> ResponseAPDU:
        tells = command[1] == GENERATE_AC or (command[1] == GPO and response.data[:1] == b"\x77")
        return first.setdefault(command[1], response) if tells and response.ok else response

    return bend


def _oversized() -> Bend:
    """EMV B1 11.3.4: a selection answer longer than a short answer can be."""

    def bend(command: bytes, response: ResponseAPDU) -> ResponseAPDU:
        if command[1] != SELECT or not response.data:
            return response
        return _within(response, lambda objects: [*objects, (0xBF0C, bytes(tlv(0xDF61, bytes(OVERSIZED_BYTES))))])

    return bend


# fmt: off
MISBEHAVIOURS: Final[Mapping[str, Misbehaviour]] = MappingProxyType({
    "expired":     Misbehaviour(en="the application has expired", zh="应用已过期",
                                profile=lambda profile: replace(profile, effective="1501", expiry="1912")),    # EMV B3 10.4.3
    "blocked":     Misbehaviour(en="the issuer has blocked the application", zh="应用已被发卡行锁定",
                                profile=lambda profile: replace(profile, blocked=True)),                     # EMV B1 11.3.5
    "pin-locked":  Misbehaviour(en="no PIN tries are left", zh="PIN已锁定",
                                profile=lambda profile: replace(profile, pin_tries=0)),                      # EMV B3 10.5.1
    "torn":        Misbehaviour(en="the card leaves in the middle", zh="卡片中途离开", tears=True),            # EMV CL B 3.4
    "slow":        Misbehaviour(en="the card takes its time", zh="卡片响应缓慢", slow=True),                  # EMV CL D
    "wrong-aip":   Misbehaviour(en="the profile 82 is not the one that was signed", zh="AIP与签名不符",
                                bend=_wrong_aip),                                                            # EMV B3 10.3
    "bad-certificate": Misbehaviour(en="the card's certificate has a wrong byte", zh="IC卡公钥证书错误",
                                bend=_edits([READ_RECORD], _spoilt(0x9F46))),                                # EMV B2 6.4
    "bad-fdda":    Misbehaviour(en="the signature over the payment has a wrong byte", zh="动态签名错误",
                                bend=_edits([GPO, READ_RECORD, GENERATE_AC], _spoilt(0x9F4B))),              # JR/T 0025.12
    "missing-tag": Misbehaviour(en="the counter and the order form are missing", zh="缺少必备数据",
                                bend=_edits([GPO, READ_RECORD], _without(0x9F36, 0x8C))),                    # EMV B3 7.2
    "duplicate-tag": Misbehaviour(en="number and track 2 come twice", zh="数据重复",
                                bend=_edits([GPO, READ_RECORD], _twice(0x57, 0x5A))),                        # EMV B3 7.5
    "wrong-atc":   Misbehaviour(en="the counter is not the one that was signed", zh="ATC与密文不符",
                                bend=_wrong_atc),                                                            # JR/T 0025.5
    "replayed-cryptogram": Misbehaviour(en="the first payment's cryptogram comes again", zh="重放旧密文",
                                bend=_replays),                                                              # JR/T 0025.7
    "oversized-fci": Misbehaviour(en="the selection answer is too long", zh="FCI超长", bend=_oversized),      # EMV B1 11.3.4
})
# fmt: on
