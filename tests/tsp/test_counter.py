"""What requestors and issuers ask about tokens that exist: whose they are, who speaks as whom, what revives them."""

import pytest

from shanfu.errors import ConfigError, Conflict, NotFound
from shanfu.links import Inbound
from shanfu.messages import Actor, Call, CardEvent, KeyPolicy, TokenState, encoded, pack
from shanfu.messages.requestor import ChangeToken, FindTokens, ProfileAsked, Since
from shanfu.messages.wallet import LoggedIn, Login
from shanfu.pan import PAN
from shanfu.store import Params, Statement, Transaction
from shanfu.tsp import (
    RangeOrder,
    RequestorOrder,
    RequestorState,
    TSPConfig,
    add_token_range,
    delete_tokens,
    enrol_requestor,
    find_number,
    list_ranges,
    list_requestors,
    list_tokens,
    reperso_tokens,
    resume_tokens,
    set_requestor,
    show,
    suspend_tokens,
)
from tests.tsp.service import DAY_MS, HARBOUR, HARBOUR_TRID, LANTERN, START_MS, TRID, Service

A, S = Actor, TokenState
LANTERN_BANK, HARBOUR_BANK = f"issuer/{LANTERN}", f"issuer/{HARBOUR}"
HARBOUR_APP = f"requestor/{HARBOUR_TRID}"

# caller, operation, actor: the result, or the code of the refusal
WHO = [
    ("requestor/90100000001", "tsp.suspend", A.CARDHOLDER, "TOKEN_SUSPENDED"),
    ("requestor/90100000001", "tsp.suspend", A.TOKEN_REQUESTOR, "TOKEN_SUSPENDED"),
    ("requestor/90100000001", "tsp.suspend", A.CDCVM_LOCKED, "TOKEN_SUSPENDED"),
    ("requestor/90100000001", "tsp.suspend", A.ISSUER, "forbidden"),
    ("requestor/90100000001", "tsp.suspend", A.TSP, "forbidden"),
    ("requestor/90100000001", "tsp.resume", A.CARDHOLDER, "ALREADY_DONE"),
    ("requestor/90100000001", "tsp.delete", A.CARDHOLDER, "TOKEN_DEACTIVATED"),
    ("requestor/90100000001", "tsp.issuer.suspend", A.ISSUER, "forbidden"),
    (HARBOUR_APP, "tsp.suspend", A.CARDHOLDER, "NOT_FOUND"),
    (HARBOUR_APP, "tsp.delete", A.CARDHOLDER, "NOT_FOUND"),
    (LANTERN_BANK, "tsp.issuer.suspend", A.ISSUER, "TOKEN_SUSPENDED"),
    (LANTERN_BANK, "tsp.issuer.suspend", A.CARDHOLDER, "forbidden"),
    (LANTERN_BANK, "tsp.issuer.suspend", A.TSP, "forbidden"),
    (LANTERN_BANK, "tsp.issuer.delete", A.ISSUER, "TOKEN_DEACTIVATED"),
    (LANTERN_BANK, "tsp.suspend", A.ISSUER, "forbidden"),
    (HARBOUR_BANK, "tsp.issuer.suspend", A.ISSUER, "NOT_FOUND"),
]


@pytest.mark.parametrize(("caller", "op", "actor", "outcome"), WHO)
def test_who_may(service: Service, caller, op, actor, outcome) -> None:
    token = service.active(service.card()).token
    told = service.change(op, token, actor=actor, caller=caller)
    assert (told.code if hasattr(told, "code") else told.changes[0].result) == outcome
    changed = outcome.startswith("TOKEN_")
    assert (service.view(token).state is S.ACTIVE) == (not changed)


# (actor, operation) one after the other: results, and who still suspends in the end
CHAINS = [
    ("CARDHOLDER suspend, CARDHOLDER resume", "TOKEN_SUSPENDED, TOKEN_RESUMED", ""),
    ("CARDHOLDER suspend, CARDHOLDER suspend", "TOKEN_SUSPENDED, ALREADY_DONE", "CARDHOLDER"),
    ("CARDHOLDER suspend, ISSUER suspend, CARDHOLDER resume",
     "TOKEN_SUSPENDED, TOKEN_SUSPENDED, SUSPENSION_REASON_REMOVED", "ISSUER"),
    ("ISSUER suspend, CARDHOLDER resume", "TOKEN_SUSPENDED, NOT_SUSPENDED_BY_YOU", "ISSUER"),
    ("ISSUER suspend, TOKEN_REQUESTOR resume, ISSUER resume", "TOKEN_SUSPENDED, NOT_SUSPENDED_BY_YOU, TOKEN_RESUMED", ""),
    ("CDCVM_LOCKED suspend, CARDHOLDER resume", "TOKEN_SUSPENDED, NOT_SUSPENDED_BY_YOU", "CDCVM_LOCKED"),
    ("CARDHOLDER delete, CARDHOLDER resume", "TOKEN_DEACTIVATED, TERMINAL_STATE", ""),
    ("CARDHOLDER delete, ISSUER delete", "TOKEN_DEACTIVATED, ALREADY_DONE", ""),
]  # fmt: skip


@pytest.mark.parametrize(("acts", "results", "left"), CHAINS)
def test_chains(service: Service, acts, results, left) -> None:
    token = service.active(service.card()).token
    told = []
    for act in acts.split(", "):
        actor, verb = act.split()
        issuer = actor == "ISSUER"
        op, caller = (f"tsp.issuer.{verb}", LANTERN_BANK) if issuer else (f"tsp.{verb}", f"requestor/{TRID}")
        told.append(service.result(op, token, A(actor), caller=caller))
    assert ", ".join(told) == results
    assert ",".join(actor.value for actor in service.view(token).suspended_by) == left


def test_a_batch_gives_each_token_its_own_result(service: Service) -> None:
    tokens = [service.active(service.card(f"card-{n}", n), f"phone-{n}").token for n in range(1, 4)]
    service.result("tsp.suspend", tokens[1], A.CARDHOLDER)
    told = service.change("tsp.suspend", *tokens, "f" * 32, tokens[0], actor=A.CARDHOLDER)
    assert [change.result for change in told.changes] == [
        "TOKEN_SUSPENDED", "ALREADY_DONE", "TOKEN_SUSPENDED", "NOT_FOUND", "ALREADY_DONE",
    ]  # fmt: skip
    assert [change.view.version if change.view else None for change in told.changes] == [3, 3, 3, None, 3]


@pytest.mark.parametrize("count", [0, 100])
def test_a_batch_has_one_to_99_tokens(service: Service, count) -> None:
    assert service.change("tsp.suspend", *(["f" * 32] * count), actor=A.CARDHOLDER).code == "format"


@pytest.mark.parametrize("reason", ["", "x" * 65, "new\nline"])
def test_a_reason_is_a_word(service: Service, reason) -> None:
    assert service.change("tsp.suspend", "f" * 32, actor=A.CARDHOLDER, reason=reason).code == "format"


# -- looking -----------------------------------------------------------------------------------------------------------


def test_everybody_finds_his_own_tokens(service: Service) -> None:
    card = service.card()
    one, two = service.active(card, "phone-1"), service.active(card, "phone-2")
    hidden = service.request(service.card("card-2", 2), terms="")
    assert hidden.view is None
    asks = [
        (FindTokens(card="card-1"), [two, one]), (FindTokens(device="phone-1"), [one]), (FindTokens(token=two.token), [two]),
        (FindTokens(token=two.token, device="phone-1"), []), (FindTokens(card="card-1", device="phone-2"), [two]),
        (FindTokens(card="card-2"), []), (FindTokens(device="phone-9"), []),
    ]  # fmt: skip
    for asked, found in asks:
        key = lambda view: view.token  # noqa: E731
        assert sorted(service.call("tsp.find", asked).tokens, key=key) == sorted(found, key=key)
        assert sorted(service.call("tsp.issuer.find", asked, caller=LANTERN_BANK).tokens, key=key) == sorted(found, key=key)
        assert service.call("tsp.find", asked, caller=HARBOUR_APP).tokens == ()
        assert service.call("tsp.issuer.find", asked, caller=HARBOUR_BANK).tokens == ()
    assert service.call("tsp.find", FindTokens()).code == "format"


# state of the token: what asking for its profile comes to
PROFILES = [("ACTIVE", ""), ("SUSPENDED", ""), ("INACTIVE", "wrong-state"), ("DEACTIVATED", "wrong-state"), ("-", "not-found")]


@pytest.mark.parametrize(("state", "code"), PROFILES)
def test_profile(service: Service, state, code) -> None:
    from shanfu.messages import Colour

    card = service.card()
    token = "f" * 32
    if state == "INACTIVE":
        token = service.request(card, colour=Colour.YELLOW).view.token
    elif state != "-":
        token = service.active(card).token
        if state == "SUSPENDED":
            service.result("tsp.suspend", token, A.CARDHOLDER)
        if state == "DEACTIVATED":
            service.result("tsp.delete", token, A.CARDHOLDER)
    assert getattr(service.call("tsp.profile", ProfileAsked(token=token)), "code", "") == code
    assert service.call("tsp.profile", ProfileAsked(token=token), caller=HARBOUR_APP).code == "not-found"


def test_login_goes_to_the_requestors_bank_and_its_password_is_kept_nowhere(tmp_path) -> None:
    service = Service(folder=tmp_path)
    told = service.call("tsp.login", Login(user="lin", password="open sesame"))
    assert isinstance(told, LoggedIn)
    assert service.heard[-1] == (LANTERN_BANK, "issuer.login")
    service.call("tsp.login", Login(user="wong", password="open sesame"), caller=HARBOUR_APP)
    assert service.heard[-1] == (HARBOUR_BANK, "issuer.login")
    service.store.close()
    assert not any(b"open sesame" in path.read_bytes() for path in tmp_path.iterdir())
    assert "open sesame" not in repr(service.events.events)


# -- what changed ------------------------------------------------------------------------------------------------------


def test_since_tells_everything_in_pages(service: Service) -> None:
    card = service.card()
    tokens = [service.active(card, f"phone-{n}").token for n in range(3)]
    number, told = 0, []
    while True:
        answer = service.call("tsp.since", Since(since=number, limit=4))
        told += answer.notices
        number = answer.number
        if not answer.more:
            break
    assert [notice.number for notice in told] == list(range(1, 7))
    assert {notice.view.token for notice in told} == set(tokens)
    assert service.call("tsp.since", Since(since=6)).notices == ()
    assert service.call("tsp.since", Since(), caller=HARBOUR_APP).notices == ()
    assert [n.number for n in service.call("tsp.issuer.since", Since(since=4), caller=LANTERN_BANK).notices] == [5, 6]
    assert service.call("tsp.issuer.since", Since(), caller=HARBOUR_BANK).notices == ()


@pytest.mark.parametrize("odd", [{"since": -1}, {"limit": 0}, {"limit": 100}])
def test_since_has_bounds(service: Service, odd) -> None:
    assert service.call("tsp.since", Since(**odd)).code == "format"


def test_a_notice_is_sent_until_it_is_acknowledged(service: Service) -> None:
    service.silent |= {"notices.take", "issuer.notice"}
    service.active(service.card())
    service.tick(1000)
    service.restart()
    service.tick(3000)
    assert service.notices == {}
    service.silent.clear()
    for _ in range(4):
        service.tick(8000)
    assert [notice.number for notice in service.notices["cloud"]] == [1, 2]
    assert [notice.number for notice in service.notices[LANTERN_BANK]] == [1, 2]


# -- time and renewal --------------------------------------------------------------------------------------------------


def aged(service: Service, **policy) -> str:
    service.policy = KeyPolicy(**policy)
    token = service.active(service.card()).token
    service.clock.advance(37 * 31 * DAY_MS)
    service.tick()
    assert service.view(token).state is S.EXPIRED
    return token


def test_a_token_expires_by_the_clock_and_renewal_brings_it_back(service: Service) -> None:
    token = aged(service)
    before = service.view(token)
    assert service.result("tsp.renew", token, A.WALLET) == "TOKEN_RENEWED"
    after = service.view(token)
    assert (after.state, after.par, after.token_last4) == (S.ACTIVE, before.par, before.token_last4)
    assert after.expiry > before.expiry
    assert service.result("tsp.renew", token, A.WALLET) == "ALREADY_DONE"


def test_renewal_needs_the_issuers_leave(service: Service) -> None:
    token = aged(service, renewable=False)
    assert service.result("tsp.renew", token, A.WALLET) == "NOT_RENEWABLE"
    assert service.view(token).state is S.EXPIRED


def test_renewal_needs_a_card_that_has_not_expired(service: Service) -> None:
    token = service.active(service.card(expiry="2812")).token
    service.clock.advance(37 * 31 * DAY_MS)
    service.tick()
    assert service.result("tsp.renew", token, A.WALLET) == "CARD_NOT_ACTIVE"
    service.event(service.cards["card-1"], CardEvent.RENEWED, expiry="3312")
    assert service.result("tsp.renew", token, A.WALLET) == "TOKEN_RENEWED"


def test_renewal_never_lifts_a_suspension(service: Service) -> None:
    token = service.active(service.card()).token
    service.result("tsp.issuer.suspend", token, A.ISSUER, caller=LANTERN_BANK)
    service.clock.advance(37 * 31 * DAY_MS)
    service.tick()
    service.result("tsp.renew", token, A.WALLET)
    view = service.view(token)
    assert (view.state, view.suspended_by) == (S.SUSPENDED, (A.ISSUER,))


# the expiry that is asked for: the one that is given (the service's own span is 36 months)
WANTED = [("", "2904"), ("2812", "2812"), ("4001", "2904"), ("9913", "2904"), ("x", "2904"), ("2512", "NOT_RENEWABLE")]


@pytest.mark.parametrize(("wanted", "given"), WANTED)
def test_the_new_expiry(service: Service, wanted, given) -> None:
    service.restart()
    token = service.active(service.card()).token
    from shanfu.tsp.vault import BY_TOKEN, TOKENS

    with service.store.begin() as tx:  # as though it had been made three years before
        book = TOKENS.open(tx)
        [row] = book.load(BY_TOKEN, [token])
        row.expiry, row.expires_ms = "2601", START_MS + DAY_MS
        book.save()
    service.clock.advance(90 * DAY_MS)
    service.tick()
    result = service.result("tsp.renew", token, A.WALLET, expiry=wanted)
    assert (service.view(token).expiry if result == "TOKEN_RENEWED" else result) == given


# -- the service's own desk --------------------------------------------------------------------------------------------


def test_the_service_lifts_only_its_own_suspension(service: Service) -> None:
    token, now_ms = service.active(service.card()).token, service.clock.now_ms()
    how = {"reason": "LOOKED_INTO", "now_ms": now_ms}
    assert suspend_tokens(service.store, [token], **how) == {token: "TOKEN_SUSPENDED"}
    assert service.result("tsp.resume", token, A.CARDHOLDER) == "NOT_SUSPENDED_BY_YOU"
    assert resume_tokens(service.store, [token], **how) == {token: "TOKEN_RESUMED"}
    assert reperso_tokens(service.store, [token], **how) == {token: "TOKEN_REPERSONALISED"}
    assert delete_tokens(service.store, [token], **how) == {token: "TOKEN_DEACTIVATED"}
    lines = [(line.event, line.actor, line.channel, line.reason) for line in show(service.store, token).diary[2:]]
    assert lines == [(event, "TSP", "admin", "LOOKED_INTO") for event in ("SUSPEND", "RESUME", "REPERSO", "DELETE")]
    service.tick(1000)
    assert [notice.event for notice in service.notices["cloud"]][2:] == ["SUSPEND", "RESUME", "REPERSO", "DELETE"]
    with pytest.raises(NotFound):
        suspend_tokens(service.store, ["f" * 32], **how)


def test_looking(service: Service) -> None:
    token = service.active(service.card()).token
    assert [view.token for view in list_tokens(service.store, trid=TRID)] == [token]
    assert list_tokens(service.store, trid=HARBOUR_TRID) == []
    assert show(service.store, token).requestor == "example.lantern"
    with pytest.raises(NotFound):
        show(service.store, "f" * 32)
    with pytest.raises(NotFound):
        find_number(service.store, service.hsm, PAN("6250940000000019"))


def order(**odd) -> RequestorOrder:
    return RequestorOrder(**({"trid": "90100000003", "name": "new", "app": "example.new", "issuer": LANTERN} | odd))


def range_(**odd) -> RangeOrder:
    return RangeOrder(**({"bin": "625096", "issuer": LANTERN, "country": "156"} | odd))


REGISTRY = [
    (enrol_requestor, order(), None),
    (enrol_requestor, order(trid=TRID), Conflict),
    (enrol_requestor, order(trid="90200000003"), ConfigError),
    (enrol_requestor, order(trid="9010000000"), ConfigError),
    (enrol_requestor, order(issuer="lantern"), ConfigError),
    (add_token_range, range_(), None),
    (add_token_range, range_(bin="625094"), Conflict),
    (add_token_range, range_(bin="62509412"), Conflict),
    (add_token_range, range_(bin="62509"), ConfigError),
    (add_token_range, range_(bin="6250AB"), ConfigError),
    (add_token_range, range_(card_bins=("625096",)), ConfigError),
]


@pytest.mark.parametrize(("enter", "what", "refusal"), REGISTRY)
def test_registry(service: Service, enter, what, refusal) -> None:
    before = len(list_requestors(service.store)) + len(list_ranges(service.store))
    if refusal is None:
        enter(service.store, what, now_ms=START_MS)
        assert len(list_requestors(service.store)) + len(list_ranges(service.store)) == before + 1
    else:
        with pytest.raises(refusal):
            enter(service.store, what, now_ms=START_MS)


def test_a_blocked_requestor_gets_no_tokens(service: Service) -> None:
    set_requestor(service.store, TRID, RequestorState.BLOCKED, now_ms=START_MS)
    assert "REQUESTOR_BLOCKED" in service.request(service.card()).reasons
    with pytest.raises(NotFound):
        set_requestor(service.store, "90100000099", RequestorState.BLOCKED, now_ms=START_MS)


def test_a_range_may_serve_some_cards_of_an_issuer(service: Service) -> None:
    add_token_range(service.store, range_(card_bins=("620902",)), now_ms=START_MS)
    credit = service.card("credit", 1)
    credit.pan = "6209020000000012"
    numbers = []
    for card in (credit, service.card()):
        token = service.request(card, device=f"phone-{card.ref}").view.token
        asked = service.call("tsp.profile", ProfileAsked(token=token))
        item = (bytes.fromhex(asked.number), f"token/{token}".encode())
        numbers.append(service.peer.unseal(service.shared[TRID], [item])[0][:6])
    assert numbers == [b"625096", b"625094"]


ODD_SETTINGS = [
    {"code": "000"}, {"code": "9"}, {"idv_tries": 0}, {"velocity": {"devices_of_card": 0}}, {"velocity": {"devices": 1}},
    {"institution": "901"}, {"token_life_month": 1},
]  # fmt: skip


@pytest.mark.parametrize("odd", ODD_SETTINGS, ids=str)
def test_settings_that_make_no_sense(odd) -> None:
    with pytest.raises(ConfigError):
        TSPConfig.load(odd)


def test_settings() -> None:
    config = TSPConfig.load({"requestors": [TRID], "velocity": {"devices_of_card": 2}})
    assert (config.requestors, config.velocity.devices_of_card, config.station) == ((TRID,), 2, "tsp/90100000")


def test_a_crowds_tokens_are_fetched_by_one_query(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = [service.active(service.card(f"card-{n}", n), f"phone-{n}").token for n in range(1, 9)]
    asked: list[str] = []
    rows = Transaction.rows

    def counting(self: Transaction, statement: Statement, params: Params = ()) -> list[Params]:
        asked.append(statement.compiled("sqlite")[0])
        return rows(self, statement, params)

    monkeypatch.setattr(Transaction, "rows", counting)
    batch = []
    for token in tokens:
        body = encoded(ChangeToken(tokens=(token,), actor=A.CARDHOLDER))
        call = Call(id=token, op="tsp.suspend", caller=f"requestor/{TRID}", body=body)
        service._ops[token] = "tsp.suspend"
        batch.append(Inbound("cloud", pack(call)))
    service.arrive(*batch)
    assert sum("FROM json_each(:keys) AS k CROSS JOIN tsp_tokens" in text.replace("?", ":keys") for text in asked) == 1
    assert {service.view(token).state for token in tokens} == {S.SUSPENDED}
