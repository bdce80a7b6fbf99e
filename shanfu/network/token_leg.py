"""The token leg: between acquirer and issuer, the token service says which card a token stands for.

A payment with a token waits twice. First the token service is asked, as the acquirer asked, but without the PIN; it checks the
token, its key and its cryptogram, and answers with the card's number, or with its refusal, which goes to the acquirer as it is.
Then the card's issuer is asked: the PAN in the token's place, the token's data and the service's verdict beside it, and the PIN
made anew for the PAN inside the HSM. His answer goes back under the token, with the account reference added; the acquirer never
learns the PAN. How it ended, the token service is told by store-and-forward, and a reversal goes to both who were asked.

`transactions` calls this where a message is about a token. Sources: the wires page, 5; EMVCo's tokenisation framework for the
four messages.
"""

from itertools import groupby

from shanfu.hosts import State, name_of
from shanfu.iso8583 import MOST_OUTCOMES, Message, ResponseCode
from shanfu.links import Turn
from shanfu.network.accounts import account_of
from shanfu.network.answers import answer, outcomes_of, request_for_issuer, restored
from shanfu.network.books import NetworkBooks
from shanfu.network.config import NetworkConfig
from shanfu.network.decide import Facts, decide
from shanfu.network.duties import Duties, sealed_context
from shanfu.network.events import decision_event, outcome_event
from shanfu.network.forward import ForwardRow
from shanfu.network.journal import JournalRow
from shanfu.network.outgoing import Outgoing
from shanfu.network.prove import PINMove, Prover
from shanfu.network.reasons import Reason
from shanfu.network.record import own_item, pass_on, put_off, refuse_item, refuse_waiting, resolve, turn_down, twin
from shanfu.network.requests import Kind
from shanfu.network.stretch import Stretch

__all__ = ["TokenLeg"]


class TokenLeg:
    """What the switch does with messages about tokens."""

    def __init__(self, config: NetworkConfig, prover: Prover, duties: Duties, *, out: Outgoing) -> None:
        self._config, self._prover, self._duties, self._out = config, prover, duties, out

    # -- proving -------------------------------------------------------------------------------------------------------

    def recall(self, facts: list[Facts], books: NetworkBooks) -> None:
        """Open, for all answers about tokens at once, what was kept of the requests they answer."""
        wanted = []
        for about in facts:
            kept = self._kept_of(about, books)
            if kept is None:
                continue
            about.account = account_of(about.arrival)
            about.request = books.requests.get(about.arrival.name)
            if about.request is None:
                wanted.append((about, kept))
        plains = self._prover.unseal([kept for _, kept in wanted], books)
        for (about, _), plain in zip(wanted, plains, strict=True):
            about.request = None if plain is None else restored(plain)

    def _kept_of(self, about: Facts, books: NetworkBooks) -> tuple[bytes, bytes] | None:
        """Return what is to be opened for this message, with its context; None when nothing is."""
        arrival = about.arrival
        if not about.authentic or arrival.fault:
            return None
        if arrival.kind is Kind.ADVICE_ANSWER:
            item = books.item(arrival.bucket, arrival.name, arrival.station)
            if item is None or not item.kept or not _is_unresolved_refund(item, books):
                return None
            return item.kept, sealed_context("forwards", item.name)
        row = books.row(arrival.bucket, arrival.name) if arrival.kind is Kind.ANSWER else None
        if row is None or row.state != State.WAITING or row.target != arrival.station or not row.tsp:
            return None
        if not row.kept and row.name not in books.requests:
            return None
        if bool(arrival.token) is not row.at_tsp:  # who refuses a token names none; who answers for its card should
            return None
        return row.kept, sealed_context("journal", row.name)

    def pin_move(self, about: Facts, books: NetworkBooks) -> PINMove | None:
        """Return how the PIN of a request whose token was resolved goes to the issuer; None when there is none to move."""
        arrival, request, route = about.arrival, about.request, about.route
        if arrival.kind is not Kind.ANSWER or about.account is None or request is None or 52 not in request.fields:
            return None
        row = books.row(arrival.bucket, arrival.name)
        if row is None or not row.at_tsp or route is None or about.away or about.tsp or not arrival.words:
            return None
        return PINMove(request, arrival.token, row.origin, route.station, arrival.words.record)

    # -- the token service's answer ------------------------------------------------------------------------------------

    def answered(
        self, about: Facts, row: JournalRow, *, books: NetworkBooks, turn: Turn, stretch: Stretch, pin: bytes | None
    ) -> None:
        """Take the token service's answer: ask the issuer, or pass its refusal on."""
        arrival = about.arrival
        code = arrival.message.text(39)
        if code != ResponseCode.APPROVED:
            if ResponseCode.of(code).approved:
                self._out.drop(turn, books, arrival, why=f"a token is resolved with 00, not with {code}")
                return
            turn_down(books, row, arrival.message, arrival.words.reason if arrival.words else "")
            stretch.letters.append(self._duties.to_station(books, row.origin, answer(arrival.message, row)))
        elif about.account is None or about.request is None:
            self._out.drop(turn, books, arrival, why="it does not say what the token stands for")
            return
        else:
            reason = decide(about)
            if self._out.watch:
                turn.events.append(decision_event(self._out.name, about, reason, at_ms=books.now_ms))
            if reason is Reason.RESOLVED:
                self._ask_issuer(about, row, books, stretch, pin=pin)
                return
            refuse_waiting(books, row, reason)
            self._close(about.request, row, arrival.token, books=books, stretch=stretch)
        if self._out.watch:
            turn.events.append(outcome_event(self._out.name, row, at_ms=books.now_ms))

    def _ask_issuer(self, about: Facts, row: JournalRow, books: NetworkBooks, stretch: Stretch, *, pin: bytes | None) -> None:
        """Ask the issuer of the card behind the token; the row waits on, for what is left of our time."""
        request, account = about.request, about.account
        assert request
        assert account
        resolve(books, row, about, deadline_ms=row.arrived_ms + self._config.timeout_ms)
        books.accounts[row.name] = account
        asked = request_for_issuer(request, day=row.business_date, issuer=row.issuer, pin=pin, account=account)
        stretch.letters.append(self._duties.to_station(books, row.target, asked))
        stretch.asked.append((row, request, row.target))
        stretch.resolved.append((row, account))

    # -- how it ended --------------------------------------------------------------------------------------------------

    def conclude(self, about: Facts, row: JournalRow, books: NetworkBooks, stretch: Stretch) -> None:
        """Answer the acquirer as the row now says; of a token payment the token service is told as well."""
        message = about.arrival.message
        token = about.arrival.token
        if row.tsp and not token:
            token = about.request.text(2) if about.request else message.text(2, "") if row.at_tsp else ""
        if row.tsp and not token:
            return  # what was kept has been tampered with: nobody can be answered; the acquirer's own time-out takes over
        self._close(message, row, token, books=books, stretch=stretch)

    def _close(self, source: Message, row: JournalRow, token: str, *, books: NetworkBooks, stretch: Stretch) -> None:
        reply = answer(source, row, token=token)
        stretch.letters.append(self._duties.to_station(books, row.origin, reply))
        if row.tsp and row.reason != Reason.TSP_REJECTED.name:
            stretch.ended.append(row)

    def tell_outcomes(self, books: NetworkBooks, stretch: Stretch) -> None:
        """Tell the token services how the payments of this stretch ended, many in one advice."""
        for service, rows in groupby(sorted(stretch.ended, key=_service), key=_service):
            told = list(rows)
            for start in range(0, len(told), MOST_OUTCOMES):
                self._tell(service, told[start : start + MOST_OUTCOMES], books, stretch)

    def _tell(self, service: str, rows: list[JournalRow], books: NetworkBooks, stretch: Stretch) -> None:
        seq = books.next_forward()
        advice = outcomes_of(rows, network=self._config.institution, seq=seq, now_ms=books.now_ms)
        name = name_of(advice)
        item = own_item(books, advice, name=name, seq=seq, target=service, card=name)  # waits for nothing of another name
        stretch.carried.append((item, advice))
        member = books.member(service)
        if member and member.reachable(books.life):  # it goes at once, and again only when nobody acknowledges it
            stretch.letters.append(self._duties.to_station(books, service, advice))
            put_off(books, item, self._config)

    # -- reversals and refunds -----------------------------------------------------------------------------------------

    def take_back(
        self, item: ForwardRow, message: Message, original: JournalRow, *, books: NetworkBooks, stretch: Stretch
    ) -> None:
        """Carry an acquirer's reversal to the issuer, about the card, and to the token service, about the token."""
        stretch.to_issuer.append((item, message, original))
        stretch.carried.append((twin(books, item, target=original.tsp), message))

    def refund_resolved(self, about: Facts, item: ForwardRow, *, books: NetworkBooks, turn: Turn, stretch: Stretch) -> bool:
        """Turn a token's refund to the issuer once the token service has said whose it is; False for all other items."""
        arrival, row = about.arrival, books.row(item.bucket, item.original)
        if row is None or not _is_unresolved_refund(item, books) or arrival.message.text(39) != ResponseCode.APPROVED:
            return False
        account, request, reason = about.account, about.request, decide(about)
        if self._out.watch:
            turn.events.append(decision_event(self._out.name, about, reason, at_ms=books.now_ms))
        if reason is not Reason.RESOLVED or arrival.card != row.card or account is None or request is None:
            refuse_item(item, reason.code or Reason.MALFUNCTION.code, self._config)
            self._out.drop(turn, books, arrival, why="it does not say which card the refund is for")
            return True
        pass_on(books, item, row, about)
        books.accounts[row.name] = account
        stretch.resolved.append((row, account))
        stretch.to_issuer.append((item, request, row))
        return True


def _service(row: JournalRow) -> str:
    return row.tsp


def _is_unresolved_refund(item: ForwardRow, books: NetworkBooks) -> bool:
    """Whether this is a token's refund of which only the token service has been asked."""
    row = books.row(item.bucket, item.original)
    return item.mti == "0220" and bool(item.origin) and row is not None and row.tsp == item.target
