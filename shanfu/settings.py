"""Settings read strictly: what is not known is refused, naming what was probably meant.

Whoever has settings describes them once, as a dataclass with defaults, and builds it from a TOML table through `read`; a table
that is shaped otherwise goes through `only` and `take`. A misspelt time-out must not silently become the default one, nor a
misspelt limit no limit. Who calls: the configs of the hosts, the issuer's policy, a sandbox world's settings.
"""

import dataclasses
import difflib
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar, get_origin, get_type_hints

from shanfu.errors import ConfigError

__all__ = ["only", "read", "take"]

T = TypeVar("T")


def read(kind: type[T], table: Mapping[str, Any], *, where: str) -> T:
    """Build a dataclass from a TOML table: its names, its types, its defaults; a list becomes a tuple where one is wanted.

    Raises ConfigError for a name that is unknown or missing, and for a value of another type.
    """
    hints, values = get_type_hints(kind), dict[str, Any]()
    fields = [field for field in dataclasses.fields(kind) if field.init]  # type: ignore[arg-type]  # T is a dataclass
    only(table, [field.name for field in fields], where)
    for field in fields:
        wanted = get_origin(hints[field.name]) or hints[field.name]
        if field.name in table:
            value = table[field.name]
            values[field.name] = _typed(
                tuple(value) if wanted is tuple and type(value) is list else value, wanted, field.name, where=where
            )
        elif field.default is field.default_factory is dataclasses.MISSING:
            raise ConfigError(f"{where}: {field.name} is missing")
    return kind(**values)


def only(table: Mapping[str, Any], known: Iterable[str], where: str) -> None:
    """Raise ConfigError for the first key of `table` that is not known, naming the nearest that is.

    >>> only({"time_out_ms": 1}, ["name", "timeout_ms"], "network")
    Traceback (most recent call last):
    shanfu.errors.ConfigError: network: unknown setting 'time_out_ms'; did you mean 'timeout_ms'?
    """
    names = sorted(known)
    for key in table:
        if key not in names:
            near = difflib.get_close_matches(key, names, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(names)}"
            raise ConfigError(f"{where}: unknown setting {key!r}; {hint}")


def take(table: Mapping[str, Any], key: str, default: T, *, where: str) -> T:
    """Return `table[key]`, which must be of the default's type, or the default."""
    value: T = _typed(table.get(key, default), type(default), key, where=where)
    return value


def _typed(value: Any, wanted: type, key: str, *, where: str) -> Any:
    if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
        raise ConfigError(f"{where}: {key} is {value!r}, it must be {wanted.__name__}")
    return value
