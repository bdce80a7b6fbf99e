"""Cards in the slot and stripes through the reader: what the slip says, and what the account has left."""

import pytest

from shanfu.issuer import ScriptKind
from shanfu.links import FaultKind
from shanfu.sandbox import PIN
from tests.journeys.judge import judge
from tests.journeys.test_outcomes import moves, said
from tests.journeys.town import Town
from tests.journeys.wires import harm, on

LIMIT = {"tag": 0x9F78, "value": bytes.fromhex("000000020000")}
COMMANDS = 22  # more than an insert has: the last rounds pull nothing

# fmt: off
#  card            merchant    amount     PINs typed    end                  code  account         moved
INSERTS = [
  ("debit",        "teahouse", "12.34",   ("123456",),  "approved",          "00", "lin-yue/156",  -1_234),
  ("debit",        "kiosk",    "12.34",   ("123456",),  "approved",          "00", "lin-yue/156",  -1_234),
  ("debit",        "bookshop", "12.34",   ("654321",),  "acquirer-declined", "55", "",             0),
  ("debit-sm4",    "teahouse", "12.34",   ("123456",),  "approved",          "00", "lin-yue/156",  -1_234),
  ("contact-only", "kiosk",    "12.34",   ("123456",),  "approved",          "00", "lin-yue/156",  -1_234),
  ("cash",         "teahouse", "12.34",   ("123456",),  "approved",          "00", "hu-jie/156",   -1_234),  # its own PIN
  ("cash",         "teahouse", "12.34",   ("654321", "123456"), "approved",  "00", "hu-jie/156",   -1_234),
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


def test_a_script_runs_with_the_next_insert_and_its_result_comes_before_the_next_payment(town: Town) -> None:
    opening = town.available()
    town.order(ScriptKind.PUT_DATA, **LIMIT)
    assert town.tap().approved  # a wave carries none
    assert town.orders() == ["WAITING"]
    assert town.insert().approved
    assert town.orders() == ["SENT"]
    assert town.tap().approved
    assert town.orders() == ["DONE"]
    town.drain()
    judge(town, opening=opening)


def test_a_result_that_is_lost_is_told_again(town: Town) -> None:
    opening = town.available()
    town.order(ScriptKind.PUT_DATA, **LIMIT)
    assert town.insert().approved
    lost = harm(town, "silent", on("terminal>acquirer", "0620"))
    town.do("teahouse", lambda it: it.terminal.reverse_pending())
    assert (lost.hits, town.orders()) == (1, ["SENT"])
    town.do("teahouse", lambda it: it.terminal.reverse_pending())
    town.drain()
    assert town.orders() == ["DONE"]
    judge(town, opening=opening)


def test_a_blocked_application_pays_no_more_in_any_way(town: Town) -> None:
    opening = town.available()
    town.order(ScriptKind.APPLICATION_BLOCK)
    assert town.insert().approved  # the payment that brings it ends properly
    ends = [said(town.insert())[0], said(town.tap())[0]]
    assert ends == ["no-common-application"] * 2
    town.drain()
    assert town.orders() == ["DONE"]
    judge(town, opening=opening)


def test_a_card_pulled_after_any_command_is_charged_once_or_not_at_all(town: Town) -> None:
    opening, approved = town.available(), 0
    for cut in range(1, COMMANDS + 1):
        receipt = town.insert(amount="1.00", pins=(PIN, PIN), tear_after=cut)
        approved += receipt.approved
    town.drain()
    assert 1 <= approved < COMMANDS
    assert moves(town, opening) == {"lin-yue/156": -100 * approved}
    judge(town, opening=opening)


def test_an_order_that_was_changed_on_the_way_is_refused_by_the_card_and_the_bank_hears_of_it(town: Town) -> None:
    opening = town.available()
    town.order(ScriptKind.PUT_DATA, **LIMIT)

    def spoil(frame: bytes) -> bytes:
        at = frame.index(bytes.fromhex("04DA9F78")) + 5 + len(LIMIT["value"])  # header, Lc, data: its MAC begins
        return frame[:at] + bytes((frame[at] ^ 1,)) + frame[at + 1 :]

    changed = town.net.fault(FaultKind.CORRUPT, on("network>acquirer", "0210"), change=spoil, times=1)
    assert town.insert().approved  # the payment is no worse for it
    assert changed.hits == 1
    town.do("teahouse", lambda it: it.terminal.reverse_pending())
    town.drain()
    assert town.orders() == ["FAILED"]
    judge(town, opening=opening)
