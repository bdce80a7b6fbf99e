"""`shanfu bank`: what a bank's staff looks at and does: which phone paid, a card reported lost, a policy tried on past traffic.

Looking reads the bank's books, whether its host runs or not; a report goes to the running host over HTTPS, or to all hosts in
this process for as long as the command takes.
"""

from pathlib import Path
from typing import Any

import click

from shanfu.cli.console import data_option, json_option, lang_option, note, show_json

__all__ = ["command"]

EVENTS = ("lost", "stolen", "found", "closed")
SCRIPTS = {  # kind: the options that it needs; it takes no others
    "application-block": (), "application-unblock": (), "card-block": (), "pin-change": ("--pin",), "pin-unblock": (),
    "put-data": ("--tag", "--value"),
}  # fmt: skip


@click.group()
def command() -> None:
    """A bank's desk: payments, report, script, dry-run."""


@command.command()
@click.argument("card")
@data_option
@lang_option
@json_option
def payments(card: str, *, data: str, lang: str, as_json: bool) -> None:
    """List a card's phones and its payments, newest first, with the phone that made each."""
    del lang
    from dataclasses import asdict

    from shanfu import issuer
    from shanfu.clock import local
    from shanfu.pan import PAN
    from shanfu.sandbox import bank_of_card, card_named, open_or_build

    pan, world = PAN(card_named(card).pan), open_or_build(data)
    bank = bank_of_card(card)
    with world.store(bank, read_only=True) as store:
        phones, made = issuer.tokens_of(store, world.hsm(bank), pan), issuer.payments_of(store, world.hsm(bank), pan)
    if as_json:
        show_json({"phones": [asdict(phone) for phone in phones], "payments": [asdict(payment) for payment in made]})
        return
    for phone in phones:
        click.echo(f"{phone.device_name} · token …{phone.token_last4} · {phone.state} · assurance {phone.assurance or '-'}")
    for payment in made:
        at = local(payment.at_ms).strftime("%Y-%m-%d %H:%M:%S")
        with_what = f"{payment.device_name} (token …{payment.token_last4})" if payment.token_last4 else "card"
        words = f"{payment.amount_minor / 100:>10.2f}  {payment.state:<9} {payment.response_code} {payment.reason}"
        click.echo(f"{at}  {words}  {with_what}")


@command.command()
@click.argument("card")
@click.argument("event", type=click.Choice(EVENTS))
@click.option("--reason", default="", help="A reason code, such as CARDHOLDER_REPORTED.")
@data_option
@lang_option
@json_option
def report(card: str, event: str, *, reason: str, data: str, lang: str, as_json: bool) -> None:
    """Report a card lost, stolen, found or closed; its tokens follow."""
    from shanfu.messages import CardEvent
    from shanfu.sandbox import open_or_build, report_card

    report_card(open_or_build(data), card, CardEvent[event.upper()], reason=reason)
    if as_json:
        show_json({"card": card, "event": event})
    else:
        note({"en": f"{card}: reported {event}", "zh": f"{card}：已登记{event}"}[lang])


@command.command("dry-run")
@click.argument("policy", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--bank", default="lantern", show_default=True, help="Whose traffic.")
@click.option("--since", default="", help="First business date, YYYYMMDD.")
@click.option("--until", default="99999999", help="Last business date, YYYYMMDD.")
@data_option
@json_option
def dry_run(policy: Path, *, bank: str, since: str, until: str, data: str, as_json: bool) -> None:
    """Judge a bank's past traffic again under another policy, and count what would change."""
    from shanfu import issuer
    from shanfu.errors import ConfigError
    from shanfu.sandbox import HOSTS, open_or_build

    name = f"issuer-{bank}"
    if name not in HOSTS:
        banks = [role.bank for role in HOSTS.values() if role.kind == "issuer"]
        raise ConfigError(f"bank {bank!r}: not in the sandbox; there are {', '.join(banks)}")
    with open_or_build(data).store(name, read_only=True) as store:
        found = issuer.dry_run(store, policy, since=since, until=until)
    if as_json:
        show_json(_dry_run_object(found))
    else:
        click.echo("\n".join(found.lines()))


# -- scripts -----------------------------------------------------------------------------------------------------------


@command.group()
def script() -> None:
    """Have a card do something when it is next inserted: order, list, cancel."""


@script.command("order")
@click.argument("card")
@click.argument("kind", type=click.Choice(list(SCRIPTS)))
@click.option("--tag", help="Of put-data: the data object, such as 9F78.")
@click.option("--value", help="Of put-data: its new value in hex.")
@click.option("--pin", help="Of pin-change: the new PIN, as typed at a branch's PIN pad.")
@data_option
@lang_option
@json_option
def order_script(
    card: str, kind: str, *, tag: str | None, value: str | None, pin: str | None, data: str, lang: str, as_json: bool
) -> None:  # fmt: skip
    """Order a script for a card."""
    for option, given in (("--tag", tag), ("--value", value), ("--pin", pin)):
        if (given is not None) is not (option in SCRIPTS[kind]):
            raise click.UsageError(f"{kind} {'needs' if given is None else 'takes no'} {option}")
    octets = {"tag": _hex(tag, "--tag"), "value": _hex(value, "--value")}

    from shanfu.sandbox import open_or_build, order_card_script

    world = open_or_build(data)
    order_card_script(world, card, kind, pin=pin, **octets)
    _show_scripts(_orders(world, card), lang=lang, as_json=as_json)


@script.command("list")
@click.argument("card")
@data_option
@lang_option
@json_option
def list_scripts(card: str, *, data: str, lang: str, as_json: bool) -> None:
    """List a card's orders, the oldest first, with what became of each."""
    from shanfu.sandbox import open_or_build

    _show_scripts(_orders(open_or_build(data), card), lang=lang, as_json=as_json)


@script.command("cancel")
@click.argument("card")
@click.argument("number", type=int)
@data_option
@lang_option
@json_option
def cancel_script(card: str, number: int, *, data: str, lang: str, as_json: bool) -> None:
    """Withdraw an order."""
    from shanfu.sandbox import cancel_card_script, open_or_build

    world = open_or_build(data)
    cancel_card_script(world, card, number)
    _show_scripts(_orders(world, card), lang=lang, as_json=as_json)


def _orders(world: Any, card: str) -> Any:
    """Return a card's orders, the oldest first."""
    from shanfu import issuer
    from shanfu.pan import PAN
    from shanfu.sandbox import bank_of_card, card_named

    pan, bank = PAN(card_named(card).pan), bank_of_card(card)
    with world.store(bank, read_only=True) as store:
        return issuer.list_scripts(store, world.hsm(bank), pan)


def _hex(text: str | None, option: str) -> bytes:
    try:
        return bytes.fromhex(text or "")
    except ValueError:
        raise click.BadParameter(f"{text!r} is not hexadecimal", param_hint=option) from None


def _show_scripts(views: Any, *, lang: str, as_json: bool) -> None:
    if as_json:
        show_json([
            {
                "number": view.number, "kind": view.kind.value, "tag": f"{view.tag:X}" if view.tag else None,
                "value": view.value.hex().upper() or None, "state": view.state.value,
                "times": view.times, "payment": view.payment or None, "failed_at": view.failed_at or None,
            }
            for view in views
        ])  # fmt: skip
        return
    for view in views:
        what = view.kind.zh if lang == "zh" else view.kind.en
        data = f" {view.tag:X} = {view.value.hex().upper()}" if view.tag else ""
        click.echo(f"{view.number:>3}  {what}{data}: {view.state.zh if lang == 'zh' else view.state.en}")


def _dry_run_object(found: Any) -> dict[str, Any]:
    def changes(counted: Any) -> list[dict[str, Any]]:
        return [{"before": str(before), "after": str(after), "number": number} for (before, after), number in counted.items()]

    return {
        "payments": found.payments,
        "refunds": found.refunds,
        "requests": found.requests,
        "changed": changes(found.changed),
        "recoloured": changes(found.recoloured),
        "marked": {str(mark): number for mark, number in found.marked.items()},
    }
