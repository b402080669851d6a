"""The page: its files at / and /page/. They hold no secrets and are open to whoever reaches the server; what
they show comes from the API, which is not.

Names are looked up among those that were found in the page's folder, so no path can lead out of it. Files lie
under their common digest, /page/DIGEST/..., and may be kept for ever there; without it they are asked for
again each time, by ETag."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import importlib.util
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from starlette.types import ASGIApp, Receive, Scope, Send

FOLDER_URL = "/page/"
FOLDER = Path(__file__).resolve().parent.parent / "page"
PLOTLY = "plotly.min.js"
TYPES: Mapping[str, str] = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}
_PLACE = "@page"  # in index.html: where the files are
_FOR_EVER = "public, max-age=31536000, immutable"
_ASK_AGAIN = "no-cache"
_SMALL = 1024  # bytes that are not worth packing
_LARGE = 262_144  # bytes from which on packing and reading are a thread's work

Answer = tuple[int, dict[str, str], bytes]  # status, headers, body


@dataclass(frozen=True, slots=True)
class File:
    path: Path
    kind: str
    etag: str
    stamp: tuple[int, int]  # its time and size when it was read

    def read(self) -> bytes:
        return self.path.read_bytes()


def plotly_file() -> Path | None:
    """The script that the plotly package carries; nothing of the package is run for it."""
    found = importlib.util.find_spec("plotly")
    if found is None or not found.submodule_search_locations:
        return None
    path = Path(found.submodule_search_locations[0]) / "package_data" / PLOTLY
    return path if path.is_file() else None


class Files:
    """All files of the page by name, looked at again when one of them has changed."""

    def __init__(self, folder: Path = FOLDER, plotly: Path | None = None) -> None:
        self._folder = folder
        self._plotly = plotly
        self._files: dict[str, File] = {}
        self._packed: dict[str, tuple[str, bytes]] = {}  # name -> ETag of what was packed, and it
        self._packing = asyncio.Lock()
        self.digest = ""
        self.renew()

    def renew(self) -> None:
        stamps = {name: (path, _stamp(path)) for name, path in self._found().items()}
        if {name: stamp for name, (_, stamp) in stamps.items()} == {
            name: file.stamp for name, file in self._files.items()
        }:
            return
        self._files = {name: _file(path, stamp) for name, (path, stamp) in stamps.items()}
        whole = hashlib.sha256()
        for name, file in self._files.items():
            whole.update(f"{name} {file.etag}\n".encode())
        self.digest = whole.hexdigest()[:16]

    def get(self, name: str) -> File | None:
        return self._files.get(name)

    def names(self) -> list[str]:
        return list(self._files)

    async def packed(self, name: str, file: File) -> bytes | None:
        """As gzip; made once. None: not worth it."""
        if file.stamp[1] < _SMALL:
            return None
        known = self._packed.get(name)
        if known is not None and known[0] == file.etag:
            return known[1]
        if file.stamp[1] <= _LARGE:
            body = _pack(file)
        else:
            async with self._packing:
                known = self._packed.get(name)
                if known is not None and known[0] == file.etag:
                    return known[1]
                body = await asyncio.to_thread(_pack, file)
        self._packed[name] = (file.etag, body)
        return body

    def _found(self) -> dict[str, Path]:
        found = {
            path.relative_to(self._folder).as_posix(): path
            for path in sorted(self._folder.rglob("*"))
            if path.suffix in TYPES and path.is_file() and not path.is_symlink()
        }
        if self._plotly is not None:
            found[PLOTLY] = self._plotly
        return found


def _pack(file: File) -> bytes:
    return gzip.compress(file.read(), 6, mtime=0)


def _stamp(path: Path) -> tuple[int, int]:
    known = path.stat()
    return known.st_mtime_ns, known.st_size


def _file(path: Path, stamp: tuple[int, int]) -> File:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()[:16]
    return File(path, TYPES[path.suffix], f'"{digest}"', stamp)


class Page:
    """ASGI: answers for the page, and leaves everything else to the application behind it. A page is some
    forty files at once, so nothing stands between them and the socket that they do not need."""

    def __init__(self, app: ASGIApp, files: Files | None = None) -> None:
        self._app = app
        self._files = files or Files(plotly=plotly_file())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        asked = scope["type"] == "http" and scope["method"] in ("GET", "HEAD")
        if not asked or not (path == "/" or path.startswith(FOLDER_URL)):
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        if path == "/":
            status, given, body = self._index(headers)
        else:
            status, given, body = await self._file(path.removeprefix(FOLDER_URL), headers)
        given["content-length"] = str(len(body))
        raw = [(name.encode(), value.encode("latin-1")) for name, value in given.items()]
        await send({"type": "http.response.start", "status": status, "headers": raw})
        await send({"type": "http.response.body", "body": body})

    def _index(self, headers: Mapping[str, str]) -> Answer:
        self._files.renew()
        file = self._files.get("index.html")
        if file is None:
            return _refused("the page's files are not there; install haechi again")
        etag = f'"{self._files.digest}"'
        given = {"etag": etag, "cache-control": _ASK_AGAIN, "content-type": file.kind}
        if headers.get("if-none-match") == etag:
            return 304, given, b""
        text = file.read().decode().replace(_PLACE, FOLDER_URL + self._files.digest)
        return 200, given, text.encode()

    async def _file(self, name: str, headers: Mapping[str, str]) -> Answer:
        place, _, rest = name.partition("/")
        fixed = place == self._files.digest
        name = rest if fixed else name
        file = self._files.get(name)
        if file is None:
            return _refused("there is no such file of the page; load the page again")
        given = {
            "etag": file.etag,
            "cache-control": _FOR_EVER if fixed else _ASK_AGAIN,
            "content-type": file.kind,
            "vary": "accept-encoding",
        }
        if headers.get("if-none-match") == file.etag:
            return 304, given, b""
        if takes_gzip(headers) and (packed := await self._files.packed(name, file)) is not None:
            return 200, {**given, "content-encoding": "gzip"}, packed
        large = file.stamp[1] > _LARGE
        return 200, given, await asyncio.to_thread(file.read) if large else file.read()


def _refused(sentence: str) -> Answer:
    return 404, {"content-type": "application/json"}, json.dumps({"detail": sentence}).encode()


def takes_gzip(headers: Mapping[str, str]) -> bool:
    for said in headers.get("accept-encoding", "").split(","):
        name, _, weight = said.partition(";")
        if name.strip().lower() in ("gzip", "*"):
            return weight.replace(" ", "").lower() not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False
