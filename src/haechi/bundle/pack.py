"""The stand-alone archive: engine, libraries, bundle and a start script, for machines without Python."""

from __future__ import annotations

import io
import lzma
import os
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from haechi.bundle.store import MANIFEST, Bundle
from haechi.native.tools import onnxruntime_library, tool_path
from haechi.rules.hyperscan import library_path

ENGINE = "haechi-detect"
XZ_PRESET = 6
HYPERSCAN = "libhs.so.5"
# What every Linux with glibc has, and what must be the machine's own: the loader and the C library's parts.
SYSTEM_LIBRARIES = ("linux-vdso", "ld-linux", "libc.so", "libm.so", "libdl.so", "librt.so", "libpthread.so")


class PackError(Exception):
    """The archive cannot be made; names the file or library."""


@dataclass(frozen=True, slots=True)
class Packed:
    archive_bytes: int
    unpacked_bytes: int


def pack(bundle: Bundle, archive: Path, rules: str | None = None) -> Packed:
    """Writes the archive, whole or not at all. rules: in the engine's form (haechi.rules.expression.render);
    Hyperscan, which only they need, is packed with them. The same bundle, rules, engine and libraries give
    the same bytes. PackError or OSError."""
    engine, onnxruntime = tool_path(ENGINE), onnxruntime_library()
    programs = [engine, onnxruntime]
    if rules is not None:
        programs.append(_hyperscan())
    libraries = dict(shared_libraries(programs))
    if rules is not None:
        libraries[HYPERSCAN] = programs[-1]
    top = f"haechi-{bundle.digest}"
    start = _START.replace("@ONNXRUNTIME@", onnxruntime.name).replace("@DIGEST@", bundle.digest)
    readme = _README.replace("@TOP@", top).replace(
        "@RULES@", _WITHOUT_RULES if rules is None else _WITH_RULES
    )
    texts = {"detect": (start, 0o755), "README": (readme, 0o644)}
    if rules is not None:
        texts["rules.json"] = (rules, 0o644)
    files = {
        f"bin/{ENGINE}": engine,
        f"lib/{onnxruntime.name}": onnxruntime,
        **{f"lib/{name}": path for name, path in libraries.items()},
        **{
            f"bundle/{bundle.digest}/{name}": bundle.path / name
            for name in (MANIFEST, *bundle.manifest.files)
        },
    }
    made = datetime.fromisoformat(bundle.manifest.created).timestamp()
    building = archive.with_name(f".{archive.name}.{os.getpid()}")
    unpacked = 0
    try:
        with (
            lzma.open(building, "wb", preset=XZ_PRESET) as stream,
            tarfile.open(fileobj=stream, mode="w") as tar,
        ):
            for name, (text, mode) in texts.items():
                unpacked += _add(
                    tar, f"{top}/{name}", io.BytesIO(text.encode()), len(text.encode()), mode, made
                )
            for name, path in sorted(files.items()):
                mode = 0o755 if name.startswith("bin/") else 0o644
                with path.open("rb") as file:
                    unpacked += _add(tar, f"{top}/{name}", file, path.stat().st_size, mode, made)
        os.replace(building, archive)
    finally:
        building.unlink(missing_ok=True)
    return Packed(archive.stat().st_size, unpacked)


def _hyperscan() -> Path:
    path = library_path()
    if path is None:
        raise PackError(
            f"rules need Hyperscan's library, {HYPERSCAN}, which is not on this machine: install "
            "libhyperscan5 or libvectorscan5, or pack without rules"
        )
    return path


def shared_libraries(programs: list[Path]) -> Mapping[str, Path]:
    """Name -> file of every shared library that the programs load, without the system's own."""
    found: dict[str, Path] = {}
    for program in programs:
        done = subprocess.run(
            ["ldd", program], capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"}
        )
        if done.returncode != 0:
            raise PackError(f"{program}: ldd cannot tell its libraries: {done.stderr.strip()}")
        for name, path in _parse_ldd(program, done.stdout):
            if not Path(name).name.startswith(SYSTEM_LIBRARIES):
                found[name] = path.resolve()
    return found


def _parse_ldd(program: Path, text: str) -> Iterator[tuple[str, Path]]:
    for line in text.splitlines():
        name, arrow, rest = line.strip().partition(" => ")
        if not arrow:
            continue  # the loader and the kernel's own page have no arrow
        if rest == "not found":
            raise PackError(f"{program}: needs {name}, which is not on this machine")
        yield name, Path(rest.rsplit(" (", 1)[0])


def _add(tar: tarfile.TarFile, name: str, file: io.BufferedIOBase, size: int, mode: int, made: float) -> int:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.mtime = size, mode, int(made)
    tar.addfile(entry, file)
    return size


# The configuration goes to the engine as a here-document, so that nothing has to be written or cleaned up.
_START = r"""#!/bin/sh
# Reports what is not normal in log files. Needs nothing but this folder.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
follow=false alerts=- checkpoint= sources= rules=
[ ! -f "$here/rules.json" ] || rules=$here/rules.json

usage() {
    echo "usage: $0 [--follow] [-o ALERTS] [--checkpoint FOLDER] [--rules RULES.json] LOG..." >&2
    exit 2
}
quoted() {
    printf '"%s"' "$(printf '%s' "$1" | sed 's/[\\"]/\\&/g')"
}

while [ $# -gt 0 ]; do
    case $1 in
    --follow) follow=true ;;
    -o) [ $# -ge 2 ] || usage; alerts=$2; shift ;;
    --checkpoint) [ $# -ge 2 ] || usage; checkpoint=$2; shift ;;
    --rules) [ $# -ge 2 ] || usage; rules=$2; shift ;;
    -h | --help) usage ;;
    -) sources="$sources${sources:+, }\"-\"" ;;
    -*) usage ;;
    *) sources="$sources${sources:+, }$(quoted "$1")" ;;
    esac
    shift
done
[ -n "$sources" ] || usage
if [ -n "$checkpoint" ]; then
    checkpoint=", \"checkpoint\": {\"path\": $(quoted "$checkpoint"), \"interval_s\": 1}"
fi
if [ -n "$rules" ]; then
    rules=", \"rules\": $(quoted "$rules")"
fi
export LD_LIBRARY_PATH="$here/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
exec "$here/bin/haechi-detect" --config /dev/fd/3 3<<CONFIG
{"bundle": $(quoted "$here/bundle/@DIGEST@"),
 "onnxruntime": $(quoted "$here/lib/@ONNXRUNTIME@"),
 "sources": [$sources], "follow": $follow, "alerts": $(quoted "$alerts")$checkpoint$rules}
CONFIG
"""

_README = """haechi: log anomaly detection, stand-alone

    ./@TOP@/detect /var/log/app.log                          read a log, alerts to standard output
    ./@TOP@/detect --follow -o alerts.jsonl /var/log/app.log     go on as it grows
    some-program | ./@TOP@/detect -                          read standard input
    ./@TOP@/detect --follow -o alerts.jsonl --checkpoint state /var/log/app.log
                                                             go on where it stood, after any end

@RULES@

An alert is one JSON object a line. Needs Linux with glibc on the processor that this was packed on; no
Python, no network, no root.

bin/     the engine
lib/     the libraries it loads: ONNX Runtime (MIT), cJSON (MIT), OpenSSL (Apache-2.0), the GCC runtime
         (GPL-3.0 with the runtime library exception), with rules Hyperscan (BSD)
bundle/  what it learned
"""

_WITH_RULES = """Every line is held against rules.json; --rules FILE takes another one instead, as `haechi
rules convert` writes it. Hyperscan, which they need, is in lib/."""

_WITHOUT_RULES = """Rules (--rules FILE, as `haechi rules convert` writes it) need Hyperscan, which is not
in here: install libhyperscan5 or libvectorscan5 (Debian's names) on this machine, or pack with rules
(`haechi bundle pack --rules`)."""
