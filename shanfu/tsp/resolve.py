"""The judgement on a token payment: every check of the table over the facts, without side effects.

`resolve` runs all checks in their order; the first that fails is the answer, and each leaves a step in the explain record:
passed, or what was compared. A check that has nothing to look at (no token, no chip data) is not reached and counts as not
passed. `from_history` does the same for voids, refunds and completions, which look at no token's state, no counter and no
cryptogram: they follow the original to the account.

The checks, their verdicts and codes are the tables in `checks`; the facts are loaded by `payment`, proofs by `prove`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Final, NamedTuple

import msgspec
from msgspec import Struct

from shanfu.clock import local
from shanfu.emv import CVM, CVM_RESULTS, CVR, CryptogramType, CVMResults
from shanfu.iso8583 import EntryMode
from shanfu.messages import KeyPolicy, PhoneCVM, TokenState
from shanfu.tsp.checks import HISTORY_CHECKS, PROOF, TOKEN_CHECKS, Check, Verdict
from shanfu.tsp.config import TSPConfig
from shanfu.tsp.history import HistoryRow, HistoryState, Step
from shanfu.tsp.interbank import Chip, Kind, Request
from shanfu.tsp.key_sets import CounterRow, KeySetRow, retired
from shanfu.tsp.limits import exhausted, over_amount, over_count
from shanfu.tsp.requestors import RequestorRow, RequestorState, listed
from shanfu.tsp.vault import CardRow, CardState, TokenRow
from shanfu.tsp.window import Window, atc_in_window, was_seen

__all__ = ["Facts", "Finding", "Resolution", "from_history", "resolve"]


@dataclass(slots=True)
class Facts:
    """All that a decision may look at. `stranger`: the key index is another token's; `proved` is the HSM's verdict."""

    request: Request
    config: TSPConfig
    now_ms: int
    token: TokenRow | None = None
    card: CardRow | None = None
    requestor: RequestorRow | None = None
    counter: CounterRow | None = None
    keys: KeySetRow | None = None
    original: HistoryRow | None = None
    stranger: bool = False
    master_key: bool = False
    proved: bool | None = None


class Finding(NamedTuple):
    """What one check says: the verdict that refuses (None: passed), and what was compared."""

    verdict: Verdict | None = None
    detail: str = ""
    reached: bool = True


PASSED: Final = Finding()
NOT_REACHED: Final = Finding(None, "not reached", False)


class Resolution(Struct, frozen=True):
    """The answer, why, and every check; `authentic` tells that the phone has proved itself, whatever else speaks against it."""

    verdict: Verdict
    detail: str
    steps: tuple[Step, ...]
    authentic: bool


def resolve(facts: Facts) -> Resolution:
    """Run every check of a payment with the live token."""
    return _run(facts, TOKEN_CHECKS, _LIVE)


def from_history(facts: Facts) -> Resolution:
    """Run every check of a void, refund or completion, which follow their original."""
    return _run(facts, HISTORY_CHECKS, _HISTORY)


CheckOf = Callable[[Facts], Finding]


def _run(facts: Facts, table: tuple[Check, ...], functions: Mapping[str, CheckOf]) -> Resolution:
    first: Finding | None = None
    proven, steps = True, []
    for row in table:
        found = functions[row.name](facts)
        assert found.verdict is None or found.verdict in row.verdicts, f"{row.name} may not say {found.verdict}"
        passed = found.verdict is None and found.reached
        steps.append((row.name, passed, found.detail))
        proven = proven and (passed or row.name not in PROOF)
        if found.verdict is not None and first is None:
            first = found
    if first is None or first.verdict is None:
        return Resolution(Verdict.RESOLVED, "", tuple(steps), proven and table is TOKEN_CHECKS)
    return Resolution(first.verdict, first.detail, tuple(steps), proven and table is TOKEN_CHECKS)


def _no(verdict: Verdict, detail: str = "") -> Finding:
    return Finding(verdict, detail)


# -- 1 to 3: the message, the token, who asked for it ------------------------------------------------------------------


def message_form(facts: Facts) -> Finding:
    """The message has the fields of its kind, and they are well formed."""
    fault = facts.request.fault
    return _no(Verdict.FORMAT_ERROR, fault) if fault else PASSED


def token_known(facts: Facts) -> Finding:
    """The number is a token of ours."""
    return PASSED if facts.token else _no(Verdict.TOKEN_UNKNOWN)


# fmt: off
CHANNELS: Final = MappingProxyType({  # what DE22 says of the channel; the words stand in the requestors' registry
    EntryMode.CONTACT.value: "contact",         EntryMode.CONTACT_UNRELIABLE.value: "contact",
    EntryMode.CONTACTLESS.value: "contactless", EntryMode.CONTACTLESS_UNRELIABLE.value: "contactless",
    EntryMode.CONTACTLESS_STRIPE.value: "contactless", EntryMode.QR.value: "qr",
    EntryMode.MANUAL.value: "keyed",            EntryMode.NOT_PRESENT.value: "remote",
    EntryMode.STRIPE.value: "stripe",           EntryMode.FALLBACK.value: "stripe",
})
# fmt: on


def requestor_allowed(facts: Facts) -> Finding:
    """Who asked for the token is registered, and its tokens may be read this way (DE22)."""
    if facts.token is None:
        return NOT_REACHED
    requestor, mode = facts.requestor, facts.request.entry[:2]
    if requestor is None:
        return _no(Verdict.REQUESTOR_NOT_ALLOWED, f"{facts.token.trid} is not registered")
    channel = CHANNELS.get(mode, "")
    if not channel or not listed(requestor.channels, channel) or not listed(requestor.entry_modes, mode):
        return _no(Verdict.REQUESTOR_NOT_ALLOWED, f"{requestor.trid}: entry mode {mode}")
    return Finding(detail=f"{requestor.trid}, {channel}")


# -- 4 to 6: state, time, place ----------------------------------------------------------------------------------------


def status_active(facts: Facts) -> Finding:
    """Token, requestor and card are active, and the token follows the card's number as it is now."""
    token, requestor, card = facts.token, facts.requestor, facts.card
    if token is None:
        return NOT_REACHED
    expired_only = token.state == TokenState.EXPIRED.value and not token.suspended_by  # the next check says so
    if not token.active and not expired_only:
        by = f" by {token.suspended_by}" if token.suspended_by else ""
        return _no(Verdict.TOKEN_NOT_ACTIVE, f"token {token.state}{by}")
    if requestor is not None and requestor.state != RequestorState.ACTIVE:
        return _no(Verdict.TOKEN_NOT_ACTIVE, f"requestor {requestor.state}")
    if card is None or card.state != CardState.ACTIVE:
        return _no(Verdict.TOKEN_NOT_ACTIVE, f"card {card.state if card else 'unknown'}")
    if token.generation != card.generation:
        return _no(Verdict.TOKEN_NOT_ACTIVE, "card was replaced, and the token did not follow")
    return PASSED


def not_expired(facts: Facts) -> Finding:
    """Token and card are good to the end of their months, and so is DE14.

    A phone that has not fetched its data since a renewal still shows the month before it, so DE14 may be earlier than ours.
    """
    token, card = facts.token, facts.card
    if token is None:
        return NOT_REACHED
    month = _month(facts.now_ms - facts.now_ms % MINUTE_MS)
    if token.state == TokenState.EXPIRED.value or token.expiry < month:
        return _no(Verdict.TOKEN_EXPIRED, f"token good to {token.expiry}")
    if card is not None and "" < card.expiry < month:
        return _no(Verdict.TOKEN_EXPIRED, f"card good to {card.expiry}")
    if facts.request.expiry and not month <= facts.request.expiry <= token.expiry:
        return _no(Verdict.TOKEN_EXPIRED, "DE14 is not the token's")
    return PASSED


MINUTE_MS: Final = 60_000


@lru_cache(maxsize=4)
def _month(now_ms: int) -> str:
    return local(now_ms).strftime("%y%m")


def domain_allowed(facts: Facts) -> Finding:
    """The merchant and the country are among those allowed, and the keys are of the token's own device."""
    token, requestor, keys = facts.token, facts.requestor, facts.keys
    if token is None or requestor is None:
        return NOT_REACHED
    merchant = facts.request.message.text(42, "").strip()
    if not listed(requestor.merchants, merchant):
        return _no(Verdict.DOMAIN_NOT_ALLOWED, f"merchant {merchant}")
    chip = facts.request.chip
    country = chip.country.hex()[1:] if chip else ""
    if chip and not listed(requestor.countries, country):
        return _no(Verdict.DOMAIN_NOT_ALLOWED, f"country {country}")
    if keys is not None and keys.token == token.token and keys.device != token.device:
        return _no(Verdict.DOMAIN_NOT_ALLOWED, "keys are another device's")
    return PASSED


# -- 7 to 9: what the phone says of itself -----------------------------------------------------------------------------


def chip_readable(facts: Facts) -> Finding:
    """DE55 is there, whole, and holds a cryptogram that asks for an online decision."""
    chip = facts.request.chip
    if chip is None:
        return _no(Verdict.CHIP_DATA_ERROR, facts.request.chip_fault or "DE55 is absent")
    if CryptogramType.of_cvr(chip.cvr) is not CryptogramType.ARQC:
        return _no(Verdict.CHIP_DATA_ERROR, "the phone declined")
    return PASSED


def atc_in_order(facts: Facts) -> Finding:
    """The transaction counter rises, within the window."""
    chip = facts.request.chip
    if facts.token is None or chip is None:
        return NOT_REACHED
    mark, seen = (facts.counter.atc, facts.counter.seen) if facts.counter else (0, 0)
    window = _window(facts, mark)
    compared = f"{chip.atc} after {mark}, window {window.positive + window.skipped}"
    if was_seen(mark, seen, chip.atc):
        return _no(Verdict.ATC_OUT_OF_WINDOW, f"{compared}: replayed")
    if not atc_in_window(mark, chip.atc, window, transit=_in_transit(facts)):
        return _no(Verdict.ATC_OUT_OF_WINDOW, f"{compared}: {'too late' if chip.atc <= mark else 'too far'}")
    return Finding(detail=compared)


def _window(facts: Facts, mark: int) -> Window:
    """Return the window: wider by what the token skipped when it went on to this key set."""
    keys, token = facts.keys, facts.token
    mine = keys is not None and token is not None and keys.token == token.token
    skipped = max(0, keys.atc_first - 1 - mark) if mine and keys else 0
    return Window(positive=facts.config.atc_window, negative=facts.config.atc_window_below, skipped=skipped)


def _in_transit(facts: Facts) -> bool:
    """Whether merchant and condition are those of transit: the gate's order of arrival is not the phone's."""
    text, config = facts.request.message.text, facts.config
    return bool(config.transit_condition) and text(25, "") == config.transit_condition and text(18, "") in config.transit_mccs


SECURE_ELEMENT: Final = "05"  # token storage type (EMVCo): its key does not wear out and has no index


def key_good(facts: Facts) -> Finding:
    """The key set is this token's, holds this ATC, is neither retired nor used up, and there is a master key for it."""
    token, chip, keys = facts.token, facts.request.chip, facts.keys
    if token is None or chip is None:
        return NOT_REACHED
    if chip.dki != token.dki or not facts.master_key:
        return _no(Verdict.KEY_UNKNOWN, f"no master key, DKI {chip.dki:02X}")
    if not chip.index:
        unlimited = token.storage == SECURE_ELEMENT
        return Finding(detail="secure element") if unlimited else _no(Verdict.KEY_UNKNOWN, "no key index")
    if keys is None:
        return _no(Verdict.KEY_UNKNOWN, f"index {chip.index} is {'another token' if facts.stranger else 'nobody'}'s")
    return _key_state(keys, chip, facts.now_ms)


def _key_state(keys: KeySetRow, chip: Chip, now_ms: int) -> Finding:
    which = f"key set {keys.sequence}"
    if retired(keys, now_ms):
        return _no(Verdict.KEY_RETIRED, f"{which} was replaced")
    if dead := exhausted(keys, now_ms):  # before its range: the use after the last one lies outside of it
        return _no(Verdict.KEY_EXHAUSTED, dead.value)
    if not keys.atc_first <= chip.atc <= keys.atc_last:
        return _no(Verdict.KEY_UNKNOWN, f"ATC {chip.atc} is outside its key set ({keys.atc_first} to {keys.atc_last})")
    return Finding(detail=f"{which}, use {keys.uses + 1} of {keys.max_uses}")


# -- 10 to 12: the cryptogram, the holder, the limits ------------------------------------------------------------------


def cryptogram_right(facts: Facts) -> Finding:
    """The token's own key made this cryptogram, over these data; and the data are this payment's (9F02, 5F2A)."""
    chip, request = facts.request.chip, facts.request
    if chip is None or facts.proved is None:
        return NOT_REACHED
    if not facts.proved:
        return _no(Verdict.CRYPTOGRAM_WRONG)
    if request.kind is not Kind.BALANCE and chip.amount.hex() != f"{request.amount_minor:012d}":
        return _no(Verdict.CHIP_DATA_DIFFERS, "AMOUNT: 9F02 is not DE4")
    if chip.currency.hex()[1:] != request.currency:
        return _no(Verdict.CHIP_DATA_DIFFERS, "CURRENCY: 5F2A is not DE49")
    return PASSED


DONE_ON_PHONE: Final = int(CVR.OFFLINE_PIN_DONE)
FAILED_ON_PHONE: Final = int(CVR.OFFLINE_PIN_FAILED)


def holder_verified(facts: Facts) -> Finding:
    """Where the policy wants the holder verified on the phone, he was; where it does not, nobody claims that he was.

    The evidence is the phone's, in the CVR under the cryptogram, or the terminal's report of it (9F34). A failed attempt in the
    CVR outweighs either.
    """
    token, chip = facts.token, facts.request.chip
    if token is None or chip is None:
        return NOT_REACHED
    cvr = int.from_bytes(chip.cvr)
    shown = bool(cvr & DONE_ON_PHONE) or _reported_on_device(chip.cvm)
    if cvr & FAILED_ON_PHONE:
        return _no(Verdict.CDCVM_WRONG, "verification on the phone failed")
    if _phone_cvm(token.policy) is PhoneCVM.CDCVM:
        return Finding(detail="verified on the phone") if shown else _no(Verdict.CDCVM_MISSING, "CVR and 9F34 show none")
    return _no(Verdict.CDCVM_WRONG, "claimed, but the policy is the card's PIN") if shown else PASSED


@lru_cache(maxsize=64)  # issuers have a few policies
def _phone_cvm(policy: bytes) -> PhoneCVM:
    return msgspec.json.decode(policy, type=KeyPolicy).phone_cvm


@lru_cache(maxsize=64)
def _reported_on_device(cvm: bytes) -> bool:
    """Whether 9F34 says that the holder was verified on his phone; the codes are those of `CVM_RESULTS`, unverified."""
    told, ours = CVMResults.parse(cvm) if len(cvm) == 3 else None, CVMResults.parse(CVM_RESULTS[CVM.CDCVM])
    return told is not None and (told.code & 0x3F, told.result) == (ours.code, ours.result)


def within_limits(facts: Facts) -> Finding:
    """Key set and token are within their limits, by what we have seen ourselves."""
    token, keys, amount = facts.token, facts.keys, facts.request.amount_minor
    if token is None:
        return NOT_REACHED
    if keys is not None and over_amount(keys, amount):
        return _no(Verdict.AMOUNT_LIMIT, f"AMOUNT_EXHAUSTED: {amount} more than {keys.spent} of {keys.max_amount}")
    if over_count(facts.counter, facts.request.business_date, facts.config.payments_per_day):
        return _no(Verdict.COUNT_LIMIT, f"{facts.config.payments_per_day} today")
    return PASSED


_LIVE: Final[Mapping[str, CheckOf]] = MappingProxyType({
    "format": message_form, "token": token_known, "requestor": requestor_allowed, "status": status_active,
    "expiry": not_expired, "domain": domain_allowed, "chip data": chip_readable, "atc": atc_in_order, "key": key_good,
    "cryptogram": cryptogram_right, "cdcvm": holder_verified, "limits": within_limits,
})  # fmt: skip


# -- through the history -----------------------------------------------------------------------------------------------


def original_known(facts: Facts) -> Finding:
    """The original has been here and was resolved; whether it was approved and not taken back is its issuer's to say."""
    original = facts.original
    if original is None or original.state == HistoryState.TOMBSTONE:
        return _no(Verdict.ORIGINAL_UNKNOWN, facts.request.original)
    return _no(Verdict.ORIGINAL_NOT_RESOLVED, original.reason) if original.state == HistoryState.REFUSED else PASSED


def same_token(facts: Facts) -> Finding:
    """It was paid with the token that this message names."""
    if facts.original is None:
        return NOT_REACHED
    return PASSED if facts.original.number == facts.request.number else _no(Verdict.ORIGINAL_ANOTHER_CARDS)


def recent(facts: Facts) -> Finding:
    """It does not lie too far back."""
    if facts.original is None:
        return NOT_REACHED
    paid, now = local(facts.original.arrived_ms), local(facts.now_ms)
    months = (now.year - paid.year) * 12 + now.month - paid.month
    past = (months, now.day) > (facts.config.history_months, paid.day)
    return _no(Verdict.ORIGINAL_TOO_OLD, f"{months} months") if past else PASSED


def account_behind(facts: Facts) -> Finding:
    """The vault still knows the card: as it is now, in whatever state."""
    if facts.original is None:
        return NOT_REACHED
    return PASSED if facts.token and facts.card else _no(Verdict.TOKEN_UNKNOWN)


_HISTORY: Final[Mapping[str, CheckOf]] = MappingProxyType({
    "format": message_form, "original": original_known, "same token": same_token, "age": recent, "account": account_behind,
})  # fmt: skip
