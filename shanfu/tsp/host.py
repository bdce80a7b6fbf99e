"""The token service's host: batches in, answers out, over two wires.

The network asks what a token is worth (interbank messages under the link's MAC: `payment`); requestors and issuers ask for
tokens and tell what happened to them (JSON calls: the desk and its handlers). A batch is worked in stretches of one kind, in
the order of arrival; a key reset stands between stretches, so that what comes before it is proved under the old keys.

Sources: the shape of hosts in `shanfu.links`; docs/tokens.md for tokens' lives, docs/wires.md for what is answered.
"""

from collections.abc import Mapping, Sequence
from typing import TypeVar

import msgspec
from msgspec import Struct

from shanfu.errors import DecodeError
from shanfu.events import Event
from shanfu.hosts import Desk, MemberManagement, interbank_event, opened, rejected, written
from shanfu.hsm import HSM
from shanfu.iso8583 import InterbankFrame, decode_interbank, encode_interbank, is_request
from shanfu.links import Inbound, Kind, Outbound, Turn
from shanfu.messages import Call, Problem, Reply, is_json_frame
from shanfu.store import Transaction
from shanfu.tsp.books import DESK, TSPBooks
from shanfu.tsp.cards import CardEvents
from shanfu.tsp.changes import LifeCycle, expire
from shanfu.tsp.config import TSPConfig
from shanfu.tsp.counter import Counter
from shanfu.tsp.idv import IDV
from shanfu.tsp.key_desk import KeySets
from shanfu.tsp.payment import Payments
from shanfu.tsp.provisioning import Provisioning
from shanfu.tsp.requestors import caller_of
from shanfu.tsp.vault import BY_TOKEN

__all__ = ["TSP"]

MACED = frozenset({"01", "02", "04", "06"})  # classes of messages that carry DE128 and are worked in stretches
REFERENCE = 32  # characters of a token reference
Stretch = list[tuple[Inbound, InterbankFrame]]
Calls = list[tuple[Inbound, Call | Reply]]
T = TypeVar("T")


class TSP:
    """The token service provider. With `watch` it tells every frame and every decision as events."""

    def __init__(self, config: TSPConfig, hsm: HSM, watch: bool = False) -> None:
        config.check()
        self.name, self._config, self._watch = config.name, config, watch
        self._management = MemberManagement[TSPBooks](config, hsm)
        self._life = LifeCycle(config.name, watch)
        self._payments = Payments(config, hsm, self._life, watch=watch)
        self._key_sets = KeySets(config, hsm, self._life)
        self._idv = IDV(config, self._life)
        provisioning, counter = Provisioning(config, hsm, self._life), Counter(config, hsm, self._life)
        clerks = (provisioning, self._idv, counter)
        self._desk = Desk[TSPBooks](
            "tsp",
            DESK,
            served=_all(self._key_sets.served(), CardEvents(config, hsm, self._life).served(), *(c.served() for c in clerks)),
            answered=_all(*(clerk.answered() for clerk in clerks)),
            speakers={config.requestor_station: [caller_of(trid) for trid in config.requestors]},
            timeout_ms=config.ask_timeout_ms,
        )

    # -- the three questions a host is asked ---------------------------------------------------------------------------

    def books(self, tx: Transaction, *, now_ms: int) -> TSPBooks:
        """Open the books for one turn."""
        return TSPBooks(tx, now_ms=now_ms)

    def handle(self, batch: Sequence[Inbound], books: TSPBooks) -> Turn:
        """Work a batch in the order of arrival, in stretches of one kind."""
        turn, stretch, calls = Turn(), Stretch(), Calls()
        for inbound in batch:
            if inbound.kind is Kind.FRAME and is_json_frame(inbound.frame):
                stretch = self._worked(stretch, books, turn)
                self._take(inbound, calls, turn)
                continue
            calls = self._heard(calls, books, turn)
            frame = self._open(inbound, books, turn)
            if frame is not None and frame.message.mti[:2] in MACED and is_request(frame.message.mti):
                stretch.append((inbound, frame))
                continue
            stretch = self._worked(stretch, books, turn)
            if inbound.kind is not Kind.FRAME:
                self._link_changed(inbound, books, turn)
            elif frame is not None:
                self._manage(frame, books, turn)
        self._worked(stretch, books, turn)
        self._heard(calls, books, turn)
        turn.events.extend(books.told)
        return turn

    def due(self, books: TSPBooks) -> Turn:
        """Ask again for an unanswered sign-on, send notices, let tokens expire; a bounded number of rows."""
        turn = Turn()
        for frame in self._management.unanswered(books):
            self._send(turn, books, frame)
        self._key_sets.due(books, turn)
        self._idv.due(books)
        expire(self._life, books)
        self._desk.due(books, turn, caller=self._config.station)
        turn.events.extend(books.told)
        return turn

    def refuse(self, inbound: Inbound, fault: Exception, now_ms: int) -> Turn:
        """Answer one message that cannot be worked; nothing is stored."""
        turn = Turn()
        what = f"message not worked: {type(fault).__name__}"
        turn.events.append(Event(source=self.name, title=what, reason="MALFUNCTION", at_ms=now_ms))
        if inbound.kind is not Kind.FRAME:
            return turn
        if is_json_frame(inbound.frame):
            turn.outbound.extend(self._desk.refuse(inbound, fault))
        elif inbound.station == self._config.network:
            self._refuse_interbank(inbound, fault, turn)
        return turn

    def _refuse_interbank(self, inbound: Inbound, fault: Exception, turn: Turn) -> None:
        try:
            frame = decode_interbank(inbound.frame)
        except DecodeError:
            self._reject(inbound, turn)
            return
        if not frame.header.rejected and frame.message.mti[:2] in MACED and is_request(frame.message.mti):
            turn.outbound.append(Outbound(inbound.station, self._payments.refusal(frame, fault)))

    # -- interbank arrivals --------------------------------------------------------------------------------------------

    def _open(self, inbound: Inbound, books: TSPBooks, turn: Turn) -> InterbankFrame | None:
        """Decode a frame from the network; what is not one is told, and goes back rejected where that is possible."""
        if inbound.kind is not Kind.FRAME:
            return None
        if inbound.station != self._config.network:
            self._tell(turn, books, f"dropped a frame from {inbound.station}: not our network")
            return None
        try:
            frame = opened(inbound)
        except DecodeError as fault:
            self._tell(turn, books, f"rejected a frame that does not parse: {fault}", "FORMAT_ERROR")
            self._reject(inbound, turn)
            return None
        if frame.header.rejected:
            self._tell(turn, books, f"our message came back with reject code {frame.header.reject_code}")
            return None
        if self._watch:
            event = interbank_event(
                written(inbound), frame.message, source=inbound.station, target=self.name, at_ms=books.now_ms
            )
            turn.events.append(event)
        return frame

    def _reject(self, inbound: Inbound, turn: Turn) -> None:
        if (back := rejected(inbound.frame)) is not None:
            turn.outbound.append(Outbound(inbound.station, back))

    def _link_changed(self, inbound: Inbound, books: TSPBooks, turn: Turn) -> None:
        if inbound.station != self._config.network:
            return
        if inbound.kind is Kind.DOWN:
            self._management.link_down(books)
        else:
            self._send(turn, books, self._management.link_up(books))

    def _manage(self, frame: InterbankFrame, books: TSPBooks, turn: Turn) -> None:
        message = frame.message
        if message.mti[:2] != "08":
            self._tell(turn, books, f"dropped {message.mti}: it answers nothing we have asked")
            return
        words, reply = self._management.heard(frame, books)
        if words:
            self._tell(turn, books, words)
        if reply is not None:
            self._send(turn, books, frame, reply)

    def _worked(self, stretch: Stretch, books: TSPBooks, turn: Turn) -> Stretch:
        """Work what the network has asked, and return an empty stretch."""
        if stretch:
            self._payments.work(stretch, books, turn)
        return []

    # -- JSON arrivals -------------------------------------------------------------------------------------------------

    def _take(self, inbound: Inbound, calls: Calls, turn: Turn) -> None:
        message = self._desk.read(inbound)
        if isinstance(message, Problem):
            turn.events.append(Event(source=self.name, title=f"dropped a frame from {inbound.station}: {message.detail}"))
        else:
            calls.append((inbound, message))

    def _heard(self, calls: Calls, books: TSPBooks, turn: Turn) -> Calls:
        """Work what requestors and issuers have said, and return an empty stretch."""
        if calls:
            books.tokens.load(BY_TOKEN, [name for _, call in calls if isinstance(call, Call) for name in _tokens_named(call)])
            self._desk.work(calls, books, turn)
        return []

    # -- telling -------------------------------------------------------------------------------------------------------

    def _send(self, turn: Turn, books: TSPBooks, frame: InterbankFrame, encoded: bytes = b"") -> None:
        raw = encoded or encode_interbank(frame)
        turn.outbound.append(Outbound(self._config.network, raw))
        if self._watch:
            message = decode_interbank(raw).message
            event = interbank_event(raw, message, source=self.name, target=self._config.network, at_ms=books.now_ms)
            turn.events.append(event)

    def _tell(self, turn: Turn, books: TSPBooks, title: str, reason: str = "") -> None:
        turn.events.append(Event(source=self.name, title=title, reason=reason, at_ms=books.now_ms))


class _Naming(Struct):
    """What a call says of tokens, whatever else it says."""

    token: str = ""
    tokens: tuple[str, ...] = ()


def _tokens_named(call: Call) -> list[str]:
    """Return the tokens that a call names, so that a crowd's are fetched by one query; none when its body is none."""
    try:
        naming = msgspec.json.decode(call.body, type=_Naming)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []  # its handler's desk will say what is wrong
    return [name for name in (naming.token, *naming.tokens) if len(name) == REFERENCE and name.isalnum()]


def _all(*parts: Mapping[str, T]) -> dict[str, T]:
    """Return these tables as one."""
    return {name: value for part in parts for name, value in part.items()}
