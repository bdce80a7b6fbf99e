"""Every way in which a wave ends without the host: readers, cards without antenna, torn taps, refusals, bad data."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shanfu.card import Interface, credit_2_0, credit_3_0, debit_2_0, debit_3_0
from shanfu.crypto import CardAlgorithm
from shanfu.emv import CTQ, CVM, TTQ, DirectoryEntry, IssuerApplicationData, decode_field55, ppse_fci
from shanfu.errors import LinkClosed
from shanfu.iso7816 import ResponseAPDU, StatusWord, tlv
from shanfu.pan import PAN
from shanfu.terminal import (
    AIDParameters,
    Outcome,
    ReaderKind,
    Reason,
    UIMessage,
    candidates,
    choose_cvm,
    read_gpo,
    unionpay_aids,
)
from tests.budget import examples
from tests.terminal.chips import Bent, says
from tests.terminal.shop import PAN_DIGITS, Shop, card, config, yuan

DEBIT = bytes.fromhex("A000000333010101")
CREDIT = bytes.fromhex("A000000333010102")
OTHER = bytes.fromhex("A0000000031010")
PPSE_OK = bytes(ResponseAPDU(ppse_fci([DirectoryEntry(aid=DEBIT, label=b"PBOC DEBIT", priority=1)])))
PDOL = bytes.fromhex("9F66049F02069F03069F1A0295055F2A029A039C019F3704")
TRACK2 = bytes.fromhex("6228000100001117D301220101234567899F")
ARQC = {
    0x82: "7C00", 0x9F36: "0001", 0x57: TRACK2.hex(), 0x9F10: "07010103A00000010A010000000000ED538FE4",
    0x9F26: "1122334455667788", 0x5F34: "01", 0x9F6C: "2000",
}  # fmt: skip


def adf(pdol: bytes | None = PDOL) -> bytes:
    inside = [tlv(0x50, b"PBOC DEBIT")] + ([tlv(0x9F38, pdol)] if pdol is not None else [])
    return bytes(ResponseAPDU(bytes(tlv(0x6F, tlv(0x84, DEBIT), tlv(0xA5, *inside)))))


def gpo(**changes: str | None) -> bytes:
    values = {**ARQC, **{int(tag[1:], 16): value for tag, value in changes.items()}}
    return bytes(ResponseAPDU(bytes(tlv(0x77, *(tlv(tag, bytes.fromhex(v)) for tag, v in values.items() if v is not None)))))


class PaperCard:
    """Answers from a list, then is gone."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)

    def power_on(self, interface: Interface) -> bytes:
        return b"\x01"

    def power_off(self) -> None:
        pass

    def answer(self, command: bytes) -> bytes:
        if not self.answers:
            raise LinkClosed("gone")
        return self.answers.pop(0)


INSERT, AGAIN, END = Outcome.TRY_ANOTHER_INTERFACE, Outcome.TRY_AGAIN, Outcome.END_APPLICATION
TWICE = bytes(ResponseAPDU(bytes(tlv(0x77, tlv(0x82, b"\x7c\0"), tlv(0x57, TRACK2), tlv(0x57, TRACK2)))))

R, UI = Reason, UIMessage

# fmt: off
ENDINGS = [  # what the card answers,                      outcome,          reason,               display
    ([b"\x6a\x82"],                                        INSERT,           R.NO_APPLICATION,      UI.INSERT_CARD),
    ([b"\x6a\x81"],                                        END,              R.APPLICATION_REFUSED, UI.TRY_ANOTHER_CARD),
    ([b"\x90\x00"],                                        END,              R.CARD_DATA,           UI.TRY_ANOTHER_CARD),
    ([b"\x12\x34"],                                        END,              R.CARD_DATA,           UI.TRY_ANOTHER_CARD),
    ([b""],                                                INSERT,           R.NO_CARD,             UI.INSERT_CARD),
    ([PPSE_OK, b"\x62\x83"],                               INSERT,           R.NO_APPLICATION,      UI.OTHER_INTERFACE),
    ([PPSE_OK, b"\x6a\x82"],                               INSERT,           R.NO_APPLICATION,      UI.OTHER_INTERFACE),
    ([PPSE_OK, adf(None)],                                 INSERT,           R.NO_APPLICATION,      UI.OTHER_INTERFACE),
    ([PPSE_OK, adf(b"\x95\x05")],                          INSERT,           R.NO_APPLICATION,      UI.OTHER_INTERFACE),
    ([PPSE_OK, adf(b"\x9f")],                              END,              R.CARD_DATA,           UI.TRY_ANOTHER_CARD),
    ([PPSE_OK, adf(), b"\x69\x84"],                        INSERT,           R.APPLICATION_REFUSED, UI.OTHER_INTERFACE),
    ([PPSE_OK, adf(), b"\x69\x85"],                        END,              R.APPLICATION_REFUSED, UI.TRY_ANOTHER_CARD),
    ([PPSE_OK, adf(), b"\x69\x86"],                        AGAIN,            R.SEE_PHONE,           UI.SEE_PHONE),
    ([PPSE_OK, adf(), b"\x6f\x00"],                        END,              R.APPLICATION_REFUSED, UI.TRY_ANOTHER_CARD),
    ([PPSE_OK, adf(), gpo(t82=None)],                      END,              R.CARD_DATA,           UI.TRY_ANOTHER_CARD),
    ([PPSE_OK, adf(), gpo(t57=None)],                      END,              R.MISSING_DATA,        UI.TRY_ANOTHER_CARD),
    ([PPSE_OK, adf(), gpo(t9F36=None)],                    END,              R.MISSING_DATA,        UI.TRY_ANOTHER_CARD),
    ([PPSE_OK, adf(), gpo(t9F10=None)],                    END,              R.CARD_DATA,           UI.TRY_ANOTHER_CARD),
    ([PPSE_OK, adf(), gpo(t9F26=None)],                    END,              R.NO_CRYPTOGRAM,       UI.TRY_ANOTHER_CARD),
    ([PPSE_OK, adf(), gpo(t9F26="11")],                    END,              R.CARD_DATA,           UI.TRY_ANOTHER_CARD),
    ([PPSE_OK, adf(), gpo(t57="1234")],                    END,              R.CARD_DATA,           UI.TRY_ANOTHER_CARD),
    ([PPSE_OK, adf(), gpo(t5A="6228000100001118")],        END,              R.CARD_DATA,           UI.TRY_ANOTHER_CARD),
    ([PPSE_OK, adf(), TWICE],                              END,              R.CARD_DATA,           UI.TRY_ANOTHER_CARD),
    ([PPSE_OK, adf(), bytes.fromhex("80067C00080101009000")], END,           R.NO_CRYPTOGRAM,       UI.TRY_ANOTHER_CARD),
    ([PPSE_OK, adf(), gpo(t9F10="07010103800000010A010000000000ED538FE4")], Outcome.DECLINED, R.CARD_DECLINED, UI.DECLINED),
    ([PPSE_OK, adf(), gpo(t9F10="07010103900000010A010000000000ED538FE4")], END, R.OFFLINE_APPROVAL, UI.INSERT_CARD),
    ([PPSE_OK, adf(), gpo(t9F10="07010103B00000010A010000000000ED538FE4")], Outcome.DECLINED, R.CARD_DECLINED, UI.DECLINED),
    ([],                                                   AGAIN,            R.CARD_REMOVED,        UI.PRESENT_AGAIN),
    ([PPSE_OK],                                            AGAIN,            R.CARD_REMOVED,        UI.PRESENT_AGAIN),
    ([PPSE_OK, adf()],                                     AGAIN,            R.CARD_REMOVED,        UI.PRESENT_AGAIN),
]
# fmt: on


@pytest.mark.parametrize(("answers", "outcome", "reason", "ui"), ENDINGS)
def test_endings(answers: list[bytes], outcome: Outcome, reason: Reason, ui: UIMessage) -> None:
    shop = Shop(card=PaperCard(*answers))
    receipt = shop.pay()
    assert (receipt.outcome, receipt.reason, receipt.ui) == (outcome, reason, ui)
    assert [message.mti for message in shop.host.asked] == ["0800"]
    assert not shop.terminal.journal.transactions


def test_full_pboc_terminals_end_with_a_name() -> None:
    both = config(ttq=TTQ.parse(bytes.fromhex("76000080")))
    shop = Shop(settings=both, card=PaperCard(PPSE_OK, adf(), gpo(t82="7C80")))
    assert shop.pay().reason is Reason.FULL_PBOC


@pytest.mark.parametrize("commands", [1, 2, 3])
def test_a_torn_tap_costs_nothing_but_a_number(commands: int) -> None:
    shop = Shop()
    torn = shop.pay(tear_after=commands)
    assert (torn.outcome, torn.reason) == (Outcome.TRY_AGAIN, Reason.CARD_REMOVED)
    again = shop.pay()
    assert again.approved
    assert again.atc == ("0002" if commands == 3 else "0001"), "the card spent a number if GPO had reached it"


@pytest.mark.parametrize(
    ("profile", "readers", "reason"),
    [
        ({"interfaces": frozenset({Interface.CONTACT})}, frozenset(ReaderKind), Reason.NO_CARD),
        ({}, frozenset({ReaderKind.CONTACT, ReaderKind.STRIPE}), Reason.NO_READER),
    ],
)
def test_without_an_antenna_on_either_side_the_card_is_inserted(
    profile: dict, readers: frozenset[ReaderKind], reason: Reason
) -> None:
    shop = Shop(settings=config(readers=readers), card=card(replace(debit_2_0(PAN(PAN_DIGITS)), **profile)))
    receipt = shop.pay()
    assert (receipt.outcome, receipt.reason, receipt.ui) == (INSERT, reason, UIMessage.INSERT_CARD)


def test_nobody_waves_anything() -> None:
    assert Shop(card=None).pay().reason is Reason.NO_CARD


def test_over_the_contactless_limit_no_card_is_asked_for() -> None:
    aids = (AIDParameters(aid=DEBIT, transaction_limit=50_000, cvm_limit=0),)
    shop = Shop(settings=config(aids=aids))
    assert shop.pay("500.00").reason is Reason.AMOUNT_OVER_LIMIT
    assert shop.pay("499.99").approved
    assert shop.steps


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([(DEBIT, 2, None), (CREDIT, 1, None)], [CREDIT, DEBIT]),
        ([(DEBIT, None, None), (CREDIT, 15, None)], [CREDIT, DEBIT]),
        ([(OTHER, 1, None), (DEBIT, 2, None)], [DEBIT]),
        ([(DEBIT, 1, b"\x07")], [DEBIT]),
        ([(DEBIT, 1, b"\x03")], []),
        ([(DEBIT, 1, None), (CREDIT, 1, None)], [DEBIT, CREDIT]),
    ],
)
def test_candidate_list(entries: list[tuple[bytes, int | None, bytes | None]], expected: list[bytes]) -> None:
    ppse = ppse_fci([DirectoryEntry(aid=aid, priority=rank, kernel_id=kernel) for aid, rank, kernel in entries])
    admitted = {unionpay_aids(enrolled=True)[0]: TTQ.QPBOC}
    assert [candidate.aid for candidate in candidates(ppse, admitted)] == expected


def test_the_next_application_is_selected_when_the_first_refuses() -> None:
    both = ppse_fci([DirectoryEntry(aid=CREDIT, priority=1), DirectoryEntry(aid=DEBIT, priority=2)])
    shop = Shop(card=PaperCard(bytes(ResponseAPDU(both)), b"\x6a\x82", adf(), gpo()))
    receipt = shop.pay()
    assert (receipt.approved, receipt.aid) == (True, DEBIT.hex().upper())


# Everything that vectors do not have: CDCVM against PIN, abilities that the terminal lacks.
@pytest.mark.parametrize(
    ("ttq", "ctq", "method"),
    [
        ("36C00080", "8080", CVM.CDCVM),
        ("32C00080", "C000", CVM.SIGNATURE),
        ("30C00080", "C000", None),
        ("30C00080", None, None),
        ("36800080", "8000", CVM.ONLINE_PIN),
    ],
)
def test_choose_cvm(ttq: str, ctq: str | None, method: CVM | None) -> None:
    asked = CTQ.parse(bytes.fromhex(ctq)) if ctq else None
    assert choose_cvm(TTQ.parse(bytes.fromhex(ttq)), asked) is method


def test_a_card_does_not_speak_for_the_terminal() -> None:
    shop = Shop(card=PaperCard(PPSE_OK, adf(), gpo(t9F02="000000000001", t95="FFFFFFFFFF", tDF32="00" * 90)))
    assert shop.pay("12.34").approved
    tags = decode_field55(shop.host.asked[-1].binary(55))
    assert (tags[0x9F02].hex(), tags[0x95].hex(), 0xDF32 in tags) == ("000000001234", "0000000000", False)


@settings(max_examples=examples(150, heavy=1_000), deadline=None)
@given(st.lists(st.binary(max_size=80), max_size=4))
def test_random_answers_never_raise(answers: list[bytes]) -> None:
    receipt = Shop(card=PaperCard(*answers)).pay()
    assert not receipt.approved


RIGHT = gpo()


@settings(max_examples=examples(200, heavy=1_000), deadline=None)
@given(st.integers(0, len(RIGHT) - 1), st.integers(1, 255), st.integers(0, len(RIGHT)))
def test_damaged_answers_never_raise(place: int, flip: int, length: int) -> None:
    damaged = bytearray(RIGHT)
    damaged[place] ^= flip
    for raw in (bytes(damaged), RIGHT[:length]):
        Shop(card=PaperCard(PPSE_OK, adf(), raw)).pay("1500.00")


def test_read_gpo_is_pure() -> None:
    ttq = TTQ.parse(bytes.fromhex("36800080"))
    answer = ResponseAPDU.parse(RIGHT)
    assert read_gpo(answer, ttq) == read_gpo(answer, ttq)


@pytest.mark.parametrize("profile", [debit_2_0, credit_2_0, debit_3_0, credit_3_0])
def test_every_profile_pays_with_its_own_cipher(profile) -> None:
    made = profile(PAN(PAN_DIGITS))
    shop = Shop(card=card(made))
    assert shop.pay("1500.00").approved
    iad = IssuerApplicationData.parse(decode_field55(shop.host.asked[-1].binary(55))[0x9F10])
    assert iad.algorithm == {CardAlgorithm.TDES: 1, CardAlgorithm.SM4: 4}[made.algorithm]


@pytest.mark.parametrize("step", ["A4", "A8"])
def test_every_status_word_ends_in_an_outcome(step: str) -> None:
    shop = Shop()
    words = [word for word in StatusWord if word != StatusWord.OK] + [0x61FF, 0x6C00, 0x63C2, 0x9F00, 0x1234, 0xFFFF]
    for word in words:
        shop.card = Bent(card(), {step: says(f"{word:04X}")})
        receipt = shop.pay()
        assert not receipt.approved
        assert receipt.reason is not None, hex(word)
    shop.card = card()
    assert shop.pay().approved


def test_two_cards_in_the_field_are_asked_to_be_one() -> None:
    shop = Shop()
    shop.reader.present(card())
    shop.reader.present_too(card())
    receipt = shop.drive(shop.terminal.pay(yuan("1.00")))
    assert (receipt.outcome, receipt.reason, receipt.ui) == (AGAIN, R.TWO_CARDS, UI.ONE_CARD_ONLY)
    shop.reader.remove()
    assert shop.pay().approved


@pytest.mark.parametrize(
    ("silent_after", "outcome", "reason"), [(0, INSERT, R.NO_CARD), (1, AGAIN, R.CARD_SILENT), (2, AGAIN, R.CARD_SILENT)]
)
def test_a_card_that_falls_silent(silent_after: int, outcome: Outcome, reason: Reason) -> None:
    shop = Shop()
    shop.reader.present(card(), silent_after=silent_after)
    receipt = shop.drive(shop.terminal.pay(yuan("1.00")))
    assert (receipt.outcome, receipt.reason) == (outcome, reason)


@pytest.mark.parametrize(("restarts", "sees_phone", "approved"), [(0, 1, False), (1, 1, True), (2, 1, True), (1, 2, False)])
def test_see_phone_begins_the_wave_again(restarts: int, sees_phone: int, approved: bool) -> None:
    """EMV CL A 6.2: try again with start B; the phone is unlocked meanwhile."""
    left = [sees_phone]

    def locked(reply: bytes) -> bytes:
        left[0] -= 1
        return b"\x69\x86" if left[0] >= 0 else reply

    shop = Shop(settings=config(restarts=restarts), card=Bent(card(), {"A8": locked}))
    receipt = shop.pay()
    assert receipt.approved is approved
    assert shop.steps.count("card A8") == min(restarts, sees_phone) + 1
    if not approved:
        assert (receipt.outcome, receipt.reason, receipt.ui) == (AGAIN, R.SEE_PHONE, UI.SEE_PHONE)
