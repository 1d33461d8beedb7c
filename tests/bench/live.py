#!/usr/bin/env python3
"""A chat capture replayed over a veth pair in a network namespace of its own, at rising rates up to top
speed, once into `tcpdump -w` and once into `switchtap live`: how many packets each of them lost.
Usage: live.py GENERATE PROGRAM [MESSAGES]    (tcpreplay, tcpdump; root)"""
import os
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time

generate, program = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
messages = sys.argv[3] if len(sys.argv) > 3 else "25"
RATES = [50, 100, 200, 400, 800, 0]  # Mbit/s; 0: as fast as it goes


def join(command):
    return ["nsenter", "-t", str(holder.pid), "-n"] + command


def replay(path, rate):
    speed = ["--topspeed"] if rate == 0 else ["--mbps=%d" % rate]
    done = subprocess.run(join(["tcpreplay", "-q", "-i", "v0", *speed, path]), stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False)
    text = done.stdout.decode()
    sent = re.search(r"Actual: (\d+) packets \((\d+) bytes\) sent in ([\d.]+) seconds", text)
    if sent is None:
        raise SystemExit("tcpreplay failed:\n" + text)
    return int(sent.group(1)), int(sent.group(2)) * 8 / float(sent.group(3)) / 1e6, \
        int(sent.group(1)) / float(sent.group(3))


def with_tcpdump(path, rate, work):
    sniffer = subprocess.Popen(join(["tcpdump", "-i", "v1", "-Z", "root", "-B", "65536", "-s", "0", "-w",
                                     os.path.join(work, "out.pcap")]), stderr=subprocess.PIPE)
    time.sleep(1)
    result = replay(path, rate)
    time.sleep(1)
    sniffer.send_signal(signal.SIGINT)
    text = sniffer.communicate()[1].decode()
    return result, int(re.search(r"(\d+) packets dropped by kernel", text).group(1))


def with_switchtap(path, rate, work, *options):
    db = os.path.join(work, "live.db")
    for end in ("", "-wal", "-shm"):
        if os.path.exists(db + end):
            os.unlink(db + end)
    sniffer = subprocess.Popen(join([program, "live", "-q", "-k", "none", "-i", "v1", "-B", "65536", "-o", db,
                                     *options]), stderr=subprocess.PIPE)
    time.sleep(1)
    result = replay(path, rate)
    time.sleep(1.5)
    sniffer.send_signal(signal.SIGINT)
    error = sniffer.communicate()[1].decode()
    if sniffer.returncode != 0:
        raise SystemExit("live failed: " + error)
    connection = sqlite3.connect(db)
    packets, dropped = connection.execute("SELECT packets, kernel_dropped FROM capture").fetchone()
    sessions = connection.execute("SELECT count(*) FROM session WHERE end_reason = 'close'").fetchone()[0]
    connection.close()
    return result, dropped, sessions, packets


with tempfile.TemporaryDirectory(prefix="switchtap-bench-") as work:
    holder = subprocess.Popen(["unshare", "-n", "sleep", "600"])
    try:
        time.sleep(0.3)
        for command in ("ip link add v0 type veth peer name v1", "ip link set v0 up mtu 65535",
                        "ip link set v1 up mtu 65535", "ip link set lo up"):
            subprocess.run(join(command.split()), check=True)
        path = os.path.join(work, "chat.pcap")
        with open(path, "wb") as out:
            subprocess.run([generate, "chat", messages], stdout=out, check=True)
        print("%8s | %-32s | %-34s | %s" % ("Mbit/s", "tcpdump -w", "live --detail sessions", "live"))
        for rate in RATES:
            (sent, mbps, pps), lost = with_tcpdump(path, rate, work)
            (_, mbps2, pps2), lost2, sessions, _ = with_switchtap(path, rate, work, "--detail", "sessions")
            (_, mbps3, pps3), lost3, sessions3, _ = with_switchtap(path, rate, work)
            print("%8s | %6.0f Mbit/s %7.0f/s lost %6d | %6.0f Mbit/s %7.0f/s lost %6d, %d sessions | "
                  "%6.0f Mbit/s lost %6d, %d sessions" % (
                      rate or "top", mbps, pps, lost, mbps2, pps2, lost2, sessions, mbps3, lost3, sessions3),
                  flush=True)
    finally:
        holder.kill()
        holder.wait()
