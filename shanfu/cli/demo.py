"""`shanfu demo`: what `./run` plays. Seconds of time, a minute of reading."""

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from shanfu.cli.console import lang_option, note
from shanfu.cli.story import tell
from shanfu.errors import ConfigError

if TYPE_CHECKING:
    from shanfu.sandbox import Act

__all__ = ["command"]


@click.command()
@click.option("--data", type=click.Path(file_okay=False), help="Keep the world here; a temporary folder, unless given.")
@lang_option
def command(data: str | None, lang: str) -> int:
    """Play payments with real processes and show every message."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="shanfu-") as room:
        folder = Path(data) if data else Path(room) / "world"
        if (folder / "world.toml").exists():
            raise ConfigError(f"{folder}: holds a world already; the demo makes its own")
        clean = _play(folder, lang)
    note(f"demo: {time.monotonic() - began:.0f} s")
    return 0 if clean else 1


def _play(folder: Path, lang: str) -> bool:
    from shanfu.sandbox import play

    note("demo: " + ("建立世界，启动五个进程……" if lang == "zh" else "making a world and starting five processes ..."))
    clean = False
    for act in play(folder):
        click.echo(show(act, lang))
        if act.report is not None:
            clean = act.report.clean
    return clean


def show(act: "Act", lang: str) -> str:
    """Return one act as it is printed."""
    title = act.title_zh if lang == "zh" else act.title
    parts = [f"{act.number}. {title}", tell(act.events, lang=lang, brief=act.number > 1)]
    if act.receipt is not None:
        parts.append("  => " + _receipt_line(act, lang))
    if act.report is not None:
        parts += [_report(act, lang)]
    parts += [f"  => {zh if lang == 'zh' else en}" for en, zh in act.words]
    return "\n".join(parts) + "\n"


def _receipt_line(act: "Act", lang: str) -> str:
    receipt = act.receipt
    assert receipt is not None
    words = receipt.outcome.value.upper()
    cvm = receipt.cvm.name.lower().replace("_", " ") if receipt.cvm else "-"
    code = f" {receipt.response_code} {receipt.response_phrase}" if receipt.response_code else ""
    card = "卡号" if lang == "zh" else "card"
    return f"{words}{code} · {receipt.amount} · CVM {cvm} · {card} {receipt.masked_pan} · ATC {receipt.atc} · RRN {receipt.rrn}"


def _report(act: "Act", lang: str) -> str:
    report = act.report
    assert report is not None
    lines = [
        f"  {finding.between:<25} {finding.matched:>3} matched, {len(finding.differences)} not" for finding in report.findings
    ]
    good = "各方账目一致" if lang == "zh" else "everything agrees"
    lines.append(f"  => {report.date}: {good if report.clean else 'NOT CLEAN'}")
    return "\n".join(lines)
