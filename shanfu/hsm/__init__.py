"""The hardware security module: everything that needs a secret, behind one narrow Protocol.

Who this is in the world: the tamper-proof box in each host's rack. It is asked to make and verify MACs, translate and verify
PINs, verify cryptograms and answer them with ARPCs and scripts, verify card codes, certify cards, seal fields of the books,
derive the key sets of phones and wrap them, sign and agree on sessions with devices, and to make, form, export and import
keys; it asks nobody. Hosts keep its keys as blocks that only it can open.

Files in reading order: jobs (the words it speaks), protocol (the door), soft (the HSM in software); what it does, by subject:
pins, scripts, card_codes, pairs, key_sets and devices (for phones); rules (what each key may be), bench (opened keys), lmk
(the local master key and its file), keyring (a host's keys as rows of its books).
"""

from shanfu.hsm.jobs import (
    Algorithm,
    ARQCCheck,
    CardCertificateJob,
    CardCode,
    CardPair,
    CardPairJob,
    CVVJob,
    IssuerCertificateJob,
    KeyBlock,
    KeyScheme,
    KeySetJob,
    KeyUsage,
    MACAlgorithm,
    MACJob,
    PINBlockFormat,
    PINCheck,
    PINTranslation,
    PINVerdict,
    Proof,
    ScriptJob,
    ScriptPIN,
    SealedPAN,
    WorkingKey,
)
from shanfu.hsm.keyring import SWITCH_OVER_MS, Keyring, KeyRow, keys_table
from shanfu.hsm.lmk import LMK, create_lmk, load_lmk
from shanfu.hsm.protocol import HSM
from shanfu.hsm.soft import SoftHSM

__all__ = [
    "HSM",
    "LMK",
    "SWITCH_OVER_MS",
    "ARQCCheck",
    "Algorithm",
    "CVVJob",
    "CardCertificateJob",
    "CardCode",
    "CardPair",
    "CardPairJob",
    "IssuerCertificateJob",
    "KeyBlock",
    "KeyRow",
    "KeyScheme",
    "KeySetJob",
    "KeyUsage",
    "Keyring",
    "MACAlgorithm",
    "MACJob",
    "PINBlockFormat",
    "PINCheck",
    "PINTranslation",
    "PINVerdict",
    "Proof",
    "ScriptJob",
    "ScriptPIN",
    "SealedPAN",
    "SoftHSM",
    "WorkingKey",
    "create_lmk",
    "keys_table",
    "load_lmk",
]  # fmt: skip
