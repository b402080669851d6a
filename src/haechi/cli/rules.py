"""haechi rules: stage one's rules, checked, converted, tried on lines, loaded into a running engine."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from haechi.cli.outcome import FAILED, WRONG_USAGE, UsageRefusal, print_json, refusals
from haechi.native.control import ControlClient, ControlError
from haechi.rules.evaluate import Verdict, judge
from haechi.rules.expression import Action, RuleError, render
from haechi.rules.lines import read_lines
from haechi.rules.load import Loaded, load

LOG_BYTES = 64 << 20

files_argument = click.argument(
    "files", metavar="FILE...", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path)
)
json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object.")


def sigma_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """How rules of Sigma are taken."""
    for option in (
        click.option(
            "--action",
            type=click.Choice(["deny", "escalate"]),
            default="deny",
            show_default=True,
            help="What Sigma's rules do with a line.",
        ),
        click.option(
            "--map",
            "mapped",
            multiple=True,
            metavar="FIELD=FIELD",
            help="A field of Sigma and the line's: CommandLine=message.",
        ),
        click.option("--sigma", is_flag=True, help="Take every file as Sigma's."),
    ):
        function = option(function)
    return function


@click.group("rules")
def command() -> None:
    """Stage one's rules: check, convert, test, load.

    FILE is a rule file (YAML), a rule of Sigma or a folder of them, or what convert wrote.

    \b
    haechi rules check configs/rules.yaml
    """


@command.command("check")
@files_argument
@sigma_options
@json_option
def check(files: tuple[Path, ...], as_json: bool, **sigma: Any) -> int:
    """Say what of the rules cannot be used, and why; exit 2 on mistakes.

    A rule of Sigma's that asks for more than a line's rules can do is refused, and no mistake.

    \b
    haechi rules check configs/rules.yaml sigma/rules/linux
    """
    try:
        loaded = _loaded(files, **sigma)
    except RuleError as error:
        if not as_json:
            raise UsageRefusal(str(error)) from None
        print_json({"ok": False, "rules": 0, "mistakes": str(error).splitlines(), "refused": []})
        return WRONG_USAGE
    mistakes = loaded.mistakes
    if as_json:
        refused = [refusal.as_json() for refusal in loaded.refused]
        wrong = [str(refusal) for refusal in mistakes]
        print_json({"ok": not wrong, "rules": len(loaded.rules), "mistakes": wrong, "refused": refused})
    else:
        _print_refused(loaded)
        click.echo(
            f"{len(loaded.rules)} rules are good; {len(loaded.refused)} are refused, "
            f"{len(mistakes)} of them for a mistake"
        )
    return WRONG_USAGE if mistakes else 0


@command.command("convert")
@files_argument
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="RULES.json",
    type=click.Path(dir_okay=False, path_type=Path),
    help="What to write: the engine's form of the rules.",
)
@sigma_options
@json_option
def convert(files: tuple[Path, ...], output: Path, as_json: bool, **sigma: Any) -> int:
    """Write the rules as the engine reads them. What is refused is listed, and the others go on.

    \b
    haechi rules convert sigma/rules/linux -o rules.json --map CommandLine=message
    """
    with refusals(wrong_usage=(RuleError,)):
        loaded = _loaded(files, **sigma)
        if loaded.rules:
            _write(output, render(loaded.rules))
    if as_json:
        refused = [refusal.as_json() for refusal in loaded.refused]
        print_json({"output": str(output), "rules": len(loaded.rules), "refused": refused})
    else:
        _print_refused(loaded)
        where = (
            f"{output}: {len(loaded.rules)} rules" if loaded.rules else "no rule is left; nothing is written"
        )
        click.echo(f"{where}; {len(loaded.refused)} are refused")
    return 0 if loaded.rules else FAILED


@command.command("test")
@click.argument("rules", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--line", "lines", multiple=True, metavar="TEXT", help="A log line; may be there several times."
)
@click.option(
    "--file",
    "log",
    metavar="LOG",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A log, of which the lines that a rule fits are shown.",
)
@click.option(
    "--format", "format_spec", metavar="FORMAT", help="Header format; else what fits the lines best."
)
@sigma_options
@json_option
def test(
    rules: Path,
    lines: tuple[str, ...],
    log: Path | None,
    format_spec: str | None,
    as_json: bool,
    **sigma: Any,
) -> int:
    """Show which rules fit which lines, by the reference in Python.

    What only a bundle tells, a line's session, template and log_key, is not there.

    \b
    haechi rules test configs/rules.yaml --line "sshd[1]: Accepted password for root from 192.0.2.1"
    haechi rules test configs/rules.yaml --file /var/log/auth.log
    """
    if bool(lines) == bool(log):
        raise UsageRefusal("one of --line and --file is needed")
    with refusals(wrong_usage=(RuleError,)):
        loaded = _loaded((rules,), **sigma)
        data = (
            _log_bytes(log)
            if log
            else "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape")
        )
        seen = fitting = 0
        for raw, line in read_lines(data, format_spec=format_spec, source=str(log or "-")):
            seen += 1
            verdict = judge(loaded.rules, line)
            fitting += bool(verdict.matched)
            if verdict.matched or lines:
                (_print_verdict_json if as_json else _print_verdict)(raw, verdict)
    if not as_json:
        _print_refused(loaded)
        click.echo(f"{fitting} of {seen} lines fit a rule", err=True)
    return 0


@command.command("load")
@files_argument
@click.option(
    "--control",
    "socket",
    required=True,
    metavar="SOCKET",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The control socket of a running `haechi detect`.",
)
@sigma_options
@json_option
def load_command(files: tuple[Path, ...], socket: Path, as_json: bool, **sigma: Any) -> int:
    """Put these rules in the place of those that a running engine has, without a pause.

    \b
    haechi rules load configs/rules.yaml --control /run/haechi/control
    """
    with refusals(ControlError, wrong_usage=(RuleError,)):
        loaded = _loaded(files, **sigma)
        with _rules_beside(socket, render(loaded.rules)) as path, ControlClient(socket, 60.0) as control:
            answer = control.ask("load_rules", path=str(path))
    if as_json:
        refused = [refusal.as_json() for refusal in loaded.refused]
        print_json({**answer, "rules": len(loaded.rules), "refused": refused})
    else:
        _print_refused(loaded)
        click.echo(f"{len(loaded.rules)} rules are in force; {len(loaded.refused)} are refused")
    return 0


def _loaded(
    files: Sequence[Path], sigma: bool = False, mapped: tuple[str, ...] = (), action: Action = "deny"
) -> Loaded:
    return load(files, sigma=sigma, fields=read_pairs(mapped), action=action)


def read_pairs(mapped: Sequence[str]) -> dict[str, str]:
    """--map FIELD=FIELD, several with commas or several times."""
    pairs = {}
    for pair in (part for value in mapped for part in value.split(",")):
        name, equals, target = pair.partition("=")
        if not equals:
            raise RuleError(f"--map {pair!r:.80} is not FIELD=FIELD, such as CommandLine=message")
        pairs[name.strip()] = target.strip()
    return pairs


def _print_verdict(raw: bytes, verdict: Verdict) -> None:
    said = ", ".join(f"{rule.id} ({rule.action}, {rule.severity})" for rule in verdict.matched)
    click.echo(f"{verdict.action or 'open':8}  {_printable(raw)}\n          {said or 'no rule fits'}")


def _print_verdict_json(raw: bytes, verdict: Verdict) -> None:
    names = [rule.id for rule in verdict.matched]
    print_json({"line": raw.decode("utf-8", "replace"), "action": verdict.action, "rules": names})


def _print_refused(loaded: Loaded) -> None:
    for refusal in loaded.refused:
        click.echo(f"refused: {_printable(str(refusal).encode('utf-8', 'replace'))}", err=True)


def _printable(raw: bytes) -> str:
    """A log line may hold what a terminal obeys."""
    text = raw.decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _log_bytes(log: Path) -> bytes:
    with log.open("rb") as file:
        data = file.read(LOG_BYTES + 1)
    if len(data) > LOG_BYTES:
        raise RuleError(
            f"{log}: has more than {LOG_BYTES >> 20} MiB, the most that the reference goes through"
        )
    return data


def _write(output: Path, text: str) -> None:
    """Whole or not at all: an engine may be reading the old file."""
    handle, name = tempfile.mkstemp(dir=output.parent, prefix=f".{output.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(name, 0o644)
        os.replace(name, output)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise


@contextlib.contextmanager
def _rules_beside(socket: Path, text: str) -> Iterator[Path]:
    """A file for as long as the engine reads it. It lies beside the socket, since an engine that is a service
    may have a /tmp of its own, and what can reach its socket's folder is what it shares with us."""
    handle, name = tempfile.mkstemp(dir=socket.parent.resolve(), prefix=".rules.", suffix=".json")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        yield Path(name)
    finally:
        os.unlink(name)
