"""Format 1 of the issuer's books: people and cards, money, the link; the tables as they were on the first day."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "1"
down_revision = None


def upgrade() -> None:
    """Lead from nothing to this format."""
    people_and_cards()
    money()
    link()


def people_and_cards() -> None:
    """Customers, accounts, cards."""
    table("customers", text("customer"), text("name"), text("name_zh"), number("since_ms"))
    table(
        "accounts",
        text("account"),
        *(text(name) for name in ("account_group", "customer", "currency", "kind", "state")),
        *(number(name) for name in ("limit_minor", "balance_minor", "held_minor")),
        text("day"),
        *(number(name) for name in ("day_minor", "day_count", "since_ms")),
    )
    table(
        "cards",
        text("card"),
        text("account_group"),
        octets("pan_sealed"),
        *(text(name) for name in ("masked", "psn", "expiry", "state", "product", "imk_family", "algorithms", "pvki", "pvv")),
        *(number(name) for name in ("pin_tries_left", "atc", "since_ms")),
    )
    op.create_index("cards_card", "cards", ["card"], unique=True)


def money() -> None:
    """The journal and the ledger."""
    journal = ("name", "mti", "processing_code", "issuer", "rrn")
    verdict = ("card", "account", "state", "response_code", "reason", "auth_code", "balances")
    table(
        "journal",
        number("seq"),
        number("format"),
        *(text(name) for name in ("business_date", "batch", "institution", "currency", *journal)),
        number("amount_minor"),
        *(text(name) for name in verdict),
        octets("chip"),
        *(text(name) for name in ("original", "undone_by")),
        *(number(name) for name in ("refunded_minor", "hold", "arrived_ms")),
    )
    op.create_index("journal_name", "journal", ["bucket", "name"], unique=True)
    held = sa.text("hold = 1")
    op.create_index("journal_held", "journal", ["business_date"], sqlite_where=held, postgresql_where=held)
    table(
        "entries",
        text("entry"),
        *(text(name) for name in ("business_date", "currency", "debit", "credit")),
        number("amount_minor"),
        *(text(name) for name in ("name", "kind")),
        number("booked_ms"),
    )


def link() -> None:
    """Keys, the link's state, the closed days."""
    table("days", text("business_date"), number("closed_ms"))
    table("links", text("station"), text("state"), text("name"), number("deadline_ms"))
    asked = sa.text("state = 'asked'")
    op.create_index("links_unanswered", "links", ["deadline_ms"], sqlite_where=asked, postgresql_where=asked)
    table("keys", text("label"), number("generation"), text("block"), number("since_ms"), keys=2)


def table(name: str, *columns: sa.Column[Any], keys: int = 1) -> None:
    """A table whose primary key is the bucket and its first columns."""
    bucket = sa.Column("bucket", sa.Integer(), autoincrement=False, nullable=False)
    primary = sa.PrimaryKeyConstraint("bucket", *(column.name for column in columns[:keys]))
    op.create_table(name, bucket, *columns, primary, sqlite_with_rowid=False)


def text(name: str) -> sa.Column[Any]:
    """A column of text."""
    return sa.Column(name, sa.Text(), nullable=False)


def number(name: str) -> sa.Column[Any]:
    """A 64-bit column."""
    return sa.Column(name, sa.BigInteger(), autoincrement=False, nullable=False)


def octets(name: str) -> sa.Column[Any]:
    """A column of bytes."""
    return sa.Column(name, sa.LargeBinary(), nullable=False)
