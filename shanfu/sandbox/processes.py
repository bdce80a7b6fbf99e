"""The hosts of a world as processes: started, watched, killed, stopped by their own process ids.

Each runs `serve NAME` and says on stdout, in one JSON line, when it listens. What it logs goes to `<world>/<host>/log.jsonl`,
what it tells (when watched) to `events.jsonl` beside it, one event a line, masked as everything that leaves a party.
"""

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from shanfu import network
from shanfu.errors import ConfigError, LinkTimeout
from shanfu.events import Event
from shanfu.sandbox.world import World

__all__ = ["EventEnds", "EventFile", "Fleet", "read_events", "ready_line"]

START_S = 60  # an interpreter, its imports and a migration, on a busy machine
STOP_S = 10


class Fleet:
    """The processes of a world's hosts; leaving it stops them."""

    def __init__(self, world: World, *, watch: bool = False) -> None:
        self.world, self._watch = world, watch
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._began_ms: dict[str, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def start(self, names: Iterable[str] | None = None, *, environment: Mapping[str, str] | None = None) -> None:
        """Start hosts (all, unless named) and wait until they listen; ConfigError with the host's own words if one does not."""
        fresh = list(self.world.processes if names is None else names)
        self._began_ms |= dict.fromkeys(fresh, self.world.clock.now_ms())
        for name in fresh:
            self._launch(name, environment or {})
        for name in fresh:
            self._wait(name)

    def wait_signed_on(self) -> None:
        """Wait until every member has signed on to the network and has its keys; LinkTimeout when one does not."""
        until = time.monotonic() + START_S
        while time.monotonic() < until:
            with self.world.store("network", read_only=True) as store:
                members = network.list_members(store)
            if all(member.ready and member.signed_on_ms >= self._began(member.name) for member in members):
                return
            time.sleep(0.05)
        raise LinkTimeout("network: not all members have signed on")

    def _began(self, member: str) -> int:
        """Return when the later of a member and the network was started: signing on before that does not count."""
        return max(self._began_ms.get(member, 0), self._began_ms.get("network", 0))

    def close_day(self) -> None:
        """Have the network's operator close the business date now."""
        self._signal("network", signal.SIGUSR1)

    def kill(self, name: str) -> None:
        """Kill a host as a power cut would (SIGKILL)."""
        self._signal(name, signal.SIGKILL)
        self.forget(name)

    def forget(self, name: str) -> None:
        """Leave a host that has ended, or is about to, so that it can be started again."""
        with self.processes.pop(name) as process:  # waits, and closes what we have read from
            process.wait()

    def freeze(self, name: str) -> None:
        """Let a host fall silent: it keeps its connections and does nothing (SIGSTOP)."""
        self._signal(name, signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        """Let a frozen host go on."""
        self._signal(name, signal.SIGCONT)

    def stop(self) -> None:
        """Stop all hosts: ask, wait, then insist."""
        for name in self.processes:
            self._signal(name, signal.SIGCONT)
            self._signal(name, signal.SIGTERM)
        until = time.monotonic() + STOP_S
        for process in self.processes.values():
            try:
                process.wait(max(until - time.monotonic(), 0.1))
            except subprocess.TimeoutExpired:
                process.kill()
        for name in list(self.processes):
            self.forget(name)

    def fallen(self) -> list[str]:
        """Return the hosts that have ended by themselves."""
        return [name for name, process in self.processes.items() if process.poll() is not None]

    def complaint(self, name: str) -> str:
        """Return the last line that a host wrote before it ended."""
        lines = self._log(name).read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"

    def _launch(self, name: str, environment: Mapping[str, str]) -> None:
        command = [sys.executable, "-m", "shanfu.cli", "serve", name, "--data", str(self.world.folder)]
        with self._log(name).open("ab") as log:
            self.processes[name] = subprocess.Popen(  # noqa: S603  # our own interpreter and module
                [*command, "--watch"] if self._watch else command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**os.environ, **environment},
                start_new_session=True,  # an interrupt at the keyboard is ours to pass on, in order
            )

    def _wait(self, name: str) -> None:
        process = self.processes[name]
        assert process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            if not selector.select(START_S):
                raise LinkTimeout(f"{name}: does not listen after {START_S} s")
        if not process.stdout.readline():
            process.wait()
            raise ConfigError(f"{name}: did not start: {self.complaint(name)}")

    def _signal(self, name: str, number: signal.Signals) -> None:
        process = self.processes[name]
        if process.poll() is None:
            process.send_signal(number)

    def _log(self, name: str) -> Path:
        return self.world.folder / name / "log.jsonl"


class EventFile:
    """Where a watched host tells."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)

    def __call__(self, event: Event) -> None:
        """Write one event."""
        self._file.write(msgspec.json.encode(event) + b"\n")


def read_events(path: Path, start: int = 0) -> tuple[list[Event], int]:
    """Return the whole lines of an event file from `start`, and where to go on."""
    if not path.exists():
        return [], 0
    with path.open("rb") as file:
        file.seek(start)
        data = file.read()
    whole = data[: data.rfind(b"\n") + 1]
    return [msgspec.json.decode(line, type=Event) for line in whole.splitlines()], start + len(whole)


class EventEnds:
    """Where the event files of a world end now, to read later what came after."""

    def __init__(self, world: World) -> None:
        self._files = {name: world.folder / name / "events.jsonl" for name in world.processes}
        self._ends = {name: path.stat().st_size if path.exists() else 0 for name, path in self._files.items()}

    def told(self) -> dict[str, list[Event]]:
        """Return what each host has told since, and remember the new ends."""
        feeds = {}
        for name, path in self._files.items():
            feeds[name], self._ends[name] = read_events(path, self._ends[name])
        return feeds


def ready_line(name: str, ports: list[int]) -> str:
    """Return what a host says on stdout when it listens."""
    return json.dumps({"host": name, "ports": ports, "pid": os.getpid()})
