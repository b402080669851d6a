"""GET /metrics, in the text format of Prometheus."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, get_args

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric, UntypedMetricFamily
from prometheus_client.registry import Collector

from haechi.serve.fleet import Job
from haechi.serve.patient import State
from haechi.serve.plane import Plane
from haechi.serve.watch import GAUGES

_QUANTILES = (0.5, 0.95, 0.99, 0.999)

# Of a storm: name, figure, what it is. prometheus_client puts _total behind a counter's name; total_events
# grows like one and is not called one, since its name is given.
_STORM = (
    ("log_generator_current_eps", "current_eps", "gauge", "Events a second, over the last second"),
    ("log_generator_target_eps", "target_eps", "gauge", "Events a second that are to be sent"),
    ("log_generator_peak_eps", "peak_eps", "gauge", "The highest rate of a second"),
    ("log_generator_total_events", "total_events", "untyped", "Events sent"),
    ("log_generator_cpu_usage_percent", "cpu_usage", "gauge", "Of one core"),
    ("log_generator_memory_usage_bytes", "memory_usage_bytes", "gauge", "Resident memory"),
    ("log_generator_network_tx_bytes", "network_tx_bytes", "counter", "Bytes of the events sent"),
    ("log_generator_packet_loss_percent", "packet_loss_percent", "gauge", "Dropped, as a sink reports"),
    ("log_generator_late_events", "late_events", "counter", "Events sent more than 1 ms past their time"),
    ("log_generator_uptime_seconds", "uptime_seconds", "gauge", "Since the storm's start"),
)


class PlaneCollector(Collector):
    """Renders what the last tick has read; nothing is counted twice."""

    def __init__(self, plane: Plane) -> None:
        self._plane = plane

    def collect(self) -> Iterable[Metric]:
        yield from self._storms()
        yield from self._tools("sink", "haechi_sink")
        yield from self._tools("detector", "haechi_detect")
        yield from self._latencies()
        yield from self._alerts()
        yield from self._incidents()
        yield from self._mended()
        yield from self._host()

    def _alive(self, kind: Any) -> list[Job]:
        return [job for job in self._plane.fleet.jobs(kind) if job.alive and job.watch and job.watch.figures]

    def _storms(self) -> Iterable[Metric]:
        storms = [(job.id, job.watch.figures) for job in self._alive("storm") if job.watch]
        for name, figure, kind, text in _STORM:
            family = _family(kind, name, text, ["storm"])
            for storm, figures in storms:
                if figures[figure] is not None:
                    family.add_metric([storm], figures[figure])
            yield family
        labels = ["storm", "worker_id", "port"]
        eps = GaugeMetricFamily("log_generator_worker_eps", "Events a second of a stream", labels=labels)
        wrong = CounterMetricFamily(
            "log_generator_worker_errors", "Sends that failed", labels=[*labels, "error_type"]
        )
        for storm, figures in storms:
            for worker in figures["worker_metrics"]:
                of = [storm, str(worker["id"]), str(worker["port"])]
                eps.add_metric(of, worker["eps"])
                wrong.add_metric([*of, "send"], worker["errors"])
                wrong.add_metric([*of, "refused"], worker["refused"])
        yield eps
        yield wrong

    def _tools(self, kind: Any, prefix: str) -> Iterable[Metric]:
        families: dict[str, Family] = {}
        for job in self._alive(kind):
            assert job.watch is not None
            for name, value in job.watch.counters.items():
                what = "gauge" if name in GAUGES else "counter"
                if name not in families:
                    text = f"{name} of haechi {kind}, docs/operations.md"
                    families[name] = _family(what, f"{prefix}_{name}", text, [kind])
                families[name].add_metric([job.id], value)
        eps = GaugeMetricFamily(f"{prefix}_current_eps", "Messages a second taken", labels=[kind])
        cpu = GaugeMetricFamily(f"{prefix}_cpu_usage_percent", "Of one core", labels=[kind])
        memory = GaugeMetricFamily(f"{prefix}_memory_usage_bytes", "Resident memory", labels=[kind])
        for job in self._alive(kind):
            assert job.watch is not None
            eps.add_metric([job.id], job.watch.figures["current_eps"])
            cpu.add_metric([job.id], job.watch.figures["cpu_usage"])
            memory.add_metric([job.id], job.watch.figures["memory_usage_bytes"])
        yield from (*families.values(), eps, cpu, memory)

    def _latencies(self) -> Iterable[Metric]:
        family = GaugeMetricFamily(
            "haechi_sink_latency_seconds",
            "From an event's scheduled time to when it was taken, of sampled probes",
            labels=["sink", "quantile"],
        )
        for job in self._alive("sink"):
            page = job.tool.page if job.tool is not None else None
            if page is None:
                continue
            histogram = page.histogram("latency_us")
            for quantile in _QUANTILES:
                family.add_metric([job.id, str(quantile)], histogram.quantile(quantile) / 1e6)
        yield family

    def _alerts(self) -> Iterable[Metric]:
        plane = self._plane
        alerts = CounterMetricFamily("haechi_alerts", "Alerts of detectors", labels=["detector", "severity"])
        for (job, severity), count in plane.alerts.counts.items():
            alerts.add_metric([job, severity], count)
        firing = GaugeMetricFamily("haechi_rule_firing", "1: it is wrong now", labels=["rule", "subject"])
        for (rule, subject), standing in plane.standings.items():
            firing.add_metric([rule, subject], float(standing.phase == "firing"))
        messages = CounterMetricFamily("haechi_notifications", "Messages given out", labels=["state"])
        for state, count in plane.notifier.counts.items():
            messages.add_metric([state], count)
        pending = GaugeMetricFamily(
            "haechi_notifications_pending", "Messages to deliver", value=plane.notifier.pending
        )
        jobs = GaugeMetricFamily("haechi_jobs", "Storms, sinks and detectors", labels=["kind", "state"])
        counts: dict[tuple[str, str], int] = {}
        for job_ in plane.fleet.jobs():
            counts[job_.kind, job_.state] = counts.get((job_.kind, job_.state), 0) + 1
        for (kind, state), count in counts.items():
            jobs.add_metric([kind, state], count)
        yield from (alerts, firing, messages, pending, jobs)

    def _incidents(self) -> Iterable[Metric]:
        grouping = self._plane.incidents.grouping
        yield GaugeMetricFamily("haechi_incidents_open", "Incidents that go on", value=grouping.open)
        for name, text, count in (
            ("opened", "Incidents that alerts were grouped into", grouping.opened),
            ("raised", "Incidents worth a person's time", grouping.raised),
            ("held_back", "Incidents not raised: their cause was, a short while ago", grouping.held_back),
        ):
            yield CounterMetricFamily(f"haechi_incidents_{name}", text, value=count)

    def _mended(self) -> Iterable[Metric]:
        labels = ["kind", "subject"]
        restarts = CounterMetricFamily(
            "haechi_serve_restarts", "Processes that took the place of one that was unwell", labels=labels
        )
        states = GaugeMetricFamily(
            "haechi_serve_healing", "1: the state that it is in", labels=[*labels, "state"]
        )
        for job in self._plane.fleet.jobs():
            restarts.add_metric([job.kind, job.id], job.restarts)
            if job.alive or job.healing.get("state") == "given_up":
                for state in get_args(State):
                    standing = float(job.healing.get("state") == state)
                    states.add_metric([job.kind, job.id, state], standing)
        yield from (restarts, states)

    def _host(self) -> Iterable[Metric]:
        host: Mapping[str, float] = self._plane.host
        if not host:
            return
        yield GaugeMetricFamily("haechi_host_cpu_percent", "Of all cores", value=host["cpu_percent"])
        yield GaugeMetricFamily("haechi_host_memory_used_bytes", "In use", value=host["memory_used_bytes"])
        yield GaugeMetricFamily("haechi_serve_rss_bytes", "Of this server", value=host["serve_rss_bytes"])
        yield CounterMetricFamily(
            "haechi_serve_cpu_seconds", "Of this server", value=host["serve_cpu_seconds"]
        )


Family = GaugeMetricFamily | CounterMetricFamily | UntypedMetricFamily
_FAMILIES: Mapping[str, type[Family]] = {
    "gauge": GaugeMetricFamily,
    "counter": CounterMetricFamily,
    "untyped": UntypedMetricFamily,
}


def _family(kind: str, name: str, text: str, labels: list[str]) -> Family:
    return _FAMILIES[kind](name, text, labels=labels)


def render(plane: Plane) -> bytes:
    registry = CollectorRegistry()
    registry.register(PlaneCollector(plane))
    return generate_latest(registry)
