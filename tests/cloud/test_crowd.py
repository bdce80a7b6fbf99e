"""Many phones at once: one turn serves them with a call of the HSM for each kind; too many are told when to come again."""

from collections import Counter
from typing import Any

import pytest
from msgspec import structs

from shanfu.cloud import Cloud, CloudConfig
from shanfu.cloud.changes import Changes
from shanfu.hsm import SoftHSM
from shanfu.links import Inbound, Worker
from shanfu.messages import Problem, Reply, decoded, pack, unpack, wallet
from shanfu.store import Transaction
from tests.cloud.world import Phone, World, said, send_all

PHONES = 12


class CountingHSM:
    """The HSM, counting what it is asked."""

    def __init__(self, hsm: SoftHSM) -> None:
        self._hsm, self.asked = hsm, Counter[str]()

    def __getattr__(self, name: str) -> Any:
        self.asked[name] += 1
        return getattr(self._hsm, name)


@pytest.fixture
def crowd(world: World) -> list[Phone]:
    phones = []
    for _ in range(PHONES):
        phone = world.phone()
        phone.enrol()
        phone.open()
        phones.append(phone)
    world.service.say["tsp.request"] = world.service.request
    return phones


def test_one_turn_opens_the_app_on_many_phones(world: World, crowd: list[Phone]) -> None:
    hsm = CountingHSM(world.hsm)
    world.net.restart("cloud", Cloud(world.config, hsm))  # type: ignore[arg-type]
    world.net.pump()
    commits, hsm.asked = world.net.worker("cloud").tally.commits, Counter()
    calls = [(phone, phone.call("news.take", wallet.NewsAsked())) for phone in crowd]
    answers = [phone.opened(call, reply) for (phone, call), reply in zip(calls, send_all(calls), strict=True)]
    assert {said(answer) for answer in answers} == {"News"}
    assert world.net.worker("cloud").tally.commits == commits + 1
    assert hsm.asked == {"verify_signatures": 1, "unseal_sessions": 1, "seal_sessions": 1}


@pytest.mark.parametrize("op", ["news.take", "keys.replenish"])
def test_a_turn_asks_the_books_no_oftener_for_more_phones(
    world: World, crowd: list[Phone], monkeypatch: pytest.MonkeyPatch, op: str
) -> None:
    """One query a table, however many phones there are; a tick and the first statement of a kind cost nothing more."""
    queries: list[str] = []
    rows = Transaction.rows

    def counted(self: Transaction, statement: Any, params: Any = ()) -> Any:
        queries.append(statement.compiled(self.dialect)[0])
        return rows(self, statement, params)

    for phone in crowd:
        phone.login()
        phone.add()
    asked = {"news.take": wallet.NewsAsked()}
    monkeypatch.setattr(Transaction, "rows", counted)
    counts = []
    for phones in (crowd[:2], crowd[2:]):
        calls = [
            (phone, phone.call(op, asked.get(op) or wallet.ReplenishKeys(token=phone.token, sequence=1))) for phone in phones
        ]
        queries.clear()
        assert {reply.status for reply in send_all(calls)} == {200}
        counts.append(len(queries))
    assert counts[0] >= counts[1]


def test_the_key_sets_of_a_turn_are_derived_together(world: World, phone: Phone) -> None:
    second = world.ready()
    hsm = CountingHSM(world.hsm)
    world.net.restart("cloud", Cloud(world.config, hsm))  # type: ignore[arg-type]
    world.net.pump()
    hsm.asked = Counter()
    calls = [(one, one.call("keys.replenish", wallet.ReplenishKeys(token=one.token, sequence=1))) for one in (phone, second)]
    for (one, call), reply in zip(calls, send_all(calls), strict=True):
        assert one.keys(one.opened(call, reply))
    assert (hsm.asked["derive_key_sets"], hsm.asked["verify_signatures"]) == (1, 1)


def test_phones_beyond_the_bound_are_told_when_to_come(tmp_path: Any) -> None:
    world = World(tmp_path, CloudConfig(inbox_most=3, retry_first_s=2, retry_spread_s=20))
    phones = [world.phone() for _ in range(40)]
    calls = [(phone, phone.fresh("devices.enrol", phone.enrolment())) for phone in phones]
    replies = send_all(calls)
    assert [reply.status for reply in replies] == [200] * 3 + [503] * 37
    waits = [decoded(reply.body, Problem, path="busy").retry_after_s for reply in replies[3:]]
    assert all(2 <= wait < 22 for wait in waits)
    assert len(set(waits)) > 5  # not all at the same second
    phone, call = calls[-1]
    assert phone.send(call).ok  # nothing was used up: the same call passes
    world.close()


@pytest.mark.parametrize(("waited_ms", "status"), [(0, 200), (8_000, 200), (8_001, 503)])
def test_a_call_that_has_waited_too_long_is_put_off(world: World, waited_ms: int, status: int) -> None:
    phone, sent = world.phone(), list[bytes]()
    worker = Worker(world.cloud, world.store, world.clock, send=lambda _, frames: sent.extend(frames))
    frame, arrived_ms = pack(phone.fresh("devices.enrol", phone.enrolment())), world.clock.now_ms() - waited_ms
    worker.turn([Inbound("http/1", frame, arrived_ms=arrived_ms)])
    assert [unpack(frame, Reply).status for frame in sent] == [status]


def test_a_turn_that_is_run_again_gives_the_same_waits(tmp_path: Any) -> None:
    """A batch may be halved and run again: what phones are told must not depend on how often."""
    world = World(tmp_path, CloudConfig(inbox_most=1))
    phone, sent = world.phone(), dict[str, list[bytes]]()
    frames = [pack(structs.replace(phone.fresh("devices.enrol", phone.enrolment()), id=str(n))) for n in range(6)]
    worker = Worker(world.cloud, world.store, world.clock, send=lambda station, got: sent.setdefault(station, []).extend(got))
    batch = [Inbound(f"http/{n}", frame) for n, frame in enumerate(frames)]
    worker.turn(batch)
    first = {station: got[0] for station, got in sent.items()}
    sent.clear()
    worker.turn(batch)
    assert {name: sent[name][0] for name in first if name != "http/0"} == {n: f for n, f in first.items() if n != "http/0"}
    assert {unpack(frame, Reply).status for frame in first.values()} == {200, 503}
    world.close()


def test_a_message_that_breaks_the_host_is_refused_alone(world: World, crowd: list[Phone], monkeypatch: Any) -> None:
    """A fault in one call's work is found by halving: the others are answered, and this one's counter is unused."""
    victim = crowd[3].device

    def broken(self: Any, visit: Any, *, since: int) -> Any:
        if visit.name == victim:
            raise RuntimeError("a fault of ours")
        return wallet.News()

    monkeypatch.setattr(Changes, "_news", broken)
    calls = [(phone, phone.call("news.take", wallet.NewsAsked())) for phone in crowd]
    replies = send_all(calls)
    assert [reply.status for reply in replies] == [200] * 3 + [500] + [200] * (PHONES - 4)
    monkeypatch.undo()
    assert crowd[3].send(calls[3][1]).ok
