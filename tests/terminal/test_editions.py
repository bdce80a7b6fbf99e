"""Cards and terminals of PBOC 2.0 and 3.0 in all pairings, and what a terminal that cannot check a card does with it."""

from dataclasses import replace

import pytest

from shanfu.card import credit_2_0, credit_3_0, debit_2_0, debit_3_0
from shanfu.emv import CVM, TVR
from shanfu.oda import Reason
from shanfu.pan import PAN
from shanfu.terminal import PBOC_2_0, PBOC_3_0
from tests.terminal.chips import authority, genuine, says
from tests.terminal.shop import PAN_DIGITS, config
from tests.terminal.test_insert import CDA_BAD, NO_ODA, shop, tvr_of

OLD, NEW = {"version": PBOC_2_0, "sm": False}, {"version": PBOC_3_0, "sm": True}
# card,      its certificates, terminal, bits of the TVR
EDITIONS = [
    (debit_2_0,  "RSA", OLD, 0),
    (debit_2_0,  "RSA", NEW, TVR.VERSIONS_DIFFER),
    (debit_3_0,  "RSA", OLD, TVR.VERSIONS_DIFFER),
    (debit_3_0,  "SM2", OLD, TVR.VERSIONS_DIFFER | CDA_BAD),  # the terminal cannot check it, its bank can
    (debit_3_0,  "RSA", NEW, 0),
    (debit_3_0,  "SM2", NEW, 0),
    (credit_2_0, "RSA", OLD, 0),
    (credit_2_0, "RSA", NEW, TVR.VERSIONS_DIFFER),
    (credit_3_0, "SM2", OLD, TVR.VERSIONS_DIFFER | CDA_BAD),
    (credit_3_0, "SM2", NEW, 0),
]  # fmt: skip


@pytest.mark.parametrize(("profile", "kind", "terminal", "bits"), EDITIONS)
def test_cards_and_terminals_of_both_editions(profile, kind: str, terminal: dict[str, object], bits: TVR | int) -> None:
    limits = replace(config().aids[0], version=terminal["version"], contactless_floor=10_000, floor=10_000)
    sm2 = kind == "SM2"
    card = genuine(replace(profile(PAN(PAN_DIGITS)), last_online_atc=1, balance_minor=50_000), sm2=sm2)
    settings = {"ca_keys": (authority(sm2=sm2),), "sm_algorithms": terminal["sm"]}
    at = shop(profile=card, aids=(limits,), **settings)
    assert at.insert("200.00").approved
    assert tvr_of(at) & (TVR.VERSIONS_DIFFER | NO_ODA | CDA_BAD) == bits
    at.insert("1.00")
    proved = not bits & CDA_BAD
    assert at.host.asked[-1].mti == "0200", "lower limits of zero: the card itself asks"
    assert at.pay("1.00").offline is proved, "what cannot be proved asks the bank, with the TC"
    assert at.pay("200.00").approved


@pytest.mark.parametrize(("sm", "unused"), [(True, {}), (False, {"A000000333/F2": Reason.KEY_ALGORITHM})])
def test_a_key_that_a_terminal_cannot_use_is_shown_as_such(*, sm: bool, unused: dict[str, Reason]) -> None:
    keys = (authority(), authority(0xF2, sm2=True))
    shown = shop(ca_keys=keys, sm_algorithms=sm).terminal.parameters()
    assert (shown.ca_keys, shown.unused) == (keys, unused)


@pytest.mark.parametrize("sm", [False, True])
def test_a_card_that_asks_is_told_whether_the_terminal_has_sm_algorithms(sm: bool) -> None:
    at = shop(profile=genuine(replace(debit_3_0(PAN(PAN_DIGITS)), last_online_atc=1)), bends={"00": says("")}, sm_algorithms=sm)
    assert at.insert().approved
    assert at.pay("1.00").approved
    options = [command for command in at.card.heard if command[2:4] == "A8"]
    assert [command[-4:] for command in options] == [f"{sm:02X}00"] * 2  # DF69 is the last of what it asks for, then Le


def test_what_cannot_be_proved_is_not_approved_in_the_slot_without_the_bank() -> None:
    limits = replace(config().aids[0], floor=10_000)
    pinless = {"cvms": (CVM.NONE,), "lower_limit": 9, "total_limit_minor": 10**6}
    ends = []
    for keys in ((authority(),), ()):
        at = shop(profile=genuine(**pinless), aids=(limits,), ca_keys=keys)
        receipt = at.insert("1.00")
        ends.append((receipt.approved, receipt.offline))
    assert ends == [(True, True), (True, False)]
