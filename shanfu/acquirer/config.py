"""What an acquirer must be told before it can open: who it is, who its network is, how long it waits.

Terminals have key labels as stations of the network have: `mak/TERMINAL` and `pik/TERMINAL` (working keys, from sign-ins), and
`tmk/TERMINAL` (injected into the terminal).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shanfu.hosts import MemberConfig, check_positive
from shanfu.settings import read

__all__ = ["AcquirerConfig", "tmk_label"]


def tmk_label(terminal: str) -> str:
    """Return the key label of a terminal's master key.

    >>> tmk_label("10000001")
    'tmk/10000001'
    """
    return f"tmk/{terminal}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AcquirerConfig(MemberConfig):
    """One acquirer; `patience_ms` is how long a terminal's request waits."""

    name: str = "acquirer"
    patience_ms: int = 45_000
    keep_pan_days: int = 30  # how long a sealed PAN may serve a late reversal or advice

    @classmethod
    def load(cls, table: Mapping[str, Any]) -> "AcquirerConfig":
        """Build from a TOML table. Raise ConfigError for anything unknown."""
        config = read(cls, table, where="acquirer")
        config.check()
        return config

    def check(self) -> None:
        """Raise ConfigError when a value makes no sense."""
        MemberConfig.check(self)
        check_positive(self, self.name, "keep_pan_days")
