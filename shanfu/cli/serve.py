"""`shanfu serve NAME`: one host as a process, until SIGTERM. `shanfu up` runs one for each."""

import click

from shanfu.cli.console import data_option
from shanfu.errors import ConfigError
from shanfu.events import nobody

__all__ = ["command"]


@click.command()
@click.argument("name")
@data_option
@click.option("--watch", is_flag=True, help="Write masked events to events.jsonl in the host's folder.")
def command(name: str, data: str, watch: bool) -> None:
    """Run one host: network, the acquirer or issuer of a bank (acquirer-lantern), or tsp and cloud where they live apart."""
    from shanfu.links import configure
    from shanfu.sandbox import EventFile, open_or_build, ready_line, serve

    configure()
    world = open_or_build(data)
    full = _full_name(name)
    events = EventFile(world.folder / full / "events.jsonl") if watch else nobody
    serve(world, full, events=events, ready=lambda ports: click.echo(ready_line(full, ports)))


def _full_name(name: str) -> str:
    """Take `acquirer` and `issuer` for those of the first bank."""
    from shanfu.sandbox import HOSTS

    for candidate in (name, f"{name}-lantern"):
        if candidate in HOSTS:
            return candidate
    raise ConfigError(f"host {name!r}: not in the sandbox; there are {', '.join(HOSTS)}")
