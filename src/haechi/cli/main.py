"""`haechi VERB`: finds the verb's file, and turns what it raises into one line and an exit status."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

import click

from haechi import __version__
from haechi.cli.outcome import FAILED, INTERRUPTED, WRONG_USAGE

# A verb's module is imported when the verb is called: what one needs (PyTorch takes seconds) the others do
# not wait for, and neither does --help.
VERBS = {
    "demo": "train on a made log, search it for made anomalies, print the scorecard",
    "train": "learn from logs what normal looks like, and write a bundle",
    "detect": "read logs and report what is not normal",
    "storm": "send realistic system logs at a set rate, or make a file of them",
    "sink": "receive what is sent, and keep account of every message",
    "incidents": "group alerts of one cause, and show what is worth a person's time",
    "explain": "show an alert's lines, their probabilities, and the most similar normal session",
    "serve": "run storms, sinks and detectors over HTTP, watch them, and say when something is wrong",
    "trial": "run a scenario of storms, judge it by its criteria, write a report",
    "report": "compare what trials have written",
    "eval": "compare alerts with the ground truth",
    "rules": "stage one's rules and Sigma's: check, convert, test, load",
    "bundle": "show, verify, compare or pack what training made",
    "bench": "measure: hdfs, parsing, detect",
    "tune": "the machine's settings for high rates: shown, advised, applied, undone",
    "data": "where public logs to try this on are published",
}


class Verbs(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        command = importlib.import_module(f"haechi.cli.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in VERBS and not args[0].startswith("-"):
            ctx.fail(f"{args[0]!r} is none of the verbs {', '.join(VERBS)}.")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))


@click.group(
    cls=Verbs,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit status: 0 done, 1 failed, 2 wrong usage or configuration, 99 a threshold was not met.",
)
@click.version_option(__version__, prog_name="haechi")
def haechi() -> None:
    """Learns what normal looks like in logs, and flags what is not.

    \b
    haechi train /var/log/app.log -o bundles
    haechi detect --bundle bundles/latest --follow /var/log/app.log
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command line and returns its exit status."""
    try:
        status = haechi.main(arguments, prog_name="haechi", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("haechi: interrupted", err=True)
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has gone; nobody is left to be told, and the interpreter must not try.
        sys.stdout = None
        return FAILED
    except MemoryError:
        click.echo("haechi: this machine's memory does not suffice", err=True)
        return FAILED
    if status is None:
        return 0
    return status if isinstance(status, int) else WRONG_USAGE
