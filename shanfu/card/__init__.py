"""The payment application of a bank card, and the plastic card that holds it.

In the world this is the chip that the cardholder waves or inserts: a PBOC application (JR/T 0025), debit or credit, edition
2.0 or 3.0, 3DES or SM4. It only answers. A terminal asks it, command by command, to be selected, to pay (GET PROCESSING
OPTIONS, which in qPBOC brings the cryptogram at once; over contacts GENERATE AC), to verify a PIN, to prove itself, to show
records and counters, to do what its issuer orders; the issuer asks `personalise` to make one. It asks nobody but its durable
memory. The same `Application` lives in a secure element or a phone, with another key ring and other commands around it.

Files in reading order: `profile.py` (the issuer's choices), `build.py` and `laboratory.py` (the image that follows, and a
published one), `image.py` (data groupings), `personalise.py` (into the chip), `card.py` (plastic, power, SELECT),
`application.py` and `state.py` (its life), `commands.py` (its answers): `initiate.py` with `decision.py` and `offline.py` for a
tap; `contact.py`, `verify.py`, `authenticate.py`, `generate_ac.py` with `risk.py`, and `scripts.py` for a card in a slot;
`keys.py`, `live.py`, `session.py` and `chip.py` (what it holds). Beside it `misbehaving.py`: cards that try terminals out.
"""

from shanfu.card.application import Application
from shanfu.card.build import static_data
from shanfu.card.card import RESET_ANSWERS, Card
from shanfu.card.chip import Chip, refuse
from shanfu.card.commands import COMMANDS, CONTACT_COMMANDS, Command, CommandTable
from shanfu.card.decision import Request, Risk, Verdict, Why, decide, offer_cvm
from shanfu.card.image import Interface
from shanfu.card.initiate import idd_mac
from shanfu.card.keys import CardKeys, ChipKeyRing, KeyRing, Spent
from shanfu.card.laboratory import LABORATORY_CHAIN, LABORATORY_IMAGE
from shanfu.card.misbehaving import MISBEHAVIOURS, Misbehaving, Misbehaviour
from shanfu.card.personalise import personalise, read_image
from shanfu.card.profile import (
    PROFILES,
    CardProfile,
    PBOCVersion,
    Product,
    credit_2_0,
    credit_3_0,
    debit_2_0,
    debit_3_0,
    from_dgis,
    laboratory_card,
)
from shanfu.card.risk import Decision, Finding, Knowledge, decide_first, decide_second
from shanfu.card.session import IssuerProof
from shanfu.card.state import TRANSITIONS, Event, State

__all__ = [
    "COMMANDS", "CONTACT_COMMANDS", "LABORATORY_CHAIN", "LABORATORY_IMAGE", "MISBEHAVIOURS", "PROFILES", "RESET_ANSWERS",
    "TRANSITIONS", "Application", "Card", "CardKeys", "CardProfile", "Chip", "ChipKeyRing", "Command", "CommandTable",
    "Decision", "Event", "Finding", "Interface", "IssuerProof", "KeyRing", "Knowledge", "Misbehaving", "Misbehaviour",
    "PBOCVersion", "Product", "Request", "Risk", "Spent", "State", "Verdict", "Why", "credit_2_0", "credit_3_0", "debit_2_0",
    "debit_3_0", "decide", "decide_first", "decide_second", "from_dgis", "idd_mac", "laboratory_card", "offer_cvm",
    "personalise", "read_image", "refuse", "static_data",
]  # fmt: skip
