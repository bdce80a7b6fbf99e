"""What terminals download: CA keys and application parameters by group, told when they changed, refused when asked amiss."""

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from shanfu.acquirer import (
    SCHEMA,
    add_ca_key,
    assign_terminal,
    forward_queue,
    list_aids,
    list_ca_keys,
    list_terminals,
    remove_aid,
    remove_ca_key,
    set_aid,
)
from shanfu.errors import ConfigError, NotFound
from shanfu.iso8583 import (
    AIDRecord,
    CAKeyName,
    CAKeyRecord,
    Message,
    PosFrame,
    PosHeader,
    decode_pos,
    encode_aid_name,
    encode_ca_key_name,
    encode_query,
    parse_aid,
    parse_aid_list,
    parse_ca_key,
    parse_ca_key_list,
)
from shanfu.store import Schema, Store
from tests.acquirer.bank import START_MS, Bank

RID = bytes.fromhex("A000000333")
KEY = CAKeyRecord(rid=RID, index=0x80, expires="20301231", modulus=bytes(range(128)), checksum=bytes(20), exponent=b"\x03")
AID = AIDRecord(
    aid=RID + b"\x01\x01", tac_default=b"\xd8\x40\x00\xa8\x00", tac_online=b"\xd8\x40\x04\xf8\x00", tac_denial=bytes(5),
    contactless_limit_minor=100_000_001, cvm_limit_minor=100_001,
)  # fmt: skip


def asked(bank: Bank, mti: str, code: str, de62: bytes | None = None) -> tuple[Message, int]:
    """Send a message about downloads; return the answer, and what its header asks for."""
    return told(bank, bank.till.download(mti, code, de62))


def told(bank: Bank, frame: bytes) -> tuple[Message, int]:
    [back] = bank.turn((bank.till.station, frame))
    answer: PosFrame = decode_pos(back.frame)
    return answer.message, PosHeader.parse(answer.header).processing_requirement


def download(bank: Bank) -> tuple[list[CAKeyRecord], list[AIDRecord], list[int]]:
    """Sign in and fetch whatever the acquirer says there is; what the headers asked for on the way."""
    answer, first = told(bank, bank.till.sign_in())
    bank.till.take_keys(answer)
    keys, aids = list[CAKeyRecord](), list[AIDRecord]()
    names, more = list[CAKeyName](), True
    while more:
        part, more = parse_ca_key_list(asked(bank, "0820", "372", encode_query(len(names)))[0].binary(62))
        names += part
    for name in names:
        key = parse_ca_key(asked(bank, "0800", "370", encode_ca_key_name(name))[0].binary(62))
        assert key
        keys.append(key)
    _, second = asked(bank, "0800", "371")
    for aid in parse_aid_list(asked(bank, "0820", "382", encode_query(0))[0].binary(62))[0]:
        record = parse_aid(asked(bank, "0800", "380", encode_aid_name(aid))[0].binary(62))
        assert record
        aids.append(record)
    _, third = asked(bank, "0800", "381")
    return keys, aids, [first, second, third]


def requirement(bank: Bank) -> int:
    answer, digit = told(bank, bank.till.sign_in())
    bank.till.take_keys(answer)
    return digit


def test_a_terminal_is_told_downloads_and_is_left_in_peace(bank: Bank) -> None:
    assert requirement(bank) == 0  # there is nothing
    add_ca_key(bank.store, KEY)
    set_aid(bank.store, AID)
    assert download(bank) == ([KEY], [AID], [4, 5, 0])
    assert requirement(bank) == 0


def test_a_change_is_told_again(bank: Bank) -> None:
    add_ca_key(bank.store, KEY)
    set_aid(bank.store, AID)
    download(bank)
    changed = replace(AID, cvm_limit_minor=0)
    set_aid(bank.store, changed)
    assert requirement(bank) == 5
    remove_ca_key(bank.store, RID, 0x80)
    assert requirement(bank) == 4
    assert download(bank) == ([], [changed], [4, 5, 0])
    remove_aid(bank.store, AID.aid)
    assert requirement(bank) == 5
    assert (list_ca_keys(bank.store), list_aids(bank.store)) == ([], [])


def test_a_change_during_the_download_is_not_lost(bank: Bank) -> None:
    add_ca_key(bank.store, KEY)
    asked(bank, "0820", "372", encode_query(0))
    add_ca_key(bank.store, replace(KEY, index=0x81))
    _, digit = asked(bank, "0800", "371")
    assert (digit, requirement(bank)) == (4, 4)


def test_groups(bank: Bank) -> None:
    add_ca_key(bank.store, KEY)
    add_ca_key(bank.store, replace(KEY, index=8), group="trial")
    assert [key.index for key in download(bank)[0]] == [0x80]
    assign_terminal(bank.store, bank.till.terminal, "trial")
    keys, _, digits = download(bank)
    assert ([key.index for key in keys], digits) == ([8], [4, 0, 0])
    assert [terminal.terminal_group for terminal in list_terminals(bank.store)] == ["trial", "all"]


def test_more_keys_than_one_answer_holds(bank: Bank) -> None:
    for index in range(30):
        add_ca_key(bank.store, replace(KEY, index=index))
    assert [key.index for key in download(bank)[0]] == list(range(30))


def test_what_an_answer_holds(bank: Bank) -> None:
    add_ca_key(bank.store, KEY)
    answer, _ = asked(bank, "0820", "372", encode_query(0))
    assert (answer.mti, set(answer.fields)) == ("0830", {11, 12, 13, 32, 37, 39, 41, 42, 60, 62})
    answer, _ = asked(bank, "0800", "371")
    assert (answer.mti, set(answer.fields)) == ("0810", {11, 12, 13, 32, 37, 39, 41, 42, 60})


# fmt: off
AMISS = [
    # what is asked      MTI     60.3   DE62                                                     39    62
    ("no status",        "0820", "372", None,                                                    "30", None),
    ("cut status",       "0820", "372", b"10",                                                   "30", None),
    ("cut status",       "0820", "382", b"",                                                     "30", None),
    ("no name",          "0800", "370", None,                                                    "30", None),
    ("cut name",         "0800", "370", encode_ca_key_name(KEY.name)[:-1],                       "30", None),
    ("no index",         "0800", "370", encode_aid_name(RID),                                    "30", None),
    ("cut name",         "0800", "380", encode_aid_name(AID.aid)[:-1],                           "30", None),
    ("unknown key",      "0800", "370", encode_ca_key_name(CAKeyName(rid=RID, index=9)),         "00", b"0"),
    ("unknown AID",      "0800", "380", encode_aid_name(RID),                                    "00", b"0"),
    ("beyond the end",   "0820", "372", b"199",                                                  "00", b"0"),
    ("black list",       "0800", "390", b"100",                                                  "12", None),
]
# fmt: on


@pytest.mark.parametrize("row", AMISS, ids=[f"{row[0]} {row[2]}" for row in AMISS])
def test_asked_amiss(bank: Bank, row: tuple[str, str, str, bytes | None, str, bytes | None]) -> None:
    _, mti, code, de62, said, given = row
    add_ca_key(bank.store, KEY)
    set_aid(bank.store, AID)
    answer, digit = asked(bank, mti, code, de62)
    assert (answer.text(39), answer.fields.get(62), digit) == (said, given, 0)


def test_strangers_get_nothing(bank: Bank) -> None:
    add_ca_key(bank.store, KEY)
    bank.till.terminal = "19999999"
    answer, _ = asked(bank, "0820", "372", encode_query(0))
    assert (answer.text(39), 62 in answer) == ("97", False)


def test_what_the_back_office_cannot_do(bank: Bank) -> None:
    with pytest.raises(NotFound):
        remove_ca_key(bank.store, RID, 1)
    with pytest.raises(NotFound):
        assign_terminal(bank.store, "19999999", "trial")
    for number in range(99):
        set_aid(bank.store, replace(AID, aid=RID + bytes([number])))
    with pytest.raises(ConfigError, match="counts no more"):
        set_aid(bank.store, AID)


def test_books_of_the_first_format_are_upgraded(tmp_path: Path) -> None:
    old = tmp_path / "migrations"
    old.mkdir()
    (old / "format_1.py").write_text((SCHEMA.migrations / "format_1.py").read_text())
    path = tmp_path / "acquirer.db"
    Store.open(path, schema=Schema(party="acquirer", metadata=SCHEMA.metadata, migrations=old), name="acquirer").close()
    with sqlite3.connect(path) as database:
        row = (0, "10000001", "990290058120001", "unionpay-ecb", "000007", 1, START_MS)
        database.execute("INSERT INTO terminals VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        item = (0, 1, "name", "original", "reversal", "98", "QUEUED", 3, 0, "", START_MS, START_MS)
        database.execute("INSERT INTO forwards VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", item)
    database.close()
    store = Store.open(path, schema=SCHEMA, name="acquirer")
    [terminal], [forward] = list_terminals(store), forward_queue(store)
    store.close()
    assert (terminal.batch, terminal.terminal_group, terminal.keys_held) == ("000007", "all", 0)
    assert (forward.attempts, forward.terminal_name, forward.kept) == (3, "", b"")
