"""Format 1 of the counters' books."""

from alembic import op

from tests.hosts.counter import ROOMS

revision = "1"
down_revision = None


def upgrade() -> None:
    party = str(op.get_context().opts["version_table"]).removesuffix("_format")
    ROOMS[party].schema.metadata.create_all(op.get_bind())
