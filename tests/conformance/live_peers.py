"""The fuzzing endpoint as a real one: towards a WebSocket program on this machine, recorded with
tcpdump. What switchtap then says of the fuzzer's side has to be what the case breaks; what it says
of the program's side is listed, for a person to judge. By hand: programs differ."""
import base64
import hashlib
import os
import random
import re
import socket
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor

import build
import common
from cases import CLOSE, TEXT, Case, Frame, close, fragments, pieces, table
from compression import SUITE, Deflater, data_sets, sized

FIRST_PORT = 21000  # below those that the system gives out
QUIET = 0.4   # seconds without a byte: the peer has said what it had to say
PATIENCE = 3  # ... for the end of the connection
# What the end of the connection may add on the fuzzer's side, which does not wait for every peer.
OF_THE_END = {"ws-frame-truncated-at-close", "ws-abnormal-close", "ws-close-not-echoed",
              "ws-client-closed-tcp-first", "pmd-useless", "exfil-ratio"}


class Compressed(Case):
    """Messages for a connection with permessage-deflate: made when it is known what was agreed."""

    def __init__(self, name, offer, messages, fragment):
        super().__init__(name, [])
        self.offer, self.messages, self.fragment = offer, messages, fragment

    def make(self, bits, takeover):
        deflater, frames = Deflater(bits, takeover), []
        for opcode, plain in self.messages:
            wire = deflater.message(plain)
            parts = fragments(opcode, pieces(wire, self.fragment) if self.fragment else [wire])
            parts[0].rsv = 4
            frames += parts
        return frames


def all_cases():
    yield from (case for case in table() if not case.name.startswith(("9.7", "9.8")))
    json = data_sets()[3][1]
    for g, (offer, *_) in enumerate(SUITE, 1):
        for size, fragment in ((16, 0), (1024, 0), (8192, 256), (65536, 4096)):
            yield Compressed("13.%d %d %d" % (g, size, fragment), offer,
                             [(TEXT, m) for m in sized(json, size, 4)], fragment)


class Connection:
    def __init__(self, sock, side):
        self.sock, self.side, self.closed = sock, side, False
        self.buffer, self.got_close = b"", None
        self.random = random.Random(os.urandom(8))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def head(self):
        """Reads up to an empty line."""
        self.sock.settimeout(PATIENCE)
        while b"\r\n\r\n" not in self.buffer:
            data = self.sock.recv(65536)
            if not data:
                raise OSError("closed within the handshake")
            self.buffer += data
        text, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        return text.decode("latin-1")

    def send(self, data, chop=None):
        try:
            for i in range(0, len(data), chop or len(data) or 1):
                self.sock.sendall(data[i:i + (chop or len(data))])
        except OSError:
            self.closed = True

    def frames(self, frames, chop=None):
        key = (lambda: None) if self.side else (lambda: self.random.randbytes(4))
        self.send(b"".join(f.wire(key()) for f in frames), chop)

    def listen(self, seconds):
        """Reads frames until a Close, the end, or silence."""
        self.sock.settimeout(seconds)
        while self.got_close is None and not self.closed:
            try:
                data = self.sock.recv(1 << 20)
            except socket.timeout:
                return
            except OSError:
                data = b""
            if not data:
                self.closed = True
                return
            self.buffer += data
            while self.take():
                pass

    def take(self):
        b = self.buffer
        if len(b) < 2:
            return False
        size, at = b[1] & 127, 2
        if size >= 126:
            width = 2 if size == 126 else 8
            if len(b) < 2 + width:
                return False
            size, at = int.from_bytes(b[2:2 + width], "big"), 2 + width
        key = b""
        if b[1] & 128:
            key, at = b[at:at + 4], at + 4
        if len(b) < at + size:
            return False
        if b[0] & 15 == CLOSE:
            body = b[at:at + size]
            if key:
                body = bytes(c ^ key[i % 4] for i, c in enumerate(body))
            self.got_close = body
        self.buffer = b[at + size:]
        return True

    def play(self, case, frames):
        self.frames(frames, case.chop)
        sent_close = any(f.opcode == CLOSE for f in frames)
        self.listen(QUIET if not case.big else PATIENCE)
        if not sent_close and not self.closed:
            body = self.got_close[:2] if self.got_close is not None else b"\x03\xe8"
            self.frames([Frame(CLOSE, body)])
        self.listen(PATIENCE)
        if self.side == 0 and not self.closed:  # the server ends it
            self.got_close = None
            self.listen(PATIENCE)
        self.sock.close()


def accept_of(key):
    return base64.b64encode(hashlib.sha1(key.encode() + build.GUID).digest()).decode()


def field(head, name):
    m = re.search(r"(?im)^%s:[ \t]*(.*?)\r?$" % name, head)
    return m.group(1) if m else None


def agreed(extension, who):
    bits = re.search(who + r'_max_window_bits="?(\d+)', extension)
    return int(bits.group(1)) if bits else 15, who + "_no_context_takeover" not in extension


def as_client(where, path, case, port):
    """port: the client's own, so that no two sessions have the same."""
    sock = socket.create_connection(where, source_address=("127.0.0.1", port))
    c = Connection(sock, 0)
    key = base64.b64encode(os.urandom(16)).decode()
    offer = getattr(case, "offer", None)
    c.send(("GET %s HTTP/1.1\r\nHost: %s:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n%s\r\n" % (
                path, where[0], where[1], key,
                "Sec-WebSocket-Extensions: %s\r\n" % offer if offer else "")).encode())
    extension = field(c.head(), "Sec-WebSocket-Extensions")
    if offer and extension is None:
        c.play(case, [close(1000)])
        return port, case, [close(1000)]
    frames = case.make(*agreed(extension, "client")) if offer else case.frames
    c.play(case, frames)
    return port, case, frames


def as_server(sock, port, case):
    c = Connection(sock, 1)
    request = c.head()
    offer = getattr(case, "offer", None)
    offered = (field(request, "Sec-WebSocket-Extensions") or "") if offer else ""
    answer = ""
    if "permessage-deflate" in offered:
        answer = "permessage-deflate"
        for name in ("server_no_context_takeover", "client_no_context_takeover"):
            if name in offered.split(",")[0] or (name in offer and "13.1" not in case.name):
                answer += "; " + name
        bits = re.search(r"server_max_window_bits=(\d+)", offered.split(",")[0])
        if bits:
            answer += "; server_max_window_bits=" + bits.group(1)
        if "client_max_window_bits" in offered.split(",")[0] and "=9" in offer:
            answer += "; client_max_window_bits=9"
    c.send(("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Accept: %s\r\n%s\r\n" % (
                accept_of(field(request, "Sec-WebSocket-Key")),
                "Sec-WebSocket-Extensions: %s\r\n" % answer if answer else "")).encode())
    frames = case.frames
    if offer:
        frames = case.make(*agreed(answer, "server")) if answer else [close(1000)]
    c.play(case, frames)
    return port, case, frames


def drive(where, path):
    cases = [c for c in all_cases() if 0 in c.roles]
    with ThreadPoolExecutor(12) as pool:
        return list(pool.map(lambda i: as_client(where, path, cases[i], FIRST_PORT + i),
                             range(len(cases))))


def serve(port):
    """One case for each connection; whoever connects more often is sent away."""
    cases = [c for c in all_cases() if 1 in c.roles]
    done = []
    with socket.create_server(("127.0.0.1", port)) as listener, ThreadPoolExecutor(12) as pool:
        print("%d cases are served on port %d" % (len(cases), port), flush=True)
        for case in cases:
            sock, peer = listener.accept()
            done.append(pool.submit(as_server, sock, peer[1], case))
    out = []
    for d in done:
        try:
            out.append(d.result())
        except (OSError, AttributeError) as error:
            print("a connection failed:", error)
    return out


def report(pcap, played, fuzzer, answers_of):
    side, other = ("client", "server") if fuzzer == 0 else ("server", "client")
    tally = common.Tally("conformance")
    with common.folder() as work:
        database = os.path.join(work, "r.db")
        common.read(pcap, database)
        answers = answers_of(database)
    theirs, used = defaultdict(list), Counter()
    for port, case, frames in played:
        want = Counter(rule for f in frames for rule in f.breaks)
        found = answers.findings[port, used[port]]
        used[port] += 1
        got = Counter({rule: n for (rule, who), n in found.items()
                       if who == side and rule not in OF_THE_END})
        tally.check("%s (port %d)" % (case.name, port),
                    got == want and answers.sessions[port] >= used[port],
                    "  the fuzzer broke %s, found %s" % (dict(want), dict(got)))
        for (rule, who), n in found.items():
            if who != side or rule in OF_THE_END:
                theirs[who, rule].append("%s:%d" % (case.name, port))
    for (who, rule), names in sorted(theirs.items(), key=str):
        if who == other or rule in OF_THE_END:
            print("%-6s %-34s %3d  %s" % (who, rule, len(names), " ".join(names[:6])))
    tally.end()


def run(against, port, path, pcap, answers_of):
    host, number = against.split(":") if against else ("127.0.0.1", port)
    if not ipaddress_is_local(host):
        sys.exit("--against is for programs on this machine")
    if not pcap:
        sys.exit("--record FILE is needed")
    dump = subprocess.Popen(["tcpdump", "-i", "lo", "-s", "0", "-B", "65536", "-w", pcap,
                             "tcp", "port", str(number)], stderr=subprocess.PIPE)
    while b"listening" not in dump.stderr.readline():
        pass
    threading.Thread(target=dump.stderr.read, daemon=True).start()
    try:
        if against:
            played = drive((host, int(number)), path)
        else:
            played = serve(int(number))
        time.sleep(1)
    finally:
        dump.terminate()
        dump.wait()
    report(pcap, played, 0 if against else 1, answers_of)


def ipaddress_is_local(host):
    return host in ("localhost", "::1") or host.startswith("127.")
