#!/bin/sh
# Writes the SQL of this folder as one C file: an array for each file of tables and views, and the
# named queries. Arrays of numbers, because a string literal may not be that long in C.
set -eu
cd "$(dirname "$0")"
bytes() {
    od -An -v -tu1 "$1" | sed 's/^ *//; s/  */,/g; s/$/,/'
}
echo '/* Made by schema/embed.sh from the .sql files. */'
echo '#include "schema_sql.h"'
for file in tables indexes indexes_frame views cross cross_layers remove continue; do
    echo "const char schema_${file}_sql[] = {"
    bytes "$file.sql"
    echo '0};'
done
number=0
for file in queries/*.sql; do
    echo "static const char query_${number}[] = {"
    bytes "$file"
    echo '0};'
    number=$((number + 1))
done
echo 'const struct named_query database_named_queries[] = {'
number=0
for file in queries/*.sql; do
    name=$(basename "$file" .sql)
    summary=$(sed -n '1s/^-- *//p' "$file" | sed 's/[\\"]/\\&/g')
    echo "    {\"$name\", \"$summary\", query_$number},"
    number=$((number + 1))
done
echo '    {NULL, NULL, NULL},'
echo '};'
