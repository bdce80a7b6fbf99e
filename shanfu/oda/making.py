"""The issuing side: certificates, signed static data, and the records that carry them to a card.

Each maker lays out what is signed and leaves the signing to `sign`, which may be a security module's: for an RSA key it
takes a block as long as the modulus and returns the signature, for an SM2 key a message and returns r ‖ s. Results are tags
and values as a card carries them; `chain_records` packs them into records for personalisation.

Called by the HSM, the bank's card preparation and the sandbox. Sources: EMV Book 2 5.1, 5.4, 6.1, tables 1, 2, 10 and 11,
annex D1; EMV CPS; JR/T 0025.17.
"""

from collections.abc import Mapping
from datetime import date
from typing import Final

from shanfu.crypto import RSAPublicKey, SM2PublicKey
from shanfu.errors import ConfigError, KeyUseError
from shanfu.iso7816 import tlv
from shanfu.oda.blocks import SHA1_INDICATOR, SM2_OFFSET, Form, PublicKey, Sign, begin, make_signed, open_signed, room
from shanfu.oda.ca_keys import CAKey
from shanfu.oda.certificates import RSA_KEY, SM2_KEY
from shanfu.oda.results import Failure
from shanfu.pan import PAN

__all__ = ["CHAIN_TAGS", "chain_records", "make_icc_certificate", "make_issuer_certificate", "make_static_signature"]

CHAIN_TAGS: Final = (0x8F, 0x90, 0x92, 0x9F32, 0x93, 0x9F46, 0x9F48, 0x9F47, 0x9F49, 0x9F4A)  # in the order of their use
SERIAL_BYTES, CODE_BYTES, PAN_BYTES, ISSUER_BYTES = 3, 2, 10, 4  # EMV B2 tables 1, 2 and 11
RECORD_BYTES: Final = 254  # EMV B2 D1: a record with its template; the longest certificate in one has 247 bytes


def make_issuer_certificate(
    issuer: PublicKey, authority: CAKey, *, issuer_id: str, expires: date, serial: bytes, sign: Sign
) -> dict[int, bytes]:
    """Certify an issuer's key under the authority's, whose private half `sign` uses: tags 8F 90 [92] 9F32 (EMV B2 5.1).

    `issuer_id` is the first three to eight digits of the issuer's PANs, `serial` three bytes, unique under the authority;
    the certificate is good to the end of the month of `expires`. `ConfigError` for what does not fit, `KeyUseError` for a
    `sign` of another key.
    """
    if not (3 <= len(issuer_id) <= 8 and issuer_id.isascii() and issuer_id.isdecimal()):
        raise ConfigError(f"issuer identifier: {len(issuer_id)} characters, must be 3 to 8 digits (EMV B2 table 1)")
    subject = bytes.fromhex(issuer_id.ljust(2 * ISSUER_BYTES, "F"))
    about = subject + _date(expires) + _serial(serial)
    certificate, remainder = _certificate(Form.ISSUER, issuer, (authority.key, about, b""), sign)
    return {0x8F: bytes([authority.index]), 0x90: certificate} | _rest(issuer, 0x92, 0x9F32, remainder)


def make_icc_certificate(
    icc: PublicKey, issuer: PublicKey, *, pan: PAN, expires: date, serial: bytes, static: bytes, sign: Sign
) -> dict[int, bytes]:
    """Certify a card's key under its issuer's, together with the static data: tags 9F46 [9F48] 9F47 (EMV B2 6.1).

    `static` is what `static_data` will give for the card. Errors as `make_issuer_certificate`.
    """
    subject = bytes.fromhex(pan.digits.ljust(2 * PAN_BYTES, "F"))
    about = subject + _date(expires) + _serial(serial)
    certificate, remainder = _certificate(Form.ICC, icc, (issuer, about, static), sign)
    return {0x9F46: certificate} | _rest(icc, 0x9F48, 0x9F47, remainder)


def make_static_signature(issuer: PublicKey, *, static: bytes, code: bytes, sign: Sign) -> dict[int, bytes]:
    """Sign a card's static data with the data authentication code (2 bytes, the issuer's own mark): tag 93 (EMV B2 5.4)."""
    if len(code) != CODE_BYTES:
        raise ConfigError(f"data authentication code: {len(code)} bytes, must be {CODE_BYTES} (EMV B2 table 2)")
    return {0x93: _proved(issuer, begin(issuer, Form.STATIC) + code, (Form.STATIC, static), sign)}


def chain_records(values: Mapping[int, bytes], *, sfi: int = 2, first: int = 1) -> dict[int, bytes]:
    """Pack tags of `CHAIN_TAGS` into records: DGI (SFI ‖ record number) → template 70, as few as hold them.

    Other tags in `values` are left to other records. `ConfigError` if a value is longer than a record can be.
    """
    records: list[bytes] = [b""]
    for tag in CHAIN_TAGS:
        if tag not in values:
            continue
        entry = bytes(tlv(tag, values[tag]))
        if len(bytes(tlv(0x70, entry))) > RECORD_BYTES:
            raise ConfigError(f"record: {len(entry)} bytes of {tag:X} do not fit into {RECORD_BYTES} (EMV B2 D1)")
        if len(bytes(tlv(0x70, records[-1], entry))) > RECORD_BYTES:
            records.append(b"")
        records[-1] += entry
    return {sfi << 8 | number: bytes(tlv(0x70, inside)) for number, inside in enumerate(records, first) if inside}


def _certificate(form: Form, key: PublicKey, under: tuple[PublicKey, bytes, bytes], sign: Sign) -> tuple[bytes, bytes]:
    """Return certificate and remainder of a key under `under`: the signer, whose it is and when, what is hashed besides."""
    signer, about, static = under
    if isinstance(key, SM2PublicKey) and isinstance(signer, SM2PublicKey):
        content = bytes([form + SM2_OFFSET]) + about + SM2_KEY + key.point
        return _proved(signer, content, (form, static), sign), b""
    if not (isinstance(key, RSAPublicKey) and isinstance(signer, RSAPublicKey)):
        raise ConfigError("certificate: an RSA key under an SM2 key or the other way round (JR/T 0025.17)")
    if key.size > signer.size:  # EMV B2 B2.1
        raise ConfigError(f"certificate: a key of {key.size} bytes under one of {signer.size}, which must not be shorter")
    head = bytes([form]) + about + bytes([SHA1_INDICATOR, RSA_KEY, key.size, len(key.exponent)])
    space = room(signer) - len(head)
    inside, remainder = key.modulus[:space], key.modulus[space:]
    return _proved(signer, head + inside, (form, remainder + key.exponent + static), sign), remainder


def _proved(key: PublicKey, content: bytes, about: tuple[Form, bytes], sign: Sign) -> bytes:
    """Sign, and open again as a terminal will: a certificate that fails in the field costs a recall."""
    form, outside = about
    signed = make_signed(key, content, outside=outside, sign=sign)
    opened = open_signed(key, signed, form=form, outside=outside)
    if isinstance(opened, Failure):
        raise KeyUseError(f"signed object: {opened.explain()}, `sign` works with another key than the one named")
    return signed


def _rest(key: PublicKey, remainder_tag: int, exponent_tag: int, remainder: bytes) -> dict[int, bytes]:
    if isinstance(key, SM2PublicKey):
        return {}
    return ({remainder_tag: remainder} if remainder else {}) | {exponent_tag: key.exponent}


def _date(expires: date) -> bytes:
    return bytes.fromhex(f"{expires:%m%y}")


def _serial(serial: bytes) -> bytes:
    if len(serial) != SERIAL_BYTES:
        raise ConfigError(f"certificate serial number: {len(serial)} bytes, must be {SERIAL_BYTES} (EMV B2 table 1)")
    return serial
