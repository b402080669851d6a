"""haechi serve: the control plane, over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from haechi.cli.grouped import GroupedCommand, given, headed, option
from haechi.cli.outcome import refusals
from haechi.config.load import ConfigError, load_yaml
from haechi.config.serve import ServeConfig

_LISTS = ("allow_target", "hosts", "origins")


@click.command("serve", cls=GroupedCommand)
@headed(
    "Where",
    option(
        "--address", metavar="ADDRESS", help="To listen on. Beyond loopback a token is demanded. [127.0.0.1]"
    ),
    option("--port", type=click.IntRange(0, 65_535), help="0: any that is free. [8080]"),
    option("--state", metavar="FOLDER", help="For the token, alerts and files of clients. [haechi-state]"),
    option("--read", multiple=True, metavar="FOLDER", help="Where clients may name bundles, logs, profiles."),
)
@headed(
    "Who",
    option("--demand-token", is_flag=True, default=None, help="On loopback as well."),
    option("--tls-certificate", metavar="FILE", help="This server's own, in PEM."),
    option("--tls-key", metavar="FILE", help="The key to it."),
    option("--hosts", multiple=True, metavar="NAME", help="Other names that this server is reached by."),
    option("--user", metavar="NAME", help="The user to become, when started as root."),
    option("--origins", multiple=True, metavar="ORIGIN", help="Other origins whose pages may ask. [none]"),
)
@headed(
    "What storms may do",
    option("--allow-target", multiple=True, metavar="TARGET", help="Allow this one outside private ranges."),
    option("--max-eps", metavar="RATE", help="The limit that no storm's rate is above. [20M]"),
)
@headed(
    "Running",
    option(
        "--config",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="Settings (configs/serve.yaml explains them); options here win over it.",
    ),
)
def command(config: Path | None, read: tuple[str, ...], **options: Any) -> None:
    """Run storms, sinks and detectors over HTTP, watch them, and send messages when something is wrong.

    \b
    haechi serve
    haechi serve --read /var/log --read bundles --config serve.yaml
    haechi serve --address 0.0.0.0 --tls-certificate cert.pem --tls-key key.pem

    The API shows itself at /docs; docs/api.md explains it. TERM and INT end everything gracefully.
    """
    from haechi.serve.keys import TokenError
    from haechi.serve.privileges import PrivilegesError
    from haechi.serve.run import ServeError, serve

    chosen = given(options, _LISTS)
    if read:
        chosen["read"] = list(read)
    with refusals(ServeError, wrong_usage=(ConfigError, TokenError, PrivilegesError)):
        serve(load_yaml(config, ServeConfig, chosen))
