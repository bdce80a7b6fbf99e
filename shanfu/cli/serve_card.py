"""`shanfu serve card`: a card, a phone or a recorded card, where somebody else's terminal finds it.

With `--vpcd` it lies in the virtual reader of Debian's vsmartcard-vpcd, so that any program sees it through PC/SC; with
`--tcp PORT` it waits at an address of its own, for `shanfu tap --reader tcp:…`. Until interrupted.
"""

import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import click

from shanfu.cli.console import data_option, note
from shanfu.cli.reader import record_option, recorded
from shanfu.errors import ConfigError, ProtocolError

__all__ = ["command"]


@click.command(name="card")
@click.option("--vpcd", is_flag=True, help="Go into the virtual reader that listens (Debian: pcscd and vsmartcard-vpcd).")
@click.option("--listen", is_flag=True, help="With --vpcd: wait for a driver that dials, in both its slots.")
@click.option("--tcp", "tcp_port", type=click.IntRange(0, 65535), help="Wait at this port for `--reader tcp:HOST:PORT`.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Where the reader listens, or this card does.")
@click.option(
    "--port", type=click.IntRange(1, 65534), help="The reader's port [default: vpcd's 35963; its second slot: 35964]."
)
@click.option("--profile", help="A card of the sandbox (docs/world.md).")
@click.option("--misbehave", help="With --profile: how it misbehaves (docs/misbehaving.md).")
@click.option(
    "--at", "torn_at", type=click.IntRange(1), default=3, show_default=True, help="The command at which `torn` leaves."
)
@click.option("--phone", help="A phone of the sandbox; its hosts must run (`shanfu up`).")
@click.option("--trace", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="A recorded card.")
@click.option("--interface", type=click.Choice(["contactless", "contact"]), default="contactless", show_default=True)
@record_option
@data_option
def command(
    vpcd: bool, listen: bool, tcp_port: int | None, *, host: str, port: int | None, profile: str | None,
    misbehave: str | None, torn_at: int, phone: str | None, trace: Path | None, interface: str, record: Path | None, data: str,
) -> int:  # fmt: skip
    """Put a card of the sandbox into a virtual reader (--vpcd), or at an address (--tcp), until interrupted."""
    from shanfu.card import Interface
    from shanfu.links import VPCD_PORT, Plug

    if vpcd == (tcp_port is not None):
        raise click.UsageError("give --vpcd or --tcp PORT")
    if sum(one is not None for one in (profile, phone, trace)) != 1:
        raise click.UsageError("give one of --profile, --phone and --trace")
    if misbehave is not None and profile is None:
        raise click.UsageError("--misbehave is about a card: give its --profile")
    with ExitStack() as here:
        card = here.enter_context(_waved(profile, phone, trace, data=data))
        if misbehave is not None:
            card = _bent(card, misbehave, torn_at)
        heard = here.enter_context(recorded(card, record))
        plug = Plug(heard, Interface(interface))
        here.enter_context(_until_interrupted(plug.stop))
        name = profile or phone or str(trace)
        try:
            if tcp_port is not None:
                plug.listen(host, tcp_port, listening=lambda taken: note(f"{name}: waits at {host}:{taken}, {interface}"))
            elif listen:
                plug.listen(
                    host, port or VPCD_PORT, both_slots=True, listening=lambda at: note(f"{name}: waits at {host}:{at}")
                )
            else:
                at = port or VPCD_PORT
                plug.dial(host, at, connected=lambda: note(f"{name}: lies in the reader at {host}:{at}, {interface}"))
        except ProtocolError as difference:  # a trace was asked for something else
            note(f"{name}: {difference}")
            return 1
    return 0


def _bent(card: Any, name: str, torn_at: int) -> Any:
    from shanfu.card import MISBEHAVIOURS, Misbehaving

    if name not in MISBEHAVIOURS:
        raise ConfigError(f"--misbehave {name}: there are {', '.join(MISBEHAVIOURS)}")
    if MISBEHAVIOURS[name].made:
        raise ConfigError(f"--misbehave {name}: such a card is made so; docs/misbehaving.md says which of the sandbox's is")
    return Misbehaving(card, name, at=torn_at)


@contextmanager
def _waved(profile: str | None, phone: str | None, trace: Path | None, *, data: str) -> Iterator[Any]:
    """Take out what is to be served."""
    if trace is not None:
        from shanfu.links import Trace, TraceCard

        yield TraceCard(Trace.parse(trace.read_text(errors="replace")))
        return
    from shanfu.sandbox import hold, open_or_build, remote_world, running

    world = open_or_build(data)
    if profile is not None:
        with world.card(profile) as card:
            yield card
        return
    assert phone is not None
    if not running(world):
        raise ConfigError("--phone: a phone asks its key cloud, and the hosts do not run; start them with `shanfu up`")
    with remote_world(world, feeds={}) as reach, hold(reach, phone) as holder:
        yield holder.phone.tap_target


@contextmanager
def _until_interrupted(stop: Callable[[], None]) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM take the card out; the command then ends as one that is done."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda *_: stop()) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
