"""From a key of the certification authority to the card's own: the issuer's certificate, then the card's.

`recover_issuer` opens tag 90, `recover_chain` goes on to 9F46; every field is checked, and the first wrong one is named. A
certificate's content is: form, whose it is, last month MMYY, serial number, then four bytes that describe the key,

    RSA   hash algorithm 01, key algorithm 01, length of modulus, length of exponent; as many bytes of the modulus as fit
    SM2   signature algorithm 04, encryption algorithm 00, curve 11, length 40; the point X ‖ Y

Called by `static.py`, `dynamic.py` and terminals (once a card, before INTERNAL AUTHENTICATE or GENERATE AC).
Sources: EMV Book 2 5.3 (issuer), 6.4 (card), 6.3 (lengths); JR/T 0025.17 for SM2.
"""

import calendar
from dataclasses import dataclass, field
from datetime import date
from typing import Final, TypeAlias

from shanfu.crypto import RSAPublicKey, SM2PublicKey
from shanfu.errors import DecodeError
from shanfu.oda.blocks import Form, PublicKey, open_signed
from shanfu.oda.ca_keys import CAKey, CAKeys
from shanfu.oda.card_data import CardData, static_data
from shanfu.oda.results import Failure, Part, Reason

__all__ = ["Certificate", "Chain", "open_icc_certificate", "open_issuer_certificate", "recover_chain", "recover_issuer"]

SUBJECT_BYTES: Final = {Form.ISSUER: 4, Form.ICC: 10}  # issuer identifier, PAN (EMV B2 tables 6 and 14)
RSA_KEY: Final = 0x01  # EMV B2 B2.1
SM2_KEY: Final = bytes.fromhex("04001140")  # JR/T 0025.17: signature, encryption, curve, length
EXPONENTS: Final = (3, 65_537)  # EMV B2 B2.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """What a certificate says; `subject` is the issuer identifier (4 bytes) or the PAN (10 bytes), filled with F."""

    subject: bytes = field(repr=False)
    expires: bytes  # MMYY
    serial: bytes
    key: PublicKey
    content: bytes = field(repr=False)

    @property
    def last_day(self) -> date | None:
        """The last day of the month MMYY, None if that is no month (EMV B2 5.3 step 9; years as in EMV B4 6.7.3)."""
        digits = self.expires.hex()
        if not digits.isdecimal() or not 1 <= int(digits[:2]) <= 12:
            return None
        year = int(digits[2:]) + (2000 if int(digits[2:]) < 50 else 1900)
        return date(year, int(digits[:2]), calendar.monthrange(year, int(digits[:2]))[1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """The way from the authority to the card's key: `icc` is its certificate, or `failure` says where the way ends."""

    failure: Failure | None = None
    issuer: Certificate | None = None
    icc: Certificate | None = None

    @property
    def key(self) -> PublicKey | None:
        """The card's public key, for its signatures and for enciphering the PIN; None after a failure."""
        return self.icc.key if self.icc else None


def recover_chain(card: CardData, keys: CAKeys, *, today: date) -> Chain:
    """Recover the card's public key for DDA, CDA or fDDA (EMV B2 6.2 to 6.4); never raises on what a card sent."""
    issuer = recover_issuer(card, keys, today=today)
    if isinstance(issuer, Failure):
        return Chain(failure=issuer)
    outside = static_data(card)
    if isinstance(outside, Failure):
        return Chain(failure=outside, issuer=issuer)
    if 0x9F46 not in card.values:
        return Chain(failure=Failure(Part.ICC_CERTIFICATE, Reason.MISSING), issuer=issuer)
    icc = open_icc_certificate(issuer.key, card, static=outside)
    failure = icc if isinstance(icc, Failure) else _owner(icc, card) or _date(icc, Part.ICC_CERTIFICATE, today)
    return Chain(failure=failure, issuer=issuer) if isinstance(icc, Failure) or failure else Chain(issuer=issuer, icc=icc)


def recover_issuer(card: CardData, keys: CAKeys, *, today: date) -> Certificate | Failure:
    """Recover the issuer's public key (EMV B2 5.2, 5.3), or say why not; never raises on what a card sent."""
    for tag, part in ((0x8F, Part.CA_KEY), (0x90, Part.ISSUER_CERTIFICATE), (0x5A, Part.PAN)):
        if tag not in card.values:
            return Failure(part, Reason.MISSING)
    if len(card.values[0x8F]) != 1:
        return Failure(Part.CA_KEY, Reason.LENGTH)
    authority = keys.find(card.rid, card.values[0x8F][0], today=today)
    if isinstance(authority, Failure):
        return authority
    found = open_issuer_certificate(authority.key, card)
    if isinstance(found, Failure):
        return found
    return _issuer(found, card) or _date(found, Part.ISSUER_CERTIFICATE, today) or _revoked(found, authority, keys) or found


def open_issuer_certificate(authority: PublicKey, card: CardData) -> Certificate | Failure:
    """Open tag 90 with 92 and 9F32 and check all that needs neither PAN nor date (EMV B2 5.3 steps 1 to 7, 11, 12)."""
    return _open(authority, Form.ISSUER, (card.values.get(0x90), card.values.get(0x92), card.values.get(0x9F32)))


def open_icc_certificate(issuer: PublicKey, card: CardData, *, static: bytes) -> Certificate | Failure:
    """Open tag 9F46 with 9F48, 9F47 and the static data, all but PAN and date (EMV B2 6.4 steps 1 to 7, 10, 11)."""
    found = (card.values.get(0x9F46), card.values.get(0x9F48), card.values.get(0x9F47))
    return _open(issuer, Form.ICC, found, static=static)


Found: TypeAlias = tuple[bytes | None, bytes | None, bytes | None]  # certificate, remainder, exponent
Parts: TypeAlias = tuple[Part, Part, Part]
PARTS: Final[dict[Form, Parts]] = {
    Form.ISSUER: (Part.ISSUER_CERTIFICATE, Part.ISSUER_REMAINDER, Part.ISSUER_EXPONENT),
    Form.ICC: (Part.ICC_CERTIFICATE, Part.ICC_REMAINDER, Part.ICC_EXPONENT),
}


def _open(signer: PublicKey, form: Form, found: Found, *, static: bytes = b"") -> Certificate | Failure:
    certificate, remainder, exponent = found
    if certificate is None:
        return Failure(PARTS[form][0], Reason.MISSING)
    if exponent is None and isinstance(signer, RSAPublicKey):
        return Failure(PARTS[form][2], Reason.MISSING)
    # EMV B2 5.3 step 5, 6.4 step 5: content, remainder, exponent, static data; JR/T 0025.17: SM2 keys have no such rest
    rest = (remainder or b"", exponent or b"") if isinstance(signer, RSAPublicKey) else (b"", b"")
    content = open_signed(signer, certificate, form=form, outside=rest[0] + rest[1] + static)
    if isinstance(content, Failure):
        return content
    key = _key(content, form, (signer, *rest))
    if isinstance(key, Failure):
        return key
    end = 1 + SUBJECT_BYTES[form]
    return Certificate(
        subject=content[1:end], expires=content[end : end + 2], serial=content[end + 2 : end + 5], key=key, content=content
    )


def _key(content: bytes, form: Form, rest: tuple[PublicKey, bytes, bytes]) -> PublicKey | Failure:
    """EMV B2 5.3 steps 11 and 12, 6.4 steps 10 and 11; JR/T 0025.17: the key is of the kind that signed it."""
    at = 1 + SUBJECT_BYTES[form] + 5
    if isinstance(rest[0], SM2PublicKey):
        return _sm2_key(content[at : at + 4], content[at + 4 :], PARTS[form][0])
    return _rsa_key((content[at : at + 4], content[at + 4 :]), PARTS[form], (rest[0].size, *rest[1:]))


def _sm2_key(description: bytes, point: bytes, part: Part) -> SM2PublicKey | Failure:
    if description != SM2_KEY:
        return Failure(part, Reason.KEY_ALGORITHM)
    try:
        return SM2PublicKey(point)
    except DecodeError:
        return Failure(part, Reason.KEY)


def _rsa_key(inside: tuple[bytes, bytes], parts: Parts, rest: tuple[int, bytes, bytes]) -> RSAPublicKey | Failure:
    """The modulus is what the certificate has room for and then the remainder."""
    (_, algorithm, modulus_bytes, exponent_bytes), modulus = inside
    part, remainder_part, exponent_part = parts
    signer_bytes, remainder, exponent = rest
    if algorithm != RSA_KEY:
        return Failure(part, Reason.KEY_ALGORITHM)
    if modulus_bytes > signer_bytes:  # EMV B2 B2.1: no key is longer than the one that signs it
        return Failure(part, Reason.KEY_SIZE)
    if len(remainder) != max(0, modulus_bytes - len(modulus)):
        return Failure(remainder_part, Reason.LENGTH if remainder else Reason.MISSING)
    if len(exponent) != exponent_bytes:
        return Failure(exponent_part, Reason.LENGTH)
    if int.from_bytes(exponent) not in EXPONENTS:
        return Failure(exponent_part, Reason.VALUE)
    try:
        return RSAPublicKey((modulus + remainder)[:modulus_bytes], exponent)
    except DecodeError:
        return Failure(part, Reason.KEY)


def _issuer(found: Certificate, card: CardData) -> Failure | None:
    # EMV B2 5.3 step 8: the issuer identifier is the first three to eight digits of the PAN, filled with F
    digits = found.subject.hex().rstrip("f")
    fits = 3 <= len(digits) <= 8 and digits.isdecimal() and card.pan_digits.startswith(digits)
    return None if fits else Failure(Part.ISSUER_CERTIFICATE, Reason.OTHER_CARD)


def _owner(found: Certificate, card: CardData) -> Failure | None:
    # EMV B2 6.4 step 8: the PAN of the certificate, filled with F, is that of the card
    digits = found.subject.hex().rstrip("f")
    return None if digits and digits == card.pan_digits else Failure(Part.ICC_CERTIFICATE, Reason.OTHER_CARD)


def _date(found: Certificate, part: Part, today: date) -> Failure | None:
    last_day = found.last_day
    if last_day is None:
        return Failure(part, Reason.DATE)
    return Failure(part, Reason.EXPIRED) if today > last_day else None  # EMV B2 5.3 step 9, 6.4 step 9


def _revoked(found: Certificate, authority: CAKey, keys: CAKeys) -> Failure | None:
    return Failure(Part.ISSUER_CERTIFICATE, Reason.REVOKED) if keys.is_revoked(authority, found.serial) else None
