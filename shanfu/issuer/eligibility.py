"""May this card become a token? The issuer's rules as one table: each leaves a mark with a colour, the worst colour counts.

RED: no token. ORANGE: a token, but its holder is verified over a channel of long standing alone. YELLOW: after ID&V. GREEN: at
once. Facts come from the books and from what the token service says of device and wallet; the issuer, not the wallet, decides
how much proof is enough, so a wallet's colour can only make the decision more cautious (facts 3.6, 8).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import unique
from typing import Final

from shanfu.issuer.cards import Card, CardState
from shanfu.issuer.customers import Customer
from shanfu.issuer.policy import Policy
from shanfu.issuer.token_policy import NO_IDV, TokenProduct
from shanfu.issuer.tokens import LIVING, TokenRow
from shanfu.messages import Colour, ColouredMark, IDVMethod, IDVOption, issuing

__all__ = ["Mark", "TokenFacts", "colour_of", "marks_of", "options_of"]


@unique
class Mark(ColouredMark):
    """What the issuer has against a token."""

    # fmt: off
    CARD_BLOCKED          = Colour.RED,    "the card is blocked or not active",          "卡片已冻结或未激活"
    CARD_CLOSED           = Colour.RED,    "the card is closed",                         "卡片已销户"
    CARD_EVENT_RECENT     = Colour.ORANGE, "the card was lost or replaced just now",     "卡片近期有挂失或换卡"
    CARD_EXPIRED          = Colour.RED,    "the card has expired",                       "卡片已过期"
    CARD_LOST             = Colour.RED,    "the card is reported lost or stolen",        "卡片已挂失"
    CARD_UNKNOWN          = Colour.RED,    "no such card of this customer",              "客户名下无此卡"
    DEVICE_NOT_ALLOWED    = Colour.RED,    "the issuer refuses this model of device",    "发卡行不支持该机型"
    DEVICE_NOT_VOUCHED    = Colour.YELLOW, "nobody vouches for the device",              "设备未经证明"
    HOLDER_TO_BE_VERIFIED = Colour.YELLOW, "the issuer verifies every holder",           "发卡行要求身份验证"
    PIN_LOCKED            = Colour.RED,    "the card's PIN tries are used up",           "卡片密码已锁定"
    PRODUCT_NOT_ALLOWED   = Colour.RED,    "cards of this product stay plastic",         "该卡种不支持手机支付"
    REQUESTOR_NOT_ALLOWED = Colour.RED,    "the issuer refuses this requestor",          "发卡行不支持该标记请求方"
    RISK_ELEVATED         = Colour.ORANGE, "the service scores this as risky",           "风险评分偏高"
    RISK_HIGH             = Colour.RED,    "the service scores this as fraud",           "风险评分过高"
    STORAGE_REFUSED       = Colour.RED,    "the issuer refuses this kind of storage",    "发卡行不支持该存储方式"
    TOO_MANY_TOKENS       = Colour.RED,    "the card is on too many devices",            "该卡绑定设备过多"
    WALLET_CAUTIOUS       = Colour.YELLOW, "the wallet asks for verification",           "钱包要求验证"
    WALLET_DISTRUSTS      = Colour.ORANGE, "the wallet distrusts its own verification",  "钱包要求渠道外验证"
    WALLET_REFUSES        = Colour.RED,    "the wallet refuses",                         "钱包拒绝"
    # fmt: on


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenFacts:
    """All that the rules may look at; `owned` says that the card is of the customer's accounts."""

    asked: issuing.JudgeCard
    policy: Policy
    now_ms: int
    month: str  # YYMM of now
    card: Card | None
    owned: bool
    customer: Customer | None
    product: TokenProduct | None
    tokens: Sequence[TokenRow]  # of this card, whatever became of them


def _state(facts: TokenFacts, *states: CardState) -> bool:
    return facts.card is not None and facts.card.state in {state.value for state in states}


def _card_unknown(facts: TokenFacts) -> bool:
    return facts.card is None or not facts.owned


def _card_expired(facts: TokenFacts) -> bool:
    return facts.card is not None and (facts.card.expiry < facts.month or _state(facts, CardState.EXPIRED))


def _pin_locked(facts: TokenFacts) -> bool:
    return facts.card is not None and facts.card.pin_tries_left <= 0 and facts.policy.pin_locked_refuses_all


def _requestor_not_allowed(facts: TokenFacts) -> bool:
    allowed = facts.policy.tokens.requestors
    return bool(allowed) and facts.asked.trid not in allowed


def _too_many_tokens(facts: TokenFacts) -> bool:
    others = {row.device for row in facts.tokens if row.state in LIVING}
    if facts.asked.device in others:  # it is there: the service gives it back
        return False
    return max(len(others), facts.asked.active_tokens) >= facts.policy.tokens.most_tokens


def _risk_elevated(facts: TokenFacts) -> bool:
    return facts.policy.tokens.risk_orange <= facts.asked.risk_score < facts.policy.tokens.risk_red


def _event_recent(facts: TokenFacts) -> bool:
    card = facts.card
    return card is not None and bool(card.event_ms) and facts.now_ms - card.event_ms < facts.policy.tokens.cool_down_ms


Rule = tuple[Mark, Callable[[TokenFacts], bool]]
RULES: Final[tuple[Rule, ...]] = (
    (Mark.CARD_UNKNOWN, _card_unknown),
    (Mark.CARD_LOST, lambda facts: _state(facts, CardState.LOST, CardState.STOLEN)),
    (Mark.CARD_BLOCKED, lambda facts: _state(facts, CardState.BLOCKED, CardState.INACTIVE)),
    (Mark.CARD_CLOSED, lambda facts: _state(facts, CardState.CLOSED)),
    (Mark.CARD_EXPIRED, _card_expired),
    (Mark.PIN_LOCKED, _pin_locked),
    (Mark.PRODUCT_NOT_ALLOWED, lambda facts: facts.card is not None and facts.product is None),
    (Mark.REQUESTOR_NOT_ALLOWED, _requestor_not_allowed),
    (Mark.DEVICE_NOT_ALLOWED, lambda facts: facts.asked.device_model in facts.policy.tokens.refused_models),
    (Mark.STORAGE_REFUSED, lambda facts: facts.asked.storage in facts.policy.tokens.refused_storages),
    (Mark.TOO_MANY_TOKENS, _too_many_tokens),
    (Mark.RISK_HIGH, lambda facts: facts.asked.risk_score >= facts.policy.tokens.risk_red),
    (Mark.WALLET_REFUSES, lambda facts: facts.asked.wallet_colour is Colour.RED),
    (Mark.RISK_ELEVATED, _risk_elevated),
    (Mark.CARD_EVENT_RECENT, _event_recent),
    (Mark.WALLET_DISTRUSTS, lambda facts: facts.asked.wallet_colour is Colour.ORANGE),
    (Mark.WALLET_CAUTIOUS, lambda facts: facts.asked.wallet_colour is Colour.YELLOW),
    (Mark.DEVICE_NOT_VOUCHED, lambda facts: not facts.asked.attested and facts.policy.tokens.unattested is not Colour.GREEN),
    (Mark.HOLDER_TO_BE_VERIFIED, lambda facts: facts.policy.tokens.minimum > NO_IDV),
)


def marks_of(facts: TokenFacts) -> list[Mark]:
    """Run every rule and return the marks that were left, in the table's order."""
    return [mark for mark, test in RULES if test(facts)]


def colour_of(marks: Sequence[Mark], facts: TokenFacts) -> Colour:
    """Return the worst colour of these marks; an unattested device has the one that the policy gives it."""
    given = [facts.policy.tokens.unattested if mark is Mark.DEVICE_NOT_VOUCHED else mark.colour for mark in marks]
    return Colour.worst(given)


def options_of(facts: TokenFacts) -> tuple[IDVOption, ...]:
    """Return the ways of ID&V that are enough and that this customer has; a number that is new since hours is none."""
    hints = {IDVMethod.BANK_APP: "", IDVMethod.CALL_CENTRE: facts.policy.tokens.call_centre}
    customer = facts.customer
    if customer is not None and customer.mobile and tenured(customer, facts.policy, now_ms=facts.now_ms):
        hints[IDVMethod.SMS] = customer.mobile_hint
    if customer is None or not customer.password:
        del hints[IDVMethod.BANK_APP]
    if not facts.policy.tokens.call_centre:
        del hints[IDVMethod.CALL_CENTRE]
    open_ = facts.policy.tokens.open_methods
    return tuple(IDVOption(method=method, hint=hints[method]) for method in open_ if method in hints)


def tenured(customer: Customer, policy: Policy, *, now_ms: int) -> bool:
    """Whether the mobile number is the customer's since long, or since he is one."""
    changed_ms = customer.mobile_since_ms
    return changed_ms <= customer.since_ms or now_ms - changed_ms >= policy.tokens.cool_down_ms
