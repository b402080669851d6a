"""haechi bundle: what training made, looked at, checked, compared, packed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from haechi.bundle.description import describe
from haechi.bundle.difference import Difference, diff
from haechi.bundle.pack import PackError, pack
from haechi.bundle.store import Bundle, BundleError, read
from haechi.cli.outcome import print_json, refusals
from haechi.native.tools import ToolError
from haechi.rules.expression import RuleError, render
from haechi.rules.load import load

bundle_argument = click.argument("bundle", type=click.Path(exists=True, file_okay=False, path_type=Path))
json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object.")


@click.group("bundle")
def command() -> None:
    """Look at what training made: show, verify, diff, pack.

    BUNDLE is a bundle's folder, or a folder of bundles: then its latest one.
    """


@command.command("show")
@bundle_argument
@click.option("--templates", is_flag=True, help="Every template, too.")
@json_option
def show(bundle: Path, templates: bool, as_json: bool) -> None:
    """What a bundle was trained on, and when it raises alerts.

    \b
    haechi bundle show bundles
    """
    with refusals(BundleError):
        read_bundle = read(bundle)
        texts = read_bundle.templates
    if as_json:
        shown = {"digest": read_bundle.digest, "path": str(read_bundle.path)}
        print_json(shown | {"manifest": read_bundle.manifest.model_dump(mode="json"), "templates": texts})
        return
    _print_bundle(read_bundle)
    if templates:
        for log_key, text in enumerate(texts):
            click.echo(f"{log_key:6d}  {text}")


@command.command("verify")
@bundle_argument
@json_option
def verify(bundle: Path, as_json: bool) -> None:
    """Check every file of a bundle against the manifest; exit 1 where one differs.

    \b
    haechi bundle verify bundles/0123456789abcdef
    """
    with refusals(BundleError):
        verified = read(bundle)
    if as_json:
        print_json({"ok": True, "digest": verified.digest, "files": len(verified.manifest.files)})
    else:
        click.echo(f"{verified.path}: {len(verified.manifest.files)} files are what the manifest says")


@command.command("diff")
@click.argument("old", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("new", type=click.Path(exists=True, file_okay=False, path_type=Path))
@json_option
def difference(old: Path, new: Path, as_json: bool) -> None:
    """What changed from one bundle to another: templates, settings, thresholds.

    \b
    haechi bundle diff bundles/0123456789abcdef bundles/latest
    """
    with refusals(BundleError):
        result = diff(read(old), read(new))
    if as_json:
        print_json(result.as_dict())
    else:
        _print_difference(result)


@command.command("pack")
@bundle_argument
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="ARCHIVE.tar.xz",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The archive to write.",
)
@click.option(
    "--rules",
    multiple=True,
    type=click.Path(exists=True, path_type=Path),
    help="Stage one's rules, packed with the library that they need: as `haechi detect --rules` takes them.",
)
@json_option
def pack_command(bundle: Path, output: Path, rules: tuple[Path, ...], as_json: bool) -> None:
    """Pack a bundle with the engine into one archive that runs where there is no Python.

    \b
    haechi bundle pack bundles/latest -o edge.tar.xz
    tar xf edge.tar.xz && ./haechi-edge/detect /var/log/app.log
    haechi bundle pack bundles/latest --rules rules.yaml -o edge.tar.xz
    """
    with refusals(BundleError, PackError, RuleError, ToolError):
        packed = pack(read(bundle), output, _rules_of(rules) if rules else None)
    if as_json:
        print_json(
            {"archive": str(output), "bytes": packed.archive_bytes, "unpacked_bytes": packed.unpacked_bytes}
        )
    else:
        click.echo(
            f"{output}: {packed.archive_bytes / 1e6:.1f} MB; unpacked {packed.unpacked_bytes / 1e6:.1f} MB"
        )


def _rules_of(places: Sequence[Path]) -> str:
    """The engine's form of the rules. What of Sigma's is refused is said; the others go on."""
    loaded = load(places)
    for refusal in loaded.refused:
        click.echo(f"haechi: rule refused: {refusal}", err=True)
    return render(loaded.rules)


def _print_bundle(bundle: Bundle) -> None:
    manifest = bundle.manifest
    corpus, session = manifest.corpus, manifest.session
    of_session = {
        "fields": " ".join(session.fields),
        "value": f"values that start with {session.prefix!r}",
        "time": f"{session.seconds} s" + (f" and {' '.join(session.fields)}" if session.fields else ""),
        "all": "the whole input",
    }
    rows = [
        ("digest", bundle.digest),
        ("created", f"{manifest.created} by haechi {manifest.haechi}"),
        ("parent", manifest.parent or "none"),
        ("trained on", f"{', '.join(corpus.sources)}: {corpus.lines} lines, {corpus.sessions} sessions"),
        ("from, to", f"{corpus.time_from or '-'}, {corpus.time_to or '-'}"),
        ("malformed", f"{corpus.malformed} lines"),
        ("format", manifest.parser.format),
        ("log keys", str(manifest.log_keys)),
        (
            "session",
            f"by {session.by}: {of_session[session.by]}; ends after {session.idle_s} s without an event",
        ),
        ("window", f"{manifest.window} log keys"),
    ]
    rows += [(detector.name, describe(detector)) for detector in manifest.detectors]
    table = Table(show_header=False, box=None)
    for name, text in rows:
        table.add_row(f"[b]{name}[/b]", escape(text))
    Console().print(table)


def _print_difference(result: Difference) -> None:
    if not result:
        click.echo("no difference")
    for name, (before, after) in result.changed.items():
        click.echo(f"{name}: {before} -> {after}")
    for text in result.templates_removed:
        click.echo(f"- {text}")
    for text in result.templates_added:
        click.echo(f"+ {text}")
