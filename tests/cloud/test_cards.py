"""Logging in, adding a card, ID&V, and what a holder does with his tokens."""

import pytest
from msgspec import structs

from shanfu.cloud import CloudConfig
from shanfu.errors import ConfigError
from shanfu.messages import Actor, IDVMethod, ProblemCode, Reply, TokenState, issuing, pack, problem, unpack, wallet
from tests.cloud.service import TRID
from tests.cloud.world import HARBOUR, Phone, World, said


def session(world: World, **info: object) -> Phone:
    phone = world.phone(**info)
    phone.enrol()
    phone.open()
    return phone


# -- logging in and adding ---------------------------------------------------------------------------------------------


def test_a_login_is_the_banks_to_judge(world: World) -> None:
    phone = session(world)
    assert said(phone.login(password="wrong")) == "login-wrong"
    assert said(phone.provision()) == "forbidden NOT_LOGGED_IN"
    answer = phone.login()
    assert ([card.card for card in answer.cards], answer.customer) == (["card-1", "card-2"], "customer lilei")
    assert {caller for _, caller, _ in world.service.asked} == {f"requestor/{TRID}"}


def test_each_app_asks_in_its_own_name(world: World) -> None:
    session(world, app=HARBOUR).login()
    assert world.service.asked[-1][1] == "requestor/90100000002"


# fmt: off
PROVISIONS = [  # what the phone asks                        what it hears
    ({},                                                     "Provisioned"),
    ({"card": "card-9"},                                     "refused CARD_NOT_OFFERED"),
    ({"customer": "customer han"},                           "forbidden NOT_LOGGED_IN"),
    ({"customer": ""},                                       "forbidden NOT_LOGGED_IN"),
    ({"terms": "t-0"},                                       "refused TERMS_NOT_ACCEPTED"),
    ({"terms_accepted_ms": 0},                               "refused TERMS_NOT_ACCEPTED"),
    ({"terms_accepted_ms": 2_000_000_000_000},               "refused TERMS_NOT_ACCEPTED"),
]
# fmt: on


@pytest.mark.parametrize(("change", "heard"), PROVISIONS)
def test_which_cards_may_be_added(world: World, change: dict, heard: str) -> None:
    phone = session(world)
    phone.login()
    assert said(phone.provision(**change)) == heard
    assert len(world.asked("tsp.request")) == (heard == "Provisioned")


def test_a_new_session_has_nobody_logged_in(world: World) -> None:
    phone = session(world)
    phone.login()
    phone.open()
    assert said(phone.provision()) == "forbidden NOT_LOGGED_IN"


def test_a_repeat_of_adding_is_one_enrolment(world: World) -> None:
    phone = session(world)
    phone.login()
    accepted_ms = world.clock.now_ms()
    world.service.silent.add("tsp.request")
    assert said(phone.provision(key="add", terms_accepted_ms=accepted_ms)) == "unavailable"
    world.service.silent.clear()
    first = phone.provision(key="add", terms_accepted_ms=accepted_ms)
    assert phone.provision(key="add", terms_accepted_ms=accepted_ms) == first
    assert said(phone.provision(key="add", card="card-2")) == "conflict"
    assert len(world.service.tokens) == 1


AGAIN = "CARD_ADDED_AGAIN_OFTEN"

# fmt: off
COLOURS = [  # setting                  cards added before                       colour    reasons
    ({},                                [],                                      "GREEN",  ()),
    ({"cards_most": 2},                 ["card-2"],                              "GREEN",  ()),
    ({"cards_most": 1},                 ["card-1"],                              "GREEN",  ()),
    ({"cards_most": 2},                 ["card-2", "card-2"],                    "RED",    ("TOO_MANY_CARDS_ON_DEVICE",)),
    ({"re_adds_most": 2},               ["-card-1", "-card-1"],                  "YELLOW", (AGAIN,)),
    ({"re_adds_most": 2},               ["-card-1", "-card-2"],                  "GREEN",  ()),
    ({"re_adds_most": 2},               ["-card-1", "card-1"],                   "GREEN",  ()),
    ({"cards_most": 1, "re_adds_most": 1}, ["-card-1", "card-2"],                "RED",    ("TOO_MANY_CARDS_ON_DEVICE", AGAIN)),
]
# fmt: on


@pytest.mark.parametrize(("setting", "before", "colour", "reasons"), COLOURS)
def test_the_wallet_gives_a_colour(tmp_path, setting: dict, before: list, colour: str, reasons: tuple) -> None:
    world = World(tmp_path, CloudConfig(**setting))
    phone = session(world)
    phone.login()
    for card in before:
        token = phone.provision(card.lstrip("-")).view.token
        if card.startswith("-"):
            phone.ask("tokens.delete", wallet.ChangeToken(token=token))
    answer = phone.provision("card-1")
    request = world.asked("tsp.request")[-1]
    assert (request.colour.value, request.reasons) == (colour, reasons)
    assert (answer.decision == "RED", answer.view is None) == (colour == "RED", colour == "RED")
    world.close()


def test_many_people_on_one_phone_are_told(world: World) -> None:
    phone = session(world)
    for user in ("a", "b", "c", "lilei"):
        phone.login(user)
    phone.provision()
    assert world.asked("tsp.request")[-1].reasons == ("MANY_CUSTOMERS_ON_DEVICE",)


# -- ID&V --------------------------------------------------------------------------------------------------------------


def test_a_code_makes_the_token_active(world: World) -> None:
    phone = session(world)
    phone.login()
    token = phone.provision().view.token
    assert said(phone.replenish(token=token)) == "wrong-state INACTIVE"
    assert said(phone.ask("idv.choose", wallet.ChooseIDV(token=token, method=IDVMethod.SMS))) == "CodeSent"
    wrong = wallet.SubmitCode(token=token, method=IDVMethod.SMS, code="000000")
    assert said(phone.ask("idv.submit", wrong)) == "code-wrong"
    right = wallet.SubmitCode(token=token, method=IDVMethod.SMS, code="246810")
    assert phone.ask("idv.submit", right).view.state is TokenState.ACTIVE
    assert said(phone.replenish(token=token)) == "KeySet"


@pytest.mark.parametrize(
    ("op", "body"),
    [
        ("idv.choose", wallet.ChooseIDV(token="{}", method=IDVMethod.SMS)),
        ("idv.submit", wallet.SubmitCode(token="{}", method=IDVMethod.SMS, code="246810")),
        ("tokens.profile", wallet.ProfileAsked(token="{}")),
        ("keys.replenish", wallet.ReplenishKeys(token="{}", sequence=1)),
        ("keys.confirm", wallet.ConfirmKeys(token="{}", sequence=1)),
        ("tokens.freeze", wallet.ChangeToken(token="{}")),
        ("tokens.unfreeze", wallet.ChangeToken(token="{}")),
        ("tokens.delete", wallet.ChangeToken(token="{}")),
        ("tokens.renew", wallet.ProfileAsked(token="{}")),
        ("transactions.list", wallet.TransactionsAsked(token="{}")),
    ],
)
def test_anothers_token_is_not_found(world: World, phone: Phone, op: str, body: object) -> None:
    """Another phone's token answers as one that does not exist."""
    other = session(world)
    before = len(world.service.asked)
    for token in (phone.token, "0" * 32, ""):
        assert said(other.ask(op, structs.replace(body, token=token))) == "not-found TOKEN_UNKNOWN"
    assert len(world.service.asked) == before


# -- what a holder does ------------------------------------------------------------------------------------------------


def test_freezing_and_lifting_ones_own(world: World, phone: Phone) -> None:
    frozen = phone.ask("tokens.freeze", wallet.ChangeToken(token=phone.token))
    assert [(view.state, view.suspended_by) for view in frozen.tokens] == [(TokenState.SUSPENDED, (Actor.CARDHOLDER,))]
    assert said(phone.replenish()) == "wrong-state SUSPENDED"
    other = wallet.ChangeToken(token=phone.token, actor=Actor.CDCVM_LOCKED)
    assert said(phone.ask("tokens.unfreeze", other)) == "wrong-state NOT_SUSPENDED_BY_YOU"
    lifted = phone.ask("tokens.unfreeze", wallet.ChangeToken(token=phone.token))
    assert lifted.tokens[0].state is TokenState.ACTIVE
    for actor in (Actor.ISSUER, Actor.TSP, Actor.TOKEN_REQUESTOR):
        asked = wallet.ChangeToken(token=phone.token, actor=actor)
        assert said(phone.ask("tokens.freeze", asked)) == "forbidden ACTOR_NOT_ALLOWED"


def test_a_deleted_token_has_no_keys_and_is_told_for_a_while(world: World, phone: Phone) -> None:
    phone.replenish()
    news = phone.ask("tokens.delete", wallet.ChangeToken(token=phone.token))
    assert [view.state for view in news.tokens] == [TokenState.DEACTIVATED]
    assert said(phone.replenish()) == "wrong-state DEACTIVATED"
    assert phone.news().tokens
    world.clock.advance(world.config.dead_kept_ms)
    phone.open()
    assert phone.news().tokens == ()


def test_renewing_is_the_issuers_to_allow(world: World, phone: Phone) -> None:
    world.service.tell(phone.token, "EXPIRE", state=TokenState.EXPIRED)
    world.settle()
    assert said(phone.replenish()) == "wrong-state EXPIRED"
    no = issuing.TokenChanges(changes=(issuing.TokenChange(token=phone.token, result="RENEWAL_NOT_ALLOWED"),))
    world.service.say["tsp.renew"] = lambda caller, asked: no
    assert said(phone.ask("tokens.renew", wallet.ProfileAsked(token=phone.token))) == "refused RENEWAL_NOT_ALLOWED"
    del world.service.say["tsp.renew"]
    news = phone.ask("tokens.renew", wallet.ProfileAsked(token=phone.token))
    assert [(view.state, view.expiry) for view in news.tokens] == [(TokenState.ACTIVE, "3112")]


# fmt: off
CHANGES = [  # what the service says                                      what the phone hears
    (issuing.TokenChanges(),                                              "not-found TOKEN_UNKNOWN"),
    (issuing.TokenChanges(changes=(issuing.TokenChange(token="x", result="NOT_FOUND"),)),      "not-found TOKEN_UNKNOWN"),
    (issuing.TokenChanges(changes=(issuing.TokenChange(token="x", result="TERMINAL_STATE"),)), "wrong-state TERMINAL_STATE"),
    (issuing.TokenChanges(changes=(issuing.TokenChange(token="x", result="ALREADY_DONE"),)),   "News"),
    (problem(ProblemCode.FORBIDDEN),                                      "forbidden"),
]
# fmt: on


@pytest.mark.parametrize(("answer", "heard"), CHANGES)
def test_what_the_service_did_is_what_the_phone_hears(world: World, phone: Phone, answer: object, heard: str) -> None:
    world.service.say["tsp.suspend"] = lambda caller, asked: answer
    assert said(phone.ask("tokens.freeze", wallet.ChangeToken(token=phone.token))) == heard


@pytest.mark.parametrize(("limit", "heard"), [(0, "format"), (101, "format"), (20, "TransactionList")])
def test_payments_are_listed(world: World, phone: Phone, limit: int, heard: str) -> None:
    assert said(phone.ask("transactions.list", wallet.TransactionsAsked(token=phone.token, limit=limit))) == heard


def test_a_silent_service_is_told_in_time(world: World, phone: Phone) -> None:
    world.service.silent.add("tsp.transactions")
    before_ms = world.clock.now_ms()
    assert said(phone.ask("transactions.list", wallet.TransactionsAsked(token=phone.token))) == "unavailable"
    assert world.config.timeout_ms <= world.clock.now_ms() - before_ms < 2 * world.config.timeout_ms


def test_an_answer_for_a_session_that_ended_comes_plain(world: World, phone: Phone) -> None:
    """While the service thinks, the phone opens another session: its first call is answered, for nobody to open."""
    world.service.silent.add("tsp.transactions")
    call = phone.call("transactions.list", wallet.TransactionsAsked(token=phone.token))
    world.net.from_terminal(phone.end, pack(call))
    world.net.pump()
    phone.open()
    world.settle(world.config.timeout_ms)
    answers = [unpack(frame, Reply) for frame in phone.frames]
    assert [said(phone.opened(call, reply)) for reply in answers if reply.id == call.id] == ["session-gone SESSION_OVER"]


# fmt: off
SETTINGS = [
    ({"session_ms": 0},                          "session_ms"),
    ({"keys_per_hour": -1},                      "keys_per_hour"),
    ({"sesion_ms": 1},                           "session_ms"),
    ({"attestation": "maybe"},                   "lower, require"),
    ({"apps": {"x": "123"}},                     "11 digits"),
    ({"tsp": "90100000"},                        "tsp/INSTITUTION"),
    ({"timeout_ms": "soon"},                     "timeout_ms"),
]
# fmt: on


@pytest.mark.parametrize(("table", "words"), SETTINGS)
def test_senseless_settings_are_refused(table: dict, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        CloudConfig.load(table)
