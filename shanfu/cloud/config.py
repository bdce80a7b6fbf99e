"""What a key cloud must be told before it can open: whose apps it serves, how long things live, how much is too much.

A bank's app belongs to one token requestor (TRID); the cloud speaks to the token service in its name. Times that facts give
(a session of fifteen minutes, a push of ten) and bounds that are our choice stand here and nowhere else.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from shanfu.errors import ConfigError, DecodeError
from shanfu.hosts import check_positive
from shanfu.settings import read
from shanfu.tokens import TRID

__all__ = ["AttestationRule", "CloudConfig"]

APPS: Final = MappingProxyType({"example.lantern": "90100000001", "example.harbour": "90100000002"})
POSITIVE: Final = (
    "timeout_ms", "patience_ms", "fresh_ms", "session_ms", "push_ms", "push_kept_ms", "dead_kept_ms", "keys_per_hour",
    "cards_most", "customers_most", "re_adds_most", "inbox_most", "retry_first_s", "retry_spread_s",
)  # fmt: skip


class AttestationRule(StrEnum):
    """What a missing or wrong attestation costs."""

    LOWER = "lower"  # the limits of the key sets
    REQUIRE = "require"  # the enrolment


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudConfig:
    """One key cloud. `tsp` is the station of the token service; `apps` gives each bank app's package its TRID."""

    name: str = "cloud"
    tsp: str = "tsp/90100000"
    apps: Mapping[str, str] = field(default_factory=lambda: dict(APPS))
    attestation: str = AttestationRule.LOWER.value
    attestation_key: str = ""  # of the test attester: 65-byte P-256 point, hex; "" has none
    timeout_ms: int = 11_000  # how long the token service may think: longer than an issuer, shorter than a phone waits
    patience_ms: int = 8_000  # a call that has waited longer is put off: its phone is about to give up
    fresh_ms: int = 300_000  # a call outside a session is no older, nor younger, than five minutes
    session_ms: int = 900_000
    push_ms: int = 600_000  # then a push is late, and leaves only a flag on the phone
    push_kept_ms: int = 86_400_000  # a phone that is off for longer reads the tokens themselves
    dead_kept_ms: int = 30 * 86_400_000  # so long a deleted token is told to its phone, and counts against re-adding
    keys_per_hour: int = 12  # key sets of one token; `fetch = at_tap` needs one a tap
    cards_most: int = 16  # live tokens on one phone
    customers_most: int = 3  # that logged in on one phone
    re_adds_most: int = 3  # of one card on one phone, within `dead_kept_ms`
    inbox_most: int = 512  # calls of phones worked in one turn; the others are told when to come again
    retry_first_s: int = 1
    retry_spread_s: int = 30

    @classmethod
    def load(cls, table: Mapping[str, Any]) -> "CloudConfig":
        """Build from a TOML table; raise ConfigError for an unknown setting, naming the nearest, and for senseless values."""
        config = read(cls, table, where="cloud")
        config.check()
        return config

    def check(self) -> None:
        """Raise ConfigError when a value makes no sense."""
        check_positive(self, "cloud", *POSITIVE)
        rules = [rule.value for rule in AttestationRule]
        if self.attestation not in rules:
            raise ConfigError(f"cloud: attestation is {self.attestation!r}, it must be one of {', '.join(rules)}")
        if self.attestation == AttestationRule.REQUIRE and not self.attestation_key:
            raise ConfigError("cloud: attestation is required, and attestation_key names nobody who could vouch")
        if not self.tsp.startswith("tsp/"):
            raise ConfigError(f"cloud: tsp is {self.tsp!r}, the token service's station is tsp/INSTITUTION")
        for app, trid in self.apps.items():
            try:
                TRID(trid)
            except (DecodeError, TypeError):
                raise ConfigError(f"cloud: the TRID of app {app} is {trid!r}, it must be 11 digits") from None
