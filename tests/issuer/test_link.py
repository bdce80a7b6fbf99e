"""The link to the network: signing on, key resets, MACs, the switch-over window, what is no message at all."""

import pytest

from shanfu.errors import DecodeError
from shanfu.hsm import KeyUsage
from shanfu.iso8583 import InterbankFrame, InterbankHeader, Message, decode_interbank, encode_interbank
from shanfu.issuer import balance
from shanfu.links import Inbound, Kind
from tests.issuer.bank import BANK, NETWORK, Bank

WINDOW_MS = 300_000


def sign_on_answer(ask: Message, code: str = "00") -> bytes:
    fields = ask.copy(7, 11, 33, 70) | {39: code}
    return encode_interbank(InterbankFrame(InterbankHeader(destination=BANK, source=NETWORK), Message("0830", fields)))


# -- signing on --------------------------------------------------------------------------------------------------------


def test_the_issuer_speaks_first(bank: Bank) -> None:
    [ask] = bank.link(Kind.UP)
    assert (ask.mti, ask.text(33), ask.text(70)) == ("0820", BANK, "001")
    assert bank.send(sign_on_answer(ask)) == []
    assert bank.tick(60_000) == []


@pytest.mark.parametrize("answer", ["none", "refused", "another's"])
def test_it_asks_again_until_it_is_answered(bank: Bank, answer: str) -> None:
    [ask] = bank.link(Kind.UP)
    if answer == "refused":
        bank.send(sign_on_answer(ask, "91"))
    elif answer == "another's":
        bank.send(sign_on_answer(Message("0820", ask.fields | {11: "999999"})))
    assert bank.tick(9_999) == []
    [again] = bank.tick(1)
    assert (again.mti, again.text(70)) == ("0820", "001")
    bank.send(sign_on_answer(again))
    assert bank.tick(60_000) == []


def test_a_link_that_is_down_is_not_asked(bank: Bank) -> None:
    bank.link(Kind.UP)
    bank.link(Kind.DOWN)
    assert bank.tick(60_000) == []
    assert len(bank.link(Kind.UP)) == 1


# fmt: off
MANAGEMENT = [
    ("001", {},              "00"),
    ("002", {},              "00"),
    ("201", {},              "00"),
    ("202", {"f15": "0105"}, "00"),
    ("202", {},              "30"),
    ("202", {"f15": "0230"}, "30"),
    ("301", {},              "00"),
    ("777", {},              "12"),
]
# fmt: on


@pytest.mark.parametrize(("code", "more", "answer"), MANAGEMENT)
def test_management(bank: Bank, code: str, more: dict, answer: str) -> None:
    reply = bank.ask(bank.management(code, **more))
    assert (reply.mti, reply.text(39), reply.text(70), 128 in reply) == ("0830", answer, code, False)


# -- keys --------------------------------------------------------------------------------------------------------------


def test_a_new_mak_answers_for_itself_and_the_old_one_stays_for_the_window(bank: Bank) -> None:
    old = bank.mak
    bank.new_mak()
    reply = bank.ask(bank.key_reset(KeyUsage.MAK))  # sealed and opened with the new key
    assert (reply.mti, reply.text(39)) == ("0810", "00")
    assert sorted(reply.fields) == [7, 11, 33, 39, 53, 70, 128]
    assert bank.code(bank.purchase(bank.cards["debit"], 1), key=old) == "00"
    bank.clock.advance(WINDOW_MS)
    assert bank.code(bank.purchase(bank.cards["debit"], 1), key=old) == "A0"
    assert bank.code(bank.purchase(bank.cards["debit"], 1)) == "00"


def test_a_key_reset_sent_again_leaves_the_old_key_its_window(bank: Bank) -> None:
    old = bank.mak
    bank.new_mak()
    reset = bank.sealed(bank.key_reset(KeyUsage.MAK))
    assert [answer.text(39) for answer in bank.send(reset, reset) + bank.send(reset)] == ["00"] * 3
    assert bank.code(bank.purchase(bank.cards["debit"], 1), key=old) == "00"


def test_a_new_pik_under_the_mak(bank: Bank) -> None:
    under_old = bank.purchase(bank.cards["debit"], 1)
    late = bank.purchase(bank.cards["debit"], 1)
    bank.new_pik()
    assert bank.code(bank.key_reset(KeyUsage.PIK)) == "00"
    assert bank.code(under_old) == "00"
    bank.clock.advance(WINDOW_MS)
    assert (bank.code(late), bank.reason()) == ("99", "PIN_UNREADABLE")
    assert bank.code(bank.purchase(bank.cards["debit"], 1)) == "00"


def test_a_key_reset_in_the_middle_of_a_batch(bank: Bank) -> None:
    before = bank.sealed(bank.purchase(bank.cards["debit"], 1))
    bank.new_mak()
    reset = bank.sealed(bank.key_reset(KeyUsage.MAK))
    after = bank.sealed(bank.purchase(bank.cards["debit"], 1))
    bank.sent.clear()
    bank.worker.turn([Inbound(NETWORK, frame) for frame in (before, reset, after)])
    assert [decode_interbank(frame).message.text(39) for frame in bank.sent] == ["00", "00", "00"]


def test_the_first_keys_come_over_the_link(bank: Bank) -> None:
    """Without a MAK nobody is believed; a reset under the master key is enough to begin."""
    from shanfu.issuer.books import SHELVES

    with bank.store.begin() as tx:
        book = SHELVES.keys.open(tx)
        for row in book.load(("bucket", "label"), [(0, f"mak/{NETWORK}"), (0, f"pik/{NETWORK}")]):
            book.remove(row)
        book.save()
    bank.restart()
    assert bank.code(bank.purchase(bank.cards["debit"], 1)) == "A0"
    assert bank.code(bank.key_reset(KeyUsage.MAK)) == "00"
    assert bank.code(bank.purchase(bank.cards["debit"], 1)) == "99"
    assert bank.code(bank.key_reset(KeyUsage.PIK)) == "00"
    assert bank.code(bank.purchase(bank.cards["debit"], 1)) == "00"


# fmt: off
BAD_RESETS = [
    # the reset has                         code
    ({48: b"NK" + bytes(15)},               "30"),
    ({48: b"XX" + bytes(16)},               "30"),
    ({48: b"?"},                            "30"),
    ({48: None},                            "30"),
    ({53: "3600000000000000"},              "30"),
    ({53: "2000000000000000"},              "30"),      # single DES
    ({70: "102"},                           "12"),
    ({48: b"NK" + bytes(16) + b"ABCD"},     "A7"),      # check value of another key
    ({48: b"NK" + bytes(range(16))},        "A0"),      # another key than the one its MAC is made with
]
# fmt: on


@pytest.mark.parametrize(("more", "code"), BAD_RESETS)
def test_key_resets_that_change_nothing(bank: Bank, more: dict, code: str) -> None:
    reset = bank.key_reset(KeyUsage.MAK)
    reset.fields = {number: value for number, value in (reset.fields | more).items() if value is not None}
    assert bank.code(reset) == code
    assert bank.code(bank.purchase(bank.cards["debit"], 1)) == "00"


# -- MACs and what is no message ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["purchase", "balance", "void", "refund", "reversal"])
def test_a_wrong_mac_has_no_effect(bank: Bank, kind: str) -> None:
    payment = bank.purchase(bank.cards["debit"], 1000)
    if kind not in ("purchase", "balance"):
        bank.ask(payment)
    before = balance(bank.store, "lin/156").balance_minor
    messages = {"purchase": lambda: payment, "balance": lambda: bank.balance(bank.cards["debit"])}
    message = messages.get(kind, lambda: getattr(bank, kind)(payment))()
    assert bank.code(message, spoil=True) == "A0"
    message.fields[128] = None
    assert balance(bank.store, "lin/156").balance_minor == before
    assert bank.code(Message(message.mti, {n: v for n, v in message.fields.items() if n != 128})) == "00"


def test_a_message_without_mac_is_not_believed(bank: Bank) -> None:
    frame = InterbankFrame(InterbankHeader(destination=BANK, source=NETWORK), bank.purchase(bank.cards["debit"], 1))
    [answer] = bank.send(encode_interbank(frame))
    assert answer.text(39) == "A0"


def test_only_the_network_is_answered(bank: Bank) -> None:
    frame = bank.sealed(bank.purchase(bank.cards["debit"], 1))
    assert bank.send(frame, station=BANK) == []
    assert balance(bank.store, "lin/156").balance_minor == 500_000
    assert "not our network" in bank.events.events[-1].title


def test_a_frame_that_does_not_parse_comes_back_rejected(bank: Bank) -> None:
    frame = bytearray(bank.sealed(bank.purchase(bank.cards["debit"], 1)))
    frame[4 + 46 + 4] ^= 0x01  # another bitmap
    good = bank.sealed(bank.purchase(bank.cards["credit"], 1))
    bank.sent.clear()
    bank.worker.turn([Inbound(NETWORK, bytes(frame)), Inbound(NETWORK, good)])
    rejected, answer = bank.sent
    assert rejected[:45] + b"00000" + rejected[50:] == frame
    assert rejected[45:50] != b"00000"
    assert bank.opened(answer).text(39) == "00"
    assert bank.send(rejected) == []  # a rejection is no request: it is never answered


@pytest.mark.parametrize("frame", [b"", b"0000", b"GET / HTTP/1.1\r\n\r\n", b"0046" + bytes(46)])
def test_what_is_no_frame_is_dropped(bank: Bank, frame: bytes) -> None:
    assert bank.send(frame) == []


@pytest.mark.parametrize(("number", "raw"), [(60, b"0000\x80\x80"), (60, b"0" * 101), (2, b"6" * 25), (43, b"\xff" * 40)])
def test_odd_fields_come_back_as_they_were(bank: Bank, number: int, raw: bytes) -> None:
    """Text that is no text, and more of it than the table allows, is read with a warning; the echo must not fail on it."""
    message = bank.purchase(bank.cards["debit"], 1)
    written = raw if number == 43 else b"%0*d%b" % (2 if number == 2 else 3, len(raw), raw)
    message.kept = {number: (message.fields[number], written)}
    digits = message.text(2) if number != 2 else raw.decode()
    [answer] = bank.send(bank.sealed(message) if number != 2 else bank.sealed_raw(message, 2, digits))
    assert answer.text(39) == ("30" if number == 2 else "00")
    assert number == 43 or (answer.kept or {})[number][1] == written
    assert bank.worker.tally.refused == 0
    for event in bank.events.events:
        assert digits.encode() not in event.raw


@pytest.mark.parametrize("missing", [7, 11, 32, 33])
def test_a_message_without_a_name_is_malformed(bank: Bank, missing: int) -> None:
    answer = bank.ask(bank.purchase(bank.cards["debit"], 1, **{f"f{missing}": None}))
    assert answer.text(39) == "30"


@pytest.mark.parametrize(("mti", "answers"), [("0210", 0), ("0430", 0), ("0830", 0), ("0600", 1), ("0100", 1)])
def test_other_messages(bank: Bank, mti: str, answers: int) -> None:
    message = bank.purchase(bank.cards["debit"], 1)
    message.mti = mti
    frame = InterbankFrame(InterbankHeader(destination=BANK, source=NETWORK), message)
    sealed = bank.sealed(message) if mti[:2] in ("01", "02", "04") else encode_interbank(frame)
    replies = bank.send(sealed)
    assert [reply.text(39) for reply in replies] == ["12"] * answers


@pytest.mark.parametrize("mti", [f"0{kind}{function}0" for kind in range(1, 9) for function in range(10)])
def test_a_kind_without_a_mac_spoils_no_batch_and_can_be_refused(bank: Bank, mti: str) -> None:
    good = bank.sealed(bank.purchase(bank.cards["debit"], 1))
    odd = bank.purchase(bank.cards["debit"], 1)
    odd.mti, odd.fields[128] = mti, "00000000"
    frame = encode_interbank(InterbankFrame(InterbankHeader(destination=BANK, source=NETWORK), odd))
    codes = [reply.text(39) for reply in bank.send(frame, good)]
    assert (codes[-1], bank.worker.tally.refused) == ("00", 0)
    assert codes[:-1] in ([], ["12"], ["A0"])
    for fault in (DecodeError("bad"), RuntimeError("broken")):
        turn = bank.host.refuse(Inbound(NETWORK, frame), fault, bank.clock.now_ms())
        assert [decode_interbank(out.frame).message.text(39) for out in turn.outbound] in ([], ["30"], ["96"])


def test_an_algorithm_that_the_key_does_not_have_is_no_authentication(bank: Bank) -> None:
    good = bank.sealed(bank.purchase(bank.cards["debit"], 1))
    odd = bank.sealed(bank.purchase(bank.cards["debit"], 1, f60="0" * 20 + "4"))
    assert [reply.text(39) for reply in bank.send(odd, good)] == ["A0", "00"]
    assert bank.worker.tally.refused == 0
    assert len(bank.host.refuse(Inbound(NETWORK, odd), RuntimeError("broken"), bank.clock.now_ms()).outbound) == 1


@pytest.mark.parametrize(("fault", "code"), [(DecodeError("bad"), "30"), (RuntimeError("broken"), "96")])
def test_refusals_look_into_no_books(bank: Bank, fault: Exception, code: str) -> None:
    inbound = Inbound(NETWORK, bank.sealed(bank.purchase(bank.cards["debit"], 1)))
    fresh = bank.host.refuse(inbound, fault, bank.clock.now_ms())
    assert decode_interbank(fresh.outbound[0].frame).message.text(39) == code
    bank.ask(bank.management("301"))
    bank.ask(bank.purchase(bank.cards["debit"], 1))
    known = bank.host.refuse(inbound, fault, bank.clock.now_ms())
    answer = bank.opened(known.outbound[0].frame)
    assert (answer.text(39), 128 in answer) == (code, True)


@pytest.mark.parametrize("station", [NETWORK, BANK])
@pytest.mark.parametrize("frame", [b"rubbish", None])
def test_refusals_of_what_takes_no_answer(bank: Bank, station: str, frame: bytes | None) -> None:
    answer = bank.follow_up("0420", bank.purchase(bank.cards["debit"], 1))
    answer.mti = "0430"
    turn = bank.host.refuse(Inbound(station, frame or bank.sealed(answer)), RuntimeError("x"), bank.clock.now_ms())
    assert turn.outbound == []
