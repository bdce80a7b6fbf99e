"""Format 1 of the counters' books."""

from alembic import op

from tests.hosts.counter import METADATA

revision = "1"
down_revision = None


def upgrade() -> None:
    METADATA.create_all(op.get_bind())
