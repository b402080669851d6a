"""Every test there is, in groups, with one closing line: `make test`.

A group that fails does not stop the next one; the status is 1 where any did.
"""

from __future__ import annotations

import argparse
import json
import os
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


@dataclass(frozen=True, slots=True)
class Count:
    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __add__(self, other: Count) -> Count:
        return Count(self.passed + other.passed, self.failed + other.failed, self.skipped + other.skipped)

    def __str__(self) -> str:
        return f"{self.passed} passed, {self.failed} failed" + f", {self.skipped} skipped" * (
            self.skipped > 0
        )


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
    print(total, flush=True)
    return 1 if total.failed else 0


def core_tests(options: argparse.Namespace) -> Count:
    return run_meson_tests("build", [], [])


# gcc's warnings know less in a sanitized build and err; the release build has them as errors.
def core_tests_asan(options: argparse.Namespace) -> Count:
    sanitizers = ["-Db_sanitize=address,undefined", "-Db_lundef=false", "-Doptimization=1", "-Dwerror=false"]
    return run_meson_tests("build-asan", ["-Dpython=false", *sanitizers], ["--timeout-multiplier", "4"])


def core_tests_tsan(options: argparse.Namespace) -> Count:
    sanitizers = ["-Db_sanitize=thread", "-Db_lundef=false", "-Doptimization=1", "-Dwerror=false"]
    return run_meson_tests(
        "build-tsan", ["-Dpython=false", *sanitizers], ["--suite", THREAD_SUITE, "--timeout-multiplier", "8"]
    )


def run_meson_tests(build: str, setup: Sequence[str], arguments: Sequence[str]) -> Count:
    """Sets the build folder up where it is not there yet, builds, runs; a failed build is one failure."""
    if not built(build, setup):
        return Count(failed=1)
    log = ROOT / build / "meson-logs" / "testlog.json"
    log.unlink(missing_ok=True)
    subprocess.run(["meson", "test", "-C", build, "--no-rebuild", "--print-errorlogs", "--quiet", *arguments])
    if not log.exists():
        return Count(failed=1)
    results = [json.loads(line)["result"] for line in log.read_text().splitlines()]
    passed, skipped = results.count("OK"), results.count("SKIP")
    return Count(passed, len(results) - passed - skipped, skipped)


def built(build: str, setup: Sequence[str], targets: Sequence[str] = (), compiler: str | None = None) -> bool:
    environment = dict(os.environ, CC=compiler) if compiler else None
    if not (ROOT / build / "build.ninja").exists():
        shutil.rmtree(ROOT / build, ignore_errors=True)
        if not quiet(["meson", "setup", build, *setup], environment):
            return False
    return quiet(["ninja", "--quiet", "-C", build, *targets])


def quiet(command: Sequence[str], environment: dict[str, str] | None = None) -> bool:
    """Runs a command and shows what it said only where it fails."""
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        sys.stdout.write(done.stdout.decode("utf-8", "replace")[-20_000:])
    return done.returncode == 0


def fuzz(options: argparse.Namespace) -> Count:
    compiler = next((name for name in CLANGS if can_fuzz(name)), None)
    if compiler is None:
        print("no clang with libFuzzer here (Debian: clang, libclang-rt-dev); not fuzzed")
        return Count(skipped=1)
    sanitizers = ["-Db_sanitize=address,undefined", "-Db_lundef=false"]
    setup = ["-Dpython=false", "-Dfuzz=true", *sanitizers]
    if not built("build-fuzz", setup, ["all"], compiler):
        return Count(failed=1)
    count = Count()
    for target in fuzz_targets():
        passed = run_fuzz_target(target, options.fuzz_seconds)
        count += Count(passed=passed, failed=not passed)
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


def run_fuzz_target(target: Path, seconds: int) -> bool:
    """From the corpus and dictionary in core/fuzz/NAME; what it finds interesting stays in build-fuzz."""
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
        return Count(failed=1)
    suite = ElementTree.parse(report).getroot().find("testsuite")
    assert suite is not None
    tests, skipped = int(suite.get("tests", 0)), int(suite.get("skipped", 0))
    failed = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
    # Coverage below the bound fails no test, but the run.
    missed = done.returncode != 0 and failed == 0
    return Count(tests - failed - skipped, failed + missed, skipped)


GROUPS: dict[str, Callable[[argparse.Namespace], Count]] = {
    "core": core_tests,
    "core-asan": core_tests_asan,
    "core-tsan": core_tests_tsan,
    "fuzz": fuzz,
    "python": python_tests,
}


if __name__ == "__main__":
    sys.exit(main())
