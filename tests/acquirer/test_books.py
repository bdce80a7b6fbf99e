"""The acquirer's books: format, secrets, repeats, batches, crashes, numbers, what is told."""

from pathlib import Path

import pytest

from shanfu.acquirer import SCHEMA, Acquirer, AcquirerConfig, journal_lines
from shanfu.errors import ConfigError
from shanfu.events import join_traces
from shanfu.links import Inbound
from shanfu.store import differences
from tests.acquirer.bank import NETWORK, PAN, PIN_DIGITS, Bank

DAY = "20260105"


def test_the_migrations_lead_to_the_tables(bank: Bank, tmp_path: Path) -> None:
    bank.store.close()
    assert differences(f"sqlite:///{tmp_path / 'acquirer.db'}", SCHEMA) == []


def test_no_card_number_in_the_database_nor_in_events(bank: Bank, tmp_path: Path) -> None:
    frame = bank.till.purchase(pin=PIN_DIGITS)
    request = bank.till.sent[-1]
    bank.complete(bank.till, frame)
    bank.ask(bank.till, bank.till.reversal(request))
    bank.tick(100)
    secrets = [PAN.encode(), bytes.fromhex(PAN), f"{PAN}=".encode(), request.binary(52)]
    bank.store.close()
    for path in tmp_path.iterdir():
        assert not [secret for secret in secrets if secret in path.read_bytes()], path
    told = bank.events.drain()
    assert {event.wire for event in told} == {"", "pos", "interbank"}
    for event in told:
        assert not [secret for secret in secrets if secret in event.raw]
        assert PAN not in repr(event)
    traces = {event.trace for event in join_traces(told) if event.wire}
    assert len(traces) == 1  # all frames of one payment under one name


def test_sealed_card_numbers_are_forgotten_in_time(bank: Bank) -> None:
    bank.complete(bank.till, bank.till.purchase())
    bank.tick(29 * 86_400_000)
    assert _sealed(bank) == 1
    bank.tick(2 * 86_400_000)
    assert _sealed(bank) == 0


def _sealed(bank: Bank) -> int:
    from shanfu.acquirer.journal import JOURNAL
    from shanfu.store import Statement

    with bank.store.begin() as tx:
        return sum(bool(row.pan_sealed) for row in JOURNAL.open(tx).select(Statement(JOURNAL.select())))


def test_one_name_twice_in_a_batch(bank: Bank) -> None:
    frame = bank.till.purchase()
    out = bank.turn((bank.till.station, frame), (bank.till.station, frame))
    assert [each.station for each in out] == [NETWORK]
    asked = bank.network.hear(out[0].frame).message
    answer = bank.network.answer(asked)
    out = bank.turn((NETWORK, answer), (bank.till.station, frame), (NETWORK, answer), ("elsewhere", frame))
    assert [each.station for each in out] == [bank.till.station, bank.till.station, "elsewhere"]
    assert len({each.frame for each in out}) == 1


@pytest.mark.parametrize("odd", [{"de4": "000000009999"}, {"de2": "6209020000000011", "de35": None}])
def test_a_name_with_other_contents(bank: Bank, odd: dict[str, str | None]) -> None:
    frame = bank.till.purchase()
    stan = bank.till.sent[-1].text(11)
    asked = bank.forwarded(bank.till, frame)
    assert bank.ask(bank.till, bank.till.purchase(de11=stan, **odd)).text(39) == "94"
    assert len(bank.reply(asked)) == 1


def test_a_terminal_that_calls_again_gets_its_answer_there(bank: Bank) -> None:
    frame = bank.till.purchase()
    asked = bank.forwarded(bank.till, frame)
    assert bank.turn(("new line", frame)) == []
    [back] = bank.reply(asked)
    assert back.station == "new line"


def test_nothing_remains_of_a_turn_that_was_not_committed(bank: Bank) -> None:
    frame = bank.till.purchase()
    tx = bank.store.begin()
    books = bank.host.books(tx, now_ms=bank.clock.now_ms())
    assert len(bank.host.handle([Inbound(bank.till.station, frame)], books).outbound) == 1
    books.save()
    tx.rollback()
    bank.restart()
    assert journal_lines(bank.store, DAY) == []
    assert bank.complete(bank.till, frame).text(39) == "00"


def test_a_restart_goes_on_where_the_books_are(bank: Bank) -> None:
    asked = bank.forwarded(bank.till, bank.till.purchase())
    bank.restart()
    other = bank.forwarded(bank.till, bank.till.purchase())
    assert (asked.text(11), asked.text(37)) < (other.text(11), other.text(37))
    assert len(bank.reply(asked)) == 1


def test_what_spoils_a_batch_is_refused_alone(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    from shanfu.acquirer import stretch

    real = stretch.decide

    def decide(facts: stretch.Facts) -> object:
        if facts.request.amount_minor == 666:
            raise RuntimeError("spoilt")
        return real(facts)

    monkeypatch.setattr(stretch, "decide", decide)
    frames = [bank.till.purchase(amount) for amount in (100, 666, 200)]
    out = bank.turn(*((bank.till.station, frame) for frame in frames))
    assert [each.station for each in out] == [NETWORK, bank.till.station, NETWORK]
    assert bank.answered(bank.till, out[1].frame).text(39) == "96"
    assert len(journal_lines(bank.store, DAY)) == 2


def test_two_refusals_without_books(bank: Bank) -> None:
    host = Acquirer(bank.config, bank.hsm)
    for frame, fault, code in (
        (bank.till.purchase(), RuntimeError(), "96"),
        (bank.till.reversal(bank.till.sent[-1]), RuntimeError(), "96"),
        (bank.till.purchase()[:-3], RuntimeError(), "30"),
    ):
        [out] = host.refuse(Inbound(bank.till.station, frame), fault, bank.clock.now_ms()).outbound
        assert bank.answered(bank.till, out.frame).text(39) == code
    assert host.refuse(Inbound(NETWORK, b"0000"), RuntimeError(), 0).outbound == []


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"institution": "99012900", "patience": 1}, "did you mean 'patience_ms'"),
        ({"institution": "9901"}, "8 digits"),
        ({"institution": "99012900", "buckets": 0}, "1 or more"),
        ({"institution": "99012900", "name": 5}, "must be str"),
    ],
)
def test_settings_are_read_strictly(table: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        AcquirerConfig.load(table)
    assert AcquirerConfig.load({"institution": "99012900"}).patience_ms == 45_000
