"""What a decision about a payment changes; nothing else in the payment side changes a row.

A right cryptogram moves the token's counter and counts a use of its key set, whatever else is said; only a resolved payment
counts its amount. The issuer's outcome settles a resolved row. A reversal settles it for good, and gives the amount back to
the key set, once; for an original that has not come it leaves a tombstone.
"""

from shanfu.iso8583 import Outcome, ResponseCode
from shanfu.store import bucket_of
from shanfu.tsp.books import TSPBooks
from shanfu.tsp.checks import Verdict
from shanfu.tsp.history import FORMAT, HistoryRow, HistoryState, packed
from shanfu.tsp.interbank import ASKED, Kind, Request
from shanfu.tsp.key_sets import BY_COUNTER, BY_SEQUENCE, CounterRow
from shanfu.tsp.limits import count_use, give_back, spend
from shanfu.tsp.resolve import Facts, Resolution
from shanfu.tsp.vault import TokenRow

__all__ = ["counter_of", "enter", "note_outcome", "reverse"]


def enter(books: TSPBooks, facts: Facts, resolution: Resolution, *, seq: int) -> HistoryRow:
    """Count what the payment takes, and enter its row."""
    request, token, keys = facts.request, facts.token, facts.keys
    row = _row(facts, seq=seq)
    row.reason, row.response_code = resolution.verdict.name, resolution.verdict.code
    row.explain = packed(resolution.steps)
    if resolution.verdict is Verdict.RESOLVED:
        told = request.kind is Kind.REFUND  # an advice: the money was promised already, and no outcome follows
        row.state = (HistoryState.APPROVED if told else HistoryState.RESOLVED).value
    if resolution.authentic and token is not None and request.chip is not None:
        row.atc, row.un = request.chip.atc, request.chip.un.hex()
        row.sequence = keys.sequence if keys else 0
        count_use(counter_of(books, token), keys, atc=row.atc, day=request.business_date)
        if resolution.verdict is Verdict.RESOLVED:
            spend(keys, request.amount_minor)
    if facts.original is not None:
        row.original = facts.original.name
    return books.history.add(row)


def counter_of(books: TSPBooks, token: TokenRow) -> CounterRow:
    """Return the token's counters, which were loaded; its first payment makes them."""
    key = (token.bucket, token.token)
    return books.counters.find(BY_COUNTER, key) or books.counters.add(CounterRow(*key, 0, 0, "", 0, 0))


def _row(facts: Facts, *, seq: int) -> HistoryRow:
    request, token = facts.request, facts.token
    text = request.message.text
    bucket = token.bucket if token else bucket_of(request.number, facts.config.buckets)
    reference, trid, issuer = (token.token, token.trid, token.issuer) if token else ("", "", "")
    return HistoryRow(
        bucket, seq, FORMAT, request.business_date, "", request.institution, request.currency, request.name,
        request.message.mti, text(3, ""), request.kind.name, request.rrn, text(7, ""), request.amount_minor, request.number,
        reference, trid, issuer, 0, -1, "", HistoryState.REFUSED.value, "", "", "", "", _words(text(43, "")), b"",
        facts.now_ms,
    )  # fmt: skip


def _words(merchant: str) -> str:
    """Return DE43 without the spaces that fill it, and without what no database takes."""
    return "".join(one for one in " ".join(merchant.split()) if one.isprintable())


def note_outcome(row: HistoryRow, end: Outcome) -> bool:
    """Settle a resolved payment by what its issuer said; False for a repeat, or one that was reversed meanwhile."""
    if row.state != HistoryState.RESOLVED:
        return False
    code = ResponseCode.of(end.code)
    row.state = HistoryState.APPROVED.value if code.approved else HistoryState.DECLINED.value
    row.response_code, row.auth_code = end.code, end.auth_code
    row.reason = Verdict.RESOLVED.name if code.approved else code.name
    return True


def reverse(books: TSPBooks, facts: Facts, *, seq: int) -> Verdict:
    """Take a payment back, once; remember the reversal of one that has not come."""
    request, row = facts.request, facts.original
    if row is None:
        _bury(books, facts, seq=seq)
        return Verdict.TOMBSTONE_KEPT
    if row.state in (HistoryState.REVERSED, HistoryState.TOMBSTONE):
        return Verdict.ALREADY_REVERSED
    if row.number != request.number:
        return Verdict.ORIGINAL_ANOTHER_CARDS
    if (row.amount_minor, row.currency) != (request.amount_minor, request.currency):
        return Verdict.AMOUNT_DIFFERS
    if row.state != HistoryState.REFUSED:  # of what was refused nothing was counted
        if Kind[row.kind] in ASKED and row.sequence:
            [keys] = books.key_sets.load(BY_SEQUENCE, [(row.bucket, row.token, row.sequence)])
            give_back(keys, row.amount_minor)
        row.state = HistoryState.REVERSED.value
    return Verdict.REVERSED


def _bury(books: TSPBooks, facts: Facts, *, seq: int) -> None:
    request: Request = facts.request
    row = _row(facts, seq=seq)
    row.name, row.mti, row.state = request.original, request.message.text(90)[:4], HistoryState.TOMBSTONE.value
    row.reason, row.sent = Verdict.TOMBSTONE_KEPT.name, request.original_sent
    books.history.add(row)
