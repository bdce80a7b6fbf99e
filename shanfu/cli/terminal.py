"""`shanfu terminal`: what a till accepts and trusts, as its acquirer has downloaded it."""

from typing import Any

import click

from shanfu.cli.console import data_option, json_option, lang_option, note, show_json

__all__ = ["command"]

merchant_option = click.option("--merchant", default="teahouse", show_default=True, help="A merchant of the sandbox.")


@click.group()
def command() -> None:
    """A till: parameters, download."""


@command.command()
@merchant_option
@data_option
@lang_option
@json_option
def parameters(merchant: str, *, data: str, lang: str, as_json: bool) -> None:
    """Show the applications and the CA keys in force."""
    from shanfu.sandbox import open_or_build

    with open_or_build(data).terminal(merchant, keypad=lambda _: None) as (terminal, _, _):
        _show(terminal.parameters(), lang=lang, as_json=as_json)


@command.command()
@merchant_option
@data_option
@lang_option
@json_option
def download(merchant: str, *, data: str, lang: str, as_json: bool) -> int:
    """Fetch CA keys and application parameters from the acquirer, and show what is then in force."""
    from shanfu.cli.tap import exit_of
    from shanfu.sandbox import a_world, merchant_named, open_or_build

    merchant_named(merchant)
    with a_world(open_or_build(data), feeds={}) as reach, reach.till(merchant, keypad=lambda _: None) as till:
        receipt = till.do(till.terminal.sign_in())
        if receipt.approved:
            receipt = till.do(till.terminal.download())
        found = till.terminal.parameters()
    if not receipt.approved:
        reason = receipt.reason
        note(f"{merchant}: {receipt.outcome.value if reason is None else reason.zh if lang == 'zh' else reason.en}")
        return exit_of(receipt)
    _show(found, lang=lang, as_json=as_json)
    return 0


def _show(found: Any, *, lang: str, as_json: bool) -> None:
    if as_json:
        show_json({
            "applications": [_application(aid) for aid in found.aids],
            "ca_keys": [
                {
                    "name": key.name, "expires": key.expires.isoformat() if key.expires else None,
                    "checksum": key.checksum.hex().upper(), "test": key.test,
                    "unused": found.unused[key.name].en if key.name in found.unused else None,
                }
                for key in found.ca_keys
            ],
        })  # fmt: skip
        return
    titles = {
        "en": ("application", "no floor", "CA key", "never ends", "not used: "),
        "zh": ("应用", "无限额", "CA公钥", "永久", "不使用："),
    }[lang]
    for aid in found.aids:
        floor = titles[1] if aid.contactless_floor is None else f"{aid.contactless_floor / 100:.2f}"
        click.echo(f"{titles[0]} {aid.aid.hex().upper()}  DF19 {floor}  TAC {aid.tac_default.hex().upper()} "
                   f"{aid.tac_denial.hex().upper()} {aid.tac_online.hex().upper()}")  # fmt: skip
    for key in found.ca_keys:
        ends = key.expires.isoformat() if key.expires else titles[3]
        why = found.unused.get(key.name)
        unused = "" if why is None else f"  {titles[4]}{why.zh if lang == 'zh' else why.en}"
        click.echo(f"{titles[2]} {key.name}  {ends}  {key.checksum.hex().upper()}{unused}")


def _application(aid: Any) -> dict[str, Any]:
    return {
        "aid": aid.aid.hex().upper(), "exact": aid.exact, "floor_minor": aid.floor,
        "contactless_floor_minor": aid.contactless_floor,
        "contactless_limit_minor": aid.transaction_limit, "cvm_limit_minor": aid.cvm_limit,
        "tac_default": aid.tac_default.hex().upper(), "tac_denial": aid.tac_denial.hex().upper(),
        "tac_online": aid.tac_online.hex().upper(), "ddol": aid.ddol.hex().upper(), "online_pin": aid.online_pin,
    }  # fmt: skip
