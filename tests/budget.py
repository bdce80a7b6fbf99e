"""How much a test does: a little in tier 1, the promised counts under `./run test --heavy`."""

import os

HEAVY = os.environ.get("SHANFU_HEAVY") == "1"

PROMISED = {  # what a whole heavy run has done at the least; tests/conftest.py asserts it
    "fuzz inputs": 500_000,
    "kills": 100,
    "seeds": 100,
}


def examples(light: int, *, heavy: int) -> int:
    """Return how many examples, kills or seeds to run now."""
    return heavy if HEAVY else light
