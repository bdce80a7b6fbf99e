"""How many examples a property test runs: few in tier 1, the promised counts under `./run test --heavy`."""

import os

HEAVY = os.environ.get("SHANFU_HEAVY") == "1"


def examples(light: int, *, heavy: int) -> int:
    return heavy if HEAVY else light
