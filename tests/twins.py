#!/usr/bin/env python3
"""Twins: what was recorded or written in the clear says the same when it is sealed into TLS 1.3 and
the keys are given: sessions, headers, layers, frames, messages, findings, packets and times. All
recordings and scripts stand in one capture, one after the other, each in a VLAN and with addresses
of its own; it is read in the clear, and sealed in two ways.

    twins.py [NAME...]     recordings and scripts by name
    twins.py --keep DIR    keeps the captures and key logs there
"""
import glob
import os
import random
import re
import sqlite3
import sys

import common
from packets import Packet, load, save

sys.path.insert(0, os.path.join(common.ROOT, "tests", "script"))
import build  # noqa: E402
import chacha  # noqa: E402
import wrap  # noqa: E402

# Rules about what anybody on the way can read or change, which inside TLS nobody can.
CLEAR = {"cleartext-credentials-in-handshake", "plaintext-ws-to-public-address",
         "ws-secret-in-payload", "starttls-offered-not-used", "starttls-refused-then-plaintext",
         "tls-upgrade-request-leaks",
         "h2c-deprecated", "h2c-on-tls"}  # the one in the clear, the other inside TLS

# What is said in other words: numbers of bytes of the flow, round trips that the handshake shows,
# and what "in the clear" means.
WORDS = [(re.compile(r"sent when \d+ bytes of the peer were acknowledged; the answer ends at \d+"),
          "sent before the answer was acknowledged"),
         (re.compile(r"\d+ bytes of the server were acknowledged; its SETTINGS end at \d+"),
          "sent before the SETTINGS were acknowledged"),
         (re.compile(r"the network answered within [\d.]+ \w+"), "the network answered"),
         (re.compile(r"; the client went on in the clear with [^']*"), "")]

# Where the client acknowledged the 101 without what followed in its segment, these are two records.
RECORDS = {("timing-acknowledgements", "server-data-with-101")}

# Behind protocols that nobody reads on, TLS is not decrypted any more, so its closing alert counts
# as traffic before the end: the silence of such a flow's sessions is shorter.
READ_ON = {"http1", "http2", "websocket", "capsule", "spdy", "smtp", "imap", "pop3", "sieve",
           "nntp", "ftp", "irc", "ldap", "xmpp"}

# Of the flow and its packets, not of what is in it.
OF_FLOW = {"id", "capture_id", "vlan", "community_id", "first_ns", "last_ns", "client_packets",
           "server_packets", "client_bytes", "server_bytes", "client_retransmits",
           "server_retransmits", "client_rtt_ns", "server_rtt_ns", "ndpi_protocol", "ndpi_category",
           "ndpi_risk", "frame_id"}


class Said:
    """What a database says, free of row ids, of the TLS that was put around, and of its packets."""

    def __init__(self, path, names, origin=None):
        self.captures = names  # by VLAN
        self.db = sqlite3.connect("file:%s?mode=ro" % path, uri=True)
        self.db.row_factory = sqlite3.Row
        self.origin = origin
        self.names = {"layer": {}, "session": {}, "flow": {}}
        self.unread = set()
        self.texts = {}  # by VLAN
        self.flows = {f["id"]: f for f in self.rows("SELECT * FROM flow ORDER BY id")}
        self.wrapped = set()
        self.clear = []  # findings inside TLS that call it clear

    def rows(self, sql, *args):
        return self.db.execute(sql, args).fetchall()

    def say(self, flow, what, row, leave=()):
        words = " ".join("%s=%r" % (k, self.value(k, row[k])) for k in row.keys()
                         if k not in leave and k not in OF_FLOW and row[k] is not None)
        vlan = self.flows[flow]["vlan"] if flow is not None else None
        self.texts.setdefault(vlan, []).append("%s %s" % (what, words))

    def value(self, name, value):
        if name.endswith("packet") and self.origin:
            return self.origin[value]
        if name in ("evidence", "verdict"):
            for pattern, words in WORDS:
                value = pattern.sub(words, value or "")
        if name in ("layer_id", "successor_id", "parent_id"):
            return self.names["layer"].get(value)
        if name in ("session_id", "hop_of", "other_session_id"):
            return self.names["session"].get(value)
        return self.names["flow"].get(value) if name == "flow_id" else value

    def number(self, table, row_id, flow):
        """Rows are counted within their VLAN."""
        vlan = self.flows[flow]["vlan"]
        names = self.names[table]
        names[row_id] = "%s.%d" % (vlan, 1 + sum(1 for n in names.values()
                                                 if n.startswith("%s." % vlan)))
        return names[row_id]

    def layers(self, flow):
        outer = None
        for row in map(dict, self.rows("SELECT * FROM layer WHERE flow_id=? ORDER BY id", flow)):
            if self.origin and wrap.NAME in (row["detail"] or ""):
                outer = row["id"]
                self.wrapped.add(flow)
                continue
            if outer is not None and row["parent_id"] == outer:
                row.update(relation="root", parent_id=None, expected=None)
            name = self.number("layer", row["id"], flow)
            if row["protocol"] not in READ_ON:
                self.unread.add(flow)
            self.say(flow, "layer " + name, row)

    def session(self, row):
        """Its silence is compared where it can be."""
        flow = row["flow_id"]
        leave = ("idle_ns",) if flow in self.unread else ()
        self.say(flow, "session " + self.number("session", row["id"], flow), row, leave)
        for table, order in (("header", "message, position"), ("websocket", "1"), ("frame", "id")):
            for r in self.rows("SELECT * FROM %s WHERE session_id=? ORDER BY %s" % (table, order),
                               row["id"]):
                self.say(flow, " " + table, r)

    def finding(self, row):
        flow, rule = row["flow_id"], row["rule"]
        if rule in CLEAR:
            if flow in self.wrapped and rule != "h2c-on-tls":
                self.clear.append("%s in flow %d" % (rule, flow))
        elif flow is None or (self.captures[self.flows[flow]["vlan"]], rule) not in RECORDS:
            self.say(flow, "finding", row)

    def all(self):
        """The text of each VLAN."""
        for flow, row in self.flows.items():
            self.say(flow, "flow " + self.number("flow", flow, flow), row)
            self.layers(flow)
        for row in self.rows("SELECT * FROM session ORDER BY id"):
            self.session(row)
        for row in self.rows("SELECT * FROM finding ORDER BY flow_id, session_id, sender, "
                             "layer_id, offset, rule"):
            self.finding(row)
        return {vlan: "\n".join(lines) + "\n" for vlan, lines in self.texts.items()}


class Place:
    """Puts captures one after the other, each into a VLAN."""

    def __init__(self):
        self.names = {}  # by VLAN
        self.captures = []
        self.now = 10**18

    def add(self, name, packets):
        vlan = len(self.captures) + 1
        self.names[vlan] = name
        shift = self.now - packets[0].time
        out = []
        for p in packets:
            out.append(Packet(max(p.time + shift, self.now), self.moved(p, vlan)))
            self.now = out[-1].time
        self.captures.append(out)
        self.now += 10**9


    @staticmethod
    def moved(p, vlan):
        """The same in the VLAN, with other addresses."""
        raw = bytearray(p.raw)
        if p.tcp is not None:
            for address in (p.at + 12, p.at + 16):
                raw[address + 1] ^= vlan >> 8
                raw[address + 2] ^= vlan & 255
            raw[p.at + 10:p.at + 12] = raw[p.tcp + 16:p.tcp + 18] = b"\0\0"  # nothing to verify
        if raw[12:14] == b"\x81\x00":
            del raw[12:16]
        raw[12:12] = b"\x81\x00" + vlan.to_bytes(2, "big")
        return bytes(raw)


def http(first):
    """What a browser and a server agree on, from the first bytes that are sent."""
    if first.startswith(b"PRI * HTTP/2"):
        return "h2"
    return "http/1.1" if b" HTTP/1." in first.split(b"\n")[0] else None


def ways():
    rng = random.Random(5)
    yield "plain", wrap.Wrapping(lambda first: None, lambda: wrap.PIECE, False)
    yield "alpn", wrap.Wrapping(http, lambda: rng.randint(1, 400), True, 3)


def gather(work, names):
    place, keys = Place(), []
    paths = sorted(glob.glob(os.path.join(common.ROOT, "captures", "*", "*.pcap")))
    paths += sorted(glob.glob(os.path.join(common.ROOT, "tests", "scripts", "*.txt")))
    for path in paths:
        name = os.path.basename(path).split(".")[0]
        if names and name not in names:
            continue
        if path.endswith(".txt"):
            with open(path, encoding="utf-8") as file:
                script = file.read()
            path = os.path.join(work, "script.pcap")
            build.build(script, path)
        for log in common.keylog(path)[1:]:
            with open(log, encoding="ascii") as file:
                keys.append(file.read())
        place.add(name, load(path))
    with open(os.path.join(work, "own.keys"), "w", encoding="ascii") as out:
        out.write("".join(keys))
    return place


def read(work, name, names, packets, keys, origin=None):
    pcap, db = (os.path.join(work, name + end) for end in (".pcap", ".db"))
    save(pcap, packets, 0)
    log = os.path.join(work, name + ".keys")
    with open(log, "w", encoding="ascii") as out:
        out.write("\n".join(keys) + "\n")
    common.read(pcap, db, "--keep-secrets", "--keylog", log, "--keylog",
                os.path.join(work, "own.keys"))
    said = Said(db, names, origin)
    text = said.all()
    tally.check("nothing inside TLS is called clear, " + name, not said.clear,
                "\n".join(said.clear))
    return text


def compare(work, names):
    place = gather(work, names)
    want = read(work, "clear", place.names, [p for capture in place.captures for p in capture], [])
    for way, wrapping in ways():
        packets = [p for capture in place.captures for p in wrapping.wrap(capture)]
        got = read(work, way, place.names, packets, wrapping.keys, wrapping.origin)
        tally.check("connections were sealed", names or wrapping.wrapped > 1000, wrapping.wrapped)
        for vlan in sorted(set(want) | set(got), key=lambda v: v or 0):
            tally.equal("%s %s" % (place.names.get(vlan, "the capture"), way), got.get(vlan, ""),
                        want.get(vlan, ""))


def sealing():
    sample = [bytes(range(n)) for n in (32, 12, 200, 5)]
    tally.check("both ways to seal agree", wrap.LIBCRYPTO.seal(*sample) == chacha.seal(*sample))


tally = common.Tally("twins")
sealing()
keep = sys.argv[sys.argv.index("--keep") + 1] if "--keep" in sys.argv else None
with common.folder() as folder:
    compare(keep or folder, [n for n in common.NAMES if n != keep])
tally.end()
