"""File control information: what a card answers to SELECT, of the directory (PPSE) and of an application (ADF).

`parse_ppse` gives the `DirectoryEntry`s from which a terminal makes its candidate list, `FCI.parse` an application's answer;
both are built again by `ppse_fci` and `bytes()`. A personalised card keeps its FCI as stored bytes: only the values go
through here.

Called by terminals and by card personalisation. Sources: EMV Book 1 11.3.4 and 12.2.3, EMV CL Book B 3.3.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from shanfu.emv.aid import PPSE, PSE, default_kernel
from shanfu.emv.dol import DOL, parse_dol
from shanfu.errors import DecodeError, Fault
from shanfu.iso7816 import TLV, TLVList, parse, tlv

__all__ = [
    "FCI", "DirectoryEntry", "LogEntry", "directory_record", "parse_directory_record", "parse_ppse", "ppse_fci", "pse_fci",
]  # fmt: skip

ADF_SPEC = "EMV B1 11.3.4"


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectoryEntry:
    """One application of the card: children of a template 61."""

    aid: bytes
    label: bytes = b""
    priority: int | None = None  # tag 87, the whole byte
    kernel_id: bytes | None = None  # tag 9F2A
    preferred_name: bytes | None = None  # tag 9F12, contact directory

    @property
    def rank(self) -> int:
        """The order among applications, 1 first; 16 for none given (EMV B1 12.2.3 table 48, EMV CL B 3.3.2.5)."""
        return (self.priority or 0) & 0xF or 16

    @property
    def kernel(self) -> int | None:
        """The requested kernel; None if the entry is to be left out (EMV CL B 3.3.2.5)."""
        if not self.kernel_id or self.kernel_id[0] == 0:
            return default_kernel(self.aid)
        if self.kernel_id[0] & 0x80 == 0:  # b8-b7 = 00 or 01: short kernel identifier
            return self.kernel_id[0]
        return int.from_bytes(self.kernel_id[:3]) if len(self.kernel_id) >= 3 and self.kernel_id[0] & 0x3F else None

    def to_tlv(self) -> TLV:
        """Write the template 61."""
        parts = [tlv(0x4F, self.aid)]
        parts += [tlv(0x50, self.label)] if self.label else []
        parts += [tlv(0x9F12, self.preferred_name)] if self.preferred_name is not None else []
        parts += [tlv(0x87, bytes((self.priority,)))] if self.priority is not None else []
        parts += [tlv(0x9F2A, self.kernel_id)] if self.kernel_id is not None else []
        return tlv(0x61, *parts)


@dataclass(frozen=True, slots=True)
class LogEntry:
    """Where a card keeps its log: the file and how many records it holds (tags 9F4D, DF4D)."""

    sfi: int
    records: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FCI:
    """The answer to SELECT of an application or of the contact directory."""

    df_name: bytes
    label: bytes = b""
    priority: int | None = None
    pdol: DOL | None = None
    language: bytes | None = None
    code_table: int | None = None
    preferred_name: bytes | None = None
    directory_sfi: int | None = None
    discretionary: tuple[TLV, ...] = ()  # children of BF0C, as they came

    @classmethod
    def parse(cls, data: bytes) -> "FCI":
        """Read template 6F with 84 and A5; raise DecodeError if one is missing or malformed (EMV B1 11.3.4).

        >>> fci = FCI.parse(bytes.fromhex("6F1B8408A000000333010101A50F500A50424F43204445424954870101"))
        >>> fci.label, fci.priority, fci.pdol
        (b'PBOC DEBIT', 1, None)
        """
        objects = parse(data)
        name = objects.require(0x6F, 0x84, spec=ADF_SPEC).value
        inside = objects.require(0x6F, 0xA5, spec=ADF_SPEC).children or TLVList(b"", [], 0, 0)
        bf0c, pdol = inside.first(0xBF0C), inside.value(0x9F38)
        return cls(
            df_name=name,
            label=inside.value(0x50) or b"",
            priority=_one_byte(inside, 0x87),
            pdol=None if pdol is None else parse_dol(pdol),
            language=inside.value(0x5F2D),
            code_table=_one_byte(inside, 0x9F11),
            preferred_name=inside.value(0x9F12),
            directory_sfi=_one_byte(inside, 0x88),
            discretionary=tuple(bf0c.children or ()) if bf0c else (),
        )

    def __bytes__(self) -> bytes:
        one = (bytes((n,)) if n is not None else None for n in (self.directory_sfi, self.priority, self.code_table))
        sfi, priority, table = one
        rows = (
            (0x50, self.label or None), (0x88, sfi), (0x87, priority),
            (0x9F38, None if self.pdol is None else bytes(self.pdol)),
            (0x5F2D, self.language), (0x9F11, table), (0x9F12, self.preferred_name),
        )  # fmt: skip
        inside = [tlv(tag, value) for tag, value in rows if value is not None]
        inside += [tlv(0xBF0C, *self.discretionary)] if self.discretionary else []
        return bytes(tlv(0x6F, tlv(0x84, self.df_name), tlv(0xA5, *inside)))

    def log_entry(self, tag: int = 0x9F4D) -> LogEntry | None:
        """Return where the transaction log (9F4D) or the load log (DF4D) is kept (EMV B3 D1)."""
        value = next((node.value for node in self.discretionary if node.tag == tag), None)
        return LogEntry(value[0], value[1]) if value is not None and len(value) == 2 else None


def parse_ppse(data: bytes) -> tuple[DirectoryEntry, ...]:
    """Read the contactless directory; entries without a usable 4F are left out, as the kernel must (EMV CL B 3.3.2.4).

    >>> ppse = "6F30840E325041592E5359532E4444463031A51EBF0C1B61194F08A000000333010101500A50424F43204445424954870101"
    >>> [(entry.aid.hex(), entry.kernel, entry.rank) for entry in parse_ppse(bytes.fromhex(ppse))]
    [('a000000333010101', 7, 1)]
    """
    inside = parse(data).require(0x6F, 0xA5, 0xBF0C, spec="EMV CL B 3.3.2").children
    return _entries(inside or TLVList(b"", [], 0, 0))


def parse_directory_record(data: bytes) -> tuple[DirectoryEntry, ...]:
    """Read a record of the contact directory: template 70 with entries 61 (EMV B1 12.2.3)."""
    return _entries(parse(data).require(0x70, spec="EMV B1 12.2.3").children or TLVList(b"", [], 0, 0))


def ppse_fci(entries: Iterable[DirectoryEntry]) -> bytes:
    """Write the contactless directory's FCI, the inverse of `parse_ppse` (EMV CL B 3.3.2).

    >>> entry = DirectoryEntry(aid=bytes.fromhex("A000000333010101"), label=b"PBOC DEBIT", priority=1)
    >>> ppse_fci([entry]).hex()[:40]
    '6f30840e325041592e5359532e4444463031a51e'
    """
    listed = [entry.to_tlv() for entry in entries]
    return bytes(tlv(0x6F, tlv(0x84, PPSE), tlv(0xA5, tlv(0xBF0C, *listed))))


def pse_fci(sfi: int) -> bytes:
    """Write the contact directory's FCI, which says in which file (1 to 10) its records are (EMV B1 12.2.2).

    >>> pse_fci(10).hex()
    '6f15840e315041592e5359532e4444463031a50388010a'
    """
    return bytes(FCI(df_name=PSE, directory_sfi=sfi))


def directory_record(entries: Iterable[DirectoryEntry]) -> bytes:
    """Write a record of the contact directory, the inverse of `parse_directory_record` (EMV B1 12.2.3).

    >>> entry = DirectoryEntry(aid=bytes.fromhex("A000000333010101"), label=b"PBOC DEBIT", priority=1)
    >>> directory_record([entry]).hex()
    '701b61194f08a000000333010101500a50424f43204445424954870101'
    """
    return bytes(tlv(0x70, *(entry.to_tlv() for entry in entries)))


def _entries(templates: TLVList) -> tuple[DirectoryEntry, ...]:
    found = (_entry(node.children) for node in templates.all(0x61) if node.children is not None)
    return tuple(entry for entry in found if entry is not None)


def _entry(inside: TLVList) -> DirectoryEntry | None:
    aid = inside.value(0x4F)
    if aid is None or not 5 <= len(aid) <= 16:
        return None
    return DirectoryEntry(
        aid=aid,
        label=inside.value(0x50) or b"",
        priority=_one_byte(inside, 0x87),
        kernel_id=inside.value(0x9F2A),
        preferred_name=inside.value(0x9F12),
    )


def _one_byte(inside: TLVList, tag: int) -> int | None:
    node = inside.first(tag)
    if node is None or not node.value:  # an empty value counts as absent (EMV B3 7)
        return None
    if len(node.value) != 1:
        what = f"{len(node.value)} bytes, must be 1"
        raise DecodeError(what, fault=Fault.LENGTH, path=node.tag_hex, offset=node.value_offset, spec="EMV B3 A1")
    return node.value[0]
