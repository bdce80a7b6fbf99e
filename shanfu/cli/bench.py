"""`shanfu bench GROUP`: what is promised as a number, measured on this machine against its peers.

The benchmarks lie in `benchmarks/` of a checkout, beside the tests whose sample messages and peers they use; an installed
package has neither. Each row says what was measured, the other side's figure, their ratio and whether the promise holds;
`docs/performance.md` says how it is measured.
"""

import importlib
import sys
import warnings
from pathlib import Path
from typing import Any

import click

from shanfu.cli.console import json_option, note, show_json
from shanfu.errors import ConfigError

__all__ = ["command"]

GROUPS = ("apdu", "codec", "contact", "crypto", "auth", "tap", "token", "store")
Row = dict[str, Any]  # name, ours, other, unit, ratio, goal, holds, rule, note

SIGNS = {"ratio at least": "≥", "ratio at most": "≤", "ours at most": "≤"}
VERDICTS = {True: "[green]holds[/]", False: "[red]not reached[/]", None: ""}


@click.command()
@click.argument("group", type=click.Choice(GROUPS))
@click.option("--seconds", type=click.FloatRange(min=0.01), help="How long to measure one row; each group has its own default.")
@json_option
def command(group: str, seconds: float | None, as_json: bool) -> None:
    """Measure readers, codec, crypto, authorisation, tap, key cloud or store against their peers, both sides in turns."""
    module = _benchmark(group)
    if not as_json:
        note(f"measuring {group}; other work on this machine is part of the figures")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # peers speak to their authors: deprecations are not our reader's affair
        rows: list[Row] = module.rows() if seconds is None else module.rows(seconds)
    if as_json:
        show_json(rows)
    else:
        _print(rows)


def _benchmark(group: str) -> Any:
    root = Path(__file__).parents[2]
    if not (root / "benchmarks" / "measure.py").is_file():
        raise ConfigError("benchmarks: are part of a checkout, and this is an installed package; clone the sources to measure")
    sys.path.insert(0, str(root))
    try:
        return importlib.import_module(f"benchmarks.{group}")
    except ModuleNotFoundError as absent:
        raise ConfigError(f"benchmarks: {absent.name} is not installed; they need the development tools") from absent


def _print(rows: list[Row]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("what", overflow="fold")
    for name in ("ours", "other", "unit", "ratio", "goal", ""):
        table.add_column(name, justify="left" if name in ("unit", "") else "right")
    for row in rows:
        goal = "" if row["goal"] is None else f"{SIGNS[row['rule']]} {_figure(row['goal'])}"
        what = f"{row['name']}\n[dim]{row['note']}[/]" if row["note"] else row["name"]
        table.add_row(
            what, _figure(row["ours"]), _figure(row["other"]), row["unit"], _figure(row["ratio"]), goal, VERDICTS[row["holds"]]
        )
    Console().print(table)


def _figure(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
