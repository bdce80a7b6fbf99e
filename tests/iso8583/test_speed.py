"""Reading and writing against another author's codec: same message, same formats, both sides in turns in one run."""

import timeit
from collections.abc import Callable

import pytest

from shanfu.iso8583 import INTERBANK, POS, Dialect
from tests.budget import HEAVY
from tests.iso8583 import oracle
from tests.iso8583.samples import PURCHASE, TOKEN_PURCHASE

pytestmark = [pytest.mark.heavy, pytest.mark.skipif(not HEAVY, reason="measures; runs with --heavy")]


def ratio(ours: Callable[[], object], theirs: Callable[[], object]) -> float:
    """Best time of theirs over best time of ours, measured in turns."""
    best = [float("inf")] * 2
    for _ in range(15):
        for side, work in enumerate((ours, theirs)):
            best[side] = min(best[side], timeit.timeit(work, number=300))
    return best[1] / best[0]


@pytest.mark.parametrize(
    ("dialect", "body"), [(POS, PURCHASE[13:]), (INTERBANK, TOKEN_PURCHASE[50:])], ids=["pos", "interbank"]
)
def test_a_fifth_of_the_time(dialect: Dialect, body: bytes) -> None:
    spec = oracle.spec_of(dialect)
    message = dialect.decode(body)
    values = {n: v for n, v in oracle.decode(body, spec).items() if n not in ("p", "1")}
    for _ in range(3):
        dialect.encode(dialect.decode(body))
    reading = ratio(lambda: dialect.decode(body), lambda: oracle.decode(body, spec))
    writing = ratio(lambda: dialect.encode(message), lambda: oracle.encode(values, spec))
    print(f"{dialect.name}: decode 1/{reading:.1f}, encode 1/{writing:.1f} of pyiso8583's time")
    assert reading >= 5
    assert writing >= 5
