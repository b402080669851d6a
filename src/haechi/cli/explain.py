"""haechi explain: what is behind an alert."""

from __future__ import annotations

from pathlib import Path

import click

from haechi.cli.outcome import print_json, refusals


@click.command("explain")
@click.argument("alert_id", metavar="ALERT-ID")
@click.option(
    "--alerts",
    multiple=True,
    required=True,
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Where the alert is, as `haechi detect -o` writes it; may be given several times.",
)
@click.option(
    "--bundle",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The bundle that judged.",
)
@click.option(
    "--log",
    "logs",
    multiple=True,
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Where the alert's line is now, where not in the file that the alert names.",
)
@click.option(
    "--reach",
    type=click.IntRange(min=1),
    default=8,
    show_default=True,
    metavar="MB",
    help="How much of the log around the line is read, each way.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def command(
    alert_id: str, alerts: tuple[Path, ...], bundle: Path, logs: tuple[Path, ...], reach: int, as_json: bool
) -> None:
    """Show the alert's session line by line: how probable each was, what was expected instead, which
    detectors spoke, and the most similar normal session. The beginning of the id suffices.

    \b
    haechi explain 14f133a7 --alerts alerts.jsonl --bundle bundles/latest
    haechi explain 14f133a7 --alerts alerts.jsonl --bundle bundles/latest --log app.log.1
    """
    from haechi.bundle.store import BundleError, read
    from haechi.explain.explanation import Bounds, explain
    from haechi.explain.finding import NotFoundError, find_alert
    from haechi.explain.view import text_of

    with refusals(BundleError, NotFoundError):
        alert = find_alert(alert_id, alerts)
        source = alert["lines"][0]["source"]
        named = [Path(source)] if source not in ("", "-") else []
        bounds = Bounds(reach << 20, reach << 20)
        found = explain(alert, read(bundle), logs or named, bounds)
    if as_json:
        print_json(found)
    else:
        click.echo(text_of(found), nl=False)
