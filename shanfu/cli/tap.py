"""`shanfu tap`: wave a card, or a phone, at a terminal and pay.

What is waved is a card or a phone of the sandbox, or with `--reader` whatever test card lies in a reader (see `reader.py`).
When the world's hosts run (`shanfu up`), the terminal speaks TCP to its acquirer; when they do not, all hosts work in this
process over the same books. Without `--pin` a payment that asks for one asks at the keyboard.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from shanfu.cli.console import data_option, json_option, lang_option, note, show_json
from shanfu.cli.reader import TestCardsOnly, open_card, reader_option, record_option, recorded, test_bins, wait_option
from shanfu.errors import ConfigError

__all__ = ["Keypad", "command", "exit_of", "show_receipt", "tap_object"]

FAULT_KINDS = ("silent", "late", "duplicate", "malformed", "bad-mac")


@click.command()
@click.option("--amount", required=True, help="Like 12.34.")
@click.option("--currency", help="The terminal's, unless given; another is refused.")
@click.option("--pin", help="Typed at the PIN pad when it asks.")
@click.option("--card", "card_name", default="debit", show_default=True, help="A card of the sandbox (docs/world.md).")
@click.option("--with", "device", type=click.Choice(["card", "hce"]), default="card", show_default=True, help="What is waved.")
@click.option("--phone", "phone_name", default="phone", show_default=True, help="The phone that is waved with `--with hce`.")
@reader_option
@wait_option
@record_option
@click.option("--offline", is_flag=True, help="Take the network away from the phone first.")
@click.option("--times", type=click.IntRange(1, 100), default=1, show_default=True, help="Wave and pay so many times.")
@click.option("--merchant", default="teahouse", show_default=True, help="A merchant of the sandbox.")
@click.option("--fault", type=click.Choice(FAULT_KINDS), help="What the issuer's answer suffers on its way.")
@click.option("--explain", is_flag=True, help="Show every message, party by party.")
@data_option
@lang_option
@json_option
def command(
    amount: str, currency: str | None, pin: str | None, *, card_name: str, device: str, phone_name: str, reader: str | None,
    wait: float, record: Path | None, offline: bool, times: int, merchant: str, fault: str | None, explain: bool, data: str,
    lang: str, as_json: bool,
) -> int:  # fmt: skip
    """Wave a card or a phone at a terminal and pay."""
    from shanfu.money import Currency, Money
    from shanfu.sandbox import acquirer_of, card_named, merchant_named, one_story, open_or_build, phone_named

    card_named(card_name)
    phone_named(phone_name)
    if offline and device != "hce":
        raise click.UsageError("--offline is about a phone: add --with hce")
    if reader is not None and device == "hce":
        raise click.UsageError("--reader is about a card in a reader, --with hce about a phone of the sandbox")
    if pin is not None and not (pin.isascii() and pin.isdigit() and 4 <= len(pin) <= 12):
        raise click.BadParameter("a PIN has 4 to 12 digits (ISO 9564-1)", param_hint="--pin")
    money = Money.parse(amount, Currency.of(currency or merchant_named(merchant).currency))
    world = open_or_build(data)
    waved = Waved("hce", phone_name) if device == "hce" else Waved("card", card_name)
    if reader is not None:
        waved = Waved("reader", reader, wait)
    taps = []
    for receipt, feeds, shown in _waves(
        world, waved, merchant, fault=fault, pin=pin, money=money, times=times, offline=offline, record=record
    ):
        events = one_story(feeds, acquirer=acquirer_of(merchant))
        taps.append((receipt, tap_object(receipt, events, device=waved.name, shown=shown)))
        if not as_json:
            show_receipt(receipt, events, feeds, shown=shown, lang=lang, explain=explain)
    if as_json:
        objects = [tap for _, tap in taps]
        show_json(objects[0] if times == 1 else {"taps": objects})
    return next((code for receipt, _ in taps if (code := exit_of(receipt))), 0)


@dataclass(frozen=True, slots=True)
class Waved:
    """What is waved: "card", "hce" or "reader", its name, and how long a reader waits for a card."""

    kind: str
    name: str
    wait_s: float = 0.0


def _waves(
    world: Any,
    waved: Waved,
    merchant: str,
    *,
    fault: str | None,
    pin: str | None,
    money: Any,
    times: int,
    offline: bool,
    record: Path | None,
) -> Iterator[tuple[Any, dict[str, Any], Any]]:
    """Pay as often as asked; give the receipt, what was told meanwhile, and what a phone showed."""
    from shanfu.sandbox import LocalWorld, a_world, provoke, running

    if fault and running(world):
        hint = "use --card faults and an amount of 666.01 to 666.05"
        raise ConfigError(f"--fault: the hosts run in processes of their own (`shanfu up`); {hint}")
    keys = Keypad(pin)
    with (
        a_world(world, feeds={}) as reach,
        reach.till(merchant, keypad=keys) as till,
        _device(reach, waved) as (card, phone),
        recorded(card, record) as target,
    ):
        if phone is not None and offline:
            phone.online(False)
        for _ in range(times):
            if fault and isinstance(reach, LocalWorld):
                provoke(reach.net, reach.world, fault)
            keys.renew()
            seen = len(phone.shown) if phone else 0
            till.present(target)
            receipt = till.do(till.terminal.pay(money))
            till.take_away()
            reach.settle()
            yield receipt, reach.told(), (phone.shown[-1] if phone and len(phone.shown) > seen else None)


@contextmanager
def _device(reach: Any, waved: Waved) -> Iterator[tuple[Any, Any]]:
    """Take out what is waved: what the terminal sees of it, and the phone if it is one."""
    from shanfu.sandbox import hold

    name = waved.name
    if waved.kind == "card":
        with reach.world.card(name) as card:
            yield card, None
        return
    if waved.kind == "reader":
        with open_card(name, wait_s=waved.wait_s) as card:
            yield TestCardsOnly(card, test_bins()), None
        return
    with hold(reach, name) as holder:
        if holder.phone.trouble is None and not holder.all_cards():
            raise ConfigError(f"{name}: has no card yet; add one with `shanfu wallet add --phone {name}`")
        yield holder.phone.tap_target, holder.phone


def show_receipt(
    receipt: Any, events: list[Any], feeds: dict[str, Any], *, shown: Any = None, lang: str, explain: bool
) -> None:  # fmt: skip
    """Print a receipt, with the story before it and a phone's words behind it."""
    from shanfu.cli.story import tell
    from shanfu.terminal import print_receipt

    if explain:
        click.echo(tell(events, lang=lang))
        if not any(told for teller, told in feeds.items() if teller != "terminal"):
            note("the hosts told nothing: run them with `shanfu up --watch` to hear them too")
    click.echo(print_receipt(receipt, lang))
    if shown is not None:
        click.echo({"en": f"phone: {shown.en}", "zh": f"手机：{shown.zh}"}[lang])


class Keypad:
    """What the PIN pad's keys do: the option once in each payment, then the keyboard, when there is one."""

    def __init__(self, pin: str | None) -> None:
        self._pin, self._typed = pin, False

    def renew(self) -> None:
        """Begin another payment."""
        self._typed = False

    def __call__(self, prompt: str) -> str | None:
        """Return what was typed; None is the key that cancels."""
        if self._pin is not None:
            again, self._typed = self._typed, True
            return None if again else self._pin  # a PIN of a wrong length is not typed again for ever
        if not sys.stdin.isatty():
            raise click.UsageError("this payment asks for the PIN; give --pin")
        typed = click.prompt(prompt, hide_input=True, default="", show_default=False, err=True)
        return str(typed) or None


def exit_of(receipt: Any) -> int:
    """Return the exit code that a payment ends with."""
    from shanfu.cli.main import Exit
    from shanfu.terminal import Reason

    if receipt.approved:
        return Exit.DONE
    return Exit.UNREACHABLE if receipt.reason is Reason.HOST_UNREACHABLE else Exit.DECLINED


def tap_object(receipt: Any, events: list[Any], *, device: str, shown: Any = None) -> dict[str, Any]:
    """Return the one object that `tap --json` prints."""
    told: dict[str, Any] = {
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
    if shown is not None:
        reason = shown.reason.name if shown.reason else None
        told["phone"] = {"words": shown.en, "reason": reason, "uses_left": shown.uses_left}
    return told
