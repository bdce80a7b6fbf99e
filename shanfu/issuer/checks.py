"""What the issuer checks of a request: small named rules over facts, without side effects.

Each check returns the reason to refuse, or None. Which of them a kind of request has to pass, and in which order, stands in
`decide`. The rules are here once, whatever database the books lie in. Sources: JR/T 0025.5, EMV Book 4 12, ISO/IEC 7813.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from shanfu.clock import local
from shanfu.emv import CVR
from shanfu.hsm import PINVerdict
from shanfu.issuer.accounts import Account, AccountState
from shanfu.issuer.cards import Card, CardState
from shanfu.issuer.certificates import CertificateRow
from shanfu.issuer.journal import JournalRow
from shanfu.issuer.policy import Policy
from shanfu.issuer.reasons import Reason
from shanfu.issuer.requests import Kind, Request
from shanfu.issuer.scripts import ScriptRow

__all__ = [
    "Check", "Facts", "account_open", "amount", "atc_fresh", "card_expiry", "card_known", "card_state", "card_verdict",
    "certificate", "certificate_new", "check_value", "chip_agrees", "chip_read", "cryptogram", "cvv_key", "day_count",
    "day_limit", "funds", "is_certificate", "master_key", "message_form", "pin", "script_known", "spent_account",
    "spent_covered", "stripe_allowed", "stripe_expiry", "stripe_pin", "terminal_verdict", "token_card_expiry", "token_state",
    "token_verified", "transaction_limit",
]  # fmt: skip


@dataclass(slots=True)
class Facts:
    """All that a decision may look at. `original` is what DE90 names, with its card; `seen` the booking of the same TC.

    `key_known`, `proved`, `pin` are the HSM's verdicts, on a cryptogram or a stripe's check value, and on the PIN; `scripts`
    are the orders that a script result names, None for one that was never sent.
    """

    request: Request
    policy: Policy
    now_ms: int
    card: Card | None = None
    account: Account | None = None
    original: JournalRow | None = None
    original_card: Card | None = None
    key_known: bool = False
    proved: bool = False
    pin: PINVerdict | None = None
    seen: CertificateRow | None = None
    scripts: tuple[ScriptRow | None, ...] = ()


Check = Callable[[Facts], Reason | None]


# -- the message and the card ------------------------------------------------------------------------------------------


def message_form(facts: Facts) -> Reason | None:
    """The message has the fields of its kind, and they are well formed."""
    if facts.request.kind is Kind.UNKNOWN:
        return Reason.UNKNOWN_KIND
    return Reason.FORMAT if facts.request.fault else None


def card_known(facts: Facts) -> Reason | None:
    """The card is ours."""
    return None if facts.card else Reason.CARD_UNKNOWN


def card_state(facts: Facts) -> Reason | None:
    """The card is neither lost nor stolen nor blocked."""
    assert facts.card
    return facts.card.refusal


def card_expiry(facts: Facts) -> Reason | None:
    """The card is good to the end of its month, and the message speaks of the same month (DE14)."""
    assert facts.card
    if facts.card.expiry < _month(facts.now_ms):
        return Reason.CARD_EXPIRED
    return Reason.EXPIRY_DIFFERS if facts.request.expiry not in ("", facts.card.expiry) else None


def token_state(facts: Facts) -> Reason | None:
    """A phone pays like its card: not when that is lost, stolen or blocked, unless the policy keeps phones going meanwhile."""
    assert facts.card
    spared = facts.policy.tokens.pay_when_blocked and facts.card.state in _SPARED
    return None if spared else facts.card.refusal


_SPARED: Final = frozenset((CardState.BLOCKED.value, CardState.LOST.value))  # never a stolen or a closed one


def token_card_expiry(facts: Facts) -> Reason | None:
    """The card behind the token is good; what month the service knows of it (DE14) may lag behind a renewal."""
    assert facts.card
    return Reason.CARD_EXPIRED if facts.card.expiry < _month(facts.now_ms) else None


def token_verified(facts: Facts) -> Reason | None:
    """The token service says that the token's own key made the cryptogram (DE63 TK, DE61)."""
    assert facts.request.token
    return None if facts.request.token.verified else Reason.TOKEN_NOT_VERIFIED


@lru_cache(maxsize=4)
def _month(now_ms: int) -> str:
    return local(now_ms).strftime("%y%m")


# -- the cryptogram ----------------------------------------------------------------------------------------------------


def chip_read(facts: Facts) -> Reason | None:
    """The chip spoke: the stripe of a chip card is retired."""
    return None if facts.request.chip else Reason.CHIP_REQUIRED


def atc_fresh(facts: Facts) -> Reason | None:
    """The transaction counter rises, within the window."""
    assert facts.card
    assert facts.request.chip
    ahead = facts.request.chip.atc - facts.card.atc
    if ahead <= 0:
        return Reason.ATC_REPLAYED
    return Reason.ATC_BEYOND_WINDOW if ahead > facts.policy.atc_window else None


def master_key(facts: Facts) -> Reason | None:
    """The algorithm is one of the card's, and there is a master key of this DKI (JR/T 0025.5, 9F10)."""
    assert facts.card
    assert facts.request.chip
    algorithm = facts.request.chip.algorithm
    if algorithm is None or algorithm.name not in facts.card.algorithms.split():
        return Reason.ALGORITHM_NOT_ALLOWED
    return None if facts.key_known else Reason.KEY_UNKNOWN


def cryptogram(facts: Facts) -> Reason | None:
    """The card's own key made this cryptogram, over these data."""
    return None if facts.proved else Reason.ARQC_WRONG


def chip_agrees(facts: Facts) -> Reason | None:
    """What the chip signed is what the message asks: the amount and the currency (9F02, 5F2A)."""
    chip = facts.request.chip
    assert chip
    currency = chip.currency.hex()[1:]
    amount = facts.request.kind is Kind.BALANCE or chip.amount.hex() == f"{facts.request.amount_minor:012d}"
    return None if amount and currency == facts.request.currency else Reason.CHIP_DATA_DIFFERS


def card_verdict(facts: Facts) -> Reason | None:
    """The card asked for an online decision, and its own checks allow one (CVR, JR/T 0025.5).

    What it said last, after an answer or in want of one, asks for nothing.
    """
    chip = facts.request.chip
    assert chip
    if chip.cvr[1] >> 4 != _ASKS_FOR_US:
        return Reason.CARD_DECLINED
    return Reason.CVR_REFUSED if int.from_bytes(chip.cvr) & facts.policy.refuse_cvr else None


_ASKS_FOR_US: Final = 0b1010  # byte 2 b8-b5 of the CVR: no second GENERATE AC was requested, the first gave an ARQC


def terminal_verdict(facts: Facts) -> Reason | None:
    """What the terminal saw allows a payment (TVR, EMV B3 C5)."""
    seen = facts.request.chip or facts.request.token
    assert seen
    return Reason.TVR_REFUSED if int.from_bytes(seen.tvr) & facts.policy.refuse_tvr else None


# -- the cardholder ----------------------------------------------------------------------------------------------------


def pin(facts: Facts) -> Reason | None:
    """The PIN, where one was entered, is right; a card without tries left pays nothing (or only without PIN, by policy)."""
    assert facts.card
    presented = facts.request.pin is not None
    if facts.card.pin_tries_left <= 0 and (presented or facts.policy.pin_locked_refuses_all):
        return Reason.PIN_LOCKED
    if not presented:
        return Reason.PIN_MISSING if facts.request.pin_announced and not _verified_by_card(facts) else None
    if facts.pin is PINVerdict.RIGHT:
        return None
    if facts.pin is PINVerdict.WRONG:
        return Reason.PIN_WRONG if facts.card.pin_tries_left > 1 else Reason.PIN_TRIES_EXCEEDED
    return Reason.PIN_UNREADABLE


def _verified_by_card(facts: Facts) -> bool:
    """Whether the PIN that DE22 announces was the offline PIN, which no message carries (CVR byte 2 b3, JR/T 0025.5)."""
    chip = facts.request.chip
    return chip is not None and bool(int.from_bytes(chip.cvr) & CVR.OFFLINE_PIN_DONE)


# -- the stripe --------------------------------------------------------------------------------------------------------


def stripe_allowed(facts: Facts) -> Reason | None:
    """Stripes are for chips that could not be read: the terminal says so, the bank allows it (ISO/IEC 7813 7.3)."""
    stripe = facts.request.stripe
    assert stripe
    if not stripe.track.has_chip:
        return Reason.STRIPE_RETIRED
    if not stripe.fallback:
        return Reason.CHIP_REQUIRED
    return None if facts.policy.fallback else Reason.FALLBACK_REFUSED


def stripe_expiry(facts: Facts) -> Reason | None:
    """The stripe is of the card in use: an older one has another month."""
    assert facts.card
    assert facts.request.stripe
    return None if facts.request.stripe.track.expiry == facts.card.expiry else Reason.EXPIRY_DIFFERS


def cvv_key(facts: Facts) -> Reason | None:
    """There is a key for check values."""
    return None if facts.key_known else Reason.KEY_UNKNOWN


def check_value(facts: Facts) -> Reason | None:
    """The stripe bears the bank's check value for this number, month and service code."""
    return None if facts.proved else Reason.CVV_WRONG


def stripe_pin(facts: Facts) -> Reason | None:
    """Whoever swipes enters his PIN: nothing else speaks for him."""
    return pin(facts) if facts.request.pin else Reason.PIN_REQUIRED


# -- approved offline --------------------------------------------------------------------------------------------------


def is_certificate(facts: Facts) -> Reason | None:
    """The card approved by itself: at once, or when it had asked for us and we could not be reached."""
    chip = facts.request.chip
    assert chip
    return None if chip.approved_at_once or chip.approved_unreached else Reason.NOT_A_TC


def certificate(facts: Facts) -> Reason | None:
    """The card's own key made this certificate, over these data."""
    return None if facts.proved else Reason.TC_WRONG


def certificate_new(facts: Facts) -> Reason | None:
    """No payment was booked on this counter of the card before; a lower one than the last online is honest."""
    return Reason.TC_SEEN if facts.seen else None


def spent_account(facts: Facts) -> Reason | None:
    """The card was issued with e-cash of this currency, if that was spent, or on an account in it, which may be closed now."""
    if facts.account:
        return None
    return Reason.NO_CASH_ACCOUNT if facts.request.from_cash else Reason.NO_ACCOUNT


def spent_covered(facts: Facts) -> Reason | None:
    """A right certificate counts, whatever the books hold: more than is there is booked too, and named."""
    assert facts.account
    if facts.request.amount_minor <= facts.account.available_minor:
        return None
    return Reason.CASH_OVERDRAWN if facts.request.from_cash else Reason.ACCOUNT_OVERDRAWN


# -- the money ---------------------------------------------------------------------------------------------------------


def account_open(facts: Facts) -> Reason | None:
    """The card has an open account in this currency, and the bank serves it."""
    if facts.account is None or facts.request.currency not in facts.policy.limits:
        return Reason.NO_ACCOUNT
    return None if facts.account.state == AccountState.OPEN else Reason.ACCOUNT_CLOSED


def amount(facts: Facts) -> Reason | None:
    """There is an amount."""
    return None if facts.request.amount_minor > 0 else Reason.AMOUNT_INVALID


def transaction_limit(facts: Facts) -> Reason | None:
    """One payment is not too large."""
    limit = facts.policy.limits[facts.request.currency].per_transaction_minor
    return Reason.TRANSACTION_LIMIT if facts.request.amount_minor > limit else None


def day_limit(facts: Facts) -> Reason | None:
    """The payments of the day are not too much together."""
    assert facts.account
    spent, _ = facts.account.spent_on(facts.request.business_date)
    limit = facts.policy.limits[facts.request.currency].per_day_minor
    return Reason.DAY_LIMIT_EXCEEDED if spent + facts.request.amount_minor > limit else None


def day_count(facts: Facts) -> Reason | None:
    """Nor too many."""
    assert facts.account
    _, payments = facts.account.spent_on(facts.request.business_date)
    return Reason.COUNT_EXCEEDED if payments >= facts.policy.payments_per_day else None


def funds(facts: Facts) -> Reason | None:
    """There is money, or credit."""
    assert facts.account
    return Reason.FUNDS_INSUFFICIENT if facts.request.amount_minor > facts.account.available_minor else None


# -- scripts -----------------------------------------------------------------------------------------------------------


def script_known(facts: Facts) -> Reason | None:
    """The result is of scripts that this card was sent."""
    return None if facts.scripts and all(facts.scripts) else Reason.SCRIPT_UNKNOWN
