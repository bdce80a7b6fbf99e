"""The journals of a world, brought to reconciliation: read from every party's books while the hosts run or not."""

from collections.abc import Sequence
from dataclasses import dataclass

from shanfu import acquirer, issuer, network, tsp
from shanfu.errors import NotFound
from shanfu.sandbox.people import MERCHANTS
from shanfu.sandbox.reconcile import Difference, Finding, Line, Report, Verdict, match, moves, net
from shanfu.sandbox.world import HOSTS, World
from shanfu.terminal import Journal, Kind

__all__ = ["business_dates", "reconcile_world", "require_dates"]

# fmt: off
CODES = {Kind.PURCHASE: "000000", Kind.VOID: "200000", Kind.REFUND: "200000"}  # DE3 of what moves money at a terminal
# fmt: on


@dataclass(frozen=True, slots=True, kw_only=True)
class TerminalLine:
    """A terminal's line in the form of the hosts'."""

    name: str
    business_date: str
    currency: str
    processing_code: str
    amount_minor: int
    state: str
    to_upload: bool


@dataclass(frozen=True, slots=True)
class Journals:
    """Everything that was written down for one business date."""

    terminals: Sequence[Line]
    acquirers: Sequence[acquirer.TerminalLine]
    network: Sequence[network.SwitchedLine]
    tokens: Sequence[tsp.JournalLine]
    issuers: Sequence[issuer.JournalLine]


def business_dates(world: World) -> list[str]:
    """Return the business dates that the network has lines for, oldest first."""
    with world.store("network", read_only=True) as store:
        return network.business_dates(store)


def reconcile_world(world: World, date: str) -> Report:
    """Compare all journals of one business date (YYYYMMDD), the net positions and the ledgers."""
    journals = _read(world, date)
    named = [AcquirerTerminalLine(line) for line in journals.acquirers]
    findings = [
        match("terminal and acquirer", journals.terminals, named),
        match("acquirer and network", [line for line in journals.acquirers if line.forwarded], journals.network),
        match("network and token service", [line for line in journals.network if line.tsp], journals.tokens),
        match("network and issuer", journals.network, journals.issuers),
        _positions(world, date, journals),
        _ledgers(world, date),
    ]
    return Report(date, tuple(findings))


class AcquirerTerminalLine:
    """An acquirer's line under its terminal's name."""

    def __init__(self, line: acquirer.TerminalLine) -> None:
        self.name, self.business_date, self.currency = line.terminal_name, line.business_date, line.currency
        self.processing_code, self.amount_minor, self.state = line.processing_code, line.amount_minor, line.state


def _read(world: World, date: str) -> Journals:
    acquirers: list[acquirer.TerminalLine] = []
    issuers: list[issuer.JournalLine] = []
    for name, role in HOSTS.items():
        if role.kind == "acquirer":
            with world.store(name, read_only=True) as store:
                acquirers += acquirer.journal_lines(store, date)
        elif role.kind == "issuer":
            with world.store(name, read_only=True) as store:
                issuers += issuer.journal_lines(store, date)
    with world.store("network", read_only=True) as store:
        switched = network.journal_lines(store, date)
    with world.store("tsp", read_only=True) as store:
        tokens = tsp.journal_lines(store, date)
    return Journals(_terminal_lines(world, date), acquirers, switched, tokens, issuers)


def _terminal_lines(world: World, date: str) -> list[TerminalLine]:
    lines = []
    for merchant in MERCHANTS:
        if not (world.folder / "terminals" / f"{merchant.name}.mem").exists():
            continue
        with world.terminal_memory(merchant.name) as memory:
            journal = Journal(memory)
        lines += [
            TerminalLine(
                name=line.name,
                business_date=line.business_date,
                currency=line.currency,
                processing_code=CODES[line.kind],
                amount_minor=line.amount_minor,
                state=line.state.value,
                to_upload=line.to_upload,
            )
            for line in journal.lines(merchant.id, merchant.terminal)
            if line.kind in CODES and line.business_date == date
        ]
    return lines


def _positions(world: World, date: str, journals: Journals) -> Finding:
    """Compare the network's net positions with what acquirers and issuers say they are owed."""
    between = "net positions"
    with world.store("network", read_only=True) as store:
        told = net((row.institution, row.currency, row.amount_minor) for row in network.positions(store, date))
    acquired = [(line.institution, line.currency, moves(line)) for line in journals.acquirers]
    issued = [(line.issuer, line.currency, -moves(line)) for line in journals.issuers]
    summed = net([*acquired, *issued])
    differences = [
        Difference(between, Verdict.POSITION, f"{key[0]} {key[1]}", str(told.get(key, 0)), str(summed.get(key, 0)))
        for key in sorted({*told, *summed})
        if told.get(key, 0) != summed.get(key, 0)
    ]
    return Finding(between, len({*told, *summed}) - len(differences), tuple(differences))


def _ledgers(world: World, date: str) -> Finding:
    """Compare each issuer's postings with its journal, and its balances with its entries."""
    between, matched, differences = "journal and ledger", 0, []
    for name, role in HOSTS.items():
        if role.kind != "issuer":
            continue
        with world.store(name, read_only=True) as store:
            for line in issuer.postings_of(store, date):
                if line.agrees:
                    matched += 1
                else:
                    says = (str(line.expected_minor), str(line.posted_minor))
                    differences.append(Difference(between, Verdict.LEDGER, line.name, *says))
            differences += [Difference(between, Verdict.LEDGER, name, fault, "") for fault in issuer.unbalanced(store)]
    return Finding(between, matched, tuple(differences))


def require_dates(world: World, date: str | None) -> list[str]:
    """Return the date asked for, or all; NotFound when no journal has it."""
    known = business_dates(world)
    if date and date not in known:
        raise NotFound(f"business date {date}: no journal has it; there are {', '.join(known) or 'none'}")
    return [date] if date else known
