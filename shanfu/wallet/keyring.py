"""The phone's key ring: it gives a tap its number and its limited-use key, once, or says why not.

A use is a GPO that is answered with a cryptogram, whatever follows: a decline, a torn tap, a reversal. So it is spent here,
durably, before anything leaves: number, count and amount, and the key itself is wiped where it is of no more use (the last one
of a set; with single-use keys each). Nothing gives a use back. SELECT alone is none.

`why_not` is the whole rule and a pure function; the app asks it too, to say what a card would do. The limits themselves are
those that the token service applies again (`shanfu.messages.limits`).

Called by the card application. Sources: JR/T 0025.12 6.5.3 (6985, 6986), the limits of limited-use keys (docs/sources.md).
"""

import calendar
from collections.abc import Callable, Mapping
from typing import Final

from msgspec.structs import replace

from shanfu.card import Spent
from shanfu.clock import local
from shanfu.crypto import CardAlgorithm, SessionKey, cryptogram_key
from shanfu.emv import KeyIndexData
from shanfu.iso7816 import StatusWord
from shanfu.messages import KeySetTerms, PhoneCVM, TokenState, Usage, UseReport, judge, limits_of
from shanfu.tokens import KeyScheme
from shanfu.wallet.handset import Handset, Shown
from shanfu.wallet.reasons import LIMITS, SUSPENDERS, Reason
from shanfu.wallet.state import HeldToken, PhoneState, Screen, keys_record
from shanfu.wallet.storage import Records, Tampered

__all__ = ["KEY_BYTES", "PhoneKeyRing", "exhausted", "expired", "keys_fit", "next_atc", "runs_low", "why_not"]

KEY_BYTES: Final = 16
ATC_LAST: Final = 0xFFFF  # JR/T 0025.5: the counter does not wrap
AMOUNT, UN = 0x9F02, 0x9F37


def why_not(held: HeldToken, *, amount: int, now_ms: int, screen: Screen) -> Reason | None:
    """Say why this token cannot pay this amount now; None if it can."""
    return (
        _why_token(held, now_ms)
        or _why_keys(held, amount=amount, now_ms=now_ms)
        or (Reason.UNLOCK if _locked(held, screen) else None)
    )


def expired(expiry: str, now_ms: int) -> bool:
    """Say whether the last day of a month YYMM is over (China Standard Time)."""
    if len(expiry) != 4 or not expiry.isdecimal():
        return False
    year, month, now = 2000 + int(expiry[:2]), int(expiry[2:]), local(now_ms)
    last = calendar.monthrange(year, month)[1] if 1 <= month <= 12 else 0
    return (now.year, now.month, now.day) > (year, month, last)


def exhausted(held: HeldToken, now_ms: int) -> bool:
    """Say whether its key set is dead for any amount."""
    return _why_keys(held, amount=0, now_ms=now_ms) is not None


def runs_low(held: HeldToken, now_ms: int) -> bool:
    """Say whether the next key set should be fetched: none is there, a payment was refused, or little is left.

    An unused set never runs low by count, and never before half its time is over, whatever the policy's thresholds: else
    a set smaller than its own low-water mark would be fetched again for ever.
    """
    keys, policy = held.keys, held.view.policy
    if keys is None or not held.keys_at or held.wanted or next_atc(held) is None:
        return True
    terms = keys.terms
    few = keys.uses > 0 and held.uses_left <= policy.replenish_below
    margin_ms = min(policy.replenish_before_s * 1000, (terms.expires_ms - terms.issued_ms) // 2)
    return few or now_ms >= terms.expires_ms - margin_ms or keys.spent >= terms.max_amount


def next_atc(held: HeldToken) -> int | None:
    """Return the number of the next use: above every number used before, inside the range of the key set."""
    if held.keys is None:
        return None
    atc = max(held.atc + 1, held.keys.terms.atc_first)
    return atc if atc <= min(held.keys.terms.atc_last, ATC_LAST) else None


def keys_fit(terms: KeySetTerms, plain: bytes) -> bool:
    """Say whether unwrapped keys are what the terms promise: one key, or one for each ATC of the range."""
    single = terms.scheme is KeyScheme.SUK
    count = terms.atc_last - terms.atc_first + 1 if single else 1
    return 0 < terms.atc_first <= terms.atc_last <= ATC_LAST and len(plain) == count * KEY_BYTES


class PhoneKeyRing:
    """The key ring of one token's card application; `counted` is told each number that was used (GET DATA shows it)."""

    def __init__(self, handset: Handset, token: str, counted: Callable[[int], None]) -> None:
        self._handset, self._token, self._counted = handset, token, counted
        self._ac = SessionKey(CardAlgorithm.TDES, bytes(KEY_BYTES))

    def __repr__(self) -> str:
        return "PhoneKeyRing()"

    def exhausted(self) -> bool:
        """Never, as far as SELECT is concerned: the phone is there and lists its card; GPO says what is missing."""
        return False

    def spend(self, said: Mapping[int, bytes]) -> Spent | StatusWord:
        """Spend one use durably and give its number and key, or say 6985 or 6986 and show the holder why."""
        digits = said[AMOUNT].hex()
        if not digits.isdecimal():
            return StatusWord.WRONG_DATA
        try:
            return self._spend(int(digits), un=said[UN].hex())
        except Tampered as fault:
            return self._refuse(fault.reason, amount=int(digits))

    def _spend(self, amount: int, *, un: str) -> Spent | StatusWord:
        handset, now_ms = self._handset, self._handset.clock.now_ms()
        state = handset.state()
        held = state.tokens.get(self._token)
        if held is None:
            return self._refuse(Reason.DELETED, amount=amount)
        why = why_not(held, amount=amount, now_ms=now_ms, screen=state.switches.screen)
        if why is not None:
            return self._refuse(why, amount=amount, held=held)
        atc, name = next_atc(held), keys_record(self._token)
        assert held.keys is not None and atc is not None  # noqa: PT018  # why_not has looked
        terms = held.keys.terms
        use = UseReport(atc=atc, index=terms.index, at_ms=now_ms, amount=amount, un=un)
        try:
            kept = handset.storage.read(name, held.keys_at)
            key, rest = _take(kept, terms, atc=atc, last=held.uses_left == 1 or atc == terms.atc_last)
        except Tampered as fault:  # the key set is worth nothing; another one will do
            return self._refuse(fault.reason, amount=amount, held=replace(held, keys_at=0))

        def spend(now: PhoneState, at: int) -> tuple[PhoneState, Records]:
            keys_at = held.keys_at if rest == kept else at if rest else 0
            return now.with_tokens({self._token: held.used(use, keys_at=keys_at)}), {} if rest == kept else {name: rest}

        return self._spent(handset.storage.change(spend).tokens[self._token], key)

    def _spent(self, held: HeldToken, key: bytes) -> Spent:
        """It is durable: make the tap's key."""
        assert held.keys is not None
        terms, use = held.keys.terms, held.log[-1]
        self._counted(use.atc)
        self._handset.show(Shown(at_ms=use.at_ms, token=self._token, amount=use.amount, uses_left=held.uses_left))
        self._ac.rekey(cryptogram_key(terms.scheme, key, use.atc))
        cdcvm = held.view.policy.phone_cvm is PhoneCVM.CDCVM
        return Spent(atc=use.atc, ac=self._ac, idd=bytes(KeyIndexData(terms.index)), cdcvm=cdcvm)

    def _refuse(self, reason: Reason, *, amount: int, held: HeldToken | None = None) -> StatusWord:
        """Show why, and remember that a refresh is wanted where the key set itself does not tell it."""
        self._handset.show(Shown(at_ms=self._handset.clock.now_ms(), token=self._token, reason=reason, amount=amount))
        if reason in (Reason.AMOUNT_EXHAUSTED, Reason.DAMAGED) and held is not None and not held.wanted:
            wanted = replace(held, wanted=True)
            self._handset.storage.change(lambda now, _: (now.with_tokens({self._token: wanted}), {}))
        assert reason.sw is not None
        return reason.sw


def _take(kept: bytes, terms: KeySetTerms, *, atc: int, last: bool) -> tuple[bytes, bytes | None]:
    """Return the key of this use, and what is kept afterwards: nothing after the last, a single-use key is wiped."""
    if not keys_fit(terms, kept):
        raise Tampered(Reason.DAMAGED)
    if terms.scheme is not KeyScheme.SUK:
        return kept, None if last else kept
    start = (atc - terms.atc_first) * KEY_BYTES
    end = start + KEY_BYTES
    return kept[start:end], None if last else kept[:start] + bytes(KEY_BYTES) + kept[end:]


def _why_token(held: HeldToken, now_ms: int) -> Reason | None:
    state = held.view.state
    if held.gone:
        return Reason.DELETED
    if held.frozen:
        return Reason.FROZEN
    if state is TokenState.SUSPENDED:
        found = (reason for actor, reason in SUSPENDERS if actor in held.view.suspended_by)
        return next(found, Reason.SUSPENDED_TSP)
    if state in (TokenState.INACTIVE, TokenState.REQUESTED):
        return Reason.NOT_VERIFIED
    if state is TokenState.EXPIRED or expired(held.profile_expiry or held.view.expiry, now_ms):
        return Reason.TOKEN_EXPIRED
    return None if held.profile_at else Reason.NO_KEYS


def _why_keys(held: HeldToken, *, amount: int, now_ms: int) -> Reason | None:
    keys = held.keys
    if keys is None:
        return Reason.NO_KEYS
    usage = Usage(uses=keys.uses, age_ms=now_ms - keys.terms.issued_ms, spent=keys.spent, amount=amount)
    verdict = judge(limits_of(keys.terms, held.view.policy), usage)
    if not verdict.allowed and verdict.reason is not None:
        return LIMITS[verdict.reason]
    if next_atc(held) is None:
        return Reason.COUNT_EXHAUSTED
    return None if held.keys_at else Reason.DAMAGED


def _locked(held: HeldToken, screen: Screen) -> bool:
    """The phone verifies its holder by its own lock: locked, it must not pay (EMV CL C-3; facts: 6986, wave again)."""
    return held.view.policy.phone_cvm is PhoneCVM.CDCVM and screen is not Screen.UNLOCKED
