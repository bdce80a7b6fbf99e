"""Format 2 of the acquirer's books: what terminals download, script results, offline approvals."""

import sqlalchemy as sa
from alembic import op

revision = "2"
down_revision = "1"


def upgrade() -> None:
    """Lead from the format before to this one."""
    op.create_table(
        "downloads",
        sa.Column("bucket", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("terminal_group", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("bucket", "terminal_group", "kind", "name"),
    )
    op.create_table(
        "groups",
        sa.Column("bucket", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("terminal_group", sa.Text(), nullable=False),
        sa.Column("keys_version", sa.BigInteger(), nullable=False),
        sa.Column("parameters_version", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("bucket", "terminal_group"),
    )
    op.add_column("forwards", sa.Column("terminal_name", sa.Text(), server_default="", nullable=False))
    no_bytes = sa.text("x''" if op.get_bind().dialect.name == "sqlite" else "''")
    op.add_column("forwards", sa.Column("kept", sa.LargeBinary(), server_default=no_bytes, nullable=False))
    op.create_index("forwards_terminal_name", "forwards", ["bucket", "terminal_name"], unique=False)
    op.add_column("terminals", sa.Column("terminal_group", sa.Text(), server_default="all", nullable=False))
    for name in ("keys_offered", "keys_held", "parameters_offered", "parameters_held"):
        op.add_column("terminals", sa.Column(name, sa.BigInteger(), server_default="0", nullable=False))
