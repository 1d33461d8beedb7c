#!/usr/bin/env python3
"""Times programs over generated captures: wall seconds (medians), peak memory, ratios."""
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time

build, program, work = sys.argv[1:4]
scale, runs = float(sys.argv[4]), int(sys.argv[5])
wanted = sys.argv[6:]
# The sizes at scale 1: so that the bare loop takes half a second on a machine of 2024.
PROFILES = [("chat", 1250), ("deflate", 1000), ("bulk", 2300), ("http", 300), ("tls", 420),
            ("mixed", 360), ("wss", 800)]
SMALL = 0.1  # of that, for programs that are slow or hungry, and to see whether memory grows


def fresh(database):
    for end in ("", "-wal", "-shm", "-journal"):
        if os.path.exists(database + end):
            os.unlink(database + end)


def timed(command, before=None, count=None):
    """Median of the wall seconds, highest peak memory in MB."""
    walls, peak = [], 0
    for _ in range(count or runs):
        if before:
            fresh(before)
        start = time.monotonic()
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = 0
        walls.append(time.monotonic() - start)
        peak = max(peak, usage.ru_maxrss)
        if status != 0:
            raise SystemExit("%s failed: %d" % (command, status))
    return statistics.median(walls), peak / 1024


class Capture:
    """A generated capture, its key log where it has one, and a place for a database."""

    def __init__(self, name, size, label=""):
        self.name, self.size = name, max(1, round(size))
        self.path = os.path.join(work, name + label + ".pcap")
        self.db = os.path.join(work, name + label + ".db")
        keys = os.path.join(work, name + label + ".keys")
        with open(self.path, "wb") as out, open(keys, "wb") as log:
            subprocess.run([os.path.join(build, "bench/generate"), name, str(self.size)],
                           stdout=out, stderr=log, check=True)
        self.keylog = ["--keylog", keys] if os.path.getsize(keys) else []
        counted = subprocess.run([os.path.join(build, "bench/bare_pcap"), self.path],
                                 stdout=subprocess.PIPE, check=True).stdout.split()
        self.packets, self.bytes = int(counted[0]), os.path.getsize(self.path)

    def read(self, *options, keys=True, count=None):
        return timed([program, "read", "-q", *options, *(self.keylog if keys else []), "-o",
                      self.db, self.path], before=self.db, count=count)

    def remove(self):
        fresh(self.db)
        os.unlink(self.path)


def line(name, what, seconds, peak, base, packets=0, size=0):
    text = "%-8s %-32s %8.2f s %7.2f x" % (name, what, seconds, seconds / base)
    if packets:
        text += " %8.2f M packets/s %6.1f Gbit/s" % (packets / seconds / 1e6,
                                                     size * 8 / seconds / 1e9)
    print(text + (" %6.0f MB" % peak if peak else ""), flush=True)


def decrypting(capture, seconds):
    """What a megabyte costs more with keys than without, beside OpenSSL's own speed."""
    report = subprocess.run(["openssl", "speed", "-seconds", "1", "-bytes", "16384", "-evp",
                             "aes-128-gcm"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                            check=False).stdout.decode().split()
    closed = capture.read("--detail", "sessions", keys=False)[0]
    print("%-8s decrypted and analysed: %.2f ms per MB; without keys %.2f ms; AES-128-GCM alone in "
          "OpenSSL, records of 16 KB: %.2f ms" % (
              capture.name, 1e3 * seconds / capture.size, 1e3 * closed / capture.size,
              1e3 * 2**20 / (float(report[-1].rstrip("k")) * 1000) if report else 0), flush=True)


def bare_sqlite(capture):
    """The same rows by nothing but SQLite: median seconds, rows."""
    copy, seconds, rows = capture.db + ".copy", [], 0
    for _ in range(runs):
        fresh(copy)
        out = subprocess.run([os.path.join(build, "bench/bare_sqlite"), capture.db, copy],
                             stdout=subprocess.PIPE, check=True).stdout.split()
        seconds.append(float(out[0]))
        rows = int(out[1])
    fresh(copy)
    return statistics.median(seconds), rows


def messages(database):
    out = subprocess.run([program, "sql", database, "SELECT count(*) FROM frame WHERE "
                          "message_length IS NOT NULL", "--format", "csv"],
                         stdout=subprocess.PIPE, check=True).stdout.split()
    return int(out[-1])


def small(name, size, peaks):
    """What takes too long or too much memory for the large capture, and how memory grows."""
    capture = Capture(name, size * SMALL, "-small")
    base = timed([os.path.join(build, "bench/bare_pcap"), capture.path])[0]
    sessions, sessions_peak = capture.read("--detail", "sessions")
    full, full_peak = capture.read()
    print("%-8s a capture ten times as long: peak memory %.0f to %.0f MB, sessions only %.0f to "
          "%.0f MB" % (name, full_peak, peaks[1], sessions_peak, peaks[0]), flush=True)
    if name in ("chat", "mixed") and shutil.which("tshark"):
        tshark, peak = timed(["tshark", "-r", capture.path, "-Y", "websocket", "-T", "fields",
                              "-e", "websocket.payload.text"])
        line(name, "tshark printing payloads (tenth)", tshark, peak, base)
        print("%-8s tshark takes %.1f times as long as switchtap storing everything, and %.1f "
              "times the memory" % (name, tshark / full, peak / full_peak), flush=True)
    if shutil.which("ndpiReader"):
        ndpi, peak = timed(["ndpiReader", "-q", "-i", capture.path])
        line(name, "ndpiReader -q (tenth)", ndpi, peak, base)
        print("%-8s ndpiReader takes %.1f times as long as switchtap --detail sessions" % (
            name, ndpi / sessions), flush=True)
    capture.remove()


def measure(name, size):
    capture = Capture(name, size * scale)
    print("%s: %.2f M packets, %d MB" % (name, capture.packets / 1e6, capture.bytes >> 20))
    base, peak = timed([os.path.join(build, "bench/bare_pcap"), capture.path])
    told = (base, capture.packets, capture.bytes)
    line(name, "bare pcap_loop", base, peak, *told)
    sessions, sessions_peak = capture.read("--detail", "sessions")
    line(name, "switchtap --detail sessions", sessions, sessions_peak, *told)
    if capture.keylog:
        decrypting(capture, sessions)
    full, full_peak = capture.read()
    line(name, "switchtap, everything stored", full, full_peak, *told)
    bare, rows = bare_sqlite(capture)
    line(name, "bare SQLite, the same rows", bare, 0, base)
    size_mb, count = os.path.getsize(capture.db) / 1e6, messages(capture.db)
    print("%-8s everything stored: %.2f x the bare SQLite loop; %d rows, database %.0f MB%s" % (
        name, full / bare, rows, size_mb,
        ", %.0f MB per million messages" % (size_mb * 1e6 / count) if count else ""), flush=True)
    capture.remove()
    small(name, size * scale, (sessions_peak, full_peak))


print("%s, %d cores, %s; medians of %d" % (platform.processor() or platform.machine(),
                                           os.cpu_count(), platform.platform(), runs))
for profile, full_size in PROFILES:
    if not wanted or profile in wanted:
        measure(profile, full_size)
