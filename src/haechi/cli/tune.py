"""haechi tune: the machine's settings for high rates."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import click

from haechi.cli.outcome import FAILED, THRESHOLD_MISSED, Refusal, UsageRefusal, print_json, refusals
from haechi.cli.quantity import Quantity
from haechi.tune.apply import STATE, Outcome, TuneError, apply, undo, write_sysctl_file
from haechi.tune.settings import (
    Setting,
    advise,
    as_json,
    enough,
    plan_changes,
    read_machine,
    render_sysctl_file,
)


@click.command("tune")
@click.option(
    "--ports",
    type=click.IntRange(1, 100),
    default=40,
    show_default=True,
    help="That are sent to, or taken from.",
)
@click.option(
    "--eps", type=Quantity(), default="4M", show_default=True, help="Events a second, of all ports."
)
@click.option("--check", is_flag=True, help="Exit with 99 where something is not enough.")
@click.option(
    "--write",
    "sysctl_file",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the advice as a file for /etc/sysctl.d.",
)
@click.option("--apply", "do_apply", is_flag=True, help="Set what can be set now (as root).")
@click.option("--undo", "do_undo", is_flag=True, help="Set back what --apply has set (as root).")
@click.option(
    "--state",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    default=STATE,
    show_default=True,
    help="Where --apply records what was there.",
)
@click.option("--root", type=click.Path(file_okay=False, path_type=Path), default=Path("/"), hidden=True)
@click.option("--json", "as_json_", is_flag=True, help="One JSON object instead of a table.")
def command(
    ports: int,
    eps: float,
    check: bool,
    sysctl_file: Path | None,
    do_apply: bool,
    do_undo: bool,
    state: Path,
    root: Path,
    as_json_: bool,
) -> int:
    """Show the settings that hold sending and receiving back at high rates, and what they should be.

    \b
    haechi tune --ports 40 --eps 4M
    haechi tune --write /etc/sysctl.d/90-haechi.conf
    sudo haechi tune --apply
    sudo haechi tune --undo
    """
    if do_undo and (do_apply or sysctl_file or check):
        raise UsageRefusal("--undo goes alone")
    with refusals(TuneError):
        if do_undo:
            _need_root("--undo")
            return _report(undo(state, root), "set back", as_json_)
        if do_apply:
            _need_root("--apply")
        machine = read_machine(root)
        settings = advise(machine, ports, eps)
        if sysctl_file:
            write_sysctl_file(sysctl_file, render_sysctl_file(settings, ports, eps))
        outcomes: list[Outcome] = []
        if do_apply:
            outcomes = apply(plan_changes(machine, settings), state, root)
            machine = read_machine(root)
            settings = advise(machine, ports, eps)
    if as_json_:
        applied = {"applied": _outcomes_json(outcomes)} if do_apply else {}
        print_json(as_json(settings, machine, ports, eps) | applied)
    else:
        _print_table(settings, ports, eps)
    if sysctl_file:
        click.echo(
            f"haechi: {sysctl_file} is written; `sysctl --system` or a restart puts it in force", err=True
        )
    if do_apply:
        status = _report(outcomes, "set", False)
        if any(outcome.refused is None for outcome in outcomes):
            click.echo(f"haechi: what was there is recorded in {state}; --undo sets it back", err=True)
        if status:
            return status
    return THRESHOLD_MISSED if check and not enough(settings) else 0


def _need_root(option: str) -> None:
    if os.geteuid() != 0:
        raise Refusal(
            f"{option} changes settings of the whole machine and needs root: sudo haechi tune {option}"
        )


def _report(outcomes: Sequence[Outcome], done: str, as_json_: bool) -> int:
    if as_json_:
        print_json({"undone": _outcomes_json(outcomes)})
    for outcome in outcomes:
        if outcome.refused:
            click.echo(f"haechi: {outcome.name}: {outcome.refused}", err=True)
        else:
            click.echo(f"haechi: {outcome.name}: {done} to {outcome.value}", err=True)
    if not outcomes:
        click.echo("haechi: nothing had to be set", err=True)
    return FAILED if any(outcome.refused for outcome in outcomes) else 0


def _outcomes_json(outcomes: Sequence[Outcome]) -> list[dict[str, str | None]]:
    return [{"name": o.name, "value": o.value, "refused": o.refused} for o in outcomes]


def _print_table(settings: Sequence[Setting], ports: int, eps: float) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.padding import Padding
    from rich.table import Table

    console = Console()
    wide = console.width >= 120  # else the reasons stand below
    title = f"For {ports} ports and {eps:,.0f} events a second"
    table = Table(title=title, title_justify="left", show_lines=wide)
    table.add_column("setting", no_wrap=True)
    table.add_column("now", max_width=12)
    table.add_column("advised", max_width=12)
    table.add_column("enough")
    if wide:
        table.add_column("why", ratio=1)
    words = {True: "[green]yes[/]", False: "[bold red]no[/]", None: "[dim]-[/]"}
    for setting in settings:
        row = [setting.name, escape(setting.current or "-"), escape(setting.advised or "-")]
        row += [words[setting.enough], *([escape(setting.why)] if wide else [])]
        table.add_row(*row)
    console.print(table)
    for setting in [] if wide else settings:
        console.print(f"[b]{setting.name}[/b]")
        console.print(Padding(escape(setting.why), (0, 0, 0, 4)))
