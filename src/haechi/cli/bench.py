"""haechi bench: every claim of the README as a command."""

from __future__ import annotations

from pathlib import Path

import click

from haechi.cli.outcome import FAILED, refusals

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


@click.group("bench")
def command() -> None:
    """Measure: hdfs and accuracy (what is found), parsing (templates), detect (speed, memory)."""


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
