#!/usr/bin/env python3
"""Golden tests: what the database says about each capture of captures/, against a reviewed text in
golden/. `golden.py --update [NAME...]` writes the texts anew: review the difference."""
import glob
import os

import common
from dump import Dump

tally = common.Tally("golden")
with common.folder() as work:
    for path in sorted(glob.glob(os.path.join(common.ROOT, "captures", "*", "*.pcap*"))):
        name = os.path.basename(path).split(".")[0]
        if common.NAMES and name not in common.NAMES:
            continue
        golden = os.path.join(common.ROOT, "tests", "golden", name + ".txt")
        database = os.path.join(work, name + ".db")
        common.read(path, database)
        got = Dump(database).text()
        if common.UPDATE:
            with open(golden, "w", encoding="utf-8") as out:
                out.write(got)
        try:
            with open(golden, encoding="utf-8") as file:
                want = file.read()
        except FileNotFoundError:
            want = ""
        tally.equal(name, got, want)
        os.unlink(database)
tally.end()
