"""haechi eval: alerts against the ground truth."""

from __future__ import annotations

from pathlib import Path

import click

from haechi.cli.outcome import THRESHOLD_MISSED, print_json, refusals
from haechi.trial.records import EPISODE_KINDS, RecordError, read_alerts, read_episodes
from haechi.trial.score import GRACE_S, score


@click.command("eval")
@click.argument("alerts", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--truth",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The episodes, as `haechi storm --truth` writes them.",
)
@click.option(
    "--grace",
    type=click.FloatRange(min=0),
    default=GRACE_S,
    show_default=True,
    help="Seconds after an episode's last event in which an alert still finds it.",
)
@click.option(
    "--ignore-kinds",
    metavar="KINDS",
    default="",
    help="Episodes to leave out, names joined by commas, with the alerts on them.",
)
@click.option("--min-f1", type=click.FloatRange(0, 1), help="Exit with 99 where F1 is below this.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of tables.")
def command(
    alerts: Path, truth: Path, grace: float, ignore_kinds: str, min_f1: float | None, as_json: bool
) -> int:
    """Precision, recall, F1 and the time to detect of the alerts in ALERTS.

    An episode is found when an alert names its session while it goes on (or shortly after). Every other
    session that an alert names counts against the precision.

    \b
    haechi eval alerts.jsonl --truth truth.jsonl --min-f1 0.9
    haechi eval alerts.jsonl --truth truth.jsonl --ignore-kinds message_burst,host_silence
    """
    ignored = {name.strip() for name in ignore_kinds.split(",") if name.strip()}
    if unknown := ignored - set(EPISODE_KINDS):
        raise click.BadParameter(
            f"{', '.join(sorted(unknown))} is none of {', '.join(EPISODE_KINDS)}", param_hint="--ignore-kinds"
        )
    with refusals(RecordError):
        result = score(read_alerts(alerts), read_episodes(truth), grace, ignored)
    if as_json:
        print_json(result.as_json())
    else:
        from haechi.trial.tables import print_score

        print_score(result)
    if min_f1 is not None and result.f1 < min_f1:
        click.echo(f"haechi: F1 {result.f1:.4f} is below {min_f1}", err=True)
        return THRESHOLD_MISSED
    return 0
