"""Every test there is, in groups, with one closing line: `make test`.

A group that fails does not stop the next one; the status is 1 where any did. What failed, and what it said
last, comes once more at the very end, because the end is what is kept of a long run.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SCRATCH = ROOT / ".cache" / "test"
THREAD_SUITE = "threads"  # C tests that have more than one thread: rings, engine
CLOSING_LINES = 80  # of output, shared by all failures
SHOWN_LINES = 40  # of one failure's output, at most
LONGEST_LINE = 400
REPORT = re.compile(r"(ERROR|WARNING): (\w+Sanitizer|libFuzzer)|runtime error:")
NAMED = 12  # failures told of at the end; with their output they fit into a hundred lines


@dataclass(frozen=True, slots=True)
class Failure:
    name: str
    output: str

    def gist(self, lines: int) -> list[str]:
        """The last lines, or the first of a sanitizer's report, whose end is only a legend."""
        said = [line.rstrip()[:LONGEST_LINE] for line in self.output.splitlines() if line.strip()]
        reports = [number for number, line in enumerate(said) if REPORT.search(line)]
        begin = min(reports[0], len(said) - lines) if reports else len(said) - lines
        return said[max(begin, 0) :][:lines]


@dataclass(frozen=True, slots=True)
class Count:
    passed: int = 0
    failures: tuple[Failure, ...] = ()
    skipped: int = 0

    def __add__(self, other: Count) -> Count:
        return Count(self.passed + other.passed, self.failures + other.failures, self.skipped + other.skipped)

    def __str__(self) -> str:
        return f"{self.passed} passed, {len(self.failures)} failed" + f", {self.skipped} skipped" * (
            self.skipped > 0
        )


def failed(name: str, output: str) -> Count:
    return Count(failures=(Failure(name, output),))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=GROUPS, action="append", help="run these groups only")
    parser.add_argument("--fuzz-seconds", type=int, default=3, help="for each fuzz target")
    options = parser.parse_args()
    os.chdir(ROOT)
    os.environ["PATH"] = f"{ROOT / '.venv' / 'bin'}:{os.environ['PATH']}"
    SCRATCH.mkdir(parents=True, exist_ok=True)
    total = Count()
    for name in options.only or GROUPS:
        print(f"=== {name}", flush=True)
        begun = time.monotonic()
        count = GROUPS[name](options)
        print(f"=== {name}: {count} in {time.monotonic() - begun:.0f} s", flush=True)
        total += count
    print("".join(f"{line}\n" for line in closing(total.failures)), end="")
    print(total, flush=True)
    return 1 if total.failures else 0


def closing(failures: Sequence[Failure]) -> list[str]:
    """What is printed of the failures before the total: names, what was said last; less than 100 lines."""
    told = failures[:NAMED]
    lines = []
    for failure in told:
        lines.append(f"=== failed: {failure.name}")
        lines += [f"    {line}" for line in failure.gist(min(SHOWN_LINES, CLOSING_LINES // len(told)))]
    if len(failures) > len(told):
        lines.append(f"=== failed: {len(failures) - len(told)} more, named above in their groups")
    return lines


def core_tests(options: argparse.Namespace) -> Count:
    return run_meson_tests("core", "build", [], ["--timeout-multiplier", "4"])


# gcc's warnings know less in a sanitized build and err; the release build has them as errors.
def core_tests_asan(options: argparse.Namespace) -> Count:
    sanitizers = ["-Db_sanitize=address,undefined", "-Db_lundef=false", "-Doptimization=1", "-Dwerror=false"]
    return run_meson_tests(
        "core-asan", "build-asan", ["-Dpython=false", *sanitizers], ["--timeout-multiplier", "4"]
    )


def core_tests_tsan(options: argparse.Namespace) -> Count:
    sanitizers = ["-Db_sanitize=thread", "-Db_lundef=false", "-Doptimization=1", "-Dwerror=false"]
    return run_meson_tests(
        "core-tsan",
        "build-tsan",
        ["-Dpython=false", *sanitizers],
        ["--suite", THREAD_SUITE, "--timeout-multiplier", "8"],
    )


def run_meson_tests(group: str, build: str, setup: Sequence[str], arguments: Sequence[str]) -> Count:
    """Sets the build folder up where it is not there yet, builds, runs; a failed build is one failure."""
    said = built(build, setup)
    if said is not None:
        return failed(f"{group}: the build in {build}", said)
    log = ROOT / build / "meson-logs" / "testlog.json"
    log.unlink(missing_ok=True)
    done = subprocess.run(
        ["meson", "test", "-C", build, "--no-rebuild", "--print-errorlogs", "--quiet", *arguments]
    )
    if not log.exists():
        return failed(f"{group}: meson test", f"ended with status {done.returncode} and left no {log}")
    return read_meson_log(group, log.read_text())


def read_meson_log(group: str, log: str) -> Count:
    """A JSON object a line, one for each test."""
    total = Count()
    for line in log.splitlines():
        test = json.loads(line)
        name, result = test["name"].rpartition(":")[2], test["result"]
        if result == "OK":
            total += Count(passed=1)
        elif result == "SKIP":
            total += Count(skipped=1)
        else:
            ended = f"{result}, status {test['returncode']}, after {test['duration']:.1f} s"
            output = "\n".join((test.get("stdout", ""), test.get("stderr", ""), ended))
            total += failed(f"{group}: {name}", output)
    return total


def built(
    build: str, setup: Sequence[str], targets: Sequence[str] = (), compiler: str | None = None
) -> str | None:
    """None, or what the step that failed said."""
    environment = dict(os.environ, CC=compiler) if compiler else None
    if not (ROOT / build / "build.ninja").exists():
        shutil.rmtree(ROOT / build, ignore_errors=True)
        said = quiet(["meson", "setup", build, *setup], environment)
        if said is not None:
            return said
    return quiet(["ninja", "--quiet", "-C", build, *targets], environment)


def quiet(command: Sequence[str], environment: dict[str, str] | None = None) -> str | None:
    """Runs a command, and shows and returns what it said only where it fails."""
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode == 0:
        return None
    said = done.stdout.decode("utf-8", "replace")[-20_000:]
    sys.stdout.write(said)
    return f"{said}\nended with status {done.returncode}"


def fuzz(options: argparse.Namespace) -> Count:
    compiler = next((name for name in CLANGS if can_fuzz(name)), None)
    if compiler is None:
        print("no clang with libFuzzer here (Debian: clang, libclang-rt-dev); not fuzzed")
        return Count(skipped=1)
    sanitizers = ["-Db_sanitize=address,undefined", "-Db_lundef=false"]
    setup = ["-Dpython=false", "-Dfuzz=true", *sanitizers]
    said = built("build-fuzz", setup, ["all"], compiler)
    if said is not None:
        return failed("fuzz: the build in build-fuzz", said)
    count = Count()
    for target in fuzz_targets():
        said = run_fuzz_target(target, options.fuzz_seconds)
        count += Count(passed=1) if said is None else failed(f"fuzz: {target.name}", said)
    return count


CLANGS = ("clang", *(f"clang-{version}" for version in range(22, 12, -1)))


def can_fuzz(compiler: str) -> bool:
    if shutil.which(compiler) is None:
        return False
    program = "int LLVMFuzzerTestOneInput(const char *p, unsigned long n) { return p == 0 && n; }"
    with tempfile.TemporaryDirectory(dir=SCRATCH) as folder:
        command = [compiler, "-fsanitize=fuzzer", "-x", "c", "-", "-o", f"{folder}/probe"]
        done = subprocess.run(command, input=program.encode(), stderr=subprocess.DEVNULL)
    return done.returncode == 0


def fuzz_targets() -> list[Path]:
    done = subprocess.run(
        ["meson", "introspect", "build-fuzz", "--targets"], stdout=subprocess.PIPE, check=True
    )
    targets = [target for target in json.loads(done.stdout) if target["type"] == "executable"]
    folder = str(ROOT / "core" / "fuzz")
    return [Path(target["filename"][0]) for target in targets if target["defined_in"].startswith(folder)]


def run_fuzz_target(target: Path, seconds: int) -> str | None:
    """From the corpus and dictionary in core/fuzz/NAME; what it finds interesting stays in build-fuzz.

    None, or what it said when it failed.
    """
    name = target.name.removeprefix("fuzz-").removeprefix("fuzz_")
    seeds = ROOT / "core" / "fuzz" / name
    grown = ROOT / "build-fuzz" / "corpus" / name
    grown.mkdir(parents=True, exist_ok=True)
    corpora = [grown, *(folder for folder in (seeds / "corpus", seeds) if folder.is_dir())][:2]
    dictionaries = [*seeds.glob("*.dict"), *seeds.glob("dictionary")][:1]
    print(f"{name}: {seconds} s", flush=True)
    return quiet(
        [
            str(target),
            f"-max_total_time={seconds}",
            "-timeout=10",
            "-rss_limit_mb=2048",
            f"-artifact_prefix={ROOT}/build-fuzz/crash-{name}-",
            *(f"-dict={dictionary}" for dictionary in dictionaries),
            *map(str, corpora),
        ]
    )


def python_tests(options: argparse.Namespace) -> Count:
    report = SCRATCH / "pytest.xml"
    report.unlink(missing_ok=True)
    coverage = ["--cov=haechi", "--cov-report=term:skip-covered", "--cov-fail-under=85"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-n", "2", "-q", *coverage, f"--junitxml={report}"],
        stdin=subprocess.DEVNULL,
    )
    if not report.exists():
        return failed("python: pytest", f"ended with status {done.returncode} and left no {report}")
    return read_pytest_report(report.read_text(), done.returncode)


def read_pytest_report(report: str, status: int) -> Count:
    """JUnit's XML, as pytest writes it."""
    suite = ElementTree.fromstring(report).find("testsuite")
    assert suite is not None
    total = Count()
    for case in suite.iter("testcase"):
        problems = [*case.iter("failure"), *case.iter("error")]
        if problems:
            name = f"{case.get('classname', '')}.{case.get('name', '')}"
            said = [str(problem.text or problem.get("message")) for problem in problems]
            total += failed(f"python: {name}", "\n".join(said))
        elif case.find("skipped") is not None:
            total += Count(skipped=1)
        else:
            total += Count(passed=1)
    # Coverage below the bound fails no test, but the run.
    if status and not total.failures:
        total += failed(
            "python: pytest", f"ended with status {status} and no failed test: coverage below its bound?"
        )
    return total


GROUPS: dict[str, Callable[[argparse.Namespace], Count]] = {
    "core": core_tests,
    "core-asan": core_tests_asan,
    "core-tsan": core_tests_tsan,
    "fuzz": fuzz,
    "python": python_tests,
}


if __name__ == "__main__":
    sys.exit(main())
