"""A token service as the key cloud meets it: scripted, with a memory of its own, and able to be silent, stubborn or forgetful.

It keeps what the cloud must not lose: which key set has which number. Whatever a test wants otherwise it puts into `say`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from msgspec import Raw, Struct, structs

from shanfu.hsm import KeyBlock, SoftHSM
from shanfu.links import Inbound, Kind, Outbound, Turn
from shanfu.messages import (
    Actor,
    Call,
    CardEvent,
    Colour,
    Empty,
    IDVMethod,
    IDVOption,
    KeySetTerms,
    Problem,
    ProblemCode,
    Reply,
    TokenState,
    TokenView,
    decoded,
    encoded,
    issuing,
    operation,
    pack,
    problem,
    requestor,
    unpack,
    wallet,
)
from shanfu.tokens import KeyScheme, key_index_now, token_number

TRID = "90100000001"
TSP = "tsp/90100000"
NUMBERS = {serial: token_number("625094", serial).digits for serial in range(1, 40)}
USES = 10

__all__ = ["NUMBERS", "TRID", "TSP", "CardEvent", "Service"]


class NoBooks:
    """A scripted service forgets nothing, and keeps nothing on disk."""

    def save(self) -> None:
        pass


@dataclass
class Service:
    """The token service: answers by operation, or as `say` has it; `silent` operations get no answer."""

    hsm: SoftHSM
    numbers_key: KeyBlock
    name: str = "tsp"
    tokens: dict[str, TokenView] = field(default_factory=dict)
    sets: dict[tuple[str, int], KeySetTerms] = field(default_factory=dict)
    confirmed: list[tuple[str, int]] = field(default_factory=list)
    asked: list[tuple[str, str, Any]] = field(default_factory=list)  # operation, caller, body
    say: dict[str, Callable[[str, Any], Struct | None]] = field(default_factory=dict)
    silent: set[str] = field(default_factory=set)
    scheme: KeyScheme = KeyScheme.SHANFU_1
    log: list[requestor.Notice] = field(default_factory=list)
    acknowledged: list[str] = field(default_factory=list)
    outbox: list[Call] = field(default_factory=list)
    remembered: dict[str, Reply] = field(default_factory=dict)
    now_ms: int = 0

    # -- a host --------------------------------------------------------------------------------------------------------

    def books(self, tx: Any, *, now_ms: int) -> NoBooks:
        self.now_ms = now_ms
        return NoBooks()

    def handle(self, batch: Sequence[Inbound], books: NoBooks) -> Turn:
        turn = Turn()
        for inbound in batch:
            if inbound.kind is not Kind.FRAME:
                continue
            if b'"op"' in inbound.frame:
                reply = self._answer(unpack(inbound.frame, Call))
                if reply is not None:
                    turn.outbound.append(Outbound(inbound.station, pack(reply)))
            else:
                self.acknowledged.append(unpack(inbound.frame, Reply).id)
        return turn

    def due(self, books: NoBooks) -> Turn:
        calls, self.outbox = self.outbox, []
        return Turn(outbound=[Outbound("cloud", pack(call)) for call in calls])

    def refuse(self, inbound: Inbound, fault: Exception, now_ms: int) -> Turn:
        raise fault

    # -- its answers ---------------------------------------------------------------------------------------------------

    def _answer(self, call: Call) -> Reply | None:
        row = operation(call.op)
        assert row is not None
        body = decoded(call.body, row.asks, path=call.op)
        self.asked.append((call.op, call.caller, body))
        if call.op in self.silent:
            return None
        name = f"{call.caller}|{call.op}|{call.key}"
        if name in self.remembered:
            return structs.replace(self.remembered[name], id=call.id)
        say = self.say.get(call.op) or getattr(self, call.op.removeprefix("tsp.").replace(".", "_"))
        answer = say(call.caller, body)
        if answer is None:
            return None
        status = answer.status if isinstance(answer, Problem) else 200
        reply = Reply(id=call.id, status=status, body=Raw(encoded(answer)))
        self.remembered[name] = reply
        return reply

    def login(self, caller: str, asked: wallet.Login) -> Struct:
        if asked.password != "open sesame":
            return problem(ProblemCode.LOGIN_WRONG)
        cards = tuple(wallet.CardOffer(card=f"card-{n}", last4=f"000{n}", product="debit", terms="t-1") for n in (1, 2))
        return wallet.LoggedIn(customer=f"customer {asked.user}", name="Li Lei", assertion="as-1", cards=cards)

    def request(self, caller: str, asked: requestor.RequestToken) -> Struct:
        if asked.colour is Colour.RED:
            return requestor.TokenRequested(decision=Colour.RED, reasons=asked.reasons)
        number = len(self.tokens) + 1
        view = TokenView(
            token=f"{number:032x}", state=TokenState.INACTIVE, version=1, token_last4=NUMBERS.get(number, "????")[-4:],
            pan_last4="0001", expiry="2812", par="SF01" + "0" * 25, trid=caller.partition("/")[2], device=asked.device,
            card=asked.card,
        )  # fmt: skip
        self.tokens[view.token] = view
        options = (IDVOption(method=IDVMethod.SMS, hint="138****0001"),)
        return requestor.TokenRequested(decision=Colour.YELLOW, reasons=("NEW",), view=view, options=options)

    def code_send(self, caller: str, asked: requestor.SendCode) -> Struct:
        return wallet.CodeSent(hint="138****0001", expires_ms=self.now_ms + 300_000, tries_left=3)

    def code_verify(self, caller: str, asked: requestor.VerifyCode) -> Struct:
        if asked.code != "246810":
            return problem(ProblemCode.CODE_WRONG)
        return requestor.TokenRequested(decision=Colour.GREEN, view=self.change(asked.token, state=TokenState.ACTIVE))

    def change(self, token: str, **fields: Any) -> TokenView:
        before = self.tokens[token]
        view = self.tokens[token] = structs.replace(before, version=before.version + 1, **fields)
        return view

    def profile(self, caller: str, asked: requestor.ProfileAsked) -> Struct:
        view = self.tokens[asked.token]
        return requestor.ProfileData(
            token=asked.token, number=self.sealed(asked.token), psn="00", expiry=view.expiry, par=view.par, trid=view.trid,
            currency="156", country="156", label="Lantern debit", credit=False, dki=1, phone_cvm="online_pin",
            pan_last4=view.pan_last4,
        )  # fmt: skip

    def sealed(self, token: str) -> str:
        """The token's number, under the key that both share."""
        plain = NUMBERS[int(token, 16)].encode()
        return self.hsm.seal(self.numbers_key, [(plain, b"token/" + token.encode())])[0].hex()

    def keys_issue(self, caller: str, asked: requestor.IssueKeys) -> Struct:
        """Enter a set once; a repeat of its number gets the same terms."""
        name = (asked.token, asked.sequence)
        if name not in self.sets:
            newest = max((seq for token, seq in self.sets if token == asked.token), default=0)
            if asked.sequence != newest + 1:
                return problem(ProblemCode.WRONG_STATE, reason="SEQUENCE_WRONG")
            first = newest * USES + 1
            self.sets[name] = KeySetTerms(
                index=key_index_now(self.now_ms, newest % 100), sequence=asked.sequence, atc_first=first,
                atc_last=first + USES - 1, max_uses=USES, max_amount=2_000_000, issued_ms=self.now_ms,
                expires_ms=self.now_ms + 432_000_000, scheme=self.scheme,
            )  # fmt: skip
        number = self.sealed(asked.token)
        return requestor.KeysIssued(token=asked.token, terms=self.sets[name], number=number, psn="00", dki=1)

    def keys_confirm(self, caller: str, asked: requestor.ConfirmKeys) -> Struct:
        self.confirmed.append((asked.token, asked.sequence))
        return Empty()

    def _changed(self, asked: requestor.ChangeToken, result: str, **fields: Any) -> issuing.TokenChanges:
        changes = tuple(
            issuing.TokenChange(token=token, result=result, view=self.change(token, **fields)) for token in asked.tokens
        )
        return issuing.TokenChanges(changes=changes)

    def suspend(self, caller: str, asked: requestor.ChangeToken) -> Struct:
        return self._changed(asked, "TOKEN_SUSPENDED", state=TokenState.SUSPENDED, suspended_by=(asked.actor,))

    def resume(self, caller: str, asked: requestor.ChangeToken) -> Struct:
        view = self.tokens[asked.tokens[0]]
        if asked.actor not in view.suspended_by:
            change = issuing.TokenChange(token=view.token, result="NOT_SUSPENDED_BY_YOU", view=view)
            return issuing.TokenChanges(changes=(change,))
        return self._changed(asked, "TOKEN_RESUMED", state=TokenState.ACTIVE, suspended_by=())

    def delete(self, caller: str, asked: requestor.ChangeToken) -> Struct:
        return self._changed(asked, "TOKEN_DEACTIVATED", state=TokenState.DEACTIVATED)

    def renew(self, caller: str, asked: requestor.ChangeToken) -> Struct:
        return self._changed(asked, "TOKEN_RENEWED", state=TokenState.ACTIVE, expiry="3112")

    def transactions(self, caller: str, asked: wallet.TransactionsAsked) -> Struct:
        return wallet.TransactionList(next="after")

    def since(self, caller: str, asked: requestor.Since) -> Struct:
        """What concerns the caller, two at a time, so that somebody has to ask on."""
        later = [notice for notice in self.log if notice.number > asked.since and caller.endswith(notice.view.trid)]
        few = tuple(later[:2])
        return requestor.SinceAnswer(notices=few, number=few[-1].number if few else asked.since, more=len(later) > 2)

    # -- what it tells -------------------------------------------------------------------------------------------------

    def tell(self, token: str, event: str, *, reason: str = "", lost: bool = False, **fields: Any) -> requestor.Notice:
        """Change a token and put the notice on its way, or lose it."""
        view = self.change(token, **fields)
        number = sum(notice.view.trid == view.trid for notice in self.log) + 1
        notice = requestor.Notice(
            number=number, event=event, actor=Actor.ISSUER.value, reason=reason, at_ms=self.now_ms, view=view
        )
        self.log.append(notice)
        if not lost:
            self.send(notice)
        return notice

    def send(self, notice: requestor.Notice) -> None:
        """Send a notice (again)."""
        name = f"notice/requestor/{notice.view.trid}/{notice.number}"
        self.outbox.append(Call(id=name, op="notices.take", caller=TSP, body=encoded(notice)))
