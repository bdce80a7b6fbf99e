"""What a terminal is before its first card: its identity, its readers, its limits, its wire.

An acquirer sets these when the terminal is installed; the per-application part (`AIDParameters`) is what real terminals
download in DE62 under the tags named beside each field. Amounts are in minor units of the terminal's currency.

The CVM limit is compared with ≥, so "PIN-free up to 1000.00 inclusive" is stored as 1000.01. The waiver holds for
merchants that are enrolled for it; everywhere else the limit is 0 and any amount asks for a CVM.

Who calls: the sandbox, the command line. Sources: JR/T 0025.12 6.2, EMV B4 A1–A3, UnionPay terminal parameter download.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from shanfu.emv import TTQ
from shanfu.errors import ConfigError
from shanfu.money import Currency
from shanfu.oda import CAKey

__all__ = ["PBOC_2_0", "PBOC_3_0", "AIDParameters", "ReaderKind", "TerminalConfig", "unionpay_aids"]

PIN_FREE_MINOR = 100_000  # 1000.00, inclusive, at enrolled merchants since 2018-06-01 (UnionPay notice)
NO_LIMIT_MINOR = 100_000_001  # over every amount a merchant takes by contactless
UNIONPAY_RID = bytes.fromhex("A000000333")
PBOC_2_0, PBOC_3_0 = b"\x00\x20", b"\x00\x30"  # 9F08 and 9F09, by edition of JR/T 0025


class ReaderKind(StrEnum):
    """The ways a card can reach a terminal."""

    CONTACTLESS = "contactless"
    CONTACT = "contact"
    STRIPE = "stripe"


@dataclass(frozen=True, slots=True, kw_only=True)
class AIDParameters:
    """One application that the terminal accepts; a limit of None is "not downloaded"."""

    aid: bytes  # 9F06
    exact: bool = False  # DF01; 00 partial and 01 exact is an unverified reading
    version: bytes = PBOC_3_0  # 9F09
    kernel: int = 7  # kernel identifier of the RID (EMV CL B 3.3)
    contactless_floor: int | None = 0  # DF19
    floor: int | None = 0  # 9F1B
    transaction_limit: int | None = NO_LIMIT_MINOR  # DF20
    cvm_limit: int | None = 0  # DF21
    # as UnionPay acquirers download them (D84000A800, D84004F800), and with the bit for a failed CDA, which those leave to luck
    tac_default: bytes = bytes.fromhex("DC4000A800")  # DF11
    tac_online: bytes = bytes.fromhex("DC4004F800")  # DF12
    tac_denial: bytes = bytes.fromhex("0010000000")  # DF13
    random_threshold: int = 0  # DF15, minor units
    random_target_percent: int = 0  # DF17: how many of the small amounts go online though they need not
    random_max_percent: int = 0  # DF16: the same just under the floor limit
    ddol: bytes = bytes.fromhex("9F3704")  # DF14, for cards without one
    online_pin: bool = True  # DF18
    cash_limit: int | None = None  # 9F7B, e-cash


def unionpay_aids(*, enrolled: bool, pin_free_minor: int = PIN_FREE_MINOR) -> tuple[AIDParameters, ...]:
    """Return the parameters for every UnionPay application (debit, credit, quasi-credit: partial selection by RID and 0101).

    `enrolled` merchants need no CVM up to `pin_free_minor` inclusive; the others ask for one at any amount.
    """
    limit = pin_free_minor + 1 if enrolled else 0
    return (AIDParameters(aid=UNIONPAY_RID + b"\x01\x01", cvm_limit=limit),)


@dataclass(frozen=True, slots=True, kw_only=True)
class TerminalConfig:
    """One terminal at one merchant."""

    merchant_id: str  # DE42, 15 characters
    merchant_name: str
    terminal_id: str  # DE41, 8 characters
    currency: Currency
    mcc: str = "5812"
    country: str = "156"  # 9F1A, ISO 3166 numeric
    readers: frozenset[ReaderKind] = frozenset(ReaderKind)
    aids: tuple[AIDParameters, ...] = ()
    capabilities: bytes = bytes.fromhex("E0E1C8")  # 9F33 of the wave (EMV B4 A2)
    contact_capabilities: bytes = bytes.fromhex("E0F8C8")  # 9F33 of the slot: PINs by the card, no CVM; SDA, DDA, CDA
    terminal_type: bytes = b"\x22"  # 9F35: attended, offline with online capability, merchant (EMV B4 A1)
    additional_capabilities: bytes = bytes.fromhex("6000F0A001")  # 9F40 (EMV B4 A3)
    serial: bytes = b""  # 9F1E, 8 characters; the terminal id unless given
    ttq: TTQ = field(default=TTQ.QPBOC | TTQ.CONTACT_PBOC | TTQ.ONLINE_PIN | TTQ.SIGNATURE)  # 9F66 without byte 2 b8, b7
    sm_algorithms: bool = True  # SM2 and SM3, since PBOC 3.0 (JR/T 0025.17); cards that ask are told so (DF69)
    ca_keys: tuple[CAKey, ...] = ()  # injected at installation; downloads come on top
    accept_test_keys: bool = False  # never in a terminal that takes real money
    offline_ceiling: int = 0  # how high a *downloaded* floor limit may be, minor units: downloads carry no MAC
    exception_file: frozenset[str] = field(repr=False, default=frozenset())  # PANs that go online or are declined
    stripe_fallback: bool = True  # the stripe of a chip card whose chip could not be read, online with PIN
    fallback_ms: int = 120_000  # how long after the failed chip such a swipe counts as one
    restarts: int = 0  # how often the terminal itself begins a wave again after "try again"; 0: the cashier does
    status_check: bool = False  # JR/T 0025.12 6.2: an amount of one currency unit asks online
    qpboc_extension: bool = False  # JR/T 0025.12 6.2: a zero amount is no reason to change the interface
    online_capable: bool = True
    tpdu: str = "6000030000"
    header: str = "613100310000"
    operator: str = "01"
    key_code: str = "003"  # DE60.3 of the sign-in: 003 double-length keys
    acquirer_timeout_ms: int = 60_000  # outermost of the nested time-outs: issuer < network < acquirer < terminal
    reversal_sends: int = 3  # then the reversal is given up and left to reconciliation
    keep_days: int = 35  # how long closed transactions stay listed

    def __post_init__(self) -> None:
        for name, text, size in (("merchant_id", self.merchant_id, 15), ("terminal_id", self.terminal_id, 8)):
            if len(text) != size or not (text.isascii() and text.isprintable()):
                raise ConfigError(f"{name}: {text!r}, must be {size} characters (ISO 8583 DE41, DE42)")
        if not self.aids:
            raise ConfigError(f"terminal {self.terminal_id}: accepts no application, give at least one AID")
        for limits in self.aids:
            if not all(len(code) == 5 for code in (limits.tac_default, limits.tac_online, limits.tac_denial)):
                raise ConfigError(f"AID {limits.aid.hex().upper()}: a terminal action code has 5 bytes (EMV B3 C5)")
        if self.reversal_sends < 1:
            raise ConfigError("reversal_sends: must be at least 1, an unsent reversal loses money")

    @property
    def read_capability(self) -> str:
        """DE60.4: 6 contact and contactless, 5 contact only, 2 stripe only."""
        if ReaderKind.CONTACTLESS in self.readers:
            return "6"
        return "5" if ReaderKind.CONTACT in self.readers else "2"

    @property
    def device_serial(self) -> bytes:
        """9F1E, eight characters."""
        return self.serial or self.terminal_id.encode("ascii")
