"""Cards in the slot and stripes through the reader: what the slip says, and what the account has left."""

import pytest

from tests.journeys.judge import judge
from tests.journeys.test_outcomes import moves, said
from tests.journeys.town import Town

# fmt: off
#  card            merchant    amount     PINs typed    end                  code  account         moved
INSERTS = [
  ("debit",        "teahouse", "12.34",   ("123456",),  "approved",          "00", "lin-yue/156",  -1_234),
  ("debit",        "kiosk",    "12.34",   ("123456",),  "approved",          "00", "lin-yue/156",  -1_234),
  ("debit",        "bookshop", "12.34",   ("654321",),  "acquirer-declined", "55", "",             0),
  ("debit-sm4",    "teahouse", "12.34",   ("123456",),  "approved",          "00", "lin-yue/156",  -1_234),
  ("contact-only", "kiosk",    "12.34",   ("123456",),  "approved",          "00", "lin-yue/156",  -1_234),
  ("poor",         "teahouse", "1.01",    ("123456",),  "acquirer-declined", "51", "",             0),
  ("lost",         "teahouse", "12.34",   ("123456",),  "acquirer-declined", "41", "",             0),
]
# fmt: on


@pytest.mark.parametrize(
    ("card", "merchant", "amount", "pins", "end", "code", "account", "moved"),
    INSERTS,
    ids=["-".join((row[0], row[1], row[2], *row[3])) for row in INSERTS],
)
def test_an_insert(town: Town, *, card, merchant, amount, pins, end, code, account, moved) -> None:
    opening = town.available()
    receipt = town.insert(card, merchant, amount=amount, pins=pins)
    assert said(receipt)[:2] == (end, code)
    assert moves(town, opening) == ({account: moved} if moved else {})
    town.drain()
    judge(town, opening=opening)


def test_a_stripe_pays_only_after_its_chip_has_failed(town: Town) -> None:
    opening = town.available()
    refused = town.swipe("debit")
    assert not refused.approved
    assert refused.response_code == ""  # refused at the terminal: nobody was asked
    assert not town.insert("debit", dead=True).approved
    paid = town.swipe("debit")
    assert said(paid) == ("approved", "00", "ONLINE_PIN")
    assert moves(town, opening) == {"lin-yue/156": -1_234}
    town.drain()
    judge(town, opening=opening)
