"""What an application must not forget when it loses power: its counters, its balance, whether it is blocked.

Each is one record of the memory, named by the AID and the tag, read anew whenever it is needed (so that a write whose
outcome is unknown is never papered over) and durable when its setter returns. The image of personalisation lies beside it
under `…/dgi/…`; every name begins with the AID, so one memory may hold many applications.

    A000000333010101/format      1         A000000333010101/live/9F36  ATC
    A000000333010101/dgi/9103    image     A000000333010101/live/9F13  ATC of the last completed online transaction
    A000000333010101/blocked     if so     A000000333010101/live/9F17  PIN tries left
                                           A000000333010101/live/9F79  e-cash balance, n12, if the card has one

Called by `application.py` and `keys.py`; written first by `personalise.py`. Sources: JR/T 0025.5, JR/T 0025.13 (balance).
"""

from collections.abc import Mapping
from typing import Final

from shanfu.dialogue import Memory
from shanfu.errors import NotFound, StoreVersion

__all__ = ["FORMAT", "LIVE_TAGS", "LiveData", "aids_in", "image_in", "names_of"]

FORMAT: Final = b"\x01"  # of the records of one application; a reader refuses what it does not know
LIVE_TAGS: Final = (0x9F13, 0x9F17, 0x9F36, 0x9F79)


def names_of(aid: bytes) -> str:
    """Return what all record names of an application begin with."""
    return f"{aid.hex().upper()}/"


def aids_in(memory: Memory) -> list[bytes]:
    """Return the AIDs of the applications in a memory, in order; their formats are checked."""
    found = [name.partition("/")[0] for name in memory.names() if name.endswith("/format")]
    for name in found:
        if memory.read(f"{name}/format") != FORMAT:
            raise StoreVersion(f"{name}: written by a newer version of the card, this one reads format {FORMAT[0]}")
    return [bytes.fromhex(name) for name in found]


def image_in(memory: Memory, aid: bytes) -> dict[int, bytes]:
    """Return the image of an application as data groupings; `NotFound` if there is none."""
    start = f"{names_of(aid)}dgi/"
    names = [name for name in memory.names() if name.startswith(start)]
    image = {int(name.removeprefix(start), 16): memory.read(name) or b"" for name in names}
    if not image:
        raise NotFound(f"application {aid.hex().upper()}: not in this card's memory")
    return image


class LiveData:
    """The durable objects of one application."""

    __slots__ = ("_memory", "_start")

    def __init__(self, memory: Memory, aid: bytes) -> None:
        self._memory, self._start = memory, names_of(aid)

    def value(self, tag: int) -> bytes | None:
        """Return a live object's value, or None if the application has no such object."""
        return self._memory.read(f"{self._start}live/{tag:04X}")

    @property
    def atc(self) -> int:
        """The number of the last transaction begun (9F36)."""
        return int.from_bytes(self._needed(0x9F36))

    @atc.setter
    def atc(self, number: int) -> None:
        self._write({0x9F36: number.to_bytes(2)})

    @property
    def last_online_atc(self) -> int:
        """The number of the last transaction that the issuer's answer completed (9F13); 0 for a new card."""
        return int.from_bytes(self._needed(0x9F13))

    @property
    def pin_tries(self) -> int:
        """How many wrong PINs the card still forgives (9F17)."""
        return self._needed(0x9F17)[0]

    @property
    def balance(self) -> bytes | None:
        """The e-cash balance, n12 in minor units (9F79); None for a card without."""
        return self.value(0x9F79)

    @property
    def blocked(self) -> bool:
        """Whether the issuer has blocked the application (JR/T 0025.5, APPLICATION BLOCK)."""
        return self._memory.read(f"{self._start}blocked") is not None

    def _write(self, values: Mapping[int, bytes]) -> None:
        self._memory.write({f"{self._start}live/{tag:04X}": value for tag, value in values.items()})

    def _needed(self, tag: int) -> bytes:
        value = self.value(tag)
        if not value:
            raise NotFound(f"{self._start}live/{tag:04X}: is missing in the card's memory")
        return value
