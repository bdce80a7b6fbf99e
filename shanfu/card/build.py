"""How a profile becomes an image: records, internal objects, selection answers and GPO data of a card.

The files are few and fixed: SFI 1 holds track 2 and the holder's name, SFI 2 number and dates, verification and issuer's
action codes, and the order forms of the contact flow. A contact-only card has neither a contactless selection answer nor qPBOC
data. A card with a key of its own has the certificates in SFI 2, the rest one further, and says so in 82; the bank signs
`static_data` for it. Symmetric keys are not part of what is built here; `personalise.py` adds them.

Sources: JR/T 0025.5 (data of debit and credit), JR/T 0025.10 (data groupings), JR/T 0025.12 (qPBOC), JR/T 0025.13 (e-cash),
EMV Book 3 Annex A.
"""

import calendar
from dataclasses import replace
from typing import Final

from shanfu.card.image import ECASH_GROUPING, GPO_GROUPING, QPBOC_PDOL, Interface
from shanfu.card.profile import CardProfile, PBOCVersion
from shanfu.crypto import PIN, x98_field
from shanfu.emv import (
    AIP,
    AUC,
    CVM,
    DOL,
    FCI,
    AFLEntry,
    BalanceData,
    CVMList,
    CVMRule,
    IssuerApplicationData,
    Track2,
    afl_bytes,
    parse_dol,
)
from shanfu.iso7816 import tlv

__all__ = ["build_image", "static_data"]

Objects = tuple[tuple[int, bytes], ...]

# fmt: off
EDITION: Final          = {PBOCVersion.V2: b"\x00\x20", PBOCVersion.V3: b"\x00\x30"}               # 9F08
CDOL1: Final            = bytes.fromhex("9F02069F03069F1A0295055F2A029A039F21039C019F3704")       # EMV B3 5.4
CDOL2: Final            = bytes.fromhex("8A02") + CDOL1                                           # EMV B3 5.4
ECASH_PDOL: Final       = ((0x9F7A, 1), (0x9F02, 6), (0x5F2A, 2))                                 # JR/T 0025.13
CAPP_INDICATOR: Final   = ((0xDF60, 1),)                                                          # JR/T 0025.12 since 3.0
SM_INDICATOR: Final     = ((0xDF69, 1),)                                                          # JR/T 0025.17
LOG_FORMAT: Final       = bytes.fromhex("9A039F21039F02069F03069F1A025F2A029F4E149C019F3602")     # EMV B3 D2
LOAD_LOG_FORMAT: Final  = bytes.fromhex("9A039F21039F1A029F4E149C019F3602")                       # JR/T 0025.13
LOGS: Final             = (tlv(0x9F4D, b"\x0b\x0a"), tlv(0xDF4D, b"\x0c\x0a"))                    # EMV B3 D1: file, 10 records
ACTION_CODES: Final     = (                                                                       # EMV B3 10.7
    (0x9F0D, bytes.fromhex("D8608CA800")),  # default
    (0x9F0E, bytes.fromhex("0010100000")),  # denial
    (0x9F0F, bytes.fromhex("D8688CF800")),  # online
)
CVM_RULES: Final        = {CVM.ONLINE_PIN: CVMRule(0x42, 0x03), CVM.SIGNATURE: CVMRule(0x1E, 0x03)}  # EMV B3 C3
CVM_OFFLINE: Final      = {True: (CVMRule(0x44, 0x03), CVMRule(0x41, 0x03)), False: (CVMRule(0x41, 0x03),)}   # EMV B3 C3
CERTIFICATES: Final     = 2                                                                       # SFI, JR/T 0025.10
ECASH_FILE: Final       = 4
ECASH_CODE: Final       = (0x9F74, b"ECC001")                                                     # JR/T 0025.13
# fmt: on


def build_image(profile: CardProfile) -> dict[int, bytes]:
    """Return the data groupings of a profile, without symmetric keys; a published image is returned as it is."""
    if profile.published is not None:
        return dict(profile.published)
    image = {dgi: bytes(tlv(0x70, _tlvs(*objects))) for dgi, objects in _files(profile).items()} | dict(profile.oda or {})
    image[0x9010] = bytes((profile.pin_tries, profile.pin_try_limit))
    if profile.offline_pin is not None:
        image[0x8010] = x98_field(PIN(profile.offline_pin), 8, control="2")
    iad = (0x9F10, bytes(_iad(profile)))
    modern = profile.version is PBOCVersion.V3
    if Interface.CONTACT in profile.interfaces:
        pdol = (ECASH_PDOL if profile.balance_minor is not None else ()) + (SM_INDICATOR if modern else ())
        image[0x9102] = _fci(profile, DOL(pdol))
        image[GPO_GROUPING[profile.algorithm, Interface.CONTACT]] = _options(profile, _contact_afl(profile))
        image[0x9200] = _tlvs(iad)
        if profile.balance_minor is not None:
            image[ECASH_GROUPING[profile.algorithm]] = _options(profile, (*_contact_afl(profile), _ecash_entry()))
    if Interface.CONTACTLESS in profile.interfaces:
        asked = parse_dol(QPBOC_PDOL).entries + (CAPP_INDICATOR + SM_INDICATOR if modern else ())
        image[0x9103] = _fci(profile, DOL(asked))
        aip = (0x82, bytes(_aip(profile) if profile.oda else profile.aip))
        image[GPO_GROUPING[profile.algorithm, Interface.CONTACTLESS]] = _tlvs(aip, (0x94, afl_bytes(_tap_afl(profile))), iad)
    return image


def static_data(profile: CardProfile) -> bytes:
    """Return what the issuer signs of a card that will have `oda`: the record that shows the number, then 82 (EMV B3 10.3)."""
    planned = replace(profile, oda=profile.oda or {CERTIFICATES << 8 | 1: b""})
    return _tlvs(*_files(planned)[_file(planned) << 8 | 1]) + bytes(_aip(planned))


def _aip(profile: CardProfile) -> AIP:
    """Say what the card can: DDA and CDA with a key of its own, never SDA, which proves least (EMV B3 C1)."""
    without = profile.aip & ~(AIP.SDA | AIP.DDA | AIP.CDA)
    return without | AIP.DDA | AIP.CDA if profile.oda else without


def _options(profile: CardProfile, afl: tuple[AFLEntry, ...]) -> bytes:
    return _tlvs((0x82, bytes(_aip(profile))), (0x94, afl_bytes(afl)))


def _file(profile: CardProfile) -> int:
    """Which SFI holds number, conditions and order forms."""
    return CERTIFICATES + 1 if profile.oda else CERTIFICATES


def _contact_afl(profile: CardProfile) -> tuple[AFLEntry, ...]:
    signed = 1 if profile.oda else 0
    return (
        AFLEntry(sfi=1, first=1, last=1),
        *_certificates(profile),
        AFLEntry(sfi=_file(profile), first=1, last=3, oda=signed),
    )


def _tap_afl(profile: CardProfile) -> tuple[AFLEntry, ...]:
    """JR/T 0025.12: the last record, where an offline payment counts, must not hold 5F24."""
    signed = 1 if profile.oda else 0
    number, track = AFLEntry(sfi=_file(profile), first=1, last=1, oda=signed), AFLEntry(sfi=1, first=1, last=1)
    last = (_ecash_entry(),) if profile.oda and profile.balance_minor is not None else ()
    return (*_certificates(profile), number, track, *last)


def _certificates(profile: CardProfile) -> tuple[AFLEntry, ...]:
    count = sum(dgi >> 8 == CERTIFICATES for dgi in profile.oda or ())
    return (AFLEntry(sfi=CERTIFICATES, first=1, last=count),) if count else ()


def _ecash_entry() -> AFLEntry:
    return AFLEntry(sfi=ECASH_FILE, first=1, last=1)


def _files(profile: CardProfile) -> dict[int, Objects]:
    track2 = Track2(
        pan=profile.pan, expiry=profile.expiry, service_code=profile.service_code, discretionary=profile.discretionary
    )
    pan = profile.pan.digits + "F" * (len(profile.pan.digits) % 2)
    last_day = calendar.monthrange(2000 + int(profile.expiry[:2]), int(profile.expiry[2:]))[1]
    offline = CVM_OFFLINE[bool(profile.oda)] if profile.offline_pin is not None else ()
    rules = (*offline, *(rule for cvm, rule in CVM_RULES.items() if cvm in profile.cvms), CVMRule(0x1F, 0x00))
    file = _file(profile) << 8
    ecash: dict[int, Objects] = {} if profile.balance_minor is None else {ECASH_FILE << 8 | 1: (ECASH_CODE,)}
    # fmt: off
    identity = (
        (0x5A, bytes.fromhex(pan)),
        (0x5F24, bytes.fromhex(f"{profile.expiry}{last_day:02d}")),
        (0x5F25, bytes.fromhex(f"{profile.effective}01")),
        (0x5F28, _n3(profile.country)),
        (0x5F34, bytes.fromhex(profile.psn)),
        (0x9F07, bytes(AUC.parse(b"\xff\x00"))),
        (0x9F08, EDITION[profile.version]),
        *profile.told,
    )
    conditions = (
        (0x8E, bytes(CVMList(rules=rules))),
        (0x5F30, _n3(profile.service_code)),
        (0x9F42, _n3(profile.currencies[0].numeric)),
        *ACTION_CODES,
    )
    # fmt: on
    holder = ((0x5F20, profile.holder.encode("ascii")),) if profile.holder else ()
    return {
        0x0101: ((0x57, bytes(track2)), *holder),
        file | 1: identity,
        file | 2: conditions,
        file | 3: ((0x8C, CDOL1), (0x8D, CDOL2)),
        **ecash,
        0x0D01: _risk_data(profile),
        0x0E01: _private_data(profile),
    }


def _risk_data(profile: CardProfile) -> Objects:
    counted = tuple((tag, _n3(one.numeric)) for tag, one in zip((0x9F51, 0xDF71), profile.currencies, strict=False))
    ecash: Objects = ()
    if profile.balance_minor is not None:
        ecash = (
            (0x9F79, _n12(profile.balance_minor)),
            (0x9F77, _n12(profile.balance_limit_minor)),
            (0x9F78, _n12(profile.single_limit_minor)),
            (0x9F6D, _n12(profile.reset_threshold_minor)),
            (0x9F5D, _n12(1)),  # present: the amount is worked out when asked for
        )
    limits = (
        (0x9F58, bytes((profile.lower_limit,))),
        (0x9F59, bytes((profile.upper_limit,))),
        (0x9F53, bytes((profile.abroad_limit,))),
        (0x9F54, _n12(profile.total_limit_minor)),
    )
    policy = ((0x9F68, bytes(profile.checks)), (0x9F6C, bytes(profile.ctq)), (0x9F4F, LOG_FORMAT))
    return (*counted, *ecash, *limits, *policy)


def _private_data(profile: CardProfile) -> Objects:
    since_3_0 = ((0x9F63, profile.product_id),) if profile.version is PBOCVersion.V3 else ()
    demanded = bytes((0x80 if profile.issuer_proof_demanded else 0,))
    start = (
        (0x9F36, bytes(2)), (0x9F13, profile.last_online_atc.to_bytes(2)), (0x9F52, bytes(profile.ada)), (0x9F56, demanded),
        (0x9F57, _n3(profile.country)), (0xDF4F, LOAD_LOG_FORMAT),
    )  # fmt: skip
    return (*start, *since_3_0)


def _fci(profile: CardProfile, pdol: DOL) -> bytes:
    return bytes(
        FCI(
            df_name=profile.aid,
            label=profile.label,
            priority=1,
            pdol=pdol if pdol.entries else None,
            language=b"zh",
            code_table=1,  # ISO 8859-1
            preferred_name=profile.label,
            discretionary=LOGS,
        )
    )


def _iad(profile: CardProfile) -> IssuerApplicationData:
    """Make the template of 9F10; the card fills CVR, balance and its MAC in (JR/T 0025.5)."""
    idd = None if profile.balance_minor is None else bytes(BalanceData(amount_minor=0, mac=bytes(4)))
    start = bytes.fromhex("03000000")
    return IssuerApplicationData(dki=profile.dki, cvn=profile.cvn, cvr=start, algorithm=profile.algorithm, idd=idd)


def _tlvs(*objects: tuple[int, bytes]) -> bytes:
    return b"".join(bytes(tlv(tag, value)) for tag, value in objects)


def _n3(digits: str) -> bytes:
    return bytes.fromhex(f"{digits:0>4}")


def _n12(minor: int) -> bytes:
    return bytes.fromhex(f"{minor:012d}")
