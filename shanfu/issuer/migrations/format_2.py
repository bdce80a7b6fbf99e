"""Format 2 of the issuer's books: certificates of offline approvals, and orders for cards."""

import sqlalchemy as sa
from alembic import op

revision = "2"
down_revision = "1"


def upgrade() -> None:
    """Lead from format 1 to this one."""
    op.create_table(
        "certificates",
        sa.Column("bucket", sa.Integer(), autoincrement=False, nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("card", "psn")),
        sa.Column("atc", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("booked_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("bucket", "card", "psn", "atc"),
    )
    op.create_table(
        "scripts",
        sa.Column("bucket", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("card", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        *(sa.Column(name, sa.LargeBinary(), nullable=False) for name in ("data", "pin_block")),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("pin_format", "pvv", "state", "name")),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("times", "failed_at")),
        sa.Column("by", sa.Text(), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("ordered_ms", "sent_ms", "ended_ms")),
        sa.PrimaryKeyConstraint("bucket", "card", "number"),
    )
