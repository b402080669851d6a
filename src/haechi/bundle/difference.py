"""What changed from one bundle to the next."""

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

from haechi.bundle.manifest import Manifest, NewEvent
from haechi.bundle.store import Bundle


@dataclass(frozen=True)
class Difference:
    """templates by their text; values as (before, after) under the manifest's names."""

    templates_added: tuple[str, ...]
    templates_removed: tuple[str, ...]
    changed: dict[str, tuple[Any, Any]]

    def __bool__(self) -> bool:
        return bool(self.templates_added or self.templates_removed or self.changed)

    def as_dict(self) -> dict[str, Any]:
        """For --json."""
        return asdict(self)


def diff(old: Bundle, new: Bundle) -> Difference:
    """Templates that came and went, and every setting, threshold and count that is not the same."""
    before, after = Counter(old.templates), Counter(new.templates)
    left, right = _settings(old.manifest), _settings(new.manifest)
    return Difference(
        templates_added=tuple((after - before).elements()),
        templates_removed=tuple((before - after).elements()),
        changed={
            name: (left.get(name), right.get(name))
            for name in {**left, **right}
            if left.get(name) != right.get(name)
        },
    )


def _settings(manifest: Manifest) -> dict[str, Any]:
    """The manifest without what always differs (dates, digests) and the keys' numbers, flat."""
    whole = manifest.model_dump(mode="json", exclude={"created", "parent", "files", "detectors"})
    for detector in manifest.detectors:
        section = detector.model_dump(mode="json", exclude={"name", "file", "trained_keys"})
        whole[detector.name] = {name: value for name, value in section.items() if not _is_table(value)}
    trained = [len(d.trained_keys) for d in manifest.detectors if isinstance(d, NewEvent)]
    flat = {"new_event.trained_keys": sum(trained)}
    _flatten(whole, "", flat)
    return flat


def _is_table(value: Any) -> bool:
    """Hundreds of numbers that nobody compares by eye: mscred's limits and series."""
    return isinstance(value, list) and bool(value) and isinstance(value[0], list | dict)


def _flatten(value: dict[str, Any], prefix: str, into: dict[str, Any]) -> None:
    for name, inner in value.items():
        if isinstance(inner, dict):
            _flatten(inner, f"{prefix}{name}.", into)
        else:
            into[prefix + name] = inner
