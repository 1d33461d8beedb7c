#!/usr/bin/env python3
"""Makes inputs for fuzz_stack.c of the text scripts: seeds.py FOLDER. One file for each flow, its two
streams in the order in which they came; what was lost is a gap."""
import glob
import os
import struct
import sys

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(TESTS, "script"))
import build  # noqa: E402

DATA, GAP, FIN, MOST = 0, 4, 6, 6000


class Flow:
    def __init__(self, client):
        self.client = client
        self.next = {}  # sequence number, by side
        self.steps = []

    def step(self, kind, side, length, payload=b""):
        self.steps.append(struct.pack("<BH", kind | side, length) + payload)

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
    return found.values()


def main(folder):
    os.makedirs(folder, exist_ok=True)
    for path in sorted(glob.glob(os.path.join(TESTS, "scripts", "*.txt"))):
        with open(path, encoding="utf-8") as file:
            capture = os.path.join(folder, "capture")
            build.build(file.read(), capture)
        with open(capture, "rb") as file:
            data = file.read()
        os.remove(capture)
        at, packets = 24, []
        while at < len(data):
            length = struct.unpack_from("<I", data, at + 8)[0]
            packets.append(data[at + 16:at + 16 + length])
            at += 16 + length
        for number, flow in enumerate(flows(packets)):
            name = "%s-%d" % (os.path.basename(path)[:-4], number)
            with open(os.path.join(folder, name), "wb") as out:
                out.write((b"\0\0" + b"".join(flow.steps))[:MOST])


if __name__ == "__main__":
    main(sys.argv[1])
