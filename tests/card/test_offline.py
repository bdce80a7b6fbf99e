"""Approval by the card alone: when, what it signs, and that a torn payment costs nothing and no number comes twice."""

import contextlib
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shanfu.card import PROFILES, Card, CardProfile, debit_2_0
from shanfu.card.live import LiveData
from shanfu.emv import (
    AFLEntry,
    CardChecks,
    IssuerApplicationData,
    commands,
    parse_afl,
    parse_gpo_response,
    parse_record,
    records,
)
from shanfu.errors import StoreGone
from shanfu.iso7816 import StatusWord
from tests.budget import examples
from tests.card.authority import certified, fast
from tests.card.bench import CONTACT, CONTACTLESS, NUMBER, TERMINAL, FailingMemory, PowerCut, ask, card, chip, gpo, tap
from tests.card.slot import ARQC, SAID, TC, Slot, insert
from tests.card.test_tap import verify

KINDS = ["1024", "1152", "sm2"]
ALONE = {"T9F66": "26000080", "T9F02": "000000001234"}  # nothing demanded of the card; fDDA 01 offered
RICH = {"balance_minor": 5_000, "single_limit_minor": 2_000, "last_online_atc": 1}
LEFT = bytes.fromhex("000000003766")


def rich(kind: str = "1024", edition: str = "debit-3.0", **changes: object) -> CardProfile:
    return certified(kind, PROFILES[edition](NUMBER, "LIN/YUE"), **(RICH | changes))


def wave(made: Card, profile: CardProfile, *, upto: int = 99, **said: str) -> Slot:
    """Tap and read the first `upto` records that the answer names."""
    values = {tag: bytes.fromhex(text) for tag, text in (SAID | TERMINAL).items()}
    slot = Slot(made, profile, values | {int(tag[1:], 16): bytes.fromhex(text) for tag, text in said.items()})
    answer = gpo(made, profile, **said)
    assert answer.ok, answer
    slot.shown = dict(parse_gpo_response(answer.data))
    for sfi, number, marked in list(records(parse_afl(slot.shown[0x94])) if 0x94 in slot.shown else [])[:upto]:
        record = slot.ask(commands.read_record(sfi, number))
        assert record.ok, (sfi, number, record)
        slot.shown |= {node.tag: node.value for node in parse_record(record.data)}
        slot.marked += [(sfi, record.data)] if marked else []
    return slot


@pytest.mark.parametrize("offered", ["26000000", "26000080"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("edition", PROFILES)
def test_an_approval(edition: str, kind: str, offered: str) -> None:
    profile = rich(kind, edition)
    memory = chip(profile)
    made = Card(memory)
    made.power_on(CONTACTLESS)
    said = ALONE | {"T9F66": offered}
    slot = wave(made, profile, **said)
    version_01 = offered.endswith("80")
    iad = verify(profile, {tag: slot.shown[tag] for tag in (0x82, 0x9F36, 0x9F10, 0x9F26)}, _hex(said))
    assert (iad.cryptogram_type.name, iad.cvr.hex()) == ("TC", "03900000")
    proof = fast(kind, slot, version_01=version_01)
    assert proof.ok, proof
    assert proof.proved[0x9F4C] == slot.shown[0x9F36], "the signed number is the transaction's"
    assert (0x9F69 in slot.shown) is (version_01 and edition.endswith("3.0"))
    assert slot.shown[0x9F5D] == LEFT == LiveData(memory, profile.aid).balance
    assert iad.balance is not None
    assert iad.balance.amount_minor == 3_766
    assert slot.shown[0x9F74] == b"ECC001"


def _hex(said: dict[str, str]) -> dict[int, str]:
    return {int(tag[1:], 16): text for tag, text in said.items()}


@pytest.mark.parametrize(("kind", "virtual"), [("1024", False), ("1152", True), ("sm2", False)])
def test_where_the_signature_stands(kind: str, virtual: bool) -> None:
    profile = rich(kind)
    made = card(profile)
    answer = tap(made, profile, **ALONE)
    entries = parse_afl(answer[0x94])
    assert (0x9F4B in answer) is not virtual
    assert (entries[-2] == AFLEntry(sfi=6, first=1, last=1)) is virtual
    assert (entries[-1].sfi, parse_record(ask(made, commands.read_record(4, 1)).data).tags) == (4, (0x9F74,)) or not virtual
    there = ask(made, commands.read_record(6, 1)).sw
    assert there == (StatusWord.OK if virtual else StatusWord.FILE_NOT_FOUND)
    tap(made, profile)
    assert ask(made, commands.read_record(6, 1)).sw == StatusWord.FILE_NOT_FOUND, "it was of that payment alone"


@pytest.mark.parametrize(("change", "said", "kind"), [
    ({},                                    {},                                       "TC"),
    ({},                                    {"T9F02": "000000002000"},                "TC"),
    ({},                                    {"T9F02": "000000002001"},                "ARQC"),  # over the single limit
    ({"balance_minor": 1_233},              {},                                       "ARQC"),
    ({"balance_minor": 1_234},              {},                                       "TC"),
    ({"last_online_atc": 0},                {},                                       "ARQC"),
    ({"pin_tries": 0},                      {},                                       "ARQC"),
    ({"balance_minor": None},               {},                                       "ARQC"),
    ({"checks": CardChecks(0)},             {},                                       "ARQC"),  # its issuer wants none
    ({"oda": None},                         {},                                       "ARQC"),
    ({},                                    {"T5F2A": "0344"},                        "ARQC"),
    ({},                                    {"T9F66": "26800080"},                    "ARQC"),  # the terminal asks the issuer
    ({},                                    {"T9F66": "26400080"},                    "ARQC"),  # a PIN that only he can check
    ({},                                    {"T9F66": "22400080"},                    "TC"),    # a signature
    ({},                                    {"T9F66": "2E000080"},                    "TC"),    # a terminal without a line
    ({"balance_minor": 1_233},              {"T9F66": "2E000080"},                    "AAC"),
    ({},                                    {"T9F66": "20400080"},                    "AAC"),
])  # fmt: skip
def test_when(change: dict[str, object], said: dict[str, str], kind: str) -> None:
    profile = replace(rich(), **change)
    answer = tap(card(profile), profile, **(ALONE | said))
    assert IssuerApplicationData.parse(answer[0x9F10]).cryptogram_type.name == kind
    assert (0x94 in answer) is (0x9F4B in answer) is (kind == "TC")


def test_an_amount_without_digits_is_never_approved() -> None:
    profile = rich()
    answer = tap(card(profile), profile, **(ALONE | {"T9F02": "00000000000A"}))
    assert IssuerApplicationData.parse(answer[0x9F10]).cryptogram_type.name == "ARQC"


def test_the_debit_falls_with_the_last_record_and_once() -> None:
    profile = rich()
    memory = chip(profile)
    made, live = Card(memory), LiveData(memory, profile.aid)
    made.power_on(CONTACTLESS)
    count = len(list(records(parse_afl(wave(made, profile, upto=0, **ALONE).shown[0x94]))))
    for upto in range(count):
        wave(made, profile, upto=upto, **ALONE)
        assert live.balance == bytes.fromhex("000000005000"), f"torn after {upto} of {count} records"
    wave(made, profile, **ALONE)
    assert live.balance == LEFT
    assert ask(made, commands.read_record(4, 1)).ok
    assert live.balance == LEFT, "read again, debited no more"
    made.power_on(CONTACTLESS)
    ask(made, commands.select(profile.aid))
    ask(made, commands.read_record(4, 1))
    assert live.balance == LEFT
    assert live.atc == count + 2


def test_the_balance_is_spent_down_and_no_further() -> None:
    profile = rich()
    memory = chip(profile)
    made = Card(memory)
    made.power_on(CONTACTLESS)
    kinds = [IssuerApplicationData.parse(wave(made, profile, **ALONE).shown[0x9F10]).cryptogram_type.name for _ in range(6)]
    assert kinds == ["TC"] * 4 + ["ARQC"] * 2
    assert LiveData(memory, profile.aid).balance == bytes.fromhex("000000000064")


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("at", [1, 2])
def test_a_power_cut_at_either_write(at: int, after: bool) -> None:
    """Writes: 1 the number, 2 the debit."""
    profile = rich()
    memory = chip(profile)
    made = Card(FailingMemory(memory, at=at, after=after, fault=PowerCut()))
    made.power_on(CONTACTLESS)
    with pytest.raises(PowerCut):
        wave(made, profile, **ALONE)
    live = LiveData(memory, profile.aid)
    assert (live.atc, live.balance == LEFT) == (int(at > 1 or after), at == 2 and after)


@pytest.mark.parametrize("after", [False, True])
def test_a_failing_memory_at_the_last_record_debits_once(after: bool) -> None:
    profile = rich()
    memory = chip(profile)
    made = Card(FailingMemory(memory, at=2, after=after, fault=StoreGone("disk full")))
    made.power_on(CONTACTLESS)
    *_, (sfi, number, _) = records(parse_afl(wave(made, profile, upto=0, **ALONE).shown[0x94]))
    assert ask(made, commands.read_record(sfi, number)).sw == StatusWord.MEMORY_FAILURE
    assert ask(made, commands.read_record(sfi, number)).ok, "tried again: the record, and what it costs"
    assert LiveData(memory, profile.aid).balance == LEFT


@pytest.mark.parametrize("after", [False, True])
def test_a_failing_memory_at_the_certificate_signs_nothing_more(after: bool) -> None:
    profile = rich()
    memory = chip(profile)
    made = Card(FailingMemory(memory, at=2, after=after, fault=StoreGone("disk full")))
    made.power_on(CONTACT)
    slot = insert(made, profile, T9F7A="01")
    assert slot.generate(TC).sw == StatusWord.MEMORY_FAILURE
    assert slot.generate(TC).sw == StatusWord.CONDITIONS_NOT_SATISFIED
    assert (LiveData(memory, profile.aid).balance == LEFT) is after, "never twice"


STEPS = st.lists(
    st.tuples(st.sampled_from(["tap", "slot", "ecash", "online"]), st.integers(0, 9), st.sampled_from([None, False, True])),
    max_size=8,
)


@settings(max_examples=examples(25, heavy=1_000), deadline=None)
@given(STEPS)
def test_pulled_anywhere_no_number_comes_twice_and_nothing_is_paid_twice(
    steps: list[tuple[str, int, bool | None]],
) -> None:
    """The card is pulled after n commands, or the power fails around its nth write, in taps and insertions of all sorts."""
    profile = rich(balance_minor=90_000)
    memory, given = chip(profile), []
    live = LiveData(memory, profile.aid)
    for what, pulled_at, cut in steps:
        before = int((live.balance or b"").hex())
        failing = FailingMemory(memory, at=1 + pulled_at % 3, after=bool(cut), fault=PowerCut())
        made = Pulled(failing if cut is not None else memory, pulled_at if cut is None else 99)
        made.power_on(CONTACTLESS if what == "tap" else CONTACT)
        with contextlib.suppress(PowerCut):
            pay(made, profile, what)
        given += made.numbers
        spent = before - int((live.balance or b"").hex())
        assert spent in (0, 1_234), what
        assert spent == 1_234 or not made.paid, "whoever holds a finished payment was paid by the card"
    assert len(given) == len(set(given))
    assert given == sorted(given)


class Pulled(Card):
    """A card that leaves after so many commands, and what it had given until then."""

    def __init__(self, memory: object, commands_left: int) -> None:
        super().__init__(memory)  # type: ignore[arg-type]
        self.left, self.numbers, self.certified, self.paid = commands_left, [], False, False

    def answer(self, command: bytes) -> bytes:
        """Answer, unless the card is gone."""
        self.left -= 1
        if self.left < 0:
            raise PowerCut
        return super().answer(command)


def pay(made: Pulled, profile: CardProfile, what: str) -> None:
    if what == "tap":
        answer = gpo(made, profile, **ALONE)
        shown = parse_gpo_response(answer.data)
        made.numbers.append(int.from_bytes(shown[0x9F36]))
        made.certified = 0x94 in shown
        for sfi, number, _ in records(parse_afl(shown[0x94])) if made.certified else ():
            ask(made, commands.read_record(sfi, number))
        made.paid = made.certified
        return
    slot = insert(made, profile, T9F7A="01" if what == "ecash" else "00")
    answer = slot.generate(ARQC if what == "online" else TC)
    made.numbers.append(int.from_bytes(slot.shown[0x9F36]))
    made.certified = made.paid = what == "ecash" and answer.ok and slot.kind == "TC" and 0x9F74 in slot.shown


def test_a_card_of_the_second_edition_signs_version_00() -> None:
    profile = certified("1024", debit_2_0(NUMBER), **RICH)
    slot = wave(card(profile), profile, **ALONE)
    assert 0x9F69 not in slot.shown
    assert fast("1024", slot, version_01=True).ok
