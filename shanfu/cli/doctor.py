"""`shanfu doctor`: is this machine fit, and is this data folder well? Every check is a line, the first bad one decides."""

import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import click

from shanfu.cli.console import data_option, json_option, show_json
from shanfu.errors import ShanfuError

__all__ = ["command"]

Check = tuple[str, bool | None, str]  # what, right (None: not to be judged), what was found


@click.command()
@data_option
@json_option
def command(data: str, as_json: bool) -> int:
    """Check this machine and a data folder; exit code 1 when something is wrong."""
    checks = [_try(name, check) for name, check in _machine().items()]
    checks += _world(Path(data))
    if as_json:
        show_json([{"check": name, "ok": good, "found": found} for name, good, found in checks])
    else:
        for name, good, found in checks:
            click.echo(f"{'ok  ' if good else '-   ' if good is None else 'BAD '} {name:<28} {found}")
    return 1 if any(good is False for _, good, _ in checks) else 0


def _try(name: str, check: Callable[[], tuple[bool | None, str]]) -> Check:
    try:
        return (name, *check())
    except (ShanfuError, ImportError, OSError) as fault:
        return name, False, str(fault)


def _machine() -> dict[str, Callable[[], tuple[bool | None, str]]]:
    return {"python": _python, "ciphers (3DES, SM4, SM3)": _ciphers, "libcrypto of the system": _libcrypto, "SQLite": _sqlite}


def _python() -> tuple[bool, str]:
    return sys.version_info >= (3, 11), sys.version.split()[0]


def _ciphers() -> tuple[bool, str]:
    from shanfu.crypto import Algorithm, Cipher, sm3

    sm4 = Cipher(Algorithm.SM4, bytes(range(16))).encrypt(bytes(16))
    tdes = Cipher(Algorithm.TDES, bytes(range(16))).encrypt(bytes(8))
    return len(sm4) == 16 and len(tdes) == 8 and len(sm3(b"abc")) == 32, "at hand"


def _libcrypto() -> tuple[bool | None, str]:
    from shanfu.crypto import engine_name

    found = engine_name()
    return (True if found == "libcrypto" else None), f"ciphers by {found}"


def _sqlite() -> tuple[bool, str]:
    import sqlite3

    return sqlite3.sqlite_version_info >= (3, 38), sqlite3.sqlite_version  # json_each and ->> without options


def _world(folder: Path) -> list[Check]:
    if not (folder / "world.toml").exists():
        return [("data folder", None, f"{folder}: no world yet; `shanfu tap` makes one")]
    parts = {"data folder": _folder, "books": _books, "certificates": _tls}
    return [_try(name, partial(check, folder)) for name, check in parts.items()]


def _folder(folder: Path) -> tuple[bool, str]:
    open_to_others = [p for p in (folder, folder / "device.key") if p.stat().st_mode & 0o077]
    if open_to_others:
        return False, f"{open_to_others[0]}: others may read it; chmod go-rwx"
    return os.access(folder, os.W_OK), f"{folder}"


def _books(folder: Path) -> tuple[bool, str]:
    from shanfu.sandbox import HOSTS, World

    world = World.open(folder)
    for name in HOSTS:
        world.store(name, read_only=True).close()
    return True, f"{len(HOSTS)} hosts, this version's format"


def _tls(folder: Path) -> tuple[bool | None, str]:
    from shanfu.links import server_context
    from shanfu.sandbox import HOSTS, World

    if not World.open(folder).settings.tls:
        return None, "switched off (world.toml or SHANFU_TLS): links are plain TCP"
    for role in HOSTS.values():
        server_context(folder / "ca", role.id)
    return True, "valid"
