"""A journal and accounts like those of a host, for the tests and the benchmark of the store."""

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Index, MetaData, bindparam

from shanfu.store import Schema, Shelf, Statement, book, journal, number, octets, open_index, text

metadata = MetaData()
WAITING, DONE = 1, 2

journal_table = journal(
    "journal",
    metadata,
    text("identity"),
    text("account"),
    number("state"),
    number("deadline_ms", null=True),
    text("mti"),
    text("processing_code"),
    number("amount_minor"),
    text("stan"),
    text("transmitted"),
    text("acquirer"),
    text("forwarder"),
    text("rrn"),
    text("authorisation", null=True),
    text("response", null=True),
    text("terminal"),
    text("merchant"),
    octets("sealed_pan"),
    octets("answer", null=True),
    number("created_ms"),
    Index("journal_identity", "identity", unique=True),
    Index("journal_account", "account", "business_date"),
)
open_index("journal_open", journal_table.c.deadline_ms, where=journal_table.c.state == WAITING)

account_table = book("account", metadata, text("account", key=True), number("balance_minor"), number("version"))
account_by_number = Index("account_number", account_table.c.account)


@dataclass(slots=True)
class JournalRow:
    bucket: int
    seq: int
    format: int
    business_date: str
    batch: str
    institution: str
    currency: str
    identity: str
    account: str
    state: int
    deadline_ms: int | None
    mti: str
    processing_code: str
    amount_minor: int
    stan: str
    transmitted: str
    acquirer: str
    forwarder: str
    rrn: str
    authorisation: str | None
    response: str | None
    terminal: str
    merchant: str
    sealed_pan: bytes
    answer: bytes | None
    created_ms: int


@dataclass(slots=True)
class AccountRow:
    bucket: int
    account: str
    balance_minor: int
    version: int


JOURNAL = Shelf(journal_table, JournalRow)
ACCOUNTS = Shelf(account_table, AccountRow)
DUE = Statement(
    JOURNAL.select()
    .where(journal_table.c.state == WAITING, journal_table.c.deadline_ms <= bindparam("now"))
    .order_by(journal_table.c.deadline_ms)
    .limit(3),
    "now",
)
SCHEMA = Schema(party="sample", metadata=metadata, migrations=Path(__file__).parent / "migrations")


def journal_row(number: int, **changes: object) -> JournalRow:
    row = JournalRow(
        0, number, 1, "20260101", "", "48020000", "156", f"0101000000{number:06d}4802000048010000", f"A{number % 7}", WAITING,
        1_000 + number, "0200", "000000", 1234, f"{number:06d}", "0101000000", "48020000", "48010000", f"{number:012d}", None,
        None, "10000001", "898100012340001", bytes(48), None, 1_767_225_600_000,
    )  # fmt: skip
    for name, value in changes.items():
        setattr(row, name, value)
    return row
