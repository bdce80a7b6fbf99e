"""The line to the acquirer: damaged answers, late answers, and what lies in the terminal's file."""

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from shanfu.iso8583 import PosFrame, decode_pos
from shanfu.store import FileMemory, Sealer
from shanfu.terminal import State, Terminal, matches
from tests.budget import examples
from tests.terminal.shop import PAN_DIGITS, Acquirer, Shop, lost


def frames() -> list[tuple[bytes, bytes]]:
    """Requests and their answers as they ran over the line."""
    shop, seen = Shop(), []
    answer = shop.host.answer

    def listen(frame: bytes) -> bytes:
        reply = answer(frame)
        seen.append((frame, reply))
        return reply

    shop.host.answer = listen  # type: ignore[method-assign]
    for amount in ("1.00", "2.00"):
        shop.pay(amount)
    return seen


def test_only_its_own_answer_matches_a_request() -> None:
    exchanged = frames()
    for request, _ in exchanged:
        for other, reply in exchanged:
            assert matches(request, reply) is (request == other)
    assert matches(exchanged[0][0], b"what is this"), "what cannot be read is for the terminal to judge"


@settings(max_examples=examples(150, heavy=1_000), deadline=None)
@given(st.integers(0, 150), st.integers(0, 255), st.sampled_from(["flip", "cut", "grow"]))
def test_damaged_answers_never_raise_and_never_lose_money(place: int, value: int, damage: str) -> None:
    def spoil(host: Acquirer, request: PosFrame) -> bytes:
        good = bytearray(host.approve(request))
        if damage == "flip":
            good[place % len(good)] ^= value
        return bytes(good[:place] if damage == "cut" else good + bytes(value) if damage == "grow" else good)

    shop = Shop()
    shop.host.plays("0200", spoil)
    first = shop.pay("5.00")
    assert shop.pay("6.00").approved
    kept = shop.terminal.journal.transactions.values()
    assert shop.host.booked_minor == sum(t.amount_minor for t in kept if t.state is State.APPROVED)
    assert first.approved or first.reversal_pending


@settings(max_examples=examples(100, heavy=1_000), deadline=None)
@given(st.binary(max_size=120))
def test_rubbish_on_the_line_never_raises(rubbish: bytes) -> None:
    shop = Shop()
    for mti in ("0800", "0200", "0400", "0500"):
        shop.host.plays(mti, lambda host, request: rubbish)
    for _ in range(3):
        shop.pay()
    shop.drive(shop.terminal.settle())


def test_no_frame_repeats_a_trace_number() -> None:
    requests = [decode_pos(request).message.text(11) for request, _ in frames()]
    assert requests == ["000001", "000002", "000003"]


def test_the_terminals_file_is_sealed_and_found_again(tmp_path: Path) -> None:
    shop = Shop()
    sealer = Sealer(b"\x05" * 32)
    with FileMemory(tmp_path / "terminal", sealer) as memory:
        shop.memory = memory  # type: ignore[assignment]
        shop.restart()
        shop.host.plays("0200", lost)
        shop.pay("5.00")
    raw = (tmp_path / "terminal").read_bytes()
    assert PAN_DIGITS.encode() not in raw
    assert bytes.fromhex(PAN_DIGITS) not in raw
    with FileMemory(tmp_path / "terminal", sealer) as memory:
        again = Terminal(shop.settings, memory, clock=shop.clock)
        (due,) = again.journal.dues()
        assert (due.pan, due.state, again.journal.state.batch) == (PAN_DIGITS, State.EXPIRED, "000007")
