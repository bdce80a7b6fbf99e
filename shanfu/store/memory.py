"""The durable memory of a card, a PIN pad or a terminal: one small file that a power cut cannot tear.

Implements `shanfu.dialogue.Memory`. The file is a log: a header, then one record per `write`, each holding all names of that
write, sealed with AES-GCM under the owner's key and bound to its place in this file. A record counts when its checksum
holds, so a write that a power cut interrupted has either happened or not. The log is filled with zeros ahead of its end,
because overwriting blocks costs the disk half of what extending a file does. When old records outweigh the state, the log
is replaced by a new one, renamed into its place.

    header  "shanfu-m" format file-id crc                        32 bytes
    record  "rec:" length crc(sealed) crc(this) | nonce + AES-GCM(MessagePack of {name: bytes or nil}) | zeros to 16

An unsound record is an interrupted write only if no record follows it; otherwise the file was damaged, and an answer from
older state (a counter that runs back) would be worse than none: opening raises IntegrityError.
"""

import os
import struct
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Self

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from shanfu.errors import ConfigError, IntegrityError, StoreGone, StoreVersion
from shanfu.store.lock import Lock

__all__ = ["DictMemory", "FileMemory", "Sealer"]

FORMAT = 1
HEADER = struct.Struct(">8sI16sI")
RECORD = struct.Struct(">4sIII")  # 16 bytes at multiples of 16: never across two sectors, so never half written
MAGIC, MARK = b"shanfu-m", b"rec:"
AHEAD = 16 * 1024  # zeros ahead of the end; some fifty writes of a card
COMPACT = 64 * 1024  # smaller logs are not worth the four flushes of a replacement
NONCE = 12  # NIST SP 800-38D 8.2.2

_decode = msgspec.msgpack.Decoder(dict[str, bytes | None]).decode
_encode = msgspec.msgpack.encode


class Sealer:
    """Encrypts and authenticates what lies in a file (AES-256-GCM, NIST SP 800-38D)."""

    def __init__(self, key: bytes) -> None:
        if len(key) != 32:
            raise ConfigError(f"sealing key: {len(key)} bytes, AES-256 has 32")
        self._cipher = AESGCM(key)

    @classmethod
    def from_file(cls, path: Path, *, create: bool = False) -> "Sealer":
        """Read the key from a file that only its owner may read; with `create` make one where there is none."""
        try:
            if create and not path.exists():
                _make_key(path)
            if path.stat().st_mode & 0o077:
                raise ConfigError(f"{path}: others may read this key; its mode must be 0600")
            return cls(path.read_bytes())
        except OSError as fault:
            raise ConfigError(f"{path}: the sealing key cannot be read: {fault.strerror}") from fault

    def __repr__(self) -> str:
        return "Sealer(...)"

    def seal(self, plain: bytes, bound: bytes) -> bytes:
        """Return nonce, ciphertext and tag; `bound` must be the same when it is opened."""
        nonce = os.urandom(NONCE)
        return nonce + self._cipher.encrypt(nonce, plain, bound)

    def open(self, sealed: bytes, bound: bytes) -> bytes:
        """Return the plaintext; raises IntegrityError."""
        try:
            return self._cipher.decrypt(sealed[:NONCE], sealed[NONCE:], bound)
        except (InvalidTag, ValueError):
            raise IntegrityError("sealed record: wrong key, or not what was written") from None


def _make_key(path: Path) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, AESGCM.generate_key(256))
        os.fsync(fd)
    finally:
        os.close(fd)
    _sync_folder(path)


class DictMemory:
    """A memory that lives as long as its object: tests and simulation, where `copy` is what the power cut leaves."""

    def __init__(self, records: Mapping[str, bytes] | None = None) -> None:
        self._records = dict(records or {})

    def read(self, name: str) -> bytes | None:
        """Return the record, or None."""
        return self._records.get(name)

    def write(self, records: Mapping[str, bytes | None]) -> None:
        """Replace (or with None remove) these records."""
        self._records = _merged(self._records, records)

    def names(self) -> list[str]:
        """Return the names of all records, sorted."""
        return sorted(self._records)

    def copy(self) -> "DictMemory":
        """Return an independent memory with the same records."""
        return DictMemory(self._records)


class FileMemory:
    """A memory in one file, held by one process; raises Conflict, StoreGone, StoreVersion, IntegrityError on opening."""

    def __init__(self, path: Path, sealer: Sealer) -> None:
        self._path, self._sealer = Path(path), sealer
        self._records: dict[str, bytes] = {}
        self._fd, self._id = -1, b""
        self._end = self._size = self._limit = self._count = 0  # bytes used, allocated and allowed; records
        self._lock = Lock(self._path)
        try:
            if self._path.exists():
                self._recover()
            else:
                self._replace({})
        except OSError as fault:
            self.close()
            raise StoreGone(f"{self._path}: {fault.strerror}") from fault
        except Exception:
            self.close()
            raise

    def read(self, name: str) -> bytes | None:
        """Return the record, or None; raises StoreGone after a write that failed, since its outcome is unknown."""
        self._alive()
        return self._records.get(name)

    def names(self) -> list[str]:
        """Return the names of all records, sorted."""
        self._alive()
        return sorted(self._records)

    def write(self, records: Mapping[str, bytes | None]) -> None:
        """Replace (or with None remove) these records, all or none; durable when it returns. Raises StoreGone."""
        self._alive()
        merged = _merged(self._records, records)
        record = self._record(records)
        try:
            if self._end + len(record) > self._limit:
                self._replace(merged)
            else:
                self._append(record)
        except OSError as fault:
            self._shut()
            raise StoreGone(f"{self._path}: {fault.strerror}; open it again") from fault
        self._records = merged

    def close(self) -> None:
        """Let the next owner in."""
        self._shut()
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _append(self, record: bytes) -> None:
        end = self._end + len(record)
        if end > self._size:
            self._size = end + AHEAD
            record += bytes(AHEAD)
        _write_at(self._fd, record, self._end)
        os.fdatasync(self._fd)
        self._end, self._count = end, self._count + 1

    def _record(self, records: Mapping[str, bytes | None]) -> bytes:
        sealed = self._sealer.seal(_encode(records), _bound(self._id, self._count))
        return _frame(sealed)

    def _replace(self, records: Mapping[str, bytes]) -> None:
        """Put a new log with this state in the old one's place; the rename is the moment at which it happens."""
        new, file_id = self._path.with_name(f"{self._path.name}.new"), os.urandom(16)
        head = HEADER.pack(MAGIC, FORMAT, file_id, 0)[:-4]
        head += zlib.crc32(head).to_bytes(4, "big")
        log = head + _frame(self._sealer.seal(_encode(records), _bound(file_id, 0)))
        fd = os.open(new, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            _write_at(fd, log + bytes(AHEAD), 0)
            os.fsync(fd)
            new.rename(self._path)
            _sync_folder(self._path)
        except OSError:
            os.close(fd)
            raise
        self._shut()
        self._fd, self._id, self._count = fd, file_id, 1
        self._end, self._size = len(log), len(log) + AHEAD
        self._limit = max(COMPACT, 4 * len(log))

    def _recover(self) -> None:
        """Read the log, and wipe what an interrupted write left behind its end."""
        self._fd = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
        log = self._path.read_bytes()
        self._id = _file_id(log, self._path)
        self._end, self._count = HEADER.size, 0
        for start, sealed in _sound_records(log, HEADER.size):
            if start != self._end:
                raise IntegrityError(f"{self._path}: record {self._count} is damaged, and records follow it")
            plain = self._sealer.open(sealed, _bound(self._id, self._count))
            self._records = _merged(self._records, _decode(plain))
            self._end, self._count = start + _length(len(sealed)), self._count + 1
        if log.count(0, self._end) != len(log) - self._end or len(log) < self._end:
            os.ftruncate(self._fd, min(self._end, len(log)))
            os.fsync(self._fd)
            log = log[: self._end]
        self._size = len(log)
        self._limit = max(COMPACT, 4 * (HEADER.size + _length(len(_encode(self._records)) + NONCE + 16)))

    def _alive(self) -> None:
        if self._fd < 0:
            raise StoreGone(f"{self._path}: closed, open it again")

    def _shut(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _merged(state: Mapping[str, bytes], records: Mapping[str, bytes | None]) -> dict[str, bytes]:
    merged = {**state, **records}
    return {name: record for name, record in merged.items() if record is not None}


def _bound(file_id: bytes, count: int) -> bytes:
    return MAGIC + FORMAT.to_bytes(4, "big") + file_id + count.to_bytes(8, "big")


def _length(sealed: int) -> int:
    return RECORD.size + (sealed + 15) // 16 * 16


def _frame(sealed: bytes) -> bytes:
    head = MARK + len(sealed).to_bytes(4, "big") + zlib.crc32(sealed).to_bytes(4, "big")
    return (head + zlib.crc32(head).to_bytes(4, "big") + sealed).ljust(_length(len(sealed)), b"\0")


def _sound_records(log: bytes, start: int) -> Iterator[tuple[int, bytes]]:
    """Yield the place and the sealed bytes of every sound record, also of those behind a damaged one."""
    while 0 <= (start := log.find(MARK, start)) <= len(log) - RECORD.size:
        _, length, check, own = RECORD.unpack_from(log, start)
        sealed = log[start + RECORD.size : start + RECORD.size + length]
        if (
            start % 16 == 0
            and own == zlib.crc32(log[start : start + 12])
            and len(sealed) == length
            and check == zlib.crc32(sealed)
        ):
            yield start, sealed
            start += _length(length)
        else:
            start += 1


def _file_id(log: bytes, path: Path) -> bytes:
    if len(log) < HEADER.size or not log.startswith(MAGIC):
        raise StoreVersion(f"{path} is not a memory of shanfu")
    _, found, file_id, check = HEADER.unpack_from(log)
    if check != zlib.crc32(log[: HEADER.size - 4]):
        raise IntegrityError(f"{path}: the header is damaged")
    if found > FORMAT:
        raise StoreVersion(f"{path} was written by format {found}, this is {FORMAT}; use a newer shanfu")
    return bytes(file_id)


def _write_at(fd: int, data: bytes, place: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(fd, view, place)
        view, place = view[written:], place + written


def _sync_folder(path: Path) -> None:
    fd = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
