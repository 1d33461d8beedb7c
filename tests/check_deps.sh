#!/bin/sh
# The house of the README: which room may include which, and which file is the one door to a
# library. Fails on the first include that goes the wrong way.
set -u
bad=0
complain() { # what, lines
    if [ -n "$2" ]; then
        echo "check-deps: $1:" >&2
        printf '%s\n' "$2" | sed 's/^/  /' >&2
        bad=1
    fi
}
complain "schema/ uses nothing" \
    "$(grep -nE '#include "' schema/*.[ch] schema/*.def | grep -vE '"(event\.h|rules\.def|advice\.def)"')"
complain "schema/event.h uses stdint and stddef only" \
    "$(grep -nE '#include <' schema/event.h | grep -vE '<(stdint|stddef)\.h>')"
complain "dissectors/ may include its own room and schema/event.h" \
    "$(grep -nE '#include "[^"]*/' dissectors/*.[ch] | grep -v '"../schema/event.h"')"
complain "analyzer/ may include its own room, dissectors/ and schema/event.h" \
    "$(grep -nE '#include "[^"]*/' analyzer/*.[ch] | grep -vE '"\.\./(dissectors/[a-z0-9_]+\.h|schema/event\.h)"')"
door() { # header, pattern of files that may include it
    complain "<$1> is included by $2 only" \
        "$(grep -lE "#include <$1>" analyzer/*.[ch] dissectors/*.[ch] schema/*.[ch] | grep -vE "$2")"
}
door '(pcap|pcap/.*)\.h' '^analyzer/capture\.c$'
door '(ndpi/)?ndpi_api\.h' '^analyzer/classify\.c$'
door 'nghttp2/.*\.h' '^dissectors/http2_hpack\.c$'
door 'sqlite3\.h' '^analyzer/(store|database)[a-z_]*\.[ch]$'
for file in dissectors/*.c; do
    own=$(basename "$file" .c)
    hits=$(grep -nE '#include "(http1|http2|websocket|template)[a-z_]*\.h"' "$file" |
        grep -vE "\"${own%%_*}")
    complain "$file includes another dissector's header" "$hits"
done
[ $bad -eq 0 ] && echo "check-deps: the rooms use each other as they may"
exit $bad
