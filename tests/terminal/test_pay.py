"""A payment from the wave to the receipt, step by step, and every way in which its answer can go wrong."""

from shanfu.emv import CVM, decode_field55
from shanfu.terminal import Outcome
from tests.terminal.shop import Shop

SIGN_IN = ["keep state", "host 0800", "pad LoadKeys", "keep state"]
WAVE = ["card A4", "card A4", "card A8"]
REVERSAL = ["keep transaction", "pad MakeMAC", "host 0400", "pad CheckMAC", "keep transaction"]
REQUEST = ["pad MakeMAC", "keep transaction", "host 0200"]
ANSWER = ["pad CheckMAC", "keep transaction"]


def test_the_transaction_is_kept_before_it_is_asked() -> None:
    shop = Shop()
    receipt = shop.pay()
    assert shop.steps == SIGN_IN + WAVE + REQUEST + ANSWER
    assert (receipt.outcome, receipt.response_code, receipt.reason) == (Outcome.APPROVED, "00", None)
    shop.pay()
    assert shop.steps == WAVE + REQUEST + ANSWER


def test_a_pin_is_asked_over_the_limit_and_reaches_the_host_enciphered() -> None:
    shop = Shop()
    receipt = shop.pay("1000.01")
    assert shop.steps == SIGN_IN + WAVE + ["pad EnterPIN"] + REQUEST + ANSWER
    assert (receipt.cvm, receipt.entry_mode, shop.host.pins) == (CVM.ONLINE_PIN, "071", ["123456"])
    request = shop.host.asked[-1]
    assert (request.fields[26], request.fields[53]) == ("12", "2600000000000000")
    assert decode_field55(request.binary(55))[0x9F34].hex() == "020300"
