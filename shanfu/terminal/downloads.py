"""Downloads: the acquirer's CA keys and application parameters, asked for one by one and kept.

    0820/372 what keys are there -> 0800/370 each of them -> 0800/371 all have come      (382, 380, 381 for applications)

A sign-in's answer says in its header that there is something new; it is fetched before the next payment and never stands in
that payment's way. A key whose check sum is wrong is refused by name and the others are kept.

Sources: UnionPay terminal parameter download (public implementations), EMV B2 11.2.2 (check sum).
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from shanfu.dialogue import Dialogue
from shanfu.errors import ConfigError, DecodeError, IntegrityError, KeyUseError
from shanfu.iso8583 import (
    CAKeyName,
    ManagementCode,
    encode_aid_name,
    encode_ca_key_name,
    encode_query,
    parse_aid,
    parse_aid_list,
    parse_ca_key,
    parse_ca_key_list,
)
from shanfu.oda import CAKey
from shanfu.terminal import pos_messages
from shanfu.terminal.desk import Desk
from shanfu.terminal.host import Failure, exchange
from shanfu.terminal.outcome import Outcome, Reason
from shanfu.terminal.receipt import Receipt
from shanfu.terminal.slip import blank, declined

__all__ = ["download", "fetch_wanted"]

QUERIES = 20  # how often "more follow" is believed
Code = ManagementCode
T = TypeVar("T")


def download(desk: Desk) -> Dialogue[Receipt]:
    """Fetch keys and parameters now."""
    for flag, fetch in WANTED:
        reason = yield from fetch(desk)
        if reason is not None:
            return declined(desk, "download", reason)
        yield from desk.journal.keep_state(**{flag: False})
    return replace(blank(desk, "download"), outcome=Outcome.APPROVED)


def fetch_wanted(desk: Desk) -> Dialogue[None]:
    """Fetch what the last sign-in said is new; what fails is told, and asked for again at the next sign-in's word."""
    for flag, fetch in WANTED:
        if not getattr(desk.journal.state, flag):
            continue
        reason = yield from fetch(desk)
        if reason is not None:
            desk.tell("download not finished", reason=str(reason))
        yield from desk.journal.keep_state(**{flag: False})


def _listed(desk: Desk, code: ManagementCode, parse: Callable[[bytes], tuple[Sequence[T], bool]]) -> Dialogue[list[T] | Reason]:
    """Ask what there is until nothing more follows."""
    names: list[T] = []
    for _ in range(QUERIES):
        raw = yield from _ask(desk, code, encode_query(len(names)))
        if isinstance(raw, Reason):
            return raw
        try:
            some, more = parse(raw)
        except DecodeError:
            return Reason.UNREADABLE_ANSWER
        names += some
        if not (more and some):
            break
    return names


def _fetch_keys(desk: Desk) -> Dialogue[Reason | None]:
    names = yield from _listed(desk, Code.CA_KEY_QUERY, parse_ca_key_list)
    if isinstance(names, Reason):
        return names
    worst: Reason | None = None
    for name in names:
        worst = (yield from _fetch_key(desk, name)) or worst
    if worst is None:
        yield from desk.parameters.drop_keys_but({(name.rid, name.index) for name in names})
        yield from _ask(desk, Code.CA_KEY_END)
    return worst


def _fetch_key(desk: Desk, name: CAKeyName) -> Dialogue[Reason | None]:
    raw = yield from _ask(desk, Code.CA_KEY, encode_ca_key_name(name))
    if isinstance(raw, Reason):
        return raw
    shown = f"{name.rid.hex().upper()}/{name.index:02X}"
    try:
        record = parse_ca_key(raw)
        key = None if record is None else CAKey.of_record(record)
    except (ConfigError, DecodeError, KeyUseError) as fault:
        desk.tell("CA key refused", reason=str(Reason.CA_KEY_UNREADABLE), key=shown, detail=str(fault))
        return Reason.CA_KEY_UNREADABLE
    except IntegrityError:
        desk.tell("CA key refused", reason=str(Reason.CA_KEY_CHECKSUM), key=shown)
        return Reason.CA_KEY_CHECKSUM
    if key is None or (key.rid, key.index) != (name.rid, name.index):  # none, or another than the one asked for
        desk.tell("CA key refused", reason=str(Reason.CA_KEY_UNREADABLE), key=shown)
        return Reason.CA_KEY_UNREADABLE
    yield from desk.parameters.keep_key(key)
    desk.tell("CA key kept", key=key.name)
    return None


def _fetch_aids(desk: Desk) -> Dialogue[Reason | None]:
    names = yield from _listed(desk, Code.CHIP_PARAMETERS_QUERY, parse_aid_list)
    if isinstance(names, Reason):
        return names
    worst: Reason | None = None
    for name in names:
        worst = (yield from _fetch_aid(desk, name)) or worst
    if worst is None:
        yield from _ask(desk, Code.CHIP_PARAMETERS_END)
    return worst


def _fetch_aid(desk: Desk, name: bytes) -> Dialogue[Reason | None]:
    raw = yield from _ask(desk, Code.CHIP_PARAMETERS, encode_aid_name(name))
    if isinstance(raw, Reason):
        return raw
    try:
        record = parse_aid(raw)
    except DecodeError as fault:
        desk.tell("application parameters refused", reason=str(Reason.UNREADABLE_ANSWER), detail=str(fault))
        return Reason.UNREADABLE_ANSWER
    if record is None or record.aid != name:
        return Reason.UNREADABLE_ANSWER
    yield from desk.parameters.keep_aid(record)
    desk.tell("application parameters kept", aid=name.hex().upper())
    return None


def _ask(desk: Desk, code: ManagementCode, de62: bytes = b"") -> Dialogue[bytes | Reason]:
    """Ask for one thing; return DE62 of a good answer (for an end without any: nothing)."""
    request = pos_messages.download(desk.config, code, batch=desk.journal.state.batch, de62=de62)
    answer = yield from exchange(desk, "download", request)
    if isinstance(answer, Failure):
        return answer.reason
    if not answer.code.approved:
        return Reason.ACQUIRER_DECLINED
    held = answer.message.fields.get(62)
    return held if isinstance(held, bytes) else b""


WANTED = (("wants_keys", _fetch_keys), ("wants_parameters", _fetch_aids))
