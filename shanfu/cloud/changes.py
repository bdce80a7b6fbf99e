"""What a holder does with the tokens on his phone, and what he reads: freeze, unfreeze, delete, renew, news, payments.

Changes are the token service's to make; the cloud asks in the requestor's name and answers the tokens as they are then. The
news are the mirror's: the tokens of this phone, and the pushes that it has not had.
"""

from msgspec import Struct

from shanfu.cloud.asking import Answer, Hears, Serves, ask_service
from shanfu.cloud.books import CloudBooks
from shanfu.cloud.config import CloudConfig
from shanfu.cloud.decide import may_act
from shanfu.cloud.reasons import Reason
from shanfu.hosts import Visit
from shanfu.messages import Actor, Problem, ProblemCode, issuing, problem, requestor, wallet

__all__ = ["Changes"]

DONE = frozenset({
    "ALREADY_DONE", "SUSPENSION_REASON_REMOVED", "TOKEN_ACTIVATED", "TOKEN_DEACTIVATED", "TOKEN_EXPIRED", "TOKEN_RENEWED",
    "TOKEN_RESUMED", "TOKEN_SUSPENDED",
})  # fmt: skip
STATES = frozenset({"NOT_SUSPENDED_BY_YOU", "TERMINAL_STATE", "WRONG_STATE"})
NOT_FOUND = frozenset({"NOT_FOUND", "TOKEN_UNKNOWN"})
MOST_LISTED = 100


class Changes:
    """Serves what a holder does with his tokens."""

    def __init__(self, config: CloudConfig) -> None:
        self._config = config
        self.served: Serves = {
            "tokens.freeze": self.freeze, "tokens.unfreeze": self.unfreeze, "tokens.delete": self.delete,
            "tokens.renew": self.renew, "news.take": self.news, "transactions.list": self.transactions,
        }  # fmt: skip
        self.answered: Hears = {
            **dict.fromkeys(("tsp.suspend", "tsp.resume", "tsp.delete", "tsp.renew"), self.changed),
            "tsp.transactions": self.listed,
        }

    def freeze(self, visit: Visit[CloudBooks], asked: wallet.ChangeToken) -> Answer:
        """Suspend a token for its holder, or for his phone's lock."""
        return self._change(visit, "tsp.suspend", asked)

    def unfreeze(self, visit: Visit[CloudBooks], asked: wallet.ChangeToken) -> Answer:
        """Lift one's own suspension; others' stay."""
        return self._change(visit, "tsp.resume", asked)

    def delete(self, visit: Visit[CloudBooks], asked: wallet.ChangeToken) -> Answer:
        """Delete a token for good."""
        return self._change(visit, "tsp.delete", asked)

    def renew(self, visit: Visit[CloudBooks], asked: wallet.ProfileAsked) -> Answer:
        """Renew an expired token, if its issuer allows."""
        return self._change(visit, "tsp.renew", wallet.ChangeToken(token=asked.token, actor=Actor.WALLET, reason="APP_OPENED"))

    def _change(self, visit: Visit[CloudBooks], op: str, asked: wallet.ChangeToken) -> Answer:
        if visit.books.own_token(visit.name, asked.token) is None:
            return Reason.TOKEN_UNKNOWN.problem()
        if not may_act(asked.actor):
            return Reason.ACTOR_NOT_ALLOWED.problem()
        change = requestor.ChangeToken(tokens=(asked.token,), actor=asked.actor, reason=asked.reason)
        return ask_service(visit, self._config, op, change, token=asked.token)

    def changed(self, visit: Visit[CloudBooks], answer: issuing.TokenChanges | Problem, _about: bytes) -> Answer:
        """Take the tokens over as they are now; what was not done is refused with the life cycle's own word."""
        if isinstance(answer, Problem):
            return answer
        for change in answer.changes:
            if change.view is not None:
                visit.books.mirror(change.view)
        undone = next((change.result for change in answer.changes if change.result not in DONE), "")
        if not undone and answer.changes:
            return self._news(visit, since=0)
        if undone in NOT_FOUND or not answer.changes:
            return Reason.TOKEN_UNKNOWN.problem()
        return problem(ProblemCode.WRONG_STATE if undone in STATES else ProblemCode.REFUSED, reason=undone)

    # -- reading -------------------------------------------------------------------------------------------------------

    def news(self, visit: Visit[CloudBooks], asked: wallet.NewsAsked) -> Answer:
        """Answer the tokens of this phone and the pushes after `since`; those before it have been had."""
        return self._news(visit, since=asked.since)

    def _news(self, visit: Visit[CloudBooks], *, since: int) -> wallet.News:
        books, device = visit.books, visit.books.device(visit.name)
        assert device is not None
        waiting = list(books.pushes_of(visit.name))
        for push in waiting:
            if push.number <= since:
                books.pushes.remove(push)
        pushes = sorted((push for push in waiting if push.number > since), key=lambda push: push.number)
        seen = [row.seen for row in books.tokens_of(visit.name) if not row.dead or self._told(row.changed_ms, books.now_ms)]
        tokens = sorted(seen, key=lambda view: view.token)
        return wallet.News(tokens=tuple(tokens), pushes=tuple(push.message for push in pushes), number=device.pushes)

    def _told(self, changed_ms: int, now_ms: int) -> bool:
        """Whether a dead token is still told, so that a phone that was off wipes it."""
        return now_ms < changed_ms + self._config.dead_kept_ms

    def transactions(self, visit: Visit[CloudBooks], asked: wallet.TransactionsAsked) -> Answer:
        """Ask the service for a token's payments."""
        if visit.books.own_token(visit.name, asked.token) is None:
            return Reason.TOKEN_UNKNOWN.problem()
        if not 1 <= asked.limit <= MOST_LISTED:
            return problem(ProblemCode.FORMAT, f"limit is {asked.limit}, it must be 1 to {MOST_LISTED}")
        return ask_service(visit, self._config, "tsp.transactions", asked, token=asked.token)

    def listed(self, _visit: Visit[CloudBooks], answer: Struct | Problem, _about: bytes) -> Answer:
        """Answer what the token service answered."""
        return answer
