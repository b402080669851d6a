"""What a client may ask for: a tool's settings without those that belong to the machine, and names of files
that cannot leave the folders given for them."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, BeforeValidator

from haechi.config.detect import DetectConfig
from haechi.config.load import COMMAND_LINE, ConfigError, load_yaml
from haechi.config.serve import ServeConfig
from haechi.config.sink import SinkConfig
from haechi.config.storm import CLASSIC, StormConfig, classic, preset

M = TypeVar("M", bound=BaseModel)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_MACHINE = {"stats_page", "control_socket", "summary", "snapshot"}
DENIED: Mapping[type[BaseModel], set[str]] = {
    StormConfig: {*_MACHINE, "output", "paced", "allow_target", "max_eps"},
    SinkConfig: {*_MACHINE},
    DetectConfig: {*_MACHINE, "onnxruntime", "alerts", "checkpoint", "rules"},
}
_READ = ("bundle", "tls_ca", "tls_certificate", "tls_key", "tls_client_ca")
_WRITTEN = ("truth", "write")
_GLOB = re.compile(r"[*?\[]")


class WishError(ValueError):
    """What a client asks for is not given; every line is a sentence that says why."""


def storm_settings(wish: Mapping[str, Any], serve: ServeConfig) -> StormConfig:
    """With the limits of this server in place of those that a command line could lift."""
    options = dict(wish)
    name, in_classic = options.pop("preset", None), options.pop("classic", False)
    if not isinstance(name, str | None):
        raise WishError("preset: is not a text such as 100k or 4m-classic")
    if not isinstance(in_classic, bool):
        raise WishError("classic: is not true or false")
    try:
        options = {**(preset(name) if name else {}), **options}
        checked = _checked(options, StormConfig, serve)
        limits = {"allow_target": serve.allow_target, "max_eps": serve.max_eps}
        settings = _loaded({**checked, **limits}, StormConfig)
        if not in_classic or (name and name.endswith(CLASSIC)):
            return settings
        shape = classic(settings.eps, settings.ports)
    except ValueError as error:
        raise WishError(str(error)) from None
    return _loaded({**checked, **limits, **shape}, StormConfig)


def sink_settings(wish: Mapping[str, Any], serve: ServeConfig) -> SinkConfig:
    return _loaded(_checked(wish, SinkConfig, serve), SinkConfig)


def detect_settings(wish: Mapping[str, Any], serve: ServeConfig, alerts: Path) -> DetectConfig:
    return _loaded({**_checked(wish, DetectConfig, serve), "alerts": str(alerts)}, DetectConfig)


def readable(name: object, folders: Iterable[Path]) -> Path:
    """The file that a client names, where it lies in one of the folders, links followed. A name that is not
    absolute is looked for in each of them. WishError otherwise, which does not say whether there is one."""
    text = name if isinstance(name, str) else ""
    if text and "\0" not in text:
        for folder in folders:
            # A name that is too long, a ring of links, a folder that is closed to us: there is no such file.
            with contextlib.suppress(OSError, RuntimeError):
                root = folder.resolve()
                path = (root / text).resolve()
                if path.is_relative_to(root) and path.exists():
                    return path
    raise WishError(f"{str(name)[:100]!r} is no file in the folders that this server may read (read)")


def writable(name: object, folder: Path) -> Path:
    """Where a file of a client's is written: a bare name, in the server's own folder."""
    if not _NAME.fullmatch(str(name)):
        raise WishError(f"{str(name)[:100]!r} is not a plain file name of letters, digits, dots, - and _")
    path = folder / str(name)
    if path.is_symlink():
        raise WishError(f"{str(name)!r} is a link; it is not written through")
    return path


def schema_of(model: type[BaseModel], *, preset: bool = False) -> dict[str, Any]:
    """The JSON schema of what a client may say, without references, for the OpenAPI document."""
    whole = model.model_json_schema(mode="validation")
    groups = whole.pop("$defs", {})
    properties = {}
    for name, schema in whole["properties"].items():
        if name in DENIED[model]:
            continue
        if "$ref" in schema:
            schema = groups[schema["$ref"].rpartition("/")[2]]
        if any(isinstance(part, BeforeValidator) for part in model.model_fields[name].metadata):
            # As people write it: 4M, 30s, 514-553.
            plain = {key: schema.pop(key) for key in ("title", "default") if key in schema}
            schema = {**plain, "anyOf": [schema, {"type": "string"}]}
        properties[name] = schema
    if preset:
        properties["preset"] = {"type": "string", "description": "100k, 500k, 1m, 2m, 4m; each with -classic"}
        properties["classic"] = {"type": "boolean", "default": False}
    required = [name for name in whole.get("required", []) if name in properties]
    return {
        "type": "object",
        "title": model.__name__.replace("Config", "Settings"),
        "properties": properties,
        "additionalProperties": False,
        **({"required": required} if required else {}),
    }


def _checked(wish: Mapping[str, Any], model: type[BaseModel], serve: ServeConfig) -> dict[str, Any]:
    _refuse_odd(wish)
    if refused := sorted(DENIED[model] & set(wish)):
        raise WishError(f"{', '.join(refused)}: not a client's to set; it is this server's")
    settings = dict(wish)
    files = serve.state / "files"
    folders = (files, *serve.read)
    for key in _READ:
        if settings.get(key) is not None:
            settings[key] = str(readable(settings[key], folders))
    for key in _WRITTEN:
        if settings.get(key) is not None:
            settings[key] = str(writable(settings[key], files))
    if model is StormConfig and (name := settings.get("profile")) is not None:
        settings["profile"] = profile(name, folders)
    if isinstance(sources := settings.get("sources"), list | tuple):
        settings["sources"] = [_source(source, folders) for source in sources]
    return settings


def profile(name: object, folders: Iterable[Path]) -> str:
    """One of haechi's own by its name, or a file."""
    if re.fullmatch(r"[a-z0-9_]{1,40}", str(name)):
        return str(name)
    return str(readable(name, folders))


def _source(name: object, folders: tuple[Path, ...]) -> str:
    """A log, or a pattern for the last part of its path."""
    text = str(name)
    place, slash, last = text.rpartition("/")
    if not _GLOB.search(last):
        return str(readable(text, folders))
    if not slash or _GLOB.search(place):
        raise WishError(f"{text[:100]!r}: a pattern needs a folder before it, and may be its last part only")
    return f"{readable(place or slash, folders)}/{last}"


def _refuse_odd(value: object) -> None:
    """What JSON readers take though it cannot be written again: numbers without an end, halves of letters."""
    if isinstance(value, float) and not math.isfinite(value):
        raise WishError(f"{value} is not a finite number")
    if isinstance(value, str) and any("\ud800" <= letter <= "\udfff" for letter in value):
        raise WishError("a text holds half of a surrogate pair")
    if isinstance(value, int) and abs(value) >= 1 << 64:
        raise WishError(f"a number of {value.bit_length()} bits is too large")
    if isinstance(value, Mapping):
        for key, inner in value.items():
            _refuse_odd(key)
            _refuse_odd(inner)
    if isinstance(value, list | tuple):
        for inner in value:
            _refuse_odd(inner)


def _loaded(settings: Mapping[str, Any], model: type[M]) -> M:
    try:
        return load_yaml(None, model, settings)
    except ConfigError as error:
        raise WishError(str(error).replace(f"{COMMAND_LINE}: ", "")) from None
