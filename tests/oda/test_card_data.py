"""The static data that an issuer signs: which part of a record, in which order, with or without the AIP."""

import pytest

from shanfu.emv import UNIONPAY_RID
from shanfu.oda import CardData, Failure, static_data

RECORD, BODY = "700A5A086228000100001117", "5A086228000100001117"
OTHER_BODY = "5F2403301231"


@pytest.mark.parametrize(("records", "tag_list", "expected"), [
    ([],                          None,   ""),
    ([],                          "82",   "7D00"),
    ([(1, RECORD)],               None,   BODY),
    ([(10, RECORD)],              "82",   BODY + "7D00"),
    ([(11, RECORD)],              "82",   RECORD + "7D00"),
    ([(30, "CAFE")],              "82",   "CAFE7D00"),               # beyond SFI 10 anything may stand
    ([(2, RECORD), (3, "7006" + OTHER_BODY)], "82", BODY + OTHER_BODY + "7D00"),
    ([(3, "7006" + OTHER_BODY), (2, RECORD)], "82", OTHER_BODY + BODY + "7D00"),
    ([(1, "7081" + RECORD[2:])],  "82",   BODY + "7D00"),            # a length in two bytes
    ([(1, "7000")],               None,   ""),
    ([(1, BODY)],                 None,   "RECORD_NOT_A_TEMPLATE"),
    ([(1, "77" + RECORD[2:])],    None,   "RECORD_NOT_A_TEMPLATE"),
    ([(1, "")],                   None,   "RECORD_NOT_A_TEMPLATE"),
    ([(11, "00" * 2048)],         None,   "00" * 2048),
    ([(11, "00" * 2049)],         None,   "RECORD_TOO_LONG"),
    ([(11, "00" * 2047)],         "82",   "RECORD_TOO_LONG"),
    ([(1, RECORD)],               "9F37", "TAG_LIST_OTHER_TAGS"),
    ([(1, RECORD)],               "8282", "TAG_LIST_OTHER_TAGS"),
    ([(1, RECORD)],               "",     "TAG_LIST_OTHER_TAGS"),
])  # fmt: skip
def test_static_data(records: list[tuple[int, str]], tag_list: str | None, expected: str) -> None:
    values = {} if tag_list is None else {0x9F4A: bytes.fromhex(tag_list)}
    raw = [(sfi, bytes.fromhex(record)) for sfi, record in records]
    found = static_data(CardData(rid=UNIONPAY_RID, values=values, records=raw, aip=b"\x7d\x00"))
    assert (found.name if isinstance(found, Failure) else found.hex().upper()) == expected
