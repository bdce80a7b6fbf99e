"""Reading and writing bytes against codecs written by others: pyiso8583 for messages, ber-tlv for card data.

The same message with the same formats on both sides: pyiso8583's specification is made from our own table, DE55 as bytes.
Ours checks every digit and limit that the dialect states; pyiso8583 returns text.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any

from benchmarks.measure import SECONDS, Row, Rule, repeated, time_us
from shanfu.iso7816 import parse, parse_flat
from shanfu.iso8583 import INTERBANK, POS, Dialect
from tests.iso8583.samples import PURCHASE, TOKEN_PURCHASE

Plain = Callable[[], object]

POS_BODY, INTERBANK_BODY = PURCHASE[13:], TOKEN_PURCHASE[50:]  # without frame and header
DE55 = POS.decode(POS_BODY).binary(55)
MISSING = "{} is not installed"
LAZY = "objects are checked at once and built when asked for"


def rows(seconds: float = SECONDS) -> list[dict[str, Any]]:
    """Measure both dialects and a DE55."""
    found = []
    for dialect, body in ((POS, POS_BODY), (INTERBANK, INTERBANK_BODY)):
        found += _messages(dialect, body, seconds)
    return [row.public() for row in found + _card_data(seconds)]


def _messages(dialect: Dialect, body: bytes, seconds: float) -> list[Row]:
    message = dialect.decode(body)
    for _ in range(3):  # a combination of fields that keeps coming gets a plan
        assert dialect.encode(dialect.decode(body)) == body
    reading: Plain | None = None
    writing: Plain | None = None
    try:
        oracle = import_module("tests.iso8583.oracle")
    except ImportError:
        note = MISSING.format("pyiso8583")
    else:
        note, spec = "", oracle.spec_of(dialect)
        values = {number: value for number, value in oracle.decode(body, spec).items() if number not in ("p", "1")}
        reading, writing = lambda: oracle.decode(body, spec), lambda: oracle.encode(values, spec)
    what = f"{dialect.name} purchase of {len(message.fields)} fields"
    return [
        _row(f"ISO 8583 decode, {what} / pyiso8583", lambda: dialect.decode(body), reading, seconds, goal=1 / 5, note=note),
        _row(f"ISO 8583 encode, {what} / pyiso8583", lambda: dialect.encode(message), writing, seconds, note=note),
    ]


def _card_data(seconds: float) -> list[Row]:
    theirs: Plain | None = None
    try:
        peer = import_module("ber_tlv.tlv").Tlv
    except ImportError:
        note = MISSING.format("ber-tlv")
    else:
        note, theirs = "", lambda: peer.parse(DE55)
    name = f"BER-TLV, a DE55 of {len(DE55)} bytes"
    return [
        _row(f"{name}: parse / ber-tlv", lambda: parse(DE55), theirs, seconds, goal=1 / 8, note=note or LAZY),
        _row(f"{name}: parse to tag and value / ber-tlv", lambda: parse_flat(DE55), theirs, seconds, note=note),
        _row(f"{name}: parse and touch every object / ber-tlv", _touch, theirs, seconds, note=note),
    ]


def _touch() -> None:
    for node in parse(DE55).walk():
        _ = node.tag, node.value


def _row(name: str, ours: Plain, other: Plain | None, seconds: float, *, goal: float | None = None, note: str) -> Row:
    mine, theirs = time_us(repeated(ours), repeated(other) if other else None, seconds)
    rule: Rule = "ratio at most" if goal else ""
    return Row(name=name, ours=mine, other=theirs, unit="µs", rule=rule, goal=goal, note=note)
