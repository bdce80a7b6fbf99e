"""Repeats, several messages of one card in one batch, crashes: one effect per identity, and nothing half done."""

import os

import pytest

from shanfu.issuer import balance, card_state, unbalanced
from shanfu.issuer.journal import JOURNAL
from shanfu.links import Inbound
from tests.issuer.bank import NETWORK, Bank


def spent(bank: Bank) -> int:
    assert unbalanced(bank.store) == []
    return 500_000 - balance(bank.store, "lin/156").balance_minor


def rows(bank: Bank) -> int:
    from sqlalchemy import func, select

    from shanfu.store import Statement

    with bank.store.begin() as tx:
        return tx.rows(Statement(select(func.count()).select_from(JOURNAL.table)))[0][0]


def values(message) -> dict:
    return {number: value for number, value in message.fields.items() if number != 128}


@pytest.mark.parametrize("together", [True, False])
def test_a_repeat_gets_the_same_answer_and_moves_nothing(bank: Bank, together: bool) -> None:
    frame = bank.sealed(bank.purchase(bank.cards["debit"], 1000))
    if together:
        first, second = bank.send(frame, frame)
    else:
        [first], [second] = bank.send(frame), bank.send(frame)
    assert values(first) == values(second)
    assert first.text(39) == "00"
    assert 55 in first
    assert (spent(bank), rows(bank)) == (1000, 1)


@pytest.mark.parametrize("more", [{"f4": "000000002000"}, {"f49": "344"}])
def test_a_name_with_other_contents_is_refused(bank: Bank, more: dict) -> None:
    first = bank.purchase(bank.cards["debit"], 1000)
    bank.ask(first)
    again = bank.purchase(bank.cards["debit"], 1000, f11=first.fields[11], f7=first.fields[7], **more)
    assert (bank.code(again), bank.reason()) == ("94", "DUPLICATE")
    other = bank.purchase(bank.cards["credit"], 1000, f11=first.fields[11], f7=first.fields[7])
    assert bank.code(other) == "94"
    assert spent(bank) == 1000


def test_repeats_of_refusals_do_not_spend_pin_tries(bank: Bank) -> None:
    frame = bank.sealed(bank.purchase(bank.cards["debit"], 1000, pin="111111"))
    codes = [answer.text(39) for answer in bank.send(frame, frame, frame) + bank.send(frame)]
    assert codes == ["55"] * 4
    assert card_state(bank.store, bank.hsm, bank.cards["debit"].pan).pin_tries_left == 2


def test_wrong_pins_of_one_batch_are_counted_one_by_one(bank: Bank) -> None:
    card = bank.cards["debit"]
    frames = [bank.sealed(bank.purchase(card, 100, pin="111111")) for _ in range(4)]
    right = bank.sealed(bank.purchase(card, 100))
    assert [answer.text(39) for answer in bank.send(*frames, right)] == ["55", "55", "75", "75", "75"]


def test_payments_of_one_account_in_one_batch_see_each_other(bank: Bank) -> None:
    second = bank.card("second", "lin")
    cards = [bank.cards["debit"], second, bank.cards["debit"]]
    answers = bank.send(*[bank.sealed(bank.purchase(card, 200_000)) for card in cards])
    assert [answer.text(39) for answer in answers] == ["00", "00", "51"]
    assert spent(bank) == 400_000


def test_one_cryptogram_buys_one_payment(bank: Bank) -> None:
    payment = bank.purchase(bank.cards["debit"], 1000)
    replay = bank.purchase(bank.cards["debit"], 1000, f55=payment.fields[55])
    answers = bank.send(bank.sealed(payment), bank.sealed(replay))
    assert [answer.text(39) for answer in answers] == ["00", "59"]
    assert spent(bank) == 1000


# fmt: off
ORDERS = [
    # what one batch holds, in this order                      codes                     spent
    (("payment", "reversal"),                                  ("00", "00"),             0),
    (("reversal", "payment"),                                  ("00", "94"),             0),
    (("reversal", "payment", "reversal"),                      ("00", "94", "00"),       0),
    (("payment", "void", "reversal of void"),                  ("00", "00", "00"),       1000),
    (("reversal of void", "payment", "void"),                  ("00", "00", "94"),       1000),
    (("void", "payment"),                                      ("25", "00"),             1000),
    (("payment", "refund", "refund"),                          ("00", "00", "00"),       0),
    (("payment", "refund", "void"),                            ("00", "00", "12"),       0),
    (("payment", "payment", "reversal", "payment"),            ("00", "00", "00", "94"), 0),
]
# fmt: on


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize(("story", "codes", "left"), ORDERS)
def test_orders_of_arrival(bank: Bank, together: bool, story: tuple, codes: tuple, left: int) -> None:
    payment = bank.purchase(bank.cards["debit"], 1000)
    void = bank.void(payment)
    messages = {
        "payment": payment, "void": void, "refund": bank.refund(payment), "reversal": bank.reversal(payment),
        "reversal of void": bank.reversal(void),
    }  # fmt: skip
    frames = [bank.sealed(messages[name]) for name in story]
    answers = bank.send(*frames) if together else [answer for frame in frames for answer in bank.send(frame)]
    assert tuple(answer.text(39) for answer in answers) == codes
    assert spent(bank) == left


def test_a_crash_before_the_commit_leaves_nothing(bank: Bank) -> None:
    frame = bank.sealed(bank.purchase(bank.cards["debit"], 1000))
    tx = bank.store.begin()
    books = bank.host.books(tx, now_ms=bank.clock.now_ms())
    bank.host.handle([Inbound(NETWORK, frame)], books)
    books.save()
    tx.rollback()  # what is left of a process that dies here
    assert (spent(bank), rows(bank)) == (0, 0)
    bank.restart()
    [answer] = bank.send(frame)
    assert (answer.text(39), spent(bank), rows(bank)) == ("00", 1000, 1)


def test_a_new_process_goes_on_where_the_old_one_ended(bank: Bank) -> None:
    frame = bank.sealed(bank.purchase(bank.cards["debit"], 1000))
    [first] = bank.send(frame)
    bank.restart()
    [again] = bank.send(frame)
    assert values(again) == values(first)
    assert bank.code(bank.purchase(bank.cards["debit"], 500)) == "00"
    assert (spent(bank), rows(bank)) == (1500, 2)


def test_a_message_that_breaks_the_work_is_refused_alone(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    poison = bank.purchase(bank.cards["debit"], 666)
    good = [bank.purchase(bank.cards["credit"], 10) for _ in range(3)]
    from shanfu.issuer import host

    decide = host.decide

    def breaks(facts):
        if facts.request.amount_minor == 666:
            raise RuntimeError("broken")
        return decide(facts)

    monkeypatch.setattr(host, "decide", breaks)
    frames = [bank.sealed(message) for message in (good[0], poison, *good[1:])]
    codes = {answer.text(11): answer.text(39) for answer in bank.send(*frames)}
    assert codes[poison.text(11)] == "96"
    assert [codes[message.text(11)] for message in good] == ["00"] * 3
    assert rows(bank) == 3
    monkeypatch.undo()
    assert bank.code(poison) == "00"  # nothing of it was kept


def test_what_waited_too_long_is_not_worked(bank: Bank) -> None:
    frame = bank.sealed(bank.purchase(bank.cards["debit"], 1000))
    [answer] = bank.send(frame, arrived_ms=bank.clock.now_ms() - 20_001)
    assert (answer.text(39), spent(bank), rows(bank)) == ("96", 0, 0)
    [answer] = bank.send(frame, arrived_ms=bank.clock.now_ms() - 20_000)
    assert answer.text(39) == "00"
    reversal = bank.sealed(bank.reversal(bank.opened(frame)))
    [answer] = bank.send(reversal, arrived_ms=bank.clock.now_ms() - 60_000)
    assert (answer.text(39), spent(bank)) == ("00", 0)


def test_no_number_and_no_pin_lies_in_the_books(bank: Bank) -> None:
    card = bank.cards["debit"]
    messages = [bank.purchase(card, 1000), bank.balance(card), bank.purchase(card, 900_000)]
    for message in messages:
        bank.ask(message)
    bank.ask(bank.void(messages[0]))
    bank.ask(bank.reversal(messages[2]))
    bank.store.close()
    digits = card.pan.digits
    marks = [digits.encode(), bytes.fromhex(digits), digits.encode().hex().encode(), messages[0].fields[52]]
    for path in bank.folder.iterdir():
        content = path.read_bytes()
        for mark in marks:
            assert mark not in content, path.name
    for event in bank.events.events:
        told = f"{event.title} {event.detail} {event.reason} {event.trace}"
        assert digits not in told
        assert digits.encode() not in event.raw
        assert messages[0].fields[52] not in event.raw
        assert all(0 <= start < end <= len(event.raw) for start, end in event.masked)
    assert os.listdir(bank.folder)
