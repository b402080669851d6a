"""How a trial goes, in a terminal: the step, its figures, and its criteria turning green or red; without a
terminal, plain lines."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from haechi.live.meter import clock, short
from haechi.trial.difference import Change
from haechi.trial.ndr import Attempt
from haechi.trial.report import Json, step_figures, step_verdicts
from haechi.trial.runner import StepRun
from haechi.trial.scenario import Scenario, Step
from haechi.trial.wording import figure

STYLES = {"met": "green", "missed": "red", "unknown": "yellow", "not_reached": "dim"}
MARKS = {"met": "+", "missed": "x", "unknown": "?", "not_reached": "-"}
LINE_EVERY_S = 10.0
RECENT = 60  # samples that figures are of while a step runs
LOOKED_AT = 300  # samples after which a running step's criteria are not looked at with every one of them


def recent(run: StepRun) -> StepRun:
    """The end of a step: what it costs to look at it does not grow with the hours."""
    return dataclasses.replace(run, samples=run.samples[-RECENT - 1 :])


def is_due(samples: int) -> bool:
    """Whether criteria are looked at again after so many samples: with growing pauses, so that a day of it
    costs no more for each second than five minutes do."""
    return samples % max(1, samples // LOOKED_AT) == 0


def figures_line(run: StepRun) -> str:
    """Rate, loss, latency, processors."""
    found = step_figures(run)
    parts = [f"{short(found.get('achieved_eps') or 0)} events/s"]
    if (loss := found.get("loss_ratio")) is not None:
        parts.append(f"{loss:.4%} lost")
    if (p99 := found.get("latency_p99")) is not None:
        parts.append(f"p99 {p99 * 1e3:.2f} ms")
    if (cpu := found.get("cpu")) is not None:
        parts.append(f"cpu {cpu:.0%}")
    return ", ".join(parts)


def criterion_text(criterion: Json) -> Text:
    verdict = criterion["verdict"]
    value = criterion["value"]
    came = "" if value is None else f" ({value:.6g})"
    return Text(f"{MARKS[verdict]} {criterion['text']}{came}", style=STYLES[verdict])


class LinesView:
    """One line for what begins and ends, and now and then one between."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._said_s = 0.0

    def says(self, text: str) -> None:
        self._console.print(Text(text), soft_wrap=True)

    def begins(self, scenario: Scenario, steps: tuple[Step, ...]) -> None:
        seconds = sum(step.duration for step in steps)
        what = f"{len(steps)} steps, {clock(seconds)}" if steps else "a search"
        self.says(f"trial {scenario.name}: {what}")

    def step_begins(self, number: int, step: Step) -> None:
        self._said_s = 0.0
        self.says(f"{step.name}: {step.words}, {clock(step.duration)}")

    def sampled(self, run: StepRun) -> None:
        seconds = _seconds(run)
        if seconds - self._said_s >= LINE_EVERY_S:
            self._said_s = seconds
            self.says(f"{run.step.name}: {clock(seconds)} {figures_line(recent(run))}")

    def step_ends(self, number: int, run: StepRun) -> None:
        self.says(f"{run.step.name}: {figures_line(run)}")
        for criterion in step_verdicts(run):
            self._console.print(Text("  ") + criterion_text(criterion), soft_wrap=True)

    def tried(self, attempt: Attempt) -> None:
        pass  # it was said

    def close(self) -> None:
        pass


@dataclass(frozen=True, slots=True)
class _Shown:
    """A row of the table, made when there was something new."""

    seconds: float
    line: str
    criteria: Sequence[Json]
    ended: bool = False


def _seconds(run: StepRun) -> float:
    return run.samples[-1].at_s - run.samples[0].at_s if run.samples else 0.0


class LiveView:
    """All steps as a table that is kept fresh."""

    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, auto_refresh=False)
        self._steps: list[Step] = []
        self._shown: dict[int, _Shown] = {}
        self._at = 0

    def says(self, text: str) -> None:
        self._live.console.print(Text(text))

    def begins(self, scenario: Scenario, steps: tuple[Step, ...]) -> None:
        self.says(f"trial {scenario.name}")
        self._steps = list(steps)
        if steps:
            self._live.start()
            self._show()

    def step_begins(self, number: int, step: Step) -> None:
        self._at = number
        self._show()

    def sampled(self, run: StepRun) -> None:
        before = self._shown.get(self._at)
        criteria = before.criteria if before and not is_due(len(run.samples)) else step_verdicts(run)
        self._shown[self._at] = _Shown(_seconds(run), figures_line(recent(run)), criteria)
        self._show()

    def step_ends(self, number: int, run: StepRun) -> None:
        self._shown[number] = _Shown(_seconds(run), figures_line(run), step_verdicts(run), ended=run.ended)
        self._show()

    def tried(self, attempt: Attempt) -> None:
        pass  # it was said

    def close(self) -> None:
        self._live.stop()

    def _show(self) -> None:
        self._live.update(self._render(), refresh=True)

    def _render(self) -> RenderableType:
        table = Table("step", "", "time", "figures", "criteria")
        for number, step in enumerate(self._steps):
            shown = self._shown.get(number) or _Shown(0.0, "", step_verdicts(StepRun(step)))
            table.add_row(
                Text(step.name),
                "*" if number == self._at and not shown.ended else "",
                f"{clock(shown.seconds)} / {clock(step.duration)}",
                Text(shown.line),
                Group(*(criterion_text(criterion) for criterion in shown.criteria)),
            )
        return table


def print_result(report: Json, console: Console) -> None:
    """The end: state, account, criteria of the whole, grade."""
    account, grade = report["account"], report["grade"]
    console.print(Text(f"\n{report['name']}: {report['state']}", style="bold"))
    if report["failure"]:
        console.print(Text(report["failure"]), style="red", soft_wrap=True)
    if account["sent"]:
        received = "not known" if account["received"] is None else f"{account['received']:,}"
        lost = "not known" if account["lost"] is None else f"{account['lost']:,}"
        console.print(f"sent {account['sent']:,}, received {received}, lost {lost}")
    if search := report["search"]:
        for line in search_lines(search):
            console.print(Text(line), soft_wrap=True)
    for criterion in report["criteria"]:
        console.print(criterion_text(criterion), soft_wrap=True)
    if detection := report["detection"]:
        console.print(
            f"precision {detection['precision']:.4f}, recall {detection['recall']:.4f}, "
            f"F1 {detection['f1']:.4f}"
        )
    if grade["letter"]:
        console.print(f"grade {grade['letter']}, {grade['points']} of 100 points")
    for advice in report["recommendations"]:
        console.print(Text(f"- {advice['text']}"), soft_wrap=True)


def search_lines(search: Json) -> list[str]:
    """NDR and PDR with what they rest on."""
    lines = []
    for name in ("ndr", "pdr"):
        result = search[name]
        if result is None:
            lines.append(f"{name.upper()}: " + ("no rate passed" if search["complete"] else "not found"))
            continue
        allowed = f"at most {result['loss_allowed']:.2%} lost" if result["loss_allowed"] else "no loss"
        least = "at least " if result["at_least"] else ""
        text = (
            f"{name.upper()} ({allowed}): {least}{result['eps']:,.0f} events/s; {result['passed']} of "
            f"{result['trials']} trials of {search['trial_seconds']:g} s passed, so another one passes with "
            f"a probability of at least {result['pass_probability_at_least']:.2f} "
            f"({result['confidence']:.0%} confidence, Clopper-Pearson)"
        )
        if result["loss_ratio_at_most"] is not None:
            text += (
                f"; {result['lost']} of {result['sent']:,} events lost, so the loss ratio is at most "
                f"{result['loss_ratio_at_most']:.2g} (rule of three)"
            )
        lines.append(text)
    return lines


def print_changes(before: Json, after: Json, found: Sequence[Change], console: Console | None = None) -> None:
    """Two reports compared; what got worse is red, what got better green."""
    console = console or Console()
    table = Table(
        title=Text(f"{before['name']}, {before['began']} to {after['began']}"), title_justify="left"
    )
    table.add_column("of")
    table.add_column("figure")
    for column in ("before", "after", "worse by"):
        table.add_column(column, justify="right")
    for change in found:
        worse = change.regression
        style = "" if not worse else "red" if worse > 0 else "green"
        table.add_row(
            Text(change.where),
            change.name,
            figure(change.name, change.before),
            figure(change.name, change.after),
            Text("" if worse is None else f"{worse:+.1%}", style=style),
        )
    console.print(table)
