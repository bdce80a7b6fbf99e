"""What the token service must be told before it can open: who it is, who its network is, its codes, and its patience.

Key labels are fixed by rule, so that key ceremonies and hosts agree without a table: `mmk/NETWORK` and `mak/NETWORK` (the
member's link), `seal` and `lookup` (our own books), `vault` (shared with the network), `pan/ISSUER` and `pan/TRID` (numbers on
JSON wires), `token-imk/BIN/DKI` (the master keys that tokens' keys come from).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final

from shanfu.errors import ConfigError
from shanfu.hosts import MemberConfig, check_positive
from shanfu.settings import read, take

__all__ = ["VAULT", "TSPConfig", "VelocityRules", "imk_label", "pan_label"]

VAULT: Final = "vault"


def imk_label(bin_: str, dki: int) -> str:
    """Return the label of a token issuer master key.

    >>> imk_label("625094", 1)
    'token-imk/625094/01'
    """
    return f"token-imk/{bin_}/{dki:02X}"


def pan_label(party: str) -> str:
    """Return the label of the key for numbers on the JSON wire with an issuer or a requestor.

    >>> pan_label("99010000")
    'pan/99010000'
    """
    return f"pan/{party}"


@dataclass(frozen=True, slots=True, kw_only=True)
class VelocityRules:
    """How many enrolments are usual; the rules themselves are the table in `velocity.py`."""

    devices_of_card: int = 5  # living tokens of one card on different devices; the sixth is refused
    cards_of_device: int = 8  # different cards on one device within a day
    re_added_month: int = 3  # delete and add again: 3 in 30 days (as processors do it)
    re_added_half_year: int = 5  # and 5 in 6 months
    failed_idv_day: int = 2  # enrolments of one card that failed ID&V within a day: the next needs a tenured channel
    failed_idv_most: int = 4  # and no more after so many: somebody guesses
    failed_cards_of_device: int = 3  # different cards that failed on one device within a day

    def check(self) -> None:
        """Raise ConfigError when a value makes no sense."""
        check_positive(self, "tsp velocity", *(field.name for field in fields(self)))


@dataclass(frozen=True, slots=True, kw_only=True)
class TSPConfig(MemberConfig):
    """One token service."""

    institution: str = "90100000"
    name: str = "tsp"
    inside: frozenset[str] = frozenset()  # stations of this very process: nobody stands between, so no MACs (decision 0008)
    patience_ms: int = 8_000  # the network gives us so long; later it has refused and reversed
    code: str = "901"  # the first three digits of every TRID (EMVCo registers them; 901 is ours for tests)
    bin_controller: str = "SF01"  # the first four characters of every PAR
    requestor_station: str = "cloud"  # the station that speaks for these requestors
    requestors: tuple[str, ...] = ()  # TRIDs
    code_sends: int = 5  # one-time codes for one enrolment
    ask_timeout_ms: int = 10_000
    token_life_months: int = 36
    idv_tries: int = 3
    idv_window_ms: int = 1_800_000  # an enrolment that is not verified within half an hour ends
    token_psn: str = "00"  # noqa: S105  # a card sequence number
    velocity: VelocityRules = field(default_factory=VelocityRules)
    # payments
    atc_window: int = 50
    grace_ms: int = 300_000
    key_sets_per_hour: int = 12
    lowered_uses: int = 3  # a weakly attested device: at most so many uses a key set
    lowered_amount: int = 100_000  # and so much money, in minor units
    history_months: int = 18
    payment_notices: bool = False  # tell requestors of every payment; a phone that asks for its list needs none
    payments_per_day: int = 100  # of one token, whatever its key sets allow
    atc_window_below: int = 0  # transit alone: how far below the highest ATC one may come, each once
    transit_mccs: tuple[str, ...] = ("4111", "4112", "4131")  # DE18 of gates and buses
    transit_condition: str = ""  # DE25 of a transit payment; "" means that nothing counts as one

    @property
    def station(self) -> str:
        """Our name on the JSON wire."""
        return f"tsp/{self.institution}"

    def check(self) -> None:
        """Raise ConfigError when a value makes no sense."""
        MemberConfig.check(self)
        check_positive(
            self, self.name, "ask_timeout_ms", "code_sends", "token_life_months", "idv_tries", "idv_window_ms",
            "atc_window", "grace_ms", "key_sets_per_hour", "lowered_uses", "lowered_amount", "history_months",
            "payments_per_day",
        )  # fmt: skip
        if not (len(self.code) == 3 and self.code.isdigit() and self.code != "000"):
            raise ConfigError(f"{self.name}: code is {self.code!r}, a TSP code has 3 digits and is not 000")
        self.velocity.check()

    @classmethod
    def load(cls, table: Mapping[str, Any]) -> "TSPConfig":
        """Build from a TOML table; raise ConfigError for anything unknown."""
        values = dict(table)
        if "velocity" in table:
            values["velocity"] = read(VelocityRules, take(table, "velocity", {}, where="tsp"), where="tsp velocity")
        config = read(cls, values, where="tsp")
        config.check()
        return config
