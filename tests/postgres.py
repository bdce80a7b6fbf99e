"""A private PostgreSQL server for the tests, and a fresh database for each test that asks for `postgres_url`.

    from tests.postgres import postgres_server, postgres_url  # noqa: F401

The server listens on a free port of 127.0.0.1, keeps its files in a temporary folder, runs as `postgres` when the tests run
as root (initdb refuses root), and dies with the session. Without the server's binaries the tests are skipped, under
SHANFU_REQUIRE_ALL=1 they fail.
"""

import itertools
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

FOLDERS = [
    *sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True),  # where Debian keeps what is not for PATH
    *(Path(folder) for folder in os.environ.get("PATH", "").split(":")),
]
NEEDED = ("initdb", "pg_ctl", "postgres")
_numbers = itertools.count(1)


def binaries() -> Path | None:
    return next((folder for folder in FOLDERS if all((folder / name).exists() for name in NEEDED)), None)


class Server:
    """One running server; `stop` and `start` are what an outage looks like."""

    def __init__(self, bin_folder: Path, settings: tuple[str, ...] = ()) -> None:
        self.bin = bin_folder
        self.folder = Path(tempfile.mkdtemp(prefix="shanfu-pg-"))
        self.user = "postgres" if os.geteuid() == 0 else None
        if self.user:
            os.chown(self.folder, pwd.getpwnam(self.user).pw_uid, -1)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._settings = settings
        self._run("initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        self.start()

    @property
    def data(self) -> str:
        return str(self.folder / "data")

    def start(self) -> None:
        options = ["-c listen_addresses=127.0.0.1", f"-c port={self.port}", "-c unix_socket_directories=", *self._settings]
        self._run("pg_ctl", "-D", self.data, "-w", "-s", "-l", str(self.folder / "log"), "-o", " ".join(options), "start")

    def stop(self) -> None:
        self._run("pg_ctl", "-D", self.data, "-w", "-s", "-m", "immediate", "stop")

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, database: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def create(self) -> str:
        """Make an empty database and return its URL."""
        name = f"test_{next(_numbers)}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as link:
            link.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def _run(self, *command: str) -> None:
        # the server's own output goes to its log: a pipe that the server inherits would never end
        as_user = {"user": self.user, "group": pwd.getpwnam(self.user).pw_gid, "extra_groups": []} if self.user else {}
        with tempfile.TemporaryFile() as told:
            path = str(self.bin / command[0])
            done = subprocess.run([path, *command[1:]], cwd="/", stdout=told, stderr=told, timeout=120, check=False, **as_user)
            told.seek(0)
            assert done.returncode == 0, f"{command[0]}: {told.read().decode()}"


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    found = binaries()
    if found is None:
        if os.environ.get("SHANFU_REQUIRE_ALL") == "1":
            pytest.fail("PostgreSQL's initdb and postgres are not to be found")
        pytest.skip("no PostgreSQL server is installed")
    server = Server(found)
    yield server
    server.remove()


@pytest.fixture
def postgres_url(postgres_server: Server) -> str:
    """The URL of a fresh database."""
    return postgres_server.create()
