#!/usr/bin/env python3
"""A steady load for SECONDS (600 unless told): memory is flat, nothing is dropped, the files stay
bounded, and the sessions of the last minutes are all there. Not a part of `make check`.
Usage: soak.py [SECONDS [SESSIONS-PER-SECOND]]"""
import os
import sys
import time

import common
from loopback import Live, Server, Session, query

SECONDS = int(sys.argv[1]) if len(sys.argv) > 1 else 600
RATE = int(sys.argv[2]) if len(sys.argv) > 2 else 20
tally = common.Tally("soak")


def memory(pid):
    with open("/proc/%d/status" % pid, encoding="utf-8") as file:
        return [int(line.split()[1]) for line in file if line.startswith("VmRSS")][0]


def size(path):
    return os.path.getsize(path) if os.path.exists(path) else 0


with common.folder() as work:
    server = Server()
    live = Live(work, "soak", server.port, "-q", "--max-size", "16M")
    long = [Session(server.port, "/long/%d" % n) for n in range(50)]
    samples, count, began, last = [], 0, time.time(), 0
    while time.time() - began < SECONDS:
        session = Session(server.port, "/short/%d" % count)
        session.say(500, 5)
        long[count % len(long)].say(200)
        session.end()
        count += 1
        time.sleep(max(0, began + count / RATE - time.time()))
        if time.time() - last > SECONDS / 60:
            last = time.time()
            samples.append((memory(live.process.pid), size(live.db), size(live.db + "-wal")))
            print("%4d s  %6d sessions  %6d KB resident  %6d KB database  %5d KB log" % (
                last - began, count, samples[-1][0], samples[-1][1] >> 10, samples[-1][2] >> 10), flush=True)
    for session in long:
        session.end()
    time.sleep(1)
    status, text = live.end()
    server.close()
    tally.check("status 0", status == 0, text)
    third = len(samples) // 3
    early, late = max(s[0] for s in samples[third:2 * third]), max(s[0] for s in samples[2 * third:])
    tally.check("memory is flat", late < early * 1.02 + 256, "%d KB, then %d KB" % (early, late))
    tally.check("the file is bounded", max(s[1] for s in samples) < 18 << 20)
    tally.check("the log is bounded", max(s[2] for s in samples) < 8 << 20)
    tally.check("nothing was dropped", query(live.db, "SELECT kernel_dropped FROM capture") == [(0,)])
    got = {p for p, in query(live.db, "SELECT path FROM session WHERE end_reason = 'close'")}
    tally.check("the newest and the long ones are there", all(
        "/short/%d" % n in got for n in range(count - 200, count)) and all(
            "/long/%d" % n in got for n in range(50)))
    tally.check("it is sound", query(live.db, "PRAGMA integrity_check") == [("ok",)] and
                query(live.db, "PRAGMA foreign_key_check") == [])
tally.end()
