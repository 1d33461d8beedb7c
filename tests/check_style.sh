#!/bin/sh
# The parts of the style that a machine can see: widths, white space, sizes of files and functions,
# banned calls. What it cannot see is for the reader.
set -u
bad=0
complain() { # what, lines
    if [ -n "$2" ]; then
        echo "check-style: $1:" >&2
        printf '%s\n' "$2" | head -n 20 | sed 's/^/  /' >&2
        bad=1
    fi
}
code=$(find analyzer dissectors schema tests -name '*.[ch]')
# shellcheck disable=SC2086
{
complain "lines over 100 columns" "$(awk 'length($0) > 100 {print FILENAME ":" FNR}' $code)"
complain "tabs or white space at the end" "$(grep -nP '\t|[ \t]+$' $code | head -n 20)"
complain "banned calls (unbounded or without error reporting)" \
    "$(grep -nE '\b(strcpy|strcat|sprintf|vsprintf|gets|strtok|atoi|atol|atof|alloca)\(' $code)"
complain "files over 900 lines" \
    "$(wc -l $code | awk '$2 != "total" && $2 !~ /^tests\// && $1 > 900 {print $2 ": " $1}')"
complain "functions over 90 lines" "$(awk '
    FNR == 1 {start = 0}
    /^[a-z].*[^;]$/ && !/^(enum|struct|union|static const|const|extern|typedef)[^(]*$/ {name = $0}
    /^\{/ {start = FNR}
    /^\}/ {if (start && FNR - start > 90) print FILENAME ":" start ": " FNR - start; start = 0}
    ' $code | grep -v '^tests/')"
complain "TODO without a decision" "$(grep -nE '\b(TODO|FIXME|XXX)\b' $code)"
}
if command -v shellcheck >/dev/null 2>&1; then
    complain "shellcheck" "$(shellcheck -S warning tests/*.sh schema/*.sh 2>&1)"
fi
[ $bad -eq 0 ] && echo "check-style: clean"
exit $bad
