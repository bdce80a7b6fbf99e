"""A phone's real taps at a real terminal, judged by the real token service: it resolves what the phone spends, no more."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shanfu.crypto import Algorithm, Cipher, udk_option_a
from shanfu.messages import (
    Empty,
    KeyPolicy,
    PhoneCVM,
    Problem,
    TokenState,
    TokenView,
    decoded,
    operation,
    wallet,
)
from shanfu.messages.requestor import KeysIssued
from shanfu.terminal import Outcome
from shanfu.tokens import KeyScheme
from shanfu.wallet import Refreshed
from tests.terminal.shop import Shop
from tests.tsp.payhouse import TRID, PayHouse
from tests.wallet.bench import APP, Bench, Cloud, Token


class ServedCloud(Cloud):
    """The bench's cloud, which asks the token service for its key sets as the real one does."""

    def __init__(self, house: PayHouse, policy: KeyPolicy) -> None:
        super().__init__(house.clock, policy=policy)
        self.house, self.green = house, True
        self.row = house.token("lin", policy=policy, keys=False)

    def cards_provision(self, device: str, body: wallet.Provision) -> Any:
        view = TokenView(
            token=self.row.reference, state=TokenState.ACTIVE, version=1, token_last4=self.row.number[-4:], pan_last4="0001",
            expiry=self.row.expiry, par="SF01" + "A" * 25, trid=TRID, device=device, policy=self.policy,
        )  # fmt: skip
        self.tokens[view.token] = Token(view, self.row.number, APP)
        return wallet.Provisioned(decision="GREEN", view=view)

    def keys_replenish(self, device: str, body: wallet.ReplenishKeys) -> Any:
        reply = self.house.issue(self.row, body.sequence, atc=body.atc, uses=list(body.uses))
        if not reply.ok:
            return decoded(reply.body, Problem, path="refused")
        row = operation("tsp.keys.issue")
        assert row is not None
        issued: Any = decoded(reply.body, row.gives, path="issued")
        assert isinstance(issued, KeysIssued)
        return self.wrapped(device, body.token, issued.terms)

    def keys_confirm(self, device: str, body: wallet.ConfirmKeys) -> Any:
        assert self.house.confirm(self.row, body.sequence).ok
        return Empty()

    def udk(self, token: Token) -> Cipher:
        return Cipher(Algorithm.TDES, udk_option_a(Cipher(Algorithm.TDES, self.house.imk), token.number, "00"))


class Street:
    """A phone, a shop, and the service at the network's end."""

    def __init__(self, folder: Path, **policy: Any) -> None:
        self.house = PayHouse(folder)
        self.cloud = ServedCloud(self.house, KeyPolicy(**policy))
        self.one = Bench(self.cloud, self.house.clock).enrolled()
        self.shop = Shop(clock=self.house.clock)
        self.shop.card = self.one.phone.tap_target  # type: ignore[assignment]

    def pay(self, text: str = "10.00") -> str:
        """Wave the phone: what the service says of the request, or the phone's own sentence."""
        receipt = self.shop.pay(text)
        if receipt.outcome is not Outcome.APPROVED:
            return self.one.sentence
        request = self.shop.host.asked[-1]
        self.cloud.row.chip = lambda *_, **__: request.binary(55)  # type: ignore[method-assign]
        minor = int(request.text(4))
        code, reason = self.house.said(self.house.purchase(self.cloud.row, minor, f22=request.text(22)))
        return code if code == "00" else f"{code} {reason}"

    def open(self) -> Any:
        return self.one.phone.do(self.one.phone.app(APP).open())


@pytest.fixture(params=list(KeyScheme))
def street(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Street]:
    street = Street(tmp_path, scheme=request.param)
    yield street
    street.house.store.close()


def test_ten_payments_and_the_eleventh(street: Street) -> None:
    assert [street.pay() for _ in range(11)] == ["00"] * 10 + ["COUNT_EXHAUSTED"]
    assert isinstance(street.open(), Refreshed)
    assert [street.pay("1234.00") for _ in range(2)] == ["00", "00"], "with the PIN of the bank card at the POS"


def test_a_long_life_is_no_suspicion(street: Street) -> None:
    for text in ("0.01", "999.99", "1000.01", "12000.00"):
        assert [street.pay(text) for _ in range(2)] == ["00", "00" if text != "12000.00" else "AMOUNT_EXHAUSTED"]
        refreshed = street.open()
        assert isinstance(refreshed, Refreshed)
        assert refreshed.refused == ()
        street.house.clock.advance(3_600_000)


def test_uses_that_never_reach_the_service_harm_nobody(street: Street) -> None:
    for _ in range(4):
        street.one.tap()
    assert street.pay() == "00"
    assert [street.pay() for _ in range(6)] == ["00"] * 5 + ["COUNT_EXHAUSTED"]
    street.open()
    assert street.pay() == "00"


@pytest.mark.parametrize("locked", [False, True])
def test_verified_on_the_phone(tmp_path: Path, locked: bool) -> None:
    street = Street(tmp_path, phone_cvm=PhoneCVM.CDCVM)
    if locked:
        street.one.phone.lock()
    assert street.pay("1234.00") == ("UNLOCK" if locked else "00")
    street.house.store.close()


def test_a_copy_that_pays_is_found_out(tmp_path: Path) -> None:
    """Whoever copied storage and key store together pays with the same numbers: the service takes each once."""
    street = Street(tmp_path)
    one = street.one
    copy = Bench(one.cloud, one.clock, one.storage.copy(), one.keystore.copy())
    assert street.pay() == "00"
    street.shop.card = copy.phone.tap_target  # type: ignore[assignment]
    assert street.pay() == "59 ATC_OUT_OF_WINDOW"
    assert street.pay("3.00") == "00", "one step further it is ahead of the phone"
    street.shop.card = one.phone.tap_target  # type: ignore[assignment]
    assert street.pay() == "59 ATC_OUT_OF_WINDOW"
    for _ in range(8):
        street.one.tap()
    result = street.open()
    assert result.refused[0][1].problem.reason == "CLONE_SUSPECTED"
    street.house.store.close()
