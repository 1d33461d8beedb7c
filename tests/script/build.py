#!/usr/bin/env python3
"""Turns a text script of a TCP conversation into a pcap file.

    build.py SCRIPT OUT.pcap      (the script ends at a line "---"; what follows is the expectation;
                                   TLS secrets go into OUT.keys)

One statement a line; a line that begins with white space continues the one before; '#' begins a
comment at the start of a line or behind two spaces.

    flow [client=ADDR:PORT] [server=ADDR:PORT] [nosyn] [vlan=N]   a new connection, with handshake
    >>> [options] items...      the client sends one segment       <<< the server does

options:  +5ms +61s    time passes before it (default 1 ms)
          lost         sent and received, but not captured
          late=N       captured behind the next N packets
          dup          captured twice
          seq=N        stream offset to send at (a retransmission or an overlap), moves nothing
          seen=N       acknowledges only the first N bytes of the peer's stream (default: all)
          seen=old     acknowledges what this side acknowledged last
          snap=N       only N bytes of the payload were captured
          cut=N        in segments of N bytes
          hole=A-B     the bytes from A to before B were not captured
          fin rst ack  flags; "ack" alone is a bare acknowledgement
          badsum       a wrong TCP checksum
items:    "text"       with \\r \\n \\t \\xNN \\" \\\\ ; "text"*N repeats; a trailing CRLF is never added
          hex:0a0b
          GET(/path "Field: value" ...)  a WebSocket request; a field given here replaces the usual
                       one, "-Field" drops it
          101("Field: value" ...)        its answer, with the right Accept for the last key
          text("..") binary("..") cont("..") ping("..") pong("..") close(1000 "..") close()
          frame(op "..")                 any opcode
                       modifiers before the payload: nofin rsv=4 mask=00000000 nomask form=16 form=64
                       len=N (the length that the header claims) deflate (RFC 7692, fresh context)
                       bfinal (a final block) context (deflate with what this side sent before)
          items of other protocols are in the modules beside this one: tls.py http2.py binary.py
options also: back=5ms  its time is that much before its place
"""
import base64
import hashlib
import os
import re
import struct
import sys
import zlib

import binary
import http2
import tls

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
OPCODES = {"cont": 0, "text": 1, "binary": 2, "close": 8, "ping": 9, "pong": 10}
# name: function(builder, side, words), makes the item's bytes
MODULES = {**http2.ITEMS, **tls.ITEMS, **binary.ITEMS}
START_NS = 1767225600 * 10**9  # 2026-01-01T00:00:00Z


class Fault(Exception):
    pass


def unescape(body):
    out = bytearray()
    i = 0
    while i < len(body):
        c = body[i]
        if c != "\\":
            out += c.encode("utf-8")
            i += 1
            continue
        e = body[i + 1]
        i += 2
        if e == "x":
            out.append(int(body[i:i + 2], 16))
            i += 2
        else:
            out += {"r": b"\r", "n": b"\n", "t": b"\t", "0": b"\0"}.get(e, e.encode())
    return bytes(out)


TOKEN = re.compile(r'\s*("(?:[^"\\]|\\.)*"(?:\*\d+)?|[^\s"()]+(?=\()|\(|\)|[^\s"()]+)')


def tokens(text):
    at = 0
    out = []
    while text[at:].strip():
        m = TOKEN.match(text, at)
        if not m:
            raise Fault("cannot read: " + text[at:at + 40])
        out.append(m.group(1))
        at = m.end()
    return out


def string(token):
    m = re.fullmatch(r'"(.*)"(?:\*(\d+))?', token, re.S)
    if not m:
        raise Fault("a string was expected: " + token)
    return unescape(m.group(1)) * int(m.group(2) or 1)


class Builder:
    def __init__(self):
        self.now = START_NS
        self.keys = []  # lines of a key log
        self.packets = []  # [time, bytes, late, original length]
        self.key = b""
        self.mask = 0x12345678
        self.flows = 0
        self.flow = None

    # --- packets ---

    def new_flow(self, words):
        self.flows += 1
        self.key = base64.b64encode(b"test key %07d" % self.flows)
        f = {"addr": [b"\x0a\0\0\x01", b"\x0a\0\0\x02"], "port": [40000 + self.flows, 80],
             "isn": [1000 * self.flows, 0xFFFFFF00], "sent": [0, 0], "acked": [0, 0],
             "vlan": None, "id": [1, 30000],
             "z": [zlib.compressobj(9, zlib.DEFLATED, -15) for _ in range(2)]}
        syn = True
        for word in words:
            name, _, value = word.partition("=")
            if name in ("client", "server"):
                side = 0 if name == "client" else 1
                host, _, port = value.rpartition(":")
                f["addr"][side] = bytes(int(x) for x in host.split("."))
                f["port"][side] = int(port)
            elif name == "vlan":
                f["vlan"] = int(value)
            elif name == "nosyn":
                syn = False
            else:
                raise Fault("flow: what is " + word)
        self.flow = f
        if syn:
            self.emit(0, b"", flags=2, seq=f["isn"][0], ack=0)
            self.emit(1, b"", flags=18, seq=f["isn"][1], ack=f["isn"][0] + 1)
            self.emit(0, b"", flags=16, seq=f["isn"][0] + 1, ack=f["isn"][1] + 1)

    def emit(self, side, payload, flags, seq, ack, late=0, snap=None, badsum=False, copies=1):
        f = self.flow
        src, dst = f["addr"][side], f["addr"][1 - side]
        options = b"\x02\x04\x05\xb4\x01\x03\x03\x07" if flags & 2 else b""
        tcp = struct.pack("!HHIIBBHHH", f["port"][side], f["port"][1 - side], seq & 0xFFFFFFFF,
                          ack & 0xFFFFFFFF, (5 + len(options) // 4) << 4, flags, 65000, 0, 0)
        tcp += options
        pseudo = src + dst + struct.pack("!BBH", 0, 6, len(tcp) + len(payload))
        check = checksum(pseudo + tcp + payload) ^ (0x5555 if badsum else 0)
        tcp = tcp[:16] + struct.pack("!H", check) + tcp[18:]
        f["id"][side] += 1
        total = 20 + len(tcp) + len(payload)
        ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, min(total, 65535), f["id"][side] & 0xFFFF,
                         0x4000, 64, 6, 0, src, dst)
        ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
        link = b"\x02\0\0\0\0\x02\x02\0\0\0\0\x01"
        if f["vlan"] is not None:
            link += struct.pack("!HH", 0x8100, f["vlan"])
        frame = link + b"\x08\x00" + ip + tcp + payload
        wire = len(frame)
        if snap is not None:
            frame = frame[:wire - len(payload) + snap]
        for _ in range(copies):
            self.packets.append([self.now, frame, late, wire])
        self.now += 1000000

    def send(self, side, text):
        if self.flow is None:
            self.new_flow([])
        payload = bytearray()
        o = {"flags": 24}
        toks = tokens(text)
        i = 0
        while i < len(toks):
            t = toks[i]
            i += 1
            m = re.fullmatch(r"\+(\d+(?:\.\d+)?)(ns|us|ms|s)", t)
            if m:
                unit = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9}[m.group(2)]
                self.now += int(float(m.group(1)) * unit) - 1000000
            elif t in ("lost", "dup", "badsum"):
                o[t] = True
            elif t in ("fin", "rst", "ack") and toks[i:i + 1] != ["("]:
                o["flags"] |= {"fin": 1, "rst": 4, "ack": 0}[t]
                o["bare"] = True
            elif re.fullmatch(r"(late|seq|seen|snap|cut)=\w+", t):
                name, _, value = t.partition("=")
                o[name] = value if value == "old" else int(value)
            elif re.fullmatch(r"hole=\d+-\d+", t):
                o["hole"] = [int(x) for x in t[5:].split("-")]
            elif re.fullmatch(r"back=\d+ms", t):
                o["back"] = int(t[5:-2]) * 10**6
            else:
                piece, i = self.piece(side, toks, i - 1)
                payload += piece
        self.segments(side, bytes(payload), o)

    def segments(self, side, payload, o):
        f = self.flow
        if not payload and not o.get("bare"):
            raise Fault("nothing to send")
        at = o.get("seq", f["sent"][side])
        cut = o.get("cut", 60000)
        seen = o.get("seen", f["sent"][1 - side])
        if seen == "old":
            seen = f["acked"][side]
        f["acked"][side] = max(f["acked"][side], seen)
        pieces = [payload[k:k + cut] for k in range(0, len(payload), cut)] or [b""]
        hole = o.get("hole")
        if hole:
            pieces = [payload[:hole[0]], payload[hole[0]:hole[1]], payload[hole[1]:]]
        for n, piece in enumerate(pieces):
            last = n == len(pieces) - 1
            flags = o["flags"] if last else 24
            if not piece:
                flags &= ~8
            seq = f["isn"][side] + 1 + at
            ack = f["isn"][1 - side] + 1 + seen
            if o.get("lost") or (hole and (n == 1 or not piece)):
                self.now += 1000000
            else:
                self.emit(side, piece, flags, seq, ack, o.get("late", 0), o.get("snap"),
                          o.get("badsum", False), 2 if o.get("dup") else 1)
                self.packets[-1].append(o.get("back", 0))
            at += len(piece)
        if o["flags"] & 1:
            at += 1
        f["sent"][side] = max(f["sent"][side], at)

    # --- items ---

    def piece(self, side, toks, i):
        """The bytes of the item that begins at toks[i], and where the next one does."""
        if i + 1 < len(toks) and toks[i + 1] == "(":
            end, depth = i + 1, 0
            while True:
                depth += {"(": 1, ")": -1}.get(toks[end], 0)
                if depth == 0:
                    return self.item(side, toks[i], toks[i + 2:end]), end + 1
                end += 1
        return self.bytes_of(toks[i]), i + 1

    @staticmethod
    def bytes_of(word):
        """A string or hex: of an item."""
        return bytes.fromhex(word[4:]) if word.startswith("hex:") else string(word)

    def item(self, side, name, words):
        if name in ("GET", "101"):
            return self.head(name, words)
        if name in OPCODES or name == "frame":
            return self.frame(side, name, words)
        if name in MODULES:
            return MODULES[name](self, side, words)
        raise Fault("what is %s(...)" % name)

    def head(self, name, words):
        strings = [string(w).decode("latin-1") for w in words if w.startswith('"')]
        if name == "GET":
            target = next((w for w in words if not w.startswith('"')), "/chat")
            first = "GET %s HTTP/1.1" % target
            fields = ["Host: example.org", "Upgrade: websocket", "Connection: Upgrade",
                      "Sec-WebSocket-Key: " + self.key.decode(), "Sec-WebSocket-Version: 13"]
        else:
            first = "HTTP/1.1 101 Switching Protocols"
            accept = base64.b64encode(hashlib.sha1(self.key + GUID).digest()).decode()
            fields = ["Upgrade: websocket", "Connection: Upgrade",
                      "Sec-WebSocket-Accept: " + accept]
        for s in strings:
            bare = s[1:] if s.startswith("-") else s.split(":")[0]
            fields = [x for x in fields if x.split(":")[0].lower() != bare.lower() or
                      x in strings]
            if not s.startswith("-"):
                fields.append(s)
        for x in fields:
            m = re.match(r"(?i)sec-websocket-key:\s*(.*)", x)
            if name == "GET" and m:
                self.key = m.group(1).strip().encode()
        return ("\r\n".join([first] + fields) + "\r\n\r\n").encode("latin-1")

    def frame(self, side, name, words):
        op = OPCODES.get(name)
        fin, rsv, form, claimed, body = 1, 0, None, None, b""
        mask = "auto" if side == 0 else None
        deflate = bfinal = context = False
        at = 0
        while at < len(words):
            w = words[at]
            if at + 1 < len(words) and words[at + 1] == "(":  # an item inside
                piece, at = self.piece(side, words, at)
                body += piece
                continue
            at += 1
            if w == "nofin":
                fin = 0
            elif w == "nomask":
                mask = None
            elif w == "mask":
                mask = "auto"
            elif w == "deflate":
                deflate = True
            elif w == "context":
                deflate = context = True
            elif w == "bfinal":
                deflate = bfinal = True
            elif w.startswith('"'):
                body += string(w)
            elif w.startswith("hex:"):
                body += bytes.fromhex(w[4:])
            elif re.fullmatch(r"\d+", w):
                if name == "close":
                    body += struct.pack("!H", int(w))
                else:
                    op = int(w)
            else:
                key, _, value = w.partition("=")
                if key == "rsv":
                    rsv = int(value)
                elif key == "mask":
                    mask = bytes.fromhex(value)
                elif key == "form":
                    form = int(value)
                elif key == "len":
                    claimed = int(value)
                else:
                    raise Fault("frame: what is " + w)
        if deflate:
            rsv |= 4
            if context:
                z = self.flow["z"][side]
                body = (z.compress(body) + z.flush(zlib.Z_SYNC_FLUSH))[:-4]
            else:
                body = deflated(body, bfinal)
        length = len(body) if claimed is None else claimed
        out = bytes([fin << 7 | rsv << 4 | op])
        bit = 0x80 if mask is not None else 0
        if form == 64 or (form is None and length > 65535):
            out += bytes([bit | 127]) + struct.pack("!Q", length)
        elif form == 16 or (form is None and length > 125):
            out += bytes([bit | 126]) + struct.pack("!H", length)
        else:
            out += bytes([bit | length])
        if mask is None:
            return out + body
        if mask == "auto":
            self.mask = (self.mask * 1103515245 + 12345) & 0xFFFFFFFF
            mask = hashlib.sha1(struct.pack("!I", self.mask)).digest()[:4]
        return out + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(body))

    # --- output ---

    def save(self, path):
        ordered = []
        waiting = []
        for packet in self.packets:
            ordered.append(packet) if packet[2] == 0 else waiting.append([packet[2] + 1, packet])
            for w in waiting:
                w[0] -= 1
            for w in [w for w in waiting if w[0] == 0]:
                ordered.append(w[1])
                waiting.remove(w)
        ordered += [w[1] for w in waiting]
        times = sorted(p[0] for p in ordered)  # a capture's clock does not run backwards
        with open(path, "wb") as out:
            out.write(struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262144, 1))
            for time, packet in zip(times, ordered):
                frame, wire = packet[1], packet[3]
                time -= packet[4] if len(packet) > 4 else 0
                out.write(struct.pack("<IIII", time // 10**9, time % 10**9, len(frame), wire))
                out.write(frame)


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def deflated(body, bfinal):
    z = zlib.compressobj(9, zlib.DEFLATED, -15)
    if bfinal:
        return z.compress(body) + z.flush(zlib.Z_FINISH) + b"\0"
    out = z.compress(body) + z.flush(zlib.Z_SYNC_FLUSH)
    return out[:-4]


def build(script, path):
    builder = Builder()
    statements = []
    for number, line in enumerate(script.splitlines(), 1):
        if line.rstrip() == "---":
            break
        line = re.sub(r"  #.*$", "", line) if not line.startswith("#") else ""
        if not line.strip():
            continue
        if line[0].isspace() and statements:
            statements[-1][1] += " " + line.strip()
        else:
            statements.append([number, line.strip()])
    for number, text in statements:
        word, _, rest = text.partition(" ")
        try:
            if word == "flow":
                builder.new_flow(rest.split())
            elif word in (">>>", "<<<"):
                builder.send(0 if word == ">>>" else 1, rest)
            else:
                raise Fault("what is " + word)
        except (Fault, ValueError, IndexError) as fault:
            raise SystemExit("line %d: %s" % (number, fault))
    builder.save(path)
    keys = os.path.splitext(path)[0] + ".keys"
    if builder.keys:
        with open(keys, "w", encoding="ascii") as out:
            out.write("\n".join(builder.keys) + "\n")
    elif os.path.exists(keys):
        os.unlink(keys)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    with open(sys.argv[1], encoding="utf-8") as file:
        build(file.read(), sys.argv[2])
