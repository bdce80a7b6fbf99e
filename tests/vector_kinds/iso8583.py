"""Vector kinds of iso8583: frames and messages of both dialects, in both directions, and the interbank MAC text."""

from typing import Any

from shanfu.crypto import Algorithm, Cipher
from shanfu.crypto.mac import ecb_mac, left4_text, x9_9, x9_19
from shanfu.errors import DecodeError, Fault, ShanfuError
from shanfu.iso7816.tlv import parse
from shanfu.iso8583 import codec, interbank, mab, pos
from tests.vector_kinds.registry import Values, kind

CLASSES = {
    Fault.FORMAT: "field_format",
    Fault.INCOMPLETE: "incomplete",
    Fault.LENGTH: "field_length",
    Fault.TRAILING: "trailing",
    Fault.TRUNCATED: "truncated",
    Fault.UNKNOWN: "unknown_field",
}


class ChipDataError(DecodeError):
    """The BER-TLV inside DE55 is broken, while the message around it is well."""


def error_class(error: ShanfuError) -> str:
    if isinstance(error, ChipDataError):
        return "tlv"
    return CLASSES[error.fault] if isinstance(error, DecodeError) else type(error).__name__


def chip_data(message: codec.Message) -> list[dict[str, str]]:
    try:
        nodes = parse(message.binary(55))
    except DecodeError as fault:
        raise ChipDataError(fault.what, path="DE55") from None
    assert bytes(nodes) == message.binary(55)
    return [{"tag": node.tag_hex, "value": node.value.hex().upper()} for node in nodes]


def bitmap_of(dialect: codec.Dialect, message: codec.Message) -> str:
    return dialect.bitmap(sorted(message.fields)).hex().upper()


@kind("pos_frame", "frame mak", "tpdu header mti bitmap fields de55 mab", error_class)
def pos_frame(v: Values) -> Values:
    raw = bytes.fromhex(v["frame"])
    frame = pos.decode_pos(raw)
    message = frame.message
    got = {
        "tpdu": frame.tpdu,
        "header": frame.header,
        "mti": message.mti,
        "bitmap": bitmap_of(pos.POS, message),
        "fields": {str(n): x if isinstance(x, str) else x.hex().upper() for n, x in message.fields.items()},
    }
    if 55 in message:
        got["de55"] = chip_data(message)
    assert pos.encode_pos(frame) == raw
    if "mak" in v:
        unsealed = pos.prepare_pos(frame)
        assert unsealed.mab == pos.mab_of(raw)
        assert unsealed.seal(ecb_mac(Cipher(Algorithm.TDES, bytes.fromhex(v["mak"])), unsealed.mab)) == raw
        got["mab"] = unsealed.mab.hex().upper()
    return got


def shown(dialect: codec.Dialect, message: codec.Message, number: int) -> Any:
    """A value as the vectors write it: text when every byte is printable ASCII and the field is not b."""
    value = message.fields[number]
    if message.kept and number in message.kept:
        raw = message.kept[number][1][dialect.fields[number].prefix.width :]
    else:
        raw = value if isinstance(value, bytes) else value.encode("gbk")
    if number not in (52, 55, 96) and raw.isascii() and raw.decode("ascii").isprintable():
        return raw.decode("ascii")
    return {"hex": raw.hex().upper()}


def message_values(message: codec.Message) -> Values:
    got = {
        "mti": message.mti,
        "bitmap": bitmap_of(interbank.INTERBANK, message),
        "fields": {str(number): shown(interbank.INTERBANK, message, number) for number in message.fields},
    }
    if 55 in message:
        got["de55"] = chip_data(message)
    return got


def header_values(header: interbank.InterbankHeader, total: int) -> Values:
    return {
        "header_length": 46,
        "flag_version": f"{header.flag_version:02X}",
        "total_length": f"{total:04d}",
        "destination": header.destination.ljust(11),
        "source": header.source.ljust(11),
        "reserved": header.reserved.hex().upper(),
        "batch": f"{header.batch:02X}",
        "transaction_info": header.transaction_info,
        "user_info": f"{header.user_info:02X}",
        "reject_code": header.reject_code,
    }


@kind("cups_header", "header_hex", "header")
def cups_header(v: Values) -> Values:
    raw = bytes.fromhex(v["header_hex"])
    header, total = interbank.InterbankHeader.parse(raw)
    assert header.encode(total) == raw
    return {"header": header_values(header, total)}


@kind("cups_message", "message", "mti bitmap fields de55", error_class)
def cups_message(v: Values) -> Values:
    raw = bytes.fromhex(v["message"])
    message = interbank.INTERBANK.decode(raw)
    assert interbank.INTERBANK.encode(message) == raw
    return message_values(message)


@kind("cups_frame", "frame", "header mti bitmap fields de55", error_class)
def cups_frame(v: Values) -> Values:
    raw = bytes.fromhex(v["frame"])
    frame = interbank.decode_interbank(raw)
    assert interbank.encode_interbank(frame) == raw
    return {"header": header_values(frame.header, len(raw) - 4), **message_values(frame.message)}


@kind("cups_mab", "fields x99_key x919_key", "mab_text mab x99_mac_ascii x919_mac_ascii")
def cups_mab(v: Values) -> Values:
    text = mab.mab_bytes(v["fields"])
    return {
        "mab_text": mab.mab_text(v["fields"]),
        "mab": text.hex().upper(),
        "x99_mac_ascii": left4_text(x9_9(bytes.fromhex(v["x99_key"]), text)).decode(),
        "x919_mac_ascii": left4_text(x9_19(bytes.fromhex(v["x919_key"]), text)).decode(),
    }
