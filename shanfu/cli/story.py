"""The story view of events: who said what to whom, in words and bytes, a line or three for each event."""

import textwrap
from collections.abc import Iterable

from shanfu.events import Event

__all__ = ["tell"]

WIDTH = 118
BYTES_SHOWN, BRIEF_BYTES = 24, 10  # of a message; --json has all
NAMED = ("cvm",)  # what is told of a decision even in brief
PARTIES_ZH = {"terminal": "终端", "card": "卡片", "acquirer": "收单", "network": "转接", "issuer": "发卡"}
BANKS_ZH = {"lantern": "灯笼", "harbour": "海港"}


def tell(events: Iterable[Event], *, lang: str = "en", brief: bool = False) -> str:
    """Return events as a story: a message is a line and its first bytes, a decision a line and what was looked at.

    `brief` leaves out the tap itself, network management, and of decisions everything that was right.
    """
    chosen = [event for event in events if not (brief and _known_by_now(event))]
    return "\n".join(line for event in chosen for line in _lines(event, lang, brief))


def _known_by_now(event: Event) -> bool:
    routine = ("candidate list", "display: present", "display: card read", "display: authorising")
    managing = ("0800", "0810", "0820", "0830", "network management")
    return event.wire == "apdu" or event.title.startswith((*routine, *managing)) or "0820" in event.title


def _lines(event: Event, lang: str, brief: bool) -> list[str]:
    source, target = _party(event.source, lang), _party(event.target, lang)
    if not event.wire:
        return _decision(source, event, lang=lang, brief=brief)
    most = BRIEF_BYTES if brief else BYTES_SHOWN
    shown = event.raw[:most].hex(" ").upper() + (f" … {len(event.raw)} bytes" if len(event.raw) > most else "")
    head = f"  {source} → {target}: {event.title}"
    return [f"{head:<66} {shown}"] if brief else [head, f"      {shown}"]


def _decision(source: str, event: Event, *, lang: str, brief: bool) -> list[str]:
    if event.title.startswith("display: "):
        return [f"  {source} ▷ {event.detail.get('zh', '') if lang == 'zh' else event.title.removeprefix('display: ')}"]
    detail = event.detail
    if brief:
        detail = {key: value for key, value in detail.items() if key in NAMED or _went_wrong(value)}
    words = "; ".join(f"{key}: {value}" for key, value in detail.items())
    told = textwrap.wrap(words, WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 6)
    return [f"  {source} · {event.title}", *told]


def _went_wrong(value: str) -> bool:
    return value[:1].isupper() and ": " in value  # a refusal's name, then its words


def _party(name: str, lang: str) -> str:
    if lang != "zh":
        return name
    kind, _, bank = name.partition("-")
    return PARTIES_ZH.get(kind, kind) + (f"（{BANKS_ZH.get(bank, bank)}）" if bank else "")
