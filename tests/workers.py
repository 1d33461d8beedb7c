#!/usr/bin/env python3
"""--workers changes nothing: all captures and scripts as one capture, their connections interleaved
(each source in a VXLAN of its own, at its own time, again with lost packets, and again with long
silences), is read with different numbers of workers; every row of every table must be equal."""
import glob
import os
import random
import sqlite3
import struct
import sys

import common

sys.path.insert(0, os.path.join(common.ROOT, "tests", "script"))
import build  # noqa: E402

HOURS = 2
COUNTS = (2, 3, 8)
SECOND = 10**9
tally = common.Tally("workers")


def wrapped(frame, network):
    """The frame inside VXLAN: the network is a part of what a connection is known by."""
    vxlan = struct.pack("!BBHI", 8, 0, 0, network << 8) + frame
    udp = struct.pack("!HHHH", 40000, 4789, 8 + len(vxlan), 0) + vxlan
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, bytes([10, 9, 0, 1]),
                     bytes([10, 9, 0, 2]))
    ip = ip[:10] + struct.pack("!H", build.checksum(ip)) + ip[12:]
    return bytes(12) + b"\x08\x00" + ip + udp


def sources(work):
    """The paths of all captures, and of all scripts as captures, one after the other."""
    for path in sorted(glob.glob(os.path.join(common.ROOT, "captures", "*", "*.pcap"))):
        yield path
    for path in sorted(glob.glob(os.path.join(common.ROOT, "tests", "scripts", "*.txt"))):
        with open(path, encoding="utf-8") as file:
            script = file.read().partition("\n---\n")[0]
        pcap = os.path.join(work, "script.pcap")
        build.build(script, pcap)
        yield pcap


def load(path):
    """Packets as (ns, frame), and the key log beside them."""
    with open(path, "rb") as file:
        data = file.read()
    scale = 1 if struct.unpack("<I", data[:4])[0] == 0xA1B23C4D else 1000
    at, packets = 24, []
    while at < len(data):
        seconds, part, size, _ = struct.unpack("<IIII", data[at:at + 16])
        if size < 60000:
            packets.append((seconds * SECOND + part * scale, data[at + 16:at + 16 + size]))
        at += 16 + size
    path = os.path.splitext(path)[0] + ".keys"
    secrets = b""
    if os.path.exists(path):
        with open(path, "rb") as file:
            secrets = file.read()
    return packets, secrets


def versions(packets, rng):
    """As it is; with losses; with silences that are longer than what connections wait."""
    yield packets
    yield [p for p in packets if rng.random() > 0.06]
    late, silent = 0, []
    for at, frame in packets:
        late += rng.choice((0, 0, 0, 0, 0, 0, 0, 1, 70, 700)) * SECOND
        silent.append((at + late, frame))
    yield silent


def together(work, rng):
    """The packets of all, by time; what is -1 in its source is its key log."""
    network, items, keylog = 0, [], b""
    for path in sources(work):
        packets, secrets = load(path)
        for version in versions(packets, rng):
            network += 1
            if not version:
                continue
            begin = rng.randrange(HOURS * 3600 * SECOND) - version[0][0]
            if rng.random() < 0.5:
                keylog += secrets
            elif secrets:
                items.append((version[0][0] + begin, -1, secrets))
            for n, (at, frame) in enumerate(version):
                if at + begin < HOURS * 3600 * SECOND:  # some are still open at the end
                    items.append((at + begin, n, wrapped(frame, network)))
    items.sort(key=lambda item: item[:2])
    return items, keylog


def block(kind, body):
    body += bytes(-len(body) % 4)
    return struct.pack("<II", kind, len(body) + 12) + body + struct.pack("<I", len(body) + 12)


def save(path, items):
    out = [block(0x0a0d0d0a, struct.pack("<IHHq", 0x1a2b3c4d, 1, 0, -1)),
           block(1, struct.pack("<HHI", 1, 0, 0) + struct.pack("<HHB3xHH", 9, 1, 9, 0, 0))]
    for n, (at, part, data) in enumerate(items):
        if part < 0:
            out.append(block(10, struct.pack("<II", 0x544c534b, len(data)) + data))
            continue
        behind = n // 97 % 3 * 1234567890 * (n % 2)  # as if some cards had clocks of their own
        ns = 1700000000 * SECOND + at - behind
        out.append(block(6, struct.pack("<IIIII", 0, ns >> 32, ns & 0xffffffff, len(data),
                                             len(data)) + data))
    with open(path, "wb") as file:
        file.write(b"".join(out))


def rows(database):
    """{table: rows}, without what differs from run to run."""
    db = sqlite3.connect("file:%s?mode=ro" % database, uri=True)
    names = [n for n, in db.execute("SELECT name FROM sqlite_master WHERE type='table' AND name "
                                    "NOT LIKE 'sqlite_%' ORDER BY name")]
    tables = {}
    for name in names:
        columns = [c[1] for c in db.execute("PRAGMA table_info(%s)" % name)
                   if (name, c[1]) not in (("capture", "started_ns"), ("capture", "ended_ns"))]
        if name != "setting":
            tables[name] = db.execute("SELECT %s FROM %s" % (", ".join(columns), name)).fetchall()
    db.close()
    return tables


def differences(got, want):
    for name in sorted(set(got) | set(want)):
        a, b = got.get(name, []), want.get(name, [])
        if a == b:
            continue
        n = next((i for i, pair in enumerate(zip(a, b)) if pair[0] != pair[1]), min(len(a), len(b)))
        yield "%s: %d rows, %d wanted; row %d\n   got %s\n  want %s\n" % (
            name, len(a), len(b), n, a[n:n + 1], b[n:n + 1])


def count(database, sql):
    db = sqlite3.connect("file:%s?mode=ro" % database, uri=True)
    value = db.execute(sql).fetchone()[0]
    db.close()
    return value


def compare(work, capture, keylog, name, *options):
    wanted = None
    for workers in (1,) + COUNTS:
        database = os.path.join(work, "%s%d.db" % (name, workers))
        common.read(capture, database, "--keep-secrets", "--keylog", keylog, "--workers",
                    str(workers), *options)
        got = rows(database)
        wanted = wanted or got
        if workers > 1:
            lines = "".join(differences(got, wanted))
            tally.check("%s, %d workers" % (name, workers), lines == "", lines)
    return os.path.join(work, name + "1.db")


def main():
    with common.folder() as work:
        items, secrets = together(work, random.Random(6))
        capture, keylog = os.path.join(work, "all.pcapng"), os.path.join(work, "all.keys")
        save(capture, items)
        with open(keylog, "wb") as file:
            file.write(secrets)
        database = compare(work, capture, keylog, "all")
        compare(work, capture, keylog, "switching", "--flows", "switching", "--detail", "sessions")
        # ... and that all of it was there to be compared
        for what, least, sql in (
                ("flows", 1000, "SELECT count(*) FROM flow"),
                ("ended by silence", 100, "SELECT count(*) FROM flow WHERE end='idle'"),
                ("at the end", 20, "SELECT count(*) FROM flow WHERE end='capture_end'"),
                ("gaps", 100, "SELECT count(*) FROM gap"),
                ("findings", 1000, "SELECT count(*) FROM finding"),
                ("frames", 1000, "SELECT count(*) FROM frame"),
                ("decrypted", 50, "SELECT value FROM counter WHERE name='tls.decrypted'")):
            number = count(database, sql)
            tally.check("enough " + what, number >= least, "%d, not %d" % (number, least))
    tally.end()


if __name__ == "__main__":
    main()
