"""Refreshing: how a phone's tokens come to life, stay alive, and come back to life.

    news         what the token service says of this phone's tokens; pushes
    wishes       what the holder did while the phone had no network: freeze, delete
    each token   renew it if it has expired; fetch its profile; fetch key set number N+1, keep it, confirm it

Five things may set it off, and the issuer's policy says which do: `on_open` only the opening of the app, so a dead token stays
dead though the phone is online; `eager` all five; `at_tap` fetches one key when a terminal's field comes (the others pay
from stock, without a network: that is why limited-use keys are the usual way).

Every step may be lost and repeated. A key set is asked for by its number: the same number brings the same set, and a set that
is kept already is never kept again, since its uses would begin anew. The old set pays until the new one is kept.

Called by the bank's app and by `phone.py`. Sources: limits and triggers as in the public designs named in docs/sources.md.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import Final

import msgspec
from msgspec.structs import replace

from shanfu.dialogue import Dialogue
from shanfu.errors import ConfigError, DecodeError, IntegrityError
from shanfu.messages import Actor, Empty, KeySetTerms, TokenState, TokenView, wallet
from shanfu.store import DictMemory
from shanfu.wallet.handset import Handset
from shanfu.wallet.keyring import PhoneKeyRing, exhausted, expired, keys_fit, runs_low
from shanfu.wallet.profile import application_of
from shanfu.wallet.reasons import Reason, Refused
from shanfu.wallet.session import call
from shanfu.wallet.state import GONE, HeldToken, PhoneState, keys_record, profile_record

__all__ = ["POLICIES", "Refreshed", "Trigger", "bring_up", "due_ms", "learn", "refresh", "wanting"]


class Trigger(Enum):
    """What may set a refresh off."""

    APP_OPENED = "the app was opened"
    AFTER_TAP = "a tap left few uses"
    NETWORK_REGAINED = "the network came back"
    PUSH = "a push came"
    TIMER = "the keys will soon be too old"
    TAP = "a terminal's field came"


POLICIES: Final[Mapping[str, frozenset[Trigger]]] = {
    "on_open": frozenset({Trigger.APP_OPENED}),
    "eager": frozenset(Trigger) - {Trigger.TAP},
    "at_tap": frozenset({Trigger.APP_OPENED, Trigger.TAP}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Refreshed:
    """What a refresh did: tokens that got a key set, and those that did not get what they need, with why."""

    replenished: tuple[str, ...] = ()
    refused: tuple[tuple[str, Refused], ...] = ()


def refresh(
    handset: Handset, app: str, *, only: Iterable[str] | None = None, force: bool = False
) -> Dialogue[Refreshed | Refused]:
    """Refresh an app's tokens (or `only` some); with `force` fetch a key set even where the old one would do."""
    heard = yield from take_news(handset, app)
    if isinstance(heard, Refused):
        return heard
    yield from _tell_wishes(handset, app)
    replenished, failed = [], []
    for token in list(handset.state().of(app)) if only is None else only:
        before = _sequence(handset, token)
        problem = yield from bring_up(handset, token, force=force)
        if problem is not None:
            failed.append((token, problem))
        if _sequence(handset, token) > before:
            replenished.append(token)
    return Refreshed(replenished=tuple(replenished), refused=tuple(failed))


def take_news(handset: Handset, app: str) -> Dialogue[Refused | None]:
    """Hear how this phone's tokens stand, and take the pushes; a push that was missed is made good by this."""
    known, before = handset.state().apps.get(app), handset.state().of(app)
    since = known.news if known else 0
    news = yield from call(handset, app, "news.take", body=wallet.NewsAsked(since=since))
    if not isinstance(news, wallet.News):
        return news if isinstance(news, Refused) else Refused(reason=Reason.NO_ANSWER)
    learn(handset, app, news.tokens, before=before)
    me = handset.state().apps.get(app)
    if me is not None:
        seen = replace(me, news=max([news.number, since, *(push.number for push in news.pushes)]), flagged=False)
        if seen != me:
            handset.storage.change(lambda now, _: (now.with_app(app, seen), {}))
    return None


def learn(
    handset: Handset, app: str, views: Iterable[TokenView], *, before: Mapping[str, HeldToken] = MappingProxyType({})
) -> None:
    """Take views of this app's tokens over, the highest version of each; keys and profile of a dead token are wiped.

    `before` are the tokens as they stood when a whole list was asked for: one that it does not name is no longer on this
    phone, until a list names it; one that its holder had deleted by then, and the cloud too, is done with.
    """
    state = handset.state()
    me = state.apps.get(app)
    if me is None:
        return
    by_name = {view.token: view for view in views if view.device in ("", me.device)}
    changed: dict[str, HeldToken | None] = {}
    for name, view in by_name.items():
        held = state.tokens.get(name)
        if held is None and view.state not in GONE:
            changed[name] = HeldToken(view=view, app=app)
        elif held is not None and held.app == app and view.version > held.view.version:
            changed[name] = _with_view(held, view)
    for name, then in before.items():
        held = state.of(app).get(name)
        if held is not None and then.deleting and (name not in by_name or then.view.state in GONE):
            changed[name] = None
        elif held is not None and name not in by_name and held.view.state not in GONE:
            changed[name] = _with_view(held, replace(held.view, state=TokenState.DEACTIVATED, version=-1))
    if changed:
        handset.storage.change(lambda now, _: (now.with_tokens(changed), _wiped(changed)))


def _with_view(held: HeldToken, view: TokenView) -> HeldToken:
    return replace(held.wiped() if view.state in GONE else held, view=view)


def _wiped(changed: Mapping[str, HeldToken | None]) -> dict[str, bytes | None]:
    gone = [name for name, held in changed.items() if held is None or held.gone]
    return {record: None for name in gone for record in (keys_record(name), profile_record(name))}


def _tell_wishes(handset: Handset, app: str) -> Dialogue[None]:
    """Tell the cloud what the holder did while it could not be told; what is refused stays as it is here."""
    for name, held in handset.state().of(app).items():
        if held.deleting and held.view.state not in GONE:
            yield from tell_wish(handset, name, "tokens.delete")
        elif held.frozen and held.view.state not in GONE:
            yield from tell_wish(handset, name, "tokens.freeze")


def tell_wish(handset: Handset, token: str, op: str, *, reason: str = "CUSTOMER_CONFIRMED") -> Dialogue[Refused | None]:
    """Ask for a freeze or a deletion that holds here already; when the cloud has done it, it is no wish any more."""
    held = handset.state().tokens.get(token)
    if held is None:
        return None
    news = yield from call(handset, held.app, op, body=wallet.ChangeToken(token=token, reason=reason))
    if not isinstance(news, wallet.News):
        return news if isinstance(news, Refused) else Refused(reason=Reason.NO_ANSWER)
    learn(handset, held.app, news.tokens)
    now_held = handset.state().tokens.get(token)
    if now_held is not None and now_held.frozen and Actor.CARDHOLDER in now_held.view.suspended_by:
        changed = replace(now_held, frozen=False)
        handset.storage.change(lambda now, _: (now.with_tokens({token: changed}), {}))
    return None


def bring_up(handset: Handset, token: str, *, force: bool = False) -> Dialogue[Refused | None]:
    """Give one token all that it needs to pay; returns what stood in the way, None if it can pay or nothing would help."""
    held, refusal = _alive(handset, token), None
    if held is not None and _must_renew(held, handset.clock.now_ms()):
        refusal = yield from _renew(handset, held)
        held = _alive(handset, token)
    if refusal is None and held is not None and _may_pay(held) and not held.profile_fits:
        refusal = yield from _fetch_profile(handset, held)
        held = _alive(handset, token)
    if refusal is None and held is not None and _may_pay(held) and held.keys and not held.keys.confirmed:
        yield from _confirm(handset, held)
        held = _alive(handset, token)
    if refusal is None and held is not None and _may_pay(held) and (force or runs_low(held, handset.clock.now_ms())):
        refusal = yield from _replenish(handset, held)
    return refusal


def _alive(handset: Handset, token: str) -> HeldToken | None:
    """Return a token as it is now: while the cloud was asked, its holder may have tapped it or deleted it."""
    held = handset.state().tokens.get(token)
    return None if held is None or held.gone else held


def _may_pay(held: HeldToken) -> bool:
    return held.view.state is TokenState.ACTIVE and not held.frozen


def _must_renew(held: HeldToken, now_ms: int) -> bool:
    over = held.view.state is TokenState.EXPIRED or expired(held.view.expiry, now_ms)
    return over and held.view.policy.renewable


def _renew(handset: Handset, held: HeldToken) -> Dialogue[Refused | None]:
    news = yield from call(handset, held.app, "tokens.renew", body=wallet.ProfileAsked(token=held.view.token))
    if not isinstance(news, wallet.News):
        return news if isinstance(news, Refused) else Refused(reason=Reason.NO_ANSWER)
    learn(handset, held.app, news.tokens)
    return None


def _fetch_profile(handset: Handset, held: HeldToken) -> Dialogue[Refused | None]:
    """Fetch what the card application is made of; it is kept only if a working card comes of it."""
    token = held.view.token
    sent = yield from call(handset, held.app, "tokens.profile", body=wallet.ProfileAsked(token=token))
    if not isinstance(sent, wallet.Profile):
        return sent if isinstance(sent, Refused) else Refused(reason=Reason.NO_ANSWER)
    try:
        plain = handset.keystore.unwrap(held.app, bytes.fromhex(sent.wrapped), context=f"profile/{token}".encode())
        profile = msgspec.json.decode(plain, type=wallet.TokenProfile)
        application_of(profile, PhoneKeyRing(handset, token, lambda _: None), DictMemory())
    except (IntegrityError, DecodeError, ConfigError, ValueError):  # ValueError: no hex, no JSON
        return Refused(reason=Reason.BAD_KEYS)

    def keep(now: PhoneState, at: int) -> tuple[PhoneState, dict[str, bytes | None]]:
        expiry, last4 = profile.expiry, profile.pan_last4
        made = replace(now.tokens[token], profile_at=at, profile_expiry=expiry, profile_last4=last4)
        return now.with_tokens({token: made}), {profile_record(token): plain}

    if _alive(handset, token):
        handset.storage.change(keep)
    return None


def _replenish(handset: Handset, held: HeldToken) -> Dialogue[Refused | None]:
    """Fetch the next key set, with the report of uses; keep it; then confirm it."""
    token = held.view.token
    asked = wallet.ReplenishKeys(token=token, sequence=held.sequence + 1, uses=held.log, atc=held.atc)
    sent = yield from call(handset, held.app, "keys.replenish", body=asked)
    if not isinstance(sent, wallet.KeySet):
        return sent if isinstance(sent, Refused) else Refused(reason=Reason.NO_ANSWER)
    plain = _opened(handset, held, sent)
    if plain is None or sent.terms.sequence != asked.sequence:
        return Refused(reason=Reason.BAD_KEYS)
    if _keep(handset, token, sent.terms, plain=plain):
        yield from _confirm(handset, handset.state().tokens[token])
    return None


def _opened(handset: Handset, held: HeldToken, sent: wallet.KeySet) -> bytes | None:
    """Unwrap a key set; None when it is another's, or not what its terms promise."""
    terms = sent.terms
    context = f"keys/{held.view.token}/{terms.index}/{terms.sequence}".encode()
    try:
        plain = handset.keystore.unwrap(held.app, bytes.fromhex(sent.wrapped), context=context)
    except (IntegrityError, ValueError):
        return None
    return plain if sent.token == held.view.token and keys_fit(terms, plain) and terms.atc_first > held.atc else None


def _keep(handset: Handset, token: str, terms: KeySetTerms, *, plain: bytes) -> bool:
    """Keep a key set in the old one's place, unless it is kept already or a later one is."""
    held = _alive(handset, token)
    if held is None or held.sequence >= terms.sequence:
        return False

    def keep(now: PhoneState, at: int) -> tuple[PhoneState, dict[str, bytes | None]]:
        return now.with_tokens({token: now.tokens[token].with_keys(terms, at=at)}), {keys_record(token): plain}

    handset.storage.change(keep)
    return True


def _confirm(handset: Handset, held: HeldToken) -> Dialogue[None]:
    """Say that a key set is kept; what is lost here is said at the next refresh."""
    token, sequence = held.view.token, held.sequence
    answer = yield from call(handset, held.app, "keys.confirm", body=wallet.ConfirmKeys(token=token, sequence=sequence))
    now_held = handset.state().tokens.get(token)
    if isinstance(answer, Empty) and now_held is not None and now_held.sequence == sequence and now_held.keys is not None:
        confirmed = replace(now_held, keys=replace(now_held.keys, confirmed=True))
        handset.storage.change(lambda now, _: (now.with_tokens({token: confirmed}), {}))


def wanting(state: PhoneState, trigger: Trigger, now_ms: int) -> dict[str, list[str]]:
    """Return, by app, the tokens for which this trigger counts and that need something."""
    found: dict[str, list[str]] = {}
    for name, held in state.tokens.items():
        counts = trigger in POLICIES.get(held.view.policy.fetch, POLICIES["on_open"])
        alive = held.view.state is TokenState.ACTIVE and not held.gone and not held.frozen
        low = exhausted(held, now_ms) if trigger is Trigger.TAP else runs_low(held, now_ms)
        needs = alive and (low or not held.profile_fits or _must_renew(held, now_ms))
        flagged = held.app in state.apps and state.apps[held.app].flagged
        if counts and (needs or flagged or trigger is Trigger.PUSH):
            found.setdefault(held.app, []).append(name)
    return found


def due_ms(state: PhoneState) -> int | None:
    """Return when the timer should ring next: before the keys of an eagerly refreshed token are too old; None for never."""
    moments = []
    for held in state.tokens.values():
        counts = Trigger.TIMER in POLICIES.get(held.view.policy.fetch, POLICIES["on_open"])
        if counts and held.keys is not None and not held.gone:
            terms = held.keys.terms
            margin_ms = min(held.view.policy.replenish_before_s * 1000, (terms.expires_ms - terms.issued_ms) // 2)
            moments.append(terms.expires_ms - margin_ms)
    return min(moments, default=None)


def _sequence(handset: Handset, token: str) -> int:
    held = handset.state().tokens.get(token)
    return held.sequence if held else 0
