"""Payments with the live token: one line an attempt, the last column what the service says and the check that says it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shanfu.crypto import Algorithm, CardAlgorithm, Cipher, SessionKey, session_key_pboc, udk_option_a
from shanfu.emv import CVM, CVM_RESULTS, cryptogram_input, decode_field55, encode_field55
from shanfu.messages import KeyPolicy, PhoneCVM
from shanfu.tokens import KeyScheme
from shanfu.tsp import TSPConfig
from shanfu.tsp.checks import TOKEN_CHECKS, Verdict
from shanfu.tsp.history import HistoryState
from tests.tsp.payhouse import OTHER_TRID, TRID, PayHouse, Phone


@pytest.fixture
def house(tmp_path: Path) -> Iterator[PayHouse]:
    house = PayHouse(tmp_path)
    yield house
    house.store.close()


# fmt: off
#   the facts' own table (tokenisation 6.2): check, reason, DE39
FACTS = (
    (1,  "FORMAT_ERROR", "30"), (2, "TOKEN_UNKNOWN", "14"), (3, "REQUESTOR_NOT_ALLOWED", "57"), (4, "TOKEN_NOT_ACTIVE", "62"),
    (5,  "TOKEN_EXPIRED", "54"), (6, "DOMAIN_NOT_ALLOWED", "57"), (7, "CHIP_DATA_ERROR", "30"), (8, "ATC_OUT_OF_WINDOW", "59"),
    (9,  "KEY_UNKNOWN", "59"), (9, "KEY_RETIRED", "59"), (9, "KEY_EXHAUSTED", "65"), (10, "CRYPTOGRAM_WRONG", "59"),
    (11, "CDCVM_MISSING", "05"), (11, "CDCVM_WRONG", "05"), (12, "AMOUNT_LIMIT", "61"), (12, "COUNT_LIMIT", "65"),
)
# fmt: on


def test_the_table_is_that_of_the_facts() -> None:
    ours = [(row.number, verdict.name, verdict.code) for row in TOKEN_CHECKS for verdict in row.verdicts]
    assert [row for row in ours if row[1] != "CHIP_DATA_DIFFERS"] == list(FACTS)
    assert Verdict.CHIP_DATA_DIFFERS.code == "59"


def test_a_resolved_token_gives_pan_expiry_par_and_record(house: PayHouse) -> None:
    phone = house.token()
    request = house.purchase(phone)
    answer = house.ask(request)
    assert answer.text(39) == "00"
    assert house.pan_in(answer, phone) == "6209010000000001"
    assert answer.text(14) == "3012"
    assert answer.binary(56) == b"PR031\x01\x1dSF01LIN0000000000000000000000"
    assert not {35, 52, 55} & answer.fields.keys()
    row = house.history(request)
    assert row
    assert (row.state, row.sequence, row.atc, row.merchant) == (HistoryState.RESOLVED, 1, 1, "TEAHOUSE")
    assert all(passed for passed, _ in house.explained(request).values())
    assert list(house.explained(request)) == [check.name for check in TOKEN_CHECKS]


Attempt = Callable[[PayHouse, Phone], object]


def pay(**more: object) -> Attempt:
    return lambda house, phone: house.purchase(phone, 1000, **more)


def after(change: Attempt, **more: object) -> Attempt:
    def attempt(house: PayHouse, phone: Phone) -> object:
        change(house, phone)
        return house.purchase(phone, 1000, **more)

    return attempt


def token(**changes: object) -> Attempt:
    return lambda house, phone: house.change(phone, **changes)


def card(**changes: object) -> Attempt:
    return lambda house, phone: house.change_card(phone, **changes)


def used(times: int, minor: int = 1000) -> Attempt:
    return lambda house, phone: [house.pay(phone, minor) for _ in range(times)]


def later(ms: int) -> Attempt:
    return lambda house, phone: house.clock.advance(ms)


def of_another(house: PayHouse, phone: Phone) -> object:
    """The keys of another phone's set, under this token."""
    house.clock.advance(3_600_000)  # another hour: indexes of two tokens may be alike
    other = house.token("chen")
    phone.take(other.terms)  # type: ignore[arg-type]
    return house.purchase(phone)


def retired(house: PayHouse, phone: Phone) -> object:
    old, atc = phone.terms, phone.atc
    assert old
    house.refresh(phone)
    house.clock.advance(300_000)
    phone.take(old)
    return house.purchase(phone, atc=atc + 1)


def replayed(house: PayHouse, phone: Phone) -> object:
    request = house.pay(phone)
    again = house.purchase(phone)
    again.fields[55] = request.fields[55]
    return again


def in_range(**changes: str) -> Attempt:
    def change(house: PayHouse, _: Phone) -> object:
        books = house.books()
        row = books.requestor(TRID)
        for name, value in changes.items():
            setattr(row, name, value)
        house.keep(books)
        return None

    return change


UNKNOWN = "6250940000009994"
DONE, FAILED = bytes.fromhex("03A40000"), bytes.fromhex("03A60000")  # CVR: verified on the phone; tried and failed
ON_PHONE = CVM_RESULTS[CVM.CDCVM]


def iad(cvr: bytes = bytes.fromhex("03A00000"), *, dki: int = 1, idd: str = "", algorithm: int = 1) -> bytes:
    return bytes((7, dki, 1)) + cvr + bytes((algorithm,)) + (bytes((len(idd) // 2,)) + bytes.fromhex(idd) if idd else b"")


def with_cvr(cvr: bytes, **more: object) -> Attempt:
    def attempt(house: PayHouse, phone: Phone) -> object:
        assert phone.terms
        return house.purchase(phone, t9F10=iad(cvr, idd=f"A10{phone.terms.index}"), **more)

    return attempt


# fmt: off
ATTEMPTS = {
    "a purchase":                      (pay(),                                                             "",                      ""),
    "a balance inquiry":               (lambda h, p: h.balance(p),                                         "",                      ""),
    "no amount":                       (pay(f4=None),                                                      "FORMAT_ERROR",          "DE4"),
    "amount zero":                     (pay(f4="0" * 12),                                                  "FORMAT_ERROR",          "DE4"),
    "no terminal":                     (pay(f41=None),                                                     "FORMAT_ERROR",          "DE41"),
    "another number on the track":     (pay(f35=f"{UNKNOWN}=2901201"),                                     "FORMAT_ERROR",          "DE35"),
    "a date that is none":             (pay(f15="1399"),                                                   "FORMAT_ERROR",          "DE15"),
    "a number that is no token":       (pay(f2=UNKNOWN),                                                   "TOKEN_UNKNOWN",         ""),
    "typed by hand":                   (pay(f22="012"),                                                    "REQUESTOR_NOT_ALLOWED", "90100000001: entry mode 01"),
    "inserted":                        (pay(f22="052"),                                                    "REQUESTOR_NOT_ALLOWED", "90100000001: entry mode 05"),
    "swiped":                          (pay(f22="022"),                                                    "REQUESTOR_NOT_ALLOWED", "90100000001: entry mode 02"),
    "a requestor that is not there":   (after(token(trid=OTHER_TRID)),                                     "REQUESTOR_NOT_ALLOWED", "90100000002 is not registered"),
    "suspended by two":                (after(token(state="SUSPENDED", suspended_by="CARDHOLDER ISSUER")), "TOKEN_NOT_ACTIVE",      "token SUSPENDED by CARDHOLDER ISSUER"),
    "waiting for ID&V":                (after(token(state="INACTIVE")),                                    "TOKEN_NOT_ACTIVE",      "token INACTIVE"),
    "deleted":                         (after(token(state="DEACTIVATED")),                                 "TOKEN_NOT_ACTIVE",      "token DEACTIVATED"),
    "expired while suspended":         (after(token(state="EXPIRED", suspended_by="ISSUER")),              "TOKEN_NOT_ACTIVE",      "token EXPIRED by ISSUER"),
    "a requestor that is blocked":     (after(in_range(state="blocked")),                                  "TOKEN_NOT_ACTIVE",      "requestor blocked"),
    "a card that was stolen":          (after(card(state="stolen")),                                       "TOKEN_NOT_ACTIVE",      "card stolen"),
    "a card it did not follow":        (after(card(generation=2)),                                         "TOKEN_NOT_ACTIVE",      "card was replaced, and the token did not follow"),
    "expired":                         (after(token(state="EXPIRED")),                                     "TOKEN_EXPIRED",         "token good to 2901"),
    "past its month":                  (after(token(expiry="2512"), f14=None),                             "TOKEN_EXPIRED",         "token good to 2512"),
    "a card past its month":           (after(card(expiry="2512")),                                        "TOKEN_EXPIRED",         "card good to 2512"),
    "another month in DE14":           (pay(f14="2902"),                                                   "TOKEN_EXPIRED",         "DE14 is not the token's"),
    "a month past in DE14":            (pay(f14="2512"),                                                   "TOKEN_EXPIRED",         "DE14 is not the token's"),
    "the month before a renewal":      (pay(f14="2812"),                                                   "",                      ""),
    "a merchant not on the list":      (after(in_range(merchants="990290059420002")),                      "DOMAIN_NOT_ALLOWED",    "merchant 990290058120001"),
    "a country not on the list":       (after(in_range(countries="344")),                                  "DOMAIN_NOT_ALLOWED",    "country 156"),
    "keys of another device":          (after(token(device="another")),                                    "DOMAIN_NOT_ALLOWED",    "keys are another device's"),
    "no chip data":                    (pay(f55=None),                                                     "CHIP_DATA_ERROR",       "DE55 is absent"),
    "chip data that breaks off":       (pay(f55=bytes.fromhex("9F2608AB")),                                "CHIP_DATA_ERROR",       "DE55/9F26"),
    "the phone declined":              (with_cvr(bytes.fromhex("03800000")),                               "CHIP_DATA_ERROR",       "the phone declined"),
    "SM4, which no token key is":      (pay(t9F10=iad(algorithm=4)),                                       "CHIP_DATA_ERROR",       "DE55/9F10: algorithm"),
    "the same cryptogram again":       (replayed,                                                          "ATC_OUT_OF_WINDOW",     "1 after 1, window 50: replayed"),
    "a counter below":                 (after(used(1), atc=0xFFFF),                                        "ATC_OUT_OF_WINDOW",     "65535 after 1, window 50: too far"),
    "a counter at the window's end":   (pay(atc=50),                                                       "ATC_OUT_OF_WINDOW",     "50 after 0, window 50: too far"),
    "a counter outside its key set":   (pay(atc=49),                                                       "KEY_UNKNOWN",           "ATC 49 is outside its key set (1 to 10)"),
    "the eleventh use":                (after(used(10), atc=11),                                           "KEY_EXHAUSTED",         "COUNT_EXHAUSTED"),
    "no key index":                    (pay(t9F10=iad()),                                                  "KEY_UNKNOWN",           "no key index"),
    "an index of nobody":              (pay(t9F10=iad(idd="A106010777")),                                  "KEY_UNKNOWN",           "index 6010777 is nobody's"),
    "an index of another token":       (of_another,                                                        "KEY_UNKNOWN",           "index 6010600 is another token's"),
    "a master key of another number":  (pay(t9F10=iad(dki=2, idd="A106010500")),                           "KEY_UNKNOWN",           "no master key, DKI 02"),
    "a key set that was replaced":     (retired,                                                           "KEY_RETIRED",           "key set 1 was replaced"),
    "after its time":                  (after(later(432_000_000)),                                         "KEY_EXHAUSTED",         "TTL_EXPIRED"),
    "one second before":               (after(later(431_999_000)),                                         "",                      ""),
    "a wrong cryptogram":              (pay(t9F26=bytes(8)),                                               "CRYPTOGRAM_WRONG",      ""),
    "another amount than signed":      (pay(f4="000000001001"),                                            "CHIP_DATA_DIFFERS",     "AMOUNT: 9F02 is not DE4"),
    "another currency than signed":    (pay(f49="344"),                                                    "CHIP_DATA_DIFFERS",     "CURRENCY: 5F2A is not DE49"),
    "a cloud PIN that is not allowed": (pay(t9F34=ON_PHONE),                                               "CDCVM_WRONG",           "claimed, but the policy is the card's PIN"),
    "verified by the phone, uncalled": (with_cvr(DONE),                                                    "CDCVM_WRONG",           "claimed, but the policy is the card's PIN"),
    "failed on the phone":             (with_cvr(FAILED),                                                  "CDCVM_WRONG",           "verification on the phone failed"),
    "more than the key set may pay":   (lambda h, p: h.purchase(p, 2_000_001),                             "AMOUNT_LIMIT",          "AMOUNT_EXHAUSTED: 2000001 more than 0 of 2000000"),
}
# fmt: on


@pytest.mark.parametrize(("attempt", "reason", "detail"), ATTEMPTS.values(), ids=ATTEMPTS)
def test_one_payment(house: PayHouse, attempt: Attempt, reason: str, detail: str) -> None:
    phone = house.token()
    request = attempt(house, phone)
    assert house.said(request) == (Verdict[reason or "RESOLVED"].code, reason)  # type: ignore[arg-type]
    told = house.explained(request)  # type: ignore[arg-type]
    failed = [(name, words) for name, (passed, words) in told.items() if not passed]
    checks = [row.name for row in TOKEN_CHECKS if reason in [verdict.name for verdict in row.verdicts]]
    assert failed[:1] == [(check, detail) for check in checks]


def test_a_refusal_gives_no_pan_and_enters_its_reason(house: PayHouse) -> None:
    phone = house.token()
    request = house.purchase(phone, t9F26=bytes(8))
    answer = house.ask(request)
    assert answer.text(2) == phone.number
    assert not {14, 35, 56} & answer.fields.keys()
    row = house.history(request)
    assert row
    assert (row.state, row.reason, row.atc) == (HistoryState.REFUSED, "CRYPTOGRAM_WRONG", -1)


# -- keys and counters -------------------------------------------------------------------------------------------------


def test_the_counter_moves_only_after_a_right_cryptogram(house: PayHouse) -> None:
    phone = house.token()
    house.ask(house.purchase(phone, atc=5, t9F26=bytes(8)))
    house.pay(phone, atc=1)
    assert (house.counter(phone).atc, house.key_set(phone, 1).uses) == (1, 1)


def test_a_right_cryptogram_is_a_use_whatever_is_said_of_it(house: PayHouse) -> None:
    phone = house.token()
    assert house.said(house.purchase(phone, 3_000_000)) == ("61", "AMOUNT_LIMIT")
    row = house.key_set(phone, 1)
    assert (row.uses, row.spent) == (1, 0)


def test_a_use_that_is_past_the_count_says_which_limit(house: PayHouse) -> None:
    """The phone has ATCs left when some of its uses never reached us, and the other way round when its record is doctored."""
    phone = house.token()
    books = house.books()
    [row] = books.key_sets.load(("bucket", "token", "sequence"), [(0, phone.reference, 1)])
    row.uses = 10
    house.keep(books)
    request = house.purchase(phone)
    assert house.said(request) == ("65", "KEY_EXHAUSTED")
    assert house.explained(request)["key"] == (False, "COUNT_EXHAUSTED")


def test_the_set_before_has_grace_for_a_tap_on_its_way(house: PayHouse) -> None:
    phone = house.token()
    old = phone.terms
    assert old
    late = house.purchase(phone)
    phone.uses.clear()  # the phone tells of it with the next request
    house.refresh(phone)
    house.clock.advance(299_000)
    assert house.said(late) == ("00", "")


def test_going_on_to_a_new_set_early_widens_the_window(tmp_path: Path) -> None:
    house = PayHouse(tmp_path)
    phone = house.token(policy=KeyPolicy(max_uses=80))
    house.pay(phone)
    house.refresh(phone)
    request = house.pay(phone)  # 81 after 1
    assert house.explained(request)["atc"] == (True, "81 after 1, window 129")


def test_a_secure_element_needs_no_index(house: PayHouse) -> None:
    """Its key is the token's own, and does not wear out; the counter and the cryptogram are judged as ever."""
    phone = house.token(storage="05")
    for attempt in range(12):
        request = house.purchase(phone, atc=attempt + 1, t9F10=iad())
        request.fields[55] = chip_of_element(phone, request.binary(55))
        assert house.said(request) == ("00", "")
    assert house.explained(request)["key"] == (True, "secure element")
    assert house.said(house.purchase(phone, atc=20, t9F10=iad(), t9F26=bytes(8))) == ("59", "CRYPTOGRAM_WRONG")


def chip_of_element(phone: Phone, chip: bytes) -> bytes:
    """The same data, MACed as a card does: a session key of the token's own key."""
    values = decode_field55(chip)
    udk = udk_option_a(Cipher(Algorithm.TDES, phone.imk), phone.number, "00")
    session = session_key_pboc(Cipher(Algorithm.TDES, udk), int.from_bytes(values[0x9F36]))
    arqc = SessionKey(CardAlgorithm.TDES, session).cryptogram(cryptogram_input(1, values))
    return encode_field55(values | {0x9F26: arqc})


@pytest.mark.parametrize("scheme", list(KeyScheme), ids=lambda scheme: scheme.value)
def test_every_scheme_pays_ten_times(house: PayHouse, scheme: KeyScheme) -> None:
    phone = house.token(policy=KeyPolicy(scheme=scheme))
    for _ in range(10):
        house.pay(phone)
    assert house.key_set(phone, 1).uses == 10
    assert house.said(house.purchase(phone)) == ("65", "KEY_EXHAUSTED")


def test_keys_of_one_scheme_are_not_those_of_another(house: PayHouse) -> None:
    phone = house.token()
    books = house.books()
    [row] = books.key_sets.load(("bucket", "token", "sequence"), [(0, phone.reference, 1)])
    row.scheme = KeyScheme.VISA_LUK.value
    house.keep(books)
    assert house.said(house.purchase(phone)) == ("59", "CRYPTOGRAM_WRONG")


def test_cdcvm_wants_evidence(house: PayHouse) -> None:
    phone = house.token(policy=KeyPolicy(phone_cvm=PhoneCVM.CDCVM))
    assert house.said(house.purchase(phone)) == ("05", "CDCVM_MISSING")
    assert house.said(house.purchase(phone, t9F34=CVM_RESULTS[CVM.NONE])) == ("05", "CDCVM_MISSING")
    assert house.said(house.purchase(phone, t9F34=ON_PHONE)) == ("00", "")
    assert house.said(with_cvr(DONE)(house, phone)) == ("00", "")  # type: ignore[arg-type]
    assert house.said(with_cvr(FAILED, t9F34=ON_PHONE)(house, phone)) == ("05", "CDCVM_WRONG")  # type: ignore[arg-type]


def test_a_token_pays_so_often_a_day(tmp_path: Path) -> None:
    house = PayHouse(tmp_path, TSPConfig(payments_per_day=2))
    phone = house.token()
    house.pay(phone)
    house.pay(phone)
    assert house.said(house.purchase(phone)) == ("65", "COUNT_LIMIT")
    house.clock.advance(24 * 3_600_000)
    house.pay(phone)


def test_transit_takes_counters_out_of_order_once_each(tmp_path: Path) -> None:
    house = PayHouse(tmp_path, TSPConfig(atc_window_below=4, transit_condition="99"))
    gate = {"f18": "4111", "f25": "99"}
    phone = house.token()
    house.pay(phone, atc=5)
    assert house.said(house.purchase(phone, atc=3)) == ("59", "ATC_OUT_OF_WINDOW")  # a shop
    assert house.said(house.purchase(phone, atc=1, **gate)) == ("59", "ATC_OUT_OF_WINDOW")  # too far below
    house.pay(phone, atc=3, **gate)
    assert house.said(house.purchase(phone, atc=3, **gate)) == ("59", "ATC_OUT_OF_WINDOW")
    house.pay(phone, atc=2, **gate)
    assert house.counter(phone).atc == 5


def test_risks_are_told_even_when_nobody_watches(house: PayHouse) -> None:
    phone = house.token()
    request = house.pay(phone)
    again = house.purchase(phone)
    again.fields[55] = request.fields[55]
    house.ask(again)
    house.ask(house.purchase(phone, t9F26=bytes(8)))
    assert house.risks() == ["ATC_OUT_OF_WINDOW", "CRYPTOGRAM_WRONG"]
    shown = "".join(str(event) for event in house.events.events)
    assert phone.number not in shown
    assert "6209010000000001" not in shown


@pytest.mark.parametrize(
    ("before", "afterwards"),
    [
        (token(state="SUSPENDED", suspended_by="ISSUER"), token(state="ACTIVE", suspended_by="")),
        (card(state="lost"), card(state="active")),
        (in_range(entry_modes="05"), in_range(entry_modes="07")),
    ],
    ids=["token suspended", "card lost", "entry mode not allowed"],
)
def test_a_cryptogram_that_was_refused_is_worth_nothing_when_the_reason_is_gone(
    house: PayHouse, before: Attempt, afterwards: Attempt
) -> None:
    phone = house.token()
    before(house, phone)
    refused = house.purchase(phone)
    assert house.said(refused)[0] != "00"
    afterwards(house, phone)
    again = house.purchase(phone)
    again.fields[55] = refused.fields[55]
    assert house.said(again) == ("59", "ATC_OUT_OF_WINDOW")
    assert house.said(house.purchase(phone)) == ("00", "")
