"""Authorisations per second: hosts as OS processes, full durability, real MACs, PINs and cryptograms, load from outside.

*Issuer alone*: its host over TCP, the load is its network. *Whole chain*: terminals' frames into the acquirer's port, acquirer,
network and issuer as three processes over three stores; every hop checks and makes its MACs and translates the PIN, the issuer
verifies cryptogram and PIN and posts. In turns with cards, phones pay there: the network's process is a household with the
token service, which verifies the phone's cryptogram and is told how each payment ended. Afterwards the journals and ledgers
of all must agree.
"""

import secrets
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import phones
from benchmarks.measure import Row, Rule, flushing
from benchmarks.people import populate
from benchmarks.watch import Process, Slices, in_turns, slice_of
from shanfu import acquirer, issuer
from shanfu.clock import SystemClock, local
from shanfu.crypto import odd_parity
from shanfu.errors import ProtocolError
from shanfu.hsm import Algorithm, KeyUsage, SoftHSM, create_lmk
from shanfu.sandbox import HOSTS, MERCHANTS, Settings, Verdict, World, build, free_ports, reconcile_world
from shanfu.store import Store

SECONDS, CARDS, ROUNDS = 2.0, 100_000, 5
MOST_TOKENS = 20_000  # of as many of the cards
IN_FLIGHT = 64  # in the chain of as many terminals
LINES = 8  # connections that these terminals share, as behind a concentrator
NETWORK, ISSUER, ACQUIRER = "00010000", "99010000", "99012900"
CHAIN = ("network", "issuer-lantern", "acquirer-lantern")
MERCHANT = MERCHANTS[0].id
MOST_PER_SECOND = 5_000  # payments to have ready; no host of ours takes more
SPARE = 100 * IN_FLIGHT  # for the looks before the clock runs
WAIT_S = 0.5  # between two looks whether payments are approved already
STEADY_S = 30.0  # for the members to sign on and get their keys
MEMORY_MB = 300
FASTEST_DISK = 5_000  # flushes a second: a faster one limits nobody any more, decision 0010


def rows(seconds: float = SECONDS, *, cards: int = CARDS, rounds: int = ROUNDS) -> list[dict[str, Any]]:
    """Measure the issuer alone, then the whole chain."""
    with (
        tempfile.TemporaryDirectory(prefix="shanfu-bench-") as one,
        tempfile.TemporaryDirectory(prefix="shanfu-bench-") as all_,
    ):
        found = [*issuer_alone(Path(one), cards, seconds=seconds, rounds=rounds)]
        found += chain(Path(all_), cards, seconds=seconds, rounds=rounds)
    return [row.public() for row in found]


# -- the issuer alone --------------------------------------------------------------------------------------------------


def issuer_alone(folder: Path, cards: int, *, seconds: float, rounds: int) -> list[Row]:
    """Return the rows of an issuer's host over TCP, with the load as its network."""
    task = make_issuer(folder, cards)
    with Process("benchmarks.serve", "issuer", str(folder), ISSUER) as host, Process("benchmarks.load") as load:
        [port] = host.hear()["ports"]
        payments = int(seconds * rounds * 2 * MOST_PER_SECOND) + SPARE
        load.tell({**task, "as": "network", "port": port, "payments": payments, "first": 0, "in_flight": IN_FLIGHT})
        load.hear()
        with flushing(folder) as flush:
            seen = in_turns(load, [host], flush, seconds=seconds, rounds=rounds)
    table = Table(f"issuer alone, {IN_FLIGHT} in flight", seen.grouped, "grouped / one commit each", seen.single)
    return [
        table.against_disk(seen.flushes, floor=0.6),
        table.row("payments", "rates", "1/s"),
        table.row("p99", "p99_ms", "ms"),
        table.row("CPU", "cpu_us", "µs"),
        table.memory(),
    ]


@dataclass(frozen=True, slots=True)
class Table:
    """Makes rows of two kinds of slices: `told` says of what, `sides` which are ours and the other."""

    told: str
    ours: Slices
    sides: str
    other: Slices

    def row(self, what: str, series: str, unit: str, *, rule: Rule = "", goal: float | None = None) -> Row:
        """Return the medians of one series; of CPU the least, for what else the machine does only ever adds to it."""
        typical = min if series == "cpu_us" else median
        ours, other = typical(getattr(self.ours, series)), typical(getattr(self.other, series))
        return Row(name=f"{self.told}: {what}, {self.sides}", ours=ours, other=other, unit=unit, rule=rule, goal=goal)

    def against_disk(self, flushes: list[float], *, floor: float) -> Row:
        """Return authorisations per second against the disk's own rate, of which at most `FASTEST_DISK` count."""
        name, ours, other = f"{self.told}: authorisations / fdatasync", median(self.ours.rates), median(flushes)
        goal = floor * min(1.0, FASTEST_DISK / other)
        note = f"{floor} up to {FASTEST_DISK:,} flushes a second (decision 0010)"
        return Row(name=name, ours=ours, other=other, unit="1/s", rule="ratio at least", goal=goal, note=note)

    def memory(self) -> Row:
        """Return the megabytes of the largest host after the last slice and after the first."""
        ours, other = self.other.memory_mb[-1], self.ours.memory_mb[0]
        name = f"{self.told}: memory of the largest host, at the end / at first"
        return Row(name=name, ours=ours, other=other, unit="MB", rule="ours at most", goal=MEMORY_MB)


def make_issuer(folder: Path, cards: int) -> dict[str, Any]:
    """Make an issuer's books and keys in a folder; return what the load must know of them."""
    now_ms = time.time_ns() // 1_000_000
    hsm = SoftHSM(create_lmk(folder / "lmk"))
    working = {f"mak/{NETWORK}": KeyUsage.MAK, f"pik/{NETWORK}": KeyUsage.PIK}
    clear = {label: odd_parity(secrets.token_bytes(16)) for label in working}
    with Store.open(folder / "books.db", schema=issuer.SCHEMA, name="issuer") as store:
        blocks = {label: hsm.form(usage, Algorithm.TDES, [clear[label], bytes(16)]) for label, usage in working.items()}
        blocks[issuer.LOOKUP] = hsm.generate(KeyUsage.LOOKUP, Algorithm.HMAC)
        blocks[issuer.SEAL] = hsm.generate(KeyUsage.SEAL, Algorithm.AES)
        blocks[f"mmk/{NETWORK}"] = hsm.generate(KeyUsage.KEK, Algorithm.TDES)
        for label, block in blocks.items():
            issuer.install_key(store, label, block, now_ms=now_ms)
        deck = populate(store, hsm, cards, now_ms=now_ms)
    mak, pik = clear.values()
    ids = {"network": NETWORK, "issuer": ISSUER, "acquirer": ACQUIRER}
    return {**ids, "deck": deck.public(), "mak": mak.hex(), "pik": pik.hex()}


# -- the whole chain ---------------------------------------------------------------------------------------------------


def chain(folder: Path, cards: int, *, seconds: float, rounds: int) -> list[Row]:
    """Return the rows of acquirer, network and issuer under load, without and with TLS, and of the reconciliation."""
    world, task = make_world(folder, cards)
    payments = int(seconds * rounds * 2 * MOST_PER_SECOND) + SPARE
    task |= {"as": "terminals", "port": world.settings.ports["acquirer-lantern"], "in_flight": IN_FLIGHT, "lines": LINES}
    tokens, others = {"tokens": task.pop("tokens")}, {"terminals": task.pop("others")}
    began, plain = _today(), {**task, "payments": payments, "first": 0, "first_stan": 1}
    by_phone = {**plain, **tokens, **others, "payments": int(seconds * rounds * MOST_PER_SECOND) + SPARE}
    with running(world, tls=False) as hosts, flushing(folder) as flush, steady(plain) as load, steady(by_phone) as waving:
        seen = in_turns(load, hosts, flush, seconds=seconds, rounds=rounds, phones=waving)
    more = {"payments": payments // 2, "first": payments + IN_FLIGHT, "first_stan": payments // IN_FLIGHT + 10}
    sealed, tls = Slices(), [str(folder / "ca"), HOSTS["acquirer-lantern"].id]
    with running(world, tls=True) as hosts, steady({**task, **more, "tls": tls}) as load:
        for _ in range(rounds):
            slice_of(load, hosts, seconds, sealed)
    told = f"whole chain, {IN_FLIGHT} in flight"
    table = Table(told, seen.grouped, "grouped / one commit each", seen.single)
    with_tls = Table(told, sealed, "with TLS / without", seen.grouped)
    with_tokens = Table(told, seen.phones, "token / card", seen.grouped)
    approved = seen.grouped.done + seen.phones.done + seen.single.done + sealed.done
    return [
        table.row("payments", "rates", "1/s", rule="ratio at least", goal=3),
        table.against_disk(seen.flushes, floor=0.2),
        table.row("p99", "p99_ms", "ms", rule="ours at most", goal=100),
        table.row("p50", "p50_ms", "ms"),
        table.row("CPU of the three hosts", "cpu_us", "µs", rule="ours at most", goal=700),
        table.memory(),
        with_tokens.row("payments", "rates", "1/s", rule="ratio at least", goal=0.7),
        with_tokens.row("p99", "p99_ms", "ms"),
        with_tokens.row("CPU of the three hosts", "cpu_us", "µs"),
        with_tls.row("payments", "rates", "1/s"),
        with_tls.row("p99", "p99_ms", "ms"),
        with_tls.row("CPU of the three hosts", "cpu_us", "µs"),
        reconciled(world, sorted({began, _today()}), approved),
    ]


def make_world(folder: Path, cards: int) -> tuple[World, dict[str, Any]]:
    """Make a world on free ports, with many more cards, tokens of some, and terminals for cards and for phones."""
    world = build(folder, settings=Settings(tls=False, **free_ports()), clock=SystemClock())
    now_ms = world.clock.now_ms()
    with world.store("issuer-lantern") as store:
        deck = populate(store, world.hsm("issuer-lantern"), cards, now_ms=now_ms)
    with world.store("tsp") as store:
        hsms, count = (world.hsm("tsp"), world.hsm("cloud")), min(cards, MOST_TOKENS)
        tokens = phones.populate(store, *hsms, cards=deck, count=count, now_ms=now_ms)
    hsm, pads = world.hsm("acquirer-lantern"), []
    with world.store("acquirer-lantern") as store:
        for number in range(2 * IN_FLIGHT):
            terminal, tmk = f"19{number:06d}", odd_parity(secrets.token_bytes(16))
            block = hsm.form(KeyUsage.KEK, Algorithm.TDES, [tmk, bytes(16)])
            acquirer.enrol_terminal(store, terminal, merchant=MERCHANT, tmk=block, now_ms=now_ms)
            pads.append((terminal, tmk.hex()))
    terminals, others = pads[:IN_FLIGHT], pads[IN_FLIGHT:]
    told = {"deck": deck.public(), "tokens": tokens.public(), "merchant": MERCHANT}
    return world, {**told, "terminals": terminals, "others": others}


@contextmanager
def running(world: World, *, tls: bool) -> Iterator[list[Process]]:
    """Run the three hosts of the chain."""
    environment = {"SHANFU_TLS": str(int(tls))}
    with ExitStack() as started:
        hosts = [
            started.enter_context(Process("benchmarks.serve", "world", str(world.folder), name, environment=environment))
            for name in CHAIN
        ]
        for host in hosts:
            host.hear()
        yield hosts


@contextmanager
def steady(task: dict[str, Any]) -> Iterator[Process]:
    """Start a load and wait until its payments are approved: until then the members sign on and get their keys."""
    with Process("benchmarks.load") as load:
        load.tell(task)
        load.hear()
        ends = time.monotonic() + STEADY_S
        codes: set[str] = set()
        while codes != {"00"}:
            if time.monotonic() > ends:
                raise ProtocolError(f"no payment was approved, but {', '.join(sorted(codes))}", by="the chain")
            time.sleep(WAIT_S)
            load.tell({"run": 0.01})
            codes = set(load.hear()["codes"])
        yield load


def reconciled(world: World, dates: list[str], approved: int) -> Row:
    """Compare all journals and ledgers; the terminals of the load keep no journal, so their acquirer's is counted instead."""
    differences = matched = lines = 0
    for date in dates:
        of_terminals, *others = reconcile_world(world, date).findings
        lines += sum(found.verdict is Verdict.ONLY_THERE for found in of_terminals.differences)
        differences += sum(len(finding.differences) for finding in others)
        matched += sum(finding.matched for finding in others)
    note = f"{matched:,} lines agree; {approved:,} payments were approved while the clock ran, the acquirer has {lines:,}"
    differences += max(0, approved - lines)
    return Row(
        name="whole chain: lines that differ between journals and ledgers",
        ours=differences,
        other=None,
        unit="",
        rule="ours at most",
        goal=0,
        note=note,
    )


def _today() -> str:
    return local(time.time_ns() // 1_000_000).strftime("%Y%m%d")
