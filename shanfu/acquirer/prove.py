"""Everything that needs a secret, asked of the HSM once per kind for a whole batch; its verdicts are facts for `decide`.

MACs and PINs are tried under the newest key, and what fails again under the one before while the switch-over window lasts.
PIN blocks go from the terminal's key to the network's without being opened anywhere else.
"""

from collections.abc import Sequence
from functools import lru_cache

from shanfu.acquirer.books import AcquirerBooks
from shanfu.acquirer.config import AcquirerConfig
from shanfu.acquirer.forward import Forward
from shanfu.acquirer.journal import JournalRow
from shanfu.acquirer.requests import Request
from shanfu.hosts import LOOKUP, SEAL, MACTrial, mak_label, pik_label, right_macs, try_keys
from shanfu.hsm import HSM, KeyBlock, MACAlgorithm, MACJob, PINTranslation
from shanfu.iso8583 import INTERBANK, Message, Unsealed, Value

__all__ = ["Prover", "algorithm_named"]


class Prover:
    """The acquirer's side of its HSM."""

    def __init__(self, hsm: HSM, config: AcquirerConfig) -> None:
        self.hsm, self._config = hsm, config
        self._own = (config.mak, config.pik, config.mmk, LOOKUP, SEAL)

    def load_keys(self, books: AcquirerBooks, terminals: set[str]) -> None:
        """Fetch our own keys and the working keys of these terminals."""
        labels = [label(number) for number in terminals for label in (mak_label, pik_label)]
        books.keys.load([*self._own, *labels])

    # -- from the terminals --------------------------------------------------------------------------------------------

    def right_macs(self, requests: Sequence[Request], books: AcquirerBooks) -> list[bool]:
        """Say for each request whether DE64 is right under a key of its terminal that is in force."""
        trials = []
        for request in requests:
            terminal, mac = books.terminal(request.terminal), request.message.binary(64, b"")
            keys = books.keys.candidates(mak_label(request.terminal)) if terminal and len(mac) == 8 else []
            algorithm = algorithm_named(terminal.mac_algorithm) if terminal else MACAlgorithm.UNIONPAY_ECB
            trials.append(MACTrial(keys, algorithm, request.mab, mac))
        return right_macs(self.hsm, trials)

    def translated(self, requests: Sequence[Request], books: AcquirerBooks) -> list[bytes | None]:
        """Return each PIN block under the network's key; None where there is none, or where it cannot be read."""
        if not books.keys.has(self._config.pik):
            return [None] * len(requests)
        to_key = books.keys.current(self._config.pik)

        def ask(asked: list[tuple[int, KeyBlock]]) -> Sequence[bytes | None]:
            return self.hsm.translate_pins([_translation(requests[at], key, to_key) for at, key in asked])

        rings = [books.keys.candidates(pik_label(r.terminal)) if r.pin_format else [] for r in requests]
        return try_keys(rings, ask, failed=None)

    def lookups(self, requests: Sequence[Request], books: AcquirerBooks) -> None:
        """Fill in each request's card: the keyed hash of its PAN."""
        hashes = self.hsm.lookup(books.keys.current(LOOKUP), [request.pan.encode() for request in requests])
        for request, card in zip(requests, hashes, strict=True):
            request.card = card

    # -- our own books -------------------------------------------------------------------------------------------------

    def keep_pans(self, rows: Sequence[tuple[JournalRow, str]], books: AcquirerBooks) -> None:
        """Seal the PAN into each row, for the reversal or advice that may have to name it."""
        items = [(pan.encode(), _context(row)) for row, pan in rows]
        for (row, _), sealed in zip(rows, self.hsm.seal(books.keys.current(SEAL), items), strict=True):
            row.pan_sealed, row.sealed = sealed, 1

    def pans(self, rows: Sequence[JournalRow], books: AcquirerBooks) -> list[str]:
        """Open the sealed PANs."""
        plain = self.hsm.unseal(books.keys.current(SEAL), [(row.pan_sealed, _context(row)) for row in rows])
        return [pan.decode() for pan in plain]

    def keep_enclosed(self, items: Sequence[tuple[Forward, dict[int, Value]]], books: AcquirerBooks) -> None:
        """Seal into each item what it carries beyond its journal row."""
        plain = [(INTERBANK.encode(Message("0220", fields)), _item_context(item)) for item, fields in items]
        for (item, _), sealed in zip(items, self.hsm.seal(books.keys.current(SEAL), plain), strict=True):
            item.kept = sealed

    def enclosed(self, items: Sequence[Forward], books: AcquirerBooks) -> list[dict[int, Value]]:
        """Open what each of these items carries beyond its journal row; of most it is nothing."""
        kept = [item for item in items if item.kept]
        if not kept:
            return [{} for _ in items]
        plain = self.hsm.unseal(books.keys.current(SEAL), [(item.kept, _item_context(item)) for item in kept])
        opened = iter(plain)
        return [INTERBANK.decode(next(opened)).fields if item.kept else {} for item in items]

    # -- sealing messages ----------------------------------------------------------------------------------------------

    def seal(self, unsealed: Sequence[tuple[Unsealed, KeyBlock, MACAlgorithm]]) -> list[bytes]:
        """Return the finished frames."""
        jobs = [MACJob(key=key, algorithm=algorithm, data=frame.mab) for frame, key, algorithm in unsealed]
        return [frame.seal(mac) for (frame, _, _), mac in zip(unsealed, self.hsm.make_macs(jobs), strict=True)]


@lru_cache(maxsize=8)
def algorithm_named(name: str) -> MACAlgorithm:
    """Return the algorithm of this name."""
    return MACAlgorithm(name)


def _translation(request: Request, from_key: KeyBlock, to_key: KeyBlock) -> PINTranslation:
    form = request.pin_format
    assert form
    return PINTranslation(
        block=request.message.binary(52), from_key=from_key, to_key=to_key, from_format=form, to_format=form, pan=request.pan
    )


def _item_context(item: Forward) -> bytes:
    return f"forwards/{item.name}".encode()


def _context(row: JournalRow) -> bytes:
    return f"journal/{row.name}".encode()
