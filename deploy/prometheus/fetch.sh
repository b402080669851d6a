#!/bin/sh
# Prometheus and promtool for the tests: Debian's package, unpacked into a folder outside this checkout. Nothing is
# installed and no daemon is started. Prints the folder that took the package's files, or / where it is installed;
# what is there already is not fetched again.
set -eu
die() { printf '%s\n' "$*" >&2; exit 1; }

home=${HAECHI_RECEIVERS:-${XDG_CACHE_HOME:-$HOME/.cache}/haechi/receivers}
folder=$home/prometheus
new=$folder.new

works() { "$1/usr/bin/promtool" --version >/dev/null 2>&1 && "$1/usr/bin/prometheus" --version >/dev/null 2>&1; }
try() {
    timeout -k 5 100 "$@" -qq -o Acquire::Retries=1 -o Acquire::http::Timeout=20 </dev/null >"$new/log" 2>&1
}
fetch() { (cd "$new" && try apt-get download prometheus); }

if works /; then
    echo /
    exit
fi
for tool in apt-get dpkg-deb flock timeout; do
    command -v $tool >/dev/null || die "this machine has no $tool to fetch Debian's package prometheus with"
done
mkdir -p "$home"
exec 9>"$home/prometheus.lock"
flock -w 240 9 || die "another call has been fetching into $home for four minutes"
if ! works "$folder"; then
    trap 'rm -rf "$new"' EXIT
    rm -rf "$folder" "$new"
    mkdir "$new"
    if ! fetch; then
        # The lists may be missing or too old; only root can renew them.
        [ "$(id -u)" = 0 ] && try apt-get update || :
        fetch || die "prometheus cannot be fetched: $(grep -E '^[EW]:' "$new/log" | head -1)"
    fi
    dpkg-deb -x "$new"/prometheus_*.deb "$new/root"
    works "$new/root" || die "prometheus was unpacked, but it does not run"
    mv "$new/root" "$folder"
fi
echo "$folder"
