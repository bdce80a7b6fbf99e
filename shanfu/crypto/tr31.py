"""Key blocks, version D: a key that carries what it may be used for, sealed against change (TR-31:2018, ANSI X9.143).

A block is text: a 16-character header (usage, algorithm, mode of use, version, exportability), optional blocks, the
enciphered key and a MAC over all of it. The encryption and MAC keys come from the block protection key by AES-CMAC.
`unwrap` checks the length, then the MAC, and only then believes the header. Who calls: the HSM, for keys at rest under
its LMK and for keys that travel under a key-encrypting key. Sources: ANSI X9.143-2021 (header, tables 1-6), TR-31:2018
5.3.2.3 (version D derivation).

SM4 and SM2 keys have no registered algorithm letter: theirs are proprietary ones, two rows below.
"""

import hmac
from dataclasses import dataclass
from typing import NoReturn

from shanfu.crypto.cipher import Algorithm, Cipher
from shanfu.crypto.mac import cmac
from shanfu.errors import DecodeError, Fault, IntegrityError, KeyUseError

__all__ = ["TR31_ALGORITHMS", "BlockKey", "KeyHeader", "pad_bytes"]

# fmt: off
TR31_ALGORITHMS = {  # letter: (cipher, bytes that every key of it is padded to, so that its length does not show)
    "A": (Algorithm.AES,  32),   # X9.143 table 3
    "D": (Algorithm.TDES, 24),   # X9.143 table 3, single DES
    "E": (None,           32),   # X9.143 table 3, elliptic curve; here the secret number of a P-256 key
    "H": (None,           64),   # X9.143 table 3, HMAC
    "R": (None,            0),   # X9.143 table 3, RSA; DER, as long as it is: the public key tells its length to all
    "T": (Algorithm.TDES, 24),   # X9.143 table 3
    "2": (None,           32),   # proprietary, as the next: the secret number of an SM2 key
    "4": (Algorithm.SM4,  32),   # proprietary: numeric letters are left to parties, X9.143 6.3.2 (unverified)
}
# fmt: on

MAC_BYTES = 16
LIMITS_BLOCK_CHARACTERS = 9_999  # four decimal digits of length; a key with its labels needs a few hundred
MODES = set("BCDEGNSTVXY")  # X9.143 table 4
EXPORTABILITY = set("ENS")  # X9.143 table 5


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyHeader:
    """The clear, authenticated part of a key block (X9.143 6.2).

    `usage` two characters (E0 issuer master key AC, P0 PIN encryption, M3 MAC …), `algorithm` a letter of
    `TR31_ALGORITHMS`, `mode` of use, `key_version` two characters, `exportability` E, N or S, `optional` blocks as
    (identifier, text); `PB`, the filler, is added and taken away by the code.
    """

    usage: str
    algorithm: str
    mode: str
    key_version: str = "00"
    exportability: str = "N"
    optional: tuple[tuple[str, str], ...] = ()

    @property
    def cipher(self) -> Algorithm | None:
        """The block cipher of the key, None for a key that is of none."""
        row = TR31_ALGORITHMS.get(self.algorithm)
        if row is None:
            raise KeyUseError(f"key block: algorithm {self.algorithm!r} is none that we use (X9.143 table 3)")
        return row[0]

    def option(self, identifier: str) -> str:
        """Return the text of an optional block, "" if there is none."""
        return dict(self.optional).get(identifier, "")


class BlockKey:
    r"""A key block protection key (AES): wraps and unwraps version D; contexts kept; owned by one thread.

    >>> kbpk = BlockKey(bytes.fromhex("88E1AB2A2E3DD38C1FA039A536500CC8A87AB9D62DC92C01058FA79F44657DE6"))
    >>> block = kbpk.wrap(KeyHeader(usage="P0", algorithm="T", mode="E"), b"\x11" * 16, pad=bytes(14))
    >>> block[:16], kbpk.unwrap(block)[1] == b"\x11" * 16
    ('D0112P0TE00N0000', True)
    """

    __slots__ = ("_encryption", "_mac")

    def __init__(self, kbpk: bytes) -> None:
        root = Cipher(Algorithm.AES, kbpk)
        self._encryption = Cipher(Algorithm.AES, _derive(root, len(kbpk), usage=0))
        self._mac = Cipher(Algorithm.AES, _derive(root, len(kbpk), usage=1))

    def __repr__(self) -> str:
        return "BlockKey()"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a BlockKey holds keys and is never pickled or copied")

    def wrap(self, header: KeyHeader, key: bytes, *, pad: bytes) -> str:
        """Return the key block of a key; `pad` is random, `pad_bytes(header, key)` many bytes (or any that fill)."""
        payload = (8 * len(key)).to_bytes(2, "big") + key + pad
        if len(payload) % 16:
            raise DecodeError(f"{len(payload)} bytes, whole blocks of 16", fault=Fault.LENGTH, path="key block payload")
        text = _header_text(header, payload_bytes=len(payload))
        mac = cmac(self._mac, text.encode("ascii") + payload)
        return text + (self._encryption.encrypt_cbc(payload, mac) + mac).hex().upper()

    def unwrap(self, block: str) -> tuple[KeyHeader, bytes]:
        """Return header and key: `DecodeError` if the length lies, `IntegrityError` if the MAC is wrong."""
        header_end, body = _measure(block)
        mac = body[-MAC_BYTES:]
        payload = self._encryption.decrypt_cbc(body[:-MAC_BYTES], mac)
        if not hmac.compare_digest(cmac(self._mac, block[:header_end].encode("ascii") + payload), mac):
            raise IntegrityError("key block: the MAC is wrong, it was changed or belongs under another key (X9.143 5.3)")
        bits = int.from_bytes(payload[:2], "big")
        if bits % 8 or not 0 < bits // 8 <= len(payload) - 2:
            raise _bad(f"key length of {bits} bits does not fit", Fault.LENGTH)
        return _read_header(block[:header_end]), payload[2 : 2 + bits // 8]


def pad_bytes(header: KeyHeader, key: bytes) -> int:
    """Say how many random bytes hide the length of a key (X9.143 6.1: pad to the longest key of the algorithm)."""
    longest = TR31_ALGORITHMS[header.algorithm][1]
    shown = max(longest, len(key))
    return shown - len(key) + -(2 + shown) % 16


def _derive(root: Cipher, size: int, *, usage: int) -> bytes:
    # TR-31:2018 5.3.2.3: counter ‖ usage ‖ 00 ‖ algorithm ‖ bits, one CMAC for each 16 bytes of key
    algorithm = {16: 2, 24: 3, 32: 4}[size]
    tail = usage.to_bytes(2, "big") + b"\x00" + algorithm.to_bytes(2, "big") + (8 * size).to_bytes(2, "big")
    return b"".join(cmac(root, bytes([turn]) + tail) for turn in range(1, -(-size // 16) + 1))[:size]


def _header_text(header: KeyHeader, *, payload_bytes: int) -> str:
    _allowed(header)
    options = "".join(_option_text(identifier, text) for identifier, text in header.optional)
    count = len(header.optional)
    if len(options) % 16:  # X9.143 6.3.6: PB fills the optional blocks to the cipher's block
        fill = -len(options) % 16
        fill += 16 if fill < 4 else 0
        options, count = options + f"PB{fill:02X}" + "0" * (fill - 4), count + 1
    length = 16 + len(options) + 2 * (payload_bytes + MAC_BYTES)
    if length > LIMITS_BLOCK_CHARACTERS:
        raise _bad(f"{length} characters, four digits count them", Fault.LIMIT)
    head = f"D{length:04d}{header.usage}{header.algorithm}{header.mode}{header.key_version}{header.exportability}"
    return f"{head}{count:02d}00{options}"


def _option_text(identifier: str, text: str) -> str:
    size = len(text) + 4
    if size <= 0xFF:
        return f"{identifier}{size:02X}{text}"
    return f"{identifier}0002{len(text) + 10:04X}{text}"  # X9.143 6.3.6: extended length


def _allowed(header: KeyHeader) -> None:
    fields = header.usage + header.algorithm + header.mode + header.key_version + header.exportability
    right = len(fields) == 7 and len(header.usage) == 2 == len(header.key_version) and fields.isascii() and fields.isalnum()
    texts = all(len(i) == 2 and i != "PB" and (i + t).isascii() and (i + t).isprintable() for i, t in header.optional)
    if not right or not texts or header.mode not in MODES or header.exportability not in EXPORTABILITY:
        raise DecodeError("a field is not of its table", path="key block header", spec="X9.143 tables 2-6")
    header.cipher  # noqa: B018  (refuses an algorithm that we have no row for)


def _measure(block: str) -> tuple[int, bytes]:
    """Check version, length and alphabet without believing anything else; return header length and binary body."""
    if len(block) > LIMITS_BLOCK_CHARACTERS or len(block) < 16 + 2 * (16 + MAC_BYTES):
        raise _bad(f"{len(block)} characters", Fault.LENGTH)
    if not block.isascii() or block[0] != "D":
        raise _bad(f"version {block[:1]!a}, only D is taken", Fault.UNKNOWN)
    if block[1:5] != f"{len(block):04d}":
        raise _bad(f"{len(block)} characters, the header says {block[1:5]!a}", Fault.LENGTH)
    header_end = sum(size for _, _, size in _walk(block)) + 16
    try:
        body = bytes.fromhex(block[header_end:])
    except ValueError:
        body = b""
    if len(body) < 16 + MAC_BYTES or len(body) % 16 or body.hex().upper() != block[header_end:]:
        raise DecodeError("the enciphered part is not whole upper-case hex blocks", path="key block", offset=header_end)
    return header_end, body


def _bad(what: str, fault: Fault) -> DecodeError:
    return DecodeError(what, fault=fault, path="key block", spec="X9.143 6.2")


def _walk(block: str) -> list[tuple[str, str, int]]:
    """Split the optional blocks: (identifier, text, characters in all), bounded by the block's own end."""
    found: list[tuple[str, str, int]] = []
    at = 16
    try:
        for _ in range(_number(block[12:14], 10)):
            identifier, size, skip = block[at : at + 2], _number(block[at + 2 : at + 4], 16), 4
            if size == 0:
                digits = 2 * _number(block[at + 4 : at + 6], 16)
                size, skip = _number(block[at + 6 : at + 6 + digits], 16), 6 + digits
            if size < skip or at + size > len(block):
                raise ValueError
            found.append((identifier, block[at + skip : at + size], size))
            at += size
    except ValueError:
        raise DecodeError("an optional block is malformed", path="key block", offset=at, spec="X9.143 6.3.6") from None
    return found


def _number(text: str, base: int) -> int:
    if not text.isalnum():  # int() would take signs, spaces and underscores
        raise ValueError
    return int(text, base)


def _read_header(text: str) -> KeyHeader:
    optional = tuple((identifier, value) for identifier, value, _ in _walk(text) if identifier != "PB")
    header = KeyHeader(
        usage=text[5:7], algorithm=text[7], mode=text[8], key_version=text[9:11], exportability=text[11], optional=optional
    )
    _allowed(header)
    return header
