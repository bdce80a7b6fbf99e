"""Bytes that a line or an enemy changed: answered or dropped, never a fault, and no money without a right MAC."""

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shanfu.iso8583 import decode_interbank
from shanfu.issuer import ScriptKind, ScriptOrder, balance, order_script, unbalanced
from shanfu.links import Inbound
from shanfu.money import Money
from tests.budget import examples
from tests.issuer.bank import CNY, NETWORK, Bank

CHANGES = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), min_size=1, max_size=3)
CHIP = ["insert", "swipe", "offline", "script result"]
KINDS = st.sampled_from(["purchase", "balance", "void", "refund", "reversal", "key reset", "cut-off", *CHIP])


@settings(max_examples=examples(5, heavy=200), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(attempts=st.lists(st.tuples(KINDS, CHANGES, st.booleans()), min_size=20, max_size=20))
def test_changed_bytes(attempts: list) -> None:
    with TemporaryDirectory() as folder:
        bank = Bank(Path(folder), where=":memory:")
        bank.customer("lin")
        bank.chip_keys()
        card = bank.card("debit", "lin", cash=Money(100_000, CNY))
        now = {"now_ms": bank.clock.now_ms()}
        order_script(bank.store, bank.hsm, card.pan, ScriptOrder(kind=ScriptKind.PIN_UNBLOCK), **now)
        paid = bank.insert(card, 100)
        bank.ask(paid)
        for kind, changes, cut in attempts:
            frame = bytearray(frame_of(bank, kind, paid, card))
            for place, flip in changes:
                frame[int(place * len(frame))] ^= flip
            raw = bytes(frame[: int(changes[0][0] * len(frame))]) if cut else bytes(frame)
            bank.sent.clear()
            bank.worker.turn([Inbound(NETWORK, raw)])
            for answer in bank.sent:
                decode_interbank(answer) if answer[45:50] == b"00000" else None
        assert bank.worker.tally.refused == 0
        assert unbalanced(bank.store) == []
        assert 0 <= 400_000 - balance(bank.store, "lin/156").balance_minor <= 100 * (len(attempts) + 1)
        bank.store.close()


def frame_of(bank: Bank, kind: str, paid, card) -> bytes:
    from shanfu.hsm import KeyUsage

    messages = {
        "purchase": lambda: bank.purchase(card, 100), "balance": lambda: bank.balance(card),
        "void": lambda: bank.void(paid), "refund": lambda: bank.refund(paid), "reversal": lambda: bank.reversal(paid),
        "key reset": lambda: bank.key_reset(KeyUsage.MAK), "cut-off": lambda: bank.management("202", f15="0105"),
        "insert": lambda: bank.insert(card, 100), "swipe": lambda: bank.swipe(card, 100),
        "offline": lambda: bank.offline(card, 100), "script result": lambda: bank.script_result(paid, "2000000001"),
    }  # fmt: skip
    return bank.sealed(messages[kind]())
