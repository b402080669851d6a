"""`haechi bench parsing`: does the miner group messages as people did?

Measured on Loghub-2k (He et al., ISSRE 2020): for each system 2,000 log lines with the template that people
gave each, and the corrected labels of Khan et al. (ICSE 2022). Every system is mined with the one default
configuration, from the bare messages, with nothing told about the system.

Grouping accuracy as in Zhu et al. (ICSE-SEIP 2019): a line counts as right when the set of lines in its
group is exactly the set of lines in its group of the ground truth. "half" mines only the first half of the
lines and asks how many of the others are unseen (beside how many have a new label, too), and how right
the grouping of those that are not unseen is.
"""

import csv
import json
import os
import time
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from haechi.native._core import Matcher, Miner

STRUCTURED = "_2k.log_structured.csv"
CORRECTED = "_2k.log_structured_corrected.csv"
UNSEEN = 0xFFFFFFFF
SPEED_S = 0.5


@dataclass(frozen=True)
class System:
    """One system's messages and the labels that people gave them, line by line."""

    name: str
    messages: list[bytes]
    labels: list[str]
    corrected: list[str] | None


@dataclass(frozen=True)
class Row:
    """What came out for one system."""

    name: str
    ga: float
    ga_corrected: float | None
    templates: int
    true_templates: int
    half_unseen_ratio: float
    half_new_ratio: float
    half_ga: float
    lines_per_s: float


def grouping_accuracy(groups: Sequence[Hashable], labels: Sequence[Hashable]) -> float:
    """Share of lines whose group has exactly the lines of their label; 0 for no lines."""
    both: dict[tuple[Hashable, Hashable], int] = {}
    of_group: dict[Hashable, int] = {}
    of_label: dict[Hashable, int] = {}
    for group, label in zip(groups, labels, strict=True):
        both[group, label] = both.get((group, label), 0) + 1
        of_group[group] = of_group.get(group, 0) + 1
        of_label[label] = of_label.get(label, 0) + 1
    right = sum(n for (group, label), n in both.items() if n == of_group[group] == of_label[label])
    return right / max(len(labels), 1)


def _column(path: Path, name: str) -> list[str]:
    with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        reader = csv.DictReader(file)
        if name not in (reader.fieldnames or ()):
            raise ValueError(f"{path}: no column {name}")
        return [row[name] for row in reader]


def read_system(folder: Path) -> System:
    """Raises ValueError or OSError, naming the file, where the folder is not of Loghub-2k's form."""
    name = folder.name
    structured, corrected = folder / f"{name}{STRUCTURED}", folder / f"{name}{CORRECTED}"
    messages = [
        content.replace("\n", " ").encode("utf-8", "surrogateescape")
        for content in _column(structured, "Content")
    ]
    labels = _column(corrected, "EventId") if corrected.is_file() else None
    if labels is not None and len(labels) != len(messages):
        raise ValueError(f"{corrected}: {len(labels)} lines, but {structured.name} has {len(messages)}")
    return System(name, messages, _column(structured, "EventId"), labels)


def _folder(root: Path | None) -> Path:
    if root is None:
        raise ValueError("set HAECHI_DATA to the folder that holds loghub_2k, or pass --data")
    folder = root / "loghub_2k"
    if not any(folder.glob(f"*/*{STRUCTURED}")):
        raise ValueError(f"{folder} holds no SYSTEM/SYSTEM{STRUCTURED}")
    return folder


def systems_in(root: Path) -> Iterator[System]:
    """Every system of the folder, by name."""
    for folder in sorted(root.iterdir()):
        if (folder / f"{folder.name}{STRUCTURED}").is_file():
            yield read_system(folder)


def group(learned: Sequence[bytes], asked: Sequence[bytes]) -> tuple[Matcher, npt.NDArray[np.uint32]]:
    """The matcher of what was learned, and the log keys that it gives to what is asked."""
    miner = Miner()
    miner.learn(b"".join(message + b"\n" for message in learned))
    matcher = Matcher(miner.finish())
    return matcher, matcher.match(b"".join(message + b"\n" for message in asked))


def _lines_per_s(messages: Sequence[bytes]) -> float:
    """Lines learned, mined and matched in a second."""
    lines, start = 0, time.perf_counter()
    while time.perf_counter() - start < SPEED_S:
        group(messages, messages)
        lines += len(messages)
    return lines / (time.perf_counter() - start)


def measure(system: System) -> Row:
    """Mines a system whole, and its first half."""
    matcher, keys = group(system.messages, system.messages)
    half = len(system.messages) // 2
    _, later = group(system.messages[:half], system.messages[half:])
    seen = later != UNSEEN
    labels = np.asarray(system.labels[half:])
    return Row(
        name=system.name,
        ga=grouping_accuracy(keys.tolist(), system.labels),
        ga_corrected=None if system.corrected is None else grouping_accuracy(keys.tolist(), system.corrected),
        templates=len(matcher),
        true_templates=len(set(system.labels)),
        half_unseen_ratio=float(1 - seen.mean()) if len(seen) else 0.0,
        half_new_ratio=float(np.isin(labels, system.labels[:half], invert=True).mean())
        if len(labels)
        else 0.0,
        half_ga=grouping_accuracy(later[seen].tolist(), labels[seen].tolist()),
        lines_per_s=_lines_per_s(system.messages),
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def figures(rows: Sequence[Row]) -> dict[str, float]:
    """The plain numbers that the last line of --json holds."""
    corrected = [row.ga_corrected for row in rows if row.ga_corrected is not None]
    numbers: dict[str, float] = {"mean_ga": round(_mean([row.ga for row in rows]), 4)}
    if corrected:
        numbers["mean_ga_corrected"] = round(_mean(corrected), 4)
    numbers["mean_half_ga"] = round(_mean([row.half_ga for row in rows]), 4)
    numbers["mean_half_unseen_ratio"] = round(_mean([row.half_unseen_ratio for row in rows]), 4)
    numbers["mean_half_new_ratio"] = round(_mean([row.half_new_ratio for row in rows]), 4)
    numbers["systems"] = len(rows)
    for row in rows:
        numbers[f"ga_{row.name.lower()}"] = round(row.ga, 4)
    return numbers


def _table(rows: Sequence[Row]) -> Table:
    table = Table(title="Grouping accuracy, one default configuration")
    table.add_column("system")
    for heading in ("ga", "ga corrected", "templates", "true", "half: unseen", "new", "half: ga", "lines/s"):
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(
            row.name,
            f"{row.ga:.4f}",
            "" if row.ga_corrected is None else f"{row.ga_corrected:.4f}",
            str(row.templates),
            str(row.true_templates),
            f"{row.half_unseen_ratio:.3f}",
            f"{row.half_new_ratio:.3f}",
            f"{row.half_ga:.4f}",
            f"{row.lines_per_s:,.0f}",
        )
    return table


def run(data: Path | None, as_json: bool) -> int:
    """data: the folder that holds loghub_2k; HAECHI_DATA where it is None. Returns the exit code."""
    console = Console(stderr=as_json)
    root = data or (Path(os.environ["HAECHI_DATA"]) if os.environ.get("HAECHI_DATA") else None)
    try:
        rows = [measure(system) for system in systems_in(_folder(root))]
    except (ValueError, OSError) as error:
        Console(stderr=True).print(f"haechi bench parsing: {error}", style="red")
        return 1
    numbers = figures(rows)
    console.print(_table(rows))
    console.print(f"mean ga {numbers['mean_ga']:.4f} over {len(rows)} systems")
    if as_json:
        print(json.dumps(numbers))
    return 0
