"""For a trial of a detector: a bundle that learned from the storm's own normal lines, and what its alerts are
worth."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from haechi.bundle import store
from haechi.config.load import load_yaml
from haechi.config.storm import StormConfig
from haechi.config.training import SessionConfig, TrainingConfig
from haechi.config.values import read_ports
from haechi.native.running import text_in_memory
from haechi.native.tools import Process
from haechi.storm import profile as profiles
from haechi.trial.records import Episode, read_alerts, read_episodes
from haechi.trial.scenario import StormSection, TargetSection
from haechi.trial.score import Score, score

IDLE_S = 1
TRAIN_EPS = 500_000
TRAIN_END_S = 300.0
UNDECIDED = "undecided"
OTHER_SEED = 1_000_000  # away from the storms' own


def learn(storm: StormSection, target: TargetSection, ports: str, highest_eps: float, folder: Path) -> Path:
    """A bundle trained for the trial. ToolError, and what training raises."""
    from haechi.train import run as train

    log = folder / "train.log"
    _write_log(log, storm, target, ports)
    return train([log], folder / "bundles", _training(target, highest_eps)).bundle


def _training(target: TargetSection, highest_eps: float) -> TrainingConfig:
    """As the user has it, or with the sessions that a fast storm's syslog has."""
    if target.train_config is not None:
        return load_yaml(target.train_config, TrainingConfig)
    open_at_once = 1 << math.ceil(math.log2(max(131_072.0, highest_eps * IDLE_S)))
    session = SessionConfig(
        by="fields", fields=("host", "process", "pid"), idle_s=IDLE_S, max_open=open_at_once
    )
    return TrainingConfig().model_copy(update={"session": session})


def _write_log(log: Path, storm: StormSection, target: TargetSection, ports: str) -> None:
    """What the storm would send to as many ports, without anomalies, at once into a file."""
    config = StormConfig.model_validate(
        {
            "profile": storm.profile,
            "form": storm.form,
            "seed": (storm.seed + OTHER_SEED) % 2**64,
            "sessions": storm.sessions,
            "eps": TRAIN_EPS,
            "count": target.train_lines,
            "workers": 1,
            "output": log,
        }
    )
    with ExitStack() as opened:
        fd = opened.enter_context(text_in_memory(profiles.render(profiles.load(storm.profile))))
        # A file has no ports by the configuration, but the tool makes its sessions as it does for these.
        names = f"{20_000}-{20_000 + len(read_ports(ports)) - 1}"
        tool = {**config.tool_config(f"/dev/fd/{fd}"), "ports": names}
        process = opened.enter_context(Process.start("haechi-storm", tool, pass_fds=(fd,)))
        process.finish(TRAIN_END_S)


def scored(
    alerts: Path,
    truths: Sequence[Path | None],
    bundle: Path,
    ended_s: Sequence[float],
    ignored: Sequence[str],
) -> Score:
    """Alerts against all that the storms hid. ended_s: of each storm, the time of its last line. Episodes
    too near its end to have shown count for nothing."""
    grace_s = store.read(bundle).manifest.session.idle_s + 1
    episodes = list(_episodes(truths, ended_s, grace_s))
    return score(read_alerts(alerts), episodes, grace_s, (*ignored, UNDECIDED))


def _episodes(truths: Sequence[Path | None], ended_s: Sequence[float], grace_s: float) -> Iterator[Episode]:
    for number, (truth, end) in enumerate(zip(truths, ended_s, strict=False)):
        for episode in read_episodes(truth) if truth is not None else ():
            named = replace(episode, id=f"{number}:{episode.id}")  # each storm counts from one
            decided = episode.complete and episode.last_time_s <= end - grace_s
            yield named if decided else replace(named, kind=UNDECIDED)
