"""A household is to its members what wires are, and to everybody else one host: one commit, and no member notices."""

from collections.abc import Sequence

import msgspec
import pytest

from shanfu.clock import ManualClock
from shanfu.errors import ConfigError, LinkError, ProtocolError, StoreGone
from shanfu.events import Events, Recorder, nobody
from shanfu.hosts import Household, by_operation
from shanfu.links import Host, Inbound, Kind, LoopNet, Outbound, Turn, Worker
from shanfu.links.crash import CRASH_POINTS
from shanfu.messages import Call, JSONFrames, Reply, encoded, pack, requestor, unpack, wallet
from shanfu.store import Store
from tests.hosts import counter
from tests.hosts.counter import CLOUD, ISSUER, SEND_CODE, TRID, TSP

NOW_MS = 1_767_600_000_000
WIRE = (("tsp", CLOUD), ("cloud", TSP))
OWNER = by_operation("tsp", desks=("tsp", "cloud"), stations={"issuer": "tsp"})


def household(*, wires: Sequence = (WIRE,), **members: Host) -> Household:
    return Household("house", {"tsp": counter.counter(), "cloud": counter.cloud()} | members, wires=wires, owner=OWNER)


def question(op: str, body: msgspec.Struct, *, name: str = "1", key: str = "") -> bytes:
    return pack(Call(id=name, op=op, caller=TRID, key=key, body=encoded(body)))


def session(device: str = "d", name: str = "1") -> bytes:
    return question("sessions.open", wallet.OpenSession(device=device, ephemeral=""), name=name)


class Bench:
    def __init__(self, host: Host, store: Store, events: Events = nobody) -> None:
        self.clock, self.store, self.sent = ManualClock(NOW_MS), store, list[tuple[str, bytes]]()
        self.worker = Worker(
            host, store, self.clock, send=lambda station, frames: self.sent.extend((station, f) for f in frames), events=events
        )

    def say(self, *frames: bytes, station: str = "http/1") -> list[Reply | Call]:
        self.sent.clear()
        self.worker.turn([Inbound(station, frame) for frame in frames])
        return [unpack(frame, Call if b'"op":' in frame else Reply) for _, frame in self.sent]


def visits(reply: Reply | Call) -> int:
    return msgspec.json.decode(reply.body, type=wallet.SessionOpened).expires_ms


# -- one commit ------------------------------------------------------------------------------------------------------------


def test_a_question_between_members_is_answered_in_the_same_commit() -> None:
    with counter.opened("tsp", "cloud") as store:
        bench = Bench(household(), store)
        [reply] = bench.say(session())
        assert (reply.id, visits(reply)) == ("1", 1)
        assert (bench.worker.tally.commits, bench.worker.tally.refused) == (1, 0)


def test_a_batch_goes_to_each_member_as_one() -> None:
    with counter.opened("tsp", "cloud") as store:
        cloud, tsp = counter.cloud(), counter.counter()
        seen = []
        for member in (cloud, tsp):
            handle = member.handle
            member.handle = lambda batch, books, m=member, h=handle: seen.append((m.name, len(batch))) or h(batch, books)
        bench = Bench(household(cloud=cloud, tsp=tsp, wires=[WIRE]), store)
        replies = bench.say(*(session(name=str(number)) for number in range(10)))
        assert sorted(visits(reply) for reply in replies) == list(range(1, 11))
        assert seen == [("tsp", 1), ("cloud", 11), ("tsp", 10), ("cloud", 10)]  # the first one is the news that the wire stands


def test_notices_and_what_is_due_pass_inside() -> None:
    with counter.opened("tsp", "cloud") as store:
        bench = Bench(household(), store)
        suspend = requestor.ChangeToken(tokens=("t1", "t2"), actor=counter.Actor.TOKEN_REQUESTOR)
        bench.say(question("tsp.suspend", suspend))
        bench.sent.clear()
        bench.worker.tick()
        bench.clock.advance(3_600_000)
        bench.worker.tick()
        assert bench.sent == []
        with store.begin() as tx:
            books = counter.cloud().books(tx, now_ms=0)
            assert [books.visit(f"notice {number}") for number in (1, 2)] == [2, 2]  # each came once before


def test_questions_to_the_outside_leave_and_their_answers_find_their_member() -> None:
    with counter.opened("tsp", "cloud") as store:
        bench = Bench(household(), store)
        [ask] = bench.say(question("tsp.code.send", SEND_CODE))
        assert bench.sent[0][0] == ISSUER
        [reply] = bench.say(pack(Reply(id=ask.id, body=encoded(counter.wallet.CodeSent(hint="h", expires_ms=1, tries_left=1)))),
                            station=ISSUER)  # fmt: skip
        assert (reply.id, reply.status) == ("1", 200)


# -- the same outside ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize(("point", "nth"), [("", 1)] + [(point, nth) for point in CRASH_POINTS for nth in (1, 2)])
def test_together_or_alone_and_whoever_dies(together: bool, point: str, nth: int) -> None:
    clock, stores = ManualClock(NOW_MS), list[Store]()
    net = LoopNet(clock)
    if together:
        stores.append(counter.opened("tsp", "cloud"))
        net.add(household(), stores[0])
    else:
        stores += [counter.opened("tsp"), counter.opened("cloud")]
        net.add(counter.counter(), stores[0])
        net.add(counter.cloud(), stores[1])
        net.wire(*WIRE, framing=JSONFrames)
    front = "house" if together else "cloud"
    phone = net.terminal(front, framing=JSONFrames, timeout_ms=8_000)
    if point:
        net.crash_at(front, point, nth=nth)
    replies, tries = list[Reply](), 0
    while len(replies) < 3:
        tries += 1
        try:
            replies.append(unpack(phone.ask(session(name=str(tries))), Reply))
        except LinkError:
            assert tries < 6
    counts = [visits(reply) for reply in replies if reply.ok]
    assert counts == sorted(set(counts))  # no visit is counted back
    assert counts[-1] <= tries
    for store in stores:
        store.close()


# -- wires inside ----------------------------------------------------------------------------------------------------------


class Failing:
    """A store of which the first commits fail."""

    def __init__(self, store: Store, failures: int) -> None:
        self.store, self.failures = store, failures

    def begin(self):
        tx = self.store.begin()
        if self.failures:
            self.failures -= 1

            class Broken:
                committed = False

                def __getattr__(self, name):
                    return getattr(tx, name)

                def commit(self) -> None:
                    tx.rollback()
                    raise StoreGone("commit: the disk went away")

            return Broken()
        return tx

    def reopen(self) -> None:
        self.store.reopen()


@pytest.mark.parametrize("failures", [0, 1, 2])
def test_up_is_told_in_every_turn_until_one_is_committed(tmp_path, failures: int) -> None:
    schema = counter.ROOMS["tsp"].schema.beside(counter.ROOMS["cloud"].schema)
    with Store.open(tmp_path / "books.db", schema=schema, name="house") as store:
        tsp, cloud = counter.counter(), counter.cloud()
        bench = Bench(household(tsp=tsp, cloud=cloud), Failing(store, failures))
        for _ in range(5):
            bench.clock.advance(6_000)
            bench.worker.tick()
        assert tsp.news == [(CLOUD, Kind.UP)] * (failures + 1)
        assert cloud.news == [(TSP, Kind.UP)] * (failures + 1)
        bench.worker = Worker(household(tsp=tsp), store, bench.clock, send=lambda *_: None)
        bench.worker.tick()
        assert len(tsp.news) == failures + 2  # a new process, a new life


def test_a_call_that_spoils_any_members_work_is_refused_alone() -> None:
    with counter.opened("tsp", "cloud") as store:
        bench = Bench(household(), store)
        replies = bench.say(session(name="1"), session("poison", name="2"), session(name="3"))
        assert {reply.id: reply.status for reply in replies} == {"1": 200, "2": 500, "3": 200}
        assert max(visits(reply) for reply in replies if reply.ok) == 2


class Ball:
    """Throws everything back."""

    def __init__(self, name: str) -> None:
        self.name = name

    def books(self, tx, *, now_ms):
        return self

    def save(self) -> None:
        pass

    def handle(self, batch, books) -> Turn:
        return Turn([Outbound(inbound.station, b"ball") for inbound in batch])

    def due(self, books) -> Turn:
        return Turn()

    def refuse(self, inbound, fault, now_ms) -> Turn:
        return Turn([Outbound(inbound.station, b"no"), Outbound("b", b"96")])


def test_members_who_play_ball_are_stopped() -> None:
    house = Household(
        "h", {"one": Ball("one"), "two": Ball("two")}, wires=[(("one", "b"), ("two", "a"))], owner=lambda _: "one"
    )
    with counter.opened("tsp") as store:
        with store.begin() as tx, pytest.raises(ProtocolError, match="does not come to rest"):
            house.handle([], house.books(tx, now_ms=0))
        assert house.refuse(Inbound("x", b"m"), ValueError(), 0).outbound == [Outbound("x", b"no")]


# fmt: off
WRONG = [
    ([(("tsp", "x"), ("bank", "y"))],                          "has no member bank"),
    ([WIRE, (("tsp", CLOUD), ("cloud", "other"))],             "tsp has two wires to cloud"),
]
# fmt: on


@pytest.mark.parametrize(("wires", "why"), WRONG)
def test_wires_that_cannot_be(wires, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        household(wires=wires)


# -- whose it is -----------------------------------------------------------------------------------------------------------

RULE = by_operation("network", desks=("tsp", "cloud"), stations={"issuer": "tsp", "requestor": "tsp"})
UP = "up"
# fmt: off
OWNERS = [
    # station               what                                             whose
    ("99010000",            UP,                                              "network"),
    ("99010000",            b"0123",                                         "network"),
    ("issuer/99010000",     UP,                                              "tsp"),
    ("issuer/99010000",     pack(Reply(id="ask/tsp/7")),                     "tsp"),
    ("issuer/99010000",     pack(Reply(id="notice/issuer/99010000/7")),      "tsp"),
    ("issuer/99010000",     pack(Reply(id="whatever")),                      "tsp"),
    ("http/1",              pack(Call(id="1", op="tsp.find")),               "tsp"),
    ("http/1",              pack(Call(id="1", op="sessions.open")),          "cloud"),
    ("http/1",              pack(Call(id="1", op="issuer.login")),           "tsp"),      # which says that it does not
    ("http/1",              pack(Call(id="1", op="no.such")),                "tsp"),
    ("http/1",              pack(Reply(id="ask/cloud/7")),                   "cloud"),
    ("http/1",              pack(Reply(id="ask/bank/7")),                    "tsp"),
    ("http/1",              b"\0\0\0\2{]",                                   "tsp"),
    ("http/1",              b"\0" + b"[" * 100_000,                          "tsp"),
    ("pos/1",               b"\0",                                           "tsp"),
]
# fmt: on


@pytest.mark.parametrize(("station", "what", "whose"), OWNERS)
def test_whose_it_is(station: str, what: bytes | str, whose: str) -> None:
    inbound = Inbound(station, kind=Kind.UP) if isinstance(what, str) else Inbound(station, what)
    assert RULE(inbound) == whose


def test_nobody_outside_bears_a_members_name() -> None:
    with counter.opened("tsp", "cloud") as store:
        told = Recorder()
        bench = Bench(household(), store, told)
        assert bench.say(session(), station=TSP) == []
        assert [event.title for event in told.events] == [
            f"dropped a frame from outside under the name of {TSP}, who lives here"
        ]
        assert [reply.id for reply in bench.say(session(name="2"))] == ["2"]
