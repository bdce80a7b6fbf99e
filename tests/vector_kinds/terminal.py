"""Vector kinds of the terminal: kernel 7's decision tables, and published dialogues replayed against the real thing."""

from datetime import datetime
from itertools import pairwise

from shanfu.clock import CST, ManualClock
from shanfu.dialogue import Dialogue, run
from shanfu.emv import AIP, CTQ, TTQ, IssuerApplicationData, parse_afl, parse_gpo_response
from shanfu.errors import LinkClosed
from shanfu.events import nobody
from shanfu.iso7816 import CommandAPDU, bytes_waiting, parse, right_le, tlv
from shanfu.money import Currency, Money
from shanfu.store import DictMemory
from shanfu.terminal import (
    AIDParameters,
    Ending,
    Outcome,
    TerminalConfig,
    choose_cvm,
    fdda_failed,
    preprocess,
    route_after_gpo,
    unionpay_aids,
)
from shanfu.terminal.contactless import Tap, admit, tap
from shanfu.terminal.desk import Desk
from shanfu.terminal.journal import Journal
from shanfu.terminal.parameters import ParameterBook
from tests.vector_kinds.registry import Values, kind

CNY = Currency.of("CNY")


def config(**changes: object) -> TerminalConfig:
    fixed = {"merchant_id": "990290058120001", "merchant_name": "Teahouse", "terminal_id": "10000001", "currency": CNY}
    return TerminalConfig(**{**fixed, "aids": unionpay_aids(enrolled=True), **changes})  # type: ignore[arg-type]


@kind("kernel7_preprocess", "amount_fen limits_fen static_ttq options", "expected")
def kernel7_preprocess(v: Values) -> Values:
    limits, options = v["limits_fen"], v["options"]
    parameters = AIDParameters(
        aid=bytes.fromhex("A0000003330101"),
        contactless_floor=limits.get("floor_ctls"),
        floor=limits.get("floor"),
        transaction_limit=limits.get("txn"),
        cvm_limit=limits.get("cvm"),
    )
    settings = config(
        ttq=TTQ.parse(bytes.fromhex(v["static_ttq"])),
        online_capable=options.get("online", True),
        qpboc_extension=options.get("ext", False),
        status_check=options.get("statuscheck", False),
    )
    found = preprocess(v["amount_fen"], parameters, settings)
    if found.outcome is None:
        return {"expected": {"outcome": "PROCEED", "9F66": bytes(found.ttq).hex().upper()}}
    return {"expected": {"outcome": found.outcome.name}}


@kind("kernel7_route_after_gpo", "9F66 82 9F10 has_9F26", "expected")
def kernel7_route_after_gpo(v: Values) -> Values:
    ttq, aip = TTQ.parse(bytes.fromhex(v["9F66"])), AIP.parse(bytes.fromhex(v["82"]))
    route = route_after_gpo(ttq, aip, iad=bytes.fromhex(v["9F10"]), has_cryptogram=v["has_9F26"])
    return {"expected": route.value}


def ctq_of(v: Values) -> CTQ | None:
    return CTQ.parse(bytes.fromhex(v["9F6C"])) if v.get("9F6C") else None


@kind("kernel7_cvm", "9F66 9F6C", "expected")
def kernel7_cvm(v: Values) -> Values:
    method = choose_cvm(TTQ.parse(bytes.fromhex(v["9F66"])), ctq_of(v))
    return {"expected": method.name if method else "CVM_NOT_POSSIBLE"}


FDDA_WORDS = {Outcome.ONLINE_REQUEST: "ONLINE", Outcome.DECLINED: "DECLINE"}


@kind("kernel7_fdda_failed", "9F6C online_capable contact_interface", "expected")
def kernel7_fdda_failed(v: Values) -> Values:
    outcome = fdda_failed(ctq_of(v), online_capable=v["online_capable"], contact_interface=v["contact_interface"])
    return {"expected": FDDA_WORDS.get(outcome, outcome.name)}


@kind("trace", "interface terminal exchanges f55_tags atr expected")
def trace(v: Values) -> Values:
    """Read every answer with the parsers, play the card's side to the real terminal, and compare each fact that is named."""
    check_transport(v["exchanges"])
    facts: Values = {}
    for exchange in v["exchanges"]:
        facts |= facts_of(bytes.fromhex(exchange["r"])[:-2])
    if v["interface"] == "contactless" and "terminal" in v:
        facts |= replay(v)
    for name, expected in v["expected"].items():
        assert facts[name] == expected, f"{name}: expected {expected!r}, got {facts[name]!r}"
    return {}


def check_transport(exchanges: list[Values]) -> None:
    """T=0: 61xx is followed by GET RESPONSE for as much, 6Cxx by the same command with the right Le."""
    for now, then in pairwise(exchanges):
        command, following = (CommandAPDU.parse(bytes.fromhex(e["c"])) for e in (now, then))
        sw = int.from_bytes(bytes.fromhex(now["r"])[-2:])
        if (waiting := bytes_waiting(sw)) is not None:
            assert (following.ins, following.le) == (0xC0, waiting)
        if (length := right_le(sw)) is not None:
            assert following == command.with_le(length)


def facts_of(body: bytes) -> Values:
    """Whatever one answer tells: directory entry, log entry, directory file; AIP, AFL, decision and balance of a GPO."""
    if not body:
        return {}
    objects, facts = parse(body), {}
    for name, tag in {"aid": 0x4F, "label": 0x50, "log_entry": 0x9F4D, "dir_sfi": 0x88}.items():
        node = objects.find(tag)
        if node is not None:
            readings = {"label": lambda value: value.decode("ascii"), "dir_sfi": lambda value: value[0]}
            facts[name] = readings.get(name, lambda value: value.hex().upper())(node.value)
    return facts | gpo_facts(body) if objects[0].tag in (0x77, 0x80) else facts


def gpo_facts(body: bytes) -> Values:
    values = parse_gpo_response(body)
    facts: Values = {"aip": values[0x82].hex().upper(), "no_afl": 0x94 not in values}
    if 0x94 in values:
        facts["afl"] = [{"sfi": e.sfi, "first": e.first, "last": e.last, "oda": e.oda} for e in parse_afl(values[0x94])]
    if 0x9F10 in values:
        decision = IssuerApplicationData.parse(values[0x9F10]).cryptogram_type
        facts |= {"decision": decision.name, "cid_derived": decision.cid.hex().upper()}
    if 0x9F5D in values:
        facts["offline_balance_fen"] = int(values[0x9F5D].hex())
    return facts


def replay(v: Values) -> Values:
    """Wave the recorded card at our terminal: each command must be the recorded one, byte for byte."""
    own = {int(tag, 16): bytes.fromhex(value) for tag, value in v["terminal"].items()}
    noon = datetime.strptime(own[0x9A].hex() + "12", "%y%m%d%H").replace(tzinfo=CST)
    settings = config(ttq=TTQ.parse(own[0x9F66]), country=own[0x9F1A].hex()[1:], currency=Currency.of(own[0x5F2A].hex()[1:]))
    desk = Desk(
        config=settings,
        journal=Journal(DictMemory()),
        parameters=ParameterBook(settings, DictMemory()),
        clock=ManualClock(int(noon.timestamp() * 1000)),
        random=lambda count: own[0x9F37][:count],
        events=nobody,
    )
    amount = Money(int(own[0x9F02].hex()), settings.currency)
    admitted = admit(desk, amount)
    assert not isinstance(admitted, Ending)
    assert [bytes(ttq) for ttq in admitted.values()] == [own[0x9F66]]
    result = wave(tap(desk, amount, admitted, transaction_type=own[0x9C][0]), v["exchanges"])
    if not isinstance(result, Tap):
        return {}
    values = {**result.field55_values(result.card.cvm, "1"), **own, 0x84: result.application.aid}
    tags = [int(tag, 16) for tag in v.get("f55_tags", [])]
    return {"cvm": result.card.cvm.name, "f55": b"".join(bytes(tlv(tag, values[tag])) for tag in tags).hex().upper()}


def wave(dialogue: Dialogue[Tap | Ending], exchanges: list[Values]) -> Tap | Ending:
    script = iter(exchanges)

    def card(command: bytes) -> bytes:
        exchange = next(script, None)
        if exchange is None:
            raise LinkClosed("the record ends here")
        assert command.hex().upper() == exchange["c"]
        return bytes.fromhex(exchange["r"])

    return run(dialogue, {"card": card}, DictMemory())
