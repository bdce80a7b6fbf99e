"""One writer per file: a lock file held for the life of the process.

Books and memories are each written by exactly one process. The lock is `flock` on a neighbour of the file, so it falls with
the process however that ends, and the number written into it is only for the person who reads the message.
"""

import fcntl
import os
from pathlib import Path

from shanfu.errors import Conflict, StoreGone

__all__ = ["Lock", "held"]


class Lock:
    """Holds `<path>.lock` from construction until `release`; a second holder gets a Conflict that names the first."""

    def __init__(self, path: Path) -> None:
        try:
            fd = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as fault:
            raise StoreGone(f"{path}: cannot be written: {fault.strerror}") from fault
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.read(fd, 20).decode("ascii", "replace").strip() or "unknown"
            os.close(fd)
            raise Conflict(f"{path} is in use by process {holder}") from None
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        self._fd = fd

    def release(self) -> None:
        """Let the next writer in; the file stays, since removing it would let two in."""
        if self._fd >= 0:
            fcntl.flock(self._fd, fcntl.LOCK_UN)  # closing alone would wait for a child that is between fork and exec
            os.close(self._fd)
            self._fd = -1


def held(path: Path) -> bool:
    """Say whether somebody holds the lock of this path."""
    try:
        fd = os.open(f"{path}.lock", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False  # never locked, or not ours to open
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(fd)
    return False
