"""The issuer's judgement: a chain of small named checks per kind of request, over facts, without side effects.

Each check returns the reason to refuse, or None. The first refusal ends the chain; its place tells which proofs stood before
it, and that is all `record` and `answers` need: the ATC moves and an ARPC is made only when the cryptogram was right, the PIN
counter moves only when the PIN was reached. The rules are here once, whatever database the books lie in.

The order is that of an issuer host for cards (JR/T 0025.5, EMV B4 12): state of the card, ATC, cryptogram, what card and
terminal saw, PIN, account, limits, money. A payment by phone was judged by the token service as far as the cryptogram; its
verdict takes the place of what the chip of a card would have to prove here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from shanfu.clock import local
from shanfu.emv import CryptogramType
from shanfu.hosts import State
from shanfu.hsm import PINVerdict
from shanfu.issuer.accounts import Account, AccountState
from shanfu.issuer.cards import Card, CardState
from shanfu.issuer.journal import JournalRow
from shanfu.issuer.policy import Policy
from shanfu.issuer.reasons import Reason
from shanfu.issuer.requests import Kind, Request

__all__ = ["CHAINS", "PHONE_CHAINS", "Chain", "Check", "Decision", "Facts", "decide", "repeated"]


@dataclass(slots=True)
class Facts:
    """All that a decision may look at. `original` is what DE90 names, with its card.

    `key_known`, `proved`, `pin` are the HSM's verdicts.
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
    """The card asked for an online decision, and its own checks allow one (CVR, JR/T 0025.5)."""
    chip = facts.request.chip
    assert chip
    if CryptogramType.of_cvr(chip.cvr) is not CryptogramType.ARQC:
        return Reason.CARD_DECLINED
    return Reason.CVR_REFUSED if int.from_bytes(chip.cvr) & facts.policy.refuse_cvr else None


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
        return Reason.PIN_MISSING if facts.request.pin_announced else None
    if facts.pin is PINVerdict.RIGHT:
        return None
    if facts.pin is PINVerdict.WRONG:
        return Reason.PIN_WRONG if facts.card.pin_tries_left > 1 else Reason.PIN_TRIES_EXCEEDED
    return Reason.PIN_UNREADABLE


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


# -- the original ------------------------------------------------------------------------------------------------------


def original_known(facts: Facts) -> Reason | None:
    """DE90 names a transaction of this card that we know."""
    if facts.original is None:
        return Reason.ORIGINAL_UNKNOWN
    if facts.original.card == facts.request.card:
        return None
    before, now = facts.original_card, facts.card  # a token names its card's newest number, whatever it was when it paid
    same = before is not None and now is not None and before.reference == now.reference
    return None if same else Reason.ORIGINAL_ANOTHER_CARDS


def original_approved_payment(facts: Facts) -> Reason | None:
    """It is a payment, it was approved and has not been reversed."""
    assert facts.original
    if facts.original.state != State.APPROVED:
        return Reason.ORIGINAL_NOT_APPROVED
    is_payment = facts.original.processing_code == "000000" and facts.original.amount_minor
    return None if is_payment else Reason.ORIGINAL_NOT_PAYMENT


def not_voided(facts: Facts) -> Reason | None:
    """No void has taken it back."""
    assert facts.original
    return Reason.ALREADY_VOIDED if facts.original.undone_by else None


def not_refunded(facts: Facts) -> Reason | None:
    """No refund has given part of it back."""
    assert facts.original
    return Reason.ALREADY_REFUNDED if facts.original.refunded_minor else None


def same_currency(facts: Facts) -> Reason | None:
    """The amounts are of one currency."""
    assert facts.original
    return None if facts.original.currency == facts.request.currency else Reason.AMOUNT_DIFFERS


def whole_amount(facts: Facts) -> Reason | None:
    """A void, and a reversal, is of the whole amount."""
    assert facts.original
    return None if facts.original.amount_minor == facts.request.amount_minor else Reason.AMOUNT_DIFFERS


def authorisation_code(facts: Facts) -> Reason | None:
    """DE38, when given, is the original's."""
    assert facts.original
    given = facts.request.message.text(38, "")
    return None if given in ("", facts.original.auth_code) else Reason.ORIGINAL_UNKNOWN


def within_amount(facts: Facts) -> Reason | None:
    """All refunds together are not more than was paid."""
    assert facts.original
    left = facts.original.amount_minor - facts.original.refunded_minor
    return Reason.AMOUNT_DIFFERS if facts.request.amount_minor > left else None


def recent(facts: Facts) -> Reason | None:
    """The payment does not lie too far back."""
    assert facts.original
    paid, now = local(facts.original.arrived_ms), local(facts.now_ms)
    months = (now.year - paid.year) * 12 + now.month - paid.month
    past = (months, now.day) > (facts.policy.refund_months, paid.day)
    return Reason.ORIGINAL_TOO_OLD if past else None


def original_seen(facts: Facts) -> Reason | None:
    """The original has come before its reversal; otherwise a tombstone waits for it."""
    return None if facts.original else Reason.TOMBSTONE_KEPT


def not_reversed(facts: Facts) -> Reason | None:
    """A reversal has one effect, however often it comes."""
    assert facts.original
    done = facts.original.state in (State.REVERSED, State.TOMBSTONE)
    return Reason.ALREADY_REVERSED if done else None


def reversible(facts: Facts) -> Reason | None:
    """Refunds are advices and never reversed."""
    assert facts.original
    return Reason.ORIGINAL_NOT_PAYMENT if facts.original.mti.startswith("022") else None


# -- the chains --------------------------------------------------------------------------------------------------------

_CARD: Final = (
    message_form, card_known, card_state, card_expiry, chip_read, atc_fresh, master_key, cryptogram, chip_agrees,
    card_verdict, terminal_verdict, pin, account_open,
)  # fmt: skip
_PHONE: Final = (
    message_form, card_known, token_state, token_card_expiry, token_verified, terminal_verdict, pin, account_open,
)  # fmt: skip
_MONEY: Final = (amount, transaction_limit, day_limit, day_count, funds)
_VOID: Final = (
    message_form, card_known, amount, original_known, original_approved_payment, not_voided, not_refunded, same_currency,
    whole_amount, authorisation_code,
)  # fmt: skip
_REFUND: Final = (
    message_form, card_known, amount, original_known, original_approved_payment, not_voided, same_currency, within_amount,
    recent,
)  # fmt: skip
_REVERSAL: Final = (
    message_form, original_seen, original_known, not_reversed, reversible, not_voided, not_refunded, same_currency,
    whole_amount,
)  # fmt: skip


class Chain:
    """The checks of one kind of request, in order; says what had been proved when one of them refused."""

    def __init__(self, checks: tuple[Check, ...], approval: Reason) -> None:
        self.checks, self.approval = checks, approval
        end = len(checks)
        self.after_cryptogram = checks.index(cryptogram) + 1 if cryptogram in checks else end + 1
        self.after_pin = checks.index(pin) + 1 if pin in checks else end + 1


CHAINS: Final = {
    Kind.BALANCE: Chain(_CARD, Reason.APPROVED),
    Kind.PURCHASE: Chain((*_CARD, *_MONEY), Reason.APPROVED),
    Kind.REFUND: Chain(_REFUND, Reason.APPROVED),
    Kind.REVERSAL: Chain(_REVERSAL, Reason.REVERSED),
    Kind.UNKNOWN: Chain((message_form,), Reason.UNKNOWN_KIND),
    Kind.VOID: Chain(_VOID, Reason.APPROVED),
}
PHONE_CHAINS: Final = CHAINS | {
    Kind.BALANCE: Chain(_PHONE, Reason.APPROVED),
    Kind.PURCHASE: Chain((*_PHONE, *_MONEY), Reason.APPROVED),
}


@dataclass(slots=True)
class Decision:
    """The outcome: its reason, and how many checks were passed."""

    reason: Reason
    passed: int
    chain: Chain

    @property
    def cryptogram_right(self) -> bool:
        """Whether the card has proved itself: its ATC is spent and it gets an answer to its cryptogram."""
        return self.passed >= self.chain.after_cryptogram

    @property
    def pin_right(self) -> bool:
        """Whether the PIN check was passed."""
        return self.passed >= self.chain.after_pin


def decide(facts: Facts) -> Decision:
    """Run the request's chain over the facts."""
    chain = (PHONE_CHAINS if facts.request.token else CHAINS)[facts.request.kind]
    for passed, check in enumerate(chain.checks):
        reason = check(facts)
        if reason is not None:
            return Decision(reason, passed, chain)
    return Decision(chain.approval, len(chain.checks), chain)


def repeated(request: Request, row: JournalRow) -> Reason | None:
    """Judge a request whose name the journal has: None means that the stored answer is given again."""
    if row.state == State.TOMBSTONE:
        return Reason.REVERSED_EARLIER
    same = (row.mti[:3], row.processing_code, row.amount_minor, row.card, row.currency) == (
        request.message.mti[:3], request.message.text(3, ""), request.amount_minor, request.card, request.currency,
    )  # fmt: skip
    if not same:
        return Reason.DUPLICATE
    return Reason.REVERSED_EARLIER if row.state == State.REVERSED else None
