"""Everything that a server has: its fleet, alerts, rules, messages; moved on once a second by one task."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import psutil

from haechi.config.serve import SEVERITIES, RuleConfig, ServeConfig
from haechi.serve import rules
from haechi.serve.alertlog import AlertLog
from haechi.serve.fleet import Fleet, Job
from haechi.serve.healing import Healer
from haechi.serve.incident_store import IncidentStore
from haechi.serve.incidents import IncidentBook
from haechi.serve.journal import Entry, Journal
from haechi.serve.notify import Notifier
from haechi.serve.rules import Standing
from haechi.serve.trials import Trials
from haechi.serve.tuner import Tuner
from haechi.serve.watch import StormWatch

TICK_S = 1.0
PUBLISH_S = 0.1
STALLED_S = 5.0
ALERT_READS = 4  # pieces of a second, of each detector
ALERTS_WINDOW_S = 60.0
FAILED_SHOWN_S = 60.0
EVENTS_KEPT = 1000
HOST = "host"
DETECTORS = "detectors"


class Plane:
    """Begun with `running`. All of it happens in one event loop."""

    def __init__(self, config: ServeConfig, clock: Callable[[], float] = time.monotonic) -> None:
        self.config = config
        self.clock = clock
        self.journal = Journal(config.state)
        self.fleet = Fleet(config, self.journal)
        self.trials = Trials(config, lambda: sum(job.alive for job in self.fleet.jobs()))
        self.fleet.others = lambda: self.trials.tools_taken
        self.trials.note = lambda kind, subject, action, text, outcome: self.journal.add(
            kind, subject, action, text, outcome=outcome
        )
        self.alerts = AlertLog(config.alerts_kept, clock)
        self.incidents = IncidentBook(config.incidents, clock, IncidentStore(config.state))
        self.alerts.on_alert = self.incidents.take
        self.notifier = Notifier(config.channels, config.attempts, config.backoff, clock)
        self.healer = Healer(config, self.fleet, self.journal, self.notifier, clock)
        self.tuner = Tuner(config, self.fleet, self.healer, self.journal, self.alerts)
        self.standings: dict[tuple[str, str], Standing] = {}
        self.events: deque[dict[str, Any]] = deque(maxlen=EVENTS_KEPT)
        self.host: dict[str, float] = {}
        self.started_s = self._ticked_s = clock()
        self.failures = 0
        self.metrics_text = "{}"
        self._stamp = ""
        self._kpis_text: tuple[str, str] = ("", "{}")  # of which tick, and the text
        self._ticked = asyncio.Event()
        self._publishing: asyncio.TimerHandle | None = None
        self._followed: set[str] = set()
        self._self = psutil.Process()
        self.fleet.on_end = self._note_end
        self.fleet.on_begin = self._note_begin
        self.fleet.on_failure = self.healer.take
        self.healer.on_down = lambda job: self.alerts.hold(job.id)
        self.healer.on_begin_anew = lambda job: self.alerts.go_on(job.id)
        self.healer.on_read_again = lambda job, path: self.alerts.follow_again(job.id, path)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        for name in ("files", "alerts", "checkpoints"):
            (self.config.state / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        self.journal.load()
        self.incidents.load()
        self.trials.open()
        psutil.cpu_percent()
        running = (self._tick_for_ever(), self.notifier.run(), self.healer.run())
        tasks = [asyncio.create_task(task) for task in running]
        self.journal.on_entry = self._publish_soon
        try:
            yield
        finally:
            self.journal.on_entry = lambda entry: None
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.trials.close()
            await self.fleet.close()
            await self.healer.close()
            await self.tuner.close()
            await self.notifier.close()
            self.incidents.write(everything=True)

    @property
    def stalled(self) -> bool:
        """Whether its figures are old."""
        return self.clock() - self._ticked_s > STALLED_S

    async def next_tick(self) -> None:
        await self._ticked.wait()

    def tick(self) -> None:
        """One second's work. None of it waits."""
        at = self.clock()
        self._read_host()
        self.fleet.read(at)
        self._follow_alerts()
        for _ in range(ALERT_READS):
            if not self.alerts.read():
                break
        self._say_incidents()
        self.incidents.write()
        self._evaluate(at)
        self.tuner.look(at)
        self.tuner.trim_alerts(self.host["serve_rss_bytes"], at)
        self._stamp = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self._ticked_s = at
        self._publish()

    def _publish(self) -> None:
        """The message to all who listen. Its time is that of its figures."""
        self.metrics_text = json.dumps({"time": self._stamp, **self._metrics()}, separators=(",", ":"))
        ticked, self._ticked = self._ticked, asyncio.Event()
        ticked.set()

    def _publish_soon(self, _: Entry) -> None:
        """What was done is shown before the second is over; once for whatever happens within a tenth."""
        if self._publishing is None:
            self._publishing = asyncio.get_running_loop().call_later(PUBLISH_S, self._publish_now)

    def _publish_now(self) -> None:
        self._publishing = None
        self._publish()

    @property
    def kpis_text(self) -> str:
        """The message of this second; made where somebody wants it, and once for all."""
        if self._kpis_text[0] != self._stamp:
            whole = {"time": self._stamp, "storms": self.kpis()}
            self._kpis_text = (self._stamp, json.dumps(whole, separators=(",", ":")))
        return self._kpis_text[1]

    def kpis(self) -> list[dict[str, Any]]:
        return [
            {"id": job.id, "state": job.state, **job.watch.kpis()}
            for job in self.fleet.jobs("storm")
            if isinstance(job.watch, StormWatch)
        ]

    def rule(self, name: str) -> RuleConfig:
        return next(rule for rule in self.config.rules if rule.name == name)

    async def _tick_for_ever(self) -> None:
        due = self.clock()
        while True:
            try:
                self.tick()
            except Exception:  # a mistake of ours in one second must not end the watch over all others
                self.failures += 1
                logging.exception("a second's work failed")
            due = max(due + TICK_S, self.clock())
            await asyncio.sleep(due - self.clock())

    def _metrics(self) -> dict[str, Any]:
        def of(kind: Any) -> list[dict[str, Any]]:
            return [
                {
                    "id": job.id,
                    "state": job.state,
                    "restarts": job.restarts,
                    "healing": dict(job.healing),
                    **(job.watch.figures if job.watch else {}),
                }
                for job in self.fleet.jobs(kind)
                if job.alive
            ]

        return {
            "storms": of("storm"),
            "sinks": of("sink"),
            "detectors": of("detector"),
            "trials": self.trials.brief(),
            "host": self.host,
            "firing": [
                {"rule": rule, "subject": subject}
                for (rule, subject), standing in self.standings.items()
                if standing.phase == "firing"
            ],
            "alerts": {"kept": len(self.alerts), "older": self.alerts.older},
            "incidents": {"open": self.incidents.open, "last": self.incidents.last},
            "events": {"last": self.journal.last},
        }

    def _read_host(self) -> None:
        memory, own = psutil.virtual_memory(), self._self.memory_info()
        times = self._self.cpu_times()
        self.host = {
            "cpu_percent": psutil.cpu_percent(),
            "memory_used_bytes": memory.total - memory.available,
            "memory_total_bytes": memory.total,
            "serve_cpu_seconds": times.user + times.system,
            "serve_rss_bytes": own.rss,
        }

    def _follow_alerts(self) -> None:
        for job in self.fleet.jobs("detector"):
            if job.alerts is not None and job.id not in self._followed:
                self._followed.add(job.id)
                self.alerts.follow(job.id, job.alerts)

    def _note_begin(self, job: Job) -> None:
        self.healer.admit(job)
        self.tuner.admit(job)

    def _note_end(self, job: Job) -> None:
        if job.kind == "detector":
            self._follow_alerts()
            for _ in range(64):  # what it wrote last; a flood's rest is counted by the next ticks
                if not self.alerts.read():
                    self.alerts.leave(job.id)
                    break

    def _evaluate(self, at: float) -> None:
        """Each rule about each of its subjects; what was measured and is no more, recovers."""
        values = self._values(at)
        for rule in self.config.rules:
            subjects = {subject for name, subject in self.standings if name == rule.name}
            subjects |= {subject for metric, subject in values if metric == rule.metric}
            for subject in sorted(subjects):
                key = (rule.name, subject)
                value = values.get((rule.metric, subject))
                standing = self.standings.get(key, Standing())
                standing, event = rules.evaluate(rule, standing, value, at)
                self.standings[key] = standing
                if event is not None:
                    self._tell(rule, subject, event, value)
                if value is None and standing.phase == "quiet":
                    del self.standings[key]

    def _tell(self, rule: RuleConfig, subject: str, event: rules.Event, value: float | None) -> None:
        text = rules.sentence(rule, subject, event, value)
        when = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self.events.append(
            {
                "time": when,
                "rule": rule.name,
                "subject": subject,
                "event": event,
                "severity": rule.severity,
                "text": text,
            }
        )
        self.journal.add(
            "rule",
            subject,
            rule.name,
            text,
            outcome=event,
            data={"severity": rule.severity, "metric": rule.metric, "value": value},
        )
        if not (self.config.incident_messages and rule.metric.startswith("alerts_")):
            self.notifier.tell(rule.name, subject, event, rule.severity, text)

    def _say_incidents(self) -> None:
        """What was raised since the last second, where incidents are what is sent."""
        for said in self.incidents.to_say():
            if self.config.incident_messages:
                self.notifier.tell("incident", said.subject, said.event, said.severity, said.text)

    def _values(self, at: float) -> dict[tuple[str, str], float]:
        """Metric and subject -> value, for what can be measured now."""
        values = {
            ("cpu_percent", HOST): self.host["cpu_percent"],
            ("memory_gb", HOST): self.host["memory_used_bytes"] / 1e9,
        }
        for severity in SEVERITIES:
            count = self.alerts.count_since(ALERTS_WINDOW_S, severity)
            values[f"alerts_{severity}", DETECTORS] = count
        for job in self.fleet.jobs():
            if job.state == "failed" and job.ended_s is not None and at - job.ended_s < FAILED_SHOWN_S:
                values["workers_down", job.id] = len(
                    job.watch.figures.get("worker_metrics", [0]) if job.watch else [0]
                )
            if job.kind == "storm" and job.alive and isinstance(job.watch, StormWatch) and job.watch.figures:
                watch = job.watch
                values["workers_down", job.id] = watch.workers_down
                if watch.rate_percent is not None:
                    values["rate_percent", job.id] = watch.rate_percent
                if watch.loss_percent is not None:
                    values["loss_percent", job.id] = watch.loss_percent
        return values
