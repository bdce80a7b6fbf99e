"""Money: an integer number of minor units and its ISO 4217 currency. No floats, no rounding, no silent conversion.

Everybody uses it; DE4 and 9F02 carry `minor` as n12, DE49 and 5F2A the numeric code.
"""

from dataclasses import dataclass

from shanfu.errors import ConfigError

__all__ = ["CURRENCIES", "Currency", "Money"]


@dataclass(frozen=True, slots=True)
class Currency:
    """A currency of ISO 4217: alphabetic code, numeric code as text of 3 digits, and how many digits are minor units."""

    code: str
    numeric: str
    exponent: int
    sign: str

    @classmethod
    def of(cls, code: str) -> "Currency":
        """Return the currency with this alphabetic or 3-digit code; an unknown one is a ConfigError."""
        try:
            return _BY_CODE[code.upper()]
        except KeyError:
            known = ", ".join(c.code for c in CURRENCIES)
            raise ConfigError(f"currency {code!r}: not known here; known are {known} (ISO 4217)") from None


# fmt: off
CURRENCIES = (  # ISO 4217, the rows the sandbox and its neighbours use
    Currency("CNY", "156", 2, "¥"),
    Currency("EUR", "978", 2, "€"),
    Currency("HKD", "344", 2, "HK$"),
    Currency("JPY", "392", 0, "JP¥"),
    Currency("MOP", "446", 2, "MOP$"),
    Currency("THB", "764", 2, "฿"),
    Currency("USD", "840", 2, "US$"),
)
# fmt: on
_BY_CODE = {key: c for c in CURRENCIES for key in (c.code, c.numeric)}


@dataclass(frozen=True, slots=True)
class Money:
    """An amount: `minor` units (fen, cents) of `currency`; may be negative in the ledger, never on a wire."""

    minor: int
    currency: Currency

    @classmethod
    def parse(cls, text: str, currency: Currency) -> "Money":
        """Read "12.34" as a person types it; more decimals than the currency has are refused, never rounded.

        >>> Money.parse("12.34", Currency.of("CNY")).minor
        1234
        """
        whole, _, part = text.strip().partition(".")
        digits = whole + part.ljust(currency.exponent, "0")
        if not digits.isascii() or not digits.isdigit() or len(part) > currency.exponent or len(digits) > 12:
            raise ConfigError(f"amount {text!r}: is not an amount in {currency.code}; write it like 12.34")
        return cls(int(digits), currency)

    def __str__(self) -> str:
        """Format for people: ``¥12.34``."""
        return f"{'-' if self.minor < 0 else ''}{self.currency.sign}{self.plain.lstrip('-')}"

    @property
    def plain(self) -> str:
        """The number without a sign of currency: ``12.34``."""
        sign, digits = "-" * (self.minor < 0), str(abs(self.minor)).rjust(self.currency.exponent + 1, "0")
        if not self.currency.exponent:
            return sign + digits
        return f"{sign}{digits[: -self.currency.exponent]}.{digits[-self.currency.exponent :]}"

    def __add__(self, other: "Money") -> "Money":
        """Add; two currencies never mix."""
        return Money(self.minor + self._same(other), self.currency)

    def __sub__(self, other: "Money") -> "Money":
        """Subtract; two currencies never mix."""
        return Money(self.minor - self._same(other), self.currency)

    def _same(self, other: "Money") -> int:
        if other.currency != self.currency:
            raise ValueError(f"{self.currency.code} and {other.currency.code} do not add up")
        return other.minor
