"""What an issuer must be told before it can open: who it is, who its network is, how long it may think, and its policy.

Key labels are fixed by rule, so that key ceremonies and hosts agree without a table: `mmk/NETWORK` (the member's master key),
`mak/NETWORK` and `pik/NETWORK` (working keys, from key resets), `seal` and `lookup` (our own books), `pvk/PVKI`, and for
cards `imk-ac/FAMILY/ALGORITHM/DKI` (`cards.imk_label`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shanfu.hosts import MemberConfig
from shanfu.issuer.policy import Policy
from shanfu.settings import read, take

__all__ = ["IssuerConfig", "pvk_label"]


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
