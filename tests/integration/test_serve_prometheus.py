"""Prometheus and Grafana: every metric that dashboards and rules name is there, and a real scrape."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from tests.integration.serve_room import Serving, serving, until
from tests.integration.sink_room import free_ports

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
DASHBOARDS = sorted((DEPLOY / "grafana").glob("*.json"))
RULES = DEPLOY / "prometheus" / "haechi.rules.yml"
GIVEN = {
    "log_generator_current_eps",
    "log_generator_total_events",
    "log_generator_cpu_usage_percent",
    "log_generator_memory_usage_bytes",
    "log_generator_network_tx_bytes_total",
    "log_generator_packet_loss_percent",
    "log_generator_worker_eps",
    "log_generator_worker_errors_total",
}


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory, engine_bundle: Path) -> Iterator[Serving]:
    """With one of each kind running, and one alert."""
    folder = tmp_path_factory.mktemp("scraped")
    (folder / "app.log").write_text("2026-01-05T00:00:00.000000Z web1 app[1]: nobody has ever seen this\n")
    settings = {"read": [str(folder), str(engine_bundle)], "requests_per_second": 1000}
    with serving(folder, **settings) as running:
        ports = ",".join(map(str, free_ports(2)))
        running.post("/sinks", {"ports": ports})
        storm = {"target": "127.0.0.1", "ports": ports, "account": True, "eps": 5000, "workers": 1}
        running.post("/storms", storm)
        wish = {"bundle": str(engine_bundle), "sources": ["app.log"], "follow": True}
        running.post("/detectors", wish)
        until(lambda: running.get("/alerts")["kept"])
        shown = (
            "log_generator_packet_loss_percent{",
            "haechi_sink_current_eps{",
            "haechi_detect_current_eps{",
        )
        until(lambda: all(name in running.client.get("/metrics").text for name in shown))
        yield running


def samples(text: str) -> dict[str, set[str]]:
    """Name -> the names of its labels."""
    found: dict[str, set[str]] = {}
    for line in text.splitlines():
        if match := re.match(r"([a-z_]+)(?:\{(.*)\})? \S+$", line):
            found.setdefault(match[1], set()).update(re.findall(r'(\w+)="', match[2] or ""))
    return found


def expressions() -> list[tuple[str, str]]:
    found = [
        (path.name, target["expr"])
        for path in DASHBOARDS
        for panel in json.loads(path.read_text())["panels"]
        for target in panel["targets"]
    ]
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return found + [(RULES.name, rule["expr"]) for group in groups for rule in group["rules"]]


def test_every_metric_that_is_named_is_there(plane: Serving) -> None:
    there = samples(plane.client.get("/metrics").text)
    assert set(there) >= GIVEN
    assert there["log_generator_worker_eps"] >= {"worker_id", "port"}
    assert there["log_generator_worker_errors_total"] >= {"worker_id", "port", "error_type"}
    named = set()
    for source, expression in expressions():
        for metric in re.findall(r"\b((?:log_generator|haechi)_\w+)", expression):
            assert metric in there, f"{source}: {metric}"
            named.add(metric)
    assert len(named) > 30
    assert {path.stem for path in DASHBOARDS} == {"storm", "sink", "detect", "serve"}


def test_dashboards_ask_for_labels_that_are_there(plane: Serving) -> None:
    there = samples(plane.client.get("/metrics").text)
    for path in DASHBOARDS:
        board = json.loads(path.read_text())
        for panel in board["panels"]:
            for target in panel["targets"]:
                metrics = re.findall(r"\b((?:log_generator|haechi)_\w+)", target["expr"])
                labels = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
                labels |= set(re.findall(r'(\w+)=~"\$', target["expr"]))
                assert labels <= there[metrics[0]], f"{path.name}: {panel['title']}"


@pytest.fixture(scope="module")
def prometheus() -> Path:
    done = subprocess.run([DEPLOY / "prometheus" / "fetch.sh"], capture_output=True, text=True, timeout=300)
    if done.returncode:
        pytest.skip(done.stderr.strip())
    return Path(done.stdout.strip()) / "usr" / "bin"


def test_promtool_finds_nothing_wrong(prometheus: Path, plane: Serving) -> None:
    promtool = prometheus / "promtool"
    subprocess.run([promtool, "check", "config", DEPLOY / "prometheus" / "prometheus.yml"], check=True)
    subprocess.run([promtool, "check", "rules", RULES], check=True)
    text = plane.client.get("/metrics").content
    done = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True)
    # 3: advice on names, such as that of total_events, which is given; 1: the format is wrong.
    assert done.returncode in (0, 3), done.stderr


def test_a_real_prometheus_scrapes_it(prometheus: Path, plane: Serving, tmp_path: Path) -> None:
    text = (DEPLOY / "prometheus" / "prometheus.yml").read_text()
    config = yaml.safe_load(text)
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(RULES)]
    config["scrape_configs"][0]["static_configs"] = [{"targets": [f"127.0.0.1:{plane.port}"]}]
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config))
    (port,) = free_ports(1)
    command = [
        str(prometheus / "prometheus"),
        f"--config.file={tmp_path}/prometheus.yml",
        f"--storage.tsdb.path={tmp_path}/data",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=error",
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:

        def value(query: str) -> float | None:
            try:
                answer = httpx.get(f"http://127.0.0.1:{port}/api/v1/query", params={"query": query})
                result = answer.json()["data"]["result"]
            except (httpx.HTTPError, KeyError, ValueError):
                return None
            return float(result[0]["value"][1]) if result else None

        until(lambda: value("sum(log_generator_current_eps)"))
        assert value("up") == 1
        assert until(lambda: value("count(log_generator_worker_eps)")) == 2
        groups = httpx.get(f"http://127.0.0.1:{port}/api/v1/rules").json()["data"]["groups"]
        assert {rule["health"] for group in groups for rule in group["rules"]} <= {"ok", "unknown"}
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
