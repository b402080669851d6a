"""report.md: what a pull request wants to know."""

from __future__ import annotations

import re
from collections.abc import Sequence

from haechi.trial.page import STEP_FIGURES, VERDICTS, WORDS
from haechi.trial.progress import search_lines
from haechi.trial.report import Json
from haechi.trial.wording import account_sentence, figure, kpi_rows


def render(report: Json) -> str:
    grade = report["grade"]
    lines = [f"## Trial {plain(report['name'])}: {WORDS[report['state']]}", ""]
    if report["failure"]:
        lines += [plain(report["failure"]), ""]
    target = report["target"]
    lines += [f"{plain(target['words'])}, {target['transport']}, ports {target['ports']}.", ""]
    if report["steps"]:
        lines += [account_sentence(report["account"]), ""]
    if grade["letter"]:
        lines += [f"Grade **{grade['letter']}**, {grade['points']} of 100 points.", ""]
    if report["search"]:
        lines += [*(f"- {line}" for line in search_lines(report["search"])), ""]
    lines += table(
        ("criterion", "of", "came", ""),
        [
            (plain(c["text"]), plain(where), figure(c["figure"], c["value"]), VERDICTS[c["verdict"]])
            for where, criteria in [
                ("the whole", report["criteria"]),
                *((step["name"], step["criteria"]) for step in report["steps"]),
            ]
            for c in criteria
        ],
    )
    lines += table(
        ("step", *(name.replace("_", " ") for name in STEP_FIGURES)),
        [
            (plain(step["name"]), *(figure(name, step["figures"].get(name)) for name in STEP_FIGURES))
            for step in report["steps"]
        ],
    )
    lines += table(("key figure", ""), [(words, value) for _, words, value in kpi_rows(report)])
    if detection := report["detection"]:
        scores = (f"{name} {detection[name]:.4f}" for name in ("precision", "recall", "f1"))
        lines += ["Detection: " + ", ".join(scores) + ".", ""]
    lines += [f"- {plain(advice['text'])}" for advice in report["recommendations"]]
    return "\n".join(lines).rstrip() + "\n"


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    if not rows:
        return []
    return [
        "| " + " | ".join(heads) + " |",
        "|" + "---|" * len(heads),
        *("| " + " | ".join(row) + " |" for row in rows),
        "",
    ]


def plain(text: str) -> str:
    """Text that Markdown takes for nothing else."""
    return re.sub(r"([\\`*_{}\[\]<>|#!])", r"\\\1", " ".join(text.split()))
