"""A card that pays without asking its bank: nobody hears of it until the terminal hands the card's word in.

A terminal that cannot check that word asks the bank about it (the card's CTQ says so); the money is off the card by then.
"""

import pytest

from shanfu import acquirer
from shanfu.emv import decode_field55
from shanfu.iso8583 import decode_pos
from shanfu.links import FaultKind
from shanfu.sandbox import Verdict, reconcile_world
from tests.journeys.judge import judge
from tests.journeys.test_outcomes import moves, said
from tests.journeys.town import Town
from tests.journeys.wires import harm, mti_of, on

ACQUIRER = "acquirer-lantern"


def sent(town: Town) -> list[str]:
    """The message types that terminals have sent since the last look."""
    found = [decode_pos(p.frame).message.mti for p in town.frames if p.source == "terminal"]
    town.frames.clear()
    return found


def cash(town: Town) -> int:
    return sum(now for name, now in town.available().items() if "/e-cash/" in name)


def ready(town: Town) -> int:
    """Bring the metro's terminal its keys and parameters; return what the bank's books say is on e-cash cards."""
    assert town.sign_in("metro").approved
    town.do("metro", lambda it: it.terminal.download())
    town.frames.clear()
    return cash(town)


def test_the_card_pays_alone_and_its_word_is_handed_in_before_settlement(town: Town) -> None:
    first = town.available()
    opening = ready(town)
    assert town.tap("cash", "metro", amount="3.00", pin=None).approved
    assert sent(town) == []
    assert cash(town) == opening
    assert town.settle("metro").approved
    assert sent(town)[:2] == ["0320", "0500"]
    town.drain()
    assert cash(town) == opening - 300  # posted once
    judge(town, opening=first)


def test_over_the_limit_the_bank_is_asked_and_the_kept_word_goes_first(town: Town) -> None:
    first = town.available()
    opening = ready(town)
    assert town.tap("cash", "metro", amount="3.00", pin=None).approved
    assert sent(town) == []
    town.tap("cash", "metro", amount="30.01")
    assert sent(town)[:2] == ["0320", "0200"]
    town.drain()
    assert cash(town) == opening - 300
    judge(town, opening=first)


def test_an_upload_whose_answer_is_lost_comes_again_and_is_booked_once(town: Town) -> None:
    first = town.available()
    opening = ready(town)
    assert town.tap("cash", "metro", amount="3.00", pin=None).approved
    lost = harm(town, "silent", on("acquirer>terminal", "0330"))
    town.settle("metro")
    assert lost.hits == 1
    assert town.settle("metro").approved
    town.drain()
    assert cash(town) == opening - 300
    judge(town, opening=first)


def test_a_word_that_was_changed_on_the_way_is_refused_by_the_bank_and_shown_by_reconcile(town: Town) -> None:
    opening = ready(town)
    assert town.tap("cash", "metro", amount="3.00", pin=None).approved

    def spoil(frame: bytes) -> bytes:
        at = frame.index(b"\x9f\x26\x08") + 3  # its certificate; DE128 covers no chip data
        return frame[:at] + bytes(8) + frame[at + 8 :]

    changed = town.net.fault(FaultKind.CORRUPT, on("network>issuer", "0220"), change=spoil, times=1)
    town.settle("metro")
    town.net.advance(5_000)
    assert changed.hits == 1
    town.drain()
    assert cash(town) == opening
    town.close_tills()
    report = reconcile_world(town.world, "20261122")
    verdicts = {difference.verdict for finding in report.findings for difference in finding.differences}
    assert verdicts == {Verdict.STATE_DIFFERS, Verdict.POSITION}  # the acquirer holds it for owed


def test_after_a_settlement_without_an_answer_no_card_pays_alone_until_a_batch_is_open(town: Town) -> None:
    first = town.available()
    opening = ready(town)
    harm(town, "silent", on("acquirer>terminal", "0510"), times=3)
    assert not town.settle("metro").approved
    ends = [said(town.tap("cash", "metro", amount="3.00", pin=None)) for _ in range(2)]
    assert ends == [("acquirer-declined", "97", "NONE"), ("approved", "", "NONE")]  # asked, told, signed in again
    town.drain()
    assert cash(town) == opening - 300
    judge(town, opening=first)


# -- a word that the terminal cannot check -----------------------------------------------------------------------------


def without_keys(town: Town) -> list:
    """Have the acquirer take the authority's keys from the metro's terminal; return them."""
    store = town.net._seats[ACQUIRER].store
    keys = acquirer.list_ca_keys(store, group="metro")
    for key in keys:
        acquirer.remove_ca_key(store, key.rid, key.index, group="metro")
    assert town.sign_in("metro").approved
    town.frames.clear()
    return keys


def e_cash(moved: dict[str, int]) -> dict[str, int]:
    """The same with a plain name for the card's e-cash, whose own is a hash."""
    return {"e-cash" if "/e-cash/" in name else name: minor for name, minor in moved.items()}


def questions(town: Town) -> list:
    """The requests that terminals have sent since `frames` was cleared."""
    return [decode_pos(p.frame).message for p in town.frames if p.source == "terminal" and mti_of(p) == "0200"]


# fmt: off
#  what is lost                 end                  code  moved
QUESTIONS = [
  ("",                          "approved",          "00", {"e-cash": -300}),
  ("acquirer>terminal 0210",    "no-answer",         "98", {}),
  ("issuer>network 0210",       "acquirer-declined", "98", {}),
  ("network>issuer 0200",       "acquirer-declined", "98", {}),
  ("terminal>acquirer 0200",    "no-answer",         "98", {}),
]
# fmt: on


@pytest.mark.parametrize(("lost", "end", "code", "moved"), QUESTIONS)
def test_the_bank_is_asked_about_the_cards_word_and_takes_back_what_it_booked(town: Town, *, lost, end, code, moved) -> None:
    opening = town.available()
    without_keys(town)
    held = harm(town, "silent", on(*lost.split())) if lost else None
    assert said(town.tap("cash", "metro", amount="3.00", pin=None)) == (end, code, "NONE")
    [asked] = questions(town)
    assert (asked.text(22), decode_field55(asked.binary(55))[0x9F27]) == ("072", b"\x40")
    assert held is None or held.hits == 1
    town.drain()
    assert e_cash(moves(town, opening)) == moved
    judge(town, opening=opening)


def test_what_was_asked_is_voided_to_the_account_behind_the_card(town: Town) -> None:
    opening = town.available()
    without_keys(town)
    paid = town.tap("cash", "metro", amount="3.00", pin=None)
    assert town.void(paid, "metro").approved
    town.drain()
    assert e_cash(moves(town, opening)) == {"e-cash": -300, "hu-jie/156": 300}  # nobody puts it on the card again
    judge(town, opening=opening)


def test_what_was_asked_is_not_booked_again_when_it_is_uploaded_too(town: Town) -> None:
    opening = town.available()
    keys = without_keys(town)
    assert town.tap("cash", "metro", amount="3.00", pin=None).response_code == "00"
    asked = questions(town)[0].binary(55)
    for key in keys:
        acquirer.add_ca_key(town.net._seats[ACQUIRER].store, key, group="metro")
    assert town.do("metro", lambda it: it.terminal.download()).approved
    assert town.tap("cash", "metro", amount="3.00", pin=None).offline

    def swapped(frame: bytes) -> bytes:
        for head in (b"\x9f\x26\x08", b"\x9f\x10\x13", b"\x9f\x37\x04", b"\x9f\x36\x02"):  # DE128 covers no chip data
            old, new = (data[data.index(head) :][: 3 + head[2]] for data in (frame, asked))
            frame = frame.replace(old, new)
        return frame

    changed = town.net.fault(FaultKind.CORRUPT, on("network>issuer", "0220"), change=swapped, times=1)
    town.settle("metro")
    town.net.advance(5_000)
    assert changed.hits == 1
    town.drain()
    assert e_cash(moves(town, opening)) == {"e-cash": -300}
    town.close_tills()
    report = reconcile_world(town.world, "20261122")
    told = {(d.verdict, d.there.split()[0]) for finding in report.findings for d in finding.differences}
    assert (Verdict.STATE_DIFFERS, "DECLINED") in told
