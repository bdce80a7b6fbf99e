"""A host that was set up for life in a household, by itself."""

from collections.abc import Sequence
from typing import Any

from shanfu.hosts import written
from shanfu.links import Host, Inbound, Outbound, Turn


def speak_in_bytes(host: Host[Any]) -> None:
    """Let it write down what it would give its neighbours open."""
    handle = host.handle

    def speaking(batch: Sequence[Inbound], books: Any) -> Turn:
        turn = handle(batch, books)
        turn.outbound = [Outbound(outbound.station, written(outbound)) for outbound in turn.outbound]
        return turn

    host.handle = speaking  # type: ignore[method-assign]
