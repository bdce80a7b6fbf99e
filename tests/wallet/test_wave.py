"""A phone waved at a real terminal: the kernel, the PIN pad and the message are those that serve a card."""

from typing import Any

import pytest

from shanfu.emv import decode_field55
from shanfu.messages import PhoneCVM
from shanfu.terminal import Outcome, UIMessage, unionpay_aids
from shanfu.terminal import Reason as TerminalReason
from tests.terminal.shop import PIN_DIGITS, Shop, config
from tests.wallet.bench import APP, Bench, bench

STRICT = config(aids=unionpay_aids(enrolled=False))


def shop_for(one: Bench, settings: Any = None) -> Shop:
    """A shop into whose field the phone is held; its acquirer takes the PIN block with the token's number."""
    shop = Shop(settings=settings or config())
    shop.card = one.phone.tap_target  # type: ignore[assignment]
    return shop


@pytest.mark.parametrize(("settings", "amount", "cvm", "mode", "results"), [
    (None,   "1000.00", PhoneCVM.ONLINE_PIN, "072", "3f0000"),
    (None,   "1000.01", PhoneCVM.ONLINE_PIN, "071", "020300"),
    (STRICT, "0.01",    PhoneCVM.ONLINE_PIN, "071", "020300"),
    (STRICT, "0.01",    PhoneCVM.CDCVM,      "072", "010002"),
    (None,   "1000.01", PhoneCVM.CDCVM,      "072", "010002"),
])  # fmt: skip
def test_paid_as_with_a_card(settings: Any, amount: str, cvm: PhoneCVM, mode: str, results: str) -> None:
    one = bench(phone_cvm=cvm).enrolled()
    shop = shop_for(one, settings)
    receipt = shop.pay(amount)
    assert (receipt.outcome, receipt.response_code) == (Outcome.APPROVED, "00")
    request = shop.host.asked[-1]
    tags = decode_field55(request.binary(55))
    number = one.cloud.tokens[one.token].number
    assert (request.text(2), request.text(22), request.text(23), request.text(14)) == (number, mode, "000", "2912")
    assert request.text(35).startswith(f"{number}D2912220")
    assert tags[0x9F34].hex() == results
    assert tags[0x9F63][9] == 1
    assert shop.host.pins == ([PIN_DIGITS] if mode == "071" else [])
    said = {tag: value for tag, value in tags.items() if tag not in (0x9F10, 0x9F26, 0x9F36, 0x82)}
    assert one.cloud.judge({**tags, 0x57: bytes.fromhex(number)}, said) == "OK"


def test_a_locked_phone_asks_to_be_seen_and_waved_again() -> None:
    one = bench(phone_cvm=PhoneCVM.CDCVM).enrolled()
    one.phone.lock()
    shop = shop_for(one)
    receipt = shop.pay()
    assert (receipt.outcome, receipt.reason, receipt.ui) == (Outcome.TRY_AGAIN, TerminalReason.SEE_PHONE, UIMessage.SEE_PHONE)
    assert one.sentence == "UNLOCK"
    one.phone.unlock()
    assert shop.pay().outcome is Outcome.APPROVED


def test_an_exhausted_phone_never_goes_online() -> None:
    one = bench().enrolled()
    shop = shop_for(one)
    for _ in range(10):
        assert shop.pay().outcome is Outcome.APPROVED
    asked = len(shop.host.asked)
    receipt = shop.pay()
    assert (receipt.outcome, receipt.ui) == (Outcome.END_APPLICATION, UIMessage.TRY_ANOTHER_CARD)
    assert (one.sentence, len(shop.host.asked)) == ("COUNT_EXHAUSTED", asked)
    one.phone.do(one.phone.app(APP).open())
    assert shop.pay().outcome is Outcome.APPROVED


def test_a_dark_phone_is_no_card_and_one_without_a_card_no_application() -> None:
    one = bench().enrolled()
    one.phone.screen_off()
    assert shop_for(one).pay().reason is TerminalReason.NO_CARD
    one.phone.unlock()
    one.phone.bring_to_front("example.nobody")
    assert shop_for(one).pay().reason is TerminalReason.NO_APPLICATION


def test_a_torn_tap_costs_a_use_and_the_next_one_pays() -> None:
    one = bench().enrolled()
    shop = shop_for(one)
    assert shop.pay(tear_after=3).reason is TerminalReason.CARD_REMOVED
    assert one.held().uses_left == 9
    assert shop.pay().outcome is Outcome.APPROVED
    assert one.held().uses_left == 8
