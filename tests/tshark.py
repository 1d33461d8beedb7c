#!/usr/bin/env python3
"""A second opinion: attempts, answers, frames, payloads and TLS of the recorded captures as tshark
sees them, decrypted where key logs lie beside them. Where tshark is known to be wrong (measured with
4.0) the case is listed with its reason and not compared. The keys may as well be in the capture,
where editcap put them."""
import glob
import json
import os
import shutil
import sqlite3
import subprocess
from collections import defaultdict

import common
import dump

# capture -> why tshark shows fewer or other things there
NOT_FOLLOWED = {
    "connect-proxy": "a WebSocket inside CONNECT is raw data to tshark 4.0",
}
# tshark 4.0 shows early data that the server refused; the client says the same again behind it
EARLY_REFUSED = "/1.3-early-refused"
# what is compared frame by frame, but not as messages: tshark 4.0 shows the bytes of a compressed
# message in fragments as they are, and never a message whose last fragment is empty
# A WebSocket in a stream of HTTP/2 is DATA to tshark 4.0: its frames are taken out of that here.

CAPTURES = ["chromium-ws", "python-ws", "nginx-right", "nginx-wrong",
            "haproxy-right", "node-upgrade",
            "nginx-ignores", "nginx-refuses", "upgrade-required", "docker-exec", "plain-http", "tls",
            "tls-wss", "tls-suites", "tls-h2-websocket", "tls-clients", "tls-starttls", "h2c"]
FIELDS = ["frame.number", "tcp.srcport", "tcp.dstport", "http.request.method", "http.request.uri",
          "http.upgrade", "http.sec_websocket_key", "http.response.code", "http.request_in",
          "websocket.fin", "websocket.opcode", "websocket.payload_length", "websocket.payload.text",
          "http2.streamid", "http2.type", "http2.headers.method", "http2.headers.path",
          "http2.headers.status", "http2.data.data", "tls.handshake.extensions_server_name",
          "tls.handshake.extensions_alpn_str", "tls.handshake.type", "tls.alert_message.desc"]
HELLO, ENCRYPTED_EXTENSIONS = (1, 2), 8
ALERTS = {42: "bad_certificate", 46: "certificate_unknown", 48: "unknown_ca", 50: "decode_error"}
tally = common.Tally("tshark")


class Packet:
    """What tshark says of one: a list for each field."""

    def __init__(self, line):
        values = line.split("\t") + [""] * len(FIELDS)
        self.fields = {f: [w for w in v.split("\x1e") if w not in ("", "<MISSING>")]
                       for f, v in zip(FIELDS, values)}
        self.number = int(self.fields["frame.number"][0])
        self.ports = tuple(int(self.fields["tcp." + p][0]) for p in ("srcport", "dstport"))

    def __getitem__(self, name):
        return self.fields[name]

    def one(self, name):
        return self.fields[name][0] if self.fields[name] else None

    def numbers(self, name):
        return [int(v) for v in self.fields[name]]

    def streams(self, kind):
        """Those of its HTTP/2 frames of a type."""
        return [s for s, t in zip(self.numbers("http2.streamid"), self.numbers("http2.type"))
                if t == kind]


def tshark(path):
    keys = common.keylog(path)
    command = ["tshark", "-r", path, *(["-o", "tls.keylog_file:" + keys[1]] if keys else []),
               "-Y", "http or http2 or websocket or tls.handshake or tls.alert_message",
               "-T", "fields", "-E", "aggregator=\x1e"]
    for field in FIELDS:
        command += ["-e", field]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    return [Packet(line) for line in done.stdout.decode("utf-8", "replace").split("\n") if line]


def lines(rows):
    return "\n".join(map(str, rows))


def requests(packets):
    """Attempts of HTTP/1.1, CONNECTs among them, and the answers to them: (packet, status), tshark's
    packet being the one that completed the body."""
    answers = {int(p.one("http.request_in")): (p.number, int(p.one("http.response.code")))
               for p in packets if p["http.request_in"]}
    found = []
    for p in packets:
        method = p.one("http.request.method")
        if method and (p["http.upgrade"] or p["http.sec_websocket_key"] or method == "CONNECT"):
            found.append((p.number, method, p.one("http.request.uri"),
                          answers.get(p.number, (None, None))))
    refused = [r for r in found if r[2] == EARLY_REFUSED][:-1]
    return [r for r in found if r not in refused]


def streams(packets):
    """Extended CONNECTs and their answers, by the ports of the connection and the stream."""
    found = {}
    for p in packets:
        for stream, method, path in zip(p.streams(1), p["http2.headers.method"],
                                        p["http2.headers.path"]):
            if method == "CONNECT":
                found[p.ports, stream] = [p.number, method, path, None, None]
        for stream, status in zip(p.streams(1), p["http2.headers.status"]):
            key = (p.ports[::-1], stream)
            if key in found and found[key][3] is None:
                found[key][3:] = p.number, int(status)
    return found


def stream_frames(packets, opened):
    """The WebSocket frames in the DATA of such a stream: packet, opcode, length, payload."""
    bytes_of, ends = defaultdict(bytes), defaultdict(list)
    for p in packets:
        for stream, data in zip(p.streams(0), p["http2.data.data"]):
            for ports in (p.ports, p.ports[::-1]):
                if (ports, stream) in opened:
                    side = (p.ports, stream)
                    bytes_of[side] += bytes.fromhex(data)
                    ends[side].append((len(bytes_of[side]), p.number))
    found = []
    for side, data in bytes_of.items():
        at = 0
        while at < len(data):
            opcode, length, start = data[at] & 15, data[at + 1] & 127, at + 2
            extended = {126: 2, 127: 8}.get(length, 0)
            if extended:
                length = int.from_bytes(data[start:start + extended], "big")
            start += extended
            mask = b""
            if data[at + 1] & 128:
                mask, start = data[start:start + 4], start + 4
            body = bytes(b ^ (mask[i % 4] if mask else 0)
                         for i, b in enumerate(data[start:start + length]))
            plain = data[at] & 0xf0 == 0x80  # a whole message, not compressed
            at = start + length
            number = next(n for end, n in ends[side] if end >= at)
            found.append((number, opcode, length, body.hex() if plain and opcode < 8 else None))
    return found


def compare_frames(name, db, packets, opened):
    frames = []
    for p in packets:
        # the 7-bit length field tells 126 and 127 for longer ones: compare up to there
        frames += [(p.number, o, min(n, 126)) for o, n in
                   zip(p.numbers("websocket.opcode"), p.numbers("websocket.payload_length"))]
    mine = [(p, o, min(n, 126)) for p, o, n in db.execute(
        "SELECT packet, opcode, length FROM frame JOIN session ON session.id = session_id "
        "WHERE mechanism = 'upgrade'")]
    tally.equal(name + ": frames", lines(sorted(mine)), lines(sorted(frames)))
    texts = {p.number: p.one("websocket.payload.text") for p in packets
             if p["websocket.fin"] in (["1"], ["True"]) and p["websocket.opcode"] == ["1"]}
    for packet, payload in db.execute("SELECT packet, payload FROM frame WHERE opcode=1 AND fin=1 "
                                      "AND message_length > 0"):
        if texts.get(packet):
            tally.equal("%s: text in packet %d" % (name, packet), payload, texts[packet])
    mine = [(p, o, n, bytes(x).hex() if not c and f and o < 8 else None) for p, o, n, f, c, x in
            db.execute("SELECT packet, opcode, length, fin, compressed, CAST(payload AS BLOB) FROM "
                       "frame JOIN session ON session.id = session_id "
                       "WHERE mechanism = 'extended-connect'")]
    theirs = stream_frames(packets, opened)
    tally.equal(name + ": frames in HTTP/2", lines(sorted(mine, key=str)),
                lines(sorted(theirs, key=str)))


def compare_sessions(name, db, packets, opened):
    columns = "request_packet, method, target, response_packet, status"
    mine = db.execute("SELECT %s FROM session WHERE mechanism IN ('upgrade', 'connect', 'docker') "
                      "ORDER BY 1" % columns).fetchall()
    theirs = requests(packets)
    tally.equal(name + ": attempts and answers", lines(m[:3] + m[4:] for m in mine),
                lines(t[:3] + t[3][1:] for t in theirs))
    wrong = [(m, t) for m, t in zip(mine, theirs) if m[3] is not None and
             (m[3] > t[3][0] if m[4] >= 300 else m[3] != t[3][0])]
    tally.check(name + ": packets of answers", not wrong, lines(wrong))
    mine = db.execute("SELECT %s FROM session WHERE mechanism = 'extended-connect' ORDER BY 1" %
                      columns).fetchall()
    tally.equal(name + ": extended CONNECTs", lines(mine), lines(map(tuple, opened.values())))
    asked = sum(len(p["http2.headers.method"]) for p in packets)
    mine = sum(json.loads(d or "{}").get("requests", 0) for d, in db.execute(
        "SELECT detail FROM layer WHERE protocol = 'http2'"))
    tally.equal(name + ": requests in HTTP/2", str(mine), str(asked))


def compare_tls(name, db, packets):
    """Server name, ALPN (encrypted in TLS 1.3) and alerts of each connection, by its ports."""
    theirs = {}
    flows = {(c, s): json.loads(d) for c, s, d in db.execute(
        "SELECT client_port, server_port, detail FROM flow JOIN layer ON layer.flow_id = flow.id "
        "WHERE protocol = 'tls'")}
    for p in packets:
        side = "client" if p.ports in flows else "server"
        tls = theirs.setdefault(p.ports if side == "client" else p.ports[::-1], {})
        kinds = p.numbers("tls.handshake.type")
        if side == "client" and HELLO[0] in kinds and p["tls.handshake.extensions_server_name"]:
            tls["sni"] = p.one("tls.handshake.extensions_server_name")
        if side == "server" and (HELLO[1] in kinds or ENCRYPTED_EXTENSIONS in kinds) and \
                p["tls.handshake.extensions_alpn_str"]:
            tls["alpn"] = p.one("tls.handshake.extensions_alpn_str")
        for code in p.numbers("tls.alert_message.desc"):
            if code != 0:  # not close_notify
                tls.setdefault(side + "_alert", ALERTS.get(code, code))
    for ports, detail in sorted(flows.items()):
        kept = {k: detail[k] for k in ("sni", "alpn", "client_alert", "server_alert") if k in detail}
        tally.equal("%s: TLS of %s" % (name, ports), str(sorted(kept.items())),
                    str(sorted(theirs.get(ports, {}).items())))


def compare(name, work):
    path = os.path.join(common.ROOT, "captures", name, name + ".pcap")
    database = os.path.join(work, name + ".db")
    common.read(path, database)
    packets = tshark(path)
    opened = streams(packets)
    db = sqlite3.connect(database)
    compare_sessions(name, db, packets, opened)
    compare_frames(name, db, packets, opened)
    compare_tls(name, db, packets)
    db.close()


def secrets_inside(work):
    """editcap puts the keys into the capture: the same is said."""
    for keys in sorted(glob.glob(os.path.join(common.ROOT, "captures", "*", "*.keys"))):
        path = keys[:-5] + ".pcap"
        name = os.path.basename(path)[:-5]
        inside, database = os.path.join(work, name + ".pcapng"), os.path.join(work, "inside.db")
        subprocess.run(["editcap", "--inject-secrets", "tls," + keys, path, inside], check=True)
        common.read(path, database)
        want = dump.Dump(database).text()
        common.read(inside, database)
        tally.equal(name + ": with the secrets inside", dump.Dump(database).text(), want)


if not shutil.which("tshark"):
    tally.skip("all", "tshark is not installed")
else:
    with common.folder() as place:
        for capture in CAPTURES:
            if not common.NAMES or capture in common.NAMES:
                compare(capture, place)
        if not common.NAMES:
            secrets_inside(place)
    for capture, why in NOT_FOLLOWED.items():
        tally.skip(capture, why)
tally.end()
