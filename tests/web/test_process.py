"""The door in a process: it opens with the host, ends with it in order, and a killed one answers repeats after its restart."""

import os
import signal
import ssl
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from shanfu.links import PhoneLink, client_context
from shanfu.messages import Call, Device, encoded, wallet
from tests.hosts.counter import CLOUD
from tests.web.doors import SECRET

ROOT = Path(__file__).parent.parent.parent
FIND = "/tsp/v1/tokens/find"


class Process:
    def __init__(self, folder: Path, books: Path, *, crash_at: str = "") -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.web.process", str(folder), str(books), "0"],
            cwd=ROOT, env={**os.environ, "SHANFU_CRASH_AT": crash_at},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.port = int(self.process.stdout.readline())
        self.client = httpx.Client(
            base_url=f"https://127.0.0.1:{self.port}", verify=client_context(folder, CLOUD), trust_env=False
        )
        answer = self.client.post("/oauth2/token", data={"grant_type": "client_credentials"}, auth=("lantern", SECRET))
        self.client.headers["authorization"] = f"Bearer {answer.json()['access_token']}"

    def ask(self, key: str) -> int:
        return self.client.post(FIND, json={}, headers={"idempotency-key": key}).json()["tokens"][0]["version"]

    def ended(self) -> tuple[int, str]:
        self.client.close()
        _, told = self.process.communicate(timeout=15)
        return self.process.returncode, told


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_order(folder: Path, tmp_path: Path, number: signal.Signals) -> None:
    one = Process(folder, tmp_path / "books.db")
    assert one.ask("k") == 1
    one.process.send_signal(number)
    code, told = one.ended()
    assert code == 0
    assert '"event": "stopped"' in told
    assert "uvicorn" not in told
    assert SECRET not in told


# fmt: off
DEATHS = [
    # where                  visits counted when the call comes again
    ("before-handle",        2),
    ("after-handle",         2),
    ("before-commit",        2),
    ("after-commit",         2),   # it was counted; the repeat gets the stored reply
]
# fmt: on


@pytest.mark.parametrize(("point", "visits"), DEATHS)
def test_a_killed_one_answers_the_repeat(folder: Path, tmp_path: Path, point: str, visits: int) -> None:
    one = Process(folder, tmp_path / "books.db", crash_at=f"house:{point}:2")
    assert one.ask("k1") == 1
    with pytest.raises(httpx.TransportError):
        one.ask("k2")
    assert one.ended()[0] == -signal.SIGKILL
    other = Process(folder, tmp_path / "books.db")
    assert [other.ask("k2"), other.ask("k1"), other.ask("k2"), other.ask("k3")] == [visits, 1, visits, visits + 1]
    other.process.terminate()
    assert other.ended()[0] == 0


def test_a_phone_asks_a_process(folder: Path, tmp_path: Path) -> None:
    one = Process(folder, tmp_path / "books.db")
    tls = ssl.create_default_context(cafile=folder / "ca.pem")
    device = Device(device="d", time_ms=1, nonce="00", signature="00")
    call = Call(id="1", op="sessions.open", device=device, body=encoded(wallet.OpenSession(device="d", ephemeral="")))
    with PhoneLink(f"https://127.0.0.1:{one.port}", tls=tls) as phone:
        assert phone.ask(call).ok
    one.process.terminate()
    assert one.ended()[0] == 0
