"""What the books hold and what they never do; crashes; both databases; any order of what happens."""

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shanfu.errors import ConfigError, Conflict
from shanfu.iso8583 import Message
from shanfu.links import Inbound
from shanfu.network import (
    SCHEMA,
    NetworkConfig,
    add_route,
    close_day,
    dead_letters,
    enrol_member,
    forward_queue,
    journal_lines,
    list_members,
    positions,
    written_positions,
)
from shanfu.network.journal import JOURNAL
from shanfu.store import Statement, differences
from tests.budget import examples
from tests.network.switch import HARBOUR, LANTERN, PAN_HARBOUR, PAN_LANTERN, PAN_OTHER, PIN_DIGITS, TODAY, TOMORROW, Switch


@pytest.fixture(params=["sqlite", "postgresql"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "network.db") if request.param == "sqlite" else request.getfixturevalue("postgres_url")


def test_the_format_leads_to_the_tables(where: str) -> None:
    assert differences(where, SCHEMA) == []


@pytest.mark.parametrize("buckets", [1, 4])
def test_a_day_at_the_switch(where: str, tmp_path: Path, buckets: int) -> None:
    switch = Switch(tmp_path, NetworkConfig(buckets=buckets), where)
    switch.sign_on()
    paid, _ = switch.paid()
    other, _ = switch.paid(switch.purchase(pan=PAN_OTHER, pin=True))
    silent = switch.purchase()
    switch.forwarded(silent)
    switch.ask(switch.acquirer, switch.reversal(paid))
    switch.ask(switch.acquirer, switch.refund(other))
    first = switch.purchase(pan=PAN_OTHER)
    switch.ask(switch.acquirer, switch.reversal(first))
    assert switch.ask(switch.acquirer, first).text(39) == "94"
    switch.tick(30_000)
    close_day(switch.store, now_ms=switch.clock.now_ms())
    for _ in range(6):
        switch.tick(100)
        for peer in switch.peers.values():
            for message in switch.inbox(peer):
                if message.mti in ("0220", "0420"):
                    switch.send(peer, peer.answer(message))
                elif message.mti == "0820":
                    switch.send(peer, Message("0830", {**message.copy(7, 11, 33, 70), 39: "00"}))
    assert sorted(line.state for line in journal_lines(switch.store, TODAY)) == [
        "APPROVED", "APPROVED", "REVERSED", "REVERSED", "TOMBSTONE",
    ]  # fmt: skip
    assert (forward_queue(switch.store), dead_letters(switch.store)) == ([], [])
    assert written_positions(switch.store, TODAY) == positions(switch.store, TODAY) != []
    switch.store.close()


MARKED = "6209017384915268"


# -- secrets -------------------------------------------------------------------------------------------------------------


def test_no_card_number_pin_or_track_lies_in_the_books_or_in_what_is_told(switch: Switch) -> None:
    paid, _ = switch.paid(switch.purchase(pan=MARKED, pin=True))
    switch.forwarded(switch.purchase(pan=MARKED, pin=True))  # waits: its card number is kept, sealed
    switch.ask(switch.acquirer, switch.reversal(paid))
    switch.ask(switch.acquirer, switch.refund(paid))
    switch.send(switch.acquirer, switch.purchase(pan=MARKED, f41=None), switch.purchase(pan=MARKED, f32=HARBOUR))
    switch.tick(30_000)
    switch.tick(100)
    told = "".join(repr(event) + event.raw.decode("latin-1") for event in switch.events.events).encode("latin-1", "replace")
    files = b"".join(path.read_bytes() for path in switch.path.parent.glob("network.db*"))
    assert len(files) > 10_000
    assert len(told) > 10_000
    for secret in (MARKED, MARKED[6:-4], "30122010000000000", PIN_DIGITS):
        forms = (secret.encode(), secret.encode().hex().encode(), bytes.fromhex(secret + "0" * (len(secret) % 2)))
        for form in forms[: 2 if secret == PIN_DIGITS else 3]:
            assert form not in files
            assert form not in told


def test_what_was_kept_is_dropped_when_nobody_needs_it(switch: Switch) -> None:
    switch.paid()
    with switch.store.begin() as tx:
        [row] = JOURNAL.open(tx).select(Statement(JOURNAL.select()))
    assert (row.kept, row.deadline_ms) == (b"", 0)


# -- crashes and spoilt batches ------------------------------------------------------------------------------------------


def test_a_crash_before_saving_leaves_nothing(switch: Switch) -> None:
    request = switch.purchase()
    frame = switch.acquirer.seal(request)
    tx = switch.store.begin()
    books = switch.host.books(tx, now_ms=switch.clock.now_ms())
    turn = switch.host.handle([Inbound(switch.acquirer.station, frame)], books)
    assert len(turn.outbound) == 1
    tx.rollback()
    assert journal_lines(switch.store, TODAY) == []
    assert switch.forwarded(request).mti == "0200"


def test_after_a_crash_the_deadline_does_the_rest(switch: Switch) -> None:
    request = switch.purchase()
    switch.forwarded(request)
    switch.start()
    switch.sign_on()
    for peer in switch.peers.values():
        switch.inbox(peer)
    switch.tick(30_000)
    switch.tick(100)
    assert [message.text(39) for message in switch.inbox(switch.acquirer)] == ["98"]
    assert [message.mti for message in switch.inbox(switch.issuer)] == ["0420"]


def test_names_of_our_own_do_not_repeat_over_a_restart_in_the_same_instant(switch: Switch) -> None:
    for _ in range(3):
        switch.forwarded(switch.purchase())
    switch.clock.advance(30_000)
    switch.tick()
    switch.start()
    switch.sign_on()
    close_day(switch.store, now_ms=switch.clock.now_ms())
    switch.tick()
    names = [item.name for item in forward_queue(switch.store)]
    assert len(names) == len(set(names)) == 3 + 6


def test_a_batch_of_many_members_and_kinds(switch: Switch) -> None:
    requests = [switch.purchase(pan=pan, pin=True) for pan in (PAN_LANTERN, PAN_HARBOUR, PAN_OTHER) for _ in range(20)]
    switch.issuer.got.clear()
    switch.harbour.got.clear()
    assert switch.send(switch.acquirer, *requests) == []
    asked = switch.inbox(switch.issuer), switch.inbox(switch.harbour)
    assert [len(part) for part in asked] == [40, 20]
    answers = [
        (peer, peer.seal(peer.answer(m)))
        for peer, part in zip((switch.issuer, switch.harbour), asked, strict=True)
        for m in part
    ]
    random.Random(7).shuffle(answers)
    switch.turn(*answers)
    replies = switch.inbox(switch.acquirer)
    assert {reply.text(11) for reply in replies} == {request.text(11) for request in requests}
    assert all(switch.acquirer.right(reply) and reply.text(39) == "00" for reply in replies)


# -- the desk ------------------------------------------------------------------------------------------------------------


def test_routes_change_while_the_switch_runs(switch: Switch) -> None:
    switch.forwarded(switch.purchase(pan=PAN_OTHER))
    add_route(switch.store, PAN_OTHER[:12], HARBOUR, now_ms=switch.clock.now_ms())
    assert switch.forwarded(switch.purchase(pan=PAN_OTHER), issuer=switch.harbour).text(100) == HARBOUR
    add_route(switch.store, PAN_OTHER[:12], LANTERN, station=switch.issuer.station, now_ms=switch.clock.now_ms())
    assert switch.forwarded(switch.purchase(pan=PAN_OTHER)).text(100) == LANTERN


def test_members_are_enrolled_once_and_with_sense(switch: Switch) -> None:
    assert [member.station for member in list_members(switch.store)] == [LANTERN, f"{LANTERN}-issuer", HARBOUR]
    with pytest.raises(Conflict):
        enrol_member(switch.store, HARBOUR, name="again")
    with pytest.raises(ConfigError, match="8 digits"):
        enrol_member(switch.store, "1", name="short")
    with pytest.raises(ConfigError, match="roles"):
        enrol_member(switch.store, "99030000", name="no role", roles=frozenset({"merchant"}))
    with pytest.raises(ConfigError, match="digits"):
        add_route(switch.store, "62a", HARBOUR, now_ms=0)


# -- any order -----------------------------------------------------------------------------------------------------------

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["ask", "reverse", "answer", "carry", "tick", "close", "restart", "die", "upload"]), st.integers(0, 5)
    ),
    max_size=40,
)


@settings(max_examples=examples(25, heavy=300), deadline=None)
@given(STEPS)
def test_each_payment_has_one_effect_whatever_is_lost_doubled_or_late(tmp_path_factory, steps: list[tuple[str, int]]) -> None:
    switch = Switch(tmp_path_factory.mktemp("any"), where=":memory:")
    switch.sign_on()
    world = World(switch)
    for step, which in steps:
        world.step(step, which)
    world.settle()
    lines = {line.name: line for day in (TODAY, TOMORROW, "20260107") for line in journal_lines(switch.store, day)}
    for request, state in world.issuer_says():
        here = lines[request].state
        assert (here == "APPROVED") == (state == "APPROVED"), (here, state)
    for day in (TODAY, TOMORROW, "20260107"):
        live, written = positions(switch.store, day), written_positions(switch.store, day)
        assert sum(position.amount_minor for position in live) == 0
        assert written in ([], live)
    refused = {name for name, state in world.issuer_says() if state == "DECLINED"}
    assert (forward_queue(switch.store), {letter.name for letter in dead_letters(switch.store)}) == ([], refused)
    switch.store.close()


class World:
    """An acquirer that asks and reverses at will, and an issuer with a small journal of its own."""

    def __init__(self, switch: Switch) -> None:
        self.switch = switch
        self.requests = [switch.purchase(100 + place, pan=(PAN_LANTERN, PAN_OTHER)[place % 2]) for place in range(6)]
        self.reversals = [switch.reversal(request) for request in self.requests]
        self.approvals = [switch.offline(500 + place, f2=(PAN_LANTERN, PAN_OTHER)[place % 2]) for place in range(6)]
        self.reversed: set[int] = set()
        self.mail: list[Message] = []  # what has come to the issuer, each to be taken any number of times
        self.books: dict[str, str] = {}

    def step(self, step: str, which: int) -> None:
        switch = self.switch
        if step == "ask":
            switch.send(switch.acquirer, *[self.requests[which]] * (1 + which % 2))
        elif step == "reverse":
            switch.send(switch.acquirer, *[self.reversals[which]] * (1 + which % 2))
            self.reversed.add(which)
        elif step == "upload":
            switch.send(switch.acquirer, *[self.approvals[which]] * (1 + which % 2))
        elif step in ("tick", "close"):
            if step == "close" and which == 0:
                close_day(switch.store, now_ms=switch.clock.now_ms())
            switch.tick(which * 7_000)
        elif step == "die":
            switch.dies_at = ("before-handle", "after-handle", "before-commit", "after-commit", "after-send", "")[which]
        elif step == "restart" and which == 0:
            switch.dies_at = ""
            switch.start()
            switch.sign_on()
        elif step in ("answer", "carry"):
            self.take(which, forget=step == "answer")

    def take(self, which: int, *, forget: bool) -> None:
        self.mail += self.switch.inbox(self.switch.issuer)
        if self.mail:
            place = which % len(self.mail)
            message = self.mail.pop(place) if forget else self.mail[place]
            if message.mti == "0820":
                reply = Message("0830", {**message.copy(7, 11, 33, 70), 39: "00"})
            else:
                reply = self.switch.issuer.answer(message, self.work(message))
            self.switch.send(self.switch.issuer, reply)

    def work(self, message: Message) -> str:
        text = message.text
        if message.mti == "0200":
            name = f"{text(7)}.{text(11)}.{text(32)}.{text(33)}"
            return "94" if self.books.setdefault(name, "APPROVED") == "REVERSED" else "00"
        if message.mti[:3] == "022":  # every third TC is wrong
            name = f"{text(7)}.{text(11)}.{text(32)}.{text(33)}"
            self.books[name] = "DECLINED" if int(text(4)) % 3 == 0 else "APPROVED"
            return "12" if self.books[name] == "DECLINED" else "00"
        data = text(90)
        name = f"{data[10:20]}.{data[4:10]}.{LANTERN}.{LANTERN}"
        self.books[name] = "REVERSED"
        return "00"

    def settle(self) -> None:
        """Let everything come to its end: everything is taken, every time-out passes, every item goes through."""
        self.switch.dies_at = ""
        for _ in range(40):
            self.switch.tick(31_000)
            while self.mail or self.switch.issuer.got:
                self.take(0, forget=True)
            for peer in (self.switch.acquirer, self.switch.harbour):
                for message in self.switch.inbox(peer):
                    if message.mti == "0820":
                        self.switch.send(peer, Message("0830", {**message.copy(7, 11, 33, 70), 39: "00"}))

    def issuer_says(self) -> list[tuple[str, str]]:
        return list(self.books.items())
