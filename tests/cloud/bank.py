"""An issuer as the token service meets it: it logs customers in, judges cards, and sends codes; scripted, with its own HSM."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from msgspec import Raw, Struct

from shanfu.hsm import KeyBlock, SoftHSM
from shanfu.links import Inbound, Kind, Outbound, Turn
from shanfu.messages import (
    Call,
    Colour,
    Empty,
    IDVMethod,
    IDVOption,
    KeyPolicy,
    Problem,
    ProblemCode,
    Reply,
    decoded,
    encoded,
    issuing,
    operation,
    pack,
    problem,
    unpack,
    wallet,
)
from tests.cloud.service import NoBooks

PANS = {"card-1": "6209010000000012", "card-2": "6209010000000020"}

__all__ = ["Bank"]


@dataclass
class Bank:
    """Issuer 99010000."""

    hsm: SoftHSM
    key: KeyBlock
    policy: KeyPolicy
    name: str = "issuer"
    now_ms: int = 0

    def books(self, tx: Any, *, now_ms: int) -> NoBooks:
        self.now_ms = now_ms
        return NoBooks()

    def handle(self, batch: Sequence[Inbound], books: NoBooks) -> Turn:
        turn = Turn()
        for inbound in batch:
            if inbound.kind is Kind.FRAME and b'"op"' in inbound.frame:
                call = unpack(inbound.frame, Call)
                answer = self._answer(call)
                status = answer.status if isinstance(answer, Problem) else 200
                reply = Reply(id=call.id, status=status, body=Raw(encoded(answer)))
                turn.outbound.append(Outbound(inbound.station, pack(reply)))
        return turn

    def due(self, books: NoBooks) -> Turn:
        return Turn()

    def refuse(self, inbound: Inbound, fault: Exception, now_ms: int) -> Turn:
        raise fault

    def _answer(self, call: Call) -> Struct:
        row = operation(call.op)
        assert row is not None
        body: Any = decoded(call.body, row.asks, path=call.op)
        match call.op:
            case "issuer.login":
                cards = tuple(
                    wallet.CardOffer(card=card, last4=pan[-4:], product="debit", terms="t-1") for card, pan in PANS.items()
                )
                return wallet.LoggedIn(customer=f"customer {body.user}", name="Li Lei", assertion="as-1", cards=cards)
            case "issuer.judge":
                return self._judged(body.card)
            case "issuer.code.send":
                return wallet.CodeSent(hint="138****0001", expires_ms=self.now_ms + 300_000, tries_left=3)
            case "issuer.code.verify":
                right = body.code == "246810"
                return issuing.CodeVerdict(assurance="11") if right else problem(ProblemCode.CODE_WRONG)
        return Empty()

    def _judged(self, card: str) -> issuing.CardJudged:
        item = (PANS[card].encode(), f"pan/{card}".encode())
        return issuing.CardJudged(
            colour=Colour.YELLOW, pan=self.hsm.seal(self.key, [item])[0].hex(), pan_last4=PANS[card][-4:], expiry="3012",
            psn="01", account_group="lilei", currency="156", label="Lantern debit",
            options=(IDVOption(method=IDVMethod.SMS, hint="138****0001"),), policy=self.policy,
        )  # fmt: skip
