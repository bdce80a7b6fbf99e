"""Nothing secret reaches a log line, whoever writes it."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from shanfu.links import configure, redact
from shanfu.pan import PAN

CARD = "6228480000000005"


@pytest.mark.parametrize(("name", "value", "written"), [
    ("event",      f"card {CARD} refused",             "card 622848******0005 refused"),
    ("event",      "6228 4800 0000 0005",              "622848******0005"),
    ("event",      "6228-4800-0000-0005",              "622848******0005"),
    ("event",      f"{CARD}=30122011234",              "622848******0005"),
    ("event",      f"{CARD}D30122011234",              "<14 bytes>"),
    ("event",      "0" * 30,                           "<30 digits>"),
    ("event",      "key 0123456789ABCDEFFEDCBA9876543210 set", "key <16 bytes> set"),
    ("event",      "pin=123456, amount=1234",          "pin=***, amount=1234"),
    ("event",      "KeyError: pan: '62'",              "KeyError: pan: '***'"),
    ("event",      "2026-11-22T15:15:16.123456Z",      "2026-11-22T15:15:16.123456Z"),
    ("event",      "stan 000123 amount 1234567",       "stan 000123 amount 1234567"),
    ("pin",        "123456",                           "***"),
    ("pan",        CARD,                               "***"),
    ("pan",        PAN(CARD),                          "622848******0005"),
    ("card",       PAN(CARD),                          "622848******0005"),
    ("track2",     "x",                                "***"),
    ("working_key", "AB",                              "***"),
    ("raw",        b"\x62\x28",                        "<2 bytes>"),
    ("number",     int(CARD),                          "622848******0005"),
    ("at_ms",      1_763_822_116_000,                  1_763_822_116_000),
    ("count",      12_345,                             12_345),
    ("ok",         True,                               True),
    ("detail",     {"pin": "1", "x": [CARD]},          {"pin": "***", "x": ["622848******0005"]}),
    ("trace",      "9d533279c0381bc8",                 "9d533279c0381bc8"),
    ("rrn",        "123456789012",                     "123456789012"),
    ("fault",      ValueError(CARD),                   "ValueError('622848******0005')"),
])  # fmt: skip
def test_redaction(name: str, value: object, written: object) -> None:
    assert redact(None, "info", {name: value}) == {name: written}


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    stream = io.StringIO()
    configure(stream=stream)
    yield stream
    structlog.reset_defaults()
    root.handlers[:], root.level = handlers, level


def test_lines_are_json_and_tracebacks_and_libraries_are_masked_too(stream: io.StringIO) -> None:
    try:
        raise KeyError(CARD)
    except KeyError:
        structlog.get_logger("shanfu.links").exception("it broke", station="bank")
    logging.getLogger("somebody").warning("saw %s", CARD)
    structlog.get_logger().debug("not asked for")
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["event"] for line in lines] == ["it broke", "saw 622848******0005"]
    assert lines[0]["station"] == "bank"
    assert "KeyError: '622848******0005'" in lines[0]["exception"]
    assert CARD not in stream.getvalue()
