"""One batch, one transaction, answers only after the commit."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from shanfu.clock import ManualClock
from shanfu.errors import ConfigError, StoreGone
from shanfu.events import Recorder
from shanfu.links import Inbound, Worker, crash_points
from shanfu.store import Store, Transaction
from tests.links.teller import Teller, framed, opened, orders, words


class Flaky:
    """A real store of which chosen calls fail: {"begin": 2} lets the second begin fail."""

    def __init__(self, store: Store, **fail: int) -> None:
        self.store, self.fail = store, fail

    def _strikes(self, call: str) -> bool:
        self.fail[call] = self.fail.get(call, 0) - 1
        return self.fail[call] == 0

    def begin(self) -> "FlakyTransaction":
        if self._strikes("begin"):
            raise StoreGone("begin: disk I/O error")
        return FlakyTransaction(self.store.begin(), self)

    def reopen(self) -> None:
        if self.fail.get("reopen", 0) > 0:
            self.fail["reopen"] -= 1
            raise StoreGone("reopen: no such file")
        self.store.reopen()


class FlakyTransaction:
    def __init__(self, tx: Transaction, flaky: Flaky) -> None:
        self._tx, self._flaky = tx, flaky

    def __getattr__(self, name):
        return getattr(self._tx, name)

    def commit(self) -> None:
        if self._flaky._strikes("commit"):
            raise StoreGone("commit: disk I/O error")
        if self._flaky._strikes("late_commit"):
            self._tx.commit()
            raise StoreGone("commit: the server went away after it")
        self._tx.commit()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with opened(tmp_path) as store:
        yield store


class Bench:
    """A worker and what it sent."""

    def __init__(self, store, **more) -> None:
        self.sent: list[tuple[str, list[str]]] = []
        self.clock, self.host = ManualClock(1_000_000), Teller()
        self.worker = Worker(self.host, store, self.clock, send=self.send, **more)

    def send(self, station: str, frames: list[bytes]) -> None:
        self.sent.append((station, [words(frame) for frame in frames]))

    def turn(self, *texts: str) -> list[tuple[str, list[str]]]:
        """Work messages written "station: words"."""
        self.sent.clear()
        self.worker.turn([Inbound(text.split(": ")[0], framed(text.split(": ")[1])) for text in texts])
        return list(self.sent)


def test_a_batch_is_one_commit_and_one_write_for_each_station(store: Store) -> None:
    bench = Bench(store)
    assert bench.turn("a: add 1", "b: add 2", "a: add 3") == [("a", ["ok 1", "ok 3"]), ("b", ["ok 2"])]
    assert (bench.worker.tally.commits, bench.worker.tally.frames) == (1, 3)
    assert orders(store) == ["1", "2", "3"]


def test_the_same_identity_twice_in_a_batch_has_one_effect(store: Store) -> None:
    assert Bench(store).turn("a: add 1", "a: add 1") == [("a", ["ok 1", "ok 1"])]
    assert orders(store) == ["1"]


@pytest.mark.parametrize("size", [1, 2, 7, 64])
@pytest.mark.parametrize("place", [0, 0.5, 1])
def test_a_message_that_spoils_its_batch_is_refused_alone(store: Store, size: int, place: float) -> None:
    bench, bad = Bench(store), int(place * (size - 1))
    sent = bench.turn(*(f"s{n}: {'poison' if n == bad else 'add'} {n:02}" for n in range(size)))
    assert sent == [(f"s{n}", [f"{'96' if n == bad else 'ok'} {n:02}"]) for n in range(size)]
    assert orders(store) == [f"{n:02}" for n in range(size) if n != bad]
    assert bench.worker.tally.refused == 1


def test_two_spoilt_messages_cost_only_themselves(store: Store) -> None:
    sent = Bench(store).turn("a: add 1", "a: poison 2", "a: poison 3", "a: add 4")
    assert [text for _, texts in sent for text in texts] == ["ok 1", "96 2", "96 3", "ok 4"]


def test_a_refusal_names_the_fault_and_not_the_message(store: Store) -> None:
    with capture_logs() as lines:
        Bench(store).turn("a: poison 6228480000000005")
    assert [line["event"] for line in lines] == ["message_refused"]
    assert lines[0]["fault"].startswith("ValueError in tests.links.teller")
    assert "622848" not in repr(lines)


@pytest.mark.parametrize(
    ("fail", "kept"),
    [
        ({"begin": 1}, []),
        ({"commit": 1}, []),
        ({"late_commit": 1}, ["1", "2"]),  # the commit had succeeded, but nobody can know
    ],
)
def test_a_lost_store_answers_nobody(store: Store, fail: dict[str, int], kept: list[str]) -> None:
    bench = Bench(Flaky(store, **fail))
    assert bench.turn("a: add 1", "b: add 2") == []
    assert not bench.worker.standing
    assert bench.turn("a: add 1") == [("a", ["ok 1"])]  # the repeat finds the store open again
    assert bench.worker.standing
    assert orders(store) == sorted({*kept, "1"})


def test_a_store_that_stays_away_is_asked_for_ever_more_rarely(store: Store) -> None:
    flaky = Flaky(store, commit=1, reopen=8)
    bench = Bench(flaky)
    bench.turn("a: add 1")
    began_ms, tries = bench.clock.now_ms(), []
    while not bench.worker.standing:
        before = flaky.fail["reopen"]
        bench.worker.tick()
        if flaky.fail["reopen"] != before:
            tries.append(bench.clock.now_ms() - began_ms)
        bench.clock.advance(50)
    assert tries == [0, 100, 300, 700, 1500, 3100, 6300, 11300]
    assert bench.turn("a: add 1") == [("a", ["ok 1"])]


def test_a_store_lost_in_the_middle_of_halving_answers_only_what_is_durable(store: Store) -> None:
    bench = Bench(Flaky(store, begin=3))  # whole batch, first half, then the loss
    assert bench.turn("a: add 1", "a: poison 2") == [("a", ["ok 1"])]
    assert orders(store) == ["1"]


def test_due_works_in_its_own_transaction(store: Store) -> None:
    bench = Bench(store)
    assert bench.turn("a: fwd 1") == [("far", ["add 1"])]
    bench.sent.clear()
    bench.clock.advance(4_999)
    bench.worker.tick()
    assert bench.sent == []
    bench.clock.advance(1)
    bench.worker.tick()
    bench.worker.tick()
    assert bench.sent == [("a", ["late 1"])]


def test_a_failing_due_leaves_nothing_open(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(store)
    with monkeypatch.context() as patch:
        patch.setattr(bench.host, "due", lambda books: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            bench.worker.tick()
    assert bench.turn("a: add 1") == [("a", ["ok 1"])]


def test_events_come_after_the_answers_and_only_of_what_was_committed(store: Store) -> None:
    order: list[str] = []
    recorder = Recorder(lambda event: order.append(event.title))
    bench = Bench(store, events=recorder)
    bench.worker._send = lambda station, frames: order.append("sent")
    bench.worker.turn([Inbound("a", framed("add 1")), Inbound("a", framed("poison 2"))])
    assert order == ["sent", "add 1", "sent"]


class Killed(BaseException):
    pass


@pytest.mark.parametrize(
    ("point", "sent", "kept"),
    [
        ("before-handle", [], []),
        ("after-handle", [], []),
        ("before-commit", [], []),
        ("after-commit", [], ["1"]),
        ("after-send", [("a", ["ok 1"])], ["1"]),
    ],
)
def test_crash_points(store: Store, point: str, sent: list, kept: list[str]) -> None:
    def die() -> None:
        raise Killed

    bench = Bench(store, crash_point=crash_points("teller", f"teller:{point}:1", die))
    with pytest.raises(Killed):
        bench.turn("a: add 1")
    bench.worker.abandon()
    assert bench.sent == sent
    assert orders(store) == kept


def test_a_crash_point_counts_only_turns_with_messages(store: Store) -> None:
    died: list[int] = []
    bench = Bench(store, crash_point=crash_points("teller", "teller:after-commit:2", lambda: died.append(1)))
    for _ in range(3):
        bench.worker.tick()
    bench.turn("a: add 1")
    assert died == []
    bench.turn("a: add 2")
    assert died == [1]


@pytest.mark.parametrize(
    "setting", ["issuer", "issuer:", "issuer:after-lunch", "issuer:after-commit:0", "issuer:after-commit:x"]
)
def test_an_odd_crash_setting_is_refused(setting: str) -> None:
    with pytest.raises(ConfigError, match=r"SHANFU_CRASH_AT: is .* should be"):
        crash_points("issuer", setting)


def test_a_crash_setting_for_another_host_does_nothing() -> None:
    crash_points("network", "issuer:after-commit", die=lambda: pytest.fail("died"))("after-commit")


def test_a_disk_that_stays_full_is_not_tried_at_every_message(store: Store) -> None:
    class Full(Flaky):
        def _strikes(self, call: str) -> bool:
            return call == "commit" and bench.busy

    full = Full(store)
    bench = Bench(full)
    bench.busy = True
    for n in range(100):
        bench.turn(f"a: add {n}")
        bench.busy = False  # an idle tick succeeds: it writes nothing
        bench.worker.tick()
        bench.busy = True
        bench.clock.advance(10)
    assert bench.worker.tally.lost == 5  # with pauses of 0, 100, 200, 400 and 800 ms
    bench.busy = False
    bench.clock.advance(5_000)
    assert bench.turn("a: add 1") == [("a", ["ok 1"])]
