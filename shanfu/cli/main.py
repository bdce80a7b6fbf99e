"""The command group: finds commands lazily, turns errors into one clear line and the documented exit code."""

import difflib
import importlib
import os
import sys
import traceback
from typing import Any

import click

from shanfu import __version__
from shanfu.errors import ConfigError, DecodeError, IntegrityError, KeyUseError, LinkError, ShanfuError, StoreError

__all__ = ["Exit", "main"]


class Exit:
    """What the process says when it ends."""

    DONE = 0
    DECLINED = 1
    USAGE = 2
    UNREACHABLE = 3
    CRYPTO = 4
    INTERNAL = 5


# fmt: off
COMMANDS = {  # name: (module, one line)
    "bank":      ("bank",      "A bank's desk: which phone paid, a card reported lost, a policy tried on past traffic."),
    "bench":     ("bench",     "Measure readers, codec, crypto, authorisation and tap against their peers."),
    "card":      ("card",      "Look at a card in a reader, masked; play a recorded trace to it: read, replay."),
    "db":        ("db",        "Look after the data folder: upgrade."),
    "decode":    ("decode",    "Explain bytes: tlv, apdu, 8583."),
    "demo":      ("demo",      "Play payments with real processes and show every message."),
    "doctor":    ("doctor",    "Check this machine and a data folder."),
    "insert":    ("insert",    "Insert a card into a terminal and pay."),
    "ledger":    ("ledger",    "Show the banks' books: trial-balance, account."),
    "readers":   ("readers",   "List the card readers of this machine."),
    "reconcile": ("reconcile", "Match the journals of terminal, acquirer, network and issuer."),
    "serve":     ("serve",     "Run one host (acquirer, network, issuer, tsp, cloud), or a card or terminal for others."),
    "swipe":     ("insert",    "Swipe a card's stripe: refused, but after a chip that could not be read."),
    "terminal":  ("terminal",  "A till's parameters: show, download."),
    "tap":       ("tap",       "Wave a card or a phone at a terminal and pay."),
    "token":     ("token",     "Look after tokens: list, show, events, suspend, resume, delete, reconcile."),
    "up":        ("up",        "Run every host, one process each, until interrupted."),
    "wallet":    ("wallet",    "A phone and its bank app: add a card, open, list, offline, online, lock, freeze …"),
}
# fmt: on

EXITS: tuple[tuple[type[ShanfuError], int], ...] = (  # the first that fits; the order matters
    (ConfigError, Exit.USAGE),
    (DecodeError, Exit.DECLINED),
    (StoreError, Exit.USAGE),
    (LinkError, Exit.UNREACHABLE),
    (IntegrityError, Exit.CRYPTO),
    (KeyUseError, Exit.CRYPTO),
    (ShanfuError, Exit.INTERNAL),
)


class LazyGroup(click.Group):
    """A group that imports a command's module only when that command is called."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """Name all commands."""
        return list(COMMANDS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command; an unknown one gets click's own nearest-name message."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"shanfu.cli.{COMMANDS[cmd_name][0]}")
        command: click.Command = getattr(module, "command", None) or getattr(module, cmd_name)
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; an unknown one is answered with the nearest that there is."""
        if args and args[0] not in COMMANDS and (near := difflib.get_close_matches(args[0], COMMANDS, 1)):
            raise click.UsageError(f"No such command {args[0]!r}; did you mean {near[0]!r}?", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="shanfu")
def group() -> None:
    """Shanfu (闪付): an open contactless mobile-payment system."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and leave with the documented exit code."""
    sys.exit(_run(arguments))


def _run(arguments: list[str] | None) -> int:
    try:
        code: Any = group.main(args=arguments, prog_name="shanfu", standalone_mode=False)
        return code if isinstance(code, int) else Exit.DONE
    except click.exceptions.Abort:
        click.echo("shanfu: interrupted", err=True)
        return 130
    except click.ClickException as fault:
        fault.show()
        return Exit.USAGE
    except ShanfuError as fault:
        click.echo(f"shanfu: {fault}", err=True)
        return next(code for kind, code in EXITS if isinstance(fault, kind))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.DONE
    except Exception as fault:  # the last line of defence: nothing but its kind is shown, a message may hold anything
        click.echo(f"shanfu: internal fault, {type(fault).__name__} at {_place(fault)}; please report it", err=True)
        if os.environ.get("SHANFU_DEBUG"):
            traceback.print_exc()
        return Exit.INTERNAL


def _place(fault: Exception) -> str:
    frames = traceback.extract_tb(fault.__traceback__)
    return f"{os.path.basename(frames[-1].filename)}:{frames[-1].lineno}" if frames else "start"
