"""What a decision changes in the books; nothing else in this party changes a row that money hangs on.

A debit payment posts at once, a credit payment sets money aside. Taking back follows where the money stands: a hold is
released, a posting is posted back. Credits to an account that is closed go to suspense, where people look after them.

The business date of an entry is that of the transaction that counts on it: a reversal undoes its original's day, a void
belongs to its own. Hence a void that comes on a later day than its payment's does not just release the hold: the payment is
cleared on its day and posted back on the void's.

What was paid with e-cash is refunded, or voided, to the account that the card is issued on: nobody puts it on the card
again. Its reversal goes back to the e-cash: the same stands there as if the payment had been refused, or had never come.
"""

import zlib

from shanfu.emv import ScriptResult
from shanfu.hosts import State
from shanfu.hsm import PINVerdict
from shanfu.iso8583 import Balance, TokenBlock, encode_balances, is_advice
from shanfu.issuer.accounts import Account, AccountKind, AccountState
from shanfu.issuer.books import IssuerBooks
from shanfu.issuer.certificates import CertificateRow
from shanfu.issuer.checks import Facts
from shanfu.issuer.decide import Decision
from shanfu.issuer.journal import FORMAT, Hold, JournalRow
from shanfu.issuer.ledger import Chart, EntryKind, Move, internal, post
from shanfu.issuer.reasons import Reason
from shanfu.issuer.requests import Kind, Request
from shanfu.issuer.scripts import ScriptKind, ScriptRow, ScriptState, take_result

__all__ = ["clear", "lapse", "record"]

_NO_TOKEN = TokenBlock()
TRIES_SPENT = frozenset({Reason.PIN_WRONG, Reason.PIN_TRIES_EXCEEDED})


def record(books: IssuerBooks, facts: Facts, decision: Decision, *, issuer: str, bucket: int) -> JournalRow:
    """Change what the decision says and return the journal row that answers the request."""
    _spend(facts, decision)
    request = facts.request
    if request.kind is Kind.REVERSAL:
        return _reverse(books, facts, decision, issuer=issuer, bucket=bucket)
    if request.kind is Kind.SCRIPT_RESULT:  # it moves no money: the orders remember it, the journal does not
        if decision.reason.approved:
            _take_results(books, facts)
        return facts.original or _row(books, request, issuer=issuer, bucket=bucket)
    row = _row(books, request, issuer=issuer, bucket=bucket)
    row.reason, row.response_code = decision.reason.name, decision.reason.code
    row.account = facts.account.account if facts.account else ""
    if decision.reason.approved:
        row.state = State.APPROVED.value
        if request.kind is not Kind.OFFLINE or not is_advice(row.mti):  # nobody has asked us to authorise an advice of it
            row.auth_code = f"{zlib.crc32(row.name.encode()) % 1_000_000:06d}"
        _APPROVED[request.kind](books, facts, row)
    books.journal.add(row)
    return row


def _spend(facts: Facts, decision: Decision) -> None:
    card, request = facts.card, facts.request
    if card is None:
        return
    if decision.cryptogram_right and request.chip:
        card.atc = request.chip.atc
    if decision.reason in TRIES_SPENT:
        card.pin_tries_left -= 1
    elif decision.pin_right and facts.pin is PINVerdict.RIGHT:
        card.pin_tries_left = facts.policy.pin_tries


def _row(books: IssuerBooks, request: Request, *, issuer: str, bucket: int) -> JournalRow:
    text, block = request.message.text, request.token.block if request.token else _NO_TOKEN
    return JournalRow(
        bucket, books.next_seq(), FORMAT, request.business_date, "", request.institution, request.currency, request.name,
        request.message.mti, text(3, ""), issuer, text(37, ""), request.amount_minor, request.card, "",
        State.DECLINED.value, "", "", "", "", b"", "", "", 0, Hold.NONE.value, block.token[-4:],
        block.trid, block.assurance, books.now_ms,
    )  # fmt: skip


# -- approved requests -------------------------------------------------------------------------------------------------


def _pay(books: IssuerBooks, facts: Facts, row: JournalRow) -> None:
    account = facts.account
    assert account
    account.count(row.business_date, row.amount_minor)
    if account.kind == AccountKind.CREDIT:
        account.held_minor += row.amount_minor
        row.hold = Hold.HELD.value
    else:
        _debit(books, account, row, EntryKind.PURCHASE)


def _book(books: IssuerBooks, facts: Facts, row: JournalRow) -> None:
    """Book what the card has approved by itself, against its e-cash or as any payment; its certificate is spent."""
    request, card, chip = facts.request, facts.card, facts.request.chip
    assert card
    assert chip
    assert facts.account
    if request.from_cash:
        _debit(books, facts.account, row, EntryKind.OFFLINE)
    else:
        _pay(books, facts, row)
    spent = CertificateRow(card.bucket, card.card, request.psn or card.psn, chip.atc, row.name, books.now_ms)
    books.certificates.add(spent)


def _tell_balance(_: IssuerBooks, facts: Facts, row: JournalRow) -> None:
    account = facts.account
    assert account
    kind = "30" if account.kind == AccountKind.CREDIT else "20"  # ISO 8583 account types: credit, current account
    row.amount_minor = 0
    amounts = (("01", account.balance_minor), ("02", account.available_minor))
    row.balances = encode_balances(
        [Balance(account_type=kind, amount_type=what, currency=account.currency, amount_minor=much) for what, much in amounts]
    )


def _void(books: IssuerBooks, facts: Facts, row: JournalRow) -> None:
    payment, account = facts.original, facts.account
    assert payment
    assert account
    payment.undone_by = row.name
    row.original = payment.name
    if payment.account == account.account:  # no day counted what was paid with e-cash
        account.uncount(payment.business_date, payment.amount_minor)
    if payment.hold == Hold.HELD and payment.business_date != row.business_date:
        clear(books, payment, account)
    row.hold = _give_back(books, account, payment, (row.name, EntryKind.VOID, row.business_date)).value


def _refund(books: IssuerBooks, facts: Facts, row: JournalRow) -> None:
    payment, account = facts.original, facts.account
    assert payment
    assert account
    payment.refunded_minor += row.amount_minor
    row.original = payment.name
    _credit(books, account, row.amount_minor, (row.name, EntryKind.REFUND, row.business_date))


_APPROVED = {
    Kind.BALANCE: _tell_balance,
    Kind.OFFLINE: _book,
    Kind.PURCHASE: _pay,
    Kind.REFUND: _refund,
    Kind.VOID: _void,
}


# -- scripts -----------------------------------------------------------------------------------------------------------


def _take_results(books: IssuerBooks, facts: Facts) -> None:
    for order, result in zip(facts.scripts, facts.request.script_results, strict=True):
        if order is not None:
            _take_result(books, facts, order, result=result)


def _take_result(books: IssuerBooks, facts: Facts, order: ScriptRow, *, result: ScriptResult) -> None:
    """Note a result; with its offline PIN the card's PIN at this bank becomes the new one too."""
    pvv = order.pvv
    ended = take_result(order, result, books.now_ms)
    if ended and order.kind == ScriptKind.PIN_CHANGE and order.state == ScriptState.DONE and facts.card:
        facts.card.pvv = pvv


# -- reversals ---------------------------------------------------------------------------------------------------------


def _reverse(books: IssuerBooks, facts: Facts, decision: Decision, *, issuer: str, bucket: int) -> JournalRow:
    request, original = facts.request, facts.original
    _take_results(books, facts)
    if decision.reason is Reason.TOMBSTONE_KEPT:
        row = _row(books, request, issuer=issuer, bucket=bucket)
        row.name, row.state = request.original, State.TOMBSTONE.value
        row.mti = request.message.text(90)[:4]
        row.reason = decision.reason.name
        return books.journal.add(row)
    if original is None:
        return _row(books, request, issuer=issuer, bucket=bucket)  # refused, and nothing to be remembered
    if decision.reason is Reason.REVERSED:
        if original.state == State.APPROVED and facts.account:
            _undo(books, original, facts.account)
        original.state = State.REVERSED.value
    return original


def _undo(books: IssuerBooks, row: JournalRow, account: Account) -> None:
    if row.original:
        _undo_void(books, row, account)
    elif row.amount_minor:
        if account.kind != AccountKind.ECASH:  # whose payments the day never counted
            account.uncount(row.business_date, row.amount_minor, payments=1)
        _give_back(books, account, row, (row.name, EntryKind.REVERSAL, row.business_date))


def _undo_void(books: IssuerBooks, void: JournalRow, account: Account) -> None:
    payment = books.row(void.bucket, void.original)
    assert payment
    payment.undone_by = ""
    if payment.account == account.account:
        account.uncount(payment.business_date, -payment.amount_minor)
    if void.hold == Hold.RELEASED:
        payment.hold = Hold.HELD.value
        account.held_minor += payment.amount_minor
    elif void.hold == Hold.NONE:
        _debit(books, account, void, EntryKind.REVERSAL)


# -- where money moves -------------------------------------------------------------------------------------------------

Cause = tuple[str, EntryKind, str]  # name of the transaction, kind of entry, business date


def _give_back(books: IssuerBooks, account: Account, payment: JournalRow, cause: Cause) -> Hold:
    """Return a payment's money from where it stands; say whether a hold was released, had lapsed, or money was posted."""
    if payment.hold == Hold.HELD:
        account.held_minor -= payment.amount_minor
        payment.hold = Hold.RELEASED.value
        return Hold.RELEASED
    if payment.hold == Hold.LAPSED:
        return Hold.LAPSED
    _credit(books, account, payment.amount_minor, cause)
    return Hold.NONE


def _debit(books: IssuerBooks, account: Account, row: JournalRow, kind: EntryKind) -> None:
    account.balance_minor -= row.amount_minor
    move = Move(
        bucket=account.bucket,
        currency=account.currency,
        debit=account.account,
        credit=internal(Chart.SETTLEMENT, account.currency),
        amount_minor=row.amount_minor,
        name=row.name,
        kind=kind,
        business_date=row.business_date,
    )
    post(books.entries, move, now_ms=books.now_ms)


def _credit(books: IssuerBooks, account: Account, amount_minor: int, cause: Cause) -> None:
    name, kind, business_date = cause
    is_open = account.state == AccountState.OPEN
    if is_open:
        account.balance_minor += amount_minor
    move = Move(
        bucket=account.bucket,
        currency=account.currency,
        debit=internal(Chart.SETTLEMENT, account.currency),
        credit=account.account if is_open else internal(Chart.SUSPENSE, account.currency),
        amount_minor=amount_minor,
        name=name,
        kind=kind,
        business_date=business_date,
    )
    post(books.entries, move, now_ms=books.now_ms)


def clear(books: IssuerBooks, payment: JournalRow, account: Account) -> None:
    """Turn a hold into a posting of the payment's business date."""
    account.held_minor -= payment.amount_minor
    payment.hold = Hold.POSTED.value
    _debit(books, account, payment, EntryKind.CLEARING)


def lapse(payment: JournalRow, account: Account) -> None:
    """Release a hold that no clearing came for."""
    account.held_minor -= payment.amount_minor
    payment.hold = Hold.LAPSED.value
