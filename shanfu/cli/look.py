"""Looking at a card without touching it: what it shows to anybody who holds it, and nothing that it counts or signs.

    directory (PPSE or PSE) -> each application: SELECT, counters and limits by GET DATA, records

Neither GENERATE AC nor a PIN is ever sent. GET PROCESSING OPTIONS, which uses up one of the card's transaction numbers, is
left out unless it is asked for, and then names no amount: with it the card says itself where its records are, without it the
files that payment data may lie in (SFI 1 to 10) are tried. The logs of past payments are left alone.

Called by `card.py`. Sources: EMV Book 1 12.3, EMV Book 3 5.3.2.2 and 6.5, EMV CL Book B 3.3, JR/T 0025.13 (e-cash objects).
"""

import secrets
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from shanfu.dialogue import Ask, Dialogue
from shanfu.emv import (
    AIDS,
    FCI,
    PSE,
    DirectoryEntry,
    commands,
    parse_afl,
    parse_directory_record,
    parse_gpo_response,
    parse_ppse,
    records,
)
from shanfu.errors import DecodeError
from shanfu.iso7816 import CommandAPDU, ResponseAPDU, parse, phrase

__all__ = ["CARD", "Look", "Part", "look"]

CARD: Final = "card"
MOST_RECORDS: Final = 16  # of one file or directory; no payment card has more, and a card that always answers must end
FILES: Final = range(1, 11)  # EMV B3 5.3.2.2: governed by EMV; 11 to 30 are the scheme's and the issuer's, logs among them
# fmt: off
OBJECTS: Final = (  # what GET DATA may be asked for (EMV B3 6.5.7, JR/T 0025.13): counters, limits, balances
    0x9F36, 0x9F13, 0x9F17, 0x9F4F, 0x9F5D, 0x9F6D, 0x9F77, 0x9F78, 0x9F79, 0xDF79,
)
# fmt: on
ZERO_AMOUNT_TTQ: Final = bytes.fromhex("36000000")  # qPBOC, contact, online PIN and signature; asks for nothing


@dataclass(frozen=True, slots=True)
class Part:
    """One answer of the card: where it came from, its elements in order (tag, value), the status word if it was refused."""

    where: str
    elements: tuple[tuple[int, bytes], ...] = field(default=(), repr=False)
    refused: str = ""


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen: the directory, then the parts of each application by its AID."""

    directory: Part
    applications: tuple[tuple[bytes, tuple[Part, ...]], ...]


def look(*, contactless: bool, gpo: bool = False) -> Dialogue[Look]:
    """Look at the card in a reader; raises LinkError when it is taken away, DecodeError when an answer is no answer at all."""
    directory, aids = yield from (_ppse() if contactless else _pse())
    seen = []
    for aid in aids:
        seen.append((aid, (yield from _application(aid, gpo=gpo))))
    return Look(directory, tuple(seen))


def _ask(command: CommandAPDU) -> Dialogue[ResponseAPDU]:
    answer: bytes = yield Ask(CARD, bytes(command))
    return ResponseAPDU.parse(answer)


def _part(where: str, answer: ResponseAPDU) -> Part:
    """Take an answer apart; what is no TLV is told as refused, so that nobody sees bytes that could not be masked."""
    words = "" if answer.ok else f"{answer.sw:04X} {phrase(answer.sw)}"
    try:
        found = tuple((node.tag, node.value) for node in parse(answer.data).walk() if node.children is None)
    except DecodeError as fault:
        return Part(where, refused=f"cannot be read: {fault}")
    return Part(where, found, words)


def _ppse() -> Dialogue[tuple[Part, list[bytes]]]:
    answer = yield from _ask(commands.select_ppse())
    try:
        entries = parse_ppse(answer.data) if answer.ok else ()
    except DecodeError:
        entries = ()
    return _part("PPSE", answer), [entry.aid for entry in sorted(entries, key=lambda entry: entry.rank)]


def _pse() -> Dialogue[tuple[Part, list[bytes]]]:
    """Read the contact directory; a card without one is asked for the applications that we know (EMV B1 12.3.3)."""
    answer = yield from _ask(commands.select(PSE))
    try:
        sfi = FCI.parse(answer.data).directory_sfi if answer.ok else None
    except DecodeError:
        sfi = None
    entries: list[DirectoryEntry] = []
    for number in range(1, MOST_RECORDS + 1 if sfi else 1):
        record = yield from _ask(commands.read_record(sfi or 1, number))
        if not record.ok:
            break
        try:
            entries += parse_directory_record(record.data)
        except DecodeError:
            continue
    ranked = [entry.aid for entry in sorted(entries, key=lambda entry: entry.rank)]
    return _part("PSE", answer), ranked or list(AIDS)


def _application(aid: bytes, *, gpo: bool) -> Dialogue[tuple[Part, ...]]:
    selected = yield from _ask(commands.select(aid))
    parts = [_part("SELECT", selected)]
    if not selected.data:  # not there; a blocked one still shows its FCI
        return tuple(parts)
    objects: list[tuple[int, bytes]] = []
    for tag in OBJECTS:
        answer = yield from _ask(commands.get_data(tag))
        if answer.ok:
            objects += _part("GET DATA", answer).elements
    parts += [Part("GET DATA", tuple(objects))] if objects else []
    if gpo:
        return tuple(parts + (yield from _told_records(selected)))
    for sfi in FILES:
        parts += yield from _file(sfi)
    return tuple(parts)


def _file(sfi: int) -> Dialogue[list[Part]]:
    parts: list[Part] = []
    for number in range(1, MOST_RECORDS + 1):
        answer = yield from _ask(commands.read_record(sfi, number))
        if not answer.ok:
            break
        parts.append(_part(f"record {sfi}/{number}", answer))
    return parts


def _told_records(selected: ResponseAPDU) -> Dialogue[list[Part]]:
    """Start a transaction of no amount, and read the records that the card names."""
    try:
        pdol = FCI.parse(selected.data).pdol
    except DecodeError as fault:
        return [Part("GPO", refused=f"not asked: {fault}")]
    filled = pdol.fill(_no_amount()) if pdol else b""
    answer = yield from _ask(commands.get_processing_options(filled))
    parts = [_part("GPO", answer)]
    try:
        told = parse_gpo_response(answer.data)
        entries = parse_afl(told[0x94]) if told.get(0x94) else ()
    except DecodeError:
        return parts
    for sfi, number, _ in records(entries):
        parts.append(_part(f"record {sfi}/{number}", (yield from _ask(commands.read_record(sfi, number)))))
    return parts


def _no_amount() -> dict[int, bytes]:
    """What a terminal would say of a transaction in which nothing is paid; objects not here are filled with zeros."""
    today = bytes.fromhex(datetime.now().strftime("%y%m%d"))
    country = bytes.fromhex("0156")
    return {0x9F66: ZERO_AMOUNT_TTQ, 0x9F1A: country, 0x5F2A: country, 0x9A: today, 0x9F37: secrets.token_bytes(4)}
