"""What tests of long live captures share: a WebSocket server and clients on the loopback interface, and
a `live` that listens to them."""
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
        return status, text


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
