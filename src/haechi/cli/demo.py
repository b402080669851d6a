"""haechi demo: the whole way, shown."""

from __future__ import annotations

import tempfile
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from haechi.cli.outcome import print_json, refusals

if TYPE_CHECKING:
    from haechi.demo.run import LogDemo, MadeDemo


@click.command("demo")
@click.option(
    "--log",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A log of yours: its first 60 % train, the rest is searched.",
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=7, show_default=True, help="Of the log that is made."
)
@click.option(
    "--keep",
    metavar="FOLDER",
    type=click.Path(file_okay=False, path_type=Path),
    help="Leave logs, truth, bundle and alerts in this folder.",
)
@click.option("--json", "as_json", is_flag=True, help="The scorecard as one JSON object.")
def command(log: Path | None, seed: int, keep: Path | None, as_json: bool) -> None:
    """Learn from a normal log that is made, search another with labelled anomalies, and print the scorecard.

    \b
    haechi demo
    haechi demo --log /var/log/auth.log
    """
    from haechi.demo.run import DemoError, run_log, run_made
    from haechi.native.tools import ToolError
    from haechi.storm.maker import MakeError
    from haechi.train import TerminalProgress, TrainError
    from haechi.trial.records import RecordError

    def say(text: str) -> None:
        click.echo(text, err=True)

    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
    place = nullcontext(str(keep)) if keep else tempfile.TemporaryDirectory(prefix="haechi-demo-")
    with (
        refusals(DemoError, ToolError, MakeError, TrainError, RecordError),
        place as folder,
        TerminalProgress() as progress,
    ):
        result = (
            run_log(log, Path(folder), say, progress) if log else run_made(Path(folder), seed, say, progress)
        )
    if as_json:
        _print_json(result)
    else:
        _print(result)


def _print(result: LogDemo | MadeDemo) -> None:
    from haechi.demo.run import MadeDemo
    from haechi.trial.tables import print_alerts, print_score

    click.echo()
    if isinstance(result, MadeDemo):
        print_score(result.score)
    else:
        print_alerts(result.detection.alerts)
    summary = result.detection.summary
    click.echo(
        f"{summary['lines']:,} lines in {summary['seconds']:.2f} s: "
        f"{summary['lines_per_s']:,.0f} lines a second on one thread; "
        f"{result.detection.summary['rss_peak_bytes'] / 1e6:.0f} MB of memory; "
        f"the model was asked about {summary['ml_ratio']:.2%} of the windows"
    )


def _print_json(result: LogDemo | MadeDemo) -> None:
    from haechi.demo.run import MadeDemo

    shown = {
        "training": asdict(result.training) | {"bundle": result.training.bundle.name},
        "detection": result.detection.summary,
        "rss_mb": round(result.detection.summary["rss_peak_bytes"] / 1e6, 1),
    }
    if isinstance(result, MadeDemo):
        shown["score"] = result.score.as_json()
    else:
        shown["alerts"] = len(result.detection.alerts)
    print_json(shown)
