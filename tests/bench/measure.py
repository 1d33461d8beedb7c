#!/usr/bin/env python3
"""Times programs over generated captures: wall and processor seconds, peak memory, ratios."""
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time

build, program, work, scale = sys.argv[1:5]
wanted = sys.argv[5:]
PROFILES = [("chat", 250), ("deflate", 120), ("bulk", 500), ("http", 60), ("tls", 60), ("mixed", 60)]


def timed(command, runs=3, before=None):
    walls, peak = [], 0
    for _ in range(runs):
        if before:
            before()
        start = time.monotonic()
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = 0
        walls.append(time.monotonic() - start)
        peak = max(peak, usage.ru_maxrss)
        if status != 0:
            raise SystemExit("%s failed: %d" % (command, status))
    return statistics.median(walls), peak / 1024


def line(name, what, seconds, base, packets, peak):
    print("%-8s %-34s %7.2f s %6.2f x %9.0f packets/s %6.0f MB" % (
        name, what, seconds, seconds / base, packets / seconds, peak), flush=True)


for name, size in PROFILES:
    if wanted and name not in wanted:
        continue
    path, db = os.path.join(work, name + ".pcap"), os.path.join(work, name + ".db")
    with open(path, "wb") as out:
        subprocess.run([os.path.join(build, "generate"), name, str(max(1, int(size * float(scale))))],
                       stdout=out, check=True)
    counted = subprocess.run([os.path.join(build, "bare_pcap"), path], stdout=subprocess.PIPE,
                             check=True).stdout.split()
    packets = int(counted[0])
    print("%s: %d packets, %d MB" % (name, packets, os.path.getsize(path) >> 20))

    def fresh(database=db):
        for end in ("", "-wal", "-shm", "-journal"):
            if os.path.exists(database + end):
                os.unlink(database + end)

    base, peak = timed([os.path.join(build, "bare_pcap"), path])
    line(name, "bare pcap_loop", base, base, packets, peak)
    seconds, peak = timed([program, "read", "-q", "--detail", "sessions", "-o", db, path],
                          before=fresh)
    line(name, "switchtap --detail sessions", seconds, base, packets, peak)
    full, peak = timed([program, "read", "-q", "-o", db, path], before=fresh)
    line(name, "switchtap, everything stored", full, base, packets, peak)
    print("%-8s database: %d MB" % (name, os.path.getsize(db) >> 20))
    if name == "chat" and shutil.which("tshark"):
        tshark, peak = timed(["tshark", "-r", path, "-Y", "websocket", "-T", "fields", "-e",
                              "websocket.payload.text"], runs=1)
        line(name, "tshark printing payloads", tshark, base, packets, peak)
        print("%-8s tshark takes %.1f times as long as switchtap storing everything" % (
            name, tshark / full))
    fresh()
    os.unlink(path)
