"""DDA, CDA and fDDA: a signature that only this card can make, over what only this transaction has.

The card signs its *dynamic data* (a number of its own; for CDA its decision, its cryptogram and a hash of the transaction
too) together with data of the terminal, of which one is the unpredictable number. The terminal recovers the `Chain` once
(`certificates.py`) and hands it in; a chain that failed fails here with the same name and the method's bit.

Called by terminals. Sources: EMV Book 2 6.5 (DDA), 6.6 (CDA), tables 17 to 22; EMV Book 3 6.5.9; JR/T 0025.12 (fDDA),
JR/T 0025.17 (SM2). Unverified: what fDDA version 01 hashes (`fdda_hash_input`), the rules of 9F69 (`_version`).
"""

import hmac
from collections.abc import Mapping
from typing import Final

from shanfu.emv import DOL, parse_dol
from shanfu.errors import DecodeError
from shanfu.iso7816 import TLVList, parse
from shanfu.oda.blocks import Form, PublicKey, body, digest, open_signed
from shanfu.oda.certificates import Chain
from shanfu.oda.results import Authentication, Failure, Method, Part, Reason

__all__ = ["authenticate_combined", "authenticate_dynamic", "authenticate_fast", "choose_ddol", "fdda_hash_input"]

NUMBER_BYTES: Final = range(2, 9)  # EMV B2 6.5.1: ICC dynamic number, 9F4C
NO_KEY: Final = Failure(Part.ICC_CERTIFICATE, Reason.MISSING)
PBOC_3: Final = 0x0030  # 9F08 of a PBOC 3.0 card, which knows fDDA version 01
RELATED_DATA_BYTES: Final = range(5, 17)  # version, card's number of 4 bytes, then at its will (JR/T 0025.12, unverified)


def choose_ddol(card: Mapping[int, bytes], default: DOL | None) -> DOL | Failure:
    """Choose the order form of DDA: the card's 9F49 or the terminal's default; it must ask for 9F37 (EMV B2 6.5.1)."""
    try:
        chosen = parse_dol(card[0x9F49]) if 0x9F49 in card else default
    except DecodeError:
        return Failure(Part.DDOL, Reason.MALFORMED)
    return chosen if chosen and 0x9F37 in chosen else Failure(Part.DDOL, Reason.NO_UNPREDICTABLE)


def authenticate_dynamic(chain: Chain, response: bytes, *, terminal_data: bytes) -> Authentication:
    """DDA: verify the answer to INTERNAL AUTHENTICATE (template 80 or 77) for the filled DDOL that was sent (EMV B2 6.5.2).

    Proves 9F4C. Never raises on what the card sent.
    """
    if chain.key is None:
        return _ended(Method.DDA, chain.failure or NO_KEY)
    signature = _internal_authenticate(response)
    data = signature if isinstance(signature, Failure) else _dynamic_data(chain.key, signature, terminal_data)
    return _ended(Method.DDA, data if isinstance(data, Failure) else {0x9F4C: _number(data)})


def authenticate_combined(chain: Chain, response: bytes, *, sent: bytes, unpredictable_number: bytes) -> Authentication:
    """CDA: verify the answer to GENERATE AC (template 77 with 9F4B in place of 9F26) (EMV B2 6.6.2).

    `sent` joins the values that the terminal gave for this transaction: PDOL, CDOL 1 and, after the second GENERATE AC,
    CDOL 2. Proves 9F4C, 9F27 and 9F26. Never raises on what the card sent.
    """
    if chain.key is None:
        return _ended(Method.CDA, chain.failure or NO_KEY)
    objects = _combined_response(response)
    if isinstance(objects, Failure):
        return _ended(Method.CDA, objects)
    data = _dynamic_data(chain.key, objects.value(0x9F4B) or b"", unpredictable_number)
    if isinstance(data, Failure):
        return _ended(Method.CDA, data)
    # EMV B2 6.6.2 step 12: what was sent, then the answer's objects in its order, all but the signature
    hashed = digest(chain.key, sent + b"".join(bytes(node) for node in objects if node.tag != 0x9F4B))
    return _ended(Method.CDA, _decision(data, objects.value(0x9F27) or b"", hashed))


def authenticate_fast(
    chain: Chain, signature: bytes | None, *, values: Mapping[int, bytes], version_01: bool
) -> Authentication:
    """FDDA: verify 9F4B of a contactless card that approved offline (JR/T 0025.12); proves 9F4C, which is the ATC.

    `values` holds the transaction: 9F37, 9F02, 5F2A of the terminal, 9F36 of the card and, where it sent them, 9F69, 9F6C
    and 9F08; the terminal's own word must not have been overwritten by a record. `version_01` says whether the terminal
    offered it (TTQ byte 4 b8). Never raises on what the card sent.
    """
    if chain.key is None:
        return _ended(Method.FDDA, chain.failure or NO_KEY)
    if signature is None:
        return _ended(Method.FDDA, Failure(Part.DYNAMIC_SIGNATURE, Reason.MISSING))
    version = _version(values, version_01=version_01)
    if isinstance(version, Failure):
        return _ended(Method.FDDA, version)
    data = _dynamic_data(chain.key, signature, fdda_hash_input(version, values))
    if not isinstance(data, Failure) and _number(data) != values.get(0x9F36):
        data = Failure(Part.DYNAMIC_SIGNATURE, Reason.OTHER_ATC)  # JR/T 0025.12: the dynamic number is the ATC (unverified)
    return _ended(Method.FDDA, data if isinstance(data, Failure) else {0x9F4C: _number(data)})


def fdda_hash_input(version: int, values: Mapping[int, bytes]) -> bytes:
    r"""Join what terminal and card hash besides the dynamic data (JR/T 0025.12; version 01 is not confirmed by a figure).

    >>> values = {0x9F37: b"\0\0\0\1", 0x9F02: bytes(6), 0x5F2A: b"\x01\x56", 0x9F69: b"\1\0\0\0\0"}
    >>> fdda_hash_input(0, values).hex(), fdda_hash_input(1, values).hex()
    ('00000001', '0000000100000000000001560100000000')
    """
    tags = (0x9F37, 0x9F02, 0x5F2A, 0x9F69) if version else (0x9F37,)
    return b"".join(values[tag] for tag in tags)


def _version(values: Mapping[int, bytes], *, version_01: bool) -> int | Failure:
    """Which version the card used, by 9F69, if it may (JR/T 0025.12; the inner layout of 9F69 is unverified)."""
    related = values.get(0x9F69)
    if related is None:
        newer = int.from_bytes(values.get(0x9F08, b"")) >= PBOC_3
        return Failure(Part.CARD_RELATED_DATA, Reason.VERSION) if newer and version_01 else 0
    if len(related) not in RELATED_DATA_BYTES:
        return Failure(Part.CARD_RELATED_DATA, Reason.LENGTH)
    if related[0] != 1 or not version_01:
        return Failure(Part.CARD_RELATED_DATA, Reason.VERSION)
    if len(related) == 7 and values.get(0x9F6C, related[5:]) != related[5:]:
        return Failure(Part.CARD_RELATED_DATA, Reason.OTHER_CTQ)
    return 1


def _internal_authenticate(response: bytes) -> bytes | Failure:
    """EMV B3 6.5.9.4: template 80 holds the signature alone, 77 holds 9F4B among others."""
    try:
        objects = parse(response)
    except DecodeError:
        return Failure(Part.RESPONSE, Reason.MALFORMED)
    if len(objects) != 1 or objects[0].tag not in (0x80, 0x77):
        return Failure(Part.RESPONSE, Reason.MALFORMED)
    inside = objects[0].children
    signature = objects[0].value if inside is None else inside.value(0x9F4B)
    return Failure(Part.DYNAMIC_SIGNATURE, Reason.MISSING) if signature is None else signature


def _combined_response(response: bytes) -> TLVList | Failure:
    """EMV B2 6.6.1, table 20: template 77 with 9F27, 9F36, 9F4B, and 9F10 if the card has it; each once."""
    try:
        inside = parse(response).require(0x77).children
    except DecodeError:
        return Failure(Part.RESPONSE, Reason.MALFORMED)
    if inside is None or len(set(inside.tags)) != len(inside):
        return Failure(Part.RESPONSE, Reason.MALFORMED)
    if 0x9F4B not in inside.tags:
        return Failure(Part.DYNAMIC_SIGNATURE, Reason.MISSING)
    return inside if {0x9F27, 0x9F36} <= set(inside.tags) else Failure(Part.RESPONSE, Reason.INCOMPLETE)


def _dynamic_data(key: PublicKey, signature: bytes, terminal_data: bytes) -> bytes | Failure:
    """EMV B2 6.5.2, 6.6.2 steps 1 to 8: open the signature; the dynamic data begin with the number and its length."""
    content = open_signed(key, signature, form=Form.DYNAMIC, outside=terminal_data)
    if isinstance(content, Failure):
        return content
    inside = body(key, content)
    data = inside[1 : 1 + inside[0]]
    good = len(data) == inside[0] > 0 and data[0] in NUMBER_BYTES and len(data) > data[0]
    return data if good else Failure(Part.DYNAMIC_SIGNATURE, Reason.DYNAMIC_DATA)


def _number(data: bytes) -> bytes:
    return data[1 : 1 + data[0]]


def combined_parts(data: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    """Cut the dynamic data of CDA: number, cryptogram information, cryptogram, transaction data hash code (EMV B2 table 19)."""
    rest = data[1 + data[0] :]
    return _number(data), rest[:1], rest[1:9], rest[9:]


def _decision(data: bytes, cid: bytes, hashed: bytes) -> dict[int, bytes] | Failure:
    number, signed_cid, cryptogram, code = combined_parts(data)
    if len(code) < len(hashed):
        return Failure(Part.DYNAMIC_SIGNATURE, Reason.DYNAMIC_DATA)
    if signed_cid != cid:  # EMV B2 6.6.2 step 6
        return Failure(Part.DYNAMIC_SIGNATURE, Reason.OTHER_DECISION)
    if not hmac.compare_digest(code[: len(hashed)], hashed):
        return Failure(Part.DYNAMIC_SIGNATURE, Reason.TRANSACTION_DATA)
    return {0x9F4C: number, 0x9F27: cid, 0x9F26: cryptogram}


def _ended(method: Method, found: Mapping[int, bytes] | Failure) -> Authentication:
    if isinstance(found, Failure):
        return Authentication(method=method, failure=found)
    return Authentication(method=method, proved=found)
