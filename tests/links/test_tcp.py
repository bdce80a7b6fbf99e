"""Real sockets on the loopback interface, a real store, and what goes wrong between them."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from structlog.testing import capture_logs

from shanfu.clock import ManualClock, SystemClock
from shanfu.errors import ConfigError
from shanfu.links import ClientLink, Hub, Kind, Limits, ServerLink, client_context, issue, linked, make_ca, server_context
from shanfu.store import Store
from tests.links.teller import Teller, TwoBytes, framed, opened, orders, words

LOCAL = "127.0.0.1"
TERMINALS = ServerLink(host=LOCAL, port=0, framing=TwoBytes)


def institution(frame: bytes) -> str | None:
    """A first frame `add NAME-1` comes from NAME."""
    head, dash, _ = words(frame).split()[-1].partition("-")
    return head if dash else None


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with opened(tmp_path) as store:
        yield store


@pytest.fixture
def hub(store: Store) -> Hub:
    return Hub(Teller(), store, SystemClock())


class Line:
    """The other end of a connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def say(self, *texts: str) -> None:
        self.writer.write(b"".join(framed(text) for text in texts))

    async def hear(self) -> str:
        async with asyncio.timeout(5):
            size = await self.reader.readexactly(2)
            return (await self.reader.readexactly(int.from_bytes(size, "big"))).decode()

    async def ask(self, text: str) -> str:
        self.say(text)
        return await self.hear()

    async def ended(self) -> bool:
        async with asyncio.timeout(5):
            with contextlib.suppress(ConnectionError):
                return await self.reader.read() == b""
        return True


@contextlib.asynccontextmanager
async def dial(port: int, **tls) -> AsyncIterator[Line]:
    reader, writer = await asyncio.open_connection(LOCAL, port, **tls)
    try:
        yield Line(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not holds():
            await asyncio.sleep(0.01)


async def test_an_answer_is_durable_when_it_arrives(hub: Hub, store: Store) -> None:
    async with linked(hub, [TERMINALS]) as ports, dial(ports[0]) as line:
        assert await line.ask("add 1") == "ok 1"
        assert orders(store) == ["1"]
        assert await line.ask("add 1") == "ok 1"


async def test_frames_in_any_splitting(hub: Hub) -> None:
    async with linked(hub, [TERMINALS]) as ports, dial(ports[0]) as line:
        for byte in framed("add 1") + framed("add 2"):
            line.writer.write(bytes([byte]))
            await line.writer.drain()
            await asyncio.sleep(0.001)
        assert [await line.hear(), await line.hear()] == ["ok 1", "ok 2"]


async def test_64_frames_at_once_are_few_commits(hub: Hub) -> None:
    async with linked(hub, [TERMINALS]) as ports, contextlib.AsyncExitStack() as stack:
        lines = [await stack.enter_async_context(dial(ports[0])) for _ in range(64)]
        for n, line in enumerate(lines):
            line.say(f"add {n}")
        assert [await line.hear() for line in lines] == [f"ok {n}" for n in range(64)]
        assert max(hub.worker.host.batches) >= 16
    assert hub.worker.tally.frames >= 64
    assert len(hub.worker.host.batches) <= 8


async def test_a_spoilt_message_costs_only_itself(hub: Hub, store: Store) -> None:
    async with linked(hub, [TERMINALS]) as ports, dial(ports[0]) as line:
        line.say("add 1", "poison 2", "add 3")
        assert [await line.hear() for _ in range(3)] == ["ok 1", "96 2", "ok 3"]
    assert orders(store) == ["1", "3"]


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "no frame: the length says 18245 bytes, a frame has at most 1000"),
        (b"\x16\x03\x01\x02\x00\x01\x00", "no frame: the length says 5635 bytes, a frame has at most 1000"),
        (framed("add 7") + b"\xff\xff", "no frame: the length says 65535 bytes, a frame has at most 1000"),
    ],
)
async def test_a_foreign_protocol_closes_only_its_link(hub: Hub, said: bytes, why: str) -> None:
    with capture_logs() as lines:
        async with linked(hub, [TERMINALS]) as ports, dial(ports[0]) as good, dial(ports[0]) as bad:
            assert await good.ask("add 1") == "ok 1"
            bad.writer.write(said)
            assert await bad.ended()
            assert await good.ask("add 2") == "ok 2"
    closed = [line for line in lines if line["event"] == "link_closed"]
    assert [line["why"] for line in closed] == [why]
    assert "Host" not in repr(closed)


async def test_half_a_frame_does_not_hold_a_connection(store: Store) -> None:
    hub = Hub(Teller(), store, SystemClock(), limits=Limits(partial_s=0.2))
    async with linked(hub, [TERMINALS]) as ports, dial(ports[0]) as line:
        line.writer.write(framed("add 1")[:-1])
        with capture_logs() as lines:
            assert await line.ended()
    assert [line["why"] for line in lines] == ["half a frame (6 bytes) for 0.2 s"]


async def test_more_connections_than_allowed_are_refused(store: Store) -> None:
    hub = Hub(Teller(), store, SystemClock(), limits=Limits(connections=1))
    async with linked(hub, [TERMINALS]) as ports, dial(ports[0]) as first:
        assert await first.ask("add 1") == "ok 1"
        async with dial(ports[0]) as second:
            assert await second.ended()
        assert await first.ask("add 2") == "ok 2"


async def test_a_full_inbox_stops_reading_and_loses_nothing(store: Store) -> None:
    hub = Hub(Teller(), store, SystemClock(), limits=Limits(inbox_frames=64, group_frames=16))
    with capture_logs() as lines:
        async with linked(hub, [TERMINALS]) as ports, contextlib.AsyncExitStack() as stack:
            dialled = [await stack.enter_async_context(dial(ports[0])) for _ in range(4)]
            for n, line in enumerate(dialled):
                line.say(*(f"add {n}-{m}" for m in range(500)))
            for n, line in enumerate(dialled):
                assert [await line.hear() for _ in range(500)] == [f"ok {n}-{m}" for m in range(500)]
    assert "inbox_full" in [line["event"] for line in lines]
    assert max(hub.worker.host.batches) == 16
    assert len(orders(store)) == 2_000


async def test_a_message_older_than_its_senders_patience_is_refused_but_an_urgent_one_is_worked(store: Store) -> None:
    clock = ManualClock(1_000_000)
    hub = Hub(Teller(), store, clock, limits=Limits(patience_ms=1_000), urgent=lambda frame: b"urgent" in frame)
    async with linked(hub, [TERMINALS]) as ports, dial(ports[0]) as line:
        assert await line.ask("add 1") == "ok 1"
        flush = hub.flush
        hub.flush = lambda: (clock.advance(1_001), flush())  # the flush comes late
        line.say("add 2", "add urgent", "add 3")
        assert sorted([await line.hear() for _ in range(3)]) == ["96 2", "96 3", "ok urgent"]
    assert orders(store) == ["1", "urgent"]


async def test_a_peer_that_does_not_read_is_dropped(store: Store) -> None:
    hub = Hub(Teller(), store, SystemClock(), limits=Limits(write_bytes=10_000))
    with capture_logs() as lines:
        async with linked(hub, [TERMINALS]) as ports, dial(ports[0]) as line, dial(ports[0]) as other:
            await line.ask("add 1")
            connection = hub._stations[hub.stations[0]]
            while "link_closed" not in [entry["event"] for entry in lines]:
                connection.write([b"\0" * 100_000])
            await asyncio.sleep(0.05)
            assert await other.ask("add 2") == "ok 2"
    assert any("its peer does not read" in entry.get("why", "") for entry in lines)


async def test_each_terminal_gets_a_name_that_no_other_process_repeats(store: Store) -> None:
    names = set()
    for _ in range(2):
        hub = Hub(Teller(), store, SystemClock())
        async with linked(hub, [TERMINALS]) as ports, dial(ports[0]) as one, dial(ports[0]) as two:
            await one.ask("add 1")
            await two.ask("add 1")
            names.update(hub.stations)
            assert hub.worker.host.news == []  # hosts hear of institutions only
    assert len(names) == 4
    assert all(name.startswith("pos/") for name in names)


async def test_an_institution_is_known_by_its_first_frame_and_its_new_connection_replaces_the_old(hub: Hub) -> None:
    link = ServerLink(host=LOCAL, port=0, framing=TwoBytes, identify=institution)
    async with linked(hub, [link]) as ports, dial(ports[0]) as old:
        assert await old.ask("add bank-1") == "ok bank-1"
        assert hub.stations == ["bank"]
        async with dial(ports[0]) as new:
            assert await new.ask("add bank-2") == "ok bank-2"
            assert await old.ended()
            hub.send("bank", [framed("hello")])
            assert await new.hear() == "hello"
        await until(lambda: hub.stations == [])
    assert hub.worker.host.news == [("bank", Kind.UP), ("bank", Kind.UP), ("bank", Kind.DOWN)]


async def test_the_only_caller_is_spoken_to_first(hub: Hub) -> None:
    link = ServerLink(host=LOCAL, port=0, framing=TwoBytes, identify=institution, caller="BANK")
    async with linked(hub, [link]) as ports, dial(ports[0]) as line:
        await until(lambda: hub.stations == ["BANK"])
        assert await line.ask("add BANK-1") == "ok BANK-1"


async def test_who_does_not_say_its_name_is_sent_away(hub: Hub, store: Store) -> None:
    link = ServerLink(host=LOCAL, port=0, framing=TwoBytes, identify=institution)
    async with linked(hub, [link]) as ports, dial(ports[0]) as line:
        line.say("add 1")
        assert await line.ended()
    assert orders(store) == []


def caller(port: int, **more) -> ClientLink:
    return ClientLink(station="far", host=LOCAL, port=port, framing=TwoBytes, **more)


async def test_two_hosts_and_a_restart_of_the_far_one(hub: Hub, tmp_path: Path) -> None:
    with opened(tmp_path, "far") as far_store:
        far = Hub(Teller("far"), far_store, SystemClock())
        async with contextlib.AsyncExitStack() as first:
            (port,) = await first.enter_async_context(linked(far, [TERMINALS]))
            async with linked(hub, [TERMINALS, caller(port)]) as ports, dial(ports[0]) as line:
                await until(lambda: "far" in hub.stations)
                assert await line.ask("fwd 1") == "ok 1"
                await first.aclose()
                await until(lambda: "far" not in hub.stations)
                again = Hub(Teller("far"), far_store, SystemClock())
                async with linked(again, [ServerLink(host=LOCAL, port=port, framing=TwoBytes)]):
                    await until(lambda: "far" in hub.stations)
                    assert await line.ask("fwd 2") == "ok 2"
        assert orders(far_store) == ["1", "2"]
    assert hub.worker.host.news[:3] == [("far", Kind.UP), ("far", Kind.DOWN), ("far", Kind.UP)]


async def test_an_unreachable_station_is_one_line_and_not_one_for_each_try(hub: Hub, free_port: int) -> None:
    with capture_logs() as lines:
        async with linked(hub, [caller(free_port)]):
            await asyncio.sleep(0.6)
    assert [line["event"] for line in lines] == ["link_unreachable"]


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(100):
        writer.write(data)
    writer.close()


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


@pytest.mark.parametrize(("peer", "dead"), [(echo, False), (silent, True)])
async def test_a_link_stands_while_idle_frames_come_and_is_given_up_when_they_stop(
    hub: Hub, peer: Callable, dead: bool
) -> None:
    server = await asyncio.start_server(peer, LOCAL, 0)
    link = caller(server.sockets[0].getsockname()[1], idle_frame=b"\0\0", idle_s=0.2)
    with capture_logs() as lines:
        async with linked(hub, [link]):
            await asyncio.sleep(1.2)
            stood = "far" in hub.stations and len(hub.worker.host.news) == 1
    server.close()
    assert stood != dead
    assert any("three idle tests" in line.get("why", "") for line in lines) == dead


async def test_a_port_in_use_is_one_line(hub: Hub, store: Store) -> None:
    async with linked(hub, [TERMINALS]) as ports:
        other = Hub(Teller(), store, SystemClock())
        with pytest.raises(ConfigError, match=rf"^{LOCAL}:{ports[0]}: address already in use, teller cannot listen there$"):
            async with linked(other, [ServerLink(host=LOCAL, port=ports[0], framing=TwoBytes)]):
                pass


async def test_stopping_answers_what_has_arrived(hub: Hub, store: Store) -> None:
    async with contextlib.AsyncExitStack() as stack:
        ports = await stack.enter_async_context(linked(hub, [TERMINALS]))
        async with dial(ports[0]) as line:
            await line.ask("add 0")
            line.say(*(f"add {n}" for n in range(1, 100)))
            await until(lambda: len(hub.worker.host.batches) > 1)
            await stack.aclose()
            heard = [await line.hear() for _ in range(len(orders(store)) - 1)]
            assert heard == [f"ok {n}" for n in range(1, len(heard) + 1)]
            assert await line.ended()


# -- TLS --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    for folder in ("ours", "theirs"):
        make_ca(tmp_path / folder)
        for name in ("network", "48120000"):
            issue(tmp_path / folder, name)
    return tmp_path


def listening(folder: Path) -> ServerLink:
    return ServerLink(host=LOCAL, port=0, framing=TwoBytes, identify=institution, tls=server_context(folder, "network"))


async def test_the_certificate_says_who_speaks(hub: Hub, certificates: Path) -> None:
    folder = certificates / "ours"
    tls = {"ssl": client_context(folder, "48120000"), "server_hostname": "network"}
    async with linked(hub, [listening(folder)]) as ports:
        async with dial(ports[0], **tls) as line:
            assert await line.ask("add mallory-1") == "ok mallory-1"
            assert hub.stations == ["48120000"]
            assert line.writer.get_extra_info("ssl_object").version() == "TLSv1.3"
        await until(lambda: hub.stations == [])


@pytest.mark.parametrize(
    ("made", "why"),
    [("theirs", "its certificate is not accepted: "), ("plain", "TLS: "), ("none", "TLS: peer did not return a certificate")],
)
async def test_who_has_no_certificate_of_ours_is_refused(hub: Hub, certificates: Path, made: str, why: str) -> None:
    folder = certificates / "ours"
    context = client_context(certificates / "theirs", "48120000")
    context.load_verify_locations(folder / "ca.pem")  # it would trust us
    tls = {"ssl": context, "server_hostname": "network"}
    if made == "none":
        tls["ssl"] = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    with capture_logs() as lines:
        async with linked(hub, [listening(folder)]) as ports:
            async with dial(ports[0], **({} if made == "plain" else tls)) as line:
                line.say("add bank-1")
                assert await line.ended()
            await until(lambda: bool([entry for entry in lines if entry["event"] == "tls_refused"]))
    assert hub.worker.host.news == []
    whys = [entry["why"] for entry in lines if entry["event"] == "tls_refused"]
    assert len(whys) == 1
    assert whys[0].startswith(why)


@pytest.mark.parametrize(
    ("folder", "tls_name", "why"),
    [
        ("theirs", "network", "certificate is not accepted: self-signed certificate in certificate chain"),
        ("ours", "issuer", "certificate is not accepted: Hostname mismatch, certificate is not valid for 'issuer'."),
        ("ours", "", "certificate is not accepted: Hostname mismatch, certificate is not valid for 'far'."),
    ],
)
async def test_a_caller_refuses_a_stranger(
    hub: Hub, certificates: Path, store: Store, *, folder: str, tls_name: str, why: str
) -> None:
    far = Hub(Teller("network"), store, SystemClock())
    with capture_logs() as lines:
        async with linked(far, [listening(certificates / "ours")]) as ports:
            tls = client_context(certificates / folder, "48120000")
            async with linked(hub, [caller(ports[0], tls=tls, tls_name=tls_name)]):
                await asyncio.sleep(0.3)
    assert hub.worker.host.news == []
    assert [line["why"] for line in lines if line["event"] == "link_unreachable"] == [f"its {why}"]


async def test_a_certificate_without_a_name_is_nobody(hub: Hub, certificates: Path) -> None:
    folder = certificates / "ours"
    authority = x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes())
    authority_key = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), None)
    own_key = serialization.load_pem_private_key((folder / "48120000.key").read_bytes(), None)
    nameless = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(authority.subject)
        .public_key(own_key.public_key())
        .serial_number(1)
        .not_valid_before(authority.not_valid_before_utc)
        .not_valid_after(authority.not_valid_after_utc)
        .sign(authority_key, hashes.SHA256())
    )
    (folder / "48120000.pem").write_bytes(nameless.public_bytes(serialization.Encoding.PEM))
    with capture_logs() as lines:
        async with linked(hub, [listening(folder)]) as ports:
            tls = client_context(folder, "48120000")
            async with dial(ports[0], ssl=tls, server_hostname="network") as line:
                line.say("add bank-1")  # what it says of itself does not count
                assert await line.ended()
    assert [line["why"][:34] for line in lines if line["event"] == "link_closed"] == ["its certificate has no common name"]
    assert hub.worker.host.batches == []


async def test_a_caller_and_a_server_over_mutual_tls(hub: Hub, certificates: Path, tmp_path: Path) -> None:
    folder = certificates / "ours"
    with opened(tmp_path, "network") as far_store:
        far = Hub(Teller("network"), far_store, SystemClock())
        async with linked(far, [listening(folder)]) as far_ports:
            tls = client_context(folder, "48120000")
            link = caller(far_ports[0], tls=tls, tls_name="network")
            async with linked(hub, [TERMINALS, link]) as ports, dial(ports[0]) as line:
                await until(lambda: "far" in hub.stations and "48120000" in far.stations)
                assert await line.ask("fwd 1") == "ok 1"


@pytest.fixture
def free_port() -> int:
    with socket.socket() as free:
        free.bind((LOCAL, 0))
        return int(free.getsockname()[1])
