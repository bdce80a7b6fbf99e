"""The key cloud with the real token service behind it: each over its wire, and both in one process over one store."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shanfu import cloud, tsp
from shanfu.clock import ManualClock
from shanfu.cloud import SCHEMA, SIGN, Cloud, CloudConfig, list_tokens, numbers_label
from shanfu.crypto import Algorithm as Block
from shanfu.crypto import Cipher, P256Key, derive_key, udk_option_a, unwrap_secret
from shanfu.events import Recorder
from shanfu.hosts import Household, by_operation, install_key
from shanfu.hsm import LMK, Algorithm, KeyUsage, SoftHSM
from shanfu.links import LoopNet
from shanfu.links.crash import CRASH_POINTS
from shanfu.messages import Empty, JSONFrames, KeyPolicy, TokenState, UseReport, decoded, wallet
from shanfu.store import Store
from shanfu.tokens import KeyScheme, key_index_bytes
from shanfu.tsp import (
    LOOKUP,
    SEAL,
    TSP,
    RangeOrder,
    RequestorOrder,
    TSPConfig,
    add_token_range,
    enrol_requestor,
    pan_label,
)
from shanfu.tsp import SCHEMA as TSP_SCHEMA
from shanfu.tsp import imk_label as service_imk_label
from tests.cloud.bank import Bank
from tests.cloud.test_deaths import until
from tests.cloud.world import HALVES, START_MS, Phone, said

ISSUER, TRID, STATION = "99010000", "90100000001", "tsp/90100000"
WIRE = (("cloud", STATION), ("tsp", "cloud"))


class Town:
    """Cloud, token service and issuer; `together` puts the first two into one process and one store."""

    def __init__(self, path: Path, *, together: bool, policy: KeyPolicy | None = None) -> None:
        self.path, self.clock, self.told, self.config = path, ManualClock(START_MS), Recorder(), CloudConfig()
        self.hsm, self.service_hsm, self.bank_hsm = (SoftHSM(LMK(os.urandom(32))) for _ in range(3))
        self.policy = policy or KeyPolicy()
        self.house = "house" if together else "cloud"
        self.store = Store.open(path / "a.db", schema=SCHEMA.beside(TSP_SCHEMA) if together else SCHEMA, name="cloud")
        self.service_store = self.store if together else Store.open(path / "b.db", schema=TSP_SCHEMA, name="tsp")
        bank = self._ceremony()
        cloud = Cloud(self.config, self.hsm)
        service = TSP(TSPConfig(requestors=(TRID,)), self.service_hsm)
        self.net = LoopNet(self.clock)
        self.net.add(bank, Store.open(":memory:", schema=SCHEMA, name="issuer"))
        if together:
            owner = by_operation("tsp", desks=("cloud", "tsp"), stations={"issuer": "tsp"})
            self.net.add(Household("house", {"cloud": cloud, "tsp": service}, wires=[WIRE], owner=owner), self.store)
            self.net.wire(("house", f"issuer/{ISSUER}"), ("issuer", STATION), framing=JSONFrames)
        else:
            self.net.add(cloud, self.store)
            self.net.add(service, self.service_store)
            self.net.wire(*WIRE, framing=JSONFrames)
            self.net.wire(("tsp", f"issuer/{ISSUER}"), ("issuer", STATION), framing=JSONFrames)
        self.net.pump()

    def _ceremony(self) -> Bank:
        shared = {name: [os.urandom(32), os.urandom(32)] for name in (ISSUER, TRID)}

        def vault(hsm: SoftHSM, name: str) -> Any:
            return hsm.form(KeyUsage.VAULT, Algorithm.AES, shared[name])

        service_keys = {
            LOOKUP: self.service_hsm.generate(KeyUsage.LOOKUP, Algorithm.HMAC),
            SEAL: self.service_hsm.generate(KeyUsage.SEAL, Algorithm.AES),
            pan_label(ISSUER): vault(self.service_hsm, ISSUER), pan_label(TRID): vault(self.service_hsm, TRID),
        }  # fmt: skip
        cloud_keys = {
            SIGN: self.hsm.generate(KeyUsage.SIGN, Algorithm.P256), numbers_label(TRID): vault(self.hsm, TRID),
            service_imk_label("625094", 1): self.hsm.form(KeyUsage.IMK_AC, Algorithm.TDES, HALVES),
        }  # fmt: skip
        for label, block in service_keys.items():
            install_key(self.service_store, label, block, now_ms=START_MS, prefix=tsp.PREFIX)
        for label, block in cloud_keys.items():
            install_key(self.store, label, block, now_ms=START_MS, prefix=cloud.PREFIX)
        order = RequestorOrder(trid=TRID, name="Lantern", app="example.lantern", issuer=ISSUER, storages=("01", "04"))
        enrol_requestor(self.service_store, order, now_ms=START_MS)
        add_token_range(self.service_store, RangeOrder(bin="625094", issuer=ISSUER, country="156"), now_ms=START_MS)
        return Bank(self.bank_hsm, vault(self.bank_hsm, ISSUER), self.policy)

    def settle(self, ms: int = 2_000) -> None:
        self.net.advance(ms)

    def ready(self) -> Phone:
        phone = Phone(self, info={}, host=self.house)
        phone.enrol()
        phone.open()
        phone.login()
        phone.add()
        return phone


@pytest.fixture(params=[False, True], ids=["apart", "together"])
def town(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Town]:
    town = Town(tmp_path, together=request.param)
    yield town
    town.store.close()


def number_of(phone: Phone) -> str:
    got = phone.ask("tokens.profile", wallet.ProfileAsked(token=phone.token))
    plain = unwrap_secret(phone.wrap, bytes.fromhex(got.wrapped), context=f"profile/{phone.token}".encode())
    return decoded(plain, wallet.TokenProfile, path="profile").number


def expected_key(number: str, index: str) -> bytes:
    master = bytes(a ^ b for a, b in zip(*HALVES, strict=True))
    udk = Cipher(Block.TDES, udk_option_a(Cipher(Block.TDES, master), number, "00"))
    return derive_key(KeyScheme.SHANFU_1, udk, key_index_bytes(index))


def test_from_enrolment_to_the_second_key_set(town: Town) -> None:
    phone = town.ready()
    assert [view.state for view in phone.news().tokens] == [TokenState.ACTIVE]
    number = number_of(phone)
    assert number.startswith("625094")
    first = phone.replenish(1)
    assert phone.keys(first) == expected_key(number, first.terms.index)
    assert first.terms.max_uses == 3  # nobody vouches for this phone: its limits are lowered
    assert phone.confirm(1) == Empty()
    uses = tuple(UseReport(atc=atc, index=first.terms.index, at_ms=town.clock.now_ms()) for atc in range(1, 4))
    second = phone.ask("keys.replenish", wallet.ReplenishKeys(token=phone.token, sequence=2, uses=uses, atc=3))
    assert second.terms.atc_first == first.terms.atc_last + 1
    assert phone.keys(second) != phone.keys(first)
    assert phone.confirm(2) == Empty()
    assert said(phone.ask("transactions.list", wallet.TransactionsAsked(token=phone.token))) == "TransactionList"


def test_freeze_lift_delete_and_every_notice_arrives(town: Town) -> None:
    phone = town.ready()
    asked = wallet.ChangeToken(token=phone.token)
    assert phone.ask("tokens.freeze", asked).tokens[0].state is TokenState.SUSPENDED
    assert said(phone.replenish()).startswith("wrong-state")
    assert phone.ask("tokens.unfreeze", asked).tokens[0].state is TokenState.ACTIVE
    assert said(phone.replenish()) == "KeySet"
    town.settle()
    assert phone.news().pushes
    assert phone.ask("tokens.delete", asked).tokens[0].state is TokenState.DEACTIVATED
    assert said(phone.ask("tokens.unfreeze", asked)) == "wrong-state TERMINAL_STATE"
    town.settle()
    assert [view.state for view in list_tokens(town.store, phone.device)] == [TokenState.DEACTIVATED]


def test_opening_the_app_revives_an_expired_token(town: Town) -> None:
    phone = town.ready()
    town.clock.advance(37 * 31 * 86_400_000)
    town.settle()
    phone.open()
    assert [view.state for view in phone.news().tokens] == [TokenState.EXPIRED]
    assert said(phone.replenish()).startswith("wrong-state")
    renewed = phone.ask("tokens.renew", wallet.ProfileAsked(token=phone.token))
    assert [view.state for view in renewed.tokens] == [TokenState.ACTIVE]
    assert said(phone.replenish()) == "KeySet"


def test_adding_a_card_again_shows_the_token_that_is_there(town: Town) -> None:
    phone = town.ready()
    assert phone.provision("card-1").view.token == phone.token
    assert said(phone.provision("card-2")) == "Provisioned"


def test_a_copied_phone_that_reports_less_is_found(town: Town) -> None:
    """The counter of the copy runs back: the service suspends, and the phone hears why."""
    phone = town.ready()
    phone.replenish(1)
    phone.ask("keys.replenish", wallet.ReplenishKeys(token=phone.token, sequence=2, atc=3))
    copy = phone.ask("keys.replenish", wallet.ReplenishKeys(token=phone.token, sequence=3, atc=1))
    assert said(copy) == "wrong-state CLONE_SUSPECTED"
    town.settle()
    assert said(phone.replenish(3)) == "wrong-state CLONE_SUSPECTED"


def test_a_policy_may_have_keys_fetched_at_the_tap(tmp_path: Path) -> None:
    """`fetch = at_tap` with one use a set: each set has one ATC, and each tap asks for the next."""
    town = Town(tmp_path, together=True, policy=KeyPolicy(fetch="at_tap", max_uses=1))
    phone = town.ready()
    assert phone.news().tokens[0].policy.fetch == "at_tap"
    for sequence in range(1, 5):
        terms = phone.replenish(sequence).terms
        assert (terms.max_uses, terms.atc_first, terms.atc_last) == (1, sequence, sequence)
        assert phone.confirm(sequence) == Empty()
    town.store.close()


def test_an_unknown_phone_gets_nothing(town: Town) -> None:
    phone = town.ready()
    stranger = Phone(town, info={}, host=town.house)
    stranger.device, stranger.session, stranger.key, stranger.counter = phone.device, phone.session, phone.key, phone.counter
    stranger.sign = P256Key.generate()
    assert said(stranger.ask("keys.replenish", wallet.ReplenishKeys(token=phone.token, sequence=1))).startswith("signature")


@pytest.mark.parametrize("victim", ["cloud", "tsp"])
@pytest.mark.parametrize("nth", [1, 2])
@pytest.mark.parametrize("point", CRASH_POINTS)
def test_no_death_makes_a_second_set(tmp_path: Path, victim: str, nth: int, point: str) -> None:
    town = Town(tmp_path, together=False)
    phone = town.ready()
    number = number_of(phone)
    town.net.crash_at(victim, point, nth=nth)
    first = until(phone, lambda: phone.replenish(1))
    assert phone.replenish(1) == first
    assert phone.keys(first) == expected_key(number, first.terms.index)
    assert until(phone, lambda: phone.confirm(1)) == Empty()
    second = until(phone, lambda: phone.replenish(2))
    assert (second.terms.sequence, second.terms.atc_first) == (2, first.terms.atc_last + 1)
    town.store.close()
