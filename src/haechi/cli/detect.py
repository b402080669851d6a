"""haechi detect: settings and options to one JSON configuration, and the engine in this process's place."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from haechi.cli.outcome import refusals
from haechi.config.detect import DetectConfig, RulesConfig
from haechi.config.load import ConfigError, load_yaml
from haechi.config.presets import PRESETS, read_preset
from haechi.native.tools import (
    ToolError,
    config_in_memory,
    onnxruntime_library,
    run_in_foreground,
    text_in_memory,
    tool_path,
)
from haechi.rules.expression import RuleError, render
from haechi.rules.load import load


@click.command("detect")
@click.argument("logs", metavar="[LOG]...", nargs=-1)
@click.option("--bundle", help="What training made: the bundle's folder.")
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Settings (configs/detect.yaml explains them); options here win over it.",
)
@click.option(
    "--preset",
    type=click.Choice(PRESETS),
    help="Settings for a kind of use, under those of the file: web service, payments, large platform.",
)
@click.option(
    "--rules",
    multiple=True,
    metavar="FILE",
    help="Stage one's rules: a rule file, rules of Sigma, or a folder of those.",
)
@click.option(
    "-o", "--output", "alerts", metavar="ALERTS", help="File that alerts are appended to, - for stdout."
)
@click.option("--udp", multiple=True, metavar="ADDRESS:PORTS", help="Listen: a message a datagram.")
@click.option("--tcp", multiple=True, metavar="ADDRESS:PORTS", help="Listen: syslog over TCP.")
@click.option("--tls", multiple=True, metavar="ADDRESS:PORTS", help="Listen: syslog over TLS.")
@click.option("--udp-plain", is_flag=True, default=None, help="Take UDP without GRO, a datagram at a time.")
@click.option("--udp-buffer-bytes", type=int, metavar="N", help="Receive buffer of each UDP port.")
@click.option("--readers", type=int, help="Threads that receive.")
@click.option("--framing", type=click.Choice(["auto", "octets", "newline"]), help="Of TCP and TLS.")
@click.option("--tls-certificate", metavar="FILE", help="This receiver's, in PEM, for --tls.")
@click.option("--tls-key", metavar="FILE", help="Its key, in PEM.")
@click.option("--tls-client-ca", metavar="FILE", help="Take only clients with a certificate by this one.")
@click.option("--follow/--no-follow", default=None, help="Go on as files grow, rotate and appear.")
@click.option("--from-end", is_flag=True, default=None, help="With --follow: skip what is there already.")
@click.option(
    "--polling", is_flag=True, default=None, help="With --follow: look on a schedule, without inotify."
)
@click.option("--format", metavar="FORMAT", help="Header format, where not the one trained on.")
@click.option("--workers", type=int, help="Threads that judge.")
@click.option("--pin", metavar="CPU,CPU...", help="A processor for each worker to stay on.")
@click.option("--checkpoint", metavar="FILE", help="Where to note what is done, to go on from after any end.")
@click.option("--stats-page", metavar="FILE", help="Map counters and latencies to this file.")
@click.option("--control-socket", metavar="SOCKET", help="Take commands on this Unix socket.")
@click.option("--onnxruntime", metavar="LIBRARY", help="libonnxruntime.so, where not the Python package's.")
@click.option("--json", "as_json", is_flag=True, help="The closing summary as one JSON object.")
def command(
    logs: tuple[str, ...],
    config: Path | None,
    preset: str | None,
    rules: tuple[str, ...],
    pin: str | None,
    checkpoint: str | None,
    **options: Any,
) -> int:
    """Report what is not normal in LOG (files, quoted globs, - for standard input), an alert a line.

    With --udp, --tcp or --tls it listens, beside the logs or alone, until it is stopped. The summary at the
    end goes to standard error.

    \b
    haechi detect app.log --bundle bundles/latest -o alerts.jsonl
    haechi detect --follow "/var/log/app*.log" --bundle bundles/latest -o alerts.jsonl --checkpoint state
    haechi detect --udp 0.0.0.0:514-553 --bundle bundles/latest -o alerts.jsonl
    haechi detect --preset payments --rules rules.yaml pay.log --bundle bundles/latest -o alerts.jsonl
    """
    as_json = options.pop("as_json")
    if logs:
        options["sources"] = list(logs)
    if rules:
        options["rules"] = {"files": list(rules)}
    if pin is not None:
        options["pin"] = pin.split(",")
    if checkpoint is not None:
        options["checkpoint"] = {"path": checkpoint}
    for transport in ("udp", "tcp", "tls"):
        options[transport] = list(options[transport]) or None
    given = {key: value for key, value in options.items() if value is not None}
    with refusals(ToolError, wrong_usage=(ConfigError, RuleError)):
        settings = load_yaml(config, DetectConfig, given, read_preset(preset) if preset else None)
        engine = tool_path("haechi-detect")
        rules_fd = _rules_in_memory(settings.rules) if settings.rules else None
        rendered = settings.engine_config(
            settings.onnxruntime or onnxruntime_library(),
            None if rules_fd is None else Path(f"/dev/fd/{rules_fd}"),
        )
        if settings.follow or settings.listens or as_json:
            # The engine takes this process's place: signals, streams and the exit status are its own.
            rendered |= {"summary": "-"} if as_json else {}
            os.execv(engine, [engine.name, "--config", f"/dev/fd/{config_in_memory(rendered)}"])
        status, summary = run_in_foreground(
            "haechi-detect", rendered, pass_fds=[] if rules_fd is None else [rules_fd]
        )
    if summary:
        _print_summary(summary)
    return status


def _rules_in_memory(rules: RulesConfig) -> int:
    """A file descriptor with the engine's form of the rules. What of Sigma's is refused is said; the others
    are in force."""
    loaded = load(rules.files, fields=rules.map, action=rules.action)
    for refusal in loaded.refused:
        click.echo(f"haechi: rule refused: {refusal}", err=True)
    return text_in_memory(render(loaded.rules))


def _print_summary(summary: dict[str, Any]) -> None:
    lines, seconds = summary["lines"], summary["seconds"]
    click.echo(
        f"{lines:,} lines in {seconds:.2f} s ({lines / max(seconds, 1e-9):,.0f} a second), "
        f"{summary['alerts']:,} alerts; malformed {summary['malformed_lines']:,}, "
        f"fit no template {summary['unseen_lines']:,}, unscored {summary['unscored']:,}",
        err=True,
    )
