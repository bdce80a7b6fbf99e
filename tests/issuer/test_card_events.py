"""What happens to cards: here at once, at the token service sooner or later, and never in silence."""

from dataclasses import replace
from typing import Any

import pytest
from msgspec import structs

from shanfu.errors import ConfigError, Conflict, NotFound
from shanfu.iso8583 import TokenBlock, TokenVerdict
from shanfu.issuer import (
    CardOrder,
    CardReport,
    CardState,
    balance,
    card_state,
    delete_tokens,
    payments_of,
    report_card,
    resume_tokens,
    set_status,
    suspend_tokens,
    tokens_of,
)
from shanfu.messages import Actor, CardEvent, Colour, TokenState
from shanfu.messages.issuing import CardChanged, TokenChanges
from shanfu.messages.requestor import ChangeToken
from shanfu.pan import PAN

from .bank import Bank, Plastic, number
from .service import CUSTOMER, MINUTE_MS, TRID, Service

E, S = CardEvent, CardState
NEW_PAN = number("620901777777777")
TK = TokenBlock(verified="1", token="6250940000000017", expiry="2901", assurance="11", scenario="01", trid=TRID)


@pytest.fixture
def service(bank: Bank) -> Service:
    service = Service(bank)
    service.customer()
    bank.card("mine", CUSTOMER)
    return service


@pytest.fixture
def plastic(service: Service) -> Plastic:
    return service.bank.cards["mine"]


def report(service: Service, event: CardEvent, pan: PAN, **more: Any) -> None:
    bank = service.bank
    if "new" in more:
        bank_card = card_state(bank.store, bank.hsm, pan)
        more["card"] = CardOrder(pan=more.pop("new"), group=bank_card.group, expiry="3112", pvv="0000")
    told = CardReport(event=event, **more)
    report_card(bank.store, bank.hsm, pan, told, config=bank.config, now_ms=bank.clock.now_ms())


def told(service: Service) -> list[CardChanged]:
    return [body for op, body in service.tick(reply=TokenChanges()) if op == "tsp.card"]


def state(service: Service, pan: PAN) -> CardState:
    return card_state(service.bank.store, service.bank.hsm, pan).state


# the state before, the event: the state after, or what is wrong
CHANGES = [
    ("ACTIVE",   E.LOST,   "LOST"),
    ("BLOCKED",  E.LOST,   "LOST"),
    ("ACTIVE",   E.STOLEN, "STOLEN"),
    ("LOST",     E.STOLEN, "STOLEN"),
    ("LOST",     E.FOUND,  "ACTIVE"),
    ("ACTIVE",   E.CLOSED, "CLOSED"),
    ("STOLEN",   E.CLOSED, "CLOSED"),
    ("STOLEN",   E.FOUND,  Conflict),
    ("STOLEN",   E.LOST,   Conflict),
    ("CLOSED",   E.LOST,   Conflict),
    ("CLOSED",   E.STOLEN, Conflict),
    ("ACTIVE",   E.RENEWED, ConfigError),    # without its expiry
    ("ACTIVE",   E.REPLACED, ConfigError),   # without the new card
]  # fmt: skip


@pytest.mark.parametrize(("before", "event", "after"), CHANGES)
def test_what_happens_to_a_card(service: Service, plastic: Plastic, before: str, event: CardEvent, after: Any) -> None:
    set_status(service.bank.store, service.bank.hsm, plastic.pan, S[before])
    if not isinstance(after, str):
        with pytest.raises(after) as caught:
            report(service, event, plastic.pan)
        assert plastic.pan.digits not in str(caught.value)
        assert (state(service, plastic.pan), told(service)) == (S[before], [])
        return
    report(service, event, plastic.pan, reason="WORD", trusted_ms=7)
    assert state(service, plastic.pan) is S[after]
    now_ms, card = service.bank.clock.now_ms(), service.reference(plastic)
    assert told(service) == [CardChanged(card=card, event=event, reason="WORD", at_ms=now_ms, trusted_ms=7)]


def test_what_is_known_is_not_told_again(service: Service, plastic: Plastic) -> None:
    for _ in range(2):
        report(service, E.LOST, plastic.pan)
    assert len(told(service)) == 1


def test_it_is_told_until_somebody_has_heard(service: Service, plastic: Plastic) -> None:
    report(service, E.STOLEN, plastic.pan)
    service.bank.restart()
    heard = [len(service.tick(5_000)) for _ in range(3)]
    assert heard[0] == 1
    assert sum(heard) >= 2
    assert len(service.tick(MINUTE_MS, reply=TokenChanges())) == 1
    assert service.tick(10 * MINUTE_MS) == []


def test_a_stranger_is_not_reported(service: Service) -> None:
    with pytest.raises(NotFound):
        report(service, E.LOST, NEW_PAN)


@pytest.mark.parametrize(("before", "old"), [("ACTIVE", "CLOSED"), ("LOST", "LOST"), ("STOLEN", "STOLEN")])
def test_a_replacement_takes_the_reference_over(service: Service, plastic: Plastic, before: str, old: str) -> None:
    bank, card = service.bank, service.reference(plastic)
    set_status(bank.store, bank.hsm, plastic.pan, S[before])
    report(service, E.REPLACED, plastic.pan, new=NEW_PAN)
    assert (state(service, plastic.pan), state(service, NEW_PAN)) == (S[old], S.ACTIVE)
    assert card_state(bank.store, bank.hsm, NEW_PAN).reference == card
    [changed] = told(service)
    assert (changed.event, changed.card, changed.pan_last4, changed.expiry) == (E.REPLACED, card, NEW_PAN.last4, "3112")
    [pan] = bank.peer.unseal(service.key, [(bytes.fromhex(changed.pan), f"pan/{card}".encode())])
    assert pan.decode() == NEW_PAN.digits
    assert [offer.last4 for offer in service.login().cards] == [NEW_PAN.last4]
    report(service, E.LOST, plastic.pan)
    assert state(service, NEW_PAN) is S.LOST, "the old number speaks of the card that is in use"


def test_a_lost_card_whose_tokens_follow(service: Service, plastic: Plastic) -> None:
    report(service, E.LOST, plastic.pan, remap=True, new=NEW_PAN)
    [changed] = told(service)
    assert (changed.event, changed.remap, changed.pan_last4) == (E.LOST, True, NEW_PAN.last4)
    assert (state(service, plastic.pan), state(service, NEW_PAN)) == (S.LOST, S.ACTIVE)


@pytest.mark.parametrize(
    "odd", [{"group": "lin"}, {"event": E.FOUND}, {"event": E.STOLEN}, {"event": E.LOST}, {"pan": "6209010000000005"}]
)
def test_replacements_that_make_no_sense(service: Service, plastic: Plastic, odd: dict) -> None:
    bank, event = service.bank, odd.get("event", E.REPLACED)
    if event is E.FOUND:
        set_status(bank.store, bank.hsm, plastic.pan, S.LOST)
    pan = plastic.pan if "pan" in odd else NEW_PAN
    order = CardOrder(pan=pan, group=odd.get("group", CUSTOMER), expiry="3112", pvv="0000")
    before = state(service, plastic.pan)
    with pytest.raises((ConfigError, Conflict)):
        report_card(
            bank.store,
            bank.hsm,
            plastic.pan,
            CardReport(event=event, card=order),
            config=bank.config,
            now_ms=bank.clock.now_ms(),
        )
    assert (state(service, plastic.pan), told(service)) == (before, [])


def test_a_renewal_brings_a_new_chip(service: Service, plastic: Plastic) -> None:
    bank = service.bank
    assert bank.code(bank.purchase(plastic, 100)) == "00"
    report(service, E.RENEWED, plastic.pan, expiry="3512", psn="02")
    [changed] = told(service)
    assert (changed.event, changed.expiry, changed.pan) == (E.RENEWED, "3512", "")
    assert bank.code(bank.purchase(plastic, 100)) == "54"
    fresh = replace(plastic, expiry="3512", psn="02", atc=0)
    assert bank.code(bank.purchase(fresh, 100)) == "00"
    assert service.judge(service.reference(plastic)).colour is Colour.YELLOW, "a renewal is no cause for suspicion"


def test_after_a_loss_or_a_replacement_one_looks_twice(service: Service, plastic: Plastic) -> None:
    card = service.reference(plastic)
    report(service, E.REPLACED, plastic.pan, new=NEW_PAN)
    assert (service.judge(card).colour, service.judge(card).reasons[0]) == (Colour.ORANGE, "CARD_EVENT_RECENT")
    service.bank.clock.advance(24 * 60 * MINUTE_MS)
    assert service.judge(card, "t2").colour is Colour.YELLOW


def test_a_refund_finds_the_account_by_the_new_number(service: Service, plastic: Plastic) -> None:
    bank = service.bank
    payment = bank.purchase(plastic, 10_000, f35=None, f61=TokenVerdict.RIGHT.field(), f63=TK.field())
    assert bank.code(payment) == "00"
    report(service, E.STOLEN, plastic.pan)
    report(service, E.REPLACED, plastic.pan, new=NEW_PAN)
    refund = {"f2": NEW_PAN.digits, "f61": TokenVerdict.NOT_CHECKED.field(), "f63": TK.field()}
    assert bank.code(bank.refund(payment, **refund)) == "00"
    assert balance(bank.store, f"{CUSTOMER}/156").balance_minor == 500_000
    assert bank.code(bank.refund(payment, **refund | {"f2": bank.cards["debit"].pan.digits})) == "25"


# -- orders about tokens, and what staff see ---------------------------------------------------------------------------


def test_orders_about_tokens(service: Service, plastic: Plastic) -> None:
    bank, card = service.bank, service.reference(plastic)
    service.judge(card)
    how = {"config": bank.config, "now_ms": bank.clock.now_ms()}
    suspend_tokens(bank.store, ["t1"], reason="FRAUD", **how)
    assert service.tick() == [("tsp.issuer.suspend", ChangeToken(tokens=("t1",), actor=Actor.ISSUER, reason="FRAUD"))]
    resume_tokens(bank.store, ["t1"], **how)
    later = service.tick(2 * MINUTE_MS, reply=TokenChanges())
    assert [op for op, _ in later] == ["tsp.issuer.resume"], "the order before, which nobody has acknowledged, is withdrawn"
    delete_tokens(bank.store, ["t1"], **how)
    assert [op for op, _ in service.tick(reply=TokenChanges())] == ["tsp.issuer.delete"]
    with pytest.raises(NotFound):
        suspend_tokens(bank.store, ["t1", "t9"], **how)
    with pytest.raises(ConfigError):
        suspend_tokens(bank.store, [], **how)
    assert service.tick() == []


def test_staff_see_which_phone_paid(service: Service, plastic: Plastic) -> None:
    bank, card = service.bank, service.reference(plastic)
    service.judge(card, device_name="Lin's phone")
    service.notice(service.view(card))
    service.judge(card, "t2", device="phone-2", device_name="Lin's tablet", risk_score=99)
    bank.code(bank.purchase(plastic, 100))
    bank.code(bank.purchase(plastic, 200, f61=TokenVerdict.RIGHT.field(), f63=TK.field()))
    bank.code(bank.purchase(plastic, 300, f63=structs.replace(TK, token="6250940000000025").field()))
    lines = payments_of(bank.store, bank.hsm, plastic.pan)
    assert [(line.amount_minor, line.token_last4, line.device_name, line.assurance, line.response_code) for line in lines] == [
        (300, "0025", "", "11", "59"), (200, "0017", "Lin's phone", "11", "00"), (100, "", "", "", "00"),
    ]  # fmt: skip
    [phone] = tokens_of(bank.store, bank.hsm, plastic.pan)
    assert (phone.token, phone.device_name, phone.state, phone.token_last4) == ("t1", "Lin's phone", "ACTIVE", "0017")
    both = tokens_of(bank.store, bank.hsm, plastic.pan, unborn=True)
    assert {phone.state for phone in both} == {TokenState.ACTIVE.value, TokenState.DECLINED.value}
    assert TK.token not in repr([lines, both])
