"""PIN blocks: the PIN between the PIN pad and the bank, never in clear on a wire.

Formats 0, 1, 3 and 4 of ISO 9564-1, UnionPay's ANSI X9.8 block without PAN, and the 16-byte SM4 form. `encipher_pin`
and `decipher_pin` do the whole step under a cipher; `encode_block` and `decode_block` are the clear layouts of those that
have one. **Every fault of a block has one and the same answer**, found by the same work: a telling answer is an oracle
that gives PINs away. Random fill comes from the caller. `translation_refusal` says which format may become which.
Who calls: the PIN pad, the HSM. Sources: ISO 9564-1:2017 9.3 and 9.4, ANSI X9.8, UnionPay POS terminal specification.
"""

from dataclasses import dataclass
from enum import StrEnum

from shanfu.crypto.cipher import Algorithm, Cipher, xor
from shanfu.errors import DecodeError, Fault, KeyUseError

__all__ = [
    "PIN", "PinFormat", "decipher_pin", "decode_block", "encipher_pin", "encode_block", "iso4_pan_field", "iso4_pin_field",
    "pan_field", "sm4_pin_block", "translation_refusal", "x98_field",
]  # fmt: skip

FILL_NIBBLES = 16  # a caller gives this many; a format takes as many as its PIN leaves room for


@dataclass(frozen=True, slots=True)
class PIN:
    """A PIN of 4 to 12 digits (ISO 9564-1 8.1); neither `repr` nor `str` shows it."""

    digits: str

    def __post_init__(self) -> None:
        if not (self.digits.isascii() and self.digits.isdecimal() and 4 <= len(self.digits) <= 12):
            raise DecodeError("not 4 to 12 digits", path="PIN", spec="ISO 9564-1 8.1")

    def __repr__(self) -> str:
        return "PIN(****)"

    __str__ = __repr__


class PinFormat(StrEnum):
    """How a PIN lies in its block."""

    ISO0 = "iso0"  # with PAN: UnionPay's usual form
    ISO1 = "iso1"  # no PAN, random fill
    ISO3 = "iso3"  # with PAN, random fill A-F
    ISO4 = "iso4"  # AES, with PAN, random fill
    SM4_NO_PAN = "sm4-no-pan"  # 16 bytes
    SM4_X98 = "sm4-x98"  # 16 bytes, with PAN
    X98_NO_PAN = "x98-no-pan"  # UnionPay option

    @property
    def needs_pan(self) -> bool:
        """Whether the block is bound to a PAN."""
        return self not in (PinFormat.ISO1, PinFormat.X98_NO_PAN, PinFormat.SM4_NO_PAN)

    @property
    def cipher(self) -> Algorithm:
        """The cipher whose block this is."""
        return CIPHERS.get(self, Algorithm.TDES)

    @property
    def needs_fill(self) -> bool:
        """Whether the layout takes random nibbles."""
        return self in (PinFormat.ISO1, PinFormat.ISO3, PinFormat.ISO4)


CIPHERS = {PinFormat.ISO4: Algorithm.AES, PinFormat.SM4_NO_PAN: Algorithm.SM4, PinFormat.SM4_X98: Algorithm.SM4}


def pan_field(pan: str) -> bytes:
    """Return 0000 ‖ the 12 rightmost PAN digits without the check digit, 8 bytes (ISO 9564-1 9.3.2).

    >>> pan_field("123456789012345678").hex()
    '0000678901234567'
    """
    if not (pan.isascii() and pan.isdecimal() and 12 <= len(pan) <= 19):
        raise DecodeError("not 12 to 19 digits", path="PAN", spec="ISO/IEC 7812-1")
    return bytes.fromhex(pan[:-1][-12:].zfill(16))


def x98_field(pin: PIN, size: int, *, control: str = "0", fill: str = "F" * 32) -> bytes:
    """Return control nibble, length, PIN and fill in `size` bytes: the PIN field of every format (ISO 9564-1 9.3)."""
    head = f"{control}{len(pin.digits):X}{pin.digits}"
    return bytes.fromhex(head + fill[: 2 * size - len(head)])


def encode_block(form: PinFormat, pin: PIN, *, pan: str = "", fill: str = "") -> bytes:
    """Lay out a clear PIN block; not for format 4, which has no clear form as a whole.

    `pan` is needed by formats 0, 3 and SM4; `fill` is 16 random hex digits for format 1, 16 of A-F for format 3.

    >>> encode_block(PinFormat.ISO0, PIN("123456"), pan="123456789012345678").hex().upper()
    '061253DFFEDCBA98'
    """
    match form:
        case PinFormat.ISO0:
            return xor(x98_field(pin, 8), pan_field(pan))
        case PinFormat.ISO1:
            return x98_field(pin, 8, control="1", fill=_fill(fill, "0123456789ABCDEF", pin))
        case PinFormat.ISO3:
            return xor(x98_field(pin, 8, control="3", fill=_fill(fill, "ABCDEF", pin)), pan_field(pan))
        case PinFormat.X98_NO_PAN:
            return x98_field(pin, 8)
        case PinFormat.SM4_X98:
            return xor(sm4_pin_block(pin), bytes(8) + pan_field(pan))
        case PinFormat.SM4_NO_PAN:
            return sm4_pin_block(pin)
    raise KeyUseError("PIN block format 4 is built around its AES key (ISO 9564-1 9.4.2)")


def sm4_pin_block(pin: PIN) -> bytes:
    """Return the clear 16-byte block for SM4 before a PAN is xored into its last 6 bytes: X9.8, F to 16 bytes.

    Unverified: three public sources agree, other vendors fill an 8-byte block up to 16. This is the one place.

    >>> sm4_pin_block(PIN("123456")).hex().upper()
    '06123456FFFFFFFFFFFFFFFFFFFFFFFF'
    """
    return x98_field(pin, 16)


def iso4_pin_field(pin: PIN, fill: str) -> bytes:
    """Return the 16-byte PIN field of format 4: 4 L PIN, A to 8 bytes, then 8 random bytes (ISO 9564-1 9.4.2.2)."""
    if len(fill) < 16:
        raise DecodeError(f"{len(fill)} nibbles of fill, format 4 takes 16", fault=Fault.MISSING, path="PIN block fill")
    return x98_field(pin, 8, control="4", fill="A" * 16) + bytes.fromhex(fill[:16])


def iso4_pan_field(pan: str) -> bytes:
    """Return the 16-byte PAN field of format 4: digits over 12, PAN, zeros (ISO 9564-1 9.4.2.3).

    >>> iso4_pan_field("1234567890123456789").hex()
    '71234567890123456789000000000000'
    """
    pan_field(pan)
    return bytes.fromhex(f"{len(pan) - 12}{pan}".ljust(32, "0"))


def encipher_pin(cipher: Cipher, form: PinFormat, pin: PIN, *, pan: str = "", fill: str = "") -> bytes:
    """Put a PIN into an encrypted block: 8 bytes for 3DES formats, 16 for AES and SM4 (arguments as `encode_block`)."""
    _fits(cipher, form)
    if form is PinFormat.ISO4:
        return cipher.encrypt(xor(cipher.encrypt(iso4_pin_field(pin, fill)), iso4_pan_field(pan)))
    return cipher.encrypt(encode_block(form, pin, pan=pan, fill=fill))


def decipher_pin(cipher: Cipher, form: PinFormat, block: bytes, *, pan: str = "") -> PIN:
    """Read the PIN out of an encrypted block; every fault is the same `DecodeError`."""
    _fits(cipher, form)
    if len(block) != cipher.block_bytes:
        raise _not_a_pin_block()
    if form is PinFormat.ISO4:
        return _read(cipher.decrypt(xor(cipher.decrypt(block), iso4_pan_field(pan)))[:8], control=4)
    return decode_block(form, cipher.decrypt(block), pan=pan)


def decode_block(form: PinFormat, block: bytes, *, pan: str = "") -> PIN:
    """Read the PIN out of a clear block of a format other than 4; every fault is the same `DecodeError`.

    >>> decode_block(PinFormat.ISO0, bytes.fromhex("061253DFFEDCBA98"), pan="123456789012345678").digits
    '123456'
    """
    if form is PinFormat.ISO4:
        raise KeyUseError("PIN block format 4 is read with its AES key (ISO 9564-1 9.4.2)")
    size = 16 if form.cipher is Algorithm.SM4 else 8
    if len(block) != size:
        raise _not_a_pin_block()
    clear = xor(block, pan_field(pan).rjust(size, b"\x00")) if form.needs_pan else block
    return _read(clear, control={PinFormat.ISO1: 1, PinFormat.ISO3: 3}.get(form, 0))


def _read(clear: bytes, *, control: int) -> PIN:
    # ISO 9564-1 9.3: control nibble, length 4-12, decimal digits, fill; all checks are made before the one verdict
    text = clear.hex().upper()
    length = min(max(clear[0] & 0x0F, 4), 12)
    digits, fill = text[2 : 2 + length], text[2 + length :]
    faults = (clear[0] != control << 4 | length) + (not digits.isdecimal()) + (not set(fill) <= FILL_SETS[control])
    if faults:
        raise _not_a_pin_block()
    return PIN(digits)


FILL_SETS = {0: set("F"), 1: set("0123456789ABCDEF"), 3: set("ABCDEF"), 4: set("A")}


def _not_a_pin_block() -> DecodeError:
    return DecodeError("not a PIN block of this format under this key and PAN", path="PIN block", spec="ISO 9564-1 9.3")


def _fill(fill: str, allowed: str, pin: PIN) -> str:
    if len(fill) < 14 - len(pin.digits) or not set(fill) <= set(allowed):
        raise DecodeError(f"fill of {len(fill)} nibbles is short or outside {allowed[0]}-{allowed[-1]}", path="PIN block fill")
    return fill


def _fits(cipher: Cipher, form: PinFormat) -> None:
    if cipher.algorithm is not form.cipher:
        raise KeyUseError(f"PIN block {form}: under {cipher.algorithm}, it is made for {form.cipher}")


def translation_refusal(form_in: PinFormat, form_out: PinFormat, *, same_pan: bool, downgrade_allowed: bool = False) -> str:
    """Say why a PIN block of one format may not become another, or "" if it may.

    A block bound to a PAN never loses that binding nor changes its PAN (a token's record is another matter, settled
    before); AES and SM4 become 3DES only by policy. Sources: PCI PIN annex, ISO 9564-1 9.5.

    >>> translation_refusal(PinFormat.ISO0, PinFormat.ISO1, same_pan=True)
    'the PAN binding would be lost'
    """
    if form_in.needs_pan and not form_out.needs_pan:
        return "the PAN binding would be lost"
    if form_in.needs_pan and not same_pan:
        return "the PAN would change"
    if form_in.cipher is not Algorithm.TDES and form_out.cipher is Algorithm.TDES and not downgrade_allowed:
        return f"{form_in.cipher} to 3DES is a downgrade that policy does not allow"
    return ""
