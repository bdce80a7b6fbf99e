"""A pcscd of our own with the virtual reader of vsmartcard-vpcd, for the tests that want a real PC/SC.

It needs no systemd, and one machine has one (its socket's place is fixed): where another runs already, or a part is missing,
the tests are skipped with the reason, under SHANFU_REQUIRE_ALL=1 they fail.
"""

import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

DAEMON = Path("/usr/sbin/pcscd")
DRIVER = Path("/usr/lib/pcsc/drivers/serial/libifdvpcd.so")
SYSTEM_PYTHON = Path("/usr/bin/python3")  # has Debian's python3-pyscard: a client written by others
PYSCARD = Path("/usr/lib/python3/dist-packages/smartcard")
SOCKET = "/run/pcscd/pcscd.comm"
CONFIG = """FRIENDLYNAME "Shanfu test"
DEVICENAME   /dev/null:0x{port:04X}
LIBPATH      {driver}
CHANNELID    0x{port:04X}
"""


def missing() -> str | None:
    """Say what the tests lack on this machine, or None."""
    for part, package in ((DAEMON, "pcscd"), (DRIVER, "vsmartcard-vpcd"), (PYSCARD, "python3-pyscard")):
        if not part.exists():
            return f"{package} is not installed"
    if os.geteuid() != 0:
        return "pcscd makes /run/pcscd, which takes root"
    return "another pcscd runs on this machine" if answers() else None


def answers() -> bool:
    """Whether a pcscd is there."""
    with socket.socket(socket.AF_UNIX) as line:
        return line.connect_ex(SOCKET) == 0


class Daemon:
    """One running pcscd; cards dial `port`, and `reader` is its first slot's name."""

    reader = "Shanfu test 00 00"

    def __init__(self, folder: str) -> None:
        self.port = _two_free_ports()
        (Path(folder) / "vpcd").write_text(CONFIG.format(port=self.port, driver=DRIVER))
        self._folder = folder
        self.start()

    def start(self) -> None:
        command = [str(DAEMON), "--foreground", "--error", "--config", self._folder]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        ends = time.monotonic() + 10
        while not answers():
            assert time.monotonic() < ends, "pcscd does not come up"
            assert self._process.poll() is None, "pcscd has ended"
            time.sleep(0.02)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(10)


def _two_free_ports() -> int:
    """Find a port that is free, as its neighbour is: the driver's two slots."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port: int = first.getsockname()[1]
            try:
                second.bind(("127.0.0.1", port + 1))
            except (OSError, OverflowError):
                continue
            return port


@pytest.fixture(scope="module")
def pcscd() -> Iterator[Daemon]:
    if why := missing():
        if os.environ.get("SHANFU_REQUIRE_ALL") == "1":
            pytest.fail(why)
        pytest.skip(why)
    with tempfile.TemporaryDirectory(prefix="shanfu-pcscd-") as folder:
        daemon = Daemon(folder)
        yield daemon
        daemon.stop()
