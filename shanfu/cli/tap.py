"""`shanfu tap`: wave a card at a terminal and pay.

When the world's hosts run (`shanfu up`), the terminal speaks TCP to its acquirer; when they do not, all hosts work in this
process over the same books. Without `--pin` a payment that asks for one asks at the keyboard.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from shanfu.cli.console import data_option, json_option, lang_option, note, show_json
from shanfu.errors import ConfigError

__all__ = ["command"]

FAULT_KINDS = ("silent", "late", "duplicate", "malformed", "bad-mac")


@click.command()
@click.option("--amount", required=True, help="Like 12.34.")
@click.option("--currency", help="The terminal's, unless given; another is refused.")
@click.option("--pin", help="Typed at the PIN pad when it asks.")
@click.option("--card", "card_name", default="debit", show_default=True, help="A card of the sandbox (docs/world.md).")
@click.option("--merchant", default="teahouse", show_default=True, help="A merchant of the sandbox.")
@click.option("--fault", type=click.Choice(FAULT_KINDS), help="What the issuer's answer suffers on its way.")
@click.option("--explain", is_flag=True, help="Show every message, party by party.")
@data_option
@lang_option
@json_option
def command(
    amount: str, currency: str | None, pin: str | None, *, card_name: str, merchant: str, fault: str | None, explain: bool,
    data: str, lang: str, as_json: bool,
) -> int:  # fmt: skip
    """Wave a card at a terminal and pay."""
    from shanfu.cli.story import tell
    from shanfu.money import Currency, Money
    from shanfu.sandbox import acquirer_of, card_named, merchant_named, one_story, open_or_build
    from shanfu.terminal import print_receipt

    card_named(card_name)
    if pin is not None and not (pin.isascii() and pin.isdigit() and 4 <= len(pin) <= 12):
        raise click.BadParameter("a PIN has 4 to 12 digits (ISO 9564-1)", param_hint="--pin")
    money = Money.parse(amount, Currency.of(currency or merchant_named(merchant).currency))
    world = open_or_build(data)
    feeds: dict[str, Any] = {}
    with _a_till(world, merchant, fault=fault, keypad=_keypad(pin), feeds=feeds) as till, world.card(card_name) as card:
        till.present(card)
        receipt = till.do(till.terminal.pay(money))
    events = one_story(feeds, acquirer=acquirer_of(merchant))
    if as_json:
        show_json(tap_object(receipt, events, device=card_name))
    else:
        if explain:
            click.echo(tell(events, lang=lang))
            if not any(told for teller, told in feeds.items() if teller != "terminal"):
                note("the hosts told nothing: run them with `shanfu up --watch` to hear them too")
        click.echo(print_receipt(receipt, lang))
    return _exit(receipt)


@contextmanager
def _a_till(
    world: Any, merchant: str, *, fault: str | None, keypad: Callable[[str], str | None], feeds: dict[str, Any]
) -> Iterator[Any]:
    from shanfu.sandbox import local_till, running, tcp_till

    if running(world):
        if fault:
            hint = "use --card faults and an amount of 666.01 to 666.05"
            raise ConfigError(f"--fault: the hosts run in processes of their own (`shanfu up`); {hint}")
        with tcp_till(world, merchant, keypad=keypad, feeds=feeds) as till:
            yield till
    else:
        with local_till(world, merchant, fault=fault, keypad=keypad, feeds=feeds) as till:
            yield till


def _keypad(pin: str | None) -> Callable[[str], str | None]:
    """Return what the PIN pad's keys do: the option once, then the keyboard, when there is one."""
    given = [pin] if pin is not None else []

    def keypad(prompt: str) -> str | None:
        if given:
            return given.pop()
        if pin is not None:
            return None  # a PIN of a wrong length is not typed again for ever
        if not sys.stdin.isatty():
            raise click.UsageError("this payment asks for the PIN; give --pin")
        typed = click.prompt(prompt, hide_input=True, default="", show_default=False, err=True)
        return str(typed) or None

    return keypad


def _exit(receipt: Any) -> int:
    from shanfu.cli.main import Exit
    from shanfu.terminal import Reason

    if receipt.approved:
        return Exit.DONE
    return Exit.UNREACHABLE if receipt.reason is Reason.HOST_UNREACHABLE else Exit.DECLINED


def tap_object(receipt: Any, events: list[Any], *, device: str) -> dict[str, Any]:
    """Return the one object that `tap --json` prints."""
    return {
        "outcome": receipt.outcome.value,
        "reason": str(receipt.reason) if receipt.reason else None,
        "response_code": receipt.response_code or None,
        "amount": receipt.amount.plain if receipt.amount else None,
        "currency": receipt.amount.currency.code if receipt.amount else None,
        "device": device,
        "interface": receipt.interface or None,
        "pan": receipt.masked_pan or None,
        "entry_mode": receipt.entry_mode or None,
        "cvm": receipt.cvm.name.lower() if receipt.cvm else None,
        "atc": int(receipt.atc, 16) if receipt.atc else None,
        "stan": receipt.stan or None,
        "rrn": receipt.rrn or None,
        "trace_id": receipt.trace_id or None,
        "duration_ms": receipt.duration_ms,
        "events": [
            {
                "seq": seq,
                "from": event.source,
                "to": event.target or None,
                "wire": event.wire or None,
                "title": event.title,
                "bytes": event.raw.hex().upper(),
                "detail": event.detail | ({"reason": event.reason} if event.reason else {}),
            }
            for seq, event in enumerate(events, 1)
        ],
    }
