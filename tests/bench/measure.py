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
PROFILES = [("chat", 250), ("deflate", 120), ("bulk", 500), ("http", 60), ("tls", 60), ("mixed", 60),
            ("wss", 800)]


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


def decrypting(name, seconds, megabytes, closed):
    """What a megabyte costs more with keys than without, beside OpenSSL's own speed."""
    report = subprocess.run(["openssl", "speed", "-seconds", "1", "-bytes", "16384", "-evp",
                             "aes-128-gcm"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                            check=False).stdout.decode().split()
    print("%-8s decrypted and analysed: %.2f ms per MB; without keys %.2f ms; AES-128-GCM alone in "
          "OpenSSL, records of 16 KB: %.2f ms" % (
              name, 1e3 * seconds / megabytes, 1e3 * closed / megabytes,
              1e3 * 2**20 / (float(report[-1].rstrip("k")) * 1000) if report else 0), flush=True)


for name, size in PROFILES:
    if wanted and name not in wanted:
        continue
    path, db = os.path.join(work, name + ".pcap"), os.path.join(work, name + ".db")
    keys = os.path.join(work, name + ".keys")
    with open(path, "wb") as out, open(keys, "wb") as log:
        subprocess.run([os.path.join(build, "generate"), name, str(max(1, int(size * float(scale))))],
                       stdout=out, stderr=log, check=True)
    keylog = ["--keylog", keys] if os.path.getsize(keys) else []
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
    seconds, peak = timed([program, "read", "-q", "--detail", "sessions", *keylog, "-o", db, path],
                          before=fresh)
    line(name, "switchtap --detail sessions", seconds, base, packets, peak)
    if keylog:
        decrypting(name, seconds, size * float(scale), timed(
            [program, "read", "-q", "--detail", "sessions", "-o", db, path], before=fresh)[0])
    full, peak = timed([program, "read", "-q", *keylog, "-o", db, path], before=fresh)
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
