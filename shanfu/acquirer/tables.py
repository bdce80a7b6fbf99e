"""The one collection of the acquirer's tables, which its books add themselves to and its migrations are checked against."""

from typing import Final

from sqlalchemy import MetaData

__all__ = ["METADATA"]

METADATA: Final = MetaData()
