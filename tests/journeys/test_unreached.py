"""A card in the slot whose bank is not asked, or cannot be: it decides by its own limits, and its word is handed in later.

The bank sets the card's limits as banks do, by a script, and the acquirer the terminal's floor limit, by a download.
"""

from dataclasses import replace

import pytest

from shanfu import acquirer
from shanfu.iso8583 import decode_pos
from shanfu.issuer import ScriptKind
from tests.journeys.judge import judge
from tests.journeys.test_outcomes import moves, said
from tests.journeys.town import Town
from tests.journeys.wires import harm, on

ACQUIRER, FLOOR_MINOR = "acquirer-lantern", 3_000
LOWER, UPPER = 0x9F58, 0x9F59  # payments in a row after which the card asks its bank, and after which nothing goes without
TOTAL = 0x9F54  # their sum, n12
UNREACHED = {UPPER: b"\x05"}
ALONE = {LOWER: b"\x05", TOTAL: bytes.fromhex("000000010000")}
ACCOUNT = "hu-jie/156"
COMMANDS = 22  # more than an insert has


def ready(town: Town, limits: dict[int, bytes]) -> dict[str, int]:
    """Give the card its limits and the metro's terminal its own; return what the accounts have then."""
    assert town.insert("cash", amount="1.00").approved
    for tag, value in limits.items():
        town.order(ScriptKind.PUT_DATA, "cash", tag=tag, value=value)
        assert town.insert("cash", amount="1.00").approved
    town.do("teahouse", lambda it: it.terminal.reverse_pending())
    assert town.orders("cash") == ["DONE"] * len(limits)
    store = town.net._seats[ACQUIRER].store
    [told] = acquirer.list_aids(store, group="metro")
    acquirer.set_aid(store, replace(told, floor_minor=FLOOR_MINOR), group="metro")
    assert town.sign_in("metro").approved
    assert town.do("metro", lambda it: it.terminal.download()).approved
    town.close_tills()
    return town.available()


def heard(town: Town) -> list[str]:
    """What terminals have sent since `frames` was cleared, by type."""
    return [decode_pos(p.frame).message.mti for p in town.frames if p.source == "terminal"]


# fmt: off
#  limits       what happens                     amount    end                  code  sent        moved
PAYMENTS = [
  (ALONE,       "",                              "20.00",  "approved",          "",   [],         -2_000),  # Y1
  (ALONE,       "acquirer down",                 "20.00",  "approved",          "",   [],         -2_000),
  (ALONE,       "",                              "30.00",  "approved",          "00", ["0200"],   -3_000),  # the floor
  (UNREACHED,   "",                              "20.00",  "approved",          "00", ["0200"],   -2_000),
  (UNREACHED,   "acquirer down",                 "20.00",  "approved",          "",   [],         -2_000),  # Y3
  (UNREACHED,   "terminal>acquirer 0200",        "20.00",  "approved",          "",   ["0200"],   -2_000),
  (UNREACHED,   "acquirer>terminal 0210",        "20.00",  "approved",          "",   ["0200"],   -2_000),
  (UNREACHED,   "acquirer>terminal 0210 spoilt", "20.00",  "approved",          "",   ["0200"],   -2_000),
  (UNREACHED,   "issuer>network 0210",           "20.00",  "acquirer-declined", "98", ["0200"],   0),  # an answer
  (UNREACHED,   "acquirer down",                 "30.00",  "no-answer",         "98", [],         0),
  (UNREACHED,   "acquirer>terminal 0210",        "30.00",  "no-answer",         "98", ["0200"],   0),
  ({},          "acquirer down",                 "20.00",  "no-answer",         "98", [],         0),  # Z3
  ({},          "acquirer>terminal 0210",        "20.00",  "no-answer",         "98", ["0200"],   0),
]
# fmt: on


@pytest.mark.parametrize(("limits", "event", "amount", "end", "code", "sent", "moved"), PAYMENTS)
def test_a_card_decides_by_its_limits(town: Town, *, limits, event, amount, end, code, sent, moved) -> None:
    first = town.available()
    opening = ready(town, limits)
    held = happen(town, event)
    town.frames.clear()
    receipt = town.insert("cash", "metro", amount=amount)
    assert said(receipt)[:2] == (end, code)
    assert [mti for mti in heard(town) if mti == "0200"] == sent
    assert held is None or held.hits == 1
    town.drain()
    assert moves(town, opening) == ({ACCOUNT: moved} if moved else {})
    judge(town, opening=first)


def happen(town: Town, event: str):
    """Let the next payment meet this."""
    if event == "acquirer down":
        town.net.stop(ACQUIRER)
    elif event:
        hop, mti, *spoilt = event.split()
        return harm(town, "bad-mac" if spoilt else "silent", on(hop, mti))
    return None


def test_a_line_stays_dead_and_the_card_pays_as_often_as_its_bank_allows(town: Town) -> None:
    first = town.available()
    opening = ready(town, {UPPER: b"\x02"})
    town.net.stop(ACQUIRER)
    amounts = ("20.00", "9.00", "5.00")  # each is under the floor with the one before
    ends = [said(town.insert("cash", "metro", amount=amount))[0] for amount in amounts]
    assert ends == ["approved", "approved", "host-unreachable"]
    assert moves(town, opening) == {}
    town.net.start(ACQUIRER)
    town.frames.clear()
    assert town.insert("cash", "metro", amount="7.00").response_code == "00"  # its bank answers, and its counts begin anew
    assert heard(town) == ["0400", "0320", "0320", "0200"]
    assert town.settle("metro").approved
    town.drain()
    assert moves(town, opening) == {ACCOUNT: -3_600}
    town.net.stop(ACQUIRER)
    assert said(town.insert("cash", "metro", amount="1.00"))[0] == "host-unreachable"  # no batch is open
    town.drain()
    judge(town, opening=first)


def test_the_cards_word_goes_in_first_and_the_request_is_taken_back_late(town: Town) -> None:
    """Each of the two payments of one counter stands for itself, whatever the order in which the bank hears of them."""
    first = town.available()
    opening = ready(town, UNREACHED)
    harm(town, "silent", on("acquirer>terminal", "0210"))
    kept_back = harm(town, "silent", on("network>issuer", "0420", "0421"), times=2)
    assert said(town.insert("cash", "metro", amount="20.00")) == ("approved", "", "")
    assert moves(town, opening) == {ACCOUNT: -2_000}  # what was asked; nobody knows of the card's own word yet
    town.do("metro", lambda it: it.terminal.reverse_pending())
    town.net.advance(3_000)
    assert kept_back.hits
    town.drain()
    assert moves(town, opening) == {ACCOUNT: -2_000}
    judge(town, opening=first)


@pytest.mark.parametrize("limits", [{UPPER: b"\x63"}, {LOWER: b"\x63", TOTAL: bytes.fromhex("000000100000")}], ids=["Y3", "Y1"])
def test_a_card_pulled_while_nobody_can_be_asked_has_paid_what_the_slips_say(town: Town, limits: dict[int, bytes]) -> None:
    first = town.available()
    opening = ready(town, limits)
    town.net.stop(ACQUIRER)
    receipts = [town.insert("cash", "metro", amount="1.00", tear_after=cut) for cut in range(1, COMMANDS + 1)]
    approved = [receipt for receipt in receipts if receipt.approved]
    assert 1 <= len(approved) < COMMANDS
    assert all(receipt.offline for receipt in approved)
    town.drain()
    assert moves(town, opening) == {ACCOUNT: -100 * len(approved)}
    judge(town, opening=first)
