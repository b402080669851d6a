"""Hyperscan's own word on a pattern, where its library is installed: it refuses what haechi.rules.pattern
lets through and what would cost the engine all other rules, such as an anchor in the middle (a^b).

Where there is no library nothing is said here, and the engine says it when it loads the rules.
"""

from __future__ import annotations

import ctypes
import functools
from pathlib import Path

LIBRARY = "libhs.so.5"  # Vectorscan's has the same name

_CASELESS = 1
_SINGLEMATCH = 8


class _CompileError(ctypes.Structure):
    _fields_ = (("message", ctypes.c_char_p), ("expression", ctypes.c_int))


@functools.cache
def library() -> ctypes.CDLL | None:
    try:
        return ctypes.CDLL(LIBRARY)
    except OSError:
        return None


def library_path() -> Path | None:
    """The file that LIBRARY is on this machine; None where there is none."""
    if library() is None:
        return None
    maps = Path("/proc/self/maps").read_text().splitlines()
    for place in (Path(line.split(maxsplit=5)[5]) for line in maps if "/" in line):
        if place.name.startswith("libhs.so"):
            return place
    return None


@functools.lru_cache(maxsize=4096)
def why_not(pattern: str, nocase: bool = False) -> str | None:
    """Hyperscan's sentence where it cannot take the pattern; None where it can, or is not there."""
    hs = library()
    if hs is None:
        return None
    info = ctypes.c_void_p()
    error = ctypes.POINTER(_CompileError)()
    flags = _SINGLEMATCH | (_CASELESS if nocase else 0)
    text = pattern.encode("utf-8", "surrogatepass")
    refused = hs.hs_expression_info(text, flags, ctypes.byref(info), ctypes.byref(error))
    if info.value:
        ctypes.CDLL(None).free(info)  # as its manual says, unless an allocator was set
    if not refused:
        return None
    words = error.contents.message if error else None
    said = words.decode("utf-8", "replace") if words else f"error {refused}"
    if error:
        hs.hs_free_compile_error(error)
    return said
