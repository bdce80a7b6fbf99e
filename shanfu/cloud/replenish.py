"""Key sets and profiles: what a phone fetches so that it can pay without a network.

    keys.replenish   the service enters set N (tsp.keys.issue) → the HSM derives it, wrapped for the phone → kept, answered
    keys.confirm     the phone has stored it → the service puts the set before into its grace (tsp.keys.confirm)

The service is asked before anything is derived: it allots index, ATCs and limits, and by them it will judge payments. What was
answered is kept: the same number again gets the same bytes. All sets of a turn are derived by one call of the HSM.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
from msgspec import Struct

from shanfu.cloud.asking import About, Answer, Hears, Serves, ask_service, known_device
from shanfu.cloud.books import CloudBooks
from shanfu.cloud.config import CloudConfig
from shanfu.cloud.decide import HOUR_MS, replenish_refusal, report_fits, terms_fit
from shanfu.cloud.key_sets import KeySetRow, KeySetState
from shanfu.cloud.prove import Prover, imk_label
from shanfu.cloud.reasons import Reason
from shanfu.cloud.tokens import TokenRow
from shanfu.hosts import Visit
from shanfu.hsm import KeyBlock, KeySetJob
from shanfu.messages import Empty, Problem, requestor, wallet
from shanfu.tokens import key_index_bytes

__all__ = ["Replenish", "Wanted"]

NUMBER_LENGTH = 16


@dataclass(slots=True)
class Wanted:
    """An answer of the token service that still needs the HSM: a key set to derive, or a profile to wrap."""

    visit: Visit[CloudBooks]
    about: About
    answer: requestor.KeysIssued | requestor.ProfileData

    @property
    def profile(self) -> requestor.ProfileData | None:
        """What a card application is made of, when that is what was asked for."""
        return self.answer if isinstance(self.answer, requestor.ProfileData) else None

    @property
    def issued(self) -> requestor.KeysIssued:
        """The terms of a key set."""
        assert isinstance(self.answer, requestor.KeysIssued)
        return self.answer


class Replenish:
    """Serves what a phone pays with."""

    def __init__(self, config: CloudConfig, prover: Prover) -> None:
        self._config, self._prover = config, prover
        self.served: Serves = {
            "keys.replenish": self.replenish, "keys.confirm": self.confirm, "tokens.profile": self.profile
        }  # fmt: skip
        self.answered: Hears = {
            "tsp.keys.issue": self.issued, "tsp.keys.confirm": self.confirmed, "tsp.profile": self.later,
        }  # fmt: skip

    # -- key sets ------------------------------------------------------------------------------------------------------

    def replenish(self, visit: Visit[CloudBooks], asked: wallet.ReplenishKeys) -> Answer:
        """Answer a set that was issued before, or ask the service to enter it."""
        books = visit.books
        token = books.own_token(visit.name, asked.token)
        if token is None:
            return Reason.TOKEN_UNKNOWN.problem()
        if token.state == "ACTIVE" and (kept := _kept(books, asked.token, asked.sequence)) is not None:
            return kept.message
        if stored := _stored_since(books, asked.token, asked.sequence):
            return Reason.KEY_SET_SUPERSEDED.problem(f"key set {stored} was stored since")
        if not report_fits(asked):
            return Reason.REPORT_MALFORMED.problem()
        if refusal := replenish_refusal(token, now_ms=books.now_ms, most=self._config.keys_per_hour):
            return _refused(token, *refusal)
        _count(token, books.now_ms)
        device = known_device(visit)
        issue = requestor.IssueKeys(
            token=asked.token, device=device.device, sequence=asked.sequence, uses=asked.uses, atc=asked.atc,
            lowered=bool(device.lowered_words),
        )  # fmt: skip
        return ask_service(visit, self._config, "tsp.keys.issue", issue, token=asked.token, sequence=asked.sequence)

    def issued(self, visit: Visit[CloudBooks], answer: requestor.KeysIssued | Problem, about: bytes) -> Answer:
        """Have the set derived at the end of this turn, or pass the service's refusal on."""
        noted = msgspec.json.decode(about, type=About)
        if isinstance(answer, Problem):
            token = visit.books.own_token(noted.device, noted.token)
            if token is not None and answer.retryable:  # nothing was issued: it does not count
                token.hour_sets = max(0, token.hour_sets - 1)
            return answer
        if not terms_fit((noted.token, noted.sequence), answer):
            return Reason.SERVICE_NONSENSE.problem()
        if _stored_since(visit.books, noted.token, noted.sequence):
            return Reason.KEY_SET_SUPERSEDED.problem()
        visit.books.wanted.append(Wanted(visit, noted, answer))
        return None

    def confirm(self, visit: Visit[CloudBooks], asked: wallet.ConfirmKeys) -> Answer:
        """Tell the service that a set is stored; a repeat is answered at once."""
        if visit.books.own_token(visit.name, asked.token) is None:
            return Reason.TOKEN_UNKNOWN.problem()
        kept = _kept(visit.books, asked.token, asked.sequence)
        if kept is None:
            return Reason.KEY_SET_UNKNOWN.problem()
        if kept.state == KeySetState.CONFIRMED:
            return Empty()
        confirm = requestor.ConfirmKeys(token=asked.token, sequence=asked.sequence)
        return ask_service(visit, self._config, "tsp.keys.confirm", confirm, token=asked.token, sequence=asked.sequence)

    def confirmed(self, visit: Visit[CloudBooks], answer: Empty | Problem, about: bytes) -> Answer:
        """Note that the set is in the phone, and let older ones go."""
        noted = msgspec.json.decode(about, type=About)
        if isinstance(answer, Problem):
            return answer
        for row in list(visit.books.key_sets_of(noted.token)):
            if row.sequence == noted.sequence:
                row.state = KeySetState.CONFIRMED.value
            elif row.sequence < noted.sequence:
                visit.books.key_sets.remove(row)
        return Empty()

    # -- profiles ------------------------------------------------------------------------------------------------------

    def profile(self, visit: Visit[CloudBooks], asked: wallet.ProfileAsked) -> Answer:
        """Ask the service for what the card application of a token is made of."""
        if visit.books.own_token(visit.name, asked.token) is None:
            return Reason.TOKEN_UNKNOWN.problem()
        return ask_service(visit, self._config, "tsp.profile", requestor.ProfileAsked(token=asked.token), token=asked.token)

    def later(self, visit: Visit[CloudBooks], answer: requestor.ProfileData | Problem, about: bytes) -> Answer:
        """Have the profile wrapped at the end of this turn."""
        noted = msgspec.json.decode(about, type=About)
        if isinstance(answer, Problem):
            return answer
        if answer.token != noted.token:
            return Reason.SERVICE_NONSENSE.problem()
        visit.books.wanted.append(Wanted(visit, noted, answer))
        return None

    # -- the end of a turn ---------------------------------------------------------------------------------------------

    def work_off(self, books: CloudBooks) -> None:
        """Open all token numbers of this turn, derive its key sets, wrap its profiles, and answer."""
        wanted, books.wanted = books.wanted, []
        if not wanted:
            return
        sealed = [(known_device(one.visit).trid, one.about.token, one.answer.number) for one in wanted]
        ready: list[tuple[Wanted, str]] = []
        for one, number in zip(wanted, self._prover.numbers(books.keys, sealed), strict=True):
            if number is None or not (number.isdecimal() and len(number) == NUMBER_LENGTH):
                _finish(one, Reason.SERVICE_NONSENSE.problem())
            else:
                ready.append((one, number))
        self._derive([pair for pair in ready if not pair[0].profile], books)
        self._wrap([pair for pair in ready if pair[0].profile])

    def _derive(self, ready: Sequence[tuple[Wanted, str]], books: CloudBooks) -> None:
        books.keys.load(imk_label(number, one.issued.dki) for one, number in ready)
        jobs = dict[tuple[str, int], tuple[Wanted, KeySetJob]]()
        for one, number in ready:
            name, label = (one.about.token, one.about.sequence), imk_label(number, one.issued.dki)
            if _kept(books, *name) is None and name not in jobs and books.keys.has(label):
                jobs[name] = one, _job(one, number, books.keys.current(label))
        wrapped = self._prover.key_sets([job for _, job in jobs.values()])
        for (one, _), blob in zip(jobs.values(), wrapped, strict=True):
            about, terms = one.about, msgspec.json.encode(one.issued.terms)
            state = KeySetState.ISSUED.value
            books.key_sets.add(KeySetRow(0, about.token, about.sequence, about.device, state, terms, blob, books.now_ms))
        for one, _ in ready:
            kept = _kept(books, one.about.token, one.about.sequence)
            _finish(one, kept.message if kept else Reason.MASTER_KEY_MISSING.problem())

    def _wrap(self, ready: Sequence[tuple[Wanted, str]]) -> None:
        items = []
        for one, number in ready:
            plain, context = msgspec.json.encode(_profile(one, number)), f"profile/{one.about.token}".encode()
            items.append((_wrap_key(one), plain, context))
        blobs = self._prover.hsm.wrap_for_device(items) if items else []
        for (one, _), blob in zip(ready, blobs, strict=True):
            _finish(one, wallet.Profile(token=one.about.token, wrapped=blob.hex()))


def _kept(books: CloudBooks, token: str, sequence: int) -> KeySetRow | None:
    return next((row for row in books.key_sets_of(token) if row.sequence == sequence), None)


def _stored_since(books: CloudBooks, token: str, sequence: int) -> int:
    """Return the number of a later set that the phone has stored; a set from before it is never made again."""
    confirmed = (row.sequence for row in books.key_sets_of(token) if row.state == KeySetState.CONFIRMED)
    return next((number for number in confirmed if number > sequence), 0)


def _count(token: TokenRow, now_ms: int) -> None:
    """Count a key set of this hour; an hour begins with its first."""
    if now_ms >= token.hour_ms + HOUR_MS:
        token.hour_ms, token.hour_sets = now_ms, 0
    token.hour_sets += 1


def _refused(token: TokenRow, reason: Reason, wait_s: int) -> Problem:
    if reason is not Reason.TOKEN_NOT_ACTIVE:
        return reason.problem(retry_after_s=wait_s)
    view = token.seen
    by = f", suspended by {' and '.join(actor.value for actor in view.suspended_by)}" if view.suspended_by else ""
    return reason.problem(f"the token is {view.state.value}{by}", reason=view.reason or view.state.value)


def _job(one: Wanted, number: str, imk: KeyBlock) -> KeySetJob:
    issued, terms = one.issued, one.issued.terms
    context = f"keys/{one.about.token}/{terms.index}/{terms.sequence}".encode()
    return KeySetJob(
        imk=imk, scheme=terms.scheme, pan=number, psn=issued.psn, index=key_index_bytes(terms.index),
        atc_first=terms.atc_first, atc_last=terms.atc_last, wrap_key=_wrap_key(one), context=context,
    )  # fmt: skip


def _wrap_key(one: Wanted) -> bytes:
    return bytes.fromhex(known_device(one.visit).wrap_key)


def _profile(one: Wanted, number: str) -> wallet.TokenProfile:
    data = one.profile
    assert data is not None
    return wallet.TokenProfile(
        number=number, psn=data.psn, expiry=data.expiry, par=data.par, trid=data.trid, currency=data.currency,
        country=data.country, label=data.label, credit=data.credit, dki=data.dki, phone_cvm=data.phone_cvm,
        pan_last4=data.pan_last4,
    )  # fmt: skip


def _finish(one: Wanted, answer: Struct) -> None:
    one.visit.desk.finish(one.visit, answer)
