"""What an issuer must be told before it can open: who it is, who its network is, how long it may think, and its policy.

Key labels are fixed by rule, so that key ceremonies and hosts agree without a table: `mmk/NETWORK` (the member's master key),
`mak/NETWORK` and `pik/NETWORK` (working keys, from key resets), `seal` and `lookup` (our own books), `pvk/PVKI`, for cards
`imk-ac/FAMILY/ALGORITHM/DKI` (`cards.imk_label`; scripts: `imk-mac`, `imk-enc`), `cvk` (check values of stripes), `pik/desk`
(new PINs, from the PIN pads of our branches), and `pan/INSTITUTION` (shared with the token service: card numbers in calls).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from shanfu.errors import ConfigError
from shanfu.hosts import MemberConfig, check_positive
from shanfu.issuer.policy import Policy
from shanfu.settings import read, take

__all__ = ["CVK", "DESK_PIK", "IssuerConfig", "pvk_label"]

CVK: Final = "cvk"
DESK_PIK: Final = "pik/desk"


def pvk_label(pvki: str) -> str:
    """Return the key label of a PIN verification key.

    >>> pvk_label("1")
    'pvk/1'
    """
    return f"pvk/{pvki}"


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerConfig(MemberConfig):
    """One issuer."""

    name: str = "issuer"
    patience_ms: int = 20_000
    policy: Policy = field(default_factory=Policy.default)
    tsp: str = "tsp/90100000"  # the token service of our cards, as it is named in calls
    currency: str = "156"  # the bank's own: a card with several accounts shows this one in phones
    ask_timeout_ms: int = 10_000

    @property
    def station(self) -> str:
        """Our name in calls."""
        return f"issuer/{self.institution}"

    @property
    def pan(self) -> str:
        """Label of the key for card numbers that token service and issuer share."""
        return f"pan/{self.institution}"

    def check(self) -> None:
        """Raise ConfigError when a value makes no sense."""
        MemberConfig.check(self)
        check_positive(self, self.name, "ask_timeout_ms")
        if not self.tsp.startswith("tsp/"):
            raise ConfigError(f"{self.name}: tsp is {self.tsp!r}, a token service is named tsp/INSTITUTION")

    @classmethod
    def load(cls, table: Mapping[str, Any]) -> "IssuerConfig":
        """Build from a TOML table; `policy` is a table or the path of a file. Raise ConfigError for anything unknown."""
        values = dict(table)
        if isinstance(table.get("policy"), str):
            values["policy"] = Policy.load(Path(table["policy"]))
        elif "policy" in table:
            values["policy"] = Policy.of(take(table, "policy", {}, where="issuer"), where="issuer policy")
        config = read(cls, values, where="issuer")
        config.check()
        return config
