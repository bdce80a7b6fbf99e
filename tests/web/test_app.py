"""The door as its callers see it: real sockets, real certificates, one line for each attempt."""

import asyncio
import contextlib
import json
import ssl
from pathlib import Path

import httpx
import pytest
from structlog.testing import capture_logs

from shanfu.links import Limits
from shanfu.messages import LIMIT_BYTES, OPERATIONS
from shanfu.web import Rate
from tests.hosts.counter import CLOUD
from tests.web.doors import IN_SESSION, PHONE, SECRET, Door, burst, certificates, door

FIND, FORM = "/tsp/v1/tokens/find", {"content-type": "application/x-www-form-urlencoded"}
SESSION = {"device": "d", "ephemeral": ""}


def code(answer: httpx.Response) -> str:
    """A problem's code; the status of an answer."""
    if answer.status_code < 400:
        return str(answer.status_code)
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert document["status"] == answer.status_code
    assert document["title"]
    return document["code"]


ME, BARE, OTHER, NOBODY = (CLOUD, "lantern"), (CLOUD, ""), ("issuer-99020000", ""), ("", "")
OPEN, REPLENISH, NOTICES, LOGIN = (
    "/wallet/v1/sessions",
    "/wallet/v1/keys/replenish",
    "/requestor/v1/notices",
    "/issuer/v1/login",
)
CARDS, SEALED, ASKS = "/tsp/v1/issuer/cards", b'{"sealed":"00"}', json.dumps(SESSION).encode()
BIG, DEEP, UTF_16 = b" " * (LIMIT_BYTES + 1), b"[" * 100_000, {"content-type": "application/json; charset=utf-16"}
# fmt: off
ASKED = [
    # who     method     path                     headers                             body                 answer
    (ME,      "POST",    FIND,                    {},                                 b'{"card":"c"}',      "200"),
    (ME,      "POST",    FIND,                    {},                                 b"",                  "200"),
    (ME,      "POST",    FIND,                    {"content-type": "text/plain"},     b"{}",                "media-type"),
    (ME,      "POST",    FIND,                    UTF_16,                             b"{}",                "200"),
    (ME,      "POST",    FIND,                    {},                                 b'{"card":7}',        "format"),
    (ME,      "POST",    FIND,                    {},                                 b'{"card":"c"',       "format"),
    (ME,      "POST",    FIND,                    {},                                 b'{"nobody":1}',      "format"),
    (ME,      "POST",    FIND,                    {},                                 b'{"card":"\xff"}',   "format"),
    (ME,      "POST",    FIND,                    {},                                 DEEP,                 "format"),
    (ME,      "POST",    FIND,                    {},                                 BIG,                  "too-large"),
    (ME,      "POST",    FIND,                    {"idempotency-key": "k" * 129},     b"{}",                "format"),
    (ME,      "POST",    FIND,                    {"idempotency-key": b"\x80"},       b"{}",                "format"),
    (ME,      "GET",     FIND,                    {},                                 b"",                  "method"),
    (ME,      "POST",    "/tsp/v1/nothing",     {},                                 b"{}",                "unknown-operation"),
    (ME,      "POST",    LOGIN,                 {},                                 b"{}",                "unknown-operation"),
    (ME,      "POST",    CARDS,                   {},                                 b"{}",                "forbidden"),
    (ME,      "POST",    NOTICES,                 {},                                 b"{}",                "forbidden"),
    (ME,      "OPTIONS", FIND,                    {},                                 b"",                  "forbidden"),
    (BARE,    "POST",    FIND,                  {},                                 b"{}",                "unauthenticated"),
    (BARE,    "POST",    FIND,                  {"authorization": "Bearer x"},      b"{}",                "unauthenticated"),
    (BARE,    "POST",    FIND,                  {"authorization": "Basic eDp5"},    b"{}",                "unauthenticated"),
    (OTHER,   "POST",    FIND,                  {},                                 b"{}",                "unauthenticated"),
    (NOBODY,  "POST",    FIND,                  {},                                 b"{}",                "unauthenticated"),
    (NOBODY,  "POST",    OPEN,                    PHONE,                              ASKS,                 "200"),
    (NOBODY,  "POST",    OPEN,                    PHONE,                              SEALED,               "format"),
    (NOBODY,  "POST",    OPEN,                  {},                                 b"{}",                "unauthenticated"),
    (NOBODY,  "POST",    REPLENISH,             {},                                 SEALED,               "unauthenticated"),
    (NOBODY,  "POST",    REPLENISH,               IN_SESSION,                         b'{"token":"00"}',    "format"),
    (NOBODY,  "POST",    REPLENISH,               IN_SESSION | {"shanfu-counter": "-1"}, SEALED,            "format"),
    (NOBODY,  "POST",    REPLENISH,               IN_SESSION | {"shanfu-nonce": "0" * 300}, SEALED,         "format"),
    (NOBODY,  "POST",    REPLENISH,             IN_SESSION,                         SEALED,               "unknown-operation"),
    (NOBODY,  "GET",     "/livez",                {},                                 b"",                  "200"),
    (NOBODY,  "GET",     "/readyz",               {},                                 b"",                  "200"),
    (NOBODY,  "GET",     "/docs",                 {},                                 b"",                  "200"),
    (NOBODY,  "GET",     "/openapi.json",         {},                                 b"",                  "200"),
    (NOBODY,  "GET",     "/",                   {},                                 b"",                  "unknown-operation"),
    (NOBODY,  "GET",     "/schema",             {},                                 b"",                  "unknown-operation"),
    (NOBODY,  "GET",     "/docs/../../etc/x",   {},                                 b"",                  "unknown-operation"),
]
# fmt: on


@pytest.fixture
async def opened(folder: Path):
    async with door(folder) as one:
        yield one


@pytest.mark.parametrize("row", ASKED, ids=lambda row: f"{row[1]} {row[2]} {row[5]}")
async def test_asked(opened: Door, row: tuple) -> None:
    (certificate, name), method, path, headers, body, heard = row
    async with opened.client(certificate) as client:
        if name:
            token = (await opened.token(client, name)).json()["access_token"]
            client.headers["authorization"] = f"Bearer {token}"
        answer = await client.request(method, path, headers=headers, content=body)
        assert code(answer) == heard
        if answer.status_code == 401:
            assert answer.headers["www-authenticate"]
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-request-id"]
        assert "server" not in answer.headers


async def test_a_malformed_body_is_told_where(opened: Door) -> None:
    async with opened.institution() as client:
        answer = await client.post(FIND, content=b'{"card":7}')
        assert "$.card" in answer.json()["detail"]


async def test_a_key_makes_twice_once(opened: Door) -> None:
    async with opened.institution() as client:
        keyed = {"idempotency-key": "k"}
        answers = [await client.post(FIND, json={"card": "c"}, headers=keyed) for _ in range(2)]
        assert [answer.json()["tokens"][0]["version"] for answer in answers] == [1, 1]
        assert code(await client.post(FIND, json={"card": "d"}, headers=keyed)) == "conflict"


async def test_a_hundred_at_once_are_few_commits(opened: Door) -> None:
    async with opened.institution() as client, burst(opened, FIND, client.headers["authorization"], lines=100) as ask:
        before = opened.hub.worker.tally.frames, opened.hub.worker.tally.commits
        answers = await ask()
        assert sorted(answer.json()["tokens"][0]["version"] for answer in answers) == list(range(1, 101))
        assert opened.hub.worker.tally.frames - before[0] == 100
        assert opened.hub.worker.tally.commits - before[1] < 20


# -- access tokens ---------------------------------------------------------------------------------------------------------

# fmt: off
TOKENS = [
    # certificate         client       secret    answer
    (CLOUD,               "lantern",   SECRET,   "200"),
    (CLOUD,               "harbour",   SECRET,   "200"),
    (CLOUD,               "lantern",   "wrong",  "unauthenticated"),
    (CLOUD,               "nobody",    SECRET,   "unauthenticated"),
    (CLOUD,               "issuer",    SECRET,   "unauthenticated"),   # the secret of another, with our certificate
    ("issuer-99020000",   "issuer",    SECRET,   "unauthenticated"),
    ("",                  "lantern",   SECRET,   "unauthenticated"),
]
# fmt: on


@pytest.mark.parametrize(("certificate", "name", "secret", "heard"), TOKENS)
async def test_tokens(opened: Door, certificate: str, name: str, secret: str, heard: str) -> None:
    async with opened.client(certificate) as client:
        assert code(await opened.token(client, name, secret)) == heard


@pytest.mark.parametrize(
    ("body", "headers", "heard"),
    [
        (b"grant_type=password", FORM, "format"),
        (b"", FORM, "format"),
        (b"{}", {"content-type": "application/json"}, "media-type"),
        (b"grant_type=client_credentials", FORM, "unauthenticated"),
        (b"grant_type=client_credentials", FORM | {"authorization": "Basic !"}, "unauthenticated"),
    ],
)
async def test_token_requests_of_a_wrong_form(opened: Door, body: bytes, headers, heard: str) -> None:
    async with opened.client(CLOUD) as client:
        assert code(await client.post("/oauth2/token", content=body, headers=headers)) == heard


async def test_a_token_is_good_only_over_its_certificate(opened: Door) -> None:
    async with opened.institution() as client, opened.client("issuer-99010000") as thief, opened.client() as stranger:
        stolen = {"authorization": client.headers["authorization"]}
        assert code(await client.post(FIND, json={})) == "200"
        assert code(await thief.post(FIND, json={}, headers=stolen)) == "unauthenticated"
        assert code(await stranger.post(FIND, json={}, headers=stolen)) == "unauthenticated"


async def test_guessing_a_secret_is_slow(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shanfu.web.gate.SECRETS", Rate(per_s=0.001, burst=3))
    async with door(folder) as opened, opened.client(CLOUD) as client, opened.client("issuer-99010000") as other:
        heard = [code(await opened.token(client, "lantern", f"guess {number}")) for number in range(5)]
        assert heard == ["unauthenticated"] * 3 + ["too-many"] * 2
        assert code(await opened.token(other, "issuer")) == "200"  # each certificate has a bucket of its own


# -- how much --------------------------------------------------------------------------------------------------------------


async def test_too_often_is_a_429_that_says_when(folder: Path) -> None:
    async with (
        door(folder, institution=Rate(per_s=1, burst=2)) as opened,
        opened.institution() as client,
        opened.institution(name="harbour") as other,
    ):
        answers = [await client.post(FIND, json={}) for _ in range(3)]
        assert [code(answer) for answer in answers] == ["200", "200", "too-many"]
        assert 1 <= int(answers[2].headers["retry-after"]) <= 3
        assert code(await other.post(FIND, json={})) == "200"  # each has a bucket of its own


async def test_strangers_share_the_bucket_of_their_address(folder: Path) -> None:
    async with door(folder, address=Rate(per_s=1, burst=2)) as opened, opened.client() as client:
        assert [code(await client.post(FIND)) for _ in range(3)] == ["unauthenticated"] * 2 + ["too-many"]
        assert code(await client.post("/wallet/v1/sessions", json=SESSION, headers=PHONE)) == "too-many"


async def test_a_full_inbox_is_a_503_with_a_jittered_pause(folder: Path) -> None:
    async with (
        door(folder, limits=Limits(inbox_frames=4, group_frames=1)) as opened,
        opened.institution() as client,
        burst(opened, FIND, client.headers["authorization"], lines=50) as ask,
    ):
        answers = await ask()
        assert {code(answer) for answer in answers} == {"200", "busy"}
        pauses = {int(answer.headers["retry-after"]) for answer in answers if answer.status_code == 503}
        assert pauses <= set(range(1, 6))
        assert len(pauses) > 1
        assert code(await client.post(FIND, json={})) == "200"


async def test_a_host_that_says_nothing_is_a_503(folder: Path) -> None:
    async with door(folder, timeout_s=0.2) as opened, opened.institution() as client:
        body = {"token": "t", "method": "sms"}  # the issuer is asked, who is not there
        answer = await client.post("/tsp/v1/idv/send", json=body)
        assert code(answer) == "unavailable"


async def test_closed_books_are_not_ready(opened: Door) -> None:
    async with opened.client() as client:
        opened.hub.worker._lost = True
        opened.hub.worker._retry_at_ms = 1 << 60
        answer = await client.get("/readyz")
        assert (code(answer), code(await client.get("/livez"))) == ("busy", "200")
        assert int(answer.headers["retry-after"])


async def test_stopping_answers_what_was_taken(folder: Path) -> None:
    async with contextlib.AsyncExitStack() as clients:
        async with door(folder) as opened:
            client = await clients.enter_async_context(opened.institution())
            asking = asyncio.create_task(client.post(FIND, json={}))
            await asyncio.sleep(0.05)
        assert code(await asking) == "200"
        with pytest.raises(httpx.TransportError):
            await client.post(FIND, json={})


# -- what is told ----------------------------------------------------------------------------------------------------------


async def test_the_log_says_who_asked_what_and_nothing_else(opened: Door) -> None:
    async with opened.institution() as client:
        with capture_logs() as lines:
            await client.post(FIND, json={"card": "6228480000000005"}, headers={"x-request-id": "abc-1"})
            await client.get("/pan/6228480000000005")
            await client.post(FIND, json={}, headers={"x-request-id": "bad id"})
        told = [line for line in lines if line["event"] == "request"]
    assert told[0] | {"ms": 0} == {
        "event": "request", "log_level": "info", "op": "tsp.find", "caller": "requestor/90100000001", "status": 200, "ms": 0,
        "request_id": "abc-1",
    }  # fmt: skip
    assert told[1]["status"] == 404
    assert len(told[2]["request_id"]) == 16
    assert "6228480000000005" not in str(lines)
    assert SECRET not in str(lines)


async def test_the_description_is_the_table(opened: Door) -> None:
    async with opened.client() as client:
        described = (await client.get("/openapi.json")).json()
        text = (await client.get("/docs")).text
    rows = [row for row in OPERATIONS.values() if row.host in ("tsp", "cloud")]
    assert set(described["paths"]) == {row.path for row in rows}
    references = set(_references(described))
    assert references <= {f"#/components/schemas/{name}" for name in described["components"]["schemas"]}
    assert described["openapi"] == "3.1.1"
    assert all(row.path in text for row in rows)
    assert "<script" not in text
    assert "http://" not in text
    assert "https://" not in text


def _references(part):
    if isinstance(part, dict):
        yield from [part["$ref"]] if "$ref" in part else []
        for value in part.values():
            yield from _references(value)
    elif isinstance(part, list):
        for value in part:
            yield from _references(value)


async def test_a_certificate_of_another_authority_is_refused_at_the_handshake(opened: Door, tmp_path: Path) -> None:
    stranger = certificates(tmp_path)
    context = ssl.create_default_context(cafile=opened.folder / "ca.pem")
    context.load_cert_chain(stranger / f"{CLOUD}.pem", stranger / f"{CLOUD}.key")
    async with httpx.AsyncClient(base_url=opened.url, verify=context, trust_env=False) as client:
        with pytest.raises(httpx.TransportError):
            await client.get("/livez")


async def test_an_older_tls_is_refused(opened: Door) -> None:
    context = ssl.create_default_context(cafile=opened.folder / "ca.pem")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    async with httpx.AsyncClient(base_url=opened.url, verify=context, trust_env=False) as client:
        with pytest.raises(httpx.TransportError):
            await client.get("/livez")
