#!/usr/bin/env python3
"""Makes inputs for the fuzz targets of the text scripts, one folder a target: seeds.py FOLDER
[PROGRAM]. A flow's two streams, in the order in which they came, are one input of the stack; what was
lost is a gap. With the program there are databases, too."""
import glob
import gzip
import os
import random
import re
import sqlite3
import struct
import subprocess
import sys

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(TESTS, "script"))
import build  # noqa: E402

DATA, GAP, FIN, MOST, PACKETS_MOST = 0, 4, 6, 6000, 8000


class Flow:
    def __init__(self, client):
        self.client = client
        self.next = {}  # sequence number, by side
        self.steps = []

    def step(self, kind, side, length, payload=b""):
        self.steps.append((kind | side, length, payload))

    def packet(self, side, seq, flags, payload):
        if flags & 2:
            self.next[side] = seq + 1 & 0xFFFFFFFF
            return
        ahead = (seq - self.next.setdefault(side, seq) + 2**31) % 2**32 - 2**31
        if ahead > 0 and (payload or flags & 1):
            self.step(GAP, side, min(ahead, 65535))
        payload = payload[max(0, -ahead):]
        if payload:
            self.step(DATA, side, len(payload), payload)
            self.next[side] = seq + max(0, -ahead) + len(payload) & 0xFFFFFFFF
        if flags & 1:
            self.step(FIN, side, 0)

    def behind(self):
        """Without the heads of HTTP with which the sides begin: what is behind a switch."""
        steps, seen = [], set()
        for kind, length, payload in self.steps:
            side, at = kind & 1, payload.find(b"\r\n\r\n")
            if kind & ~1 == DATA and side not in seen:
                if at < 0:
                    return None
                seen.add(side)
                payload = payload[at + 4:]
                length = len(payload)
                if not payload:
                    continue
            steps.append((kind, length, payload))
        return steps if len(seen) == 2 else None


def encode(steps):
    return b"".join(struct.pack("<BH", kind, length) + payload for kind, length, payload in steps)


def flows(packets):
    """Packets as build.py makes them: Ethernet, perhaps with one VLAN tag, IPv4, TCP."""
    found = {}
    for frame in packets:
        ip = 18 if frame[12:14] == b"\x81\x00" else 14
        tcp = ip + (frame[ip] & 15) * 4
        source, target = frame[ip + 12:ip + 16], frame[ip + 16:ip + 20]
        sport, dport, seq = struct.unpack_from("!HHI", frame, tcp)
        begin, flags = tcp + (frame[tcp + 12] >> 4) * 4, frame[tcp + 13]
        here, there = (source, sport), (target, dport)
        flow = found.setdefault(tuple(sorted((here, there))), Flow(here))
        flow.packet(0 if here == flow.client else 1, seq, flags, frame[begin:])
    return list(found.values())


def records(data):
    at, packets = 24, []
    while at < len(data):
        length = struct.unpack_from("<I", data, at + 8)[0]
        packets.append(data[at + 16:at + 16 + length])
        at += 16 + length
    return packets


def block(kind, body):
    body += bytes(-len(body) % 4)
    size = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", kind) + size + body + size


def certificates():
    """The first certificate of each Certificate message that a capture has in one piece, as DER."""
    found = set()
    for path in glob.glob(os.path.join(TESTS, "..", "captures", "tls*", "*.pcap")):
        with open(path, "rb") as file:
            data = file.read()
        for match in re.finditer(rb"\x0b\0..\0..\0(..)(?=\x30\x82)", data, re.S):
            size = int.from_bytes(match.group(1), "big")
            inner = int.from_bytes(data[match.end() + 2:match.end() + 4], "big") + 4
            if inner == size:
                found.add(data[match.end():match.end() + size])
    return sorted(found, key=len)


def pcapng(packets):
    out = [block(0x0a0d0d0a, struct.pack("<IHHq", 0x1a2b3c4d, 1, 0, -1)),
           block(1, struct.pack("<HHI", 1, 0, 0) + struct.pack("<HHB3xHH", 9, 1, 9, 0, 0)),
           block(10, struct.pack("<II", 0x544c534b, 5) + b"KEY A")]
    for n, packet in enumerate(packets):
        out.append(block(6, struct.pack("<IIIII", 0, 0, n, len(packet), len(packet)) + packet))
    out.append(block(3, struct.pack("<I", len(packets[0])) + packets[0]))
    out.append(block(5, struct.pack("<III", 0, 0, 9) + struct.pack("<HHQHH", 4, 8, 1, 0, 0)))
    return b"".join(out)


class Seeds:
    def __init__(self, folder):
        self.folder = folder

    def put(self, target, name, data):
        os.makedirs(os.path.join(self.folder, target), exist_ok=True)
        with open(os.path.join(self.folder, target, name), "wb") as out:
            out.write(data)

    def of_script(self, number, path, whole=False):
        """whole: as a capture only, however long."""
        name = os.path.basename(path)[:-4]
        capture = os.path.join(self.folder, "capture.tmp")
        with open(path, encoding="utf-8") as file:
            build.build(file.read(), capture)
        with open(capture, "rb") as file:
            data = file.read()
        os.remove(capture)
        packets = records(data)
        if whole or len(data) < PACKETS_MOST:
            self.put("pipeline", name, b"\0\0\0" + data)
        if whole or number % 5 == 0 and len(data) < PACKETS_MOST:
            self.put("read", name, bytes([number % 32]) + data)
        if whole:
            return
        if number % 12 == 0 and len(data) < PACKETS_MOST:
            self.put("capture", name + ".pcap", data)
            self.put("capture", name + ".pcapng", pcapng(packets))
            self.put("capture", name + ".gz", gzip.compress(data, mtime=0))
        if number % 4 == 0:
            self.put("decode", name, (b"\0" + b"".join(
                struct.pack("<BBHB", 0, 1, len(p), 0) + p for p in packets))[:MOST])
        for n, flow in enumerate(flows(packets)):
            self.put("stack", "%s-%d" % (name, n), (b"\0\0" + encode(flow.steps))[:MOST])
            behind = flow.behind()
            if behind:
                self.put("stack-", "%s-%d-behind" % (name, n),
                         (bytes([0, number % 4]) + encode(behind))[:MOST])

    def of_tls(self):
        def step(kind, side, data=b"", more=b"", length=None):
            length = len(data) if length is None else length
            return struct.pack("<BH", kind << 1 | side, length) + more + data

        def extension(kind, data):
            return struct.pack("!HH", kind, len(data)) + data

        raw, sealed, altered, hello, epoch, gap, end, repeat = range(8)
        h2 = extension(16, b"\0\3\2h2")
        ccs = step(raw, 1, b"\x14\3\3\0\1\1")
        get = (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
               b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
        answer = (b"HTTP/1.1 101 S\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                  b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n\x81\2hi")
        for suite in range(4):
            new = suite < 3
            both = step(hello, 0, h2 if suite == 1 else b"") + step(hello, 1)
            done = b"\x14\0\0\x20" + bytes(32)
            if new:
                both += ccs + step(sealed, 1, b"\x08\0\0\2\0\0" + done, b"\x16")
                both += step(epoch, 1, length=2)
                both += step(sealed, 0, done, b"\x16") + step(epoch, 0, length=2)
            else:
                both += step(raw, 0, b"\x14\3\3\0\1\1") + step(sealed, 0, b"\x14\0\0\x0c" + bytes(12),
                                                                b"\x16")
                both += ccs + step(sealed, 1, b"\x14\0\0\x0c" + bytes(12), b"\x16")
            talk = step(sealed, 0, get, b"\x17") + step(sealed, 1, answer, b"\x17")
            update = step(sealed, 0, b"\x18\0\0\1\1", b"\x16") + step(epoch, 0, length=3)
            flood = struct.pack("<BH", repeat << 1 | 16, 5) + b"\x16\xff\x18\0\0\1\0"
            close = step(sealed, 0, b"\1\0", b"\x15") + step(end, 0)
            begin = bytes([0, suite, 0])
            self.put("tls", "talk-%d" % suite, begin + both + talk + update + talk + close)
            self.put("tls", "flood-%d" % suite, begin + both + talk + flood + talk)
            self.put("tls", "lost-%d" % suite,
                     begin + both + talk + step(gap, 0, length=300) + talk * 3 + step(altered, 0, get,
                                                                                    b"\x17") + talk)
            self.put("tls", "again-%d" % suite, begin + both + step(hello, 0) + step(
                sealed, 0, b"\1\0\0\x26\3\3" + bytes(36), b"\x16") + talk)
            self.put("tls", "early-%d" % suite,
                     begin + step(hello, 0, extension(42, b"")) + step(epoch, 0, length=0) +
                     step(sealed, 0, get, b"\x17") + step(hello, 1) + step(
                         sealed, 1, b"\x08\0\0\6\0\4" + extension(42, b"") + done, b"\x16") +
                     step(sealed, 0, b"\5\0\0\0", b"\x16") + step(epoch, 0, length=1) +
                     step(sealed, 0, done, b"\x16"))
        for n, der in enumerate(certificates()[:4]):
            one = len(der).to_bytes(3, "big") + der
            lists = [(b"", one), (b"\0", one + b"\0\0")]  # TLS 1.2, 1.3
            for suite, (begin, entries) in ((3, lists[0]), (0, lists[1])):
                body = begin + len(entries).to_bytes(3, "big") + entries
                message = b"\x0b" + len(body).to_bytes(3, "big") + body
                record = b"\x16\3\3" + struct.pack("!H", len(message)) + message
                sent = step(raw, 1, record) if suite == 3 else step(sealed, 1, message, b"\x16")
                self.put("tls", "certificate-%d-%d" % (suite, n), bytes([0, suite, 0]) + step(
                    hello, 0) + step(hello, 1) + sent)
        line = b"CLIENT_RANDOM " + b"61" * 32 + b" " + b"62" * 48 + b"\n# x\nBAD\n"
        self.put("tls", "log", bytes([0, 0, 3]) + struct.pack("<H", len(line)) + line +
                 step(hello, 0) + step(hello, 1))

    def of_reassembly(self):
        dice = random.Random(1)
        for n in range(24):
            out = bytearray([n % 5 | (8 if n % 3 == 0 else 0) | (16 if n % 4 == 3 else 0)])
            for _ in range(40):
                kind = dice.choice([0, 1, 0, 1, 32, 33, 16, 4, 5, 8, 2])
                seq = dice.choice([0, 0, 0, -10, -50, 20, 100, 1400, -1400])
                out += struct.pack("<BhhHBB", kind, seq, dice.choice([0, 0, -10, 30]),
                                   dice.choice([0, 1, 10, 50, 100, 1400]), dice.choice([0, 1, 9]),
                                   dice.choice([0, 255, 15]))
            self.put("reassembly", "talk-%d" % n, bytes(out))

    def of_database(self, program):
        statements = [
            "UPDATE session SET verdict = x'1b5d30', host = zeroblob(9), request_ns = 9e99",
            "UPDATE frame SET payload = 5, message_opcode = 'x', message_length = -1",
            "UPDATE header SET name = 7, value = 1.5",
            "UPDATE flow SET first_ns = 9223372036854775807, client_addr = x'ff'",
            "UPDATE layer SET parent_id = 1, detail = '{', flow_id = 99",
            "UPDATE session SET hop_of = 1, successor_id = 1",
            "UPDATE sqlite_schema SET sql = 'CREATE VIEW chain AS SELECT 1 AS a' WHERE name = 'chain'",
            "DROP VIEW session_summary; CREATE VIEW session_summary AS SELECT * FROM session_summary",
            "DROP TABLE frame; CREATE TABLE frame(id, session_id, payload)",
            "DROP VIEW message; CREATE VIEW message AS WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL "
            "SELECT i + 1 FROM c) SELECT i AS id FROM c LIMIT 1000",
            "CREATE TRIGGER t AFTER INSERT ON finding BEGIN SELECT load_extension('x'); END",
            "INSERT INTO finding(id, capture_id, rule, session_id, found_ns) VALUES (9, 1, 'x', 7, 7)",
            "PRAGMA user_version = 99", "PRAGMA application_id = 1", "PRAGMA encoding = 'UTF-16'",
            "ALTER TABLE session RENAME COLUMN verdict TO v",
            "INSERT INTO layer(id, flow_id, parent_id, relation, protocol, first_ns, client_offset, "
            "server_offset) VALUES (2, 1, 3, 'carry', 'x', 1, 0, 0), (3, 1, 2, 'carry', 'y', 1, 0, 0)",
        ]
        for n, sql in enumerate(statements):
            self.put("database", "sql-%d" % n, b"\1" + sql.encode())
        if program is None:
            return
        path = os.path.join(self.folder, "small.db")
        capture = os.path.join(TESTS, "..", "captures", "nesting", "nesting.pcap")
        subprocess.run([program, "read", "-q", "-o", path, capture], check=True)
        with sqlite3.connect(path) as db:
            db.execute("PRAGMA journal_mode = DELETE")
            db.execute("PRAGMA page_size = 1024")
            db.execute("VACUUM")
        db.close()
        with open(path, "rb") as file:
            self.put("database", "small", file.read())
        os.remove(path)


def main(folder, program=None):
    os.makedirs(folder, exist_ok=True)
    seeds = Seeds(folder)
    for number, path in enumerate(sorted(glob.glob(os.path.join(TESTS, "scripts", "*.txt")))):
        seeds.of_script(number, path)
    seeds.of_tls()
    seeds.of_reassembly()
    seeds.of_database(program)


if __name__ == "__main__":
    main(*sys.argv[1:])
