"""haechi sink: receives what is sent, and keeps account of it."""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from haechi.cli.grouped import GroupedCommand, given, headed, option
from haechi.cli.outcome import THRESHOLD_MISSED, refusals
from haechi.config.load import ConfigError, load_yaml
from haechi.config.sink import SinkConfig
from haechi.config.values import read_ports
from haechi.native.control import ControlError
from haechi.native.tools import ToolError, ToolRefusedError
from haechi.sink.run import Sink, SinkResult

SNAPSHOT = Path("haechi-sink-snapshot.json")


@click.command("sink", cls=GroupedCommand)
@headed(
    "Where",
    option("--address", metavar="ADDRESS", help="What to listen on; * for every address. [127.0.0.1]"),
    option("--ports", metavar="PORTS", help="514-553, or a list such as 514,601,6000-6003. [514-553]"),
    option("--transport", type=click.Choice(["udp", "tcp", "tls"]), help="[udp]"),
    option("--framing", type=click.Choice(["auto", "octets", "newline"]), help="Of TCP and TLS. [auto]"),
    option("--plain", is_flag=True, default=None, help="One datagram at a time, as others do (no GRO)."),
    option("--buffer-bytes", metavar="N", help="Receive buffer of a port. [8 MiB or what is allowed]"),
)
@headed(
    "What with it",
    option("--write", metavar="FILE", help="Write each message as a line; - for standard output."),
    option("--max-eps", metavar="RATE", help="Play a slow receiver: take at most so many a second."),
    option("--max-loss", type=click.FloatRange(0, 1), help="Exit with 99 where the loss ratio is above."),
    option("--max-p99-us", type=click.FloatRange(min=0), help="Exit with 99 where the p99 latency is above."),
)
@headed(
    "How long",
    option("--duration", metavar="TIME", help="30s, 10m, 24h. [until it is ended]"),
    option("--idle-exit", metavar="TIME", help="End when every stream has ended and nothing came so long."),
)
@headed(
    "Workers",
    option("--workers", metavar="N", help="Threads that receive. [1]"),
    option("--pin", metavar="CPU,CPU...", help="Processors the workers stay on, in turn."),
)
@headed(
    "TLS",
    option("--tls-certificate", metavar="FILE", help="The sink's own."),
    option("--tls-key", metavar="FILE", help="The key to it."),
    option("--tls-client-ca", metavar="FILE", help="Who must have signed the clients' certificates."),
)
@headed(
    "Running",
    option(
        "--config",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="Settings (configs/sink.yaml explains them); options here win over it.",
    ),
    option("--json", "as_json", is_flag=True, help="The totals as one JSON object."),
    option("--quiet", is_flag=True, help="No live view and no line a second."),
    option("--snapshot", metavar="FILE", help=f"Where USR2 writes the totals so far. [{SNAPSHOT}]"),
    option("--summary", metavar="FILE", help="Write the totals there as well; - for standard error."),
    option("--stats-page", metavar="FILE", help="Map counters to this file."),
    option("--control-socket", metavar="SOCKET", help="Take commands on this Unix socket."),
)
def command(
    config: Path | None,
    as_json: bool,
    quiet: bool,
    max_loss: float | None,
    max_p99_us: float | None,
    **options: Any,
) -> int:
    """Receive syslog, count it per port, and say where every message went that a storm has sent.

    \b
    haechi sink --ports 5514-5553 --idle-exit 2s
    haechi sink --ports 5514-5553 --plain --max-loss 0 --max-p99-us 5000 --json
    haechi sink --transport tcp --ports 6514 --write received.log --max-eps 20k

    The account needs a sender that keeps it (haechi storm --account). TERM and INT end it gracefully, USR1
    reads --config again and takes over max_eps, USR2 writes a snapshot.
    """
    with refusals(ToolError, ControlError, wrong_usage=(ConfigError, ToolRefusedError)):
        read = functools.partial(load_yaml, config, SinkConfig, given(options, ()))
        settings = read()
        result = _receive(settings, read if config else None, as_json, quiet)
    missed = _missed(result, max_loss, max_p99_us)
    for sentence in missed:
        click.echo(f"haechi: {sentence}", err=True)
    return THRESHOLD_MISSED if missed else 0


def _receive(
    settings: SinkConfig, read: Callable[[], SinkConfig] | None, as_json: bool, quiet: bool
) -> SinkResult:
    from rich.console import Console
    from rich.text import Text

    from haechi.live.follow import Requests, ended, follow, say
    from haechi.live.reload import Reloader
    from haechi.live.snapshot import write_snapshot, write_summary
    from haechi.sink.view import SinkView, account_line, ports_table, summary_table
    from haechi.tune.settings import warnings

    console = Console(stderr=True)
    for sentence in warnings(len(read_ports(settings.ports)), settings.max_eps or 0):
        say(console, sentence)
    with Requests() as requests, Sink.start(settings) as sink:
        requests.attend(sink)
        follow(
            sink,
            SinkView(sink, settings, time.monotonic()),
            requests,
            console,
            quiet=quiet,
            reload=Reloader(settings, read, "max_eps", sink.take_rate),
            snapshot=lambda: write_snapshot(sink, settings.snapshot or SNAPSHOT),
        )
        result, failure = ended(sink, SinkResult.of)
    write_summary(settings.summary, result.whole)
    # Standard output may be what was received.
    to_error = str(settings.write) == "-"
    if as_json:
        click.echo(json.dumps(dict(result.whole), ensure_ascii=False), err=to_error)
    else:
        out = Console(stderr=to_error)
        out.print(summary_table(result))
        if (table := ports_table(result)) is not None:
            out.print(table)
        out.print(Text(account_line(result)), soft_wrap=True)
    if failure is not None:
        raise failure
    return result


def _missed(result: SinkResult, max_loss: float | None, max_p99_us: float | None) -> list[str]:
    """The thresholds that were not met. What is not known does not meet one."""
    missed = []
    if max_loss is not None:
        if not result.streams:
            missed.append("the loss is not known: no sender said what it sent")
        elif not result.closed:
            missed.append("the loss is not known for certain: the account is not closed")
        elif result.loss_ratio > max_loss:
            missed.append(f"the loss ratio {result.loss_ratio:.6g} is above {max_loss:g}")
    if max_p99_us is not None:
        latency = result.latency_us
        if not latency.count:
            missed.append("the latency is not known: no probe came")
        elif latency.p99 > max_p99_us:
            missed.append(f"the p99 latency, {latency.p99:g} us, is above {max_p99_us:g}")
    return missed
