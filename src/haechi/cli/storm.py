"""haechi storm: realistic logs, sent as a storm or written to a file."""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from haechi.cli.grouped import GroupedCommand, given, headed, option
from haechi.cli.outcome import refusals
from haechi.config.load import ConfigError, load_yaml
from haechi.config.storm import CLASSIC, PRESETS, StormConfig, classic, preset
from haechi.config.values import read_ports
from haechi.native.control import ControlError
from haechi.native.tools import ToolError, ToolRefusedError
from haechi.storm.maker import START, MakeError, make
from haechi.storm.profile import ProfileError
from haechi.storm.targets import TargetError

FORMS = ("iso", "rfc3164", "rfc5424")
SNAPSHOT = Path("haechi-storm-snapshot.json")
_LISTS = ("target", "allow_target", "anomaly_kinds")


_FLAG: dict[str, Any] = {"is_flag": True, "default": None}


@click.command("storm", cls=GroupedCommand)
@headed(
    "Where to",
    option(
        "--target", multiple=True, metavar="ADDRESS", help="Where events are sent; several share the rate."
    ),
    option("--ports", metavar="PORTS", help="514-553, or a list such as 514,601,6000-6003. [514-553]"),
    option("--transport", type=click.Choice(["udp", "tcp", "tls"]), help="[udp]"),
    option("--framing", type=click.Choice(["octets", "newline"]), help="Of TCP and TLS (RFC 6587). [octets]"),
    option("--account", **_FLAG, help="Keep account with a haechi sink: probes and end marks."),
    option("--no-gso", "gso", flag_value=False, default=None, help="A send for each datagram."),
    option("--allow-target", multiple=True, metavar="ADDRESS", help="Allow this target beyond private nets."),
    option("--allow-ports", **_FLAG, help="Allow ports below 514, or more than 100."),
    option("-o", "--output", metavar="FILE", help="Write lines instead; - for standard output."),
    option("--paced", **_FLAG, help="With -o: write at the rate, not at once."),
)
@headed(
    "How fast, how long",
    option("--eps", metavar="RATE", help="Events a second: 500, 750k, 4M, or max. [1k]"),
    option(
        "--preset",
        metavar="NAME",
        help=f"{', '.join(PRESETS)}: a rate to 40 ports; 4m-classic: see --classic.",
    ),
    option(
        "--classic",
        "in_classic",
        is_flag=True,
        help="A worker and a port for each 100,000 events/s, groups of 10.",
    ),
    option("--duration", metavar="TIME", help="30s, 10m, 24h. [until it is ended]"),
    option("--count", metavar="N", help="So many events and no more; with -o [1M]"),
    option("--ramp-up", metavar="TIME", help="From nothing to the rate in a straight line."),
    option("--max-eps", metavar="RATE", help="The limit that the rate must not be above. [20M]"),
    option("--burst-us", metavar="N", help="How long a port's turn lasts, in microseconds. [850]"),
)
@headed(
    "What is written",
    option("--profile", metavar="NAME|FILE", help="What is written. [system]"),
    option("--form", type=click.Choice(FORMS), help="How a line is written. [iso]"),
    option("--seed", type=click.IntRange(0, 2**64 - 1), help="Same seed, same bytes. [1]"),
    option("--start", metavar="TIME", help=f"UTC time of the first line. [now; with -o {START}]"),
    option("--sessions", metavar="N", help="Sessions live at once. [by the rate]"),
)
@headed(
    "Anomalies",
    option("--anomaly-rate", metavar="RATIO", help="Share of anomalous sessions, 0 to 1. [0]"),
    option("--anomaly-kinds", multiple=True, metavar="KINDS", help="sessions, all, or some. [sessions]"),
    option("--disturbance-events", metavar="N", help="A burst or a silence in so many events. [none]"),
    option("--truth", metavar="FILE", help="Where the anomalies are listed, one JSON object a line."),
)
@headed(
    "Workers",
    option("--workers", metavar="N", help="Threads that send. [one for each core]"),
    option("--groups", metavar="N", help="Of workers, each on one NUMA node with --pin auto. [1]"),
    option("--pin", metavar="CPU,CPU...|auto", help="Processors the workers stay on, in turn."),
)
@headed(
    "TLS",
    option("--tls-ca", metavar="FILE", help="Whose certificates are accepted. [the system's store]"),
    option("--tls-certificate", metavar="FILE", help="The storm's own, where the receiver asks for one."),
    option("--tls-key", metavar="FILE", help="The key to it."),
    option("--tls-server-name", metavar="NAME", help="What the receiver's is to be for. [the target]"),
    option("--tls-insecure", **_FLAG, help="Do not check the receiver's certificate."),
)
@headed(
    "Running",
    option(
        "--config",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="Settings (configs/storm.yaml explains them); options here win over it.",
    ),
    option(
        "--json", "as_json", is_flag=True, help="The totals as one JSON object. With -o on standard error."
    ),
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
    in_classic: bool,
    **options: Any,
) -> None:
    """Send realistic system logs at a set rate, or write them to a file, with labelled anomalies on request.

    \b
    haechi storm --target 127.0.0.1 --ports 5514-5553 --eps 4M --duration 30s --account
    haechi storm --target 10.1.2.3 --preset 500k --ramp-up 1m --duration 24h
    haechi storm --target siem --transport tls --tls-ca ca.pem --ports 6514 --eps 20k
    haechi storm -o app.log --count 2M --anomaly-rate 0.01 --truth truth.jsonl

    TERM and INT end it gracefully, USR1 reads --config again and takes over its rate, USR2 writes a snapshot.
    Beyond loopback, private networks and link-local a target has to be allowed by its name.
    """
    chosen = given(options, _LISTS)
    if config is None and "target" not in chosen and "output" not in chosen:
        raise click.UsageError("Missing option '--target' (where to send) or '-o' / '--output' (a file).")
    failures = (MakeError, ToolError, ControlError)
    wrong = (ConfigError, ProfileError, TargetError, ToolRefusedError)
    with refusals(*failures, wrong_usage=wrong):
        read = functools.partial(_settings, config, chosen, in_classic)
        settings = read()
        if settings.output is not None and not settings.paced:
            _write(settings, as_json)
        else:
            _send(settings, read if config else None, as_json, quiet)


def _settings(path: Path | None, chosen: dict[str, Any], in_classic: bool) -> StormConfig:
    """The file's, under the preset's, under the options; then put into the classical shape."""
    options = dict(chosen)
    name = options.pop("preset", None)
    # Where the file has the one and the command line the other.
    if "output" in options:
        options.setdefault("target", ())
    elif "target" in options:
        options["output"] = None
    try:
        options = {**(preset(name) if name else {}), **options}
        settings = load_yaml(path, StormConfig, options)
        if not in_classic and not (name and name.endswith(CLASSIC)):
            return settings
        # Of the ports that were given; workers and groups that were given stay.
        shape = classic(settings.eps, settings.ports)
        kept = {key: value for key, value in chosen.items() if key in ("workers", "groups")}
    except ValueError as error:
        raise ConfigError(f"command line: {error}") from None
    return load_yaml(path, StormConfig, {**options, **shape, **kept})


def _write(settings: StormConfig, as_json: bool) -> None:
    assert settings.output is not None
    assert settings.eps != "max"
    made = make(
        settings.output,
        count=settings.file_count,
        eps=settings.eps,
        seed=settings.seed,
        form=settings.form,
        profile=settings.profile,
        anomaly_rate=settings.anomaly_rate,
        anomaly_kinds=settings.anomaly_kinds,
        disturbance_events=settings.disturbance_events,
        sessions=settings.sessions,
        truth=settings.truth,
        start=settings.start or START,
        ports=settings.file_ports,
        burst_us=settings.burst_us,
    )
    # Standard output may be the log itself.
    if as_json:
        click.echo(json.dumps(asdict(made)), err=True)
    else:
        rate = made.events / max(made.seconds, 1e-9)
        click.echo(
            f"{made.events} lines, {made.bytes} bytes, {made.episodes} anomalous sessions, "
            f"{rate / 1e6:.2f} M lines/s",
            err=True,
        )


def _send(settings: StormConfig, read: Callable[[], StormConfig] | None, as_json: bool, quiet: bool) -> None:
    from rich.console import Console

    from haechi.live.follow import Requests, ended, follow, say
    from haechi.live.reload import Reloader
    from haechi.live.snapshot import write_snapshot, write_summary
    from haechi.storm.run import Storm, StormResult
    from haechi.storm.view import StormView, summary_table
    from haechi.tune.settings import warnings

    console = Console(stderr=True)
    if settings.target:
        eps = settings.max_eps if settings.eps == "max" else settings.eps
        for sentence in warnings(len(read_ports(settings.ports)), eps):
            say(console, sentence)
    with Requests() as requests, Storm.start(settings) as storm:
        requests.attend(storm)
        follow(
            storm,
            StormView(storm, settings, time.monotonic()),
            requests,
            console,
            quiet=quiet,
            reload=Reloader(settings, read, "eps", storm.take_rate),
            snapshot=lambda: write_snapshot(storm, settings.snapshot or SNAPSHOT),
        )
        result, failure = ended(storm, StormResult.of)
    write_summary(settings.summary, result.whole)
    # Standard output may be the log itself.
    to_error = settings.output is not None
    if as_json:
        click.echo(json.dumps(dict(result.whole), ensure_ascii=False), err=to_error)
    else:
        Console(stderr=to_error).print(summary_table(result))
    if failure is not None:
        raise failure
