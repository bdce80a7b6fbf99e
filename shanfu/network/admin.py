"""The network's desk: what its staff do, as plain functions over a store.

Enrolling members, laying routes, installing keys, closing a day early, and the lists that reconciliation and operators ask
for: journal, positions, what store-and-forward still carries, and its dead letters. The sandbox and the command line call
these; the host need not run. A running host owns its books, so whoever writes here shares its store or opens it himself.
"""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import bindparam, select

from shanfu.errors import ConfigError
from shanfu.hosts import JournalLine, Lines, check_institution
from shanfu.network.config import NetworkConfig
from shanfu.network.forward import FORWARDS, Carried, ForwardRow
from shanfu.network.journal import JOURNAL
from shanfu.network.members import ALL_MEMBERS, BY_STATION, MEMBERS, MemberRow
from shanfu.network.positions import Position, kept_positions, live_positions
from shanfu.network.routes import BY_PREFIX, ROUTES, RouteRow
from shanfu.network.state import STATE, StateRow, the_state
from shanfu.store import Book, Statement, Store, Transaction

__all__ = [
    "Carriage", "SwitchedLine", "add_route", "business_dates", "close_day", "current_day", "dead_letters",
    "enrol_member", "forward_queue", "journal_lines", "list_members", "positions", "written_positions",
]  # fmt: skip

ROLES: Final = frozenset({"acquirer", "issuer"})
KNOWN_ROLES: Final = ROLES | {"tsp"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchedLine(JournalLine):
    """A transaction at the switch: `tsp` is the token service that was asked about it, "" for a card's."""

    tsp: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Carriage:
    """An item of store-and-forward as operators see it; times are UTC milliseconds."""

    name: str
    mti: str
    target: str
    original: str
    business_date: str
    amount_minor: int
    currency: str
    attempts: int
    refusals: int
    last_code: str
    next_ms: int


# -- setting up --------------------------------------------------------------------------------------------------------


def enrol_member(store: Store, institution: str, *, name: str, roles: frozenset[str] = ROLES, station: str = "") -> None:
    """Enter a member: acquirer, issuer, or both, or a token service (tsp).

    Its station is its identifier unless its acquirer and issuer dial apart.

    Raise Conflict when the station is taken, ConfigError when a value makes no sense.
    """
    check_institution(institution, "member")
    if not roles or not roles <= KNOWN_ROLES:
        raise ConfigError(f"member {institution}: roles are {sorted(roles)}, known are {sorted(KNOWN_ROLES)}")
    with store.begin() as tx:
        members = MEMBERS.open(tx)
        members.load(BY_STATION, [(0, station or institution)])
        acquires, issues, resolves = (int(role in roles) for role in ("acquirer", "issuer", "tsp"))
        members.add(MemberRow(0, station or institution, institution, name, acquires, issues, resolves, 0, 0, ""))
        members.save()


def add_route(store: Store, prefix: str, institution: str, *, station: str = "", now_ms: int) -> None:
    """Send cards beginning with `prefix` to this issuer from now on, whoever had them before; ConfigError for a bad prefix.

    Tokens lead to their issuer by way of the token service: `institution` is the issuer's, `station` the token service's.
    """
    if not (prefix.isascii() and prefix.isdigit()):
        raise ConfigError(f"route {prefix!r}: a prefix is digits")
    with store.begin() as tx:
        routes = ROUTES.open(tx)
        routes.load(BY_PREFIX, [(0, prefix)])
        row = routes.find(BY_PREFIX, (0, prefix))
        if row is None:
            routes.add(RouteRow(0, prefix, institution, station or institution))
        else:
            row.institution, row.station = institution, station or institution
        routes.save()
        states, state = _state(tx, now_ms, NetworkConfig())
        state.routes_version += 1
        states.save()


def close_day(store: Store, *, now_ms: int, config: NetworkConfig | None = None) -> str:
    """Ask for the cut-off now; the host's next tick does it. Return the business date that will close."""
    with store.begin() as tx:
        states, state = _state(tx, now_ms, config or NetworkConfig())
        state.close_asked = 1
        states.save()
        return state.business_date


def _state(tx: Transaction, now_ms: int, config: NetworkConfig) -> tuple[Book[StateRow], StateRow]:
    states = STATE.open(tx)
    return states, the_state(states, now_ms, config.cut_off_minute)


# -- reading -----------------------------------------------------------------------------------------------------------


def current_day(store: Store, *, now_ms: int, config: NetworkConfig | None = None) -> str:
    """Return the business date that is open."""
    with store.begin() as tx:
        return _state(tx, now_ms, config or NetworkConfig())[1].business_date


def list_members(store: Store) -> list[MemberRow]:
    """Return all members by station."""
    with store.begin() as tx:
        return MEMBERS.open(tx).select(ALL_MEMBERS)


_J: Final = JOURNAL.table.c
journal_lines: Final = Lines(JOURNAL, SwitchedLine)
_DAYS: Final = Statement(select(_J.business_date).distinct().order_by(_J.business_date))


def business_dates(store: Store) -> list[str]:
    """Return the business dates (YYYYMMDD) that have transactions, oldest first."""
    with store.begin() as tx:
        return [day for (day,) in tx.rows(_DAYS)]


def positions(store: Store, day: str) -> list[Position]:
    """Return each institution's net position of a business date as the journal gives it now, open days too."""
    with store.begin() as tx:
        return live_positions(tx, day)


def written_positions(store: Store, day: str) -> list[Position]:
    """Return the net positions of a closed business date as written, with later adjustments; [] while it is open."""
    with store.begin() as tx:
        return kept_positions(tx, day)


_F: Final = FORWARDS.table.c
_IN_STATE: Final = Statement(FORWARDS.select().where(_F.state == bindparam("state")).order_by(_F.bucket, _F.seq), "state")


def forward_queue(store: Store) -> list[Carriage]:
    """Return what store-and-forward still carries, oldest first."""
    return _carriages(store, Carried.OPEN)


def dead_letters(store: Store) -> list[Carriage]:
    """Return the items that somebody has to look at."""
    return _carriages(store, Carried.DEAD)


def _carriages(store: Store, state: Carried) -> list[Carriage]:
    with store.begin() as tx:
        rows: list[ForwardRow] = FORWARDS.open(tx).select(_IN_STATE, (state.value,))
    names = Carriage.__dataclass_fields__
    return [Carriage(**{name: getattr(row, name) for name in names}) for row in rows]
