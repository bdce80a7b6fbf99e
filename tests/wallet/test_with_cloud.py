"""The phone with the real key cloud and the real token service behind it: what one writes, the other reads."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shanfu.card import Interface
from shanfu.crypto import CardAlgorithm, SessionKey, cryptogram_key
from shanfu.emv import FCI, IssuerApplicationData, commands, cryptogram_input, parse_gpo_response
from shanfu.links.crash import CRASH_POINTS
from shanfu.messages import Call, IDVMethod, JSONFrames, Reply, TokenState, pack, unpack
from shanfu.store import DictMemory
from shanfu.tokens import KeyScheme
from shanfu.wallet import Added, DeviceKeyStore, Model, Phone, Reason, Refreshed
from tests.card.bench import TERMINAL
from tests.cloud.test_with_service import Town, expected_key
from tests.cloud.world import LANTERN, PATIENCE_MS
from tests.wallet.bench import ask

VALUES = {tag: bytes.fromhex(text) for tag, text in TERMINAL.items()}


class Line:
    """A phone's line to the cloud of a town."""

    def __init__(self, town: Town) -> None:
        self.waits = ""
        self._line = town.net.terminal(
            town.house,
            framing=JSONFrames,
            timeout_ms=PATIENCE_MS,
            matches=lambda _, frame: unpack(frame, Reply).id == self.waits,
        )

    def __call__(self, call: Call) -> Reply:
        self.waits = call.id
        return unpack(self._line.ask(pack(call)), Reply)


class Holder:
    """A phone in somebody's hand."""

    def __init__(self, town: Town) -> None:
        self.town, self.storage, self.keystore = town, DictMemory(), DictMemory()
        self.restart()

    def restart(self) -> None:
        keys = DeviceKeyStore(self.keystore)
        self.phone = Phone(self.storage, keys, model=Model(name="x"), clock=self.town.clock, cloud=Line(self.town))
        self.app = self.phone.app(LANTERN)

    def add(self) -> Added:
        phone, app = self.phone, self.app
        phone.do(app.enrol())
        login: Any = phone.do(app.login("lilei", "open sesame"))
        added: Any = phone.do(app.add_card(login.cards[0].card))
        token = added.view.token
        phone.do(app.choose_idv(token, IDVMethod.SMS))
        active: Any = phone.do(app.submit_code(token, IDVMethod.SMS, "246810"))
        assert isinstance(active, Added), active
        return active

    def tap(self) -> str:
        """Wave: OK when the cryptogram is the one that the token's own key gives, else the sentence's name."""
        target = self.phone.tap_target
        assert target.power_on(Interface.CONTACTLESS)
        fci = FCI.parse(ask(target, commands.select(bytes.fromhex("A000000333010101"))).data)
        assert fci.pdol is not None
        answer = ask(target, commands.get_processing_options(fci.pdol.fill(VALUES)))
        target.power_off()
        if not answer.ok:
            return str(self.phone.shown[-1].reason)
        tags = parse_gpo_response(answer.data)
        iad = IssuerApplicationData.parse(tags[0x9F10])
        assert iad.key_index is not None
        atc = int.from_bytes(tags[0x9F36])
        key = cryptogram_key(KeyScheme.SHANFU_1, expected_key(tags[0x57].hex()[:16], iad.key_index), atc)
        right = SessionKey(CardAlgorithm.TDES, key).cryptogram(cryptogram_input(iad.cvn, VALUES | tags))
        return "OK" if right == tags[0x9F26] else "CRYPTOGRAM_WRONG"


@pytest.fixture(params=[False, True], ids=["apart", "together"])
def town(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Town]:
    town = Town(tmp_path, together=request.param)
    yield town
    town.store.close()


def test_the_story(town: Town) -> None:
    one = Holder(town)
    added = one.add()
    assert (added.view.state, added.missing) == (TokenState.ACTIVE, None)
    one.phone.online(False)
    assert [one.tap() for _ in range(4)] == ["OK", "OK", "OK", "COUNT_EXHAUSTED"], "nobody vouches for it: three uses"
    one.phone.online(True)
    assert one.tap() == "COUNT_EXHAUSTED"
    assert one.phone.do(one.app.open()) == Refreshed(replenished=(added.view.token,))
    assert one.tap() == "OK"
    one.restart()
    assert one.tap() == "OK"


def test_frozen_suspended_deleted(town: Town) -> None:
    one = Holder(town)
    token = one.add().view.token
    assert one.phone.do(one.app.freeze(token)) is None
    assert one.tap() == "FROZEN"
    assert one.phone.do(one.app.unfreeze(token)) is None
    assert one.tap() == "OK"
    assert one.phone.do(one.app.delete(token)) is None
    town.settle()
    one.phone.do(one.app.open())
    assert one.app.cards() == []


def test_an_expired_token_is_renewed_by_opening_the_app(town: Town) -> None:
    one = Holder(town)
    one.add()
    town.clock.advance(37 * 31 * 86_400_000)
    town.settle()
    assert one.tap() == "TOKEN_EXPIRED"
    one.phone.do(one.app.open())
    assert one.tap() == "OK"


def test_the_usual_life_is_no_suspicion(town: Town) -> None:
    one = Holder(town)
    token = one.add().view.token
    for day in range(12):
        one.tap()
        if day % 3 == 2:
            assert isinstance(one.phone.do(one.app.open()), Refreshed)
        town.clock.advance(3_600_000 * 8)
    assert one.phone.handset.state().tokens[token].view.state is TokenState.ACTIVE
    assert one.app.cards()[0].why_not in (None, Reason.COUNT_EXHAUSTED)


@pytest.mark.parametrize("victim", ["cloud", "tsp"])
@pytest.mark.parametrize("nth", [1, 2])
@pytest.mark.parametrize("point", CRASH_POINTS)
def test_hosts_that_die_while_the_app_is_open_cost_nothing_but_time(
    tmp_path: Path, victim: str, nth: int, point: str, record_property: Any
) -> None:
    town = Town(tmp_path, together=False)
    one = Holder(town)
    one.add()
    assert [one.tap() for _ in range(3)] == ["OK"] * 3
    town.net.crash_at(victim, point, nth=nth)
    for _ in range(4):
        one.phone.do(one.app.open())
        town.settle(30_000)
    assert [one.tap() for _ in range(4)] == ["OK"] * 3 + ["COUNT_EXHAUSTED"]
    record_property("kills", 1)
    town.store.close()
