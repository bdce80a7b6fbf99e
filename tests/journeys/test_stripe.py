"""Stripes at the counter: only after the chip has failed, only online with the PIN, only as the bank has made them."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from shanfu.emv import Track2
from shanfu.iso8583 import decode_pos
from shanfu.issuer import Issuer, IssuerConfig, Policy
from shanfu.sandbox import HOSTS
from shanfu.sandbox.people import NETWORK
from tests.journeys.judge import judge
from tests.journeys.marks import Mark, search
from tests.journeys.test_outcomes import moves, said
from tests.journeys.town import Town
from tests.journeys.wires import harm, mti_of, on

ACQUIRER, ISSUER = "acquirer-lantern", "issuer-lantern"
CVV = slice(0, 3)  # of the discretionary data (`cvv_place` in the issuer's policy)


def bent(track: Track2, **changes: str) -> str:
    return replace(track, **changes).text()


def wrong_value(track: Track2) -> str:
    value = (int(track.discretionary[CVV]) + 1) % 1000
    return bent(track, discretionary=f"{value:03d}{track.discretionary[CVV.stop :]}")


Forge = Callable[[Track2], str]
# fmt: off
FORGERIES: dict[str, Forge] = {
    "as the bank made it":   Track2.text,
    "another value":         wrong_value,
    "without a value":       lambda track: bent(track, discretionary=""),
    "no chip":               lambda track: bent(track, service_code="120"),
}

#  card        what happened before      the stripe             PIN       end                    code  account         moved
SWIPES = [
  ("debit",    "the chip failed",        "as the bank made it", "123456", "approved",            "00", "lin-yue/156", -1_234),
  ("credit",   "the chip failed",        "as the bank made it", "123456", "approved",            "00", "chen-bo/156", -1_234),
  ("harbour",  "the chip failed",        "as the bank made it", "123456", "approved",            "00", "wong-mei/156", -1_234),
  ("debit",    "the chip failed",        "another value",       "123456", "acquirer-declined",   "59", "",            0),
  ("debit",    "the chip failed",        "without a value",     "123456", "acquirer-declined",   "59", "",            0),
  ("debit",    "the chip failed",        "as the bank made it", "654321", "acquirer-declined",   "55", "",            0),
  ("debit",    "the chip failed",        "another value",       "654321", "acquirer-declined",   "59", "",            0),
  ("debit",    "the chip failed",        "as the bank made it", None,     "pin-cancelled",       "",   "",            0),
  ("debit",    "the chip failed",        "no chip",             "123456", "stripe-not-accepted", "",   "",            0),
  ("debit",    "nothing",                "no chip",             "123456", "stripe-not-accepted", "",   "",            0),
  ("debit",    "nothing",                "as the bank made it", "123456", "use-chip",            "",   "",            0),
  ("debit",    "the chip worked",        "as the bank made it", "123456", "use-chip",            "",   "lin-yue/156", -100),
  ("debit",    "it failed too long ago", "as the bank made it", "123456", "use-chip",            "",   "",            0),
  ("debit",    "it failed, a power cut", "as the bank made it", "123456", "use-chip",            "",   "",            0),
  ("debit",    "it failed and was used", "as the bank made it", "123456", "use-chip",            "",   "lin-yue/156", -100),
  ("debit",    "failed, the line dead",  "as the bank made it", "123456", "no-answer",           "98", "",            0),
  ("debit",    "failed, answer lost",    "as the bank made it", "123456", "no-answer",           "98", "",            0),
  ("debit",    "failed, bank refuses",   "as the bank made it", "123456", "acquirer-declined",   "45", "",            0),
  ("expired",  "the chip failed",        "as the bank made it", "123456", "acquirer-declined",   "54", "",            0),
  ("lost",     "the chip failed",        "as the bank made it", "123456", "acquirer-declined",   "41", "",            0),
  ("locked",   "the chip failed",        "as the bank made it", "123456", "acquirer-declined",   "75", "",            0),
  ("poor",     "the chip failed",        "as the bank made it", "123456", "acquirer-declined",   "51", "",            0),
]
# fmt: on


@pytest.mark.parametrize(("card", "before", "stripe", "pin", "end", "code", "account", "moved"), SWIPES)
def test_a_swipe(town: Town, *, card, before, stripe, pin, end, code, account, moved) -> None:
    opening = town.available()
    came_before(town, card, before)
    town.frames.clear()
    track = FORGERIES[stripe](Track2.from_text(town.world.stripe(card)))
    receipt = town.swipe(card, pin=pin, stripe=track)
    assert said(receipt)[:2] == (end, code)
    assert (receipt.offline, receipt.card_checked_pin) == (False, False)
    asked = questions(town)
    assert bool(asked) == (bool(code) and "dead" not in before), "what the terminal refuses is never sent"
    assert all((message.text(22), message.text(35)) == ("021", track.replace("=", "D")) for message in asked)
    town.drain()
    assert moves(town, opening) == ({account: moved} if moved else {})
    judge(town, opening=opening)


def came_before(town: Town, card: str, what: str) -> None:
    """Let this have happened at the teahouse."""
    if "work" in what:
        assert town.insert(card, amount="1.00").approved
    elif what != "nothing":
        assert said(town.insert(card, dead=True))[0] == "chip-silent"
    if "long ago" in what:
        town.net.advance(121_000)
    elif "power cut" in what:
        town.close_tills()
    elif "used" in what:
        assert town.swipe(card, amount="1.00").approved
    elif "dead" in what:
        town.net.stop(ACQUIRER)
    elif "lost" in what:
        harm(town, "silent", on("acquirer>terminal", "0210"))
    elif "refuses" in what:
        stricter(town, fallback=False)


def stricter(town: Town, **rules: object) -> None:
    """Start Lantern Bank's host anew under another policy."""
    config = IssuerConfig(institution=HOSTS[ISSUER].id, network=NETWORK, name=ISSUER, policy=replace(Policy.default(), **rules))
    town.net.restart(ISSUER, Issuer(config, town.world.hsm(ISSUER)))
    town.net.advance(3_000)


def questions(town: Town) -> list:
    return [decode_pos(p.frame).message for p in town.frames if p.source == "terminal" and mti_of(p) == "0200"]


def test_what_the_chip_shows_makes_no_stripe(town: Town) -> None:
    """Track 2 as a chip tells it to every terminal bears a check value of its own."""
    opening = town.available()
    copies = {}
    for card in ("debit", "credit", "harbour", "debit-sm4"):
        assert town.tap(card, amount="1.00").approved
        overheard = Track2.from_text(questions(town)[-1].text(35))
        own = Track2.from_text(town.world.stripe(card))
        assert overheard == replace(own, discretionary=overheard.discretionary)
        if overheard != own:  # three digits are alike once in a thousand cards
            copies[card] = overheard.text()
    assert copies
    for card, copy in copies.items():
        assert not town.insert(card, dead=True).approved
        assert town.swipe(card, stripe=copy).response_code == "59"
    town.drain()
    judge(town, opening=opening)


def test_nobody_keeps_the_stripe(town: Town) -> None:
    tracks = []
    for card, pin in (("debit", "123456"), ("credit", "654321"), ("cash", "123456")):
        town.insert(card, dead=True)
        town.swipe(card, pin=pin)
        stripe = Track2.from_text(town.world.stripe(card))
        tracks.append(Mark(f"stripe of {card}", f"{stripe.expiry}{stripe.service_code}{stripe.discretionary}"))
    harm(town, "silent", on("issuer>network", "0210"))
    town.insert("debit", dead=True)
    assert town.swipe("debit").response_code == "98"
    town.net.advance(10_000)
    assert search(town.world.folder, tracks, also={}) == []
