"""A card that pays without asking its bank: nobody hears of it until the terminal hands the card's word in."""

from shanfu.iso8583 import decode_pos
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
