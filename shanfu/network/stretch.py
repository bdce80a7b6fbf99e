"""What one stretch of messages gathers while it is worked: letters to send, and what is to be sealed into rows.

Sealing is asked of the HSM once per kind at the end, when all of the stretch has been decided.
"""

from dataclasses import dataclass, field

from shanfu.hosts import State
from shanfu.iso8583 import Message
from shanfu.network.accounts import Account
from shanfu.network.answers import kept
from shanfu.network.books import NetworkBooks
from shanfu.network.duties import accounts_of, for_issuer, keep, sealed_context
from shanfu.network.forward import ForwardRow
from shanfu.network.journal import JournalRow
from shanfu.network.prove import Letter, Prover

__all__ = ["Stretch"]


@dataclass(slots=True)
class Stretch:
    """One stretch's harvest. `asked`: rows, what was asked, of whom; `carried`: items with their message."""

    letters: list[Letter] = field(default_factory=list)
    asked: list[tuple[JournalRow, Message, str]] = field(default_factory=list)
    resolved: list[tuple[JournalRow, Account]] = field(default_factory=list)
    carried: list[tuple[ForwardRow, Message]] = field(default_factory=list)
    to_issuer: list[tuple[ForwardRow, Message, JournalRow]] = field(default_factory=list)  # about tokens, in their words
    ended: list[JournalRow] = field(default_factory=list)  # token payments whose end the token service is to hear
    pins: dict[int, bytes] = field(default_factory=dict)  # by the place of the message

    def seal(self, prover: Prover, books: NetworkBooks) -> None:
        """Keep, sealed, what time-outs, reversals and store-and-forward will need."""
        waiting = [(row, message) for row, message, whom in self.asked if row.state == State.WAITING and row.target == whom]
        plain = [(kept(m, for_issuer=row.at_tsp), sealed_context("journal", row.name)) for row, m in waiting]
        plain += [(account.sealable(), sealed_context("account", row.name)) for row, account in self.resolved]
        sealed = prover.seal(plain, books)
        for (row, _), blob in zip(waiting, sealed, strict=False):
            row.kept = blob
        for (row, _), blob in zip(self.resolved, sealed[len(waiting) :], strict=True):
            row.behind, row.sealed = blob, 1
        accounts = accounts_of(prover, [row for _, _, row in self.to_issuer], books)
        known = [for_issuer(*entry, account) for entry, account in zip(self.to_issuer, accounts, strict=True)]
        keep(prover, self.carried + known, books)
