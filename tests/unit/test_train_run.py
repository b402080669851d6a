"""Log files in, a bundle out; and what a user is told when that cannot be."""

import json
import random
from pathlib import Path

import pytest

from haechi.bundle.store import read
from haechi.config.load import ConfigError, load_yaml
from haechi.config.training import TrainingConfig
from haechi.train import TrainError, TrainResult, run

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
QUICK = {
    "model": {"embedding": 8, "hidden": 16},
    "fit": {"min_steps": 40, "max_steps": 40},
    "threshold": {"folds": 2},
}
LOGIN = ["connection opened from gate", "password accepted", "session started", "session closed"]


def log(folder: Path, sessions: int, name: str = "app.log") -> Path:
    draw = random.Random(1)
    rows = []
    for i in range(sessions):
        start = i * 30
        for step, text in enumerate(LOGIN):
            at = start + step + draw.random() / 2
            rows.append((at, f"host1 sshd[{1000 + i}]: {text}"))
    rows.sort()
    lines = [
        f"2025-03-01T{int(at) // 3600:02}:{int(at) // 60 % 60:02}:{at % 60:06.3f}Z {text}\n"
        for at, text in rows
    ]
    path = folder / name
    path.write_text("".join(lines))
    return path


def config(**changes: object) -> TrainingConfig:
    return TrainingConfig.model_validate({**QUICK, **changes})


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> TrainResult:
    folder = tmp_path_factory.mktemp("train")
    return run([log(folder, 300)], folder / "bundles", config(), parent="0123456789abcdef")


def test_result_and_bundle_agree(trained: TrainResult) -> None:
    bundle = read(trained.bundle)
    manifest = bundle.manifest
    assert bundle.digest == trained.digest == trained.bundle.name
    assert (manifest.corpus.sources, manifest.corpus.lines) == (("app.log",), 1200)
    assert (trained.lines, trained.malformed, trained.sessions, trained.events) == (1200, 0, 300, 1200)
    assert trained.log_keys == len(bundle.templates) == 4
    assert manifest.parent == "0123456789abcdef"
    assert manifest.corpus.time_from == "2025-03-01T00:00:00Z"
    assert manifest.session.by == "fields"
    assert "pid" in manifest.session.fields
    assert manifest.session.idle_s == trained.idle_s == 60
    assert manifest.new_event.trained_keys == (0, 1, 2, 3)
    detector = manifest.deeplog
    assert (detector.begin, detector.end, detector.unseen) == (4, 5, 6)
    assert 0 <= detector.session_surprise < detector.event_surprise < 20
    assert detector.validation["sessions"] == 300
    assert not list(trained.bundle.parent.glob(".*"))


def test_only_created_differs_between_two_runs(tmp_path: Path, trained: TrainResult) -> None:
    again = run([log(tmp_path, 300)], tmp_path / "bundles", config(), parent="0123456789abcdef")
    one, two = (json.loads((r.bundle / "manifest.json").read_text()) for r in (trained, again))
    assert {**one, "created": ""} == {**two, "created": ""}


def test_the_session_rule_that_was_asked_for_is_used(tmp_path: Path) -> None:
    path = log(tmp_path, 60)
    for session, rule in [
        ({"by": "time", "seconds": 600, "idle_s": 120}, "every 600 s"),
        ({"by": "all"}, "all lines as one session"),
        ({"by": "fields", "fields": ["host", "pid"]}, "host+pid"),
    ]:
        result = run([path], tmp_path / "bundles", config(session=session))
        assert result.session_rule == rule
    assert "The logs hold few sessions" not in " ".join(result.notes)
    assert "too few to show that at most 0.10%" in " ".join(result.notes)


def test_several_files_are_one_log(tmp_path: Path) -> None:
    whole = log(tmp_path, 60).read_text().splitlines(keepends=True)
    parts = [tmp_path / "1.log", tmp_path / "2.log"]
    parts[0].write_text("".join(whole[:101]))
    parts[1].write_text("".join(whole[101:]))
    result = run(parts, tmp_path / "bundles", config())
    assert (result.lines, result.sessions) == (240, 60)
    assert read(result.bundle).manifest.corpus.sources == ("1.log", "2.log")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no lines to learn from"),
        (b"a line of text\n" * 10, "hold 10 events in 1 sessions; at least 100 events are needed"),
        (bytes(range(256)) * 8 + bytes(4096), "is not a text log"),
    ],
)
def test_logs_of_no_use_are_refused_in_a_sentence(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "bad.log"
    path.write_bytes(content)
    with pytest.raises(TrainError, match=message):
        run([path], tmp_path / "bundles", config())
    assert not (tmp_path / "bundles").exists()


def test_other_refusals(tmp_path: Path) -> None:
    with pytest.raises(TrainError, match="no log files"):
        run([], tmp_path, config())
    with pytest.raises(TrainError, match=r"nothing\.log: cannot be read"):
        run([tmp_path / "nothing.log"], tmp_path, config())
    path = log(tmp_path, 40)
    (tmp_path / "taken").write_text("")
    with pytest.raises(TrainError, match="cannot write the bundle"):
        run([path], tmp_path / "taken", config())
    with pytest.raises(TrainError, match="does not fit"):
        run([path], tmp_path / "b", config(format="{time:%s} {message}"))


def test_the_shipped_configuration_is_the_defaults() -> None:
    assert load_yaml(CONFIGS / "training.yaml", TrainingConfig) == TrainingConfig()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("window: {size: 0}", "window.size: 0 is not at least 2"),
        ("session: {by: fields}", 'session: by "fields" needs fields'),
        ("session: {by: value}", 'session: by "value" needs a prefix'),
        ("session: {by: magic}", "session.by: 'magic' is none of"),
        ("session: {idle_s: 0}", 'idle_s 0 is not "auto" or a number of seconds from 0.01 to 86400'),
        ("fit: {min_steps: 10, max_steps: 5}", "min_steps 10 is more than max_steps 5"),
        ("threshold: {budget: 1.5}", "threshold.budget: 1.5 is not below 1"),
        ("treshold: {budget: 0.1}", "treshold: is not a key here; did you mean threshold?"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "training.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as refusal:
        load_yaml(path, TrainingConfig)
    assert f"{path}: " in str(refusal.value)
    assert message in str(refusal.value)
