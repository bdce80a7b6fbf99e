"""Logging in, adding a card, and showing who one is: what a phone asks of its bank, carried to the token service.

The cloud is the token requestor of each bank's app: it asks in that requestor's name, adds what only it knows (the device, and
the wallet's colour), and remembers in the session who has logged in, so that nobody adds a card that was not offered to him.
"""

import hashlib

import msgspec
from msgspec import Struct

from shanfu.cloud.asking import Answer, Hears, Serves, ask_service, known_device
from shanfu.cloud.books import CloudBooks
from shanfu.cloud.config import CloudConfig
from shanfu.cloud.decide import ColourFacts, provision_refusal, wallet_colour
from shanfu.cloud.reasons import Reason
from shanfu.cloud.sessions import Offer
from shanfu.hosts import Visit
from shanfu.messages import Problem, requestor, wallet

__all__ = ["Accounts"]

STORAGE_ATTESTED, STORAGE_PLAIN = "04", "01"  # token storage type: TEE, device memory (EMVCo code list)


class Accounts:
    """Serves what concerns people and their cards."""

    def __init__(self, config: CloudConfig) -> None:
        self._config = config
        self.served: Serves = {
            "accounts.login": self.login, "cards.provision": self.provision,
            "idv.choose": self.choose, "idv.submit": self.submit,
        }  # fmt: skip
        self.answered: Hears = {
            "tsp.login": self.logged_in, "tsp.request": self.requested,
            "tsp.code.send": self.passed_on, "tsp.code.verify": self.requested,
        }  # fmt: skip

    # -- logging in ----------------------------------------------------------------------------------------------------

    def login(self, visit: Visit[CloudBooks], asked: wallet.Login) -> Answer:
        """Ask the bank who this is; the password is not kept."""
        return ask_service(visit, self._config, "tsp.login", asked)

    def logged_in(self, visit: Visit[CloudBooks], answer: wallet.LoggedIn | Problem, _about: bytes) -> Answer:
        """Remember in the session who has logged in and what was offered to him."""
        session = visit.books.session(visit.origin.session)
        if isinstance(answer, Problem) or session is None:
            return answer
        session.customer = answer.customer
        session.offers = msgspec.json.encode([Offer(card.card, card.terms) for card in answer.cards])
        known_device(visit).logged_in(answer.customer)
        return answer

    # -- adding a card -------------------------------------------------------------------------------------------------

    def provision(self, visit: Visit[CloudBooks], asked: wallet.Provision) -> Answer:
        """Ask for a token of an offered card on this phone, with the wallet's colour."""
        books, session = visit.books, visit.books.session(visit.origin.session)
        if session is None:
            return Reason.SESSION_OVER.problem()
        if refusal := provision_refusal(asked, session, now_ms=books.now_ms, fresh_ms=self._config.fresh_ms):
            return refusal.problem()
        device = known_device(visit)
        facts = ColourFacts(
            device=device, tokens=books.tokens_of(device.device), card=asked.card, config=self._config, now_ms=books.now_ms
        )
        colour, reasons = wallet_colour(facts)
        request = requestor.RequestToken(
            card=asked.card, customer=asked.customer, device=device.device, device_name=device.name,
            device_model=device.model, storage=STORAGE_ATTESTED if device.attested else STORAGE_PLAIN,
            attested=bool(device.attested), terms=asked.terms, terms_accepted_ms=asked.terms_accepted_ms,
            colour=colour, reasons=reasons,
        )  # fmt: skip
        # a repeat of the phone's call is a repeat of ours: one enrolment, however often an answer is lost
        key = f"{device.device}/{hashlib.sha256(visit.origin.key.encode()).hexdigest()[:32]}" if visit.origin.key else ""
        return ask_service(visit, self._config, "tsp.request", request, key=key)

    def requested(self, visit: Visit[CloudBooks], answer: requestor.TokenRequested | Problem, _about: bytes) -> Answer:
        """Take the token over and tell the phone the verdict."""
        if isinstance(answer, Problem):
            return answer
        if answer.view is not None:
            visit.books.mirror(answer.view)
        return wallet.Provisioned(
            decision=answer.decision.value, reasons=answer.reasons, view=answer.view, options=answer.options
        )

    # -- ID&V ----------------------------------------------------------------------------------------------------------

    def choose(self, visit: Visit[CloudBooks], asked: wallet.ChooseIDV) -> Answer:
        """Have a one-time code sent for a token of this phone."""
        if visit.books.own_token(visit.name, asked.token) is None:
            return Reason.TOKEN_UNKNOWN.problem()
        send = requestor.SendCode(token=asked.token, method=asked.method)
        return ask_service(visit, self._config, "tsp.code.send", send)

    def submit(self, visit: Visit[CloudBooks], asked: wallet.SubmitCode) -> Answer:
        """Submit a code for a token of this phone; the code is not kept."""
        if visit.books.own_token(visit.name, asked.token) is None:
            return Reason.TOKEN_UNKNOWN.problem()
        verify = requestor.VerifyCode(token=asked.token, method=asked.method, code=asked.code)
        return ask_service(visit, self._config, "tsp.code.verify", verify)

    def passed_on(self, _visit: Visit[CloudBooks], answer: Struct | Problem, _about: bytes) -> Answer:
        """Answer what the token service answered."""
        return answer
