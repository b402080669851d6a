#!/bin/sh
# rsyslog or syslog-ng (with its loggen) for the tests and the benchmarks: Debian's package and the libraries it
# needs that are missing here, unpacked into a folder outside this checkout. They cannot both be installed, so
# neither is: nothing is set up in the system and no daemon is started. Prints the folder that took the package's
# files, or / where it is installed; what is there already and works is not fetched again.
set -eu
die() { printf '%s\n' "$*" >&2; exit 1; }

case ${1:-} in
rsyslog) package=rsyslog daemon=usr/sbin/rsyslogd ;;
syslog-ng) package=syslog-ng-core daemon=usr/sbin/syslog-ng ;;
*) die "usage: deploy/receivers.sh rsyslog|syslog-ng" ;;
esac
home=${HAECHI_RECEIVERS:-${XDG_CACHE_HOME:-$HOME/.cache}/haechi/receivers}
folder=$home/$1
new=$folder.new

# Whether the daemon under a folder finds its libraries; asked for its version, it does no more than say it.
works() {
    libraries=$(find "$1/usr/lib" "$1/lib" -maxdepth 2 -name '*.so*' -printf '%h\n' 2>/dev/null | sort -u | paste -sd:)
    LD_LIBRARY_PATH=$libraries "$1/$daemon" "$2" >/dev/null 2>&1 </dev/null
}

try() {
    timeout -k 5 100 "$@" -qq -o Acquire::Retries=1 -o Acquire::http::Timeout=20 </dev/null >"$new/log" 2>&1
}

# What apt would install, without installing it; then these packages themselves, into this folder.
fetch() {
    plan=$(apt-get -s install --no-install-recommends "$package" 2>"$new/log") || return 1
    packages=$(printf '%s\n' "$plan" | sed -n 's/^Inst \([^ ]*\) .*/\1/p')
    # shellcheck disable=SC2086  # a list of words
    (cd "$new" && try apt-get download $packages)
}

for tool in apt-get dpkg-deb flock timeout; do
    command -v $tool >/dev/null || die "this machine has no $tool to fetch Debian's package $package with"
done
if dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed'; then
    echo /
    exit
fi
mkdir -p "$home"
exec 9>"$home/lock"
flock -w 240 9 || die "another call has been fetching into $home for four minutes"
[ "$package" = rsyslog ] && version=-v || version=--version
if ! { [ -e "$folder/$daemon" ] && works "$folder" $version; }; then
    trap 'rm -rf "$new"' EXIT
    rm -rf "$folder" "$new"
    mkdir "$new"
    tried='apt-get download'
    if ! fetch; then
        # The lists may be missing or too old; only root can renew them.
        if [ "$(id -u)" = 0 ]; then
            tried="apt-get update, $tried"
            try apt-get update || :
        fi
        fetch || die "$package cannot be fetched; tried $tried: $(grep -E '^[EW]:' "$new/log" | head -1)"
    fi
    for file in "$new"/*.deb; do
        dpkg-deb -x "$file" "$new/root"
    done
    works "$new/root" $version || die "$package and what it needs were unpacked, but it does not run"
    mv "$new/root" "$folder"
fi
echo "$folder"
