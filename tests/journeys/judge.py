"""The judge: after everything has come to rest, was anything lost, doubled, or told in two ways?

It believes nobody's word alone. Reconciliation compares neighbour with neighbour; the judge also compares the two ends: what
the terminals' own journals say was paid with what the issuers have booked, and that with what the accounts moved by.
"""

from collections import Counter, defaultdict

from shanfu import issuer
from shanfu.emv import CryptogramType, IssuerApplicationData
from shanfu.errors import DecodeError
from shanfu.iso7816 import parse_flat
from shanfu.iso8583 import EntryMode, ResponseCode, decode_pos
from shanfu.pan import mask_pan
from shanfu.sandbox import CARDS, MERCHANTS, World, business_dates, reconcile_world
from shanfu.store import Store
from shanfu.terminal import Journal, Kind, State, Transaction
from tests.journeys.town import Town, hosts

HOLDERS = {mask_pan(card.pan): card.holder for card in CARDS}
ALREADY_REVERSED = "94"
NOT_HEARD = frozenset({"30", "77", "96", "97", "A0"})  # the message was not taken for its sender's, or not worked at all


def judge(town: Town, *, opening: dict[str, int]) -> None:
    """Fail with words unless all books agree and each transaction has had exactly one effect; tills are switched off."""
    world = town.world
    town.close_tills()
    reconciled(world)
    records = transactions(world)
    kept = [t for of_one in records.values() for t in of_one]
    assert booked(world) == Counter((t.rrn, t.amount_minor, t.currency) for t in kept if t.state is State.APPROVED)
    assert town.available() == expected(kept, opening)
    one_receipt_one_record(town, records)
    one_answer_each(town)
    no_atc_twice(kept)


def reconciled(world: World) -> None:
    """Every journal agrees with its neighbour's, on every business date; each ledger with its journal; sums are zero."""
    for day in business_dates(world):
        report = reconcile_world(world, day)
        assert report.clean, [d for finding in report.findings for d in finding.differences]
    for name in hosts("issuer"):
        with world.store(name, read_only=True) as store:
            assert issuer.unbalanced(store) == []
            sums: Counter[str] = Counter()
            for line in issuer.trial_balance(store):
                sums[line.currency] += line.balance_minor
            assert not any(sums.values()), f"{name}: {sums}"


def transactions(world: World) -> dict[str, list[Transaction]]:
    """What each terminal (DE41) has kept, oldest first."""
    found = {}
    for merchant in MERCHANTS:
        if (world.folder / "terminals" / f"{merchant.name}.mem").exists():
            with world.terminal_memory(merchant.name) as memory:
                found[merchant.terminal] = [t for _, t in sorted(Journal(memory).transactions.items())]
    return found


def booked(world: World) -> Counter[tuple[str, int, str]]:
    """What issuers count as money: reference, amount and currency of each approved payment, void and refund."""
    found: Counter[tuple[str, int, str]] = Counter()
    for name in hosts("issuer"):
        with world.store(name, read_only=True) as store:
            for line in _all_lines(store, business_dates(world)):
                if line.state == "APPROVED" and line.processing_code in ("000000", "200000"):
                    found[line.rrn, line.amount_minor, line.currency] += 1
    return found


def _all_lines(store: Store, days: list[str]) -> list[issuer.JournalLine]:
    return [line for day in days for line in issuer.journal_lines(store, day)]


def expected(kept: list[Transaction], opening: dict[str, int], *, holders: dict[str, str] = HOLDERS) -> dict[str, int]:
    """What each account can spend after what the terminals say happened; `holders` by the masked number."""
    left = dict(opening)
    for t in kept:
        if t.state is State.APPROVED:
            sign = -1 if t.kind is Kind.PURCHASE else 1
            left[moved(t, holders[t.masked_pan], opening)] += sign * t.amount_minor
    return left


def moved(t: Transaction, holder: str, accounts: dict[str, int]) -> str:
    """The account that a transaction moves: a waved card that approves by itself, asked about or not, pays with its e-cash."""
    waved = t.kind is Kind.PURCHASE and t.entry_mode.startswith(EntryMode.CONTACTLESS)
    if not waved or not (t.offline or certified(t.reversal_de55)):
        return f"{holder}/{t.currency}"
    [cash] = [name for name in accounts if name.startswith(f"{holder}/e-cash/") and name.endswith(f"/{t.currency}")]
    return cash


def certified(de55: bytes) -> bool:
    """Whether the card's first cryptogram was a TC; a closed batch has forgotten it."""
    iad = parse_flat(de55).get(0x9F10)
    return iad is not None and IssuerApplicationData.parse(iad).cryptogram_type is CryptogramType.TC


def one_receipt_one_record(town: Town, kept: dict[str, list[Transaction]]) -> None:
    """What the slip said is what the terminal has kept; only a refund may have got through after its slip was printed."""
    records = {(terminal, t.batch, t.stan): t for terminal, of_one in kept.items() for t in of_one}
    for receipt in town.receipts:
        record = records.get((receipt.terminal_id, receipt.batch, receipt.stan))
        if receipt.title not in ("purchase", "void", "refund") or record is None:
            assert not receipt.approved or receipt.title not in ("purchase", "void", "refund"), f"{receipt} has left no record"
            continue
        if receipt.approved:
            assert record.state is State.APPROVED, f"{receipt.title} {record.name}: slip approved, kept {record.state}"
        elif not record.is_advice:
            assert record.state in (State.DECLINED, State.REVERSED), f"{receipt.title} {record.name}: kept {record.state}"


def one_answer_each(town: Town) -> None:
    """No acquirer has approved and refused the same request, except that its reversal had come in between (94)."""
    answers: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
    for passage in town.frames:
        if not passage.source.startswith("acquirer-") or passage.target != "terminal":
            continue
        try:
            message = decode_pos(passage.frame).message
        except DecodeError:
            continue
        if message.mti in ("0210", "0230") and 60 in message and message.text(39) not in NOT_HEARD:
            name = (message.text(42, ""), message.text(41, ""), message.text(60)[2:8], message.text(11), message.text(3, ""))
            answers[name].append(message.text(39))
    for name, codes in answers.items():
        approved = [ResponseCode.of(code).approved for code in codes]
        assert approved == sorted(approved, reverse=True), f"{name}: refused, then approved: {codes}"
        after = [code for code, good in zip(codes, approved, strict=True) if not good]
        assert not any(approved) or set(after) <= {ALREADY_REVERSED}, f"{name}: answered in two ways: {codes}"


def no_atc_twice(kept: list[Transaction]) -> None:
    """No card has lent the same transaction counter to two payments.

    A request that was taken back has that of the approval which the card gave when nobody could be reached.
    """
    payments = [t for t in kept if t.kind is Kind.PURCHASE and t.atc]
    alone = {(t.masked_pan, t.atc) for t in payments if t.offline}
    standing = [t for t in payments if t.state is not State.REVERSED or (t.masked_pan, t.atc) not in alone]
    used = Counter((t.masked_pan, t.atc) for t in standing)
    assert [card for card, times in used.items() if times > 1] == []
