"""Captures as the tests take them apart and put them together again: IPv4/TCP on Ethernet."""
import struct

FIN, SYN, RST = 1, 2, 4


class Packet:
    """An IPv4/TCP packet on Ethernet, taken apart; `raw` alone for everything else."""

    def __init__(self, time, frame):
        self.time, self.raw, self.tcp = time, frame, None
        at = 14
        if frame[12:14] == b"\x81\x00":
            at = 18
        if frame[at - 2:at] != b"\x08\x00" or frame[at + 9] != 6:
            return
        ihl = (frame[at] & 15) * 4
        total = struct.unpack("!H", frame[at + 2:at + 4])[0]
        tcp = at + ihl
        offset = (frame[tcp + 12] >> 4) * 4
        self.tcp, self.at = tcp, at
        self.head = frame[:tcp + offset]
        self.payload = frame[tcp + offset:at + total]
        self.seq = struct.unpack("!I", frame[tcp + 4:tcp + 8])[0]
        self.flags = frame[tcp + 13]
        self.flow = (frame[at + 12:at + 16], frame[tcp:tcp + 2])

    def piece(self, start, end, last):
        """A packet of these payload bytes; FIN stays with the last one."""
        head = bytearray(self.head)
        flags = self.flags if last else self.flags & ~(FIN | 8)
        struct.pack_into("!I", head, self.tcp + 4, (self.seq + start) & 0xFFFFFFFF)
        head[self.tcp + 13] = flags
        struct.pack_into("!H", head, self.at + 2, len(head) - self.at + end - start)
        struct.pack_into("!H", head, self.tcp + 16, 0)  # as off-loaded: nothing to verify
        return Packet(self.time, bytes(head) + self.payload[start:end])

    def plain(self):
        return self.tcp is not None and not self.flags & (SYN | RST)


def load(path):
    with open(path, "rb") as file:
        data = file.read()
    magic = struct.unpack("<I", data[:4])[0]
    scale = 1 if magic == 0xA1B23C4D else 1000
    at, packets = 24, []
    while at < len(data):
        sec, frac, caplen, _ = struct.unpack("<IIII", data[at:at + 16])
        packets.append(Packet(sec * 10**9 + frac * scale, data[at + 16:at + 16 + caplen]))
        at += 16 + caplen
    return packets


def save(path, packets, step=1):
    """A clock that goes on by `step` ns at least with each packet."""
    clock = 0
    with open(path, "wb") as out:
        out.write(struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262144, 1))
        for p in packets:
            clock = max(clock + step, p.time)
            out.write(struct.pack("<IIII", clock // 10**9, clock % 10**9, len(p.raw), len(p.raw)))
            out.write(p.raw)
