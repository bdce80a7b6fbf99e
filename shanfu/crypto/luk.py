"""Limited-use keys: what a phone pays with instead of the card's own key.

A phone has no chip to keep a card key in, so it is given keys that are worth little: of one index (YHHHHCC, the hour and a
counter) or of one ATC. Three schemes stand behind one pair of functions: `derive_key` makes the key that lies in the phone,
`cryptogram_key` the key of one tap from it; the card key (option A from token number and PSN) is above, the MAC below.

    scheme    diversifier              key of a tap
    shanfu-1  the index, 4 BCD bytes   PBOC session key by ATC, as if the limited-use key were the card key
    visa-luk  the index, 4 BCD bytes   the limited-use key itself
    suk       the ATC, 2 bytes         the key itself: the EMV common session key

**UnionPay's own formula is not public**; `shanfu-1` is this project's, the others are published designs. 3DES only.
Who calls: the HSM (for the key cloud and the token service), the phone. Sources: Visa's public cloud-payment examples (the
LUK and its index), EMV Book 2 A1.3.1, JR/T 0025.7.
"""

from shanfu.crypto.cipher import Algorithm, Cipher
from shanfu.crypto.emv_keys import session_key_emv_csk, session_key_pboc
from shanfu.errors import DecodeError, Fault, KeyUseError
from shanfu.tokens import KeyScheme, key_index_text

__all__ = ["cryptogram_key", "derive_key", "luk", "luk_blocks", "msd_verification_value"]

LIMIT_DIGITS = 12  # what leaves room for the mark; an index has 7
DECIMALISED = str.maketrans("abcdef", "012345")


def derive_key(scheme: KeyScheme, udk: Cipher, diversifier: bytes) -> bytes:
    """Return the key that lies in the phone, 16 bytes: under the token's key, for one index or one ATC.

    >>> udk = Cipher(Algorithm.TDES, bytes.fromhex("C8B507136D921FD05864C81F79F2D30B"))
    >>> derive_key(KeyScheme.SHANFU_1, udk, bytes.fromhex("00570201")).hex().upper()
    '3EA78DED27B7BB01F9069B8E34C443BC'
    >>> udk = Cipher(Algorithm.TDES, bytes.fromhex("732F4FEC26CE3B40AB5216F12F0D6E07"))
    >>> derive_key(KeyScheme.SUK, udk, bytes.fromhex("0001")).hex().upper()
    '8BBF3B49694BE467EFFCF60392DFD3E9'
    """
    if udk.algorithm is not Algorithm.TDES:
        raise KeyUseError(f"{scheme.value}: a token's key of {udk.algorithm}, the formula is for 3DES")
    if scheme is KeyScheme.SUK:
        if len(diversifier) != 2:
            raise DecodeError(f"{len(diversifier)} bytes, an ATC has 2", fault=Fault.LENGTH, path="suk diversifier")
        return session_key_emv_csk(udk, diversifier + bytes(6))
    return luk(udk, key_index_text(diversifier))


def cryptogram_key(scheme: KeyScheme, key: bytes, atc: int, *, scratch: Cipher | None = None) -> bytes:
    """Return the key of one tap from the key in the phone; its MAC is `SessionKey.cryptogram`.

    Who works through many lends a 3DES cipher as `scratch`, which is keyed anew.

    >>> key = bytes.fromhex("B8A15DA5F7043C317D9FD8F8DFE2BD75")
    >>> cryptogram_key(KeyScheme.SHANFU_1, key, 0x03D3).hex().upper()
    '4A43440B2D932ACDC4E2776ED562EE43'
    >>> cryptogram_key(KeyScheme.VISA_LUK, key, 0x03D3) == key
    True
    """
    if scheme is not KeyScheme.SHANFU_1:
        return key
    cipher = scratch or Cipher(Algorithm.TDES, key)
    cipher.rekey(key)
    return session_key_pboc(cipher, atc)


def luk_blocks(digits: str) -> tuple[bytes, bytes]:
    """Return the two blocks that the card key encrypts: 1 (or 2), the index digits, then 80 00…, 8 bytes each.

    Takes the digits as they are; that an index has seven of them is `key_index_text`'s rule.

    >>> [block.hex() for block in luk_blocks("0570201")]
    ['1057020180000000', '2057020180000000']
    """
    both = _both_blocks(digits)
    return both[:8], both[8:]


def _both_blocks(digits: str) -> bytes:
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= LIMIT_DIGITS):
        raise DecodeError(f"not decimal digits, {LIMIT_DIGITS} at most", path="key index")
    mark = "80" if len(digits) % 2 else "8"  # an even count of index digits leaves half a byte
    rest = f"{digits}{mark}".ljust(15, "0")
    return bytes.fromhex(f"1{rest}2{rest}")


def luk(udk: Cipher, digits: str) -> bytes:
    """Return the limited-use key of an index: both blocks under the card key, 16 bytes, no parity.

    >>> luk(Cipher(Algorithm.TDES, bytes.fromhex("11223344006677881122334455007788")), "6000100").hex().upper()
    '1F62188189D74ECC4D3E59F3F2562993'
    """
    return udk.encrypt(_both_blocks(digits))


def msd_verification_value(key: Cipher, atc: int, device_block: bytes) -> str:
    """Return the 3 digits that a magnetic-stripe-mode tap shows: the ATC over an 8-byte device block, enciphered.

    >>> key = Cipher(Algorithm.TDES, bytes.fromhex("D144CA8CBB4BD463C8EDD5761BF1770E"))
    >>> msd_verification_value(key, 1, bytes.fromhex("AAAA000000000001"))
    '634'
    """
    if len(device_block) != 8:
        raise DecodeError(f"{len(device_block)} bytes, it has 8", fault=Fault.LENGTH, path="device type block")
    shown = key.encrypt(atc.to_bytes(2) + device_block[2:]).hex()
    digits, letters = ("".join(c for c in shown if c.isdecimal() is wanted) for wanted in (True, False))
    return (digits + letters.translate(DECIMALISED))[:3]
