"""Application file locator: which records the terminal must read, and which of them enter offline data authentication.

Called by terminals after GPO and by cards at personalisation. Sources: EMV Book 3 10.2 and 6.5.8.4, EMV Book 3 5.3.2.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from shanfu.errors import DecodeError, Fault

__all__ = ["AFLEntry", "afl_bytes", "parse_afl", "records"]

SPEC = "EMV B3 10.2"


@dataclass(frozen=True, slots=True, kw_only=True)
class AFLEntry:
    """Records `first` to `last` of the file `sfi`; the first `oda` of them are authenticated offline."""

    sfi: int
    first: int
    last: int
    oda: int = 0

    def __bytes__(self) -> bytes:
        return bytes((self.sfi << 3, self.first, self.last, self.oda))


def parse_afl(data: bytes) -> tuple[AFLEntry, ...]:
    """Read an AFL; raise DecodeError on a file, range or count that cannot be (EMV B3 10.2).

    >>> parse_afl(bytes.fromhex("10010401"))
    (AFLEntry(sfi=2, first=1, last=4, oda=1),)
    """
    if not data or len(data) % 4:
        raise DecodeError(f"{len(data)} bytes, must be a multiple of 4", fault=Fault.LENGTH, path="94", spec=SPEC)
    entries = []
    for at in range(0, len(data), 4):
        file, first, last, oda = data[at : at + 4]
        sfi = file >> 3
        if file & 7 or not 1 <= sfi <= 30:
            raise DecodeError(f"file byte {file:02X} is no SFI of 1 to 30", path="94", offset=at, spec=SPEC)
        if not 1 <= first <= last:
            raise DecodeError(f"records {first} to {last}", path="94", offset=at + 1, spec=SPEC)
        if oda > last - first + 1:
            raise DecodeError(f"{oda} records to authenticate of {last - first + 1}", path="94", offset=at + 3, spec=SPEC)
        entries.append(AFLEntry(sfi=sfi, first=first, last=last, oda=oda))
    return tuple(entries)


def afl_bytes(entries: Iterable[AFLEntry]) -> bytes:
    """Write an AFL, the inverse of `parse_afl`."""
    return b"".join(map(bytes, entries))


def records(entries: Iterable[AFLEntry]) -> Iterator[tuple[int, int, bool]]:
    """Give (sfi, record, enters offline data authentication) in the order in which records are read.

    >>> list(records(parse_afl(bytes.fromhex("10010201"))))
    [(2, 1, True), (2, 2, False)]
    """
    for entry in entries:
        for record in range(entry.first, entry.last + 1):
            yield entry.sfi, record, record < entry.first + entry.oda
