"""Payment cryptography: the formulas that a card, a bank and the wires between them agree on.

In the world this is the inside of a chip and of a security module; it is no party, knows no key store and keeps no
state. It is asked by the HSM (for the hosts), by the card and by the PIN pad; it asks nobody. Bytes in, bytes out;
`verify_*` raises, comparisons are constant time; randomness comes from the caller. Objects that hold a key (`Cipher`,
`RetailKey`, `SessionKey`, `IssuerCryptograms`, `BlockKey`, `P256Key`) belong to one thread and show nothing in their repr.

Reading order:
    cipher      a block cipher under one key (3DES, AES, SM4; ECB, CBC), on `evp` (libcrypto) or `pyca`
    mac         ISO 9797-1, CMAC, X9.9, X9.19, UnionPay's ECB MAC
    emv_keys    issuer master key → card key → session key
    cryptogram  ARQC, ARPC, issuer scripts
    pin         PIN blocks; pvv and cvv the values a bank verifies
    kcv         key check values, parity, components
    tr31        key blocks, version D
    stream, sm3 GCM and CTR; the Chinese hash
    luk         limited-use keys of a phone
    p256        a device's keys: signatures, sessions, secrets wrapped for it
    rsa         card certificates and signatures that give back what they sign
    sm2         China's signatures, encryption and key exchange, on sm2_curve
    libcrypto   where the engines find the system's library
"""

from shanfu.crypto.cipher import Algorithm, Cipher, engine_name, xor
from shanfu.crypto.cryptogram import (
    CardAlgorithm,
    IssuerCryptograms,
    SessionKey,
    encipher_script_data,
    pin_change_block,
    pin_change_key_part,
    script_mac_input,
    visa_cvn10_cryptogram,
)
from shanfu.crypto.cvv import VARIANTS, CvvVariant, card_code, cvv, dcvv
from shanfu.crypto.emv_keys import (
    option_b_block,
    pan_block,
    pboc_diversifier,
    session_key_emv_csk,
    session_key_pboc,
    udk_option_a,
    udk_option_b,
)
from shanfu.crypto.kcv import Place, combine, kcv, odd_parity, verify_kcv
from shanfu.crypto.luk import cryptogram_key, derive_key, luk, luk_blocks, msd_verification_value
from shanfu.crypto.mac import (
    HashKey,
    RetailKey,
    cbc_mac,
    cmac,
    ecb_mac,
    left4_text,
    pad,
    sm4_cbc_mac,
    unpad2,
    verify_mac,
    x9_9,
    x9_19,
    xor_fold,
)
from shanfu.crypto.p256 import (
    POINT_BYTES,
    SIGNATURE_BYTES,
    P256Key,
    agreed_session,
    hkdf,
    session_context,
    session_secret,
    unwrap_secret,
    valid_point,
    verify_signature,
    wrap_secret,
)
from shanfu.crypto.pin import (
    PIN,
    PinFormat,
    decipher_pin,
    decode_block,
    encipher_pin,
    encode_block,
    iso4_pan_field,
    iso4_pin_field,
    pan_field,
    sm4_pin_block,
    translation_refusal,
    x98_field,
)
from shanfu.crypto.pvv import (
    check_dec_table,
    decimalise,
    ibm3624_natural,
    ibm3624_offset,
    ibm3624_pin,
    verify_digits,
    visa_pvv,
)
from shanfu.crypto.rsa import RSAPrivateKey, RSAPublicKey
from shanfu.crypto.sm2 import DEFAULT_USER_ID, SM2PrivateKey, SM2PublicKey, exchange_key, sm2_kdf
from shanfu.crypto.sm3 import hmac_sm3, sm3
from shanfu.crypto.stream import TAG_BYTES, SealKey, ctr, gcm_open, gcm_seal
from shanfu.crypto.tr31 import TR31_ALGORITHMS, BlockKey, KeyHeader, pad_bytes

__all__ = [
    "DEFAULT_USER_ID",
    "PIN",
    "POINT_BYTES",
    "SIGNATURE_BYTES",
    "TAG_BYTES",
    "TR31_ALGORITHMS",
    "VARIANTS",
    "Algorithm",
    "BlockKey",
    "CardAlgorithm",
    "Cipher",
    "CvvVariant",
    "HashKey",
    "IssuerCryptograms",
    "KeyHeader",
    "P256Key",
    "PinFormat",
    "Place",
    "RSAPrivateKey",
    "RSAPublicKey",
    "RetailKey",
    "SM2PrivateKey",
    "SM2PublicKey",
    "SealKey",
    "SessionKey",
    "agreed_session",
    "card_code",
    "cbc_mac",
    "check_dec_table",
    "cmac",
    "combine",
    "cryptogram_key",
    "ctr",
    "cvv",
    "dcvv",
    "decimalise",
    "decipher_pin",
    "decode_block",
    "derive_key",
    "ecb_mac",
    "encipher_pin",
    "encipher_script_data",
    "encode_block",
    "engine_name",
    "exchange_key",
    "gcm_open",
    "gcm_seal",
    "hkdf",
    "hmac_sm3",
    "ibm3624_natural",
    "ibm3624_offset",
    "ibm3624_pin",
    "iso4_pan_field",
    "iso4_pin_field",
    "kcv",
    "left4_text",
    "luk",
    "luk_blocks",
    "msd_verification_value",
    "odd_parity",
    "option_b_block",
    "pad",
    "pad_bytes",
    "pan_block",
    "pan_field",
    "pboc_diversifier",
    "pin_change_block",
    "pin_change_key_part",
    "script_mac_input",
    "session_context",
    "session_key_emv_csk",
    "session_key_pboc",
    "session_secret",
    "sm2_kdf",
    "sm3",
    "sm4_cbc_mac",
    "sm4_pin_block",
    "translation_refusal",
    "udk_option_a",
    "udk_option_b",
    "unpad2",
    "unwrap_secret",
    "valid_point",
    "verify_digits",
    "verify_kcv",
    "verify_mac",
    "verify_signature",
    "visa_cvn10_cryptogram",
    "visa_pvv",
    "wrap_secret",
    "x9_9",
    "x9_19",
    "x98_field",
    "xor",
    "xor_fold",
]  # fmt: skip
