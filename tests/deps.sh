#!/bin/sh
# Installs what building and testing need and the machine lacks, from the distribution's packages
# (Debian and Ubuntu). Does nothing, and needs no rights, where all of it is there.
set -eu
packages="gcc make pkg-config libpcap-dev libndpi-dev libsqlite3-dev zlib1g-dev libxxhash-dev
libssl-dev libnghttp2-dev libseccomp-dev libcap-ng-dev check sqlite3 python3"
# `deps.sh fuzz`: libFuzzer, for the clang that this distribution calls clang; cover: its tools, too
if [ "${1:-}" = fuzz ] || [ "${1:-}" = cover ]; then
    clang=$(apt-cache depends clang 2>/dev/null | sed -n 's/^ *Depends: clang-\([0-9]*\)$/\1/p')
    packages="$packages clang libclang-rt-${clang:-14}-dev"
    [ "$1" = fuzz ] || packages="$packages llvm-${clang:-14}"
fi
missing=""
for package in $packages; do
    case $(dpkg-query -W -f '${Status}' "$package" 2>/dev/null || true) in
    *" installed") ;;
    *)  # another package, or a hand-made one, may already serve
        case $package in
        gcc|make|pkg-config|sqlite3|python3) command -v "$package" >/dev/null 2>&1 && continue ;;
        esac
        missing="$missing $package" ;;
    esac
done
[ -z "$missing" ] && exit 0
echo "installing:$missing"
if ! command -v apt-get >/dev/null 2>&1; then
    echo "no apt-get here: install the equivalents of these Debian packages:$missing" >&2
    exit 1
fi
sudo=""
[ "$(id -u)" -eq 0 ] || sudo="sudo"
export DEBIAN_FRONTEND=noninteractive
$sudo apt-get update -qq >/dev/null || true
# shellcheck disable=SC2086
$sudo apt-get install -y -qq --no-install-recommends $missing >/dev/null
