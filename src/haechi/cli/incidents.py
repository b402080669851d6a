"""haechi incidents: the alerts of one cause, grouped."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TextIO

import click

from haechi.cli.outcome import UsageRefusal, refusals
from haechi.config.incidents import SEVERITIES, IncidentsConfig
from haechi.config.load import ConfigError, load_yaml
from haechi.explain.view import plain
from haechi.incidents.grouping import Change, Grouping
from haechi.incidents.incident import Incident
from haechi.incidents.reading import Account, follow_alerts, read_alerts

_HELD = 100_000  # closed ones, until all are shown


@click.command("incidents")
@click.argument(
    "alerts", nargs=-1, required=True, metavar="ALERTS...", type=click.Path(dir_okay=False, path_type=Path)
)
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="What belongs together, and what is raised (configs/incidents.yaml explains it).",
)
@click.option(
    "--follow", is_flag=True, help="Go on as the files grow: an incident is shown when it is raised."
)
@click.option("--all", "every", is_flag=True, help="Those that are not raised, too.")
@click.option(
    "--severity",
    type=click.Choice(SEVERITIES),
    default="low",
    show_default=True,
    help="This or a higher one.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line; with --follow, one a change.")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write there instead.")
def command(
    alerts: tuple[Path, ...],
    config: Path | None,
    follow: bool,
    every: bool,
    severity: str,
    as_json: bool,
    output: Path | None,
) -> int:
    """Group the alerts in ALERTS (as `haechi detect` writes them) by their cause.

    Several files are taken in the order of their events' times. Shown is what is worth a person's time, the
    worst first; an incident says how many alerts it has, where, from whom, and which detectors agree.

    \b
    haechi incidents alerts.jsonl
    haechi incidents --follow --json alerts.jsonl | jq -c 'select(.change == "raised")'
    """
    with refusals(wrong_usage=(ConfigError,)), ExitStack() as stack:
        settings = load_yaml(config, IncidentsConfig)
        if not follow:
            for path in alerts:
                if not path.exists():
                    raise UsageRefusal(
                        f"{path}: there is no such file (with --follow it would be waited for)"
                    )
        out = stack.enter_context(output.open("w", encoding="utf-8")) if output else sys.stdout
        wanted = SEVERITIES.index(severity)
        account = Account()
        if follow:
            _follow(alerts, settings, account, out, wanted, every, as_json)
        else:
            _show(alerts, settings, account, out, wanted, every, as_json)
    return 0


def _show(
    paths: tuple[Path, ...],
    settings: IncidentsConfig,
    account: Account,
    out: TextIO,
    wanted: int,
    every: bool,
    as_json: bool,
) -> None:
    closed: list[Incident] = []
    left_out = 0

    def tell(change: Change, incident: Incident) -> None:
        nonlocal left_out
        if change == "closed" and (every or incident.raised) and incident.rank >= wanted:
            if len(closed) < _HELD:
                closed.append(incident)
            else:
                left_out += 1

    grouping = Grouping(settings, tell)
    _take_all(grouping, read_alerts(paths, account), account)
    grouping.end()
    still = [one for one in grouping.incidents() if (every or one.raised) and one.rank >= wanted]
    found = sorted((*closed, *still), key=lambda one: (-one.rank, one.first_us or 0, one.id))
    for incident in found:
        out.write(_json(incident.view()) if as_json else block(incident.view()))
    if not as_json:
        rest = f" {left_out:,} more are left out." if left_out else ""
        out.write(
            f"{grouping.alerts:,} alerts, {grouping.opened:,} incidents, {grouping.raised:,} raised, "
            f"{grouping.held_back:,} held back by their cooldown; {len(found):,} shown.{rest}\n"
        )
    _say_unreadable(account)


def _follow(
    paths: tuple[Path, ...],
    settings: IncidentsConfig,
    account: Account,
    out: TextIO,
    wanted: int,
    every: bool,
    as_json: bool,
) -> None:
    def tell(change: Change, incident: Incident) -> None:
        if incident.rank < wanted or not (every or incident.raised):
            return
        if as_json:
            out.write(_json({"change": change, **incident.view()}))
        elif change in ("raised", "worse") or (every and change == "opened"):
            out.write(block(incident.view()))

    grouping = Grouping(settings, tell)
    _take_all(grouping, follow_alerts(paths, account, out.flush), account)


def _take_all(grouping: Grouping, alerts: Iterator[dict[str, Any]], account: Account) -> None:
    for alert in alerts:
        try:
            grouping.take(alert)
        except ValueError as error:
            account.note(f"alert {str(alert.get('id'))[:40]!r}", str(error))


def _say_unreadable(account: Account) -> None:
    if account.unreadable:
        others = f" (and {account.unreadable - 1:,} others)" if account.unreadable > 1 else ""
        click.echo(f"haechi: passed over: {account.first}{others}", err=True)


def _json(view: Mapping[str, Any]) -> str:
    return json.dumps(view, ensure_ascii=False, separators=(",", ":")) + os.linesep


def block(view: Mapping[str, Any]) -> str:
    """An incident for people: a few lines, and an empty one."""
    mark = view["severity"].upper()
    state = "" if view["state"] == "open" else ", closed"
    held = ", held back by its cooldown" if view["held_back"] else ""
    rows = [f"{mark}  {view['summary']}"]
    rows.append(f"    {view['id']}  {view['first'] or '-'} to {view['last'] or '-'}{state}{held}")
    if view["line"]:
        rows.append(f"    {view['line'][:200]}")
    agreed = ", ".join(f"{one['name']} {one['evidence']:.1f}" for one in view["detectors"])
    rows.append(f"    evidence: {agreed} nats")
    for sort in ("sources", "users", "hosts", "sessions", "kinds"):
        names = view[sort]["names"]
        if not names or (sort == "sessions" and len(names) == 1 and view["count"] == 1):
            continue
        more = view[sort]["number"] - min(len(names), _SHOWN)
        end = f" and {more:,} more" if more > 0 else ""
        rows.append(f"    {sort}: {', '.join(names[:_SHOWN])}{end}")
    return "\n".join(plain(row) for row in rows) + "\n\n"


_SHOWN = 5
