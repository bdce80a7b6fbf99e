"""`shanfu decode tlv|apdu|8583 HEX`: bytes explained, element by element, secrets masked unless `--unmask` is given."""

import sys
from collections.abc import Callable
from typing import Any

import click

from shanfu.cli.console import json_option, lang_option, show_json
from shanfu.emv import AIP, AUC, CTQ, CVR, TSI, TTQ, TVR, BitField, Language, describe, masked_hex
from shanfu.errors import ConfigError, DecodeError
from shanfu.iso7816 import CommandAPDU, ResponseAPDU, TLVList, parse, phrase
from shanfu.iso8583 import INTERBANK, POS, Message, Row, decode_interbank, decode_pos
from shanfu.iso8583 import describe as describe_message

__all__ = ["command"]

Line = dict[str, Any]  # depth, path, name, value, meaning: what one printed line and one JSON object hold

BIT_FIELDS: dict[int, type[BitField]] = {0x82: AIP, 0x95: TVR, 0x9B: TSI, 0x9F07: AUC, 0x9F66: TTQ, 0x9F6C: CTQ}
INSTRUCTIONS = {  # ISO 7816-4 and EMV B3 6.5
    0x20: "VERIFY", 0x82: "EXTERNAL AUTHENTICATE", 0x84: "GET CHALLENGE", 0x88: "INTERNAL AUTHENTICATE", 0xA4: "SELECT",
    0xA8: "GET PROCESSING OPTIONS", 0xAE: "GENERATE AC", 0xB2: "READ RECORD", 0xC0: "GET RESPONSE", 0xCA: "GET DATA",
    0xDA: "PUT DATA", 0xDC: "UPDATE RECORD", 0x1E: "APPLICATION BLOCK", 0x18: "APPLICATION UNBLOCK", 0x16: "CARD BLOCK",
    0x24: "PIN CHANGE/UNBLOCK",
}  # fmt: skip
unmask_option = click.option("--unmask", is_flag=True, help="Show card numbers and tracks in full.")


def _bytes(text: str | None) -> bytes:
    """Read hex from the argument or from stdin; spaces, colons and line ends between bytes are passed over."""
    if text is None:
        if sys.stdin.isatty():
            raise click.UsageError("give HEX, or pipe it in")
        text = sys.stdin.read()
    compact = "".join(text.split()).replace(":", "").removeprefix("0x")
    for place, character in enumerate(compact):
        if character not in "0123456789abcdefABCDEF":
            raise ConfigError(f"hex: {character!r} at character {place + 1} is not a hex digit")
    if not compact or len(compact) % 2:
        raise ConfigError(f"hex: {len(compact)} digits, whole bytes have an even number, at least two")
    return bytes.fromhex(compact)


@click.group()
def command() -> None:
    """Explain bytes: tlv, apdu, 8583."""


@command.command()
@click.argument("hex_text", metavar="[HEX]", required=False)
@unmask_option
@lang_option
@json_option
def tlv(hex_text: str | None, *, unmask: bool, lang: Language, as_json: bool) -> None:
    """Explain BER-TLV: card data, a response template, a field 55."""
    _print(_tlv_lines(parse(_bytes(hex_text)), _shower(unmask), lang), as_json)


@command.command()
@click.argument("hex_text", metavar="[HEX]", required=False)
@click.option("--response", is_flag=True, help="The bytes are a card's response (data and status word).")
@unmask_option
@lang_option
@json_option
def apdu(hex_text: str | None, *, response: bool, unmask: bool, lang: Language, as_json: bool) -> None:
    """Explain a command to a card, or with --response its answer."""
    raw, shower = _bytes(hex_text), _shower(unmask)
    _print(_response_lines(raw, shower, lang) if response else _command_lines(raw, shower, lang), as_json)


@command.command("8583")
@click.argument("hex_text", metavar="[HEX]", required=False)
@click.option("--dialect", type=click.Choice(["pos", "interbank"]), help="Guessed from the frame when not given.")
@unmask_option
@lang_option
@json_option
def iso8583(hex_text: str | None, *, dialect: str | None, unmask: bool, lang: str, as_json: bool) -> None:
    """Explain a whole ISO 8583 frame of the POS or the interbank dialect."""
    raw = _bytes(hex_text)
    kind = dialect or ("interbank" if raw[:4].isdigit() else "pos")
    message, head = _interbank(raw) if kind == "interbank" else _pos(raw)
    rows = describe_message(message, INTERBANK if kind == "interbank" else POS, lang=lang)
    lines = head + [_row_line(row, message, unmask=unmask, lang=lang) for row in rows]
    _print(lines, as_json)


def _pos(raw: bytes) -> tuple[Message, list[Line]]:
    frame = decode_pos(raw)
    return frame.message, [_line("TPDU", "", frame.tpdu), _line("header", "", frame.header)]


def _interbank(raw: bytes) -> tuple[Message, list[Line]]:
    frame = decode_interbank(raw)
    header = frame.header
    head = [_line("header", "destination", header.destination), _line("header", "source", header.source)]
    return frame.message, [*head, _line("header", "reject code", header.reject_code)]


def _row_line(row: Row, message: Message, *, unmask: bool, lang: str) -> Line:
    value = row.value
    number = row.path.removeprefix("DE")
    if number.startswith("55/"):
        known = describe(int(number[3:], 16))
        name = (known.name_zh if lang == "zh" else known.name) if known else ""
        return _line(number[3:], name, value, depth=1)
    if unmask and number.isdigit():
        clear = message.fields[int(number)]
        value = clear.hex().upper() if isinstance(clear, bytes) else clear
    return _line(row.path, row.name, value)


def _shower(unmask: bool) -> Callable[[int, bytes], str]:
    return (lambda _, value: value.hex().upper()) if unmask else masked_hex


def _tlv_lines(nodes: TLVList, shower: Callable[[int, bytes], str], lang: Language, depth: int = 0) -> list[Line]:
    lines = []
    for node in nodes:
        row = describe(node.tag)
        name = (row.name_zh if lang == "zh" else row.name) if row else ("未知标签" if lang == "zh" else "unknown tag")
        if node.children is not None:
            lines.append(_line(node.tag_hex, name, "", depth=depth))
            lines += _tlv_lines(node.children, shower, lang, depth + 1)
        else:
            meaning = _meaning(node.tag, node.value, lang)
            lines.append(_line(node.tag_hex, name, shower(node.tag, node.value), depth=depth, meaning=meaning))
    return lines


def _meaning(tag: int, value: bytes, lang: Language) -> list[str]:
    try:
        if tag == 0x9F10:
            return CVR.parse(value[3:7]).explain(lang)
        kind = BIT_FIELDS.get(tag)
        return kind.parse(value).explain(lang) if kind else []
    except DecodeError as fault:
        return [str(fault)]


def _command_lines(raw: bytes, shower: Callable[[int, bytes], str], lang: Language) -> list[Line]:
    message = CommandAPDU.parse(raw)
    name = INSTRUCTIONS.get(message.ins, "?")
    head = f"{message.cla:02X} {message.ins:02X} {message.p1:02X} {message.p2:02X}"
    lines = [_line("command", name, head)]
    if message.ins == 0xA8 and message.data[:1] == b"\x83":
        return [*lines, *_tlv_lines(parse(message.data), shower, lang, 1)]
    if message.data:
        secret = message.ins in (0x20, 0x24) and shower is masked_hex  # VERIFY and PIN CHANGE carry a PIN
        shown = "*" * 2 * len(message.data) if secret else message.data.hex().upper()
        lines.append(_line("data", "" if secret else _text(message.data), shown, depth=1))
    return lines


def _response_lines(raw: bytes, shower: Callable[[int, bytes], str], lang: Language) -> list[Line]:
    answer = ResponseAPDU.parse(raw)
    lines = _tlv_lines(parse(answer.data), shower, lang) if answer.data else []
    return [*lines, _line("SW", phrase(answer.sw, lang), f"{answer.sw:04X}")]


def _text(raw: bytes) -> str:
    text = raw.decode("ascii", errors="replace")
    return text if text.isprintable() and text.isascii() else ""


def _line(path: str, name: str, value: str, *, depth: int = 0, meaning: list[str] | None = None) -> Line:
    return {"depth": depth, "path": path, "name": name, "value": value, "meaning": meaning or []}


def _print(lines: list[Line], as_json: bool) -> None:
    if as_json:
        show_json(lines)
        return
    for line in lines:
        indent = "  " * line["depth"]
        click.echo(f"{indent}{line['path']:<8} {line['value']}" + (f"  {line['name']}" if line["name"] else ""))
        for word in line["meaning"]:
            click.echo(f"{indent}           · {word}")
