"""A switch with a token service: a member that resolves tokens as its test tells it to."""

import os
from pathlib import Path

from shanfu.hsm import Algorithm, KeyUsage
from shanfu.iso8583 import Message, Outcome, TokenAnswer, TokenBlock, Value, encode_par, parse_outcomes, response_mti
from shanfu.links import Kind
from shanfu.network import VAULT, NetworkConfig, add_route, install_key
from tests.network.switch import HARBOUR, LANTERN, PAN_LANTERN, START_MS, Peer, Switch

TSP, TRID = "90100000", "90100000001"
TOKEN, TOKEN_HARBOUR = "6250940000000019", "6250950000000018"
PAR = "SF01" + "0" * 21 + "TEST"
CARD_EXPIRY = "3112"


def ends(advice: Message) -> list[Outcome]:
    """How payments ended, as an advice to the token service says it."""
    assert advice.mti in ("0620", "0621")
    return parse_outcomes(advice.text(59))


class Mint(Switch):
    """The switch, Lantern, Harbour, and the token service, which shares the vault key with the switch."""

    def __init__(self, folder: Path, config: NetworkConfig | None = None, where: str = "", *, vault: bool = True) -> None:
        super().__init__(folder, config, where)
        self.tsp = self.enrol(TSP, TSP, {"tsp"})
        parts = [os.urandom(32), os.urandom(32)]
        if vault:
            install_key(self.store, VAULT, self.hsm.form(KeyUsage.VAULT, Algorithm.AES, parts), now_ms=START_MS)
        self.vault = self.tsp.hsm.form(KeyUsage.VAULT, Algorithm.AES, parts)
        add_route(self.store, "625094", LANTERN, station=TSP, now_ms=START_MS)
        add_route(self.store, "625095", HARBOUR, station=TSP, now_ms=START_MS)

    def sign_on(self, *peers: Peer) -> None:
        """Sign on; the token service gets a MAC key and no PIN key."""
        wanted = peers or tuple(self.peers.values())
        for peer in wanted:
            if peer is not self.tsp:
                super().sign_on(peer)
        if self.tsp in wanted:
            self.news(self.tsp, Kind.UP)
            answer, mak = self.send(self.tsp, self.management(self.tsp, "001"))
            assert (answer.mti, answer.text(39)) == ("0830", "00")
            assert self.send(self.tsp, self.tsp.take_reset(mak)) == []

    # -- what the token service says -----------------------------------------------------------------------------------

    def record(self, pan: str, token: str) -> bytes:
        return self.tsp.hsm.seal(self.vault, [(pan.encode(), b"token/" + token.encode())])[0]

    def resolved(self, asked: Message, pan: str = PAN_LANTERN, **odd: Value | None) -> Message:
        """The token stands for this card."""
        token = asked.text(2)
        block = TokenBlock(verified="1", token=token, expiry="3012", assurance="11", scenario="01", trid=TRID)
        words = TokenAnswer(block=block, record=self.record(pan, token))
        fields = asked.copy(3, 4, 7, 11, 12, 13, 15, 25, 32, 33, 37, 41, 42, 49, 60, 100) | {
            2: pan, 14: CARD_EXPIRY, 39: "00", 56: encode_par(PAR), 63: words.field(),
        }  # fmt: skip
        fields |= {int(name[1:]): value for name, value in odd.items() if value is not None}
        gone = {int(name[1:]) for name, value in odd.items() if value is None}
        return Message(response_mti(asked.mti), {number: value for number, value in fields.items() if number not in gone})

    def refused(self, asked: Message, code: str, reason: str) -> Message:
        return self.tsp.answer(asked, code, f63=TokenAnswer(reason=reason).field())

    # -- whole exchanges -----------------------------------------------------------------------------------------------

    def asked_tsp(self, request: Message) -> Message:
        """Send a token's request and return it as the token service got it."""
        self.inbox(self.issuer)
        asked = self.forwarded(request, issuer=self.tsp)
        assert self.inbox(self.issuer) == []
        return asked

    def asked_issuer(self, request: Message, *, pan: str = PAN_LANTERN, issuer: Peer | None = None) -> Message:
        """Send a token's request, have it resolved, and return it as the issuer got it."""
        peer = issuer or self.issuer
        asked = self.asked_tsp(request)
        peer.got.clear()
        assert self.send(self.tsp, self.resolved(asked, pan)) == []
        [passed_on] = self.inbox(peer)
        return passed_on

    def echo(self, asked: Message, code: str = "00", **odd: Value) -> Message:
        """What an issuer answers: the token's data goes back as it came."""
        told: dict[str, Value] = {"f63": asked.binary(63)} if 63 in asked else {}
        return self.issuer.answer(asked, code, **(told | odd))

    def bought(self, request: Message | None = None, code: str = "00") -> tuple[Message, Message]:
        """A payment with a token all the way: the acquirer's request and the answer to it; the outcome is acknowledged."""
        request = request or self.purchase(pan=TOKEN)
        asked = self.asked_issuer(request)
        self.inbox(self.acquirer)
        self.inbox(self.tsp)
        assert self.send(self.issuer, self.echo(asked, code)) == []
        [reply] = self.inbox(self.acquirer)
        [outcome] = self.inbox(self.tsp)
        assert self.send(self.tsp, self.tsp.answer(outcome)) == []
        return request, reply
