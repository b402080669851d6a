"""`haechi bench loop`: a storm with labelled anomalies at a detector over UDP on this machine, and its score.

The bundle learns from a log of the same storm without anomalies: the same profile, form and ports, at a
quieter rate, since a faster storm has more sessions and each of them speaks as often: four of five have their
say whenever it is their port's turn, and four ports that take turns of 2 ms are through in 8 ms. (Few ports
and long turns make large buffers of equal lines: the storm takes less of the machine that both share.) Its
settings are what anyone would choose for such traffic; none of them looks at a label:

    session.by: fields [host, process, pid]   what a syslog line has
    session.idle_s: 12 times round            0.1 s; a session that pauses for longer is over (0.2^12 are not)
    session.max_open: idle_s' worth of events four of ten lines begin a session, each is held for idle_s more

Then the storm: first 3 s of it at the rate asked for. Where that loses an event, or the detector falls
behind, the highest rate that does neither is searched by bisection (NDR), and the highest at which at most
0.5 % are lost (PDR). The scored run is at the rate asked for where that was carried, else at 80 % of the NDR
(--at).

Two times are given. time_to_detect is from when an episode's first event was due until its first alert stands
in the alerts file; most of it is the episode itself, whose events come when it is their port's turn.
alert_delay is from when the line was due that the alert is on.

All kinds of episodes are made, and scored where the bundle has a detector for them (DETECTOR_OF); a bundle
that was trained without it has them left out, with the alerts on them. Left out are also episodes that had no
time to show before the storm ended.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import click

from haechi.bench.ending import term_interrupts
from haechi.bench.fire import Fire, OwnTools, Tools, fire
from haechi.bench.machine import free_ports, ports_from
from haechi.bench.spread import Number
from haechi.bundle.store import read as read_bundle
from haechi.config.training import SessionConfig, TrainingConfig
from haechi.storm.maker import make
from haechi.train import TrainResult
from haechi.train import run as train
from haechi.trial.records import Alert, Episode, read_alerts, read_episodes
from haechi.trial.score import Score, Truth, score

PROFILE, FORM = "system", "iso"
TRAIN_LINES, TRAIN_EPS = 1_000_000, 500_000
TRAINING = TrainingConfig()
TURN_S, TURN_EVENTS_MIN = 0.002, 64  # of a port, as the storm takes them
SESSIONS_PER_TURN_EVENT = 1.25
IDLE_ROUNDS = 12
# Of each port's queue, where the system allows it: a slow moment of half a second loses nothing.
BUFFER_BYTES = 64 << 20
ANOMALY_RATE = 0.001  # of sessions
DETECTOR_OF = {"value_out_of_range": "values", "message_burst": "rates", "host_silence": "rates"}
GRACE_S = 1.5  # an alert may be of the time at which a session was given up
PDR_LOSS_RATIO = 0.005
BEHIND_S = 0.25  # a detector that is further behind does not carry the rate: buffers hide it for a while
RATE_ERROR_RATIO = 0.01
CLOSE_ENOUGH = 1.05  # a search ends when what is carried and what is not are as near as this
TRIES = 6
OF_NDR = 0.8  # a shared machine is slower at times: seconds do not meet that, and the run that counts would
TRAIN_PORT = 20_000  # a name that nobody listens to: a log has lanes for ports, and no network

At = Literal["auto", "asked", "ndr"]


@dataclass(frozen=True, slots=True)
class LoopSettings:
    eps: float
    seconds: float
    trial_seconds: float
    at: At = "auto"
    ports: int = 4
    workers: int = 1  # of the detector
    seed: int = 1
    first_port: int | None = None  # None: any that are free

    def idle_s(self) -> float:
        """How long a session of this storm, or of the log that is learned from, may pause."""
        turn_s = max(TURN_S, TURN_EVENTS_MIN / min(self.eps, TRAIN_EPS))
        return round(IDLE_ROUNDS * self.ports * turn_s, 2)

    def place(self) -> str:
        """Ports for one run."""
        if self.first_port is None:
            return free_ports(self.ports)
        return ports_from(self.first_port, self.ports)

    def sessions(self, eps: float) -> int:
        """Sessions live at once at such a rate."""
        return math.ceil(self.ports * max(TURN_EVENTS_MIN, eps * TURN_S) * SESSIONS_PER_TURN_EVENT)


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
    unscored: Sequence[str]  # kinds of episodes that no detector of the bundle is for
    undecided: int  # episodes too near the storm's end to have shown
    delays_s: Sequence[float]  # of each episode found, as `delays` has it; ascending
    line_delays_s: Sequence[float]  # the same since the line was due that the first alert is on

    def as_json(self) -> dict[str, Number | None]:
        """Plain numbers under the names that documents and graders use; null where nothing was found."""
        sent = self.fire.sent
        figures: dict[str, Number | None] = {
            "asked_eps": round(self.asked_eps),
            "run_eps": round(self.run_eps),
            "sent": sent.events,
            "received": self.fire.network.received,
            "shed": self.fire.network.shed,
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
            "false_alarms_per_million": round(self.score.false_sessions * 1e6 / max(sent.events, 1), 3),
            "undecided": self.undecided,
            **{f"time_to_detect_p{q}_ms": _rounded_ms(quantile(self.delays_s, q)) for q in (50, 95, 99)},
            **{f"alert_delay_p{q}_ms": _rounded_ms(quantile(self.line_delays_s, q)) for q in (50, 95, 99)},
            "detect_cpu_cores": round(self.fire.detect_cpu_cores, 3),
            "storm_cpu_cores": round(sent.cpu_cores, 3),
            "rss_mb": round(self.fire.rss_mb, 1),
            "storm_rss_mb": round(sent.rss_peak_bytes / 1e6, 1),
            "memo_hit_ratio": round(self.fire.detector["memo_hit_ratio"], 6),
            "unscored": self.fire.detector["unscored"],
            "ml_ratio": round(self.fire.detector["ml_ratio"], 6),
            "stage1_p99_us": self.fire.detector["stage1_us_p99"],
            "stage2_p99_ms": round(self.fire.detector["stage2_us_p99"] / 1e3, 3),
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


def bench(
    folder: Path,
    settings: LoopSettings,
    say: Callable[[str], None],
    tools: Callable[[], Tools] = OwnTools,
) -> LoopBench:
    training = learn(folder, settings, say)

    def storm_at(eps: float, seconds: float) -> Fire:
        return fire(
            training.bundle,
            storm_settings(settings, eps, seconds),
            folder,
            settings.place(),
            {
                "workers": settings.workers,
                "udp_buffer_bytes": BUFFER_BYTES,
                **({} if settings.workers == 1 else {"pin": ()}),
            },
            tools,
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
    result = train([log], folder / "bundles", training_config(settings))
    log.unlink()
    say(f"learned {result.log_keys} log keys from {result.sessions:,} sessions in {result.seconds:.0f} s")
    return result


def training_config(settings: LoopSettings) -> TrainingConfig:
    """TRAINING with sessions as they are at such a rate."""
    open_at_once = settings.sessions(settings.eps) + settings.eps * settings.idle_s()
    session = SessionConfig(
        by="fields",
        fields=("host", "process", "pid"),
        idle_s=settings.idle_s(),
        max_open=1 << math.ceil(math.log2(max(131_072.0, open_at_once))),
    )
    return TRAINING.model_copy(update={"session": session})


def write_log(log: Path, settings: LoopSettings) -> None:
    """What a storm to as many ports would send, at once and into a file. MakeError."""
    make(
        log,
        count=TRAIN_LINES,
        eps=TRAIN_EPS,
        seed=settings.seed + 1_000_000,
        form=FORM,
        profile=PROFILE,
        sessions=settings.sessions(TRAIN_EPS),
        burst_us=round(TURN_S * 1e6),
        ports=f"{TRAIN_PORT}-{TRAIN_PORT + settings.ports - 1}",
    )


def storm_settings(settings: LoopSettings, eps: float, seconds: float) -> dict[str, Any]:
    return {
        "profile": PROFILE,
        "form": FORM,
        "seed": settings.seed,
        "eps": eps,
        "sessions": settings.sessions(eps),
        "duration": seconds,
        "burst_us": round(TURN_S * 1e6),
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
    unscored = unscored_kinds(training.bundle)
    ended_s = storm.began_s - storm.log_ahead_s + storm.sent.seconds  # by the lines' clock
    episodes = with_undecided(read_episodes(folder / "truth.jsonl"), ended_s - GRACE_S, unscored)
    left_out = (*unscored, UNDECIDED)
    result = score(alerts, episodes, GRACE_S, left_out)
    undecided = result.ignored.get(UNDECIDED, 0)
    first_alerts = delays(alerts, storm.seen_s, episodes, storm.log_ahead_s, left_out)
    return LoopBench(
        training=training,
        asked_eps=settings.eps,
        found=found,
        run_eps=run_eps,
        fire=storm,
        score=replace(result, ignored={k: n for k, n in result.ignored.items() if k != UNDECIDED}),
        unscored=unscored,
        undecided=undecided,
        delays_s=sorted(since_first for since_first, _ in first_alerts),
        line_delays_s=sorted(since_line for _, since_line in first_alerts),
    )


UNDECIDED = "undecided"


def unscored_kinds(bundle: Path) -> tuple[str, ...]:
    """The kinds of episodes that no detector of this bundle is for."""
    there = {detector.name for detector in read_bundle(bundle).manifest.detectors}
    return tuple(kind for kind, detector in DETECTOR_OF.items() if detector not in there)


def with_undecided(episodes: Sequence[Episode], until_s: float, unscored: Sequence[str]) -> list[Episode]:
    """Episodes that the storm's end cut short, or that were not over in time for a session to be given up
    before it, become a kind of their own. A silence shows while it lasts: it need only have begun in time."""

    def decided(e: Episode) -> bool:
        if e.kind == "host_silence":
            return e.first_time_s <= until_s
        return e.complete and e.last_time_s <= until_s

    def undecided(e: Episode) -> Episode:
        # Sessions that a silent host broke off are alerted on at the time of what it said last.
        begins_s = e.first_time_s - (GRACE_S if e.kind == "host_silence" else 0)
        return replace(e, kind=UNDECIDED, first_time_s=begins_s)

    return [e if decided(e) or e.kind in unscored else undecided(e) for e in episodes]


def delays(
    alerts: Sequence[Alert],
    seen_s: Sequence[float],
    episodes: Sequence[Episode],
    log_ahead_s: float,
    left_out: Sequence[str],
) -> list[tuple[float, float]]:
    """Of every episode that was found and counts, seconds by the wall clock until its first alert could be
    read: since its first event was due, and since the line was due that the alert is on. log_ahead_s: by how
    much events are due after the time that their lines say."""
    truth = Truth(episodes, GRACE_S)
    first: dict[str, tuple[float, float]] = {}
    for (alert, explaining), at_s in zip(truth.explained(alerts), seen_s, strict=False):
        for episode in explaining:
            if episode.kind not in left_out:
                line_s = episode.first_time_s if alert.time_s is None else alert.time_s
                since = at_s - log_ahead_s
                first.setdefault(episode.id, (since - episode.first_time_s, since - line_s))
    return list(first.values())


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
    if result.unscored:
        kinds = ", ".join(kind.replace("_", " ") for kind in result.unscored)
        say(f"  left out of precision, recall and F1, as the bundle has no detector for them: {kinds}")
