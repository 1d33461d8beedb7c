#!/usr/bin/env python3
"""End to end: `live` for longer than one file lasts. Files that follow one another, and how many of
them stay; one file kept bounded by size and by age, also under a reader that never ends; counters on
request."""
import base64
import glob
import hashlib
import os
import signal
import socket
import sqlite3
import subprocess
import threading
import time

import common

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
tally = common.Tally("rotate")


def frame(opcode, body, mask=False):
    head = bytes([0x80 | opcode])
    bit = 0x80 if mask else 0
    head += bytes([bit | len(body)]) if len(body) < 126 else bytes([bit | 126]) + len(body).to_bytes(2, "big")
    return head + (b"\0\0\0\0" if mask else b"") + body


class Server:
    """Answers upgrades and swallows what comes, until a close frame."""

    def __init__(self):
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(64)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(peer,), daemon=True).start()

    def serve(self, peer):
        with peer:
            head = b""
            while b"\r\n\r\n" not in head:
                head += peer.recv(4096)
            key = head.split(b"Sec-WebSocket-Key: ")[1].split(b"\r\n")[0]
            peer.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade"
                         b"\r\nSec-WebSocket-Accept: " +
                         base64.b64encode(hashlib.sha1(key + GUID).digest()) + b"\r\n\r\n")
            last = b""
            while True:
                data = peer.recv(65536)
                last = (last + data)[-8:]
                if not data or last.startswith(b"\x88\x82"):
                    break
            peer.sendall(frame(8, b"\x03\xe8"))

    def close(self):
        self.listener.close()


class Session:
    def __init__(self, port, path):
        self.s = socket.create_connection(("127.0.0.1", port))
        self.s.sendall(b"GET %s HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                       b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n" % (
                           path.encode(), base64.b64encode(os.urandom(16))))
        self.s.recv(4096)

    def say(self, size, count=1):
        for _ in range(count):
            self.s.sendall(frame(2, os.urandom(size), True))

    def end(self):
        self.s.sendall(frame(8, b"\x03\xe8", True))
        self.s.recv(4096)
        self.s.close()


class Live:
    def __init__(self, work, name, port, *options):
        self.db = os.path.join(work, name + ".db")
        self.out = open(os.path.join(work, name + ".out"), "w+", encoding="utf-8")
        self.process = subprocess.Popen(
            [common.PROGRAM, "live", "-i", "lo", "-f", "tcp port %d" % port, "-o", self.db, "--payload",
             "64K", *options], stdout=self.out, stderr=subprocess.STDOUT)
        until(lambda: query(self.db, "SELECT id FROM capture"))
        time.sleep(0.3)

    def files(self):
        return sorted(glob.glob(self.db[:-3] + "*.db"))

    def end(self):
        self.process.send_signal(signal.SIGINT)
        try:
            status = self.process.wait(30)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
        self.out.seek(0)
        text = self.out.read()
        self.out.close()
        tally.check("%s: status 0" % os.path.basename(self.db), status == 0, text)
        return text


def query(db, sql):
    connection = sqlite3.connect("file:%s?mode=ro" % db, uri=True, timeout=5)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def until(what, seconds=10):
    end = time.time() + seconds
    while time.time() < end:
        try:
            if what():
                return True
        except sqlite3.Error:
            pass
        time.sleep(0.05)
    return False


def sound(name, files):
    for path in files:
        tally.check("%s: %s is sound" % (name, os.path.basename(path)),
                    query(path, "PRAGMA integrity_check") == [("ok",)] and
                    query(path, "PRAGMA foreign_key_check") == [],
                    str(query(path, "PRAGMA foreign_key_check")))


def series(work, server):
    live = Live(work, "series", server.port, "--rotate", "1M")
    long = Session(server.port, "/long")
    sent = 0
    for n in range(30):
        short = Session(server.port, "/short/%d" % n)
        short.say(20000, 6)
        long.say(1000)
        sent += 1
        short.end()
        time.sleep(0.03)
    time.sleep(1.3)
    long.say(1000)
    sent += 1
    long.end()
    time.sleep(0.5)
    text, files = live.end(), live.files()
    tally.check("files follow one another", len(files) >= 3, str(files))
    tally.check("it says where it goes on", text.count("going on in") == len(files) - 1, text)
    sound("series", files)
    ids, frames, shorts = [], 0, set()
    for path in files:
        ids += query(path, "SELECT id FROM session WHERE path = '/long'")
        frames += query(path, "SELECT count(*) FROM frame f JOIN session s ON s.id = f.session_id "
                              "WHERE s.path = '/long' AND f.opcode = 2")[0][0]
        shorts |= {p for p, in query(path, "SELECT path FROM session WHERE path LIKE '/short/%' AND "
                                           "end_reason = 'close'")}
    tally.check("no session is lost", shorts == {"/short/%d" % n for n in range(30)}, str(shorts))
    tally.check("a session that spans files is in each, under one id", len(ids) == len(files) and
                len(set(ids)) == 1, str(ids))
    tally.check("and its frames are there once", frames == sent, "%d of %d" % (frames, sent))
    marks = [(path, query(path, "SELECT direction, c.file FROM continuation c JOIN session s ON "
                                "s.id = c.session_id WHERE s.path = '/long' ORDER BY 1"))
             for path in files]
    by_start = sorted(files, key=lambda p: query(p, "SELECT count(*) FROM continuation WHERE "
                                                    "direction = 'from'")[0][0] > 0)
    tally.check("marked in both", all(
        ("to" in dict(m)) != (p == max(files, key=lambda q: (len(q), q))) for p, m in marks) and
        all(("from" in dict(m)) != (p == live.db) for p, m in marks), str(marks) + str(by_start))
    tally.check("each capture has its end", all(
        query(p, "SELECT count(*) FROM capture WHERE ended_ns IS NULL") == [(0,)] for p in files))
    done = common.run("show", live.db, str(ids[0][0]))
    tally.check("show says where it goes on", "series-000001.db" in done.out, done.out)
    again = Live(work, "series", server.port, "--rotate", "1M")
    again.end()
    tally.check("started again, it goes on in the newest", live.files() == files and query(
        max(files, key=lambda q: (len(q), q)), "SELECT count(*) FROM capture") == [(2,)], str(files))


def kept(work, server):
    stranger = os.path.join(work, "kept-000000001.db")
    with open(stranger, "wb") as out:
        out.write(b"of somebody else" * 100)
    live = Live(work, "kept", server.port, "--rotate", "1s", "--keep", "2")
    end = time.time() + 4.5
    n = 0
    while time.time() < end:
        s = Session(server.port, "/k/%d" % n)
        s.say(100)
        s.end()
        n += 1
        time.sleep(0.1)
    live.end()
    files = [f for f in live.files() if f != stranger]
    tally.check("only the newest stay", len(files) == 2 and live.db not in files, str(files))
    tally.check("what is not ours stays", os.path.exists(stranger))
    sound("kept", files)


def bounded(work, server):
    live = Live(work, "bounded", server.port, "--max-size", "4M")
    open_one = Session(server.port, "/open")
    peak = 0
    for n in range(80):  # connections are only over when nothing late can come any more
        s = Session(server.port, "/b/%d" % n)
        s.say(10000, 8)
        s.end()
        time.sleep(0.05)
        peak = max(peak, os.path.getsize(live.db))
    time.sleep(1.2)
    tally.check("the size is bounded", peak <= 7 * 2**20 and os.path.getsize(live.db) < 4.2 * 2**20,
                "%d %d" % (peak, os.path.getsize(live.db)))
    open_one.end()
    time.sleep(0.4)
    live.end()
    got = [p for p, in query(live.db, "SELECT path FROM session ORDER BY id")]
    tally.check("the oldest went, what was open and the newest stay", "/open" in got and
                "/b/79" in got and "/b/0" not in got and 15 < len(got) < 60, str(got))
    removed = dict(query(live.db, "SELECT name, value FROM counter WHERE name LIKE 'retain.%'"))
    tally.check("removed ones are counted", removed.get("retain.sessions") == 81 - len(got),
                "%s %d" % (removed, len(got)))
    sound("bounded", [live.db])


def aged(work, server):
    live = Live(work, "aged", server.port, "--max-age", "1s")
    for n in range(3):
        s = Session(server.port, "/old/%d" % n)
        s.say(100)
        s.end()
    s = Session(server.port, "/open")
    until(lambda: query(live.db, "SELECT count(*) FROM session") == [(4,)])
    gone = until(lambda: (s.say(10), query(live.db, "SELECT count(*) FROM session WHERE path LIKE "
                                                    "'/old/%'"))[1] == [(0,)], 15)
    tally.check("old ones go, open ones stay", gone and query(
        live.db, "SELECT path FROM session") == [("/open",)], str(query(live.db, "SELECT path FROM session")))
    s.end()
    live.end()
    sound("aged", [live.db])


def stuck_reader(work, server):
    live = Live(work, "stuck", server.port, "--max-size", "100M")
    reader = sqlite3.connect("file:%s?mode=ro" % live.db, uri=True, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM session").fetchall()
    peak = 0
    for n in range(40):
        s = Session(server.port, "/s/%d" % n)
        s.say(60000, 18)
        s.end()
        peak = max([peak] + [os.path.getsize(f) for f in glob.glob(live.db[:-3] + "*-wal")])
        time.sleep(0.02)
    time.sleep(1.2)
    tally.check("the log stays bounded under a reader that does not end", peak < 48 * 2**20, str(peak))
    tally.check("the reader still has its view", reader.execute(
        "SELECT count(*) FROM session").fetchall() == [(0,)])
    text = live.end()
    reader.close()
    paths = set()
    for path in live.files():
        paths |= {p for p, in query(path, "SELECT path FROM session")}
    tally.check("it goes on in another file", len(live.files()) == 2 and "going on in" in text,
                str(live.files()) + text)
    tally.check("and nothing is lost", paths == {"/s/%d" % n for n in range(40)}, str(len(paths)))
    sound("stuck", live.files())


def asked(work, server):
    live = Live(work, "asked", server.port)
    s = Session(server.port, "/x")
    live.process.send_signal(signal.SIGUSR1)
    time.sleep(0.6)
    s.end()
    time.sleep(0.3)
    text = live.end()
    tally.check("SIGUSR1 prints counters", "capture.packets" in text and "memory.peak" in text and
                "flow.opened" in text, text)
    tally.check("and it goes on", query(live.db, "SELECT path FROM session WHERE end_reason = 'close'") ==
                [("/x",)])


def wrong(work):
    for options in (["--rotate", "64"], ["--rotate", "10K"], ["--rotate", "x"], ["--rotate", "-1G"],
                    ["--rotate", "0s"]):
        done = common.run("live", "-i", "lo", "-o", os.path.join(work, "w.db"), *options)
        tally.check("refused: %s" % options, done.returncode in (2, 3) and "--rotate" in done.err, done.err)
    for options in (["--keep", "2"], ["--rotate", "1G", "--max-size", "1G"], ["--max-size", "1K"]):
        done = common.run("live", "-i", "lo", "-o", os.path.join(work, "w.db"), *options)
        tally.check("refused: %s" % options, done.returncode == 2, done.err)


with common.folder() as place:
    probe = common.run("live", "-i", "lo", "--duration", "0.2", "-o", os.path.join(place, "p.db"))
    if probe.returncode == 3 and "cap_net_raw" in probe.err.lower():
        tally.skip("live", "no permission to capture")
    else:
        echo = Server()
        for test in (series, kept, bounded, aged, stuck_reader, asked):
            if not common.NAMES or test.__name__ in common.NAMES:
                test(place, echo)
        echo.close()
        wrong(place)
tally.end()
