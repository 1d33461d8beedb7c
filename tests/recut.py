#!/usr/bin/env python3
"""Property test: how the bytes were cut into packets, in which order the packets came and how often
changes nothing but packet numbers and times. Every capture and script is read as it is and again
after each of the transformations below; the rows must be equal."""
import glob
import os
import random
import sys

import common
from dump import Dump
from packets import FIN, SYN, load, save

sys.path.insert(0, os.path.join(common.ROOT, "tests", "script"))
import build  # noqa: E402


def cut(packets, size):
    out = []
    for p in packets:
        if not p.plain() or not p.payload:
            out.append(p)
            continue
        edges, at = [0], 0
        while at < len(p.payload):
            at = min(len(p.payload), at + size())
            edges.append(at)
        for a, b in zip(edges, edges[1:]):
            out.append(p.piece(a, b, b == len(p.payload)))
    return out


def bytewise(packets, rng):
    return cut(packets, lambda: 1)


def random_cut(packets, rng):
    return cut(packets, lambda: rng.randint(1, 40))


def shuffled(packets, rng):
    """Any order within a window, between handshakes and ends."""
    packets = cut(packets, lambda: rng.randint(1, 200))
    out, window = [], []
    for p in packets:
        if not p.plain() or p.flags & FIN:
            rng.shuffle(window)
            out += window + [p]
            window = []
            continue
        window.append(p)
        if len(window) == 8:
            rng.shuffle(window)
            out += window
            window = []
    rng.shuffle(window)
    return out + window


def doubled(packets, rng):
    """Every third packet comes again later."""
    out, again = [], []
    for p in packets:
        out.append(p)
        if p.plain() and p.payload and rng.random() < 0.4:
            again.append([rng.randint(1, 5), p.piece(0, len(p.payload), True)])
        for a in again:
            a[0] -= 1
        out += [a[1] for a in again if a[0] == 0]
        again = [a for a in again if a[0] > 0]
    return out


def overlapped(packets, rng):
    """Pieces that overlap the ones before them, with the right content."""
    out = []
    for p in packets:
        if not p.plain() or len(p.payload) < 4:  # a checksum left out here and there is a bad one
            out.append(p.piece(0, len(p.payload), True) if p.plain() else p)
            continue
        at, n = 0, len(p.payload)
        while at < n:
            end = min(n, at + rng.randint(1, 30))
            out.append(p.piece(max(0, at - rng.randint(0, 20)), end, end == n))
            at = end
    return out


def swapped(packets, rng):
    """One direction is seen late: each packet of a server moves behind the next two."""
    servers = {p.flow for p in packets if p.tcp is not None and p.flags & (SYN | 16) == SYN | 16}
    out, late = [], []
    for p in packets:
        if p.plain() and not p.flags & FIN and p.flow in servers:
            late.append([3, p])
            continue
        if not p.plain() or p.flags & FIN:
            out += [x[1] for x in late]
            late = []
        out.append(p)
        for x in late:
            x[0] -= 1
        out += [x[1] for x in late if x[0] <= 0]
        late = [x for x in late if x[0] > 0]
    return out + [x[1] for x in late]


WAYS = [bytewise, random_cut, shuffled, doubled, overlapped, swapped]
MOVED = (shuffled, swapped)  # they change times, by which the hops of one attempt are known
tally = common.Tally("recut")
with common.folder() as work:
    pcap, database = os.path.join(work, "r.pcap"), os.path.join(work, "r.db")
    paths = sorted(glob.glob(os.path.join(common.ROOT, "captures", "*", "*.pcap")))
    paths += sorted(glob.glob(os.path.join(common.ROOT, "tests", "scripts", "*.txt")))
    for path in paths:
        name = os.path.basename(path).split(".")[0]
        if common.NAMES and name not in common.NAMES:
            continue
        if path.endswith(".txt"):
            with open(path, encoding="utf-8") as file:
                script = file.read()
            if "# recut: no" in script:  # gaps, reordering and the like, on purpose
                continue
            build.build(script, pcap)
        keys = common.keylog(pcap if path.endswith(".txt") else path)
        packets = load(pcap if path.endswith(".txt") else path)
        save(pcap, packets)
        common.read(pcap, database, "--keep-secrets", *keys)
        want = Dump(database, cut=True).text()
        for way in WAYS:
            if way in MOVED and " hop_of=" in want:
                continue
            save(pcap, way(packets, random.Random(7)))
            common.read(pcap, database, "--keep-secrets", *keys)
            tally.equal("%s %s" % (name, way.__name__), Dump(database, cut=True).text(), want)
tally.end()
