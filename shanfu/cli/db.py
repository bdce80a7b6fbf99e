"""`shanfu db upgrade`: bring every book of a world to this version's format."""

import click

from shanfu.cli.console import data_option, json_option, show_json

__all__ = ["command"]


@click.group()
def command() -> None:
    """Look after the data folder: upgrade."""


@command.command()
@data_option
@json_option
def upgrade(data: str, as_json: bool) -> None:
    """Upgrade every host's books; an older folder is brought up to date, a newer one is refused."""
    from shanfu.sandbox import HOSTS, World
    from shanfu.store import current_format

    world = World.open(data)
    formats = {}
    for name, role in HOSTS.items():
        world.store(name).close()  # opening upgrades
        formats[name] = current_format(world.books_of(name), role.schema)
    if as_json:
        show_json(formats)
    else:
        for name, number in formats.items():
            click.echo(f"{name:<18} format {number}")
