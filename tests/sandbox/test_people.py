"""The sandbox's people in code are those of docs/world.md, and every world has them."""

from pathlib import Path

import pytest

from shanfu.pan import PAN
from shanfu.sandbox import CARDS, HOSTS, MERCHANTS
from shanfu.sandbox.people import BINS, PEOPLE, PORTS

PAGE = (Path(__file__).parent.parent.parent / "docs" / "world.md").read_text()


@pytest.mark.parametrize("card", CARDS, ids=[c.name for c in CARDS])
def test_a_card_stands_in_the_page(card) -> None:
    assert f"| {card.name} " in PAGE
    if card.name != "lab":
        assert f"{card.pan[:6]} {card.pan[6:-1]}+c" in PAGE
        assert PAN(card.pan).luhn_ok
    assert any(card.pan.startswith(row.prefix) for row in BINS)
    assert card.holder in {person.name for person in PEOPLE}


@pytest.mark.parametrize("merchant", MERCHANTS, ids=[m.name for m in MERCHANTS])
def test_a_merchant_stands_in_the_page(merchant) -> None:
    row = next(line for line in PAGE.splitlines() if line.startswith(f"| {merchant.name} "))
    for word in (merchant.id, merchant.terminal, merchant.acquirer, merchant.currency, merchant.title, merchant.title_zh):
        assert word in row
    assert ("| enrolled |" in row) == merchant.pin_free
    assert (len(merchant.id), len(merchant.terminal)) == (15, 8)


def test_hosts_ports_and_identifiers_stand_in_the_page() -> None:
    for name, role in HOSTS.items():
        assert role.id in PAGE
        assert str(PORTS[name]) in PAGE
    assert len({card.pan for card in CARDS}) == len(CARDS)
    assert len({merchant.terminal for merchant in MERCHANTS}) == len(MERCHANTS)
