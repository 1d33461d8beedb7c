#!/usr/bin/env python3
"""How many instructions the program executes (callgrind) over small captures, always the same:
the yardstick that does not shake. Fails where one is more than 3 % above instructions.txt.

    instructions.py BUILD PROGRAM [--update] [PROFILE ...]

Counts depend on compiler and libraries, which the file names: where they are others, they are
shown and compared, but a failure says so.
"""
import os
import re
import subprocess
import sys
import tempfile

KEPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "instructions.txt")
WORSE = 1.03
# profile, scale, connections
CAPTURES = [("chat", "60", "200"), ("deflate", "60", "200"), ("bulk", "40", None),
            ("http", "10", "100"), ("tls", "20", "100"), ("mixed", "20", "100"),
            ("wss", "16", None)]
MODES = [("sessions", ["--detail", "sessions"]), ("all", [])]


def tools():
    def first(*command):
        out = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                             check=False).stdout.decode()
        return out.splitlines()[0] if out else "?"
    compiler = first(os.environ.get("CC", "gcc"), "--version")
    libraries = ["%s %s" % (name, first("pkg-config", "--modversion", name))
                 for name in ("sqlite3", "libndpi", "zlib", "libcrypto")]
    return ", ".join([compiler, *libraries])


def count(program, options, capture, keys, work):
    database = os.path.join(work, "x.db")
    for end in ("", "-wal", "-shm", "-journal"):
        if os.path.exists(database + end):
            os.unlink(database + end)
    out = subprocess.run(
        ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", program, "read", "-q",
         *options, *keys, "-o", database, capture],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=True).stderr.decode()
    return int(re.search(r"refs:\s+([\d,]+)", out).group(1).replace(",", ""))


def measure(build, program, wanted):
    found = {}
    with tempfile.TemporaryDirectory(prefix="switchtap-bench.") as work:
        for name, scale, connections in CAPTURES:
            if wanted and name not in wanted:
                continue
            path, log = os.path.join(work, name + ".pcap"), os.path.join(work, name + ".keys")
            with open(path, "wb") as out, open(log, "wb") as keys:
                subprocess.run([os.path.join(build, "bench/generate"), name, scale,
                                *([connections] if connections else [])],
                               stdout=out, stderr=keys, check=True)
            keylog = ["--keylog", log] if os.path.getsize(log) else []
            for mode, options in MODES:
                found[name, mode] = count(program, options, path, keylog, work)
            os.unlink(path)
    return found


def load():
    kept, made_by = {}, None
    if not os.path.exists(KEPT):
        return kept, made_by
    with open(KEPT, encoding="utf-8") as lines:
        for text in lines:
            if text.startswith("#"):
                made_by = text[1:].strip()
            else:
                name, mode, number = text.split()
                kept[name, mode] = int(number)
    return kept, made_by


def main():
    build, program = sys.argv[1:3]
    update = "--update" in sys.argv[3:]
    wanted = [word for word in sys.argv[3:] if word != "--update"]
    kept, made_by = load()
    found = measure(build, program, wanted)
    worse = []
    for key, number in found.items():
        before = kept.get(key)
        change = "%+6.1f %%" % (100 * (number / before - 1)) if before else "   new"
        print("%-8s %-8s %10.1f M instructions %s" % (*key, number / 1e6, change))
        if before and number > before * WORSE:
            worse.append("%s %s" % key)
    if update:
        kept.update(found)
        with open(KEPT, "w", encoding="utf-8") as out:
            out.write("# %s\n" % tools())
            for name, _, _ in CAPTURES:
                for mode, _ in MODES:
                    if (name, mode) in kept:
                        out.write("%-8s %-8s %d\n" % (name, mode, kept[name, mode]))
        return 0
    if worse:
        print("bench-check: more than 3 % worse: " + ", ".join(worse))
        if made_by != tools():
            print("(they were counted with %s; here are %s)" % (made_by, tools()))
    return 1 if worse else 0


sys.exit(main())
