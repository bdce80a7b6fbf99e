"""`shanfu serve pos`: a terminal at which cards and phones that live elsewhere are waved, over TCP.

Each connection is a card in the field: the terminal takes the payment, prints the receipt and waits for the next one. What
dials in speaks the wire of `shanfu.links.vpcd`: a card of another sandbox, somebody's emulator, a phone that relays its own.
"""

from pathlib import Path
from typing import Any

import click

from shanfu.cli.console import data_option, json_option, lang_option, note, show_json
from shanfu.cli.reader import StrangersCard, TestCardsOnly, record_option, recorded, test_bins
from shanfu.errors import LinkError

__all__ = ["command"]

POS_PORT = 35965  # next to the two of vpcd's slots


@click.command(name="pos")
@click.option("--amount", required=True, help="What everybody pays, like 12.34.")
@click.option("--merchant", default="teahouse", show_default=True, help="A merchant of the sandbox.")
@click.option("--pin", help="Typed at the PIN pad when it asks.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Where cards dial in; the line is not enciphered.")
@click.option("--port", type=click.IntRange(0, 65535), default=POS_PORT, show_default=True)
@click.option("--times", type=click.IntRange(min=1), help="End after so many cards.")
@record_option
@data_option
@lang_option
@json_option
def command(
    amount: str, *, merchant: str, pin: str | None, host: str, port: int, times: int | None, record: Path | None, data: str,
    lang: str, as_json: bool,
) -> int:  # fmt: skip
    """Be a terminal at which cards and phones that live elsewhere are waved, until interrupted."""
    from shanfu.cli.tap import Keypad
    from shanfu.links import CardDoor
    from shanfu.money import Currency, Money
    from shanfu.sandbox import a_world, merchant_named, open_or_build

    if record is not None and times != 1:
        raise click.UsageError("--record is the trace of one card: add --times 1")
    money = Money.parse(amount, Currency.of(merchant_named(merchant).currency))
    world = open_or_build(data)
    keys, last, count = Keypad(pin), None, 0
    with CardDoor(host, port) as door, a_world(world, feeds={}) as reach, reach.till(merchant, keypad=keys) as till:
        note(f"{merchant}: takes {money} from cards that dial {host}:{door.port}")
        for card in door.cards():
            keys.renew()
            try:
                last = _take(till, card, money, record=record)
            except (LinkError, StrangersCard) as fault:  # it hung up before it said anything, or is none of ours
                note(f"pos: {fault}")
            else:
                _show(last, lang=lang, as_json=as_json)
            reach.settle()
            count += 1
            if count == times:
                break
    return 0 if last is not None and last.approved else 1


def _take(till: Any, card: Any, money: Any, *, record: Path | None) -> Any:
    with recorded(card, record) as heard:
        till.present(TestCardsOnly(heard, test_bins()))
        try:
            return till.do(till.terminal.pay(money))
        finally:
            till.take_away()


def _show(receipt: Any, *, lang: str, as_json: bool) -> None:
    from shanfu.cli.tap import tap_object
    from shanfu.terminal import print_receipt

    if as_json:
        show_json(tap_object(receipt, [], device="tcp"))
    else:
        click.echo(print_receipt(receipt, lang))
