"""Whatever comes, in any order and however often: no use too many, no counter twice, no flipped bit accepted."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shanfu.emv import decode_field55
from shanfu.iso8583 import Message, decode_interbank
from shanfu.links import Inbound
from shanfu.messages import KeyPolicy, UseReport
from shanfu.tokens import KeyScheme
from tests.budget import examples
from tests.tsp.payhouse import NETWORK, PayHouse

QUICK = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
STEPS = st.lists(st.tuples(st.integers(1, 14), st.sampled_from(["pay", "again", "replay", "reverse", "refresh"])), max_size=14)


@settings(max_examples=examples(10, heavy=250), **QUICK)
@given(steps=STEPS, together=st.booleans())
def test_never_more_uses_than_allowed(steps: list[tuple[int, str]], together: bool) -> None:
    """Payments with any ATC, repeats, replays and reversals, one by one or in one batch; key sets change in between."""
    with TemporaryDirectory() as folder:
        house = PayHouse(Path(folder), where=":memory:")
        phone = house.token(policy=KeyPolicy(max_uses=5))
        frames, made = list[bytes](), dict[int, Message]()
        for atc, step in steps:
            if step == "refresh":
                work(house, frames, together)
                phone.uses = [UseReport(atc=row.atc, index="6010500", at_ms=0) for row in all_rows(house) if row.atc > 0]
                phone.atc = max((use.atc for use in phone.uses), default=0)
                house.refresh(phone)
                continue
            request = made.get(atc) if step in ("again", "reverse") else None
            request = request or house.purchase(phone, 100, atc=atc)
            made.setdefault(atc, request)
            if step == "replay":
                request = house.purchase(phone, 100, atc=atc, f55=made[atc].fields[55])
            frames.append(house.sealed(house.follow_up("0420", request) if step == "reverse" else request))
        work(house, frames, together)
        taken = [row for row in all_rows(house) if row.atc >= 0]
        assert len({row.atc for row in taken}) == len(taken), "an ATC paid twice"
        for sequence in range(1, house.counter(phone).sequence + 1):
            keys = house.key_set(phone, sequence)
            assert keys.uses <= keys.max_uses == 5
            mine = [row for row in taken if row.sequence == sequence]
            assert keys.uses == len(mine)
            assert keys.spent == 100 * sum(row.state == "RESOLVED" for row in mine)
        house.store.close()


def work(house: PayHouse, frames: list[bytes], together: bool) -> None:
    """Send what was collected."""
    batches = [frames[:]] if together else [[frame] for frame in frames]
    frames.clear()
    for batch in batches:
        house.send(*batch)


def all_rows(house: PayHouse) -> list:
    from shanfu.store import Statement
    from shanfu.tsp.history import HISTORY

    books = house.books()
    rows = books.history.select(Statement(HISTORY.select()))
    books.tx.rollback()
    return rows


SIGNED = (0x9F02, 0x9F03, 0x9F1A, 0x95, 0x5F2A, 0x9A, 0x9C, 0x9F37, 0x82, 0x9F36, 0x9F10, 0x9F26)
# what a flipped bit may be refused for: the cryptogram, or a check that stands before it
BEFORE = {"CRYPTOGRAM_WRONG", "CHIP_DATA_ERROR", "ATC_OUT_OF_WINDOW", "KEY_UNKNOWN"}


@settings(max_examples=examples(60, heavy=2000), **QUICK)
@given(scheme=st.sampled_from(list(KeyScheme)), tag=st.sampled_from(SIGNED), place=st.integers(0, 255))
def test_no_flipped_bit_is_accepted(scheme: KeyScheme, tag: int, place: int) -> None:
    house = shared_house()
    phone = house.token(f"phone {len(house.phones)}", policy=KeyPolicy(scheme=scheme))
    request = house.purchase(phone)
    field = bytearray(request.binary(55))
    value = decode_field55(bytes(field))[tag]
    at = bytes(field).index(value_with_tag(tag, value)) + len(tag_bytes(tag)) + 1
    field[at + place // 8 % len(value)] ^= 1 << place % 8
    request.fields[55] = bytes(field)
    code, reason = house.said(request)
    assert code != "00"
    assert reason in BEFORE
    assert house.key_set(phone, 1).uses == 0


@cache
def shared_house() -> PayHouse:
    """One house for many phones: to make one takes longer than a payment."""
    return PayHouse(Path(), where=":memory:")


def tag_bytes(tag: int) -> bytes:
    return tag.to_bytes(2 if tag > 0xFF else 1)


def value_with_tag(tag: int, value: bytes) -> bytes:
    return tag_bytes(tag) + bytes((len(value),)) + value


CHANGES = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), min_size=1, max_size=3)
KINDS = st.sampled_from(["purchase", "balance", "void", "refund", "reversal", "outcome"])


@settings(max_examples=examples(5, heavy=200), **QUICK)
@given(attempts=st.lists(st.tuples(KINDS, CHANGES, st.booleans()), min_size=20, max_size=20))
def test_changed_bytes_are_answered_or_dropped_and_change_nothing(attempts: list) -> None:
    with TemporaryDirectory() as folder:
        house = PayHouse(Path(folder), where=":memory:")
        phone = house.token()
        paid = house.pay(phone, 100)
        for kind, changes, cut in attempts:
            frame = bytearray(house.sealed(message_of(house, kind, paid, phone)))
            for place, flip in changes:
                frame[int(place * len(frame))] ^= flip
            raw = bytes(frame[: int(changes[0][0] * len(frame))]) if cut else bytes(frame)
            house.sent.clear()
            house.worker.turn([Inbound(NETWORK, raw)])
            for answer in house.sent:
                decode_interbank(answer) if answer[45:50] == b"00000" else None
        assert house.worker.tally.refused == 0
        row = house.key_set(phone, 1)
        assert 1 <= row.uses <= row.max_uses
        house.store.close()


def message_of(house: PayHouse, kind: str, paid: Message, phone) -> Message:
    return {
        "purchase": lambda: house.purchase(phone, 100), "balance": lambda: house.balance(phone),
        "void": lambda: house.follow_up("0200", paid), "refund": lambda: house.follow_up("0220", paid),
        "reversal": lambda: house.follow_up("0420", paid), "outcome": lambda: house.outcome(paid),
    }[kind]()  # fmt: skip
