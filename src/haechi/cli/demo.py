"""haechi demo: the whole way, shown."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from haechi.cli.outcome import print_json, refusals
from haechi.cli.quantity import Quantity

if TYPE_CHECKING:
    from haechi.bench.loop import LoopBench
    from haechi.demo.run import LogDemo


@click.command("demo")
@click.option(
    "--log",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A log of yours instead of a storm: its first 60 % train, the rest is searched.",
)
@click.option("--eps", type=Quantity(), default="200k", show_default=True, help="The storm's rate.")
@click.option("--seconds", type=click.FloatRange(min=1), default=20.0, show_default=True, help="The storm's.")
@click.option("--seed", type=click.IntRange(min=0), default=7, show_default=True, help="Of the storm.")
@click.option(
    "--keep",
    metavar="FOLDER",
    type=click.Path(file_okay=False, path_type=Path),
    help="Leave truth, bundle and alerts in this folder.",
)
@click.option(
    "--dashboard/--no-dashboard",
    default=True,
    show_default=True,
    help="Show the storm in a browser meanwhile; on a terminal also afterwards, until Ctrl-C.",
)
@click.option("--json", "as_json", is_flag=True, help="The scorecard as one JSON object.")
def command(
    log: Path | None,
    eps: float,
    seconds: float,
    seed: int,
    keep: Path | None,
    dashboard: bool,
    as_json: bool,
) -> None:
    """Learn a storm's normal traffic, storm a detector over UDP with labelled anomalies, and print the
    scorecard: what was sent, received, lost and found, how soon, and what it cost.

    The storm is shown at http://127.0.0.1:8080 (or another port, where that one is taken) while it runs. On
    a terminal it stays there afterwards, with its alerts and the detector, until Ctrl-C; not with --json.

    \b
    haechi demo
    haechi demo --eps 1M
    haechi demo --log /var/log/auth.log
    """
    from haechi.bench.ending import term_interrupts
    from haechi.bench.machine import MachineError
    from haechi.demo.run import DemoError, run_log
    from haechi.native.control import ControlError
    from haechi.native.tools import ToolError
    from haechi.serve.run import ServeError
    from haechi.storm.maker import MakeError
    from haechi.train import TerminalProgress, TrainError
    from haechi.trial.records import RecordError

    def say(text: str) -> None:
        click.echo(text, err=True)

    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
    place = nullcontext(str(keep)) if keep else tempfile.TemporaryDirectory(prefix="haechi-demo-")
    with (
        refusals(
            DemoError, ToolError, ControlError, ServeError, MakeError, MachineError, TrainError, RecordError
        ),
        term_interrupts(),
        place as folder,
    ):
        if log is None:
            _run_storm(Path(folder), eps, seconds, seed, dashboard, as_json, say)
            return
        with TerminalProgress() as progress:
            result = run_log(log, Path(folder), say, progress)
        _show_log(result, as_json)


def _run_storm(
    folder: Path,
    eps: float,
    seconds: float,
    seed: int,
    dashboard: bool,
    as_json: bool,
    say: Callable[[str], None],
) -> None:
    from haechi.demo.dashboard import SeenTools, serve_beside, stay
    from haechi.demo.run import run_storm

    if not dashboard:
        _show_storm(run_storm(folder, eps, seconds, seed, say), as_json)
        return
    with serve_beside(folder) as server:
        say(f"the dashboard is at {server.url}")
        result = run_storm(folder, eps, seconds, seed, say, partial(SeenTools, server))
        _show_storm(result, as_json)
        # Where nobody can press Ctrl-C, nobody is left waiting.
        if not as_json and sys.stdin.isatty() and sys.stdout.isatty():
            say(f"the dashboard is at {server.url} , Ctrl-C ends it")
            stay()


def _show_storm(result: LoopBench, as_json: bool) -> None:
    from haechi.demo import card

    if as_json:
        print_json(card.as_json(result))
    else:
        card.print_card(result)


def _show_log(result: LogDemo, as_json: bool) -> None:
    from haechi.trial.tables import print_alerts

    summary = result.detection.summary
    if as_json:
        print_json(
            {
                "training": asdict(result.training) | {"bundle": result.training.bundle.name},
                "detection": summary,
                "rss_mb": round(summary["rss_peak_bytes"] / 1e6, 1),
                "alerts": len(result.detection.alerts),
            }
        )
        return
    click.echo()
    print_alerts(result.detection.alerts)
    click.echo(
        f"{summary['lines']:,} lines in {summary['seconds']:.2f} s: "
        f"{summary['lines_per_s']:,.0f} lines a second on one thread; "
        f"{summary['rss_peak_bytes'] / 1e6:.0f} MB of memory; "
        f"the model was asked about {summary['ml_ratio']:.2%} of the windows"
    )
