"""What the issuer tells those who watch of its decisions: every check with its result, and what it was made on.

Of a PAN the first six and last four digits stay. Balances are told, since a story needs them; they are not card data.
"""

from shanfu.emv import CVR, TVR
from shanfu.events import Event
from shanfu.hosts import money_text, told_checks
from shanfu.issuer.checks import Facts
from shanfu.issuer.decide import Decision
from shanfu.pan import mask_pan

__all__ = ["decision_event"]


def decision_event(source: str, facts: Facts, decision: Decision, *, at_ms: int) -> Event:
    """Tell a decision; to be made before it is recorded, since the details speak of the state it was made on."""
    reason, request = decision.reason, facts.request
    what = request.kind.value
    if request.amount_minor:
        what += f" {money_text(request.amount_minor, request.currency)}"
    verdict = f"{reason.en} {reason.code}" if reason.approved else f"refused {reason.code} {reason.en}"
    return Event(
        source=source, title=f"{verdict}: {what}", detail=explain(facts, decision),
        reason=reason.name, trace=request.name, at_ms=at_ms,
    )  # fmt: skip


def explain(facts: Facts, decision: Decision) -> dict[str, str]:
    """Return every check of the chain with its result: right, refused with its reason, or not reached."""
    refusal = f"{decision.reason.name}: {decision.reason.en}"
    checks = told_checks(decision.chain.checks, decision.passed, refusal, detail=lambda check: _detail(check, facts))
    token = facts.request.token
    phone = {"token": f"••••{token.block.token[-4:]} of {token.block.trid}, assurance {token.block.assurance}"} if token else {}
    return {"card": mask_pan(facts.request.pan), **phone, **checks}


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
    chip = facts.request.chip or facts.request.token
    return ("; ".join(TVR.parse(chip.tvr).explain()) or "nothing to tell") if chip and chip.tvr else ""


def _pin(facts: Facts) -> str:
    if facts.request.pin is None:
        return "none entered"
    verdict = facts.pin.value if facts.pin else "not checked"
    return f"{verdict}, {facts.card.pin_tries_left if facts.card else 0} tries were left"


def _account(facts: Facts) -> str:
    return f"{facts.account.account}, {facts.account.kind}" if facts.account else ""


def _one_limit(facts: Facts) -> str:
    limits = facts.policy.limits[facts.request.currency]
    return f"{money_text(limits.per_transaction_minor, facts.request.currency)} a payment"


def _day_limit(facts: Facts) -> str:
    request, limits = facts.request, facts.policy.limits[facts.request.currency]
    spent = facts.account.spent_on(request.business_date)[0] if facts.account else 0
    return f"{money_text(spent, request.currency)} spent of {money_text(limits.per_day_minor, request.currency)}"


def _count(facts: Facts) -> str:
    spent = facts.account.spent_on(facts.request.business_date)[1] if facts.account else 0
    return f"{spent} of {facts.policy.payments_per_day} today"


def _funds(facts: Facts) -> str:
    return f"{money_text(facts.account.available_minor, facts.request.currency)} available" if facts.account else ""


def _expiry(facts: Facts) -> str:
    return f"good to 20{facts.card.expiry[:2]}-{facts.card.expiry[2:]}" if facts.card else ""


def _original(facts: Facts) -> str:
    return f"{facts.request.original}: {facts.original.state if facts.original else 'not seen'}"


def _token(facts: Facts) -> str:
    token = facts.request.token
    return f"verified {token.block.verified or '0'}, ARQC result {token.verdict.value}" if token else ""


def _seen(facts: Facts) -> str:
    if facts.request.chip is None or facts.card is None:
        return ""
    ahead = f"{facts.request.chip.atc}, last online {facts.card.atc}"
    return f"{ahead}, booked as {facts.seen.name}" if facts.seen else ahead


def _stripe(facts: Facts) -> str:
    stripe = facts.request.stripe
    return f"service code {stripe.track.service_code}, {'chip failed' if stripe.fallback else 'no fallback'}" if stripe else ""


def _spent(facts: Facts) -> str:
    where = "on the card" if facts.request.from_cash else "available"
    return f"{money_text(facts.account.available_minor, facts.request.currency)} {where}" if facts.account else ""


def _scripts(facts: Facts) -> str:
    told = zip(facts.request.script_results, facts.scripts, strict=False)
    return "; ".join(
        f"script {int.from_bytes(result.identifier)} {order.kind if order else 'never sent'}: {result.outcome.name.lower()}"
        for result, order in told
    )


def _form(facts: Facts) -> str:
    return facts.request.fault


_DETAILS = {
    "account_open": _account, "atc_fresh": _atc, "card_expiry": _expiry, "card_verdict": _cvr, "certificate_new": _seen,
    "day_count": _count, "day_limit": _day_limit, "funds": _funds, "is_certificate": _cvr, "master_key": _key,
    "message_form": _form, "original_known": _original, "original_seen": _original, "pin": _pin, "script_known": _scripts,
    "spent_account": _account, "spent_covered": _spent, "stripe_allowed": _stripe, "stripe_pin": _pin,
    "terminal_verdict": _tvr, "token_card_expiry": _expiry, "token_verified": _token, "transaction_limit": _one_limit,
}  # fmt: skip
