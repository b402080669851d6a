"""Users in the engine: where they never were, on hosts and with processes; for any workers and restarts."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from haechi.bundle.manifest import Other
from haechi.bundle.store import TEMPLATES, Bundle, entry_of, write
from haechi.config.training import CombosConfig
from haechi.native._core import Matcher, Miner
from haechi.train import combos
from tests.integration.engine_room import Judged, judge, make_bundle, need_engine, stamp
from tests.integration.test_engine_combos import SCHEMA, reported
from tests.integration.test_engine_crash import restarted

LINES = 12_000
HOSTS = {"web1": ("alice", "deploy"), "web2": ("bob", "deploy"), "db1": ("postgres", "carol")}
SSHD = (
    "Accepted password for {user} from 10.0.0.{n} port {m} ssh2",
    "session opened for user {user}(uid={n}) by (uid=0)",
    "authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=10.0.0.{n} user={user}",
    "Connection closed by 10.0.0.{n} port {m}",
)
SUDO = ("{user} : TTY=pts/{n} ; PWD=/home ; USER=root ; COMMAND=/bin/ls {m}", "closed for user {user}")
RULES = {"new_user_of_host", "new_user_of_process"}


@pytest.fixture(scope="module", autouse=True)
def engine() -> None:
    need_engine()


def message(text: str, user: str, draw: random.Random) -> str:
    return text.format(user=user, n=draw.randrange(1, 250), m=draw.randrange(1024, 60_000))


def line(n: int, host: str, process: str, text: str) -> str:
    return f"{stamp(n * 0.1)} {host} {process}[7]: {text}\n"


def traffic(seed: int, count: int = LINES) -> list[str]:
    draw = random.Random(seed)
    made = []
    for n in range(count):
        host = draw.choice(list(HOSTS))
        user = draw.choice(HOSTS[host])
        process = "sudo" if user != "deploy" and draw.random() < 0.3 else "sshd"
        text = draw.choice(SUDO if process == "sudo" else SSHD)
        made.append(line(n, host, process, message(text, user, draw)))
    return made


def odd_traffic() -> list[str]:
    """A user of one host on another, twice; one that nobody knows; one with a process he never used."""
    lines, draw = traffic(2), random.Random(9)
    for n in (1000, 4000):
        lines[n] = line(n, "web2", "sshd", message(SSHD[0], "alice", draw))
    lines[2000] = line(2000, "db1", "sshd", message(SSHD[2], "mallory", draw))
    lines[3000] = line(3000, "web1", "sudo", message(SUDO[1], "deploy", draw))
    return lines


def bundle_with(folder: Path, log: Path, config: CombosConfig) -> Bundle:
    base = make_bundle(folder / "base", deeplog=None)
    miner = Miner()
    miner.learn_log(log.read_bytes(), "iso")
    templates = miner.finish()
    entry = combos.learn([log], "iso", templates, LINES, config)
    assert entry is not None
    files = {TEMPLATES: templates, **entry.files}
    known = len(Matcher(templates))
    manifest = json.loads(base.manifest.model_dump_json())
    manifest["log_keys"] = known
    manifest["detectors"][0]["trained_keys"] = list(range(known))
    manifest["files"] = {name: entry_of(content).model_dump() for name, content in files.items()}
    made = type(base.manifest).model_validate(manifest)
    section = Other.model_validate(entry.section)
    return write(folder / "bundles", made.model_copy(update={"detectors": (*made.detectors, section)}), files)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("users") / "normal.log"
    path.write_text("".join(traffic(1)))
    return path


@pytest.fixture(scope="module")
def bundle(log: Path) -> Bundle:
    return bundle_with(log.parent, log, CombosConfig())


@pytest.fixture(scope="module")
def lines() -> list[str]:
    return odd_traffic()


@pytest.fixture(scope="module")
def usual(bundle: Bundle, lines: list[str], tmp_path_factory: pytest.TempPathFactory) -> Judged:
    folder = tmp_path_factory.mktemp("usual")
    (folder / "app.log").write_text("".join(lines))
    return judge(bundle.path, folder, [folder / "app.log"])


def test_training_knows_where_users_stand(bundle: Bundle) -> None:
    text = json.loads(bundle.file(combos.FILE))
    matcher = Matcher(bundle.file(TEMPLATES))
    words = {matcher.text(key): one["word"] for one in text["users"] for key in one["keys"]}
    for template, word in words.items():
        assert word == ("for" if template.startswith("Accepted") else "user"), template
    assert len(words) >= 4
    assert not any(template.startswith("Connection closed") for template in words)


def test_reports_new_users_once(usual: Judged) -> None:
    assert usual.status == 0, usual.stderr
    found = sorted(
        (alert for alert in usual.alerts if alert["rule"] in RULES),
        key=lambda alert: (str(alert["time"]), str(alert["rule"])),
    )
    about = [
        (
            alert["rule"],
            alert["detail"].get("host") or alert["detail"].get("process"),
            alert["detail"]["user"],
        )
        for alert in found
    ]
    assert about == [
        ("new_user_of_host", "web2", "alice"),
        ("new_user_of_host", "db1", "mallory"),
        ("new_user_of_process", "sshd", "mallory"),
        ("new_user_of_process", "sudo", "deploy"),
    ]
    for alert in found:
        SCHEMA.validate(alert)
        assert alert["score"] >= alert["threshold"] > 0
    known, unknown, _, process = found
    assert known["reason"] == (
        'The host web2 was never seen with the user alice; usual there are "deploy", "bob", '
        'and that user is usual on "web1".'
    ) or known["reason"] == (
        'The host web2 was never seen with the user alice; usual there are "bob", "deploy", '
        'and that user is usual on "web1".'
    )
    assert unknown["reason"].endswith("and nothing is known of that one.")
    assert unknown["detail"]["user_usual"] == []
    assert sorted(known["detail"]["host_usual"]) == ["bob", "deploy"]
    assert process["detail"]["pair"] == "process_user"
    assert len(usual.alerts) == len(found)


def test_normal_lines_are_quiet(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "app.log").write_text("".join(traffic(3)))
    assert judge(bundle.path, tmp_path / "run", [tmp_path / "app.log"]).alerts == []


@pytest.mark.parametrize(
    "change", [{"workers": 3}, {"batch_bytes": 4096}, {"workers": 4, "batch_bytes": 8192}], ids=str
)
def test_same_alerts(change: dict[str, Any], bundle: Bundle, usual: Judged, tmp_path: Path) -> None:
    source = Path(usual.alerts[0]["lines"][0]["source"])  # an alert's id holds which file its line is in
    other = judge(bundle.path, tmp_path / "other", [source], **change)
    assert sorted(reported(other.alerts)) == sorted(reported(usual.alerts))


def test_what_was_reported_outlives_a_restart(
    bundle: Bundle, lines: list[str], usual: Judged, tmp_path: Path
) -> None:
    alerts = restarted(bundle.path, tmp_path, lines, (1, 3, 2))
    again, once = ([one[1:] for one in reported(of)] for of in (alerts, usual.alerts))
    assert sorted(again) == sorted(once)


def test_without_users_nothing_is_said_of_them(log: Path, lines: list[str], tmp_path: Path) -> None:
    other = bundle_with(tmp_path / "off", log, CombosConfig(users=False))
    assert "users" not in json.loads(other.file(combos.FILE))
    (tmp_path / "app.log").write_text("".join(lines))
    alerts = judge(other.path, tmp_path / "run", [tmp_path / "app.log"]).alerts
    assert not RULES & {alert["rule"] for alert in alerts}


@pytest.mark.parametrize(
    "change",
    [
        lambda one: [one | {"word": ""}],
        lambda one: [one | {"word": "x" * 33}],
        lambda one: [one | {"keys": [9999]}],
        lambda one: [one | {"keys": [0.5]}],
        lambda one: [one, one],
        lambda one: [one | {"keys": []}] * 65,
    ],
)
def test_bad_words_are_refused(
    change: Callable[[dict[str, Any]], list[dict[str, Any]]], bundle: Bundle, tmp_path: Path
) -> None:
    files = {name: bundle.file(name) for name in bundle.manifest.files}
    text = json.loads(files[combos.FILE])
    files[combos.FILE] = json.dumps(text | {"users": change(text["users"][0])}).encode()
    listed = {name: entry_of(content) for name, content in files.items()}
    bad = write(tmp_path / "bad", bundle.manifest.model_copy(update={"files": listed}), files)
    (tmp_path / "app.log").write_text("")
    refused = judge(bad.path, tmp_path / "run", [tmp_path / "app.log"])
    assert refused.status != 0
    assert combos.FILE in refused.stderr and '"users"' in refused.stderr
