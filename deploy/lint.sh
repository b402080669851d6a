#!/bin/sh
# Formatting, types and warnings; every part is run, and the status says whether all of them passed.
set -u
cd "$(dirname "$0")/.."
PATH=$PWD/.venv/bin:$PATH
bad=0
run() {
    printf '%s\n' "--- $1"
    shift
    "$@" || bad=1
}

# shellcheck disable=SC2046  # no name in the tree holds a blank
run clang-format clang-format --dry-run -Werror $(find core -name '*.[ch]')
run 'ruff check' ruff check src tests
run 'ruff format' ruff format --check src tests
run mypy mypy
# The build itself has warnings as errors; a build folder of its own makes every file be looked at.
run 'core, warnings as errors' sh -c 'rm -rf build-lint && meson setup build-lint -Dpython=false >/dev/null &&
    ninja -C build-lint --quiet'
exit $bad
