"""Initiating an application and reading its records: from the amount that the card hears to everything it tells.

GET PROCESSING OPTIONS tells what the card can do (AIP) and where its data lie (AFL). Each data element may come once; without
5F24, 5A, 8C and 8D there is no transaction. Records that the AFL marks are kept as they came, for their signature.

Who calls: `contact.py`, and `offline.py` for the records of a wave. Sources: EMV B3 10.1, 10.2, 7.2, 7.5; JR/T 0025.5.
"""

from shanfu.dialogue import Dialogue
from shanfu.emv import DOL, FCI, commands, parse_afl, parse_gpo_response, parse_record, records
from shanfu.errors import DecodeError, Fault
from shanfu.iso7816 import ResponseAPDU, StatusWord, TLVList
from shanfu.money import Money
from shanfu.terminal.chip import Application, Chip, ask_chip
from shanfu.terminal.contactless import transaction_values
from shanfu.terminal.desk import Desk
from shanfu.terminal.endings import Ending, end
from shanfu.terminal.outcome import Reason

__all__ = ["Records", "initiate", "read_chip", "read_records"]

MANDATORY = (0x5F24, 0x5A, 0x8C, 0x8D)  # EMV B3 7.2
LENGTHS = {  # EMV B3 A1; 9F63 JR/T 0025.12, 9F74 JR/T 0025.13
    0x5F24: 3, 0x5F25: 3, 0x5F34: 1, 0x5F28: 2, 0x9F07: 2, 0x9F08: 2, 0x9F42: 2, 0x9F14: 1, 0x9F23: 1, 0x9F63: 16, 0x9F74: 6,
}  # fmt: skip
ACTION_CODES = (0x9F0D, 0x9F0E, 0x9F0F)  # five bytes each
PAYMENT_FILES = range(1, 11)  # EMV B3 5.3.2.2: SFI 1 to 10 are read as templates 70, the others belong to the scheme or issuer
NO_CASH = b"\0"  # 9F7A: e-cash in the slot is not taken

Records = tuple[dict[int, bytes], list[tuple[int, bytes]]]


def initiate(desk: Desk, amount: Money, application: Application, selected: ResponseAPDU) -> Dialogue[Chip | Ending | None]:
    """Open the application; None when it refuses these conditions and the next one may be tried (EMV B3 10.1)."""
    fci = FCI.parse(selected.data)
    terminal = transaction_values(desk, amount, version=application.limits.version)
    values = {**terminal, 0x9F66: bytes(desk.config.ttq), 0x9F7A: NO_CASH, 0x9F33: desk.config.contact_capabilities}
    chip = Chip(desk=desk, amount=amount, application=application, values=values)
    pdol = fci.pdol or DOL()
    chip.sent = pdol.fill(chip.known())
    answer = yield from chip.ask(
        "GET PROCESSING OPTIONS", commands.get_processing_options(chip.sent), inside=pdol.split(chip.sent)
    )
    if answer.sw == StatusWord.CONDITIONS_NOT_SATISFIED:
        return None
    if not answer.ok:
        return end(Reason.APPLICATION_REFUSED, detail=f"GET PROCESSING OPTIONS {answer.sw:04X}")
    chip.card.update(parse_gpo_response(answer.data))
    if len(chip.card.get(0x82, b"")) != 2 or 0x94 not in chip.card:
        return end(Reason.MISSING_DATA, detail="82 94")
    return chip


def read_chip(chip: Chip) -> Dialogue[Ending | None]:
    """Read all records into the chip; an Ending when something mandatory is missing or malformed."""
    found = yield from read_records(chip.desk, chip.card[0x94])
    if isinstance(found, Ending):
        return found
    values, chip.marked = found
    chip.card = {**values, **chip.card}
    missing = [tag for tag in MANDATORY if not chip.card.get(tag)]
    if missing:
        return end(Reason.MISSING_DATA, detail=" ".join(f"{tag:X}" for tag in missing))
    check_lengths(chip.card)
    if chip.track2.pan.digits != chip.pan:
        raise DecodeError("differs from the PAN in 57", path="5A", spec="EMV B3 7.5")
    return None


def read_records(desk: Desk, afl: bytes) -> Dialogue[Records | Ending]:
    """Read what an AFL names, once each: tag → value, and the records that are to be authenticated (EMV B3 10.2)."""
    values: dict[int, bytes] = {}
    marked: list[tuple[int, bytes]] = []
    for sfi, number, oda in records(parse_afl(afl)):
        answer = yield from ask_chip(desk, f"READ RECORD {number} of file {sfi}", commands.read_record(sfi, number))
        if not answer.ok:  # EMV B3 10.2: any other word ends the transaction
            return end(Reason.CARD_DATA, detail=f"READ RECORD {answer.sw:04X}")
        if oda:
            marked.append((sfi, answer.data))
        if sfi not in PAYMENT_FILES:
            continue
        for tag, value in _primitives(parse_record(answer.data)):
            if tag in values:  # EMV B3 10.2: redundant data end the transaction
                raise DecodeError("comes twice", fault=Fault.FORMAT, path=f"{tag:X}", spec="EMV B3 10.2")
            values[tag] = value
    return values, marked


def _primitives(objects: TLVList) -> list[tuple[int, bytes]]:
    return [(node.tag, node.value) for node in objects.walk() if node.children is None]


def check_lengths(values: dict[int, bytes]) -> None:
    """Raise DecodeError for critical data of a wrong length (EMV B3 7.5); an empty value counts as absent."""
    for tag, length in [*LENGTHS.items(), *((tag, 5) for tag in ACTION_CODES)]:
        if values.get(tag) and len(values[tag]) != length:
            what = f"{len(values[tag])} bytes, must be {length}"
            raise DecodeError(what, fault=Fault.LENGTH, path=f"{tag:X}", spec="EMV B3 A1")
