"""The swipe (刷): chip cards are sent to the chip, and the stripe itself is not accepted.

A service code that begins with 2 or 6 says that the card has a chip: "use chip". Chip cards' stripes are retired, and a
fall-back after a failed chip is a decision of the acquirer that this terminal does not take. A stripe-only card is
declined by policy, by name.

Source: ISO/IEC 7813 7.3.
"""

from dataclasses import replace

from shanfu.emv import Track2
from shanfu.errors import DecodeError
from shanfu.money import Money
from shanfu.terminal.config import ReaderKind
from shanfu.terminal.desk import Desk
from shanfu.terminal.kernel7 import Ending
from shanfu.terminal.outcome import Outcome, Reason, UIMessage
from shanfu.terminal.receipt import Receipt
from shanfu.terminal.slip import ended

__all__ = ["swipe"]


def swipe(desk: Desk, track2: str, amount: Money) -> Receipt:
    """Judge a swiped card by its track 2 (with or without sentinels)."""
    receipt = ended(desk, _judge(desk, track2), title="purchase", amount=amount)
    return replace(receipt, interface=ReaderKind.STRIPE.value)


def _judge(desk: Desk, track2: str) -> Ending:
    if ReaderKind.STRIPE not in desk.config.readers:
        return Ending(outcome=Outcome.TRY_ANOTHER_INTERFACE, reason=Reason.NO_READER, ui=UIMessage.INSERT_CARD)
    try:
        card = Track2.from_text(track2.removeprefix(";").partition("?")[0])
    except DecodeError as fault:
        return Ending(
            outcome=Outcome.END_APPLICATION, reason=Reason.CARD_DATA, ui=UIMessage.TRY_ANOTHER_CARD, detail=str(fault)
        )
    if card.has_chip:
        wave = ReaderKind.CONTACTLESS in desk.config.readers
        ui = UIMessage.OTHER_INTERFACE if wave else UIMessage.INSERT_CARD
        return Ending(outcome=Outcome.TRY_ANOTHER_INTERFACE, reason=Reason.CHIP_CARD, ui=ui)
    return Ending(outcome=Outcome.DECLINED, reason=Reason.STRIPE_NOT_ACCEPTED)
