"""`shanfu serve NAME`: one host as a process, until SIGTERM; `shanfu up` runs one for each. `serve card` and `serve pos` put
a card of the sandbox, or a terminal, at the disposal of somebody else's other half (see `serve_card.py` and `serve_pos.py`).
"""

import importlib

import click

from shanfu.cli.console import data_option
from shanfu.errors import ConfigError
from shanfu.events import nobody

__all__ = ["command"]

DEVICES = {  # name: (module, one line)
    "card": ("serve_card", "Put a card of the sandbox into a virtual reader, or at an address."),
    "pos": ("serve_pos", "Be a terminal at which cards and phones that live elsewhere are waved."),
}


class Servants(click.Group):
    """The devices are commands; every other name is a host's."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """Name the devices."""
        return list(DEVICES)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a device's command; a host's name leads to the one command for hosts."""
        if cmd_name not in DEVICES:
            return host
        device: click.Command = importlib.import_module(f"shanfu.cli.{DEVICES[cmd_name][0]}").command
        return device

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """Leave a host's name among the arguments, since it is one."""
        name, found, rest = super().resolve_command(ctx, args)
        return name, found, args if found is host else rest

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the devices without importing them."""
        with formatter.section("Devices"):
            formatter.write_dl([(name, line) for name, (_, line) in DEVICES.items()])


@click.command(cls=Servants, subcommand_metavar="NAME [ARGS]...")
def command() -> None:
    """Run one host: network, the acquirer or issuer of a bank (acquirer-lantern), or tsp and cloud where they live apart.

    Or serve a device: card, pos.
    """


@click.command(name="serve")
@click.argument("name")
@data_option
@click.option("--watch", is_flag=True, help="Write masked events to events.jsonl in the host's folder.")
def host(name: str, data: str, watch: bool) -> None:
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
