"""Two of the three shapes of code: who only answers, and who speaks first.

*Answerer*: a card, a secure element, a PIN pad. `answer(command) -> response`; what must survive a power cut goes through
an injected `Memory`, which is durable when `write` returns, *before* the answer leaves.

*Dialogue*: a terminal transaction, a wallet action, a checkout. A generator that reads top to bottom as the standard's flow
does; it yields `Ask(to, message)` and receives the reply, or `Keep(name, record)` and goes on once that is durable. When a
peer cannot be reached or is silent, the LinkError is thrown into the dialogue at that `yield`. A dialogue knows neither
sockets nor threads; the drivers below move it: `run` by plain calls, `arun` under asyncio. Whoever needs another pace (a
simulator with virtual time) uses `advance`, as they do.

The third shape, the host that serves many, is `shanfu.links.Host`.
"""

from collections.abc import Awaitable, Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from shanfu.errors import LinkError

__all__ = ["Answerer", "Ask", "Dialogue", "Keep", "Memory", "advance", "arun", "run"]

T = TypeVar("T")


class Answerer(Protocol):
    """Answers one command at a time and never speaks first."""

    def answer(self, command: bytes) -> bytes:
        """Return the response to one command; bad input gets the protocol's own refusal, never an exception."""
        ...


class Memory(Protocol):
    """What survives a power cut: small named records."""

    def read(self, name: str) -> bytes | None:
        """Return the record, or None."""
        ...

    def write(self, records: Mapping[str, bytes | None]) -> None:
        """Replace (or with None remove) these records, all or none; durable when it returns."""
        ...

    def names(self) -> list[str]:
        """Return the names of all records, sorted."""
        ...


@dataclass(frozen=True, slots=True)
class Ask:
    """Send `message` to the peer called `to`; the dialogue receives its reply."""

    to: str
    message: Any


@dataclass(frozen=True, slots=True)
class Keep:
    """Make `record` durable under `name` (None removes it); the dialogue goes on once that is done."""

    name: str
    record: bytes | None


Step = Ask | Keep
Dialogue = Generator[Step, Any, T]


@dataclass(frozen=True, slots=True)
class Finished:
    """The dialogue is over and this is its result."""

    result: Any


def advance(dialogue: Dialogue[T], reply: Any = None, error: LinkError | None = None) -> Step | Finished:
    """Give the dialogue the last step's reply (or the link's error) and return its next step, or `Finished`."""
    try:
        return dialogue.throw(error) if error else dialogue.send(reply)
    except StopIteration as end:
        return Finished(end.value)


def run(dialogue: Dialogue[T], peers: Mapping[str, Callable[[Any], Any]], memory: Memory) -> T:
    """Drive a dialogue to its end by plain calls; `peers` maps a name to a function from message to reply."""
    step = advance(dialogue)
    while not isinstance(step, Finished):
        reply, error = None, None
        if isinstance(step, Keep):
            memory.write({step.name: step.record})
        else:
            try:
                reply = peers[step.to](step.message)
            except LinkError as fault:
                error = fault
        step = advance(dialogue, reply, error)
    result: T = step.result
    return result


async def arun(dialogue: Dialogue[T], peers: Mapping[str, Callable[[Any], Awaitable[Any]]], memory: Memory) -> T:
    """Drive a dialogue to its end under asyncio; `peers` maps a name to a coroutine function from message to reply."""
    step = advance(dialogue)
    while not isinstance(step, Finished):
        reply, error = None, None
        if isinstance(step, Keep):
            memory.write({step.name: step.record})
        else:
            try:
                reply = await peers[step.to](step.message)
            except LinkError as fault:
                error = fault
        step = advance(dialogue, reply, error)
    result: T = step.result
    return result
