"""YAML to a frozen model, once; what is wrong is said with file, key, value and what is allowed."""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

Place = tuple[str | int, ...]


class ConfigError(Exception):
    """A configuration that cannot be used; every line of the text names one key and what it should be."""


S = TypeVar("S", bound=BaseModel)


COMMAND_LINE = "command line"


def load_yaml(
    path: Path | str | None,
    model: type[S],
    options: Mapping[str, Any] | None = None,
    preset: Mapping[str, Any] | None = None,
) -> S:
    """The file's settings (path None: of no file); keys that it leaves out have their defaults, and an empty
    file has all of them. Options are the command line's and win over the file, key by key, as the file does
    over a preset. ConfigError when it cannot be read, is not YAML, or does not fit the model."""
    values, lines = _read(path) if path is not None else ({}, {})
    values = _over(preset or {}, values)
    options = options or {}
    values = _over(values, options)
    try:
        return model.model_validate(values)
    except ValidationError as error:
        complaints: dict[Place, list[str]] = {}
        for detail in error.errors():
            place = _place(detail, values)
            complaints.setdefault(place, []).append(_complaint(detail, place, model))
    messages = []
    for place, of_place in complaints.items():
        of_option = path is None or (place and place[0] in options)
        source = COMMAND_LINE if of_option else str(path)
        line = f" (line {lines[place]})" if place in lines and not of_option else ""
        key = ".".join(str(part) for part in place)
        messages.append(f"{source}: {key + ': ' if key else ''}{'; '.join(of_place)}{line}")
    raise ConfigError("\n".join(messages))


def _over(below: Mapping[Any, Any], above: Mapping[Any, Any]) -> dict[Any, Any]:
    """Both, where the one above wins key by key, within groups too."""
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key)
        merged[key] = {**under, **value} if isinstance(value, dict) and isinstance(under, dict) else value
    return merged


def _read(path: Path | str) -> tuple[dict[Any, Any], dict[Place, int]]:
    """The file's values, and the lines they stand in."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 text (byte {error.start})") from None
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        lines = _lines(root)
        _refuse_duplicates(path, root)
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: {_yaml_sentence(error)}") from None
    if values is None:
        values = {}
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: holds {_shown(values)}, not keys with values")
    return values, lines


def _place(detail: ErrorDetails, values: Mapping[str, Any]) -> Place:
    """Where in the file it is: pydantic's place without the parts that name a member of a union."""
    at: Any = values
    place: list[str | int] = []
    for part in detail["loc"]:
        is_there = part in at if isinstance(at, Mapping) else isinstance(at, list) and isinstance(part, int)
        if not is_there:
            if detail["type"] == "missing" and isinstance(at, Mapping):
                place.append(part)
            break
        place.append(part)
        at = at[part]
    return tuple(place)


def _complaint(detail: ErrorDetails, place: Place, model: type[BaseModel]) -> str:
    kind, value, bound = detail["type"], _shown(detail["input"]), detail.get("ctx", {})
    match kind:
        case "extra_forbidden":
            return "is not a key here" + _suggestion(place, model)
        case "missing":
            return "is required"
        case "greater_than_equal":
            return f"{value} is not at least {_number(bound['ge'])}"
        case "greater_than":
            return f"{value} is not above {_number(bound['gt'])}"
        case "less_than_equal":
            return f"{value} is not at most {_number(bound['le'])}"
        case "less_than":
            return f"{value} is not below {_number(bound['lt'])}"
        case "literal_error" | "enum":
            return f"{value} is none of {bound['expected']}"
        case "too_short" | "string_too_short":
            return f"{value} is shorter than {bound['min_length']}"
        case "too_long" | "string_too_long":
            return f"{value} is longer than {bound['max_length']}"
        case "value_error":
            return str(bound["error"])
        case "string_pattern_mismatch":
            return f"{value} does not match {bound['pattern']}"
        case "model_type" | "model_attributes_type":
            return f"{value} is not a group of keys"
    for wanted, words in _KINDS.items():
        if kind.startswith(wanted):
            return f"{value} is not {words}"
    return f"{value}: {detail['msg']}"


_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "finite": "a finite number",
    "bool": "true or false",
    "string": "text",
    "path": "a path",
    "list": "a list",
    "tuple": "a list",
    "dict": "a group of keys",
    "none_required": "empty",
}


def _suggestion(place: Place, model: type[BaseModel]) -> str:
    known = _keys_at(place[:-1], model)
    near = difflib.get_close_matches(str(place[-1]), known, n=1, cutoff=0.5)
    if near:
        return f"; did you mean {near[0]}?"
    return f"; known are {', '.join(known)}" if known else ""


def _keys_at(place: Place, model: type[BaseModel]) -> list[str]:
    """The keys of the group at a place of the model; empty where the place is no group."""
    for part in place:
        field = model.model_fields.get(str(part))
        if field is None:
            continue  # an index of a list: its group is the same
        inner = _group_of(field.annotation)
        if inner is None:
            return []
        model = inner
    return list(model.model_fields)


def _group_of(annotation: Any) -> type[BaseModel] | None:
    """The model in an annotation such as Window, Window | None, or tuple[Window, ...]."""
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return annotation if issubclass(annotation, BaseModel) else None
    for argument in typing.get_args(annotation):
        if (found := _group_of(argument)) is not None:
            return found
    return None


def _number(bound: float) -> str:
    return str(int(bound)) if bound == int(bound) else str(bound)


def _shown(value: Any) -> str:
    text = repr(value)
    if isinstance(value, bool):
        text = str(value).lower()
    elif value is None:
        text = "nothing"
    return text if len(text) <= 60 else text[:57] + "..."


def _lines(root: yaml.Node | None) -> dict[Place, int]:
    """Line (from 1) of every key and list item of a composed document."""
    lines: dict[Place, int] = {}
    todo: list[tuple[Place, yaml.Node]] = [((), root)] if root is not None else []
    seen: set[int] = set()  # an anchor may be used many times, and even within itself
    while todo:
        place, node = todo.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                lines[(*place, key.value)] = key.start_mark.line + 1
                todo.append(((*place, key.value), value))
        elif isinstance(node, yaml.SequenceNode):
            for i, item in enumerate(node.value):
                lines[(*place, i)] = item.start_mark.line + 1
                todo.append(((*place, i), item))
    return lines


def _refuse_duplicates(path: Path | str, root: yaml.Node | None) -> None:
    # YAML's loader silently takes the last of two equal keys.
    todo = [root] if root is not None else []
    seen: set[int] = set()
    while todo:
        node = todo.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            todo.extend(node.value)
        elif isinstance(node, yaml.MappingNode):
            first: dict[str, int] = {}
            for key, value in node.value:
                line = key.start_mark.line + 1
                if key.value in first:
                    raise ConfigError(
                        f"{path}: {key.value}: is there twice, in lines {first[key.value]} and {line}"
                    )
                first[key.value] = line
                todo.append(value)


def _yaml_sentence(error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return f"is not YAML: {error.problem} (line {mark.line + 1}, column {mark.column + 1})"
    return f"is not YAML: {' '.join(str(error).split())}"
