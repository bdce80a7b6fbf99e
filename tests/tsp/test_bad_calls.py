"""Calls that make no sense: each gets a Problem, nothing changes, and the service goes on."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shanfu.hosts import DeskBooks
from shanfu.links import Inbound
from shanfu.messages import OPERATIONS, Call, Problem, ProblemCode, Reply, Role, pack, unpack
from shanfu.messages.requestor import RequestToken
from shanfu.tsp import list_tokens
from tests.budget import examples
from tests.tsp.service import LANTERN, ME, Service

SERVED = sorted(name for name, row in OPERATIONS.items() if row.host == "tsp")
CALLERS = {Role.REQUESTOR: ME, Role.ISSUER: f"issuer/{LANTERN}"}

NAMES = ["", "card-1", "phone-1", "f" * 32, "ACTIVE", "GREEN", "LOST", "ISSUER", "sms"]
TEXT = st.text(st.characters(codec="utf-8"), max_size=80) | st.sampled_from(NAMES)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4), max_leaves=6
)


@pytest.fixture(scope="module")
def service():
    made = Service()
    made.active(made.card())
    yield made
    made.store.close()


def ask(service: Service, op: str, body: bytes, key: str = "") -> Reply:
    """Send a call with any body; return the reply, which there must be, though nobody else says a word."""
    caller = CALLERS[OPERATIONS[op].role]
    station = "cloud" if caller == ME else caller
    service._ops["bad"] = op
    call = Call(id="bad", op=op, caller=caller, key=key, body=msgspec.Raw(body))
    service.worker.turn([Inbound(station, pack(call))])
    replies = _replies(service, station)
    if not replies:  # it was good, and the issuer is asked
        service.clock.advance(service.config.ask_timeout_ms + 1)
        service.worker.tick()
        replies = _replies(service, station)
    [reply] = replies
    return reply


def _replies(service: Service, station: str) -> list[Reply]:
    replies = [unpack(frame, Reply) for to, frame in service.drain() if to == station and b'"status"' in frame]
    return [reply for reply in replies if reply.id == "bad"]


@pytest.mark.parametrize("op", SERVED)
@settings(
    max_examples=examples(12, heavy=700), deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)  # fmt: skip
@given(data=st.data())
def test_any_body(service: Service, op: str, data: st.DataObject) -> None:
    names = list(OPERATIONS[op].asks.__struct_fields__)
    body = data.draw(VALUES | st.dictionaries(st.sampled_from(names), VALUES))
    before = list_tokens(service.store)
    reply = ask(service, op, json.dumps(body).encode())
    if not reply.ok:
        problem = msgspec.json.decode(reply.body, type=Problem)
        assert problem.code in {code.value for code in ProblemCode}
        assert problem.code != ProblemCode.MALFUNCTION.value
        assert list_tokens(service.store) == before


def good(service: Service) -> dict[str, Any]:
    return json.loads(msgspec.json.encode(service.request_of(service.cards["card-1"])))


# what is wrong with a request for a token
SPOILT: dict[str, Any] = {
    "a field too many": {"pan": "6209010000000013"},
    "a number for a text": {"card": 1},
    "a text for a number": {"dki": "1"},
    "a colour that is none": {"colour": "BLUE"},
    "reasons that are a text": {"reasons": "none"},
    "a negative index": {"dki": -1},
    "nothing for a device": {"device": None},
    "a number that no book holds": {"terms_accepted_ms": 2**70},
    "a NUL": {"device": "a\x00b"},
}


@pytest.mark.parametrize("odd", SPOILT.values(), ids=SPOILT)
def test_a_spoilt_request(service: Service, odd: dict[str, Any]) -> None:
    before = list_tokens(service.store)
    reply = ask(service, "tsp.request", json.dumps(good(service) | odd).encode())
    assert msgspec.json.decode(reply.body, type=Problem).code == "format"
    assert list_tokens(service.store) == before


def test_a_request_without_a_field(service: Service) -> None:
    for name in RequestToken.__struct_fields__:
        body = good(service)
        if name in ("reasons", "dki"):
            continue
        del body[name]
        assert ask(service, "tsp.request", json.dumps(body).encode()).status == 400, name


@pytest.mark.parametrize(
    "frame", [b"\x00\x00\x00\x02{}", b"\x00\x00\x00\x04null", b"\x00\x00\x00\x00", b'\x00\x00\x00\x09{"id":1}']
)
def test_a_frame_that_is_neither_a_call_nor_a_reply_is_dropped(service: Service, frame: bytes) -> None:
    service.worker.turn([Inbound("cloud", frame)])
    assert service.drain() == []
    assert service.events.events[-1].title.startswith("dropped a frame from cloud")


def test_a_reply_that_nobody_waits_for_is_dropped(service: Service) -> None:
    for name in ("ask/tsp/1", "ask/tsp/x", "notice/cloud/1", f"notice/{ME}/999999", "", "ask/tsp/99999999999999999999"):
        service.worker.turn([Inbound("cloud", pack(Reply(id=name)))])
        assert service.drain() == []


def test_one_call_that_breaks_the_work_spoils_no_other(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody foresaw is refused alone; the rest of its batch is worked."""
    broken = DeskBooks.since

    def breaks(self: DeskBooks, receiver: str, number: int) -> Any:
        if number == 13:
            raise ZeroDivisionError
        return broken(self, receiver, number)

    monkeypatch.setattr(DeskBooks, "since", breaks)
    batch = []
    for name, since in (("a", 0), ("b", 13), ("c", 1)):
        call = Call(id=name, op="tsp.since", caller=ME, body=msgspec.Raw(json.dumps({"since": since}).encode()))
        batch.append(Inbound("cloud", pack(call)))
    service.worker.turn(batch)
    replies = [unpack(frame, Reply) for _, frame in service.drain()]
    assert {reply.id: reply.status for reply in replies} == {"a": 200, "b": ProblemCode.MALFUNCTION.status, "c": 200}
