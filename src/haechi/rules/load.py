"""Rules from wherever they are: the user's rule files, Sigma's files and folders, the engine's JSON."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from haechi.rules import expression, rulefile
from haechi.rules.expression import Action, Rule, RuleError
from haechi.rules.refusal import Refusal
from haechi.storm.document import ProfileError, read_text

FILE_BYTES = 256 << 20
SIGMA_FILE_BYTES = 4 << 20
FILES_MAX = 50_000
SIGMA_SUFFIXES = (".yml", ".yaml")


@dataclass(frozen=True)
class Loaded:
    rules: list[Rule]
    refused: list[Refusal]

    @property
    def mistakes(self) -> list[Refusal]:
        return [refusal for refusal in self.refused if refusal.mistake]


def load(
    places: Sequence[Path],
    *,
    sigma: bool = False,
    fields: Mapping[str, str] | None = None,
    action: Action = "deny",
) -> Loaded:
    """All rules of these places, in their order. A folder holds Sigma's files; a file is told by what stands
    in it (sigma: take every one as Sigma's). fields maps fields of Sigma to a line's; action is what Sigma's
    rules do. A mistake in a file of the user's is a RuleError; what of Sigma's cannot be taken is in
    `refused`, and so are rules with an id that an earlier one has."""
    rules: list[Rule] = []
    refused: list[Refusal] = []
    sigma_files: list[tuple[str, Sequence[Any]]] = []
    unread: list[str] = []
    for place in places:
        try:
            if place.is_dir():
                found, broken = _sigma_folder(place)
                sigma_files += found
                refused += broken
            elif place.suffix == ".json" and not sigma:
                rules += _engine_file(place)
            else:
                _take_yaml(place, sigma, rules, sigma_files)
        except RuleError as error:
            unread.append(str(error))
    if unread:
        raise RuleError("\n".join(unread))
    if sigma_files:
        # pySigma takes half a second to import, which rule files need not wait for.
        from haechi.rules import sigma_files as sigma_room
        from haechi.rules.sigma_pipeline import read_map

        taken = {rule.id for rule in rules}
        converted, not_taken = sigma_room.convert(sigma_files, read_map(fields or {}), action, taken)
        rules += converted
        refused += not_taken
    expression.check_rules(rules)
    return Loaded(rules, refused)


def _take_yaml(
    place: Path, sigma: bool, rules: list[Rule], sigma_files: list[tuple[str, Sequence[Any]]]
) -> None:
    text = _text(place, FILE_BYTES)
    if sigma or _is_sigma(text):
        if len(text) > SIGMA_FILE_BYTES:
            raise RuleError(f"{place}: has more than {SIGMA_FILE_BYTES} characters, the most of a Sigma file")
        sigma_files.append((str(place), _documents(text, place)))
    else:
        rules += rulefile.parse(text, str(place))


def _is_sigma(text: str) -> bool:
    """By a key that every document of Sigma's has at its margin, and no rule file can have."""
    keys = ("detection:", "logsource:", "correlation:", "filter:", "action:")
    return any(line.startswith(keys) for line in text.splitlines())


def _sigma_folder(folder: Path) -> tuple[list[tuple[str, Sequence[Any]]], list[Refusal]]:
    """Its files in the order of their paths. One that cannot be read is refused, and the others go on."""
    found: list[tuple[str, Sequence[Any]]] = []
    broken: list[Refusal] = []
    paths = sorted(
        Path(root, name)
        for root, _, names in os.walk(folder)
        for name in names
        if name.endswith(SIGMA_SUFFIXES) and not name.startswith(".")
    )
    if not paths:
        raise RuleError(f"{folder}: holds no file of Sigma's (*.yml, *.yaml)")
    if len(paths) > FILES_MAX:
        raise RuleError(f"{folder}: holds {len(paths)} files, at most {FILES_MAX} are read")
    for path in paths:
        try:
            found.append((str(path), _documents(_text(path, SIGMA_FILE_BYTES), path)))
        except RuleError as error:
            reason = str(error).removeprefix(f"{path}: ")
            broken.append(Refusal(str(path), "", "", reason, True))
    return found, broken


def _documents(text: str, path: Path) -> list[Any]:
    from haechi.rules.sigma_files import read_documents

    return read_documents(text, str(path))


def _engine_file(path: Path) -> list[Rule]:
    try:
        return expression.parse(_text(path, FILE_BYTES))
    except RuleError as error:
        message = str(error)
        raise RuleError(message if message.startswith(str(path)) else f"{path}: {message}") from None


def _text(path: Path, most: int) -> str:
    try:
        return read_text(path, most)
    except ProfileError as error:
        raise RuleError(str(error)) from None
