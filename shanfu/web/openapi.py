"""The description of the wire, made from its table: an OpenAPI 3.1 document, and a page for people.

Both say exactly what `shanfu.messages.OPERATIONS` says; there is nothing to keep in step by hand. The page is one text of our
own, with no script and nothing fetched from elsewhere. Sources: OpenAPI 3.1.1, JSON Schema 2020-12, RFC 9457.
"""

import base64
import hashlib
from collections.abc import Sequence
from html import escape
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

import msgspec

from shanfu.messages import Operation, Problem, ProblemCode, Role, wallet

__all__ = ["POLICY", "document", "page"]

REFERENCE: Final = "#/components/schemas/{name}"
STYLE: Final = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;color:#1b1f24;background:#fff}"
    "table{border-collapse:collapse;width:100%}td,th{text-align:left;vertical-align:top;padding:.3rem .6rem;"
    "border-bottom:1px solid #d0d7de}code,pre{font:14px ui-monospace,monospace}pre{overflow:auto;background:#f6f8fa;"
    "padding:.6rem}summary{cursor:pointer}h2{margin-top:2.5rem}"
)
_HASH: Final = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY: Final = f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

_SECURITY: Final[dict[Role, Any]] = {
    Role.ANYONE: [{"deviceSignature": []}],
    Role.DEVICE: [{"deviceSignature": [], "deviceSession": []}],
}
_SCHEMES: Final = {
    "certificate": {"type": "mutualTLS", "description": "The institution's certificate."},
    "accessToken": {
        "type": "oauth2",
        "description": "An access token, good over the certificate it was given to.",
        "flows": {"clientCredentials": {"tokenUrl": "/oauth2/token", "scopes": {}}},
    },
    "deviceSignature": {"type": "apiKey", "in": "header", "name": "Shanfu-Signature"},
    "deviceSession": {"type": "apiKey", "in": "header", "name": "Shanfu-Session"},
}
_DEVICE_HEADERS: Final = ("Device", "Session", "Counter", "Time", "Nonce", "Signature")


def document(rows: Sequence[Operation]) -> dict[str, Any]:
    """Return the OpenAPI document of these operations."""
    kinds = list(dict.fromkeys(kind for row in rows for kind in (row.asks, row.gives)))
    schemas, components = msgspec.json.schema_components([*kinds, Problem, wallet.Sealed], ref_template=REFERENCE)
    of: dict[type, Any] = dict(zip([*kinds, Problem, wallet.Sealed], schemas, strict=True))
    return {
        "openapi": "3.1.1",
        "info": {"title": "Shanfu: the JSON wire", "version": _version()},
        "paths": {row.path: {"post": _described(row, of)} for row in rows},
        "components": {"schemas": components, "securitySchemes": _SCHEMES},
    }


def _described(row: Operation, of: dict[type, Any]) -> dict[str, Any]:
    sealed = row.role is Role.DEVICE
    asks, gives = (of[wallet.Sealed], of[wallet.Sealed]) if sealed else (of[row.asks], of[row.gives])
    plain = {"x-sealed-request": of[row.asks], "x-sealed-response": of[row.gives]} if sealed else {}
    names = ["Idempotency-Key", *(f"Shanfu-{name}" for name in _DEVICE_HEADERS if row.role in _SECURITY)]
    return {
        "operationId": row.name,
        "summary": row.summary,
        "tags": [row.host],
        "security": _SECURITY.get(row.role, [{"certificate": [], "accessToken": []}]),
        "parameters": [{"name": name, "in": "header", "schema": {"type": "string"}} for name in names],
        "requestBody": {"required": True, "content": {"application/json": {"schema": asks}}},
        "responses": {
            "200": {"description": "The answer.", "content": {"application/json": {"schema": gives}}},
            "default": {"description": "A problem.", "content": {"application/problem+json": {"schema": of[Problem]}}},
        },
        **plain,
    }


def _version() -> str:
    try:
        return version("shanfu")
    except PackageNotFoundError:  # a checkout is no installed package
        return "0"


def page(rows: Sequence[Operation]) -> str:
    """Return the same for people, as one HTML page."""
    whole = document(rows)
    parts = [f"<h2>{escape(host)}</h2>{_table([row for row in rows if row.host == host])}" for host in _hosts(rows)]
    codes = "".join(
        f"<tr><td><code>{code.value}</code><td>{code.status}<td>{escape(code.phrase)}<td>{code.phrase_zh}"
        for code in sorted(ProblemCode, key=lambda code: code.value)
    )
    schemas = "".join(
        f"<details id='{escape(name)}'><summary><code>{escape(name)}</code></summary><pre>"
        f"{escape(msgspec.json.format(msgspec.json.encode(schema)).decode())}</pre></details>"
        for name, schema in sorted(whole["components"]["schemas"].items())
    )
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><title>Shanfu: the JSON wire</title>"
        f"<style>{STYLE}</style><h1>Shanfu: the JSON wire</h1>"
        "<p>Every operation is a POST of one JSON document. An <code>Idempotency-Key</code> header makes asking twice the same "
        "as asking once. Institutions show a certificate and an access token, phones sign and seal. "
        "The same as <a href=/openapi.json>OpenAPI 3.1</a>.</p>"
        f"{''.join(parts)}<h2>Problems</h2><table><tr><th>code<th>status<th>means<th>意思{codes}</table>"
        f"<h2>Messages</h2>{schemas}</html>"
    )


def _hosts(rows: Sequence[Operation]) -> list[str]:
    return list(dict.fromkeys(row.host for row in rows))


def _table(rows: Sequence[Operation]) -> str:
    lines = "".join(
        f"<tr><td><code>{row.path}</code><td>{row.role.value}<td>{escape(row.summary)}"
        f"<td><code>{row.asks.__name__}</code> → <code>{row.gives.__name__}</code>"
        for row in rows
    )
    return f"<table><tr><th>POST<th>for<th>what<th>messages{lines}</table>"
