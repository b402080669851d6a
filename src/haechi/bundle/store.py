"""Writing, reading and verifying bundles on disk."""

import hashlib
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from haechi.bundle.manifest import FileEntry, Manifest

MANIFEST = "manifest.json"
TEMPLATES = "templates.json"
EXAMPLES = "examples.json"  # for people: no detector reads it
LATEST = "latest"
MAX_MANIFEST_BYTES = 16 << 20
DIGEST_DIGITS = 16


class BundleError(Exception):
    """A bundle that cannot be written or must not be loaded; the sentence names the file."""


@dataclass(frozen=True)
class Bundle:
    """A verified bundle: every file had the size and the sha256 that the manifest gives."""

    path: Path
    digest: str
    manifest: Manifest

    def file(self, name: str) -> bytes:
        """A file's bytes, verified once more."""
        return _verified(self.path, name, self.manifest.files[name])

    @property
    def templates(self) -> list[str]:
        """Template texts in the order of their log keys."""
        return template_texts(self.file(TEMPLATES), self.path / TEMPLATES)


def template_texts(content: bytes, path: Path) -> list[str]:
    """The texts in templates.json; BundleError where it is not what the miner writes."""
    try:
        return [str(template["text"]) for template in json.loads(content)["templates"]]
    except (ValueError, KeyError, TypeError) as error:
        raise BundleError(f"{path}: is not a list of templates: {error}") from None


def entry_of(content: bytes) -> FileEntry:
    """What the manifest says about a file with this content."""
    return FileEntry(sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))


def write(folder: Path, manifest: Manifest, files: Mapping[str, bytes]) -> Bundle:
    """Makes folder/<digest>, whole or not at all, and points folder/latest at it.

    manifest.files must describe exactly these files (entry_of). Writing the same bundle twice gives the
    first one. BundleError when the folder cannot be used, or the name is taken by something that is not
    this bundle.
    """
    if {name: entry_of(content) for name, content in files.items()} != manifest.files:
        raise BundleError("the manifest does not describe the files that were given")
    text = (manifest.model_dump_json(indent=2) + "\n").encode()
    digest = hashlib.sha256(text).hexdigest()[:DIGEST_DIGITS]
    target = folder / digest
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if target.exists():
            _same_or_refuse(target)
        else:
            _place(target, {**files, MANIFEST: text})
        _point_latest(folder, digest)
    except OSError as error:
        raise BundleError(f"{error.filename or target}: cannot write the bundle: {error.strerror}") from None
    return Bundle(target, digest, manifest)


def read(path: Path) -> Bundle:
    """Loads and verifies the bundle at path, or the latest one where path is a folder of bundles.

    BundleError naming the file that is missing, has another content than the manifest says, or is not
    understood.
    """
    if not (path / MANIFEST).exists() and (path / LATEST / MANIFEST).exists():
        path = path / LATEST
    path = path.resolve()
    text = _content(path / MANIFEST, MAX_MANIFEST_BYTES)
    try:
        manifest = Manifest.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise BundleError(f"{path / MANIFEST}: {where}: {first['msg']}") from None
    digest = hashlib.sha256(text).hexdigest()[:DIGEST_DIGITS]
    if _is_digest(path.name) and path.name != digest:
        raise BundleError(f"{path / MANIFEST}: its digest is {digest}, not {path.name}: it was changed")
    if TEMPLATES not in manifest.files:
        raise BundleError(f"{path / MANIFEST}: files: {TEMPLATES} is missing")
    bundle = Bundle(path, digest, manifest)
    for name, entry in manifest.files.items():
        _verified(path, name, entry)
    if len(bundle.templates) != manifest.log_keys:
        raise BundleError(
            f"{path / TEMPLATES}: holds {len(bundle.templates)} templates, not {manifest.log_keys}"
        )
    return bundle


verify = read
"""Reading is verifying: there is no way to load a bundle unchecked."""


def _is_digest(name: str) -> bool:
    return len(name) == DIGEST_DIGITS and all(c in "0123456789abcdef" for c in name)


def _verified(path: Path, name: str, entry: FileEntry) -> bytes:
    if name != Path(name).name or name in ("", ".", ".."):
        raise BundleError(f"{path / MANIFEST}: files: {name!r} is not a plain file name")
    content = _content(path / name, entry.bytes)
    if len(content) != entry.bytes:
        raise BundleError(f"{path / name}: has {len(content)} bytes; the manifest says {entry.bytes}")
    digest = hashlib.sha256(content).hexdigest()
    if digest != entry.sha256:
        raise BundleError(f"{path / name}: its sha256 is {digest}; the manifest says {entry.sha256}")
    return content


def _content(path: Path, limit: int) -> bytes:
    """The file's bytes; BundleError where there are more than limit."""
    try:
        with path.open("rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise BundleError(f"{path}: is not a regular file")
            content = file.read(limit + 1)
    except OSError as error:
        raise BundleError(f"{path}: cannot be read: {error.strerror}") from None
    if len(content) > limit:
        raise BundleError(f"{path}: is larger than {limit} bytes")
    return content


def _same_or_refuse(target: Path) -> None:
    try:
        read(target)
    except BundleError as error:
        raise BundleError(f"{target} exists already and is not this bundle ({error}); move it away") from None


def _place(target: Path, files: Mapping[str, bytes]) -> None:
    """Every file under a temporary name, synced, then one rename: readers see all of it or nothing."""
    building = Path(tempfile.mkdtemp(prefix=".writing-", dir=target.parent))
    try:
        for name, content in files.items():
            with (building / name).open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        building.chmod(0o755)
        _sync_folder(building)
        building.rename(target)
        _sync_folder(target.parent)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise


def _point_latest(folder: Path, digest: str) -> None:
    link = folder / LATEST
    if link.exists() and not link.is_symlink():
        raise BundleError(f"{link}: is in the way: it is not a link that haechi made")
    building = folder / f".{LATEST}-{os.getpid()}"
    building.unlink(missing_ok=True)
    building.symlink_to(digest)
    building.replace(link)
    _sync_folder(folder)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
