"""The business date, its cut-off, and who owes whom when it closes."""

import pytest

from shanfu.iso8583 import Message
from shanfu.network import (
    NetworkConfig,
    Position,
    close_day,
    current_day,
    dead_letters,
    forward_queue,
    journal_lines,
    positions,
    written_positions,
)
from shanfu.network.state import business_date, successor
from tests.network.switch import HARBOUR, LANTERN, PAN_HARBOUR, TODAY, TOMORROW, Peer, Switch

HOUR_MS = 3_600_000
CUT_OFF_MS = 7 * HOUR_MS  # the switch's tests begin at 16:00


def nets(found: list[Position]) -> dict[tuple[str, str], tuple[int, int]]:
    return {(p.institution, p.currency): (p.amount_minor, p.count) for p in found}


def off_us(switch: Switch, message: Message | None = None) -> Message:
    """A card of Harbour pays at a merchant of Lantern."""
    request = message or switch.purchase(pan=PAN_HARBOUR)
    asked = switch.forwarded(request, issuer=switch.harbour)
    switch.send(switch.harbour, switch.harbour.answer(asked))
    return request


def news_of(switch: Switch, peer: Peer) -> list[tuple[str, str, str]]:
    """Take the news of the cut-off, each answered, and return them."""
    told = []
    for _ in range(4):
        switch.tick(100)
        for message in switch.inbox(peer):
            told.append((message.mti, message.text(70), message.text(15, "")))
            switch.send(peer, Message("0830", {**message.copy(7, 11, 33, 70), 39: "00"}))
    return told


# fmt: off
DATES = [
    # hours after 08:00 in China on 1 January 1970, cut-off, business date
    (0,     "23:00", "19700101"),
    (14.99, "23:00", "19700101"),
    (15,    "23:00", "19700102"),
    (16,    "23:00", "19700102"),
    (0,     "07:00", "19700102"),
    (0,     "00:00", "19700102"),
]
# fmt: on


@pytest.mark.parametrize(("hours", "cut_off", "day"), DATES)
def test_business_dates(hours: float, cut_off: str, day: str) -> None:
    assert business_date(int(hours * HOUR_MS), NetworkConfig(cut_off=cut_off).cut_off_minute) == day


@pytest.mark.parametrize(
    ("day", "days_later", "then"), [("19700101", 0, "19700102"), ("19700105", 0, "19700106"), ("19700101", 9, "19700110")]
)
def test_the_next_day(day: str, days_later: int, then: str) -> None:
    assert successor(day, days_later * 24 * HOUR_MS, 23 * 60) == then


def test_the_cut_off_is_told_to_everybody_in_order(switch: Switch) -> None:
    switch.tick(CUT_OFF_MS - 1)
    assert current_day(switch.store, now_ms=switch.clock.now_ms()) == TODAY
    switch.tick(1)
    assert current_day(switch.store, now_ms=switch.clock.now_ms()) == TOMORROW
    for peer in (switch.acquirer, switch.issuer, switch.harbour):
        assert news_of(switch, peer) == [("0820", "201", ""), ("0820", "202", TODAY[4:])]
    assert (forward_queue(switch.store), dead_letters(switch.store)) == ([], [])


def test_who_is_away_hears_it_at_sign_on(quiet: Switch) -> None:
    close_day(quiet.store, now_ms=quiet.clock.now_ms())
    quiet.tick()
    quiet.sign_on(quiet.issuer)
    assert [code for _, code, _ in news_of(quiet, quiet.issuer)] == ["201", "202"]


def test_another_cannot_take_a_members_news(switch: Switch) -> None:
    close_day(switch.store, now_ms=switch.clock.now_ms())
    switch.tick()
    switch.tick()
    [first] = [message for message in switch.inbox(switch.issuer) if message.mti == "0820"]
    switch.send(switch.harbour, Message("0830", {**first.copy(7, 11, 33, 70), 39: "00"}))
    assert len(forward_queue(switch.store)) == 6


def test_messages_keep_the_date_they_were_accepted_under(switch: Switch) -> None:
    before = switch.purchase()
    asked = switch.forwarded(before)
    assert close_day(switch.store, now_ms=switch.clock.now_ms()) == TODAY
    switch.tick()
    after = switch.forwarded(switch.purchase())
    assert (asked.text(15), after.text(15)) == (TODAY[4:], TOMORROW[4:])
    switch.inbox(switch.acquirer)
    switch.send(switch.issuer, switch.issuer.answer(asked, f15="1231"))
    [reply] = switch.inbox(switch.acquirer)
    assert reply.text(15) == TODAY[4:]
    reversal = switch.ask(switch.acquirer, switch.reversal(before))
    assert reversal.text(15) == TODAY[4:]
    assert [line.state for line in journal_lines(switch.store, TODAY)] == ["REVERSED"]
    assert [line.state for line in journal_lines(switch.store, TOMORROW)] == ["WAITING"]


def test_an_early_close_does_not_close_the_next_day_at_the_old_time(switch: Switch) -> None:
    close_day(switch.store, now_ms=switch.clock.now_ms())
    switch.tick()
    switch.tick(CUT_OFF_MS)
    assert current_day(switch.store, now_ms=switch.clock.now_ms()) == TOMORROW
    switch.tick(24 * HOUR_MS)
    assert current_day(switch.store, now_ms=switch.clock.now_ms()) == "20260107"


def test_net_positions(switch: Switch) -> None:
    first = off_us(switch, switch.purchase(10_000, pan=PAN_HARBOUR))
    off_us(switch, switch.purchase(500, pan=PAN_HARBOUR, f49="344"))
    off_us(switch, switch.purchase(2_000, pan=PAN_HARBOUR))
    off_us(switch, switch.void(first))
    switch.ask(switch.acquirer, switch.refund(switch.purchase(300, pan=PAN_HARBOUR)))
    switch.paid(switch.purchase(77))  # Lantern's card at Lantern's merchant
    switch.paid(switch.purchase(88), "51")
    switch.paid(switch.balance())
    expected = {
        (HARBOUR, "156"): (-1_700, 4), (HARBOUR, "344"): (-500, 1), (LANTERN, "156"): (1_700, 6), (LANTERN, "344"): (500, 1),
    }  # fmt: skip
    assert nets(positions(switch.store, TODAY)) == expected
    assert written_positions(switch.store, TODAY) == []
    close_day(switch.store, now_ms=switch.clock.now_ms())
    switch.tick()
    assert nets(written_positions(switch.store, TODAY)) == expected
    assert positions(switch.store, TOMORROW) == []


def test_what_changes_a_closed_day_is_written_as_an_adjustment(switch: Switch) -> None:
    early = off_us(switch, switch.purchase(1_000, pan=PAN_HARBOUR))
    waiting = switch.forwarded(switch.purchase(200, pan=PAN_HARBOUR), issuer=switch.harbour)
    close_day(switch.store, now_ms=switch.clock.now_ms())
    switch.tick()
    assert nets(written_positions(switch.store, TODAY)) == {(HARBOUR, "156"): (-1_000, 1), (LANTERN, "156"): (1_000, 1)}
    switch.send(switch.harbour, switch.harbour.answer(waiting))
    switch.ask(switch.acquirer, switch.reversal(early))
    expected = {(HARBOUR, "156"): (-200, 1), (LANTERN, "156"): (200, 1)}
    assert nets(written_positions(switch.store, TODAY)) == nets(positions(switch.store, TODAY)) == expected
