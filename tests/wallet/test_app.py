"""The bank's app: adding a card, showing who one is, what its holder wishes, what it lists."""

from typing import Any

import pytest
from msgspec import structs

from shanfu.crypto import P256Key
from shanfu.dialogue import Finished, advance
from shanfu.events import Recorder
from shanfu.messages import Actor, IDVMethod, ProblemCode, TokenState, problem, wallet
from shanfu.store import DictMemory
from shanfu.wallet import Added, AppState, DeviceKeyStore, Model, Phone, Reason, Refused
from tests.wallet.bench import APP, CODE, OTHER, Bench, bench


def app(one: Bench) -> Any:
    return one.phone.app(APP)


def do(one: Bench, dialogue: Any) -> Any:
    return one.phone.do(dialogue)


def logged_in(one: Bench) -> Bench:
    do(one, app(one).enrol())
    do(one, app(one).login("lin", "right"))
    return one


# -- enrolment ---------------------------------------------------------------------------------------------------------


def test_enrolled_with_what_it_costs() -> None:
    one = bench()
    known = do(one, app(one).enrol())
    assert isinstance(known, AppState)
    assert (known.device, known.lowered) == ("d1", ("no attestation",))
    assert one.phone.switches.default_app == APP


def test_each_app_is_a_device_of_its_own_with_its_own_keys() -> None:
    one = bench()
    do(one, app(one).enrol())
    do(one, one.phone.app(OTHER).enrol())
    mine, other = one.cloud.devices.values()
    assert (mine.app, other.app) == (APP, OTHER)
    assert len({mine.sign, mine.wrap, other.sign, other.wrap}) == 4
    assert one.phone.switches.default_app == APP


def test_enrolling_again_changes_nothing() -> None:
    one = bench().enrolled()
    before = one.phone.handset.state()
    do(one, app(one).enrol())
    assert one.phone.handset.state() == before
    assert one.tap() == "OK"


def test_a_bank_that_knows_the_phone_by_another_name_has_none_of_its_tokens() -> None:
    one = bench().enrolled()
    one.cloud.devices["d7"] = one.cloud.devices.pop("d1")
    assert do(one, app(one).enrol()).device == "d7"
    assert app(one).cards() == []
    assert one.storage.names() == ["state"]


def test_the_cloud_must_be_the_one_the_app_was_shipped_with() -> None:
    for pin, fits in ((None, True), (P256Key.generate().point, False)):
        one = bench()
        pins = {APP: pin or one.cloud.key.point}
        phone = Phone(
            DictMemory(), DeviceKeyStore(DictMemory()), model=Model(name="x"), clock=one.clock, cloud=one.cloud, pins=pins
        )
        known = phone.do(phone.app(APP).enrol())
        assert isinstance(known, AppState) == fits
        assert fits or known == Refused(reason=Reason.CLOUD_UNTRUSTED)


def test_an_attester_vouches_for_the_keys() -> None:
    one, seen = bench(), list[wallet.Enrol]()

    def attest(asked: wallet.Enrol) -> wallet.Attestation:
        seen.append(asked)
        return wallet.Attestation(format="shanfu-test", statement=wallet.enrolment_statement(asked).hex())

    phone = Phone(
        DictMemory(), DeviceKeyStore(DictMemory()), model=Model(name="x"), clock=one.clock, cloud=one.cloud, attest=attest
    )
    phone.do(phone.app(APP).enrol())
    assert seen[0].attestation.format == "none"
    assert bytes.fromhex(seen[0].sign_key) == one.cloud.devices["d1"].sign


@pytest.mark.parametrize(("act", "reason"), [
    (lambda a: a.open(),                              Reason.NOT_ENROLLED),
    (lambda a: a.login("lin", "right"),               Reason.NOT_ENROLLED),
    (lambda a: a.add_card("card-0013"),               Reason.NOT_LOGGED_IN),
    (lambda a: a.choose_idv("t", IDVMethod.SMS),      Reason.NO_SUCH_CARD),
    (lambda a: a.submit_code("t", IDVMethod.SMS, ""), Reason.NO_SUCH_CARD),
    (lambda a: a.submit_code("t", IDVMethod.BANK_APP), Reason.NOT_LOGGED_IN),
    (lambda a: a.freeze("t"),                         Reason.NO_SUCH_CARD),
    (lambda a: a.unfreeze("t"),                       Reason.NO_SUCH_CARD),
    (lambda a: a.delete("t"),                         Reason.NO_SUCH_CARD),
    (lambda a: a.transactions("t"),                   Reason.NO_SUCH_CARD),
    (lambda a: a.refresh(),                           Reason.NOT_ENROLLED),
])  # fmt: skip
def test_before_its_time(act: Any, reason: Reason) -> None:
    one = bench()
    assert do(one, act(app(one))) == Refused(reason=reason)


# -- adding ------------------------------------------------------------------------------------------------------------


def test_the_way_of_a_card() -> None:
    one = bench()
    do(one, app(one).enrol())
    login = do(one, app(one).login("lin", "right"))
    assert [card.last4 for card in login.cards] == ["0013", "0026"]
    added = do(one, app(one).add_card("card-0013"))
    assert (added.decision, added.view.state, [option.method for option in added.options]) == (
        "YELLOW", TokenState.INACTIVE, [IDVMethod.SMS],
    )  # fmt: skip
    assert (one.tap(), one.sentence) == ("PPSE 6A82", "NO_CARD")
    token = added.view.token
    sent = do(one, app(one).choose_idv(token, IDVMethod.SMS))
    assert sent.hint == "138****0001"
    wrong = do(one, app(one).submit_code(token, IDVMethod.SMS, "000000"))
    assert (wrong.reason, wrong.problem.code, wrong.en) == (Reason.REFUSED, "code-wrong", ProblemCode.CODE_WRONG.phrase)
    added = do(one, app(one).submit_code(token, IDVMethod.SMS, CODE))
    assert isinstance(added, Added)
    assert (added.view.state, added.missing) == (TokenState.ACTIVE, None)
    assert one.tap() == "OK"


def test_logged_in_the_bank_app_itself_may_be_the_proof() -> None:
    one = logged_in(bench())
    token = do(one, app(one).add_card("card-0013")).view.token
    assert do(one, app(one).submit_code(token, IDVMethod.BANK_APP)).view.state is TokenState.ACTIVE
    assert one.tap() == "OK"


@pytest.mark.parametrize("op", ["cards.provision", "tokens.profile", "keys.replenish", "keys.confirm"])
def test_a_lost_answer_makes_no_second_token_and_no_second_set(op: str) -> None:
    one = bench()
    one.cloud.green = True
    one.cloud.lost[op] = 1
    logged_in(one)
    do(one, app(one).add_card("card-0013"))
    assert len(one.cloud.tokens) == 1
    assert len(one.cloud.tokens[one.token].sets) == 1
    assert one.tap() == "OK"


def test_a_token_whose_answer_was_lost_for_good_is_found_by_the_next_opening() -> None:
    one = bench()
    one.cloud.green = True
    one.cloud.lost["cards.provision"] = 2
    logged_in(one)
    assert do(one, app(one).add_card("card-0013")) == Refused(reason=Reason.NO_ANSWER)
    do(one, app(one).open())
    assert one.tap() == "OK"


def test_refused_by_the_bank_with_its_reasons() -> None:
    one = logged_in(bench())
    one.cloud.changes["cards.provision"] = lambda _: wallet.Provisioned(decision="RED", reasons=("TOO_MANY_TOKENS",))
    assert do(one, app(one).add_card("card-0013")) == Refused(reason=Reason.CARD_REFUSED, detail="TOO_MANY_TOKENS")
    assert do(one, app(one).add_card("somebody elses")) == Refused(reason=Reason.NO_SUCH_CARD)


def test_wrong_password() -> None:
    one = bench()
    do(one, app(one).enrol())
    refused = do(one, app(one).login("lin", "wrong"))
    assert (refused.problem.code, refused.zh) == ("login-wrong", "用户名或密码错误")
    assert do(one, app(one).add_card("card-0013")) == Refused(reason=Reason.NOT_LOGGED_IN)


def test_a_login_lasts_as_long_as_its_session() -> None:
    one = logged_in(bench())
    one.clock.advance(16 * 60_000)
    assert do(one, app(one).add_card("card-0013")) == Refused(reason=Reason.NOT_LOGGED_IN)
    do(one, app(one).login("lin", "right"))
    assert isinstance(do(one, app(one).add_card("card-0013")), Added)
    one.restart()
    assert do(one, app(one).add_card("card-0026")) == Refused(reason=Reason.NOT_LOGGED_IN)


def test_passwords_and_codes_are_kept_nowhere_and_shown_nowhere() -> None:
    one, recorder = bench(), Recorder()
    keys = DeviceKeyStore(one.keystore)
    one.phone = Phone(one.storage, keys, model=one.model, clock=one.clock, cloud=one.cloud, events=recorder)
    one.enrolled()
    one.tap()
    number = one.cloud.tokens[one.token].number
    told = repr(recorder.events) + repr(one.phone.handset.state())
    for secret in ("right", CODE, number):
        assert secret not in told
    assert {event.title for event in recorder.events} >= {"accounts.login", "keys.replenish", "a use is spent"}


# -- listing -----------------------------------------------------------------------------------------------------------


def test_what_is_listed() -> None:
    one = bench().enrolled()
    one.tap(2_500)
    (line,) = app(one).cards()
    number = one.cloud.tokens[one.token].number
    assert (line.pan_last4, line.token_last4, line.state, line.expiry) == ("0013", number[-4:], TokenState.ACTIVE, "2912")
    assert (line.uses_left, line.max_uses, line.amount_left, line.default, line.ready) == (9, 10, 1_997_500, True, True)
    assert line.keys_expire_ms == one.clock.now_ms() + 432_000_000
    one.taps(9)
    (line,) = app(one).cards()
    assert (line.uses_left, line.ready, line.why_not) == (0, False, Reason.COUNT_EXHAUSTED)


def test_payments_are_listed_with_their_reasons() -> None:
    one = bench().enrolled()
    listed = do(one, app(one).transactions(one.token))
    assert [(item.result, item.reason) for item in listed.items] == [("DECLINED", "NOT_ENOUGH_MONEY")]


def test_no_app_sees_or_touches_anothers_card() -> None:
    one = bench().enrolled(APP).enrolled(OTHER)
    other = list(one.cloud.tokens)[1]
    assert [line.token for line in app(one).cards()] == [one.token]
    for act in (app(one).freeze, app(one).delete, app(one).transactions):
        assert do(one, act(other)) == Refused(reason=Reason.NO_SUCH_CARD)
    assert app(one).set_default(other) == Refused(reason=Reason.NO_SUCH_CARD)


# -- wishes ------------------------------------------------------------------------------------------------------------


def test_frozen_and_unfrozen() -> None:
    one = bench().enrolled()
    assert do(one, app(one).freeze(one.token)) is None
    assert (one.tap(), one.sentence) == ("6985", "FROZEN")
    assert one.cloud.tokens[one.token].view.suspended_by == (Actor.CARDHOLDER,)
    assert do(one, app(one).unfreeze(one.token)) is None
    assert one.tap() == "OK"


def test_frozen_offline_it_holds_at_once_and_the_bank_hears_of_it_later() -> None:
    one = bench().enrolled()
    one.phone.online(False)
    assert do(one, app(one).freeze(one.token)) == Refused(reason=Reason.OFFLINE)
    one.restart()
    assert (one.tap(), one.sentence) == ("6985", "FROZEN")
    assert do(one, app(one).unfreeze(one.token)) == Refused(reason=Reason.OFFLINE), "the bank must agree"
    one.phone.online(True)
    do(one, app(one).open())
    assert one.cloud.tokens[one.token].view.state is TokenState.SUSPENDED
    assert not one.held().frozen
    assert (one.tap(), one.sentence) == ("6985", "FROZEN")


def test_ones_own_unfreezing_does_not_lift_the_banks_suspension() -> None:
    one = bench().enrolled()
    do(one, app(one).freeze(one.token))
    one.cloud.set(one.token, suspended_by=(Actor.CARDHOLDER, Actor.ISSUER))
    assert do(one, app(one).unfreeze(one.token)) is None
    assert (one.tap(), one.sentence) == ("6985", "SUSPENDED_ISSUER")


def test_deleted() -> None:
    one = bench().enrolled()
    assert do(one, app(one).delete(one.token)) is None
    assert app(one).cards() == []
    assert one.storage.names() == ["state"]
    assert (one.tap(), one.sentence) == ("PPSE 6A82", "NO_CARD")


def test_deleted_offline_its_keys_are_gone_at_once_and_it_stays_deleted() -> None:
    one = bench().enrolled()
    one.phone.online(False)
    assert do(one, app(one).delete(one.token)) == Refused(reason=Reason.OFFLINE)
    assert one.storage.names() == ["state"]
    assert [line.why_not for line in app(one).cards()] == [Reason.DELETED]
    one.phone.online(True)
    do(one, app(one).open())
    assert one.cloud.tokens[one.token].view.state is TokenState.DEACTIVATED
    assert app(one).cards() == []


def test_deleted_there_already_when_the_bank_hears_of_it() -> None:
    one = bench().enrolled()
    one.phone.online(False)
    do(one, app(one).delete(one.token))
    one.phone.online(True)
    one.cloud.tokens.clear()
    do(one, app(one).open())
    assert app(one).cards() == []


def test_deleted_by_the_bank_it_is_listed_until_it_is_forgotten() -> None:
    one = bench().enrolled()
    one.cloud.set(one.token, state=TokenState.DEACTIVATED)
    do(one, app(one).open())
    assert one.storage.names() == ["state"]
    assert [line.why_not for line in app(one).cards()] == [Reason.DELETED]
    app(one).forget(one.token)
    assert app(one).cards() == []


def test_a_token_that_the_bank_does_not_list_any_more_is_gone() -> None:
    one = bench().enrolled()
    one.cloud.changes["news.take"] = lambda _: wallet.News()
    do(one, app(one).open())
    assert [line.why_not for line in app(one).cards()] == [Reason.DELETED]
    one.cloud.changes.clear()
    do(one, app(one).open())
    assert one.tap() == "OK", "until it is listed again"
    assert one.held().sequence == 2


def test_a_list_asked_for_before_a_card_was_added_does_not_delete_it() -> None:
    one = logged_in(bench())
    one.cloud.green = True
    opening = app(one).open()
    step = advance(opening)
    reply = one.cloud(step.message)
    do(one, app(one).add_card("card-0013"))
    while not isinstance(step, Finished):
        step = advance(opening, reply)
        reply = None if isinstance(step, Finished) else one.cloud(step.message)
    assert one.tap() == "OK"


@pytest.mark.parametrize("at", range(1, 5))
def test_deleted_while_a_refresh_is_on_its_way(at: int) -> None:
    one = bench().enrolled()
    one.taps(9)
    one.cloud.set(one.token, pan_last4="7777")
    opening = app(one).open()
    step, asked = advance(opening), 0
    while not isinstance(step, Finished):
        reply = one.cloud(step.message)
        asked += 1
        if asked == at:
            one.phone.do(app(one).delete(one.token))
        step = advance(opening, reply)
    assert one.storage.names() == ["state"]
    assert app(one).cards() == []
    for _ in range(2):
        do(one, app(one).open())
        assert app(one).cards() == []
    assert one.phone.handset.state().tokens == {}


def test_another_clouds_key_is_not_believed_later() -> None:
    one = bench().enrolled()
    one.cloud.key = P256Key.generate()
    assert do(one, app(one).enrol()) == Refused(reason=Reason.CLOUD_UNTRUSTED)


def test_a_view_of_another_device_is_not_taken_over() -> None:
    one = bench().enrolled()
    stray = structs.replace(one.cloud.tokens[one.token].view, token="e" * 32, device="d9")
    one.cloud.changes["news.take"] = lambda news: structs.replace(news, tokens=(*news.tokens, stray))
    do(one, app(one).open())
    assert [line.token for line in app(one).cards()] == [one.token]


def test_an_older_view_that_comes_late_changes_nothing() -> None:
    one = bench().enrolled()
    old = one.cloud.tokens[one.token].view
    do(one, app(one).freeze(one.token))
    one.cloud.changes["news.take"] = lambda _: wallet.News(tokens=(old,))
    do(one, app(one).open())
    assert (one.tap(), one.sentence) == ("6985", "FROZEN")


@pytest.mark.parametrize("code", list(ProblemCode))
def test_every_refusal_has_its_words(code: ProblemCode) -> None:
    one = bench().enrolled()
    one.cloud.refuse["transactions.list"] = problem(code)
    refused = do(one, app(one).transactions(one.token))
    assert refused.en
    assert refused.zh


def test_every_reason_has_its_words() -> None:
    for reason in Reason:
        assert reason.en
        assert reason.zh
        assert str(reason) == reason.name
