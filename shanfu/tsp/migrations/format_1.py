"""Format 1 of the token service's books: the vault, the registry, the lives of tokens, payments, and the two wires."""

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "1"
down_revision = None


def upgrade() -> None:
    """Lead from nothing to this format."""
    vault()
    registry()
    lives()
    payments()
    desk()
    link()


def vault() -> None:
    """The vault: tokens, the cards behind them, accounts' references."""
    table(
        "tsp_tokens",
        *each(text, "token", "number"),
        octets("number_sealed"),
        *each(text, "token_last4", "expiry", "psn"),
        number("dki"),
        *each(text, "par", "trid", "issuer", "card"),
        number("generation"),
        *each(text, "pan_last4", "device", "device_name", "storage", "assurance", "state", "suspended_by"),
        number("version"),
        text("reason"),
        octets("policy"),
        *each(number, "atc_allotted", "created_ms", "activated_ms", "changed_ms", "expires_ms"),
    )
    op.create_index("tsp_tokens_card", "tsp_tokens", ["issuer", "card"])
    op.create_index("tsp_tokens_device", "tsp_tokens", ["device"])
    where = sa.text("state IN ('INACTIVE', 'ACTIVE', 'SUSPENDED')")
    op.create_index("tsp_tokens_living", "tsp_tokens", ["expires_ms"], sqlite_where=where, postgresql_where=where)
    op.create_index("tsp_tokens_number", "tsp_tokens", ["number"], unique=True)
    op.create_index("tsp_tokens_token", "tsp_tokens", ["token"], unique=True)
    table(
        "tsp_cards",
        *each(text, "issuer", "card", "par", "account_group", "pan"),
        octets("pan_sealed"),
        text("pan_last4"),
        number("generation"),
        *each(text, "expiry", "psn", "currency"),
        number("credit"),
        *each(text, "label", "state"),
        *each(number, "told_ms", "stolen_ms", "since_ms"),
        keys=2,
    )
    op.create_index("tsp_cards_card", "tsp_cards", ["issuer", "card"], unique=True)
    op.create_index("tsp_cards_pan", "tsp_cards", ["pan"])
    table("tsp_pars", *each(text, "account", "par"), number("since_ms"))
    op.create_index("tsp_pars_account", "tsp_pars", ["account"], unique=True)


def registry() -> None:
    """Who may ask, and from which numbers."""
    table(
        "tsp_requestors",
        *each(
            text,
            "trid",
            "name",
            "name_zh",
            "app",
            "issuer",
            "channels",
            "entry_modes",
            "storages",
            "countries",
            "merchants",
            "state",
        ),
        number("since_ms"),
    )
    op.create_index("tsp_requestors_trid", "tsp_requestors", ["trid"], unique=True)
    table("tsp_ranges", *each(text, "bin", "issuer", "card_bins", "country", "state"), number("since_ms"))
    op.create_index("tsp_ranges_bin", "tsp_ranges", ["bin"], unique=True)
    op.create_index("tsp_ranges_issuer", "tsp_ranges", ["issuer"])


def lives() -> None:
    """Enrolments and the diary."""
    table(
        "tsp_enrolments",
        *each(text, "token", "trid", "issuer", "card", "customer", "device", "device_model"),
        number("attested"),
        *each(text, "wallet_colour", "service_colour", "issuer_colour", "decision", "reasons"),
        octets("options"),
        text("method"),
        *each(number, "sends", "tries_left"),
        text("terms"),
        number("terms_accepted_ms"),
        text("state"),
        *each(number, "at_ms", "deadline_ms"),
    )
    op.create_index("tsp_enrolments_card", "tsp_enrolments", ["issuer", "card", "at_ms"])
    op.create_index("tsp_enrolments_device", "tsp_enrolments", ["device", "at_ms"])
    op.create_index("tsp_enrolments_token", "tsp_enrolments", ["token"], unique=True)
    where = sa.text("state IN ('asked', 'open')")
    op.create_index("tsp_enrolments_waiting", "tsp_enrolments", ["deadline_ms"], sqlite_where=where, postgresql_where=where)
    table(
        "tsp_diary",
        number("seq"),
        text("token"),
        number("version"),
        *each(text, "event", "result", "actor", "channel", "reason", "before", "after", "suspended_before", "suspended_after"),
        number("at_ms"),
    )
    op.create_index("tsp_diary_token", "tsp_diary", ["token", "seq"])


def payments() -> None:
    """Key sets and what was paid."""
    table("tsp_counters", text("token"), *each(number, "atc", "seen"), text("day"), *each(number, "day_uses", "sequence"))
    table(
        "tsp_history",
        *each(number, "seq", "format"),
        *each(
            text, "business_date", "batch", "institution", "currency", "name", "mti", "processing_code", "kind", "rrn", "sent"
        ),
        number("amount_minor"),
        *each(text, "number", "token", "trid", "issuer"),
        *each(number, "sequence", "atc"),
        *each(text, "un", "state", "response_code", "reason", "auth_code", "original", "merchant"),
        octets("explain"),
        number("arrived_ms"),
    )
    op.create_index("tsp_history_name", "tsp_history", ["name"], unique=True)
    op.create_index("tsp_history_rrn", "tsp_history", ["rrn", "sent"])
    op.create_index("tsp_history_token", "tsp_history", ["token", "seq"])
    table(
        "tsp_key_sets",
        text("token"),
        number("sequence"),
        *each(text, "key_index", "scheme", "device"),
        *each(number, "atc_first", "atc_last", "max_uses", "max_amount", "issued_ms", "expires_ms"),
        text("state"),
        *each(number, "grace_ends_ms", "uses", "spent", "lowered", "reported_atc"),
        keys=2,
    )
    op.create_index("tsp_key_sets_index", "tsp_key_sets", ["key_index", "token"], unique=True)


def desk() -> None:
    """What the JSON wire remembers."""
    table("tsp_answered", *each(text, "call", "digest"), number("status"), *each(octets, "body", "origin"), number("at_ms"))
    op.create_index("tsp_answered_age", "tsp_answered", ["at_ms"])
    table(
        "tsp_asked",
        number("seq"),
        *each(text, "op", "station"),
        *each(octets, "about", "origin"),
        text("state"),
        number("deadline_ms"),
    )
    where = sa.text("state = 'WAITING'")
    op.create_index("tsp_asked_waiting", "tsp_asked", ["deadline_ms"], sqlite_where=where, postgresql_where=where)
    table(
        "tsp_notices",
        text("receiver"),
        number("number"),
        text("op"),
        octets("body"),
        text("state"),
        *each(number, "tries", "due_ms"),
        keys=2,
    )
    where = sa.text("state = 'WAITING'")
    op.create_index("tsp_notices_open", "tsp_notices", ["due_ms"], sqlite_where=where, postgresql_where=where)


def link() -> None:
    """Keys, the link's state, the closed days."""
    table("tsp_days", text("business_date"), number("closed_ms"))
    table("tsp_keys", text("label"), number("generation"), text("block"), number("since_ms"), keys=2)
    table("tsp_links", *each(text, "station", "state", "name"), number("deadline_ms"))
    where = sa.text("state = 'asked'")
    op.create_index("tsp_links_unanswered", "tsp_links", ["deadline_ms"], sqlite_where=where, postgresql_where=where)


def table(name: str, *columns: sa.Column[Any], keys: int = 1) -> None:
    """A table whose primary key is the bucket and its first columns."""
    bucket = sa.Column("bucket", sa.Integer(), autoincrement=False, nullable=False)
    primary = sa.PrimaryKeyConstraint("bucket", *(column.name for column in columns[:keys]))
    op.create_table(name, bucket, *columns, primary)


def each(kind: Callable[[str], sa.Column[Any]], *names: str) -> list[sa.Column[Any]]:
    """Columns of one kind."""
    return [kind(name) for name in names]


def text(name: str) -> sa.Column[Any]:
    """A column of text."""
    return sa.Column(name, sa.Text(), nullable=False)


def number(name: str) -> sa.Column[Any]:
    """A 64-bit column."""
    return sa.Column(name, sa.BigInteger(), autoincrement=False, nullable=False)


def octets(name: str) -> sa.Column[Any]:
    """A column of bytes."""
    return sa.Column(name, sa.LargeBinary(), nullable=False)
