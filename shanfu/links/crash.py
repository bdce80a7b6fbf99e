"""Named places in a host's turn at which a test may kill the process.

With ``SHANFU_CRASH_AT="issuer:after-commit:3"`` in the environment the process of the host `issuer` sends itself SIGKILL
when it passes that point for the third time: no handler runs, nothing is flushed, as in a power cut. Points of the periodic
work (time-outs, retries) carry the prefix `due-` and are counted only when that work has something to send. Unset, a point
is a call of an empty function.
"""

import os
import signal
from collections.abc import Callable

from shanfu.errors import ConfigError

__all__ = ["CRASH_POINTS", "CrashPoint", "crash_points", "no_crash"]

CRASH_POINTS = ("before-handle", "after-handle", "before-commit", "after-commit", "after-send")
_KNOWN = frozenset(CRASH_POINTS) | {f"due-{name}" for name in CRASH_POINTS[1:]}

CrashPoint = Callable[[str], None]


def no_crash(name: str) -> None:
    """Pass a point of which nothing is asked."""
    del name


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def crash_points(host: str, setting: str | None = None, die: Callable[[], None] = _kill) -> CrashPoint:
    """Return the function that `host` calls at each point; `setting` defaults to the variable SHANFU_CRASH_AT.

    Raises ConfigError for a setting that is not "<host>:<point>" or "<host>:<point>:<n>".

    >>> crash_points("issuer", "issuer:after-commit", die=lambda: print("killed"))("after-commit")
    killed
    """
    setting = os.environ.get("SHANFU_CRASH_AT") if setting is None else setting
    if not setting:
        return no_crash
    name, point, count = [*setting.split(":"), "1", ""][:3]
    if point not in _KNOWN or not (count.isdigit() and int(count) > 0):
        shape = f"<host>:<point>[:<n>] with a point of {', '.join(sorted(_KNOWN))}"
        raise ConfigError(f"SHANFU_CRASH_AT: is {setting!r}, should be {shape}")
    if name != host:
        return no_crash
    left = int(count)

    def passing(at: str) -> None:
        nonlocal left
        if at == point:
            left -= 1
            if left == 0:
                die()

    return passing
