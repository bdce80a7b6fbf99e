"""What becomes of money when the token, the card or the phone has gone: it always finds the account that it came from."""

from collections.abc import Callable

import pytest

from shanfu.links import FaultKind
from shanfu.links.crash import CRASH_POINTS
from shanfu.messages import CardEvent, TokenState
from shanfu.sandbox import Holder
from shanfu.wallet import Added, Reason
from tests.budget import HEAVY
from tests.journeys.pockets import APART, HOUSEHOLD, Street, add, only, replacement, said, street_in
from tests.journeys.town import Town

Ending = Callable[[Street, Holder], None]


def nothing(street: Street, holder: Holder) -> None:
    """The token lives on."""


def frozen(street: Street, holder: Holder) -> None:
    assert holder.do(holder.app.freeze(only(holder))) is None


def deleted(street: Street, holder: Holder) -> None:
    assert holder.do(holder.app.delete(only(holder))) is None


def lost(street: Street, holder: Holder) -> None:
    street.report("debit", CardEvent.LOST)


def stolen(street: Street, holder: Holder) -> None:
    street.report("debit", CardEvent.STOLEN)


ENDINGS = [nothing, frozen, deleted, lost, stolen]


@pytest.mark.parametrize("ending", ENDINGS)
def test_money_goes_back_after_the_token_has_gone(street: Street, *, ending: Ending) -> None:
    opening = street.available()
    with street.pocket() as holder:
        first, second, third = (street.wave(holder.phone, amount=amount) for amount in ("10.00", "20.00", "30.00"))
        ending(street, holder)
        street.drain()
        assert said(street.void(first)) == "approved"
        assert said(street.refund(second, "5.00")) == "approved"
        assert said(street.refund(third, "30.00")) == "approved"
        street.drain()
    assert street.available()["lin-yue/156"] - opening["lin-yue/156"] == -1_500
    street.judge(opening)


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_answer_that_never_came_is_reversed_though_the_token_has_gone(street: Street, *, ending: Ending) -> None:
    opening = street.available()
    with street.pocket() as holder:
        assert said(street.wave(holder.phone, amount="1.00")) == "approved"
        silence(street, "acquirer-", "terminal")
        assert not street.wave(holder.phone, amount="7.00").approved
        ending(street, holder)
        street.drain()
    assert street.available()["lin-yue/156"] - opening["lin-yue/156"] == -100
    street.judge(opening)


def silence(street: Town, source: str, target: str) -> None:
    """Lose the next frame on this way."""
    street.net.fault(FaultKind.DROP, lambda one: one.source.startswith(source) and one.target.startswith(target))


# -- what happens to the card ------------------------------------------------------------------------------------------


def test_a_lost_card_pays_neither_by_wave_of_the_phone_and_again_when_it_is_found(street: Street) -> None:
    opening = street.available()
    with street.pocket() as holder:
        token = only(holder)
        street.report("debit", CardEvent.LOST)
        assert said(street.wave(holder.phone)) == "62", "the phone does not know yet"
        assert street.last_reason(token) == "TOKEN_NOT_ACTIVE"
        street.opened(holder)
        assert not street.wave(holder.phone).approved
        assert holder.phone.shown[-1].reason is Reason.SUSPENDED_ISSUER
        street.report("debit", CardEvent.FOUND)
        street.opened(holder)
        assert said(street.wave(holder.phone)) == "approved"
    street.judge(opening)


def test_a_stolen_cards_token_is_never_armed_again_by_opening_the_app(street: Street) -> None:
    opening = street.available()
    with street.pocket() as holder:
        token = only(holder)
        street.report("debit", CardEvent.STOLEN)
        assert said(street.wave(holder.phone)) == "62"
        for _ in range(2):
            done = street.opened(holder)
            assert done.replenished == ()
            assert not street.wave(holder.phone).approved
        street.report("debit", CardEvent.REPLACED, card=replacement("debit"))
        street.opened(holder)
        assert street.case(token).token.state is not TokenState.ACTIVE
        assert not street.wave(holder.phone).approved
    street.judge(opening)


def test_a_replaced_card_keeps_its_token_and_old_payments_go_back_to_the_account(street: Street) -> None:
    opening = street.available()
    with street.pocket() as holder:
        token, paid = only(holder), street.wave(holder.phone, amount="10.00")
        before = street.case(token).token
        street.report("debit", CardEvent.REPLACED, card=replacement("debit"))
        after = street.case(token).token
        assert (after.par, after.token_last4, after.state) == (before.par, before.token_last4, TokenState.ACTIVE)
        assert after.pan_last4 == replacement("debit").pan.digits[-4:]
        street.opened(holder)
        assert said(street.wave(holder.phone, amount="2.00")) == "approved"
        assert said(street.refund(paid, "10.00")) == "approved"
        street.drain()
    assert street.available()["lin-yue/156"] - opening["lin-yue/156"] == -200
    street.judge(opening)


# -- hosts that die or are silent --------------------------------------------------------------------------------------

ISSUER, ACQUIRER, NETWORK, TSP = "issuer-lantern", "acquirer-lantern", "network", "tsp"
POINTS = CRASH_POINTS if HEAVY else ("before-commit", "after-commit")
# how often each host passes its points in one payment by phone
PASSAGES = {
    HOUSEHOLD: {ACQUIRER: (1, 2), NETWORK: (1, 2), ISSUER: (1,)},
    APART: {NETWORK: (1, 2, 3, 4), TSP: (1, 2), ISSUER: (1,)},
}
DEATHS = [
    (arrangement, host, point, nth)
    for arrangement, hosts in PASSAGES.items() for host, counts in hosts.items() for point in POINTS for nth in counts
]  # fmt: skip


@pytest.mark.parametrize("down_ms", [0, 70_000] if HEAVY else [0])
@pytest.mark.parametrize(("arrangement", "host", "point", "nth"), DEATHS, ids=str)
def test_a_host_dies_in_a_payment_by_phone(street: Street, *, host: str, point: str, nth: int, down_ms: int) -> None:
    opening = street.available()
    with street.pocket() as holder:
        assert said(street.wave(holder.phone, amount="1.00")) == "approved"
        street.net.advance(3_000)  # the outcome is told
        street.net.crash_at(host, point, nth=nth, down_ms=down_ms)
        street.wave(holder.phone, amount="7.00")
        street.net.advance(3_000)
        assert street.net._seats[host].crash is None, "it did not die"
        street.drain()
        assert said(street.wave(holder.phone, amount="3.00")) == "approved"
    street.judge(opening)


# fmt: off
SILENCES = [  # arrangement, whose next frame to whom is lost
  (HOUSEHOLD, "terminal", "acquirer"),
  (HOUSEHOLD, "acquirer", "network"),
  (HOUSEHOLD, "network",  "issuer"),
  (HOUSEHOLD, "issuer",   "network"),
  (HOUSEHOLD, "network",  "acquirer"),
  (HOUSEHOLD, "acquirer", "terminal"),
  (APART,     "network",  "tsp"),
  (APART,     "tsp",      "network"),
  (APART,     "issuer",   "network"),
]
# fmt: on


@pytest.mark.parametrize(("arrangement", "source", "target"), SILENCES)
def test_somebody_is_silent_in_a_payment_by_phone(street: Street, *, source: str, target: str) -> None:
    opening = street.available()
    with street.pocket() as holder:
        assert said(street.wave(holder.phone, amount="1.00")) == "approved"
        street.net.advance(3_000)
        before = len(street.frames)
        silence(street, source, target)
        receipt = street.wave(holder.phone, amount="7.00")
        assert (receipt.approved, receipt.response_code) == (False, "98")
        street.drain()
        if {source, target} == {"network", "tsp"}:
            heard = [one for one in street.frames[before:] if one.target == ISSUER and b"0200" in one.frame[50:54]]
            assert heard == [], "the bank never hears of what the token service did not resolve"
        assert said(street.wave(holder.phone, amount="3.00")) == "approved"
    assert street.available()["lin-yue/156"] - opening["lin-yue/156"] == -400
    street.judge(opening)


@pytest.mark.parametrize("lost", ["network>tsp", "tsp>network"])
def test_an_outcome_that_is_lost_is_told_again(made_streets, tmp_path, lost: str) -> None:
    with street_in(made_streets(APART), tmp_path / "world") as street:
        opening, (source, _, target) = street.available(), lost.partition(">")
        with street.pocket() as holder:
            mtis = (b"0220", b"0230")
            street.net.fault(
                FaultKind.DROP,
                lambda one: (one.source, one.target) == (source, target) and one.frame[50:54] in mtis,
            )
            assert said(street.wave(holder.phone, amount="7.00")) == "approved"
            street.drain()
            [paid] = street.case(only(holder)).payments
            assert paid.payment.result == "APPROVED"
        street.judge(opening)


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("nth", [1, 2, 3] if HEAVY else [2])
@pytest.mark.parametrize(("arrangement", "host"), [(HOUSEHOLD, "network"), (APART, "cloud"), (APART, "tsp"), (APART, ISSUER)])
def test_a_host_dies_while_the_app_is_opened_or_a_card_added(street: Street, *, host: str, point: str, nth: int) -> None:
    opening = street.available()
    with street.pocket() as holder, street.pocket("second") as other:
        for _ in range(8):
            street.wave(holder.phone, amount="1.00")
        street.net.crash_at(host, point, nth=nth)
        holder.do(holder.app.open())
        if not isinstance(other.add_card("debit"), Added):  # somebody died: the person tries again
            street.drain()
            for card in other.all_cards():
                other.do(other.app.delete(card.token))
            add(other, "debit")
        street.drain()
        street.opened(holder)
        street.opened(other)
        assert [said(street.wave(one.phone, amount="1.00")) for one in (holder, other)] == ["approved"] * 2
        assert all(card.uses_left >= 1 for one in (holder, other) for card in one.all_cards())
    street.judge(opening)
