"""What a card shows before it proves anything: the values of its records, and the static data that its issuer signed.

Which records enter the signature the AFL says; the terminal hands them over as they came, so that the template around them
can be judged. Called by terminals; read by `certificates.py` and `static.py`. Source: EMV Book 3 10.3.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from shanfu.emv import parse_record
from shanfu.errors import DecodeError
from shanfu.oda.results import Failure, Part, Reason

__all__ = ["CardData", "static_data"]

AIP_TAG: Final = b"\x82"
LIMITS_STATIC_DATA = 2_048  # EMV B3 10.3: what a terminal must be able to take; keys and cards stay far below
WHOLE_RECORD_FROM_SFI: Final = 11  # EMV B3 10.3


@dataclass(frozen=True, slots=True, kw_only=True)
class CardData:
    """A card's data for authentication.

    `rid` the first five bytes of the AID; `values` every primitive value of the records read (tag → value, 5A, 8F, 90 …);
    `records` those that the AFL marks, in the AFL's order, as (SFI, answer to READ RECORD); `aip` the two bytes of 82.
    """

    rid: bytes
    values: Mapping[int, bytes] = field(repr=False)
    records: Sequence[tuple[int, bytes]] = field(repr=False)
    aip: bytes

    @property
    def pan_digits(self) -> str:
        """The digits of 5A, empty if there is none."""
        return self.values.get(0x5A, b"").hex().rstrip("f")


def static_data(card: CardData) -> bytes | Failure:
    """Join the static data to be authenticated: the marked records, then the AIP if 9F4A asks for it (EMV B3 10.3)."""
    parts = []
    for sfi, record in card.records:
        # EMV B3 10.3: in SFI 1 to 10 without tag and length of template 70; in 11 to 30 the record as it is
        inside = record if sfi >= WHOLE_RECORD_FROM_SFI else _template(record)
        if inside is None:
            return Failure(Part.RECORD, Reason.NOT_A_TEMPLATE)
        parts.append(inside)
    tag_list = card.values.get(0x9F4A)
    if tag_list is not None:
        if tag_list != AIP_TAG:  # EMV B3 10.3: it holds the tag of the AIP and no other
            return Failure(Part.TAG_LIST, Reason.OTHER_TAGS)
        parts.append(card.aip)
    joined = b"".join(parts)
    return joined if len(joined) <= LIMITS_STATIC_DATA else Failure(Part.RECORD, Reason.TOO_LONG)


def _template(record: bytes) -> bytes | None:
    try:
        inside = parse_record(record)
    except DecodeError:
        return None
    return bytes(inside)
