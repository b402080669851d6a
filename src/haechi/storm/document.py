"""Text files that people write: read within bounds, and what stands where in them.

Anyone may hand over a profile, so nothing here trusts a file: only regular ones are read, only so much
of them, and YAML nested past any sense is refused before it can exhaust the parser's stack.
"""

from __future__ import annotations

import os
import stat
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

DEPTH_MAX = 32
VALUE_BYTES = 126
VALUES_MAX = 4096
VALUES_FILE_BYTES = 4 << 20

Place = tuple[str | int, ...]

# LibYAML's parser where PyYAML was built with it: some ten times faster.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class ProfileError(ValueError):
    """A profile that cannot be used; str() is one sentence a mistake, a mistake a line."""


@dataclass(frozen=True)
class Source:
    """A YAML text, and where things stand in it."""

    name: str
    root: yaml.Node | None
    data: Any

    def fail(self, place: Place, sentence: str) -> str:
        return f"{self.name}:{self._line(place)}: {_key(place)}: {sentence}"

    def doubles(self) -> list[str]:
        """A sentence for every key that stands twice in a mapping, where the second would win in silence."""
        sentences = []
        for mapping in _mappings(self.root):
            seen = set[str]()
            for key, _ in mapping.value:
                if isinstance(key, yaml.ScalarNode):
                    if key.value in seen:
                        sentences.append(
                            f"{self.name}:{key.start_mark.line + 1}: {key.value}: is there twice"
                        )
                    seen.add(key.value)
        return sentences

    def _line(self, place: Place) -> int:
        node = self.root
        line = node.start_mark.line if node else 0
        for part in place:
            if isinstance(node, yaml.MappingNode):
                found = [(k, v) for k, v in node.value if k.value == str(part)]
                if not found:
                    break
                line, node = found[0][0].start_mark.line, found[0][1]
            elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
                node = node.value[part]
                line = node.start_mark.line
            else:
                break
        return line + 1


def read_yaml(text: str, name: str) -> Source:
    """The text's only document. Raises ProfileError where it is not YAML; name stands for the file."""
    try:
        _measure_depth(text, name)
        loader = _LOADER(text)
        root = loader.get_single_node()
        return Source(name, root, loader.construct_document(root) if root else None)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        raise ProfileError(f"{name}:{line}: not YAML: {getattr(error, 'problem', error)}") from error
    except RecursionError as error:
        raise ProfileError(f"{name}:1: not YAML: nested too deeply") from error
    except ProfileError:
        raise
    except Exception as error:
        # PyYAML lets whatever its converters meet escape: KeyError for "!!bool x", AttributeError for
        # "!!timestamp x", ValueError for the 99th of a month and for a text that is no Unicode.
        raise ProfileError(f"{name}:1: not YAML: a value cannot be read ({error})") from error


def read_text(path: Path, most: int) -> str:
    """The text of a regular file of at most `most` bytes. Raises ProfileError, naming the path."""
    try:
        # Without waiting, in case the name stands for a pipe that nobody writes to.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise ProfileError(f"{path}: cannot be read as text: not a regular file")
            data = file.read(most + 1)
        if len(data) > most:
            raise ProfileError(f"{path}: has more than {most} bytes, the most that is read")
        return data.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ProfileError(f"{path}: cannot be read as text: {error}") from error


def read_values(folder: Path, name: str) -> list[str]:
    """The values in a file beside a profile, one a line, cleaned: control characters and blanks at the ends
    are out, long ones are cut between two characters, empty lines are skipped.

    The file has to lie in the profile's folder or below, so that a profile of somebody else's cannot put
    other files of yours into a log. Raises ProfileError.
    """
    try:
        path = (folder / name).resolve()
        outside = not path.is_relative_to(folder.resolve())
    except (OSError, ValueError, RuntimeError) as error:
        raise ProfileError(f"{name!r} is no name of a file: {error}") from error
    if outside:
        raise ProfileError(f"{name} does not lie in the profile's folder {folder}")
    lines = (_clean(line) for line in read_text(path, VALUES_FILE_BYTES).split("\n"))
    values = [line for line in lines if line]
    if not values:
        raise ProfileError(f"{path}: holds no value; one a line is expected")
    if len(values) > VALUES_MAX:
        raise ProfileError(f"{path}: holds {len(values)} values, at most {VALUES_MAX}")
    return values


def _clean(line: str) -> str:
    text = "".join(c for c in line if unicodedata.category(c) != "Cc").strip()
    return text.encode()[:VALUE_BYTES].decode(errors="ignore").rstrip()


def _measure_depth(text: str, name: str) -> None:
    """LibYAML composes nodes by recursion and has no bound: half a megabyte of "[" would end the process."""
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > DEPTH_MAX:
                line = event.start_mark.line + 1 if event.start_mark else 1
                raise ProfileError(f"{name}:{line}: not YAML: nested too deeply")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _mappings(root: yaml.Node | None) -> Iterator[yaml.MappingNode]:
    """Every mapping once, aliases and rings of them included."""
    waiting, seen = [root], set[int]()
    while waiting:
        node = waiting.pop()
        if not isinstance(node, yaml.CollectionNode) or id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            yield node
            waiting += [value for _, value in reversed(node.value)]
        else:
            waiting += list(reversed(node.value))


def _key(place: Place) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
    return text.lstrip(".") or "profile"
