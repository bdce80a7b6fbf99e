"""What a reader and a card said to each other, written down, and played again to either of them.

A trace is text, one exchange a line: command, answer, milliseconds. The head says what lay in the reader; `-` stands for an
answer that never came, `**` for a byte that was overwritten before it was written:

    # shanfu trace 1
    # interface contactless
    # atr 3B80800101
    00A404000E325041592E5359532E444446303100 6F30840E325041592E5359532E4444463031…9000 0.412
    00B2010C00 -

`Recorded` stands between reader and card and listens. A trace is masked unless every card number in it is a test number.
Played as the card (`TraceCard`), each command must be the recorded one; played as the terminal (`replay`), each answer must be.
What differs first is told by line and byte. A masked trace can be compared with, where its commands are whole, never played
as a card. Sources: PCI DSS 3.4 (what may be shown of a number).
"""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from shanfu.emv import Track2
from shanfu.errors import ConfigError, DecodeError, Fault, LinkClosed, LinkError, ProtocolError
from shanfu.iso7816 import parse
from shanfu.links.vpcd import PoweredCard
from shanfu.pan import Ranges

__all__ = ["Difference", "Exchange", "Mask", "Recorded", "Trace", "TraceCard", "card_numbers", "is_test_card", "replay"]

HEAD: Final = "# shanfu trace 1"
MOST_EXCHANGES: Final = 100_000  # a whole day of taps; what is longer was forgotten to be switched off
PAN, TRACK2, TRACK2_STRIPE = 0x5A, 0x57, 0x9F6B  # EMV B3 A1: where a card shows its number
SPEC: Final = "docs/decisions/0007-readers.md"


class Mask(Protocol):
    """What overwrites a message, as `shanfu.terminal.mask_apdu` does."""

    def __call__(self, raw: bytes, *, response: bool) -> tuple[bytes, Ranges]:
        """Return the bytes fit to be shown and the ranges that were overwritten."""
        ...


@dataclass(frozen=True, slots=True)
class Exchange:
    """One command and its answer, None if none came; `hidden` are the overwritten ranges of each."""

    command: bytes = field(repr=False)
    answer: bytes | None = field(repr=False)
    ms: float = 0.0
    hidden: tuple[Ranges, Ranges] = ((), ())

    def masked(self, mask: Mask) -> "Exchange":
        """Return the exchange as it may be shown."""
        command, in_command = mask(self.command, response=False)
        answer, in_answer = (None, ()) if self.answer is None else mask(self.answer, response=True)
        return Exchange(command, answer, self.ms, (in_command, in_answer))

    def __str__(self) -> str:
        said = "-" if self.answer is None else _hex(self.answer, self.hidden[1])
        return f"{_hex(self.command, self.hidden[0])} {said} {self.ms:.3f}"


@dataclass(frozen=True, slots=True)
class Trace:
    """A recording: what lay in the reader, and the exchanges."""

    interface: str
    reset_answer: bytes
    exchanges: tuple[Exchange, ...]

    def __str__(self) -> str:
        head = f"{HEAD}\n# interface {self.interface}\n# atr {self.reset_answer.hex().upper() or '-'}\n"
        return head + "".join(f"{exchange}\n" for exchange in self.exchanges)

    @classmethod
    def parse(cls, text: str) -> "Trace":
        r"""Read a trace; DecodeError names the line. Further comments and empty lines are passed over.

        >>> trace = Trace.parse("# shanfu trace 1\n# interface contact\n80CA9F3600 9F360200019000 1.5\n")
        >>> trace.interface, trace.exchanges[0].answer.hex()
        ('contact', '9f360200019000')
        """
        lines = text.splitlines()
        if not lines or lines[0].strip() != HEAD:
            raise DecodeError(f"does not begin with {HEAD!r}", path="trace line 1", spec=SPEC)
        told, exchanges = {"interface": "contactless", "atr": "-"}, []
        for number, line in enumerate(lines[1:], 2):
            words = line.split()
            if words and words[0] != "#":
                exchanges.append(_exchange(words, number))
            elif len(words) == 3:
                told[words[1]] = words[2]
        if len(exchanges) > MOST_EXCHANGES:
            raise DecodeError(
                f"{len(exchanges)} exchanges, at most {MOST_EXCHANGES}", fault=Fault.LIMIT, path="trace", spec=SPEC
            )
        atr = b"" if told["atr"] == "-" else _bytes(told["atr"], "trace atr")[0]
        return cls(told["interface"], atr, tuple(exchanges))

    def masked(self, mask: Mask) -> "Trace":
        """Return the trace as it may be shown."""
        return Trace(self.interface, self.reset_answer, tuple(exchange.masked(mask) for exchange in self.exchanges))

    def numbers(self) -> list[str]:
        """Return the card numbers that its answers show."""
        return sorted({number for exchange in self.exchanges for number in card_numbers(exchange.answer or b"")})


def is_test_card(trace: Trace, prefixes: Iterable[str]) -> bool:
    """Say whether a trace may be kept as it is: it shows a card number, and each begins with one of these test BINs."""
    numbers, tests = trace.numbers(), tuple(prefixes)
    return bool(numbers) and all(number.startswith(tests) for number in numbers)


def _hex(raw: bytes, hidden: Ranges) -> str:
    pairs = [f"{octet:02X}" for octet in raw]
    for start, end in hidden:
        pairs[start:end] = ["**"] * (end - start)
    return "".join(pairs)


def _bytes(text: str, path: str) -> tuple[bytes, Ranges]:
    pairs = [text[place : place + 2] for place in range(0, len(text), 2)]
    hidden = tuple((place, place + 1) for place, pair in enumerate(pairs) if pair == "**")
    try:
        return bytes.fromhex("".join("2A" if pair == "**" else pair for pair in pairs)), hidden
    except ValueError:
        raise DecodeError("is not hexadecimal", path=path, spec=SPEC) from None


def _exchange(words: list[str], number: int) -> Exchange:
    path = f"trace line {number}"
    if len(words) not in (2, 3):
        raise DecodeError(f"{len(words)} words, must be command, answer and milliseconds", path=path, spec=SPEC)
    command, in_command = _bytes(words[0], f"{path}/command")
    answer, in_answer = (None, ()) if words[1] == "-" else _bytes(words[1], f"{path}/answer")
    try:
        ms = float(words[2]) if len(words) == 3 else 0.0
    except ValueError:
        raise DecodeError("is not a number of milliseconds", path=f"{path}/time", spec=SPEC) from None
    return Exchange(command, answer, ms, (in_command, in_answer))


def card_numbers(answer: bytes) -> Iterator[str]:
    """Give the card numbers (and tokens) that a card's answer shows; "unreadable" for a track that holds none."""
    try:
        nodes = list(parse(answer[:-2]).walk())
    except DecodeError:  # nothing that a terminal could read
        return
    for node in nodes:
        if node.tag == PAN:
            yield node.value.hex().rstrip("f")
        elif node.tag == TRACK2 or (node.tag == TRACK2_STRIPE and len(node.value) > 6):  # of 6 bytes an amount, JR/T 0025.12
            try:
                yield Track2.parse(node.value).pan.digits
            except DecodeError:
                yield "unreadable"  # and so no test number


class Recorded:
    """A card that is listened to; stands wherever the card would."""

    def __init__(self, card: PoweredCard) -> None:
        self._card = card
        self._interface, self._reset_answer = "contactless", b""
        self._heard: list[Exchange] = []

    def power_on(self, interface: Any) -> bytes:
        """Give power."""
        self._interface, self._reset_answer = str(interface), self._card.power_on(interface)
        return self._reset_answer

    def power_off(self) -> None:
        """Take power away."""
        self._card.power_off()

    def answer(self, command: bytes) -> bytes:
        """Return the card's answer; one that does not come is written down as such."""
        began = time.perf_counter()
        answer = None
        try:
            answer = self._card.answer(command)
        finally:
            if len(self._heard) < MOST_EXCHANGES:
                self._heard.append(Exchange(command, answer, (time.perf_counter() - began) * 1e3))
        return answer

    def trace(self) -> Trace:
        """Return what was said until now, in clear."""
        return Trace(self._interface, self._reset_answer, tuple(self._heard))


@dataclass(frozen=True, slots=True)
class Difference:
    """Where two sides part: the exchange (from 1), which message of it, the first byte that differs."""

    exchange: int
    message: str  # "command" or "answer"
    offset: int
    recorded: bytes = field(repr=False)
    came: bytes | None = field(repr=False)

    def __str__(self) -> str:
        where = f"exchange {self.exchange}, {self.message}"
        if self.came is None:
            return f"{where}: none came, {len(self.recorded)} bytes are recorded"
        here, there = (raw[self.offset : self.offset + 1].hex().upper() for raw in (self.came, self.recorded))
        if not here or not there:
            return f"{where}: {len(self.came)} bytes, {len(self.recorded)} are recorded, alike so far"
        return f"{where}: byte {self.offset} is {here}, {there} is recorded"


def _differ(recorded: bytes, came: bytes, hidden: Ranges) -> int | None:
    for place, (there, here) in enumerate(zip(recorded, came, strict=False)):
        if there != here and not any(start <= place < end for start, end in hidden):
            return place
    return None if len(recorded) == len(came) else min(len(recorded), len(came))


def replay(trace: Trace, card: PoweredCard) -> Difference | None:
    """Be the recorded terminal: send each command to a card and return the first answer that is not the recorded one.

    ConfigError when a command of the trace is masked. Where the recorded card fell silent or was taken away, that is the end.
    """
    _whole(trace, "command")
    card.power_on(trace.interface)
    try:
        for number, exchange in enumerate(trace.exchanges, 1):
            if exchange.answer is None:
                return None
            try:
                came = card.answer(exchange.command)
            except LinkError:
                return Difference(number, "answer", 0, exchange.answer, None)
            place = _differ(exchange.answer, came, exchange.hidden[1])
            if place is not None:
                return Difference(number, "answer", place, exchange.answer, came)
    finally:
        card.power_off()
    return None


class TraceCard:
    """The recorded card: answers what was recorded, as long as it is asked what was recorded.

    ProtocolError tells the first difference. ConfigError when an answer of the trace is masked.
    """

    def __init__(self, trace: Trace) -> None:
        _whole(trace, "answer")
        self._trace, self._next = trace, 0

    def power_on(self, interface: Any) -> bytes:
        """Give power: from the beginning, over the recorded interface."""
        self._next = 0
        return self._trace.reset_answer or b"\x3b\x00" if interface == self._trace.interface else b""

    def power_off(self) -> None:
        """Take power away."""

    def answer(self, command: bytes) -> bytes:
        """Return the recorded answer to the command whose turn it is; LinkClosed where none came, or the trace ends."""
        number = self._next + 1
        if number > len(self._trace.exchanges):
            raise LinkClosed(f"trace: ends after {number - 1} exchanges")
        exchange = self._trace.exchanges[self._next]
        place = _differ(exchange.command, command, exchange.hidden[0])
        if place is not None:
            raise ProtocolError(str(Difference(number, "command", place, exchange.command, command)), by="terminal")
        self._next += 1
        if exchange.answer is None:
            raise LinkClosed(f"trace: the card was taken away in exchange {number}")
        return exchange.answer


def _whole(trace: Trace, message: str) -> None:
    """Refuse a trace that has been overwritten in the messages that are to be sent."""
    for number, exchange in enumerate(trace.exchanges, 1):
        if exchange.hidden[message == "answer"]:
            raise ConfigError(f"trace: exchange {number}, {message}: is masked, and cannot be sent; record a test card")
