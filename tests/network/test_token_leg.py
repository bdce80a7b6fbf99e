"""A payment with a token: asked of the token service, then of the card's issuer, and back under the token."""

from shanfu.iso8583 import TokenAnswer, TokenBlock, TokenVerdict, parse_par
from shanfu.network import journal_lines
from tests.network.mint import CARD_EXPIRY, PAR, TOKEN, TRID, Mint
from tests.network.switch import LANTERN, PAN_LANTERN, PIN_DIGITS, TODAY


def states(mint: Mint) -> list[tuple[str, str, str]]:
    return [(line.state, line.response_code, line.reason) for line in journal_lines(mint.store, TODAY)]


def test_a_purchase_with_a_token_all_the_way(mint: Mint) -> None:
    request = mint.purchase(pan=TOKEN, pin=True)
    asked = mint.asked_tsp(request)
    assert (asked.mti, asked.text(15), asked.text(100)) == ("0200", TODAY[4:], LANTERN)
    same = set(request.fields) - {52, 128}
    assert (asked.copy(*same), 52 in asked) == (request.copy(*same), False)
    assert mint.tsp.right(asked)
    assert states(mint) == [("WAITING", "", "FORWARDED")]

    mint.send(mint.tsp, mint.resolved(asked))
    [passed_on] = mint.inbox(mint.issuer)
    assert mint.issuer.right(passed_on)
    assert [passed_on.text(number) for number in (2, 14, 15, 100)] == [PAN_LANTERN, CARD_EXPIRY, TODAY[4:], LANTERN]
    assert {23, 35}.isdisjoint(passed_on.fields)
    same -= {2, 14, 23, 35}
    assert passed_on.copy(*same) == request.copy(*same)
    assert mint.issuer.read_pin(passed_on).digits == PIN_DIGITS  # made for the PAN, and only that reads it
    told = TokenAnswer.of_field(passed_on.binary(63))
    assert told == TokenAnswer(
        block=TokenBlock(verified="1", token=TOKEN, expiry="3012", assurance="11", scenario="01", trid=TRID)
    )
    assert TokenVerdict.of_field(passed_on.text(61)) is TokenVerdict.RIGHT
    assert parse_par(passed_on.binary(56)) == PAR
    assert states(mint) == [("WAITING", "", "RESOLVED")]

    mint.send(mint.issuer, mint.echo(passed_on, f54="1002156C000000012345", f55=b"\x5a\x08" + bytes(8)))
    [reply] = mint.inbox(mint.acquirer)
    assert mint.acquirer.right(reply)
    echoed = (2, 3, 4, 7, 11, 12, 13, 25, 32, 33, 37, 41, 42, 49, 60)
    assert reply.copy(*echoed) == request.copy(*echoed)
    assert [reply.text(number) for number in (15, 38, 39, 54, 100)] == [
        TODAY[4:], "A1B2C3", "00", "1002156C000000012345", LANTERN,
    ]  # fmt: skip
    assert parse_par(reply.binary(56)) == PAR
    assert {55, 61, 63}.isdisjoint(reply.fields)
    assert states(mint) == [("APPROVED", "00", "ANSWERED")]

    [outcome] = mint.inbox(mint.tsp)
    assert mint.tsp.right(outcome)
    text = request.text
    assert (outcome.mti, outcome.text(2), outcome.text(38), outcome.text(39)) == ("0220", TOKEN, "A1B2C3", "00")
    assert outcome.text(90) == f"0200{text(11)}{text(7)}000{LANTERN}000{LANTERN}"
