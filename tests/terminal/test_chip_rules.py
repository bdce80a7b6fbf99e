"""The steps of the insert one by one, as tables: restrictions, cardholder verification, risk, action codes, selection."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from shanfu.dialogue import Dialogue, run
from shanfu.emv import TSI, TVR, CryptogramType, DirectoryEntry, directory_record, pse_fci
from shanfu.iso7816 import ResponseAPDU, tlv
from shanfu.money import Money
from shanfu.terminal import AIDParameters, Reason
from shanfu.terminal.action import choose_cryptogram, choose_without_host
from shanfu.terminal.chip import Application, Chip
from shanfu.terminal.contactless import transaction_values
from shanfu.terminal.restrictions import restrict
from shanfu.terminal.risk import manage_risk
from shanfu.terminal.selection import candidate_list, pick
from shanfu.terminal.verification import verify_cardholder
from tests.terminal.shop import CNY, PAN_DIGITS, Shop, config

DEBIT = bytes.fromhex("A000000333010101")
FULL_AIP, NOTHING_AIP = "7D00", "0000"
T = TVR


def chip(at: Shop | None = None, *, minor: int = 10_000, limits: AIDParameters | None = None, **card: str) -> Chip:
    """A chip whose records have been read; `card` overrides its values, as t9F08="0030"."""
    at = at or Shop()
    desk = at.terminal._desk
    application = Application(aid=DEBIT, label="PBOC DEBIT", priority=1, limits=limits or at.settings.aids[0])
    amount = Money(minor, CNY)
    values = transaction_values(desk, amount, version=application.limits.version)
    values[0x9F33] = at.settings.contact_capabilities
    told = {"t82": FULL_AIP, "t5F24": "301231", "t5A": PAN_DIGITS, "t57": f"{PAN_DIGITS}D3012201", **card}
    shown = {int(tag[1:], 16): bytes.fromhex(value) for tag, value in told.items() if value}
    return Chip(desk=desk, amount=amount, application=application, values=values, card=shown)


def go(steps: Dialogue[Any], at: Shop, answers: dict[str, list[str]] | None = None) -> Any:
    """Drive one step; the card answers from lists by INS, and has nothing (6A88) for the rest."""
    left = {ins: list(said) for ins, said in (answers or {}).items()}

    def card(command: bytes) -> bytes:
        said = left.get(f"{command[1]:02X}")
        return bytes.fromhex(said.pop(0)) if said else b"\x6a\x88"

    return run(steps, {"card": card, "pin-pad": at.pad.answer, "acquirer": at.host.answer}, at.memory)


@pytest.mark.parametrize(
    ("card", "bits"),
    [
        ({"t9F08": "0030"}, 0),
        ({"t9F08": "0020"}, T.VERSIONS_DIFFER),
        ({}, 0),
        ({"t5F24": "261121"}, T.EXPIRED),
        ({"t5F24": "261122"}, 0),
        ({"t5F24": "991231"}, T.EXPIRED),  # 1999
        ({"t5F25": "261123"}, T.NOT_YET_EFFECTIVE),
        ({"t5F25": "261122"}, 0),
        ({"t9F07": "FF00"}, 0),
        ({"t9F07": "0200"}, T.SERVICE_NOT_ALLOWED),  # ATMs only
        ({"t9F07": "0100"}, 0),  # without an issuer country nothing more is asked
        ({"t9F07": "2100", "t5F28": "0156"}, 0),
        ({"t9F07": "0900", "t5F28": "0156"}, 0),
        ({"t9F07": "1500", "t5F28": "0156"}, T.SERVICE_NOT_ALLOWED),  # abroad only
        ({"t9F07": "1100", "t5F28": "0344"}, 0),
        ({"t9F07": "2900", "t5F28": "0344"}, T.SERVICE_NOT_ALLOWED),
    ],
)
def test_restrictions(card: dict[str, str], bits: int) -> None:
    one = chip(**card)
    restrict(one)
    assert one.tvr == bits


XY = "0000271000004E20"  # X 100.00, Y 200.00
OK, WRONG2, WRONG0, BLOCKED = "9000", "63C2", "63C0", "6983"
TRIES = {"CA": ["9F1701039000"]}
OWN = {"t9F42": "0156"}
CANCEL, FAULT = Reason.PIN_CANCELLED, Reason.PIN_PAD_FAULT

# rules,   capabilities, typed,           card,                  amount, 9F34,    TVR
CVMS = [
    ("1F00",         None,   [],          {},                    100, "1f0002", 0),
    ("1E00",         None,   [],          {},                    100, "1e0000", 0),
    ("4203",         None,   ["123456"],  {},                    100, "420300", T.ONLINE_PIN_ENTERED),
    ("4200",         "E0A8C8", [],        {},                    100, "420001", T.PIN_PAD_MISSING | T.CVM_FAILED),
    ("42031E03",     "E0A8C8", [],        {},                    100, "1e0300", 0),
    ("4100",         None,   ["1234"],    {"20": [OK]},          100, "410002", 0),
    ("4300",         None,   ["1234"],    {"20": [OK]},          100, "430000", 0),
    ("41001F00",     None,   ["1", "99999", "1234"], {"20": [WRONG2, OK]}, 100, "410002", 0),
    ("41001F00",     None,   ["1234"],    {"20": [WRONG2, WRONG0]}, 100, "1f0002", T.PIN_TRIES_EXCEEDED),
    ("41001F00",     None,   ["1234"],    {"20": [BLOCKED]},     100, "1f0002", T.PIN_TRIES_EXCEEDED),
    ("4100",         None,   ["1234"],    {"20": ["6984"]},      100, "410001", T.PIN_TRIES_EXCEEDED | T.CVM_FAILED),
    ("01001F00",     None,   ["1234"],    {"20": ["6F00"]},      100, "010001", T.CVM_FAILED),
    ("41001F00",     None,   [],          {"CA": ["9F1701009000"]}, 100, "1f0002", T.PIN_TRIES_EXCEEDED),
    ("44001F00",     "E0E8C8", [],        {},                    100, "1f0002", T.PIN_PAD_MISSING),
    ("44001F00",     "E0F8C8", [],        {"84": ["6A88"]},      100, "1f0002", 0),  # no challenge, no card key
    ("0000",         None,   [],          {},                    100, "000001", T.CVM_FAILED),
    ("40001F00",     None,   [],          {},                    100, "400001", T.CVM_FAILED),
    ("6A001F00",     None,   [],          {},                    100, "1f0002", T.UNKNOWN_CVM),
    ("2A001F00",     None,   [],          {},                    100, "2a0001", T.UNKNOWN_CVM | T.CVM_FAILED),
    ("60001F00",     None,   [],          {},                    100, "1f0002", 0),  # an identity document
    ("1F01",         None,   [],          {},                    100, "3f0001", T.CVM_FAILED),  # for cash machines
    ("1F041F051F7F", None,   [],          {},                    100, "3f0001", T.CVM_FAILED),
    ("1F061E07",     None,   [],          OWN,                   9_999, "1f0602", 0),
    ("1F061E07",     None,   [],          OWN,                   10_001, "1e0700", 0),
    ("1F061E07",     None,   [],          OWN,                   10_000, "3f0001", T.CVM_FAILED),
    ("1F081E09",     None,   [],          OWN,                   19_999, "1f0802", 0),
    ("1F081E09",     None,   [],          OWN,                   20_001, "1e0900", 0),
    ("1F061E08",     None,   [],          {},                    100, "3f0001", T.CVM_FAILED),  # not the card's currency
    ("",             None,   [],          {},                    100, "3f0000", T.ICC_DATA_MISSING),
]  # fmt: skip


@pytest.mark.parametrize("row", CVMS, ids=lambda row: f"{row[0]}-{row[5]}")
def test_cardholder_verification(row: tuple[str, str | None, list[str], dict[str, Any], int, str, int]) -> None:
    rules, able, typed, said, minor, results, bits = row
    at = Shop(settings=config(**({"contact_capabilities": bytes.fromhex(able)} if able else {})), typed=list(typed))
    at.drive(at.terminal.sign_in())
    card = {tag: value for tag, value in said.items() if tag.startswith("t")}
    one = chip(at, minor=minor, **{"t8E": XY + rules if rules else "", **card})
    answers = {**TRIES, **{ins: value for ins, value in said.items() if not ins.startswith("t")}}
    assert go(verify_cardholder(one), at, answers) is None
    assert (one.cvm_results.hex(), one.tvr) == (results, bits)
    assert (TSI.CVM_PERFORMED in one.tsi) is bool(rules)


@pytest.mark.parametrize(
    ("rules", "typed", "reason"),
    [("4203", [None], CANCEL), ("4203", ["1"], CANCEL), ("4100", [None], CANCEL), ("4203", ["123456"], FAULT)],
)
def test_a_pin_that_nobody_types_ends_the_payment(rules: str, typed: list[str | None], reason: Reason) -> None:
    at = Shop(typed=list(typed))
    if reason is CANCEL:
        at.drive(at.terminal.sign_in())  # else the pad has no working keys
    assert go(verify_cardholder(chip(at, t8E=XY + rules)), at, TRIES).reason is reason


def test_without_cvm_in_the_aip_nothing_is_asked() -> None:
    one, at = chip(t82="6D00", t8E=XY + "4203"), Shop()
    assert go(verify_cardholder(one), at) is None
    assert (one.cvm_results.hex(), one.tvr, one.tsi) == ("3f0000", 0, 0)


LIMITS = AIDParameters(aid=DEBIT, floor=20_000, random_threshold=5_000, random_target_percent=30, random_max_percent=80)
ATC = "9F3602{:04X}9000"
LAST = "9F1302{:04X}9000"
V = {"t9F14": "02", "t9F23": "04"}
LOWER, UPPER = T.LOWER_CONSECUTIVE_EXCEEDED, T.UPPER_CONSECUTIVE_EXCEEDED

# amount, drawn (1 to 99), card,              ATC, last online, TVR
RISKS = [
    (19_999, 99, {},                          None,             0),
    (20_000, 99, {},                          None,             T.FLOOR_LIMIT_EXCEEDED),
    (4_999,  30, {},                          None,             T.RANDOMLY_ONLINE),
    (4_999,  31, {},                          None,             0),
    (12_500, 55, {},                          None,             T.RANDOMLY_ONLINE),  # half way up: 30 + 25
    (12_500, 56, {},                          None,             0),
    (19_999, 79, {},                          None,             T.RANDOMLY_ONLINE),
    (100,    99, V,                           (7, 5),           0),
    (100,    99, V,                           (8, 5),           LOWER),
    (100,    99, V,                           (10, 5),          LOWER | UPPER),
    (100,    99, V,                           (5, 5),           LOWER | UPPER),
    (100,    99, V,                           (1, 0),           T.NEW_CARD),
    (100,    99, V,                           None,             LOWER | UPPER),  # the card does not tell
    (100,    99, {"t9F14": "02"},             (9, 1),           0),  # half a limit is none
]  # fmt: skip


@pytest.mark.parametrize(("minor", "drawn", "card", "counters", "bits"), RISKS)
def test_risk_management(minor: int, drawn: int, card: dict[str, str], counters: tuple[int, int] | None, bits: int) -> None:
    at = Shop()
    one = chip(at, minor=minor, limits=LIMITS, **card)
    one.desk.random = (drawn - 1).to_bytes
    said = {"CA": [ATC.format(counters[0]), LAST.format(counters[1])]} if counters else {}
    go(manage_risk(one), at, said)
    assert one.tvr == bits
    assert TSI.TERMINAL_RISK_PERFORMED in one.tsi


def test_risk_of_listed_cards_split_sales_and_wary_merchants() -> None:
    at = Shop(settings=config(exception_file=frozenset({PAN_DIGITS})))
    one = chip(at, minor=100, limits=LIMITS)
    one.desk.random = lambda n: b"\xff" * n
    go(manage_risk(one, force_online=True), at)
    assert one.tvr & (T.ON_EXCEPTION_FILE | T.MERCHANT_FORCED_ONLINE) == T.ON_EXCEPTION_FILE | T.MERCHANT_FORCED_ONLINE
    at = Shop()
    at.pay("150.00")
    for minor, over in ((4_999, False), (5_000, True)):  # 150.00 were paid with this card just now
        one = chip(at, minor=minor, limits=replace(LIMITS, random_target_percent=0, random_max_percent=0))
        go(manage_risk(one), at)
        assert (T.FLOOR_LIMIT_EXCEEDED in one.tvr) is over
    skipped = chip(at, t82="7400")
    go(manage_risk(skipped), at)
    assert (skipped.tvr, skipped.tsi) == (0, 0), "the card does not want it"


AAC, TC, ARQC = CryptogramType.AAC, CryptogramType.TC, CryptogramType.ARQC
IAC = {"t9F0E": "0010100000", "t9F0F": "D8688CF800", "t9F0D": "D8608CA800"}

# TVR,                       online-capable, card, first, without a host
ACTIONS = [
    (0,                            True,  IAC, TC,   TC),
    (0,                            True,  {},  TC,   TC),
    (T.FLOOR_LIMIT_EXCEEDED,       True,  IAC, ARQC, AAC),
    (T.RANDOMLY_ONLINE,            True,  IAC, ARQC, TC),
    (T.SERVICE_NOT_ALLOWED,        True,  IAC, AAC,  TC),
    (T.PIN_PAD_MISSING,            True,  IAC, AAC,  TC),  # the issuer's own denial
    (T.UNKNOWN_CVM,                True,  IAC, TC,   TC),
    (T.UNKNOWN_CVM,                True,  {},  ARQC, AAC),  # absent IACs: online and default are all ones
    (T.EXPIRED,                    True,  IAC, ARQC, AAC),
    (T.FLOOR_LIMIT_EXCEEDED,       False, IAC, AAC,  AAC),
    (T.RANDOMLY_ONLINE,            False, IAC, TC,   TC),
]  # fmt: skip


@pytest.mark.parametrize(("bits", "online", "card", "first", "alone"), ACTIONS)
def test_action_codes(bits: int, online: bool, card: dict[str, str], first: CryptogramType, alone: CryptogramType) -> None:
    one = chip(Shop(settings=config(online_capable=online)), **card)
    one.tvr |= bits
    assert choose_cryptogram(one) is first
    assert choose_without_host(one) is alone


def entry(aid: str, priority: int | None, label: bytes = b"") -> DirectoryEntry:
    return DirectoryEntry(aid=bytes.fromhex(aid), label=label or aid.encode(), priority=priority)


def adf(aid: str, priority: int = 1) -> str:
    inside = [tlv(0x50, b"L"), tlv(0x87, bytes((priority,)))]
    return bytes(ResponseAPDU(bytes(tlv(0x6F, tlv(0x84, bytes.fromhex(aid)), tlv(0xA5, *inside))))).hex()


D, C, Q, VISA = "A000000333010101", "A000000333010102", "A000000333010103", "A0000000031010"
PSE = pse_fci(1).hex() + "9000"


def record(*entries: DirectoryEntry) -> str:
    return directory_record(entries).hex() + "9000"


# answers to SELECT,                     to READ RECORD,                                         candidates, or the reason
SELECTIONS: list[tuple[list[str], list[str], list[str] | Reason]] = [
    ([PSE],                               [record(entry(D, 2), entry(C, 1)), "6A83"],             [C, D]),
    ([PSE],                               [record(entry(D, None)), record(entry(C, 3)), "6A83"],  [C, D]),
    ([PSE],                               [record(entry(VISA, 1), entry(Q, 9)), "6A83"],          [Q]),
    ([PSE, adf(D)],                       [record(entry(VISA, 1)), "6A83"],                       [D]),  # then by list of AIDs
    ([PSE, adf(D)],                       ["6A82"],                                               [D]),
    ([PSE, adf(D)],                       ["7003FFFF9000"],                                       [D]),
    (["9000", adf(D)],                    [],                                                     [D]),
    (["6A82", adf(D), adf(C), "6A82"],    [],                                                     [D, C]),
    (["6A82", adf(D), adf(D)],            [],                                                     [D]),  # the same one again
    (["6283", adf(C)],                    [],                                                     [C]),  # a blocked PSE
    (["6A82", adf(D)[:-4] + "6283", adf(C)], [],                                                  [C]),  # a blocked application
    (["6A82", "6A82"],                    [],                                                     Reason.NO_APPLICATION),
    (["6A81"],                            [],                                                     Reason.APPLICATION_REFUSED),
    (["6A82", "6A81"],                    [],                                                     Reason.APPLICATION_REFUSED),
    # T=0: the answer is fetched, a Le corrected (as published traces have it)
    (["6117"],                            ["6C2A", record(entry(D, 1)), "6A83"],                  [D]),
]  # fmt: skip


@pytest.mark.parametrize(("selects", "reads", "expected"), SELECTIONS)
def test_selection(selects: list[str], reads: list[str], expected: list[str] | Reason) -> None:
    at = Shop()
    found = go(candidate_list(at.terminal._desk), at, {"A4": selects, "B2": reads, "C0": [PSE]})
    if isinstance(expected, Reason):
        assert found.reason is expected
    else:
        assert [application.aid.hex().upper() for application in found] == expected


def test_somebody_chooses_among_several_and_consents_to_one() -> None:
    at = Shop()
    said = {"A4": [PSE], "B2": [record(entry(D, 1, b"DEBIT"), entry(C, 2, b"CREDIT")), "6A83"]}
    shared = go(candidate_list(at.terminal._desk), at, said)
    seen: list[list[str]] = []

    def second(labels: Any) -> int:
        seen.append(list(labels))
        return 1

    choose: Callable[[Any], int | None] = second
    assert pick(list(shared), choose).label == "CREDIT"
    assert pick(list(shared), lambda labels: None) is None
    assert pick(list(shared), lambda labels: 7) is None
    assert pick([shared[0]], lambda labels: None) is shared[0], "the only one needs no choice"
    wary = replace(shared[0], priority=0x81)
    assert pick([wary], lambda labels: None) is None, "b8 of 87: not without consent"
    assert seen == [["DEBIT", "CREDIT"]]
