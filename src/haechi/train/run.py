"""`haechi train`: log files in, a bundle out."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import haechi
from haechi.bundle import store
from haechi.bundle.manifest import Corpus, Counts, DeepLog, Ensemble, Manifest, NewEvent, Other, Parser
from haechi.bundle.manifest import SessionRule as ManifestSession
from haechi.bundle.store import TEMPLATES, BundleError, entry_of
from haechi.config.training import EnsembleConfig, TrainingConfig
from haechi.corpus.choice import choose, choose_idle_s
from haechi.corpus.logs import CorpusError, Logs, SessionRule, choose_format, mine, read, sample
from haechi.corpus.sessions import Sessions, cut
from haechi.native import _core
from haechi.native.tools import ToolError
from haechi.train import combos, rates, values
from haechi.train.detector import Entry
from haechi.train.error import TrainError
from haechi.train.examples import FILE as EXAMPLES
from haechi.train.examples import examples
from haechi.train.learn import Learned, learn
from haechi.train.progress import SilentProgress, TrainingProgress

MODEL_FILE = "deeplog.onnx"


@dataclass(frozen=True)
class TrainResult:
    """What was made, and from what. notes are sentences that the user should read."""

    bundle: Path
    digest: str
    lines: int
    malformed: int
    sessions: int
    events: int
    log_keys: int
    windows_distinct: int
    format: str
    session_rule: str
    idle_s: float
    event_surprise: float
    session_surprise: float
    validation: dict[str, Any]
    seconds: float
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Material:
    """What a manifest says besides the model."""

    corpus: Corpus
    format: str
    session: ManifestSession
    templates: bytes
    log_keys: int
    examples: bytes = b""


def run(
    logs: Sequence[Path],
    output: Path,
    config: TrainingConfig,
    progress: TrainingProgress | None = None,
    parent: str | None = None,
) -> TrainResult:
    """Learns from the log files, in this order, and writes output/<digest>.

    parent: the digest of the bundle this one follows. TrainError where the logs, or the place for the
    bundle, are of no use.
    """
    began = time.monotonic()
    progress = progress or SilentProgress()
    try:
        material, sessions, events = _read_logs(logs, config, progress)
        learned = learn(sessions, material.log_keys, config, progress)
        further = _further(logs, events, material, config, progress)
        files = files_of(material, learned, further)
        manifest = manifest_of(material, learned, config, parent, further)
        manifest = _with_rates(manifest, files, logs, events, config, progress)
        bundle = store.write(output, manifest, files)
    except (CorpusError, BundleError, ToolError, _core.CoreError) as error:
        raise TrainError(str(error)) from error
    detector = manifest.deeplog
    return TrainResult(
        bundle=bundle.path,
        digest=bundle.digest,
        lines=events.lines,
        malformed=events.malformed,
        sessions=sessions.total,
        events=sessions.events,
        log_keys=material.log_keys,
        windows_distinct=learned.windows_distinct,
        format=material.format,
        session_rule=str(_rule(material.session)),
        idle_s=material.session.idle_s,
        event_surprise=detector.event_surprise,
        session_surprise=detector.session_surprise,
        validation=detector.validation,
        seconds=time.monotonic() - began,
        notes=(*_notes(learned, events, config), *rates.notes(manifest)),
    )


def _read_logs(
    logs: Sequence[Path], config: TrainingConfig, progress: TrainingProgress
) -> tuple[Material, Sessions, Logs]:
    if not logs:
        raise TrainError("no log files were named")
    progress.stage("reading")
    head = sample(logs)
    format_spec = choose_format(head, config.format)
    progress.stage("mining templates")
    templates = mine(logs, format_spec, config.miner.max_templates, config.miner.max_tokens)
    matcher = _core.Matcher(templates)
    if len(matcher) == 0:
        raise TrainError(f"no line of the logs fits the header format {format_spec!r}")
    rule = _chosen_rule(logs, head, format_spec, matcher, config)
    progress.stage(f"sessions by {rule}")
    events = read(logs, format_spec, matcher, rule)
    idle_s = config.session.idle_s if config.session.idle_s != "auto" else choose_idle_s(events.stream)
    sessions = cut(events.stream, idle_s)
    span = events.time_us
    material = Material(
        corpus=Corpus(
            sources=tuple(path.name for path in logs),
            lines=events.lines,
            malformed=events.malformed,
            sessions=sessions.total,
            time_from=_rfc3339(span[0]) if span else None,
            time_to=_rfc3339(span[1]) if span else None,
        ),
        format=format_spec,
        session=ManifestSession(
            by=rule.by,
            fields=rule.fields,
            prefix=rule.prefix,
            seconds=rule.seconds,
            idle_s=idle_s,
            max_open=config.session.max_open,
        ),
        templates=templates,
        log_keys=len(matcher),
        examples=examples(sessions),
    )
    return material, sessions, events


def _chosen_rule(
    logs: Sequence[Path], head: bytes, format_spec: str, matcher: _core.Matcher, config: TrainingConfig
) -> SessionRule:
    chosen = config.session
    match chosen.by:
        case "auto":
            return choose(logs, head, format_spec, matcher)
        case "fields":
            return SessionRule("fields", fields=chosen.fields)
        case "value":
            return SessionRule("value", prefix=chosen.prefix)
        case "time":
            return SessionRule("time", fields=chosen.fields, seconds=chosen.seconds)
    return SessionRule("all")


def _further(
    logs: Sequence[Path],
    events: Logs,
    material: Material,
    config: TrainingConfig,
    progress: TrainingProgress,
) -> list[Entry]:
    """Detectors that judge no sessions, and so have no part in the ensemble."""
    entries = []
    if config.values.enabled:
        progress.stage("values")
        entry = values.learn(logs, material.format, material.templates, events.lines, config.values)
        entries += [entry] if entry else []
    if config.combos.enabled:
        progress.stage("combinations")
        entry = combos.learn(logs, material.format, material.templates, events.lines, config.combos)
        entries += [entry] if entry else []
    if config.mscred.enabled:
        from haechi.mscred.hosts import hosts_of  # it stands on this package
        from haechi.mscred.learn import learn as learn_mscred

        hosts = None
        if config.mscred.by != "key":
            matcher = _core.Matcher(material.templates)
            hosts = hosts_of(logs, material.format, matcher, _rule(material.session))
        series = learn_mscred(
            events.stream, material.log_keys, config.mscred, config.fit.seed, progress, hosts
        )
        entries.append(series)
    return entries


def _with_rates(
    manifest: Manifest,
    files: dict[str, bytes],
    logs: Sequence[Path],
    events: Logs,
    config: TrainingConfig,
    progress: TrainingProgress,
) -> Manifest:
    """The engine scores the logs itself for this detector, so the bundle is there before it."""
    if not config.rates.enabled or events.time_us is None:
        return manifest
    progress.stage("rates of hosts and log keys")
    seconds = (events.time_us[1] - events.time_us[0]) / 1e6
    entry = rates.learn(logs, manifest, files, seconds, config.rates)
    if entry is None:
        return manifest
    files.update(entry.files)
    listed = {name: entry_of(content) for name, content in entry.files.items()}
    return manifest.model_copy(
        update={
            "detectors": (*manifest.detectors, Other.model_validate(entry.section)),
            "files": {**manifest.files, **listed},
        }
    )


def manifest_of(
    material: Material,
    learned: Learned,
    config: TrainingConfig,
    parent: str | None,
    further: Sequence[Entry] = (),
) -> Manifest:
    """Everything the engine needs to know, and what the thresholds rest on."""
    vocabulary, calibration, ensemble = learned.vocabulary, learned.calibration, learned.ensemble
    rule = ensemble.rule if ensemble else calibration.rule
    return Manifest(
        created=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        haechi=haechi.__version__,
        parent=parent,
        files={name: entry_of(content) for name, content in files_of(material, learned, further).items()},
        corpus=material.corpus,
        parser=Parser(format=material.format),
        log_keys=material.log_keys,
        session=material.session,
        window=config.window.size,
        detectors=(
            NewEvent(trained_keys=vocabulary.trained_keys, repeat_s=config.new_event.repeat_s),
            DeepLog(
                file=MODEL_FILE,
                begin=vocabulary.begin,
                end=vocabulary.end,
                unseen=vocabulary.unseen,
                rule=config.threshold.rule,
                top_k=config.threshold.top_k,
                unseen_surprise=config.threshold.unseen_surprise,
                event_surprise=rule.event_surprise,
                session_surprise=rule.session_surprise,
                least_surprise=rule.least_surprise,
                event_evidence=ensemble.event.section() if ensemble else None,
                session_evidence=ensemble.session.section() if ensemble else None,
                validation={
                    "sessions": calibration.sessions,
                    "alert_ratio": calibration.alert_ratio,
                    "budget": config.threshold.budget,
                    "confidence": config.threshold.confidence,
                    "novel": calibration.novel,
                    "flagged": calibration.flagged,
                    "allowed": calibration.allowed,
                    "folds": config.threshold.folds,
                    "export_difference": learned.export_difference,
                },
            ),
            *_ensemble_sections(learned, config.ensemble),
            *(Other.model_validate(entry.section) for entry in further),
        ),
    )


def files_of(material: Material, learned: Learned, further: Sequence[Entry] = ()) -> dict[str, bytes]:
    """Every file of the bundle but the manifest."""
    files = {TEMPLATES: material.templates, MODEL_FILE: learned.onnx_file}
    if material.examples:
        files[EXAMPLES] = material.examples
    for entry in further:
        files.update(entry.files)
    for name in learned.ensemble.members if learned.ensemble else ():
        files.update(learned.fitted[name].entry().files)
    return files


def _ensemble_sections(learned: Learned, config: EnsembleConfig) -> list[Counts | Ensemble]:
    ensemble = learned.ensemble
    if ensemble is None:
        return []
    sections: list[Counts | Ensemble] = []
    for name, member in ensemble.members.items():
        section = learned.fitted[name].entry().section
        limit = {"limit": min(member.limit, 1.0), "evidence": member.evidence.section()}
        sections.append(Counts.model_validate({"name": name, **section, **limit}))
    validation = {
        "sessions": ensemble.sessions,
        "budget": config.budget,
        "confidence": config.confidence,
        "novel": ensemble.novel,
        "flagged": ensemble.flagged,
        "allowed": ensemble.allowed,
    }
    names = ("deeplog", *ensemble.members)
    return [*sections, Ensemble(threshold=ensemble.threshold, detectors=names, validation=validation)]


def _rule(session: ManifestSession) -> SessionRule:
    return SessionRule(session.by, session.fields, session.prefix, session.seconds)


def _rfc3339(time_us: int) -> str:
    return datetime.fromtimestamp(time_us // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _notes(learned: Learned, events: Logs, config: TrainingConfig) -> list[str]:
    calibration = learned.ensemble or learned.calibration
    budget = config.ensemble.budget if learned.ensemble else config.threshold.budget
    notes = []
    if events.malformed:
        share = events.malformed / max(events.lines, 1)
        notes.append(
            f"{events.malformed} lines ({share:.1%}) did not fit the header format and were left out."
        )
    if learned.cut_into_pieces:
        notes.append(
            "The logs hold few sessions, so long ones were cut into stretches: the false-alarm budget is a "
            f"share of {calibration.sessions} such stretches."
        )
    if not calibration.held:
        notes.append(
            f"{calibration.sessions} sessions are too few to show that at most {budget:.2%} "
            "of normal ones are flagged; the thresholds lie above all that was seen. Train on more logs."
        )
    if calibration.novel > budget * calibration.sessions:
        notes.append(
            f"{calibration.novel} of {calibration.sessions} normal sessions hold an event of a kind that the "
            "rest of the logs lacks. New events are always reported; train on more logs to have fewer."
        )
    return notes
