"""Each misbehaviour, and who can find it out: the lie must be there, and nothing else be wrong."""

from collections.abc import Callable

import pytest

from shanfu.card import MISBEHAVIOURS, Card, CardProfile, Misbehaving, debit_3_0
from shanfu.emv import FCI, commands, parse_gpo_response, parse_record
from shanfu.errors import IntegrityError, NotFound
from shanfu.iso7816 import ResponseAPDU
from shanfu.oda import Part
from tests.card.authority import certified, fast, recovered
from tests.card.bench import CONTACT, CONTACTLESS, NUMBER, ask, chip, gpo
from tests.card.slot import ARQC, Bank, Slot, insert
from tests.card.test_offline import ALONE, RICH, wave
from tests.card.test_tap import verify

KIND = "1024"


def made(name: str, *, honest: bool = False, **how: object) -> tuple[Misbehaving | Card, CardProfile]:
    profile = certified(KIND, MISBEHAVIOURS[name].profile(debit_3_0(NUMBER)), **RICH)
    card = Card(chip(profile))
    liar = card if honest else Misbehaving(card, name, **how)  # type: ignore[arg-type]
    assert liar.has_interface(CONTACTLESS)
    assert liar.power_on(CONTACTLESS)
    return liar, profile


def slot(card: Misbehaving | Card, profile: CardProfile) -> Slot:
    card.power_on(CONTACT)
    return insert(card, profile)  # type: ignore[arg-type]


def tapped(card: Misbehaving | Card, profile: CardProfile) -> Slot:
    return wave(card, profile, **ALONE)  # type: ignore[arg-type]


def issuer_refuses(card: Misbehaving | Card, profile: CardProfile) -> bool:
    shown = tapped(card, profile).shown
    try:
        verify(
            profile, {tag: shown[tag] for tag in (0x82, 0x9F36, 0x9F10, 0x9F26)}, {0x9F02: ALONE["T9F02"], 0x9F66: "26000080"}
        )
    except IntegrityError:
        return True
    return False


def contact_refused(card: Misbehaving | Card, profile: CardProfile) -> bool:
    inside = slot(card, profile)
    inside.generate(ARQC)
    try:
        Bank(inside).verify()
    except IntegrityError:
        return True
    return False


def chain_broken(card: Misbehaving | Card, profile: CardProfile) -> bool:
    failure = recovered(KIND, tapped(card, profile)).failure
    return failure is not None and failure.part is Part.ICC_CERTIFICATE


def fdda_broken(card: Misbehaving | Card, profile: CardProfile) -> bool:
    inside = tapped(card, profile)
    return recovered(KIND, inside).failure is None and not fast(KIND, inside, version_01=True).ok


def expired(card: Misbehaving | Card, profile: CardProfile) -> bool:
    return tapped(card, profile).shown[0x5F24] < bytes.fromhex("261122")


def selection_warns(card: Misbehaving | Card, profile: CardProfile) -> bool:
    return ask(card, commands.select(profile.aid)).sw == 0x6283  # type: ignore[arg-type]


def pin_locked(card: Misbehaving | Card, profile: CardProfile) -> bool:
    inside = slot(card, profile)
    return inside.ask(commands.get_data(0x9F17)).data[-1] == 0


def counter_missing(card: Misbehaving | Card, profile: CardProfile) -> bool:
    answer = gpo(card, profile, **ALONE)  # type: ignore[arg-type]
    return 0x9F36 not in parse_gpo_response(answer.data)


def number_twice(card: Misbehaving | Card, profile: CardProfile) -> bool:
    gpo(card, profile, **ALONE)  # type: ignore[arg-type]
    record = ask(card, commands.read_record(3, 1)).data  # type: ignore[arg-type]
    return parse_record(record).tags.count(0x5A) == 2


def same_number(card: Misbehaving | Card, profile: CardProfile) -> bool:
    first, second = (parse_gpo_response(gpo(card, profile).data) for _ in range(2))  # type: ignore[arg-type]
    return (first[0x9F36], first[0x9F26]) == (second[0x9F36], second[0x9F26])


def too_long(card: Misbehaving | Card, profile: CardProfile) -> bool:
    answer = ask(card, commands.select(profile.aid)).data  # type: ignore[arg-type]
    return len(answer) > 256 and FCI.parse(answer).df_name == profile.aid


FOUND: list[tuple[str, Callable[[Misbehaving | Card, CardProfile], bool]]] = [
    ("expired", expired), ("blocked", selection_warns), ("pin-locked", pin_locked), ("wrong-aip", issuer_refuses),
    ("wrong-aip", chain_broken), ("bad-certificate", chain_broken), ("bad-fdda", fdda_broken), ("missing-tag", counter_missing),
    ("duplicate-tag", number_twice), ("wrong-atc", issuer_refuses), ("wrong-atc", contact_refused), ("wrong-atc", fdda_broken),
    ("replayed-cryptogram", same_number), ("oversized-fci", too_long), ("wrong-aip", contact_refused),
]  # fmt: skip


@pytest.mark.parametrize(("name", "found"), FOUND, ids=[f"{name}-{found.__name__}" for name, found in FOUND])
def test_it_can_be_found_out(name: str, found: Callable[[Misbehaving | Card, CardProfile], bool]) -> None:
    assert found(*made(name))
    if name not in {"expired", "blocked", "pin-locked"}:  # those are made so, and tell the truth
        assert not found(*made(name, honest=True)), "an honest card of the same make is in order"


@pytest.mark.parametrize("at", [1, 2, 3])
def test_torn(at: int) -> None:
    torn, profile = made("torn", at=at)
    script = [commands.select_ppse(), commands.select(profile.aid), commands.get_data(0x9F36), commands.get_data(0x9F17)]
    answers = [torn.answer(bytes(command)) for command in script]
    assert [bool(answer) for answer in answers] == [number < at for number in range(1, 5)]
    assert torn.power_on(CONTACTLESS)
    assert torn.answer(bytes(script[0])) == answers[0] or at == 1, "and comes again"
    torn.power_off()
    assert torn.answer(bytes(script[0])) == b""


def test_slow() -> None:
    waits: list[float] = []
    slow, profile = made("slow", pause=waits.append)
    assert tapped(slow, profile).shown[0x9F26]
    assert set(waits) == {2.0}
    assert len(waits) > 5


def test_names_and_words() -> None:
    assert {name for name, _ in FOUND} | {"torn", "slow"} == set(MISBEHAVIOURS), "each of them is tried"
    assert all(row.en and row.zh for row in MISBEHAVIOURS.values())
    with pytest.raises(NotFound, match="there are expired, blocked"):
        Misbehaving(Card(applications=[]), "late")
    liar, _ = made("bad-fdda")
    assert NUMBER.digits not in repr(liar)


@pytest.mark.parametrize("name", MISBEHAVIOURS)
def test_noise_never_upsets_a_liar(name: str) -> None:
    liar, _ = made(name, **({"pause": lambda _: None} if name == "slow" else {}))
    for noise in (b"", b"\0", b"\0\xa4", bytes(5), b"\x80\xa8" + bytes(40), b"\x80\xae\x80\0\0", b"\0\xb2\1\x0c\0"):
        liar.power_on(CONTACTLESS)
        answer = liar.answer(noise)
        assert len(answer) >= 2
        assert ResponseAPDU.parse(answer).sw != 0x6F00
