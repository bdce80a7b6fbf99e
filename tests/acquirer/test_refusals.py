"""Every reason for which the acquirer itself refuses: one line per attempt, the last columns what comes of it."""

from collections.abc import Callable

import pytest

from shanfu.acquirer import Reason, close_merchant, journal_lines
from shanfu.iso8583 import Message
from tests.acquirer.bank import BOOKSHOP, CHIP, PAN_2, PIN_DIGITS, TEAHOUSE, Bank, Till

Attempt = Callable[[Bank], tuple[Till, bytes]]


def teahouse(make: Callable[[Till], bytes]) -> Attempt:
    return lambda bank: (bank.till, make(bank.till))


def bookshop(make: Callable[[Till], bytes]) -> Attempt:
    return lambda bank: (bank.books_till, make(bank.books_till))


def stranger(bank: Bank) -> tuple[Till, bytes]:
    return bank.till, bank.till.purchase(de41="19999999")


def never_signed_in(bank: Bank) -> tuple[Till, bytes]:
    till = bank.install("10000009", TEAHOUSE)
    till.pik = till.mak = bank.till.mak
    return till, till.purchase()


def signed_off(bank: Bank) -> tuple[Till, bytes]:
    assert bank.ask(bank.till, bank.till.sign_off()).text(39) == "00"
    return bank.till, bank.till.purchase()


def closed(bank: Bank) -> tuple[Till, bytes]:
    close_merchant(bank.store, TEAHOUSE)
    return bank.till, bank.till.purchase()


def altered(bank: Bank) -> tuple[Till, bytes]:
    frame = bank.till.purchase(1234)
    place = frame.index(bytes.fromhex("000000001234"))
    return bank.till, frame[:place] + bytes.fromhex("000000009234") + frame[place + 6 :]


def old_batch(bank: Bank) -> tuple[Till, bytes]:
    bank.till.batch = "000099"
    return bank.till, bank.till.purchase()


def other_pin_key(bank: Bank) -> tuple[Till, bytes]:
    bank.till.pik = bytes(range(16))
    return bank.till, bank.till.purchase(pin=PIN_DIGITS)


def no_network(bank: Bank) -> tuple[Till, bytes]:
    bank.link_down()
    return bank.till, bank.till.purchase()


def unsigned(bank: Bank) -> tuple[Till, bytes]:
    return bank.till, bank.till.frame("0200", dict(bank.till.sent_fields(bank.till.purchase())), mac=False)


def of_original(change: Callable[[Bank, Message, Message], bytes]) -> Attempt:
    """Pay 12.34, then take it back in some way."""

    def attempt(bank: Bank) -> tuple[Till, bytes]:
        frame = bank.till.purchase(1234)
        original = bank.till.sent[-1]
        paid = bank.complete(bank.till, frame)
        return bank.till, change(bank, original, paid)

    return attempt


def declined(make: Callable[[Till, Message, Message], bytes]) -> Attempt:
    def attempt(bank: Bank) -> tuple[Till, bytes]:
        frame = bank.till.purchase(1234)
        original = bank.till.sent[-1]
        answer = bank.complete(bank.till, frame, "51")
        return bank.till, make(bank.till, original, answer)

    return attempt


def voided_before(make: Callable[[Till, Message, Message], bytes]) -> Attempt:
    def change(bank: Bank, original: Message, paid: Message) -> bytes:
        assert bank.complete(bank.till, bank.till.void(original, paid)).text(39) == "00"
        return make(bank.till, original, paid)

    return of_original(change)


def refunded_before(make: Callable[[Till, Message, Message], bytes]) -> Attempt:
    def change(bank: Bank, original: Message, paid: Message) -> bytes:
        assert bank.complete(bank.till, bank.till.refund(original, paid, 1000)).text(39) == "00"
        return make(bank.till, original, paid)

    return of_original(change)


def next_batch(make: Callable[[Till, Message, Message], bytes]) -> Attempt:
    def change(bank: Bank, original: Message, paid: Message) -> bytes:
        bank.settle(bank.till)
        return make(bank.till, original, paid)

    return of_original(change)


def void_of_void(bank: Bank) -> tuple[Till, bytes]:
    frame = bank.till.purchase(1234)
    original = bank.till.sent[-1]
    frame = bank.till.void(original, bank.complete(bank.till, frame))
    void = bank.till.sent[-1]
    return bank.till, bank.till.void(void, bank.complete(bank.till, frame))


def void(till: Till, original: Message, paid: Message) -> bytes:
    return till.void(original, paid)


def refund(till: Till, original: Message, paid: Message) -> bytes:
    return till.refund(original, paid, 1234)


def refund_of(reference: str) -> Attempt:
    return of_original(lambda bank, original, paid: bank.till.refund(original, paid, 1234, de61=reference))


def late(bank: Bank) -> tuple[Till, bytes]:
    bank.delay_ms = 45_001
    return bank.till, bank.till.purchase()


R = Reason
# fmt: off
ATTEMPTS = [
    # what is tried                                              code  reason                    leaves a row
    ("no amount",         teahouse(lambda t: t.purchase(de4=None)),    R.FORMAT,                 True),
    ("no MAC",            unsigned,                                    R.FORMAT,                 False),
    ("chip without data", teahouse(lambda t: t.purchase(de55=None)),   R.FORMAT,                 True),
    ("PIN, no block",     teahouse(lambda t: t.purchase(de22="071")),  R.FORMAT,                 True),
    ("another's track",   teahouse(lambda t: t.purchase(de35=f"{PAN_2}=30122011")), R.FORMAT,    True),
    ("unknown PIN form",  teahouse(lambda t: t.purchase(pin="1234", de53="9600000000000000")), R.FORMAT, True),
    ("reference cut",     of_original(lambda b, o, p: b.till.void(o, p, de61="000001")), R.FORMAT, True),
    ("unknown terminal",  stranger,                                    R.TERMINAL_UNKNOWN,       False),
    ("never signed in",   never_signed_in,                             R.NOT_SIGNED_IN,          False),
    ("signed off",        signed_off,                                  R.NOT_SIGNED_IN,          True),
    ("unknown merchant",  teahouse(lambda t: t.purchase(de42="990290059999999")), R.TERMINAL_ELSEWHERE, True),
    ("another's merchant", teahouse(lambda t: t.purchase(de42=BOOKSHOP)), R.TERMINAL_ELSEWHERE,  True),
    ("closed merchant",   closed,                                      R.MERCHANT_UNKNOWN,       True),
    ("wrong MAC",         altered,                                     R.MAC_WRONG,              False),
    ("too late",          late,                                        R.BUSY,                   True),
    ("batch not open",    old_batch,                                   R.BATCH_WRONG,            True),
    ("dollars",           teahouse(lambda t: t.purchase(de49="840")),  R.CURRENCY_DIFFERS,       True),
    ("pre-authorisation", teahouse(lambda t: t.purchase(de25="06", de60=f"10{t.batch}000600")), R.UNKNOWN_KIND, True),
    ("not permitted",     bookshop(lambda t: t.balance()),             R.KIND_NOT_PERMITTED,     True),
    ("PIN unreadable",    other_pin_key,                               R.PIN_UNREADABLE,         True),
    ("network is down",   no_network,                                  R.NETWORK_DOWN,           True),
    ("void of nothing",   of_original(lambda b, o, p: b.till.void(o, p, de61="000001999999")), R.ORIGINAL_UNKNOWN, True),
    ("void, other RRN",   of_original(lambda b, o, p: b.till.void(o, p, de37="600500009999")), R.ORIGINAL_UNKNOWN, True),
    ("void, other card",  of_original(lambda b, o, p: b.till.void(o, p, de2=PAN_2)), R.ORIGINAL_ANOTHER_CARDS, True),
    ("void in part",      of_original(lambda b, o, p: b.till.void(o, p, de4="000000001000")), R.AMOUNT_DIFFERS, True),
    ("void of a decline", declined(void),                              R.ORIGINAL_NOT_APPROVED,  True),
    ("void twice",        voided_before(void),                         R.ALREADY_VOIDED,         True),
    ("void after refund", refunded_before(void),                       R.ALREADY_REFUNDED,       True),
    ("void of a void",    void_of_void,                                R.ORIGINAL_NOT_PAYMENT,   True),
    ("void when settled", next_batch(void),                            R.BATCH_SETTLED,          True),
    ("refund of nothing", refund_of("0000019999990105"), R.ORIGINAL_UNKNOWN, True),
    ("refund, other day", refund_of("0000010000020104"), R.ORIGINAL_UNKNOWN, True),
    ("refund of a void",  voided_before(refund),                       R.ALREADY_VOIDED,         True),
    ("refund too high",   of_original(lambda b, o, p: b.till.refund(o, p, 1235)), R.REFUND_TOO_HIGH, True),
    ("refunds too high",  refunded_before(lambda t, o, p: t.refund(o, p, 235)), R.REFUND_TOO_HIGH, True),
    ("swipe, no failure", teahouse(lambda t: t.swipe(de60=f"22{t.batch}000600")), R.STRIPE_OF_A_CHIP_CARD, True),
    ("swipe, no track",   teahouse(lambda t: t.swipe(de35=None)),      R.FORMAT,                 True),
    ("swipe with chip",   teahouse(lambda t: t.swipe(de55=CHIP)),      R.FORMAT,                 True),
    ("refund of zero",    of_original(lambda b, o, p: b.till.refund(o, p, 0)), R.REFUND_TOO_HIGH, True),
]
# fmt: on


@pytest.mark.parametrize(("attempt", "reason", "kept"), [row[1:] for row in ATTEMPTS], ids=[row[0] for row in ATTEMPTS])
def test_refused(bank: Bank, attempt: Attempt, reason: Reason, kept: bool) -> None:
    till, frame = attempt(bank)
    before = {line.terminal_name for line in journal_lines(bank.store, "20260105")}
    bank.events.drain()
    answer = bank.ask(till, frame)
    assert (answer.text(39), 64 in answer) == (reason.code, False)
    asked = till.sent[-1]
    assert answer.fields.items() >= {n: asked.fields[n] for n in (3, 11, 41, 42, 60) if n in asked.fields}.items()
    fresh = [line for line in journal_lines(bank.store, "20260105") if line.terminal_name not in before]
    assert [(line.reason, line.state, line.forwarded) for line in fresh] == ([(reason.name, "DECLINED", False)] if kept else [])
    assert reason.name in [event.reason for event in bank.events.events]
    bank.delay_ms = 0
    again = bank.turn((till.station, frame))
    if kept:  # a name is answered in one way, whatever has changed
        bank.link_up()
        assert bank.turn((till.station, frame)) == again
        assert bank.answered(till, again[0].frame).fields == answer.fields


def test_every_reason_of_the_chain_has_a_line() -> None:
    elsewhere = {
        R.APPROVED, R.APPROVED_OFFLINE, R.DUPLICATE, R.ISSUER_DECLINED, R.KEYS_MISSING, R.MALFUNCTION, R.NOT_REVERSIBLE,
        R.NO_ANSWER, R.NO_VALID_ANSWER, R.REVERSED, R.REVERSED_BEFORE, R.REVERSED_EARLIER, R.TOMBSTONE_KEPT,
    }  # fmt: skip
    assert {row[2] for row in ATTEMPTS} | elsewhere == set(Reason)


def test_what_does_not_parse_gets_its_verdict_alone(bank: Bank) -> None:
    frame = bank.till.purchase()
    cut = (len(frame) - 22).to_bytes(2, "big") + frame[2:-20]
    answer = bank.ask(bank.till, cut)
    assert (answer.mti, answer.fields) == ("0210", {39: "30"})
    assert bank.turn((bank.till.station, b"\x00\x18" + bytes(24))) == []
