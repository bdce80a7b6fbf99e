"""From a token's profile to the card application that a phone answers terminals with.

The cloud sends a `TokenProfile`, wrapped for the device. The phone makes of it what the issuer's bureau makes of a card's
profile: the same application, contactless only, online only, without keys of its own. A terminal finds the token's number in
track 2, and in the record that shows the number also the account reference (9F24), the requestor (9F19) and the last digits
of the card behind it (9F25). The bytes of 9F63 that call a phone a phone are not public: `PHONE` is the place.

Called by `hce.py` and when a profile comes. Sources: JR/T 0025.12, EMV Book 3 A1 (9F24), EMVCo's pages on tokenisation (9F19,
9F25).
"""

import os
from dataclasses import replace
from typing import Final

from shanfu.card import Application, CardKeys, CardProfile, Interface, KeyRing, credit_3_0, debit_3_0, personalise
from shanfu.crypto import CardAlgorithm
from shanfu.dialogue import Memory
from shanfu.emv import AIP, CardChecks
from shanfu.errors import ConfigError, DecodeError, Fault
from shanfu.messages import wallet
from shanfu.money import Currency
from shanfu.pan import PAN
from shanfu.tokens import PAR, TRID

__all__ = ["PHONE", "application_of", "card_profile"]

PHONE: Final = bytes(9) + b"\x01" + bytes(6)  # 9F63: byte 10 tells the device; 01 for a phone is unverified
NO_ODA: Final = AIP.CARDHOLDER_VERIFICATION | AIP.TERMINAL_RISK  # no key for offline authentication: the issuer is asked
DIGITS: Final = {"psn": 2, "expiry": 4, "country": 3, "pan_last4": 4}
LABEL_CHARACTERS: Final = 16  # tag 50 (EMV B3 A1)


def card_profile(profile: wallet.TokenProfile) -> CardProfile:
    """Return what the token's application is made of; DecodeError or ConfigError when the profile makes no sense."""
    if profile.algorithm != "3des":
        raise DecodeError(f"{profile.algorithm!r}, limited-use keys are 3DES", fault=Fault.UNKNOWN, path="profile/algorithm")
    for name, digits in DIGITS.items():
        value = getattr(profile, name)
        if len(value) != digits or not (value.isascii() and value.isdecimal()):
            raise DecodeError(f"not {digits} digits", fault=Fault.FORMAT, path=f"profile/{name}")
    number = PAN(profile.number)
    ready = credit_3_0(number) if profile.credit else debit_3_0(number)
    told = {0x9F19: f"0{TRID(profile.trid)}", 0x9F24: PAR(profile.par).text.encode().hex(), 0x9F25: profile.pan_last4}
    return replace(
        ready,
        algorithm=CardAlgorithm.TDES,
        label=profile.label.encode("ascii", "replace")[:LABEL_CHARACTERS] or ready.label,
        psn=profile.psn,
        expiry=profile.expiry,
        country=profile.country,
        currencies=(Currency.of(profile.currency),),
        interfaces=frozenset({Interface.CONTACTLESS}),
        aip=NO_ODA,
        checks=CardChecks.parse(bytes(4)),
        balance_minor=None,
        dki=profile.dki,
        product_id=PHONE,
        told=tuple((tag, bytes.fromhex(text)) for tag, text in told.items()),
    )


def application_of(profile: wallet.TokenProfile, ring: KeyRing, memory: Memory) -> Application:
    """Build the application in a memory that lives as long as it does; its keys come from the ring alone.

    The keys that an image must have are random and used by nobody. `ConfigError` when the profile makes no working card.
    """
    made = card_profile(profile)
    try:
        personalise(made, CardKeys(ac=os.urandom(16), mac=os.urandom(16), enc=os.urandom(16)), memory)
    except ValueError as fault:  # digits that are none
        raise ConfigError(f"token profile: {fault}") from None
    return Application(memory, made.aid, ring=ring)
