"""What the server lets go of before it serves, and with it every tool that it starts: other users' rights,
and the way back to them. Linux only; elsewhere there is nothing here to let go of.

All of it is of the thread that calls, and of the threads and processes that it starts later: it is called
before there are any.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import resource
import struct
import sys
from collections.abc import Iterable
from pathlib import Path

# linux/prctl.h and linux/capability.h
_PR_SET_DUMPABLE, _PR_SET_KEEPCAPS, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 4, 8, 24, 38
_PR_CAP_AMBIENT, _AMBIENT_RAISE, _AMBIENT_CLEAR_ALL = 47, 2, 4
_VERSION_3 = 0x20080522
_SETS = "=6I"  # effective, permitted, inheritable of the lower 32, then of the upper
_LAST_CAP = Path("/proc/sys/kernel/cap_last_cap")
_LAST_KNOWN = 40
CAPABILITIES = {
    "net_bind_service": 10,  # ports below 1024
    "net_admin": 12,  # receive buffers beyond net.core.rmem_max
    "dac_read_search": 2,  # logs that this user may not read
}


class PrivilegesError(Exception):
    """The user is not there, or this one may not become it."""


def find_user(name: str) -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        raise PrivilegesError(f"user: there is no user {name!r} on this machine") from None


def drop(user: str | None, keep: Iterable[str]) -> None:
    """Of capabilities those in `keep` stay, where they are there now. PrivilegesError; then the caller has to
    end."""
    if not sys.platform.startswith("linux"):
        if user is not None:
            raise PrivilegesError("user: is for Linux only")
        return
    libc = ctypes.CDLL(None, use_errno=True)
    wanted = sum(1 << CAPABILITIES[name] for name in keep)
    kept = _permitted(libc) & wanted
    for capability in range(_last() + 1):
        if not wanted >> capability & 1:
            # Who has no right to that has nothing to lose by it: no_new_privs closes the same door.
            libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
    libc.prctl(_PR_CAP_AMBIENT, _AMBIENT_CLEAR_ALL, 0, 0, 0)
    if user is not None:
        libc.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0)
        _become(find_user(user))
    _set(libc, kept)
    for capability in range(_last() + 1):
        if kept >> capability & 1:
            libc.prctl(_PR_CAP_AMBIENT, _AMBIENT_RAISE, capability, 0, 0)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise PrivilegesError(f"no_new_privs cannot be set: {os.strerror(ctypes.get_errno())}")
    # Nobody else looks into its memory, which holds the token, and no crash writes it anywhere.
    libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _become(user: pwd.struct_passwd) -> None:
    if (os.geteuid(), os.getegid()) == (user.pw_uid, user.pw_gid):
        return
    try:
        os.initgroups(user.pw_name, user.pw_gid)
        os.setresgid(user.pw_gid, user.pw_gid, user.pw_gid)
        os.setresuid(user.pw_uid, user.pw_uid, user.pw_uid)
    except PermissionError:
        raise PrivilegesError(f"user: only root can become {user.pw_name}; start it as root") from None
    os.environ.update({"HOME": user.pw_dir, "USER": user.pw_name, "LOGNAME": user.pw_name})


def _last() -> int:
    try:
        return int(_LAST_CAP.read_text())
    except (OSError, ValueError):
        return _LAST_KNOWN


def _permitted(libc: ctypes.CDLL) -> int:
    sets = ctypes.create_string_buffer(struct.calcsize(_SETS))
    if libc.capget(struct.pack("=II", _VERSION_3, 0), sets):
        raise PrivilegesError(f"capabilities cannot be read: {os.strerror(ctypes.get_errno())}")
    numbers = struct.unpack(_SETS, sets.raw)
    return int(numbers[1] | numbers[4] << 32)


def _set(libc: ctypes.CDLL, kept: int) -> None:
    low, high = kept & 0xFFFFFFFF, kept >> 32
    sets = struct.pack(_SETS, low, low, low, high, high, high)
    if libc.capset(struct.pack("=II", _VERSION_3, 0), sets):
        raise PrivilegesError(f"capabilities cannot be dropped: {os.strerror(ctypes.get_errno())}")
