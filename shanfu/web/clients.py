"""The institutions that may call, and how their secrets are kept.

A file of rows, one for each caller that an institution may speak as:

    [[client]]
    client = "cloud-lantern"                 # what it calls itself at the token endpoint
    certificate = "cloud"                    # the common name in its certificate
    caller = "requestor/90100000001"         # who it then is
    secret = "scrypt:16384:8:1:SALT:HASH"    # never the secret itself

A secret is kept as its scrypt hash, so whoever reads the file cannot call. Sources: RFC 7914 (scrypt), RFC 6749 2.3.1.
"""

import hashlib
import hmac
import os
import secrets
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from shanfu.errors import ConfigError
from shanfu.messages import Role

__all__ = ["Client", "Clients", "hashed", "write_clients"]

COST, BLOCK, LANES = 1 << 14, 8, 1  # RFC 7914 2: 16 MiB and some 50 ms, for secrets that machines drew
MOST_MEMORY: Final = 64 << 20
INSTITUTIONS: Final = frozenset({Role.REQUESTOR.value, Role.ISSUER.value, Role.TSP.value})
FIELDS: Final = frozenset({"client", "certificate", "caller", "secret"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """One row of the file."""

    client: str
    certificate: str
    caller: str
    secret: str = field(repr=False)

    def check(self) -> None:
        """Refuse a row that lets nobody in, or too many; raises ConfigError."""
        role, _, name = self.caller.partition("/")
        if role not in INSTITUTIONS or not name:
            raise ConfigError(f"client {self.client}: caller is {self.caller!r}, should be requestor/…, issuer/… or tsp/…")
        if not self.client or ":" in self.client or not self.certificate:
            raise ConfigError(f"client {self.client!r}: should have a name without a colon and a certificate's name")
        if len(self.secret.split(":")) != 6 or not self.secret.startswith("scrypt:"):
            raise ConfigError(f"client {self.client}: secret should be scrypt:N:r:p:salt:hash")


class Clients:
    """All rows, by the name that is used at the token endpoint."""

    def __init__(self, rows: Iterable[Client] = ()) -> None:
        self._rows: dict[str, Client] = {}
        for row in rows:
            row.check()
            if row.client in self._rows:
                raise ConfigError(f"client {row.client}: stands there twice")
            self._rows[row.client] = row
        self._nobody = Client(client="nobody", certificate="-", caller="tsp/-", secret=hashed(secrets.token_hex(16)))

    @classmethod
    def read(cls, path: Path) -> "Clients":
        """Read the file; raises ConfigError."""
        try:
            content = tomllib.loads(path.read_text())
        except (OSError, ValueError) as fault:
            raise ConfigError(f"{path.name}: cannot be read ({type(fault).__name__})") from fault
        rows = content.get("client", [])
        for row in rows:
            if set(row) != FIELDS or not all(isinstance(value, str) for value in row.values()):
                raise ConfigError(f"{path.name}: each client has the texts {', '.join(sorted(FIELDS))}")
        return cls(Client(**row) for row in rows)

    def proved(self, name: str, secret: str, certificate: str) -> Client | None:
        """Return the client that this name, this secret and this certificate belong to; takes as long for strangers.

        It takes some 50 ms: call it in a thread.
        """
        row = self._rows.get(name, self._nobody)
        right = _right(secret, row.secret)
        return row if right and hmac.compare_digest(row.certificate.encode(), certificate.encode()) else None


def hashed(secret: str) -> str:
    """Return how a secret is written in the file."""
    salt = secrets.token_bytes(16)
    return f"scrypt:{COST}:{BLOCK}:{LANES}:{salt.hex()}:{_scrypt(secret, salt, (COST, BLOCK, LANES)).hex()}"


def _right(secret: str, kept: str) -> bool:
    _, *costs, salt, digest = kept.split(":")
    cost, block, lanes = (int(number) for number in costs)
    return hmac.compare_digest(_scrypt(secret, bytes.fromhex(salt), (cost, block, lanes)), bytes.fromhex(digest))


def _scrypt(secret: str, salt: bytes, costs: tuple[int, int, int]) -> bytes:
    cost, block, lanes = costs
    return hashlib.scrypt(secret.encode(), salt=salt, n=cost, r=block, p=lanes, maxmem=MOST_MEMORY, dklen=32)


def write_clients(path: Path, rows: Iterable[Client]) -> None:
    """Write the file, readable by its owner alone."""
    texts = []
    for row in rows:
        row.check()
        fields = (("client", row.client), ("certificate", row.certificate), ("caller", row.caller), ("secret", row.secret))
        texts.append("[[client]]\n" + "".join(f'{name} = "{value}"\n' for name, value in fields))
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write("\n".join(texts))
    fresh.replace(path)
