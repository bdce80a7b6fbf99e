"""A desk as its callers see it: repeats, who may ask, questions in turn, time-outs, notices, and deaths in between."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw, Struct

from shanfu.clock import ManualClock
from shanfu.errors import DecodeError, LinkError, LinkTimeout
from shanfu.hosts import Desk
from shanfu.links import Inbound, LoopNet, Worker
from shanfu.links.crash import CRASH_POINTS
from shanfu.messages import (
    Actor,
    Call,
    IDVMethod,
    JSONFrames,
    Problem,
    Reply,
    encoded,
    issuing,
    pack,
    problem,
    requestor,
    unpack,
    wallet,
)  # fmt: skip
from shanfu.messages import ProblemCode as Code
from shanfu.store import Store
from tests.budget import examples
from tests.hosts import counter
from tests.hosts.counter import CLOUD, ISSUER, SEND_CODE, TRID, TSP

HTTP = "http/7f"
FIND, FIND_OTHER, POISON = (requestor.FindTokens(card=name) for name in ("c", "d", "poison"))
SUSPEND = requestor.ChangeToken(tokens=("t1", "t2"), actor=Actor.TOKEN_REQUESTOR)
VERIFY, VERIFY_WRONG = (
    requestor.VerifyCode(token="t", method=IDVMethod.SMS, code=code) for code in ("123456", "000000")
)  # fmt: skip


@dataclass
class Bench:
    """One host over books in memory; what it sends is caught."""

    store: Store
    clock: ManualClock = field(default_factory=lambda: ManualClock(1_767_600_000_000))
    sent: list[tuple[str, Call | Reply]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        self.worker = Worker(counter.counter(), self.store, self.clock, send=self.catch)

    def catch(self, station: str, frames: list[bytes]) -> None:
        for frame in frames:
            is_call = b'"op":' in frame
            self.sent.append((station, unpack(frame, Call) if is_call else unpack(frame, Reply)))

    def say(self, *messages: tuple[str, Call | Reply]) -> list[tuple[str, Call | Reply]]:
        """Give a batch and return what was sent."""
        self.sent.clear()
        self.worker.turn([Inbound(station, pack(message)) for station, message in messages])
        return list(self.sent)

    def tick(self, ms: int = 0) -> list[tuple[str, Call | Reply]]:
        self.sent.clear()
        self.clock.advance(ms)
        self.worker.tick()
        return list(self.sent)

    def ask(self, op: str, body: Struct | bytes, **more) -> Reply:
        """Ask once over HTTP and return the reply."""
        [(_, reply)] = self.say((more.pop("station", HTTP), call(op, body, **more)))
        assert isinstance(reply, Reply)
        return reply


@pytest.fixture
def bench() -> Iterator[Bench]:
    with counter.opened("tsp") as store:
        yield Bench(store)


def call(op: str, body: Struct | bytes, *, name: str = "1", caller: str = TRID, key: str = "") -> Call:
    return Call(id=name, op=op, caller=caller, key=key, body=Raw(body) if isinstance(body, bytes) else encoded(body))


def said(reply: Call | Reply) -> str:
    """A reply in one word: a problem's code, or how often the caller has been here, or the answer's type."""
    assert isinstance(reply, Reply)
    if not reply.ok:
        return msgspec.json.decode(reply.body, type=Problem).code
    body = msgspec.json.decode(reply.body)
    return str(body["tokens"][0]["version"]) if "tokens" in body else "ok"


# fmt: off
ASKED = [
    # station     caller                  operation          body                    answer
    (HTTP,        TRID,                   "tsp.find",        FIND,                   "1"),
    (TRID,        TRID,                   "tsp.find",        FIND,                   "1"),
    (CLOUD,       TRID,                   "tsp.find",        FIND,                   "1"),                  # may speak for him
    (CLOUD,       "requestor/9",          "tsp.find",        FIND,                   "forbidden"),
    (CLOUD,       CLOUD,                  "tsp.find",        FIND,                   "forbidden"),
    ("pos/1",     TRID,                   "tsp.find",        FIND,                   "forbidden"),  # nobody vouches
    (HTTP,        "",                     "tsp.find",        FIND,                   "forbidden"),
    (HTTP,        ISSUER,                 "tsp.find",        FIND,                   "forbidden"),
    (HTTP,        "requestors/90100000001", "tsp.find",      FIND,                   "forbidden"),
    (HTTP,        TRID,                   "tsp.card",        FIND,                   "unknown-operation"),  # not served here
    (HTTP,        TRID,                   "sessions.open",   FIND,                   "unknown-operation"),  # another host's
    (HTTP,        TRID,                   "no.such",         FIND,                   "unknown-operation"),
    (HTTP,        TRID,                   "tsp.find",        b'{"card":7}',          "format"),
    (HTTP,        TRID,                   "tsp.find",        b'{"cards":"c"}',       "format"),
    (HTTP,        TRID,                   "tsp.find",        b'[]',                  "format"),
    (HTTP,        TRID,                   "tsp.find",        b'{"card":"\xff"}',     "format"),
    (HTTP,        TRID,                   "tsp.code.verify", VERIFY_WRONG,           "code-wrong"),
    (HTTP,        TRID,                   "tsp.find",        POISON,                 "malfunction"),
]
REPEATS = [
    # first                       then                          second answer
    (("tsp.find", FIND, "k"),       ("tsp.find", FIND, "k"),            "1"),            # the stored reply
    (("tsp.find", FIND, "k"),       ("tsp.find", FIND, "other"),        "2"),
    (("tsp.find", FIND, ""),        ("tsp.find", FIND, ""),             "2"),
    (("tsp.find", FIND, "k"),       ("tsp.find", FIND_OTHER, "k"),      "conflict"),
    (("tsp.find", FIND, "k"),       ("tsp.code.send", SEND_CODE, "k"),  "conflict"),
    (("tsp.find", b"{}", "k"),      ("tsp.find", b"{ }", "k"),          "conflict"),     # as sent, byte for byte
    (("tsp.find", b"7", "k"),       ("tsp.find", b"7", "k"),            "format"),
    (("tsp.card", FIND, "k"),       ("tsp.find", FIND, "k"),            "1"),            # a refusal of the door is no reply
    (("tsp.find", POISON, "k"),     ("tsp.find", POISON, "k"),          "malfunction"),
    (("tsp.code.verify", VERIFY_WRONG, "k"), ("tsp.code.verify", VERIFY, "k"), "ok"),    # codes leave no digest
]
# fmt: on


@pytest.mark.parametrize("row", ASKED, ids=lambda row: f"{row[1]} {row[2]} {row[4]}")
def test_asked(bench: Bench, row: tuple) -> None:
    station, caller, op, body, answer = row
    reply = bench.ask(op, body, station=station, caller=caller, name="7")
    assert (said(reply), reply.id) == (answer, "7")


@pytest.mark.parametrize(("first", "then", "answer"), REPEATS)
@pytest.mark.parametrize("restarted", [False, True])
def test_repeats(bench: Bench, first, then, answer: str, restarted: bool) -> None:
    bench.ask(*first[:2], key=first[2])
    if restarted:
        bench.restart()
    reply = bench.ask(*then[:2], key=then[2], name="2")
    assert (said(reply), reply.id) == (answer, "2")


def test_the_same_key_of_another_caller_is_another_call(bench: Bench) -> None:
    assert said(bench.ask("tsp.find", FIND, key="k")) == "1"
    assert said(bench.ask("tsp.find", FIND_OTHER, key="k", caller="requestor/90100000002")) == "1"


def test_twice_in_one_batch_is_one_visit(bench: Bench) -> None:
    twice = [(HTTP, call("tsp.find", FIND, name=name, key="k")) for name in "ab"]
    assert [(reply.id, said(reply)) for _, reply in bench.say(*twice)] == [("a", "1"), ("b", "1")]


def test_replies_are_kept_a_day(bench: Bench) -> None:
    assert said(bench.ask("tsp.find", FIND, key="k")) == "1"
    bench.tick(23 * 3_600_000)
    assert said(bench.ask("tsp.find", FIND, key="k")) == "1"
    bench.tick(2 * 3_600_000)
    assert said(bench.ask("tsp.find", FIND, key="k")) == "2"


@pytest.mark.parametrize("long", [{"key": "k" * 129}, {"name": "i" * 129}])
def test_a_name_without_end_is_refused(bench: Bench, long) -> None:
    assert said(bench.ask("tsp.find", FIND, **long)) == "format"


# -- questions in turn -----------------------------------------------------------------------------------------------------

SENT = wallet.CodeSent(hint="138****0001", expires_ms=1, tries_left=3)


def answered(question: Call | Reply, body: Struct = SENT, status: int = 200) -> Reply:
    return Reply(id=question.id, status=status, body=encoded(body))


def test_a_question_in_turn(bench: Bench) -> None:
    [(station, question)] = bench.say((HTTP, call("tsp.code.send", SEND_CODE, key="k")))
    assert isinstance(question, Call)
    assert (station, question.op, question.caller) == (ISSUER, "issuer.code.send", TSP)
    assert question.key == question.id  # the issuer, too, gives a repeat its stored reply
    assert msgspec.json.decode(question.body, type=issuing.SendCode).token == "t"
    [(station, reply)] = bench.say((ISSUER, answered(question)))
    assert (station, reply.id, said(reply)) == (HTTP, "1", "ok")
    assert bench.say((ISSUER, answered(question))) == []  # once is enough
    assert bench.ask("tsp.code.send", SEND_CODE, key="k", name="9").body == reply.body


# fmt: off
ANSWERS = [
    # from          status  body                                       what the first asker hears; "" nothing
    (ISSUER,        200,    SENT,                                      "ok"),
    (ISSUER,        403,    problem(Code.REFUSED),                     "refused"),
    (ISSUER,        503,    problem(Code.UNAVAILABLE),                 "unavailable"),
    (ISSUER,        200,    FIND,                                      "unavailable"),  # no answer to this question
    (ISSUER,        500,    SENT,                                      "unavailable"),
    ("issuer/99020000", 200, SENT,                                     ""),             # was not asked
    (HTTP,          200,    SENT,                                      ""),
]
# fmt: on


@pytest.mark.parametrize(("station", "status", "body", "heard"), ANSWERS)
def test_what_comes_back(bench: Bench, station: str, status: int, body: Struct, heard: str) -> None:
    [(_, question)] = bench.say((HTTP, call("tsp.code.send", SEND_CODE)))
    out = bench.say((station, answered(question, body, status)))
    assert [said(reply) for _, reply in out] == ([heard] if heard else [])


@pytest.mark.parametrize("name", ["", "ask", "ask/tsp/", "ask/tsp/0", "ask/tsp/-1", "ask/tsp/" + "9" * 30, "ask/cloud/1",
                                  "notice/cloud/1", "notice/cloud/" + "9" * 5_000, "notice//1", "ask/tsp/١"])  # fmt: skip
def test_a_reply_to_nothing_is_let_fall(bench: Bench, name: str) -> None:
    assert bench.say((ISSUER, Reply(id=name))) == []
    assert bench.worker.tally.refused == 0


def test_who_asks_again_meanwhile_takes_the_place(bench: Bench) -> None:
    [(_, question)] = bench.say((HTTP, call("tsp.code.send", SEND_CODE, key="k", name="old")))
    assert bench.say(("http/8a", call("tsp.code.send", SEND_CODE, key="k", name="new"))) == []  # the issuer is asked once
    assert [(station, reply.id) for station, reply in bench.say((ISSUER, answered(question)))] == [("http/8a", "new")]


@pytest.mark.parametrize("key", ["k", ""])
def test_a_silent_issuer_is_a_503_and_a_retry_works(bench: Bench, key: str) -> None:
    [(_, question)] = bench.say((HTTP, call("tsp.code.send", SEND_CODE, key=key)))
    assert bench.tick(4_999) == []
    [(station, reply)] = bench.tick(1)
    assert (station, reply.id, said(reply)) == (HTTP, "1", "unavailable")
    assert bench.say((ISSUER, answered(question))) == []  # too late
    [(_, again)] = bench.say((HTTP, call("tsp.code.send", SEND_CODE, key=key, name="2")))
    assert again.id != question.id
    assert [(reply.id, said(reply)) for _, reply in bench.say((ISSUER, answered(again)))] == [("2", "ok")]


def test_the_place_outlives_the_process(bench: Bench) -> None:
    [(_, question)] = bench.say((HTTP, call("tsp.code.send", SEND_CODE)))
    bench.restart()
    assert [(station, said(reply)) for station, reply in bench.say((ISSUER, answered(question)))] == [(HTTP, "ok")]


# -- notices ---------------------------------------------------------------------------------------------------------------


def numbers(out: list[tuple[str, Call | Reply]]) -> list[int]:
    return [msgspec.json.decode(note.body)["number"] for station, note in out if station == CLOUD and isinstance(note, Call)]


def test_notices_go_until_they_are_acknowledged(bench: Bench) -> None:
    bench.ask("tsp.suspend", SUSPEND)
    out = bench.tick()
    assert numbers(out) == [1, 2]
    assert bench.tick() == []
    bench.say((CLOUD, Reply(id=out[0][1].id)))
    for refusal in [(HTTP, Reply(id=out[1][1].id)), (CLOUD, Reply(id=out[1][1].id, status=503))]:
        bench.say(refusal)  # neither counts
    assert numbers(bench.tick(2_000)) == [2]
    bench.restart()
    assert numbers(bench.tick(4_000)) == [2]
    bench.ask("tsp.suspend", SUSPEND)
    assert numbers(bench.tick()) == [3, 4]
    bench.say(*[(CLOUD, Reply(id=f"notice/{CLOUD}/{number}")) for number in (2, 3, 4)])
    assert bench.tick(3_600_000) == []


def test_a_spoilt_call_leaves_no_gap_in_the_numbers(bench: Bench) -> None:
    bench.say((HTTP, call("tsp.suspend", SUSPEND)), (HTTP, call("tsp.find", POISON)), (HTTP, call("tsp.suspend", SUSPEND)))
    assert numbers(bench.tick()) == [1, 2, 3, 4]


# -- deaths, refusals, strange frames --------------------------------------------------------------------------------------


@pytest.mark.parametrize("point", CRASH_POINTS)
@pytest.mark.parametrize("who", ["tsp", "issuer"])
@pytest.mark.parametrize("nth", [1, 2])
def test_a_death_anywhere_ends_in_one_code(point: str, who: str, nth: int) -> None:
    clock = ManualClock(1_767_600_000_000)
    with counter.opened("tsp") as one, counter.opened("issuer") as other:
        net = LoopNet(clock)
        net.add(counter.counter(), one)
        net.add(counter.bank(), other)
        net.wire(("tsp", ISSUER), ("issuer", TSP), framing=JSONFrames)
        phone = net.terminal("tsp", framing=JSONFrames, timeout_ms=8_000)
        net.crash_at(who, point, nth=nth)
        question, heard = pack(call("tsp.code.send", SEND_CODE, key="k")), []
        for _ in range(10):  # the key makes asking again safe
            with contextlib.suppress(LinkError):
                reply = unpack(phone.ask(question), Reply)
                heard += [reply] if reply.ok else []
        assert len(heard) >= 8, said(reply)
        assert all(reply == heard[0] for reply in heard)
        body = msgspec.json.decode(heard[0].body, type=wallet.CodeSent)
        assert body.hint in {"138****0001", "138****0002"}  # a question whose answer was lost is asked anew after its time


FAULTS = [(DecodeError("bad"), "format"), (LinkTimeout("late"), "busy"), (RuntimeError("secret"), "malfunction")]


@pytest.mark.parametrize(("fault", "code"), FAULTS)
def test_refusals(fault: Exception, code: str) -> None:
    host = counter.counter()
    [out] = host.refuse(Inbound(HTTP, pack(call("tsp.find", FIND, name="7"))), fault, 0).outbound
    reply = unpack(out.frame, Reply)
    assert (out.station, reply.id, said(reply)) == (HTTP, "7", code)
    assert b"secret" not in out.frame
    assert host.refuse(Inbound(HTTP, pack(Reply(id="7"))), fault, 0).outbound == []


STORE = counter.opened("tsp")  # what one example leaves there does not matter to the next


@settings(max_examples=examples(150, heavy=20_000), deadline=None)
@given(st.data())
def test_damaged_frames_never_stop_a_desk(data: st.DataObject) -> None:
    frame = bytearray(pack(data.draw(st.sampled_from([call("tsp.find", FIND, key="k"), Reply(id="ask/tsp/1")]))))
    for at, flip in data.draw(st.lists(st.tuples(st.integers(4, len(frame) - 1), st.integers(1, 255)), max_size=3)):
        frame[at] ^= flip
    bench = Bench(STORE)
    bench.worker.turn([Inbound(HTTP, bytes(frame)), Inbound(HTTP, bytes(frame[: len(frame) // 2]))])
    assert bench.worker.tally.refused == 0


def test_a_desk_serves_only_what_the_table_gives_its_host() -> None:
    with pytest.raises(ValueError, match="does not serve sessions"):
        Desk("tsp", counter.ROOMS["tsp"].shelves, served={"sessions.open": lambda visit, body: None}, answered={})
