"""Format 1 of the issuer's books: people and cards, money, cards in phones, the two wires; as they were on the first day."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "1"
down_revision = None


def upgrade() -> None:
    """Lead from nothing to this format."""
    people_and_cards()
    money()
    phones()
    proofs()
    desk()
    link()


def people_and_cards() -> None:
    """Customers, accounts, cards."""
    table(
        "customers",
        *(text(name) for name in ("customer", "name", "name_zh", "mobile", "mobile_hint")),
        octets("mobile_sealed"),
        number("mobile_since_ms"),
        octets("salt"),
        text("password"),
        *(number(name) for name in ("wrong_logins", "locked_until_ms", "since_ms")),
    )
    table(
        "accounts",
        text("account"),
        *(text(name) for name in ("account_group", "customer", "currency", "kind", "state")),
        *(number(name) for name in ("limit_minor", "balance_minor", "held_minor")),
        text("day"),
        *(number(name) for name in ("day_minor", "day_count", "since_ms")),
    )
    op.create_index("accounts_customer", "accounts", ["customer"])
    op.create_index("accounts_group", "accounts", ["account_group"])
    table(
        "cards",
        text("card"),
        text("account_group"),
        octets("pan_sealed"),
        *(text(name) for name in ("masked", "psn", "expiry", "state", "product", "imk_family", "algorithms", "pvki", "pvv")),
        *(number(name) for name in ("pin_tries_left", "atc")),
        text("reference"),
        *(number(name) for name in ("generation", "event_ms", "since_ms")),
    )
    op.create_index("cards_card", "cards", ["card"], unique=True)
    op.create_index("cards_group", "cards", ["account_group"])
    op.create_index("cards_reference", "cards", ["reference"])


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
        *(number(name) for name in ("refunded_minor", "hold")),
        *(text(name) for name in ("token_last4", "trid", "assurance")),
        number("arrived_ms"),
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


def phones() -> None:
    """Tokens of our cards, and how far the token service was heard."""
    where = ("token", "card", "customer", "trid", "device", "device_name", "device_model")
    table(
        "tokens",
        *(text(name) for name in where),
        octets("asked"),
        *(text(name) for name in ("colour", "reasons")),
        number("tries_left"),
        *(text(name) for name in ("proofs", "state", "suspended_by")),
        number("version"),
        *(text(name) for name in ("token_last4", "pan_last4", "expiry", "par", "assurance", "reason")),
        *(number(name) for name in ("asked_ms", "changed_ms")),
    )
    op.create_index("tokens_card", "tokens", ["card"])
    table("heard", text("sender"), number("number"), number("asked_ms"))


def proofs() -> None:
    """One-time codes, logins, and the texts that go out."""
    table(
        "codes",
        text("token"),
        number("number"),
        *(text(name) for name in ("card", "method", "digest", "message", "state")),
        *(number(name) for name in ("sent_ms", "expires_ms")),
        keys=2,
    )
    op.create_index("codes_card", "codes", ["card", "sent_ms"])
    table("assertions", *(text(name) for name in ("assertion", "customer", "token")), number("at_ms"), number("expires_ms"))
    op.create_index("assertions_age", "assertions", ["expires_ms"])
    table(
        "sms",
        *(text(name) for name in ("message", "mobile", "hint", "token")),
        octets("body"),
        text("state"),
        *(number(name) for name in ("at_ms", "expires_ms")),
    )
    op.create_index("sms_mobile", "sms", ["mobile"])
    op.create_index("sms_token", "sms", ["token"])
    waiting_index("sms_waiting", "sms", "expires_ms")


def desk() -> None:
    """What the JSON wire remembers."""
    origin = (octets("body"), octets("origin"))
    table("answered", text("call"), text("digest"), number("status"), *origin, number("at_ms"))
    op.create_index("answered_age", "answered", ["at_ms"])
    table(
        "asked",
        number("seq"),
        *(text(name) for name in ("op", "station")),
        *(octets(name) for name in ("about", "origin")),
        text("state"),
        number("deadline_ms"),
    )
    waiting_index("asked_waiting", "asked", "deadline_ms")
    table(
        "notices",
        text("receiver"),
        number("number"),
        text("op"),
        octets("body"),
        text("state"),
        *(number(name) for name in ("tries", "due_ms")),
        keys=2,
    )
    waiting_index("notices_open", "notices", "due_ms")


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
    op.create_table(name, bucket, *columns, primary)


def waiting_index(name: str, table_name: str, column: str) -> None:
    """An index over the rows that still wait."""
    where = sa.text("state = 'WAITING'")
    op.create_index(name, table_name, [column], sqlite_where=where, postgresql_where=where)


def text(name: str) -> sa.Column[Any]:
    """A column of text."""
    return sa.Column(name, sa.Text(), nullable=False)


def number(name: str) -> sa.Column[Any]:
    """A 64-bit column."""
    return sa.Column(name, sa.BigInteger(), autoincrement=False, nullable=False)


def octets(name: str) -> sa.Column[Any]:
    """A column of bytes."""
    return sa.Column(name, sa.LargeBinary(), nullable=False)
