"""What the interbank MAC is computed over: selected fields, made into plain text.

Machines of different make re-encode messages on the way, so the MAC does not cover bytes but meaning: the chosen field
values, variable ones with their length digits, in upper case, of the characters A–Z, 0–9, space, comma and point only,
each trimmed, runs of spaces collapsed, joined by one space. CBC-MAC over that gives DE128, its left four bytes as eight
hex characters.

The six character rules stand alike in three public implementations (docs/sources.md). Which fields take part is from
memory and unverified: it is the one table `MAC_FIELDS`. The MAC itself is the security module's affair; this runs four
times a payment in each host, so the choice is compiled once for each combination of fields, as the codec's plans are, and
the whole rule is one pass of `bytes.translate`.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Protocol

from shanfu.errors import ProtocolError
from shanfu.iso8583.fields import Value

__all__ = ["MAC_ALGORITHMS", "MAC_FIELDS", "mab_bytes", "mab_text", "mac_algorithm", "mac_input"]

# fmt: off
# The first three digits of the MTI: repeats (0221, 0421) are authenticated like their first sending. 0 is the MTI.
# Unverified choice; a member's own table replaces it. `mode` text: the rule above.
_FINANCIAL = (0, 2, 3, 4, 7, 11, 18, 25, 28, 32, 33, 38, 39, 41, 42, 90)
_ADMINISTRATIVE = (0, 2, 3, 4, 7, 11, 18, 25, 32, 33, 39, 41, 42, 59, 90)
_MANAGEMENT = (0, 7, 11, 53, 70, 100)
MAC_FIELDS: dict[str, tuple[str, tuple[int, ...]]] = {
    #  MTI      mode    fields
    "010": ("text", _FINANCIAL), "011": ("text", _FINANCIAL), "012": ("text", _FINANCIAL), "013": ("text", _FINANCIAL),
    "020": ("text", _FINANCIAL), "021": ("text", _FINANCIAL), "022": ("text", _FINANCIAL), "023": ("text", _FINANCIAL),
    "042": ("text", _FINANCIAL), "043": ("text", _FINANCIAL),
    "062": ("text", _ADMINISTRATIVE), "063": ("text", _ADMINISTRATIVE),
    "080": ("text", _MANAGEMENT), "081": ("text", _MANAGEMENT),
}

# Third character of DE60.11.3 (60.11.3 = three characters) -> the algorithm's name at the security module.
MAC_ALGORITHMS = {"0": "x9.19", "4": "sm4-cbc"}

# Fields that count with fewer characters than they have: of DE90 the original MTI, trace and DE7.
CUT = {90: 20}
VARIABLE = frozenset({2, 32, 33, 100})  # written with two length digits
# fmt: on
LENGTHS = tuple(f"{length:02d}" for length in range(100))
LIMIT_WRITERS = 1024  # combinations of a message type and fields that a process remembers

KEPT = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 ,."
UPPER = bytes(range(256)).upper()
DROPPED = bytes(byte for byte in range(256) if UPPER[byte] not in KEPT)


class Fields(Protocol):
    """A message, as far as this module looks at it."""

    mti: str
    fields: dict[int, Value]


def mab_bytes(values: Iterable[str]) -> bytes:
    """Return the MAC input for values chosen already, variable ones with their length digits.

    >>> mab_bytes(["0210", "166200000000000005", "a-b_c/d", "  two   spaces  ", "00", "T.1,2"])
    b'0210 166200000000000005 ABCD TWO SPACES 00 T.1,2'
    """
    return _normal(" ".join(values))


def _normal(text: str) -> bytes:
    # Trimming, collapsing and dropping of empty values are one split: after the translation no other white space is left.
    return b" ".join(text.encode("ascii", "ignore").translate(UPPER, DROPPED).split())


def mab_text(values: Iterable[str]) -> str:
    """The same as text."""
    return mab_bytes(values).decode("ascii")


def mac_input(message: Fields) -> bytes:
    """Return the MAC input of a message by the table; ProtocolError for a message type that has no MAC."""
    present = message.fields
    write = _writer(message.mti[:3], tuple(present))
    if write is None:
        raise ProtocolError(f"MTI {message.mti}: no MAC is defined for it", by="us")
    return _normal(write(message.mti, present))


Writer = Callable[[str, Mapping[int, Value]], str]


@lru_cache(maxsize=LIMIT_WRITERS)
def _writer(mti: str, present: tuple[int, ...]) -> Writer | None:
    """Return what joins the values that count, of messages with these fields; None for a type that has no MAC."""
    if mti not in MAC_FIELDS:
        return None
    pieces = ["m"]
    for number in MAC_FIELDS[mti][1]:
        if number in present:
            value = f"f[{number}]"
            variable = f"LENGTHS[len({value})] + {value}"
            pieces.append(variable if number in VARIABLE else f"{value}[:{CUT[number]}]" if number in CUT else value)
    text = f"lambda m, f: ' '.join(({', '.join(pieces)},))"
    made: Writer = eval(text, {"LENGTHS": LENGTHS})  # noqa: S307  (our own text, from the table)
    return made


def mac_algorithm(message: Fields) -> str:
    """The MAC algorithm that a message announces in DE60.11.3; X9.19 when it says nothing known (unverified for SM4)."""
    reserved = message.fields.get(60, "")
    announced = reserved[20:21] if isinstance(reserved, str) else ""
    return MAC_ALGORITHMS.get(announced, MAC_ALGORITHMS["0"])
