"""What an acquirer must be told before it can open: who it is, who its network is, how long it waits.

Key labels are fixed by rule, so that key ceremonies and hosts agree without a table: `mmk/NETWORK` (the member's master key),
`mak/NETWORK` and `pik/NETWORK` (working keys, from key resets), `tmk/TERMINAL` (injected into the terminal), `mak/TERMINAL` and
`pik/TERMINAL` (working keys, from sign-ins), `seal` and `lookup` (our own books).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shanfu.acquirer.settings import only, take
from shanfu.errors import ConfigError

__all__ = ["LOOKUP", "SEAL", "AcquirerConfig", "mak_label", "pik_label", "tmk_label"]

SEAL = "seal"
LOOKUP = "lookup"


def tmk_label(terminal: str) -> str:
    """Return the key label of a terminal's master key.

    >>> tmk_label("10000001")
    'tmk/10000001'
    """
    return f"tmk/{terminal}"


def mak_label(station: str) -> str:
    """Return the key label of the MAC key shared with a terminal or the network."""
    return f"mak/{station}"


def pik_label(station: str) -> str:
    """Return the key label of the PIN key shared with a terminal or the network."""
    return f"pik/{station}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AcquirerConfig:
    """One acquirer. `institution` and `network` are 8-digit identifiers; the network's is also the station's name."""

    institution: str
    network: str = "00010000"
    name: str = "acquirer"
    buckets: int = 1  # 1 on SQLite: more would turn appends into one page per row
    patience_ms: int = 45_000  # the acquirer's share of the nested time-outs: how long a terminal's request waits
    sign_on_retry_ms: int = 10_000
    keep_pan_days: int = 30  # how long a sealed PAN may serve a late reversal or advice

    @classmethod
    def load(cls, table: Mapping[str, Any]) -> "AcquirerConfig":
        """Build from a TOML table. Raise ConfigError for anything unknown."""
        where = "acquirer"
        only(table, cls.__dataclass_fields__, where)
        config = cls(
            institution=take(table, "institution", "", where=where),
            network=take(table, "network", "00010000", where=where),
            name=take(table, "name", "acquirer", where=where),
            buckets=take(table, "buckets", 1, where=where),
            patience_ms=take(table, "patience_ms", 45_000, where=where),
            sign_on_retry_ms=take(table, "sign_on_retry_ms", 10_000, where=where),
            keep_pan_days=take(table, "keep_pan_days", 30, where=where),
        )
        config.check()
        return config

    def check(self) -> None:
        """Raise ConfigError when a value makes no sense."""
        for key in ("institution", "network"):
            value = getattr(self, key)
            if not (value.isascii() and value.isdigit() and len(value) == 8):
                raise ConfigError(f"acquirer: {key} is {value!r}, an institution identifier has 8 digits")
        for key in ("buckets", "patience_ms", "sign_on_retry_ms", "keep_pan_days"):
            if getattr(self, key) < 1:
                raise ConfigError(f"acquirer: {key} is {getattr(self, key)}, it must be 1 or more")

    @property
    def mmk(self) -> str:
        """Label of the member's master key."""
        return f"mmk/{self.network}"

    @property
    def mak(self) -> str:
        """Label of the MAC key of the link to the network."""
        return mak_label(self.network)

    @property
    def pik(self) -> str:
        """Label of the PIN key of the link to the network."""
        return pik_label(self.network)
