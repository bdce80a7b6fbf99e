"""Refusals of the door, as problem documents: ours, the hosts', and those of the framework's own.

Everything that is no answer leaves as `application/problem+json` with a code of `shanfu.messages`, a Retry-After where trying
again can help, jittered so that those who were refused together do not come back together, and on a 401 the way to be known.
Sources: RFC 9457 (problems), RFC 9110 10.2.3 (Retry-After), 11.6.1 (WWW-Authenticate).
"""

import math
import random
from collections.abc import Mapping
from typing import Any, Final

import structlog
from litestar import MediaType, Request, Response
from litestar.exceptions import HTTPException

from shanfu.links import fault_text
from shanfu.messages import Problem, ProblemCode, encoded, problem

__all__ = ["BEARER", "DEVICE", "HANDLERS", "JSON", "Refusal", "answered"]

PROBLEM_JSON: Final = "application/problem+json"
JSON: Final = MediaType.JSON
BEARER: Final = 'Bearer realm="shanfu"'
DEVICE: Final = 'Shanfu-Device realm="shanfu"'
PAUSE_S: Final = (1, 5)  # a full inbox is worked off in less
LONGEST_PAUSE_S: Final = 60

log = structlog.get_logger("shanfu.web")


class Refusal(Exception):
    """Ends a request with a problem."""

    def __init__(self, refusal: Problem, *, challenge: str = "") -> None:
        super().__init__(refusal.code)
        self.problem, self.challenge = refusal, challenge


def answered(refusal: Problem, *, challenge: str = "", headers: Mapping[str, str] | None = None) -> Response[bytes]:
    """Return a problem as a response."""
    more = dict(headers or {})
    if refusal.status in (429, 503):
        pause_s = refusal.retry_after_s or random.randint(*PAUSE_S)  # noqa: S311 - spreads the callers, guards nothing
        more["Retry-After"] = str(min(max(1, pause_s), LONGEST_PAUSE_S))
    if refusal.status == 401:
        more["WWW-Authenticate"] = challenge or DEVICE
    return Response(bytes(encoded(refusal)), status_code=refusal.status, media_type=PROBLEM_JSON, headers=more)


def too_many(wait_s: float) -> Refusal:
    """Refuse who asks too often; he may come back when there is room, or a little later."""
    spread_s = random.randint(0, PAUSE_S[0])  # noqa: S311
    return Refusal(problem(ProblemCode.TOO_MANY, retry_after_s=min(math.ceil(wait_s) + spread_s, LONGEST_PAUSE_S)))


_CODES: Final = {
    400: ProblemCode.FORMAT,
    401: ProblemCode.UNAUTHENTICATED,
    403: ProblemCode.FORBIDDEN,
    404: ProblemCode.UNKNOWN_OPERATION,
    405: ProblemCode.METHOD,
    413: ProblemCode.TOO_LARGE,
    415: ProblemCode.MEDIA_TYPE,
    429: ProblemCode.TOO_MANY,
    503: ProblemCode.BUSY,
}


def _refused(_: Request[Any, Any, Any], fault: Refusal) -> Response[bytes]:
    return answered(fault.problem, challenge=fault.challenge)


def _framework(_: Request[Any, Any, Any], fault: HTTPException) -> Response[bytes]:
    code = _CODES.get(fault.status_code, ProblemCode.MALFUNCTION if fault.status_code >= 500 else ProblemCode.FORMAT)
    allow = {name: value for name, value in (fault.headers or {}).items() if name.lower() == "allow"}
    return answered(problem(code), headers=allow)


def _unexpected(request: Request[Any, Any, Any], fault: Exception) -> Response[bytes]:
    log.error("request_failed", path=request.url.path, fault=fault_text(fault))
    return answered(problem(ProblemCode.MALFUNCTION))


HANDLERS: Final[Mapping[int | type[Exception], Any]] = {
    Refusal: _refused,
    HTTPException: _framework,
    Exception: _unexpected,
}
