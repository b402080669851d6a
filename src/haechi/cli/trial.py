"""haechi trial: a scenario run, judged and reported."""

from __future__ import annotations

import os
import signal
import tempfile
from pathlib import Path

import click

from haechi.cli.outcome import FAILED, INTERRUPTED, THRESHOLD_MISSED, print_json, refusals

_STATUS = {"met": 0, "missed": THRESHOLD_MISSED, "interrupted": INTERRUPTED, "failed": FAILED}
_SCALE = click.FloatRange(min=0, min_open=True, max=1000)


@click.command("trial")
@click.argument("scenario", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="A folder for report.json, report.html and report.md.",
)
@click.option("--scale-time", type=_SCALE, default=1.0, metavar="FACTOR", help="Multiply durations. [1]")
@click.option("--scale-rate", type=_SCALE, default=1.0, metavar="FACTOR", help="Multiply rates. [1]")
@click.option("--json", "as_json", is_flag=True, help="report.json as one line on standard output.")
@click.option(
    "--progress-fd",
    type=click.IntRange(min=3),
    metavar="FD",
    help="Write how it goes as JSON lines to this open file descriptor.",
)
@click.option("--quiet", is_flag=True, help="Say nothing while it runs.")
def command(
    scenario: Path,
    output: Path | None,
    scale_time: float,
    scale_rate: float,
    as_json: bool,
    progress_fd: int | None,
    quiet: bool,
) -> int:
    """Run the steps of SCENARIO (YAML) and say whether its criteria are met.

    \b
    haechi trial scenarios/burst.yaml -o report
    haechi trial scenarios/endurance.yaml --scale-time 0.001 --scale-rate 0.05
    haechi trial scenarios/ndr.yaml --json

    Exit status: 0 every criterion is met, 99 one is not (or is not known), 1 the trial failed, 2 the scenario
    is wrong, 130 it was interrupted; TERM and INT end it with a report of what was seen. docs/trials.md
    explains scenarios and every figure.
    """
    from rich.console import Console

    from haechi.bench.ending import ended_by_signal
    from haechi.bench.machine import facts
    from haechi.bundle.store import BundleError
    from haechi.config.load import ConfigError
    from haechi.corpus.logs import CorpusError
    from haechi.native.control import ControlError
    from haechi.native.tools import ToolError, ToolRefusedError
    from haechi.storm.document import ProfileError
    from haechi.storm.targets import TargetError
    from haechi.train.error import TrainError
    from haechi.trial.conduct import Conditions, Onlookers, conduct
    from haechi.trial.progress import LinesView, LiveView, print_result
    from haechi.trial.scenario import load
    from haechi.trial.target import TargetFailedError
    from haechi.trial.ticker import Ticker
    from haechi.trial.writing import write_reports

    console = Console(stderr=True, quiet=quiet)
    view = LiveView(console) if console.is_terminal and not quiet else LinesView(console)
    with (
        refusals(
            ToolError,
            ControlError,
            TargetFailedError,
            BundleError,
            CorpusError,
            TrainError,
            wrong_usage=(ConfigError, TargetError, ProfileError, ToolRefusedError),
        ),
        tempfile.TemporaryDirectory(prefix="haechi-trial-") as folder,
        ended_by_signal() as ended,
    ):
        ticker = None
        if progress_fd is not None:
            # Who follows it may go away, and says so, perhaps more than once.
            signal.signal(signal.SIGHUP, lambda *_: ended.set())
            ticker = Ticker(os.fdopen(progress_fd, "w", encoding="utf-8"))
        read = load(scenario)
        conditions = Conditions(Path(folder), facts(), ended, scale_time, scale_rate)
        try:
            report = conduct(read, conditions, view if ticker is None else Onlookers(view, ticker))
        finally:
            view.close()
        if output is not None:
            write_reports(report, output)
        if ticker is not None:
            ticker.ends(report)
    print_result(report, Console(stderr=as_json))
    if as_json:
        print_json(report)
    return _STATUS[report["state"]]
