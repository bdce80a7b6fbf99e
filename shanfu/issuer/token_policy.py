"""The issuer's rules for cards in phones: the `[tokens]` part of his policy.

Which cards may become tokens, of which requestors, on which devices, how many at a time; how much proof of the holder is
enough; what the keys of such a token may do. The issuer sets the minimum, never the wallet. A product that has no table here
is not offered for phones.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from shanfu.errors import ConfigError
from shanfu.messages import Colour, IDVMethod, KeyPolicy
from shanfu.money import Currency, Money
from shanfu.settings import only, take

__all__ = ["ASSURANCE", "NO_IDV", "TokenPolicy", "TokenProduct"]

ASSURANCE: Final = {IDVMethod.SMS: "11", IDVMethod.BANK_APP: "11", IDVMethod.CALL_CENTRE: "14"}  # EMVCo assurance methods
TWO_FACTORS: Final = "12"
NO_IDV: Final = "10"  # as the least: the account is good, and that is enough
LEAST: Final = (NO_IDV, "11", "14")
HOUR_MS: Final = 3_600_000


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenProduct:
    """A product of cards that may go into phones: how it looks there, and what the keys of its tokens may do."""

    label: str
    label_zh: str = ""
    art: str = ""
    terms: str = ""
    terms_title: str = ""
    keys: KeyPolicy = field(default_factory=KeyPolicy)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenPolicy:
    """The rules; an empty list of names allows all. `minimum` is a token assurance method: 10 none, 11 one factor, 14 asserted.

    The file gives `unattested` in small letters, hours and minutes as whole numbers.
    """

    products: Mapping[str, TokenProduct] = field(default_factory=dict)
    minimum: str = "11"
    methods: tuple[IDVMethod, ...] = tuple(IDVMethod)
    requestors: tuple[str, ...] = ()
    most_tokens: int = 5
    refused_models: tuple[str, ...] = ()
    refused_storages: tuple[str, ...] = ()
    unattested: Colour = Colour.YELLOW
    risk_orange: int = 70
    risk_red: int = 90
    cool_down_hours: int = 24
    call_centre: str = ""
    code_minutes: int = 5
    code_tries: int = 3
    codes_per_hour: int = 5
    login_tries: int = 5
    login_lock_minutes: int = 15
    assertion_minutes: int = 10
    pay_when_blocked: bool = False

    @property
    def open_methods(self) -> tuple[IDVMethod, ...]:
        """The ways of ID&V that are enough."""
        return tuple(method for method in self.methods if ASSURANCE[method] >= self.minimum)

    @property
    def cool_down_ms(self) -> int:
        """How long after something has happened to a card, or a mobile number has changed, it is looked at twice."""
        return self.cool_down_hours * HOUR_MS

    @classmethod
    def of(cls, table: Mapping[str, Any], *, where: str) -> "TokenPolicy":
        """Build from a TOML table; raises ConfigError for whatever is unknown or makes no sense."""
        known = cls.__dataclass_fields__
        only(table, known, where)
        default = cls()
        numbers = {name: take(table, name, getattr(default, name), where=where) for name in _NUMBERS}
        for name, value in numbers.items():
            if (value < 1 and name != "cool_down_hours") or value < 0:
                raise ConfigError(f"{where}: {name} is {value}, it must be {0 if name == 'cool_down_hours' else 1} or more")
        lists: dict[str, Any] = {
            name: tuple(_words(table, name, where)) for name in ("requestors", "refused_models", "refused_storages")
        }
        minimum = take(table, "minimum", default.minimum, where=where)
        if minimum not in LEAST:
            raise ConfigError(f"{where}: minimum is {minimum!r}, it is one of {', '.join(LEAST)}")
        return cls(
            products={name: _product(rows, f"{where}.products.{name}") for name, rows in _tables(table, where).items()},
            minimum=minimum,
            methods=_methods(table, where) if "methods" in table else default.methods,
            unattested=_colour(take(table, "unattested", default.unattested.value.lower(), where=where), where),
            call_centre=take(table, "call_centre", "", where=where),
            pay_when_blocked=take(table, "pay_when_blocked", default.pay_when_blocked, where=where),
            **lists, **numbers,
        )  # fmt: skip


_NUMBERS: Final = (
    "most_tokens", "risk_orange", "risk_red", "cool_down_hours", "code_minutes", "code_tries", "codes_per_hour",
    "login_tries", "login_lock_minutes", "assertion_minutes",
)  # fmt: skip


def _tables(table: Mapping[str, Any], where: str) -> dict[str, dict[str, Any]]:
    products: dict[str, dict[str, Any]] = take(table, "products", {}, where=where)
    for name, rows in products.items():
        if not isinstance(rows, dict):
            raise ConfigError(f"{where}.products: {name} is no table")
    return products


def _words(table: Mapping[str, Any], name: str, where: str) -> list[str]:
    words: list[str] = take(table, name, [], where=where)
    if any(not isinstance(word, str) for word in words):
        raise ConfigError(f"{where}: {name} is a list of words")
    return words


def _methods(table: Mapping[str, Any], where: str) -> tuple[IDVMethod, ...]:
    words = _words(table, "methods", where)
    only(dict.fromkeys(words), [method.value for method in IDVMethod], f"{where} methods")
    return tuple(IDVMethod(word) for word in words)


def _colour(word: str, where: str) -> Colour:
    only({word: ""}, [colour.value.lower() for colour in Colour], f"{where} unattested")
    return Colour(word.upper())


def _product(rows: Mapping[str, Any], where: str) -> TokenProduct:
    only(rows, TokenProduct.__dataclass_fields__, where)
    words = {name: take(rows, name, "", where=where) for name in ("label", "label_zh", "art", "terms", "terms_title")}
    if not words["label"]:
        raise ConfigError(f"{where}: label is missing")
    return TokenProduct(**words, keys=_keys(take(rows, "keys", {}, where=where), f"{where}.keys"))


def _keys(table: Mapping[str, Any], where: str) -> KeyPolicy:
    """Read the rule for keys; amounts are written as people write them, of a currency with two decimals."""
    values = dict(table)
    only(values, KeyPolicy.__struct_fields__, where)
    if isinstance(values.get("max_amount"), str):
        values["max_amount"] = Money.parse(values["max_amount"], Currency.of("CNY")).minor
    try:
        policy = msgspec.convert(values, KeyPolicy, strict=True)
    except msgspec.ValidationError as fault:
        raise ConfigError(f"{where}: {fault}") from None
    if min(policy.max_uses, policy.ttl_s, policy.max_amount) < 1 or policy.fetch not in ("on_open", "eager", "at_tap"):
        raise ConfigError(f"{where}: max_uses, ttl_s and max_amount are 1 or more, fetch is on_open, eager or at_tap")
    return policy
