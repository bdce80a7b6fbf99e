"""One tap in one process: card, terminal and PIN pad over durable memories, against an acquirer that really MACs.

What is timed is the whole sale, from presenting the card to the receipt: selection, GPO with the cryptogram, PIN block, DE64,
the reversal kept before the request goes out, the answer's MAC, and every durable write on the way. The acquirer is the one
of the terminal's tests, in the same process and without a wire; its share is in the figure. Nobody watches
events. For context the other side is one fdatasync in the same folder, measured in turns with the taps.

The last row sells to a phone and to a card in turns: the phone spends a use of its key set durably, in its storage and in its
key store, where the card spends a number in one memory. Its key sets of ten uses are fetched between taps, untimed.
"""

import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.measure import SECONDS, Row, Work, flushing
from shanfu.card import Card, CardKeys, debit_2_0, personalise
from shanfu.crypto import CardAlgorithm
from shanfu.events import nobody
from shanfu.pan import PAN
from shanfu.store import DictMemory, FileMemory, Sealer
from shanfu.terminal import Outcome
from tests.terminal.shop import IMK, PAN_DIGITS, Shop
from tests.wallet.bench import APP, Bench, bench

GOAL_MS = 2.0
PHONE_GOAL = 2.0  # a phone's sale, in card's sales
LEAST_TAPS = 20
MOST_TAPS = 900  # a batch holds 999 payments, then a terminal asks to be settled


AMOUNT = "1234.00"  # over the PIN-free limit


class Counting(FileMemory):
    """A durable memory that counts its writes."""

    writes = 0

    def write(self, records: Mapping[str, bytes | None]) -> None:
        """Write and count."""
        self.writes += 1
        super().write(records)


def rows(seconds: float = SECONDS) -> list[dict[str, Any]]:
    """Measure taps over files, and over memory alone for what the disk is not part of."""
    with tempfile.TemporaryDirectory(prefix="shanfu-bench-") as name, flushing(Path(name)) as flush:
        sealer = Sealer(bytes(32))
        with ExitStack() as open_files:
            files = [open_files.enter_context(Counting(Path(name) / part, sealer)) for part in ("card", "till", "pad")]
            durable, flushes = _taps(_shop(files), flush, seconds)
            writes = sum(file.writes for file in files) / (len(durable) + 1)
        light, _ = _taps(_shop([DictMemory() for _ in range(3)]), None, seconds)
    note = f"{writes:.1f} durable writes a tap; other is the p50 of one fdatasync in the same folder"
    found = [
        Row(
            name="tap with PIN, card + terminal, durable, p50",
            ours=median(durable),
            other=median(flushes),
            unit="ms",
            rule="ours at most",
            goal=GOAL_MS,
            note=note,
        ),
        Row(name="the same with nothing durable, p50", ours=median(light), other=None, unit="ms"),
        _phone_against_card(sealer, seconds),
    ]
    return [row.public() for row in found]


def _phone_against_card(sealer: Sealer, seconds: float) -> Row:
    """Sell to a phone and to a card in turns, both over files."""
    with tempfile.TemporaryDirectory(prefix="shanfu-bench-") as name, ExitStack() as open_files:
        paths = (Path(name) / part for part in ("card", "till", "pad", "storage", "keystore", "till-2", "pad-2"))
        files = [open_files.enter_context(Counting(path, sealer)) for path in paths]
        card, phone = _shop(files[:3]), _phone(files[3], files[4])
        shop = Shop(card=phone.phone.tap_target, memory=files[5], pad_memory=files[6], heard=nobody)  # type: ignore[arg-type]
        times: tuple[list[float], list[float]] = ([], [])
        card.pay(AMOUNT)
        shop.pay(AMOUNT)
        ends = time.perf_counter() + seconds
        while len(times[0]) < LEAST_TAPS or (time.perf_counter() < ends and len(times[0]) < MOST_TAPS):
            if phone.held().uses_left == 0:
                phone.phone.do(phone.phone.app(APP).refresh(force=True))
            for one, taken in zip((shop, card), times, strict=True):
                began = time.perf_counter()
                receipt = one.pay(AMOUNT)
                taken.append((time.perf_counter() - began) * 1e3)
                assert receipt.outcome is Outcome.APPROVED, receipt
    note = "other is the same sale to a card; the phone makes two durable writes, the card one"
    name = "tap with PIN, HCE phone + terminal, durable, p50"
    ours, other = map(median, times)
    return Row(name=name, ours=ours, other=other, unit="ms", rule="ratio at most", goal=PHONE_GOAL, note=note)


def _phone(storage: Any, keystore: Any) -> Bench:
    one = bench(max_amount=10**9)
    one.storage, one.keystore = storage, keystore
    one.restart()
    return one.enrolled()


def _shop(memories: Sequence[Any]) -> Shop:
    chip, till, pad = memories
    profile = debit_2_0(PAN(PAN_DIGITS))
    personalise(profile, CardKeys.derive(IMK, CardAlgorithm.TDES, pan=profile.pan, psn=profile.psn), chip)
    return Shop(card=Card(chip), memory=till, pad_memory=pad, heard=nobody)  # type: ignore[arg-type]  # nobody watches


def _taps(shop: Shop, flush: Work | None, seconds: float) -> tuple[list[float], list[float]]:
    """Return the milliseconds of each tap and of each flush, done in turns; the first tap signs in and does not count."""
    ends = time.perf_counter() + seconds
    taps: list[float] = []
    flushes: list[float] = []
    shop.pay(AMOUNT)
    while len(taps) < LEAST_TAPS or (time.perf_counter() < ends and len(taps) < MOST_TAPS):
        began = time.perf_counter()
        receipt = shop.pay(AMOUNT)
        taps.append((time.perf_counter() - began) * 1e3)
        assert receipt.outcome is Outcome.APPROVED, receipt
        if flush:
            began = time.perf_counter()
            flush()
            flushes.append((time.perf_counter() - began) * 1e3)
    return taps, flushes
