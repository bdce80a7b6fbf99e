"""The application: one route for each operation of the hosts behind it, the token endpoint, and a few public pages.

A request is `POST path` with the operation's struct as its JSON body, and the answer is the other struct, or a problem. An
`Idempotency-Key` header makes asking twice the same as asking once. A phone's body is sealed (`shanfu.messages.wallet`) and
goes to the key cloud as it came: its signature covers every byte.

Sources: RFC 9110 (HTTP), RFC 9457 (problems), draft-ietf-httpapi-idempotency-key-header, RFC 6749 5.1 (token answers).
"""

import asyncio
from collections.abc import Collection
from typing import Any, Final

import msgspec
from litestar import Litestar, MediaType, Request, Response, get, post
from litestar.handlers import HTTPRouteHandler
from msgspec import Raw

from shanfu.errors import DecodeError
from shanfu.messages import (
    LIMIT_BYTES,
    OPERATIONS,
    Call,
    Operation,
    Problem,
    ProblemCode,
    Reply,
    Role,
    decoded,
    problem,
    wallet,
)  # fmt: skip
from shanfu.web.frame import Framed
from shanfu.web.gate import PHONES, Gate, device_of
from shanfu.web.openapi import POLICY, document, page
from shanfu.web.refusals import HANDLERS, JSON, Refusal, answered
from shanfu.web.shell import HTTPShell
from shanfu.web.tokens import LIFE_S

__all__ = ["application"]

BODY_S: Final = 20.0  # a body that takes longer does not come
LONGEST_KEY: Final = 128
PUBLIC: Final = {"public": True}

Asked = Request[Any, Any, Any]


def application(shell: HTTPShell, gate: Gate, *, hosts: Collection[str]) -> Framed:
    """Return the ASGI application for the operations of these hosts."""
    rows = [row for row in OPERATIONS.values() if row.host in hosts]
    handlers = [*(_operation(row, shell) for row in rows), _token(gate), *_pages(rows, shell)]
    app = Litestar(
        handlers, guards=[gate.guard], exception_handlers=dict(HANDLERS), request_max_body_size=LIMIT_BYTES,
        openapi_config=None, logging_config=None, debug=False,
    )  # fmt: skip
    return Framed(app, policy=POLICY)


def _operation(row: Operation, shell: HTTPShell) -> HTTPRouteHandler:
    @post(row.path, name=row.name, status_code=200, opt={"operation": row})
    async def ask(request: Asked) -> Response[bytes]:
        return _response(await shell.ask(await _call(row, request)))

    return ask


async def _call(row: Operation, request: Asked) -> Call:
    """Read a request as the call that it is."""
    key = request.headers.get("idempotency-key", "")
    if len(key) > LONGEST_KEY or not key.isascii() or not key.isprintable():
        raise Refusal(problem(ProblemCode.FORMAT, f"Idempotency-Key: should be up to {LONGEST_KEY} ASCII characters"))
    device = device_of(request.headers, row.role) if row.role in PHONES else None
    body = await _body(request, "application/json") or b"{}"
    try:
        decoded(body, wallet.Sealed if row.role is Role.DEVICE else row.asks, path=row.name)
    except DecodeError as fault:
        raise Refusal(problem(ProblemCode.FORMAT, str(fault))) from None
    caller = request.scope["state"].get("caller", "")
    return Call(id="", op=row.name, caller=caller, key=key, device=device, body=Raw(body))


async def _body(request: Asked, kind: str) -> bytes:
    given = request.headers.get("content-type", kind).partition(";")[0].strip().lower()
    if given != kind:
        raise Refusal(problem(ProblemCode.MEDIA_TYPE, f"Content-Type: should be {kind}"))
    try:
        async with asyncio.timeout(BODY_S):
            return await request.body()
    except TimeoutError:
        raise Refusal(problem(ProblemCode.FORMAT, f"the body did not come in {BODY_S:g} s")) from None


def _response(reply: Reply) -> Response[bytes]:
    if reply.ok:
        return Response(bytes(reply.body), status_code=reply.status, media_type=JSON)
    return answered(decoded(reply.body, Problem, path="reply"))


def _token(gate: Gate) -> HTTPRouteHandler:
    @post("/oauth2/token", status_code=200, opt=PUBLIC)
    async def token(request: Asked) -> Response[bytes]:
        text = await gate.token(request, await _body(request, "application/x-www-form-urlencoded"))
        answer = {"access_token": text, "token_type": "Bearer", "expires_in": LIFE_S}
        return Response(msgspec.json.encode(answer), media_type=JSON)

    return token


def _pages(rows: list[Operation], shell: HTTPShell) -> list[HTTPRouteHandler]:
    description, text = msgspec.json.encode(document(rows)), page(rows)

    @get("/livez", opt=PUBLIC)
    async def alive() -> Response[bytes]:
        return Response(b'{"alive":true}', media_type=JSON)

    @get("/readyz", opt=PUBLIC)
    async def ready() -> Response[bytes]:
        if not shell.ready:
            return answered(problem(ProblemCode.BUSY, "the books are closed, or the inbox is full"))
        return Response(b'{"ready":true}', media_type=JSON)

    @get("/openapi.json", opt=PUBLIC)
    async def described() -> Response[bytes]:
        return Response(description, media_type=JSON)

    @get("/docs", opt=PUBLIC)
    async def shown() -> Response[str]:
        return Response(text, media_type=MediaType.HTML)

    return [alive, ready, described, shown]
