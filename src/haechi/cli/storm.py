"""haechi storm: realistic logs, to a file for now."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from haechi.cli.outcome import refusals
from haechi.cli.quantity import Count, Quantity
from haechi.native.tools import ToolError
from haechi.storm.maker import START, MakeError, make
from haechi.storm.profile import ProfileError

FORMS = ("iso", "rfc3164", "rfc5424")


@click.command("storm", context_settings={"show_default": True})
@click.option("-o", "--output", required=True, metavar="FILE", help="Where lines go; - for standard output.")
@click.option("--count", type=Count(), default="1M", help="Lines to make.")
@click.option("--eps", type=Quantity(), default="1k", help="Lines a second of log time.")
@click.option("--seed", type=click.IntRange(0, 2**64 - 1), default=1, help="Same seed, same bytes.")
@click.option("--form", type=click.Choice(FORMS), default="iso", help="How a line is written.")
@click.option("--profile", default="system", metavar="NAME|FILE", help="What is written.")
@click.option("--anomaly-rate", type=click.FloatRange(0, 1), default=0.0, help="Share of anomalous sessions.")
@click.option(
    "--truth", metavar="FILE", help="Where the anomalous sessions are listed, one JSON object a line."
)
@click.option("--start", default=START, metavar="TIME", help="UTC time of the first line.")
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
    start: str,
    as_json: bool,
) -> None:
    """Make a log of session flows as a machine room writes it, with labelled anomalies on request.

    \b
    haechi storm -o app.log --count 2M --anomaly-rate 0.01 --truth truth.jsonl
    """
    with refusals(MakeError, ToolError, wrong_usage=(ProfileError,)):
        made = make(
            Path(output),
            count=count,
            eps=eps,
            seed=seed,
            form=form,
            profile=profile,
            anomaly_rate=anomaly_rate,
            truth=Path(truth) if truth else None,
            start=start,
        )
    # Standard output may be the log itself.
    if as_json:
        click.echo(json.dumps(asdict(made)), err=True)
    else:
        rate = made.events / max(made.seconds, 1e-9)
        click.echo(
            f"{made.events} lines, {made.bytes} bytes, {made.episodes} anomalous sessions, "
            f"{rate / 1e6:.2f} M lines/s",
            err=True,
        )
