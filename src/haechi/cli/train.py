"""haechi train: logs in, a bundle out."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from haechi.bundle.description import describe
from haechi.bundle.store import read
from haechi.cli.outcome import print_json, refusals
from haechi.config.load import ConfigError, load_yaml
from haechi.config.training import TrainingConfig

if TYPE_CHECKING:
    from haechi.train import TrainResult


@click.command("train")
@click.argument(
    "logs",
    metavar="LOG...",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
)
@click.option(
    "-o",
    "--output",
    metavar="BUNDLES",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("bundles"),
    show_default=True,
    help="Folder that the bundle is put into, under its digest; `latest` in it points there.",
)
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Settings (configs/training.yaml explains them); options here win over it.",
)
@click.option("--format", metavar="FORMAT", help="Header format: a preset's name or a pattern.")
@click.option("--device", metavar="DEVICE", help="auto, cpu or cuda.")
@click.option("--seed", type=int, help="Same seed, same logs, same bundle.")
@click.option("--budget", type=float, help="Share of normal sessions that may be flagged.")
@click.option("--mscred", is_flag=True, help="Learn how the counts of log keys go together, too.")
@click.option("--parent", metavar="DIGEST", help="The bundle that this one follows.")
@click.option("--json", "as_json", is_flag=True, help="What was made, as one JSON object.")
def command(
    logs: tuple[Path, ...],
    output: Path,
    config: Path | None,
    format: str | None,
    device: str | None,
    seed: int | None,
    budget: float | None,
    mscred: bool,
    parent: str | None,
    as_json: bool,
) -> None:
    """Learn from LOG... what normal looks like. The files are read in the order they are named: oldest first.

    \b
    haechi train /var/log/app.log.1 /var/log/app.log -o bundles
    """
    fit = _given(seed=seed, device=device)
    budgets = _given(budget=budget) or None
    counted = {"enabled": True} if mscred else None
    options = _given(format=format, fit=fit or None, threshold=budgets, ensemble=budgets, mscred=counted)
    with refusals(wrong_usage=(ConfigError,)):
        settings = load_yaml(config, TrainingConfig, options)
    from haechi.train import TerminalProgress, TrainError, run

    with refusals(TrainError), TerminalProgress() as progress:
        result = run(logs, output, settings, progress, parent)
    if as_json:
        print_json(asdict(result) | {"bundle": str(result.bundle)})
    else:
        _print(result)


def _print(result: TrainResult) -> None:
    click.echo(f"{result.bundle}")
    click.echo(
        f"  {result.lines} lines ({result.malformed} malformed) in format {result.format}; "
        f"{result.sessions} sessions by {result.session_rule}, idle after {result.idle_s} s"
    )
    click.echo(f"  {result.log_keys} log keys, {result.windows_distinct} distinct windows")
    for detector in read(result.bundle).manifest.detectors:
        click.echo(f"  {detector.name}: {describe(detector)}")
    click.echo(f"  in {result.seconds:.1f} s")
    for note in result.notes:
        click.secho(f"  note: {note}", fg="yellow")


def _given(**options: Any) -> dict[str, Any]:
    return {key: value for key, value in options.items() if value is not None}
