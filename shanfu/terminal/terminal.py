"""The terminal as the shop sees it: one object, one method for each thing that a cashier can do.

Each method is a dialogue that asks the peers "card", "pin-pad" and "acquirer" and keeps records in the terminal's Memory;
any driver of `shanfu.dialogue` moves it. One dialogue runs at a time, as with any till. After a power cut a new object
over the same memory goes on: what was cut off is reversed before the next payment.
"""

import secrets
from collections.abc import Callable

from shanfu.clock import Clock
from shanfu.dialogue import Dialogue, Memory
from shanfu.events import Events, nobody
from shanfu.money import Currency, Money
from shanfu.pan import PAN
from shanfu.terminal import aftersales, contact, downloads, management, payment
from shanfu.terminal import swipe as stripe
from shanfu.terminal.authentication import today
from shanfu.terminal.config import TerminalConfig
from shanfu.terminal.desk import Desk
from shanfu.terminal.journal import Journal, JournalLine, Transaction
from shanfu.terminal.parameters import ParameterBook, Parameters
from shanfu.terminal.receipt import Receipt
from shanfu.terminal.selection import Choose, first_of

__all__ = ["Terminal"]


class Terminal:
    """One point of sale."""

    def __init__(
        self,
        config: TerminalConfig,
        memory: Memory,
        *,
        clock: Clock,
        random: Callable[[int], bytes] = secrets.token_bytes,
        events: Events = nobody,
    ) -> None:
        self.config = config
        self._desk = Desk(
            config=config,
            journal=Journal(memory),
            parameters=ParameterBook(config, memory),
            clock=clock,
            random=random,
            events=events,
        )

    @property
    def journal(self) -> Journal:
        """What this terminal keeps."""
        return self._desk.journal

    def lines(self) -> list[JournalLine]:
        """What reconciliation compares, oldest first."""
        return list(self.journal.lines(self.config.merchant_id, self.config.terminal_id))

    def pay(self, amount: Money) -> Dialogue[Receipt]:
        """Take a payment by wave."""
        return payment.pay(self._desk, amount)

    def insert(self, amount: Money, *, choose: Choose = first_of, force_online: bool = False) -> Dialogue[Receipt]:
        """Take a payment from an inserted card; `choose` picks among its applications, by their labels."""
        return contact.insert(self._desk, amount, choose=choose, force_online=force_online)

    def balance(self, currency: Currency | None = None) -> Dialogue[Receipt]:
        """Show the balance of a waved card; its PIN is asked."""
        return payment.balance(self._desk, currency)

    def void(self, stan: str) -> Dialogue[Receipt]:
        """Cancel a payment of this batch by its trace number."""
        return aftersales.void(self._desk, stan)

    def refund(self, original: Transaction, amount: Money, *, card: PAN | None = None) -> Dialogue[Receipt]:
        """Give money back for a payment; `card` is needed once its batch is closed."""
        return aftersales.refund(self._desk, original, amount, card=card)

    def swipe(self, track2: str, amount: Money, *, track1: str = "") -> Dialogue[Receipt]:
        """Judge a swiped card; it pays only after its chip has failed here."""
        return stripe.swipe(self._desk, track2, amount, track1=track1)

    def download(self) -> Dialogue[Receipt]:
        """Fetch the acquirer's CA keys and application parameters."""
        return downloads.download(self._desk)

    def parameters(self) -> Parameters:
        """The applications and CA keys in force."""
        return self._desk.parameters.in_force(today(self._desk))

    def sign_in(self) -> Dialogue[Receipt]:
        """Get a batch and working keys."""
        return management.sign_in(self._desk)

    def sign_off(self) -> Dialogue[Receipt]:
        """End the day's work at the acquirer."""
        return management.sign_off(self._desk)

    def echo(self) -> Dialogue[Receipt]:
        """Ask whether the acquirer is there."""
        return management.echo(self._desk)

    def settle(self) -> Dialogue[Receipt]:
        """Compare totals and close the batch."""
        return management.settle(self._desk)

    def reverse_pending(self) -> Dialogue[Receipt]:
        """Send all outstanding reversals, script results and offline approvals now."""
        return management.reverse_pending(self._desk)
