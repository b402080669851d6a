#!/bin/sh
# Makes this checkout ready to run: system packages, virtual environment, the core built and in place.
# Work that is done is not repeated; work that was cut short is done again; two calls at once wait for
# each other. CI=true or no terminal: nothing is asked.
set -eu
cd "$(dirname "$0")/.."
root=$PWD
stamp=.venv/haechi-ready     # what the virtual environment was made for
cut=.venv/haechi-installing  # there while pip works: found at the start, the last install was cut short

say() { printf 'haechi: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# A process started from the build must not hold the lock, so the work runs in a child without it.
mkdir -p .cache
command -v flock >/dev/null || die "flock is missing; install util-linux"
if [ "${HAECHI_SETUP_LOCKED:-}" != "$root" ]; then
    HAECHI_SETUP_LOCKED=$root exec flock --close .cache/setup.lock "$0" "$@"
fi

is_python_311() {
    "$1" -c 'import sys; raise SystemExit(sys.version_info < (3, 11))' 2>/dev/null
}

find_python() {
    for name in ${PYTHON:-} python3 python3.11 python3.12 python3.13 python3.14; do
        if is_python_311 "$name"; then
            echo "$name"
            return
        fi
    done
}

# Vectorscan is Hyperscan for other processors: the same library to whoever calls it.
hyperscan() {
    [ "$(uname -m)" = x86_64 ] && echo libhyperscan-dev || echo libvectorscan-dev
}

# The Debian packages that are missing, judged by what they bring and not by their names, so that a
# compiler or a Python from elsewhere will do.
missing_packages() {
    python=$1
    command -v cc >/dev/null && command -v ld >/dev/null || echo gcc
    [ -e /usr/include/stdlib.h ] || echo libc6-dev
    if command -v pkg-config >/dev/null; then
        pkg-config --exists libcjson || echo libcjson-dev
        pkg-config --exists libcrypto libssl || echo libssl-dev
        pkg-config --exists libhs || hyperscan
    else
        echo pkg-config libcjson-dev libssl-dev
        hyperscan
    fi
    if [ -z "$python" ]; then
        if apt-cache show python3.11 >/dev/null 2>&1; then
            echo python3.11 python3.11-venv python3.11-dev
        else
            echo python3 python3-venv python3-dev
        fi
        return
    fi
    version=$("$python" -c 'import sys; print("python%d.%d" % sys.version_info[:2])')
    "$python" -c 'import venv, ensurepip' 2>/dev/null || echo "$version-venv"
    "$python" -c 'import os, sysconfig
raise SystemExit(not os.path.exists(os.path.join(sysconfig.get_paths()["include"], "Python.h")))' ||
        echo "$version-dev"
}

install_system_packages() {
    packages=$(missing_packages "$(find_python)" | tr '\n' ' ' | sed 's/ $//')
    [ -n "$packages" ] || return 0
    line="apt-get update && apt-get install -y --no-install-recommends $packages"
    command -v apt-get >/dev/null ||
        die "this machine has no apt-get; install what these Debian packages bring: $packages"
    if [ "$(id -u)" = 0 ]; then
        as_root=
    elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
        as_root='sudo -n'
    else
        die "system packages are missing. Run this line, then the same command again:
    sudo sh -c '$line'"
    fi
    say "installing $packages"
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq </dev/null >&2 ||
        say "apt-get update failed; trying with the lists that are there"
    # shellcheck disable=SC2086  # a list of words
    $as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends $packages </dev/null >&2 ||
        die "apt-get could not install them. Run this line, then the same command again:
    sudo sh -c '$line'"
    rest=$(missing_packages "$(find_python)" | tr '\n' ' ')
    [ -z "$rest" ] || die "still missing after apt-get: $rest"
}

# What the environment depends on; another value means it is to be brought up to date.
wanted() {
    echo "$root $(cat pyproject.toml constraints.txt deploy/setup.sh | sha256sum)"
}

# Whole, and made for this very folder: its scripts hold absolute paths.
environment_is_usable() {
    [ ! -e "$cut" ] && .venv/bin/python -m pip --version >/dev/null 2>&1 &&
        grep -qF " $root/.venv" .venv/pyvenv.cfg
}

install_environment() {
    if ! environment_is_usable; then
        say "making .venv with $($1 --version)"
        "$1" -m venv --clear .venv
    fi
    rm -f "$stamp"
    : >"$cut"
    say "installing the Python packages of constraints.txt (torch is large; the first time takes a while)"
    .venv/bin/python - >.cache/requirements.txt <<'PY'
import tomllib
with open("pyproject.toml", "rb") as file:
    project = tomllib.load(file)["project"]
print(*project["dependencies"], *project["optional-dependencies"]["dev"], sep="\n")
PY
    .venv/bin/python -m pip install -qq --disable-pip-version-check --no-input \
        -c constraints.txt -r .cache/requirements.txt </dev/null >&2 ||
        die "pip could not install the packages; see above, then run the same command again"
    install_command
    rm -f "$cut"
    wanted >"$stamp.new"
    mv "$stamp.new" "$stamp"
}

# The checkout itself is the installed package: an edit is in force at once.
install_command() {
    site=$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')
    echo "$root/src" >"$site/haechi.pth"
    cat >.venv/bin/haechi <<SH
#!$root/.venv/bin/python
import sys

from haechi.cli.main import main

if __name__ == "__main__":  # processes that are spawned import this file again
    sys.exit(main())
SH
    chmod 755 .venv/bin/haechi
}

build_core() {
    PATH=$root/.venv/bin:$PATH
    [ "$(cat build/haechi-root 2>/dev/null)" = "$root" ] || rm -rf build
    if [ ! -e build/build.ninja ]; then
        rm -rf build
        meson setup build -Dinplace=true >.cache/meson.log 2>&1 || {
            cat .cache/meson.log >&2
            die "meson could not set the build up; see above"
        }
        echo "$root" >build/haechi-root
    fi
    ninja -C build --quiet >.cache/ninja.log 2>&1 || {
        cat .cache/ninja.log >&2
        die "the core does not build; see above"
    }
    meson install -C build --no-rebuild --only-changed --quiet >.cache/install.log 2>&1 || {
        cat .cache/install.log >&2
        die "the built core could not be put in place; see above"
    }
}

if [ "$(cat "$stamp" 2>/dev/null)" != "$(wanted)" ] || [ -e "$cut" ]; then
    install_system_packages
    install_environment "$(find_python)"
fi
build_core
