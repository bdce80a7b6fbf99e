"""The issuer's rules of risk, as its risk department writes them: limits, PIN tries, ATC window, what CVR and TVR refuse,
and what cards in phones may do (`token_policy`).

A policy is data: `policy.toml` beside this file is the example and what the sandbox uses; another file of that form replaces
it. `decide` reads nothing but the `Policy` value. Flags are named as in the bit tables (EMV Book 3 C5, JR/T 0025.5).
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from shanfu.emv import CVR, TVR
from shanfu.errors import ConfigError
from shanfu.issuer.token_policy import TokenPolicy
from shanfu.money import Currency, Money
from shanfu.settings import only, take

__all__ = ["Limits", "Policy"]

LONGEST_TRACK: Final = 13  # digits for the bank's own use behind a PAN of 16 (ISO/IEC 7813 7.1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one account may spend in one currency; minor units."""

    per_transaction_minor: int
    per_day_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """One issuer's rules. `limits` is keyed by the numeric currency code; the masks are bits of CVR (4) and TVR (5 bytes).

    `fallback` lets stripes of cards pay whose chip could not be read, with the PIN; their check value stands `cvv_place` digits
    into what track 2 has behind the service code, which each bank arranges as it likes (ISO/IEC 7813 7.4).
    """

    limits: Mapping[str, Limits] = field(default_factory=dict)
    payments_per_day: int = 50
    pin_tries: int = 3
    pin_locked_refuses_all: bool = True
    atc_window: int = 1000
    refuse_cvr: int = 0
    refuse_tvr: int = 0
    hold_days: int = 30
    refund_months: int = 18
    fallback: bool = True
    cvv_place: int = 0
    tokens: TokenPolicy = field(default_factory=TokenPolicy)

    @classmethod
    def default(cls) -> "Policy":
        """Return the policy of the example file."""
        return _default()

    @classmethod
    def load(cls, path: Path) -> "Policy":
        """Read a policy from a TOML file; raise ConfigError when it cannot be read, or says something unknown."""
        try:
            return cls.of(tomllib.loads(path.read_text("utf-8")), where=path.name)
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as fault:
            raise ConfigError(f"policy {path.name}: {fault}") from None

    @classmethod
    def of(cls, table: Mapping[str, Any], *, where: str = "policy") -> "Policy":
        """Build a policy from its tables; raise ConfigError for unknown keys, currencies, flags and for wrong types."""
        names = ("chip", "holds", "limits", "pin", "refunds", "stripe", "tokens", "velocity")
        parts: dict[str, dict[str, Any]] = {name: take(table, name, {}, where=where) for name in names}
        only(table, names, where)
        only(parts["chip"], ("atc_window", "refuse_cvr", "refuse_tvr"), f"{where} [chip]")
        only(parts["holds"], ("days",), f"{where} [holds]")
        only(parts["pin"], ("locked_refuses_all", "tries"), f"{where} [pin]")
        only(parts["refunds"], ("months",), f"{where} [refunds]")
        only(parts["stripe"], ("cvv_place", "fallback"), f"{where} [stripe]")
        only(parts["velocity"], ("payments_per_day",), f"{where} [velocity]")
        limits = {}
        for code, rows in parts["limits"].items():
            try:
                currency = Currency.of(code)
                limits[currency.numeric] = _limits(rows, currency)
            except ConfigError as fault:
                raise ConfigError(f"{where} [limits.{code}]: {fault}") from None
        chip, pin = parts["chip"], parts["pin"]
        return cls(
            limits=limits,
            payments_per_day=_positive(parts["velocity"], "payments_per_day", 50, where),
            pin_tries=_positive(pin, "tries", 3, where),
            pin_locked_refuses_all=take(pin, "locked_refuses_all", True, where=where),
            atc_window=_positive(chip, "atc_window", 1000, where),
            refuse_cvr=_mask(CVR, take(chip, "refuse_cvr", [], where=where), f"{where} refuse_cvr"),
            refuse_tvr=_mask(TVR, take(chip, "refuse_tvr", [], where=where), f"{where} refuse_tvr"),
            hold_days=_positive(parts["holds"], "days", 30, where),
            refund_months=_positive(parts["refunds"], "months", 18, where),
            fallback=take(parts["stripe"], "fallback", True, where=where),
            cvv_place=_place(parts["stripe"], where),
            tokens=TokenPolicy.of(parts["tokens"], where=f"{where} [tokens]"),
        )


@cache
def _default() -> Policy:
    text = files("shanfu.issuer").joinpath("policy.toml").read_text("utf-8")
    return Policy.of(tomllib.loads(text), where="policy.toml")


def _limits(rows: Mapping[str, Any], currency: Currency) -> Limits:
    keys = ("per_day", "per_transaction")
    only(rows, keys, currency.code)
    if missing := [key for key in keys if key not in rows]:
        raise ConfigError(f"{missing[0]} is missing")
    amounts = {key: Money.parse(take(rows, key, "", where=currency.code), currency).minor for key in keys}
    return Limits(per_transaction_minor=amounts["per_transaction"], per_day_minor=amounts["per_day"])


def _positive(table: Mapping[str, Any], key: str, default: int, where: str) -> int:
    value = take(table, key, default, where=where)
    if value < 1:
        raise ConfigError(f"{where}: {key} is {value}, it must be 1 or more")
    return value


def _place(table: Mapping[str, Any], where: str) -> int:
    place = take(table, "cvv_place", 0, where=where)
    if not 0 <= place <= LONGEST_TRACK:
        raise ConfigError(f"{where}: cvv_place is {place}, track 2 has 0 to {LONGEST_TRACK} digits there")
    return place


def _mask(flags: type[CVR] | type[TVR], names: list[str], where: str) -> int:
    only(dict.fromkeys(names), flags.__members__, where)
    mask = 0
    for name in names:
        mask |= int(flags[name])
    return mask
