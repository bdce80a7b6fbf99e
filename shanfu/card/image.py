"""What personalisation writes into a chip, as data groupings, and how the application reads it.

An *image* maps a data grouping identifier (DGI) to its bytes. `CardImage.read` takes one apart once, when the chip gets
power; afterwards the application asks for records, selection answers and data objects by name. The bytes themselves stay
as they were loaded: what a terminal reads is what the bureau wrote.

    01xx to 0Axx  record xx of the file with that SFI, in template 70    0Dxx, 0Exx  internal objects, in template 70
    9102, 9103    selection answer for contact, contactless (6F)         8000, 9000  3DES keys AC MAC ENC, check values
    9104, 9207    GPO data for contact, qPBOC (3DES)                     8002, 9002  the same for SM4
    9114, 9217    the same for a card with SM4 keys                      8010        PIN block of the contact flow
    9203, 9213    GPO data for e-cash in contact (3DES, SM4)             9010        PIN tries left, PIN try limit
    9200          9F10 of GENERATE AC                                    8201-8205, 8100  the card's own key, RSA or SM2

Groupings that this application does not use are kept and never shown.
Sources: EMV CPS 1.1, JR/T 0025.10 (personalisation), data groupings of published PBOC personalisation scripts.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from shanfu.crypto import CardAlgorithm
from shanfu.emv import AIP, CTQ, CVM, DOL, FCI, CardChecks, CVMList, IssuerApplicationData, parse_afl, parse_dol
from shanfu.errors import DecodeError, Fault, KeyUseError
from shanfu.iso7816 import TLV, parse, parse_flat
from shanfu.oda import PrivateKey, load_icc_key

__all__ = ["CHECK_VALUES", "KEYS", "QPBOC_PDOL", "CardImage", "GPOData", "Interface"]

SPEC: Final = "EMV CPS 1.1"
KEYS: Final = {CardAlgorithm.TDES: 0x8000, CardAlgorithm.SM4: 0x8002}
CHECK_VALUES: Final = {CardAlgorithm.TDES: 0x9000, CardAlgorithm.SM4: 0x9002}
QPBOC_PDOL: Final = bytes.fromhex("9F66049F02069F03069F1A0295055F2A029A039C019F3704")  # JR/T 0025.12, what the cryptogram needs

LOG_TAGS: Final = (0x9F4D, 0xDF4D)
ECASH_GROUPING: Final = {CardAlgorithm.TDES: 0x9203, CardAlgorithm.SM4: 0x9213}
IAD_GROUPING: Final = 0x9200
DEFAULT_DDOL: Final = DOL(((0x9F37, 4),))  # EMV B2 6.5.1: a card without 9F49 is asked with the terminal's default


class Interface(StrEnum):
    """The ways into a chip."""

    CONTACT = "contact"
    CONTACTLESS = "contactless"


FCI_GROUPING: Final = {Interface.CONTACT: 0x9102, Interface.CONTACTLESS: 0x9103}
GPO_GROUPING: Final = {
    (CardAlgorithm.TDES, Interface.CONTACT): 0x9104,
    (CardAlgorithm.TDES, Interface.CONTACTLESS): 0x9207,
    (CardAlgorithm.SM4, Interface.CONTACT): 0x9114,
    (CardAlgorithm.SM4, Interface.CONTACTLESS): 0x9217,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class GPOData:
    """What GET PROCESSING OPTIONS answers from: 82, 94, and in qPBOC the template of 9F10."""

    aip: bytes
    afl: bytes
    iad: IssuerApplicationData | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CardImage:
    """An image taken apart; shows nothing but its AID and algorithm."""

    aid: bytes
    algorithm: CardAlgorithm
    fci: Mapping[Interface, bytes] = field(repr=False)
    pdol: Mapping[Interface, DOL] = field(repr=False)
    gpo: Mapping[Interface, GPOData] = field(repr=False)
    records: Mapping[tuple[int, int], bytes] = field(repr=False)  # (SFI, number)
    data: Mapping[int, bytes] = field(repr=False)  # internal objects, by tag
    files: frozenset[int]  # SFIs that READ RECORD knows, empty logs among them
    currencies: tuple[bytes, ...]  # 9F51 and DF71: those that the card counts in
    keys: bytes = field(repr=False)  # AC, MAC, ENC of 16 bytes each
    check_values: bytes = field(repr=False)
    pin_tries: tuple[int, int] = field(repr=False)  # left, limit
    track2: bytes = field(repr=False)  # 57 as terminals read it in a record, so that GPO and READ RECORD agree
    psn: bytes | None  # 5F34
    checks: CardChecks  # 9F68
    ctq: CTQ  # 9F6C: everything but the choice of verification
    cvms: tuple[CVM, ...]
    iad: IssuerApplicationData | None = field(default=None, repr=False)  # the template of 9F10 in GENERATE AC
    ecash: GPOData | None = None  # GPO data of an e-cash payment in contact
    cdol: tuple[DOL, DOL] = (DOL(), DOL())  # 8C and 8D
    ddol: DOL = DEFAULT_DDOL  # 9F49
    edition: bytes = b""  # 9F08
    logs: frozenset[int] = frozenset()  # SFIs that the card alone writes
    icc: PrivateKey | None = field(default=None, repr=False)  # the card's own key for offline data authentication

    @classmethod
    def read(cls, groupings: Mapping[int, bytes]) -> "CardImage":
        """Take an image apart; raise DecodeError, which names the grouping, if one is missing or malformed."""
        algorithm = CardAlgorithm.SM4 if KEYS[CardAlgorithm.SM4] in groupings else CardAlgorithm.TDES
        faces = [face for face, dgi in FCI_GROUPING.items() if dgi in groupings]
        if not faces:
            raise DecodeError("is missing, and 9103 too: no way in", fault=Fault.MISSING, path="DGI 9102", spec=SPEC)
        fcis = {face: _fci(groupings, FCI_GROUPING[face]) for face in faces}
        records = {divmod(dgi, 0x100): raw for dgi, raw in sorted(groupings.items()) if 0x0100 <= dgi < 0x0B00}
        public = list(_objects(groupings, range(0x0100, 0x0B00)))
        internal = list(_objects(groupings, range(0x0D00, 0x0F00)))
        data = {node.tag: node.value for node in internal}
        logs = {log.sfi for one in fcis.values() for log in map(one.log_entry, LOG_TAGS) if log}
        known = data | {node.tag: node.value for node in public}
        return cls(
            aid=fcis[faces[0]].df_name,
            algorithm=algorithm,
            fci={face: groupings[FCI_GROUPING[face]] for face in faces},
            pdol={face: one.pdol or DOL() for face, one in fcis.items()},
            gpo={face: _gpo(groupings, GPO_GROUPING[algorithm, face]) for face in faces},
            records=records,
            data=data,
            files=frozenset({sfi for sfi, _ in records} | logs),
            currencies=tuple(data[tag] for tag in (0x9F51, 0xDF71) if tag in data),
            check_values=groupings.get(CHECK_VALUES[algorithm], b""),
            keys=_sized(groupings, KEYS[algorithm], 48),
            pin_tries=_pin_tries(groupings.get(0x9010, bytes(2))),
            track2=known.get(0x57, b""),
            psn=known.get(0x5F34),
            checks=CardChecks.parse(data.get(0x9F68, bytes(4))),
            ctq=CTQ.parse(data.get(0x9F6C, bytes(2))),
            cvms=_cvms(node.value for node in public if node.tag == 0x8E),
            iad=_iad(groupings),
            ecash=_gpo(groupings, ECASH_GROUPING[algorithm]) if ECASH_GROUPING[algorithm] in groupings else None,
            cdol=(parse_dol(known.get(0x8C, b"")), parse_dol(known.get(0x8D, b""))),
            ddol=parse_dol(known[0x9F49]) if 0x9F49 in known else DEFAULT_DDOL,
            edition=known.get(0x9F08, b""),
            logs=frozenset(logs),
            icc=_icc(groupings),
        )


def _iad(groupings: Mapping[int, bytes]) -> IssuerApplicationData | None:
    with _inside(IAD_GROUPING):
        raw = parse_flat(groupings.get(IAD_GROUPING, b"")).get(0x9F10)
        return None if raw is None else IssuerApplicationData.parse(raw)


def _icc(groupings: Mapping[int, bytes]) -> PrivateKey | None:
    try:
        return load_icc_key(groupings)
    except KeyUseError as error:
        raise DecodeError(str(error), path="DGI 82xx or 8100", spec=SPEC) from None


def _cvms(lists: Iterable[bytes]) -> tuple[CVM, ...]:
    """Return the verifications that the card offers in qPBOC: those of its CVM lists, both if it has none.

    Unverified: live cards may say it in byte 3 of 9F68, whose bits are not public. This function is the place.
    """
    methods = {rule.method for raw in lists for rule in CVMList.parse(raw).rules}
    offered = {CVM.ONLINE_PIN: 0x02, CVM.SIGNATURE: 0x1E}  # EMV B3 C3
    return tuple(cvm for cvm, method in offered.items() if method in methods or not methods)


def _objects(groupings: Mapping[int, bytes], of: range) -> Iterator[TLV]:
    for dgi in sorted(set(groupings) & set(of)):
        with _inside(dgi):
            yield from parse(groupings[dgi]).require(0x70, spec=SPEC).children or ()


def _fci(groupings: Mapping[int, bytes], dgi: int) -> FCI:
    with _inside(dgi):
        return FCI.parse(groupings[dgi])


def _gpo(groupings: Mapping[int, bytes], dgi: int) -> GPOData:
    with _inside(dgi):
        values = parse_flat(groupings.get(dgi, b""))
        aip, afl = values.get(0x82, b""), values.get(0x94, b"")
        AIP.parse(aip)
        parse_afl(afl)
        return GPOData(aip=aip, afl=afl, iad=IssuerApplicationData.parse(values[0x9F10]) if 0x9F10 in values else None)


def _pin_tries(raw: bytes) -> tuple[int, int]:
    """Read DGI 9010: two bytes, bare or after the head 9F17 01, which counts only one of them in published images."""
    tries = raw[3:] if raw.startswith(b"\x9f\x17\x01") else raw
    if len(tries) != 2:
        raise DecodeError("must hold tries left and try limit", fault=Fault.LENGTH, path="DGI 9010", spec=SPEC)
    return tries[0], tries[1]


def _sized(groupings: Mapping[int, bytes], dgi: int, size: int) -> bytes:
    raw = groupings.get(dgi, b"")
    if len(raw) != size:
        raise DecodeError(f"{len(raw)} bytes, must be {size}", fault=Fault.LENGTH, path=f"DGI {dgi:04X}", spec=SPEC)
    return raw


@contextmanager
def _inside(dgi: int) -> Iterator[None]:
    try:
        yield
    except DecodeError as error:
        raise error.under(f"DGI {dgi:04X}") from None
