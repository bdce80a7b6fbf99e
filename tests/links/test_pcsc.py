"""What PC/SC says when something is missing. The same with a daemon, a driver and a card: tests/readers."""

import pytest

from shanfu.errors import LinkClosed, LinkError, LinkTimeout
from shanfu.links import pcsc

READERS = ["Virtual PCD 00 00", "Virtual PCD 00 01", "ACS ACR122U 01 00", "ACS"]

# fmt: off
NAMES = [  # what is asked for, the reader, or the complaint
    ("acr122",            "ACS ACR122U 01 00"),
    ("00 01",             "Virtual PCD 00 01"),
    ("ACS",               "ACS"),                # exactly one reader's name, though another's part
    ("Virtual PCD 00 00", "Virtual PCD 00 00"),
    ("virtual",           "reader 'virtual': fits 2 readers: Virtual PCD 00 00, Virtual PCD 00 01"),
    ("omnikey",           "reader 'omnikey': is not one of the readers: " + ", ".join(READERS)),
]
CODES = [  # return code, the error, its words
    (0x8010001D,  LinkClosed,  "X: no pcscd answers; start it"),
    (-0x7FEFFFE3, LinkClosed,  "X: no pcscd answers; start it"),  # the same, as a 32-bit long has it
    (0x8010000C,  LinkTimeout, "X: no card in the reader"),
    (0x80100069,  LinkClosed,  "X: the card was taken away"),
    (0x80100017,  LinkClosed,  "X: the reader was unplugged"),
    (0x8010006A,  LinkClosed,  "X: pcscd refuses this user"),
    (0x80100001,  LinkClosed,  "X: PC/SC fault 80100001"),
]
# fmt: on


@pytest.mark.parametrize(("part", "found"), NAMES)
def test_readers_by_a_part_of_their_name(part: str, found: str) -> None:
    try:
        told = pcsc.find_reader(part, READERS)
    except LinkError as fault:
        told = str(fault)
    assert told == found


def test_no_readers() -> None:
    with pytest.raises(LinkClosed, match="there are none"):
        pcsc.find_reader("any", [])


@pytest.mark.parametrize(("code", "kind", "words"), CODES)
def test_return_codes(code: int, kind: type[LinkError], words: str) -> None:
    with pytest.raises(kind) as caught:
        pcsc._check(code, "X")
    assert str(caught.value).startswith(words)
    pcsc._check(0, "X")


def test_a_machine_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    pcsc._library.cache_clear()
    monkeypatch.setattr(pcsc, "LIBRARY", "libnothing.so.9")
    try:
        with pytest.raises(LinkClosed, match=r"libnothing\.so\.9 is not on this machine"):
            pcsc.list_readers()
    finally:
        pcsc._library.cache_clear()
