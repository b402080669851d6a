"""haechi report: what trials have written, compared."""

from __future__ import annotations

from pathlib import Path

import click

from haechi.cli.outcome import THRESHOLD_MISSED, print_json, refusals

_REPORT = click.Path(exists=True, path_type=Path)


@click.group("report")
def command() -> None:
    """Reports that trials have written (haechi trial -o FOLDER).

    \b
    haechi report diff before/ after/
    """


@command.command("diff")
@click.argument("before", type=_REPORT)
@click.argument("after", type=_REPORT)
@click.option(
    "--max-regression",
    type=click.FloatRange(min=0),
    metavar="RATIO",
    help="Exit with 99 where a figure of the whole got worse by more than this share of what it was.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of a table.")
def diff(before: Path, after: Path, max_regression: float | None, as_json: bool) -> int:
    """What changed from report BEFORE to report AFTER, files or folders.

    \b
    haechi report diff main/ branch/ --max-regression 0.1
    """
    from haechi.trial.difference import changes
    from haechi.trial.writing import ReportError, read_report

    with refusals(ReportError):
        first, second = read_report(before), read_report(after)
    found = changes(first, second)
    worse = [
        change
        for change in found
        if max_regression is not None and not change.where and (change.regression or 0) > max_regression
    ]
    if as_json:
        print_json(
            {
                "before": {"name": first["name"], "state": first["state"], "began": first["began"]},
                "after": {"name": second["name"], "state": second["state"], "began": second["began"]},
                "changes": [
                    {
                        "step": change.where or None,
                        "figure": change.name,
                        "before": change.before,
                        "after": change.after,
                        "regression_ratio": change.regression,
                    }
                    for change in found
                ],
                "regressions": [change.name for change in worse],
            }
        )
    else:
        from haechi.trial.progress import print_changes

        print_changes(first, second, found)
    for change in worse:
        click.echo(
            f"haechi: {change.name} got worse by {change.regression:.1%}, from {change.before:.6g} to "
            f"{change.after:.6g}",
            err=True,
        )
    return THRESHOLD_MISSED if worse else 0
