#!/usr/bin/env python3
"""Script tests: each scripts/*.txt is a conversation, then a line "---", then what switchtap says
about it: sessions and findings, with a comment "# verdicts" those as well. `scripts.py --update [NAME...]` writes the second half anew."""
import glob
import os
import sys

import common
import dump

sys.path.insert(0, os.path.join(common.ROOT, "tests", "script"))
import build  # noqa: E402

tally = common.Tally("scripts")
with common.folder() as work:
    pcap, database = os.path.join(work, "s.pcap"), os.path.join(work, "s.db")
    for path in sorted(glob.glob(os.path.join(common.ROOT, "tests", "scripts", "*.txt"))):
        name = os.path.basename(path)[:-4]
        if common.NAMES and name not in common.NAMES:
            continue
        with open(path, encoding="utf-8") as file:
            script, _, want = file.read().partition("\n---\n")
        build.build(script, pcap)
        common.read(pcap, database)
        got = dump.brief(database, "# verdicts" in script)
        if common.UPDATE and got != want:
            with open(path, "w", encoding="utf-8") as out:
                out.write(script + "\n---\n" + got)
            print("updated", name)
            want = got
        tally.equal(name, got, want)
tally.end()
