"""The outbox over time: numbered without gaps, and what was acknowledged long ago is forgotten."""

import pytest
from sqlalchemy import MetaData, create_engine

from shanfu.hosts import DeskBooks, DeskShelves, desk_books
from shanfu.messages import Empty
from shanfu.store import Store
from shanfu.tsp import SCHEMA
from shanfu.tsp.books import DESK


@pytest.mark.parametrize("name", ["last", "since", "heard", "due", "late", "old"])
def test_no_query_reads_a_whole_table(name: str) -> None:
    metadata = MetaData()
    shelves = DeskShelves(metadata)
    engine = create_engine("sqlite://")
    with engine.connect() as link:
        metadata.create_all(link)
        text, arrange = getattr(shelves, name).compiled("sqlite")
        params = {"last": 1, "due": 1, "late": 1, "old": 1}.get(name, 2)
        values = tuple(range(params))
        plan = link.connection.dbapi_connection.execute(f"EXPLAIN QUERY PLAN {text}", arrange(values) if arrange else values)
        assert not [step for *_, step in plan.fetchall() if step.startswith("SCAN")]
    engine.dispose()


def test_acknowledged_notices_are_forgotten_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk_books, "KEPT_NOTICES", 100)
    store = Store.open(":memory:", schema=SCHEMA, name="tsp")
    for turn in range(30):
        with store.begin() as tx:
            books = DeskBooks(DESK, tx, now_ms=turn)
            for _ in range(20):
                books.tell("issuer/1", "issuer.notice", lambda _: Empty())
            books.save()
            for row in books.due():
                row.state = desk_books.DONE if row.number != 7 else row.state  # one is never acknowledged
            books.save()
    with store.begin() as tx:
        kept = [row.number for start in range(0, 600, 50) for row in DeskBooks(DESK, tx, now_ms=0).since("issuer/1", start)]
    numbers = sorted(set(kept))
    assert numbers[0] == 7, "what nobody has acknowledged stays"
    assert numbers[1:] == list(range(numbers[1], 601))
    assert 100 <= len(numbers) <= 100 + 2 * 64
    store.close()
