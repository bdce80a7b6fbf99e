"""The bank's own staff ask its running host: who may, about which card, and what follows."""

import pytest

from shanfu.issuer import CardState, card_state
from shanfu.messages import CardEvent, Empty, Problem
from shanfu.messages.issuing import ReportCard, TokenChanges

from .bank import BANK, Bank
from .service import CUSTOMER, TSP, Service

E, S = CardEvent, CardState
DESK = "http/1"  # the shell that has authenticated the caller


@pytest.fixture
def service(bank: Bank) -> Service:
    service = Service(bank)
    service.customer()
    bank.card("mine", CUSTOMER)
    return service


# fmt: off
CALLS = [  # who asks, about which card, what happened; what is answered; how the card stands afterwards; what the service hears
    (f"issuer/{BANK}",    "mine",    E.LOST,     "",             S.LOST,   1),
    (f"issuer/{BANK}",    "mine",    E.STOLEN,   "",             S.STOLEN, 1),
    (f"issuer/{BANK}",    "mine",    E.CLOSED,   "",             S.CLOSED, 1),
    (f"issuer/{BANK}",    "mine",    E.FOUND,    "",             S.ACTIVE, 0),
    (f"issuer/{BANK}",    "mine",    E.REPLACED, "refused",      S.ACTIVE, 0),
    (f"issuer/{BANK}",    "nobody's", E.LOST,    "not-found",    S.ACTIVE, 0),
    ("issuer/99020000",   "mine",    E.LOST,     "forbidden",    S.ACTIVE, 0),
    (TSP,                 "mine",    E.LOST,     "forbidden",    S.ACTIVE, 0),
    ("",                  "mine",    E.LOST,     "forbidden",    S.ACTIVE, 0),
]
# fmt: on


@pytest.mark.parametrize(("caller", "card", "event", "refusal", "state", "heard"), CALLS)
def test_a_report(
    service: Service, caller: str, card: str, *, event: CardEvent, refusal: str, state: CardState, heard: int
) -> None:  # fmt: skip
    plastic = service.bank.cards["mine"]
    reference = service.reference(plastic) if card == "mine" else "0" * 32
    answer = service.ask("issuer.report", ReportCard(card=reference, event=event), caller=caller, station=DESK)
    assert (answer.code if isinstance(answer, Problem) else "") == refusal
    assert card_state(service.bank.store, service.bank.hsm, plastic.pan).state == state
    told = [body for op, body in service.tick(reply=TokenChanges()) if op == "tsp.card"]
    assert [(body.card, body.event) for body in told] == [(reference, event)] * heard


def test_a_repeat_is_told_once(service: Service) -> None:
    reference = service.reference(service.bank.cards["mine"])
    for _ in range(2):
        answer = service.ask("issuer.report", ReportCard(card=reference, event=E.LOST), caller=f"issuer/{BANK}", station=DESK)
        assert answer == Empty()
    assert [op for op, _ in service.tick(reply=TokenChanges())].count("tsp.card") == 1
