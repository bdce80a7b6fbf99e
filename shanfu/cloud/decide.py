"""The rules of the key cloud: pure functions over facts, each giving a refusal or none.

Who may enrol, whether a call is fresh, which colour the wallet gives to a request for a card, whether a key set may be asked
for. The token service decides about tokens; what stands here is what only the cloud can know: the phone, its keys, its past.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from shanfu.cloud.attestation import Verdict
from shanfu.cloud.config import AttestationRule, CloudConfig
from shanfu.cloud.devices import DeviceRow
from shanfu.cloud.reasons import Reason
from shanfu.cloud.sessions import SessionRow
from shanfu.cloud.tokens import TokenRow
from shanfu.messages import Actor, Call, Colour, Device, KeySetTerms, TokenState, requestor, wallet
from shanfu.tokens import KeyScheme

__all__ = [
    "ColourFacts", "enrolment_refusal", "freshness_refusal", "may_act", "nonce_form", "on_sm2", "provision_refusal",
    "replenish_refusal", "report_fits", "session_refusal", "terms_fit", "wallet_colour", "well_named",
]  # fmt: skip

LEAST_ANDROID: Final = (4, 4)  # the first with host card emulation
HOUR_MS: Final = 3_600_000
TERMS_AGE_MS: Final = 24 * HOUR_MS  # terms are accepted while a card is being added, not long before
MOST_USES_REPORTED: Final = 256  # more than a key set is ever good for, and a bounded message
LAST_ATC: Final = 0xFFFF  # 9F36 has two bytes, and a set has one use at the least
AMOUNT_END: Final = 10**12  # DE4 has twelve digits
MOST_SET_KEYS: Final = 1_000  # single-use keys in one set; policies give ten
NONCE: Final = re.compile(r"[0-9a-f]{16,64}", re.ASCII)
NAME: Final = re.compile(r"[0-9a-f]{0,64}", re.ASCII)
VERSION: Final = re.compile(r"\d{1,4}(\.\d{1,4}){0,3}", re.ASCII)
PHONE_ACTORS: Final = frozenset({Actor.CARDHOLDER, Actor.CDCVM_LOCKED, Actor.WALLET})

# GB/T 32918.5: the curve of SM2, to tell a key of it from bytes that are no key at all
SM2_P: Final = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFF
SM2_B: Final = 0x28E9FA9E9D9F5E344D5A9E4BCF6509A7F39789F515AB8F92DDBCBD414D940E93


def on_sm2(point: bytes) -> bool:
    """Say whether these 65 bytes are a public key on the curve of SM2."""
    if len(point) != 65 or point[0] != 4:
        return False
    x, y = int.from_bytes(point[1:33]), int.from_bytes(point[33:])
    return max(x, y) < SM2_P and (y * y - (x * x * x - 3 * x + SM2_B)) % SM2_P == 0


# -- who may come in ---------------------------------------------------------------------------------------------------


def nonce_form(nonce: str) -> bool:
    """Say whether a nonce has its form: 16 to 64 hex characters."""
    return bool(NONCE.fullmatch(nonce))


def well_named(call: Call) -> bool:
    """Say whether the names in a call have the forms of ours, so that they may be looked for: hex, and a printable key."""
    device = call.device
    assert device is not None
    given = (device.device, device.session, device.nonce)
    return all(NAME.fullmatch(name) for name in given) and (call.id + call.key).isprintable()


def freshness_refusal(device: Device, *, now_ms: int, fresh_ms: int) -> Reason | None:
    """Refuse a call outside a session that is not of these minutes; whether its nonce was used, the books know."""
    if abs(now_ms - device.time_ms) > fresh_ms:
        return Reason.CLOCK_WRONG
    return None if nonce_form(device.nonce) else Reason.NONCE_USED


def session_refusal(device: Device, session: SessionRow | None, *, now_ms: int) -> Reason | None:
    """Refuse a call in a session that is over, or another device's."""
    if session is None or session.device != device.device or now_ms >= session.expires_ms:
        return Reason.SESSION_OVER
    return None


def enrolment_refusal(asked: wallet.Enrol, verdict: Verdict, config: CloudConfig) -> Reason | None:
    """Refuse a phone that cannot pay, that no bank knows, or (where that is the rule) that nobody vouches for."""
    info = asked.info
    if not info.nfc:
        return Reason.NFC_MISSING
    if info.os.lower() != "android" or not _new_enough(info.os_version):
        return Reason.OS_TOO_OLD
    if info.app not in config.apps:
        return Reason.APP_UNKNOWN
    if not verdict.attested and config.attestation == AttestationRule.REQUIRE:
        return verdict.reason
    return None


def _new_enough(version: str) -> bool:
    """Compare versions as numbers: 10 is newer than 4.4."""
    if not VERSION.fullmatch(version):
        return False
    numbers = [int(part) for part in version.split(".")]
    return (numbers[0], numbers[1] if len(numbers) > 1 else 0) >= LEAST_ANDROID


# -- adding a card -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ColourFacts:
    """What the cloud knows of a phone that asks for a token of `card`."""

    device: DeviceRow
    tokens: Sequence[TokenRow]
    card: str
    config: CloudConfig
    now_ms: int

    @property
    def live(self) -> int:
        """How many tokens of other cards are on this phone: adding one again that is there adds none."""
        return sum(not row.dead and row.card != self.card for row in self.tokens)

    @property
    def re_added(self) -> int:
        """How often this card was deleted from this phone of late."""
        since_ms = self.now_ms - self.config.dead_kept_ms
        return sum(row.dead and row.card == self.card and row.changed_ms > since_ms for row in self.tokens)

    @property
    def wrongly_attested(self) -> bool:
        """Whether the phone brought an attestation that was none of its own."""
        return Verdict(False, Reason.ATTESTATION_WRONG).lowered == self.device.lowered_words


# fmt: off
COLOUR_RULES: Final[tuple[tuple[Colour, str, Callable[[ColourFacts], bool]], ...]] = (
    (Colour.RED,    "TOO_MANY_CARDS_ON_DEVICE", lambda facts: facts.live >= facts.config.cards_most),
    (Colour.ORANGE, "ATTESTATION_WRONG",        lambda facts: facts.wrongly_attested),
    (Colour.ORANGE, "MANY_CUSTOMERS_ON_DEVICE", lambda facts: facts.device.customers_count > facts.config.customers_most),
    (Colour.YELLOW, "CARD_ADDED_AGAIN_OFTEN",   lambda facts: facts.re_added >= facts.config.re_adds_most),
)
# fmt: on


def wallet_colour(facts: ColourFacts) -> tuple[Colour, tuple[str, ...]]:
    """Return the wallet's colour, the worst that a rule gives, and every rule that fired."""
    fired = [(colour, name) for colour, name, rule in COLOUR_RULES if rule(facts)]
    return Colour.worst(colour for colour, _ in fired), tuple(name for _, name in fired)


def provision_refusal(asked: wallet.Provision, session: SessionRow, *, now_ms: int, fresh_ms: int) -> Reason | None:
    """Refuse a card for somebody who is not logged in, that was not offered to him, or whose terms he has not accepted."""
    if not session.customer or session.customer != asked.customer:
        return Reason.NOT_LOGGED_IN
    offer = session.offer(asked.card)
    if offer is None:
        return Reason.CARD_NOT_OFFERED
    in_time = now_ms - TERMS_AGE_MS <= asked.terms_accepted_ms <= now_ms + fresh_ms
    return None if asked.terms == offer.terms and in_time else Reason.TERMS_NOT_ACCEPTED


# -- keys --------------------------------------------------------------------------------------------------------------


def replenish_refusal(token: TokenRow, *, now_ms: int, most: int) -> tuple[Reason, int] | None:
    """Refuse a key set for a token that is not active, or that had enough this hour; with the seconds to wait."""
    if token.state != TokenState.ACTIVE.value:
        return Reason.TOKEN_NOT_ACTIVE, 0
    left_ms = token.hour_ms + HOUR_MS - now_ms
    if left_ms > 0 and token.hour_sets >= most:
        return Reason.KEYS_TOO_OFTEN, -(-left_ms // 1000)
    return None


def report_fits(asked: wallet.ReplenishKeys) -> bool:
    """Say whether a request for keys, with its log of uses, has numbers that can be: sets from 1, counters of two bytes."""
    atcs = (asked.atc, *(use.atc for use in asked.uses))
    amounts = (use.amount for use in asked.uses)
    return (
        0 < asked.sequence <= LAST_ATC
        and len(asked.uses) <= MOST_USES_REPORTED
        and all(0 <= atc <= LAST_ATC for atc in atcs)
        and all(0 <= amount < AMOUNT_END for amount in amounts)
    )


def terms_fit(asked: tuple[str, int], issued: requestor.KeysIssued) -> bool:
    """Say whether what the service issued answers (token, sequence), and is something to derive."""
    terms: KeySetTerms = issued.terms
    span = terms.atc_last - terms.atc_first + 1
    most = MOST_SET_KEYS if terms.scheme is KeyScheme.SUK else LAST_ATC
    return (issued.token, terms.sequence) == asked and terms.atc_first > 0 and terms.atc_last <= LAST_ATC and 0 < span <= most


def may_act(actor: Actor) -> bool:
    """Say whether a phone may speak for this actor: its holder, its lock, itself."""
    return actor in PHONE_ACTORS
