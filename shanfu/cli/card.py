"""`shanfu card read|replay`: what a card in a reader shows, safely; and whether a card still answers as it was recorded.

`read` is fit for a real card: numbers and names are masked, nothing is stored, nothing is signed or counted (see `look.py`).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from shanfu.cli.console import data_option, json_option, lang_option, note, show_json
from shanfu.cli.reader import open_card, powered, reader_option, record_option, recorded, wait_option

__all__ = ["command"]

profile_option = click.option("--profile", help="A card of the sandbox instead (docs/world.md).")


@click.group()
def command() -> None:
    """Look at a card, or play a trace to one: read, replay."""


@command.command()
@reader_option
@profile_option
@click.option("--interface", type=click.Choice(["contactless", "contact"]), help="Of a sandbox card that has both.")
@click.option("--gpo", is_flag=True, help="Start a transaction of no amount: it uses up one of the card's numbers.")
@wait_option
@record_option
@data_option
@lang_option
@json_option
def read(
    reader: str | None, profile: str | None, *, interface: str | None, gpo: bool, wait: float, record: Path | None, data: str,
    lang: str, as_json: bool,
) -> int:  # fmt: skip
    """Show what a card shows to everybody: masked, nothing stored, no payment."""
    from shanfu.cli.look import CARD, look
    from shanfu.dialogue import run
    from shanfu.store import DictMemory

    with _the_card(reader, profile, data=data, wait_s=wait) as card, recorded(card, record) as heard:
        face = interface if interface and heard.power_on(interface) else powered(heard)
        if interface and face != interface:
            note(f"card: has no {interface} interface that answers, so {face} it is")
        try:
            seen = run(look(contactless=face == "contactless", gpo=gpo), {CARD: heard.answer}, DictMemory())
        finally:
            heard.power_off()
    told: dict[str, Any] = {
        "interface": face,
        "directory": _part(seen.directory, lang),
        "applications": _applications(seen, lang),
    }
    if as_json:
        show_json(told)
    else:
        _print(told)
    return 0 if any(one["parts"][0]["elements"] for one in told["applications"]) else 1


@contextmanager
def _the_card(reader: str | None, profile: str | None, *, data: str, wait_s: float) -> Iterator[Any]:
    if (reader is None) == (profile is None):
        raise click.UsageError("give --reader (see `shanfu readers`) or --profile")
    if reader is not None:
        with open_card(reader, wait_s=wait_s) as card:
            yield card
        return
    from shanfu.sandbox import open_or_build

    assert profile is not None
    with open_or_build(data).card(profile) as card:
        yield card


def _applications(seen: Any, lang: str) -> list[dict[str, Any]]:
    from shanfu.emv import product

    place = 1 if lang == "zh" else 0
    return [
        {
            "aid": aid.hex().upper(),
            "product": (product(aid) or ("", ""))[place],
            "parts": [_part(part, lang) for part in parts],
        }
        for aid, parts in seen.applications
        if parts[0].elements
    ]


def _part(part: Any, lang: str) -> dict[str, Any]:
    from shanfu.cli.reader import may_hide_a_number
    from shanfu.emv import describe, masked_hex
    from shanfu.iso7816 import tag_hex

    elements = []
    for tag, value in part.elements:
        row = describe(tag)
        name = (row.name_zh if lang == "zh" else row.name) if row else ""
        shown = "**" * len(value) if may_hide_a_number(tag) else masked_hex(tag, value)
        elements.append({"tag": tag_hex(tag), "name": name, "value": shown})
    return {"where": part.where, "refused": part.refused or None, "elements": elements}


def _print(told: dict[str, Any]) -> None:
    click.echo(f"interface  {told['interface']}")
    _print_part(told["directory"])
    for one in told["applications"]:
        click.echo(f"\n{one['aid']}  {one['product']}".rstrip())
        for part in one["parts"]:
            _print_part(part)
    if not told["applications"]:
        click.echo("no payment application")


def _print_part(part: dict[str, Any]) -> None:
    click.echo(f"  {part['where']}" + (f"  {part['refused']}" if part["refused"] else ""))
    for element in part["elements"]:
        click.echo(f"    {element['tag']:<6} {element['value']}  {element['name']}".rstrip())


@command.command()
@click.argument("trace", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@reader_option
@profile_option
@wait_option
@data_option
@json_option
def replay(trace: Path, reader: str | None, profile: str | None, *, wait: float, data: str, as_json: bool) -> int:
    """Send a trace's commands to a card, and tell the first answer that is not the recorded one."""
    from shanfu.links import Trace
    from shanfu.links import replay as play

    recording = Trace.parse(trace.read_text(errors="replace"))
    with _the_card(reader, profile, data=data, wait_s=wait) as card:
        difference = play(recording, card)
    if as_json:
        show_json({"exchanges": len(recording.exchanges), "difference": str(difference) if difference else None})
    else:
        click.echo(str(difference) if difference else f"{len(recording.exchanges)} exchanges, all as recorded")
    return 1 if difference else 0
