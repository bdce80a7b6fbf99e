"""What becomes of token payments afterwards: told to the service, reversed, voided, refunded; secrets; crashes; any order."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shanfu.hosts import original_name
from shanfu.iso8583 import Message, OriginalData, TokenAnswer
from shanfu.links import Kind
from shanfu.network import NetworkConfig, close_day, dead_letters, forward_queue, journal_lines, positions, written_positions
from tests.budget import examples
from tests.network.mint import PAR, TOKEN, TOKEN_HARBOUR, TSP, Mint, ends
from tests.network.switch import HARBOUR, LANTERN, NETWORK, PAN_HARBOUR, PAN_LANTERN, PAN_OTHER, PIN_DIGITS, TODAY, Peer


def states(mint: Mint) -> list[tuple[str, str]]:
    return [(line.state, line.response_code) for line in journal_lines(mint.store, TODAY)]


def told(mint: Mint, ms: int = 100) -> dict[str, list[tuple[str, str]]]:
    """What the service and the issuer get within this time: kind of message, number it is about."""
    mint.tick(ms)
    return {
        "service": [(message.mti, message.text(2, "")) for message in mint.inbox(mint.tsp)],
        "issuer": [(message.mti, message.text(2)) for message in mint.inbox(mint.issuer)],
    }


def original(request: Message) -> str:
    text = request.text
    data = OriginalData.of(mti="0200", stan=text(11), sent=text(7), acquirer=text(32), forwarder=text(33))
    return data.encode()


# -- how it ended --------------------------------------------------------------------------------------------------------


def test_an_outcome_goes_at_once_and_again_until_it_is_acknowledged(mint: Mint) -> None:
    asked = mint.asked_issuer(mint.purchase(pan=TOKEN))
    mint.send(mint.issuer, mint.echo(asked))
    [first] = mint.inbox(mint.tsp)
    assert (first.text(32), first.text(33)) == (NETWORK, NETWORK)
    assert told(mint, 29_000)["service"] == []
    mint.tick(1_000)
    [again] = mint.inbox(mint.tsp)
    assert (again.mti, mint.tsp.right(again)) == ("0621", True)
    assert again.copy(*set(first.fields) - {128}) == first.copy(*set(first.fields) - {128})
    assert mint.send(mint.tsp, mint.tsp.answer(again)) == []
    assert (forward_queue(mint.store), dead_letters(mint.store)) == ([], [])
    assert mint.send(mint.tsp, mint.tsp.answer(again)) == []  # and once more: nothing waits for it


def test_outcomes_wait_for_a_service_that_is_away(mint: Mint) -> None:
    asked = mint.asked_issuer(mint.purchase(pan=TOKEN))
    mint.news(mint.tsp, Kind.DOWN)
    mint.send(mint.issuer, mint.echo(asked))
    assert [reply.text(39) for reply in mint.inbox(mint.acquirer)] == ["00"]
    assert told(mint, 60_000)["service"] == []
    mint.sign_on(mint.tsp)
    assert told(mint)["service"] == [("0620", "")]


@pytest.mark.parametrize("code", ["12", "25"])
def test_an_outcome_of_a_payment_that_the_service_does_not_know_is_over(mint: Mint, code: str) -> None:
    asked = mint.asked_issuer(mint.purchase(pan=TOKEN))
    mint.send(mint.issuer, mint.echo(asked))
    [outcome] = mint.inbox(mint.tsp)
    mint.send(mint.tsp, mint.tsp.answer(outcome, code))
    assert (forward_queue(mint.store), dead_letters(mint.store)) == ([], [])


def test_an_outcome_that_is_refused_eight_times_is_a_dead_letter(mint: Mint) -> None:
    asked = mint.asked_issuer(mint.purchase(pan=TOKEN))
    mint.send(mint.issuer, mint.echo(asked))
    for _ in range(8):
        [outcome] = mint.inbox(mint.tsp)
        mint.send(mint.tsp, mint.tsp.answer(outcome, "96"))
        mint.tick(480_000)
    assert [(letter.target, letter.refusals) for letter in dead_letters(mint.store)] == [(TSP, 8)]


# -- reversals -----------------------------------------------------------------------------------------------------------


def test_a_reversal_goes_to_both_and_each_acknowledges_its_own(mint: Mint) -> None:
    request, _ = mint.bought()
    reversal = mint.reversal(request)
    reply = mint.ask(mint.acquirer, reversal)
    assert (reply.mti, reply.text(2), reply.text(39), 56 in reply) == ("0430", TOKEN, "00", False)
    assert states(mint) == [("REVERSED", "00")]
    mint.tick(100)
    [ours], [theirs] = mint.inbox(mint.tsp), mint.inbox(mint.issuer)
    assert ours.copy(7, 11, 32, 33, 37, 38, 39, 90) == theirs.copy(7, 11, 32, 33, 37, 38, 39, 90)
    assert (ours.text(2), theirs.text(2), theirs.text(100)) == (TOKEN, PAN_LANTERN, LANTERN)
    assert mint.tsp.right(ours)
    assert mint.issuer.right(theirs)
    assert TokenAnswer.of_field(theirs.binary(63)).block.token == TOKEN
    assert {23, 35, 55}.isdisjoint(theirs.fields)
    mint.send(mint.tsp, mint.tsp.answer(ours))
    assert [item.target for item in forward_queue(mint.store)] == [mint.issuer.station]
    mint.send(mint.issuer, mint.issuer.answer(theirs))  # without the token's data: known by its name
    assert forward_queue(mint.store) == []
    assert mint.ask(mint.acquirer, Message("0421", dict(reversal.fields))).fields == reply.fields
    assert told(mint, 60_000) == {"service": [], "issuer": []}


def test_a_reversal_while_the_service_is_asked_goes_to_it_alone(mint: Mint) -> None:
    request = mint.purchase(pan=TOKEN, pin=True)
    asked = mint.asked_tsp(request)
    assert mint.ask(mint.acquirer, mint.reversal(request)).text(39) == "00"
    mint.send(mint.tsp, mint.resolved(asked))  # late
    assert told(mint) == {"service": [("0420", TOKEN)], "issuer": []}
    assert states(mint) == [("EXPIRED", "98")]


def test_a_reversal_while_the_issuer_is_asked_goes_to_both(mint: Mint) -> None:
    request = mint.purchase(pan=TOKEN)
    mint.asked_issuer(request)
    assert mint.ask(mint.acquirer, mint.reversal(request)).text(39) == "00"
    assert told(mint) == {"service": [("0420", TOKEN)], "issuer": [("0420", PAN_LANTERN)]}


def test_the_services_answer_and_the_reversal_in_one_batch(mint: Mint) -> None:
    request = mint.purchase(pan=TOKEN, pin=True)
    asked = mint.asked_tsp(request)
    answer, reversal = mint.tsp.seal(mint.resolved(asked)), mint.acquirer.seal(mint.reversal(request))
    mint.turn((mint.tsp, answer), (mint.acquirer, reversal))
    assert told(mint) == {"service": [("0420", TOKEN)], "issuer": [("0200", PAN_LANTERN), ("0420", PAN_LANTERN)]}


def test_a_reversal_that_comes_first_is_told_to_the_service_alone(mint: Mint) -> None:
    request = mint.purchase(pan=TOKEN)
    assert mint.ask(mint.acquirer, mint.reversal(request)).text(39) == "00"
    assert states(mint) == [("TOMBSTONE", "00")]
    assert mint.ask(mint.acquirer, request).text(39) == "94"
    assert told(mint) == {"service": [("0420", TOKEN)], "issuer": []}


@pytest.mark.parametrize("refusal", [("65", "KEY_EXHAUSTED"), None])
def test_a_reversal_of_what_was_declined_goes_nowhere(mint: Mint, refusal: tuple[str, str] | None) -> None:
    request = mint.purchase(pan=TOKEN)
    if refusal:
        mint.send(mint.tsp, mint.refused(mint.asked_tsp(request), *refusal))
    else:
        mint.bought(request, "51")
    assert mint.ask(mint.acquirer, mint.reversal(request)).text(39) == "00"
    assert told(mint) == {"service": [], "issuer": []}


# fmt: off
ODD = [
    ("64", {"f4": "000000000001"}),
    ("25", {"f2": TOKEN_HARBOUR}),
    ("25", {"f2": PAN_LANTERN}),  # nobody reverses by the card behind it
]
# fmt: on


@pytest.mark.parametrize(("code", "odd"), ODD)
def test_a_reversal_that_does_not_fit(mint: Mint, code: str, odd) -> None:
    request, _ = mint.bought()
    assert mint.ask(mint.acquirer, mint.reversal(request, **odd)).text(39) == code
    assert (states(mint), told(mint)) == ([("APPROVED", "00")], {"service": [], "issuer": []})


# -- voids and refunds ---------------------------------------------------------------------------------------------------


def test_a_void_goes_the_same_way(mint: Mint) -> None:
    paid, _ = mint.bought()
    void = mint.void(paid)
    asked = mint.asked_tsp(void)
    assert (asked.text(3), asked.text(38), asked.text(90)) == ("200000", "A1B2C3", original(paid))
    mint.send(mint.tsp, mint.resolved(asked))
    [passed_on] = mint.inbox(mint.issuer)
    assert (passed_on.text(2), passed_on.text(3), passed_on.text(90)) == (PAN_LANTERN, "200000", original(paid))
    mint.send(mint.issuer, mint.echo(passed_on))
    [reply], [outcome] = mint.inbox(mint.acquirer), mint.inbox(mint.tsp)
    assert (reply.text(2), reply.text(39)) == (TOKEN, "00")
    assert [end[:2] for end in ends(outcome)] == [(original(void), "00")]
    assert positions(mint.store, TODAY) == [] or {p.amount_minor for p in positions(mint.store, TODAY)} == {0}


def test_a_refund_goes_to_the_service_and_then_to_the_issuer(mint: Mint) -> None:
    paid, _ = mint.bought()
    refund = mint.refund(paid)
    reply = mint.ask(mint.acquirer, refund)
    assert (reply.mti, reply.text(2), reply.text(39)) == ("0230", TOKEN, "00")
    mint.tick(100)
    [asked] = mint.inbox(mint.tsp)
    assert (asked.mti, asked.text(2), asked.text(90)) == ("0220", TOKEN, original(paid))
    assert mint.inbox(mint.issuer) == []
    mint.send(mint.tsp, mint.resolved(asked, PAN_OTHER))  # the account's card of today
    mint.tick(100)
    [booked] = mint.inbox(mint.issuer)
    assert mint.issuer.right(booked)
    assert booked.copy(7, 11, 32, 33, 37, 90) == refund.copy(7, 11, 32, 33, 37, 90)
    assert (booked.mti, booked.text(2), booked.text(100)) == ("0220", PAN_OTHER, LANTERN)
    assert TokenAnswer.of_field(booked.binary(63)).block.token == TOKEN
    assert {23, 35, 55, 61}.isdisjoint(booked.fields)
    mint.send(mint.tsp, mint.resolved(asked))  # told twice: it is the issuer's now
    mint.send(mint.issuer, mint.echo(booked))
    assert (forward_queue(mint.store), dead_letters(mint.store)) == ([], [])
    assert mint.ask(mint.acquirer, Message("0221", dict(refund.fields))).fields == reply.fields
    assert told(mint, 60_000) == {"service": [], "issuer": []}


@pytest.mark.parametrize("code", ["25", "12"])
def test_a_refund_that_the_service_refuses_is_a_dead_letter(mint: Mint, code: str) -> None:
    paid, _ = mint.bought()
    mint.ask(mint.acquirer, mint.refund(paid))
    mint.tick(100)
    [asked] = mint.inbox(mint.tsp)
    mint.send(mint.tsp, mint.refused(asked, code, "ORIGINAL_UNKNOWN"))
    assert [(letter.target, letter.last_code) for letter in dead_letters(mint.store)] == [(TSP, code)]
    assert told(mint, 60_000) == {"service": [], "issuer": []}


@pytest.mark.parametrize("odd", [{"f63": None}, {"f2": None}, {"f2": TOKEN_HARBOUR}, {"f2": "4000000000000002"}])
def test_a_refund_that_the_service_resolves_to_nothing_is_refused_and_comes_again(mint: Mint, odd) -> None:
    paid, _ = mint.bought()
    mint.ask(mint.acquirer, mint.refund(paid))
    mint.tick(100)
    [asked] = mint.inbox(mint.tsp)
    mint.send(mint.tsp, mint.resolved(asked, **odd))
    assert [(item.target, item.refusals) for item in forward_queue(mint.store)] == [(TSP, 1)]
    [again] = told(mint, 30_000)["service"]
    assert again == ("0221", TOKEN)
    assert mint.inbox(mint.issuer) == []


def test_a_refund_that_its_issuer_refuses_is_a_dead_letter(mint: Mint) -> None:
    paid, _ = mint.bought()
    mint.ask(mint.acquirer, mint.refund(paid))
    mint.tick(100)
    mint.send(mint.tsp, mint.resolved(mint.inbox(mint.tsp)[0]))
    mint.tick(100)
    mint.send(mint.issuer, mint.echo(mint.inbox(mint.issuer)[0], "12"))
    assert [(letter.target, letter.last_code) for letter in dead_letters(mint.store)] == [(mint.issuer.station, "12")]


def test_a_refund_counts_to_the_cards_issuer_also_after_the_day_has_closed(mint: Mint) -> None:
    paid, _ = mint.bought()
    mint.ask(mint.acquirer, mint.refund(paid))
    close_day(mint.store, now_ms=mint.clock.now_ms())
    mint.tick(100)
    [asked] = [message for message in mint.inbox(mint.tsp) if message.mti == "0220"]
    mint.send(mint.tsp, mint.resolved(asked, PAN_HARBOUR))  # its BIN had said lantern
    live = {(position.institution, position.amount_minor) for position in positions(mint.store, TODAY)}
    assert live == {(LANTERN, -1234), (HARBOUR, 1234)}
    assert written_positions(mint.store, TODAY) == positions(mint.store, TODAY)


# -- secrets -------------------------------------------------------------------------------------------------------------

MARKED, MARKED_TOKEN = "6209017384915268", "6250947294851639"


def test_no_acquirer_and_no_watcher_ever_sees_what_a_token_stands_for(mint: Mint) -> None:
    mint.acquirer.frames.clear()
    paid = mint.purchase(pan=MARKED_TOKEN, pin=True)
    for request in (paid, mint.void(paid), mint.purchase(pan=MARKED_TOKEN)):
        asked = mint.asked_issuer(request, pan=MARKED)
        reply = mint.echo(asked, f54="1002156C000000012345", f55=b"\x5a\x08" + bytes.fromhex(MARKED))
        mint.send(mint.issuer, reply)
        mint.ask(mint.acquirer, request)
    waiting = mint.purchase(pan=MARKED_TOKEN, pin=True)
    mint.asked_tsp(waiting)  # waits: its PIN block and chip data are kept, sealed
    mint.asked_issuer(mint.purchase(pan=MARKED_TOKEN, pin=True), pan=MARKED)
    mint.ask(mint.acquirer, mint.reversal(paid))
    mint.ask(mint.acquirer, mint.refund(paid))
    mint.tick(100)
    for message in mint.inbox(mint.tsp):
        if message.mti == "0220":
            mint.send(mint.tsp, mint.resolved(message, MARKED))
    mint.tick(8_000)
    mint.tick(30_000)
    mint.tick(100)
    sent = b"".join(mint.acquirer.frames)
    events = "".join(repr(event) + event.raw.decode("latin-1") for event in mint.events.events).encode("latin-1", "replace")
    files = b"".join(path.read_bytes() for path in mint.path.parent.glob("network.db*"))
    assert min(len(sent), len(events), len(files)) > 2_000
    assert MARKED_TOKEN.encode() in sent
    for where, secrets in ((sent, [MARKED]), (events, [MARKED, MARKED_TOKEN, PIN_DIGITS]), (files, [MARKED, MARKED_TOKEN])):
        for secret in secrets:
            for form in (secret.encode(), secret[6:-4].encode() * (len(secret) > 6) or b"\0no", bytes.fromhex(secret)):
                assert form not in where
    assert PAR.encode() not in events


# -- crashes, databases, any order ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("waits_at", ["service", "issuer"])
def test_after_a_crash_the_deadlines_do_the_rest(mint: Mint, waits_at: str) -> None:
    request = mint.purchase(pan=TOKEN, pin=True)
    if waits_at == "service":
        mint.asked_tsp(request)
    else:
        mint.asked_issuer(request)
    mint.start()
    mint.sign_on()
    for peer in mint.peers.values():
        mint.inbox(peer)
    mint.tick(30_000)
    assert [(reply.text(2), reply.text(39)) for reply in mint.inbox(mint.acquirer)] == [(TOKEN, "98")]
    wanted = [("0420", PAN_LANTERN)] if waits_at == "issuer" else []
    assert told(mint) == {"service": [("0420", TOKEN)], "issuer": wanted}


@pytest.mark.parametrize(
    ("point", "asks"), [("before-handle", 1), ("after-handle", 1), ("before-commit", 1), ("after-commit", 0)]
)
def test_a_crash_between_the_legs_never_asks_the_issuer_twice(mint: Mint, point: str, asks: int) -> None:
    answer = mint.resolved(mint.asked_tsp(mint.purchase(pan=TOKEN, pin=True)))
    mint.dies_at = point
    mint.send(mint.tsp, answer)
    mint.send(mint.tsp, answer)  # what was not committed is worked anew, what was is late
    asked = [message for message in mint.inbox(mint.issuer) if message.mti == "0200"]
    assert len(asked) == asks
    assert [mint.issuer.read_pin(message).digits for message in asked] == [PIN_DIGITS] * asks


@pytest.fixture(params=["sqlite", "postgresql"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "network.db") if request.param == "sqlite" else request.getfixturevalue("postgres_url")


@pytest.mark.parametrize("buckets", [1, 4])
def test_a_day_of_tokens(where: str, tmp_path: Path, buckets: int) -> None:
    mint = Mint(tmp_path, NetworkConfig(buckets=buckets), where)
    mint.sign_on()
    paid, _ = mint.bought(mint.purchase(pan=TOKEN, pin=True))
    other, _ = mint.bought()
    mint.asked_issuer(mint.purchase(pan=TOKEN))  # silent
    mint.asked_tsp(mint.purchase(pan=TOKEN))  # silent sooner
    mint.ask(mint.acquirer, mint.reversal(paid))
    mint.ask(mint.acquirer, mint.refund(other))
    mint.tick(30_000)
    close_day(mint.store, now_ms=mint.clock.now_ms())
    for _ in range(12):
        mint.tick(100)
        for peer in mint.peers.values():
            for message in mint.inbox(peer):
                take(mint, peer, message)
    assert sorted(line.state for line in journal_lines(mint.store, TODAY)) == ["APPROVED"] * 2 + ["REVERSED"] * 3
    assert (forward_queue(mint.store), dead_letters(mint.store)) == ([], [])
    assert written_positions(mint.store, TODAY) == positions(mint.store, TODAY) != []
    mint.store.close()


def take(mint: Mint, peer: Peer, message: Message) -> None:
    """Answer what store-and-forward brings."""
    if message.mti == "0820":
        mint.send(peer, Message("0830", {**message.copy(7, 11, 33, 70), 39: "00"}))
    elif peer is mint.tsp and message.mti in ("0220", "0221"):
        mint.send(peer, mint.resolved(message))
    elif message.mti[:3] in ("022", "042", "062"):
        mint.send(peer, mint.issuer.answer(message))


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["ask", "reverse", "service", "issuer", "service keeps", "issuer keeps", "tick", "restart", "die"]),
        st.integers(0, 5),
    ),
    max_size=40,
)


@settings(max_examples=examples(25, heavy=300), deadline=None)
@given(STEPS)
def test_each_token_payment_has_one_effect_at_issuer_and_service(tmp_path_factory, steps: list[tuple[str, int]]) -> None:
    mint = Mint(tmp_path_factory.mktemp("any"), where=":memory:")
    mint.sign_on()
    world = Town(mint)
    for step, which in steps:
        world.step(step, which)
    world.settle()
    here = {line.name: line.state for line in journal_lines(mint.store, TODAY)}
    for books in (world.issuer, world.service):
        for name, state in books.items():
            assert (here.get(name) == "APPROVED") == (state == "APPROVED"), (here.get(name), state)
    for line in journal_lines(mint.store, TODAY):
        if line.state == "APPROVED":
            assert world.issuer[line.name] == world.service.get(line.name, "APPROVED") == "APPROVED"
    assert sum(position.amount_minor for position in positions(mint.store, TODAY)) == 0
    assert (forward_queue(mint.store), dead_letters(mint.store)) == ([], [])
    mint.store.close()


class Town:
    """An acquirer that asks and reverses at will; a service and an issuer, each with a small history of its own."""

    def __init__(self, mint: Mint) -> None:
        self.mint = mint
        numbers = (TOKEN, TOKEN, PAN_LANTERN)
        self.requests = [mint.purchase(100 + place, pan=numbers[place % 3], pin=place > 2) for place in range(6)]
        self.reversals = [mint.reversal(request) for request in self.requests]
        self.mail: dict[str, list[Message]] = {"service": [], "issuer": []}
        self.issuer: dict[str, str] = {}
        self.service: dict[str, str] = {}

    def step(self, step: str, which: int) -> None:
        mint, who = self.mint, step.partition(" ")[0]
        if step == "ask":
            mint.send(mint.acquirer, *[self.requests[which]] * (1 + which % 2))
        elif step == "reverse":
            mint.send(mint.acquirer, self.reversals[which])
        elif who in self.mail:
            self.take(who, which, forget=who == step)
        elif step == "tick":
            mint.tick(which * 3_000)
        elif step == "die":
            mint.dies_at = ("before-handle", "after-handle", "before-commit", "after-commit", "after-send", "")[which]
        elif which == 0:
            mint.dies_at = ""
            mint.start()
            mint.sign_on()

    def take(self, who: str, which: int, *, forget: bool) -> None:
        mint, mail = self.mint, self.mail[who]
        peer = mint.tsp if who == "service" else mint.issuer
        mail += mint.inbox(peer)
        if not mail:
            return
        message = mail.pop(which % len(mail)) if forget else mail[which % len(mail)]
        if message.mti == "0820":
            mint.send(peer, Message("0830", {**message.copy(7, 11, 33, 70), 39: "00"}))
        elif who == "service":
            mint.send(peer, self.serve(message))
        else:
            mint.send(peer, mint.echo(message, work(message, self.issuer)))

    def serve(self, message: Message) -> Message:
        code = work(message, self.service, "RESOLVED")
        if message.mti == "0200" and code == "00":
            return self.mint.resolved(message)
        return self.mint.tsp.answer(message, code)

    def settle(self) -> None:
        """Let everything come to its end: all is taken, every time-out passes, every item goes through."""
        mint = self.mint
        mint.dies_at = ""
        for _ in range(40):
            mint.tick(31_000)
            for who, peer in (("service", mint.tsp), ("issuer", mint.issuer)):
                while self.mail[who] or peer.got:
                    self.take(who, 0, forget=True)
            for peer in (mint.acquirer, mint.harbour):
                for message in mint.inbox(peer):
                    take(mint, peer, message)


def work(message: Message, books: dict[str, str], first: str = "APPROVED") -> str:
    """Keep a small history: requests, outcomes, reversals; a reversal that comes first stays."""
    text = message.text
    if message.mti == "0200":
        name = f"{text(7)}.{text(11)}.{text(32)}.{text(33)}"
        return "94" if books.setdefault(name, first) == "REVERSED" else "00"
    for end in ends(message) if message.mti.startswith("062") else ():
        name = original_name(end.original)
        if books.get(name) == "RESOLVED":
            books[name] = "APPROVED" if end.code == "00" else "DECLINED"
    if message.mti.startswith("042"):
        books[original_name(text(90))] = "REVERSED"
    return "00"
