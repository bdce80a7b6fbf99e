import pytest

from shanfu.emv import TAGS, describe, is_numeric, masked_hex, sensitive_spans
from shanfu.iso7816 import parse, tag_bytes, tlv

PAN16, PAN19 = "6228000100001117", "6228480402564890018"
TRACK16 = PAN16 + "D301220101234567899F"


def test_the_table_is_sorted_and_its_rows_are_whole() -> None:
    assert list(TAGS) == sorted(TAGS, key=tag_bytes)
    for row in TAGS.values():
        assert tag_bytes(row.tag).hex().upper() == row.tag_hex
        assert 0 <= row.min_length <= row.max_length, row.tag_hex
        assert row.format in {"a", "an", "ans", "b", "cn", "n", "t"}, row.tag_hex
        assert row.mask in {"", "P", "2", "S"}, row.tag_hex
        assert row.name.isascii(), row.tag_hex
        assert row.name_zh, row.tag_hex
        assert row.clause, row.tag_hex
        templates = {int(tag, 16) for tag in row.template.split()}
        assert templates <= set(TAGS), row.tag_hex


@pytest.mark.parametrize("tag", ["9F02", "9F03", "9F1A", "5F2A", "9A", "9C", "9F21", "9F41"])
def test_amounts_codes_and_dates_are_numeric(tag: str) -> None:
    assert is_numeric(int(tag, 16))


@pytest.mark.parametrize(
    "tag", ["9F5D", "9F63", "9F66", "9F69", "9F6B", "9F6C", "9F6D", "9F74", "9F77", "9F78", "9F79", "9F7A", "9F7B", "DF01",
            "DF11", "DF12", "DF13", "DF14", "DF15", "DF16", "DF17", "DF18", "DF19", "DF20", "DF21", "DF31", "DF60", "DF69",
            "71", "72", "86", "9F2A"],
)  # fmt: skip
def test_pboc_tags_are_described(tag: str) -> None:
    assert describe(int(tag, 16)) is not None


@pytest.mark.parametrize(
    ("tag", "value", "shown"),
    [
        ("5A", PAN16, "622800******1117"),
        ("5A", PAN19 + "F", "622848*********0018F"),
        ("5A", "622800", "******"),
        ("57", TRACK16, "622800******1117D*******************"),
        ("57", PAN19 + "D30122010123F", "622848*********0018D" + "*" * 12),
        ("5F20", "46554C4C", "********"),
        ("9F6B", "000000000500", "000000000500"),
        ("9F6B", TRACK16, "622800******1117D*******************"),
        ("9F26", "AD03EE811AFAD484", "AD03EE811AFAD484"),
        ("DF7E", "01", "01"),
        ("70", "5A08" + PAN16 + "9F36020001", "5A08622800******11179F36020001"),
        ("70", "5A08", "****"),
    ],
)
def test_masking(tag: str, value: str, shown: str) -> None:
    assert masked_hex(int(tag, 16), bytes.fromhex(value)) == shown


@pytest.mark.parametrize(
    ("tag", "value", "covered"),
    [
        (0x5A, PAN16, "622800______1117"),
        (0x5A, PAN19 + "F", "622848__________018F"),
        (0x57, TRACK16, "622800______1117D3__________________"),
        (0x57, PAN19 + "D30122010123F", "622848__________018D" + "_" * 12),
        (0x5F20, "46554C4C", "________"),
        (0x9F36, "0001", "0001"),
    ],
)
def test_spans_cover_what_may_not_be_shown(tag: int, value: str, covered: str) -> None:
    node = tlv(0x70, tlv(0x95, bytes(5)), tlv(tag, bytes.fromhex(value)))
    raw = list(bytes(node).hex().upper())
    for start, end in sensitive_spans(parse(bytes(node))):
        raw[2 * start : 2 * end] = "_" * (2 * (end - start))
    assert "".join(raw).endswith(covered)
    assert "".join(raw).startswith(bytes(node).hex().upper()[:18])
