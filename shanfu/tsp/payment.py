"""What the network asks about payments of tokens: stretches of interbank requests, proved, decided in order, answered.

`Payments.work` gets the requests (0200, 0220, 0420 and their repeats) of one stretch, already parsed; it proves their MACs,
loads tokens, cards, key sets and history, decides, records, and puts the answers into the turn.
"""

from collections.abc import Sequence

from shanfu.hsm import HSM
from shanfu.iso8583 import InterbankFrame
from shanfu.links import Inbound, Turn
from shanfu.tsp.books import TSPBooks
from shanfu.tsp.changes import LifeCycle
from shanfu.tsp.config import TSPConfig

__all__ = ["Payments"]


class Payments:
    """Resolves tokens for the network."""

    def __init__(self, config: TSPConfig, hsm: HSM, life: LifeCycle, *, watch: bool = False) -> None:
        self._config, self._hsm, self._life, self._watch = config, hsm, life, watch

    def work(self, stretch: Sequence[tuple[Inbound, InterbankFrame]], books: TSPBooks, turn: Turn) -> None:
        """Answer a stretch of requests."""

    def refusal(self, frame: InterbankFrame, fault: Exception) -> bytes:
        """Return the answer to a request that cannot be worked: 30 when it makes no sense, else 96."""
        del fault
        return bytes(frame.message.mti, "ascii")
