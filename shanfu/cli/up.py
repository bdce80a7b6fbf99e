"""`shanfu up`: every host of the world as a process of its own, until interrupted."""

import signal
import time

import click

from shanfu.cli.console import data_option, note
from shanfu.errors import ConfigError

__all__ = ["command"]


@click.command()
@data_option
@click.option("--watch", is_flag=True, help="Have every host write its events, for `tap --explain`.")
def command(data: str, watch: bool) -> None:
    """Run every host, one process each, until interrupted."""
    from shanfu.sandbox import Fleet, open_or_build

    world = open_or_build(data)
    stopping: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda caught, _: stopping.append(caught))
    with Fleet(world, watch=watch) as fleet:
        fleet.start()
        fleet.wait_signed_on()
        for name, process in fleet.processes.items():
            click.echo(f"{name:<18} 127.0.0.1:{world.settings.ports[name]}  process {process.pid}")
        note(f"up: {world.folder} serves; pay with `shanfu tap --data {world.folder} --amount 12.34`; stop with Ctrl-C")
        while not stopping:
            time.sleep(0.2)
            for name in fleet.fallen():
                raise ConfigError(f"{name}: has ended: {fleet.complaint(name)}")
    note("up: stopped")
