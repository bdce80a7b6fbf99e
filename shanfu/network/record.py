"""What changes: the only place where rows of transactions are made or altered.

Each function does one thing that happened: a transaction began, was refused, was answered, ran out of time, was reversed; a
token was resolved; an item was put into store-and-forward, acknowledged, refused. Decisions were made before.
"""

import re
from dataclasses import replace
from typing import Final

from shanfu.hosts import State
from shanfu.iso8583 import REVERSAL_DONE, Family, Message, ProcessingCode, ResponseCode
from shanfu.network.books import NetworkBooks
from shanfu.network.config import NetworkConfig
from shanfu.network.decide import Facts
from shanfu.network.forward import Carried, ForwardRow
from shanfu.network.journal import FORMAT, JournalRow
from shanfu.network.positions import PositionRow, counted
from shanfu.network.reasons import Reason
from shanfu.network.requests import Kind

__all__ = [
    "acknowledge", "begin", "bury", "carry", "disown", "end", "ends", "expire", "forget", "move", "own_item", "pass_on",
    "put_off", "refuse_item", "refuse_waiting", "resolve", "reverse", "turn_down", "twin",
]  # fmt: skip

REASON_NAME: Final = re.compile(r"[A-Z][A-Z_]{0,39}")  # of a token service; no digits: a journal's reason is shown to people


# -- transactions ------------------------------------------------------------------------------------------------------

BEGUN_AS: Final = {Reason.FORWARDED: State.WAITING, Reason.ACCEPTED: State.APPROVED, Reason.TOMBSTONE_KEPT: State.TOMBSTONE}


def begin(books: NetworkBooks, facts: Facts, reason: Reason, *, deadline_ms: int = 0) -> JournalRow:
    """Enter a transaction in the state that the decision gives it: WAITING, APPROVED (an advice), or DECLINED."""
    arrival, route = facts.arrival, facts.route
    message, is_reversal = arrival.message, arrival.kind is Kind.REVERSAL
    # fmt: off
    row = JournalRow(
        bucket=arrival.bucket, seq=books.next_journal(), format=FORMAT, business_date=books.state.business_date, batch="",
        institution=arrival.acquirer, currency=arrival.currency, name=arrival.original if is_reversal else arrival.name,
        mti=message.text(90)[:4] if is_reversal else f"{message.mti[:3]}0", processing_code=message.text(3),
        issuer=route.institution if route else "", rrn=message.text(37, ""), amount_minor=arrival.amount_minor,
        card=arrival.card, origin=arrival.station, target=route.station if route else "",
        state=BEGUN_AS.get(reason, State.DECLINED).value, response_code=reason.code, reason=reason.name, auth_code="",
        balances="", chip=b"", kept=b"", deadline_ms=deadline_ms, arrived_ms=books.now_ms,
        tsp=route.station if route and facts.tsp else "", account="", par="", behind=b"", sealed=0,
    )
    # fmt: on
    return books.journal.add(row)


def resolve(books: NetworkBooks, row: JournalRow, facts: Facts, *, deadline_ms: int) -> None:
    """Note what the token stands for, and that the issuer of the card is asked now."""
    _know(books, row, facts)
    row.reason, row.deadline_ms = Reason.RESOLVED.name, deadline_ms


def turn_down(books: NetworkBooks, row: JournalRow, answer: Message, reason: str) -> None:
    """Take the token service's refusal: its code, and its own name for why."""
    row.response_code = answer.text(39)
    row.reason = reason if REASON_NAME.fullmatch(reason) else Reason.TOKEN_REFUSED.name
    _leave_waiting(row)
    move(books, row, State.DECLINED)


def _know(books: NetworkBooks, row: JournalRow, facts: Facts) -> None:
    """Enter the account behind a token; where the money counts already, it counts to the right issuer from now on."""
    account, route = facts.account, facts.route
    assert account
    assert route
    row.account, row.par, row.target = facts.arrival.account, account.par, route.station
    if row.issuer != route.institution:
        before = counted(row)
        row.issuer = route.institution
        _adjust(books, row, before)


def forget(row: JournalRow) -> None:
    """Drop what a token stood for: nothing can come back any more."""
    row.behind, row.sealed = b"", 0


def end(books: NetworkBooks, row: JournalRow, answer: Message) -> None:
    """Take the issuer's verdict: its code, and what acquirer and card are to get of it."""
    code = answer.text(39)
    approved = ResponseCode.of(code).approved
    row.response_code, row.reason = code, Reason.ANSWERED.name
    row.chip = b"" if row.tsp else answer.binary(55, b"")  # a token's issuer holds no key of its, and DE55 may name the card
    if approved:
        row.auth_code, row.balances = answer.text(38, ""), answer.text(54, "")
    _leave_waiting(row)
    move(books, row, State.APPROVED if approved else State.DECLINED)


def expire(books: NetworkBooks, row: JournalRow, reason: Reason) -> None:
    """Give the issuer up: no answer, none that can be trusted, or the acquirer does not want it any more."""
    row.response_code, row.reason = reason.code or Reason.ISSUER_SILENT.code, reason.name
    _leave_waiting(row)
    move(books, row, State.EXPIRED)


def refuse_waiting(books: NetworkBooks, row: JournalRow, reason: Reason) -> None:
    """End a transaction that the issuer did not work at all."""
    row.response_code, row.reason = reason.code, reason.name
    _leave_waiting(row)
    move(books, row, State.DECLINED)


def reverse(books: NetworkBooks, row: JournalRow) -> None:
    """Take a transaction back for its acquirer: at once where it was approved; where the issuer is asked, give it up."""
    if row.state == State.WAITING:
        expire(books, row, Reason.REVERSED_MEANWHILE)
    else:
        move(books, row, State.REVERSED)


def move(books: NetworkBooks, row: JournalRow, state: State) -> None:
    """Change the state; what that changes in the positions of a closed day is written there as an adjustment."""
    before = counted(row)
    row.state = state.value
    _adjust(books, row, before)


def _adjust(books: NetworkBooks, row: JournalRow, before: list[tuple[str, int]]) -> None:
    if row.business_date >= books.state.business_date:
        return
    changes = [(who, -amount, -1) for who, amount in before] + [(who, amount, 1) for who, amount in counted(row)]
    for who, amount, count in changes:
        seq = books.next_position()
        books.positions.add(PositionRow(0, seq, row.business_date, who, row.currency, amount, count, row.name))


def _leave_waiting(row: JournalRow) -> None:
    row.kept, row.deadline_ms = b"", 0


# -- store-and-forward -------------------------------------------------------------------------------------------------


def carry(books: NetworkBooks, facts: Facts, reason: Reason) -> ForwardRow:
    """Put what was accepted by commit into store-and-forward; DONE at once when there is nothing or nobody to tell."""
    arrival, original, route = facts.arrival, facts.original, facts.route
    target = original.target if original else route.station if route else ""
    to_send = bool(target) and reason in (Reason.ACCEPTED, Reason.TOMBSTONE_KEPT)
    about_original = arrival.kind in (Kind.REVERSAL, Kind.SCRIPT_RESULT)
    # fmt: off
    item = ForwardRow(
        bucket=arrival.bucket, seq=books.next_forward(), name=arrival.name, mti=f"{arrival.message.mti[:3]}0", target=target,
        card=arrival.card, original=arrival.original if about_original else arrival.name, origin=arrival.station,
        business_date=original.business_date if original else books.state.business_date, currency=arrival.currency,
        amount_minor=arrival.amount_minor, response_code=reason.code, reason=reason.name,
        state=(Carried.OPEN if to_send else Carried.DONE).value, attempts=0, refusals=0, last_code="", next_ms=books.now_ms,
        kept=b"", arrived_ms=books.now_ms,
    )
    # fmt: on
    return books.forwards.add(item)


def twin(books: NetworkBooks, item: ForwardRow, *, target: str) -> ForwardRow:
    """Carry a reversal to another member as well: of a token payment both issuer and token service hear."""
    return books.forwards.add(replace(item, seq=books.next_forward(), target=target))


def pass_on(books: NetworkBooks, item: ForwardRow, row: JournalRow, facts: Facts) -> None:
    """Turn a token's refund, which the token service has resolved, to the card's issuer."""
    _know(books, row, facts)
    item.target, item.attempts, item.refusals, item.last_code, item.next_ms = row.target, 0, 0, "", books.now_ms


def own_item(
    books: NetworkBooks, message: Message, *, name: str, seq: int, target: str, row: JournalRow | None = None, card: str = ""
) -> ForwardRow:
    """Put a message of our own into store-and-forward: a reversal of `row`, or news for a member.

    Items of one `card` to one target keep their order; a reversal's is its row's.
    """
    # fmt: off
    item = ForwardRow(
        bucket=row.bucket if row else 0, seq=seq, name=name, mti=message.mti, target=target, card=row.card if row else card,
        original=row.name if row else "", origin="",
        business_date=row.business_date if row else books.state.business_date, currency=row.currency if row else "",
        amount_minor=row.amount_minor if row else 0, response_code="", reason=row.reason if row else "",
        state=Carried.OPEN.value, attempts=0, refusals=0, last_code="", next_ms=books.now_ms, kept=b"",
        arrived_ms=books.now_ms,
    )
    # fmt: on
    return books.forwards.add(item)


def put_off(books: NetworkBooks, item: ForwardRow, config: NetworkConfig) -> None:
    """Note that an item was sent: it comes again after a growing pause unless somebody acknowledges it."""
    item.attempts += 1
    item.next_ms = books.now_ms + config.pause_ms(item.attempts)


def acknowledge(books: NetworkBooks, item: ForwardRow, code: str) -> None:
    """End an item that its target has taken; an original that was given up is now known to be reversed.

    A refund or an offline approval that ends with another code than 00 was not booked: its money is in question, so it is a
    dead letter, and an offline approval counts in no position any more. A token
    payment is reversed when its issuer says so, once he was asked; how it ended nobody asks again, so that item goes.
    """
    item.last_code = code
    if item.mti == "0620" and not item.origin:
        books.forwards.remove(item)
        return
    if item.mti == "0220" and code != ResponseCode.APPROVED:
        bury(item, code)
        disown(books, item, code)
        return
    item.state, item.kept = Carried.DONE.value, b""
    if item.mti == "0420" and item.original:
        original = books.row(item.bucket, item.original)
        if original is not None and original.state == State.EXPIRED and item.target == original.target:
            move(books, original, State.REVERSED)


def ends(books: NetworkBooks, item: ForwardRow, code: str) -> bool:
    """Whether nothing comes of sending an item again: it was taken, or it is a TC that its issuer will never book."""
    if code in REVERSAL_DONE:
        return True
    known = ResponseCode.of(code)
    final = known.family is not Family.OTHER and not known.retryable
    return final and _offline_approval(books, item) is not None


def disown(books: NetworkBooks, item: ForwardRow, code: str) -> None:
    """Count an offline approval no more, since its issuer does not pay for it; who settled it finds the line by reconciling."""
    row = _offline_approval(books, item)
    if row is not None:
        row.response_code, row.reason = code, Reason.OFFLINE_REFUSED.name
        move(books, row, State.DECLINED)


def _offline_approval(books: NetworkBooks, item: ForwardRow) -> JournalRow | None:
    """Return the offline approval that an item carries; None for every other item."""
    row = books.row(item.bucket, item.original) if item.mti == "0220" else None
    is_one = row is not None and row.name == item.name and row.processing_code == ProcessingCode.PURCHASE
    return row if is_one else None


def refuse_item(item: ForwardRow, code: str, config: NetworkConfig) -> bool:
    """Count a refusal; return whether it was the last one, which makes the item a dead letter."""
    item.last_code = code
    item.refusals += 1
    if item.refusals < config.refusals_most:
        return False
    bury(item, code)
    return True


def bury(item: ForwardRow, code: str) -> None:
    """Make an item a dead letter; its message stays, so that somebody can look into it."""
    item.state, item.last_code = Carried.DEAD.value, code
