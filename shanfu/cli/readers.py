"""`shanfu readers`: the card readers of this machine, and in which of them a card lies."""

import click

from shanfu.cli.console import json_option, show_json

__all__ = ["command"]


@click.command()
@json_option
def command(as_json: bool) -> int:
    """List the card readers of this machine; exit code 3 when there is no PC/SC, 1 when there is no reader."""
    from shanfu.links import list_readers

    found = list_readers()
    if as_json:
        show_json([{"reader": name, "card": card} for name, card in found])
    else:
        for name, card in found:
            click.echo(f"{name:<48} {'card' if card else 'empty'}")
        if not found:
            click.echo("no reader is connected", err=True)
    return 0 if found else 1
