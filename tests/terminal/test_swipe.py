"""The swipe: use the chip first; what a fallback is, what it carries, and what it is not."""

import pytest

from shanfu.terminal import Outcome, ReaderKind, Reason, State, UIMessage
from tests.terminal.chips import Bend, Bent, genuine, made, says
from tests.terminal.shop import PAN_DIGITS, PIN_DIGITS, Play, Shop, config, declines, lost, yuan

CHIP = f";{PAN_DIGITS}=30122200000000000?"
STRIPE = f";{PAN_DIGITS}=30121010000000000?"
TRACK_1 = f"%B{PAN_DIGITS}^LIN/YUE^30122200000000000?"
R, UI = Reason, UIMessage
MUTE = {"A4": says("")}


def shop(bends: dict[str, Bend] | None = None, **settings: object) -> Shop:
    return Shop(settings=config(**settings), card=Bent(made(genuine()), MUTE if bends is None else bends))


def swipe(at: Shop, track2: str = CHIP, *, track1: str = "", text: str = "12.34"):
    return at.drive(at.terminal.swipe(track2, yuan(text), track1=track1))


def test_after_a_failed_chip_the_stripe_pays_online_with_pin() -> None:
    at = shop()
    failed = at.insert()
    assert (failed.outcome, failed.reason, failed.ui) == (Outcome.TRY_ANOTHER_INTERFACE, R.CHIP_SILENT, UI.USE_STRIPE)
    receipt = swipe(at, track1=TRACK_1)
    assert (receipt.approved, receipt.entry_mode, receipt.interface) == (True, "021", "stripe")
    assert at.steps == ["pad EnterPIN", "pad MakeMAC", "keep transaction", "host 0200", "pad CheckMAC", "keep transaction"]
    request = at.host.asked[-1]
    assert sorted(request.fields) == [2, 3, 4, 11, 14, 22, 25, 26, 35, 41, 42, 49, 52, 53, 60, 64]
    fixed = {22: "021", 35: f"{PAN_DIGITS}D30122200000000000", 53: "2600000000000000", 60: "22000007000620"}
    assert {number: request.fields[number] for number in fixed} == fixed
    assert at.host.pins == [PIN_DIGITS]
    assert PAN_DIGITS not in "".join(map(str, at.heard.events))


# what comes before,  track 2, settings,                        reason
REFUSALS = [
    ("nothing",        CHIP,   {},                              R.CHIP_CARD),
    ("a good chip",    CHIP,   {},                              R.CHIP_CARD),
    ("a pulled chip",  CHIP,   {},                              R.CHIP_CARD),
    ("a failed chip",  CHIP,   {"stripe_fallback": False},      R.FALLBACK_REFUSED),
    ("a failed chip",  CHIP,   {"fallback_ms": -1},             R.CHIP_CARD),  # too late
    ("a failed chip",  STRIPE, {},                              R.STRIPE_NOT_ACCEPTED),
    ("a failed chip",  "rubbish", {},                           R.CARD_DATA),
    ("a power cut",    CHIP,   {},                              R.CHIP_CARD),
    ("two swipes",     CHIP,   {},                              R.CHIP_CARD),
    ("no PIN",         CHIP,   {},                              R.PIN_CANCELLED),
]  # fmt: skip


@pytest.mark.parametrize(("before", "track2", "settings", "reason"), REFUSALS)
def test_what_is_no_fallback(before: str, track2: str, settings: dict[str, object], reason: Reason) -> None:
    at = shop(bends={} if before in ("a good chip", "a pulled chip") else MUTE, **settings)
    if before != "nothing":
        at.insert(tear_after=3 if before == "a pulled chip" else None)
    if before == "a power cut":
        at.restart()
    if before == "two swipes":
        swipe(at)
    if before == "no PIN":
        at.typed = [None]
    asked = len(at.host.asked)
    assert swipe(at, track2).reason is reason
    assert len([m for m in at.host.asked[asked:] if m.mti == "0200"]) == 0


@pytest.mark.parametrize(
    ("track1", "fits"),
    [
        (TRACK_1, True),
        (TRACK_1.removeprefix("%").removesuffix("?"), True),
        (TRACK_1.replace("3012220", "3011220"), False),
        (TRACK_1.replace("^LIN/YUE^", "^"), False),
        ("%", False),
    ],
)
def test_track_1_is_the_same_cards_or_the_swipe_is_void(track1: str, fits: bool) -> None:
    at = shop()
    at.insert()
    assert swipe(at, track1=track1).reason is (None if fits else R.CARD_DATA)


@pytest.mark.parametrize(
    ("play", "reason", "reversal"),
    [(declines("45"), R.ACQUIRER_DECLINED, None), (declines("59"), R.ACQUIRER_DECLINED, None), (lost, R.NO_ANSWER, "98")],
)
def test_a_fallback_is_reversed_like_any_payment(play: Play, reason: Reason, reversal: str | None) -> None:
    at = shop()
    at.insert()
    at.host.plays("0200", play)
    assert swipe(at).reason is reason
    at.drive(at.terminal.reverse_pending())
    assert list(at.host.reversed.values()) == ([reversal] if reversal else [])
    if reversal:
        sent = next(m for m in at.host.asked if m.mti == "0400")
        assert sorted(sent.fields) == [2, 3, 4, 11, 14, 22, 25, 39, 41, 42, 49, 60, 64]
        assert sent.text(60) == "22000007000620"
    assert {t.state for t in at.terminal.journal.transactions.values()} <= {State.DECLINED, State.REVERSED}


def test_no_stripe_reader_no_offer_of_one() -> None:
    at = shop(readers=frozenset({ReaderKind.CONTACT}))
    assert (at.insert().ui, swipe(at).reason) == (UI.TRY_ANOTHER_CARD, R.NO_READER)
