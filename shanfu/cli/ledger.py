"""`shanfu ledger`: the banks' books as an auditor reads them, while the hosts run or not."""

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from shanfu.cli.console import data_option, json_option, show_json
from shanfu.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shanfu.issuer import Account, Line
    from shanfu.store import Store

__all__ = ["command"]

bank_option = click.option("--bank", default="lantern", show_default=True, help="lantern or harbour.")


@click.group()
def command() -> None:
    """Show the banks' books: trial-balance, account."""


@command.command("trial-balance")
@data_option
@json_option
@bank_option
def trial_balance(data: str, as_json: bool, bank: str) -> int:
    """List every account with its balance; each currency sums to zero."""
    from shanfu import issuer
    from shanfu.money import Currency, Money

    with _books(data, bank) as store:
        lines = issuer.trial_balance(store)
    sums: dict[str, int] = {}
    for line in lines:
        sums[line.currency] = sums.get(line.currency, 0) + line.balance_minor
    if as_json:
        rows = [
            {"account": x.account, "currency": Currency.of(x.currency).code, "balance_minor": x.balance_minor} for x in lines
        ]
        show_json({"accounts": rows, "sums_minor": {Currency.of(code).code: total for code, total in sums.items()}})
    else:
        for line in lines:
            click.echo(f"{line.account:<32} {Money(line.balance_minor, Currency.of(line.currency))!s:>18}")
        for code, total in sums.items():
            click.echo(f"{'sum ' + Currency.of(code).code:<32} {Money(total, Currency.of(code))!s:>18}")
    return 1 if any(sums.values()) else 0


@command.command()
@click.argument("name")
@data_option
@json_option
@bank_option
def account(name: str, data: str, as_json: bool, bank: str) -> None:
    """Show the entries of one account, or of a customer's accounts (lin-yue)."""
    from shanfu import issuer
    from shanfu.money import Currency, Money

    with _books(data, bank) as store:
        names = [a.account for a in issuer.list_accounts(store)]
        chosen = [n for n in names if n == name or n.startswith(f"{name}/")]
        if not chosen:
            raise ConfigError(f"account {name!r}: not at {bank}; there are {', '.join(names)}")
        told = [(n, issuer.balance(store, n), issuer.statement(store, n)) for n in chosen]
    if as_json:
        show_json([_as_object(n, row, lines) for n, row, lines in told])
        return
    for n, row, lines in told:
        currency = Currency.of(row.currency)
        click.echo(f"{n}  balance {Money(row.balance_minor, currency)}  held {Money(row.held_minor, currency)}")
        for line in lines:
            click.echo(f"  {line.business_date}  {line.kind:<10} {Money(line.amount_minor, currency)!s:>14}  {line.name}")


def _as_object(name: str, row: "Account", lines: "Sequence[Line]") -> dict[str, object]:
    return {
        "account": name,
        "balance_minor": row.balance_minor,
        "held_minor": row.held_minor,
        "entries": [asdict(line) for line in lines],
    }


def _books(data: str, bank: str) -> "Store":
    from shanfu.sandbox import World

    return World.open(data).store(f"issuer-{bank}", read_only=True)
