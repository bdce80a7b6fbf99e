import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shanfu.emv import AIP, AUC, CTQ, CVR, TSI, TTQ, TVR, BitField, CardChecks, CryptogramType
from shanfu.errors import DecodeError, Fault
from tests.budget import examples

FIELDS = [AIP, AUC, CTQ, CVR, CardChecks, TSI, TTQ, TVR]
AAC, TC, ARQC = CryptogramType.AAC, CryptogramType.TC, CryptogramType.ARQC


@pytest.mark.parametrize(
    ("field", "raw", "flag", "en", "zh"),
    [
        (TTQ, "20000000", TTQ.QPBOC, "byte 1 bit 6: qPBOC supported", "字节1位6：支持qPBOC"),
        (TTQ, "00400000", TTQ.CVM_REQUIRED, "byte 2 bit 7: cardholder verification required", "字节2位7：需要持卡人验证"),
        (TTQ, "00000080", TTQ.FDDA_01, "byte 4 bit 8: fDDA version 01 supported", "字节4位8：支持fDDA版本01"),
        (CTQ, "8000", CTQ.ONLINE_PIN_REQUIRED, "byte 1 bit 8: online PIN required", "字节1位8：需要联机PIN"),
        (CTQ, "0080", CTQ.CDCVM_PERFORMED, "byte 2 bit 8: verified on the consumer's device", "字节2位8：已在设备端验证持卡人"),
        (AIP, "0080", AIP.FULL_PBOC, "byte 2 bit 8: full PBOC over contactless preferred", "字节2位8：优先非接触式PBOC借贷记"),
        (AUC, "0200", AUC.ATM, "byte 1 bit 2: at ATMs", "字节1位2：ATM有效"),
        (TSI, "8000", TSI.ODA_PERFORMED, "byte 1 bit 8: offline data authentication performed", "字节1位8：已进行脱机数据认证"),
        (TVR, "0000040000", TVR.ONLINE_PIN_ENTERED, "byte 3 bit 3: online PIN entered", "字节3位3：输入联机PIN"),
        (TVR, "0000000010", TVR.SCRIPT_FAILED_AFTER, "byte 5 bit 5: script failed after the last GENERATE AC",
         "字节5位5：最后一次生成密文之后脚本处理失败"),
        (CardChecks, "00400000", CardChecks.REFUSE_CURRENCY_MISMATCH, "byte 2 bit 7: currency mismatch not allowed",
         "字节2位7：不允许货币不匹配的交易"),
    ],
)  # fmt: skip
def test_bits_stand_where_the_standard_puts_them(field: type[BitField], raw: str, flag: BitField, en: str, zh: str) -> None:
    found = field.parse(bytes.fromhex(raw))
    assert found == flag
    assert flag.is_in(bytes.fromhex(raw))
    assert (found.explain(), found.explain("zh")) == ([en], [zh])


@pytest.mark.parametrize(
    ("raw", "first", "second", "scripts", "said"),
    [
        ("03A00000", ARQC, None, 0, ["byte 2 bits 8-7: second GENERATE AC: not requested",
                                     "byte 2 bits 6-5: first GENERATE AC: ARQC"]),
        ("03200020", ARQC, AAC, 2, ["byte 2 bits 8-7: second GENERATE AC: AAC", "byte 2 bits 6-5: first GENERATE AC: ARQC",
                                    "byte 4 bits 8-5: 2 script commands processed"]),
        ("03608000", ARQC, TC, 0, ["byte 2 bits 8-7: second GENERATE AC: TC", "byte 2 bits 6-5: first GENERATE AC: ARQC",
                                   "byte 3 bit 8: last online transaction not completed"]),
        ("03F00001", AAC, None, 0, ["byte 2 bits 8-7: second GENERATE AC: RFU", "byte 2 bits 6-5: first GENERATE AC: AAC",
                                    "byte 4 bit 1: not defined"]),
        ("03900000", TC, None, 0, ["byte 2 bits 8-7: second GENERATE AC: not requested",
                                   "byte 2 bits 6-5: first GENERATE AC: TC"]),
    ],
)  # fmt: skip
def test_what_the_card_decided(
    raw: str, first: CryptogramType, second: CryptogramType | None, scripts: int, said: list[str]
) -> None:
    cvr = CVR.parse(bytes.fromhex(raw))
    assert (cvr.first_gac, cvr.second_gac, cvr.script_count, cvr.explain()) == (first, second, scripts, said)
    assert len(cvr.explain("zh")) == len(said)
    if cvr.second_gac or not cvr.second_gac_requested:
        built = CVR.of(first, second, flags=CVR(int(cvr) & 0x000FFF0F), scripts=scripts)  # type: ignore[arg-type]
        assert built == cvr


def test_the_cid_of_a_decision() -> None:
    assert [kind.cid.hex() for kind in (AAC, TC, ARQC)] == ["00", "40", "80"]
    assert [CryptogramType.of_cid(cid) for cid in (0x00, 0x48, 0x80, 0xC0)] == [AAC, TC, ARQC, AAC]
    assert [CryptogramType.of_cvr(bytes((3, b, 0, 0))) for b in (0x80, 0x90, 0xA0, 0xB0)] == [AAC, TC, ARQC, AAC]


@pytest.mark.parametrize("field", FIELDS)
def test_every_row_has_words_of_its_own(field: type[BitField]) -> None:
    assert len({flag.en for flag in field}) == len({flag.zh for flag in field}) == len(field)


@pytest.mark.parametrize("field", FIELDS)
def test_another_length_is_refused(field: type[BitField]) -> None:
    for size in {0, 1, 2, 3, 4, 5, 6} - {field.size()}:
        with pytest.raises(DecodeError) as caught:
            field.parse(bytes(size))
        assert caught.value.fault == Fault.LENGTH


def test_a_cvr_with_another_length_byte_is_refused() -> None:
    with pytest.raises(DecodeError, match="must be 3"):
        CVR.parse(bytes.fromhex("04A00000"))


@settings(max_examples=examples(200, heavy=20_000), deadline=None)
@given(st.sampled_from([AIP, AUC, CTQ, CardChecks, TSI, TTQ, TVR]), st.binary(min_size=5, max_size=5))
def test_unknown_bits_are_kept_and_shown(field: type[BitField], raw: bytes) -> None:
    raw = raw[: field.size()]
    known = len(field._value2member_map_)
    found = field.parse(raw)
    assert bytes(found) == raw
    assert len(found.explain()) == len(found.explain("zh")) == int.from_bytes(raw).bit_count()
    assert len(field._value2member_map_) == known, "values that peers choose must not pile up"
