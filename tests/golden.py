#!/usr/bin/env python3
"""Golden tests: what the database says about each capture of captures/, against a reviewed text in
golden/. `golden.py --update [NAME...]` writes the texts anew: review the difference."""
import glob
import os

import common
from dump import Dump

tally = common.Tally("golden")


def judge(name, got):
    """Compares with golden/NAME.txt, or writes it."""
    golden = os.path.join(common.ROOT, "tests", "golden", name + ".txt")
    if common.UPDATE:
        with open(golden, "w", encoding="utf-8") as out:
            out.write(got)
    try:
        with open(golden, encoding="utf-8") as file:
            want = file.read()
    except FileNotFoundError:
        want = ""
    tally.equal(name, got, want)


def queries(database):
    """What the named queries answer, with thresholds that the small captures reach."""
    arguments = {"grep": ["text=repeats"], "reconnects": ["times=0"], "silent-deaths": ["seconds=0"],
                 "open-at": ["at=2026-11-23T02:13:28.4"]}
    out = []
    for path in sorted(glob.glob(os.path.join(common.ROOT, "schema", "queries", "*.sql"))):
        name = os.path.basename(path)[:-4]
        done = common.run("sql", database, name, *arguments.get(name, []), "--format", "csv")
        tally.check("query %s" % name, done.returncode == 0, done.err)
        out.append("== %s\n%s" % (name, done.out))
    return "\n".join(out)


with common.folder() as work:
    for path in sorted(glob.glob(os.path.join(common.ROOT, "captures", "*", "*.pcap*"))):
        name = os.path.basename(path).split(".")[0]
        if common.NAMES and name not in common.NAMES:
            continue
        database = os.path.join(work, name + ".db")
        common.read(path, database)
        judge(name, Dump(database).text())
        os.unlink(database)
    if not common.NAMES or "queries" in common.NAMES:
        database = os.path.join(work, "queries.db")
        common.read([os.path.join(common.ROOT, "captures", name, name + ".pcap") for name in (
            "chromium-ws", "python-ws", "nginx-right", "nginx-wrong", "nginx-refuses")], database)
        judge("queries", queries(database))
tally.end()
