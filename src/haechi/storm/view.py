"""What a running storm shows: rates, ports, losses where a sink reports, and what it costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from haechi.config.storm import StormConfig
from haechi.config.values import read_ports
from haechi.live.meter import Cost, Meter, clock, fold, short, sparkline
from haechi.storm.run import Storm, StormResult

_FIXED_LINES = 6  # above the tables
_TABLE_LINES = 3  # of a table, beside its rows
_WORKERS_SHOWN = 8


@dataclass(frozen=True, slots=True)
class Row:
    """One worker, one port of one target, or several that were merged."""

    names: tuple[int, int]  # the first and the last
    events: int
    eps: float
    late: int
    received: int  # what a sink said of the port; 0 in a worker's row
    dropped: int


_NOTHING = Row((0, 0), 0, 0.0, 0, 0, 0)


def merge(rows: Sequence[Row]) -> Row:
    return Row(
        (min(row.names[0] for row in rows), max(row.names[1] for row in rows)),
        sum(row.events for row in rows),
        sum(row.eps for row in rows),
        sum(row.late for row in rows),
        sum(row.received for row in rows),
        sum(row.dropped for row in rows),
    )


def rows_of(streams: Sequence[dict[str, int]], rates: Sequence[float], by: str, count: int) -> list[Row]:
    """A row for each worker, or for each of `count` places (a port of a target), in the streams' order.

    Streams of several workers to one place are each told what the sink received there in all, so the
    largest of their reports is the place's.
    """
    groups: dict[int, list[int]] = {}
    for i, stream in enumerate(streams):
        groups.setdefault(stream["worker"] if by == "worker" else i % count, []).append(i)
    rows = []
    for members in groups.values():
        of = [streams[i] for i in members]
        reported = by != "worker"
        rows.append(
            Row(
                (of[0][by], of[0][by]),
                sum(stream["events"] for stream in of),
                sum(rates[i] for i in members),
                sum(stream["late_events"] for stream in of),
                max(stream["received"] for stream in of) if reported else 0,
                max(stream["dropped"] for stream in of) if reported else 0,
            )
        )
    return rows


class StormView:
    """Of one storm. `read` takes the counters; the rest only shows them."""

    def __init__(self, storm: Storm, config: StormConfig, at: float) -> None:
        self._storm = storm
        self._config = config
        self._meter = Meter(at)
        self._cost = Cost(storm.pid, at)
        self._places = max(1, len(config.target)) * len(read_ports(config.ports))
        self._workers: list[Row] = []
        self._ports: list[Row] = []
        self._tool: dict[str, int] = {}
        self._errors = self._refused = self._sends = 0

    def read(self, at: float) -> None:
        page = self._storm.page
        if page is None:
            return
        streams, self._tool = page.rows(), page.tool_row()
        self._meter.read([stream["events"] for stream in streams], at)
        self._cost.read(at)
        self._errors = sum(stream["errors"] for stream in streams)
        self._refused = sum(stream["refused"] for stream in streams)
        self._sends = sum(stream["sends"] for stream in streams)
        self._workers = rows_of(streams, self._meter.rates, "worker", self._places)
        self._ports = rows_of(streams, self._meter.rates, "port", self._places)

    @property
    def _target_eps(self) -> float:
        return float(self._tool.get("target_eps", 0))

    @property
    def _whole(self) -> Row:
        return merge(self._ports) if self._ports else _NOTHING

    def line(self) -> str:
        meter, whole = self._meter, self._whole
        target = f", target {short(self._target_eps)}" if self._target_eps else ""
        parts = [
            f"{clock(meter.elapsed)}  {short(meter.now)}/s (average {short(meter.average)}, "
            f"peak {short(meter.peak)}{target})",
            f"{whole.events:,} events",
            f"late {whole.late:,}",
        ]
        if self._errors:
            parts.append(f"errors {self._errors:,}")
        if self._refused:
            parts.append(f"refused {self._refused:,}")
        if whole.received:
            parts.append(f"received {whole.received:,}, dropped {whole.dropped:,}")
        parts.append(f"cpu {self._cost.cores:.2f}, {self._cost.rss_bytes / 1e6:.0f} MB")
        return "  ".join(parts)

    def render(self, width: int, height: int) -> RenderableType:
        room = height - _FIXED_LINES - _TABLE_LINES
        parts: list[RenderableType] = [self._head(), self._figures(width)]
        # Workers first: there are few, and where one lags it is seen there.
        if len(self._workers) > 1 and room > 2 * _TABLE_LINES + 2:
            shown = fold(self._workers, min(_WORKERS_SHOWN, room // 3), merge)
            parts += [self._table(shown, "worker"), ""]
            room -= len(shown) + _TABLE_LINES
        if self._ports and room > 0:
            parts.append(self._table(fold(self._ports, room, merge), "port"))
        return Group(*parts)

    def _head(self) -> str:
        config = self._config
        of = f" of {clock(config.duration)}" if config.duration else ""
        state = "  [yellow]paused[/]" if self._tool.get("paused") else ""
        where = escape(", ".join(config.target))
        return (
            f"[b]storm[/b]  {where} {config.transport} {config.ports}   "
            f"{clock(self._meter.elapsed)}{of}{state}"
        )

    def _figures(self, width: int) -> Table:
        meter, whole = self._meter, self._whole
        grid = Table.grid(padding=(0, 2))
        target = f"   target {short(self._target_eps)}" if self._target_eps else ""
        rates = f"average {short(meter.average)}   peak {short(meter.peak)}{target}"
        grid.add_row("rate", f"[b]{short(meter.now)}[/b]/s   {rates}")
        grid.add_row("minute", sparkline(meter.minute, min(60, width - 12)))
        late = f"[yellow]late {whole.late:,}[/]" if whole.late else "late 0"
        errors = f"[red]errors {self._errors:,}[/]" if self._errors else "errors 0"
        of_sends = f"   {whole.events / self._sends:.1f} a send" if self._sends else ""
        grid.add_row("events", f"{whole.events:,}   {late}   {errors}{of_sends}")
        if whole.received:
            behind = max(0, whole.events - whole.received)
            drop = f"[red]dropped {whole.dropped:,}[/]" if whole.dropped else "dropped 0"
            grid.add_row("sink", f"received {whole.received:,}   not yet or never {behind:,}   {drop}")
        else:
            silent = (
                f"[red]nobody listens ({self._refused:,} refusals)[/]" if self._refused else "none reports"
            )
            grid.add_row("sink", silent)
        grid.add_row("process", f"{self._cost.cores:.2f} cores   {self._cost.rss_bytes / 1e6:.0f} MB")
        return grid

    def _table(self, rows: Sequence[Row], part: str) -> Table:
        reported = any(row.received for row in rows)
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        for column in (part, "events", "events/s", "late", *(("received", "dropped") if reported else ())):
            table.add_column(column, justify="right", no_wrap=True)
        for row in rows:
            first, last = row.names
            name = str(first) if first == last else f"{first}-{last}"
            reports = [f"{row.received:,}", f"{row.dropped:,}"] if reported else []
            table.add_row(name, f"{row.events:,}", short(row.eps), f"{row.late:,}", *reports)
        return table


def summary_table(result: StormResult) -> Table:
    """The end of a storm, for people."""
    table = Table("storm", "", title_justify="left", show_header=False)
    sent = f"{result.events:,} events, {result.bytes:,} bytes in {result.seconds:.2f} s"
    table.add_row("sent", sent + (" [yellow](ended early)[/]" if result.interrupted else ""))
    offered = f", offered {result.offered_eps:,.0f}" if result.offered_eps else ""
    table.add_row("events/s", f"[b]{result.eps:,.0f}[/b]{offered}, peak {result.eps_peak:,.0f}")
    if result.rate_error_ratio is not None:
        table.add_row("rate error", f"{result.rate_error_ratio:.4%}")
    table.add_row("late", f"{result.late_events:,} events, at most {result.late_max_us:,.0f} us")
    segments = "equal lengths in one send (GSO)" if result.gso else "one send an event"
    table.add_row("sends", f"{result.sends:,}, {result.events_per_send:.1f} events each; {segments}")
    table.add_row("errors", f"[red]{result.errors:,}[/]" if result.errors else "0")
    if result.refused:
        table.add_row("refused", f"[red]{result.refused:,}[/]: nobody listens there")
    if result.reconnects:
        table.add_row("reconnects", f"{result.reconnects:,}")
    if result.received is not None:
        style = "red" if result.lost else "green"
        table.add_row(
            "sink reports",
            f"received {result.received:,}, [{style}]lost {result.lost:,} ({result.loss_ratio:.4%})[/]",
        )
    elif result.reported:
        table.add_row("sink reports", "[yellow]not for every port; what was lost is not known[/]")
    if result.episodes:
        table.add_row("episodes", f"{result.episodes:,}")
    table.add_row(
        "process",
        f"{result.workers} worker{'s' * (result.workers != 1)}, {result.cpu_cores:.2f} cores, "
        f"{result.rss_peak_bytes / 1e6:.0f} MB",
    )
    return table
