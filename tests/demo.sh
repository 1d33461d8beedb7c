#!/bin/sh
# Analyses recordings that the repository carries and shows what a user would look at.
set -eu
database=$(mktemp -d)/demo.db
trap 'rm -rf "$(dirname "$database")"' EXIT
say() { printf '\n$ switchtap %s\n' "$(echo "$*" | sed "s,$database,demo.db,")"; ./switchtap "$@" || [ $? -eq 1 ]; }
say read -o "$database" captures/chromium-ws/chromium-ws.pcap captures/nginx-wrong/nginx-wrong.pcap \
    captures/connect-proxy/connect-proxy.pcap
say sessions "$database"
say show "$database" 1
say findings "$database"
