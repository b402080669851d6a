"""haechi data: where public logs are published."""

from __future__ import annotations

import click

from haechi.cli.outcome import print_json

SOURCES = (
    {
        "name": "HDFS_1, BGL, OpenSSH, Linux and 13 more (Loghub)",
        "what": "raw system logs, partly labelled; HDFS_1 has a label for each block",
        "where": "https://zenodo.org/records/8196385",
        "terms": "free for research; cite https://github.com/logpai/loghub",
        "then": "haechi train HDFS.log -o bundles",
    },
    {
        "name": "Loghub-2k",
        "what": "2,000 lines of each of 16 systems with their templates, to measure parsing with",
        "where": "https://github.com/logpai/loghub",
        "terms": "free for research",
        "then": "HAECHI_DATA=FOLDER haechi bench parsing",
    },
    {
        "name": "Blue Gene/L, Thunderbird, Red Storm, Spirit, Liberty (CFDR)",
        "what": "supercomputers' system logs; the first field says whether a line is an alert",
        "where": "https://www.usenix.org/cfdr-data",
        "terms": "the Computer Failure Data Repository's terms of use",
        "then": "haechi train bgl-first-lines.log -o bundles",
    },
)


@click.command("data")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def command(as_json: bool) -> None:
    """Where public logs are published, and what each is good for. Fetches nothing itself.

    \b
    haechi data
    """
    if as_json:
        print_json({"sources": SOURCES})
        return
    for source in SOURCES:
        click.secho(source["name"], bold=True)
        click.echo(f"  {source['what']}\n  from   {source['where']}")
        click.echo(f"  terms  {source['terms']}\n  then   {source['then']}\n")
