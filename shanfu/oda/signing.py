"""The card's side: signatures with its own key, and that key as personalisation brings it.

Called by cards, and by the bank that prepares them (`icc_key_groupings`). Sources: EMV Book 2 6.5.1 (DDA), 6.6.1 (CDA),
tables 15 to 19; JR/T 0025.12 (fDDA), JR/T 0025.17 (SM2); EMV CPS and JR/T 0025.10 (data groupings of the key).
"""

from collections.abc import Mapping
from typing import Final

from shanfu.crypto import RSAPrivateKey, SM2PrivateKey
from shanfu.errors import ConfigError, KeyUseError
from shanfu.oda.blocks import Form, PrivateKey, begin, digest, make_signed
from shanfu.oda.dynamic import NUMBER_BYTES, fdda_hash_input

__all__ = ["icc_key_groupings", "load_icc_key", "sign_combined", "sign_dynamic", "sign_fast"]

CRYPTOGRAM_BYTES: Final = 8
Q_INV, DQ, DP, Q, P = 0x8201, 0x8202, 0x8203, 0x8204, 0x8205  # EMV CPS; the test card's numbers bear it out
SM2_SECRET: Final = 0x8100


def sign_dynamic(key: PrivateKey, dynamic_number: bytes, terminal_data: bytes) -> bytes:
    """DDA: return 9F4B over the card's number (2 to 8 bytes) and the filled DDOL (EMV B2 6.5.1)."""
    return _signed(key, _number(dynamic_number), terminal_data)


def sign_combined(
    key: PrivateKey, dynamic_number: bytes, *, decision: tuple[int, bytes], unpredictable_number: bytes, transaction: bytes
) -> bytes:
    """CDA: return 9F4B over the card's decision, which is (9F27, 9F26), and the transaction (EMV B2 6.6.1).

    `transaction` joins the values of PDOL, CDOL 1 and, in the second GENERATE AC, CDOL 2 as the terminal sent them, then
    the objects of the answer in its order without 9F4B, each with tag and length. `ConfigError` for wrong lengths.
    """
    cid, cryptogram = decision
    if len(cryptogram) != CRYPTOGRAM_BYTES:
        raise ConfigError(f"application cryptogram: {len(cryptogram)} bytes, must be {CRYPTOGRAM_BYTES} (EMV B2 table 19)")
    data = _number(dynamic_number) + bytes([cid]) + cryptogram + digest(key.public, transaction)
    return _signed(key, data, unpredictable_number)


def sign_fast(key: PrivateKey, *, version: int, values: Mapping[int, bytes]) -> bytes:
    """FDDA: return 9F4B for a contactless offline approval (JR/T 0025.12).

    `values` holds 9F36 and what `fdda_hash_input` names for the version (0 or 1).
    """
    return _signed(key, _number(values[0x9F36]), fdda_hash_input(version, values))


def _signed(key: PrivateKey, data: bytes, terminal_data: bytes) -> bytes:
    content = begin(key.public, Form.DYNAMIC) + bytes([len(data)]) + data
    return make_signed(key.public, content, outside=terminal_data, sign=key.sign)


def _number(dynamic_number: bytes) -> bytes:
    if len(dynamic_number) not in NUMBER_BYTES:
        raise ConfigError(f"ICC dynamic number: {len(dynamic_number)} bytes, must be 2 to 8 (EMV B2 6.5.1)")
    return bytes([len(dynamic_number)]) + dynamic_number


def icc_key_groupings(key: PrivateKey) -> dict[int, bytes]:
    """Return the key as data groupings in clear: 8201 to 8205 (RSA) or 8100 (SM2); who sends them enciphers them."""
    if isinstance(key, SM2PrivateKey):
        return {SM2_SECRET: key.secret}
    p, q, dp, dq, q_inv = key.crt
    return {Q_INV: q_inv, DQ: dq, DP: dp, Q: q, P: p}


def load_icc_key(groupings: Mapping[int, bytes]) -> PrivateKey | None:
    """Return the card's key of deciphered groupings, None if they hold none; `KeyUseError` if its numbers do not fit.

    Padding 80 00… behind a number is taken away, and both orders of the factors are known, for applets differ in them.
    """
    if SM2_SECRET in groupings:
        return SM2PrivateKey(groupings[SM2_SECRET][:32])
    if not any(dgi in groupings for dgi in (Q_INV, DQ, DP, Q, P)):
        return None
    if missing := [f"{dgi:04X}" for dgi in (Q_INV, DQ, DP, Q, P) if dgi not in groupings]:
        raise KeyUseError(f"ICC key: DGI {' '.join(missing)} is missing (EMV CPS)")
    q_inv, dq, dp, q, p = (groupings[dgi] for dgi in (Q_INV, DQ, DP, Q, P))
    half = len(p) if p and p[-1] & 1 else len(_unpadded(p))  # a prime is odd, padding ends evenly
    q_inv, dq, dp, q, p = (part[:half] for part in (q_inv, dq, dp, q, p))
    try:
        return RSAPrivateKey(p=p, q=q, dp=dp, dq=dq, q_inv=q_inv)
    except KeyUseError:  # 8202 and 8203, 8204 and 8205 exchanged
        return RSAPrivateKey(p=q, q=p, dp=dq, dq=dp, q_inv=q_inv)


def _unpadded(part: bytes) -> bytes:
    return part.rstrip(b"\0").removesuffix(b"\x80")
