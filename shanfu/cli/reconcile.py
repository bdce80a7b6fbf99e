"""`shanfu reconcile`: the judge. Exit code 0 when everything agrees, 1 when something does not."""

from dataclasses import asdict

import click

from shanfu.cli.console import data_option, json_option, show_json

__all__ = ["command"]


@click.command()
@click.option("--date", "date", help="A business date, YYYYMMDD or YYYY-MM-DD; all there are, unless given.")
@data_option
@json_option
def command(date: str | None, data: str, as_json: bool) -> int:
    """Match the journals of terminal, acquirer, network and issuer, the net positions and the ledgers."""
    from shanfu.sandbox import World, reconcile_world, require_dates

    day_asked = date and date.replace("-", "")
    if day_asked and not (day_asked.isdigit() and len(day_asked) == 8):
        raise click.BadParameter(f"{date!r} is no date; write it like 2026-11-22", param_hint="--date")
    world = World.open(data)
    reports = [reconcile_world(world, day) for day in require_dates(world, day_asked)]
    if as_json:
        show_json([{"date": r.date, "clean": r.clean, "findings": [asdict(f) for f in r.findings]} for r in reports])
    else:
        for report in reports:
            click.echo(f"{report.date}: {'everything agrees' if report.clean else 'NOT CLEAN'}")
            for finding in report.findings:
                click.echo(f"  {finding.between:<25} {finding.matched:>7} matched  {len(finding.differences):>4} not")
                for d in finding.differences[:20]:
                    click.echo(f"      {d.verdict}: {d.name}: here {d.here}, there {d.there}")
    return 0 if all(report.clean for report in reports) else 1
