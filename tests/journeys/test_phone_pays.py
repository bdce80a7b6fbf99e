"""A phone that pays: added with a one-time code, waved with and without PIN, without a network, dead and alive again."""

from typing import Any

import pytest

from shanfu.card import Interface
from shanfu.emv import commands, parse_ppse
from shanfu.hosts import Household
from shanfu.iso7816 import ResponseAPDU
from shanfu.iso8583 import decode_interbank, encode_interbank
from shanfu.links import Turn
from shanfu.messages import Actor, IDVMethod, TokenState
from shanfu.sandbox import PIN, Holder, inbox
from shanfu.sandbox.people import app_named
from shanfu.terminal import Outcome, UIMessage
from shanfu.wallet import Added, Phone, Reason, Refused
from shanfu.wallet.handset import no_attestation
from tests.journeys.pockets import Street, add, only, said

# fmt: off
WAVES = [  # merchant, amount, PIN typed, how it ends, CVM, what Lin Yue's account moves by
  ("teahouse", "12.34",   None,     "approved", "NONE",       -1_234),
  ("teahouse", "1000.00", None,     "approved", "NONE",       -100_000),  # the PIN-free limit, inclusive
  ("teahouse", "1000.01", PIN,      "approved", "ONLINE_PIN", -100_001),
  ("teahouse", "1000.01", "654321", "55",       "ONLINE_PIN", 0),
  ("bookshop", "0.01",    PIN,      "approved", "ONLINE_PIN", -1),        # not enrolled: always the bank card's PIN
  ("bookshop", "12.34",   "654321", "55",       "ONLINE_PIN", 0),
  ("market",   "12.34",   None,     "approved", "NONE",       -1_234),    # the other bank's merchant
  ("teahouse", "5000.01", PIN,      "51",       "ONLINE_PIN", 0),
  ("ferry",    "1.00",    None,     "A1",       "NONE",       0),         # no account in its currency
]
# fmt: on


@pytest.mark.parametrize(("merchant", "amount", "pin", "end", "cvm", "moved"), WAVES)
def test_a_phone_is_waved_as_a_card_is(
    street: Street, *, merchant: str, amount: str, pin: str | None, end: str, cvm: str, moved: int
) -> None:
    opening = street.available()
    with street.pocket() as holder:
        receipt = street.wave(holder.phone, merchant, amount=amount, pin=pin)
        assert (said(receipt), receipt.cvm.name if receipt.cvm else "") == (end, cvm)
        assert receipt.masked_pan.startswith("625094")
        assert receipt.masked_pan[-4:] == holder.all_cards()[0].token_last4
        assert holder.all_cards()[0].uses_left == 9  # declined or not, a use is spent
    assert street.available()["lin-yue/156"] - opening["lin-yue/156"] == moved
    street.judge(opening)


def test_a_pin_that_is_not_typed_ends_the_payment_and_the_use_is_spent(home: Street) -> None:
    opening, before = home.available(), len(home.frames)
    with home.pocket() as holder:
        assert said(home.wave(holder.phone, "bookshop")) == "pin-cancelled"
        assert holder.all_cards()[0].uses_left == 9
        assert not any(frame.source.startswith("acquirer-") for frame in home.frames[before:] if frame.target == "network")
        assert said(home.wave(holder.phone, "bookshop", pin=PIN)) == "approved"
    home.judge(opening)


def test_what_neighbours_give_open_could_go_over_a_wire(home: Street, monkeypatch: pytest.MonkeyPatch) -> None:
    given, take = list[Any](), Household._take

    def listen(self: Household, name: str, part: Turn, work: Any) -> None:
        given.extend(out.said for out in part.outbound if out.said is not None)
        take(self, name, part, work)

    monkeypatch.setattr(Household, "_take", listen)
    with home.pocket() as holder:
        ends = [said(home.wave(holder.phone, "teahouse", amount=amount, pin=PIN)) for amount in ("12.34", "1000.01", "5000.01")]
    assert ends == ["approved", "approved", "51"]
    assert {frame.message.mti for frame in given} >= {"0200", "0210", "0620"}
    assert [decode_interbank(encode_interbank(frame)) for frame in given] == given


def test_a_card_is_added_and_pays_in_the_same_session(street: Street) -> None:
    opening = street.available()
    with street.pocket("chen-phone") as holder:
        codes: list[str] = []

        def read() -> str:
            codes.append(inbox(street.world, "chen-bo")[-1])
            return codes[-1]

        added = holder.add_card("credit", code=read)
        assert isinstance(added, Added)
        assert (added.view.state, added.missing, len(codes)) == (TokenState.ACTIVE, None, 1)
        [card] = holder.all_cards()
        assert (card.pan_last4, card.uses_left, card.ready, card.default) == (card.pan_last4, 10, True, True)
        assert said(street.wave(holder.phone, amount="20.00")) == "approved"
        listed = holder.do(holder.app.transactions(card.token))
        assert not isinstance(listed, Refused)
        assert [(one.kind, one.amount, one.result) for one in listed.items] == [("PURCHASE", 2_000, "APPROVED")]
    assert street.available()["chen-bo/156"] - opening["chen-bo/156"] == -2_000
    street.judge(opening)


# -- ten uses ----------------------------------------------------------------------------------------------------------


def test_ten_uses_without_a_network_and_the_eleventh(street: Street) -> None:
    opening, frames = street.available(), street.frames
    with street.pocket() as holder:
        holder.phone.online(False)
        phone, left = holder.phone, []
        for _ in range(10):
            assert said(street.wave(phone, amount="1.00")) == "approved"
            left.append(phone.shown[-1].uses_left)
        assert left == list(range(9, -1, -1))
        assert not any(one.source == "http" for one in frames), "nothing left the phone"

        before = len(frames)
        dead = street.wave(phone, amount="1.00")
        assert (dead.outcome, dead.ui, dead.response_code) == (Outcome.END_APPLICATION, UIMessage.TRY_ANOTHER_CARD, "")
        assert phone.shown[-1].reason is Reason.COUNT_EXHAUSTED
        assert "open the app" in phone.shown[-1].en
        assert "打开App" in phone.shown[-1].zh
        assert len(frames) == before, "nothing went online"

        phone.online()
        assert said(street.wave(phone, amount="1.00")) == said(dead), "the network alone does not wake it"
        assert len(frames) == before
        assert street.opened(holder).replenished == (only(holder),)
        assert said(street.wave(phone, amount="1.00")) == "approved"
        assert [card.uses_left for card in holder.all_cards()] == [9]
    assert street.available()["lin-yue/156"] - opening["lin-yue/156"] == -1_100
    street.judge(opening)


def test_keys_die_of_time_and_of_money_and_wake_when_the_app_is_opened(home: Street) -> None:
    opening = home.available()
    with home.pocket() as holder:
        home.net.advance(1_000)
        home.clock.advance(5 * 86_400_000 + 1)
        home.wave(holder.phone, amount="1.00")
        assert holder.phone.shown[-1].reason is Reason.TTL_EXPIRED
        home.opened(holder)
        assert said(home.wave(holder.phone, amount="1.00")) == "approved"
        assert not home.wave(holder.phone, amount="20000.00", pin=PIN).approved
        assert holder.phone.shown[-1].reason is Reason.AMOUNT_EXHAUSTED
        home.opened(holder)
        assert said(home.wave(holder.phone, amount="2000.00", pin=PIN)) == "approved"
    home.judge(opening)


def test_torn_taps_spend_uses_and_no_money(street: Street) -> None:
    opening = street.available()
    with street.pocket() as holder:
        uses = []
        for commands in range(1, 6):
            street.wave(holder.phone, amount="1.00", tear_after=commands)
            uses.append(holder.all_cards()[0].uses_left)
        assert uses[:2] == [10, 10], "SELECT is no use"
        assert uses[2] == 9, "GPO is one, whether its answer arrived or not"
        assert said(street.wave(holder.phone, amount="1.00")) == "approved"
    street.judge(opening)


# -- the holder's own freeze -------------------------------------------------------------------------------------------


def test_freeze_unfreeze_delete(street: Street) -> None:
    opening = street.available()
    with street.pocket() as holder:
        token = only(holder)
        assert said(street.wave(holder.phone)) == "approved"
        assert holder.do(holder.app.freeze(token)) is None
        assert not street.wave(holder.phone).approved
        assert holder.phone.shown[-1].reason is Reason.FROZEN
        street.drain()
        assert street.case(token).token.state is TokenState.SUSPENDED
        assert street.case(token).token.suspended_by == (Actor.CARDHOLDER,)
        assert holder.do(holder.app.unfreeze(token)) is None
        assert said(street.wave(holder.phone)) == "approved"
        assert holder.do(holder.app.delete(token)) is None
        assert holder.all_cards() == []
        assert not street.wave(holder.phone).approved
        street.drain()
        assert street.case(token).token.state is TokenState.DEACTIVATED
        again = add(holder, "debit")
        assert again != token
        assert said(street.wave(holder.phone)) == "approved"
    street.judge(opening)


def test_a_freeze_without_a_network_holds_at_once_and_is_told_later(street: Street) -> None:
    opening = street.available()
    with street.pocket() as holder:
        token = only(holder)
        holder.phone.online(False)
        holder.do(holder.app.freeze(token))
        assert not street.wave(holder.phone).approved
        street.drain()
        assert street.case(token).token.state is TokenState.ACTIVE
        holder.phone.online()
        street.opened(holder)
        street.drain()
        assert street.case(token).token.state is TokenState.SUSPENDED
    street.judge(opening)


# -- which phones ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("phone", "code", "reason"), [
    ("no-nfc", "nfc-missing", "NFC_MISSING"),
    ("old",    "os-too-old",  "OS_TOO_OLD"),
])  # fmt: skip
def test_a_phone_that_cannot_pay_is_told_why(home: Street, phone: str, code: str, reason: str) -> None:
    with home.pocket(phone) as holder:
        refused = holder.add_card("debit")
        assert isinstance(refused, Refused)
        assert refused.problem is not None
        assert (refused.problem.code, refused.problem.reason) == (code, reason)
        assert refused.en
        assert refused.zh
        assert not home.wave(holder.phone).approved
    home.judge(home.available())


def test_a_phone_for_which_nobody_vouches_gets_less(home: Street) -> None:
    opening = home.available()
    with home.pocket("second") as holder:
        holder.phone.handset.attest = no_attestation
        add(holder, "debit")
        [card] = holder.all_cards()
        assert (card.uses_left, card.max_uses, card.amount_left) == (3, 3, 100_000)
        assert [said(home.wave(holder.phone, amount="1.00")) for _ in range(3)] == ["approved"] * 3
        assert not home.wave(holder.phone, amount="1.00").approved
    home.judge(opening)


def test_two_banks_on_one_phone(street: Street) -> None:
    """The default app's card answers, or that of the app in front; the terminal is shown no other."""
    opening = street.available()
    with street.pocket("two-apps") as holder:
        guest = Holder(street.world, "lin-yue", holder.phone, app_named("lantern"))
        harbour, lantern = add(holder, "harbour"), add(guest, "debit")
        digits = {card.token: card.token_last4 for card in holder.all_cards()}
        assert digits.keys() == {harbour, lantern}
        for front, mine in (("", harbour), ("example.lantern", lantern), ("example.harbour", harbour)):
            holder.phone.bring_to_front(front)
            assert listed(holder.phone) == 1
            assert street.wave(holder.phone, "market", amount="5.00").masked_pan[-4:] == digits[mine]
        holder.phone.make_default("example.lantern")
        holder.phone.lock()  # no app is in front of a locked screen
        assert street.wave(holder.phone, "market", amount="5.00").masked_pan[-4:] == digits[lantern]
        guest.do(guest.app.delete(lantern))
        assert listed(holder.phone) == 0, "an app without a card shows nobody else's"
        assert not street.wave(holder.phone, "market", amount="5.00").approved
    moved = {name: now - opening[name] for name, now in street.available().items() if now != opening[name]}
    assert moved == {"lin-yue/156": -1_000, "wong-mei/156": -1_000}
    street.judge(opening)


def listed(phone: Phone) -> int:
    """How many applications the phone's PPSE names."""
    phone.tap_target.power_on(Interface.CONTACTLESS)
    answer = ResponseAPDU.parse(phone.tap_target.answer(bytes(commands.select_ppse())))
    phone.tap_target.power_off()
    return len(parse_ppse(answer.data)) if answer.ok else 0


# -- guessing ----------------------------------------------------------------------------------------------------------


def test_wrong_codes_lock(street: Street) -> None:
    with street.pocket("second") as holder:
        first = holder.add_card("debit", code=lambda: "000000")
        assert isinstance(first, Refused)
        assert first.problem is not None
        assert first.problem.code == "code-wrong"
        [card] = holder.all_cards()
        codes = []
        for _ in range(3):
            again = holder.do(holder.app.submit_code(card.token, IDVMethod.SMS, "000000"))
            assert isinstance(again, Refused)
            assert again.problem is not None
            codes.append(again.problem.code)
        assert "code-locked" in codes, codes
        right = holder.do(holder.app.submit_code(card.token, IDVMethod.SMS, inbox(street.world, "lin-yue")[-1]))
        assert isinstance(right, Refused)
        assert not street.wave(holder.phone).approved
        street.drain()
        assert street.case(card.token).token.state is TokenState.DEACTIVATED
    street.judge(street.available())
