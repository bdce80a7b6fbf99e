"""The one collection of the token service's tables, which its books add themselves to and its migrations are checked against.

Every name begins with `tsp_`: the network, the token service and the key cloud may share one database.
"""

from typing import Final

from sqlalchemy import MetaData

__all__ = ["METADATA", "PREFIX"]

PREFIX: Final = "tsp_"
METADATA: Final = MetaData()
