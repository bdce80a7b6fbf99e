"""How things are shown: JSON for programs on stdout, words for people, in English or Chinese."""

import json
import os
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

__all__ = ["data_option", "json_option", "lang_option", "note", "show_json"]

F = TypeVar("F", bound=Callable[..., Any])

json_option = click.option("--json", "as_json", is_flag=True, help="Print data only, as JSON.")
lang_option = click.option(
    "--lang",
    type=click.Choice(["en", "zh"]),
    default=lambda: "zh" if os.environ.get("LANG", "").startswith("zh") else "en",
    show_default="by LANG",
    help="Language of the words.",
)
data_option = click.option(
    "--data",
    "data",
    type=click.Path(file_okay=False),
    default=lambda: os.environ.get("SHANFU_DATA", "data"),
    show_default="./data, or SHANFU_DATA",
    help="Folder of the world; made on first use.",
)


def show_json(value: object) -> None:
    """Print one value as JSON, readable when a person looks on."""
    indent = 2 if sys.stdout.isatty() else None
    click.echo(json.dumps(value, ensure_ascii=False, indent=indent))


def note(text: str) -> None:
    """Say something that is not data."""
    click.echo(text, err=True)
