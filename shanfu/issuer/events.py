"""What the issuer tells those who watch: each frame in and out, and each decision with every check and its result.

Masked at the source: of a PAN the first six and last four digits stay, tracks, PIN blocks and keys vanish, and the ranges
that were overwritten are listed. Balances are told, since a story needs them; they are not card data.
"""

from shanfu.emv import CVR, TVR
from shanfu.errors import ConfigError
from shanfu.events import Event
from shanfu.iso8583 import INTERBANK, InterbankFrame, Message, describe
from shanfu.issuer.decide import Decision, Facts
from shanfu.issuer.requests import Kind
from shanfu.money import Currency, Money
from shanfu.pan import mask_pan

__all__ = ["decision_event", "frame_event", "masked_frame", "remark"]

HEAD = 4 + 46  # length and header
MAX_SHOWN = 200  # characters of one value


def masked_frame(frame: bytes, message: Message) -> tuple[bytes, tuple[tuple[int, int], ...]]:
    """Return the frame with its secrets overwritten by `*`, and the overwritten ranges; length unchanged."""
    shown, ranges, kept = bytearray(frame), [], message.kept or {}
    at = HEAD + 4 + (16 if frame[HEAD + 4] & 0x80 else 8)
    for number in sorted(message.fields):
        row, value = INTERBANK.fields[number], message.fields[number]
        start = at + row.prefix.width
        if number in kept:
            size = len(kept[number][1]) - row.prefix.width
        elif row.prefix.digits:
            size = len(value if isinstance(value, bytes) else value.encode("gbk"))
        else:
            size = row.size
        at = start + size
        if not row.secret:
            continue
        first, last = (start + 6, at - 4) if number == 2 else (start, at)
        if first < last:
            shown[first:last] = b"*" * (last - first)
            ranges.append((first, last))
    return bytes(shown), tuple(ranges)


def frame_event(frame: bytes, decoded: InterbankFrame, *, source: str, target: str, at_ms: int) -> Event:
    """Tell a frame that crossed the link."""
    message = decoded.message
    raw, ranges = masked_frame(frame, message)
    detail = {row.path: row.value[:MAX_SHOWN] for row in describe(message, INTERBANK)}
    return Event(
        source=source, target=target, wire="interbank", title=_title(message), raw=raw, masked=ranges, detail=detail,
        trace=_name(message), at_ms=at_ms,
    )  # fmt: skip


def remark(source: str, title: str, *, reason: str = "", at_ms: int = 0, trace: str = "") -> Event:
    """Tell something that happened without a decision."""
    return Event(source=source, title=title, reason=reason, at_ms=at_ms, trace=trace)


def decision_event(source: str, facts: Facts, decision: Decision, *, at_ms: int) -> Event:
    """Tell a decision; to be made before it is recorded, since the details speak of the state it was made on."""
    reason, request = decision.reason, facts.request
    what = request.kind.value
    if request.amount_minor:
        what += f" {_money(request.amount_minor, request.currency)}"
    verdict = f"{reason.en} {reason.code}" if reason.approved else f"refused {reason.code} {reason.en}"
    return Event(
        source=source, title=f"{verdict}: {what}", detail=explain(facts, decision),
        reason=reason.name, trace=request.name, at_ms=at_ms,
    )  # fmt: skip


def explain(facts: Facts, decision: Decision) -> dict[str, str]:
    """Return every check of the chain with its result: right, refused with its reason, or not reached."""
    told = {"card": mask_pan(facts.request.pan)}
    for place, check in enumerate(decision.chain.checks):
        name = check.__name__.replace("_", " ")
        if place > decision.passed:
            told[name] = "not reached"
            continue
        words = "right" if place < decision.passed else f"{decision.reason.name}: {decision.reason.en}"
        detail = _detail(check.__name__, facts)
        told[name] = f"{words} ({detail})" if detail else words
    return told


def _detail(check: str, facts: Facts) -> str:
    teller = _DETAILS.get(check)
    return teller(facts) if teller else ""


def _atc(facts: Facts) -> str:
    if not facts.request.chip or not facts.card:
        return ""
    return f"{facts.request.chip.atc} after {facts.card.atc}, window {facts.policy.atc_window}"


def _key(facts: Facts) -> str:
    chip = facts.request.chip
    return f"{chip.algorithm.name}, DKI {chip.dki:02X}" if chip and chip.algorithm else ""


def _cvr(facts: Facts) -> str:
    return "; ".join(CVR.parse(facts.request.chip.cvr).explain()) if facts.request.chip else ""


def _tvr(facts: Facts) -> str:
    chip = facts.request.chip
    return ("; ".join(TVR.parse(chip.tvr).explain()) or "nothing to tell") if chip else ""


def _pin(facts: Facts) -> str:
    if facts.request.pin is None:
        return "none entered"
    verdict = facts.pin.value if facts.pin else "not checked"
    return f"{verdict}, {facts.card.pin_tries_left if facts.card else 0} tries were left"


def _account(facts: Facts) -> str:
    return f"{facts.account.account}, {facts.account.kind}" if facts.account else ""


def _one_limit(facts: Facts) -> str:
    limits = facts.policy.limits[facts.request.currency]
    return f"{_money(limits.per_transaction_minor, facts.request.currency)} a payment"


def _day_limit(facts: Facts) -> str:
    request, limits = facts.request, facts.policy.limits[facts.request.currency]
    spent = facts.account.spent_on(request.business_date)[0] if facts.account else 0
    return f"{_money(spent, request.currency)} spent of {_money(limits.per_day_minor, request.currency)}"


def _count(facts: Facts) -> str:
    spent = facts.account.spent_on(facts.request.business_date)[1] if facts.account else 0
    return f"{spent} of {facts.policy.payments_per_day} today"


def _funds(facts: Facts) -> str:
    return f"{_money(facts.account.available_minor, facts.request.currency)} available" if facts.account else ""


def _expiry(facts: Facts) -> str:
    return f"good to 20{facts.card.expiry[:2]}-{facts.card.expiry[2:]}" if facts.card else ""


def _original(facts: Facts) -> str:
    return f"{facts.request.original}: {facts.original.state if facts.original else 'not seen'}"


def _form(facts: Facts) -> str:
    return facts.request.fault


_DETAILS = {
    "account_open": _account, "atc_fresh": _atc, "card_expiry": _expiry, "card_verdict": _cvr, "day_count": _count,
    "day_limit": _day_limit, "funds": _funds, "master_key": _key, "message_form": _form, "original_known": _original,
    "original_seen": _original, "pin": _pin, "terminal_verdict": _tvr, "transaction_limit": _one_limit,
}  # fmt: skip


def _money(minor: int, currency: str) -> str:
    try:
        return str(Money(minor, Currency.of(currency)))
    except ConfigError:
        return f"{minor} of currency {currency or 'unknown'}"


def _name(message: Message) -> str:
    return ".".join(message.text(number, "") for number in (7, 11, 32, 33)) if 32 in message else ""


def _title(message: Message) -> str:
    text = message.text
    if message.mti.startswith("08"):
        return f"{message.mti} network management {text(70, '')} {text(39, '')}".rstrip()
    kinds = {"000000": Kind.PURCHASE.value, "310000": Kind.BALANCE.value, "200000": "void or refund"}
    what = "reversal" if message.mti.startswith("04") else kinds.get(text(3, ""), "message")
    amount = f" {_money(int(text(4)), text(49, ''))}" if 4 in message else ""
    return f"{message.mti} {what}{amount} {text(39, '')}".rstrip()
