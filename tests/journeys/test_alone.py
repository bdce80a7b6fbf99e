"""A card that pays without asking its bank: nobody hears of it until the terminal hands the card's word in."""

from shanfu.iso8583 import decode_pos
from shanfu.links import FaultKind
from shanfu.sandbox import Verdict, reconcile_world
from tests.journeys.judge import reconciled
from tests.journeys.town import Town
from tests.journeys.wires import harm, on


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
    opening = ready(town)
    assert town.tap("cash", "metro", amount="3.00", pin=None).approved
    assert sent(town) == []
    assert cash(town) == opening
    assert town.settle("metro").approved
    assert sent(town)[:2] == ["0320", "0500"]
    town.drain()
    assert cash(town) == opening - 300  # posted once
    town.close_tills()
    reconciled(town.world)


def test_over_the_limit_the_bank_is_asked_and_the_kept_word_goes_first(town: Town) -> None:
    opening = ready(town)
    assert town.tap("cash", "metro", amount="3.00", pin=None).approved
    assert sent(town) == []
    town.tap("cash", "metro", amount="30.01")
    assert sent(town)[:2] == ["0320", "0200"]
    town.drain()
    assert cash(town) == opening - 300
    town.close_tills()
    reconciled(town.world)


def test_an_upload_whose_answer_is_lost_comes_again_and_is_booked_once(town: Town) -> None:
    opening = ready(town)
    assert town.tap("cash", "metro", amount="3.00", pin=None).approved
    lost = harm(town, "silent", on("acquirer>terminal", "0330"))
    town.settle("metro")
    assert lost.hits == 1
    assert town.settle("metro").approved
    town.drain()
    assert cash(town) == opening - 300
    town.close_tills()
    reconciled(town.world)


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
