"""The token service's end of the JSON wire: asks the bank, hears what the bank asks and tells, and opens what it seals."""

from typing import Any

import msgspec

from shanfu.errors import DecodeError
from shanfu.hsm import Algorithm, KeyUsage
from shanfu.issuer import Contact, IssuerConfig, Message, install_key, messages_to, open_customer
from shanfu.links import Inbound
from shanfu.messages import Call, Colour, IDVMethod, Problem, Reply, TokenState, TokenView, encoded, operation, pack, unpack
from shanfu.messages.issuing import CardJudged, JudgeCard, SendCode, VerifyCode
from shanfu.messages.requestor import Notice
from shanfu.messages.wallet import Login

from .bank import BANK, CNY, Bank, Plastic, shared_key

TSP, ISSUER, TRID = "tsp/90100000", f"issuer/{BANK}", "90100000001"
MOBILE, PASSWORD, CUSTOMER = "13800000001", "open sesame", "lin-yue"
MINUTE_MS = 60_000


class Service:
    """Asks a bank as the token service does. `told` holds what the bank asked or told by itself: (operation, body)."""

    def __init__(self, bank: Bank) -> None:
        self.bank, self.told = bank, list[tuple[str, Any]]()
        _, (theirs, self.key) = shared_key(KeyUsage.VAULT, Algorithm.AES, bank.hsm, bank.peer)
        install_key(bank.store, f"pan/{BANK}", theirs, now_ms=bank.clock.now_ms())
        self._ops, self.numbers = dict[str, str](), 0

    # -- people and cards ----------------------------------------------------------------------------------------------

    def customer(self, name: str = CUSTOMER, *, mobile: str = MOBILE, password: str = PASSWORD, **account: Any) -> str:
        contact = Contact(mobile=mobile, password=password)
        now_ms, buckets = self.bank.clock.now_ms(), self.bank.config.buckets
        open_customer(self.bank.store, name, name=name, now_ms=now_ms, buckets=buckets, contact=contact, hsm=self.bank.hsm)
        return self.bank.account(name, **{"balance": 500_000, "currency": CNY, **account})

    def reference(self, card: Plastic) -> str:
        from shanfu.issuer import card_state

        return card_state(self.bank.store, self.bank.hsm, card.pan).reference

    # -- asking --------------------------------------------------------------------------------------------------------

    def ask(self, op: str, body: Any, *, caller: str = TSP, station: str = "", key: str = "") -> Any:
        """Ask one operation and return the answer, or the Problem; what else the bank says lands in `told`."""
        name = f"c{len(self._ops) + 1}"
        self._ops[name] = op
        call = Call(id=name, op=op, caller=caller, key=key, body=encoded(body))
        return self.frames(Inbound(station or caller, pack(call)))[call.id]

    def frames(self, *arrivals: Inbound) -> dict[str, Any]:
        """Let the bank work arrivals as one batch; return its answers by the calls' ids."""
        self.bank.sent.clear()
        self.bank.worker.turn(list(arrivals))
        return self._heard()

    def tick(self, ms: int = 0, *, reply: Any = None) -> list[tuple[str, Any]]:
        """Let time pass; acknowledge what the bank tells, with `reply` or not at all; return it."""
        self.bank.clock.advance(ms)
        self.bank.sent.clear()
        before = len(self.told)
        self.bank.worker.tick()
        calls = self._heard(keep_calls=True)["calls"]
        if reply is not None:
            self.frames(*(Inbound(TSP, pack(Reply(id=call.id, body=encoded(reply)))) for call in calls))
        return self.told[before:]

    def _heard(self, *, keep_calls: bool = False) -> dict[str, Any]:
        answers, calls = dict[str, Any](), []
        for frame in list(self.bank.sent):
            try:
                call = unpack(frame, Call)
            except DecodeError:
                reply = unpack(frame, Reply)
                answers[reply.id] = reply
                continue
            row = operation(call.op)
            assert row is not None
            assert call.caller == ISSUER
            self.told.append((call.op, msgspec.json.decode(call.body, type=row.asks)))
            self.last_call = call
            calls.append(call)
        opened = {name: _body(reply, self._ops.get(name, "")) for name, reply in answers.items()}
        return opened | ({"calls": calls} if keep_calls else {})

    # -- the operations ------------------------------------------------------------------------------------------------

    def login(self, user: str = CUSTOMER, password: str = PASSWORD) -> Any:
        return self.ask("issuer.login", Login(user=user, password=password))

    def judge(self, card: str, token: str = "t1", **odd: Any) -> CardJudged:
        values: dict[str, Any] = {
            "token": token, "card": card, "customer": CUSTOMER, "trid": TRID, "device": "phone-1", "device_name": "Lin's phone",
            "device_model": "Pixel 8", "storage": "04", "attested": True, "wallet_colour": Colour.GREEN,
        } | odd  # fmt: skip
        return self.ask("issuer.judge", JudgeCard(**values))

    def send(self, card: str, token: str = "t1", method: IDVMethod = IDVMethod.SMS) -> Any:
        return self.ask("issuer.code.send", SendCode(token=token, card=card, method=method))

    def verify(self, card: str, code: str, token: str = "t1", method: IDVMethod = IDVMethod.SMS) -> Any:
        return self.ask("issuer.code.verify", VerifyCode(token=token, card=card, method=method, code=code))

    def notice(self, view: TokenView, *, number: int = 0, event: str = "ACTIVATE") -> Any:
        self.numbers = number or self.numbers + 1
        return self.ask("issuer.notice", self.noticed(view, number=self.numbers, event=event))

    def noticed(self, view: TokenView, *, number: int, event: str = "ACTIVATE") -> Notice:
        return Notice(number=number, event=event, actor="TSP", reason="", at_ms=self.bank.clock.now_ms(), view=view)

    def view(
        self, card: str, token: str = "t1", *, version: int = 1, state: TokenState = TokenState.ACTIVE, **odd: Any
    ) -> TokenView:
        values: dict[str, Any] = {
            "token": token, "card": card, "state": state, "version": version, "token_last4": "0017", "pan_last4": "0000",
            "expiry": "2901", "trid": TRID, "device": "phone-1", "assurance": "11",
        } | odd  # fmt: skip
        return TokenView(**values)

    # -- the customer's telephone --------------------------------------------------------------------------------------

    def texts(self, mobile: str = MOBILE) -> list[Message]:
        return messages_to(self.bank.store, self.bank.hsm, mobile, now_ms=self.bank.clock.now_ms())

    def code(self, mobile: str = MOBILE) -> str:
        """The code of the newest text that has one."""
        return [text.code for text in self.texts(mobile) if text.code][-1]


def _body(reply: Reply, op: str) -> Any:
    row = operation(op)
    assert row is not None
    kind: Any = row.gives if reply.ok else Problem
    return msgspec.json.decode(reply.body, type=kind)


__all__ = ["CUSTOMER", "ISSUER", "MINUTE_MS", "MOBILE", "PASSWORD", "TRID", "TSP", "IssuerConfig", "Service"]
