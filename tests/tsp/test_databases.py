"""The same life of a token on both databases, with the same rows in the end."""

from pathlib import Path

import pytest

from shanfu.messages import Actor, CardEvent, Colour, TokenState
from shanfu.store import differences
from shanfu.tsp import SCHEMA, TSPConfig, show
from tests.tsp.service import DAY_MS, HARBOUR_TRID, TRID, Service, pan_of


@pytest.fixture(params=["sqlite", "postgresql"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "tsp.db") if request.param == "sqlite" else request.getfixturevalue("postgres_url")


@pytest.mark.parametrize("buckets", [1, 4])
def test_a_tokens_life(where: str, buckets: int) -> None:
    service = Service(config=TSPConfig(requestors=(TRID, HARBOUR_TRID), buckets=buckets), where=where)
    card = service.card()
    token = service.active(card).token
    waiting = service.request(card, device="phone-2", colour=Colour.YELLOW).view.token
    service.result("tsp.suspend", token, Actor.CARDHOLDER)
    service.event(card, CardEvent.REPLACED, pan=pan_of(9))
    service.revive()
    service.result("tsp.resume", token, Actor.CARDHOLDER)
    service.tick(DAY_MS)
    service.tick(37 * 31 * DAY_MS)
    service.result("tsp.renew", token, Actor.WALLET)
    assert [line.event for line in show(service.store, token).diary] == [
        "CREATE", "ACTIVATE", "SUSPEND", "PAN_UPDATE", "RESUME", "EXPIRE", "RENEW",
    ]  # fmt: skip
    assert service.view(waiting).state is TokenState.DEACTIVATED
    service.tick(1000)
    assert service.notices["cloud"][-1].view == service.view(token)
    service.store.close()


def test_the_migrations_lead_to_the_tables_on_postgresql(postgres_url: str) -> None:
    assert differences(postgres_url.replace("postgresql://", "postgresql+psycopg://"), SCHEMA) == []
