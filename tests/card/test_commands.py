"""Every misuse and its status word; selection; what may be read; noise."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shanfu.card import COMMANDS, CONTACT_COMMANDS, Card, Command, Interface, debit_3_0, laboratory_card, personalise
from shanfu.card.application import Application
from shanfu.card.chip import refuse
from shanfu.card.state import State
from shanfu.emv import FCI, commands, parse_ppse
from shanfu.iso7816 import CommandAPDU, StatusWord, parse
from shanfu.store import DictMemory
from tests.budget import examples
from tests.card.bench import CONTACT, CONTACTLESS, DEBIT, NUMBER, ask, card, chip, gpo, keys_for, memory_of, tap

SELECT_PPSE = "00A404000E325041592E5359532E444446303100"
SELECT_ADF = "00A4040008A00000033301010100"
GPO = "80A8000023832136800000000000000001000000000000015600000000000156170601002B29EBE400"


@pytest.mark.parametrize(("before", "command", "sw"), [
    ("",          "",                                "6700"),  # no command at all
    ("",          "00A404",                          "6700"),
    ("",          "00A404000AA00000033301010100",    "6700"),  # Lc says one more
    ("",          "00A4040005A000000333010100",      "6700"),  # Lc says less
    ("",          "FFA4040008A00000033301010100",    "6E00"),
    ("",          "01A4040008A00000033301010100",    "6E00"),  # a logical channel
    ("",          "80A4040008A00000033301010100",    "6E00"),  # SELECT is of class 00
    ("",          "0070000001",                      "6D00"),
    ("",          "00A4000008A00000033301010100",    "6A86"),  # not by name
    ("",          "00A4040108A00000033301010100",    "6A86"),
    ("",          "00A4040000",                      "6700"),  # no name
    ("",          "00A4040004A000000300",            "6700"),  # names have 5 to 16 bytes
    ("",          "00A4040007A000000333010200",      "6A82"),
    ("",          "00A404000E315041592E5359532E444446303100", "6A82"),  # no contact directory over the antenna
    ("",          GPO,                               "6985"),  # nothing selected
    ("",          "00B2010C00",                      "6985"),
    ("",          "80CA9F3600",                      "6985"),
    ("",          "0020008008241234FFFFFFFFFF",      "6985"),
    ("",          "00700000",                        "6D00"),
    ("ppse",      GPO,                               "6985"),  # the directory is no application
    ("adf",       "80A8010023832136800000000000000001000000000000015600000000000156170601002B29EBE400", "6A86"),
    ("adf",       "80A80000",                        "6700"),
    ("adf",       "80A8000002830000",                "6700"),  # the PDOL asks for 33 bytes
    ("adf",       "80A80000228320" + "00" * 32 + "00", "6700"),
    ("adf",       "80A80000238421" + "00" * 33 + "00", "6A80"),  # not template 83
    ("adf",       "80A80000238320" + "00" * 33 + "00", "6A80"),  # 83 says less
    ("adf",       "80A80000238322" + "00" * 33 + "00", "6A80"),  # 83 says more
    ("adf",       GPO[:-2] + "10",                   "6700"),  # an answer of 16 bytes: asked before a number is spent
    ("adf",       "00A8000002830000",                "6E00"),
    ("adf",       "80AE80001D" + "00" * 29 + "00",   "6985"),  # no transaction is open
    ("adf",       "0020008008241234FFFFFFFFFF",      "6985"),
    ("adf",       "841E000004AABBCCDD",              "6985"),  # no issuer has been asked
    ("adf gpo",   "80AE80001D" + "00" * 29 + "00",   "6985"),  # a tap has one cryptogram
    ("adf gpo",   "0020008008241234FFFFFFFFFF",      "6985"),
    ("adf gpo",   "841E000004AABBCCDD",              "6985"),
    ("adf gpo",   "0082000000",                      "6985"),
    ("adf",       "8020008008241234FFFFFFFFFF",      "6E00"),  # class and instruction belong together
    ("adf",       "00B2010C00",                      "9000"),
    ("adf",       "00B2010400",                      "6A86"),  # SFI 0
    ("adf",       "00B201FC00",                      "6A86"),  # SFI 31
    ("adf",       "00B2010D00",                      "6A86"),  # not by number
    ("adf",       "00B2000C00",                      "6A83"),
    ("adf",       "00B2020C00",                      "6A83"),
    ("adf",       "00B2015C00",                      "6A83"),  # the log is there, and empty
    ("adf",       "00B2016C00",                      "6A82"),  # internal objects are no file
    ("adf",       "00B2017400",                      "6A82"),
    ("adf",       "00B2012400",                      "9000"),
    ("adf",       "00B2012C00",                      "6A82"),
    ("adf",       "00B2010C01AA00",                  "6700"),
    ("adf",       "80CA005700",                      "6A88"),  # track 2 is not for GET DATA
    ("adf",       "80CA5F2000",                      "6A88"),
    ("adf",       "80CA9F6300",                      "6A88"),
    ("adf",       "80CA000000",                      "6A88"),
    ("adf",       "80CA9F3601AA00",                  "6700"),
    ("adf",       "80CA9F3602",                      "6C05"),  # ask again with this Le
    ("adf",       "80CA9F3605",                      "9000"),
    ("adf gpo",   GPO,                               "6985"),  # one payment a selection
    ("adf gpo",   "00B2010C00",                      "9000"),
    ("adf gpo",   SELECT_ADF,                        "9000"),
    ("adf gpo adf", GPO,                             "9000"),
    ("adf ppse",  GPO,                               "6985"),
    ("adf badsel", GPO,                              "9000"),  # a failed SELECT leaves what was selected
])  # fmt: skip
def test_status_word(before: str, command: str, sw: str) -> None:
    steps = {"ppse": SELECT_PPSE, "adf": SELECT_ADF, "gpo": GPO, "badsel": "00A4040007A000000333010200"}
    made = card()
    for step in before.split():
        made.answer(bytes.fromhex(steps[step]))
    assert made.answer(bytes.fromhex(command))[-2:].hex().upper() == sw


def test_a_refused_gpo_spends_nothing() -> None:
    made = card()
    ask(made, SELECT_ADF)
    for bad in ("80A8000002830000", GPO[:-2] + "10", "80A80000238422" + "00" * 33 + "00"):
        assert not ask(made, bad).ok
    assert ask(made, "80CA9F3600").data.hex() == "9f36020000"
    assert ask(made, GPO).ok, "and may be put right"


@pytest.mark.parametrize(("command", "sw"), [
    (SELECT_ADF,   "6283"),
    (GPO,          "6985"),
    ("00B2010C00", "6985"),
    ("80CA9F3600", "9000"),
    (SELECT_PPSE,  "9000"),
])  # fmt: skip
def test_a_blocked_application(command: str, sw: str) -> None:
    made = card(blocked=True)
    selected = ask(made, SELECT_ADF)
    assert (f"{selected.sw:04X}", FCI.parse(selected.data).df_name) == ("6283", DEBIT.aid)
    assert made.answer(bytes.fromhex(command))[-2:].hex().upper() == sw


@pytest.mark.parametrize(("tag", "value"), [
    (0x9F13, "0000"), (0x9F17, "03"), (0x9F36, "0001"), (0x9F79, "000000000500"), (0x9F5D, "000000000500"),
    (0x9F77, "000000100000"), (0x9F78, "000000100000"), (0x9F51, "0156"), (0x9F68, "9900f000"), (0x9F6C, "2000"),
    (0x9F4F, "9a039f21039f02069f03069f1a025f2a029f4e149c019f3602"), (0xDF4F, "9a039f21039f1a029f4e149c019f3602"),
])  # fmt: skip
def test_get_data(tag: int, value: str) -> None:
    made = card(balance_minor=500)
    tap(made)
    node = parse(ask(made, commands.get_data(tag)).data)[0]
    assert (node.tag, node.value.hex()) == (tag, value)


def test_the_two_interfaces_show_two_faces() -> None:
    asked = {}
    for interface in Interface:
        made = card(debit_3_0(NUMBER), interface=interface)
        asked[interface] = bytes(FCI.parse(ask(made, SELECT_ADF).data).pdol or b"").hex().upper()
    assert asked == {
        CONTACT: "9F7A019F02065F2A02DF6901",
        CONTACTLESS: "9F66049F02069F03069F1A0295055F2A029A039C019F3704DF6001DF6901",
    }


def two_applications() -> DictMemory:
    memory = chip()
    second = replace(DEBIT, aid=bytes.fromhex("A000000333010106"), label=b"ECASH")
    personalise(second, keys_for(second), memory)
    return memory


@pytest.mark.parametrize(("name", "nexts", "found"), [
    ("A000000333010101",   0, "A000000333010101"),
    ("A000000333010106",   0, "A000000333010106"),
    ("A000000333",         0, "A000000333010101"),
    ("A0000003330101",     1, "A000000333010106"),
    ("A0000003330101",     2, None),
    ("A000000333010101",   1, None),
    ("A00000033301010100", 0, None),
])  # fmt: skip
def test_partial_names(name: str, nexts: int, found: str | None) -> None:
    made = Card(two_applications())
    made.power_on(CONTACTLESS)
    answer = ask(made, commands.select(bytes.fromhex(name)))
    for _ in range(nexts):
        answer = ask(made, commands.select(bytes.fromhex(name), next_occurrence=True))
    if found is None:
        assert answer.sw == StatusWord.FILE_NOT_FOUND
    else:
        assert FCI.parse(answer.data).df_name == bytes.fromhex(found)


def test_the_directory_lists_what_the_antenna_reaches() -> None:
    memory = two_applications()
    buried = replace(DEBIT, aid=bytes.fromhex("A000000333010103"), interfaces=frozenset({CONTACT}))
    personalise(buried, keys_for(buried), memory)
    made = Card(memory)
    made.power_on(CONTACTLESS)
    entries = parse_ppse(ask(made, commands.select_ppse()).data)
    assert [(entry.aid[-1], entry.label, entry.kernel) for entry in entries] == [(1, b"PBOC DEBIT", 7), (6, b"ECASH", 7)]
    assert ask(made, commands.select(buried.aid)).sw == StatusWord.FILE_NOT_FOUND


def test_two_applications_count_apart() -> None:
    made = Card(two_applications())
    made.power_on(CONTACTLESS)
    second = replace(DEBIT, aid=bytes.fromhex("A000000333010106"))
    assert [tap(made, one)[0x9F36].hex() for one in (DEBIT, DEBIT, second, DEBIT)] == ["0001", "0002", "0001", "0003"]


def test_power_and_interfaces() -> None:
    made = Card(chip(interfaces=frozenset({CONTACT})))
    assert (made.has_interface(CONTACTLESS), made.has_interface(CONTACT)) == (False, True)
    assert made.power_on(CONTACTLESS) == b"", "in a field this card is silent"
    assert made.answer(bytes.fromhex(SELECT_PPSE)) == b""
    atr = made.power_on(CONTACT)
    assert (atr[0], atr[-1]) == (0x3B, _xor(atr[1:-1]))
    assert ask(made, SELECT_ADF).ok
    made.power_off()
    assert made.answer(bytes.fromhex(SELECT_ADF)) == b""
    made.power_on(CONTACT)
    assert ask(made, "80CA9F3600").sw == StatusWord.CONDITIONS_NOT_SATISFIED, "power loss forgets the selection"


def test_plastic_without_an_antenna() -> None:
    made = Card(chip(), interfaces=[CONTACT])
    assert made.interfaces == frozenset({CONTACT})
    ats = Card(chip()).power_on(CONTACTLESS)
    assert ats[0] == len(ats)


def _xor(raw: bytes) -> int:
    check = 0
    for octet in raw:
        check ^= octet
    return check


def test_selecting_and_reading_change_nothing_durable() -> None:
    memory = chip()
    made, before = Card(memory), memory_of(memory)
    for interface in (CONTACT, CONTACTLESS):
        made.power_on(interface)
        for command in (SELECT_PPSE, SELECT_ADF, "80CA9F3600", "00B2010C00", "80A8000002830000"):
            made.answer(bytes.fromhex(command))
    assert memory_of(memory) == before


def test_more_commands_are_a_longer_table() -> None:
    longer = {**COMMANDS, (0x00, 0x84): Command(lambda *_: refuse(StatusWord.OK), frozenset({State.SELECTED}))}
    application = Application(chip(), DEBIT.aid, commands=longer)
    assert application.answer(commands.get_challenge()).sw == StatusWord.CONDITIONS_NOT_SATISFIED
    application.select(CONTACT)
    assert application.answer(commands.get_challenge()).ok
    assert application.answer(CommandAPDU(cla=0x00, ins=0x88)).sw == StatusWord.INS_NOT_SUPPORTED


def test_a_phone_has_the_commands_of_a_tap_and_no_others() -> None:
    """Who is not given the longer table knows neither the contact flow nor the issuer's orders, in no state."""
    application = Application(chip(), DEBIT.aid)
    contact_only = set(CONTACT_COMMANDS) - set(COMMANDS)
    assert len(contact_only) == 11
    for opened in (False, True):
        application.select(CONTACT)
        if opened:
            assert application.answer(commands.get_processing_options(bytes(9))).ok
        for cla, ins in contact_only:
            refused = application.answer(CommandAPDU(cla=cla, ins=ins, data=bytes(10))).sw
            assert refused in (StatusWord.INS_NOT_SUPPORTED, StatusWord.CLA_NOT_SUPPORTED)


KNOWN_STARTS = [bytes.fromhex(text) for text in ("00A4", "00A40400", "80A80000", "80A8000023", "80A800002383", "00B2", "80CA")]


@settings(max_examples=examples(300, heavy=20_000), deadline=None)
@given(
    st.lists(
        st.builds(lambda start, rest: start + rest, st.sampled_from([b"", *KNOWN_STARTS]), st.binary(max_size=48)), max_size=6
    )
)
def test_noise_gets_a_status_word(noise: list[bytes]) -> None:
    made = SPARE
    made.power_on(CONTACTLESS)
    ask(made, SELECT_ADF)
    for command in noise:
        answer = made.answer(command)
        assert len(answer) >= 2
        assert 0x61 <= answer[-2] <= 0x6F or answer[-2:] == b"\x90\x00"
    assert ask(made, SELECT_ADF).ok


SPARE = Card(chip())


@settings(max_examples=examples(100, heavy=20_000), deadline=None)
@given(st.binary(min_size=33, max_size=33))
def test_any_terminal_data_gets_an_answer_or_a_refusal(said: bytes) -> None:
    made = SPARE
    made.power_on(CONTACTLESS)
    ask(made, SELECT_ADF)
    assert ask(made, commands.get_processing_options(said)).sw in (0x9000, 0x6985)


def test_nothing_secret_is_shown() -> None:
    profile = debit_3_0(NUMBER, "LIN/YUE")
    made = card(profile)
    gpo(made, profile)
    shown = f"{made!r} {made._applications[0]._chip!r} {keys_for(DEBIT)!r} {profile!r} {laboratory_card()!r}"
    assert NUMBER.digits not in shown
    assert "6228000100001117" not in shown
    assert "LIN/YUE" not in shown
    assert keys_for(DEBIT).ac.hex() not in shown.lower()
    assert str(keys_for(DEBIT).ac)[2:-1] not in shown
