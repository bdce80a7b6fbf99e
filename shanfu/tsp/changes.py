"""Changes of tokens: the one place where a token's life goes on. Each is a step, a line in the diary, and notices.

    life = LifeCycle(config)
    step = life.apply(books, token, Cause(LifeCycleEvent.SUSPEND, Actor.TSP, Channel.RISK, reason="CLONE_SUSPECTED"))

What is refused, or done already, changes nothing and leaves no line. The version of the token rises with each change; whoever
was told keeps the newest. `tell` tells the requestor and the issuer of something else that concerns the token (KEYS, PAYMENT).
"""

from dataclasses import dataclass

from shanfu.messages import Actor, LifeCycleEvent, TokenState, requestor
from shanfu.store import Sequencer
from shanfu.tsp.books import TSPBooks
from shanfu.tsp.diary import DIARY, Channel, DiaryRow
from shanfu.tsp.events import change_event
from shanfu.tsp.life_cycle import Step, step
from shanfu.tsp.requestors import caller_of
from shanfu.tsp.vault import EXPIRING, TokenRow, suspenders, view_of

__all__ = ["Cause", "LifeCycle", "expire"]

ENDED = frozenset((TokenState.DECLINED.value, TokenState.REQUESTED.value))


@dataclass(frozen=True, slots=True)
class Cause:
    """What happens to a token, by whom, how it came to us, and why (a word such as DEVICE_LOST)."""

    event: LifeCycleEvent
    actor: Actor
    channel: Channel
    reason: str = ""


class LifeCycle:
    """Applies what happens to tokens, writes it down, and tells those whom it concerns."""

    def __init__(self, name: str = "tsp", watch: bool = False) -> None:
        self.name, self.watch = name, watch
        self._numbers = Sequencer(DIARY.table)

    def apply(self, books: TSPBooks, token: TokenRow, cause: Cause) -> Step:
        """Let a token's life go on; what is not `ok` has changed nothing."""
        before, by = token.state, token.suspended_by
        found = step(TokenState(before), suspenders(token), cause.event, cause.actor)
        if not found.done:
            return found
        token.state, token.suspended_by = found.state.value, " ".join(actor.value for actor in found.suspended_by)
        token.version += 1
        token.reason, token.changed_ms = cause.reason, books.now_ms
        if cause.event is LifeCycleEvent.ACTIVATE:
            token.activated_ms = books.now_ms
        seq = self._numbers.next(books.tx, now_ms=books.now_ms)
        books.diary.add(
            DiaryRow(
                token.bucket, seq, token.token, token.version, cause.event.value, found.result.value, cause.actor.value,
                cause.channel.value, cause.reason, before, token.state, by, token.suspended_by, books.now_ms,
            )
        )  # fmt: skip
        if self.watch:
            what = f"{cause.event.value} by {cause.actor.value}"
            books.told.append(change_event(self.name, token, found, what=what, before=before, at_ms=books.now_ms))
        self.tell(books, token, cause.event.value, actor=cause.actor, reason=cause.reason)
        return found

    def tell(
        self, books: TSPBooks, token: TokenRow, event: str, *, actor: Actor = Actor.TSP, reason: str = "", to: str = ""
    ) -> None:
        """Put a notice to the requestor and one to the issuer into the outbox, or to one of them (`to`: `role/name`).

        A token that never came to be is nobody's business.
        """
        if token.state in ENDED:
            return
        view = view_of(token)

        def notice(number: int) -> requestor.Notice:
            return requestor.Notice(number=number, event=event, actor=actor.value, reason=reason, at_ms=books.now_ms, view=view)

        for party, op in ((caller_of(token.trid), "notices.take"), (f"issuer/{token.issuer}", "issuer.notice")):
            if to in ("", party):
                books.desk.tell(party, op, notice)


def expire(life: LifeCycle, books: TSPBooks) -> None:
    """Let tokens expire whose time is over; a bounded number of rows."""
    for token in books.tokens.select(EXPIRING, (books.now_ms,)):
        life.apply(books, token, Cause(LifeCycleEvent.EXPIRE, Actor.TSP, Channel.CLOCK, "TOKEN_EXPIRED"))
