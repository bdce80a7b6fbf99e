"""A switch with the members around it: each with an HSM of its own, holding only what key ceremonies and resets gave it."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from shanfu.clock import ManualClock, local
from shanfu.crypto import PIN, Cipher, PinFormat, combine, decipher_pin, encipher_pin, odd_parity
from shanfu.crypto import Algorithm as Block
from shanfu.events import Recorder
from shanfu.hsm import LMK, Algorithm, KeyBlock, KeyUsage, MACAlgorithm, MACJob, SoftHSM, WorkingKey
from shanfu.iso8583 import (
    InterbankFrame,
    InterbankHeader,
    Message,
    OriginalData,
    UsageField,
    Value,
    decode_interbank,
    encode_interbank,
    mac_input,
    prepare_interbank,
    response_mti,
)
from shanfu.links import Inbound, Kind, Worker
from shanfu.network import (
    LOOKUP,
    SCHEMA,
    SEAL,
    Network,
    NetworkConfig,
    add_route,
    enrol_member,
    install_key,
    mmk_label,
)
from shanfu.store import Store

NETWORK, LANTERN, HARBOUR = "00010000", "99010000", "99020000"
START_MS = 1_767_600_000_000  # 2026-01-05 16:00 in China
TODAY, TOMORROW = "20260105", "20260106"
PAN_LANTERN, PAN_OTHER, PAN_HARBOUR = "6209010000000012", "6209010000000020", "6209110000000011"
PIN_DIGITS = "493817"
SECOND_MS = 1_000


def sealed(hsm: SoftHSM, frame: InterbankFrame, key: KeyBlock) -> bytes:
    """Make DE128 and the frame."""
    unsealed = prepare_interbank(frame)
    job = MACJob(key=key, algorithm=MACAlgorithm.X9_19, data=unsealed.mab)
    return unsealed.seal(hsm.make_macs([job])[0])


@dataclass
class Peer:
    """A member's end of one link: acquirer, issuer, or both."""

    station: str
    institution: str
    mmk_clear: bytes = field(repr=False)
    hsm: SoftHSM
    mmk: KeyBlock = field(repr=False)
    mak: KeyBlock | None = field(default=None, repr=False)
    old_mak: KeyBlock | None = field(default=None, repr=False)
    pik_clear: bytes = field(default=b"", repr=False)
    got: list[Message] = field(default_factory=list)
    frames: list[bytes] = field(default_factory=list)

    def frame(self, message: Message) -> InterbankFrame:
        return InterbankFrame(InterbankHeader(destination=NETWORK, source=self.institution), message)

    def seal(self, message: Message) -> bytes:
        """A frame with DE128 under the newest key; management without keys goes plain."""
        frame = self.frame(Message(message.mti, {n: v for n, v in message.fields.items() if n != 128}))
        if self.mak is None or message.mti.startswith("082") or message.mti.startswith("083"):
            return encode_interbank(frame)
        return sealed(self.hsm, frame, self.mak)

    def right(self, message: Message, key: KeyBlock | None = None) -> bool:
        """Whether DE128 is right under the newest key."""
        under = key or self.mak
        assert under
        job = MACJob(key=under, algorithm=MACAlgorithm.X9_19, data=mac_input(message))
        return self.hsm.verify_macs([(job, message.text(128, "").encode())])[0]

    def take_reset(self, message: Message) -> Message:
        """Install the key that an 0800 brings, having checked its MAC as the wires page says; return the 0810."""
        assert (message.mti, message.text(70)) == ("0800", "101")
        value = UsageField.parse(message.binary(48)).get("NK")
        assert value is not None
        received = WorkingKey(cryptogram=value[:16], check=value[16:])
        is_mak = message.text(53) == "2600000000000000"
        assert is_mak or message.text(53) == "1600000000000000"
        usage = KeyUsage.MAK if is_mak else KeyUsage.PIK
        key = self.hsm.import_working_key(received, self.mmk, usage, Algorithm.TDES)
        assert self.right(message, key if is_mak else self.mak)
        if is_mak:
            self.old_mak, self.mak = self.mak, key
        else:
            self.pik_clear = Cipher(Block.TDES, self.mmk_clear).decrypt(value[:16])
        return Message("0810", {**message.copy(7, 11, 33, 53, 70), 39: "00"})

    def pin_block(self, pan: str, digits: str = PIN_DIGITS) -> bytes:
        return encipher_pin(Cipher(Block.TDES, self.pik_clear), PinFormat.ISO0, PIN(digits), pan=pan)

    def read_pin(self, message: Message) -> PIN:
        cipher = Cipher(Block.TDES, self.pik_clear)
        return decipher_pin(cipher, PinFormat.ISO0, message.binary(52), pan=message.text(2))

    def answer(self, request: Message, code: str = "00", **odd: Value) -> Message:
        """What an issuer says to a request."""
        fields = request.copy(2, 3, 4, 7, 11, 12, 13, 15, 25, 32, 33, 37, 41, 42, 49, 60, 100) | {39: code}
        if code == "00" and request.mti == "0200":
            fields[38] = "A1B2C3"
        return Message(response_mti(request.mti), fields | {int(name[1:]): value for name, value in odd.items()})


class Death(BaseException):
    """The network dies here, as by SIGKILL."""


class Switch:
    """The network with Lantern (acquirer and issuer on one link each) and Harbour (one link for both)."""

    def __init__(self, folder: Path, config: NetworkConfig | None = None, where: str = "") -> None:
        self.config, self.clock = config or NetworkConfig(), ManualClock(START_MS)
        self.hsm = SoftHSM(LMK.generate())
        self.path = folder / "network.db"
        self.store = Store.open(where or self.path, schema=SCHEMA, name="network")
        self.events = Recorder()
        self.peers: dict[str, Peer] = {}
        self.stan = 0
        self.dies_at = ""
        now_ms = START_MS
        install_key(self.store, LOOKUP, self.hsm.generate(KeyUsage.LOOKUP, Algorithm.HMAC), now_ms=now_ms)
        install_key(self.store, SEAL, self.hsm.generate(KeyUsage.SEAL, Algorithm.AES), now_ms=now_ms)
        self.acquirer = self.enrol("99010000", LANTERN, {"acquirer"})
        self.issuer = self.enrol("99010000-issuer", LANTERN, {"issuer"})
        self.harbour = self.enrol(HARBOUR, HARBOUR, {"acquirer", "issuer"})
        add_route(self.store, "62", HARBOUR, now_ms=now_ms)
        add_route(self.store, "620901", LANTERN, station=self.issuer.station, now_ms=now_ms)
        self.start()

    def enrol(self, station: str, institution: str, roles: set[str]) -> Peer:
        hsm, parts = SoftHSM(LMK.generate()), [odd_parity(os.urandom(16)) for _ in range(3)]
        enrol_member(self.store, institution, name=f"member {station}", roles=frozenset(roles), station=station)
        ours = self.hsm.form(KeyUsage.KEK, Algorithm.TDES, parts)
        install_key(self.store, mmk_label(station), ours, now_ms=START_MS)
        peer = Peer(station, institution, combine(parts), hsm, hsm.form(KeyUsage.KEK, Algorithm.TDES, parts))
        self.peers[station] = peer
        return peer

    def start(self) -> None:
        """A process of the network begins its life over the same books."""
        self.host = Network(self.config, self.hsm, watch=True)
        self.worker = Worker(self.host, self.store, self.clock, send=self._sent, events=self.events, crash_point=self._passing)

    def _passing(self, point: str) -> None:
        if self.dies_at and point.endswith(self.dies_at):
            self.dies_at = ""
            raise Death

    def mortal(self, work: Callable[[], None]) -> None:
        """Let the network work; when it dies at the chosen point, its next life begins and everybody signs on."""
        try:
            work()
        except Death:
            self.worker.abandon()
            self.start()
            self.sign_on()

    def _sent(self, station: str, frames: list[bytes]) -> None:
        peer = self.peers[station]
        peer.frames += frames
        peer.got += [decode_interbank(frame).message for frame in frames if frame[45:50] == b"00000"]

    # -- wires ---------------------------------------------------------------------------------------------------------

    def turn(self, *batch: tuple[Peer, bytes]) -> None:
        now_ms = self.clock.now_ms()
        self.mortal(lambda: self.worker.turn([Inbound(peer.station, frame, arrived_ms=now_ms) for peer, frame in batch]))

    def send(self, peer: Peer, *messages: Message) -> list[Message]:
        """Send messages in one batch and return what this peer got back at once."""
        peer.got.clear()
        self.turn(*[(peer, peer.seal(message)) for message in messages])
        return self.inbox(peer)

    def ask(self, peer: Peer, message: Message) -> Message:
        [reply] = self.send(peer, message)
        return reply

    def news(self, peer: Peer, kind: Kind) -> None:
        self.worker.turn([Inbound(peer.station, kind=kind, arrived_ms=self.clock.now_ms())])

    def tick(self, ms: int = 0) -> None:
        self.clock.advance(ms)
        self.mortal(self.worker.tick)

    def inbox(self, peer: Peer) -> list[Message]:
        """What the peer has got since the last look."""
        got, peer.got = peer.got, []
        return got

    def management(self, peer: Peer, code: str, **odd: Value) -> Message:
        fields: dict[int, Value] = {7: self.sent(), 11: self.next_stan(), 33: peer.institution, 70: code}
        return Message("0820", fields | {int(name[1:]): value for name, value in odd.items()})

    def sign_on(self, *peers: Peer) -> None:
        for peer in peers or tuple(self.peers.values()):
            self.news(peer, Kind.UP)
            answer, mak = self.send(peer, self.management(peer, "001"))
            assert (answer.mti, answer.text(39)) == ("0830", "00")
            [pik] = self.send(peer, peer.take_reset(mak))
            assert self.send(peer, peer.take_reset(pik)) == []

    # -- messages ------------------------------------------------------------------------------------------------------

    def sent(self) -> str:
        return f"{local(self.clock.now_ms()):%m%d%H%M%S}"

    def next_stan(self) -> str:
        self.stan += 1
        return f"{self.stan:06d}"

    def purchase(
        self,
        amount_minor: int = 1234,
        pan: str = PAN_LANTERN,
        *,
        by: Peer | None = None,
        pin: bool = False,
        **odd: Value | None,
    ) -> Message:
        peer = by or self.acquirer
        now = local(self.clock.now_ms())
        stan = self.next_stan()
        fields: dict[int, Value] = {
            2: pan, 3: "000000", 4: f"{amount_minor:012d}", 7: self.sent(), 11: stan, 12: f"{now:%H%M%S}", 13: f"{now:%m%d}",
            14: "3012", 18: "5812", 22: "072", 23: "001", 25: "00", 32: peer.institution, 33: peer.institution,
            35: f"{pan}=30122010000000000", 37: f"601516{stan}", 41: "10000001", 42: "990290058120001",
            43: f"{'TEAHOUSE SHANGHAI':<40}", 49: "156", 53: "0600000000000000", 55: bytes.fromhex("9F2608AABBCCDDEEFF0011"),
            60: "00000600030000000000",
        }  # fmt: skip
        if pin:
            fields |= {22: "071", 26: "12", 52: peer.pin_block(pan), 53: "2600000000000000"}
        return _odd("0200", fields, odd)

    def balance(self, **odd: Value | None) -> Message:
        purchase = self.purchase()
        del purchase.fields[4]
        return _odd("0200", purchase.fields | {3: "310000"}, odd)

    def _about(self, original: Message, **fields: Value) -> dict[int, Value]:
        text = original.text
        data = OriginalData.of(mti="0200", stan=text(11), sent=text(7), acquirer=text(32), forwarder=text(33))
        kept = original.copy(2, 3, 4, 12, 13, 18, 22, 23, 25, 32, 33, 37, 41, 42, 43, 49, 60)
        own = {7: self.sent(), 11: self.next_stan(), 90: data.encode()}
        return kept | own | {int(name[1:]): value for name, value in fields.items()}

    def void(self, original: Message, **odd: Value | None) -> Message:
        return _odd("0200", self._about(original, f3="200000", f37=f"601517{self.next_stan()}", f38="A1B2C3"), odd)

    def refund(self, original: Message, **odd: Value | None) -> Message:
        return _odd("0220", self._about(original, f3="200000", f37=f"601518{self.next_stan()}"), odd)

    def reversal(self, original: Message, why: str = "98", **odd: Value | None) -> Message:
        return _odd("0420", self._about(original, f39=why), odd)

    def offline(self, amount_minor: int = 500, **odd: Value | None) -> Message:
        """An offline approval: 9F27 says TC, 8A says Y1; the cryptogram is the issuer's affair."""
        chip = bytes.fromhex("9F2608AABBCCDDEEFF00119F2701409F360200018A025931")
        purchase = self.purchase(amount_minor).fields
        kept = {number: value for number, value in purchase.items() if number not in (35, 53)}
        return _odd("0220", kept | {55: chip, 60: "000006000300000000000"}, odd)

    def script_result(self, original: Message, **odd: Value | None) -> Message:
        fields = self._about(original) | {22: "051", 37: original.text(37), 55: bytes.fromhex("DF310520000000019F36020001")}
        return _odd("0620", {number: value for number, value in fields.items() if number != 43}, odd)

    # -- whole exchanges -----------------------------------------------------------------------------------------------

    def forwarded(self, message: Message, *, issuer: Peer | None = None, by: Peer | None = None) -> Message:
        """Send a request and return it as the issuer got it."""
        peer = issuer or self.issuer
        peer.got.clear()
        assert self.send(by or self.acquirer, message) == []
        [asked] = self.inbox(peer)
        return asked

    def paid(self, message: Message | None = None, code: str = "00") -> tuple[Message, Message]:
        """A request all the way and its answer back: the request and the acquirer's answer."""
        message = message or self.purchase()
        self.acquirer.got.clear()
        asked = self.forwarded(message)
        assert self.send(self.issuer, self.issuer.answer(asked, code)) == []
        [reply] = self.inbox(self.acquirer)
        return message, reply

    def reasons(self) -> list[str]:
        """The reasons told since the last look."""
        return [event.reason for event in self.events.drain() if event.reason]


def _odd(mti: str, fields: dict[int, Value], odd: dict[str, Value | None]) -> Message:
    changed = fields | {int(name[1:]): value for name, value in odd.items() if value is not None}
    return Message(mti, {number: changed[number] for number in sorted(changed) if odd.get(f"f{number}", "") is not None})
