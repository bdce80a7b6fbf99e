"""Reading settings strictly: what is not known is refused, naming what was probably meant.

`config` reads TOML tables through this; a misspelt time-out must not silently become the default one.
"""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from shanfu.errors import ConfigError

__all__ = ["only", "take"]

T = TypeVar("T")


def only(table: Mapping[str, Any], known: Iterable[str], where: str) -> None:
    """Raise ConfigError for the first key of `table` that is not known, naming the nearest that is."""
    names = sorted(known)
    for key in table:
        if key not in names:
            near = difflib.get_close_matches(key, names, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(names)}"
            raise ConfigError(f"{where}: unknown setting {key!r}; {hint}")


def take(table: Mapping[str, Any], key: str, default: T, *, where: str) -> T:
    """Return `table[key]`, which must be of the default's type, or the default."""
    value = table.get(key, default)
    if type(value) is not type(default):
        raise ConfigError(f"{where}: {key} is {value!r}, it must be {type(default).__name__}")
    return value
