"""Whatever is lost, doubled, late or out of order: one effect per identity, and the money always balances."""

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shanfu.iso8583 import Message
from shanfu.issuer import balance, cash_of, postings_of, trial_balance, unbalanced
from shanfu.money import Money
from tests.budget import examples
from tests.issuer.bank import CNY, TODAY, TOMORROW, Bank

LOADED = 2_000  # on the debit card; what is spent beyond it is booked too
MESSAGES = st.lists(
    st.tuples(
        st.sampled_from(["debit", "credit"]),
        st.integers(1, 9).map(lambda hundreds: hundreds * 100),
        st.sampled_from(["nothing", "void", "void tomorrow", "reversal", "refund", "void reversed", "offline"]),
    ),
    min_size=1,
    max_size=4,
)


def story(bank: Bank, step: tuple[str, int, str]) -> list[Message]:
    """A payment, and what the acquirer sends after it."""
    name, minor, then = step
    if then == "offline":
        return [bank.offline(bank.cards["debit"], minor)]
    payment = bank.purchase(bank.cards[name], minor, pin=None)
    void = bank.void(payment, day=TOMORROW if then == "void tomorrow" else TODAY)
    more = {
        "nothing": [], "void": [void], "void tomorrow": [void], "reversal": [bank.reversal(payment)],
        "refund": [bank.refund(payment, f4="000000000050")], "void reversed": [void, bank.reversal(void)],
    }[then]  # fmt: skip
    return [payment, *more]


def owed(step: tuple[str, int, str], codes: list[set[str]]) -> int:
    """What the cardholder must have paid in the end, by the answers alone."""
    _, minor, then = step
    if "00" not in codes[0] or then == "reversal":
        return 0
    taken_back = "00" in codes[1] if len(codes) == 2 else False
    return minor - {"void": minor, "void tomorrow": minor, "refund": 50}.get(then, 0) * taken_back


@settings(max_examples=examples(25, heavy=300), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(plan=MESSAGES, data=st.data())
def test_any_order_any_repeats(plan: list, data: st.DataObject) -> None:
    with TemporaryDirectory() as folder:
        bank = Bank(Path(folder), where=":memory:")
        for name, group, limit in (("debit", "lin", 0), ("credit", "chen", 2_000_000)):
            bank.customer(group, balance=0 if limit else 500_000, limit=limit)
            bank.card(name, group, cash=None if limit else Money(LOADED, CNY))
        told = [story(bank, step) for step in plan]
        frames = [bank.sealed(message) for messages in told for message in messages]
        arrivals = data.draw(st.permutations(frames + data.draw(st.lists(st.sampled_from(frames), max_size=6))))
        cuts = sorted(data.draw(st.lists(st.integers(0, len(arrivals)), max_size=3)))
        answers: dict[str, set[str]] = {}
        for start, end in zip([0, *cuts], [*cuts, len(arrivals)], strict=True):
            for answer in bank.send(*arrivals[start:end]):
                answers.setdefault(answer.text(11), set()).add(answer.text(39))
            if data.draw(st.booleans()):
                bank.restart()
            if data.draw(st.booleans()):
                bank.ask(bank.management("202", f15=TODAY[4:]))
                bank.tick()
        assert all(len(codes - {"94"}) <= 1 for codes in answers.values())  # 94: after its reversal
        codes = [[answers[message.text(11)] for message in messages] for messages in told]
        due = sum(owed(step, given) for step, given in zip(plan, codes, strict=True))
        check(bank)
        bank.ask(bank.management("202", f15=TOMORROW[4:]))
        bank.tick()
        check(bank)
        assert balance(bank.store, "chen/156").held_minor == 0
        [cash] = cash_of(bank.store, bank.hsm, bank.cards["debit"].pan)
        assert LOADED - cash.balance_minor == sum(minor for _, minor, then in plan if then == "offline"), "each once"
        left = cash.balance_minor + sum(balance(bank.store, name).balance_minor for name in ("lin/156", "chen/156"))
        assert left == 500_000 - due
        bank.store.close()


def check(bank: Bank) -> None:
    assert unbalanced(bank.store) == []
    assert sum(line.balance_minor for line in trial_balance(bank.store)) == 0
    lines = [line for day in (TODAY, TOMORROW) for line in postings_of(bank.store, day)]
    assert all(line.agrees for line in lines)
