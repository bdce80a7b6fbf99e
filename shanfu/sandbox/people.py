"""Who lives in the sandbox: institutions, BINs, merchants, people, their accounts and cards. The same in every world.

The tables of `docs/world.md`, as data; `tests/sandbox/test_people.py` holds the two together. Test numbers only.
"""

from dataclasses import dataclass
from typing import TypeVar

from shanfu.errors import ConfigError
from shanfu.pan import luhn_digit

__all__ = [
    "API_PORTS", "APPS", "APP_PASSWORD", "BINS", "CARDS", "CLOUD", "INSTITUTIONS", "MERCHANTS", "NETWORK", "PEOPLE", "PHONES", "PIN",
    "PORTS", "TOKEN_BINS", "TSP", "App", "Bin", "Institution", "Merchant", "Person", "SandboxCard", "SandboxPhone", "app_named", "bank_of_card",
    "card_named", "merchant_named", "phone_named",
]  # fmt: skip

PIN = "123456"
APP_PASSWORD = "shanfu"  # noqa: S105  # of everybody's bank app, as the PIN of every card
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Institution:
    """A bank: 4 digits of its own, then 4 of the area, so that its acquiring and its issuing side have a line each."""

    name: str
    acquirer_id: str
    issuer_id: str
    title: str
    title_zh: str


@dataclass(frozen=True, slots=True)
class Bin:
    """A range of card numbers by its first digits."""

    prefix: str
    issuer: str
    product: str


@dataclass(frozen=True, slots=True)
class Merchant:
    """A merchant with its one terminal; up to `offline` minor units it lets a waved card pay without asking anybody.

    `edition` is that of JR/T 0025 which the terminal follows: one of PBOC 2.0 has no SM algorithms.
    """

    name: str
    id: str
    terminal: str
    acquirer: str
    currency: str
    pin_free: bool
    readers: tuple[str, ...]
    title: str
    title_zh: str
    offline: int = 0
    edition: str = "3.0"

    @property
    def mcc(self) -> str:
        """The merchant category code inside the merchant number (acquirer 3, area 4, MCC 4, serial 4)."""
        return self.id[7:11]


@dataclass(frozen=True, slots=True)
class Person:
    """A customer of a bank and his accounts: (kind, currency, opening balance or credit limit in minor units)."""

    name: str
    title: str
    title_zh: str
    bank: str
    accounts: tuple[tuple[str, str, int], ...]
    mobile: str = ""  # where one-time codes go


@dataclass(frozen=True, slots=True)
class SandboxCard:
    """A card: `status` as the issuer has it, `tries` left for the PIN."""

    name: str
    pan: str
    holder: str
    profile: str
    expiry: str = "3012"
    status: str = "ACTIVE"
    tries: int = 3
    interfaces: tuple[str, ...] = ("contactless", "contact")
    cash: int = 0  # e-cash on it from the start, minor units; such a card may pay without asking its bank


@dataclass(frozen=True, slots=True)
class App:
    """A bank's app: its package, and the token requestor that it is."""

    name: str
    package: str
    trid: str
    issuer: str
    title: str
    title_zh: str


@dataclass(frozen=True, slots=True)
class SandboxPhone:
    """A phone with the bank apps on it, the first of them the default payment service."""

    name: str
    holder: str
    title: str
    apps: tuple[str, ...]
    os_version: str = "14"
    nfc: bool = True


def _pan(prefix: str, number: int) -> str:
    payload = f"{prefix}{number:09d}"
    return payload + luhn_digit(payload)


ALL = ("contactless", "contact", "stripe")

# fmt: off
NETWORK = "00010000"
TSP = "90100000"
CLOUD = "cloud"

INSTITUTIONS = (
    Institution("lantern", "99012900", "99010000", "Lantern Bank", "灯笼银行"),
    Institution("harbour", "99023440", "99020000", "Harbour Bank", "海港银行"),
)

PORTS = {  # host: port on 127.0.0.1
    "acquirer-lantern": 8583,
    "network":          8584,
    "issuer-lantern":   8585,
    "tsp":              8589,  # when it lives apart from the network
    "acquirer-harbour": 8593,
    "issuer-harbour":   8595,
}

API_PORTS = {  # host: port of its JSON operations on 127.0.0.1
    "network":          8586,  # wallets, token requestors and issuers, while token service and key cloud live with the network
    "issuer-lantern":   8588,
    "tsp":              8590,  # when they live apart
    "cloud":            8591,
    "issuer-harbour":   8598,
}

BINS = (
    Bin("620901", "lantern", "debit"),
    Bin("620902", "lantern", "credit"),
    Bin("620909", "lantern", "debit, reserved for faults"),
    Bin("620911", "harbour", "debit"),
    Bin("622800", "lantern", "the public laboratory card"),
)

TOKEN_BINS = (
    Bin("625094", "lantern", "tokens"),
    Bin("625095", "harbour", "tokens"),
)

APPS = (
    App("lantern", "example.lantern", "90100000001", "lantern", "Lantern Pay", "灯笼付"),
    App("harbour", "example.harbour", "90100000002", "harbour", "Harbour Pay", "海港付"),
)

MERCHANTS = (
    Merchant("teahouse", "990290058120001", "10000001", "lantern", "CNY", True,  ALL, "Ten Thousand Blessings Teahouse", "万福茶楼"),
    Merchant("bookshop", "990290059420002", "10000002", "lantern", "CNY", False, ALL, "New Street Books", "新街书店", edition="2.0"),
    Merchant("kiosk",    "990290059940003", "10000003", "lantern", "CNY", False, ALL[1:], "Corner Kiosk", "街角报亭"),
    Merchant("metro",    "990290041110004", "10000004", "lantern", "CNY", True,  ALL, "City Metro", "城市地铁", offline=3_000),
    Merchant("ferry",    "991344041110001", "20000001", "harbour", "HKD", True,  ALL, "Harbour Ferry", "海港渡轮"),
    Merchant("market",   "991344054110002", "20000002", "harbour", "CNY", True,  ALL, "Harbour Market", "海港街市"),
)

PEOPLE = (
    Person("lin-yue",  "Lin Yue",  "林月", "lantern", (("debit", "CNY", 500_000),), "13800000001"),
    Person("chen-bo",  "Chen Bo",  "陈波", "lantern", (("credit", "CNY", 2_000_000),), "13800000002"),
    Person("wong-mei", "Wong Mei", "黄美", "harbour", (("debit", "HKD", 800_000), ("debit", "CNY", 300_000)), "13900000003"),
    Person("lab",      "Lab",      "实验", "lantern", (("debit", "CNY", 100_000),)),
    Person("zhao-min", "Zhao Min", "赵敏", "lantern", (("debit", "CNY", 100),), "13800000005"),
    Person("sun-hao",  "Sun Hao",  "孙浩", "lantern", (("debit", "CNY", 50_000),), "13800000006"),
    Person("hu-jie",   "Hu Jie",   "胡洁", "lantern", (("debit", "CNY", 100_000),), "13800000007"),
    Person("fang-ke",  "Fang Ke",  "方可", "lantern", (("debit", "CNY", 500_000),)),
)

CARDS = (
    SandboxCard("debit",        _pan("620901", 1), "lin-yue",  "debit-2.0"),
    SandboxCard("debit-sm4",    _pan("620901", 2), "lin-yue",  "debit-3.0"),
    SandboxCard("credit",       _pan("620902", 1), "chen-bo",  "credit-2.0"),
    SandboxCard("credit-sm4",   _pan("620902", 2), "chen-bo",  "credit-3.0"),
    SandboxCard("harbour",      _pan("620911", 1), "wong-mei", "debit-2.0"),
    SandboxCard("lab",          "6228000100001117", "lab",     "lab"),
    SandboxCard("poor",         _pan("620901", 3), "zhao-min", "debit-2.0"),
    SandboxCard("locked",       _pan("620901", 4), "sun-hao",  "debit-2.0", tries=0),
    SandboxCard("expired",      _pan("620901", 5), "sun-hao",  "debit-2.0", expiry="2412"),
    SandboxCard("lost",         _pan("620901", 6), "zhao-min", "debit-2.0", status="LOST"),
    SandboxCard("contact-only", _pan("620901", 7), "lin-yue",  "debit-2.0", interfaces=("contact",)),
    SandboxCard("cash",         _pan("620901", 8), "hu-jie",  "debit-2.0", cash=20_000),
    SandboxCard("faults",       _pan("620909", 1), "fang-ke",  "debit-2.0"),
)

PHONES = (
    SandboxPhone("phone",      "lin-yue",  "Lin Yue's phone",  ("lantern",)),
    SandboxPhone("second",     "lin-yue",  "Lin Yue's second phone", ("lantern",)),
    SandboxPhone("chen-phone", "chen-bo",  "Chen Bo's phone",  ("lantern",)),
    SandboxPhone("two-apps",   "wong-mei", "Wong Mei's phone", ("harbour", "lantern")),
    SandboxPhone("no-nfc",     "lin-yue",  "A phone without NFC", ("lantern",), nfc=False),
    SandboxPhone("old",        "lin-yue",  "An old phone",     ("lantern",), os_version="4.3"),
)
# fmt: on


def card_named(name: str) -> SandboxCard:
    """Return the sandbox card of this name; a ConfigError names those there are."""
    return _named(name, {c.name: c for c in CARDS}, "card")


def bank_of_card(name: str) -> str:
    """Return the host of the bank that has issued a card."""
    holder = card_named(name).holder
    return f"issuer-{next(person.bank for person in PEOPLE if person.name == holder)}"


def merchant_named(name: str) -> Merchant:
    """Return the merchant of this name; a ConfigError names those there are."""
    return _named(name, {m.name: m for m in MERCHANTS}, "merchant")


def phone_named(name: str) -> SandboxPhone:
    """Return the phone of this name; a ConfigError names those there are."""
    return _named(name, {p.name: p for p in PHONES}, "phone")


def app_named(name: str) -> App:
    """Return the bank app of this name; a ConfigError names those there are."""
    return _named(name, {a.name: a for a in APPS}, "app")


def _named(name: str, known: dict[str, T], what: str) -> T:
    if name not in known:
        raise ConfigError(f"{what} {name!r}: not in the sandbox; there are {', '.join(known)} (docs/world.md)")
    return known[name]
