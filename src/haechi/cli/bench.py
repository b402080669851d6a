"""haechi bench: every claim of the README as a command."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import click

from haechi.cli.outcome import FAILED, refusals
from haechi.cli.quantity import Quantity

json_option = click.option(
    "--json", "as_json", is_flag=True, help="End with one line, a JSON object of numbers."
)
data_option = click.option(
    "--data",
    envvar="HAECHI_DATA",
    show_envvar=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of real logs (`haechi data` says where they are published).",
)


class Duration(click.ParamType[float]):
    """30, 30s, 10m, 1h30m."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        from haechi.config.values import read_seconds

        try:
            seconds = read_seconds(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if seconds == 0:
            self.fail("a duration of 0 is none", param, ctx)
        return seconds


@click.group("bench")
def command() -> None:
    """Measure: hdfs, accuracy and mscred (what is found), parsing (templates), detect (speed, memory), rules,
    storm (sending), loop (storm to detect), serve (the control plane), soak (hours)."""


@command.command("hdfs")
@data_option
@json_option
def hdfs(data: Path | None, as_json: bool) -> int:
    """Accuracy on HDFS_1's labelled sessions, and the engine's verdicts against the reference's.

    \b
    haechi bench hdfs --data logs --json
    """
    from haechi.bench.hdfs import run

    return run(data, as_json)


@command.command("parsing")
@data_option
@json_option
def parsing(data: Path | None, as_json: bool) -> int:
    """Grouping accuracy of the template miner on Loghub-2k, one configuration for every log.

    \b
    haechi bench parsing --data logs --json
    """
    from haechi.bench.parsing import run

    return run(data, as_json)


@command.command("accuracy")
@data_option
@json_option
def accuracy(data: Path | None, as_json: bool) -> int:
    """Real raw logs in time order: trained on the first part, the rest searched by the engine.

    \b
    haechi bench accuracy --data logs --json
    """
    from haechi.bench.accuracy import run

    return run(data, as_json)


@command.command("mscred")
@click.option("--seeds", type=click.IntRange(min=1), default=5, show_default=True, help="Data sets.")
@click.option(
    "--jobs", type=click.IntRange(min=1), help="Seeds at once, a core each.  [default: as many as cores]"
)
@json_option
def mscred(seeds: int, jobs: int | None, as_json: bool) -> int:
    """MSCRED on its paper's synthetic data: what is found, its causes and its severity.

    \b
    haechi bench mscred --json
    """
    from haechi.bench.mscred import run

    return run(as_json, seeds, jobs)


@command.command("detect")
@click.option(
    "--lines", type=click.IntRange(min=10_000), default=2_000_000, show_default=True, help="To detect in."
)
@click.option(
    "--repeats", type=click.IntRange(min=1), default=5, show_default=True, help="Runs of the engine."
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Of the lines that are made."
)
@json_option
def detect(lines: int, repeats: int, seed: int, as_json: bool) -> int:
    """Lines a second from bytes to verdict, memory, and the time from a line to its alert.

    \b
    haechi bench detect --json
    """
    from haechi.bench.detect import BenchError, run
    from haechi.native.tools import ToolError
    from haechi.train import TrainError

    with refusals(BenchError, ToolError, TrainError):
        return run(lines=lines, repeats=repeats, seed=seed, as_json=as_json) or 0
    return FAILED


@command.command("rules")
@click.option(
    "--lines", type=click.IntRange(min=10_000), default=1_000_000, show_default=True, help="To detect in."
)
@click.option(
    "--patterns",
    type=click.IntRange(1, 10_000),
    multiple=True,
    default=(10, 100, 1000),
    show_default=True,
    help="Of a set; again for further sets.",
)
@click.option(
    "--repeats", type=click.IntRange(min=1), default=3, show_default=True, help="Turns with each set."
)
@click.option(
    "--set",
    "kind",
    type=click.Choice(["realistic", "hard"]),
    default="realistic",
    show_default=True,
    help="hard: a third of it has no word to begin a search with, a third keeps many states alive, and "
    "much of it hits ordinary lines.",
)
@json_option
def rules(lines: int, patterns: tuple[int, ...], repeats: int, kind: str, as_json: bool) -> int:
    """What a thousand regular expressions cost: lines a second with them against without.

    \b
    haechi bench rules --json
    haechi bench rules --set hard --patterns 1000 --lines 100000
    """
    from haechi.bench.detect import BenchError
    from haechi.bench.rules import run
    from haechi.native.tools import ToolError
    from haechi.train import TrainError

    with refusals(BenchError, ToolError, TrainError):
        return run(lines, patterns, repeats, kind, as_json)
    return FAILED


@command.command("storm")
@click.option(
    "--seconds", type=Quantity(), default=5, show_default=True, help="Of each run as fast as it goes."
)
@click.option("--paced-seconds", type=Quantity(), default=10, show_default=True, help="Of each paced run.")
@click.option("--repeats", type=click.IntRange(min=1), default=3, show_default=True, help="Of each run.")
@json_option
def storm(seconds: float, paced_seconds: float, repeats: int, as_json: bool) -> int:
    """Events a second composed, sent and received over loopback; rate, evenness and latency when paced.

    \b
    haechi bench storm --json
    """
    from haechi.bench.loggen import LoggenError
    from haechi.bench.machine import MachineError
    from haechi.bench.storm import run
    from haechi.native.tools import ToolError

    with refusals(LoggenError, MachineError, ToolError):
        return run(seconds, paced_seconds, repeats, as_json)
    return FAILED


@command.command("loop")
@click.option("--eps", type=Quantity(), default=4e6, show_default="4M", help="The rate asked for.")
@click.option("--seconds", type=Quantity(), default=20, show_default=True, help="Of the run that counts.")
@click.option("--trial-seconds", type=Quantity(), default=3, show_default=True, help="Of each search step.")
@click.option(
    "--at",
    type=click.Choice(["auto", "asked", "ndr"]),
    default="auto",
    show_default=True,
    help="The rate of the run that counts: auto is the one asked for where it is carried without loss, "
    "else 80 % of the highest that is (NDR).",
)
@click.option("--ports", type=click.IntRange(1, 100), default=4, show_default=True, help="UDP ports.")
@click.option("--workers", type=click.IntRange(1, 64), default=2, show_default=True, help="Of the detector.")
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Of the storm.")
@json_option
def loop(
    eps: float,
    seconds: float,
    trial_seconds: float,
    at: Literal["auto", "asked", "ndr"],
    ports: int,
    workers: int,
    seed: int,
    as_json: bool,
) -> int:
    """A storm with labelled anomalies at haechi detect over UDP: what it took, and what it found.

    \b
    haechi bench loop --json
    haechi bench loop --eps 1M --at asked --seconds 10
    """
    from haechi.bench.loop import LoopSettings, run
    from haechi.bench.machine import MachineError
    from haechi.native.tools import ToolError
    from haechi.train import TrainError
    from haechi.trial.records import RecordError

    with refusals(MachineError, ToolError, TrainError, RecordError):
        return run(LoopSettings(eps, seconds, trial_seconds, at, ports, workers, seed), as_json)
    return FAILED


@command.command("soak")
@click.option("--duration", type=Duration(), default=3600, show_default="1h", help="30s, 10m, 1h, 24h.")
@click.option("--eps", type=Quantity(), default=1e6, show_default="1M", help="The rate.")
@click.option("--plain", is_flag=True, help="A sink without GRO, as other receivers are.")
@click.option(
    "--plot",
    metavar="FILE.png",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Rate, loss, latency and memory over time, as a picture (needs matplotlib).",
)
@click.option(
    "--record",
    metavar="FILE.jsonl",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Every sample as a line of JSON, written as it is taken.",
)
@json_option
def soak(
    duration: float, eps: float, plain: bool, plot: Path | None, record: Path | None, as_json: bool
) -> int:
    """Storm to sink at one rate for a long time: the account at the end, and memory and latency on the way.
    TERM or Ctrl-C end it early, with everything written.

    \b
    haechi bench soak --duration 1h --eps 2M --plot soak.png --record soak.jsonl
    """
    from haechi.bench.machine import MachineError
    from haechi.bench.plot import PlotError
    from haechi.bench.soak import SoakSettings, run
    from haechi.native.tools import ToolError

    with refusals(MachineError, PlotError, ToolError):
        return run(SoakSettings(duration, eps, plain, plot, record), as_json)
    return FAILED


@command.command("serve")
@click.option("--eps", type=Quantity(), default=4e6, show_default="4M", help="The storm's rate.")
@click.option("--seconds", type=Quantity(), default=20, show_default=True, help="Of watching.")
@click.option("--loads", type=click.IntRange(min=1), default=5, show_default=True, help="Of the page.")
@click.option(
    "--changes", type=click.IntRange(min=1), default=30, show_default=True, help="Of a storm's state."
)
@click.option("--kills", type=click.IntRange(min=1), default=5, show_default=True, help="Of a storm.")
@json_option
def serve(eps: float, seconds: float, loads: int, changes: int, kills: int, as_json: bool) -> int:
    """What the control plane costs while a storm is watched in a browser; how soon the page shows what is so.

    \b
    haechi bench serve --json
    """
    from haechi.bench.machine import MachineError
    from haechi.bench.serve import ServeBenchError, ServeSettings, run
    from haechi.native.tools import ToolError
    from haechi.serve.recovery import RecoveryError

    with refusals(MachineError, RecoveryError, ServeBenchError, ToolError):
        return run(ServeSettings(eps, seconds, loads, changes, kills), as_json)
    return FAILED
