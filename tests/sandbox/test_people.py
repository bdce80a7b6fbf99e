"""The sandbox's people in code are those of docs/world.md, and every world has them."""

from pathlib import Path

import pytest

from shanfu.pan import PAN
from shanfu.sandbox import CARDS, HOSTS, MERCHANTS
from shanfu.sandbox.people import API_PORTS, APP_PASSWORD, APPS, BINS, PEOPLE, PHONES, PORTS, TOKEN_BINS

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
        assert name in PORTS or name in API_PORTS
    assert all(str(port) in PAGE for port in (*PORTS.values(), *API_PORTS.values()))
    assert len({card.pan for card in CARDS}) == len(CARDS)
    assert len({merchant.terminal for merchant in MERCHANTS}) == len(MERCHANTS)


def test_phones_apps_and_token_bins_stand_in_the_page() -> None:
    for phone in PHONES:
        row = next(line for line in PAGE.splitlines() if line.startswith(f"| {phone.name} "))
        assert ", ".join(phone.apps) in row
        assert phone.holder in {person.name for person in PEOPLE}
    for app in APPS:
        assert f"| {app.name} ({app.title}, {app.title_zh}) | {app.package} | {app.trid} | {app.issuer} |" in PAGE
    assert all(f"| {row.prefix} | {row.issuer} | tokens" in PAGE for row in TOKEN_BINS)
    assert not {row.prefix for row in TOKEN_BINS} & {row.prefix for row in BINS}
    assert f"`{APP_PASSWORD}`" in PAGE
