"""Feeds of separate processes become one story: by cause, each frame once, with names for stations."""

from shanfu.events import Event
from shanfu.sandbox import one_story


def said(source: str, target: str = "", title: str = "", *, size: int = 4, also: str = "", trace: str = "") -> Event:
    return Event(
        source=source, target=target, wire="pos" if target else "", title=title, raw=bytes(size), also=also, trace=trace
    )


def told(events: list[Event]) -> list[str]:
    return [f"{e.source}>{e.target} {e.title}".strip() for e in events]


def test_the_story_follows_the_frame_whatever_the_clocks_say() -> None:
    feeds = {
         "terminal": [
            said("terminal", "acquirer", "ask"), said("acquirer", "terminal", "answer", size=9),
            said("terminal", title="end"),
        ],
        "network": [
            said("99012900", "network", "ask", size=6), said("network", title="decided"),
            said("network", "99012900", "back", size=7),
        ],
        "acquirer-lantern": [
            said("pos/1", "acquirer-lantern", "ask"), said("acquirer-lantern", "00010000", "on", size=6),
            said("00010000", "acquirer-lantern", "back", size=7), said("acquirer-lantern", "pos/1", "answer", size=9),
        ],
    }  # fmt: skip
    assert told(one_story(feeds, acquirer="acquirer-lantern")) == [
        "terminal>acquirer-lantern ask",
        "acquirer-lantern>network on",
        "network> decided",
        "network>acquirer-lantern back",
        "acquirer-lantern>terminal answer",
        "terminal> end",
    ]


def test_what_one_end_did_not_tell_is_still_told() -> None:
    feeds = {"terminal": [], "network": [said("99010000", "network", "late")]}
    assert told(one_story(feeds, acquirer="")) == ["issuer-lantern>network late"]


def test_a_frame_sent_twice_is_told_twice() -> None:
    twice = [said("network", "99010000", "0420"), said("network", "99010000", "0420")]
    feeds = {"network": twice, "issuer-lantern": [said("00010000", "issuer-lantern", "0420")] * 2}
    assert told(one_story(feeds, acquirer="")) == ["network>issuer-lantern 0420"] * 2


def test_traces_join() -> None:
    feeds = {
        "network": [said("network", title="x", trace="interbank")],
        "acquirer-lantern": [said("acquirer-lantern", title="m", trace="t", also="interbank")],
    }
    assert {e.trace for e in one_story(feeds, acquirer="")} == {"t"}
