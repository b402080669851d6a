"""haechi storm: realistic logs, to a file for now."""

from __future__ import annotations

import click

from haechi.cli.outcome import print_json, refusals

FORMS = ("iso", "rfc3164", "rfc5424")


@click.command("storm", context_settings={"show_default": True})
@click.option("-o", "--output", required=True, metavar="FILE", help="Where lines go; - for standard output.")
@click.option("--count", type=click.IntRange(min=1), default=1_000_000, help="Lines to make.")
@click.option("--eps", type=click.FloatRange(min=0.001), default=1000.0, help="Lines a second of log time.")
@click.option("--seed", type=click.IntRange(0, 2**64 - 1), default=1, help="Same seed, same bytes.")
@click.option("--form", type=click.Choice(FORMS), default="iso", help="How a line is written.")
@click.option("--profile", default="system", metavar="NAME|FILE", help="What is written.")
@click.option("--anomaly-rate", type=click.FloatRange(0, 1), default=0.0, help="Share of anomalous sessions.")
@click.option(
    "--truth", metavar="FILE", help="Where the anomalous sessions are listed, one JSON object a line."
)
@click.option("--start", metavar="TIME", help="Time of the first line, such as 2025-08-30T10:15:30Z.")
@click.option("--json", "as_json", is_flag=True, help="What was made, as one JSON object on standard error.")
def command(
    output: str,
    count: int,
    eps: float,
    seed: int,
    form: str,
    profile: str,
    anomaly_rate: float,
    truth: str | None,
    start: str | None,
    as_json: bool,
) -> None:
    """Make a log of session flows as a machine room writes it, with labelled anomalies on request.

    \b
    haechi storm -o app.log --count 2M --anomaly-rate 0.01 --truth truth.jsonl
    """
