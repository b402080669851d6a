"""The end of `make test` says what failed and why, whatever came before it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests import run
from tests.run import Count, Failure

# A sanitizer's report: what happened stands first, a long legend last.
REPORT = "\n".join(
    ("before", "==7==ERROR: AddressSanitizer: heap-use-after-free", "    #0 in taker", *["Shadow bytes"] * 60)
)


def meson_test(name: str, result: str, **more: str) -> str:
    return json.dumps({"name": name, "result": result, "returncode": 1, "duration": 2.0, **more})


def test_a_meson_log() -> None:
    log = [
        meson_test("net - haechi:net-udp", "OK"),
        meson_test(
            "send+threads - haechi:send-lines", "FAIL", stdout="out\n", stderr="x.c:1: not so: n > 0\n"
        ),
        meson_test("wire - haechi:wire-logs", "SKIP", stdout=""),
        meson_test("sink+threads - haechi:sink-sink", "TIMEOUT"),
    ]
    count = run.read_meson_log("core-tsan", "\n".join(log))
    assert str(count) == "1 passed, 2 failed, 1 skipped"
    lines, sink = count.failures
    assert lines.name == "core-tsan: send-lines"
    assert lines.gist(40) == ["out", "x.c:1: not so: n > 0", "FAIL, status 1, after 2.0 s"]
    assert sink == Failure("core-tsan: sink-sink", "\n\nTIMEOUT, status 1, after 2.0 s")


JUNIT = """<?xml version="1.0" encoding="utf-8"?><testsuites><testsuite name="pytest">
<testcase classname="tests.unit.test_a" name="test_good" />
<testcase classname="tests.unit.test_a" name="test_bad[1]"><failure message="assert 1 == 2">def test_bad():
E   assert 1 == 2
tests/unit/test_a.py:3: AssertionError</failure></testcase>
<testcase classname="tests.unit.test_a" name="test_broken"><error message="failed on setup" /></testcase>
<testcase classname="tests.unit.test_a" name="test_left"><skipped message="no logs" /></testcase>
</testsuite></testsuites>"""


def test_a_pytest_report() -> None:
    count = run.read_pytest_report(JUNIT, status=1)
    assert str(count) == "1 passed, 2 failed, 1 skipped"
    assert [failure.name for failure in count.failures] == [
        "python: tests.unit.test_a.test_bad[1]",
        "python: tests.unit.test_a.test_broken",
    ]
    assert count.failures[0].gist(2) == ["E   assert 1 == 2", "tests/unit/test_a.py:3: AssertionError"]
    assert count.failures[1].gist(2) == ["failed on setup"]


@pytest.mark.parametrize(("status", "failures"), [(0, 0), (1, 1)])
def test_a_pytest_run_can_fail_without_a_failed_test(status: int, failures: int) -> None:
    report = '<testsuites><testsuite><testcase classname="a" name="b" /></testsuite></testsuites>'
    assert len(run.read_pytest_report(report, status).failures) == failures


@pytest.mark.parametrize("many", [1, 2, 5, 12, 300])
def test_the_end_fits_into_a_hundred_lines(many: int) -> None:
    failures = [Failure(f"core: test-{n}", "\n".join(f"line {k}" for k in range(500))) for n in range(many)]
    lines = run.closing(failures)
    assert len(lines) < 100
    assert lines[0] == "=== failed: core: test-0"
    assert lines.count("    line 499") == min(many, run.NAMED)  # each with the end of what it said
    assert ("288 more" in lines[-1]) == (many == 300)


def test_nothing_failed_says_nothing() -> None:
    assert run.closing(Count(passed=3).failures) == []


def test_a_sanitizer_is_quoted_from_where_its_report_begins() -> None:
    gist = Failure("core-asan: x", REPORT).gist(6)
    assert gist[:2] == ["==7==ERROR: AddressSanitizer: heap-use-after-free", "    #0 in taker"]
    assert len(gist) == 6


def test_a_failed_build_names_itself(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(run, "ROOT", tmp_path)
    monkeypatch.setattr(run, "built", lambda *_: "a.c:3: error: no such thing")
    (failure,) = run.run_meson_tests("core", "build", [], []).failures
    assert failure == Failure("core: the build in build", "a.c:3: error: no such thing")


def test_a_command_is_quoted_only_where_it_fails(capsys: pytest.CaptureFixture[str]) -> None:
    assert run.quiet([sys.executable, "-c", "print('well')"]) is None
    assert capsys.readouterr().out == ""
    said = run.quiet([sys.executable, "-c", "print('broken'); raise SystemExit(3)"])
    assert said is not None
    assert said.splitlines() == ["broken", "", "ended with status 3"]
    assert capsys.readouterr().out == "broken\n"
