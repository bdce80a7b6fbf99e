"""The story view of events: who said what to whom, in words and bytes, a line or three for each event."""

import textwrap
from collections.abc import Iterable

from shanfu.events import Event

__all__ = ["tell"]

WIDTH = 118
BYTES_SHOWN = 48  # of a frame: what fits a line or two; --json has all
PARTIES_ZH = {"terminal": "终端", "card": "卡片", "acquirer": "收单", "network": "转接", "issuer": "发卡"}


def tell(events: Iterable[Event], *, lang: str = "en", whole: bool = False) -> str:
    """Return events as a story; `whole` shows all bytes."""
    return "\n".join(line for event in events for line in _lines(event, lang, whole))


def _lines(event: Event, lang: str, whole: bool) -> list[str]:
    source, target = _party(event.source, lang), _party(event.target, lang)
    head = f"{source} → {target}" if target else f"{source}"
    lines = [f"  {head:<40} {event.title}"]
    if event.reason and event.reason not in event.title:
        lines.append(f"      reason: {event.reason}")
    if event.raw:
        shown = event.raw if whole else event.raw[:BYTES_SHOWN]
        more = "" if len(shown) == len(event.raw) else f" … {len(event.raw)} bytes"
        text = shown.hex(" ").upper() + more
        lines += textwrap.wrap(text, WIDTH - 6, initial_indent=" " * 6, subsequent_indent=" " * 6)
    if not event.wire and event.detail:
        words = "; ".join(f"{key}: {value}" for key, value in event.detail.items())
        lines += textwrap.wrap(words, WIDTH - 6, initial_indent=" " * 6, subsequent_indent=" " * 6)
    return lines


def _party(name: str, lang: str) -> str:
    if lang != "zh":
        return name
    kind, _, bank = name.partition("-")
    return PARTIES_ZH.get(kind, kind) + (f"({bank})" if bank else "")
