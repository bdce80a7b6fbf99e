"""The swipe (刷): chip cards are sent to the chip; their stripe is taken only when the chip has just failed.

A service code that begins with 2 or 6 says that the card has a chip: "use chip". Only after a chip could not be read at this
terminal, within `fallback_ms` and once, its stripe pays: online, with PIN, marked as a fallback (DE22 02x, DE60.5 = 2), for
the issuer to decide. A stripe-only card is declined by policy, by name. Track 1, where the reader gives it, must be the
same card's; it is never sent.

The mark of the failed chip is in the terminal's working memory: a power cut forgets it, and the chip is tried again.

Sources: ISO/IEC 7813 6 and 7.3, UnionPay POS (DE22, DE60.5).
"""

import re
from dataclasses import replace

from shanfu.dialogue import Dialogue
from shanfu.emv import CVM, Track2
from shanfu.errors import DecodeError
from shanfu.iso8583 import ChipCondition, EntryMode
from shanfu.money import Money
from shanfu.terminal import pos_messages
from shanfu.terminal.config import ReaderKind
from shanfu.terminal.desk import Desk
from shanfu.terminal.endings import Ending, bad_card
from shanfu.terminal.host import Failure, exchange, seal
from shanfu.terminal.outcome import Outcome, Reason, UIMessage
from shanfu.terminal.payment import concluded, settle_record
from shanfu.terminal.readiness import ready_or_not
from shanfu.terminal.receipt import Receipt
from shanfu.terminal.slip import ended, purchase_record, slip_for
from shanfu.terminal.verification import ask_online_pin

__all__ = ["swipe"]

TRACK_1 = re.compile(r"%?B(\d{12,19})\^[^^]{2,26}\^(\d{4})(\d{3})[^?]*\??.?", re.ASCII)  # ISO/IEC 7813 6: format B
WITH_PIN = "1"  # last digit of DE22


def swipe(desk: Desk, track2: str, amount: Money, *, track1: str = "") -> Dialogue[Receipt]:
    """Take or refuse a swiped card by its track 2 (with or without sentinels) and, if the reader gave it, its track 1."""
    return concluded(desk, _swipe(desk, amount, (track1, track2)))


def _swipe(desk: Desk, amount: Money, tracks: tuple[str, str]) -> Dialogue[Receipt]:
    desk.name_next()
    card = _judge(desk, *tracks)
    if isinstance(card, Ending):
        return _ended(desk, amount, card)
    unready = yield from ready_or_not(desk)
    desk.name_next()  # a sign-in has used a trace number and may have opened a batch
    if unready is not None:
        return _ended(desk, amount, Ending(outcome=Outcome.DECLINED, reason=unready))
    desk.chip_failed_ms = None  # one failed chip, one swipe
    block = yield from ask_online_pin(desk, card.pan.digits, amount)
    if isinstance(block, Reason):
        return _ended(desk, amount, Ending(outcome=Outcome.DECLINED, reason=block))
    return (yield from _pay(desk, amount, card, block))


def _pay(desk: Desk, amount: Money, card: Track2, block: bytes) -> Dialogue[Receipt]:
    kept = purchase_record(
        desk,
        amount,
        pan=card.pan.digits,
        expiry=card.expiry,
        entry_mode=f"{EntryMode.STRIPE.value}{WITH_PIN}",
        chip_condition=ChipCondition.FALLBACK.value,
    )
    slip = replace(slip_for(desk, kept, title="purchase"), interface=ReaderKind.STRIPE.value, cvm=CVM.ONLINE_PIN)
    sealed = yield from seal(desk, pos_messages.purchase(desk.config, kept, card, field55=b"", pin_block=block))
    if isinstance(sealed, Failure):
        yield from desk.journal.keep_state(signed_in=False)
        return replace(slip, outcome=Outcome.DECLINED, reason=sealed.reason, ui=UIMessage.DECLINED)
    yield from desk.journal.keep(kept)
    desk.show(UIMessage.AUTHORISING)
    answer = yield from exchange(desk, "purchase", sealed)
    return (yield from settle_record(desk, kept, answer, slip=slip))


def _judge(desk: Desk, track1: str, track2: str) -> Track2 | Ending:
    """The card if its stripe may pay now, or why not."""
    if ReaderKind.STRIPE not in desk.config.readers:
        return Ending(outcome=Outcome.TRY_ANOTHER_INTERFACE, reason=Reason.NO_READER, ui=UIMessage.INSERT_CARD)
    try:
        card = Track2.from_text(track2.removeprefix(";").partition("?")[0])
        _check_track_1(track1, card)
    except DecodeError as fault:
        return bad_card(fault)
    if not card.has_chip:
        return Ending(outcome=Outcome.DECLINED, reason=Reason.STRIPE_NOT_ACCEPTED)
    failed_ms = desk.chip_failed_ms
    if failed_ms is None or desk.clock.now_ms() - failed_ms > desk.config.fallback_ms:
        wave = ReaderKind.CONTACTLESS in desk.config.readers
        ui = UIMessage.OTHER_INTERFACE if wave else UIMessage.INSERT_CARD
        return Ending(outcome=Outcome.TRY_ANOTHER_INTERFACE, reason=Reason.CHIP_CARD, ui=ui)
    if not desk.config.stripe_fallback:
        return Ending(outcome=Outcome.DECLINED, reason=Reason.FALLBACK_REFUSED)
    return card


def _check_track_1(track1: str, card: Track2) -> None:
    """Raise DecodeError for a track 1 that is none, or another card's (ISO/IEC 7813 6)."""
    if not track1:
        return
    match = TRACK_1.fullmatch(track1)
    if match is None or match.groups() != (card.pan.digits, card.expiry, card.service_code):
        raise DecodeError("is none, or differs from track 2", path="track 1", spec="ISO/IEC 7813 6")


def _ended(desk: Desk, amount: Money, ending: Ending) -> Receipt:
    return ended(desk, ending, title="purchase", amount=amount, reader=ReaderKind.STRIPE)
