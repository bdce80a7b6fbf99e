"""What time asks of the network, a bounded amount each tick: time-outs, store-and-forward, key resets, the cut-off.

There is no start-up code: after a crash the rows say what is due. An item that cannot be opened or is refused too often goes
to the dead letters; it holds up nobody but its own card, and that only until then.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from shanfu.clock import local
from shanfu.hosts import mak_label, name_of
from shanfu.iso8583 import INTERBANK, InterbankFrame, Message, NetworkCode, ReversalReason
from shanfu.network.accounts import Account
from shanfu.network.answers import about_account, answer, cut_off_news, header, restored, reversal_of
from shanfu.network.books import NetworkBooks
from shanfu.network.config import NetworkConfig
from shanfu.network.forward import ForwardRow
from shanfu.network.journal import JournalRow
from shanfu.network.management import Management
from shanfu.network.members import MemberRow
from shanfu.network.positions import PositionRow, live_positions
from shanfu.network.prove import Letter, Prover
from shanfu.network.reasons import Reason
from shanfu.network.record import bury, expire, forget, own_item, put_off
from shanfu.network.state import passed, successor

__all__ = ["Duties", "accounts_of", "for_issuer", "keep", "sealed_context"]

UNOPENABLE: Final = "A7"  # last_code of an item whose kept message was tampered with
CLOSE: Final = "close"
NEVER_REVERSED: Final = "310000"  # a balance inquiry moves nothing


def sealed_context(table: str, name: str) -> bytes:
    """Return what a sealed field is bound to: its table and its row's name."""
    return f"{table}:{name}".encode()


class Duties:
    """Time-outs, store-and-forward, cut-off."""

    def __init__(self, config: NetworkConfig, prover: Prover, management: Management) -> None:
        self._config, self._prover, self._management = config, prover, management

    def all(self, books: NetworkBooks) -> tuple[list[Letter], list[str], list[JournalRow]]:
        """Do all that is due; return what to send, what to say, and the transactions that were given up."""
        remarks = self._close_day(books)
        given_up = books.overdue()
        letters = self.give_up(given_up, books, Reason.ISSUER_SILENT)
        carried, said = self._carry_on(books)
        self._forget_accounts(books)
        return letters + carried + self._management.unanswered(books), remarks + said, given_up

    # -- time-outs -----------------------------------------------------------------------------------------------------

    def give_up(self, rows: list[JournalRow], books: NetworkBooks, reason: Reason) -> list[Letter]:
        """Tell the acquirers that no answer came that counts, and put a reversal for who was asked into store-and-forward.

        Of a token payment both the token service and, once he was asked, the issuer hear; he about the card behind the token.
        """
        if not rows:
            return []
        books.load_stations(station for row in rows for station in (row.origin, row.target))
        sealed = [(row.kept, sealed_context("journal", row.name)) for row in rows]
        accounts = accounts_of(self._prover, rows, books)
        letters, reversals = [], []
        for row, account, plain in zip(rows, accounts, self._prover.unseal(sealed, books), strict=True):
            expire(books, row, Reason.TSP_SILENT if row.at_tsp and reason is Reason.ISSUER_SILENT else reason)
            if plain is None:
                continue  # tampered with: nobody can be told; the acquirer's own time-out takes over
            request = restored(plain)
            if row.processing_code != NEVER_REVERSED:
                reversals += self._reverse(request, row, books, account=account)
            letters.append(self.to_station(books, row.origin, answer(request, row)))
        keep(self._prover, reversals, books)
        return letters

    def _reverse(
        self, request: Message, row: JournalRow, books: NetworkBooks, *, account: Account | None
    ) -> list[tuple[ForwardRow, Message]]:
        made = [self._reversal(request, row, books, target=row.tsp or row.target)]
        if row.tsp and not row.at_tsp:
            made.append(for_issuer(*self._reversal(request, row, books, target=row.target), row, account))
        return made

    def _reversal(self, request: Message, row: JournalRow, books: NetworkBooks, *, target: str) -> tuple[ForwardRow, Message]:
        why = ReversalReason.BAD_MAC if row.reason == Reason.ANSWER_MAC_WRONG.name else ReversalReason.NO_ANSWER
        seq = books.next_forward()
        message = reversal_of(request, row, network=self._config.institution, why=why.value, seq=seq, now_ms=books.now_ms)
        return own_item(books, message, name=name_of(message), seq=seq, target=target, row=row), message

    def _forget_accounts(self, books: NetworkBooks) -> None:
        """Drop what tokens stood for on days of which nothing can come back any more."""
        day = (local(books.now_ms) - timedelta(days=self._config.keep_account_days)).strftime("%Y%m%d")
        for row in books.forgettable(day):
            forget(row)

    def to_station(self, books: NetworkBooks, station: str, message: Message) -> Letter:
        """Address a message that carries a MAC under the station's key in force; within this process it needs none."""
        member = books.member(station)
        destination = member.institution if member else station
        frame = InterbankFrame(header(destination, self._config.institution), message)
        keys = () if station in self._config.inside else books.candidates(mak_label(station))
        return Letter(station, frame, keys[0] if keys else None)

    # -- store-and-forward ---------------------------------------------------------------------------------------------

    def _carry_on(self, books: NetworkBooks) -> tuple[list[Letter], list[str]]:
        letters, remarks = [], []
        ready = books.ready_members()
        if ready:
            books.load_stations(member.station for member in ready)
        for member in ready:
            items = books.due_items(member.station)
            sealed = [(item.kept, sealed_context("forwards", item.name)) for item in items]
            for item, plain in zip(items, self._prover.unseal(sealed, books), strict=True):
                if plain is None:
                    bury(item, UNOPENABLE)
                    remarks.append(f"dead letter {item.name}: what was kept of it cannot be opened")
                    continue
                letters.append(self._item_letter(member, restored(plain, repeat=item.attempts > 0), books))
                put_off(books, item, self._config)
        return letters, remarks

    def _item_letter(self, member: MemberRow, message: Message, books: NetworkBooks) -> Letter:
        if message.mti.startswith("08"):
            frame = InterbankFrame(header(member.institution, self._config.institution), message)
            return Letter(member.station, frame)
        return self.to_station(books, member.station, message)

    # -- cut-off -------------------------------------------------------------------------------------------------------

    def _close_day(self, books: NetworkBooks) -> list[str]:
        """At the cut-off, or when somebody asked for it: write the positions, open the next day, tell every member."""
        state, minute = books.state, self._config.cut_off_minute
        if not state.close_asked and not passed(state.business_date, books.now_ms, minute):
            return []
        day = state.business_date
        for position in live_positions(books.tx, day):
            p, seq = position, books.next_position()
            row = PositionRow(0, seq, day, p.institution, p.currency, p.amount_minor, p.count, CLOSE)
            books.positions.add(row)
        state.close_asked, state.business_date = 0, successor(day, books.now_ms, minute)
        news = []
        for member in books.all_members():
            for code in (NetworkCode.CUT_OFF_START, NetworkCode.CUT_OFF_END):
                seq = books.next_forward()
                message = cut_off_news(code, day=day, network=self._config.institution, seq=seq, now_ms=books.now_ms)
                name = name_of(Message("0820", {**message.fields, 32: self._config.institution}))
                news.append((own_item(books, message, name=name, seq=seq, target=member.station), message))
        books.load_stations([])
        keep(self._prover, news, books)
        return [f"business date {day} closed, {state.business_date} opened"]


def accounts_of(prover: Prover, rows: Sequence[JournalRow], books: NetworkBooks) -> list[Account | None]:
    """Return what the tokens of these transactions stand for; None where that is not known, or was tampered with."""
    held = [row for row in rows if row.sealed and row.name not in books.accounts]
    plains = prover.unseal([(row.behind, sealed_context("account", row.name)) for row in held], books)
    found = {row.name: Account.restored(plain) for row, plain in zip(held, plains, strict=True) if plain is not None}
    return [found.get(row.name) or books.accounts.get(row.name) for row in rows]


def for_issuer(item: ForwardRow, message: Message, row: JournalRow, account: Account | None) -> tuple[ForwardRow, Message]:
    """Return an item about a token as its issuer gets it; without its account nobody can be told, so somebody has to look."""
    if account is None:
        bury(item, UNOPENABLE)
        return item, message
    return item, about_account(message, account, issuer=row.issuer)


def keep(prover: Prover, items: list[tuple[ForwardRow, Message]], books: NetworkBooks) -> None:
    """Seal what is to be sent into its items, all at once."""
    sealed = prover.seal([(INTERBANK.encode(message), sealed_context("forwards", item.name)) for item, message in items], books)
    for (item, _), blob in zip(items, sealed, strict=True):
        item.kept = blob
