"""The service's own desk: what its staff do, as plain functions over a store.

Registering requestors and token ranges, looking a token up with all that ever happened to it, and acting on tokens as the
service itself. The sandbox and the command line call these; the host need not run. A running host owns its books, so whoever
writes here opens the store himself. Nothing here shows a PAN or a token's number.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from shanfu.errors import ConfigError, Conflict, DecodeError, NotFound
from shanfu.hosts import LOOKUP, check_institution
from shanfu.hsm import HSM
from shanfu.messages import Actor, ExplainStep, LifeCycleEvent, TokenView, TransactionView
from shanfu.pan import PAN
from shanfu.store import Statement, Store
from shanfu.tokens import TRID
from shanfu.tsp.books import TSPBooks
from shanfu.tsp.changes import Cause, LifeCycle
from shanfu.tsp.diary import OF_TOKEN, Channel, DiaryRow
from shanfu.tsp.history import PAGE, HistoryRow, explained, view
from shanfu.tsp.key_sets import BY_COUNTER, BY_SEQUENCE, KeySetRow, newest_names
from shanfu.tsp.reconcile import Drift, compare, mend
from shanfu.tsp.requestors import RANGES, REQUESTORS, RangeRow, RequestorRow, RequestorState
from shanfu.tsp.vault import BY_NUMBER, TOKENS, TokenRow, view_of

__all__ = [
    "Paid", "RangeOrder", "RequestorOrder", "TokenCase", "add_token_range", "delete_tokens", "enrol_requestor", "find_number",
    "list_ranges", "list_requestors", "list_tokens", "reconcile", "reperso_tokens", "resume_tokens", "set_requestor", "show",
    "suspend_tokens",
]  # fmt: skip

NO_LIMIT: Final = 9_223_372_036_854_775_807  # the largest `seq` that a column holds
MOST_PAID: Final = 50  # payments that `show` tells, the newest
MOST_SETS: Final = 20
MOST_LISTED: Final = 1_000


# -- the registry ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestorOrder:
    """Whom to register: a bank's app. Empty lists allow everything."""

    trid: str
    name: str
    app: str
    issuer: str
    name_zh: str = ""
    channels: Sequence[str] = ("contactless",)
    entry_modes: Sequence[str] = ("07",)
    storages: Sequence[str] = ()
    countries: Sequence[str] = ()
    merchants: Sequence[str] = ()


def enrol_requestor(store: Store, order: RequestorOrder, *, now_ms: int, code: str = "901") -> None:
    """Enter a requestor under its TRID, whose first digits are our TSP code; raise Conflict when it is there already."""
    _check_trid(order.trid, code)
    check_institution(order.issuer, "requestor: issuer")
    with store.begin() as tx:
        books = TSPBooks(tx, now_ms=now_ms)
        if books.requestor(order.trid) is not None:
            raise Conflict(f"requestor {order.trid}: is registered already")
        books.requestors.add(
            RequestorRow(
                0, order.trid, order.name, order.name_zh, order.app, order.issuer, " ".join(order.channels),
                " ".join(order.entry_modes), " ".join(order.storages), " ".join(order.countries), " ".join(order.merchants),
                RequestorState.ACTIVE.value, now_ms,
            )
        )  # fmt: skip
        books.save()


def set_requestor(store: Store, trid: str, state: RequestorState, *, now_ms: int) -> None:
    """Block a requestor, so that none of its tokens pays, or take it back; raise NotFound."""
    with store.begin() as tx:
        books = TSPBooks(tx, now_ms=now_ms)
        row = books.requestor(trid)
        if row is None:
            raise NotFound(f"requestor {trid}: there is none")
        row.state = state.value
        books.save()


def _check_trid(trid: str, code: str) -> None:
    try:
        ours = TRID(trid).tsp_code == code
    except DecodeError as fault:
        raise ConfigError(f"requestor: {fault}") from None
    if not ours:
        raise ConfigError(f"requestor {trid}: begins with {trid[:3]}, our TSP code is {code}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RangeOrder:
    """Which token BIN an issuer gets, for which of his cards' BINs (none named: for all)."""

    bin: str
    issuer: str
    country: str
    card_bins: Sequence[str] = ()


def add_token_range(store: Store, order: RangeOrder, *, now_ms: int) -> None:
    """Enter a token BIN; raise Conflict when it touches another range, ConfigError when it is none or serves itself."""
    if not (6 <= len(order.bin) <= 8 and order.bin.isascii() and order.bin.isdigit()):
        raise ConfigError(f"token range: BIN is {order.bin!r}, it has 6 to 8 digits")
    check_institution(order.issuer, "token range: issuer")
    if any(_touch(order.bin, bin_) for bin_ in order.card_bins):
        raise ConfigError(f"token range {order.bin}: a BIN is for cards or for tokens, never for both")
    with store.begin() as tx:
        books = TSPBooks(tx, now_ms=now_ms)
        for row in books.ranges.select(_ALL_RANGES):
            if _touch(row.bin, order.bin):
                raise Conflict(f"token range {order.bin}: touches {row.bin}")
            if any(_touch(bin_, order.bin) for bin_ in row.card_bins.split()):
                raise Conflict(f"token range {order.bin}: is a BIN of cards")
        state, bins = RequestorState.ACTIVE.value, " ".join(order.card_bins)
        books.ranges.add(RangeRow(0, order.bin, order.issuer, bins, order.country, state, now_ms))
        books.save()


def _touch(one: str, other: str) -> bool:
    return one.startswith(other) or other.startswith(one)


_ALL_RANGES: Final = Statement(RANGES.select().order_by(RANGES.table.c.bin))
_ALL_REQUESTORS: Final = Statement(REQUESTORS.select().order_by(REQUESTORS.table.c.trid))
_EVERY_TOKEN: Final = Statement(TOKENS.select().order_by(TOKENS.table.c.created_ms, TOKENS.table.c.token))
_OLDEST_TOKENS: Final = Statement(TOKENS.select().order_by(TOKENS.table.c.created_ms, TOKENS.table.c.token).limit(MOST_LISTED))


def list_ranges(store: Store) -> list[RangeRow]:
    """Return the token ranges, by BIN."""
    with store.begin() as tx:
        return RANGES.open(tx).select(_ALL_RANGES)


def list_requestors(store: Store) -> list[RequestorRow]:
    """Return the requestors, by TRID."""
    with store.begin() as tx:
        return REQUESTORS.open(tx).select(_ALL_REQUESTORS)


# -- looking -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Paid:
    """A payment with every check that was made, and what each compared."""

    payment: TransactionView
    name: str
    checks: tuple[ExplainStep, ...]


@dataclass(frozen=True, slots=True)
class TokenCase:
    """Everything about one token: how it stands, the card behind it, its diary, key sets and payments (newest first)."""

    token: TokenView
    card_state: str
    requestor: str
    diary: tuple[DiaryRow, ...]
    key_sets: tuple[KeySetRow, ...]
    payments: tuple[Paid, ...]


def list_tokens(store: Store, *, trid: str = "", card: str = "", device: str = "") -> list[TokenView]:
    """Return tokens, oldest first: those of a requestor, card reference or device, or of all the first thousand."""
    filtered = bool(trid or card or device)
    with store.begin() as tx:
        rows = TOKENS.open(tx).select(_EVERY_TOKEN if filtered else _OLDEST_TOKENS)
    wanted = [row for row in rows if trid in ("", row.trid) and card in ("", row.card) and device in ("", row.device)]
    return [view_of(row) for row in wanted]


def find_number(store: Store, hsm: HSM, number: PAN) -> str:
    """Return the reference of the token that has this number; raise NotFound."""
    with store.begin() as tx:
        books = TSPBooks(tx, now_ms=0)
        [found] = hsm.lookup(books.keys.current(LOOKUP), [number.digits.encode()])
        books.tokens.load(BY_NUMBER, [found])
        row = books.tokens.find(BY_NUMBER, found)
    if row is None:
        raise NotFound(f"token {number}: there is none")
    return row.token


def show(store: Store, token: str) -> TokenCase:
    """Return everything about a token; raise NotFound."""
    with store.begin() as tx:
        books = TSPBooks(tx, now_ms=0)
        row = _token(books, token)
        card, requestor = books.card(row.issuer, row.card), books.requestor(row.trid)
        paid: list[HistoryRow] = books.history.select(PAGE, (token, NO_LIMIT, MOST_PAID))
        return TokenCase(
            token=view_of(row),
            card_state=card.state if card else "",
            requestor=requestor.name if requestor else "",
            diary=tuple(books.diary.select(OF_TOKEN, (token,))),
            key_sets=_key_sets(books, row),
            payments=tuple(Paid(view(one), one.name, explained(one)) for one in paid),
        )


def _key_sets(books: TSPBooks, token: TokenRow) -> tuple[KeySetRow, ...]:
    """Return a token's newest key sets, newest first."""
    key = (token.bucket, token.token)
    books.counters.load(BY_COUNTER, [key])
    counter = books.counters.find(BY_COUNTER, key)
    return tuple(books.key_sets.load(BY_SEQUENCE, newest_names(counter, MOST_SETS))) if counter else ()


def _token(books: TSPBooks, token: str) -> TokenRow:
    row = books.token(token)
    if row is None:
        raise NotFound(f"token {token}: there is none")
    return row


# -- acting as the service ---------------------------------------------------------------------------------------------


def suspend_tokens(store: Store, tokens: Iterable[str], *, reason: str, now_ms: int) -> dict[str, str]:
    """Suspend tokens as the service: only the service lifts that. Return the result's name for each; raise NotFound."""
    return _act(store, tokens, (LifeCycleEvent.SUSPEND, reason), now_ms=now_ms)


def resume_tokens(store: Store, tokens: Iterable[str], *, reason: str, now_ms: int) -> dict[str, str]:
    """Lift the service's own suspension, such as that of a clone suspicion that was looked into."""
    return _act(store, tokens, (LifeCycleEvent.RESUME, reason), now_ms=now_ms)


def delete_tokens(store: Store, tokens: Iterable[str], *, reason: str, now_ms: int) -> dict[str, str]:
    """Delete tokens for good; refunds of their payments still find the account."""
    return _act(store, tokens, (LifeCycleEvent.DELETE, reason), now_ms=now_ms)


def reperso_tokens(store: Store, tokens: Iterable[str], *, reason: str, now_ms: int) -> dict[str, str]:
    """Have the profile of tokens fetched anew by their phones; number, keys and PAR stay."""
    return _act(store, tokens, (LifeCycleEvent.REPERSO, reason), now_ms=now_ms)


def reconcile(store: Store, theirs: Mapping[str, Iterable[TokenView]], *, now_ms: int, repair: bool = True) -> list[Drift]:
    """Compare all tokens with what each party (`issuer/…`, `requestor/…`) holds of them, and tell again what has drifted."""
    with store.begin() as tx:
        books = TSPBooks(tx, now_ms=now_ms)
        rows = books.tokens.select(_EVERY_TOKEN)
        found = []
        for party, copies in sorted(theirs.items()):
            role, _, name = party.partition("/")
            mine = [view_of(row) for row in rows if name == (row.issuer if role == "issuer" else row.trid)]
            found += compare(party, mine, copies)
        if repair and found:
            mend(books, LifeCycle(), found)
            books.save()
    return found


def _act(store: Store, tokens: Iterable[str], what: tuple[LifeCycleEvent, str], *, now_ms: int) -> dict[str, str]:
    event, reason = what
    life, cause = LifeCycle(), Cause(event, Actor.TSP, Channel.ADMIN, reason)
    with store.begin() as tx:
        books = TSPBooks(tx, now_ms=now_ms)
        results = {token: life.apply(books, _token(books, token), cause).result.value for token in tokens}
        books.save()
    return results
