"""Codes, message types, private fields, the MAC text and the description, read as tables."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shanfu.errors import DecodeError, ProtocolError, ShanfuError
from shanfu.iso8583 import (
    INTERBANK,
    KEY_LAYOUTS,
    MAC_FIELDS,
    POS,
    REVERSAL_DONE,
    USES,
    Action,
    AnswerParties,
    Balance,
    BatchRecord,
    CupsDE60,
    CupsDE61,
    CupsDE121,
    Message,
    OriginalData,
    PosDE60,
    PosDE61,
    PosDE63,
    Positions,
    ResponseCode,
    SecurityControl,
    SettlementTotals,
    TokenAnswer,
    TokenBlock,
    TokenVerdict,
    Totals,
    UsageField,
    answer_needs_mac,
    decode_pos,
    describe,
    encode_balances,
    encode_batch_records,
    encode_de59,
    encode_par,
    encode_sm4_pin,
    encode_working_keys,
    is_advice,
    is_repeat,
    mab_text,
    mac_algorithm,
    mac_input,
    parse_balances,
    parse_batch_records,
    parse_de59,
    parse_list,
    parse_par,
    parse_sm4_pin,
    parse_working_keys,
    response_mti,
    track_cipher_span,
    use_of,
)
from shanfu.pan import PAN
from tests.budget import examples
from tests.iso8583.samples import CUPS_BODIES, POS_FRAMES

TURNS = settings(max_examples=examples(100, heavy=20_000), deadline=None)

# -- codes ---------------------------------------------------------------------------------------------------------

# fmt: off
CODES = [
    # code  approved  retryable  action
    ("00",  True,     False,     Action.NONE),
    ("10",  True,     False,     Action.NONE),
    ("11",  True,     False,     Action.NONE),
    ("A2",  True,     False,     Action.NONE),
    ("51",  False,    False,     Action.NONE),
    ("55",  False,    True,      Action.NONE),
    ("91",  False,    True,      Action.NONE),
    ("94",  False,    False,     Action.NONE),
    ("ZZ",  False,    False,     Action.NONE),
    *((code, False, False, Action.KEEP_CARD) for code in ("04", "07", "34", "35", "36", "37", "41", "43", "67")),
    *((code, False, True, Action.SIGN_IN) for code in ("99", "A0", "77")),
    ("97",  False,    False,     Action.SIGN_IN),
]
ANSWERS = [("0200", "0210"), ("0100", "0110"), ("0220", "0230"), ("0320", "0330"), ("0400", "0410"), ("0420", "0430"),
           ("0421", "0430"), ("0500", "0510"), ("0620", "0630"), ("0800", "0810"), ("0820", "0830")]
USED = [
    ("purchase-contactless-online-pin", "purchase",       True),
    ("void-request",                    "void",           True),
    ("preauth-0100",                    "pre-authorisation", True),
    ("preauth-completion-0200",         "completion",     True),
    ("balance-inquiry",                 "balance",        False),
    ("settlement-0500",                 "settlement",     False),
    ("batch-upload-0320-magstripe-online", "batch upload", False),
    ("script-notice-0620",              "script result",  False),
    ("sign-in-request-60-3-004",        "sign-in 3DES with track key", False),
    ("sign-off-0820",                   "sign-off",       False),
]
# fmt: on


@pytest.mark.parametrize(("code", "approved", "retryable", "action"), CODES)
def test_response_codes(code: str, approved: bool, retryable: bool, action: Action) -> None:
    answer = ResponseCode.of(code)
    assert (answer, answer.approved, answer.retryable, answer.action) == (code, approved, retryable, action)
    assert answer.say()
    assert answer.say("zh") != answer.say("en")


def test_every_code_stands_in_a_message() -> None:
    for code in (*ResponseCode, ResponseCode.of("Z9")):
        for _ in range(3):
            body = POS.encode(Message("0210", {39: code}))
        assert POS.decode(body).text(39) == code
    assert {"00", "12", "25"} == REVERSAL_DONE
    assert ResponseCode.APPROVED_CONFIRM_A4.needs_confirmation
    assert not ResponseCode.APPROVED.needs_confirmation


@pytest.mark.parametrize(("request_mti", "answer_mti"), ANSWERS)
def test_the_answers_type(request_mti: str, answer_mti: str) -> None:
    assert response_mti(request_mti) == answer_mti
    with pytest.raises(ProtocolError, match="takes no answer"):
        response_mti(answer_mti)


def test_advices_and_repeats() -> None:
    assert (is_advice("0420"), is_advice("0200"), is_repeat("0421"), is_repeat("0420")) == (True, False, True, False)


@pytest.mark.parametrize(("name", "use", "reversible"), USED)
def test_what_a_terminal_message_is_for(name: str, use: str, reversible: bool) -> None:
    found = use_of(decode_pos(POS_FRAMES[name]).message)
    assert found is not None
    assert (found.name, found.reversible) == (use, reversible)


def test_a_reversal_finds_its_original_and_nonsense_finds_nothing() -> None:
    reversal = decode_pos(POS_FRAMES["reversal-0400-timeout-98"]).message
    found = use_of(reversal, "0200")
    assert found is not None
    assert found.name == "purchase"
    assert use_of(reversal) is None
    assert len({(u.mti, u.processing, u.condition, u.message_type, u.management) for u in USES}) == len(USES)


def test_which_answers_carry_a_mac() -> None:
    signed, plain = Message("0200", {64: bytes(8)}), Message("0200", {3: "000000"})
    assert [answer_needs_mac(m, c) for m in (signed, plain) for c in ("00", "51")] == [True, False, False, False]


# -- the MAC text --------------------------------------------------------------------------------------------------


# fmt: off
MAC_TEXTS = [
    (["0200", "", "  ", "1"],           "0200 1"),
    (["a b", "c  d", " e "],            "A B C D E"),
    (["中文A1", "é", "ß"],              "A1"),
    (["x\ty\nz", "-", "=D"],            "XYZ D"),
    ([],                                ""),
]
# fmt: on


@pytest.mark.parametrize(("values", "text"), MAC_TEXTS)
def test_mac_text(values: list[str], text: str) -> None:
    assert mab_text(values) == text


@settings(max_examples=examples(100, heavy=3_000), deadline=None)
@given(values=st.lists(st.text(max_size=20), max_size=8))
def test_mac_text_is_the_six_rules_one_after_the_other(values: list[str]) -> None:
    kept = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 ,."
    lower = "abcdefghijklmnopqrstuvwxyz"
    fields = []
    for value in values:
        upper = "".join(chr(ord(c) - 32) if c in lower else c for c in value)
        cleaned = "".join(c for c in upper if c in kept).strip(" ")
        while "  " in cleaned:
            cleaned = cleaned.replace("  ", " ")
        fields += [cleaned] if cleaned else []
    assert mab_text(values) == " ".join(fields)


def test_which_fields_take_part() -> None:
    reversal = INTERBANK.decode(CUPS_BODIES["reversal-0420"])
    assert mac_input(reversal).endswith(b" 12345678 898100012340001 02000004030108101530")
    assert mac_input(INTERBANK.decode(CUPS_BODIES["key-reset-0800"])) == b"0800 0108001000 000003 1600000000000000 101"
    assert {mode for mode, _ in MAC_FIELDS.values()} == {"text"}
    with pytest.raises(ProtocolError, match="no MAC is defined"):
        mac_input(Message("0820"))


def test_the_mac_algorithm_is_announced_in_de60() -> None:
    assert mac_algorithm(INTERBANK.decode(CUPS_BODIES["chip-request-sm4"])) == "sm4-cbc"
    assert mac_algorithm(INTERBANK.decode(CUPS_BODIES["reversal-0420"])) == "x9.19"
    assert mac_algorithm(Message("0200")) == "x9.19"


# -- private fields ------------------------------------------------------------------------------------------------

LAYOUTS = [SecurityControl, PosDE60, PosDE61, PosDE63, CupsDE60, CupsDE61, CupsDE121, OriginalData]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_fixed_positions_may_be_cut_between_parts_and_go_on_behind(layout: type[Positions]) -> None:
    width = sum(width for _, width in layout._widths())
    text = ("0123456789" * 10)[:width]
    borders = {0}
    for _, part_width in layout._widths():
        borders.add(max(borders) + part_width)
    for end in range(width + 1):
        if end in borders:
            assert layout.parse(text[:end]).encode() == text[:end]
        else:
            with pytest.raises(DecodeError, match=layout.PATH):
                layout.parse(text[:end])
    assert layout.parse(text + "tail").tail == "tail"
    assert layout.parse(text + "tail").encode() == text + "tail"


def test_positions_with_a_gap_are_not_written() -> None:
    for wrong in (PosDE60(batch="000001"), PosDE60(message_type="2"), PosDE60(tail="x")):
        with pytest.raises(ProtocolError, match="DE60"):
            wrong.encode()


def test_parts_of_real_messages() -> None:
    assert CupsDE121.parse(INTERBANK.decode(CUPS_BODIES["response-14"]).text(121)).answer_reason == "5"
    assert PosDE61.parse("0000240004030108") == PosDE61(batch="000024", trace="000403", date="0108")
    assert PosDE63.parse("CUP发卡行提示" + " " * 10 + "银联").remarks == ("发卡行提示", "银联", "", "")
    original = OriginalData.parse(INTERBANK.decode(CUPS_BODIES["reversal-0420"]).text(90))
    assert original.same_institution("48120000")
    verdict = CupsDE61.verdict("1")
    assert CupsDE61.parse(verdict.encode()) == verdict
    assert "id_number" not in repr(verdict)


@pytest.mark.parametrize(("digits", "first", "last"), [(37, 20, 36), (36, 18, 34), (18, 0, 16)])
def test_which_digits_of_a_track_are_encrypted(digits: int, first: int, last: int) -> None:
    assert track_cipher_span(digits) == slice(first, last)
    with pytest.raises(ProtocolError, match="too short"):
        track_cipher_span(16)


def test_token_block_of_the_vector_comes_back() -> None:
    raw = INTERBANK.decode(CUPS_BODIES["token-purchase-request-to-issuer"]).binary(63)
    block = TokenBlock.of_field(raw)
    assert block is not None
    assert block.field() == raw
    assert (block.trid, block.expiry, block.assurance, block.scenario) == ("12345678901", "3012", "05", "01")
    assert block.token not in repr(block)
    assert TokenBlock.of_field(b"XX001x") is None


def test_the_token_services_answer_and_what_the_issuer_is_told_of_it() -> None:
    block = TokenBlock(verified="1", token="6250940000000014", trid="90100000001")
    for answer in (TokenAnswer(block=block, record=bytes(44)), TokenAnswer(reason="ATC_OUT_OF_WINDOW"), TokenAnswer()):
        assert TokenAnswer.of_field(answer.field()) == answer
    assert "6250940000000014" not in repr(TokenAnswer(block=block))
    with pytest.raises(DecodeError, match="DE63/RS"):
        TokenAnswer.of_field(b"RS001\xff")
    assert [TokenVerdict.of_field(verdict.field()) for verdict in TokenVerdict] == list(TokenVerdict)
    assert {TokenVerdict.of_field(text) for text in ("", "00", "x" * 200, "é" * 35)} == {TokenVerdict.NOT_CHECKED}


def test_unknown_token_tags_are_kept() -> None:
    raw = bytes.fromhex("030433303132" + "0A02ABCD")
    assert TokenBlock.parse(raw).extra == ((10, b"\xab\xcd"),)
    assert TokenBlock.parse(raw).encode() == raw


def test_par_and_sm4_pin() -> None:
    par = parse_par(INTERBANK.decode(CUPS_BODIES["purchase-response-with-par"]).binary(56))
    assert par == "62AB000000000000000000000CDEF"
    assert parse_par(b"XX001x") is None
    pin = parse_sm4_pin(INTERBANK.decode(CUPS_BODIES["chip-request-sm4"]).binary(63))
    assert pin is not None
    assert encode_sm4_pin(pin) == b"SM016" + pin
    for wrong in (lambda: encode_par("short"), lambda: encode_sm4_pin(b""), lambda: parse_par(b"PR002\x01\x1d")):
        with pytest.raises(ShanfuError):
            wrong()


def test_de48_usages() -> None:
    key = UsageField.parse(INTERBANK.decode(CUPS_BODIES["key-reset-0800"]).binary(48))
    assert (key.wrapped, len(key.get("NK") or b"")) == (False, 16)
    order = UsageField.parse(INTERBANK.decode(CUPS_BODIES["purchase-tdes-pin-gbk-name-zero-length-9f09"]).binary(48))
    assert (order.wrapped, len(order.get("ON") or b"")) == (True, 40)
    assert order.encode() == CUPS_BODIES["purchase-tdes-pin-gbk-name-zero-length-9f09"][order_at() : order_at() + 47]
    assert repr(key) == "UsageField(NK: 16 bytes)"


def order_at() -> int:
    return CUPS_BODIES["purchase-tdes-pin-gbk-name-zero-length-9f09"].index(b"ASON040")


def test_balances() -> None:
    both = [Balance(account_type="10", amount_type=t, currency="156", amount_minor=a) for t, a in (("01", -5), ("02", 700))]
    assert parse_balances(encode_balances(both)) == both
    assert encode_balances(both)[:20] == "1001156D000000000005"
    for wrong in ("123", "1001156X000000000005", "1001156D00000000000x"):
        with pytest.raises(DecodeError, match="DE54"):
            parse_balances(wrong)


def test_settlement_and_batch() -> None:
    text = decode_pos(POS_FRAMES["settlement-0500"]).message.text(48)
    totals = SettlementTotals.parse(text)
    assert totals == SettlementTotals(domestic=Totals(debit_minor=1999, debit_count=1))
    assert totals.encode() == text
    text = decode_pos(POS_FRAMES["batch-upload-0320-magstripe-online"]).message.text(48)
    records = parse_batch_records(text)
    assert records == [BatchRecord(foreign=False, trace="000403", pan=PAN("6200000000000005"), amount_minor=1999)]
    assert encode_batch_records(records) == text
    with pytest.raises(ProtocolError, match="8 fit"):
        encode_batch_records(records * 9)
    for wrong in ("", "01", "02" + text[2:], "xx"):
        with pytest.raises(DecodeError, match="DE48"):
            parse_batch_records(wrong)
    with pytest.raises(DecodeError, match="62 digits"):
        SettlementTotals.parse("1" * 61)


def test_other_terminal_fields() -> None:
    assert AnswerParties.parse("01020000   48120000   ").encode() == "01020000   48120000   "
    items = [("A2", "0102终端"), ("A3", "")]
    assert parse_de59(encode_de59(items)) == items


@TURNS
@given(raw=st.binary(max_size=60))
def test_private_fields_raise_decode_error_only(raw: bytes) -> None:
    text = raw.decode("latin-1")
    attempts = [
        lambda: parse_list(raw, path="DE56"), lambda: TokenBlock.parse(raw), lambda: UsageField.parse(raw),
        lambda: parse_balances(text), lambda: parse_batch_records(text), lambda: SettlementTotals.parse(text),
        lambda: parse_par(raw), lambda: parse_sm4_pin(raw), lambda: parse_de59(text),
        *(lambda layout=layout: layout.parse(text) for layout in LAYOUTS),
    ]  # fmt: skip
    for attempt in attempts:
        try:
            attempt()
        except DecodeError as fault:
            assert fault.path.startswith(("DE", "PAN"))  # noqa: PT017  (what it does not raise matters too)


# -- working keys --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", KEY_LAYOUTS)
def test_working_keys_come_back(layout: str) -> None:
    row = KEY_LAYOUTS[layout]
    keys = {
        name: (bytes([65 + i]) * (row.mak_size if name == "MAK" and row.mak_size else size), bytes([97 + i]) * row.check_len)
        for i, (name, size) in enumerate(row.keys)
    }
    field = encode_working_keys(keys, layout)
    assert len(field) == int(layout[:2])
    parsed = parse_working_keys(field, layout)
    assert {key.name: (key.encrypted, key.check) for key in parsed} == keys
    assert "41" not in repr(parsed[0])
    with pytest.raises(DecodeError, match="DE62"):
        parse_working_keys(field + b"x", layout)


def test_the_provinces_differ_in_where_the_check_value_stands() -> None:
    keys = {"PIK": (b"P" * 16, b"pppp"), "MAK": (b"M" * 8, b"mmmm")}
    assert encode_working_keys(keys, "40_PIK16_MAK8Z")[36:] == b"mmmm"
    assert encode_working_keys(keys, "40_PIK16_MAK8Z_AT_28")[28:32] == b"mmmm"
    with pytest.raises(ProtocolError, match="DE62/MAK"):
        encode_working_keys({**keys, "MAK": (b"M" * 16, b"mmmm")}, "40_PIK16_MAK8Z")


# -- description ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_a_description_hides_what_must_be_hidden(lang: str) -> None:
    secrets = ["6200000000000005", "3012", "D30122010000000000000", "D1EEF419D0AE2609"]
    rows = describe(decode_pos(POS_FRAMES["purchase-contactless-online-pin"]).message, POS, lang=lang)
    text = "\n".join(map(str, rows))
    assert "620000******0005" in text
    assert not [secret for secret in secrets if secret in text]
    assert "DE55/9F36" in text
    assert ("闪付" if lang == "zh" else "contactless chip") in text


def test_a_description_of_hostile_bytes() -> None:
    chip = bytes.fromhex("700A5A0862000000000000055713" + "6200000000000005D30122010000000000000F" + "5F24033012319F")
    rows = describe(Message("0299", {43: "\x1b[2J", 55: chip[:-1]}, warnings=("odd",)), POS)
    text = "\n".join(map(str, rows))
    assert "\x1b" not in text
    assert "6200000000000005" not in text
    assert "301231" not in text
    assert "remark: odd" in text
    broken = str(describe(Message("0200", {55: chip}), POS)[-1])
    assert "DE55" in broken
    assert "6200000000" not in broken.replace(" ", "")


def test_every_interbank_vector_can_be_described() -> None:
    for body in CUPS_BODIES.values():
        message = INTERBANK.decode(body)
        text = "\n".join(map(str, describe(message, INTERBANK)))
        assert message.text(2, "absent") not in text
        assert message.text(35, "absent") not in text
