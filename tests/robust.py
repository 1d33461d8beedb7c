#!/usr/bin/env python3
"""Nothing is lost and nothing hangs: kill -9 at random moments, disks that are full or cannot be written,
databases that are locked, interfaces that go away, files that change while they are read, outputs that
are closed. `robust.py --long` kills a hundred times instead of ten."""
import os
import random
import resource
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import threading
import time

import common
from loopback import Live, Server, Session, query, until

KILLS = 100 if "--long" in sys.argv else 10
tally = common.Tally("robust")
CAPTURES = os.path.join(common.ROOT, "captures")


def start(*arguments, **options):
    options.setdefault("stdout", subprocess.PIPE)
    options.setdefault("stderr", subprocess.STDOUT)
    return subprocess.Popen([common.PROGRAM, *arguments], **options)


def finish(process, seconds=60):
    try:
        out = process.communicate(timeout=seconds)[0]
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    return process.returncode, (out or b"").decode("utf-8", "replace")


def is_sound(db):
    """Opened for writing, as the next run does: a journal that was left behind is rolled back."""
    connection = sqlite3.connect(db, timeout=5)
    try:
        return connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)] and \
            connection.execute("PRAGMA foreign_key_check").fetchall() == []
    finally:
        connection.close()


def totals(db):
    return [query(db, "SELECT count(*) FROM " + table)[0][0]
            for table in ("flow", "layer", "session", "frame", "finding", "header", "gap")]


def large_capture(work):
    """So large that reading it takes a while: a recording, many times, each time later."""
    path = os.path.join(work, "large.pcap")
    with open(os.path.join(CAPTURES, "chromium-ws", "chromium-ws.pcap"), "rb") as file:
        data = file.read()
    packets, at = [], 24
    while at < len(data):
        head = list(struct.unpack("<IIII", data[at:at + 16]))
        packets.append((head, data[at + 16:at + 16 + head[2]]))
        at += 16 + head[2]
    with open(path, "wb") as out:
        out.write(data[:24])
        for n in range(400):
            for head, body in packets:
                out.write(struct.pack("<IIII", head[0] + 30 * n, *head[1:]) + body)
    return path


# --- kill -9 ---

def killed_reads(work):
    path, db, whole = large_capture(work), os.path.join(work, "k.db"), os.path.join(work, "whole.db")
    began = time.time()
    common.read(path, whole)
    took, want = time.time() - began, totals(whole)
    rng, unsound, wrong, early = random.Random(7), [], [], 0
    for n in range(KILLS):
        for end in ("", "-journal", "-wal", "-shm"):
            if os.path.exists(db + end):
                os.unlink(db + end)
        process = start("read", "-q", "-o", db, path)
        time.sleep(rng.uniform(0, took * 1.05))
        process.kill()
        process.communicate()
        if not os.path.exists(db):
            early += 1
            continue
        if os.path.getsize(db) > 0 and not is_sound(db):
            unsound.append(n)
        if n % 5 == 0:  # and it can be done again into the same file
            common.run("read", "-q", "-o", db, path)
            if totals(db) != want or not is_sound(db):
                wrong.append((n, totals(db)))
    tally.check("reads killed %d times: the database opens and is sound" % KILLS, not unsound, str(unsound))
    tally.check("read again it is complete", not wrong, "%s %s" % (wrong, want))
    tally.check("not all came too early", early < KILLS / 2, str(early))


def killed_lives(work, server):
    rng, lost, unsound = random.Random(8), [], []
    for n in range(KILLS // 5):
        live = Live(work, "kill%d" % n, server.port, "-q")
        ended, end = [], time.time() + rng.uniform(1.6, 3.5)
        while time.time() < end:
            s = Session(server.port, "/%d" % len(ended))
            s.say(50)
            s.end()
            ended.append(time.time())
            time.sleep(0.02)
        live.process.kill()
        killed = time.time()
        live.process.wait()
        live.out.close()
        got = {p for p, in query(live.db, "SELECT path FROM session WHERE end_reason = 'close'")}
        # a batch is handed over after 0.2 s, and committed within a second; a busy machine needs more
        slack = 1.4 if os.getloadavg()[0] < os.cpu_count() and "asan" not in common.PROGRAM else 3
        missing = [i for i, at in enumerate(ended) if at < killed - slack and "/%d" % i not in got]
        if missing:
            lost.append((n, missing))
        if not is_sound(live.db):
            unsound.append(n)
    tally.check("live, killed: the database is sound", not unsound, str(unsound))
    tally.check("live, killed: at most the last second is lost", not lost, str(lost))


# --- disks ---

def inside(work, options, script):
    """A shell script in a mount namespace of its own, where `disk` is a small file system."""
    disk = os.path.join(work, "disk")
    os.makedirs(disk, exist_ok=True)
    return subprocess.run(
        ["unshare", "-m", "sh", "-c", "mount -t tmpfs -o %s none '%s' || exit 99; cd '%s'; %s" % (
            options, disk, disk, script)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env={**os.environ, "SWITCHTAP": common.PROGRAM}, timeout=60, check=False)


def disks(work):
    path = os.path.join(work, "large.pcap")
    check = "; s=$?; sqlite3 -readonly x.db 'PRAGMA integrity_check' 'PRAGMA foreign_key_check'; exit $s"
    done = inside(work, "size=1M", '"$SWITCHTAP" read -q -o x.db %s%s' % (path, check))
    if done.returncode == 99:
        tally.skip("disks", "no permission to mount")
        return
    text = done.stdout.decode()
    tally.check("read, disk full: 3, and says so", done.returncode == 3 and "no space" in text, text)
    tally.check("read, disk full: the database is sound", text.rstrip().endswith("ok"), text)
    done = inside(work, "size=1M", 'TMPDIR=. "$SWITCHTAP" lint -q %s; s=$?; ls -A; exit $s' % path)
    text = done.stdout.decode()
    tally.check("lint, disk full: 3, nothing stays", done.returncode == 3 and "no space" in text and
                len(text.splitlines()) == 1, "%d %s" % (done.returncode, text))
    done = inside(work, "size=1M", 'mount -o remount,ro .; "$SWITCHTAP" read -q -o x.db %s' % path)
    text = done.stdout.decode()
    tally.check("a folder that is read-only: 3, and says so", done.returncode == 3 and "x.db" in text and
                "ead-only" in text, text)
    done = inside(work, "size=8M", '"$SWITCHTAP" read -q -o x.db %s/h2c/h2c.pcap && mount -o remount,ro . '
                  '&& "$SWITCHTAP" sessions x.db && "$SWITCHTAP" sql x.db "SELECT 1"' % CAPTURES)
    tally.check("reading a database there is possible", done.returncode == 0, done.stdout.decode())


def live_disk_full(work, server):
    disk = os.path.join(work, "disk2")
    os.makedirs(disk)
    process = subprocess.Popen(
        ["unshare", "-m", "sh", "-c", "mount -t tmpfs -o size=1M none '%s' || exit 99; '%s' live -q -i lo "
         "-f 'tcp port %d' --payload 64K -o '%s/l.db'; s=$?; sqlite3 '%s/l.db' 'PRAGMA integrity_check'; "
         "exit $s" % (disk, common.PROGRAM, server.port, disk, disk)], stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT)
    time.sleep(1)
    for n in range(20):
        s = Session(server.port, "/full/%d" % n)
        s.say(60000, 4)
        s.end()
        if process.poll() is not None:
            break
    status, text = finish(process, 20)
    tally.check("live, disk full: 3, and says so", status == 3 and "no space" in text, text)
    tally.check("live, disk full: the database is sound", "ok" in text.split(), text)


# --- others at the database ---

def locked(work):
    small, db = os.path.join(CAPTURES, "h2c", "h2c.pcap"), os.path.join(work, "locked.db")
    common.run("read", "-q", "-o", db, small)
    other = sqlite3.connect(db, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    process = start("read", "-q", "--again", "-o", db, small)
    time.sleep(1.5)
    other.execute("COMMIT")
    status, text = finish(process)
    tally.check("locked for a while: it waits", status == 0, text)
    other.execute("BEGIN EXCLUSIVE")
    began = time.time()
    status, text = finish(start("read", "-q", "--again", "-o", db, small))
    tally.check("locked for ever: 3, and says so in time", status == 3 and "locked" in text and
                time.time() - began < 15, text)
    other.execute("ROLLBACK")
    other.close()
    first = start("read", "-q", "--again", "-o", db, "-", stdin=subprocess.PIPE)
    with open(small, "rb") as file:
        first.stdin.write(file.read(2000))
    first.stdin.flush()
    time.sleep(0.6)
    status, text = finish(start("read", "-q", "--again", "-o", db, small))
    tally.check("two writers: the second is refused", status == 3 and "locked" in text, text)
    first.stdin.close()
    first.stdin = None
    tally.check("and the first goes on", finish(first)[0] == 0)


# --- interfaces ---

def interface_gone(work):
    db = os.path.join(work, "gone.db")
    script = ("ip link add v0 type veth peer name v1 && ip link set v0 up && ip link set v1 up || exit 99; "
              "'%s' live -q -i v0 -o '%s' & pid=$!; sleep 1; ip link %s; "
              "for i in $(seq 50); do kill -0 $pid 2>/dev/null || break; sleep 0.1; done; "
              "%s wait $pid")
    for what, change, ending in (("deleted", "del v0", ""),
                                 ("down and up", "set v0 down; sleep 0.3; ip link set v0 up; sleep 0.3",
                                  "kill -INT $pid;")):
        done = subprocess.run(["unshare", "-n", "sh", "-c", script % (common.PROGRAM, db, change, ending)],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, check=False)
        text = done.stdout.decode()
        if done.returncode == 99 or "not permitted" in text and "unshare" in text:
            tally.skip("interfaces", "no permission for a network namespace")
            return
        good = done.returncode == 3 and "v0" in text if what == "deleted" else (
            done.returncode in (0, 3) and (done.returncode == 0 or "v0" in text))
        tally.check("an interface that is %s: ends in order and says so" % what, good,
                    "%d %s" % (done.returncode, text))
        tally.check("... with a sound database that has its end", is_sound(db) and query(
            db, "SELECT count(*) FROM capture WHERE ended_ns IS NULL") == [(0,)])
        os.unlink(db)


# --- inputs that change ---

def changing(work):
    with open(os.path.join(CAPTURES, "chromium-ws", "chromium-ws.pcap"), "rb") as file:
        data = file.read()
    path, db = os.path.join(work, "grows.pcap"), os.path.join(work, "grows.db")

    def grow():
        with open(path, "ab") as out:
            for at in range(len(data) // 2, len(data), 997):
                out.write(data[at:at + 997])
                out.flush()
                time.sleep(0.002)

    with open(path, "wb") as out:
        out.write(data[:len(data) // 2])
    thread = threading.Thread(target=grow)
    thread.start()
    done = common.run("read", "-o", db, path)
    thread.join()
    tally.check("a file that grows: 0", done.returncode == 0, done.out + done.err)
    done = common.run("read", "-q", "-o", db, path)
    tally.check("... and later all of it is read", done.returncode == 0 and
                query(db, "SELECT max(packets) FROM capture")[0][0] > 50, done.err)
    large = os.path.join(work, "shrinks.pcap")
    shutil.copy(os.path.join(work, "large.pcap"), large)
    process = start("read", "-q", "-o", os.path.join(work, "shrinks.db"), large)
    time.sleep(0.05)
    os.truncate(large, 100000)
    status, text = finish(process)
    tally.check("a file that becomes shorter: no crash", status in (0, 3), "%s %s" % (status, text))
    pipe = os.path.join(work, "fifo")
    os.mkfifo(pipe)
    process = start("read", "-o", os.path.join(work, "fifo.db"), pipe)
    with open(pipe, "wb") as out:
        out.write(data[:len(data) // 2 + 3])
    status, text = finish(process)
    tally.check("a writer that dies: 0, and says what was cut", status == 0 and "cut at the end" in text, text)
    for name, path in (("a folder", work), ("no file", work + "/none"), ("a device", "/dev/zero")):
        process = start("read", "-q", "-o", os.path.join(work, "n.db"), path)
        status, text = finish(process, 20)
        tally.check("%s as capture: 3" % name, status == 3 and path in text, text)
    same = os.path.join(work, "same.pcap")
    shutil.copy(os.path.join(CAPTURES, "h2c", "h2c.pcap"), same)
    with open(same, "rb") as file:
        before = file.read()
    status, text = finish(start("read", "-q", "-o", same, same))
    with open(same, "rb") as file:
        tally.check("the capture as database: 3, and it is left alone", status == 3 and
                    file.read() == before, text)
    for name, make in (("a FIFO", os.mkfifo), ("a folder", os.mkdir)):
        path = os.path.join(work, "db-" + name.split()[1])
        make(path)
        status, text = finish(start("read", "-q", "-o", path, same), 20)
        tally.check("%s as database: 3" % name, status == 3 and path in text, text)


# --- signals and outputs ---

def signals(work, server):
    live = Live(work, "twice", server.port)
    live.process.send_signal(signal.SIGTERM)
    live.process.send_signal(signal.SIGTERM)
    status = live.process.wait(10)
    live.out.close()
    tally.check("SIGTERM twice ends it", status in (0, 3), str(status))
    tally.check("... with a sound database", is_sound(live.db))
    path = os.path.join(work, "large.pcap")
    process = start("read", "-q", "-o", os.path.join(work, "int.db"), path)
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    status, text = finish(process)
    tally.check("SIGINT while reading: 3, and the database is sound", status in (0, 3) and
                is_sound(os.path.join(work, "int.db")), "%d %s" % (status, text))


def outputs(work):
    db = os.path.join(work, "whole.db")
    for command in (["sql", db, "SELECT * FROM frame", "--format", "csv"], ["sessions", db],
                    ["messages", db], ["show", db, "1"], ["findings", db], ["rules"]):
        process = start(*command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        process.stdout.read(10)
        process.stdout.close()
        error = process.stderr.read().decode()
        process.stderr.close()
        status = process.wait(20)
        tally.check("%s into a pipe that is closed: no complaint, no crash" % command[0],
                    status in (0, 1, 3) and "Sanitizer" not in error and len(error.splitlines()) <= 1,
                    "%d %s" % (status, error))
    with open("/dev/full", "wb") as full:
        for command in (["sessions", db], ["sql", db, "SELECT 1"], ["findings", db], ["rules"]):
            done = subprocess.run([common.PROGRAM, *command], stdout=full, stderr=subprocess.PIPE,
                                  timeout=20, check=False)
            tally.check("%s into a full device: 3, and says so" % command[0], done.returncode == 3 and
                        b"output failed: No space" in done.stderr, done.stderr.decode())
    small = os.path.join(CAPTURES, "h2c", "h2c.pcap")
    for closed in (">&-", "2>&-", "<&-", ">&- 2>&- <&-"):
        name = os.path.join(work, "closed.db")
        done = subprocess.run(["sh", "-c", "'%s' read -o '%s' '%s' %s" % (common.PROGRAM, name, small,
                                                                          closed)],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=20, check=False)
        good = done.returncode == (3 if ">&-" in closed.split() else 0)
        tally.check("started with %s: no file takes its place" % closed, good and is_sound(name),
                    "%d %s" % (done.returncode, done.stderr.decode()))
        os.unlink(name)
    limit = 300 * 1024
    done = subprocess.run([common.PROGRAM, "read", "-q", "-o", os.path.join(work, "limit.db"),
                           os.path.join(work, "large.pcap")], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=30, check=False,
                          preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
    tally.check("a limit of file sizes: 3, no signal", done.returncode == 3, "%d %s" % (
        done.returncode, done.stdout.decode()))


with common.folder() as place:
    killed_reads(place)
    disks(place)
    locked(place)
    changing(place)
    outputs(place)
    probe = common.run("live", "-i", "lo", "--duration", "0.2", "-o", os.path.join(place, "p.db"))
    if probe.returncode == 3 and "cap_net_raw" in probe.err.lower():
        tally.skip("live", "no permission to capture")
    else:
        echo = Server()
        killed_lives(place, echo)
        live_disk_full(place, echo)
        signals(place, echo)
        interface_gone(place)
        echo.close()
tally.end()
