"""A payment with a token: asked of the token service, then of the card's issuer, and back under the token."""

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shanfu.iso8583 import Message, TokenAnswer, TokenBlock, TokenVerdict, encode_interbank, encode_par, parse_par
from shanfu.links import Inbound, Kind
from shanfu.network import NetworkConfig, add_route, dead_letters, forward_queue, journal_lines
from shanfu.network.journal import JOURNAL, JournalRow
from shanfu.store import Statement
from tests.budget import examples
from tests.hosts.alone import speak_in_bytes
from tests.network.mint import CARD_EXPIRY, PAR, TOKEN, TOKEN_HARBOUR, TRID, TSP, Mint, ends
from tests.network.switch import HARBOUR, LANTERN, PAN_HARBOUR, PAN_LANTERN, PAN_OTHER, PIN_DIGITS, SECOND_MS, TODAY, Peer


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
    assert (outcome.mti, sorted(outcome.fields)) == ("0620", [7, 11, 32, 33, 59, 128])  # and no number at all
    assert ends(outcome) == [(f"0200{text(11)}{text(7)}000{LANTERN}000{LANTERN}", "00", "A1B2C3")]


def bare(peer: Peer, message: Message) -> bytes:
    return encode_interbank(peer.frame(message))


def test_within_one_process_nobody_needs_a_mac_and_outside_everybody(tmp_path) -> None:
    mint = Mint(tmp_path, NetworkConfig(inside=frozenset({TSP})))
    speak_in_bytes(mint.worker.host)
    mint.sign_on()
    asked = mint.asked_tsp(mint.purchase(pan=TOKEN))
    assert 128 not in asked
    resolved = mint.resolved(asked)
    mint.worker.turn([Inbound(TSP, bare(mint.tsp, resolved))])
    [passed_on] = mint.inbox(mint.issuer)
    assert mint.issuer.right(passed_on)
    mint.worker.turn([Inbound(mint.issuer.station, bare(mint.issuer, mint.echo(passed_on)))])
    assert states(mint) == [("EXPIRED", "98", "ANSWER_MAC_WRONG")]


def test_an_answer_comes_back_the_same_to_a_repeat(mint: Mint) -> None:
    request, first = mint.bought()
    assert mint.ask(mint.acquirer, request).fields == first.fields
    assert (mint.inbox(mint.tsp), mint.inbox(mint.issuer)) == ([], [])
    assert mint.ask(mint.acquirer, Message("0200", request.fields | {4: "000000009999"})).text(39) == "94"


def test_a_repeat_while_either_is_asked_is_dropped(mint: Mint) -> None:
    request = mint.purchase(pan=TOKEN)
    asked = mint.asked_tsp(request)
    assert (mint.send(mint.acquirer, request), mint.inbox(mint.tsp)) == ([], [])
    mint.send(mint.tsp, mint.resolved(asked))
    assert (mint.send(mint.acquirer, request), mint.inbox(mint.tsp)) == ([], [])


def test_what_the_issuer_declines_is_declined_under_the_token_and_told_to_the_service(mint: Mint) -> None:
    asked = mint.asked_issuer(mint.purchase(pan=TOKEN))
    mint.send(mint.issuer, mint.echo(asked, "51"))
    [reply], [outcome] = mint.inbox(mint.acquirer), mint.inbox(mint.tsp)
    assert (reply.text(2), reply.text(39), parse_par(reply.binary(56)), 38 in reply) == (TOKEN, "51", PAR, False)
    assert [end[1:] for end in ends(outcome)] == [("51", "")]
    assert states(mint) == [("DECLINED", "51", "ANSWERED")]


def test_an_issuer_that_does_not_repeat_the_tokens_data_is_understood(mint: Mint) -> None:
    asked = mint.asked_issuer(mint.purchase(pan=TOKEN))
    mint.send(mint.issuer, mint.issuer.answer(asked))
    [reply], [outcome] = mint.inbox(mint.acquirer), mint.inbox(mint.tsp)
    assert (reply.text(2), reply.text(39), ends(outcome)[0].code) == (TOKEN, "00", "00")


@pytest.mark.parametrize("code", ["00", "51"])
def test_a_balance_inquiry_with_a_token(mint: Mint, code: str) -> None:
    request = mint.balance(f2=TOKEN, f35=f"{TOKEN}=30122010000000000")
    _, reply = mint.bought(request, code)
    assert (reply.text(2), reply.text(39)) == (TOKEN, code)


def test_a_token_of_another_bank(mint: Mint) -> None:
    asked = mint.asked_issuer(mint.purchase(pan=TOKEN_HARBOUR, pin=True), pan=PAN_HARBOUR, issuer=mint.harbour)
    assert (asked.text(2), asked.text(100)) == (PAN_HARBOUR, HARBOUR)
    assert mint.harbour.read_pin(asked).digits == PIN_DIGITS
    assert [line.issuer for line in journal_lines(mint.store, TODAY)] == [HARBOUR]


def test_the_card_behind_the_token_decides_who_its_issuer_is(mint: Mint) -> None:
    asked = mint.asked_issuer(mint.purchase(pan=TOKEN), pan=PAN_HARBOUR, issuer=mint.harbour)  # the BIN says lantern
    assert asked.text(100) == HARBOUR
    assert [line.issuer for line in journal_lines(mint.store, TODAY)] == [HARBOUR]


# -- what the token service refuses --------------------------------------------------------------------------------------

# fmt: off
REFUSED = [
    # code  the service's reason      in the journal
    ("30", "FORMAT_ERROR",            "FORMAT_ERROR"),
    ("14", "TOKEN_UNKNOWN",           "TOKEN_UNKNOWN"),
    ("62", "TOKEN_NOT_ACTIVE",        "TOKEN_NOT_ACTIVE"),
    ("59", "ATC_OUT_OF_WINDOW",       "ATC_OUT_OF_WINDOW"),
    ("65", "KEY_EXHAUSTED",           "KEY_EXHAUSTED"),
    ("59", "",                        "TOKEN_REFUSED"),
    ("59", "card 6209010000000012",   "TOKEN_REFUSED"),
    ("59", "A" * 41,                  "TOKEN_REFUSED"),
]
# fmt: on


@pytest.mark.parametrize(("code", "said", "kept"), REFUSED, ids=[f"{code}-{said[:20]}" for code, said, _ in REFUSED])
def test_a_refusal_of_the_service_goes_to_the_acquirer_and_no_issuer_hears(mint: Mint, code: str, said: str, kept: str) -> None:
    request = mint.purchase(pan=TOKEN, pin=True)
    asked = mint.asked_tsp(request)
    mint.send(mint.tsp, mint.refused(asked, code, said))
    [reply] = mint.inbox(mint.acquirer)
    assert (reply.text(2), reply.text(39), mint.acquirer.right(reply)) == (TOKEN, code, True)
    assert {38, 56, 61, 63}.isdisjoint(reply.fields)
    assert states(mint) == [("DECLINED", code, kept)]
    assert (mint.inbox(mint.issuer), mint.inbox(mint.tsp), forward_queue(mint.store)) == ([], [], [])
    assert mint.reasons()[-1] == kept
    assert mint.ask(mint.acquirer, request).fields == reply.fields
    assert row_of(mint).kept == b""


def test_a_code_alone_is_a_refusal_too(mint: Mint) -> None:
    asked = mint.asked_tsp(mint.purchase(pan=TOKEN))
    mint.send(mint.tsp, mint.tsp.answer(asked, "62"))
    assert states(mint) == [("DECLINED", "62", "TOKEN_REFUSED")]


def said(*, token: str, record: bytes) -> bytes:
    return TokenAnswer(block=TokenBlock(verified="1", token=token), record=record).field()


# fmt: off
UNRESOLVED = [
    # what the answer 00 is                          what is odd in it
    ("without token data",                           {"f63": None}),
    ("with token data that break off",               {"f63": b"TK00501031x"}),
    ("of another token",                             {"f63": said(token=TOKEN_HARBOUR, record=b"x")}),
    ("without a record",                             {"f63": said(token=TOKEN, record=b"")}),
    ("without a PAN",                                {"f2": None}),
    ("with a PAN too short",                         {"f2": "62090100000"}),
    ("without an expiry",                            {"f14": None}),
    ("with a broken PAR",                            {"f56": b"PR0020"}),
    ("with another amount",                          {"f4": "000000009999"}),
    ("of another payment",                           {"f37": "000000000000"}),
    ("approved, but not with 00",                    {"f39": "11"}),
]
# fmt: on


@pytest.mark.parametrize(("what", "odd"), UNRESOLVED, ids=[row[0] for row in UNRESOLVED])
def test_an_answer_that_resolves_nothing_is_dropped_and_the_service_is_told_to_take_it_back(mint: Mint, what: str, odd) -> None:
    asked = mint.asked_tsp(mint.purchase(pan=TOKEN, pin=True))
    mint.events.drain()
    mint.send(mint.tsp, mint.resolved(asked, **odd))
    assert any("dropped 0210" in event.title for event in mint.events.drain())
    assert (mint.inbox(mint.acquirer), mint.inbox(mint.issuer)) == ([], [])
    mint.tick(8 * SECOND_MS)
    mint.tick(100)
    assert [reply.text(39) for reply in mint.inbox(mint.acquirer)] == ["98"]
    assert (mint.inbox(mint.issuer), [message.mti for message in mint.inbox(mint.tsp)]) == ([], ["0420"])


def test_an_account_reference_is_not_needed(mint: Mint) -> None:
    asked = mint.asked_tsp(mint.purchase(pan=TOKEN))
    mint.send(mint.tsp, mint.resolved(asked, f56=None))
    [passed_on] = mint.inbox(mint.issuer)
    mint.send(mint.issuer, mint.echo(passed_on))
    assert (56 in passed_on, 56 in mint.inbox(mint.acquirer)[0]) == (False, False)


# -- resolved, but the issuer cannot be asked ----------------------------------------------------------------------------


def away(mint: Mint) -> None:
    mint.send(mint.issuer, mint.management(mint.issuer, "002"))


# fmt: off
ENDED = [
    # code  reason            before               the card behind the token      what is odd in the answer
    ("91", "ISSUER_AWAY",     away,                PAN_LANTERN,                   {}),
    ("15", "NO_ISSUER",       None,                "4000000000000002",            {}),
    ("15", "NO_ISSUER",       None,                TOKEN_HARBOUR,                 {}),
    ("99", "PIN_UNREADABLE",  None,                PAN_LANTERN,                   {"record": (PAN_LANTERN, TOKEN_HARBOUR)}),
    ("99", "PIN_UNREADABLE",  None,                PAN_LANTERN,                   {"record": None}),
]
# fmt: on


@pytest.mark.parametrize("case", ENDED, ids=[f"{row[1]}-{row[3][-4:]}-{place}" for place, row in enumerate(ENDED)])
def test_a_resolved_payment_that_ends_at_the_network_is_told_to_the_service(mint: Mint, case) -> None:
    code, reason, before, pan, odd = case
    if before:
        before(mint)
    asked = mint.asked_tsp(mint.purchase(pan=TOKEN, pin=True))
    answer = mint.resolved(asked, pan)
    if odd:
        block = TokenAnswer.of_field(answer.binary(63)).block
        record = mint.record(*odd["record"]) if odd["record"] else bytes(44)
        answer.fields[63] = TokenAnswer(block=block, record=record).field()
    mint.inbox(mint.issuer)
    [outcome] = mint.send(mint.tsp, answer)
    [reply] = mint.inbox(mint.acquirer)
    assert (reply.text(2), reply.text(39)) == (TOKEN, code)
    assert [end.code for end in ends(outcome)] == [code]
    assert states(mint) == [("DECLINED", code, reason)]
    assert mint.inbox(mint.issuer) == []


def test_without_the_vault_key_no_pin_moves(tmp_path) -> None:
    mint = Mint(tmp_path, vault=False)
    mint.sign_on()
    asked = mint.asked_tsp(mint.purchase(pan=TOKEN, pin=True))
    mint.send(mint.tsp, mint.resolved(asked))
    assert [reply.text(39) for reply in mint.inbox(mint.acquirer)] == ["A7"]
    asked = mint.asked_issuer(mint.purchase(pan=TOKEN))  # without a PIN nothing needs it
    assert asked.text(2) == PAN_LANTERN
    mint.store.close()


# -- who may say what ----------------------------------------------------------------------------------------------------


def test_nobody_is_asked_while_the_service_is_away(mint: Mint) -> None:
    mint.send(mint.tsp, mint.management(mint.tsp, "002"))
    assert mint.ask(mint.acquirer, mint.purchase(pan=TOKEN)).text(39) == "91"
    assert states(mint) == [("DECLINED", "91", "TSP_AWAY")]
    assert mint.forwarded(mint.purchase()).text(2) == PAN_LANTERN  # cards do not need it
    mint.sign_on(mint.tsp)
    assert mint.asked_tsp(mint.purchase(pan=TOKEN)).text(2) == TOKEN


def test_a_service_is_ready_with_its_mac_key_alone(mint: Mint) -> None:
    mint.news(mint.tsp, Kind.DOWN)
    _, mak = mint.send(mint.tsp, mint.management(mint.tsp, "001"))
    assert mint.ask(mint.acquirer, mint.purchase(pan=TOKEN)).text(39) == "91"
    assert mint.send(mint.tsp, mint.tsp.take_reset(mak)) == []
    assert mint.asked_tsp(mint.purchase(pan=TOKEN)).text(2) == TOKEN


def test_a_service_acquires_nothing(mint: Mint) -> None:
    reply = mint.ask(mint.tsp, mint.purchase(by=mint.tsp))
    assert (reply.text(39), mint.reasons()[-1]) == ("58", "NOT_ACQUIRER")


@pytest.mark.parametrize("number", [61, 63])
@pytest.mark.parametrize("pan", [TOKEN, PAN_LANTERN])
def test_an_acquirer_says_nothing_of_tokens(mint: Mint, number: int, pan: str) -> None:
    block = TokenBlock(verified="1", token=TOKEN)
    said = {61: TokenVerdict.RIGHT.field(), 63: TokenAnswer(block=block, record=bytes(44)).field()}[number]
    for request in (mint.purchase(pan=pan), mint.refund(mint.purchase(pan=pan)), mint.reversal(mint.purchase(pan=pan))):
        assert mint.ask(mint.acquirer, Message(request.mti, request.fields | {number: said})).text(39) == "30"
    assert (mint.inbox(mint.tsp), mint.inbox(mint.issuer), states(mint)) == ([], [], [])


def test_an_acquirers_account_reference_goes_no_further(mint: Mint) -> None:
    asked = mint.asked_tsp(mint.purchase(pan=TOKEN, f56=encode_par(PAR)))
    assert 56 not in asked


def test_no_other_member_resolves_a_token(mint: Mint) -> None:
    asked = mint.asked_tsp(mint.purchase(pan=TOKEN))
    for peer in (mint.issuer, mint.harbour, mint.acquirer):
        assert mint.send(peer, mint.resolved(asked)) == []
    assert [mint.inbox(peer) for peer in mint.peers.values()] == [[], [], [], []]
    assert states(mint)[0][0] == "WAITING"


def test_the_service_cannot_answer_for_the_issuer(mint: Mint) -> None:
    asked = mint.asked_issuer(mint.purchase(pan=TOKEN))
    assert mint.send(mint.tsp, mint.echo(asked)) == []
    assert (mint.inbox(mint.acquirer), states(mint)[0][0]) == ([], "WAITING")


def test_an_issuers_token_data_resolve_nothing_and_go_no_further(mint: Mint) -> None:
    asked = mint.forwarded(mint.purchase())
    words = TokenAnswer(block=TokenBlock(verified="1", token=PAN_LANTERN), reason="ODD")
    mint.send(mint.issuer, mint.issuer.answer(asked, f61=TokenVerdict.RIGHT.field(), f63=words.field(), f56=encode_par(PAR)))
    [reply] = mint.inbox(mint.acquirer)
    assert (reply.text(39), {56, 61, 63}.isdisjoint(reply.fields)) == ("00", True)


@pytest.mark.parametrize("odd", [{"f2": PAN_OTHER}, {"f63": TokenAnswer(block=TokenBlock(token=TOKEN_HARBOUR)).field()}])
def test_an_issuers_answer_about_another_card_or_token_is_dropped(mint: Mint, odd) -> None:
    asked = mint.asked_issuer(mint.purchase(pan=TOKEN))
    mint.send(mint.issuer, mint.echo(asked, **odd))
    assert (mint.inbox(mint.acquirer), states(mint)[0][0]) == ([], "WAITING")
    mint.send(mint.issuer, mint.echo(asked))
    assert [reply.text(39) for reply in mint.inbox(mint.acquirer)] == ["00"]


def test_two_answers_of_the_service_are_one(mint: Mint) -> None:
    asked = mint.asked_tsp(mint.purchase(pan=TOKEN, pin=True))
    answer = mint.resolved(asked)
    mint.send(mint.tsp, answer, answer)
    assert len(mint.inbox(mint.issuer)) == 1
    mint.send(mint.tsp, answer, mint.refused(asked, "59", "CRYPTOGRAM_WRONG"))
    assert (mint.inbox(mint.issuer), states(mint)) == ([], [("WAITING", "", "RESOLVED")])


# -- no answer -----------------------------------------------------------------------------------------------------------


def test_the_service_silent(mint: Mint) -> None:
    request = mint.purchase(pan=TOKEN, pin=True)
    asked = mint.asked_tsp(request)
    mint.tick(8 * SECOND_MS - 1)
    assert mint.inbox(mint.acquirer) == []
    mint.tick(1)
    [reply] = mint.inbox(mint.acquirer)
    assert (reply.text(2), reply.text(39)) == (TOKEN, "98")
    assert states(mint) == [("EXPIRED", "98", "TSP_SILENT")]
    mint.tick(100)
    [reversal] = mint.inbox(mint.tsp)
    assert (reversal.mti, reversal.text(2), reversal.text(39)) == ("0420", TOKEN, "98")
    assert {14, 35, 52, 55, 56, 61, 63}.isdisjoint(reversal.fields)
    assert mint.send(mint.tsp, mint.resolved(asked)) == []  # late
    assert mint.send(mint.tsp, mint.tsp.answer(reversal)) == []
    assert (mint.inbox(mint.issuer), states(mint), forward_queue(mint.store)) == ([], [("REVERSED", "98", "TSP_SILENT")], [])


def test_the_issuer_silent_both_are_told_to_take_it_back(mint: Mint) -> None:
    request = mint.purchase(pan=TOKEN, pin=True)
    asked = mint.asked_issuer(request)
    mint.tick(8 * SECOND_MS)
    assert mint.inbox(mint.acquirer) == []  # the issuer has the rest of our time
    mint.tick(22 * SECOND_MS)
    [reply] = mint.inbox(mint.acquirer)
    assert (reply.text(2), reply.text(39), parse_par(reply.binary(56))) == (TOKEN, "98", PAR)
    mint.tick(100)
    [ours], [theirs] = mint.inbox(mint.tsp), mint.inbox(mint.issuer)
    assert [(m.mti, m.text(2), m.text(39), m.text(90)) for m in (ours, theirs)] == [
        ("0420", TOKEN, "98", ours.text(90)), ("0420", PAN_LANTERN, "98", ours.text(90)),
    ]  # fmt: skip
    assert ours.text(11) != theirs.text(11)
    assert {35, 52, 55, 23}.isdisjoint(theirs.fields)
    assert theirs.binary(63) == asked.binary(63)
    assert 63 not in ours
    mint.send(mint.tsp, mint.tsp.answer(ours))
    assert states(mint) == [("EXPIRED", "98", "ISSUER_SILENT")]  # the issuer's word counts
    mint.send(mint.issuer, mint.echo(theirs))
    assert (states(mint), forward_queue(mint.store)) == ([("REVERSED", "98", "ISSUER_SILENT")], [])
    assert mint.ask(mint.acquirer, request).text(2) == TOKEN


def test_a_balance_inquiry_is_reversed_nowhere(mint: Mint) -> None:
    mint.asked_issuer(mint.balance(f2=TOKEN, f35=f"{TOKEN}=30122010000000000"))
    mint.tick(30 * SECOND_MS)
    mint.tick(100)
    assert [reply.text(39) for reply in mint.inbox(mint.acquirer)] == ["98"]
    assert (mint.inbox(mint.tsp), mint.inbox(mint.issuer), forward_queue(mint.store)) == ([], [], [])


def forged(mint: Mint, peer: Peer, message: Message) -> None:
    frame = peer.frame(message)
    frame.message.fields[128] = "00000000"
    mint.turn((peer, encode_interbank(frame)))


def test_an_answer_of_the_service_without_a_right_mac(mint: Mint) -> None:
    asked = mint.asked_tsp(mint.purchase(pan=TOKEN, pin=True))
    forged(mint, mint.tsp, mint.resolved(asked))
    assert [reply.text(39) for reply in mint.inbox(mint.acquirer)] == ["98"]
    mint.tick(100)
    assert [(m.mti, m.text(39)) for m in mint.inbox(mint.tsp)] == [("0420", "A0")]
    assert (mint.inbox(mint.issuer), states(mint)) == ([], [("EXPIRED", "98", "ANSWER_MAC_WRONG")])


def test_an_issuers_answer_without_a_right_mac(mint: Mint) -> None:
    asked = mint.asked_issuer(mint.purchase(pan=TOKEN))
    forged(mint, mint.issuer, mint.echo(asked))
    assert [reply.text(39) for reply in mint.inbox(mint.acquirer)] == ["98"]
    mint.tick(100)
    told = [(m.mti, m.text(2), m.text(39)) for peer in (mint.tsp, mint.issuer) for m in mint.inbox(peer)]
    assert told == [("0420", TOKEN, "A0"), ("0420", PAN_LANTERN, "A0")]


def test_what_comes_back_with_a_reject_code_has_failed(mint: Mint) -> None:
    mint.asked_tsp(mint.purchase(pan=TOKEN))
    back(mint, mint.tsp)
    assert [(reply.text(2), reply.text(39)) for reply in mint.inbox(mint.acquirer)] == [(TOKEN, "96")]
    assert (states(mint), mint.inbox(mint.tsp)) == ([("DECLINED", "96", "TSP_REJECTED")], [])
    mint.asked_issuer(mint.purchase(pan=TOKEN))
    back(mint, mint.issuer)
    assert [(reply.text(2), reply.text(39)) for reply in mint.inbox(mint.acquirer)] == [(TOKEN, "96")]
    assert states(mint)[1] == ("DECLINED", "96", "ISSUER_REJECTED")
    assert [[end.code for end in ends(outcome)] for outcome in mint.inbox(mint.tsp)] == [["96"]]


def back(mint: Mint, peer: Peer) -> None:
    frame = bytearray(peer.frames[-1])
    frame[45:50] = b"00030"
    mint.turn((peer, bytes(frame)))


# -- what is kept --------------------------------------------------------------------------------------------------------


def row_of(mint: Mint) -> JournalRow:
    with mint.store.begin() as tx:
        return JOURNAL.open(tx).select(Statement(JOURNAL.select()))[-1]


def test_what_is_kept_shrinks_with_each_answer(mint: Mint) -> None:
    request = mint.purchase(pan=TOKEN, pin=True)
    asked = mint.asked_tsp(request)
    whole = row_of(mint)
    mint.send(mint.tsp, mint.resolved(asked))
    [passed_on] = mint.inbox(mint.issuer)
    rest = row_of(mint)
    assert len(whole.kept) > len(rest.kept) > 0
    assert (whole.sealed, rest.sealed) == (0, 1)
    mint.send(mint.issuer, mint.echo(passed_on))
    after = row_of(mint)
    assert (after.kept, after.behind, after.deadline_ms) == (b"", rest.behind, 0)


def test_what_a_token_stood_for_is_forgotten_after_thirty_days(mint: Mint) -> None:
    request, _ = mint.bought()
    mint.tick(29 * 24 * 3600 * SECOND_MS)
    assert row_of(mint).sealed == 1
    mint.tick(2 * 24 * 3600 * SECOND_MS)
    assert (row_of(mint).sealed, row_of(mint).behind) == (0, b"")
    mint.sign_on()
    mint.inbox(mint.issuer)
    mint.ask(mint.acquirer, mint.reversal(request))
    mint.tick(100)
    assert "0420" not in [message.mti for message in mint.inbox(mint.issuer)]
    assert [(letter.target, letter.last_code) for letter in dead_letters(mint.store)] == [(mint.issuer.station, "A7")]


def test_a_tampered_row_answers_nobody(mint: Mint) -> None:
    asked = mint.asked_tsp(mint.purchase(pan=TOKEN))
    with mint.store.begin() as tx:
        book = JOURNAL.open(tx)
        [row] = book.select(Statement(JOURNAL.select()))
        row.kept = row.kept[:-1] + bytes([row.kept[-1] ^ 1])
        book.save()
    mint.send(mint.tsp, mint.resolved(asked))
    assert (mint.inbox(mint.acquirer), mint.inbox(mint.issuer)) == ([], [])


# fmt: off
PATIENCE = [
    ({},                                                    8_000),
    ({"tsp_timeout_ms": 5_000},                             5_000),
    ({"timeout_ms": 2_000, "issuer_timeout_ms": 1_500},     400),
]
# fmt: on


@pytest.mark.parametrize(("settings", "patience_ms"), PATIENCE)
def test_the_services_time_lies_within_ours(settings, patience_ms: int) -> None:
    assert NetworkConfig.load(settings).token_service_ms == patience_ms


def test_a_tokens_route_may_name_the_service_only(mint: Mint) -> None:
    add_route(mint.store, "625094", TSP, now_ms=mint.clock.now_ms())
    _, reply = mint.bought()
    assert (reply.text(39), reply.text(100)) == ("00", LANTERN)


def test_a_batch_of_tokens_and_cards(mint: Mint) -> None:
    numbers = [TOKEN, PAN_LANTERN, TOKEN_HARBOUR, PAN_HARBOUR] * 8
    requests = [mint.purchase(pan=number, pin=True) for number in numbers]
    assert mint.send(mint.acquirer, *requests) == []
    first = mint.inbox(mint.tsp)
    assert (len(first), len(mint.issuer.got), len(mint.harbour.got)) == (16, 8, 8)
    cards = {TOKEN: PAN_OTHER, TOKEN_HARBOUR: PAN_HARBOUR}
    mint.send(mint.tsp, *[mint.resolved(asked, cards[asked.text(2)]) for asked in first])
    for peer in (mint.issuer, mint.harbour):
        asked = mint.inbox(peer)
        assert {peer.read_pin(message).digits for message in asked} == {PIN_DIGITS}
        mint.send(peer, *[mint.echo(message) for message in asked])
    replies = {reply.text(11): reply for reply in mint.inbox(mint.acquirer)}
    assert [replies[request.text(11)].text(2) for request in requests] == numbers
    assert {reply.text(39) for reply in replies.values()} == {"00"}
    assert [len(ends(advice)) for advice in mint.inbox(mint.tsp)] == [8, 8]  # as the two issuers answered


@pytest.mark.parametrize("echoes", [True, False])
def test_rows_lie_with_the_token_in_whichever_bucket(tmp_path, echoes: bool) -> None:
    mint = Mint(tmp_path, NetworkConfig(buckets=7))
    mint.sign_on()
    asked = mint.asked_issuer(mint.purchase(pan=TOKEN))
    mint.send(mint.issuer, mint.echo(asked) if echoes else mint.issuer.answer(asked))
    assert [reply.text(39) for reply in mint.inbox(mint.acquirer)] == ["00"]
    request, _ = mint.bought(mint.purchase(pan=TOKEN))
    mint.ask(mint.acquirer, mint.reversal(request))
    mint.tick(100)
    [theirs] = [message for message in mint.inbox(mint.issuer) if message.mti == "0420"]
    mint.send(mint.issuer, mint.echo(theirs) if echoes else mint.issuer.answer(theirs))
    assert [item.target for item in forward_queue(mint.store) if item.mti == "0420"] == [TSP]
    mint.store.close()


@settings(max_examples=examples(60, heavy=2_000), deadline=None)
@given(st.sampled_from([56, 63]), st.binary(max_size=120), st.sampled_from(["service", "issuer"]))
def test_whatever_stands_in_the_fields_of_tokens_the_switch_goes_on(any_mint: Mint, number: int, raw: bytes, who: str) -> None:
    mint, request = any_mint, any_mint.purchase(pan=TOKEN, pin=True)
    if who == "service":
        asked = mint.asked_tsp(request)
        mint.send(mint.tsp, Message("0210", mint.resolved(asked).fields | {number: raw}))
    else:
        asked = mint.asked_issuer(request)
        mint.send(mint.issuer, Message("0210", mint.echo(asked).fields | {number: raw}))
    assert "MALFUNCTION" not in mint.reasons()
    mint.tick(30 * SECOND_MS)
    assert [reply.text(2) for reply in mint.inbox(mint.acquirer) if reply.mti == "0210"] == [TOKEN]
    for peer in mint.peers.values():
        mint.inbox(peer)


@pytest.fixture(scope="module")
def any_mint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mint]:
    """One switch for many examples, each of which leaves it as it found it."""
    mint = Mint(tmp_path_factory.mktemp("any"), where=":memory:")
    mint.sign_on()
    yield mint
    mint.store.close()
