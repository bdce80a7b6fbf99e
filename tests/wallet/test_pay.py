"""A phone pays: from enrolment to the eleventh tap, with and without a network."""

import pytest

from shanfu.card import Interface
from shanfu.emv import FCI, IssuerApplicationData, commands, parse_gpo_response, parse_ppse
from shanfu.messages import Actor, PhoneCVM, TokenState
from shanfu.tokens import KeyScheme
from shanfu.wallet import Model, Refreshed
from tests.wallet.bench import APP, OTHER, Bench, ask, bench

HOUR_MS = 3_600_000


def test_added_and_paid_in_the_same_session() -> None:
    one = bench().enrolled()
    assert one.tap() == "OK"
    assert one.cloud.calls.count("sessions.open") == 1
    assert one.phone.shown[-1].uses_left == 9


@pytest.mark.parametrize("scheme", list(KeyScheme))
def test_ten_taps_offline_the_eleventh_after_a_refresh(scheme: KeyScheme) -> None:
    one = bench(scheme=scheme).enrolled()
    one.phone.online(False)
    assert one.taps(10) == ["OK"] * 10
    assert (one.tap(), one.sentence) == ("6985", "COUNT_EXHAUSTED")
    one.phone.online(True)
    assert (one.tap(), one.sentence) == ("6985", "COUNT_EXHAUSTED"), "on_open: it stays dead though the phone is online"
    assert one.phone.do(one.phone.app(APP).open()) == Refreshed(replenished=(one.token,))
    assert one.taps(11) == ["OK"] * 10 + ["6985"]


def test_it_works_with_the_app_closed_and_after_a_restart() -> None:
    one = bench().enrolled()
    for left in range(9, 0, -1):
        one.restart()
        assert one.tap() == "OK"
        assert one.phone.shown[-1].uses_left == left


@pytest.mark.parametrize(("change", "word", "sentence"), [
    ({},                                                                       "OK",   ""),
    ({"state": TokenState.SUSPENDED, "suspended_by": (Actor.ISSUER,)},         "6985", "SUSPENDED_ISSUER"),
    ({"state": TokenState.SUSPENDED, "suspended_by": (Actor.CARDHOLDER, Actor.TSP)}, "6985", "SUSPENDED_TSP"),
    ({"state": TokenState.SUSPENDED, "suspended_by": (Actor.CARDHOLDER,)},     "6985", "FROZEN"),
    ({"state": TokenState.INACTIVE},                                           "6985", "NOT_VERIFIED"),
    ({"state": TokenState.DEACTIVATED},                                        "PPSE 6A82", "NO_CARD"),
])  # fmt: skip
def test_what_the_token_service_says_holds_after_a_refresh(change: dict[str, object], word: str, sentence: str) -> None:
    one = bench().enrolled()
    one.cloud.set(one.token, **change)
    assert one.tap() == "OK", "the phone has not heard of it yet; the token service would refuse"
    one.phone.do(one.phone.app(APP).open())
    assert (one.tap(), one.sentence) == (word, sentence)


@pytest.mark.parametrize(("amounts", "words"), [
    ([2_000_000],               ["OK"]),
    ([2_000_001],               ["6985 AMOUNT_EXHAUSTED"]),
    ([1_950_000, 60_000, 50_000, 1], ["OK", "6985 AMOUNT_EXHAUSTED", "OK", "6985 AMOUNT_EXHAUSTED"]),
])  # fmt: skip
def test_the_amount_of_a_key_set(amounts: list[int], words: list[str]) -> None:
    one = bench().enrolled()
    assert [f"{one.tap(amount)} {one.sentence}".strip() for amount in amounts] == words


def test_a_payment_refused_for_its_amount_is_a_reason_to_refresh() -> None:
    one = bench().enrolled()
    one.tap(1_950_000)
    assert one.tap(60_000) == "6985"
    one.restart()
    assert one.phone.app(APP).cards()[0].why_not is not None
    one.phone.do(one.phone.app(APP).open())
    assert one.tap(60_000) == "OK"


@pytest.mark.parametrize(("later_ms", "word"), [
    (432_000_000 - 1, "OK"),
    (432_000_000,     "6985 TTL_EXPIRED"),
])  # fmt: skip
def test_the_time_of_a_key_set(later_ms: int, word: str) -> None:
    one = bench().enrolled()
    one.clock.advance(later_ms)
    assert f"{one.tap()} {one.sentence}".strip() == word
    if word != "OK":
        one.phone.do(one.phone.app(APP).open())
        assert one.tap() == "OK"


def test_the_tokens_own_expiry_and_its_renewal() -> None:
    one = bench(ttl_s=10**9).enrolled()
    one.clock.advance((366 + 3 * 365 + 39) * 24 * HOUR_MS)  # the last minutes of December 2029, and on
    while one.tap() == "OK":
        one.clock.advance(HOUR_MS)
    assert one.sentence == "TOKEN_EXPIRED"
    one.phone.do(one.phone.app(APP).open())
    assert one.tap() == "OK"
    assert one.phone.app(APP).cards()[0].expiry == "3312"


def test_an_expired_token_whose_issuer_does_not_renew_stays_dead() -> None:
    one = bench(renewable=False).enrolled()
    one.cloud.set(one.token, state=TokenState.EXPIRED)
    one.phone.do(one.phone.app(APP).open())
    assert (one.tap(), one.sentence) == ("6985", "TOKEN_EXPIRED")
    assert "tokens.renew" not in one.cloud.calls


# -- what a terminal sees ----------------------------------------------------------------------------------------------


def gpo(one: Bench, ttq: str = "36800000") -> tuple[int, dict[int, bytes]]:
    target = one.phone.tap_target
    assert target.power_on(Interface.CONTACTLESS)
    entries = parse_ppse(ask(target, commands.select_ppse()).data)
    fci = FCI.parse(ask(target, commands.select(entries[0].aid)).data)
    assert fci.pdol is not None
    values = {0x9F66: bytes.fromhex(ttq), 0x9F02: bytes(6), 0x5F2A: b"\x01\x56", 0x9F37: b"\1\2\3\4"}
    answer = ask(target, commands.get_processing_options(fci.pdol.fill(values)))
    return answer.sw, parse_gpo_response(answer.data) if answer.ok else {}


def test_the_answer_looks_like_a_cards_and_names_its_key() -> None:
    one = bench().enrolled()
    sw, tags = gpo(one)
    token = one.cloud.tokens[one.token]
    assert sw == 0x9000
    assert list(tags) == [0x82, 0x9F36, 0x57, 0x9F10, 0x9F26, 0x5F34, 0x9F6C, 0x9F63]
    assert tags[0x57].hex().startswith(token.number + "d2912220")
    assert (tags[0x5F34], tags[0x9F63][9]) == (b"\0", 1)
    iad = IssuerApplicationData.parse(tags[0x9F10])
    assert (iad.dki, iad.cvn, iad.key_index) == (1, 1, token.sets[1].terms.index)
    assert iad.idd is not None
    assert iad.idd.hex() == "a10" + token.sets[1].terms.index


def test_records_hold_what_a_token_tells() -> None:
    one = bench().enrolled()
    gpo(one)
    record = ask(one.phone.tap_target, commands.read_record(2, 1)).data.hex().upper()
    view = one.cloud.tokens[one.token].view
    for tag in ("9F19060" + view.trid, "9F241D" + view.par.encode().hex().upper(), "9F2502" + view.pan_last4):
        assert tag in record


def test_get_data_shows_the_number_used_last() -> None:
    one = bench().enrolled()
    for number in (1, 2):
        gpo(one)
        assert ask(one.phone.tap_target, commands.get_data(0x9F36)).data.hex() == f"9f36020{number:03d}"
    one.restart()
    target = one.phone.tap_target
    target.power_on(Interface.CONTACTLESS)
    ask(target, commands.select(bytes.fromhex("A000000333010101")))
    assert ask(target, commands.get_data(0x9F36)).data.hex() == "9f36020002"


def test_select_alone_is_no_use_and_a_torn_tap_is_one() -> None:
    one = bench().enrolled()
    target = one.phone.tap_target
    for _ in range(20):
        target.power_on(Interface.CONTACTLESS)
        assert ask(target, commands.select_ppse()).ok
        assert ask(target, commands.select(bytes.fromhex("A000000333010101"))).ok
        target.power_off()
    assert one.held().uses_left == 10
    gpo(one)
    target.power_off()
    assert one.held().uses_left == 9


def test_an_exhausted_card_is_still_listed_and_lets_itself_be_selected() -> None:
    one = bench().enrolled()
    one.taps(10)
    assert gpo(one)[0] == 0x6985


@pytest.mark.parametrize(("said", "word"), [
    ({"T9F02": "00000000000A"}, "6A80"),
    ({"T9F66": "00000000"},     "6985"),  # a terminal without qPBOC
])  # fmt: skip
def test_what_makes_no_sense_spends_nothing(said: dict[str, str], word: str) -> None:
    one = bench().enrolled()
    assert one.tap(**said) == word
    assert one.held().uses_left == 10


@pytest.mark.parametrize(("ttq", "ctq", "cvr"), [
    ("36800000", "2000", "03a00000"),  # nothing asked
    ("36C00000", "a000", "03a00000"),  # a PIN at the POS, the bank card's
    ("32C00000", "6000", "03a00000"),  # a terminal without PIN pad: signature
])  # fmt: skip
@pytest.mark.parametrize("locked", [False, True])
def test_online_pin_answers_as_a_card_does(ttq: str, ctq: str, cvr: str, locked: bool) -> None:
    one = bench().enrolled()
    if locked:
        one.phone.lock()
    sw, tags = gpo(one, ttq)
    assert (sw, tags[0x9F6C].hex(), IssuerApplicationData.parse(tags[0x9F10]).cvr.hex()) == (0x9000, ctq, cvr)


def test_cdcvm_unlocked_is_told_and_locked_is_see_phone() -> None:
    one = bench(phone_cvm=PhoneCVM.CDCVM).enrolled()
    sw, tags = gpo(one, "36C00000")
    assert (sw, tags[0x9F6C].hex(), IssuerApplicationData.parse(tags[0x9F10]).cvr.hex()) == (0x9000, "2080", "03a40000")
    one.phone.lock()
    assert gpo(one)[0] == 0x6986
    assert one.sentence == "UNLOCK"
    assert one.held().uses_left == 9
    one.phone.unlock()
    assert gpo(one)[0] == 0x9000


@pytest.mark.parametrize("silent", [
    lambda phone: phone.screen_off(),
    lambda phone: phone.nfc(False),
])  # fmt: skip
def test_without_an_antenna_there_is_no_answer_at_all(silent: object) -> None:
    one = bench().enrolled()
    silent(one.phone)  # type: ignore[operator]
    target = one.phone.tap_target
    assert target.power_on(Interface.CONTACTLESS) == b""
    assert target.answer(bytes(commands.select_ppse())) == b""
    assert target.power_on(Interface.CONTACT) == b""


def test_a_phone_without_nfc() -> None:
    one = bench()
    one.model = Model(name="old", nfc=False)
    one.restart()
    assert one.tap() == "silent"
    refused = one.phone.do(one.phone.app(APP).enrol())
    assert refused.problem.code == "nfc-missing"  # type: ignore[union-attr]


@pytest.mark.parametrize("raw", ["", "00", "00A4", "80A8000002830000", "00B2010C00", "00" * 300, "FFFFFFFFFF"])
def test_any_bytes_get_a_status_word(raw: str) -> None:
    for one in (bench(), bench().enrolled()):
        target = one.phone.tap_target
        assert target.power_on(Interface.CONTACTLESS)
        assert len(target.answer(bytes.fromhex(raw))) >= 2
        assert target.power_on(Interface.CONTACTLESS)


# -- two bank apps -----------------------------------------------------------------------------------------------------


def last4_shown(one: Bench) -> str:
    sw, tags = gpo(one)
    assert sw == 0x9000
    return tags[0x57].hex()[12:16]


def test_the_app_in_front_else_the_default_one_and_never_anothers_card() -> None:
    one = bench().enrolled(APP).enrolled(OTHER)
    mine, other = (token.number[-4:] for token in one.cloud.tokens.values())
    assert last4_shown(one) == mine, "the first app is the default one"
    one.phone.bring_to_front(OTHER)
    assert last4_shown(one) == other
    one.phone.lock()
    assert last4_shown(one) == mine, "no app is in front of a locked screen"
    one.phone.make_default(OTHER)
    assert last4_shown(one) == other
    one.phone.unlock()
    one.phone.bring_to_front(APP)
    one.phone.do(one.phone.app(APP).delete(one.token))
    assert (one.tap(), one.sentence) == ("PPSE 6A82", "NO_CARD"), "the other app's card is not shown instead"
    one.phone.bring_to_front("")
    assert last4_shown(one) == other


def test_one_of_two_cards_of_an_app_is_the_default() -> None:
    one = bench().enrolled()
    one.phone.do(one.phone.app(APP).login("lin", "right"))
    one.cloud.green = True
    one.phone.do(one.phone.app(APP).add_card("card-0026"))
    first, second = one.cloud.tokens
    app = one.phone.app(APP)
    assert [line.default for line in app.cards()] == [True, False]
    assert app.set_default(second) is None
    assert last4_shown(one) == one.cloud.tokens[second].number[-4:]
    one.phone.do(app.delete(second))
    assert last4_shown(one) == one.cloud.tokens[first].number[-4:]
    assert app.set_default("nobody") is not None
