#!/bin/sh
# Chromium for the tests in a browser: the one that is here, else Debian's package, installed where root runs this (as in
# a container of CI). Prints its path. HAECHI_CHROMIUM names another one.
set -eu
die() { printf '%s\n' "$*" >&2; exit 1; }

find_one() {
    for name in "${HAECHI_CHROMIUM:-}" chromium chromium-browser google-chrome-stable google-chrome; do
        [ -n "$name" ] && command -v "$name" && return
    done
    return 1
}

find_one && exit
[ "$(id -u)" = 0 ] || die "there is no chromium here; install Debian's package chromium, or name one in HAECHI_CHROMIUM"
for tool in apt-get flock timeout; do
    command -v $tool >/dev/null || die "this machine has no $tool to install Debian's package chromium with"
done
try() {
    timeout -k 5 "$@" -qq -o Acquire::Retries=1 -o Acquire::http::Timeout=20 </dev/null >&2
}
exec 9>/tmp/haechi-chromium.lock
flock -w 400 9 || die "another call has been installing chromium for minutes"
find_one && exit
export DEBIAN_FRONTEND=noninteractive
if ! try 240 apt-get install -y --no-install-recommends chromium; then
    # The lists may be missing or too old.
    try 100 apt-get update || :
    try 240 apt-get install -y --no-install-recommends chromium || die "Debian's package chromium cannot be installed"
fi
find_one || die "Debian's package chromium was installed, but brought no chromium"
