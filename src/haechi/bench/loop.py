"""`haechi bench loop`: a storm with labelled anomalies at a detector over UDP on this machine, and its score.

The bundle learns from a log of the same storm without anomalies: the same profile, form and ports, at a
quieter rate, since a faster storm has more sessions and each of them speaks about as often (40 ports
that take turns of 0.85 ms: every 34 ms). Its settings are what anyone would choose for such traffic; none of
them looks at a label:

    session.by: fields [host, process, pid]   what a syslog line has
    session.idle_s: 1                         the least there is; thirty times what a session pauses
    session.max_open: a second's events       four of ten lines begin a session, each is held for idle_s more

Then the storm: first 3 s of it at the rate asked for. Where that loses an event, or the detector falls
behind, the highest rate that does neither is searched by bisection (NDR), and the highest at which at most
0.5 % are lost (PDR). The scored run is at the rate asked for where that was carried, else at 95 % of the NDR
(--at).

Scored are the episodes that detectors exist for. Values, bursts and silences are made too and left out of the
score, with the alerts that they raise, and so are episodes that had no time to show before the storm ended.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import click

from haechi.bench.ending import term_interrupts
from haechi.bench.fire import Fire, fire
from haechi.bench.spread import Number
from haechi.config.storm import StormConfig
from haechi.config.training import SessionConfig, TrainingConfig
from haechi.native.running import text_in_memory
from haechi.native.tools import Process
from haechi.storm import profile as profiles
from haechi.train import TrainResult
from haechi.train import run as train
from haechi.trial.records import Alert, Episode, read_alerts, read_episodes
from haechi.trial.score import Score, Truth, score

PROFILE, FORM = "system", "iso"
TRAIN_LINES, TRAIN_EPS = 2_000_000, 500_000
TRAINING = TrainingConfig()
IDLE_S = 1
ANOMALY_RATE = 0.001  # of sessions
UNSCORED_KINDS = ("value_out_of_range", "message_burst", "host_silence")
GRACE_S = IDLE_S + 1.0  # an alert may be of the time at which a session was given up
PDR_LOSS_RATIO = 0.005
BEHIND_S = 0.25  # a detector that is further behind does not carry the rate: buffers hide it for a while
RATE_ERROR_RATIO = 0.01
CLOSE_ENOUGH = 1.05  # a search ends when what is carried and what is not are as near as this
TRIES = 6
OF_NDR = 0.95
TRAIN_PORTS = "20000"  # names that nobody listens to: a log has lanes for ports, and no network
TRAIN_END_S = 300.0

At = Literal["auto", "asked", "ndr"]


@dataclass(frozen=True, slots=True)
class LoopSettings:
    eps: float
    seconds: float
    trial_seconds: float
    at: At = "auto"
    ports: int = 40
    workers: int = 1  # of the detector
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Found:
    """NDR and PDR, as far as they were searched for; at_least: the rate asked for was carried, and nothing
    above it was tried."""

    ndr_eps: float
    pdr_eps: float
    at_least: bool


@dataclass(frozen=True, slots=True)
class LoopBench:
    training: TrainResult
    asked_eps: float
    found: Found | None  # None: not tried, the rate was given
    run_eps: float
    fire: Fire
    score: Score
    undecided: int  # episodes too near the storm's end to have shown
    delays_s: Sequence[
        float
    ]  # wall clock, ascending: an episode's first event is due -> its first alert is there

    def as_json(self) -> dict[str, Number | None]:
        """Plain numbers under the names that documents and graders use; null where nothing was found."""
        sent = self.fire.sent
        figures: dict[str, Number | None] = {
            "asked_eps": round(self.asked_eps),
            "run_eps": round(self.run_eps),
            "sent": sent.events,
            "received": self.fire.network.received,
            "kernel_dropped": self.fire.network.kernel_dropped,
            "sent_eps": round(sent.eps),
            "received_eps": round(self.fire.received_eps),
            "loss_ratio": round(self.fire.loss_ratio, 6),
            "account_closed": int(self.fire.network.closed),
            "backlog_max_ms": round(self.fire.backlog_s * 1e3, 1),
            "precision": round(self.score.precision, 6),
            "recall": round(self.score.recall, 6),
            "f1": round(self.score.f1, 6),
            "episodes": self.score.episodes,
            "found": self.score.found,
            "false_sessions": self.score.false_sessions,
            "alerts": self.score.alerts,
            "undecided": self.undecided,
            **{f"time_to_detect_p{q}_ms": _rounded_ms(quantile(self.delays_s, q)) for q in (50, 95, 99)},
            "detect_cpu_cores": round(self.fire.detect_cpu_cores, 3),
            "storm_cpu_cores": round(sent.cpu_cores, 3),
            "rss_mb": round(self.fire.rss_mb, 1),
            "storm_rss_mb": round(sent.rss_peak_bytes / 1e6, 1),
            "memo_hit_ratio": round(self.fire.detector["memo_hit_ratio"], 6),
            "unscored": self.fire.detector["unscored"],
            "train_lines": self.training.lines,
            "train_s": round(self.training.seconds, 1),
        }
        for kind, of_kind in self.score.kinds.items():
            figures[f"{kind}_episodes"] = of_kind.episodes
            figures[f"{kind}_recall"] = round(of_kind.recall, 6)
        for kind, episodes in self.score.ignored.items():
            figures[f"{kind}_episodes_left_out"] = episodes
        if self.found is not None:
            figures |= {
                "ndr_eps": round(self.found.ndr_eps),
                "pdr_eps": round(self.found.pdr_eps),
                "ndr_is_at_least": int(self.found.at_least),
            }
        return figures


def run(settings: LoopSettings, as_json: bool) -> int:
    """Measures and prints; the last line is JSON where that is asked for."""

    def say(text: str) -> None:
        click.echo(text, err=as_json)

    shared = Path("/dev/shm")
    with (
        term_interrupts(),
        tempfile.TemporaryDirectory(prefix="haechi-bench-", dir=shared if shared.is_dir() else None) as name,
    ):
        result = bench(Path(name), settings, say)
    _print(result, say)
    if as_json:
        click.echo(json.dumps(result.as_json()))
    return 0


def bench(folder: Path, settings: LoopSettings, say: Callable[[str], None]) -> LoopBench:
    training = learn(folder, settings, say)

    def storm_at(eps: float, seconds: float) -> Fire:
        return fire(
            training.bundle,
            storm_settings(settings, eps, seconds),
            folder,
            settings.ports,
            {"workers": settings.workers, **({} if settings.workers == 1 else {"pin": ()})},
        )

    found = None
    if settings.at != "asked":
        found = search(settings.eps, lambda eps: storm_at(eps, settings.trial_seconds), say)
    run_eps = counted_eps(settings, found)
    say(f"the run that counts: {settings.seconds:g} s at {run_eps:,.0f} events a second")
    storm = storm_at(run_eps, settings.seconds)
    return judged(training, settings, found, run_eps, storm, folder)


def counted_eps(settings: LoopSettings, found: Found | None) -> float:
    """The rate of the run that counts. Where nothing was carried at all, the one asked for shows it best."""
    if found is None or not found.ndr_eps or (settings.at == "auto" and found.at_least):
        return settings.eps
    return OF_NDR * found.ndr_eps


def learn(folder: Path, settings: LoopSettings, say: Callable[[str], None]) -> TrainResult:
    """A bundle from a log of the storm's normal traffic."""
    log = folder / "train.log"
    say(f"making {TRAIN_LINES:,} normal lines to learn from")
    write_log(log, settings)
    say("training")
    result = train([log], folder / "bundles", training_config(settings.eps))
    log.unlink()
    say(f"learned {result.log_keys} log keys from {result.sessions:,} sessions in {result.seconds:.0f} s")
    return result


def training_config(eps: float) -> TrainingConfig:
    """TRAINING with sessions as they are at such a rate."""
    open_at_once = 1 << math.ceil(math.log2(max(131_072.0, eps * IDLE_S)))
    session = SessionConfig(
        by="fields", fields=("host", "process", "pid"), idle_s=IDLE_S, max_open=open_at_once
    )
    return TRAINING.model_copy(update={"session": session})


def write_log(log: Path, settings: LoopSettings) -> None:
    """What a storm to as many ports would send, at once and into a file. ToolError."""
    first = int(TRAIN_PORTS)
    config = StormConfig.model_validate(
        {
            "profile": PROFILE,
            "form": FORM,
            "seed": settings.seed + 1_000_000,
            "eps": TRAIN_EPS,
            "count": TRAIN_LINES,
            "workers": 1,
            "output": log,
        }
    )
    with ExitStack() as opened:
        fd = opened.enter_context(text_in_memory(profiles.render(profiles.load(PROFILE))))
        # A file has no ports by the configuration, but the tool makes its sessions as it does for these.
        ports = f"{first}-{first + settings.ports - 1}"
        tool = {**config.tool_config(f"/dev/fd/{fd}"), "ports": ports, "summary": "-"}
        process = opened.enter_context(Process.start("haechi-storm", tool, pass_fds=(fd,)))
        process.finish(TRAIN_END_S)


def storm_settings(settings: LoopSettings, eps: float, seconds: float) -> dict[str, Any]:
    return {
        "profile": PROFILE,
        "form": FORM,
        "seed": settings.seed,
        "eps": eps,
        "duration": seconds,
        "anomaly_rate": ANOMALY_RATE,
        "anomaly_kinds": "all",
        "disturbance_events": max(1, round(eps)),  # one burst or silence a second
    }


def carried(trial: Fire, loss_ratio: float) -> bool:
    """Whether a detector took what came: no more is lost, it kept up, and the storm did send at its rate."""
    return (
        trial.loss_ratio <= loss_ratio
        and trial.backlog_s <= BEHIND_S
        and abs(trial.sent.rate_error_ratio or 0.0) <= RATE_ERROR_RATIO
    )


def search(asked_eps: float, trial: Callable[[float], Fire], say: Callable[[str], None]) -> Found:
    """The rate asked for where that is carried without loss; else NDR and PDR by bisection below it."""
    tried: dict[float, Fire] = {}

    def carries(eps: float, loss_ratio: float) -> bool:
        if eps not in tried:
            tried[eps] = trial(eps)
            say(
                f"  at {eps:>11,.0f} events a second: {tried[eps].loss_ratio:.4%} lost, "
                f"at most {tried[eps].backlog_s * 1e3:,.0f} ms behind"
            )
        return carried(tried[eps], loss_ratio)

    say(f"trying the rate asked for, {asked_eps:,.0f} events a second")
    if carries(asked_eps, 0.0):
        return Found(asked_eps, asked_eps, at_least=True)
    say("searching the highest rate without loss, and the highest with a loss of at most 0.5 %")
    first_guess = min(tried[asked_eps].received_eps, asked_eps) * 0.8
    ndr = highest(lambda eps: carries(eps, 0.0), 0.0, asked_eps, first_guess)
    pdr = highest(lambda eps: carries(eps, PDR_LOSS_RATIO), ndr, asked_eps)
    return Found(ndr, pdr, at_least=False)


def highest(
    carries: Callable[[float], bool], low: float, high: float, first_guess: float | None = None
) -> float:
    """By bisection: the highest rate found that is carried, `low` where none was. `high` is known not to be,
    or is tried first where nobody has."""
    if carries(high):
        return high
    for _ in range(TRIES):
        if low > 0 and high / low <= CLOSE_ENOUGH:
            break
        middle = first_guess if first_guess is not None and low < first_guess < high else (low + high) / 2
        first_guess = None
        middle = float(round(middle, -3)) or middle
        if carries(middle):
            low = middle
        else:
            high = middle
    return low


def judged(
    training: TrainResult,
    settings: LoopSettings,
    found: Found | None,
    run_eps: float,
    storm: Fire,
    folder: Path,
) -> LoopBench:
    alerts = read_alerts(folder / "alerts.jsonl")
    ended_s = storm.began_s - storm.log_ahead_s + storm.sent.seconds  # by the lines' clock
    episodes = with_undecided(read_episodes(folder / "truth.jsonl"), ended_s - GRACE_S)
    result = score(alerts, episodes, GRACE_S, (*UNSCORED_KINDS, UNDECIDED))
    undecided = result.ignored.get(UNDECIDED, 0)
    return LoopBench(
        training=training,
        asked_eps=settings.eps,
        found=found,
        run_eps=run_eps,
        fire=storm,
        score=replace(result, ignored={k: n for k, n in result.ignored.items() if k != UNDECIDED}),
        undecided=undecided,
        delays_s=delays(alerts, storm.seen_s, episodes, storm.log_ahead_s),
    )


UNDECIDED = "undecided"


def with_undecided(episodes: Sequence[Episode], until_s: float) -> list[Episode]:
    """Episodes that the storm's end cut short, or that were not over in time for a session to be given up
    before it, become a kind of their own."""
    return [
        e
        if e.complete and e.last_time_s <= until_s
        else replace(e, kind=UNDECIDED)
        if e.kind not in UNSCORED_KINDS
        else e
        for e in episodes
    ]


def delays(
    alerts: Sequence[Alert], seen_s: Sequence[float], episodes: Sequence[Episode], log_ahead_s: float
) -> list[float]:
    """Seconds by the wall clock from when an episode's first event was due until its first alert could be
    read, of every episode that was found and counts; ascending."""
    truth = Truth(episodes, GRACE_S)
    first: dict[str, float] = {}
    for (_, explaining), at_s in zip(truth.explained(alerts), seen_s, strict=False):
        for episode in explaining:
            if episode.kind not in (*UNSCORED_KINDS, UNDECIDED):
                first.setdefault(episode.id, at_s - (episode.first_time_s + log_ahead_s))
    return sorted(first.values())


def quantile(ascending: Sequence[float], percent: int) -> float | None:
    if not ascending:
        return None
    return ascending[max(0, math.ceil(percent / 100 * len(ascending)) - 1)]


def _rounded_ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1e3, 2)


def _print(result: LoopBench, say: Callable[[str], None]) -> None:
    figures: Mapping[str, Any] = result.as_json()
    say("")
    for name, value in figures.items():
        say(f"  {name:34} {'-' if value is None else f'{value:,}'}")
    if result.found is not None and result.found.at_least:
        say("  the rate asked for was carried without loss: the NDR is at least that, and was not searched")
    say("  value, burst and silence episodes are left out of precision, recall and F1, with the alerts on")
    say("  them: there are no detectors for them yet")
