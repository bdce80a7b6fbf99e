"""Offline data authentication: a card proves that it is genuine to a terminal that asks nobody.

In the world: certificates and signatures of EMV Book 2, RSA as everywhere and SM2 as in China. A certification authority signs
an issuer's key, the issuer signs the card's key and static data, and the card signs each transaction; the terminal holds
the authority's public keys. It is pure: bytes in, values out; dates, keys and randomness come from the caller.
Asked by terminals (`authenticate_*`), cards (`sign_*`), the HSM and card preparation (`make_*`); asks `crypto`, `emv`,
`iso7816`, and `iso8583` for the form in which keys are downloaded.

A card may send anything: what it sends ends as an `Authentication` with a named `Failure`, never as an error. Who makes a
chain wrongly gets `ConfigError` or `KeyUseError`.

Files in reading order: `results.py` (named failures and their TVR bits), `blocks.py` (signed objects, RSA and SM2 by one
door), `ca_keys.py`, `card_data.py` (what is signed of a card), `certificates.py` (authority → issuer → card), `static.py`
(SDA), `dynamic.py` (DDA, CDA, fDDA), `making.py` (issuing), `signing.py` (the card).
"""

from shanfu.oda.blocks import PrivateKey, PublicKey, Sign
from shanfu.oda.ca_keys import CAKey, CAKeys, Revocation
from shanfu.oda.card_data import CardData, static_data
from shanfu.oda.certificates import (
    Certificate,
    Chain,
    open_icc_certificate,
    open_issuer_certificate,
    recover_chain,
    recover_issuer,
)
from shanfu.oda.dynamic import (
    authenticate_combined,
    authenticate_dynamic,
    authenticate_fast,
    choose_ddol,
    fdda_hash_input,
)
from shanfu.oda.making import (
    CHAIN_TAGS,
    chain_records,
    make_icc_certificate,
    make_issuer_certificate,
    make_static_signature,
)
from shanfu.oda.results import Authentication, Failure, Method, Part, Reason
from shanfu.oda.signing import icc_key_groupings, load_icc_key, sign_combined, sign_dynamic, sign_fast
from shanfu.oda.static import authenticate_static

__all__ = [
    "CHAIN_TAGS", "Authentication", "CAKey", "CAKeys", "CardData", "Certificate", "Chain", "Failure", "Method", "Part",
    "PrivateKey", "PublicKey", "Reason", "Revocation", "Sign", "authenticate_combined", "authenticate_dynamic",
    "authenticate_fast", "authenticate_static", "chain_records", "choose_ddol", "fdda_hash_input", "icc_key_groupings",
    "load_icc_key", "make_icc_certificate", "make_issuer_certificate", "make_static_signature", "open_icc_certificate",
    "open_issuer_certificate", "recover_chain", "recover_issuer", "sign_combined", "sign_dynamic", "sign_fast",
    "static_data",
]  # fmt: skip
