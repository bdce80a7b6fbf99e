"""A town whose people have phones: what they do with them, what a thief does, and the judge of all that.

`Street` is a `Town` in which phones can be taken out of pockets and waved. Token service and key cloud live with the network
(a household) or apart; each world is made once a session with Lin Yue's phone ready to pay, and copied for each test.
"""

import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from shanfu import issuer, tsp
from shanfu.card import Card, Spent
from shanfu.clock import ManualClock
from shanfu.crypto import CardAlgorithm, SessionKey, cryptogram_key
from shanfu.emv import DOL, FCI, KeyIndexData
from shanfu.emv.commands import get_processing_options
from shanfu.events import Event, Recorder
from shanfu.iso7816 import CommandAPDU, ResponseAPDU, StatusWord, parse
from shanfu.messages import CardEvent, KeySetTerms, TokenState, wallet
from shanfu.pan import PAN, mask_pan
from shanfu.sandbox import CARDS, HOSTS, Holder, Settings, card_named, hold, open_or_build
from shanfu.sandbox.desk import _views
from shanfu.sandbox.people import APPS, NETWORK, PEOPLE, TOKEN_BINS
from shanfu.sandbox.till import LocalWorld
from shanfu.store import DictMemory
from shanfu.terminal import Receipt
from shanfu.terminal.reader import PresentedCard
from shanfu.wallet import Added, Phone, Refreshed
from shanfu.wallet.profile import application_of
from shanfu.wallet.state import HeldToken, keys_record, profile_record
from tests.journeys import judge as judging
from tests.journeys.town import NOON_MS, Town, money

HOUSEHOLD, APART = "household", "apart"
ARRANGEMENTS = [HOUSEHOLD, APART]
PHONE, CARD = "phone", "debit"
SELECT, GPO = 0xA4, 0xA8
NEW_PANS = {"debit": "6209010000009915"}  # what a bank sends after a loss


class Street(Town):
    """A town with phones; `events` is a recorder."""

    # -- phones --------------------------------------------------------------------------------------------------------

    @property
    def reach(self) -> LocalWorld:
        assert isinstance(self.events, Recorder)
        return LocalWorld(self.world, self.net, self.events)

    @contextmanager
    def pocket(self, phone: str = PHONE, *, app: str | None = None) -> Iterator[Holder]:
        """Take a phone out of its holder's pocket."""
        with hold(self.reach, phone, app=app) as holder:
            yield holder

    def wave(
        self, phone: Phone | PresentedCard, merchant: str = "teahouse", *, amount: str = "12.34", pin: str | None = None,
        tear_after: int | None = None,
    ) -> Receipt:  # fmt: skip
        """Wave a phone, or what pretends to be one, and pay; take it away afterwards."""
        self.typed = [pin]
        it = self.till(merchant)
        it.reader.present(phone.tap_target if isinstance(phone, Phone) else phone, tear_after=tear_after)
        try:
            return self.do(merchant, lambda it: it.terminal.pay(money(merchant, amount)))
        finally:
            it.take_away()

    def opened(self, holder: Holder) -> Refreshed:
        """Open the app in front."""
        done = holder.do(holder.app.open())
        assert isinstance(done, Refreshed), done
        return done

    # -- what the token service and a bank's staff know and do ---------------------------------------------------------

    def case(self, token: str) -> tsp.TokenCase:
        with self.store("tsp") as store:
            return tsp.show(store, token)

    def last_reason(self, token: str) -> str:
        """Why the token's newest payment ended as it did, by the service's own name of it."""
        return self.case(token).payments[0].payment.reason

    def report(self, name: str, event: CardEvent, **more: Any) -> None:
        """Have a bank's counter enter what happened to a card, and let everybody hear of it."""
        about = card_named(name)
        bank = f"issuer-{next(person.bank for person in PEOPLE if person.name == about.holder)}"
        told, config = issuer.CardReport(event=event, **more), issuer.IssuerConfig(institution=HOSTS[bank].id, network=NETWORK)
        store, now_ms = self.net._seats[bank].store, self.clock.now_ms()
        issuer.report_card(store, self.world.hsm(bank), PAN(about.pan), told, config=config, now_ms=now_ms)
        self.drain()

    def told(self) -> list[Event]:
        """What everybody has told since the last look."""
        assert isinstance(self.events, Recorder)
        return self.events.drain()

    # -- coming to rest ------------------------------------------------------------------------------------------------

    def drain(self) -> None:
        """Start what is down, the token service and the key cloud too, and let everything go its way."""
        for name in self.world.processes:
            if self.net._seats[name].worker is None:
                self.net.start(name)
        super().drain()

    def unfinished(self) -> list[str]:
        """What somebody has still to send or to hear; a party that knows an older state of a token is one."""
        with self.store("tsp") as store:
            drifts = tsp.reconcile(store, _views(self.world), now_ms=self.clock.now_ms(), repair=False)
        return super().unfinished() + [f"{one.party}: {one.token} {one.kind.value} {one.fields}" for one in drifts]

    def judge(self, opening: dict[str, int], *, forged: bool = False) -> None:
        """Let all come to rest; fail unless all books agree, money moved as terminals say, and every party knows each token.

        Where somebody `forged` taps, the same counter may have been shown to a terminal twice.
        """
        self.drain()
        self.close_tills()
        judging.reconciled(self.world)
        records = judging.transactions(self.world)
        kept = [t for of_one in records.values() for t in of_one]
        approved = Counter((t.rrn, t.amount_minor, t.currency) for t in kept if t.state is judging.State.APPROVED)
        assert judging.booked(self.world) == approved
        assert self.available() == judging.expected(kept, opening, holders=judging.HOLDERS | self.token_holders())
        judging.one_receipt_one_record(self, records)
        judging.one_answer_each(self)
        if not forged:
            judging.no_atc_twice(kept)

    def token_holders(self) -> dict[str, str]:
        """Whose account each token stands for, by the masked number that terminals keep."""
        bank_of = {app.trid: app.issuer for app in APPS}
        bins = {row.issuer: row.prefix for row in TOKEN_BINS}
        with self.store("tsp") as store:
            views = tsp.list_tokens(store)
        people = {card.pan[-4:]: card.holder for card in CARDS}
        people |= {pan[-4:]: card_named(name).holder for name, pan in NEW_PANS.items()}
        living = [view for view in views if view.pan_last4]  # a request that came to nothing stands for no card
        return {mask_pan(bins[bank_of[view.trid]] + "0" * 6 + view.token_last4): people[view.pan_last4] for view in living}


# -- making ------------------------------------------------------------------------------------------------------------


def make(folder: Path, arrangement: str) -> Path:
    """Make a world with Lin Yue's bank card on her phone."""
    settings = Settings(household=arrangement == HOUSEHOLD)
    open_or_build(folder, settings=settings, clock=ManualClock(NOON_MS - 3_600_000))
    with Street.open(folder, now_ms=NOON_MS - 1_800_000, events=Recorder()) as street:
        assert isinstance(street, Street)
        with street.pocket() as holder:
            add(holder, CARD)
        street.drain()
    return folder


@contextmanager
def street_in(made: Path, folder: Path) -> Iterator[Street]:
    """Live in a copy of a world."""
    shutil.copytree(made, folder)
    with Street.open(folder, events=Recorder()) as street:
        assert isinstance(street, Street)
        yield street


def add(holder: Holder, card: str) -> str:
    """Add a card with the one-time code from the inbox and return its token."""
    added = holder.add_card(card)
    assert isinstance(added, Added), added
    assert added.view.state is TokenState.ACTIVE
    assert added.missing is None
    return added.view.token


def only(holder: Holder) -> str:
    """The only token on a phone."""
    [card] = holder.all_cards()
    return card.token


def said(receipt: Receipt) -> str:
    """How a payment ended in one word, and its DE39 when it was declined behind the terminal."""
    if receipt.approved:
        return "approved"
    return receipt.response_code or str(receipt.reason)


def replacement(name: str) -> issuer.CardOrder:
    """The order for the card that comes after this one: another number, for the same accounts."""
    pan = NEW_PANS[name]
    return issuer.CardOrder(pan=PAN(pan), group=card_named(name).holder, expiry="3112", pvv="0000", imk_family="sandbox")


# -- who tampers with his own phone ------------------------------------------------------------------------------------


class Loot:
    """What a modified phone has kept of itself: profile, key set and key, before anything was wiped."""

    def __init__(self, phone: Phone, token: str) -> None:
        held: HeldToken = phone.handset.state().tokens[token]
        assert held.keys is not None
        read = phone.handset.storage.read
        self.terms: KeySetTerms = held.keys.terms
        self.key = read(keys_record(token), held.keys_at)
        self.profile = msgspec.json.decode(read(profile_record(token), held.profile_at), type=wallet.TokenProfile)

    def card(
        self, atc: int, *, index: str = "", sign: Mapping[int, bytes] | None = None, lie: Mapping[int, bytes] | None = None
    ) -> "Modified":
        """What a terminal sees of the phone when its software obeys nobody: it taps with this number, whatever was spent.

        It can name another key set, `sign` other values than the terminal gave, and flip bits of what it answers (`lie`).
        """
        terms = msgspec.structs.replace(self.terms, index=index or self.terms.index)
        ring = Liar(self.key, terms, atc)
        return Modified(Card(applications=[application_of(self.profile, ring, DictMemory())]), sign or {}, lie or {})


class Liar:
    """A key ring without scruples."""

    def __init__(self, key: bytes, terms: KeySetTerms, atc: int) -> None:
        self._key, self._terms, self._atc = key, terms, atc

    def exhausted(self) -> bool:
        return False

    def spend(self, said: Mapping[int, bytes]) -> Spent | StatusWord:
        ac = SessionKey(CardAlgorithm.TDES, cryptogram_key(self._terms.scheme, self._key, self._atc))
        return Spent(atc=self._atc, ac=ac, idd=bytes(KeyIndexData(self._terms.index)))


class Modified:
    """A phone whose system was replaced."""

    def __init__(self, card: Card, sign: Mapping[int, bytes], lie: Mapping[int, bytes]) -> None:
        self._card, self._sign, self._lie = card, sign, lie
        self._pdol: DOL | None = None
        self.power_on, self.power_off = card.power_on, card.power_off

    def answer(self, command: bytes) -> bytes:
        asked = CommandAPDU.parse(command)
        if asked.ins == GPO and self._pdol is not None:
            command = bytes(get_processing_options(overwritten(self._pdol, asked.data, self._sign)))
        answer = self._card.answer(command)
        reply = ResponseAPDU.parse(answer)
        if asked.ins == SELECT and reply.ok and self._sign:
            self._pdol = FCI.parse(reply.data).pdol
        return flipped(answer, self._lie)


def overwritten(pdol: DOL, field: bytes, values: Mapping[int, bytes]) -> bytes:
    """The data of a GPO (template 83) with other values of these tags."""
    data = parse(field).require(0x83, spec="EMV B3 6.5.8").value
    return pdol.fill(pdol.split(data) | dict(values))


def flipped(answer: bytes, changes: Mapping[int, bytes]) -> bytes:
    """An answer with bits of these objects flipped."""
    for tag, change in changes.items():
        if tag.to_bytes(2) not in answer:
            continue
        at = answer.index(tag.to_bytes(2)) + 3
        value = bytes(a ^ b for a, b in zip(answer[at : at + len(change)], change, strict=True))
        answer = answer[:at] + value + answer[at + len(change) :]
    return answer
