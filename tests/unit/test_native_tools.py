"""Tools as processes: found, started, awaited, stopped; and what is said where one is not as it should be."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from haechi.native.control import ControlClient, ControlError
from haechi.native.tools import (
    Process,
    ToolError,
    onnxruntime_library,
    read_summary,
    run_in_foreground,
    tool_path,
)
from tests.integration.sink_room import free_ports


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes an executable in a build folder of its own; `config` in its code is what it was given."""
    monkeypatch.setenv("HAECHI_BUILD", str(tmp_path))

    def make(code: str) -> str:
        path = tmp_path / "core" / "tools" / "haechi-sample"
        path.parent.mkdir(parents=True, exist_ok=True)
        head = "import json, os, signal, sys, time\nconfig = json.load(open(sys.argv[2]))\n"
        path.write_text(f"#!{sys.executable}\n{head}{textwrap.dedent(code)}")
        path.chmod(0o755)
        return path.name

    return make


def need_tools() -> None:
    try:
        tool_path("haechi-sink")
    except ToolError as error:
        pytest.skip(str(error))


def exists(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def test_a_tool_that_is_not_built_says_where_it_was_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HAECHI_BUILD", "/no/such/build")
    with pytest.raises(ToolError, match=r"haechi-none is not built: not at .*/no/such/build.*`make`"):
        tool_path("haechi-none")


def test_the_library_is_found_without_importing_it() -> None:
    code = """
        import sys
        from haechi.native.tools import onnxruntime_library
        onnxruntime_library()
        sys.exit("onnxruntime" in sys.modules)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True)
    assert onnxruntime_library().name.startswith("libonnxruntime.so")


def test_a_tool_gets_its_configuration_and_leaves_its_words(tool: Any) -> None:
    name = tool("print(config['greeting'], file=sys.stderr); print('{\"lines\": 3}', file=sys.stderr)")
    with Process.start(name, {"greeting": "안녕"}) as process:
        text = process.finish(10)
        assert process.name == name
    assert text.startswith("안녕")
    assert read_summary(text) == {"lines": 3}


@pytest.mark.parametrize("text", ["", "no totals", "[1]"])
def test_a_tool_without_totals(text: str) -> None:
    with pytest.raises(ToolError, match="gave no totals"):
        read_summary(text)


def test_a_tool_that_fails_is_quoted(tool: Any) -> None:
    name = tool("sys.exit('the disk is on fire')")
    with (
        Process.start(name, {}) as process,
        pytest.raises(ToolError, match=r"status 1.*\n?.*disk is on fire"),
    ):
        process.finish(10)
    with pytest.raises(ToolError, match="disk is on fire"):
        Process.start(name, {"stats_page": "/no/such/page"})


def test_a_tool_ended_by_a_signal_is_named(tool: Any) -> None:
    name = tool("os.kill(os.getpid(), signal.SIGSEGV)")
    with Process.start(name, {}) as process, pytest.raises(ToolError, match="SIGSEGV"):
        process.finish(10)


def test_a_tool_that_never_gets_ready_is_ended(tool: Any, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    name = tool("open(config['pid'], 'w').write(str(os.getpid())); time.sleep(60)")
    with pytest.raises(ToolError, match=r"not ready after 3.0 s"):
        Process.start(name, {"pid": str(pid_file), "stats_page": str(tmp_path / "none")}, ready_s=3.0)
    assert not exists(int(pid_file.read_text()))


def test_a_tool_that_will_not_end_is_killed(tool: Any) -> None:
    name = tool(
        """
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print('deaf', file=sys.stderr, flush=True)
        time.sleep(60)
        """
    )
    with Process.start(name, {}) as process:
        while "deaf" not in process.stderr_text():
            time.sleep(0.01)
        with pytest.raises(ToolError, match="still runs"):
            process.wait(0.1)
        assert process.stop(timeout_s=0.2) == -signal.SIGKILL
        assert not process.running


def test_a_killed_python_leaves_no_tool_behind(tmp_path: Path) -> None:
    need_tools()
    (port,), control = free_ports(1), str(tmp_path / "control")
    code = f"""
        import time
        from haechi.native.tools import Process
        config = {{"address": "127.0.0.1", "ports": "{port}", "control_socket": {control!r}}}
        print(Process.start("haechi-sink", config).pid, flush=True)
        time.sleep(60)
    """
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE) as parent:
        assert parent.stdout
        child = int(parent.stdout.readline())
        assert exists(child)
        parent.kill()
    deadline = time.monotonic() + 30
    while exists(child) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not exists(child)


@pytest.mark.parametrize("tool", ["haechi-detect", "haechi-sink", "haechi-storm"])
def test_a_tool_whose_parent_is_gone_does_not_begin(tool: str) -> None:
    need_tools()
    command = [str(tool_path(tool)), "--config", "/dev/null"]
    gone = subprocess.run(
        command, env={"HAECHI_PARENT": str(os.getppid())}, stdin=subprocess.DEVNULL, capture_output=True
    )
    assert (gone.returncode, gone.stderr) == (-signal.SIGTERM, b"")
    for wrong in ("", "0", "-1", "1x", "99999999999"):
        environment = {"HAECHI_PARENT": wrong}
        refused = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True)
        assert refused.returncode == 2
        assert b"HAECHI_PARENT: the number of the process that started this one" in refused.stderr


def test_in_the_foreground_totals_come_back(tool: Any, capfd: pytest.CaptureFixture[str]) -> None:
    name = tool("print('an alert'); open(config['summary'], 'w').write('{\"lines\": 7}'); sys.exit(3)")
    assert run_in_foreground(name, {}) == (3, {"lines": 7})
    assert capfd.readouterr().out == "an alert\n"
    assert run_in_foreground(tool("os.kill(os.getpid(), signal.SIGKILL)"), {}) == (128 + 9, {})


def test_in_the_foreground_a_term_is_passed_on(tool: Any) -> None:
    name = tool(
        """
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))
        os.kill(os.getppid(), signal.SIGTERM)
        time.sleep(60)
        """
    )
    before = signal.getsignal(signal.SIGTERM)
    assert run_in_foreground(name, {})[0] == 5
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_in_the_foreground_a_signal_before_the_tool_is_there_ends_it(
    tool: Any, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    name = tool("time.sleep(60)")

    def path(_: str) -> Path:
        os.kill(os.getpid(), number)
        return Path(tool_path(name))

    monkeypatch.setattr("haechi.native.tools.tool_path", path)
    assert run_in_foreground(name, {})[0] == 128 + signal.SIGTERM


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Any]:
    """A control socket that gives the answers it is told to, and keeps what it was asked."""
    listener = socket.socket(socket.AF_UNIX)
    path = tmp_path / "control"
    listener.bind(str(path))
    listener.listen()
    asked: list[Any] = []

    def serve(answers: list[bytes]) -> tuple[Path, list[Any]]:
        def run() -> None:
            connection, _ = listener.accept()
            # A client that has heard enough may be gone before its answer is.
            with suppress(OSError), connection, connection.makefile("rb") as lines:
                for answer in answers:
                    if not (line := lines.readline()):
                        break
                    asked.append(json.loads(line))
                    connection.sendall(answer)
                lines.readline()

        threading.Thread(target=run, daemon=True).start()
        return path, asked

    yield serve
    listener.close()


def test_commands_are_answered_in_turn(server: Any) -> None:
    path, asked = server([b'{"ok": true, "n": 1}\n', b'{"ok": true}\n{"ok": true, "n": 3}\n', b""])
    with ControlClient(path) as control:
        assert control.ask("stats") == {"ok": True, "n": 1}
        assert control.ask("load_bundle", path="b") == {"ok": True}
        assert control.ask("pause")["n"] == 3
    assert asked[:2] == [{"command": "stats"}, {"command": "load_bundle", "path": "b"}]


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (b'{"ok": false, "error": "no such bundle"}\n', "stats: no such bundle"),
        (b'{"ok": false}\n', "refused without a reason"),
        (b"hm\n", "not a JSON object"),
        (b"[]\n", "not a JSON object"),
        (b"{", "no answer to stats in 0.2 s"),
    ],
)
def test_what_is_no_answer_is_an_error(server: Any, answer: bytes, complaint: str) -> None:
    path, _ = server([answer])
    with ControlClient(path, timeout_s=0.2) as control, pytest.raises(ControlError, match=complaint):
        control.ask("stats")


def test_a_closed_connection_and_no_tool(server: Any, tmp_path: Path) -> None:
    path, _ = server([])
    with ControlClient(path) as control, pytest.raises(ControlError, match=r"closed|Broken|reset"):
        control.ask("stats")
        control.ask("stats")
    with pytest.raises(ControlError, match="No such file"):
        ControlClient(tmp_path / "none")
    assert os.path.exists(path)
