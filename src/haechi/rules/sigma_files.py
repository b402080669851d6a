"""Sigma's files to rules: read, converted one by one, and what cannot be is listed with its reason."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from sigma.collection import SigmaCollection
from sigma.correlations import SigmaCorrelationRule
from sigma.exceptions import SigmaError, SigmaFeatureNotSupportedByBackendError, SigmaTransformationError
from sigma.filters import SigmaFilter
from sigma.rule import SigmaLevel, SigmaRule

from haechi.rules.expression import (
    TAG_BYTES,
    TAGS_MAX,
    TITLE_BYTES,
    Action,
    Expression,
    Rule,
    RuleError,
    Severity,
    check_rule,
    join_any,
)
from haechi.rules.refusal import Refusal
from haechi.rules.sigma_backend import POLICY, HaechiBackend
from haechi.rules.sigma_pipeline import pipeline

DOCUMENT_DEPTH = 32
AGGREGATION = "aggregations such as | count() join events over time; a rule here sees one line"
CORRELATION = "correlations count or join events over time; a rule here sees one line"

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_SEVERITY: dict[SigmaLevel | None, Severity] = {
    None: "medium",
    SigmaLevel.INFORMATIONAL: "low",
    SigmaLevel.LOW: "low",
    SigmaLevel.MEDIUM: "medium",
    SigmaLevel.HIGH: "high",
    SigmaLevel.CRITICAL: "critical",
}


@dataclass
class _Pile:
    """What was read from all files, before filters and correlations can be looked at."""

    rules: list[tuple[str, SigmaRule]] = field(default_factory=list)
    filters: list[SigmaFilter] = field(default_factory=list)
    in_correlations: dict[str, str] = field(default_factory=dict)  # a rule's id or name -> who counts it
    refused: list[Refusal] = field(default_factory=list)


def looks_like_sigma(document: Any) -> bool:
    """Whether a YAML document is one of Sigma's."""
    return isinstance(document, Mapping) and any(
        key in document for key in ("detection", "logsource", "correlation", "filter", "action")
    )


def read_documents(text: str, name: str) -> list[Any]:
    """The documents of a YAML text. RuleError where it is not YAML; name stands for the file."""
    depth = 0
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            # LibYAML composes nodes by recursion and has no bound of its own.
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > DOCUMENT_DEPTH:
                raise RuleError(f"{name}: not YAML: nested deeper than {DOCUMENT_DEPTH}")
        return list(yaml.load_all(text, Loader=_LOADER))
    except RuleError:
        raise
    except Exception as error:  # besides YAMLError, PyYAML lets escape whatever its converters meet
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1})" if mark else ""
        raise RuleError(f"{name}: not YAML{where}: {getattr(error, 'problem', None) or error}") from None


def convert(
    files: Iterable[tuple[str, Sequence[Any]]],
    wishes: Mapping[str, str],
    action: Action = "deny",
    taken: Iterable[str] = (),
) -> tuple[list[Rule], list[Refusal]]:
    """The rules of files (name, documents), in their order, and those that are refused. wishes maps fields
    of Sigma to a line's (sigma_pipeline.read_map); taken are ids that other rules have."""
    pile = _Pile()
    for name, documents in files:
        _read(name, documents, pile)
    backend = HaechiBackend(pipeline(wishes))
    rules = []
    ids = set(taken)
    for name, sigma in pile.rules:
        if counted_by := _counted_by(sigma, pile):
            why = f"is only a part of the correlation {counted_by!r}, which is refused"
            pile.refused.append(_refusal(name, sigma, why))
            continue
        try:
            rule = _convert(backend, name, sigma, pile.filters, action)
            if rule.id in ids:
                raise SigmaError("an earlier rule has the same id")
            ids.add(rule.id)
            rules.append(rule)
        except (SigmaFeatureNotSupportedByBackendError, SigmaTransformationError) as error:
            pile.refused.append(_refusal(name, sigma, _words(error)))
        except RuleError as error:  # Sigma has no bounds
            pile.refused.append(_refusal(name, sigma, _words(error)))
        except SigmaError as error:
            old = "pipe syntax" in _words(error)  # right when it was written, and dropped from Sigma since
            pile.refused.append(_refusal(name, sigma, AGGREGATION if old else _words(error), mistake=not old))
    return rules, pile.refused


def _read(name: str, documents: Sequence[Any], pile: _Pile) -> None:
    """Documents with an action (global, repeat) are about each other; others stand and fall alone."""
    present = [document for document in documents if document is not None]
    linked = any(isinstance(document, Mapping) and "action" in document for document in present)
    for group in [present] if linked else [[document] for document in present]:
        for document in group:
            if not isinstance(document, Mapping):
                pile.refused.append(Refusal(name, "", "", "a document that is no mapping of keys", True))
                break
        else:
            _read_group(name, group, pile)


def _read_group(name: str, group: list[Any], pile: _Pile) -> None:
    first: Mapping[str, Any] = group[0]
    who = (str(first.get("id", "")), str(first.get("title", "")))
    try:
        read = SigmaCollection.from_dicts(
            group, collect_errors=True, collect_filters=True, resolve_references=False, policy=POLICY
        )
    except Exception as error:  # pySigma means to collect errors, and lets those of odd types escape
        pile.refused.append(Refusal(name, *who, f"is no rule of Sigma: {_words(error)}", True))
        return
    of_rules = [error for rule in (*read.rules, *read.filters) for error in rule.errors]
    for mistake in read.errors:
        if not any(mistake is other for other in of_rules):
            pile.refused.append(Refusal(name, *who, _words(mistake), True))
    for rule in (*read.rules, *read.filters):
        if rule.errors:
            reason = "; ".join(dict.fromkeys(_words(each) for each in rule.errors))
            pile.refused.append(_refusal(name, rule, reason, mistake=_is_mistake(rule.errors)))
        elif isinstance(rule, SigmaCorrelationRule):
            pile.refused.append(_refusal(name, rule, CORRELATION))
        elif isinstance(rule, SigmaFilter):
            pile.filters.append(rule)
        else:
            pile.rules.append((name, rule))
        if isinstance(rule, SigmaCorrelationRule) and not rule.generate:
            counted = {str(reference.reference): rule.title for reference in rule.rules or ()}
            pile.in_correlations.update(counted)


def _is_mistake(errors: Sequence[SigmaError]) -> bool:
    """Whether the rule is wrong by Sigma's own rules, and not merely more than this engine can."""
    return not all("Regular expression" in str(error) for error in errors)


def _counted_by(rule: SigmaRule, pile: _Pile) -> str | None:
    by_id = pile.in_correlations.get(str(rule.id)) if rule.id else None
    return by_id or (pile.in_correlations.get(rule.name) if rule.name else None)


def _convert(
    backend: HaechiBackend, name: str, sigma: SigmaRule, filters: Sequence[SigmaFilter], action: Action
) -> Rule:
    filtered: Any = sigma
    try:
        for rule_filter in filters:
            filtered = rule_filter.apply_on_rule(filtered)
        conditions = backend.convert_rule(filtered)
    except SigmaError:
        raise
    except Exception as error:  # a rule of odd types gets as far as this
        raise SigmaError(f"cannot be converted: {_words(error)}") from None
    if not conditions:
        raise SigmaError("has no condition")
    condition = join_any(conditions)
    rule = Rule(
        id=str(sigma.id) if sigma.id else _made_id(name, sigma.title, condition),
        title=_title(sigma.title),
        action=action,
        severity=_SEVERITY[sigma.level],
        tags=_tags(sigma),
        condition=condition,
    )
    check_rule(rule)
    return rule


def _tags(sigma: SigmaRule) -> tuple[str, ...]:
    status = (f"status.{sigma.status.name.lower()}",) if sigma.status else ()
    return (*status, *(str(tag)[:TAG_BYTES] for tag in sigma.tags))[:TAGS_MAX]


def _title(title: str) -> str:
    """On one line, and no longer than the engine's bound, which Sigma does not know."""
    line = "".join(c for c in " ".join(title.split()) if c.isprintable())
    return line.encode()[:TITLE_BYTES].decode(errors="ignore")


def _made_id(name: str, title: str, condition: Expression) -> str:
    """For a rule without an id: the same for the same file's name, title and condition."""
    whole = json.dumps([Path(name).name, title, condition.as_json()])
    return f"sigma-{hashlib.sha256(whole.encode()).hexdigest()[:16]}"


def _refusal(name: str, rule: Any, reason: str, mistake: bool = False) -> Refusal:
    return Refusal(name, str(rule.id or ""), rule.title or "", reason, mistake)


def _words(error: Exception) -> str:
    """One line, without the place that pySigma appends to it: the refusal names the file already."""
    text = str(error.args[0]) if error.args else type(error).__name__
    return " ".join(text.split())[:500]
