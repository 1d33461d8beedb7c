#!/usr/bin/env python3
"""Replays the corpus of the fuzz targets without a fuzzer, the inputs that once broke something among
them, and lets allocations fail one after the other while a few of them are read."""
import os
import re
import subprocess
import sys
import tempfile

import common

sys.path.insert(0, os.path.join(common.ROOT, "tests", "fuzz"))
import seeds  # noqa: E402

CORPUS = os.path.join(common.ROOT, "tests", "fuzz", "corpus")
BUILD = os.environ.get("BUILD", "build")
REPLAY = os.path.join(common.ROOT, BUILD, "replay") if not os.path.isabs(BUILD) else \
    os.path.join(BUILD, "replay")
tally = common.Tally("fuzz")


def replay(*words):
    done = subprocess.run([REPLAY, *words], capture_output=True, text=True, errors="replace",
                          timeout=300)
    counts = re.search(r"^(\d+) passed, (\d+) failed$", done.stdout, re.M)
    return counts, [line for line in done.stderr.splitlines()
                    if line.startswith(("replay:", "invariant:", "SUMMARY:"))]


def targets():
    done = subprocess.run([REPLAY, "--targets"], capture_output=True, text=True, check=True)
    return done.stdout.split()


def corpus():
    for target in targets():
        folder = os.path.join(CORPUS, target)
        if os.path.isdir(folder):
            counts, said = replay(target, folder)
            tally.check("corpus of " + target, counts is not None and counts.group(2) == "0" and
                        int(counts.group(1)) == len(os.listdir(folder)), "\n".join(said))


# A few of the text scripts stand for all: HTTP/2 with WebSocket, deflate, layers in layers.
READ = ["http2-websocket", "rule-pmd-context-violated", "tls-in-websocket", "starttls-smtp"]
STEP = 97  # SQLite alone asks thousands of times; the unit of `read` is milliseconds


def exhaust(work):
    """No crash, no leak (where a sanitizer looks), and a documented end, whichever allocation fails;
    and the same with none behind it either."""
    made = seeds.Seeds(work)
    for number, name in enumerate(READ):
        made.of_script(number, os.path.join(common.ROOT, "tests", "scripts", name + ".txt"),
                       whole=True)
    for how in ("--exhaust", "--exhaust-all"):
        for target, step, names in (("pipeline", 1, READ), ("read", STEP, READ[:1])):
            for name in names:
                counts, said = replay(how, "--step=%d" % step, target,
                                      os.path.join(work, target, name))
                tally.check("%s %s %s" % (how, target, name),
                            counts is not None and counts.group(1) == "1", "\n".join(said[:8]))


if __name__ == "__main__":
    if not os.path.exists(REPLAY):
        tally.skip("all", "no %s" % REPLAY)
    else:
        corpus()
        with tempfile.TemporaryDirectory() as folder:
            exhaust(folder)
    tally.end()
