"""Application cryptograms of PBOC cards (ARQC, TC, AAC), the issuer's answer (ARPC), and issuer scripts.

A card proves itself by a MAC over the transaction under a key of this one transaction; the issuer proves itself by the
ARPC. The data (CVN 01 or 17) is assembled by `emv` and arrives here as bytes. ARQC, TC and AAC are one computation.
`SessionKey` is one transaction's key; `IssuerCryptograms` keeps contexts for an issuer that verifies card after card;
both belong to one thread. What no public figure confirms sits alone in `sm4_ac_truncate`, `sm4_arpc_block`,
`script_mac_input` and `pin_change_key_part`.
Who calls: the HSM for the issuer, the card. Sources: JR/T 0025.7 (PBOC 3.0 part 7), JR/T 0025.17 (SM algorithms),
EMV Book 2 8.1, 8.2 and 9.2, Visa VIS for CVN 10.
"""

import hmac
from enum import IntEnum

from shanfu.crypto.cipher import Algorithm, Cipher, default_engine, xor
from shanfu.crypto.emv_keys import pboc_diversifier, udk_option_a
from shanfu.crypto.mac import RetailKey, cbc_mac, pad
from shanfu.crypto.pin import PIN, x98_field
from shanfu.errors import DecodeError, Fault, IntegrityError

__all__ = [
    "CardAlgorithm", "IssuerCryptograms", "SessionKey", "encipher_script_data", "pin_change_block", "pin_change_key_part",
    "script_mac_input", "sm4_ac_truncate", "sm4_arpc_block", "visa_cvn10_cryptogram",
]  # fmt: skip


class CardAlgorithm(IntEnum):
    """The algorithm byte of the issuer application data, 9F10 byte 8 (JR/T 0025.5)."""

    TDES = 0x01
    SM4 = 0x04

    @property
    def cipher(self) -> Algorithm:
        """The block cipher of this card algorithm."""
        return Algorithm.SM4 if self is CardAlgorithm.SM4 else Algorithm.TDES


class SessionKey:
    """The key of one transaction (or a card key where a scheme MACs with it); owned by one thread.

    >>> key = SessionKey(CardAlgorithm.TDES, bytes.fromhex("4A43440B2D932ACDC4E2776ED562EE43"))
    >>> data = "00000000000000000000000001560000000000015600000000000004447C0003D30380A800"
    >>> arqc = key.cryptogram(bytes.fromhex(data))
    >>> arqc.hex().upper(), key.arpc(arqc, b"00").hex().upper()
    ('81A9DC9310F88856', '84DD63A221F915CA')
    """

    __slots__ = ("_key", "_retail", "algorithm", "rekey")

    def __init__(self, algorithm: CardAlgorithm, key: bytes) -> None:
        self.algorithm = algorithm
        self._key = Cipher(Algorithm.SM4, key) if algorithm is CardAlgorithm.SM4 else RetailKey(key)
        self._retail = self._key if isinstance(self._key, RetailKey) else None
        self.rekey = self._key.rekey  # (key) -> None: take the key of another transaction, keeping the contexts

    def __repr__(self) -> str:
        return f"SessionKey({self.algorithm.name})"

    def cryptogram(self, data: bytes) -> bytes:
        """Return the 8-byte ARQC, TC or AAC over the transaction data (padding 2 is added here)."""
        if self._retail:
            return self._retail.mac(data, padding=2)  # JR/T 0025.7, ISO 9797-1 algorithm 3, all 8 bytes
        assert isinstance(self._key, Cipher)
        return sm4_ac_truncate(cbc_mac(self._key, data, padding=2))

    def arpc(self, cryptogram: bytes, arc: bytes) -> bytes:
        """Return the 8-byte ARPC by method 1; `arc` is the 2-byte authorisation response code (EMV Book 2 8.2.1)."""
        if len(cryptogram) != 8 or len(arc) != 2:
            raise DecodeError("8 bytes of cryptogram and 2 of ARC", fault=Fault.LENGTH, path="ARPC", spec="EMV Book 2 8.2.1")
        block = (int.from_bytes(cryptogram) ^ int.from_bytes(arc) << 48).to_bytes(8)  # the ARC in the first two bytes
        if self._retail:
            return self._key.encrypt(block)
        return self._key.encrypt(sm4_arpc_block(block))[:8]

    def arpc_method_2(self, cryptogram: bytes, csu: bytes, proprietary: bytes = b"") -> bytes:
        """Return the 4-byte ARPC over a card status update and 0-8 proprietary bytes (EMV Book 2 8.2.2); not PBOC."""
        if len(proprietary) > 8:
            raise DecodeError(f"{len(proprietary)} bytes, at most 8", fault=Fault.LENGTH, path="proprietary data")
        return self._mac8(_sized(cryptogram, 8, "application cryptogram") + _sized(csu, 4, "CSU") + proprietary)[:4]

    def script_mac(self, mac_input: bytes) -> bytes:
        """Return the 4-byte MAC of an issuer script command under the session key of the MAC key (EMV Book 2 9.2)."""
        return self._mac8(mac_input)[:4]

    def _mac8(self, data: bytes) -> bytes:
        return self.cryptogram(data)


class IssuerCryptograms:
    """The issuer's side for one algorithm: re-keyed for each card and transaction; owned by one thread."""

    __slots__ = ("_session", "_udk", "algorithm")

    def __init__(self, algorithm: CardAlgorithm) -> None:
        self.algorithm = algorithm
        self._udk = default_engine()(algorithm.cipher, "ECB", bytes(16), True)
        self._session = SessionKey(algorithm, bytes(16))

    def __repr__(self) -> str:
        return f"IssuerCryptograms({self.algorithm.name})"

    def session_key(self, imk: Cipher, *, pan: str, psn: str, atc: int) -> bytes:
        """Derive master key → card key (option A) → PBOC session key, 16 bytes."""
        udk = udk_option_a(imk, pan, psn)
        self._udk.start(udk)
        return self._udk.run(pboc_diversifier(atc))  # `session_key_pboc` without an object for each card

    def verify(self, session_key: bytes, *, data: bytes, cryptogram: bytes) -> None:
        """Check a cryptogram in constant time; `IntegrityError` if the card, its key or its data is another."""
        self._session.rekey(session_key)
        if not hmac.compare_digest(self._session.cryptogram(data), cryptogram):
            raise IntegrityError("application cryptogram: wrong, the card does not hold the key or the data was changed")

    def arpc(self, session_key: bytes, *, cryptogram: bytes, arc: bytes) -> bytes:
        """Return the ARPC by method 1 under the session key, as PBOC asks."""
        self._session.rekey(session_key)
        return self._session.arpc(cryptogram, arc)


def sm4_ac_truncate(mac16: bytes) -> bytes:
    """Cut a 16-byte SM4-CBC-MAC to the 8 bytes of 9F26: the leftmost (unverified: no published figure)."""
    return mac16[:8]


def sm4_arpc_block(block8: bytes) -> bytes:
    """Fill cryptogram xor ARC to the 16-byte block that SM4 encrypts: zeros after (unverified: no published figure)."""
    return block8 + bytes(8)


def visa_cvn10_cryptogram(udk: bytes, data: bytes) -> bytes:
    """Return the cryptogram of Visa CVN 10: retail MAC under the card key itself, zero fill (VIS)."""
    return RetailKey(udk).mac(data, padding=1)


def script_mac_input(header: bytes, *, atc: int, cryptogram: bytes, data: bytes) -> bytes:
    """Lay out what a script MAC covers: CLA INS P1 P2 Lc ‖ ATC ‖ cryptogram ‖ data (unverified: one source).

    Lc counts the data and the 4-byte MAC. Padding is added by `SessionKey.script_mac`.

    >>> script_mac_input(bytes.fromhex("04DA9F790A"), atc=0x0ADC, cryptogram=bytes.fromhex("AD03EE811AFAD484"),
    ...                  data=bytes.fromhex("000000100000")).hex().upper()
    '04DA9F790A0ADCAD03EE811AFAD484000000100000'
    """
    return _sized(header, 5, "command header") + atc.to_bytes(2, "big") + _sized(cryptogram, 8, "cryptogram") + data


def encipher_script_data(session_key_enc: Cipher, data: bytes) -> bytes:
    """Encipher confidential script data: ECB of length ‖ data ‖ 80 00… (JR/T 0025.7); at most 255 bytes.

    The 80 is always added, also when length and data fill the last block.
    """
    if len(data) > 255:
        raise DecodeError(f"{len(data)} bytes, the length byte counts to 255", fault=Fault.LENGTH, path="script data")
    return session_key_enc.encrypt(pad(bytes([len(data)]) + data, 2, session_key_enc.block_bytes))


def pin_change_key_part(udk_ac: bytes, udk_enc: bytes) -> bytes:
    """Return the key bytes hidden in a PIN change block: bytes 5-8 of the AC card key.

    Unverified: VIS takes the key of the AC, one public kernel that of the encipherment.
    """
    del udk_enc
    return udk_ac[4:8]


def pin_change_block(new_pin: PIN, key_part: bytes) -> bytes:
    """Return the 8-byte PIN block of a PIN CHANGE script: `0L` PIN F…, its last 4 bytes xored with key bytes.

    >>> pin_change_block(PIN("123456"), bytes.fromhex("00667788")).hex().upper()
    '06123456FF998877'
    """
    return xor(x98_field(new_pin, 8), bytes(4) + _sized(key_part, 4, "key part"))


def _sized(part: bytes, size: int, name: str) -> bytes:
    if len(part) != size:
        raise DecodeError(f"{len(part)} bytes, it has {size}", fault=Fault.LENGTH, path=name)
    return part
