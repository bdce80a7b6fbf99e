"""Keys as hosts name them, install them, and try them: the newest first, and what fails again under the one before.

Labels are fixed by rule, so that key ceremonies and hosts agree without a table: `mmk/STATION` (a member's master key),
`mak/STATION` and `pik/STATION` (working keys, from key resets and sign-ins), `seal` and `lookup` (a host's own books), `vault`
(shared by token service and network: it seals what a token stands for).
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Final, TypeVar

from sqlalchemy import MetaData

from shanfu.hsm import KeyBlock, Keyring, KeyRow, keys_table
from shanfu.store import Shelf, Store

__all__ = ["LOOKUP", "SEAL", "VAULT", "install_key", "mak_label", "mmk_label", "pik_label", "try_keys"]

LOOKUP: Final = "lookup"
SEAL: Final = "seal"
VAULT: Final = "vault"
T = TypeVar("T")


def mmk_label(station: str) -> str:
    """Return the key label of a member's master key.

    >>> mmk_label("99010000")
    'mmk/99010000'
    """
    return f"mmk/{station}"


def mak_label(station: str) -> str:
    """Return the key label of the MAC key of a link."""
    return f"mak/{station}"


def pik_label(station: str) -> str:
    """Return the key label of the PIN key of a link."""
    return f"pik/{station}"


@cache
def _keys(prefix: str) -> Shelf[KeyRow]:
    """Return the table that every host has, under its prefix."""
    return Shelf(keys_table(MetaData(), prefix), KeyRow, kept=True)


def install_key(store: Store, label: str, block: KeyBlock, *, now_ms: int, prefix: str = "") -> None:
    """Put a key into a host's keyring, as a key ceremony does; in force at once."""
    with store.begin() as tx:
        keys = Keyring(_keys(prefix), tx, now_ms=now_ms)
        keys.load([label])
        keys.install(label, block)
        keys.save()


def try_keys(
    candidates: Sequence[Sequence[KeyBlock]], ask: Callable[[list[tuple[int, KeyBlock]]], Sequence[T]], *, failed: T
) -> list[T]:
    """Return what came of each of several proofs, each tried under its own keys in their order until one fits.

    `ask` gets the (place, key) of all that are still to be tried, at once, and returns one result for each.

    >>> rings = [[KeyBlock("new"), KeyBlock("old")], [KeyBlock("new")], []]
    >>> try_keys(rings, lambda asked: [f"{place} {key}" if key == "old" else "" for place, key in asked], failed="")
    ['0 old', '', '']
    """
    found = [failed] * len(candidates)
    for nth in range(max(map(len, candidates), default=0)):
        asked = [(at, keys[nth]) for at, keys in enumerate(candidates) if nth < len(keys) and found[at] == failed]
        if not asked:
            break
        for (at, _), result in zip(asked, ask(asked), strict=True):
            found[at] = result
    return found
