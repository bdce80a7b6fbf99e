"""What hosts tell of the interbank wire and of their decisions, in the same form at both ends.

Frames are masked at the source (`shanfu.iso8583.masked`); each bears the name of its transaction, so that the feeds of
separate processes join. A decision is told with every check of its chain and the result.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

from shanfu.errors import ConfigError
from shanfu.events import Event
from shanfu.hosts.wire import name_of
from shanfu.iso8583 import INTERBANK, Message, NetworkCode, explain, masked
from shanfu.money import Currency, Money

__all__ = ["interbank_event", "money_text", "told_checks"]

_KINDS: Final = {"000000": "purchase", "200000": "void", "310000": "balance inquiry"}
_NEWS: Final = {code.value: code.name.lower().replace("_", " ") for code in NetworkCode}


def interbank_event(frame: bytes, message: Message, *, source: str, target: str, at_ms: int) -> Event:
    """Tell a frame that crossed a link to or from the network."""
    raw, ranges = masked(frame, INTERBANK)
    return Event(
        source=source, target=target, wire="interbank", title=_title(message), raw=raw, masked=ranges,
        detail=explain(message, INTERBANK), trace=name_of(message), at_ms=at_ms,
    )  # fmt: skip


def _title(message: Message) -> str:
    text = message.text
    if message.mti.startswith("08"):
        return f"{message.mti} {_NEWS.get(text(70, ''), 'network management')} {text(39, '')}".rstrip()
    what = _KINDS.get(text(3, ""), "message")
    if message.mti.startswith("04"):
        what = f"reversal of a {what}"
    elif message.mti.startswith("06"):
        what = "script result" if 3 in message else "outcomes"
    elif message.mti[:3] in ("022", "023"):  # an advice: money back, or a card that paid without asking
        what = "refund" if text(3, "").startswith("20") else "offline approval"
    amount = f" {money_text(int(text(4)), text(49, ''))}" if 4 in message else ""
    return f"{message.mti} {what}{amount} {text(39, '')}".rstrip()


def money_text(minor: int, currency: str) -> str:
    """Return an amount as people write it; of a currency that nobody knows, its minor units.

    >>> money_text(1234, "156"), money_text(1234, "999")
    ('¥12.34', '1234 of currency 999')
    """
    try:
        return str(Money(minor, Currency.of(currency)))
    except ConfigError:
        return f"{minor} of currency {currency or 'unknown'}"


def told_checks(
    checks: Sequence[Callable[..., Any]], passed: int, refusal: str, *, detail: Callable[[str], str] = lambda _: ""
) -> dict[str, str]:
    """Return every check of a chain with its result: right, refused with its reason, or not reached.

    `passed` of them did; `refusal` is what the next one said; `detail` adds words about a check, by its function's name.
    """
    told = {}
    for place, check in enumerate(checks):
        words = "right" if place < passed else refusal
        more = detail(check.__name__) if place <= passed else ""
        told[check.__name__.replace("_", " ")] = "not reached" if place > passed else f"{words} ({more})" if more else words
    return told
