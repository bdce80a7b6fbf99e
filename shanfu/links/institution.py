"""An institution's line to the operations of another one over HTTPS: one call, one answer, for whoever may wait for it.

Hosts, which never wait, ask through `HTTPLink`; this is for the desk of an institution: an operator's command. Certificate,
access token and operation are the same. Sources: RFC 6749 4.4 (client credentials), RFC 6750 (bearer), RFC 9457 (problems).
"""

import ssl
from types import TracebackType
from typing import Self

from msgspec import Struct

from shanfu.errors import IntegrityError, LinkClosed, LinkTimeout
from shanfu.links.http import TOKEN_PATH, Answer, Credentials
from shanfu.messages import Problem, decoded, encoded, operation

__all__ = ["InstitutionLink"]


class InstitutionLink:
    """Asks operations as one caller; `tls` bears its certificate."""

    def __init__(self, url: str, credentials: Credentials, *, tls: ssl.SSLContext, timeout_s: float = 15.0) -> None:
        import httpx

        self._url, self._credentials, self._fault = url, credentials, httpx.HTTPError
        self._client = httpx.Client(base_url=url, verify=tls, trust_env=False, timeout=timeout_s)
        self._token = ""

    def ask(self, op: str, body: Struct) -> Struct | Problem:
        """Ask once and return the answer or the problem; raises LinkClosed, LinkTimeout, IntegrityError when we are refused."""
        row = operation(op)
        if row is None:
            raise LinkClosed(f"{op}: no such operation")
        headers = {"content-type": "application/json", "authorization": f"Bearer {self._token or self._fetch()}"}
        status, content = self._post(row.path, content=bytes(encoded(body)), headers=headers)
        return decoded(content, row.gives if status == 200 else Problem, path=op)

    def _fetch(self) -> str:
        mine = self._credentials
        status, content = self._post(TOKEN_PATH, data={"grant_type": "client_credentials"}, auth=(mine.client, mine.secret))
        if status != 200:
            raise IntegrityError(f"{self._url}: gives {mine.client} no access token (status {status})")
        self._token = decoded(content, Answer, path="token").access_token
        return self._token

    def _post(self, path: str, **request: object) -> tuple[int, bytes]:
        import httpx

        try:
            response = self._client.post(path, **request)  # type: ignore[arg-type]
        except httpx.ConnectError as fault:
            raise LinkClosed(f"{self._url}: cannot be reached") from fault
        except self._fault as fault:
            raise LinkTimeout(f"{self._url}: no answer ({type(fault).__name__})") from fault
        return response.status_code, response.content

    def close(self) -> None:
        """Hang up."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
