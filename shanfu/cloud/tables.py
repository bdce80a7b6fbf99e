"""The one collection of the key cloud's tables, which its books add themselves to and its migrations are checked against."""

from typing import Final

from sqlalchemy import MetaData

__all__ = ["METADATA", "PREFIX"]

METADATA: Final = MetaData()
PREFIX: Final = "cloud_"  # network, token service and cloud may share one database, and so one transaction
