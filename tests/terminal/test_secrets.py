"""Nothing that is shown, kept in clear or repeated in a repr holds a card number, a PIN or a key."""

from dataclasses import replace

import pytest

from shanfu.dialogue import Ask, Keep, advance
from shanfu.emv import commands
from shanfu.iso8583 import POS, Message, PosFrame, encode_pos, masked
from shanfu.store import DictMemory
from shanfu.terminal import EnterPIN, LoadKeys, MakeMAC, PINEntered, PinPad, Refused, mask_apdu, unionpay_aids
from tests.terminal.chips import authority, genuine, issues, made
from tests.terminal.shop import MAK, PAN_DIGITS, PIK, PIN_DIGITS, TMK, Acquirer, Shop, config, declines, lost, yuan

SECRETS = [PAN_DIGITS, PIN_DIGITS, TMK.hex(), PIK.hex(), MAK.hex()]


def forms(secret: str) -> list[str]:
    raw = secret.encode()
    return [secret.lower(), raw.hex(), secret.lower() + "d"]


def holds(text: str, secret: str) -> bool:
    return any(form in text.lower() for form in forms(secret))


def test_events_receipts_and_journals_show_no_secret() -> None:
    shop = Shop(settings=config(aids=unionpay_aids(enrolled=False)))
    shop.host.plays("0200", lost, declines("55"))
    receipts = [shop.pay() for _ in range(4)]
    shop.drive(shop.terminal.void(receipts[-1].stan))
    said = [repr(receipts), repr(shop.terminal.journal.transactions), repr(shop.pad), repr(shop.terminal.lines())]
    for event in shop.heard.events:
        said += [repr(event), event.raw.hex(), event.raw.decode("latin-1")]
    assert len(said) > 100
    for secret in SECRETS:
        assert not [text for text in said if holds(text, secret)], "a secret is shown"


@pytest.mark.parametrize("sm2", [False, True])
def test_neither_do_inserts_swipes_and_approvals_by_the_card(sm2: bool) -> None:
    """An SM2 certificate has the card number in clear, and a card may verify a PIN that came in clear."""
    floors = (replace(unionpay_aids(enrolled=True)[0], contactless_floor=10_000),)
    keys = (authority(sm2=sm2),)
    shop = Shop(
        settings=config(aids=floors, ca_keys=keys), card=made(genuine(sm2=sm2, offline_pin="846135", balance_minor=50_000))
    )
    shop.typed = ["913577", "846135"]
    shop.host.plays("0200", issues(after=(commands.put_data(0x9F58, b"\x07", b""),)))
    receipts = [shop.insert(), shop.pay("30.00"), shop.pay("200.00")]
    assert [receipt.approved for receipt in receipts] == [True] * 3
    shop.typed = [PIN_DIGITS]
    receipts.append(shop.insert(silent_after=2))
    track = f"{PAN_DIGITS}=30122200000000000"
    receipts.append(shop.drive(shop.terminal.swipe(track, yuan("5.00"), track1=f"B{PAN_DIGITS}^LIN/YUE^30122200000000000")))
    assert receipts[-1].approved
    said = [repr(receipts), repr(shop.terminal.journal.transactions), repr(shop.terminal.parameters())]
    for event in shop.heard.events:
        said += [repr(event), event.raw.hex(), event.raw.decode("latin-1")]
    for secret in (*SECRETS, "846135", "913577"):
        assert not [text for text in said if holds(text, secret)], "a secret is shown"


def test_masked_frames_keep_their_length_and_name_the_ranges() -> None:
    shop = Shop()
    shop.pay("1500.00")
    sent = [event for event in shop.heard.events if event.wire == "pos" and event.title == "purchase"]
    assert len(sent) == 1
    (event,) = sent
    assert len(event.masked) == 4  # DE2, 14, 35, 52
    assert all(set(event.raw[start:end]) == {ord("*")} for start, end in event.masked)
    assert int.from_bytes(event.raw[:2]) == len(event.raw) - 2


@pytest.mark.parametrize(
    ("raw", "response", "shown"),
    [
        ("00A4040008A00000033301010100", False, "00A4040008A00000033301010100"),
        ("0020008008241234FFFFFFFFFF", False, "00200080082A2A2A2A2A2A2A2A"),
        ("00", False, "00"),
        ("0020", False, "0020"),
        ("00200080FF11", False, "002000802A2A"),
        ("6A82", True, "6A82"),
        ("9000", True, "9000"),
        ("5A0862280001000011179000", True, "5A086228002A2A2A11179000"),
        ("FFFF62280001000011179000", True, "2A" * 10 + "9000"),
        ("5A", True, "5A"),
        ("", True, ""),
    ],
)
def test_mask_apdu(raw: str, response: bool, shown: str) -> None:
    masked, ranges = mask_apdu(bytes.fromhex(raw), response=response)
    assert masked.hex().upper() == shown
    assert len(masked) == len(raw) // 2
    assert all(set(masked[start:end]) == {0x2A} for start, end in ranges)


def test_frames_that_cannot_be_read_are_hidden_from_there_on() -> None:
    frame = encode_pos(
        PosFrame("6000030000", "613100310000", Message("0200", {2: PAN_DIGITS, 3: "000000", 35: f"{PAN_DIGITS}=3012"}))
    )
    for length in range(len(frame)):
        shown, _ = masked(frame[:length], POS)
        assert len(shown) == length
        assert PAN_DIGITS not in shown.hex()
    assert masked(b"GET / HTTP/1.1 6209010000000011", POS)[0].endswith(b"*")


def test_the_dialogue_never_carries_a_pin_or_a_key() -> None:
    shop = Shop()
    shop.reader.present(shop.card)
    dialogue = shop.terminal.pay(yuan("1500.00"))
    step, seen = advance(dialogue), []
    while isinstance(step, Ask | Keep):
        reply, error = shop.carry(step)
        seen += [repr(step), repr(reply)]
        step = advance(dialogue, reply, error)
    for secret in (PIN_DIGITS, PIK.hex(), MAK.hex()):
        assert not any(holds(text, secret) for text in seen)


def test_the_pin_pad_refuses_without_keys_and_keeps_none_in_clear() -> None:
    memory = DictMemory()
    pad = PinPad(TMK, memory, lambda prompt: PIN_DIGITS)
    for command in (MakeMAC(b"x"), EnterPIN(prompt="PIN", pan=PAN_DIGITS)):
        assert isinstance(pad.answer(command), Refused)
    good = Acquirer().working_keys()
    for bad in (b"", good[:-1], good[:16] + b"\0" * 24, bytes(40)):
        assert isinstance(pad.answer(LoadKeys(bad)), Refused)
    pad.answer(LoadKeys(good))
    block = pad.answer(EnterPIN(prompt="PIN", pan=PAN_DIGITS))
    assert isinstance(block, PINEntered)
    kept = b"".join(memory.read(name) or b"" for name in memory.names())
    assert PIK not in kept
    assert MAK not in kept
    assert repr(pad) == "PinPad(with working keys)"
    assert isinstance(PinPad(b"\x07" * 16, DictMemory(), lambda prompt: None).answer(LoadKeys(good)), Refused), "another TMK"


def test_a_response_apdu_in_an_event_names_its_status() -> None:
    shop = Shop()
    shop.pay()
    answers = [event.detail["sw"] for event in shop.heard.events if event.source == "card"]
    assert answers == ["9000 done"] * 3
    (gpo,) = [event for event in shop.heard.events if event.title == "GET PROCESSING OPTIONS"]
    assert gpo.detail["9F02"] == "Amount, Authorised (Numeric): 000000001234"
