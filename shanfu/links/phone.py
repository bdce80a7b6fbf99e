"""A phone's line to its key cloud over HTTPS: one call, one answer, nothing kept between them but the connection.

What a phone says of itself travels in headers, what it asks in the body, byte for byte as it was signed. A phone shows no
certificate; the cloud's must be of the authority that the link was given. Sources: RFC 9110 (HTTP), RFC 9457 (problems).
"""

import ssl
from types import TracebackType
from typing import Final, Self

from msgspec import Raw

from shanfu.errors import DecodeError, LinkClosed, LinkTimeout
from shanfu.messages import LIMIT_BYTES, Call, Problem, Reply, decoded, operation

__all__ = ["PhoneLink"]

CONNECT_S: Final = 5.0  # the holder is waiting


class PhoneLink:
    """Asks the operations of a key cloud."""

    def __init__(self, url: str, *, tls: ssl.SSLContext | None = None, timeout_s: float = 15.0) -> None:
        import httpx  # not when a terminal imports its links

        self._url, self._faults = url, (httpx.HTTPError, OSError)
        self._unreached = (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol)
        timeout = httpx.Timeout(timeout_s, connect=min(CONNECT_S, timeout_s))
        self._client = httpx.Client(base_url=url, verify=tls if tls is not None else True, trust_env=False, timeout=timeout)

    def ask(self, call: Call) -> Reply:
        """Ask once and return the answer, or the problem.

        Raises LinkClosed when the cloud was not reached, LinkTimeout when it may have heard the call and no answer came that
        makes sense.
        """
        row = operation(call.op)
        if row is None:
            raise LinkClosed(f"{call.op}: no such operation")
        try:
            response = self._client.post(row.path, content=bytes(call.body), headers=_headers(call))
        except self._unreached as fault:
            raise LinkClosed(f"{self._url}: cannot be reached ({type(fault).__name__})") from fault
        except self._faults as fault:
            raise LinkTimeout(f"{self._url}: no answer ({type(fault).__name__})") from fault
        try:
            _check(response.status_code, response.content, call.op)
        except DecodeError as fault:
            raise LinkTimeout(f"{self._url}: status {response.status_code} and no answer that makes sense") from fault
        return Reply(id=call.id, status=response.status_code, body=Raw(response.content))

    def close(self) -> None:
        """Hang up."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def _check(status: int, content: bytes, op: str) -> None:
    if len(content) > LIMIT_BYTES:
        raise DecodeError(f"{len(content)} bytes, at most {LIMIT_BYTES} are taken", path=op)
    if status == 200:
        decoded(content, Raw, path=op)
    elif status < 400 or decoded(content, Problem, path=op).status != status:
        raise DecodeError(f"status {status} is no answer", path=op)


def _headers(call: Call) -> dict[str, str]:
    headers = {"content-type": "application/json", **({"idempotency-key": call.key} if call.key else {})}
    if (device := call.device) is not None:
        said = {
            "device": device.device, "session": device.session, "counter": str(device.counter),
            "time": str(device.time_ms), "nonce": device.nonce, "signature": device.signature,
        }  # fmt: skip
        headers |= {f"shanfu-{name}": value for name, value in said.items() if value}
    return headers
