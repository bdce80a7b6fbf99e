"""Whoever holds a phone: what a person does with the bank's app on it, with his own name, password and SMS inbox."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from shanfu import issuer
from shanfu.dialogue import Dialogue
from shanfu.errors import ConfigError
from shanfu.messages import IDVMethod, TokenState, wallet
from shanfu.sandbox.people import APP_PASSWORD, PEOPLE, App, app_named, card_named, phone_named
from shanfu.sandbox.till import Feeds, LocalWorld, RemoteWorld, a_world
from shanfu.sandbox.world import World
from shanfu.wallet import Added, BankApp, CardLine, Phone, Refused

__all__ = ["Holder", "a_holder", "hold", "inbox"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Holder:
    """A phone in its holder's hand, an app of it in front of him."""

    world: World
    person: str
    phone: Phone
    about: App

    @property
    def app(self) -> BankApp:
        """The bank's app."""
        return self.phone.app(self.about.package)

    def do(self, dialogue: Dialogue[T]) -> T:
        """Carry one action to its end."""
        return self.phone.do(dialogue)

    def add_card(self, name: str | None, *, code: Callable[[], str] | None = None) -> Added | Refused:
        """Set the app up if it is not, log in, and add a card; a one-time code is read from the inbox unless given."""
        enrolled = self.do(self.app.enrol())
        if isinstance(enrolled, Refused):
            return enrolled
        login = self.do(self.app.login(self.person, APP_PASSWORD))
        if isinstance(login, Refused):
            return login
        added = self.do(self.app.add_card(self._offer(login, name)))
        if isinstance(added, Refused) or added.view.state is not TokenState.INACTIVE:
            return added
        sent = self.do(self.app.choose_idv(added.view.token, IDVMethod.SMS))
        if isinstance(sent, Refused):
            return sent
        typed = code() if code else inbox(self.world, self.person)[-1]
        return self.do(self.app.submit_code(added.view.token, IDVMethod.SMS, typed))

    def all_cards(self) -> list[CardLine]:
        """Return the cards of all apps on this phone."""
        return [card for package in sorted(self.phone.handset.state().apps) for card in self.phone.app(package).cards()]

    def card(self, token: str) -> CardLine | None:
        """Return a card as the app lists it now."""
        return next((card for card in self.all_cards() if card.token == token), None)

    def choose(self, digits: str | None) -> CardLine:
        """Return the card with these last digits, or the only one; ConfigError says which there are."""
        cards = self.app.cards()
        fitting = [card for card in cards if digits in (None, card.pan_last4, card.token_last4, card.token)]
        if len(fitting) != 1:
            there = ", ".join(f"…{card.pan_last4} (token …{card.token_last4})" for card in cards) or "none; `shanfu wallet add`"
            raise ConfigError(f"card {digits or '?'}: name one of this phone's cards by its last digits: {there}")
        return fitting[0]

    def _offer(self, login: wallet.LoggedIn, name: str | None) -> str:
        last4 = card_named(name).pan[-4:] if name else None
        for offer in login.cards:
            if last4 in (None, offer.last4):
                return offer.card
        offered = ", ".join(f"…{offer.last4}" for offer in login.cards) or "none"
        raise ConfigError(f"card {name or '?'}: the bank's app offers {offered} to {self.person}")


@contextmanager
def hold(reach: LocalWorld | RemoteWorld, phone: str, *, app: str | None = None) -> Iterator[Holder]:
    """Take a phone out of its holder's pocket."""
    about = phone_named(phone)
    if app is not None and app not in about.apps:
        raise ConfigError(f"app {app!r}: not on {phone}, which has {', '.join(about.apps)}")
    with reach.phone(phone) as it:
        yield Holder(reach.world, about.holder, it, app_named(app or about.apps[0]))


@contextmanager
def a_holder(world: World, phone: str, *, app: str | None = None, feeds: Feeds | None = None) -> Iterator[Holder]:
    """Take a phone out of its holder's pocket, with the hosts of its world where they run, or here."""
    phone_named(phone)
    with a_world(world, feeds={} if feeds is None else feeds) as reach, hold(reach, phone, app=app) as holder:
        yield holder


def inbox(world: World, person: str) -> list[str]:
    """Return the one-time codes in a person's SMS inbox, the last one last; ConfigError when there is none."""
    about = next(one for one in PEOPLE if one.name == person)
    bank = f"issuer-{about.bank}"
    with world.store(bank, read_only=True) as store:
        codes = [
            message.code for message in issuer.messages_to(store, world.hsm(bank), about.mobile, now_ms=world.clock.now_ms())
        ]
    if not codes:
        raise ConfigError(f"{person}: has got no one-time code by SMS")
    return codes
