"""What happens to cards, and what that does to their tokens. The lines are the facts' table, and attacks on it."""

import pytest

from shanfu.messages import Actor, CardEvent, Colour, TokenState
from shanfu.tsp import show
from tests.tsp.service import DAY_MS, HARBOUR, MINUTE_MS, Card, Service, pan_of

E, S = CardEvent, TokenState
NEW_PAN, NEWER_PAN = pan_of(77), pan_of(78)


def stood(service: Service, state: str, assurance: str = "11") -> tuple[Card, str]:
    """A card with one token in this state."""
    card = service.card()
    if state == "INACTIVE":
        return card, service.request(card, colour=Colour.YELLOW).view.token
    token = service.active(card, assurance=assurance).token
    if state == "SUSPENDED":
        service.result("tsp.suspend", token, Actor.CARDHOLDER)
    if state == "EXPIRED":
        service.clock.advance(37 * 31 * DAY_MS)
        service.tick()
    return card, token


# event, state and assurance before: state and suspenders after
ONE_EVENT = """
LOST      INACTIVE   00   INACTIVE     -
LOST      ACTIVE     11   SUSPENDED    ISSUER
LOST      SUSPENDED  11   SUSPENDED    CARDHOLDER,ISSUER
LOST      EXPIRED    11   EXPIRED      -
STOLEN    INACTIVE   00   DEACTIVATED  -
STOLEN    ACTIVE     10   DEACTIVATED  -
STOLEN    ACTIVE     11   SUSPENDED    ISSUER
STOLEN    SUSPENDED  11   SUSPENDED    CARDHOLDER,ISSUER
STOLEN    EXPIRED    11   EXPIRED      -
CLOSED    INACTIVE   00   DEACTIVATED  -
CLOSED    ACTIVE     11   DEACTIVATED  -
CLOSED    SUSPENDED  11   DEACTIVATED  -
CLOSED    EXPIRED    11   DEACTIVATED  -
FOUND     ACTIVE     11   ACTIVE       -
FOUND     SUSPENDED  11   SUSPENDED    CARDHOLDER
"""


@pytest.mark.parametrize("line", ONE_EVENT.strip().splitlines())
def test_one_event(service: Service, line: str) -> None:
    event, state, assurance, after, by = line.split()
    card, token = stood(service, state, assurance)
    service.event(card, E(event))
    view = service.view(token)
    assert (view.state.value, ",".join(actor.value for actor in view.suspended_by) or "-") == (after, by)


# a chain of events (N, M: with a new number; remap: the issuer's choice): is the token ACTIVE, and of which card number
CHAINS = [
    ("REPLACED N", True, NEW_PAN),
    ("RENEWED", True, ""),
    ("RENEWED N", True, NEW_PAN),
    ("REPLACED N, REPLACED M", True, NEWER_PAN),
    ("LOST, FOUND", True, ""),
    ("LOST, REPLACED N", False, ""),
    ("LOST, REPLACED N, FOUND", False, ""),
    ("LOST, REPLACED N remap", True, NEW_PAN),
    ("LOST N remap", True, NEW_PAN),
    ("LOST, RENEWED", False, ""),
    ("STOLEN, FOUND", False, ""),
    ("STOLEN, REPLACED N", False, ""),
    ("STOLEN, REPLACED N remap", False, ""),
    ("STOLEN, REPLACED N, REPLACED M", False, ""),
    ("STOLEN, REPLACED N, FOUND", False, ""),
    ("LOST, STOLEN, FOUND", False, ""),
    ("LOST, STOLEN, REPLACED N remap", False, ""),
    ("STOLEN, LOST, REPLACED N remap", False, ""),
    ("STOLEN, LOST N remap", False, ""),
    ("STOLEN, LOST, FOUND", False, ""),
    ("STOLEN, RENEWED", False, ""),
    ("CLOSED, REPLACED N", False, ""),
    ("CLOSED, FOUND", False, ""),
]


def tell(service: Service, card: Card, chain: str) -> None:
    for link in chain.split(", "):
        name, *more = link.split()
        pan = NEW_PAN if "N" in more else NEWER_PAN if "M" in more else ""
        service.event(card, E(name), pan=pan, expiry="3112", remap="remap" in more)
        service.clock.advance(MINUTE_MS)


@pytest.mark.parametrize(("chain", "active", "pan"), CHAINS)
def test_chains(service: Service, chain, active, pan) -> None:
    card, token = stood(service, "ACTIVE")
    tell(service, card, chain)
    view = service.view(token)
    assert (view.state is S.ACTIVE) == active
    assert view.pan_last4 == (pan or card.pan)[-4:]
    if not active and view.state is S.SUSPENDED:
        assert service.result("tsp.resume", token, Actor.CARDHOLDER) == "NOT_SUSPENDED_BY_YOU"
        assert service.result("tsp.renew", token, Actor.WALLET) in ("CARD_NOT_ACTIVE", "ALREADY_DONE")


def issuer_resumes(service: Service, token: str) -> str:
    return service.result("tsp.issuer.resume", token, Actor.ISSUER, caller="issuer/99010000")


def test_a_stolen_cards_token_follows_only_when_its_issuer_resumes_it(service: Service) -> None:
    card, token = stood(service, "ACTIVE")
    service.event(card, E.STOLEN)
    assert issuer_resumes(service, token) == "CARD_NOT_ACTIVE"
    service.clock.advance(MINUTE_MS)
    service.event(card, E.REPLACED, pan=NEW_PAN, expiry="3112")
    before = show(service.store, token).token
    assert issuer_resumes(service, token) == "TOKEN_RESUMED"
    after = service.view(token)
    assert (after.state, after.pan_last4, after.par, after.token_last4) == (
        S.ACTIVE, NEW_PAN[-4:], before.par, before.token_last4,
    )  # fmt: skip
    assert [line.event for line in show(service.store, token).diary][-2:] == ["PAN_UPDATE", "RESUME"]


def test_a_theft_told_again_undoes_nothing_that_the_issuer_did_since(service: Service) -> None:
    card, token = stood(service, "ACTIVE")
    stolen_ms = service.clock.now_ms()
    service.event(card, E.STOLEN, at_ms=stolen_ms)
    service.clock.advance(MINUTE_MS)
    service.event(card, E.REPLACED, pan=NEW_PAN)
    issuer_resumes(service, token)
    service.event(card, E.STOLEN, at_ms=stolen_ms)
    assert service.view(token).state is S.ACTIVE


def test_a_theft_that_comes_after_its_replacement_still_counts(service: Service) -> None:
    card, token = stood(service, "ACTIVE")
    other = service.active(card, "phone-2", assurance="10").token
    stolen_ms = service.clock.now_ms()
    service.clock.advance(MINUTE_MS)
    service.event(card, E.REPLACED, pan=NEW_PAN)
    service.event(card, E.STOLEN, at_ms=stolen_ms)
    assert [service.view(one).state for one in (token, other)] == [S.SUSPENDED, S.DEACTIVATED]
    assert show(service.store, token).card_state == "active", "the new card is not the stolen one"


def test_a_token_made_of_the_new_card_survives_the_late_report(service: Service) -> None:
    card, _ = stood(service, "ACTIVE")
    stolen_ms = service.clock.now_ms()
    service.clock.advance(MINUTE_MS)
    service.event(card, E.REPLACED, pan=NEW_PAN)
    service.cards[card.ref] = Card(card.ref, NEW_PAN)
    mine = service.active(service.cards[card.ref], "phone-9").token
    service.event(card, E.STOLEN, at_ms=stolen_ms)
    assert service.view(mine).state is S.ACTIVE


def test_tokens_made_after_the_card_was_last_trusted_are_deleted(service: Service) -> None:
    card, old = stood(service, "ACTIVE")
    trusted_ms = service.clock.now_ms()
    service.clock.advance(DAY_MS)
    young = service.active(card, "phone-2").token
    service.event(card, E.STOLEN, trusted_ms=trusted_ms)
    assert [service.view(one).state for one in (old, young)] == [S.SUSPENDED, S.DEACTIVATED]


def test_what_the_issuer_suspended_for_another_cause_stays_suspended_when_the_card_is_found(service: Service) -> None:
    card, token = stood(service, "ACTIVE")
    service.result("tsp.issuer.suspend", token, Actor.ISSUER, caller="issuer/99010000", reason="SUSPECTED_FRAUD")
    service.event(card, E.LOST)
    service.clock.advance(MINUTE_MS)
    service.event(card, E.FOUND)
    assert service.view(token).state is S.SUSPENDED


def test_events_that_are_overtaken_revive_nothing(service: Service) -> None:
    card, token = stood(service, "ACTIVE")
    early = service.clock.now_ms()
    service.clock.advance(MINUTE_MS)
    service.event(card, E.LOST)
    for event in (E.FOUND, E.REPLACED):
        service.event(card, event, pan=NEW_PAN if event is E.REPLACED else "", at_ms=early)
    assert service.view(token).state is S.SUSPENDED


def test_a_replaced_card_keeps_its_par_under_both_numbers(service: Service) -> None:
    card, token = stood(service, "ACTIVE")
    service.event(card, E.REPLACED, pan=NEW_PAN)
    service.cards[card.ref] = Card(card.ref, NEW_PAN)
    again = service.request(service.cards[card.ref], device="phone-5")
    assert again.view.par == service.view(token).par


def test_a_new_number_that_comes_with_a_request_first(service: Service) -> None:
    """The issuer's event may be slower than a new request: old tokens wait for it, and follow when it comes."""
    card, token = stood(service, "ACTIVE")
    service.cards[card.ref] = Card(card.ref, NEW_PAN)
    service.request(service.cards[card.ref], device="phone-5")
    assert service.view(token).pan_last4 == card.pan[-4:]
    service.event(card, E.REPLACED, pan=NEW_PAN)
    assert service.view(token).pan_last4 == NEW_PAN[-4:]


# odd things that are told: what comes back
ODD = [
    ({"event": E.REPLACED, "pan": ""}, "format"),
    ({"event": E.REPLACED, "pan": pan_of(3, "625094")}, "format"),
    ({"event": E.LOST, "remap": True}, "format"),
    ({"event": E.RENEWED, "expiry": "3113"}, "format"),
]


@pytest.mark.parametrize(("odd", "code"), ODD)
def test_odd_events(service: Service, odd, code) -> None:
    card, token = stood(service, "ACTIVE")
    told = service.event(card, **odd)
    assert (told.code, service.view(token).state) == (code, S.ACTIVE)


def test_another_issuers_card_and_an_unknown_one(service: Service) -> None:
    card, token = stood(service, "ACTIVE")
    for stranger in (Card(card.ref, card.pan, issuer=HARBOUR), Card("card-x", card.pan)):
        assert service.event(stranger, E.STOLEN).changes == ()
    assert service.view(token).state is S.ACTIVE


def test_everybody_is_told(service: Service) -> None:
    card, token = stood(service, "ACTIVE")
    service.event(card, E.REPLACED, pan=NEW_PAN)
    service.tick(1000)
    for station in ("cloud", "issuer/99010000"):
        last = service.notices[station][-1]
        assert (last.event, last.view.pan_last4, last.view.token) == ("PAN_UPDATE", NEW_PAN[-4:], token)
