"""The decision about a request for a token, of three parties: the wallet, this service, the card's issuer.

Each gives a colour. Any RED: no token. Else any ORANGE: a token, but its holder is verified over a channel of long standing
alone. All GREEN: active at once. Anything else is YELLOW: active after ID&V. The issuer's ways of ID&V are taken as he gave
them and only ever narrowed: nobody else can add a weaker one (weak ID&V chosen by wallets is a published attack).

Sources: public descriptions of the colour path; the table is that of the provisioning vectors.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from shanfu.messages import Colour, IDVMethod, IDVOption, TokenState

__all__ = ["Decision", "combine", "narrowed"]

TENURED: Final = frozenset({IDVMethod.SMS})  # to a number that the bank has known for long


@dataclass(frozen=True, slots=True)
class Decision:
    """What the three come to: the state of the token (None: none is made), and which ID&V may verify its holder."""

    colour: Colour
    state: TokenState | None
    in_app: bool
    tenured_only: bool

    @property
    def created(self) -> bool:
        """Whether there is a token."""
        return self.state is not None


_OF: Final = {
    Colour.GREEN: Decision(Colour.GREEN, TokenState.ACTIVE, in_app=True, tenured_only=False),
    Colour.YELLOW: Decision(Colour.YELLOW, TokenState.INACTIVE, in_app=True, tenured_only=False),
    Colour.ORANGE: Decision(Colour.ORANGE, TokenState.INACTIVE, in_app=False, tenured_only=True),
    Colour.RED: Decision(Colour.RED, None, in_app=False, tenured_only=False),
}


def combine(*, wallet: Colour, service: Colour, issuer: Colour) -> Decision:
    """Return what the three colours come to.

    >>> combine(wallet=Colour.GREEN, service=Colour.YELLOW, issuer=Colour.GREEN).state
    <TokenState.INACTIVE: 'INACTIVE'>
    """
    return _OF[Colour.worst((wallet, service, issuer))]


def narrowed(decision: Decision, options: Iterable[IDVOption]) -> tuple[IDVOption, ...]:
    """Return which of the issuer's ways of ID&V stay open under this decision."""
    if not decision.tenured_only:
        return tuple(options)
    return tuple(option for option in options if option.method in TENURED)
