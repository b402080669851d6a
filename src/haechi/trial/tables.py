"""Scores and alerts as tables for people."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from haechi.trial.records import Alert
from haechi.trial.score import Score

_SEVERITY_STYLE = {"critical": "bold red", "high": "red", "medium": "yellow", "low": "dim"}


def print_score(result: Score, console: Console | None = None) -> None:
    console = console or Console()
    kinds = Table("kind", title="What was found", title_justify="left")
    for column in ("episodes", "found", "recall"):
        kinds.add_column(column, justify="right")
    for name, kind in result.kinds.items():
        kinds.add_row(name.replace("_", " "), str(kind.episodes), str(kind.found), f"{kind.recall:.3f}")
    kinds.add_section()
    kinds.add_row("all", str(result.episodes), str(result.found), f"{result.recall:.3f}")
    console.print(kinds)
    console.print(
        f"precision [b]{result.precision:.4f}[/b]   recall [b]{result.recall:.4f}[/b]   "
        f"F1 [b]{result.f1:.4f}[/b]   ({result.alerts} alerts; {result.false_sessions} sessions for nothing)"
    )
    if result.ignored:
        left_out = ", ".join(f"{count} {kind.replace('_', ' ')}" for kind, count in result.ignored.items())
        console.print(f"left out, with the alerts on them: {left_out}")
    quantiles = [result.detect_quantile_s(q) for q in (0.5, 0.95, 0.99)]
    median, p95, p99 = ("-" if s is None else f"{s:.2f} s" for s in quantiles)
    console.print(f"time to detect, from an episode's first event: median {median}, p95 {p95}, p99 {p99}")


def print_alerts(alerts: Sequence[Alert], shown: int = 30, console: Console | None = None) -> None:
    """The gravest alerts first, at most `shown` of them."""
    console = console or Console()
    rank = {severity: i for i, severity in enumerate(_SEVERITY_STYLE)}
    ordered = sorted(alerts, key=lambda alert: rank.get(alert.whole.get("severity", ""), len(rank)))
    table = Table(
        title=f"{len(alerts)} alerts" if alerts else "No alerts", title_justify="left", show_lines=True
    )
    table.add_column("severity")
    table.add_column("time", max_width=19)
    table.add_column("session", max_width=28, overflow="fold")
    table.add_column("line, and why", ratio=1, overflow="fold")
    for alert in ordered[:shown]:
        severity = alert.whole.get("severity", "")
        lines = alert.whole.get("lines") or [{}]
        text = escape(_printable(lines[0].get("text") or ""))
        table.add_row(
            f"[{_SEVERITY_STYLE.get(severity, 'white')}]{escape(severity)}[/]",
            (alert.whole.get("time") or "")[:19].replace("T", " "),
            escape(_printable(alert.session)),
            f"{text}\n[i]{escape(_printable(alert.whole.get('reason', '')))}[/i]",
        )
    if alerts:
        console.print(table)
    else:
        console.print("No alerts.")
    if len(alerts) > shown:
        console.print(f"... and {len(alerts) - shown} more")


def _printable(text: str) -> str:
    # A log line may hold terminal escapes; what it says is shown, what it does is not done.
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
