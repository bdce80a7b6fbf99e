"""What a network must be told before it can open: who it is, how long it waits, when its day ends, how it repeats.

Numbers whose source is memory (cut-off 23:00, the nesting of time-outs) stand here and nowhere else.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from shanfu.errors import ConfigError
from shanfu.hosts import check_institution, check_positive
from shanfu.settings import read

__all__ = ["NetworkConfig"]

MINUTES: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkConfig:
    """One switch. `institution` is its 8-digit identifier, which its members also call its station."""

    institution: str = "00010000"
    name: str = "network"
    inside: frozenset[str] = frozenset()  # stations of this very process: nobody stands between, so no MACs (decision 0008)
    buckets: int = 1  # 1 on SQLite: more would turn appends into one page per row
    issuer_timeout_ms: int = 20_000  # how long an issuer may think; must end before we give it up
    tsp_timeout_ms: int = 0  # how long the token service may take before the issuer is asked; 0: most of what he leaves
    timeout_ms: int = 30_000  # the network's share of the nested time-outs
    cut_off: str = "23:00"  # China Standard Time
    retry_ms: tuple[int, ...] = (30_000, 60_000, 120_000, 240_000, 480_000)  # store-and-forward; the last goes on
    refusals_most: int = 8  # then an item is a dead letter
    keep_account_days: int = 30  # how long what a token stood for may serve a late reversal
    reset_retry_ms: int = 10_000  # an unanswered key reset is asked again

    @classmethod
    def load(cls, table: Mapping[str, Any]) -> "NetworkConfig":
        """Build from a TOML table; raise ConfigError for an unknown setting, naming the nearest, and for senseless values."""
        config = read(cls, table, where="network")
        config.check()
        return config

    def check(self) -> None:
        """Raise ConfigError when a value makes no sense or the time-outs do not nest."""
        check_institution(self.institution, "network: institution")
        check_positive(
            self, "network", "buckets", "issuer_timeout_ms", "timeout_ms", "refusals_most", "reset_retry_ms",
            "keep_account_days",
        )  # fmt: skip
        inner, ours = self.issuer_timeout_ms, self.timeout_ms
        if inner >= ours:
            raise ConfigError(f"network: timeout_ms is {ours}, it must be longer than the issuer's {inner}")
        if not 0 <= self.tsp_timeout_ms < ours - inner:
            raise ConfigError(
                f"network: tsp_timeout_ms is {self.tsp_timeout_ms}, with the issuer's {inner} it must stay below our {ours}"
            )
        if not self.retry_ms or any(type(pause) is not int or pause < 1 for pause in self.retry_ms):
            raise ConfigError(f"network: retry_ms is {list(self.retry_ms)}, it must list pauses of 1 or more")
        hours, _, minutes = self.cut_off.partition(":")
        if not (hours.isdecimal() and minutes.isdecimal() and int(hours) < 24 and int(minutes) < MINUTES):
            raise ConfigError(f"network: cut_off is {self.cut_off!r}, it must be a time like 23:00")

    @property
    def cut_off_minute(self) -> int:
        """The cut-off as minutes after midnight, China Standard Time."""
        hours, _, minutes = self.cut_off.partition(":")
        return int(hours) * MINUTES + int(minutes)

    @property
    def token_service_ms(self) -> int:
        """How long the token service may take: what is set, or four fifths of what the issuer's time leaves of ours."""
        return self.tsp_timeout_ms or (self.timeout_ms - self.issuer_timeout_ms) * 4 // 5

    def pause_ms(self, attempts: int) -> int:
        """Return how long to wait after so many attempts of store-and-forward."""
        return self.retry_ms[min(attempts, len(self.retry_ms)) - 1]
