"""What a running sink shows, and its account at the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from haechi.config.sink import SinkConfig
from haechi.live.meter import Cost, Meter, clock, fold, short, sparkline
from haechi.native.stats import Histogram
from haechi.sink.run import Sink, SinkResult

_FIXED_LINES = 7  # above the table, its head included
_HISTOGRAMS_EVERY_S = 1.0
_NO_LATENCY = Histogram(0, 0, 0, ())
_WORST_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Row:
    """One port, or several that were merged."""

    ports: tuple[int, int]
    received: int
    eps: float
    sent: int  # by the senders' last marks; 0 where none keeps account
    lost: int  # by the account as it stands
    dropped: int
    clients: int
    latency: Histogram


def merge(rows: Sequence[Row]) -> Row:
    return Row(
        (min(row.ports[0] for row in rows), max(row.ports[1] for row in rows)),
        sum(row.received for row in rows),
        sum(row.eps for row in rows),
        sum(row.sent for row in rows),
        sum(row.lost for row in rows),
        sum(row.dropped for row in rows),
        sum(row.clients for row in rows),
        sum((row.latency for row in rows[1:]), rows[0].latency),
    )


class SinkView:
    """Of one sink. `read` takes the counters; the rest only shows them."""

    def __init__(self, sink: Sink, config: SinkConfig, at: float) -> None:
        self._sink = sink
        self._config = config
        self._meter = Meter(at)
        self._cost = Cost(sink.pid, at)
        self._rows: list[Row] = []
        self._streams = self._streams_ended = self._odd = 0
        self._latencies: list[Histogram] = []
        self._latencies_at = float("-inf")

    def read(self, at: float) -> None:
        page = self._sink.page
        if page is None:
            return
        ports = page.rows()
        self._meter.read([port["received"] for port in ports], at)
        self._cost.read(at)
        if at - self._latencies_at >= _HISTOGRAMS_EVERY_S:
            self._latencies, self._latencies_at = page.histograms("latency_us"), at
        self._streams = sum(port["streams"] for port in ports)
        self._streams_ended = sum(port["streams_ended"] for port in ports)
        self._odd = sum(
            port[name]
            for port in ports
            for name in ("truncated", "empty", "bad_framing", "refused", "tls_failed")
        )
        # More workers than ports: several rows are of one port.
        rows: dict[int, list[Row]] = {}
        for port, eps, latency in zip(ports, self._meter.rates, self._latencies, strict=True):
            row = Row(
                (port["port"], port["port"]),
                port["received"],
                eps,
                port["sent"],
                port["lost"],
                port["kernel_dropped"],
                port["clients"],
                latency,
            )
            rows.setdefault(port["port"], []).append(row)
        self._rows = [merge(of_port) for of_port in rows.values()]

    @property
    def _whole(self) -> Row:
        return merge(self._rows) if self._rows else Row((0, 0), 0, 0.0, 0, 0, 0, 0, _NO_LATENCY)

    def line(self) -> str:
        meter, whole = self._meter, self._whole
        parts = [
            f"{clock(meter.elapsed)}  {short(meter.now)}/s (average {short(meter.average)}, "
            f"peak {short(meter.peak)})",
            f"received {whole.received:,}",
            f"dropped {whole.dropped:,}",
        ]
        if whole.sent:
            parts.append(f"lost {whole.lost:,}")
        if whole.latency.count:
            parts.append(f"p50 {whole.latency.quantile(0.5):,} us, p99 {whole.latency.quantile(0.99):,} us")
        parts.append(f"cpu {self._cost.cores:.2f}, {self._cost.rss_bytes / 1e6:.0f} MB")
        return "  ".join(parts)

    def render(self, width: int, height: int) -> RenderableType:
        config, meter, whole = self._config, self._meter, self._whole
        of = f" of {clock(config.duration)}" if config.duration else ""
        head = (
            f"[b]sink[/b]  {escape(config.address)} {config.transport} {config.ports}   "
            f"{clock(meter.elapsed)}{of}"
        )
        grid = Table.grid(padding=(0, 2))
        grid.add_row(
            "rate",
            f"[b]{short(meter.now)}[/b]/s   average {short(meter.average)}   peak {short(meter.peak)}",
        )
        grid.add_row("minute", sparkline(meter.minute, min(60, width - 12)))
        dropped = f"[red]dropped {whole.dropped:,}[/]" if whole.dropped else "dropped 0"
        odd = f"   [yellow]odd {self._odd:,}[/]" if self._odd else ""
        grid.add_row("messages", f"received {whole.received:,}   {dropped}{odd}")
        if self._streams:
            lost = f"[red]lost {whole.lost:,}[/]" if whole.lost else "lost 0"
            grid.add_row(
                "account",
                f"sent {whole.sent:,}   {lost}   {self._streams_ended} of {self._streams} streams ended",
            )
        else:
            grid.add_row("account", "[dim]no sender keeps one[/]")
        grid.add_row("process", f"{self._cost.cores:.2f} cores   {self._cost.rss_bytes / 1e6:.0f} MB")
        parts: list[RenderableType] = [head, grid]
        if self._rows and height > _FIXED_LINES:
            parts.append(self._table(fold(self._rows, height - _FIXED_LINES, merge)))
        return Group(*parts)

    def _table(self, rows: Sequence[Row]) -> Table:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        streams = self._config.transport != "udp"
        columns = ["port", "received", "events/s", "dropped", "lost", "p50 us", "p99 us"]
        for column in columns + ["clients"] * streams:
            table.add_column(column, justify="right", no_wrap=True)
        for row in rows:
            first, last = row.ports
            latencies = [f"{row.latency.quantile(q):,}" if row.latency.count else "-" for q in (0.5, 0.99)]
            table.add_row(
                str(first) if first == last else f"{first}-{last}",
                f"{row.received:,}",
                short(row.eps),
                f"{row.dropped:,}",
                f"{row.lost:,}" if row.sent else "-",
                *latencies,
                *([f"{row.clients:,}"] if streams else []),
            )
        return table


def account_line(result: SinkResult) -> str:
    """The account in figures, and whether it is closed.

    It is of events alone where no control message was lost, since then events are what is missing.
    """
    if not result.streams:
        return "no account: no sender said what it sent (haechi storm --account does)"
    controls = result.sent_controls if result.lost_controls else 0
    sent = result.sent + controls
    line = (
        f"sent {sent:,} = received {sent - result.lost:,} + kernel dropped {result.kernel_dropped:,} "
        f"+ lost elsewhere {result.lost_elsewhere:,}"
    )
    if result.closed:
        notes = ["closed"]
    else:
        notes = [f"open: {result.streams_ended} of {result.streams} streams have ended"]
    if controls:
        notes.append(
            f"{controls:,} of the sent and {result.lost_controls:,} of the lost are control messages"
        )
    return f"{line} ({'; '.join(notes)})"


def summary_table(result: SinkResult) -> Table:
    """The end of a sink, for people."""
    table = Table("sink", "", show_header=False)
    table.add_row(
        "received",
        f"{result.received:,} messages, {result.received_bytes:,} bytes in {result.seconds:.2f} s",
    )
    table.add_row("events/s", f"[b]{result.eps:,.0f}[/b], peak {result.eps_peak:,.0f}")
    if result.streams:
        style = "red" if result.lost else "green"
        table.add_row("lost", f"[{style}]{result.lost:,} ({result.loss_ratio:.4%})[/]")
    latency = result.latency_us
    if latency.count:
        table.add_row(
            "latency, us",
            f"average {latency.avg:,.0f}, p50 {latency.p50:,.0f}, p95 {latency.p95:,.0f}, "
            f"p99 {latency.p99:,.0f}, p99.9 {latency.p999:,.0f}, max {latency.max:,.0f} "
            f"({latency.count:,} probes)",
        )
    odd = {
        name.replace("_", " "): getattr(result, name)
        for name in ("truncated", "empty", "bad_framing", "refused", "tls_failed", "write_errors")
        if getattr(result, name)
    }
    if odd:
        table.add_row("odd", ", ".join(f"[yellow]{name} {count:,}[/]" for name, count in odd.items()))
    if result.clients:
        table.add_row("clients", f"{result.clients:,}")
    table.add_row("process", f"{result.cpu_cores:.2f} cores, {result.rss_peak_bytes / 1e6:.0f} MB")
    return table


def ports_table(result: SinkResult) -> Table | None:
    """The ports that lost something, the worst first; None where none did."""
    bad = [port for port in result.ports if port.kernel_dropped or port.lost_elsewhere or not port.closed]
    bad = [port for port in bad if port.sent]
    if not bad:
        return None
    bad.sort(key=lambda port: port.kernel_dropped + port.lost_elsewhere, reverse=True)
    left_out = f" (the worst {_WORST_SHOWN} of {len(bad)})" if len(bad) > _WORST_SHOWN else ""
    table = Table(title=f"ports with losses{left_out}", title_justify="left")
    for column in ("port", "sent", "received", "kernel dropped", "lost elsewhere", "account"):
        table.add_column(column, justify="right")
    for port in bad[:_WORST_SHOWN]:
        figures = (port.sent, port.received, port.kernel_dropped, port.lost_elsewhere)
        table.add_row(str(port.port), *(f"{n:,}" for n in figures), "closed" if port.closed else "open")
    return table
