"""What our terminal does with each card that misbehaves: by wave over and under the floor limit, and in the slot.

The page docs/misbehaving.md is this table; to renew it after a change that is meant:
SHANFU_GOLDEN=write ./run test tests/terminal/test_misbehaving.py
"""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from shanfu.card import MISBEHAVIOURS, Misbehaving
from shanfu.emv import TVR, decode_field55
from shanfu.terminal import Receipt, unionpay_aids
from tests.terminal.chips import authority, genuine, made
from tests.terminal.shop import Shop, config

PAGE = Path(__file__).parents[2] / "docs" / "misbehaving.md"
FLOORS = (replace(unionpay_aids(enrolled=True)[0], contactless_floor=10_000),)
WAYS = ("wave, may pay alone", "wave, must ask", "insert")


def shop(name: str) -> Shop:
    how = MISBEHAVIOURS[name]
    profile = how.profile(replace(genuine(), balance_minor=50_000, oda=None))
    card = Misbehaving(made(genuine(profile)), name, pause=lambda _: None)
    at = Shop(settings=config(ca_keys=(authority(),), aids=FLOORS), card=card)
    if name == "replayed-cryptogram":
        at.pay("150.00")  # what it will say again
    return at


def paid(at: Shop, way: str) -> Receipt:
    if way == "insert":
        return at.insert("150.00")
    return at.pay("30.00" if way == WAYS[0] else "150.00")


def seen(name: str, way: str) -> str:
    """What becomes of one payment, in words: the end, its reason, and what the issuer is told beyond the ordinary."""
    at = shop(name)
    receipt = paid(at, way)
    end = "approved by the card" if receipt.offline else f"asks the issuer{told(at)}" if asked(at) else receipt.outcome.value
    return end if receipt.approved and not receipt.reason else f"{end}: {receipt.reason.en}" if receipt.reason else end


def asked(at: Shop) -> bool:
    return at.host.asked[-1].mti == "0200"


def told(at: Shop) -> str:
    """The TVR's bits that speak of the card."""
    tvr = TVR.parse(decode_field55(at.host.asked[-1].binary(55))[0x95])
    ordinary = TVR.ONLINE_PIN_ENTERED | TVR.FLOOR_LIMIT_EXCEEDED | TVR.VERSIONS_DIFFER
    bits = [bit.name.lower().replace("_", " ") for bit in TVR if bit in tvr & ~ordinary and bit.name]
    return f" ({', '.join(bits)})" if bits else ""


def row(name: str) -> str:
    return f"| {name} | {MISBEHAVIOURS[name].en} | {' | '.join(seen(name, way) for way in WAYS)} |"


def table() -> str:
    head = f"| name | what is wrong | {' | '.join(WAYS)} |\n|---|---|{'---|' * len(WAYS)}"
    return "\n".join((head, *(row(name) for name in MISBEHAVIOURS)))


def test_the_page_is_what_our_terminal_does() -> None:
    before, _, rest = PAGE.read_text().partition("<!-- table -->\n")
    _, _, after = rest.partition("<!-- end -->\n")
    page = f"{before}<!-- table -->\n{table()}\n<!-- end -->\n{after}"
    if os.environ.get("SHANFU_GOLDEN") == "write":
        PAGE.write_text(page)
    assert PAGE.read_text() == page


@pytest.mark.parametrize("name", ["bad-certificate", "bad-fdda", "wrong-atc", "wrong-aip", "expired", "blocked"])
def test_no_card_that_lies_pays_alone(name: str) -> None:
    at = shop(name)
    assert not paid(at, WAYS[0]).offline
