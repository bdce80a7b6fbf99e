"""The local master key: the one secret of an HSM, and the file it rests in.

An AES-256 key under which every other key of a host lies as a key block. It rests in a file that only its owner may read,
in clear (a development machine, or a disk that is itself protected) or under a passphrase (scrypt, then AES-256-GCM). The
file carries the check value of the key, so a wrong or damaged file is noticed before anything is opened with it. A file
that group or others can read is refused: it must be assumed known.

Asked by whoever starts a host (doors, sandbox). A software HSM guards against the theft of a database and the curiosity of
operators, not against the superuser of its machine. Sources: RFC 7914 (scrypt), NIST SP 800-38D, ANSI X9.143 (check value).
"""

import hmac
import json
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from shanfu.crypto import Algorithm, Cipher, Place, SealKey, combine, kcv
from shanfu.errors import ConfigError, IntegrityError, KeyUseError

__all__ = ["LMK", "create_lmk", "load_lmk"]

FORMAT = 1
LMK_BYTES = 32
SALT_BYTES, NONCE_BYTES = 16, 12
SCRYPT = {"n": 1 << 15, "r": 8, "p": 1}  # RFC 7914 2: 32 MB and about 0.1 s, paid once when a host starts
LIMIT_SCRYPT_N = 1 << 20  # a changed file must not make us fill the memory
LIMIT_FILE_BYTES = 4096
CONTEXT = b"shanfu lmk 1"


class LMK:
    """A local master key; neither shown nor copied nor pickled.

    >>> LMK(bytes(32))
    LMK(check value 9211053C55)
    """

    __slots__ = ("key",)

    def __init__(self, key: bytes) -> None:
        if len(key) != LMK_BYTES:
            raise KeyUseError(f"LMK: {len(key)} bytes, an AES-256 key has {LMK_BYTES}")
        self.key = key

    def __repr__(self) -> str:
        return f"LMK(check value {self.check.hex().upper()})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("an LMK is never pickled or copied")

    @property
    def check(self) -> bytes:
        """The check value, 5 bytes of CMAC (X9.143)."""
        return kcv(Cipher(Algorithm.AES, self.key), Place.CMAC5)

    @classmethod
    def generate(cls) -> "LMK":
        """Make a random one."""
        return cls(os.urandom(LMK_BYTES))

    @classmethod
    def form(cls, components: Sequence[bytes]) -> "LMK":
        """Form one from two or three custodians' components."""
        return cls(combine(list(components)))


def create_lmk(path: Path, *, passphrase: str | None = None, lmk: LMK | None = None) -> LMK:
    """Write a new LMK file (mode 0600, durable) and return its key; never overwrites: `ConfigError` if there is one."""
    key = lmk or LMK.generate()
    text = json.dumps(_record(key, passphrase), indent=1).encode()
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), 0o600)
    except FileExistsError:
        raise ConfigError(f"LMK file {path}: exists already; its keys would be lost with it") from None
    except OSError as error:
        raise ConfigError(f"LMK file {path}: cannot be written ({error.strerror})") from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    return key


def load_lmk(path: Path, *, passphrase: str | None = None) -> LMK:
    """Read an LMK file; `ConfigError` if it is missing, readable by others or not ours, `IntegrityError` if it is wrong."""
    try:
        record = json.loads(_read_private(path))
        if record["format"] != FORMAT:
            raise ConfigError(f"LMK file {path}: format {record['format']}, this version reads {FORMAT}")
        lmk = LMK(_open(record, path, passphrase))
        check = bytes.fromhex(record["check"])
    except (ValueError, KeyError, TypeError, KeyUseError):
        raise ConfigError(f"LMK file {path}: is not an LMK file") from None
    if not hmac.compare_digest(lmk.check, check):
        raise IntegrityError(f"LMK file {path}: the check value differs, the file was changed")
    return lmk


def _read_private(path: Path) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    except OSError as error:
        raise ConfigError(f"LMK file {path}: cannot be read ({error.strerror})") from None
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(file.fileno())  # of the open file: a path may be exchanged between a look and a read
        if os.name == "posix" and stat.S_IMODE(status.st_mode) & 0o077:
            mode = stat.S_IMODE(status.st_mode)
            raise ConfigError(f"LMK file {path}: mode {mode:04o}, group and others must have no access (chmod 600)")
        return file.read(LIMIT_FILE_BYTES)


def _record(lmk: LMK, passphrase: str | None) -> dict[str, Any]:
    record: dict[str, Any] = {"format": FORMAT, "check": lmk.check.hex()}
    if passphrase is None:
        return record | {"protection": "file", "key": lmk.key.hex()}
    salt, nonce = os.urandom(SALT_BYTES), os.urandom(NONCE_BYTES)
    sealed = SealKey(_stretch(passphrase, salt, SCRYPT)).seal(nonce, lmk.key, aad=CONTEXT)
    return record | {"protection": "scrypt", "salt": salt.hex(), "scrypt": SCRYPT, "nonce": nonce.hex(), "key": sealed.hex()}


def _open(record: dict[str, Any], path: Path, passphrase: str | None) -> bytes:
    key = bytes.fromhex(record["key"])
    if record["protection"] == "file":
        return key
    if record["protection"] != "scrypt":
        raise KeyError("protection")
    if passphrase is None:
        raise ConfigError(f"LMK file {path}: is under a passphrase, and none was given")
    stretched = _stretch(passphrase, bytes.fromhex(record["salt"]), record["scrypt"])
    try:
        return SealKey(stretched).open(bytes.fromhex(record["nonce"]), key, aad=CONTEXT)
    except IntegrityError:
        raise IntegrityError(f"LMK file {path}: the passphrase is wrong, or the file was changed") from None


def _stretch(passphrase: str, salt: bytes, cost: dict[str, int]) -> bytes:
    if not (1 < cost["n"] <= LIMIT_SCRYPT_N and 1 <= cost["r"] <= 16 and 1 <= cost["p"] <= 4):
        raise ValueError("scrypt cost")
    return Scrypt(salt=salt, length=LMK_BYTES, n=cost["n"], r=cost["r"], p=cost["p"]).derive(passphrase.encode())
