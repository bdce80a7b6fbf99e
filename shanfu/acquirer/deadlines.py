"""What time asks of the acquirer: requests that waited in vain, what is stored to be forwarded, PANs that have served.

Each turn takes a bounded number of rows, so a long night's queue never keeps a payment waiting.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from shanfu.acquirer import interbank
from shanfu.acquirer.books import AcquirerBooks
from shanfu.acquirer.config import AcquirerConfig
from shanfu.acquirer.events import trace_of, verdict_event
from shanfu.acquirer.forward import DUE, Forward, ForwardKind, ForwardState
from shanfu.acquirer.journal import BY_TERMINAL_NAME, EXPIRED, SEALED, JournalRow, PaymentKind
from shanfu.acquirer.outtray import OutTray, answer_terminal
from shanfu.acquirer.prove import Prover
from shanfu.acquirer.reasons import Reason
from shanfu.acquirer.record import carry_on, expire, sent
from shanfu.clock import local
from shanfu.events import Event
from shanfu.hosts import BY_NAME
from shanfu.iso8583 import Message, ReversalReason, Value
from shanfu.links import Turn

__all__ = ["Deadlines"]


class Deadlines:
    """The work of `due`."""

    def __init__(self, config: AcquirerConfig, prover: Prover, *, watch: bool) -> None:
        self._config, self._prover, self._watch = config, prover, watch

    def expire(self, books: AcquirerBooks, turn: Turn) -> None:
        """Answer 98 to what waited too long and reverse it; a refund is carried on instead, and answered when it is."""
        rows = books.journal.select(EXPIRED, (books.now_ms,))
        if not rows:
            return
        terminals = {row.terminal for row in rows}
        books.load_terminals(terminals)
        books.journal.load(BY_TERMINAL_NAME, [(row.bucket, row.original) for row in rows if row.original])
        tray = OutTray(self._config, self._prover, books, watch=self._watch)
        for row in rows:
            if row.kind == PaymentKind.REFUND:
                carry_on(books, row)
                continue
            expire(books, row, Reason.NO_ANSWER, because=ReversalReason.NO_ANSWER.value)
            if self._watch:
                turn.events.append(verdict_event(self._config.name, row, at_ms=books.now_ms))
            answer_terminal(tray, row, acquirer=self._config.institution)
        tray.empty(turn)

    def carry_on(self, books: AcquirerBooks, turn: Turn) -> None:
        """Send what is due in store-and-forward, and say when it goes again."""
        items = books.forwards.select(DUE, (books.now_ms,))
        if not items:
            return
        found = books.journal.load(BY_NAME, [(item.bucket, item.original) for item in items])
        books.journal.load(BY_TERMINAL_NAME, [(row.bucket, row.original) for row in found if row.original])
        books.load_terminals({row.terminal for row in found})
        items, rows = self._nameable(items, books, turn)
        tray = OutTray(self._config, self._prover, books, watch=self._watch)
        pans, enclosed = self._prover.pans(rows, books), self._prover.enclosed(items, books)
        for item, row, pan, fields in zip(items, rows, pans, enclosed, strict=True):
            tray.to_network(_message(item, row, books, pan=pan, enclosed=fields), trace=trace_of(row), also=item.name)
            sent(books, item)
        tray.empty(turn)

    def _nameable(self, items: list[Forward], books: AcquirerBooks, turn: Turn) -> tuple[list[Forward], list[JournalRow]]:
        """Return the items whose card can still be named, with their rows; the others came too late for anybody but people."""
        kept, rows = list[Forward](), list[JournalRow]()
        for item in items:
            row = books.row(item.bucket, item.original)
            if row is not None and row.sealed:
                kept.append(item)
                rows.append(row)
            else:
                item.state = ForwardState.DEAD.value
                title = f"dead letter {item.name}: the card of its {item.kind} is not known any more"
                turn.events.append(Event(source=self._config.name, title=title, at_ms=books.now_ms))
        return kept, rows

    def forget(self, books: AcquirerBooks) -> None:
        """Drop sealed PANs of days on which nothing can come back any more."""
        day = (local(books.now_ms) - timedelta(days=self._config.keep_pan_days)).strftime("%Y%m%d")
        rows: Sequence[JournalRow] = books.journal.select(SEALED, (day,))
        for row in rows:
            row.pan_sealed, row.sealed = b"", 0


def _message(item: Forward, row: JournalRow, books: AcquirerBooks, *, pan: str, enclosed: dict[int, Value]) -> Message:
    merchant = books.merchant(row.merchant)
    assert merchant  # merchants are closed, never removed
    if item.kind == ForwardKind.ADVICE:
        return interbank.advice(row, books.row_of_terminal(row.bucket, row.original), merchant, pan=pan)
    return _MESSAGES[item.kind](item, row, merchant, pan=pan, enclosed=enclosed)


_MESSAGES: Final = {
    ForwardKind.OFFLINE.value: interbank.offline_approval,
    ForwardKind.REVERSAL.value: interbank.reversal,
    ForwardKind.SCRIPT.value: interbank.script_result,
}
