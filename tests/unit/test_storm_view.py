"""What is shown of a running tool: meters, folded tables, lines, and the totals at the end."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any, cast

import pytest
from rich.console import Console, RenderableType

from haechi.config.sink import SinkConfig
from haechi.config.storm import StormConfig
from haechi.live.meter import Cost, Meter, clock, fold, short, sparkline
from haechi.native.stats import Histogram
from haechi.native.tools import ToolError
from haechi.sink.run import Sink, SinkResult
from haechi.sink.view import SinkView, account_line, ports_table
from haechi.sink.view import summary_table as sink_table
from haechi.storm.run import Storm, StormResult
from haechi.storm.view import StormView, rows_of
from haechi.storm.view import summary_table as storm_table


def test_a_meter_has_now_average_peak_and_the_minute() -> None:
    meter = Meter(100.0)
    total = 0
    for quarter in range(1, 41):  # two idle seconds, four of 1000/s, four of 400/s
        at = 100.0 + quarter / 4
        total += 0 if quarter <= 8 else 250 if quarter <= 24 else 100
        meter.read([total, 0], at)
    assert meter.now == pytest.approx(400)
    assert meter.rates == pytest.approx([400, 0])
    assert meter.peak == pytest.approx(1000)
    assert meter.average == pytest.approx(5600 / 8)  # from the first event on
    assert list(meter.minute) == pytest.approx([0, 0, 1000, 1000, 1000, 1000, 400, 400, 400, 400])
    assert meter.elapsed == pytest.approx(10)


def test_a_meter_that_has_read_nothing_or_once() -> None:
    meter = Meter(5.0)
    assert (meter.now, meter.average, meter.peak, meter.rates) == (0, 0, 0, [])
    meter.read([7], 5.0)
    assert (meter.now, meter.rates) == (0, [0.0])
    meter.read([10], 5.5)
    assert meter.peak == 0  # half a second is no second


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (999, "999"), (999.7, "1.00 k"), (4e6, "4.00 M"), (123_456_789, "123.5 M"), (2e9, "2.00 G")],
)
def test_short_numbers(number: float, text: str) -> None:
    assert short(number) == text


@pytest.mark.parametrize(("seconds", "text"), [(0.9, "0:00"), (75, "1:15"), (3600, "1:00:00")])
def test_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def test_sparkline() -> None:
    assert sparkline([0, 1, 2, 4], 3) == "▃▅█"
    assert sparkline([0, 0], 60) == "▁▁"
    assert sparkline([], 60) == ""
    assert sparkline([1], 0) == ""


@pytest.mark.parametrize(
    ("room", "wanted"),
    [(40, [1] * 40), (39, [2] * 20), (17, [3] * 13 + [1]), (1, [40]), (0, [40]), (-3, [40])],
)
def test_fold(room: int, wanted: list[int]) -> None:
    assert fold([1] * 40, room, sum) == wanted


def test_the_cost_of_a_process_that_is_gone_stays_as_it_was() -> None:
    cost = Cost(2**22 + 1, 0.0)
    cost.read(5.0)
    assert (cost.cores, cost.rss_bytes) == (0, 0)


# --- storm


def stream(port: int, worker: int, **counts: int) -> dict[str, int]:
    names = (
        "events",
        "bytes",
        "controls",
        "errors",
        "sends",
        "late_events",
        "refused",
        "received",
        "dropped",
    )
    return dict.fromkeys(names, 0) | {"port": port, "worker": worker} | counts


class Page:
    """A stats page made of rows."""

    def __init__(self) -> None:
        self.of_streams: list[dict[str, int]] = []
        self.of_tool: dict[str, int] = {}
        self.latencies: list[Histogram] = []

    def rows(self) -> list[dict[str, int]]:
        return self.of_streams

    def tool_row(self) -> dict[str, int]:
        return self.of_tool

    def histograms(self, name: str) -> list[Histogram]:
        assert name == "latency_us"
        return self.latencies


class Tool:
    """A running tool that has a page and no process."""

    pid = 2**22 + 1

    def __init__(self) -> None:
        self.page = Page()


def shown(view: RenderableType, width: int = 100) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=width, height=50).print(view)
    return out.getvalue().splitlines()


def running_storm(ports: int, workers: int, received: bool) -> tuple[StormView, Tool]:
    """After two seconds of 100 events a second to each port."""
    tool = Tool()
    config = StormConfig(target=("127.0.0.1",), ports=f"6000-{5999 + ports}", duration=60)
    view = StormView(cast(Storm, tool), config, 0.0)
    tool.page.of_tool = {"target_eps": 100 * ports, "paused": 0}
    for second in (0, 1, 2):
        tool.page.of_streams = [
            stream(
                6000 + i, i % workers, events=100 * second, sends=second, late_events=i, received=90 * second
            )
            if received
            else stream(6000 + i, i % workers, events=100 * second, sends=second, late_events=i)
            for i in range(ports)
        ]
        view.read(float(second))
    return view, tool


@pytest.mark.parametrize("received", [False, True])
@pytest.mark.parametrize(("ports", "workers"), [(1, 1), (4, 2), (40, 2), (100, 64)])
@pytest.mark.parametrize("height", [10, 24, 60])
def test_the_storms_view_fits_the_screen(ports: int, workers: int, height: int, received: bool) -> None:
    view, _ = running_storm(ports, workers, received)
    lines = shown(view.render(100, height))
    assert len(lines) <= height
    text = "\n".join(lines)
    assert f"{200 * ports:,}" in text
    assert short(100 * ports) in text
    assert ("received" in text) == received
    assert "of 1:00" in lines[0]


def test_the_storms_tables_name_workers_and_ports() -> None:
    view, _ = running_storm(40, 2, received=True)
    lines = [line.split() for line in shown(view.render(100, 60))]
    assert ["0", "4,000", "2.00", "k", "380"] in lines  # worker 0 has the even ports
    assert ["6039", "200", "100", "39", "180", "0"] in lines
    folded = [line.split() for line in shown(view.render(100, 25))]
    assert any(line and line[0].startswith("6000-60") for line in folded)


def test_streams_of_several_workers_to_one_port_share_its_report() -> None:
    streams = [stream(514, 0, events=5, received=9), stream(514, 1, events=5, received=8)]
    (row,) = rows_of(streams, [1.0, 2.0], "port", 1)
    assert (row.events, row.eps, row.received) == (10, 3.0, 9)
    first, second = rows_of(streams, [1.0, 2.0], "worker", 1)
    assert (first.events, second.events, first.received) == (5, 5, 0)


def test_ports_of_two_targets_are_rows_of_their_own() -> None:
    streams = [stream(514, 0, received=1), stream(514, 0, received=2)]
    assert [row.received for row in rows_of(streams, [0.0, 0.0], "port", 2)] == [1, 2]


def test_the_storms_line() -> None:
    view, tool = running_storm(4, 2, received=True)
    line = view.line()
    assert line.startswith("0:02  400/s (average 400, peak 400, target 400)  800 events  late 6")
    assert "received 720, dropped 0" in line
    tool.page.of_streams[0] |= {"errors": 3, "refused": 2}
    view.read(2.25)
    assert "errors 3" in view.line()
    assert "refused 2" in view.line()


def test_a_paused_storm_and_one_that_nobody_hears_say_so() -> None:
    view, tool = running_storm(1, 1, received=False)
    tool.page.of_tool["paused"] = 1
    tool.page.of_streams[0]["refused"] = 7
    view.read(3.0)
    text = "\n".join(shown(view.render(100, 30)))
    assert "paused" in text
    assert "nobody listens (7 refusals)" in text


def storm_summary(**changes: Any) -> dict[str, Any]:
    port = stream(514, 0) | {"target": "127.0.0.1", "reconnects": 0, "reported": True}
    return {
        **dict.fromkeys(("bytes", "controls", "errors", "refused", "reconnects", "late_max_us"), 0),
        "events": 1000,
        "seconds": 2.0,
        "offered_eps": 500.0,
        "eps_peak": 510,
        "rate_error_ratio": 0.001,
        "late_events": 3,
        "cpu_seconds": 1.0,
        "rss_peak_bytes": 8_000_000,
        "gso": True,
        "sends": 100,
        "workers": 2,
        "episodes": 4,
        "interrupted": False,
        "reported": True,
        "received": 990,
        "kernel_dropped": 10,
        "ports": [port],
        "news": "what a later version says",
        **changes,
    }


def text_of(table: RenderableType) -> str:
    return "\n".join(shown(table))


def test_the_storms_result() -> None:
    result = StormResult.of(storm_summary())
    assert (result.eps, result.cpu_cores, result.events_per_send) == (500, 0.5, 10)
    assert (result.lost, result.loss_ratio) == (10, 0.01)
    assert result.whole["news"] == "what a later version says"
    text = text_of(storm_table(result))
    for part in (
        "1,000 events",
        "500, offered 500",
        "0.1000%",
        "received 990, lost 10 (1.0000%)",
        "2 workers",
    ):
        assert part in text


def test_what_a_storm_does_not_know_is_not_made_up() -> None:
    unknown = {"received": None, "kernel_dropped": None, "offered_eps": None, "rate_error_ratio": None}
    result = StormResult.of(storm_summary(**unknown, seconds=0, events=0, sends=0, interrupted=True))
    assert (result.lost, result.loss_ratio, result.eps, result.events_per_send) == (None, None, 0, 0)
    text = text_of(storm_table(result))
    assert "ended early" in text
    assert "what was lost is not known" in text
    assert "rate error" not in text
    silent = StormResult.of(storm_summary(**unknown, reported=False))
    assert "sink reports" not in text_of(storm_table(silent))


def test_totals_of_another_version_are_refused() -> None:
    summary = storm_summary()
    del summary["late_events"]
    with pytest.raises(
        ToolError, match="the storm's totals lack late_events; the tools are of another version"
    ):
        StormResult.of(summary)


# --- sink


def histogram(values: Sequence[int]) -> Histogram:
    buckets = [0] * 592
    for value in values:
        buckets[value] += 1
    return Histogram(len(values), sum(values), max(values, default=0), tuple(buckets))


def port_row(port: int, **counts: int) -> dict[str, int]:
    names = (
        "received bytes controls kernel_dropped truncated empty bad_framing clients refused tls_failed sent"
    )
    gauges = "closed streams streams_ended lost"
    return dict.fromkeys(f"{names} {gauges}".split(), 0) | {"port": port} | counts


def running_sink(ports: int, **config: Any) -> SinkView:
    tool = Tool()
    view = SinkView(cast(Sink, tool), SinkConfig(ports=f"6000-{5999 + ports}", **config), 0.0)
    for second in (0, 1, 2):
        tool.page.of_streams = [
            port_row(6000 + i, received=100 * second, sent=110 * second, lost=10 * second, streams=1)
            for i in range(ports)
        ]
        tool.page.latencies = [histogram([1, 2, 15]) for _ in range(ports)]
        view.read(float(second))
    return view


@pytest.mark.parametrize("ports", [1, 40, 100])
@pytest.mark.parametrize("height", [9, 24, 60])
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_the_sinks_view_fits_the_screen(ports: int, height: int, transport: str) -> None:
    lines = shown(running_sink(ports, transport=transport).render(100, height))
    assert len(lines) <= height
    text = "\n".join(lines)
    assert f"sent {220 * ports:,}   lost {20 * ports:,}   0 of {ports} streams ended" in text
    assert ("clients" in text) == (transport == "tcp")


def test_the_sinks_line_and_table() -> None:
    view = running_sink(3)
    assert "0:02  300/s" in view.line()
    assert "lost 60  p50 2 us, p99 15 us" in view.line()
    assert ["6001", "200", "100", "0", "20", "2", "15"] in [
        line.split() for line in shown(view.render(90, 30))
    ]


def test_listeners_of_one_port_are_one_row() -> None:
    tool = Tool()
    view = SinkView(cast(Sink, tool), SinkConfig(ports="6000", workers=2), 0.0)
    tool.page.of_streams = [port_row(6000, received=3), port_row(6000, received=4)]
    tool.page.latencies = [histogram([]), histogram([5])]
    view.read(1.0)
    assert ["6000", "7", "7", "0", "-", "5", "5"] in [line.split() for line in shown(view.render(90, 30))]


def sink_summary(**changes: Any) -> dict[str, Any]:
    names = (
        "received received_bytes controls sent sent_bytes sent_controls kernel_dropped "
        "kernel_dropped_buffers lost_elsewhere streams streams_ended seconds eps_peak "
        "truncated empty bad_framing clients refused tls_failed write_errors cpu_seconds rss_peak_bytes"
    )
    latency = dict.fromkeys(("count", "avg", "p50", "p95", "p99", "p999", "max"), 0)
    return dict.fromkeys(names.split(), 0) | {
        "closed": True,
        "latency_us": latency,
        "ports": [],
        **changes,
    }


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"streams": 0}, "no account: no sender said what it sent"),
        (
            {"sent": 1000, "received": 1000, "sent_controls": 5, "controls": 5},
            "sent 1,000 = received 1,000 + kernel dropped 0 + lost elsewhere 0 (closed)",
        ),
        (
            {"sent": 1000, "received": 985, "kernel_dropped": 10, "lost_elsewhere": 5},
            "sent 1,000 = received 985 + kernel dropped 10 + lost elsewhere 5 (closed)",
        ),
        # Somebody else sends to the same port and says nothing about it.
        (
            {"sent": 1000, "received": 2000},
            "sent 1,000 = received 1,000 + kernel dropped 0 + lost elsewhere 0 (closed)",
        ),
        (
            {"sent": 1000, "received": 991, "sent_controls": 5, "controls": 4, "kernel_dropped": 10},
            "sent 1,005 = received 995 + kernel dropped 10 + lost elsewhere 0 "
            "(closed; 5 of the sent and 1 of the lost are control messages)",
        ),
        (
            {"sent": 10, "received": 10, "closed": False, "streams": 2, "streams_ended": 1},
            "sent 10 = received 10 + kernel dropped 0 + lost elsewhere 0 (open: 1 of 2 streams have ended)",
        ),
    ],
)
def test_the_account_in_figures(changes: dict[str, Any], line: str) -> None:
    result = SinkResult.of(sink_summary(**{"streams": 1, "streams_ended": 1, **changes}))
    assert account_line(result).startswith(line)


def test_the_sinks_result() -> None:
    latency = {"count": 3, "avg": 10.0, "p50": 9, "p95": 20, "p99": 21, "p999": 22, "max": 23}
    result = SinkResult.of(
        sink_summary(
            received=900,
            sent=990,
            sent_controls=10,
            controls=10,
            kernel_dropped=90,
            seconds=3.0,
            latency_us=latency,
            streams=1,
            clients=2,
            truncated=1,
        )
    )
    assert (result.lost, result.loss_ratio, result.eps) == (90, 0.09, 300)
    text = text_of(sink_table(result))
    for part in ("900 messages", "90 (9.0000%)", "p99 21", "truncated 1", "clients"):
        assert part in text


def test_ports_with_losses_are_shown_the_worst_first() -> None:
    account = {"bytes": 0, "controls": 0, "sent_controls": 0, "received": 5, "lost_elsewhere": 0, "sent": 9}
    ports = [{**account, "port": 600 + i, "kernel_dropped": i, "closed": True} for i in range(13)]
    table = ports_table(SinkResult.of(sink_summary(ports=ports)))
    assert table is not None
    lines = shown(table)
    assert "the worst 10 of 12" in lines[0]
    assert [line.split("│")[1].strip() for line in lines if "closed" in line] == [
        str(612 - i) for i in range(10)
    ]
    assert ports_table(SinkResult.of(sink_summary(ports=ports[:1]))) is None
