#!/usr/bin/env python3
"""End to end: `switchtap live` on the loopback interface while real sockets talk over it."""
import base64
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
tally = common.Tally("live")


def frame(opcode, body, mask=False):
    out = bytes([0x80 | opcode, (0x80 if mask else 0) | len(body)])
    if mask:
        key = os.urandom(4)
        return out + key + bytes(b ^ key[i % 4] for i, b in enumerate(body))
    return out + body


def serve(listener, hold):
    """One WebSocket connection: a welcome, an echo of nothing, a close."""
    peer, _ = listener.accept()
    with peer:
        head = b""
        while b"\r\n\r\n" not in head:
            head += peer.recv(4096)
        key = [x.split(b": ")[1] for x in head.split(b"\r\n") if x.startswith(b"Sec-WebSocket-Key")][0]
        accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
        peer.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                     b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n" + frame(1, b"welcome"))
        peer.recv(4096)
        hold.wait(10)
        peer.sendall(frame(8, b"\x03\xe8"))
        peer.recv(4096)


def client(port, hold):
    with socket.create_connection(("127.0.0.1", port)) as s:
        s.sendall(b"GET /live?x=1 HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
                  b"Connection: Upgrade\r\nSec-WebSocket-Key: " +
                  base64.b64encode(os.urandom(16)) + b"\r\nSec-WebSocket-Version: 13\r\n\r\n")
        s.recv(4096)
        s.sendall(frame(1, b"hello live", True))
        hold.wait(10)
        s.recv(4096)
        s.sendall(frame(8, b"\x03\xe8", True))
        s.recv(4096)


def query(db, sql):
    connection = sqlite3.connect("file:%s?mode=ro" % db, uri=True, timeout=5)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def until(what, seconds=8):
    end = time.time() + seconds
    while time.time() < end:
        try:
            if what():
                return True
        except sqlite3.OperationalError:
            pass
        time.sleep(0.1)
    return False


def conversation(work, interface, stop, *options):
    db = os.path.join(work, interface + stop.name + ".db")
    out = open(os.path.join(work, "out"), "w+", encoding="utf-8")
    with socket.socket() as listener, out:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        live = subprocess.Popen([common.PROGRAM, "live", "-i", interface, "-f", "tcp port %d" % port,
                                 "-o", db, *options], stdout=out, stderr=subprocess.STDOUT)
        try:
            ready = until(lambda: query(db, "SELECT id FROM capture"))
            tally.check("%s: starts" % interface, ready, open(out.name, encoding="utf-8").read())
            time.sleep(0.3)
            hold = threading.Event()
            threads = [threading.Thread(target=serve, args=(listener, hold)),
                       threading.Thread(target=client, args=(port, hold))]
            for t in threads:
                t.start()
            tally.check("%s: a reader sees the open session" % interface, until(lambda: query(
                db, "SELECT id FROM session WHERE outcome='switched' AND end_reason IS NULL")))
            done = common.run("findings", db)
            tally.check("%s: findings while it runs" % interface,
                        done.returncode in (0, 1) and not done.err, done.out + done.err)
            hold.set()
            for t in threads:
                t.join()
            tally.check("%s: a reader sees it close" % interface, until(lambda: query(
                db, "SELECT id FROM session WHERE end_reason='close'")))
            live.send_signal(stop)
            status = live.wait(10)
        finally:
            if live.poll() is None:
                live.kill()
                live.wait()
        out.seek(0)
        text = out.read()
    tally.check("%s %s: status 0" % (interface, stop.name), status == 0, "%s\n%s" % (status, text))
    tally.check("%s: opening and closing lines" % interface, text.count("/live") >= 2, text)
    tally.check("%s: nothing from the wire is raw" % interface, "\x1b" not in text, text)
    tally.check("%s: integrity" % interface, query(db, "PRAGMA integrity_check") == [("ok",)])
    tally.check("%s: foreign keys" % interface, query(db, "PRAGMA foreign_key_check") == [])
    tally.check("%s: the capture ended" % interface, query(
        db, "SELECT kind, ended_ns IS NOT NULL, kernel_dropped FROM capture") == [("live", 1, 0)],
        str(query(db, "SELECT * FROM capture")))
    return db


def refused(work):
    done = common.run("live", "-i", "no-such-interface", "-o", os.path.join(work, "x.db"))
    tally.check("no such interface: 3", done.returncode == 3 and "no-such-interface" in done.err,
                done.err)
    done = common.run("live", "-D")
    tally.check("-D lists lo", done.returncode == 0 and "lo" in done.out, done.out)
    if os.path.exists("/usr/bin/setpriv") and os.geteuid() == 0:
        os.chmod(work, 0o777)
        done = subprocess.run(
            ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--bounding-set",
             "-all", "--inh-caps", "-all", common.PROGRAM, "live", "-i", "lo", "-o",
             os.path.join(work, "n.db")], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            timeout=20, check=False)
        text = done.stderr.decode()
        if "ermission denied" in text and "switchtap:" not in text:
            tally.skip("no permission", "another user cannot reach the program here")
        else:
            tally.check("no permission: says how to grant it",
                        done.returncode == 3 and "cap_net_raw" in text.lower(), text)


with common.folder() as place:
    probe = common.run("live", "-i", "lo", "--duration", "0.2", "-o", os.path.join(place, "p.db"))
    if probe.returncode == 3 and "cap_net_raw" in probe.err.lower():
        tally.skip("live", "no permission to capture")
    else:
        conversation(place, "lo", signal.SIGINT)
        db = conversation(place, "any", signal.SIGTERM, "--payload", "1000", "--workers", "3")
        tally.check("payloads only when asked", query(
            db, "SELECT payload FROM message WHERE opcode='text' AND sender='client'") ==
            [("hello live",)], str(query(db, "SELECT * FROM message")))
        tally.check("none by default", query(
            os.path.join(place, "loSIGINT.db"),
            "SELECT count(*) FROM frame WHERE payload IS NOT NULL") == [(0,)])
        refused(place)
tally.end()
