"""Requestor ids, account references, token numbers, key indexes: what they are, and what is none."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shanfu.errors import DecodeError
from shanfu.tokens import PAR, TRID, key_index_bytes, key_index_now, key_index_text, token_number

NO_TRIDS = ["", "4001003027", "901123456789", "00012345678", "9011234567x", " 9011234567", "٩0112345678", "90112345678\n"]


@pytest.mark.parametrize("text", NO_TRIDS)
def test_what_is_no_requestor_id(text):
    with pytest.raises(DecodeError):
        TRID(text)


def test_an_account_reference_from_outside_is_kept_in_upper_case():
    lower = "v0010013020315513942420893974"
    assert str(PAR.parse(lower)) == lower.upper()
    with pytest.raises(DecodeError):
        PAR(lower)
    for text in ("", lower[:-1], lower + "0", "V001-013020315513942420893974", "ß" * 29, lower.upper() + "\n"):
        with pytest.raises(DecodeError):
            PAR.parse(text)


@given(st.integers(0, 10**9 - 1))
def test_a_token_is_a_right_number_of_its_range(serial):
    token = token_number("625094", serial)
    assert token.luhn_ok
    assert token.digits[:6] == "625094"
    assert int(token.digits[6:15]) == serial
    assert token.digits not in f"{token!r} {token}"


@pytest.mark.parametrize(("prefix", "serial", "length"), [("625094", 10**9, 16), ("625094", -1, 16), ("625094" * 3, 1, 16)])
def test_a_range_ends(prefix, serial, length):
    with pytest.raises(DecodeError):
        token_number(prefix, serial, length=length)


@given(st.datetimes(datetime(2024, 1, 1), datetime(2034, 1, 1)), st.integers(0, 99))
def test_an_index_tells_its_hour_and_survives_packing(moment, counter):
    moment = moment.replace(tzinfo=UTC)
    index = key_index_now(int(moment.timestamp() * 1000), counter)
    assert key_index_text(key_index_bytes(index)) == index
    begin = datetime(moment.year, 1, 1, tzinfo=UTC) + timedelta(hours=int(index[1:5]) - 1)
    assert begin <= moment < begin + timedelta(hours=1)
    assert (int(index[0]), int(index[5:])) == (moment.year % 10, counter)


@pytest.mark.parametrize("counter", [-1, 100, 1000])
def test_a_hundred_key_sets_an_hour_and_no_more(counter):
    with pytest.raises(DecodeError):
        key_index_now(0, counter)


@pytest.mark.parametrize("text", ["", "500010", "26643101", "500010x", "٥000100", "-500010"])
def test_what_is_no_index(text):
    with pytest.raises(DecodeError):
        key_index_bytes(text)


@pytest.mark.parametrize("packed", ["", "050001", "0500010000", "26643101", "0500010A", "F5000100"])
def test_what_packs_no_index(packed):
    with pytest.raises(DecodeError):
        key_index_text(bytes.fromhex(packed))
