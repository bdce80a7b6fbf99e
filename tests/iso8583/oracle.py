"""pyiso8583 with a spec made from our own table: another author's reader and writer over the same formats."""

from typing import Any

import iso8583

from shanfu.iso8583.codec import Dialect
from shanfu.iso8583.fields import IN_NIBBLES, Encoding, Field

DATA = {Encoding.BYTES: "b", Encoding.TEXT: "gbk"}


def row(field: Field) -> dict[str, Any]:
    nibbles = field.encoding in IN_NIBBLES
    spec: dict[str, Any] = {
        "data_enc": "b" if nibbles else DATA.get(field.encoding, "ascii"),
        "len_enc": "bcd" if field.prefix.bcd else "ascii",
        "len_type": field.prefix.width,
        "max_len": field.size,
        "desc": field.name,
    }
    if nibbles:
        spec["len_count"] = "nibbles"
        spec["left_pad" if field.encoding is Encoding.BCD_RIGHT else "right_pad"] = "0"
    return spec


def spec_of(dialect: Dialect) -> dict[str, dict[str, Any]]:
    mti = "b" if dialect.bcd_mti else "ascii"
    spec = {str(number): row(field) for number, field in dialect.fields.items()}
    spec["h"] = {"data_enc": "b", "len_enc": "b", "len_type": 0, "max_len": 0, "desc": "header"}
    spec["t"] = {"data_enc": mti, "len_enc": "b", "len_type": 0, "max_len": 2 if dialect.bcd_mti else 4, "desc": "MTI"}
    spec["p"] = spec["1"] = {"data_enc": "b", "len_enc": "b", "len_type": 0, "max_len": 8, "desc": "bitmap"}
    return spec


def decode(body: bytes, spec: dict[str, dict[str, Any]]) -> dict[str, str]:
    decoded, _ = iso8583.decode(body, spec)
    return decoded


def encode(values: dict[str, str], spec: dict[str, dict[str, Any]]) -> bytes:
    body, _ = iso8583.encode(dict(values), spec)
    return bytes(body)
