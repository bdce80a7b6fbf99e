"""`shanfu insert` and `shanfu swipe`: a card goes into the slot, or its stripe through the reader.

Like `tap`: a card of the sandbox or, with `--reader`, a test card in a reader; over TCP where the world's hosts run, else with
all of them in this process. A swipe pays only after a chip that could not be read: `--dead-chip` puts such a card in first.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from shanfu.cli.console import data_option, json_option, lang_option, show_json
from shanfu.cli.reader import TestCardsOnly, open_card, reader_option, record_option, recorded, test_bins, wait_option
from shanfu.cli.tap import Keypad, exit_of, show_receipt, tap_object

__all__ = ["insert", "swipe"]

Pay = Callable[[Any, Any], Any]  # till, card -> receipt


def _payment_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed((
        click.option("--amount", required=True, help="Like 12.34."),
        click.option("--pin", help="Typed at the PIN pad when it asks."),
        click.option("--card", "card_name", default="debit", show_default=True, help="A card of the sandbox (docs/world.md)."),
        click.option("--merchant", default="teahouse", show_default=True, help="A merchant of the sandbox."),
        click.option("--explain", is_flag=True, help="Show every message, party by party."),
        data_option, lang_option, json_option,
    )):  # fmt: skip
        command = option(command)
    return command


@click.command()
@reader_option
@wait_option
@record_option
@_payment_options
def insert(
    reader: str | None, wait: float, record: Path | None, *, amount: str, pin: str | None, card_name: str, merchant: str,
    explain: bool, data: str, lang: str, as_json: bool,
) -> int:  # fmt: skip
    """Insert a card into a terminal and pay."""
    money = _money(amount, merchant, pin)

    def pay(till: Any, card: Any) -> Any:
        with recorded(card, record) as target:
            till.insert(target)
            return till.do(till.terminal.insert(money))

    if reader is None:
        return _paid(pay, card_name, merchant, pin=pin, data=data, lang=lang, as_json=as_json, explain=explain)
    with open_card(reader, wait_s=wait) as chip:
        test = TestCardsOnly(chip, test_bins())
        return _paid(pay, test, merchant, pin=pin, data=data, lang=lang, as_json=as_json, explain=explain)


@click.command()
@click.option("--dead-chip", is_flag=True, help="Put the card in first, with a chip that does not answer.")
@_payment_options
def swipe(
    dead_chip: bool, *, amount: str, pin: str | None, card_name: str, merchant: str, explain: bool, data: str, lang: str,
    as_json: bool,
) -> int:  # fmt: skip
    """Swipe a card's stripe; only after a chip that could not be read it pays."""
    from shanfu.sandbox import open_or_build

    money = _money(amount, merchant, pin)
    stripe = open_or_build(data).stripe(card_name)

    def pay(till: Any, card: Any) -> Any:
        if dead_chip:
            till.insert(card, dead=True)
            till.do(till.terminal.insert(money))
            till.take_away()
        return till.do(till.terminal.swipe(stripe, money))

    return _paid(pay, card_name, merchant, pin=pin, data=data, lang=lang, as_json=as_json, explain=explain)


def _money(amount: str, merchant: str, pin: str | None) -> Any:
    from shanfu.money import Currency, Money
    from shanfu.sandbox import merchant_named

    if pin is not None and not (pin.isascii() and pin.isdigit() and 4 <= len(pin) <= 12):
        raise click.BadParameter("a PIN has 4 to 12 digits (ISO 9564-1)", param_hint="--pin")
    return Money.parse(amount, Currency.of(merchant_named(merchant).currency))


def _paid(
    pay: Pay, card: Any, merchant: str, *, pin: str | None, data: str, lang: str, as_json: bool, explain: bool
) -> int:  # fmt: skip
    """Pay once with a card of the sandbox, by its name, or with what a reader holds; show it and return the exit code."""
    from contextlib import nullcontext

    from shanfu.sandbox import a_world, acquirer_of, one_story, open_or_build

    world = open_or_build(data)
    with a_world(world, feeds={}) as reach, reach.till(merchant, keypad=Keypad(pin)) as till:
        with reach.world.card(card) if isinstance(card, str) else nullcontext(card) as chip:
            receipt = pay(till, chip)
            till.take_away()
        reach.settle()
        feeds = reach.told()
    events = one_story(feeds, acquirer=acquirer_of(merchant))
    if as_json:
        show_json(tap_object(receipt, events, device=card if isinstance(card, str) else "reader"))
    else:
        show_receipt(receipt, events, feeds, lang=lang, explain=explain)
    return exit_of(receipt)
