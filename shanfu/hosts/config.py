"""What a member of the network must be told before it can open: who it is, who its network is, how long it waits.

Acquirer and issuer add what is theirs. Numbers whose source is memory (the nesting of time-outs) stand in the defaults of each.
"""

from dataclasses import dataclass

from shanfu.errors import ConfigError
from shanfu.hosts.keys import mak_label, mmk_label, pik_label

__all__ = ["MemberConfig", "check_institution", "check_positive"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberConfig:
    """One member. `institution` and `network` are 8-digit identifiers; the network's is also the station's name."""

    institution: str
    network: str = "00010000"
    name: str
    buckets: int = 1  # 1 on SQLite: more would turn appends into one page per row
    patience_ms: int  # this party's share of the nested time-outs
    sign_on_retry_ms: int = 10_000

    def check(self) -> None:
        """Raise ConfigError when a value makes no sense."""
        check_institution(self.institution, f"{self.name}: institution")
        check_institution(self.network, f"{self.name}: network")
        check_positive(self, self.name, "buckets", "patience_ms", "sign_on_retry_ms")

    @property
    def mmk(self) -> str:
        """Label of the member's master key."""
        return mmk_label(self.network)

    @property
    def mak(self) -> str:
        """Label of the MAC key of the link to the network."""
        return mak_label(self.network)

    @property
    def pik(self) -> str:
        """Label of the PIN key of the link to the network."""
        return pik_label(self.network)


def check_institution(value: str, what: str) -> None:
    """Raise ConfigError unless this is an institution identifier."""
    if not (value.isascii() and value.isdigit() and len(value) == 8):
        raise ConfigError(f"{what} is {value!r}, an institution identifier has 8 digits")


def check_positive(config: object, where: str, *keys: str) -> None:
    """Raise ConfigError for the first of these settings that is less than 1."""
    for key in keys:
        if getattr(config, key) < 1:
            raise ConfigError(f"{where}: {key} is {getattr(config, key)}, it must be 1 or more")
