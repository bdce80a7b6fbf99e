"""Who asks whom over HTTPS in a world of processes, and with which credentials.

Phones ask the key cloud. Issuers ask the token service, the token service issuers and, when they live apart, the key cloud,
and the key cloud the token service. Every institution has a certificate of the sandbox CA and a secret for each name that it
speaks under: the asked one keeps its hash (`<host>/clients.toml`), the asking one the secret itself
(`<host>/credentials.toml`). HTTPS it is even where the settings leave the interbank links without TLS.

The door itself is loaded by who opens it: a tap asks and is not asked, and need not wait for it.
"""

import os
import secrets
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from shanfu.links import (
    Credentials,
    Door,
    HTTPLink,
    InstitutionLink,
    PhoneLink,
    asking,
    client_context,
    server_context,
    visitor_context,
)
from shanfu.sandbox.people import APPS, TSP
from shanfu.sandbox.world import HOSTS, World

__all__ = ["doors_of", "grant_credentials", "https_cloud", "institution_line"]

CLIENTS: Final = "clients.toml"
CREDENTIALS: Final = "credentials.toml"
SERVING: Final = ("tsp", "cloud", "issuer")  # kinds of hosts that are asked over HTTPS


def callers_of(name: str) -> dict[str, str]:
    """Return under which names a host speaks, each with the kind of host that it speaks to."""
    role = HOSTS[name]
    match role.kind:
        case "issuer":
            return {f"issuer/{role.id}": "tsp"}
        case "cloud":
            return {f"requestor/{app.trid}": "tsp" for app in APPS}
        case "tsp":
            return {f"tsp/{role.id}": "issuer"}
        case _:
            return {}


def grant_credentials(world: World) -> None:
    """Draw a secret for every caller, and tell everybody he may ask its hash."""
    from shanfu.web import Client, hashed, write_clients

    granted: dict[str, list[Client]] = {name: [] for name, role in HOSTS.items() if role.kind in SERVING}
    for name in HOSTS:
        own: dict[str, str] = {}
        for caller in callers_of(name):
            secret = own[caller] = secrets.token_hex(32)
            row = Client(client=_client(caller), certificate=_certificate(world, name), caller=caller, secret=hashed(secret))
            for rows in granted.values():
                rows.append(row)
        if own:
            _write_secrets(world.folder / name / CREDENTIALS, own)
    for host, rows in granted.items():
        write_clients(world.folder / host / CLIENTS, rows)


def doors_of(world: World, name: str) -> list[Door]:
    """Return the doors that a host's process holds open beside its interbank links: where it is asked, and whom it asks."""
    from shanfu.web import Clients, WebConfig, web_door

    inside = [member for member in HOSTS if world.home_of(member) == name and HOSTS[member].kind in SERVING]
    if not inside:
        return []
    links = [link for member in inside for link in _asks(world, member) if not _lives_here(world, name, link)]
    kinds = tuple(HOSTS[member].kind for member in inside)
    clients = Clients.read(world.folder / inside[0] / CLIENTS)
    tls = server_context(world.folder / "ca", HOSTS[name].id, strangers=True)
    return [asking(links), web_door(WebConfig(hosts=kinds, port=world.settings.api_ports[name], tls=tls, clients=clients))]


@contextmanager
def https_cloud(world: World) -> Iterator[PhoneLink]:
    """Connect a phone to the running key cloud."""
    with PhoneLink(_url(world, world.home_of("cloud")), tls=visitor_context(world.folder / "ca")) as link:
        yield link


@contextmanager
def institution_line(world: World, name: str, *, to: str) -> Iterator[InstitutionLink]:
    """Connect an institution's desk to a running host, under the institution's certificate and secret."""
    [credentials] = _credentials(world, name).values()
    tls = client_context(world.folder / "ca", HOSTS[world.home_of(name)].id)
    with InstitutionLink(_url(world, world.home_of(to)), credentials, tls=tls) as link:
        yield link


def _asks(world: World, name: str) -> list[HTTPLink]:
    """Whom a host asks over HTTPS."""
    match HOSTS[name].kind:
        case "issuer":
            return [_link(world, name, to="tsp", station=f"tsp/{TSP}")]
        case "cloud":
            return [_link(world, name, to="tsp", station=f"tsp/{TSP}")]
        case "tsp":
            issuers = [(other, f"issuer/{its.id}") for other, its in HOSTS.items() if its.kind == "issuer"]
            return [_link(world, name, to=to, station=station) for to, station in (*issuers, ("cloud", "cloud"))]
        case _:
            return []


def _link(world: World, name: str, *, to: str, station: str) -> HTTPLink:
    home = world.home_of(to)
    tls = client_context(world.folder / "ca", HOSTS[world.home_of(name)].id)
    return HTTPLink(
        station=station, url=_url(world, home), tls=tls, tls_name=HOSTS[home].id, credentials=_credentials(world, name)
    )  # fmt: skip


def _lives_here(world: World, name: str, link: HTTPLink) -> bool:
    return link.url == _url(world, name)


def _url(world: World, home: str) -> str:
    return f"https://127.0.0.1:{world.settings.api_ports[home]}"


def _certificate(world: World, name: str) -> str:
    return HOSTS[world.home_of(name)].id


def _client(caller: str) -> str:
    return caller.replace("/", "-")


def _credentials(world: World, name: str) -> Mapping[str, Credentials]:
    content = tomllib.loads((world.folder / name / CREDENTIALS).read_text())
    return {caller: Credentials(client=_client(caller), secret=secret) for caller, secret in content["secrets"].items()}


def _write_secrets(path: Path, own: Mapping[str, str]) -> None:
    lines = ["[secrets]", *(f'"{caller}" = "{secret}"' for caller, secret in own.items())]
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write("\n".join(lines) + "\n")
