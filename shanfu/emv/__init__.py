"""EMV and PBOC: what the bytes of a payment card mean.

In the world: the data elements, lists, bit fields, commands and answers of JR/T 0025 (PBOC) and EMV Book 1 to 4, without
cryptography and without flow: cards, terminals and issuers decide, this package says what they read and write.
Asked by card, terminal, acquirer, issuer and the doors; asks only `iso7816`.

Files in reading order: `tags.py` (the dictionary), `bits.py` and `bitfields.py` (TTQ CTQ AIP AUC TVR TSI CVR), `cid.py`
(which cryptogram), `dol.py` (order forms), `afl.py` (which records), `cvm.py` (cardholder verification), `aid.py` and `fci.py`
(selection), `track2.py`, `iad.py` (9F10), `commands.py` and `responses.py` (the dialogue), `pin_data.py` (a PIN on its
way to the card), `field55.py` (the issuer's share) and `scripts.py` (what the issuer has done).
"""

from shanfu.emv import commands
from shanfu.emv.afl import AFLEntry, afl_bytes, parse_afl, records
from shanfu.emv.aid import AIDS, KERNEL_7, PPSE, PSE, UNIONPAY_RID, default_kernel, matches, product
from shanfu.emv.bitfields import ADA, AIP, AUC, CTQ, CVR, TSI, TTQ, TVR, CardChecks
from shanfu.emv.bits import BitField, Language
from shanfu.emv.cid import CryptogramInformation, CryptogramReason, CryptogramType
from shanfu.emv.cvm import (
    CVM,
    CVM_CONDITIONS,
    CVM_METHODS,
    CVM_RESULTS,
    CVMList,
    CVMResults,
    CVMRule,
    explain_cvm_results,
)
from shanfu.emv.dol import DOL, parse_dol
from shanfu.emv.fci import (
    FCI,
    DirectoryEntry,
    LogEntry,
    directory_record,
    parse_directory_record,
    parse_ppse,
    ppse_fci,
    pse_fci,
)
from shanfu.emv.field55 import (
    CRYPTOGRAM_FIELDS,
    FIELD55_TAGS,
    Message55,
    cryptogram_input,
    decode_field55,
    encode_field55,
    missing_tags,
)
from shanfu.emv.iad import ALGORITHM_3DES, ALGORITHM_SM4, KEY_INDEX_PLACE, BalanceData, IssuerApplicationData, KeyIndexData
from shanfu.emv.pin_data import open_pin_data, pin_data
from shanfu.emv.responses import parse_cryptogram_response, parse_gpo_response, parse_record
from shanfu.emv.scripts import AFTER, BEFORE, IssuerScript, ScriptOutcome, ScriptResult, parse_script_results
from shanfu.emv.tags import TAGS, Tag, describe, is_numeric, masked_hex, sensitive_spans
from shanfu.emv.track2 import Track2

__all__ = [
    "ADA", "AFTER", "AIDS", "AIP", "ALGORITHM_3DES", "ALGORITHM_SM4", "AUC", "BEFORE", "CRYPTOGRAM_FIELDS", "CTQ", "CVM",
    "CVM_CONDITIONS", "CVM_METHODS", "CVM_RESULTS", "CVR", "DOL", "FCI", "FIELD55_TAGS", "KERNEL_7", "KEY_INDEX_PLACE",
    "PPSE", "PSE", "TAGS", "TSI", "TTQ", "TVR", "UNIONPAY_RID", "AFLEntry", "BalanceData", "BitField", "CVMList",
    "CVMResults", "CVMRule", "CardChecks", "CryptogramInformation", "CryptogramReason", "CryptogramType", "DirectoryEntry",
    "IssuerApplicationData", "IssuerScript", "KeyIndexData", "Language", "LogEntry", "Message55", "ScriptOutcome",
    "ScriptResult", "Tag", "Track2", "afl_bytes", "commands", "cryptogram_input", "decode_field55", "default_kernel",
    "describe", "directory_record", "encode_field55", "explain_cvm_results", "is_numeric", "masked_hex", "matches",
    "missing_tags", "open_pin_data", "parse_afl", "parse_cryptogram_response", "parse_directory_record", "parse_dol",
    "parse_gpo_response", "parse_ppse", "parse_record", "parse_script_results", "pin_data", "ppse_fci", "product", "pse_fci",
    "records", "sensitive_spans",
]  # fmt: skip
