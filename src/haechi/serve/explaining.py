"""Explanations of alerts, each made by a process of its own: what it takes of memory is gone with it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from haechi.config.serve import ServeConfig
from haechi.explain.finding import NotFoundError, checked
from haechi.serve.fleet import FleetError
from haechi.serve.wishes import WishError, readable

ANSWER_S = 25.0
AT_ONCE = 2
REACH_MB = 2  # of the log around the line, each way
ANSWER_BYTES = 16 << 20
_PROGRAM = "import sys; from haechi.cli.main import main; sys.exit(main(sys.argv[1:]))"


class Explainer:
    def __init__(self, config: ServeConfig) -> None:
        self._config = config
        self._running = 0

    async def explain(self, line: bytes, bundle: Path) -> dict[str, Any]:
        """Of an alert's line as its detector wrote it, with the bundle that judged where it still is, else
        with the detector's. FleetError: not now, or not this one."""
        try:
            alert = checked(json.loads(line))
        except NotFoundError as error:
            raise FleetError(str(error)) from None
        if self._running >= AT_ONCE:
            raise FleetError(f"{AT_ONCE} explanations are being made; ask again in a moment")
        arguments = ["--bundle", str(await asyncio.to_thread(self._bundle, alert, bundle))]
        notes = []
        try:
            arguments += ["--log", str(await asyncio.to_thread(self._source, alert))]
        except WishError as error:
            # The tool must not look where the alert says by itself.
            arguments += ["--log", "/dev/null"]
            notes.append(f"The alert's line cannot be read again: {error}.")
        self._running += 1
        try:
            found = await self._run(str(alert["id"]), line, arguments)
        finally:
            self._running -= 1
        if notes:
            found["notes"] = [*notes, *(note for note in found["notes"] if "/dev/null" not in note)]
        return found

    def _folders(self) -> tuple[Path, ...]:
        return (self._config.state / "files", *self._config.read)

    def _source(self, alert: Mapping[str, Any]) -> Path:
        return readable(alert["lines"][0]["source"], self._folders())

    def _bundle(self, alert: Mapping[str, Any], bundle: Path) -> Path:
        """Bundles lie beside each other under their digests."""
        digest = str(alert["bundle"])
        for place in (bundle / digest, bundle.parent / digest, bundle):
            with contextlib.suppress(WishError):
                return readable(str(place), self._folders())
        raise FleetError(f"the bundle {digest} is not in the folders that this server may read (read)")

    async def _run(self, name: str, line: bytes, arguments: list[str]) -> dict[str, Any]:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-c", _PROGRAM, "explain", name, "--alerts", "/dev/stdin", "--reach", str(REACH_MB), "--json"),
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(ANSWER_S):
                out, words = await process.communicate(line + b"\n")
        except TimeoutError:
            raise FleetError(f"the explanation was not made within {ANSWER_S:g} s") from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode != 0 or len(out) > ANSWER_BYTES:
            said = words.decode("utf-8", "replace").strip().splitlines()
            raise FleetError(said[-1][:500] if said else "the explanation could not be made")
        found: dict[str, Any] = json.loads(out)
        return found
