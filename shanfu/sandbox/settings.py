"""A world's settings: ports, time-outs, TLS, databases. Written as `world.toml` when the world is made, read ever after.

The time-outs nest (issuer < network < acquirer < terminal), so that the inner one always answers first; settings that do not
are refused when they are read. `SHANFU_*` variables override the file (SHANFU_TIMEOUTS_NETWORK_MS=1000), flags override both.
"""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from itertools import pairwise
from pathlib import Path
from typing import Any

from shanfu.errors import ConfigError, StoreVersion
from shanfu.sandbox.people import API_PORTS, PORTS
from shanfu.settings import read, take

__all__ = ["FORMAT", "Settings", "Timeouts", "new_settings", "read_settings", "write_settings"]

FORMAT = 1
NO = ("0", "false", "no")  # what switches a switch off


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """How long each party waits for the one behind it, in milliseconds."""

    issuer_ms: int = 20_000
    network_ms: int = 30_000
    acquirer_ms: int = 45_000
    terminal_ms: int = 60_000

    def __post_init__(self) -> None:
        order = [self.issuer_ms, self.network_ms, self.acquirer_ms, self.terminal_ms]
        if order[0] < 1 or any(inner >= outer for inner, outer in pairwise(order)):
            raise ConfigError(f"timeouts: {' '.join(map(str, order))} ms do not nest; issuer < network < acquirer < terminal")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything about a world that is not in its books. `stores` names databases by URL where the folder's is not wanted.

    In a `household` token service and key cloud live in the network's process, on its database; else each is a process.
    """

    format: int = FORMAT
    tls: bool = True
    household: bool = True
    cut_off: str = "23:00"
    ports: Mapping[str, int] = field(default_factory=lambda: dict(PORTS))
    api_ports: Mapping[str, int] = field(default_factory=lambda: dict(API_PORTS))
    stores: Mapping[str, str] = field(default_factory=dict)
    timeouts: Timeouts = Timeouts()


def read_settings(path: Path, environment: Mapping[str, str] = os.environ) -> Settings:
    """Read a world.toml; an unknown key is a ConfigError naming the nearest known one."""
    try:
        table = tomllib.loads(path.read_text())
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as fault:
        raise ConfigError(f"{path.name}: cannot be read: {fault}") from fault
    if take(table, "format", FORMAT, where=path.name) > FORMAT:
        raise StoreVersion(f"{path}: format {table['format']}, this is shanfu for format {FORMAT}; use a newer shanfu")
    _override(table, environment)
    timeouts = read(Timeouts, take(table, "timeouts", {}, where=path.name), where=f"{path.name} [timeouts]")
    return read(Settings, {**table, "timeouts": timeouts}, where=path.name)


def new_settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """Return the settings of a world about to be made, with what the environment asks for written down for good.

    SHANFU_STORES is a database URL with `{host}` where the host's name goes (with _ for -); without it the books are files.
    """
    table: dict[str, Any] = {}
    _override(table, environment)
    if template := environment.get("SHANFU_STORES"):
        if "{host}" not in template:
            raise ConfigError("SHANFU_STORES: is one URL for all hosts, it must name {host}, since each has its own database")
        table["stores"] = {host: template.replace("{host}", host.replace("-", "_")) for host in {**PORTS, **API_PORTS}}
    timeouts = read(Timeouts, table.get("timeouts", {}), where="environment")
    return read(Settings, {**table, "timeouts": timeouts}, where="environment")


def write_settings(path: Path, settings: Settings) -> None:
    """Write the world.toml of a new world."""
    lines = []
    tables = {}
    for name, value in asdict(settings).items():
        if isinstance(value, Mapping):
            tables[name] = value
        else:
            lines.append(f"{name} = {_toml(value)}")
    for name, table in tables.items():
        lines += ["", f"[{name}]", *(f"{key} = {_toml(value)}" for key, value in table.items())]
    path.write_text("\n".join(lines) + "\n")


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int) else '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _override(table: dict[str, Any], environment: Mapping[str, str]) -> None:
    for name in (f.name for f in fields(Timeouts)):
        text = environment.get(f"SHANFU_TIMEOUTS_{name.upper()}")
        if text is not None:
            if not text.isdigit():
                raise ConfigError(f"SHANFU_TIMEOUTS_{name.upper()}: {text!r}, must be a number of milliseconds")
            table.setdefault("timeouts", {})[name] = int(text)
    if (tls := environment.get("SHANFU_TLS")) is not None:
        table["tls"] = tls not in NO
    if (household := environment.get("SHANFU_HOUSEHOLD")) is not None:
        table["household"] = household not in NO
