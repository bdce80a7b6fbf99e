"""What an issuer decides about a card before it is made.

A `CardProfile` names product, numbers, dates, interfaces, verification, limits and the keys' generation. Four profiles are
ready, debit and credit in the PBOC 2.0 form (3DES) and the 3.0 form (SM4; more data asked and given), and so is the public
laboratory card, whose published image is loaded as it is. Anything else is `dataclasses.replace` of one of them: another
algorithm, a contact-only card, no PIN tries left, a blocked application, a date in the past.

`build.py` writes a profile down as an image, `personalise.py` loads it into a chip.
Called by the sandbox and whoever issues cards. Sources: JR/T 0025.5, JR/T 0025.12, JR/T 0025.13 (e-cash), EMV Book 3.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from shanfu.card.image import CardImage, Interface
from shanfu.card.keys import CardKeys
from shanfu.card.laboratory import LABORATORY_CHAIN, LABORATORY_IMAGE
from shanfu.crypto import CardAlgorithm
from shanfu.emv import ADA, AIP, CTQ, CVM, FCI, CardChecks, Track2
from shanfu.money import Currency
from shanfu.pan import PAN

__all__ = [
    "PROFILES", "CardProfile", "PBOCVersion", "Product", "credit_2_0", "credit_3_0", "debit_2_0", "debit_3_0", "from_dgis",
    "laboratory_card",
]  # fmt: skip


class Product(StrEnum):
    """What kind of account stands behind the card."""

    CREDIT = "credit"
    DEBIT = "debit"


class PBOCVersion(StrEnum):
    """The edition of JR/T 0025 that the application follows: 2.0 of 2010, 3.0 of 2013."""

    V2 = "2.0"
    V3 = "3.0"


# fmt: off
PRODUCTS: Final = {  # AID, label, service code: chip, international, 220 asks the issuer always
    Product.CREDIT: (bytes.fromhex("A000000333010102"), b"PBOC CREDIT", "201"),
    Product.DEBIT:  (bytes.fromhex("A000000333010101"), b"PBOC DEBIT",  "220"),
}
# fmt: on
FIELD_AIP: Final = AIP.SDA | AIP.DDA | AIP.CARDHOLDER_VERIFICATION | AIP.TERMINAL_RISK | AIP.ISSUER_AUTHENTICATION  # 7C00
FIELD_ADA: Final = (  # C220
    ADA.ISSUER_AUTH_FAILED_ONLINE_NEXT | ADA.ISSUER_AUTH_FAILED_DECLINE | ADA.NEW_CARD_ONLINE | ADA.PIN_LOCKED_ONLINE
)
FIELD_CHECKS: Final = CardChecks.parse(bytes.fromhex("9900F000"))  # low-value check, PIN tries, 9F5D returned


@dataclass(frozen=True, slots=True, kw_only=True)
class CardProfile:
    """An issuer's choices. Amounts are minor units of the first currency, the country is ISO 3166 numeric.

    `expiry` and `effective` are YYMM: valid to the last day of the month and from the first. `ctq` is 9F6C without the
    verification, which follows `cvms`. Without `balance_minor` the card has no e-cash and no issuer-defined data.
    `told` are further objects of the record that shows the number, such as a token's account reference (9F24).
    `published` is an image to be loaded as it is, in place of one built from the fields.

    For the contact flow: `offline_pin` is the PIN that the card verifies itself, None for a card that verifies none. Limits of
    offline payment (`9F58` `9F59` `9F53` `9F54`): zero means that every payment asks the issuer. `last_online_atc` other than
    zero is a card that its bank has already put to use: only such a card approves offline. `oda` are the data groupings of the
    card's own key and of the certificates of SFI 2 (8201 …, 02xx), made over `static_data`; without them no card proves itself.
    """

    product: Product
    version: PBOCVersion
    algorithm: CardAlgorithm
    aid: bytes
    label: bytes
    pan: PAN
    psn: str = "01"
    expiry: str = "3012"
    effective: str = "2001"
    holder: str = field(default="", repr=False)
    service_code: str = "220"
    discretionary: str = field(default="000000000", repr=False)
    country: str = "156"
    currencies: tuple[Currency, ...] = (Currency.of("CNY"),)
    interfaces: frozenset[Interface] = frozenset(Interface)
    aip: AIP = FIELD_AIP
    cvms: tuple[CVM, ...] = (CVM.ONLINE_PIN, CVM.SIGNATURE)
    ctq: CTQ = CTQ.ONLINE_IF_ODA_FAILS
    checks: CardChecks = FIELD_CHECKS
    balance_minor: int | None = 0
    balance_limit_minor: int = 100_000
    single_limit_minor: int = 100_000
    reset_threshold_minor: int = 0
    dki: int = 0x01
    cvn: int = 0x01
    product_id: bytes = bytes(16)  # 9F63, since 3.0; byte 10 zero: not a phone
    told: tuple[tuple[int, bytes], ...] = field(default=(), repr=False)
    pin_tries: int = 3
    pin_try_limit: int = 3
    blocked: bool = False
    offline_pin: str | None = field(default=None, repr=False)
    lower_limit: int = 0
    upper_limit: int = 0
    abroad_limit: int = 0
    total_limit_minor: int = 0
    last_online_atc: int = 0
    ada: ADA = FIELD_ADA
    issuer_proof_demanded: bool = True
    oda: Mapping[int, bytes] | None = field(default=None, repr=False)
    published: Mapping[int, bytes] | None = field(default=None, repr=False)


def debit_2_0(pan: PAN, holder: str = "") -> CardProfile:
    """Return the profile of a debit card of PBOC 2.0: 3DES, e-cash with a balance of zero."""
    return _ready(Product.DEBIT, PBOCVersion.V2, CardAlgorithm.TDES, pan=pan, holder=holder)


def debit_3_0(pan: PAN, holder: str = "") -> CardProfile:
    """Return the profile of a debit card of PBOC 3.0: SM4, e-cash with a balance of zero."""
    return _ready(Product.DEBIT, PBOCVersion.V3, CardAlgorithm.SM4, pan=pan, holder=holder)


def credit_2_0(pan: PAN, holder: str = "") -> CardProfile:
    """Return the profile of a credit card of PBOC 2.0: 3DES, e-cash with a balance of zero."""
    return _ready(Product.CREDIT, PBOCVersion.V2, CardAlgorithm.TDES, pan=pan, holder=holder)


def credit_3_0(pan: PAN, holder: str = "") -> CardProfile:
    """Return the profile of a credit card of PBOC 3.0: SM4, e-cash with a balance of zero."""
    return _ready(Product.CREDIT, PBOCVersion.V3, CardAlgorithm.SM4, pan=pan, holder=holder)


PROFILES: Final[Mapping[str, Callable[[PAN, str], CardProfile]]] = {
    "credit-2.0": credit_2_0,
    "credit-3.0": credit_3_0,
    "debit-2.0": debit_2_0,
    "debit-3.0": debit_3_0,
}


def laboratory_card() -> CardProfile:
    """Return the public laboratory card: a PBOC 3.0 credit image with 3DES and RSA keys that everybody may know."""
    return from_dgis({**LABORATORY_IMAGE, **LABORATORY_CHAIN}, product=Product.CREDIT, version=PBOCVersion.V3)


def from_dgis(dgis: Mapping[int, bytes], *, product: Product, version: PBOCVersion) -> CardProfile:
    """Return the profile of a published image, which will be loaded as it is; product and edition it does not tell.

    The fields are read out of the image for whoever keeps the books. DecodeError names a grouping that is missing or
    malformed, IntegrityError says that its keys do not have its check values.

    >>> profile = laboratory_card()
    >>> profile.pan, profile.psn, profile.expiry, profile.label
    (PAN(622800******1117), '01', '3012', b'PBOC Credit')
    """
    image = CardImage.read(dgis)
    CardKeys.parse(image.keys).verify(image.check_values, image.algorithm)
    track2 = Track2.parse(image.track2)
    face = Interface.CONTACTLESS if Interface.CONTACTLESS in image.fci else Interface.CONTACT
    iad = image.gpo[face].iad
    return CardProfile(
        product=product,
        version=version,
        algorithm=image.algorithm,
        aid=image.aid,
        label=FCI.parse(image.fci[face]).label,
        pan=track2.pan,
        psn=(image.psn or b"\0").hex(),
        expiry=track2.expiry,
        service_code=track2.service_code,
        discretionary=track2.discretionary,
        currencies=tuple(Currency.of(code.hex()[1:]) for code in image.currencies),
        interfaces=frozenset(image.fci),
        aip=AIP.parse(image.gpo[face].aip),
        cvms=image.cvms,
        ctq=image.ctq,
        checks=image.checks,
        dki=iad.dki if iad else 0x01,
        cvn=iad.cvn if iad else 0x01,
        pin_tries=image.pin_tries[0],
        pin_try_limit=image.pin_tries[1],
        published=dict(dgis),
    )


def _ready(product: Product, version: PBOCVersion, algorithm: CardAlgorithm, *, pan: PAN, holder: str) -> CardProfile:
    aid, label, service_code = PRODUCTS[product]
    return CardProfile(
        product=product,
        version=version,
        algorithm=algorithm,
        aid=aid,
        label=label,
        service_code=service_code,
        pan=pan,
        holder=holder,
    )
