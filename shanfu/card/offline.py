"""Contactless approval by the card alone: a TC, a signature over it (fDDA), and a balance that falls at the last record.

The terminal finds the signature (9F4B) in the answer to GPO, or, for keys over 1,024 bits, in a record that exists for this
payment only. It reads the records that the file locator names; the last of them is where the payment counts: the balance is
debited, durably, before that record leaves. A card torn away before has paid nothing.

Called by `initiate.py` and by READ RECORD. Sources: JR/T 0025.12 (qPBOC offline, fDDA, 9F69), JR/T 0025.13 (balance).
Unverified: that the debit is due at the last record; that 9F5D and the issuer-defined data tell the balance afterwards
(`balance_after`); the inner layout of 9F69 (`related_data`).
"""

from collections.abc import Mapping
from typing import Final

from shanfu.card.chip import Chip
from shanfu.card.decision import Verdict
from shanfu.card.image import GPOData
from shanfu.card.session import Debit
from shanfu.emv import TTQ, AFLEntry, afl_bytes, parse_afl, records
from shanfu.iso7816 import tlv
from shanfu.oda import sign_fast

__all__ = ["approve", "balance_after", "count_at_last_record", "related_data"]

VIRTUAL: Final = (6, 1)  # JR/T 0025.12: SFI 6 record 1 holds 9F4B when the answer has no room for it
IN_ANSWER_BYTES: Final = 128  # JR/T 0025.12: keys up to 1,024 bits sign into the answer to GPO
PBOC_3: Final = b"\x00\x30"  # 9F08 from which a card knows fDDA version 01


def balance_after(balance: bytes, amount: bytes) -> bytes:
    """Return what is left of an n12 balance after an n12 amount within it; this is what the card tells in 9F5D and 9F10."""
    return bytes.fromhex(f"{int(balance.hex()) - int(amount.hex()):012d}")


def related_data(number: bytes, ctq: bytes) -> bytes:
    """Lay out 9F69: fDDA version, the card's random number (4), a copy of the CTQ (JR/T 0025.12)."""
    return b"\x01" + number + ctq


def approve(
    chip: Chip, options: GPOData, verdict: Verdict, *, atc: bytes, said: Mapping[int, bytes], balance: bytes
) -> dict[int, bytes]:
    """Sign an approval and note what it will cost; return 94 and what else the answer carries. `balance` is the new one."""
    key, session = chip.image.icc, chip.session
    assert key is not None, "decided with a key"
    ctq, added = bytes(verdict.ctq), {}
    version = int(TTQ.FDDA_01.is_in(said[0x9F66]) and chip.image.edition >= PBOC_3)
    if version:
        added[0x9F69] = related_data(chip.random(4), ctq)
    signature = sign_fast(key, version=version, values={**said, **added, 0x9F36: atc})
    entries = list(parse_afl(options.afl))
    if len(signature) <= IN_ANSWER_BYTES:
        added[0x9F4B] = signature
    else:
        session.virtual[VIRTUAL] = bytes(tlv(0x70, tlv(0x9F4B, signature)))
        if not any(entry.sfi == VIRTUAL[0] for entry in entries):
            entries.insert(-1, AFLEntry(sfi=VIRTUAL[0], first=VIRTUAL[1], last=VIRTUAL[1]))  # before the last one
    *_, (sfi, number, _) = records(entries)
    session.debit = Debit((sfi, number), balance)
    return {0x94: afl_bytes(entries)} | added


def count_at_last_record(chip: Chip, record: tuple[int, int]) -> None:
    """Debit an approved payment, once, when its last record is about to leave."""
    debit = chip.session.debit
    if debit is not None and debit.record == record:
        chip.live.keep({0x9F79: debit.balance})
        chip.session.debit = None
