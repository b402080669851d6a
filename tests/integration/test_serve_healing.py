"""Tools that are killed, stopped and starved of their ports, for real; what the plane makes of it. Times to
recovery are printed (pytest -s) and only bounded generously, since a test's machine has other work to do."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from haechi.config.serve import HealingConfig, ServeConfig, TuningConfig
from haechi.heal.health import Pulse, Signs
from haechi.serve import vitals
from haechi.serve.fleet import Job
from haechi.serve.plane import Plane
from haechi.serve.recovery import measure_recovery
from tests.integration.engine_room import log_lines
from tests.integration.serve_room import serving, until
from tests.integration.sink_room import free_ports

PATIENCE_S = 30.0
NO_TUNING = TuningConfig(enabled=False)


async def holds(what: Callable[[], Any], patience_s: float = PATIENCE_S) -> Any:
    deadline = time.monotonic() + patience_s
    while not (value := what()):
        assert time.monotonic() < deadline, "waited in vain"
        await asyncio.sleep(0.01)
    return value


@asynccontextmanager
async def planes(folder: Path, tuning: TuningConfig = NO_TUNING, **healing: Any) -> AsyncIterator[Plane]:
    config = ServeConfig(
        state=folder / "state",
        read=(folder,),
        healing=HealingConfig(**{"restart_backoff": 0.05, **healing}),
        tuning=tuning,
    )
    plane = Plane(config)
    async with plane.running():
        yield plane


async def begin(plane: Plane, ports: int = 4, **storm: Any) -> tuple[Job, Job]:
    """A sink and a storm to it, when the first events have come."""
    text = ",".join(map(str, free_ports(ports)))
    sink = await plane.fleet.start_sink({"ports": text})
    wish = {"target": "127.0.0.1", "ports": text, "eps": 5000, "workers": 1, "account": True, **storm}
    job = await plane.fleet.start_storm(wish)
    await holds(lambda: flows(sink))
    return sink, job


def flows(job: Job) -> int:
    if job.tool is None or job.tool.page is None:
        return 0
    return job.tool.page.value("events" if job.kind == "storm" else "received")


async def hit(job: Job, number: int) -> float:
    """Sends a signal; the seconds until another process carries events."""
    assert job.tool is not None
    before, begun = job.tool.pid, time.monotonic()
    os.kill(before, number)
    await holds(lambda: job.tool is not None and job.tool.pid != before and flows(job))
    return time.monotonic() - begun


async def ended(job: Job) -> None:
    await holds(lambda: not job.alive)


def outcomes(plane: Plane, job: str, kind: str = "healing") -> list[tuple[str, str]]:
    """The oldest first."""
    found = plane.journal.find(500, subject=job)
    return [(entry.action, entry.outcome) for entry in reversed(found) if entry.kind == kind]


def run(scene: Awaitable[None]) -> None:
    async def whole() -> None:
        async with asyncio.timeout(100):
            await scene

    asyncio.run(whole())


def test_a_killed_storm_sends_again(tmp_path: Path) -> None:
    async def scene() -> None:
        async with planes(tmp_path, settle=0.2) as plane:
            sink, storm = await begin(plane)
            await holds(lambda: storm.watch and storm.watch.figures.get("total_events"))
            took = await hit(storm, signal.SIGKILL)
            print(f"storm, kill -9: {1000 * took:.0f} ms")
            assert took < 10
            await holds(lambda: storm.healing["state"] == "well")
            assert storm.restarts == 1
            assert outcomes(plane, storm.id) == [("soft restart", "tried"), ("soft restart", "recovered")]
            total = await holds(lambda: storm.watch and storm.watch.figures["total_events"])
            own = flows(storm)
            assert total > own or storm.past[0]["events"] > 0
            await plane.fleet.stop(storm)
            await ended(storm)
            await holds(lambda: sink.tool and sink.tool.page and sink.tool.page.value("streams_ended") >= 4)
            await plane.fleet.stop(sink)
            await ended(sink)
            assert storm.result is not None
            assert sink.result is not None
            sent, taken = storm.result, sink.result
            assert (storm.state, sent["restarts"], sent["exact"]) == ("done", 1, False)
            # The page of the killed process is at most the batch short of which it did not get to count.
            assert taken["received"] <= sent["events"] + 5000
            assert sent["lost"] == max(0, sent["events"] - sent["received"] - sent["unreported"])
            assert sent["loss_ratio"] < 0.05
            assert taken["lost_elsewhere"] <= 0.05 * taken["sent"]

    run(scene())


def test_a_stopped_storm_is_noticed_and_replaced(tmp_path: Path) -> None:
    async def scene() -> None:
        async with planes(tmp_path) as plane:
            _, storm = await begin(plane)
            took = await hit(storm, signal.SIGSTOP)
            print(f"storm, SIGSTOP: {1000 * took:.0f} ms")
            assert took > 0.9
            first = plane.journal.find(500, kind="healing")[-1]
            assert "no sign of life" in first.why
            assert first.data["condition"] == "stuck"
            assert storm.past[0].get("killed") is None  # it could end as asked, and told all that it did

    run(scene())


def test_a_killed_sink_takes_again_and_its_account_stays_honest(tmp_path: Path) -> None:
    async def scene() -> None:
        async with planes(tmp_path) as plane:
            sink, storm = await begin(plane, eps=2000)
            await holds(lambda: flows(sink) > 3000)
            took = await hit(sink, signal.SIGKILL)
            print(f"sink, kill -9: {1000 * took:.0f} ms")
            await holds(lambda: flows(sink) > 4000)
            assert storm.restarts == 0
            await plane.fleet.stop(storm)
            await ended(storm)
            await plane.fleet.stop(sink)
            await ended(sink)
            assert storm.result is not None
            assert sink.result is not None
            sent, taken = storm.result["events"], sink.result
            assert taken["restarts"] == 1
            assert taken["received"] > 7000
            missing = sent - taken["received"]
            # What was sent while nobody listened is missing, and no more; not all that came before.
            assert missing <= 2000 * (took + 1.5)
            assert abs(taken["lost_elsewhere"] + taken["kernel_dropped"] - max(0, missing)) <= 200

    run(scene())


def test_a_killed_detector_goes_on_from_its_checkpoint(tmp_path: Path, engine_bundle: Path) -> None:
    lines = list(log_lines(20_000, seed=7))
    log = tmp_path / "app.log"

    async def scene(kill: bool) -> set[str]:
        log.write_text("".join(lines[:10_000]))
        config = ServeConfig(state=tmp_path / f"state-{kill}", read=(tmp_path, engine_bundle.parent))
        plane = Plane(config)
        async with plane.running():
            wish = {"bundle": str(engine_bundle), "sources": ["app.log"], "follow": True}
            job = await plane.fleet.start_detector(wish)
            await holds(lambda: job.tool and job.tool.page and job.tool.page.value("lines") == 10_000)
            if kill:
                assert job.tool is not None
                before, begun = job.tool.pid, time.monotonic()
                os.kill(before, signal.SIGKILL)
                await holds(lambda: job.tool is not None and job.tool.pid != before and not job.mending)
                print(f"detector, kill -9: {1000 * (time.monotonic() - begun):.0f} ms")
            with log.open("a") as file:
                file.write("".join(lines[10_000:]))
            await holds(lambda: not plane.alerts.read() and len(plane.alerts) > 100)
            await holds(lambda: job.tool and job.tool.page and job.tool.page.value("source_bytes"))
            size = log.stat().st_size
            await holds(lambda: position(job) >= size)
            await plane.fleet.stop(job)
            await ended(job)
            ids = [alert.id for alert in plane.alerts._alerts]
            assert len(ids) == len(set(ids)), "an alert came twice"
            assert job.restarts == (1 if kill else 0)
            return set(ids)

    def position(job: Job) -> int:
        """Bytes of the log that were read, by all processes: what was read twice counts twice."""
        now = job.tool.page.value("source_bytes") if job.tool and job.tool.page else 0
        return now + sum(int(process.get("source_bytes", 0)) for process in job.past)

    undisturbed, disturbed = asyncio.run(scene(False)), asyncio.run(scene(True))
    assert disturbed == undisturbed
    assert undisturbed


def test_a_port_that_somebody_takes_is_waited_for(tmp_path: Path) -> None:
    async def scene() -> None:
        async with planes(tmp_path) as plane:
            sink, _ = await begin(plane, ports=1)
            assert sink.tool is not None
            port = int(sink.view()["settings"]["ports"])
            before = sink.tool.pid
            os.kill(before, signal.SIGKILL)
            # Without a turn of the event loop in between: nobody is faster.
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as thief:
                until(lambda: can_bind(thief, port))
                waits = await holds(lambda: sink.healing["step"] == "wait for port" and dict(sink.healing))
                assert "in use" in waits["why"]
                assert sink.alive
                await asyncio.sleep(0.6)
                assert sink.tool is None
            await holds(lambda: sink.tool is not None and sink.tool.pid != before and flows(sink))
            steps = outcomes(plane, sink.id)
            assert ("wait for port", "tried") in steps
            assert steps[-1] == ("soft restart", "recovered")
            assert sink.restarts == 1

    def can_bind(thief: socket.socket, port: int) -> bool:
        try:
            thief.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True

    run(scene())


def test_a_crash_loop_ends(tmp_path: Path) -> None:
    async def scene() -> None:
        async with planes(tmp_path) as plane:
            _, storm = await begin(plane)
            killed = set()
            while storm.alive:
                if storm.tool is not None and storm.tool.pid not in killed:
                    killed.add(storm.tool.pid)
                    os.kill(storm.tool.pid, signal.SIGKILL)
                await asyncio.sleep(0.005)
            assert storm.state == "failed"
            assert storm.error is not None
            assert "given up" in storm.error
            assert 3 <= len(killed) <= 4  # soft, hard, and to another processor where there is one
            steps = [action for action, outcome in outcomes(plane, storm.id) if outcome == "tried"]
            assert steps[:2] == ["soft restart", "hard restart"]
            assert outcomes(plane, storm.id)[-1] == ("give up", "failed")
            assert storm.result is not None
            assert storm.result["events"] >= 0

    run(scene())


def test_many_at_once_are_an_emergency(tmp_path: Path) -> None:
    async def scene() -> None:
        told: list[tuple[Any, ...]] = []
        async with planes(tmp_path, emergency_above=1) as plane:
            plane.notifier.tell = lambda *said: told.append(said)  # type: ignore[method-assign]
            _, first = await begin(plane)
            others = [(await begin(plane))[1] for _ in range(2)]
            storms = [first, *others]
            for storm in (first, others[0]):
                assert storm.tool is not None
                os.kill(storm.tool.pid, signal.SIGKILL)
            for storm in storms:
                await ended(storm)
                assert storm.error is not None
                assert "emergency stop of 3 storms" in storm.error
            (entry,) = [e for e in plane.journal.find(500, kind="healing") if e.action == "emergency stop"]
            report = json.loads(Path(entry.data["report"]).read_text())
            assert sorted(report["stopped"]) == sorted(storm.id for storm in storms)
            assert len(report["unwell"]) == 2
            assert [said[:4] for said in told if said[0] == "emergency"] == [
                ("emergency", "storms", "fired", "critical")
            ]
            assert all(sink.state == "running" for sink in plane.fleet.jobs("sink"))
            # And after it a storm can be begun and is healed again.
            _, later = await begin(plane)
            await hit(later, signal.SIGKILL)

    run(scene())


def test_the_rest_of_a_count_and_of_a_duration(tmp_path: Path) -> None:
    async def scene() -> None:
        async with planes(tmp_path) as plane:
            begun = time.monotonic()
            _, counted = await begin(plane, count=50_000, eps=10_000)
            await hit(counted, signal.SIGKILL)
            _, timed = await begin(plane, duration=6)
            await hit(timed, signal.SIGKILL)
            for storm in (counted, timed):
                await ended(storm)
                assert (storm.state, storm.error, storm.restarts) == ("done", None, 1)
            assert counted.result is not None
            assert counted.result["events"] == 50_000
            assert time.monotonic() - begun < 25  # and not six seconds from the restart on, nor for ever

    run(scene())


def test_what_an_operator_stops_is_not_healed(tmp_path: Path) -> None:
    async def scene() -> None:
        async with planes(tmp_path, restart_backoff=20) as plane:
            _, storm = await begin(plane)
            await plane.fleet.set_rate(storm, 3000)
            await plane.fleet.stop(storm)
            await ended(storm)
            assert (storm.state, storm.restarts) == ("done", 0)
            assert outcomes(plane, storm.id) == []
            assert [action for action, _ in outcomes(plane, storm.id, "operator")] == [
                "start",
                "rate",
                "stop",
            ]

            # While it waits to be begun anew, a stop is a stop, and a rate is the next one's.
            _, waiting = await begin(plane)
            await hit(waiting, signal.SIGKILL)
            await holds(lambda: not waiting.mending)
            assert waiting.tool is not None
            os.kill(waiting.tool.pid, signal.SIGKILL)
            await holds(lambda: waiting.mending and waiting.tool is not None)
            await plane.fleet.set_rate(waiting, "7k")
            assert waiting.settings.eps == 7000  # type: ignore[union-attr]
            await plane.fleet.stop(waiting)
            await ended(waiting)
            assert waiting.state == "done" or "SIGKILL" in (waiting.error or "")

    run(scene())


def test_a_paused_storm_stays_paused(tmp_path: Path) -> None:
    async def scene() -> None:
        async with planes(tmp_path) as plane:
            _, storm = await begin(plane)
            await plane.fleet.pause(storm)
            assert storm.tool is not None
            before = storm.tool.pid
            os.kill(before, signal.SIGKILL)
            await holds(lambda: storm.tool is not None and storm.tool.pid != before and not storm.mending)
            assert storm.state == "paused"
            assert storm.tool is not None
            assert storm.tool.page is not None
            assert storm.tool.page.value("paused") == 1
            await plane.fleet.resume(storm)
            sent = flows(storm)
            await holds(lambda: flows(storm) > sent)

    run(scene())


def test_kpis_see_the_outage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("haechi.serve.watch.SETTLE_S", 0.5)

    async def scene() -> None:
        async with planes(tmp_path, stuck_after=1.5) as plane:
            _, storm = await begin(plane)
            await holds(lambda: storm.watch and len(storm.watch.history) > 2)
            await hit(storm, signal.SIGSTOP)
            seen = len(storm.watch.history) if storm.watch else 0
            await holds(lambda: storm.watch and len(storm.watch.history) > seen + 1)
            (kpis,) = plane.kpis()
            assert kpis["uptime_percentage"] < 100
            assert kpis["mtbf_hours"] is not None

    run(scene())


def test_events_and_switches_over_http_and_after_a_restart(tmp_path: Path) -> None:
    with serving(tmp_path, tuning={"enabled": False}) as plane:
        ports = str(free_ports(1)[0])
        plane.post("/sinks", {"ports": ports})
        storm = plane.post("/storms", {"target": "127.0.0.1", "ports": ports, "eps": 1000, "workers": 1})
        assert (storm["restarts"], storm["healing"]["state"]) == (0, "well")
        path = f"/storms/{storm['id']}"
        answer = plane.client.put(f"{path}/healing", json={"enabled": False})
        assert (answer.status_code, answer.json()["enabled"]) == (200, False)
        assert plane.client.put(f"{path}/tuning", json={"enabled": True}).status_code == 200
        assert plane.client.put("/storms/storm-9/healing", json={"enabled": True}).status_code == 404
        assert plane.client.put(f"{path}/dancing", json={"enabled": True}).status_code in (404, 422)
        pids = {pid: Path(f"/proc/{pid}/comm").read_text() for pid in plane.children()}
        (pid,) = [pid for pid, name in pids.items() if "storm" in name]
        os.kill(pid, signal.SIGKILL)
        until(lambda: plane.get(path)["state"] == "failed")
        assert plane.client.put(f"{path}/healing", json={"enabled": True}).status_code == 409
        page = plane.get("/events", subject=storm["id"], limit=2)
        assert [event["kind"] for event in page["events"]] == ["end", "operator"]
        older = plane.get("/events", subject=storm["id"], before=page["next"])
        assert older["events"][-1]["action"] == "start"
        last = page["events"][0]["number"]
        assert plane.end() == 0
    with serving(tmp_path) as plane:
        found = plane.get("/events", kind="operator")["events"]
        assert {event["subject"] for event in found} == {"sink-1", storm["id"]}
        ports = str(free_ports(1)[0])
        plane.post("/sinks", {"ports": ports})
        assert plane.get("/events", limit=1)["events"][0]["number"] > last


@pytest.mark.parametrize("setting", ["burst_us", "workers"])
def test_a_real_adjustment_is_made_judged_and_undone(
    tmp_path: Path, setting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The figures are made up, so that it does not take an overloaded machine; the storm is real."""

    async def scene() -> None:
        most = 1700 if setting == "burst_us" else 850
        tuning = TuningConfig(interval=1, burst_us_most=most, workers_most=2)
        async with planes(tmp_path, tuning=tuning) as plane:
            _, storm = await begin(plane)
            assert storm.tool is not None
            before = storm.tool.pid
            monkeypatch.setattr(plane, "tick", lambda: None)
            moments = iter(range(1000, 100_000))

            def look(percent: float) -> None:
                if storm.watch is not None and storm.tool is not None and storm.tool.page is not None:
                    storm.watch.read(storm.tool.page, time.monotonic())
                    storm.watch.rate_percent = percent  # type: ignore[union-attr]
                    plane.tuner.look(float(next(moments)) / 2)

            def outcome(wanted: str, percent: float) -> bool:
                look(percent)
                return (setting, wanted) in outcomes(plane, storm.id, "tuning")

            await holds(lambda: outcome("tried", 80))
            assert storm.tuning["trial"]["setting"] == setting
            assert storm.tuned[setting] == (1700 if setting == "burst_us" else 2)
            await holds(lambda: outcome("undone", 80))
            await holds(lambda: not storm.mending and storm.tool is not None and flows(storm))
            assert storm.tuned == {}
            restarts = {"burst_us": 0, "workers": 2}[setting]
            assert storm.restarts == restarts
            assert (storm.tool.pid == before) == (restarts == 0)
            assert storm.state == "running"

    run(scene())


def test_the_time_to_recovery_is_measured() -> None:
    took = measure_recovery(2, streams=4, eps=5000)
    print(f"measured: {[round(ms) for ms in took]} ms")
    assert len(took) == 2
    assert all(0 < ms < 10_000 for ms in took)


def test_one_that_goes_on_failing_is_left_running_and_is_well_when_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The errors are made up: a system that refuses a datagram to loopback is hard to come by."""
    seen, fails, errors = vitals.signs, [True], iter(range(1_000_000))

    def signs(job: Job, pulse: Pulse, at: float) -> Signs:
        found = seen(job, pulse, at)
        return replace(found, errors=next(errors) if fails[0] and job.kind == "storm" else found.errors)

    monkeypatch.setattr(vitals, "signs", signs)

    async def scene() -> None:
        async with planes(tmp_path, failing_after=0.5) as plane:
            _, storm = await begin(plane)
            await holds(lambda: storm.healing["state"] == "given_up")
            first = plane.journal.find(500, subject=storm.id, kind="healing")[-1]
            assert "sends have failed" in first.why
            assert storm.state == "running"
            assert storm.restarts == len([o for _, o in outcomes(plane, storm.id) if o == "recovered"]) >= 2
            sent = flows(storm)
            await holds(lambda: flows(storm) > sent)
            fails[0] = False
            await holds(lambda: storm.healing["state"] == "well")
            assert storm.error is None

    run(scene())


def test_one_that_stands_still_while_it_stops_is_killed(tmp_path: Path) -> None:
    async def scene() -> None:
        async with planes(tmp_path) as plane:
            # Nobody answers its end marks, so it takes a second and a half to stop.
            port = str(free_ports(1)[0])
            wish = {"target": "127.0.0.1", "ports": port, "eps": 1000, "workers": 1, "account": True}
            storm = await plane.fleet.start_storm(wish)
            await holds(lambda: flows(storm))
            await plane.fleet.stop(storm)
            assert storm.tool is not None
            os.kill(storm.tool.pid, signal.SIGSTOP)
            await ended(storm)
            assert storm.restarts == 0
            assert ("kill", "done") in outcomes(plane, storm.id)

    run(scene())


def test_a_server_that_ends_while_it_heals_leaves_nothing_behind(tmp_path: Path) -> None:
    async def scene() -> None:
        async with planes(tmp_path) as plane:
            sink, storm = await begin(plane)
            for job in (sink, storm):
                assert job.tool is not None
                os.kill(job.tool.pid, signal.SIGKILL)
            await holds(lambda: sink.mending or storm.mending)
        assert not any(job.alive for job in (sink, storm))
        assert not any(job.mending or job.tool for job in (sink, storm))

    run(scene())
