"""An inserted card in the course of one payment: what it told, what the terminal found, and the way to ask it.

`Chip` is filled step by step as the flow of `contact.py` goes down: data from the card, the terminal's own values, the
results that go to the issuer (TVR, TSI, CVM results). `ask_chip` carries a command and does what T=0 asks of a
terminal: 61xx is fetched, 6Cxx asked again.

Who calls: every step of the insert. Sources: EMV B3 7 and 10, EMV B1 9.3.1.2 (T=0).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from shanfu.dialogue import Dialogue
from shanfu.emv import CVM, TSI, TVR, CryptogramType, Track2, commands
from shanfu.iso7816 import CommandAPDU, ResponseAPDU, bytes_waiting, right_le
from shanfu.money import Money
from shanfu.oda import CardData, Chain
from shanfu.terminal.config import AIDParameters
from shanfu.terminal.desk import NOTHING, Desk

__all__ = ["Application", "Chip", "ask_chip"]

ROUNDS = 8  # of GET RESPONSE for one command: more than 2 KB come from no payment card
OWN_CARD_TAGS = frozenset({0x82, 0x9F10, 0x9F26, 0x9F27, 0x9F36, 0x9F63})  # a card does not speak for the terminal in field 55
NO_CVM = bytes.fromhex("3F0000")  # EMV B4 A4: no verification performed


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """An application that card and terminal share; `priority` is tag 87 whole, its b8 asks for the cardholder's consent."""

    aid: bytes
    label: str
    priority: int
    limits: AIDParameters


@dataclass(slots=True, kw_only=True)
class Chip:
    """One inserted card. `sent` joins what the card was given (PDOL, CDOL 1, CDOL 2): CDA signs it."""

    desk: Desk
    amount: Money
    application: Application
    values: dict[int, bytes] = field(repr=False)
    card: dict[int, bytes] = field(repr=False, default_factory=dict)
    marked: list[tuple[int, bytes]] = field(repr=False, default_factory=list)  # records that ODA covers
    tvr: TVR = field(default_factory=lambda: TVR.parse(bytes(5)))
    tsi: TSI = field(default_factory=lambda: TSI.parse(bytes(2)))
    cvm: CVM | None = None  # what the receipt says; None where no verification took place
    cvm_results: bytes = NO_CVM
    card_checked_pin: bool = False
    pin_block: bytes | None = field(repr=False, default=None)
    sent: bytes = field(repr=False, default=b"")
    chain: Chain | None = None
    cda: bool = False  # the chain is good and GENERATE AC will be asked to prove its answer

    def known(self) -> dict[int, bytes]:
        """Everything a data object list can ask for; the terminal's own word counts before the card's."""
        results = {0x95: bytes(self.tvr), 0x9B: bytes(self.tsi), 0x9F34: self.cvm_results}
        return {**self.card, **self.values, **results}

    def field55(self, stan: str) -> dict[int, bytes]:
        """The tags of field 55."""
        own = {0x84: self.application.aid, 0x9F41: bytes.fromhex(stan.zfill(8))}
        card = {tag: value for tag, value in self.card.items() if tag in OWN_CARD_TAGS}
        return {**self.known(), **card, **own}

    @property
    def track2(self) -> Track2:
        """Track 2 equivalent data; DecodeError when the card has none that can be read."""
        return Track2.parse(self.card.get(0x57, b""))

    @property
    def pan(self) -> str:
        """The digits of 5A."""
        return self.card.get(0x5A, b"").hex().rstrip("f")

    @property
    def psn(self) -> str:
        """DE23: 5F34, 000 where the card has none."""
        value = self.card.get(0x5F34, b"").hex()
        return value.rjust(3, "0") if value.isdigit() else "000"

    @property
    def atc(self) -> str:
        """The ATC in hex, empty before the first cryptogram."""
        return self.card.get(0x9F36, b"").hex().upper()

    @property
    def cryptogram(self) -> str:
        """The last cryptogram in hex."""
        return self.card.get(0x9F26, b"").hex().upper()

    @property
    def kind(self) -> CryptogramType:
        """What the last cryptogram says; AAC before there is one."""
        return CryptogramType.of_cid((self.card.get(0x9F27) or b"\0")[0])

    @property
    def for_oda(self) -> CardData:
        """What offline data authentication looks at."""
        return CardData(
            rid=self.application.aid[:5], values=self.card, records=tuple(self.marked), aip=self.card.get(0x82, bytes(2))
        )

    def ask(self, title: str, command: CommandAPDU, *, inside: Mapping[int, bytes] = NOTHING) -> Dialogue[ResponseAPDU]:
        """Send one command to the card."""
        return ask_chip(self.desk, title, command, inside=inside)


def ask_chip(desk: Desk, title: str, command: CommandAPDU, *, inside: Mapping[int, bytes] = NOTHING) -> Dialogue[ResponseAPDU]:
    """Send one command; under T=0 the card may ask for another Le (6Cxx) or have its answer fetched (61xx)."""
    answer = yield from desk.ask_card(title, command, inside=inside)
    le = right_le(answer.sw)
    if le is not None:
        answer = yield from desk.ask_card(f"{title} with the card's length", replace(command, le=le), inside=inside)
    data = answer.data
    for _ in range(ROUNDS):
        waiting = bytes_waiting(answer.sw)
        if waiting is None:
            break
        answer = yield from desk.ask_card("GET RESPONSE", commands.get_response(waiting))
        data += answer.data
    return ResponseAPDU(data, answer.sw)
