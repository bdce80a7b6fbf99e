"""Paying by wave: the terminal's main job, from the amount to the receipt.

    pre-processing -> ready (signed in, nothing left to reverse) -> tap -> PIN -> keep -> ask -> judge -> settle the record

The terminal makes itself ready before it asks for the card: a PIN must be enciphered under the working key that is then in
force, and nobody should type a PIN for a host that is not there. The transaction is kept, with what its reversal needs,
before its request leaves; one `Keep` after a valid answer settles it. Without a valid answer it stays kept as EXPIRED
with the reason, and its reversal goes out before the next payment.

Sources: EMV CL A 5.8, JR/T 0025.12 6–7, UnionPay POS flow rules.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from shanfu.dialogue import Dialogue
from shanfu.emv import CVM, encode_field55
from shanfu.errors import ConfigError, DecodeError
from shanfu.iso8583 import EntryMode, Message, ResponseCode, parse_balances
from shanfu.money import Currency, Money
from shanfu.terminal import pos_messages
from shanfu.terminal.config import ReaderKind
from shanfu.terminal.contactless import Admitted, Tap, admit, tap
from shanfu.terminal.desk import Desk
from shanfu.terminal.endings import Ending, guarded
from shanfu.terminal.host import NOTHING_MORE, Answer, Failure, book, exchange, seal
from shanfu.terminal.journal import Transaction, stan_of
from shanfu.terminal.offline import all_online, approve_offline, batch_open, may_wait, offline_possible, prove
from shanfu.terminal.outcome import Outcome, Reason, UIMessage
from shanfu.terminal.readiness import ready_or_not
from shanfu.terminal.receipt import Receipt
from shanfu.terminal.slip import ended, purchase_record, slip_for
from shanfu.terminal.verification import ask_online_pin

__all__ = ["balance", "concluded", "pay", "settle_record"]

BALANCE_TYPE = 0x31  # 9C: as the first two digits of DE3
WITH_PIN, WITHOUT_PIN = "1", "2"  # last digit of DE22


def pay(desk: Desk, amount: Money) -> Dialogue[Receipt]:
    """Take a payment from a waved card or phone."""
    return concluded(desk, _pay(desk, amount))


def concluded(desk: Desk, steps: Dialogue[Receipt]) -> Dialogue[Receipt]:
    """Carry a payment to its end, show and tell it, and say how long it took."""
    started_ms = desk.clock.now_ms()
    receipt = yield from steps
    if receipt.ui is not None:
        desk.show(receipt.ui)
    desk.tell(f"{receipt.title}: {receipt.outcome}", reason=str(receipt.reason or ""), code=receipt.response_code)
    return replace(receipt, duration_ms=desk.clock.now_ms() - started_ms)


def _pay(desk: Desk, amount: Money) -> Dialogue[Receipt]:
    desk.name_next()
    wave = yield from _wave(desk, amount, title="purchase")
    if isinstance(wave, Receipt):
        return wave
    kept = _transaction(desk, amount, wave)
    slip = _card_slip(desk, wave, kept, title="purchase", amount=amount)
    if wave.tap.card.offline:
        return (yield from approve_offline(desk, kept, wave.values55(kept.stan), slip=slip))
    field55 = encode_field55(wave.values55(kept.stan))
    request = pos_messages.purchase(desk.config, kept, wave.tap.card.track2, field55=field55, pin_block=wave.pin_block)
    sealed = yield from seal(desk, request)
    if isinstance(sealed, Failure):
        yield from desk.journal.keep_state(signed_in=False)
        return replace(slip, outcome=Outcome.DECLINED, reason=sealed.reason, ui=UIMessage.DECLINED)
    yield from desk.journal.keep(kept)  # the way back is durable before the way forth
    desk.show(UIMessage.AUTHORISING)
    answer = yield from exchange(desk, "purchase", sealed)
    return (yield from settle_record(desk, kept, answer, slip=slip))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wave:
    """A tap with its cardholder verified as far as the terminal can."""

    tap: Tap
    method: CVM
    pin_block: bytes | None

    @property
    def entry_mode(self) -> str:
        """DE22."""
        return f"{EntryMode.CONTACTLESS.value}{WITH_PIN if self.pin_block else WITHOUT_PIN}"

    def values55(self, stan: str) -> dict[int, bytes]:
        """The tags of field 55."""
        return self.tap.field55_values(self.method, stan)


def _wave(desk: Desk, amount: Money, *, title: str, ask_pin: bool = False) -> Dialogue[_Wave | Receipt]:
    """Everything before the request: conditions, readiness, card, PIN. A receipt means that it ended here."""
    admitted = admit(desk, amount)
    if isinstance(admitted, Ending):
        return ended(desk, admitted, title=title, amount=amount)
    reason = yield from ready_or_not(desk)
    desk.name_next()  # a sign-in has used a trace number and may have opened a batch
    if reason is not None and not (may_wait(desk, reason) and offline_possible(admitted)):
        return ended(desk, Ending(outcome=Outcome.DECLINED, reason=reason), title=title, amount=amount)
    if not batch_open(desk):
        admitted = all_online(admitted)
    found = yield from _tapped(desk, amount, admitted, transaction_type=BALANCE_TYPE if ask_pin else 0, host=reason is None)
    if isinstance(found, Tap) and not found.card.offline and reason is not None:
        found = Ending(outcome=Outcome.DECLINED, reason=reason)
    if isinstance(found, Ending):
        return ended(desk, found, title=title, amount=amount)
    method = CVM.ONLINE_PIN if ask_pin else found.card.cvm
    if method is not CVM.ONLINE_PIN:
        return _Wave(tap=found, method=method, pin_block=None)
    block = yield from ask_online_pin(desk, found.card.track2.pan.digits, amount)
    if isinstance(block, Reason):
        return ended(desk, Ending(outcome=Outcome.DECLINED, reason=block), title=title, amount=amount)
    return _Wave(tap=found, method=method, pin_block=block)


def _tapped(desk: Desk, amount: Money, admitted: Admitted, *, transaction_type: int, host: bool) -> Dialogue[Tap | Ending]:
    """Tap, begin again as often as the terminal is told to, and see what an offline approval is worth."""
    for restarts_left in range(desk.config.restarts, -1, -1):
        found = yield from tap(desk, amount, admitted, transaction_type=transaction_type)
        if isinstance(found, Tap) and found.card.offline:
            found = yield from guarded(prove(desk, found, host=host))
        if isinstance(found, Tap) or found.outcome is not Outcome.TRY_AGAIN or not restarts_left:
            break
        desk.tell("the wave begins again", reason=str(found.reason))  # EMV CL A 6.2: try again, start B
        desk.show(found.ui)
    return found


def _card_slip(desk: Desk, wave: _Wave, kept: Transaction, *, title: str, amount: Money | None) -> Receipt:
    """The receipt as far as it is known before the answer."""
    card = wave.tap.card
    return replace(
        slip_for(desk, kept, title=title),
        amount=amount,
        interface=ReaderKind.CONTACTLESS.value,
        cvm=wave.method,
        aid=wave.tap.application.aid.hex().upper(),
        cryptogram=card.cryptogram,
    )


def _transaction(desk: Desk, amount: Money, wave: _Wave) -> Transaction:
    """The record of a purchase, WAITING, complete enough to make its reversal from it alone."""
    card, stan = wave.tap.card, stan_of(desk.journal.next_sequence)
    return purchase_record(
        desk,
        amount,
        pan=card.track2.pan.digits,
        expiry=card.track2.expiry,
        psn=card.psn,
        entry_mode=wave.entry_mode,
        atc=card.atc,
        reversal_de55=pos_messages.reversal_field55(wave.values55(stan)),
    )


def settle_record(
    desk: Desk, kept: Transaction, answer: Answer | Failure, *, slip: Receipt, more: Mapping[str, object] = NOTHING_MORE
) -> Dialogue[Receipt]:
    """Settle a kept transaction by the answer, or leave it to its reversal; return the receipt."""
    booked = yield from book(desk, kept, answer, more=more)
    pending = booked.due and not booked.is_advice
    if isinstance(answer, Failure):
        code = answer.reversal.value
        unknown = replace(slip, outcome=Outcome.DECLINED, reason=answer.reason, response_code=code, ui=UIMessage.DECLINED)
        return replace(unknown, reversal_pending=pending)
    receipt = _answered(slip, answer.message, answer.code)
    if not pending:
        return receipt
    return replace(
        receipt, outcome=Outcome.DECLINED, reason=Reason.ACQUIRER_DECLINED, ui=UIMessage.DECLINED, reversal_pending=True
    )


def _answered(slip: Receipt, message: Message, code: ResponseCode) -> Receipt:
    ui = UIMessage.DECLINED
    if code.approved:
        ui = UIMessage.APPROVED_SIGN if slip.cvm is CVM.SIGNATURE else UIMessage.APPROVED
    return replace(
        slip,
        outcome=Outcome.APPROVED if code.approved else Outcome.DECLINED,
        reason=None if code.approved else Reason.ACQUIRER_DECLINED,
        response_code=code.value,
        response_phrase=code.phrase,
        rrn=message.text(37, ""),
        auth_code=message.text(38, "").strip(),
        ask_issuer=code.needs_confirmation,
        ui=ui,
    )


def balance(desk: Desk, currency: Currency | None = None) -> Dialogue[Receipt]:
    """Ask for the card's balance; the PIN is always asked, whoever holds the card learns it otherwise."""
    nothing = Money(0, currency or desk.config.currency)
    desk.name_next()
    wave = yield from _wave(desk, nothing, title="balance", ask_pin=True)
    if isinstance(wave, Receipt):
        return wave
    asked = _transaction(desk, nothing, wave)  # never kept: nothing can have moved
    yield from desk.journal.take_stan()
    field55 = encode_field55(wave.values55(asked.stan))
    slip = _card_slip(desk, wave, asked, title="balance", amount=None)
    request = pos_messages.balance(desk.config, asked, wave.tap.card.track2, field55=field55, pin_block=wave.pin_block)
    sealed = yield from seal(desk, request)
    answer = sealed if isinstance(sealed, Failure) else (yield from exchange(desk, "balance", sealed))
    if isinstance(answer, Failure):
        return replace(slip, outcome=Outcome.DECLINED, reason=answer.reason, ui=UIMessage.DECLINED)
    return replace(_answered(slip, answer.message, answer.code), balances=_balances(answer.message))


def _balances(message: Message) -> tuple[Money, ...]:
    try:
        return tuple(Money(b.amount_minor, Currency.of(b.currency)) for b in parse_balances(message.text(54, "")))
    except (DecodeError, ConfigError):  # a remark for people: unreadable means none
        return ()
