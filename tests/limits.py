#!/usr/bin/env python3
"""Attacks on time and memory (tests/limits/attack.c makes them). Time is counted in instructions, where
`valgrind` is, else in processor seconds with room: twice as much of the same may cost twice as much, not
more. Memory is the peak of the process. `limits.py --quick` is the part that `make check` runs; alone it
is everything, with millions of packets."""
import os
import resource
import shutil
import subprocess
import sys

import common

QUICK = "--quick" in sys.argv or os.environ.get("LIMITS") == "quick"
tally = common.Tally("limits")


def build(work):
    program = os.path.join(work, "attack")
    subprocess.run(["gcc", "-O2", "-o", program, os.path.join(common.ROOT, "tests", "limits", "attack.c"),
                    "-lcrypto", "-lz"], check=True)
    return program


def read(work, attack, kind, count, *options):
    """(peak in KB, processor seconds, path of the database)"""
    db = os.path.join(work, kind + ".db")
    for end in ("", "-journal"):
        if os.path.exists(db + end):
            os.unlink(db + end)
    with subprocess.Popen([attack, kind, str(count)], stdout=subprocess.PIPE) as source:
        process = subprocess.Popen([common.PROGRAM, "read", "-q", "-k", "none", *options, "-o", db, "-"],
                                   stdin=source.stdout, stderr=subprocess.PIPE)
        source.stdout.close()
        error = process.stderr.read().decode()
        process.stderr.close()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    tally.check("%s x %d: status 0" % (kind, count), process.returncode == 0, error)
    return usage.ru_maxrss, usage.ru_utime + usage.ru_stime, db


def rows(db, sql):
    import sqlite3
    connection = sqlite3.connect("file:%s?mode=ro" % db, uri=True)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def memory(work, attack):
    sizes = {"syn": 100000 if QUICK else 5000000, "half": 30000 if QUICK else 1000000,
             "gaps": 60000 if QUICK else 2000000, "bombs": 50 if QUICK else 2000,
             "flows": 20000 if QUICK else 1000000}
    limit = 16 if QUICK else 64
    fixed = read(work, attack, "syn", 5000, "--memory", "4M")[0] - 4096
    if "asan" in common.PROGRAM:
        tally.skip("memory", "sanitizers need their own")
        return
    for kind, count in sizes.items():
        peak, _, db = read(work, attack, kind, count, "--memory", "%dM" % limit, "--flows", "switching")
        room = 2 * 1024 if not QUICK else 8 * 1024  # what an idle program has not filled: SQLite's cache
        print("%-6s %8d: peak %6d KB; %d MB and %d KB of fixed cost" % (kind, count, peak, limit, fixed))
        tally.check("%s: memory is bounded" % kind, peak < limit * 1024 + fixed + room, "%d KB" % peak)
        if kind == "flows":
            continue
        got = rows(db, "SELECT s.path, s.outcome, s.end_reason, count(*) FROM session s JOIN frame f ON "
                       "f.session_id = s.id WHERE s.host = 'honest.example' AND s.path LIKE '/20%' "
                       "GROUP BY s.id ORDER BY s.path")
        want = [("/%d" % (2000 + i), "switched", "close", 102) for i in range(20)]
        tally.check("%s: the honest sessions are there in full" % kind, got == want, str(got))
        blamed = rows(db, "SELECT DISTINCT x.rule FROM finding x JOIN session s ON s.id = x.session_id JOIN "
                          "flow f ON f.id = s.flow_id WHERE f.client_addr = '192.0.2.1'")
        tally.check("%s: and not accused of anything" % kind, {r for r, in blamed} <= {
            "ws-mask-key-predictable", "ws-client-closed-tcp-first"}, str(blamed))


def cost(work, attack, kind, count):
    """Instructions, or processor seconds."""
    if shutil.which("valgrind") and "asan" not in common.PROGRAM:
        path = os.path.join(work, "cost.pcap")
        with open(path, "wb") as out:
            subprocess.run([attack, kind, str(count)], stdout=out, check=True)
        db = os.path.join(work, "cost.db")
        if os.path.exists(db):
            os.unlink(db)
        done = subprocess.run(
            ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", common.PROGRAM, "read", "-q",
             "-k", "none", "-o", db, path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        for line in done.stderr.decode().splitlines():
            if "Collected" in line:
                return int(line.split(":")[1])
    return read(work, attack, kind, count)[1]


def complexity(work, attack):
    """n, 2n, 4n: what the second half of the packets costs more than the first is the slope; it may not
    rise."""
    unit = int(os.environ.get("UNIT", 3000 if QUICK else 30000))
    kinds = {"segments": unit, "backwards": unit, "lines": unit * 4, "pipelined": unit, "frames": unit * 3,
             "records": unit * 3, "hole": unit, "fragments": unit, "tunnels": unit // 30, "flows": unit // 3}
    for kind, count in kinds.items():
        costs = [cost(work, attack, kind, count * times) for times in (1, 2, 4)]
        first, second = costs[1] - costs[0], (costs[2] - costs[1]) / 2
        print("%-10s %8d: %.3g, x2 %.3g, x4 %.3g: slope %.3f" % (
            kind, count, *costs, second / first if first > 0 else 0))
        tally.check("%s: the cost of a byte stays flat" % kind, second < first * 1.25, str(costs))


with common.folder() as place:
    attacker = build(place)
    memory(place, attacker)
    if not QUICK:
        complexity(place, attacker)
tally.end()
