"""Format 1 of the issuer's books."""

import sqlalchemy as sa
from alembic import op

revision = "1"
down_revision = None


def upgrade() -> None:
    """Lead from the format before to this one."""
    op.create_table(
        "accounts",
        sa.Column("bucket", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("account_group", sa.Text(), nullable=False),
        sa.Column("customer", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("limit_minor", sa.BigInteger(), nullable=False),
        sa.Column("balance_minor", sa.BigInteger(), nullable=False),
        sa.Column("held_minor", sa.BigInteger(), nullable=False),
        sa.Column("day", sa.Text(), nullable=False),
        sa.Column("day_minor", sa.BigInteger(), nullable=False),
        sa.Column("day_count", sa.BigInteger(), nullable=False),
        sa.Column("since_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("bucket", "account"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "cards",
        sa.Column("bucket", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("card", sa.Text(), nullable=False),
        sa.Column("account_group", sa.Text(), nullable=False),
        sa.Column("pan_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("masked", sa.Text(), nullable=False),
        sa.Column("psn", sa.Text(), nullable=False),
        sa.Column("expiry", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("product", sa.Text(), nullable=False),
        sa.Column("imk_family", sa.Text(), nullable=False),
        sa.Column("algorithms", sa.Text(), nullable=False),
        sa.Column("pvki", sa.Text(), nullable=False),
        sa.Column("pvv", sa.Text(), nullable=False),
        sa.Column("pin_tries_left", sa.BigInteger(), nullable=False),
        sa.Column("atc", sa.BigInteger(), nullable=False),
        sa.Column("since_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("bucket", "card"),
        sqlite_with_rowid=False,
    )
    op.create_index("cards_card", "cards", ["card"], unique=True)
    op.create_table(
        "customers",
        sa.Column("bucket", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("customer", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_zh", sa.Text(), nullable=False),
        sa.Column("since_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("bucket", "customer"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "days",
        sa.Column("bucket", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("business_date", sa.Text(), nullable=False),
        sa.Column("closed_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("bucket", "business_date"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "entries",
        sa.Column("bucket", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("entry", sa.Text(), nullable=False),
        sa.Column("business_date", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("debit", sa.Text(), nullable=False),
        sa.Column("credit", sa.Text(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("booked_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("bucket", "entry"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "journal",
        sa.Column("bucket", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("format", sa.BigInteger(), nullable=False),
        sa.Column("business_date", sa.Text(), nullable=False),
        sa.Column("batch", sa.Text(), nullable=False),
        sa.Column("institution", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("mti", sa.Text(), nullable=False),
        sa.Column("processing_code", sa.Text(), nullable=False),
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("rrn", sa.Text(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("card", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("response_code", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("auth_code", sa.Text(), nullable=False),
        sa.Column("balances", sa.Text(), nullable=False),
        sa.Column("chip", sa.LargeBinary(), nullable=False),
        sa.Column("original", sa.Text(), nullable=False),
        sa.Column("undone_by", sa.Text(), nullable=False),
        sa.Column("refunded_minor", sa.BigInteger(), nullable=False),
        sa.Column("hold", sa.BigInteger(), nullable=False),
        sa.Column("arrived_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("bucket", "seq"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "journal_held",
        "journal",
        ["business_date"],
        unique=False,
        sqlite_where=sa.text("hold = 1"),
        postgresql_where=sa.text("hold = 1"),
    )
    op.create_index("journal_name", "journal", ["bucket", "name"], unique=True)
    op.create_table(
        "keys",
        sa.Column("bucket", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("generation", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("block", sa.Text(), nullable=False),
        sa.Column("since_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("bucket", "label", "generation"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "links",
        sa.Column("bucket", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("station", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("deadline_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("bucket", "station"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "links_unanswered",
        "links",
        ["deadline_ms"],
        unique=False,
        sqlite_where=sa.text("state = 'asked'"),
        postgresql_where=sa.text("state = 'asked'"),
    )
