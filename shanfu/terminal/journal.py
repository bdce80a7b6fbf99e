"""What a terminal keeps across a power cut: its counter, its batch, whether it is signed in, and its transactions.

A transaction is kept *before* its request leaves, in state WAITING with everything its reversal needs; one single `Keep`
then settles it, so there is never a moment in which money could move and nobody would know. A transaction found
WAITING at start was cut off: it is reversed before the next payment.

    WAITING -> APPROVED | DECLINED         a valid answer
    WAITING -> EXPIRED -> REVERSED         no valid answer; EXPIRED means that its reversal is under way
    WAITING -> EXPIRED -> APPROVED | …     the same for a refund, which is an advice: it is sent again instead

The trace number comes from a sequence that never runs back; a transaction's own record carries it, so a payment costs
two writes. The PAN inside is sealed at rest by the terminal's Memory, never shown, and dropped when the batch is closed.

An approval that the card gave offline is kept APPROVED with the field 55 of its upload; an approval after which the card ran
issuer scripts, with the field 55 of the script notice. Both fields are emptied when the acquirer has answered.

Every record carries a format number: one of a newer version is refused (StoreVersion).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TypeVar

import msgspec

from shanfu.dialogue import Dialogue, Keep, Memory
from shanfu.errors import StoreVersion
from shanfu.iso8583 import Totals

__all__ = ["Journal", "JournalLine", "Kind", "State", "TerminalState", "Transaction"]

FORMAT = 2  # 1 had neither uploads nor script notices: their fields begin empty
STATE = "state"
PREFIX = "transaction-"
LAST_STAN = 999_999
BATCH_LIMIT = 999  # DE48 counts a batch in three digits
R = TypeVar("R")


class Kind(StrEnum):
    """What moves money."""

    PURCHASE = "purchase"
    REFUND = "refund"
    VOID = "void"


class State(StrEnum):
    """Where a transaction stands; the same words as in the hosts' journals."""

    APPROVED = "APPROVED"
    DECLINED = "DECLINED"
    EXPIRED = "EXPIRED"
    REVERSED = "REVERSED"
    WAITING = "WAITING"


@dataclass(frozen=True, slots=True, kw_only=True)
class TerminalState:
    """The terminal's own record. `sequence` counts messages; `batch` is the one the last sign-in opened."""

    sequence: int = 0
    batch: str = "000000"
    signed_in: bool = False
    closed_batch: str = ""  # settled; its records are truncated, again at sign-in if a power cut came between
    settling: str = ""  # trace number of a settlement that has no answer yet
    wants_keys: bool = False  # the acquirer has newer CA keys (processing requirement 4)
    wants_parameters: bool = False  # … or newer application parameters (5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """One payment, void or refund, with what its reversal, its void and its reconciliation need."""

    sequence: int
    kind: Kind
    batch: str
    stan: str
    amount_minor: int
    currency: str  # ISO 4217 numeric
    at_ms: int
    date: str  # local, YYYYMMDD
    state: State = State.WAITING
    pan: str = field(repr=False, default="")
    masked_pan: str = ""
    expiry: str = field(repr=False, default="")
    psn: str = ""
    entry_mode: str = ""
    atc: str = ""
    reversal_de55: bytes = field(repr=False, default=b"")
    reversal_reason: str = "98"
    sends: int = 0  # of the reversal; of an advice, all its sendings
    needs_reconciliation: bool = False
    original: str = ""  # void and refund: batch.stan of what they undo
    original_date: str = ""
    original_rrn: str = ""
    rrn: str = ""
    auth_code: str = ""
    response_code: str = ""
    business_date: str = ""  # DE15 with its year, YYYYMMDD
    closed: bool = False
    chip_condition: str = "0"  # DE60.5: 2 for the stripe of a card whose chip could not be read
    offline: bool = False  # approved by the card, the acquirer is told later
    upload_de55: bytes = field(repr=False, default=b"")  # field 55 of the upload until it is answered
    uploads: int = 0  # answers to uploads that were neither yes nor a final no
    script_de55: bytes = field(repr=False, default=b"")  # field 55 of the script notice until it is answered
    script_stan: str = ""
    script_sends: int = 0

    @property
    def name(self) -> str:
        """batch.stan, which names it within this terminal."""
        return f"{self.batch}.{self.stan}"

    @property
    def is_advice(self) -> bool:
        """Whether it tells what the merchant has decided already: sent again until answered, never reversed."""
        return self.kind is Kind.REFUND

    @property
    def due(self) -> bool:
        """Whether something must go out for it before the next payment: a reversal, or an advice once more."""
        return self.state in (State.WAITING, State.EXPIRED) and not self.needs_reconciliation

    @property
    def upload_due(self) -> bool:
        """Whether the acquirer has still to be told of this offline approval."""
        return bool(self.upload_de55) and self.state is State.APPROVED

    @property
    def script_due(self) -> bool:
        """Whether the issuer has still to be told what became of its scripts."""
        return bool(self.script_de55)

    @property
    def given_up(self) -> bool:
        """Whether its reversal, or the advice itself, was never acknowledged and could still be sent."""
        return self.needs_reconciliation and self.state is State.EXPIRED and bool(self.pan)


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalLine:
    """What reconciliation compares: `name` is DE42.DE41.batch.DE11."""

    name: str
    rrn: str
    kind: Kind
    amount_minor: int
    currency: str
    business_date: str
    state: State
    needs_reconciliation: bool
    to_upload: bool = False  # the card has approved it, and nobody else has heard of it yet


class Journal:
    """The kept records of one terminal, read once; every change is a `Keep` first and is believed only afterwards."""

    def __init__(self, memory: Memory) -> None:
        self.state = _decode(memory.read(STATE), TerminalState) or TerminalState()
        names = [name for name in memory.names() if name.startswith(PREFIX)]
        kept = (_decode(memory.read(name), Transaction) for name in names)
        self.transactions: dict[int, Transaction] = {}
        self._due: set[int] = set()
        self._uploads: set[int] = set()
        self._scripts: set[int] = set()
        self._batches: dict[str, set[int]] = {}
        self._highest = self.state.sequence
        for transaction in kept:
            if transaction is not None:
                self._note(transaction)

    @property
    def next_sequence(self) -> int:
        """The number after the highest that any kept record has used."""
        return max(self.state.sequence, self._highest) + 1

    @property
    def batch_full(self) -> bool:
        """Whether the current batch has as many transactions as a settlement can count."""
        return len(self._batches.get(self.state.batch, ())) >= BATCH_LIMIT

    def keep_state(self, **changes: object) -> Dialogue[None]:
        """Change the terminal's own record."""
        state = replace(self.state, **changes)  # type: ignore[arg-type]  # names and types as in TerminalState
        yield Keep(STATE, _encode(state))
        self.state = state

    def take_stan(self) -> Dialogue[str]:
        """Use up a trace number for a message that leaves no transaction."""
        sequence = self.next_sequence
        yield from self.keep_state(sequence=sequence)
        return stan_of(sequence)

    def take_settlement_stan(self) -> Dialogue[str]:
        """Return the trace number of the unanswered settlement of this batch, or use up a new one, kept before it leaves."""
        if not self.state.settling:
            sequence = self.next_sequence
            yield from self.keep_state(sequence=sequence, settling=stan_of(sequence))
        return self.state.settling

    def open_batch(self, batch: str) -> Dialogue[None]:
        """Note a good sign-in. Another batch than before means that the host has closed the last one."""
        same = batch == self.state.batch
        yield from self.keep_state(signed_in=True, batch=batch, settling=self.state.settling if same else "")

    def keep(self, transaction: Transaction) -> Dialogue[None]:
        """Write one transaction, new or changed."""
        yield Keep(_name(transaction), _encode(transaction))
        self._note(transaction)

    def _note(self, transaction: Transaction) -> None:
        sequence = transaction.sequence
        self.transactions[sequence] = transaction
        self._highest = max(self._highest, sequence)
        self._batches.setdefault(transaction.batch, set()).add(sequence)
        (self._due.add if transaction.due else self._due.discard)(sequence)
        (self._uploads.add if transaction.upload_due else self._uploads.discard)(sequence)
        (self._scripts.add if transaction.script_due else self._scripts.discard)(sequence)

    def change(self, transaction: Transaction, **changes: object) -> Dialogue[Transaction]:
        """Write a changed transaction and return it."""
        changed = replace(transaction, **changes)  # type: ignore[arg-type]  # names and types as in Transaction
        yield from self.keep(changed)
        return changed

    def dues(self) -> list[Transaction]:
        """Transactions for which something must still go out, oldest first."""
        return [self.transactions[sequence] for sequence in sorted(self._due)]

    def uploads(self) -> list[Transaction]:
        """Offline approvals that the acquirer does not know yet, oldest first."""
        return [self.transactions[sequence] for sequence in sorted(self._uploads)]

    def script_notices(self) -> list[Transaction]:
        """Transactions whose script results have not been told yet, oldest first."""
        return [self.transactions[sequence] for sequence in sorted(self._scripts)]

    def last_approved_minor(self, pan: str) -> int:
        """The card's last approved payment of this batch, for the floor limit (EMV B3 10.6.1: split sales)."""
        members = (self.transactions[sequence] for sequence in sorted(self._batches.get(self.state.batch, ()), reverse=True))
        paid = (t.amount_minor for t in members if (t.pan, t.kind, t.state) == (pan, Kind.PURCHASE, State.APPROVED))
        return next(paid, 0)

    def find(self, stan: str, *, batch: str = "") -> Transaction | None:
        """Return the latest transaction with this trace number, in the current batch unless another is named."""
        batch = batch or self.state.batch
        return next((t for _, t in sorted(self.transactions.items(), reverse=True) if (t.stan, t.batch) == (stan, batch)), None)

    def undone_minor(self, original: Transaction) -> int:
        """How much of a payment voids and refunds have given back, or may have given back."""
        undoing = [t for t in self.transactions.values() if t.original == original.name]
        unknown = (State.WAITING, State.EXPIRED)
        return sum(t.amount_minor for t in undoing if t.state is State.APPROVED or (t.is_advice and t.state in unknown))

    def totals(self, batch: str) -> Totals:
        """Add up the approved transactions of a batch; an offline approval that the acquirer refused is not in its totals."""
        members = (self.transactions[sequence] for sequence in self._batches.get(batch, ()))
        approved = [t for t in members if t.state is State.APPROVED and not t.needs_reconciliation]
        debits = [t.amount_minor for t in approved if t.kind is Kind.PURCHASE]
        returns = [t.amount_minor for t in approved if t.kind is not Kind.PURCHASE]
        return Totals(debit_minor=sum(debits), debit_count=len(debits), credit_minor=sum(returns), credit_count=len(returns))

    def truncate(self, *, older_than_ms: int) -> Dialogue[None]:
        """Drop card data from closed batches' transactions, and whole transactions that are old enough."""
        for transaction in list(self.transactions.values()):
            if transaction.due or transaction.upload_due or transaction.script_due:
                continue
            if transaction.closed and transaction.at_ms < older_than_ms:
                yield Keep(_name(transaction), None)
                del self.transactions[transaction.sequence]
                self._batches[transaction.batch].discard(transaction.sequence)
            elif not transaction.closed and self._is_closed(transaction.batch):
                yield from self.change(transaction, closed=True, pan="", expiry="", reversal_de55=b"")

    def _is_closed(self, batch: str) -> bool:
        return batch == self.state.closed_batch or batch != self.state.batch

    def lines(self, merchant: str, terminal: str) -> Iterator[JournalLine]:
        """Give what reconciliation compares, oldest first."""
        for _, t in sorted(self.transactions.items()):
            yield JournalLine(
                name=f"{merchant}.{terminal}.{t.name}",
                rrn=t.rrn,
                kind=t.kind,
                amount_minor=t.amount_minor,
                currency=t.currency,
                business_date=t.business_date or t.date,
                state=t.state,
                needs_reconciliation=t.needs_reconciliation,
                to_upload=t.upload_due,
            )


def stan_of(sequence: int) -> str:
    """Return the trace number of a sequence number: 000001 to 999999 and around again, 000000 never.

    >>> stan_of(999999), stan_of(1000000)
    ('999999', '000001')
    """
    return f"{(sequence - 1) % LAST_STAN + 1:06d}"


def _name(transaction: Transaction) -> str:
    return f"{PREFIX}{transaction.sequence:012d}"


def _encode(record: TerminalState | Transaction) -> bytes:
    return bytes((FORMAT,)) + msgspec.msgpack.encode(record)


def _decode(raw: bytes | None, kind: type[R]) -> R | None:
    if not raw:
        return None
    if not 1 <= raw[0] <= FORMAT:
        raise StoreVersion(f"terminal journal: format {raw[0]}, this version reads {FORMAT}")
    return msgspec.msgpack.decode(raw[1:], type=kind)
