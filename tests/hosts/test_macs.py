"""MACs of the interbank wire under several keys: the newest first, by the cipher of each, and never a question in vain."""

import pytest

from shanfu.hosts import interbank_trial, right_macs, seal_interbank, try_keys
from shanfu.hsm import LMK, Algorithm, KeyBlock, KeyUsage, SoftHSM
from shanfu.iso8583 import InterbankFrame, InterbankHeader, Message, decode_interbank
from tests.iso8583.samples import TOKEN_PURCHASE

HSM = SoftHSM(LMK(bytes(range(32))))
OLD, NEW, OTHER = (HSM.generate(KeyUsage.MAK, Algorithm.TDES) for _ in range(3))
SM4 = HSM.generate(KeyUsage.MAK, Algorithm.SM4)
HEADER = InterbankHeader(destination="00010000", source="99012900")
PLAIN, ANNOUNCED_SM4 = "0" * 21, "0" * 20 + "4"


def sealed(key: KeyBlock | None, *, de60: str = PLAIN, mti: str = "0200") -> Message:
    frame = decode_interbank(TOKEN_PURCHASE)
    fields = {number: value for number, value in frame.message.fields.items() if number < 128} | {60: de60}
    [raw] = seal_interbank(HSM, [(InterbankFrame(HEADER, Message(mti, fields)), key)])
    return decode_interbank(raw).message


# fmt: off
TRIALS = [
    # made under, DE60,           tried under          right
    (NEW,         PLAIN,          [NEW, OLD],          True),
    (OLD,         PLAIN,          [NEW, OLD],          True),
    (OTHER,       PLAIN,          [NEW, OLD],          False),
    (NEW,         PLAIN,          [],                  False),
    (SM4,         ANNOUNCED_SM4,  [SM4],               True),
    (SM4,         ANNOUNCED_SM4,  [NEW, SM4],          True),   # the cipher was changed by the last reset
    (SM4,         PLAIN,          [SM4],               False),  # says 3DES, is SM4
    (NEW,         ANNOUNCED_SM4,  [NEW],               False),
    (None,        PLAIN,          [NEW],               False),
]
# fmt: on


@pytest.mark.parametrize(("made", "de60", "tried", "right"), TRIALS)
def test_trials(made: KeyBlock | None, de60: str, tried: list[KeyBlock], right: bool) -> None:
    assert right_macs(HSM, [interbank_trial(sealed(made, de60=de60), tried)]) == [right]


def test_a_batch_has_its_verdicts_in_order() -> None:
    trials = [interbank_trial(sealed(made, de60=de60), tried) for made, de60, tried, _ in TRIALS]
    assert right_macs(HSM, trials) == [row[3] for row in TRIALS]


@pytest.mark.parametrize("mti", ["0400", "0500", "0820"])
def test_a_kind_without_a_mac_goes_without_and_is_never_right(mti: str) -> None:
    message = sealed(NEW, mti=mti)
    assert 128 not in message
    message.fields[128] = "00000000"
    assert right_macs(HSM, [interbank_trial(message, [NEW])]) == [False]


def test_each_generation_of_keys_is_asked_for_once() -> None:
    asked: list[list[tuple[int, KeyBlock]]] = []

    def ask(jobs: list[tuple[int, KeyBlock]]) -> list[bool]:
        asked.append(jobs)
        return [key == OLD for _, key in jobs]

    assert try_keys([[NEW, OLD], [OLD], [NEW], [NEW, OTHER]], ask, failed=False) == [True, True, False, False]
    assert asked == [[(0, NEW), (1, OLD), (2, NEW), (3, NEW)], [(0, OLD), (3, OTHER)]]
