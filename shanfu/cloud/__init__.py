"""The HCE key cloud: it gives phones the limited-use keys that their tokens are paid with.

In the world: the bank's server behind its app. It is asked by phones, to enrol, to open a session, to add cards, and to fetch
key sets and news; and by the token service, which tells it what became of tokens. It asks the token service, as the token
requestor of each bank's app, and its HSM, which derives the keys and wraps them for one device: no host ever sees one.

Files in reading order: host (a turn), gate (whether a call is that phone's), enrolling (devices and sessions), accounts (login,
cards, ID&V), replenish (key sets and profiles), changes (what a holder does), asking (of the token service), mirror (what it
tells); decide (the rules), reasons (the refusals), attestation (who vouches for a phone), prove (what the HSM is asked), events
(what is told); books, and one file per book: devices, sessions, tokens, key_sets, pushes; config, admin (the desk).
"""

from shanfu.cloud.admin import (
    DeviceLine,
    KeySetLine,
    block_device,
    list_devices,
    list_key_sets,
    list_tokens,
    unblock_device,
)
from shanfu.cloud.attestation import TEST_FORMAT, Attester, SignedAttester
from shanfu.cloud.books import SCHEMA, CloudBooks
from shanfu.cloud.config import AttestationRule, CloudConfig
from shanfu.cloud.host import Cloud
from shanfu.cloud.prove import SIGN, imk_label, numbers_label
from shanfu.cloud.reasons import Reason
from shanfu.cloud.tables import PREFIX

__all__ = [
    "PREFIX",
    "SCHEMA",
    "SIGN",
    "TEST_FORMAT",
    "AttestationRule",
    "Attester",
    "Cloud",
    "CloudBooks",
    "CloudConfig",
    "DeviceLine",
    "KeySetLine",
    "Reason",
    "SignedAttester",
    "block_device",
    "imk_label",
    "list_devices",
    "list_key_sets",
    "list_tokens",
    "numbers_label",
    "unblock_device",
]  # fmt: skip
