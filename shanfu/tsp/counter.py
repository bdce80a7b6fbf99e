"""What requestors and issuers ask about tokens that exist: find, suspend, resume, delete, renew, profile, what changed.

A requestor sees the tokens of its TRID, an issuer those of its cards; anybody else's is *not there*. Up to 99 tokens are
changed at once, each with its own result. Who may speak as whom is a table: a requestor brings its holder's wish or its own,
never the issuer's, so nobody lifts a suspension that is not his.
"""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec
from msgspec import Struct

from shanfu.hosts import Answer, Handler, OnReply, Visit
from shanfu.hsm import HSM
from shanfu.messages import Actor, LifeCycleEvent, Problem, ProblemCode, TokenState, issuing, problem, requestor, wallet
from shanfu.tsp.books import TSPBooks
from shanfu.tsp.changes import Cause, LifeCycle
from shanfu.tsp.config import TSPConfig
from shanfu.tsp.diary import Channel
from shanfu.tsp.numbers import Numbers
from shanfu.tsp.renewal import renew, resume
from shanfu.tsp.vault import BY_DEVICE, TokenRow, policy_of, view_of

__all__ = ["Counter"]

MOST: Final = 99  # tokens, or notices, in one call
LONGEST_REASON: Final = 64
UNBORN: Final = frozenset((TokenState.REQUESTED.value, TokenState.DECLINED.value))
MAY_SPEAK_AS: Final[Mapping[str, frozenset[Actor]]] = {
    "requestor": frozenset((Actor.CARDHOLDER, Actor.TOKEN_REQUESTOR, Actor.CDCVM_LOCKED, Actor.WALLET)),
    "issuer": frozenset((Actor.ISSUER,)),
}
Change = Callable[[TSPBooks, TokenRow, Cause], str]


class Counter:
    """Serves requestors and issuers."""

    def __init__(self, config: TSPConfig, hsm: HSM, life: LifeCycle) -> None:
        self._config, self._life = config, life
        self._numbers = Numbers(hsm, config.bin_controller)

    def served(self) -> Mapping[str, Handler[TSPBooks]]:
        """Return the operations that are answered here."""
        return {
            "tsp.login": self.login, "tsp.profile": self.profile, "tsp.find": self.find, "tsp.since": self.since,
            "tsp.suspend": self.suspend, "tsp.resume": self.resume, "tsp.delete": self.delete, "tsp.renew": self.renew,
            "tsp.issuer.find": self.find, "tsp.issuer.since": self.since, "tsp.issuer.suspend": self.suspend,
            "tsp.issuer.resume": self.resume, "tsp.issuer.delete": self.delete,
        }  # fmt: skip

    def answered(self) -> Mapping[str, OnReply[TSPBooks]]:
        """Return the replies that are worked here."""
        return {"issuer.login": self.logged_in}

    # -- customers -----------------------------------------------------------------------------------------------------

    def login(self, visit: Visit[TSPBooks], asked: wallet.Login) -> Answer:
        """Have the requestor's issuer log a customer in; the password is passed on and kept nowhere."""
        who = visit.books.requestor(visit.name)
        if who is None:
            return problem(ProblemCode.FORBIDDEN, "the requestor is not registered")
        visit.ask(f"issuer/{who.issuer}", "issuer.login", asked, caller=self._config.station)
        return None

    def logged_in(self, visit: Visit[TSPBooks], answer: Struct | Problem, about: bytes) -> Answer:
        """Pass on what the issuer said."""
        del visit, about
        return answer

    # -- looking -------------------------------------------------------------------------------------------------------

    def find(self, visit: Visit[TSPBooks], asked: requestor.FindTokens) -> Answer:
        """Find the caller's tokens by reference, device or card; all that are given must fit."""
        books = visit.books
        if asked.token:
            found = [row] if (row := books.token(asked.token)) else []
        elif asked.device:
            found = books.tokens.load(BY_DEVICE, [asked.device])
        elif asked.card:
            found = books.tokens_of_card(self._issuer_of(visit), asked.card)
        else:
            return problem(ProblemCode.FORMAT, "token, device or card must be given")
        mine = [row for row in found if _belongs(visit, row) and row.state not in UNBORN]
        fitting = [row for row in mine if asked.device in ("", row.device) and asked.card in ("", row.card)]
        fitting.sort(key=lambda row: (-row.created_ms, row.token))
        return requestor.TokenList(tokens=tuple(view_of(row) for row in fitting[:MOST]))

    def _issuer_of(self, visit: Visit[TSPBooks]) -> str:
        if visit.caller.startswith("issuer/"):
            return visit.name
        who = visit.books.requestor(visit.name)
        return who.issuer if who else ""

    def since(self, visit: Visit[TSPBooks], asked: requestor.Since) -> Answer:
        """Return what the caller was, or is to be, told after number `since`."""
        if asked.since < 0 or not 1 <= asked.limit <= MOST:
            return problem(ProblemCode.FORMAT, f"since is 0 or more, limit 1 to {MOST}")
        rows = visit.books.desk.since(visit.caller, asked.since)
        told = tuple(msgspec.json.decode(row.body, type=requestor.Notice) for row in rows[: asked.limit])
        return requestor.SinceAnswer(
            notices=told, number=told[-1].number if told else asked.since, more=len(rows) > asked.limit
        )

    def profile(self, visit: Visit[TSPBooks], asked: requestor.ProfileAsked) -> Answer:
        """Return what a token's card application is made of; only for a token that lives and was verified."""
        books, token = visit.books, visit.books.token(asked.token)
        if token is None or not _belongs(visit, token) or token.state in UNBORN:
            return problem(ProblemCode.NOT_FOUND, "no such token")
        card = books.card(token.issuer, token.card)
        if token.state not in (TokenState.ACTIVE.value, TokenState.SUSPENDED.value) or card is None:
            return problem(ProblemCode.WRONG_STATE, f"the token is {token.state}", reason=token.reason)
        ranges = books.ranges_of(token.issuer)
        return requestor.ProfileData(
            token=token.token, number=self._numbers.for_requestor(books, token), psn=token.psn, expiry=token.expiry,
            par=token.par, trid=token.trid, currency=card.currency, country=next((row.country for row in ranges), ""),
            label=card.label, credit=bool(card.credit), dki=token.dki, phone_cvm=policy_of(token).phone_cvm.value,
            pan_last4=token.pan_last4,
        )  # fmt: skip

    # -- changing ------------------------------------------------------------------------------------------------------

    def suspend(self, visit: Visit[TSPBooks], asked: requestor.ChangeToken) -> Answer:
        """Suspend tokens: the actor joins their suspenders."""
        return self._change(visit, asked, LifeCycleEvent.SUSPEND, how=self._step)

    def resume(self, visit: Visit[TSPBooks], asked: requestor.ChangeToken) -> Answer:
        """Lift the actor's own suspension."""
        return self._change(visit, asked, LifeCycleEvent.RESUME, how=lambda *of: resume(self._life, *of))

    def delete(self, visit: Visit[TSPBooks], asked: requestor.ChangeToken) -> Answer:
        """Delete tokens for good."""
        return self._change(visit, asked, LifeCycleEvent.DELETE, how=self._step)

    def renew(self, visit: Visit[TSPBooks], asked: requestor.ChangeToken) -> Answer:
        """Extend the expiry of tokens, as their issuer allows."""
        months = self._config.token_life_months
        return self._change(
            visit, asked, LifeCycleEvent.RENEW, how=lambda *of: renew(self._life, *of, months=months, wanted=asked.expiry)
        )

    def _step(self, books: TSPBooks, token: TokenRow, cause: Cause) -> str:
        return self._life.apply(books, token, cause).result.value

    def _change(self, visit: Visit[TSPBooks], asked: requestor.ChangeToken, event: LifeCycleEvent, *, how: Change) -> Answer:
        role, books = visit.caller.partition("/")[0], visit.books
        if not 1 <= len(asked.tokens) <= MOST:
            return problem(ProblemCode.FORMAT, f"{len(asked.tokens)} tokens, a call has 1 to {MOST}")
        if not asked.reason or len(asked.reason) > LONGEST_REASON or not asked.reason.isprintable():
            return problem(ProblemCode.FORMAT, f"reason: a word of 1 to {LONGEST_REASON} characters")
        if asked.actor not in MAY_SPEAK_AS.get(role, ()):
            return problem(ProblemCode.FORBIDDEN, f"a {role} does not speak as {asked.actor.value}")
        cause = Cause(event, asked.actor, Channel.ISSUER if role == "issuer" else Channel.REQUESTOR, asked.reason)
        books.tokens.load(("token",), asked.tokens)
        changes = []
        for reference in asked.tokens:
            token = books.token(reference)
            if token is None or not _belongs(visit, token) or token.state in UNBORN:
                changes.append(issuing.TokenChange(token=reference, result="NOT_FOUND"))
                continue
            result = how(books, token, cause)
            changes.append(issuing.TokenChange(token=reference, result=result, view=view_of(token)))
        return issuing.TokenChanges(changes=tuple(changes))


def _belongs(visit: Visit[TSPBooks], token: TokenRow) -> bool:
    """Whether a token is the caller's: of his TRID, or of his cards."""
    role, _, name = visit.caller.partition("/")
    return name == (token.issuer if role == "issuer" else token.trid)
