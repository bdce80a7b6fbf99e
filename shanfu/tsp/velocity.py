"""The service's own opinion of a request: rules over what it has seen of this card and of this device.

Each rule is one row: the mark it leaves, and a test on facts. All are run, so that the enrolment's row tells everything; the
worst colour counts. Bounds are settings (`config.VelocityRules`); delete-and-add-again is bounded by 3 in 30 days and 5 in 6
months (as one processor publishes it), the others are ours.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from shanfu.messages import TokenState
from shanfu.tsp.config import VelocityRules
from shanfu.tsp.enrolments import EnrolmentRow, EnrolmentState
from shanfu.tsp.reasons import Mark
from shanfu.tsp.requestors import RequestorRow, RequestorState, listed
from shanfu.tsp.vault import CardRow, CardState, TokenRow

__all__ = ["DAY_MS", "HALF_YEAR_MS", "LIVING", "Facts", "marks_of"]

DAY_MS: Final = 86_400_000
MONTH_MS: Final = 30 * DAY_MS
HALF_YEAR_MS: Final = 183 * DAY_MS
LIVING: Final = frozenset((TokenState.INACTIVE.value, TokenState.ACTIVE.value, TokenState.SUSPENDED.value))
CREATED: Final = frozenset((EnrolmentState.OPEN.value, EnrolmentState.DONE.value, EnrolmentState.FAILED.value))
REPORTED: Final = frozenset(("DEVICE_LOST", "DEVICE_STOLEN"))
CLONED: Final = "CLONE_SUSPECTED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the rules look at. `of_card`, `of_device`: enrolments of the last half year and day, but this one."""

    enrolment: EnrolmentRow
    token: TokenRow
    requestor: RequestorRow
    card: CardRow | None
    tokens_of_card: Sequence[TokenRow]
    tokens_of_device: Sequence[TokenRow]
    of_card: Sequence[EnrolmentRow]
    of_device: Sequence[EnrolmentRow]
    rules: VelocityRules
    now_ms: int

    def added_before(self, span_ms: int) -> int:
        """Count how often this card was added to this device within a span."""
        mine = (row for row in self.of_card if row.device == self.enrolment.device and row.state in CREATED)
        return sum(row.at_ms > self.now_ms - span_ms for row in mine)

    def failed_today(self) -> int:
        """Count today's enrolments of this card whose verification failed."""
        return sum(row.state == EnrolmentState.FAILED and row.at_ms > self.now_ms - DAY_MS for row in self.of_card)


# -- the rules: true leaves the mark -------------------------------------------------------------------------------------


def _requestor_blocked(facts: Facts) -> bool:
    return facts.requestor.state != RequestorState.ACTIVE


def _storage_not_allowed(facts: Facts) -> bool:
    return not listed(facts.requestor.storages, facts.token.storage)


def _terms_not_accepted(facts: Facts) -> bool:
    return not facts.enrolment.terms or not 0 < facts.enrolment.terms_accepted_ms <= facts.now_ms + DAY_MS


def _card_not_active(facts: Facts) -> bool:
    return facts.card is not None and facts.card.state != CardState.ACTIVE


def _too_many_devices(facts: Facts) -> bool:
    devices = {token.device for token in facts.tokens_of_card if token.state in LIVING}
    return len(devices - {facts.enrolment.device}) >= facts.rules.devices_of_card


def _device_cards(facts: Facts) -> bool:
    cards = {(row.issuer, row.card) for row in facts.of_device}
    return len(cards - {(facts.enrolment.issuer, facts.enrolment.card)}) >= facts.rules.cards_of_device


def _device_guessing(facts: Facts) -> bool:
    failed = {(row.issuer, row.card) for row in facts.of_device if row.state == EnrolmentState.FAILED}
    return len(failed) >= facts.rules.failed_cards_of_device


def _re_added_month(facts: Facts) -> bool:
    return facts.added_before(MONTH_MS) > facts.rules.re_added_month


def _re_added_half_year(facts: Facts) -> bool:
    return facts.added_before(HALF_YEAR_MS) > facts.rules.re_added_half_year


def _idv_failed_before(facts: Facts) -> bool:
    return facts.failed_today() >= facts.rules.failed_idv_day


def _idv_guessing(facts: Facts) -> bool:
    return facts.failed_today() >= facts.rules.failed_idv_most


def _device_not_attested(facts: Facts) -> bool:
    return not facts.enrolment.attested


def _device_reported(facts: Facts) -> bool:
    return any(token.state == TokenState.SUSPENDED.value and token.reason in REPORTED for token in facts.tokens_of_device)


def _clone_suspected(facts: Facts) -> bool:
    return any(token.state == TokenState.SUSPENDED.value and token.reason == CLONED for token in facts.tokens_of_device)


RULES: Final[tuple[tuple[Mark, Callable[[Facts], bool]], ...]] = (
    (Mark.REQUESTOR_BLOCKED, _requestor_blocked),
    (Mark.STORAGE_NOT_ALLOWED, _storage_not_allowed),
    (Mark.TERMS_NOT_ACCEPTED, _terms_not_accepted),
    (Mark.CARD_NOT_ACTIVE, _card_not_active),
    (Mark.TOO_MANY_DEVICES, _too_many_devices),
    (Mark.DEVICE_CARDS, _device_cards),
    (Mark.DEVICE_GUESSING, _device_guessing),
    (Mark.RE_ADDED_MONTH, _re_added_month),
    (Mark.RE_ADDED_HALF_YEAR, _re_added_half_year),
    (Mark.IDV_GUESSING, _idv_guessing),
    (Mark.IDV_FAILED_BEFORE, _idv_failed_before),
    (Mark.CLONE_SUSPECTED, _clone_suspected),
    (Mark.DEVICE_REPORTED, _device_reported),
    (Mark.DEVICE_NOT_ATTESTED, _device_not_attested),
)


def marks_of(facts: Facts) -> list[Mark]:
    """Run every rule and return the marks that were left, in the table's order."""
    return [mark for mark, test in RULES if test(facts)]
