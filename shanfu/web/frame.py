"""What every request gets, whatever becomes of it: an id, the headers that keep browsers honest, one line in the log.

The line names operation, caller, status and time. It holds no body, no header and no address beyond the path of a known
route; the server's own access log is off. Sources: RFC 9110 (Cache-Control), RFC 6797 (HSTS), W3C CSP 3.
"""

import re
import secrets
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

import structlog

__all__ = ["Framed", "note"]

Scope = MutableMapping[str, Any]
ASGI = Callable[[Any, Any, Any], Awaitable[None]]

NOTES: Final = "shanfu.notes"
_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")
HEADERS: Final = (
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
)
HSTS: Final = (b"strict-transport-security", b"max-age=31536000")

log = structlog.get_logger("shanfu.web")


def note(scope: Any, **facts: str) -> None:
    """Remember for the log line what was found out about a request."""
    notes = (scope.get("extensions") or {}).get(NOTES)
    if notes is not None:
        notes.update(facts)


class Framed:
    """The application, with everything around it that each request gets."""

    def __init__(self, app: ASGI, *, policy: str) -> None:
        self._app, self._policy = app, (b"content-security-policy", policy.encode())

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began_s, notes, name = time.monotonic(), dict[str, str](), _request_id(scope)
        scope["extensions"] = {**(scope.get("extensions") or {}), NOTES: notes}
        status = 0
        more = [*HEADERS, self._policy, (b"x-request-id", name)] + ([HSTS] if scope.get("scheme") == "https" else [])

        async def framed(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), *more]
            await send(message)

        try:
            await self._app(scope, receive, framed)
        finally:
            ms = round((time.monotonic() - began_s) * 1000, 1)
            log.info("request", status=status, ms=ms, request_id=name.decode(), **notes)


def _request_id(scope: Scope) -> bytes:
    """Take over the id that a caller gave, if it is one, or make one."""
    given = next((value for key, value in scope["headers"] if key == b"x-request-id"), b"")
    return given if _ID.fullmatch(given) else secrets.token_hex(8).encode()
