"""Exit statuses, and a domain's refusals as the one line that a user sees."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

FAILED = 1
WRONG_USAGE = 2
THRESHOLD_MISSED = 99
INTERRUPTED = 130


class Refusal(click.ClickException):
    """Shown as `haechi: message`."""

    exit_code = FAILED

    def show(self, file: Any = None) -> None:
        for line in self.message.splitlines():
            click.echo(f"haechi: {line}", err=True)


class UsageRefusal(Refusal):
    """The same for what the user asked for or configured."""

    exit_code = WRONG_USAGE


@contextmanager
def refusals(*failed: type[Exception], wrong_usage: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """Within it, these exceptions (and what the system refuses: OSError) end the verb with their text alone;
    any other exception is a mistake of ours and keeps its traceback."""
    try:
        yield
    except click.ClickException:
        raise
    except wrong_usage as error:
        raise UsageRefusal(str(error)) from None
    except BrokenPipeError:
        raise
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise Refusal(f"{where}{error.strerror or error}") from None
    except failed as error:
        raise Refusal(str(error)) from None


def print_json(value: Any) -> None:
    """One line, so that the last line of the output can be read by a machine."""
    click.echo(json.dumps(value, ensure_ascii=False))
