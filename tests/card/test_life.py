"""The life of an application: its table, its transaction number through power cuts and failing memories."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shanfu.card import TRANSITIONS, Application, Card, Event, Spent, State
from shanfu.card.state import after
from shanfu.crypto import CardAlgorithm, SessionKey
from shanfu.emv import commands, cryptogram_input, parse_gpo_response
from shanfu.errors import IllegalEvent, StoreGone
from shanfu.iso7816 import StatusWord
from tests.budget import examples
from tests.card.bench import CONTACTLESS, DEBIT, TERMINAL, FailingMemory, PowerCut, ask, card, chip, gpo, tap

FILLED = bytes.fromhex("26800000000000000001000000000000015600000000000156170601002B29EBE4")
CUTS = st.sampled_from([None, "before", "after"])
ATC = "A000000333010101/live/9F36"


def test_every_state_is_reached_and_every_state_can_be_left() -> None:
    reached, edge = {State.INERT}, {State.INERT}
    while edge:
        edge = {to for (start, _), to in TRANSITIONS.items() if start in edge} - reached
        reached |= edge
    assert reached == set(State)
    assert all(after(state, Event.RESET) is State.INERT for state in State)


def test_the_table_has_no_other_steps() -> None:
    missing = {(state, event) for state in State for event in Event} - set(TRANSITIONS)
    only = {  # each of these steps leads out of one state alone
        Event.INITIATE: State.SELECTED, Event.OPEN: State.SELECTED, Event.ASK_ISSUER: State.OPENED, Event.END: State.OPENED,
        Event.COMPLETE: State.ONLINE,
    }  # fmt: skip
    assert missing == {(state, event) for event, start in only.items() for state in State if state is not start}
    for state, event in missing:
        with pytest.raises(IllegalEvent):
            after(state, event)


@settings(max_examples=examples(60, heavy=2_500), deadline=None)
@given(st.lists(st.sampled_from(["select", "pay", "get", "reset", "read"]), max_size=12))
def test_walks_never_leave_the_table(walk: list[str]) -> None:
    application = Application(chip(), DEBIT.aid)
    asked = {
        "get": commands.get_data(0x9F36), "pay": commands.get_processing_options(FILLED), "read": commands.read_record(1, 1),
    }  # fmt: skip
    paid = 0
    for step in walk:
        before = application.state
        if step == "select":
            application.select(CONTACTLESS)
        elif step == "reset":
            application.reset()
        else:
            application.answer(asked[step])
        paid += before is State.SELECTED and application.state is State.INITIATED
        assert application.state in {before} | {to for (start, _), to in TRANSITIONS.items() if start is before}
    application.select(CONTACTLESS)
    assert application.answer(asked["get"]).data == b"\x9f\x36\x02" + paid.to_bytes(2)


@pytest.mark.parametrize(("stored", "select_sw", "gpo_sw", "then"), [
    (0x0000, 0x9000, 0x9000, 0x0001),
    (0xFFFD, 0x9000, 0x9000, 0xFFFE),
    (0xFFFE, 0x9000, 0x9000, 0xFFFF),  # the last payment of this card
    (0xFFFF, 0x6283, 0x6985, 0xFFFF),  # unusable
])  # fmt: skip
def test_the_end_of_the_counter(stored: int, select_sw: int, gpo_sw: int, then: int) -> None:
    memory = chip()
    memory.write({ATC: stored.to_bytes(2)})
    made = Card(memory)
    made.power_on(CONTACTLESS)
    assert ask(made, commands.select(DEBIT.aid)).sw == select_sw
    assert gpo(made).sw == gpo_sw
    assert memory.read(ATC) == then.to_bytes(2)


def test_the_last_number_is_spent_once() -> None:
    memory = chip()
    memory.write({ATC: b"\xff\xfe"})
    first, second = Card(memory), Card(memory)
    for one in (first, second):
        one.power_on(CONTACTLESS)
        assert ask(one, commands.select(DEBIT.aid)).ok
    answers = [ask(one, commands.get_processing_options(FILLED)).sw for one in (first, second)]
    assert answers == [StatusWord.OK, StatusWord.CONDITIONS_NOT_SATISFIED]


def test_after_its_last_payment_the_application_is_blocked() -> None:
    memory = chip()
    memory.write({ATC: b"\xff\xfe"})
    made = Card(memory)
    made.power_on(CONTACTLESS)
    assert tap(made)[0x9F36] == b"\xff\xff"
    assert ask(made, commands.select(DEBIT.aid)).sw == StatusWord.BLOCKED_FILE


@pytest.mark.parametrize("after_write", [False, True])
@pytest.mark.parametrize("at", range(1, 6))
def test_a_power_cut_at_any_write_never_repeats_a_number(at: int, after_write: bool) -> None:
    memory = chip()
    cut = FailingMemory(memory, at=at, after=after_write, fault=PowerCut())
    seen = []
    made = Card(cut)
    made.power_on(CONTACTLESS)
    for _ in range(at - 1):
        seen.append(int.from_bytes(tap(made)[0x9F36]))
    with pytest.raises(PowerCut):
        gpo(made)
    again = Card(memory)
    again.power_on(CONTACTLESS)
    seen += [int.from_bytes(tap(again)[0x9F36]) for _ in range(3)]
    assert seen == sorted(set(seen))
    assert seen[-1] == at + 2 + after_write, "a number durable before the cut is lost, never used again"
    assert cut.writes == at, "one write a payment"


@pytest.mark.parametrize("after_write", [False, True])
def test_a_failing_memory_is_6581_and_no_cryptogram(after_write: bool) -> None:
    memory = chip()
    made = Card(FailingMemory(memory, at=1, after=after_write, fault=StoreGone("disk full")))
    made.power_on(CONTACTLESS)
    refused = gpo(made)
    assert (refused.sw, refused.data) == (StatusWord.MEMORY_FAILURE, b"")
    assert int.from_bytes(tap(made)[0x9F36]) == 1 + after_write, "the memory is asked again, not remembered"


@settings(max_examples=examples(60, heavy=2_500), deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["tap", "half", "select", "bad"]), CUTS), max_size=14))
def test_numbers_rise_whatever_happens(steps: list[tuple[str, str | None]]) -> None:
    memory, seen = chip(), []
    for step, cut in steps:
        watched = FailingMemory(memory, at=1 if cut else 0, after=cut == "after", fault=PowerCut())
        made = Card(watched)
        made.power_on(CONTACTLESS)
        try:
            if step == "tap":
                seen.append(int.from_bytes(tap(made)[0x9F36]))
            elif step == "half":
                gpo(made)  # the answer is lost on its way
            else:
                ask(made, commands.select(DEBIT.aid))
                if step == "bad":
                    ask(made, commands.get_processing_options(bytes(7)))
        except PowerCut:
            continue
    assert seen == sorted(set(seen))
    assert int.from_bytes(memory.read(ATC) or b"") >= (seen or [0])[-1]


class Stock:
    """A phone's way: numbers and keys came from the cloud, and there are few of them."""

    def __init__(self, *numbers: int) -> None:
        self.numbers, self.key = list(numbers), SessionKey(CardAlgorithm.TDES, bytes(range(16)))

    def exhausted(self) -> bool:
        return not self.numbers

    def spend(self, said: dict[int, bytes]) -> Spent | StatusWord:
        assert said[0x9F02] == FILLED[4:10]
        return Spent(atc=self.numbers.pop(0), ac=self.key) if self.numbers else StatusWord.CONDITIONS_NOT_SATISFIED


def test_another_key_ring_around_the_same_application() -> None:
    stock = Stock(7, 9)
    application = Application(chip(), DEBIT.aid, ring=stock)
    payment = commands.get_processing_options(FILLED)
    for number in (7, 9):
        assert application.select(CONTACTLESS).ok
        values = parse_gpo_response(application.answer(payment).data)
        assert int.from_bytes(values[0x9F36]) == number
        said = {tag: bytes.fromhex(text) for tag, text in TERMINAL.items()} | {0x9F66: FILLED[:4]}
        assert values[0x9F26] == stock.key.cryptogram(cryptogram_input(0x01, said | values))
    assert application.select(CONTACTLESS).sw == StatusWord.BLOCKED_FILE
    assert application.answer(payment).sw == StatusWord.CONDITIONS_NOT_SATISFIED
    stock.exhausted = lambda: False
    assert application.select(CONTACTLESS).ok
    assert application.answer(payment).sw == StatusWord.CONDITIONS_NOT_SATISFIED, "nothing to sign with"


def test_a_memory_that_lost_its_counter() -> None:
    memory = chip()
    made = Card(memory)
    memory.write({ATC: None})
    made.power_on(CONTACTLESS)
    assert ask(made, commands.select(DEBIT.aid)).sw == StatusWord.MEMORY_FAILURE


def test_the_number_is_durable_before_the_cryptogram_leaves() -> None:
    memory = chip()
    made = Card(memory)
    made.power_on(CONTACTLESS)
    assert tap(made)[0x9F36] == memory.read(ATC)


def test_power_lost_between_selection_and_payment() -> None:
    made = card()
    ask(made, commands.select(DEBIT.aid))
    made.power_on(CONTACTLESS)
    assert ask(made, commands.get_processing_options(bytes(33))).sw == StatusWord.CONDITIONS_NOT_SATISFIED
