"""What an application must not forget when it loses power: its counters, its balance, its history, whether it is blocked.

Each is one record of the memory, named by the AID and the tag, read anew whenever it is needed (so that a write whose
outcome is unknown is never papered over). The image of personalisation lies beside it under `…/dgi/…`; every name begins
with the AID, so one memory may hold many applications. What one command changes goes out in one `keep`, all or none.

    A000000333010101/format      1         A000000333010101/live/9F36  ATC
    A000000333010101/dgi/9103    image     A000000333010101/live/9F13  ATC of the last completed online transaction
    A000000333010101/blocked     if so     A000000333010101/live/9F17  PIN tries left
    A000000333010101/standing    history   A000000333010101/live/9F79  e-cash balance, n12, if the card has one
    card/blocked                 if so     A000000333010101/live/9F78  … and any limit that the issuer has changed

Called by whoever answers a command; written first by `personalise.py`. Sources: JR/T 0025.5, JR/T 0025.13 (balance).
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from shanfu.dialogue import Memory
from shanfu.emv import CVR
from shanfu.errors import NotFound, StoreVersion

__all__ = ["FORMAT", "LIVE_TAGS", "LiveData", "Standing", "aids_in", "card_blocked", "image_in", "names_of"]

FORMAT: Final = b"\x01"  # of the records of one application; a reader refuses what it does not know
LIVE_TAGS: Final = (0x9F13, 0x9F17, 0x9F36, 0x9F79)
CARD_BLOCKED: Final = "card/blocked"
PIN_GROUPING: Final = 0x8010
YES: Final = b"\x01"


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


def card_blocked(memory: Memory) -> bool:
    """Whether the issuer has blocked the whole card (JR/T 0025.5, CARD BLOCK)."""
    return memory.read(CARD_BLOCKED) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What the card remembers of earlier contact transactions, and tells the issuer in the next CVR (JR/T 0025.5).

    `flags` are CVR bits, `scripts` counts issuer commands not yet reported (at most 15), `abroad` offline payments in other
    currencies, `offline_minor` the sum of offline payments since the issuer was last asked; `arqc` is the last one, `atc` its
    number.
    """

    FORM = struct.Struct(">IBBQH8s")

    flags: CVR = field(default=CVR(0))  # type: ignore[arg-type]  # a value, not a row of the table
    scripts: int = 0
    abroad: int = 0
    offline_minor: int = 0
    atc: int = 0
    arqc: bytes = b""

    @classmethod
    def parse(cls, raw: bytes | None) -> "Standing":
        """Read the record; a card that has none remembers nothing."""
        if raw is None:
            return cls()
        flags, scripts, abroad, offline_minor, atc, arqc = cls.FORM.unpack(raw)
        last = {"atc": atc, "arqc": arqc} if atc else {}
        return cls(flags=CVR(flags), scripts=scripts, abroad=abroad, offline_minor=offline_minor, **last)

    def __bytes__(self) -> bytes:
        return self.FORM.pack(int(self.flags), self.scripts, self.abroad, self.offline_minor, self.atc, self.arqc)


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
        self.keep({0x9F36: number.to_bytes(2)})

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
    def pin_block(self) -> bytes | None:
        """The reference PIN as `2L PIN F…`, 8 bytes; None for a card that verifies none (DGI 8010)."""
        return self._memory.read(f"{self._start}dgi/{PIN_GROUPING:04X}")

    @property
    def blocked(self) -> bool:
        """Whether the issuer has blocked the application (JR/T 0025.5, APPLICATION BLOCK)."""
        return self._memory.read(f"{self._start}blocked") is not None

    @property
    def standing(self) -> Standing:
        """What is remembered of earlier contact transactions."""
        return Standing.parse(self._memory.read(f"{self._start}standing"))

    def groupings(self) -> dict[int, bytes]:
        """Return the image as it stands now, as data groupings."""
        return {
            int(name.rpartition("/")[2], 16): self._memory.read(name) or b""
            for name in self._memory.names()
            if name.startswith(f"{self._start}dgi/")
        }

    def keep(
        self,
        tags: Mapping[int, bytes] | None = None,
        *,
        standing: Standing | None = None,
        blocked: bool | None = None,
        card_blocked: bool = False,
        groupings: Mapping[int, bytes] | None = None,
    ) -> None:
        """Make these changes durable, all or none; what is not named stays."""
        records: dict[str, bytes | None] = {f"{self._start}live/{tag:04X}": value for tag, value in (tags or {}).items()}
        records |= {f"{self._start}dgi/{dgi:04X}": value for dgi, value in (groupings or {}).items()}
        if standing is not None:
            records[f"{self._start}standing"] = bytes(standing)
        if blocked is not None:
            records[f"{self._start}blocked"] = YES if blocked else None
        if card_blocked:
            records[CARD_BLOCKED] = YES
        self._memory.write(records)

    def _needed(self, tag: int) -> bytes:
        value = self.value(tag)
        if not value:
            raise NotFound(f"{self._start}live/{tag:04X}: is missing in the card's memory")
        return value
