"""The key cloud's host: calls of phones in, sealed replies out, through gate → handlers → token service → HSM.

A turn first works what the token service says (replies to our questions, notices), then the phones: the gate judges all their
calls at once, the desk works them one after the other. Last it derives the key sets that the service has entered in this turn
and seals the replies, each with one call of the HSM. Phones beyond the bound of a turn are told when to
come again, spread over a while, so that a million phones that open their app do not come back together.
"""

import zlib
from collections.abc import Mapping, Sequence

import msgspec

from shanfu.cloud.accounts import Accounts
from shanfu.cloud.asking import About
from shanfu.cloud.attestation import TEST_FORMAT, Attester, SignedAttester
from shanfu.cloud.books import DESK, CloudBooks
from shanfu.cloud.changes import Changes
from shanfu.cloud.config import CloudConfig
from shanfu.cloud.enrolling import Enrolling
from shanfu.cloud.events import call_event, gate_event, reply_event
from shanfu.cloud.gate import Gate, Knock
from shanfu.cloud.mirror import Mirror
from shanfu.cloud.prove import Prover, SealedBody
from shanfu.cloud.reasons import Reason
from shanfu.cloud.replenish import Replenish
from shanfu.events import Event
from shanfu.hosts import Desk, Origin
from shanfu.hsm import HSM, KeyBlock
from shanfu.links import Inbound, Outbound, Turn
from shanfu.links import Kind as Arrival
from shanfu.messages import (
    Call,
    Problem,
    ProblemCode,
    Reply,
    Role,
    encoded,
    is_json_frame,
    operation,
    pack,
    problem,
    wallet,
)
from shanfu.store import Transaction

__all__ = ["Cloud"]

PHONES = (Role.ANYONE, Role.DEVICE)


class Cloud:
    """The HCE key cloud. With `watch` it tells every call and every reply as events.

    `attesters` adds judges of attestation to the test attester, which is there when its key is configured.
    """

    def __init__(
        self, config: CloudConfig, hsm: HSM, *, attesters: Mapping[str, Attester] | None = None, watch: bool = False
    ) -> None:
        config.check()
        self.name, self._config, self._watch = config.name, config, watch
        self._prover = Prover(hsm)
        self._gate = Gate(config, self._prover)
        self._mirror, self._replenish = Mirror(config), Replenish(config, self._prover)
        judges = dict(attesters or {})
        if config.attestation_key:
            judges[TEST_FORMAT] = SignedAttester(hsm, bytes.fromhex(config.attestation_key))
        rooms = (
            Enrolling(config, self._prover, judges), accounts := Accounts(config), self._replenish,
            changes := Changes(config), self._mirror,
        )  # fmt: skip
        self._desk = Desk[CloudBooks](
            "cloud", DESK, timeout_ms=config.timeout_ms, seal=self._keep, prepare=_prepare,
            served={op: handler for room in rooms for op, handler in room.served.items()},
            answered={**accounts.answered, **self._replenish.answered, **changes.answered, **self._mirror.answered},
        )  # fmt: skip

    # -- the three questions a host is asked ---------------------------------------------------------------------------

    def books(self, tx: Transaction, *, now_ms: int) -> CloudBooks:
        """Open the books for one turn."""
        return CloudBooks(tx, now_ms=now_ms)

    def handle(self, batch: Sequence[Inbound], books: CloudBooks) -> Turn:
        """Work a batch: the token service first, then the phones."""
        turn, knocks = Turn(), list[Knock]()
        others: list[tuple[Inbound, Call | Reply]] = []
        for inbound in batch:
            if inbound.kind is not Arrival.FRAME:
                self._link_changed(inbound, books, turn)
                continue
            message = self._read(inbound, books, turn)
            if isinstance(message, Call) and _of_a_phone(message):
                knocks.append(Knock(inbound, message))
            elif message is not None:
                others.append((inbound, message))
        self._desk.work(others, books, turn)
        self._work_phones(knocks, books, turn)
        self._end(books, turn)
        return turn

    def due(self, books: CloudBooks) -> Turn:
        """Give up on unanswered questions, and clear a bounded number of old rows away."""
        turn, config = Turn(), self._config
        self._desk.due(books, turn, caller=self.name)
        books.forget_old(nonces_ms=2 * config.fresh_ms, pushes_ms=config.push_kept_ms)
        self._end(books, turn)
        return turn

    def refuse(self, inbound: Inbound, fault: Exception, now_ms: int) -> Turn:
        """Answer one call that cannot be worked; nothing is stored."""
        turn = Turn()
        what = f"call not worked: {type(fault).__name__}"
        turn.events.append(Event(source=self.name, title=what, reason=ProblemCode.MALFUNCTION.name, at_ms=now_ms))
        turn.outbound += self._desk.refuse(inbound, fault)
        return turn

    # -- arrivals ------------------------------------------------------------------------------------------------------

    def _link_changed(self, inbound: Inbound, books: CloudBooks, turn: Turn) -> None:
        if inbound.station == self._config.tsp and inbound.kind is Arrival.UP:
            self._mirror.catch_up(self._desk, books, turn)

    def _read(self, inbound: Inbound, books: CloudBooks, turn: Turn) -> Call | Reply | None:
        message = self._desk.read(inbound) if is_json_frame(inbound.frame) else problem(ProblemCode.FORMAT, "no JSON frame")
        if isinstance(message, Problem):
            self._turn_away(Knock(inbound, Call(id="", op="a frame"), message), books, turn)
            return None
        return message

    def _work_phones(self, knocks: Sequence[Knock], books: CloudBooks, turn: Turn) -> None:
        """Let phones in, as many as one turn is good for, and work their calls in the order of arrival."""
        most = self._config.inbox_most
        self._put_off([*(knock for knock in knocks[:most] if self._late(knock, books)), *knocks[most:]], books)
        self._gate.admit([knock for knock in knocks if knock.problem is None], books)
        inside = [(knock, knock.origin) for knock in knocks if knock.problem is None]
        self._desk.load([origin for _, origin in inside], books=books)
        asked = [(knock.signed.device, origin.op) for knock, origin in inside]
        books.load_ahead(
            keys=[device for device, op in asked if op.startswith("keys.")],
            news=[device for device, op in asked if op == "news.take"],
        )
        for knock in knocks:
            if knock.problem is not None:
                self._turn_away(knock, books, turn)
        for knock, origin in inside:
            if self._watch:
                turn.events.append(
                    call_event(self.name, origin.op, phone=knock.signed.device, call=origin.id, at_ms=books.now_ms)
                )
            self._desk.call(knock.call, origin, books=books, turn=turn)

    def _late(self, knock: Knock, books: CloudBooks) -> bool:
        """Whether a call has lain in the inbox until its phone is about to give up."""
        arrived_ms = knock.inbound.arrived_ms
        return bool(arrived_ms) and books.now_ms - arrived_ms > self._config.patience_ms

    def _put_off(self, knocks: Sequence[Knock], books: CloudBooks) -> None:
        """Tell phones when to come again: each at another second, the same whenever this turn is run again."""
        config = self._config
        for knock in knocks:
            spread = zlib.crc32(f"{knock.call.id}/{books.now_ms}/{knock.inbound.station}".encode()) % config.retry_spread_s
            knock.problem = Reason.INBOX_FULL.problem(retry_after_s=config.retry_first_s + spread)

    def _turn_away(self, knock: Knock, books: CloudBooks, turn: Turn) -> None:
        """Refuse in plain: who is not known has no session to seal for."""
        refusal, call = knock.problem, knock.call
        assert refusal is not None
        reply = Reply(id=call.id, status=refusal.status, body=encoded(refusal))
        turn.outbound.append(Outbound(knock.inbound.station, pack(reply)))
        phone = call.device.device if call.device else ""
        turn.events.append(gate_event(self.name, call.op, refusal, phone=phone, at_ms=books.now_ms))

    # -- the end of a turn ---------------------------------------------------------------------------------------------

    def _keep(self, books: CloudBooks, origin: Origin, reply: Reply) -> Reply | None:
        """Keep the replies of sessions back, to seal them together."""
        if not origin.session:
            return reply
        books.leaving.append((origin, reply))
        return None

    def _end(self, books: CloudBooks, turn: Turn) -> None:
        """Derive what this turn's key sets need, then seal and send what is leaving."""
        self._replenish.work_off(books)
        leaving, books.leaving = books.leaving, []
        if not leaving:
            return
        books.load(sessions=[origin.session for origin, _ in leaving])
        bodies, sealable = list[SealedBody](), list[tuple[Origin, Reply]]()
        for origin, reply in leaving:
            session = books.session(origin.session)
            if session is None:  # it ended while the token service thought
                over = Reason.SESSION_OVER.problem()
                self._send(turn, origin, Reply(id=reply.id, status=over.status, body=encoded(over)), books)
                continue
            context = wallet.sealing_context(origin.op, origin.session, origin.counter, reply=True)
            bodies.append(SealedBody(KeyBlock(session.block), bytes(reply.body), context))
            sealable.append((origin, reply))
        for (origin, reply), sealed in zip(sealable, self._prover.seal_bodies(bodies), strict=True):
            body = encoded(wallet.Sealed(sealed=sealed.hex()))
            self._send(turn, origin, Reply(id=reply.id, status=reply.status, body=body), books)

    def _send(self, turn: Turn, origin: Origin, reply: Reply, books: CloudBooks) -> None:
        turn.outbound.append(Outbound(origin.station, pack(reply)))
        if self._watch:
            phone = origin.caller.partition("/")[2]
            event = reply_event(self.name, origin.op, phone=phone, call=origin.id, status=reply.status, at_ms=books.now_ms)
            turn.events.append(event)


def _of_a_phone(call: Call) -> bool:
    """Whether only a phone may ask this; what nobody serves goes to the desk, which says so."""
    row = operation(call.op)
    return row is not None and row.host == "cloud" and row.role in PHONES


def _prepare(books: CloudBooks, abouts: Sequence[bytes]) -> None:
    """Fetch at once the phones and tokens that these replies are about."""
    noted = [msgspec.json.decode(about, type=About) for about in abouts]
    books.load(devices=[about.device for about in noted], tokens=[about.token for about in noted if about.token])
