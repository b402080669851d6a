"""What the server, and a tool that it has started, may still do: as the kernel says."""

from __future__ import annotations

import os
import pwd
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from haechi.native.tools import ToolError, tool_path
from haechi.serve import privileges
from haechi.serve.run import ServeError, listening
from tests.integration.serve_room import PROGRAM, Serving, serving
from tests.integration.sink_room import free_ports

try:
    tool_path("haechi-sink")
except ToolError as missing:
    pytest.skip(str(missing), allow_module_level=True)

ROOT = os.geteuid() == 0
ONLY_ROOT = pytest.mark.skipif(not ROOT, reason="needs root, which can let go of something")
BIND_SERVICE, NET_ADMIN = 1 << 10, 1 << 12
NOBODY = "nobody"


@pytest.fixture
def folder() -> Iterator[Path]:
    """One that every user can walk to."""
    with tempfile.TemporaryDirectory(prefix="haechi-test-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def capabilities(pid: int) -> set[int]:
    """Of all five sets; one number where they are the same."""
    found = status(pid)
    return {int(found[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}


def core_limit(pid: int) -> list[str]:
    (line,) = [one for one in Path(f"/proc/{pid}/limits").read_text().splitlines() if "core file" in one]
    return line.split()[4:6]


def a_sink(plane: Serving, port: int | None = None) -> int:
    plane.post("/sinks", {"ports": str(port or free_ports(1)[0])})
    (pid,) = plane.children()
    return pid


def held() -> int:
    return int(status(os.getpid())["CapPrm"], 16)


def test_a_server_and_its_tools_let_go(folder: Path) -> None:
    with serving(folder) as plane:
        for pid in (plane.process.pid, a_sink(plane)):
            found = status(pid)
            assert found["NoNewPrivs"] == "1"
            assert int(found["CapEff"], 16) == held() & BIND_SERVICE
            assert int(found["CapPrm"], 16) == held() & BIND_SERVICE
            assert core_limit(pid) == ["0", "0"]
        # Not to be looked into: what /proc holds of it is root's.
        assert Path(f"/proc/{plane.process.pid}/environ").stat().st_uid == 0


@ONLY_ROOT
def test_roots_rights_are_gone_but_for_low_ports(folder: Path) -> None:
    with serving(folder) as plane:
        for pid in (plane.process.pid, a_sink(plane)):
            assert capabilities(pid) == {BIND_SERVICE & held()}
            assert status(pid)["Uid"].split() == ["0"] * 4


@ONLY_ROOT
@pytest.mark.parametrize(("kept", "sets"), [([], 0), (["net_bind_service", "net_admin"], None)])
def test_as_the_configuration_says(folder: Path, kept: list[str], sets: int | None) -> None:
    wanted = (BIND_SERVICE | NET_ADMIN) & held() if sets is None else sets
    with serving(folder, capabilities=kept) as plane:
        for pid in (plane.process.pid, a_sink(plane)):
            assert capabilities(pid) == {wanted}


def low_port() -> int:
    """A free one that only some may bind."""
    for port in range(1023, 600, -1):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as tried:
            try:
                tried.bind(("127.0.0.1", port))
            except PermissionError:
                pytest.skip("low ports are not to be had here")
            except OSError:
                continue
            return port
    pytest.skip("no low port is free")


@ONLY_ROOT
def test_it_becomes_another_user_that_may_still_listen_on_low_ports(folder: Path) -> None:
    nobody = pwd.getpwnam(NOBODY)
    with serving(folder, user=NOBODY, demand_token=True) as plane:
        token = (folder / "state" / "token").read_text().strip()
        plane.client.headers["authorization"] = f"Bearer {token}"
        for pid in (plane.process.pid, a_sink(plane, low_port())):
            found = status(pid)
            assert found["Uid"].split() == [str(nobody.pw_uid)] * 4
            assert found["Gid"].split() == [str(nobody.pw_gid)] * 4
            assert "0" not in found["Groups"].split()
            assert capabilities(pid) == {BIND_SERVICE & held()}
        state = folder / "state"
        for path in (state, state / "token", state / "alerts"):
            assert path.stat().st_uid == nobody.pw_uid
            assert path.stat().st_mode & 0o077 == 0


def refused(folder: Path, *arguments: str, user: str | None = None) -> str:
    command = [sys.executable, "-c", PROGRAM, "serve", "--port", "0", "--state", str(folder / "state")]
    # One that becomes another user could not write its coverage, and would say so on stderr.
    env = {name: value for name, value in os.environ.items() if not name.startswith(("COV_", "COVERAGE_"))}
    done = subprocess.run(
        [*command, *arguments], capture_output=True, text=True, timeout=60, user=user, env=env
    )
    assert done.returncode in (1, 2)
    assert "Traceback" not in done.stderr
    return done.stderr


def test_a_user_that_is_not_there(folder: Path) -> None:
    assert "there is no user 'nosuch_user'" in refused(folder, "--user", "nosuch_user")


@ONLY_ROOT
def test_a_state_that_is_somebody_elses(folder: Path) -> None:
    (folder / "state").mkdir(mode=0o700)
    assert "cannot be written to as nobody; chown" in refused(folder, "--user", NOBODY)


@ONLY_ROOT
def test_only_root_becomes_another() -> None:
    program = (
        "import os; from haechi.serve import privileges; import pwd\n"
        "other = pwd.getpwnam('daemon')\n"
        "os.setresgid(65534, 65534, 65534); os.setresuid(65534, 65534, 65534)\n"
        "try:\n    privileges._become(other)\n"
        "except privileges.PrivilegesError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert "only root can become daemon" in done.stdout, done.stderr


def test_the_names_of_capabilities_are_the_kernels() -> None:
    header = Path("/usr/include/linux/capability.h")
    if not header.exists():
        pytest.skip("the kernel's headers are not installed")
    numbers = {
        words[1].removeprefix("CAP_").lower(): int(words[2])
        for words in map(str.split, header.read_text().splitlines())
        if len(words) == 3 and words[0] == "#define" and words[1].startswith("CAP_") and words[2].isdigit()
    }
    assert {name: numbers[name] for name in privileges.CAPABILITIES} == privileges.CAPABILITIES


def test_a_port_that_is_taken_is_said() -> None:
    (one,) = listening("127.0.0.1", 0)
    with one:
        one.listen()
        port = one.getsockname()[1]
        with pytest.raises(
            ServeError, match=f"127.0.0.1:{port} cannot be listened on: Address already in use"
        ):
            listening("127.0.0.1", port)


def test_a_name_is_listened_on_at_all_its_addresses() -> None:
    found = listening("localhost", 0)
    assert found
    assert len({one.getsockname()[1] for one in found}) == 1
    for one in found:
        one.close()
    with pytest.raises(ServeError, match="cannot be listened on"):
        listening("nosuch.invalid", 0)
