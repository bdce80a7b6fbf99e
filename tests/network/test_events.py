"""What a watcher sees: frames masked at the source, decisions with every check."""

from shanfu.network import Network
from tests.network.switch import PAN_LANTERN, Switch


def test_frames_are_masked_and_keep_their_length(switch: Switch) -> None:
    switch.events.drain()
    switch.acquirer.frames.clear()
    request = switch.purchase(pin=True)
    frame = switch.acquirer.seal(request)
    switch.turn((switch.acquirer, frame))
    came, decided, went = switch.events.drain()
    assert (came.source, came.target, came.wire, came.title) == (
        switch.acquirer.station, "network", "interbank", "0200 purchase ¥12.34",
    )  # fmt: skip
    assert (went.source, went.target) == ("network", switch.issuer.station)
    assert len(came.raw) == len(frame)
    differing = {at for at, (shown, sent) in enumerate(zip(came.raw, frame, strict=True)) if shown != sent}
    covered = {at for start, end in came.masked for at in range(start, end)}
    assert differing <= covered
    assert request.binary(52) not in came.raw
    assert came.detail["DE2"] == "primary account number: 620901******0012"
    assert came.trace == decided.trace == went.trace != ""


def test_a_decision_tells_each_check(switch: Switch) -> None:
    switch.events.drain()
    switch.ask(switch.acquirer, switch.purchase(pan="4000000000000002", f35=None))
    [decision] = [event for event in switch.events.drain() if not event.wire]
    assert (decision.title, decision.reason) == ("15 no issuer of this card: purchase ¥12.34", "NO_ISSUER")
    assert list(decision.detail.items()) == [
        ("card", "400000******0002"),
        ("sender signed on", "right"),
        ("message authentic", "right"),
        ("name present", "right"),
        ("speaks for itself", "right"),
        ("in time", "right"),
        ("not repeated", "right"),
        ("kind known", "right"),
        ("well formed", "right"),
        ("sender acquires", "right"),
        ("issuer known", "NO_ISSUER: no issuer of this card"),
        ("issuer there", "not reached"),
        ("pin keys there", "not reached"),
        ("pin readable", "not reached"),
    ]


def test_unwatched_the_ordinary_is_not_told(switch: Switch) -> None:
    switch.host = switch.worker.host = Network(switch.config, switch.hsm)
    switch.sign_on()
    switch.events.drain()
    paid, _ = switch.paid()
    switch.ask(switch.acquirer, switch.reversal(paid))
    switch.tick()
    [sent] = switch.inbox(switch.issuer)
    assert sent.text(2) == PAN_LANTERN
    switch.send(switch.issuer, switch.issuer.answer(sent))
    assert switch.events.drain() == []
