"""Approval by the card alone, by wave and in the slot: when, why not, and how the acquirer comes to know of it."""

from dataclasses import replace

import pytest

from shanfu.card import Interface, debit_2_0, debit_3_0
from shanfu.emv import CTQ, CVM, TTQ, decode_field55
from shanfu.pan import PAN
from shanfu.terminal import Kind, Outcome, Reason, Receipt, State, UIMessage, print_receipt, unionpay_aids
from tests.terminal.chips import Bend, Bent, authority, chain, genuine, made, says, swapped
from tests.terminal.shop import PAN_DIGITS, Play, PowerCut, Shop, closed, config, declines, lost, silent, yuan

FLOORS = (replace(unionpay_aids(enrolled=True)[0], contactless_floor=10_000, floor=10_000),)
R = Reason
END, DECLINED, ANOTHER = Outcome.END_APPLICATION, Outcome.DECLINED, Outcome.TRY_ANOTHER_INTERFACE


def shop(*, bends: dict[str, Bend] | None = None, card: dict[str, object] | None = None, **changes: object) -> Shop:
    one = made(genuine(**{"balance_minor": 50_000, **(card or {})}))
    return Shop(
        settings=config(**{"ca_keys": (authority(),), "aids": FLOORS, **changes}), card=Bent(one, bends) if bends else one
    )


def balance_of(at: Shop) -> int:
    card = at.card.inside if isinstance(at.card, Bent) else at.card
    card.power_on(Interface.CONTACTLESS)
    card.answer(bytes.fromhex("00A4040008A00000033301010100"))
    return int(card.answer(bytes.fromhex("80CA9F7900"))[3:9].hex())


def sent(at: Shop) -> list[str]:
    return [message.mti for message in at.host.asked]


def test_under_the_floor_the_card_approves_and_nobody_is_asked() -> None:
    at = shop()
    receipt = at.pay("30.00")
    assert at.steps[-9:] == ["card A4", "card A4", "card A8", *["card B2"] * 5, "keep transaction"]
    assert (receipt.approved, receipt.offline, receipt.cvm, receipt.response_code) == (True, True, CVM.NONE, "")
    assert (sent(at), balance_of(at)) == (["0800"], 47_000)
    assert print_receipt(receipt).splitlines()[-3:] == [
        f"TC: {receipt.cryptogram}", "APPROVED BY THE CARD, OFFLINE", "PIN-FREE AND SIGNATURE-FREE",
    ]  # fmt: skip
    (kept,) = at.terminal.journal.transactions.values()
    assert (kept.kind, kept.state, kept.upload_due, kept.due) == (Kind.PURCHASE, State.APPROVED, True, False)
    assert PAN_DIGITS not in "".join(map(str, at.heard.events))


def test_the_upload_carries_the_tc() -> None:
    at = shop()
    stan = at.pay("30.00").stan
    assert at.pay("150.00").approved  # over the floor: online, and the upload goes before it
    assert sent(at) == ["0800", "0320", "0200"]
    upload = at.host.asked[1]
    assert sorted(upload.fields) == [2, 3, 4, 11, 14, 22, 23, 25, 41, 42, 49, 55, 60, 64]
    fixed = {3: "000000", 4: "000000003000", 11: stan, 22: "072", 60: "36000007000600"}
    assert {number: upload.fields[number] for number in fixed} == fixed
    tags = decode_field55(upload.binary(55))
    assert (tags[0x9F27].hex(), tags[0x8A], tags[0x9F74]) == ("40", b"Y1", b"ECC001")
    kept = at.terminal.journal.find(stan)
    assert (kept.upload_due, kept.rrn) == (False, f"{2:012d}")


@pytest.mark.parametrize(
    ("text", "settings", "card", "mtis"),
    [
        ("100.00", {}, {}, []),
        ("100.01", {}, {}, ["0200"]),
        ("30.00", {"aids": unionpay_aids(enrolled=True)}, {}, ["0200"]),  # the floor is 0 unless somebody raised it
        ("30.00", {}, {"balance_minor": 2_999}, ["0200"]),
        ("30.00", {}, {"oda": None}, ["0200"]),
    ],
)
def test_when_it_happens(text: str, settings: dict[str, object], card: dict[str, object], mtis: list[str]) -> None:
    at = shop(card=card, **settings)
    assert at.pay(text).approved
    assert sent(at)[1:] == mtis


ONLINE, OTHER, EXPIRED_ONLINE = CTQ.ONLINE_IF_ODA_FAILS, CTQ.OTHER_INTERFACE_IF_ODA_FAILS, CTQ.ONLINE_IF_EXPIRED
NEITHER = CTQ.parse(bytes(2))
LATE = {"B2011C": swapped("5F2403301231", "5F2403251231")}
FORGED = {"A8": lambda reply: reply[:-60] + bytes((reply[-60] ^ 1,)) + reply[-59:]}

# what is wrong,          the card's wish, bends, settings,                           outcome, reason
REFUSALS = [
    ("exception file",     ONLINE,   {},     {"exception_file": frozenset({PAN_DIGITS})}, DECLINED, R.EXCEPTION_FILE),
    ("expired",            ONLINE,   LATE,   {},                                       DECLINED, R.EXPIRED_CARD),
    ("expired, may ask",   EXPIRED_ONLINE, LATE, {},                                   Outcome.APPROVED, None),
    ("expired, no host",   EXPIRED_ONLINE, LATE, {"online_capable": False},            DECLINED, R.EXPIRED_CARD),
    ("no CA key, online",  ONLINE,   {},     {"ca_keys": ()},                          Outcome.APPROVED, None),
    ("no CA key, insert",  OTHER,    {},     {"ca_keys": ()},                          ANOTHER, R.AUTHENTICATION),
    ("no CA key",          NEITHER,  {},     {"ca_keys": ()},                          DECLINED, R.AUTHENTICATION),
    ("forged, online",     ONLINE,   FORGED, {},                                       Outcome.APPROVED, None),
    ("forged",             NEITHER,  FORGED, {},                                       DECLINED, R.AUTHENTICATION),
    ("no record",          ONLINE,   {"B2": says("6A83")}, {},                         END, R.CARD_DATA),
    ("no template",        ONLINE,   {"B2": says("57019000")}, {},                     END, R.CARD_DATA),
    ("cut record",         ONLINE,   {"B2": lambda reply: reply[3:]}, {},              END, R.CARD_DATA),
    ("the same twice",     ONLINE,   {"B20114": says("70055F24033012319000")}, {},     END, R.CARD_DATA),
    ("no AFL",     ONLINE,   {"A8": swapped("9410", "9510")}, {},              END, R.MISSING_DATA),
]  # fmt: skip


@pytest.mark.parametrize("row", REFUSALS, ids=lambda row: row[0])
def test_what_a_tc_is_worth(row: tuple[str, CTQ, dict[str, Bend], dict[str, object], Outcome, Reason | None]) -> None:
    _, ctq, bends, settings, outcome, reason = row
    at = shop(bends=bends or {"00": says("")}, card={"ctq": ctq}, **settings)
    receipt = at.pay("30.00")
    assert (receipt.outcome, receipt.reason) == (outcome, reason)
    if outcome is Outcome.APPROVED:  # the issuer decided
        tags = decode_field55(at.host.asked[-1].binary(55))
        assert (sent(at), tags[0x9F27].hex(), receipt.offline) == (["0800", "0200"], "40", False)
    else:
        assert sent(at) == ["0800"]
        assert not at.terminal.journal.transactions


@pytest.mark.parametrize("tear", range(1, 9))
def test_a_card_torn_from_the_field_pays_once_or_not_at_all(tear: int) -> None:
    at = shop()
    receipt = at.pay("30.00", tear_after=tear)
    assert (receipt.outcome, receipt.reason, receipt.ui) == (Outcome.TRY_AGAIN, R.CARD_REMOVED, UIMessage.PRESENT_AGAIN)
    lost_in_the_air = 3_000 if tear == 8 else 0  # the last record's answer: JR/T 0025.12 knows no way back
    assert balance_of(at) == 50_000 - lost_in_the_air
    assert at.pay("30.00").approved
    assert balance_of(at) == 47_000 - lost_in_the_air


@pytest.mark.parametrize(
    ("plays", "uploads", "reconcile"),
    [
        ([], 1, False),
        ([declines("94")], 1, False),
        ([declines("12")], 1, True),
        ([declines("25")], 1, True),
        ([silent], 2, False),
        ([lost], 2, False),
        ([declines("96"), declines("97"), declines("A0")], 4, False),  # the host could not
        ([declines("30")] * 5, 3, True),
        ([declines("77")] * 5, 3, True),
    ],
)
def test_uploads(plays: list[Play], uploads: int, reconcile: bool) -> None:
    at = shop()
    at.drive(at.terminal.sign_in())
    stan = at.pay("30.00").stan
    at.host.plays("0320", *plays)
    for _ in range(4):
        at.drive(at.terminal.reverse_pending())
    named = [m for m in at.host.asked if m.mti == "0320" and m.text(11) == stan]
    kept = at.terminal.journal.find(stan)
    assert (len(named), kept.needs_reconciliation, kept.upload_due) == (uploads, reconcile, False)
    assert len({bytes(m.binary(64)) for m in named}) == 1, "the same message each time"


def test_uploads_are_counted_and_sent_before_a_settlement() -> None:
    at = shop()
    at.pay("30.00")
    at.pay("150.00")
    at.pay("20.00")
    receipt = at.drive(at.terminal.settle())
    assert (receipt.approved, receipt.totals[:2]) == (True, (20_000, 3))
    assert sent(at) == ["0800", "0320", "0200", "0320", "0500"]
    assert all(not t.pan for t in at.terminal.journal.transactions.values())


def test_a_refused_upload_is_left_out_of_the_totals_and_to_reconciliation() -> None:
    at = shop()
    at.pay("30.00")
    at.host.plays("0320", declines("12"))
    at.pay("150.00")
    assert at.drive(at.terminal.settle()).totals[:2] == (15_000, 1)
    assert [line.needs_reconciliation for line in at.terminal.lines()] == [True, False]


def test_no_host_and_yet_a_payment() -> None:
    at = shop()
    at.drive(at.terminal.sign_in())
    at.pay("30.00")
    at.host.plays("0320", *[closed] * 9)
    at.host.plays("0820", *[closed] * 9)
    assert at.pay("20.00").offline
    over = at.pay("150.00")
    assert (over.outcome, over.reason) == (DECLINED, R.HOST_UNREACHABLE)
    at.host.script.clear()
    assert at.pay("150.00").approved
    assert sent(at).count("0320") == 4
    assert at.host.booked_minor == 20_000


def test_a_terminal_that_never_signed_in_approves_nothing() -> None:
    at = shop()
    at.host.plays("0800", *[closed] * 3)
    assert at.pay("30.00").reason is R.HOST_UNREACHABLE


def test_nor_does_one_that_has_settled_and_not_signed_in_again() -> None:
    at = shop()
    at.pay("30.00")
    assert at.drive(at.terminal.settle()).approved
    at.host.plays("0800", *[closed] * 3)
    assert [at.pay("30.00").reason, at.insert("30.00").reason] == [R.HOST_UNREACHABLE] * 2, "no batch would take its upload"
    at.host.script.clear()
    at.host.batch += 1
    assert at.pay("30.00").offline
    assert at.drive(at.terminal.settle()).approved


SLOT = {"cvms": (CVM.NONE,), "lower_limit": 9, "upper_limit": 9, "total_limit_minor": 10**6}


def test_nor_one_whose_settlement_was_not_answered() -> None:
    at = shop(card=SLOT)
    assert [at.pay("30.00").offline, at.insert("20.00").offline] == [True, True]
    at.host.plays("0500", *[closed] * 3)
    assert not at.drive(at.terminal.settle()).approved
    asked = [at.pay("30.00"), at.insert("20.00")]
    assert [(receipt.approved, receipt.offline) for receipt in asked] == [(True, False)] * 2, "who is asked knows the batch"
    at.host.plays("0200", closed)
    assert at.insert("20.00").reason is R.NO_ANSWER
    at.drive(at.terminal.sign_off())
    at.host.plays("0800", *[closed] * 3)
    assert at.pay("30.00").reason is R.HOST_UNREACHABLE, "the batch may be closed"


@pytest.mark.parametrize("cut", range(20))
def test_a_power_cut_before_any_step(cut: int) -> None:
    at = shop()
    at.pay("30.00")
    at.reader.present(at.card)
    try:
        at.drive(at.terminal.pay(yuan("20.00")), cut_before=cut)
    except PowerCut:
        at.restart()
    assert at.pay("150.00").approved
    assert not at.terminal.journal.uploads()
    kept = at.terminal.journal.transactions.values()
    assert at.host.booked_minor == sum(t.amount_minor for t in kept if t.state is State.APPROVED)


def void(at: Shop, receipt: Receipt) -> Receipt:
    return at.drive(at.terminal.void(receipt.stan))


def test_an_offline_approval_is_not_voided() -> None:
    at = shop()
    assert void(at, at.pay("30.00")).reason is R.OFFLINE_PAYMENT


def test_long_keys_sign_in_a_record_of_their_own() -> None:
    at = shop(card={"oda": chain(bits=1152)})
    assert at.pay("30.00").offline


def test_in_the_slot_under_the_floor() -> None:
    at = shop(card={"cvms": (CVM.NONE,), "version": genuine().version})
    limits = replace(FLOORS[0], tac_online=bytes(5))
    at.settings = replace(at.settings, aids=(limits,))
    at.restart()
    bent = Bent(
        at.card, {"B2021C": lambda reply: reply.replace(bytes.fromhex("9F0F05D8688CF800"), bytes.fromhex("9F0F050000000000"))}
    )
    at.card = bent
    receipt = at.insert("30.00")
    assert (receipt.approved, receipt.offline, receipt.entry_mode) == (True, True, "052")
    assert at.insert("150.00").approved
    assert sent(at)[:2] == ["0800", "0320"]
    assert decode_field55(at.host.asked[1].binary(55))[0x8A] == b"Y1"


@pytest.mark.parametrize(
    ("profile", "version_01"), [(debit_2_0, False), (debit_2_0, True), (debit_3_0, False), (debit_3_0, True)]
)
def test_both_versions_of_the_signature(profile, version_01: bool) -> None:
    one = made(genuine(replace(profile(PAN(PAN_DIGITS)), last_online_atc=1, balance_minor=50_000)))
    ttq = config().ttq | (TTQ.FDDA_01 if version_01 else 0)
    at = Shop(settings=config(ca_keys=(authority(),), aids=FLOORS, ttq=ttq), card=one)
    assert at.pay("30.00").offline
