"""What an issuer must be told before it can open: who it is, who its network is, how long it may think, and its policy.

Key labels are fixed by rule, so that key ceremonies and hosts agree without a table: `mmk/NETWORK` (the member's master key),
`mak/NETWORK` and `pik/NETWORK` (working keys, from key resets), `seal` and `lookup` (our own books), `pvk/PVKI`, and for
cards `imk-ac/FAMILY/ALGORITHM/DKI` (`cards.imk_label`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shanfu.errors import ConfigError
from shanfu.issuer.policy import Policy
from shanfu.settings import read, take

__all__ = ["LOOKUP", "SEAL", "IssuerConfig", "pvk_label"]

SEAL = "seal"
LOOKUP = "lookup"


def pvk_label(pvki: str) -> str:
    """Return the key label of a PIN verification key.

    >>> pvk_label("1")
    'pvk/1'
    """
    return f"pvk/{pvki}"


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerConfig:
    """One issuer. `institution` and `network` are 8-digit identifiers; the network's is also the station's name."""

    institution: str
    network: str = "00010000"
    name: str = "issuer"
    buckets: int = 1  # 1 on SQLite: more would turn appends into one page per row
    patience_ms: int = 20_000  # the issuer's share of the nested time-outs
    sign_on_retry_ms: int = 10_000
    policy: Policy = field(default_factory=Policy.default)

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

    def check(self) -> None:
        """Raise ConfigError when a value makes no sense."""
        for key in ("institution", "network"):
            value = getattr(self, key)
            if not (value.isascii() and value.isdigit() and len(value) == 8):
                raise ConfigError(f"issuer: {key} is {value!r}, an institution identifier has 8 digits")
        for key in ("buckets", "patience_ms", "sign_on_retry_ms"):
            if getattr(self, key) < 1:
                raise ConfigError(f"issuer: {key} is {getattr(self, key)}, it must be 1 or more")

    @property
    def mmk(self) -> str:
        """Label of the member's master key."""
        return f"mmk/{self.network}"

    @property
    def mak(self) -> str:
        """Label of the link's MAC key."""
        return f"mak/{self.network}"

    @property
    def pik(self) -> str:
        """Label of the link's PIN key."""
        return f"pik/{self.network}"
