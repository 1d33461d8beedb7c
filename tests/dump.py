#!/usr/bin/env python3
"""Writes what a database says as text that a person can review: the golden tests compare it.

    dump.py DB [--cut]     --cut leaves out what depends on how the bytes were cut into packets
"""
import re
import sqlite3
import sys

OPCODES = {0: "cont", 1: "text", 2: "binary", 8: "close", 9: "ping", 10: "pong"}


def shown(value, limit=60):
    """A value on one line: text quoted, blobs in hex, long ones cut."""
    if value is None:
        return "-"
    if isinstance(value, bytes):
        return "x'%s'%s" % (value[:limit // 2].hex(), "..." if len(value) > limit // 2 else "")
    if isinstance(value, str):
        text = value if len(value) <= limit else value[:limit] + "..."
        return '"' + "".join(c if c.isprintable() and c not in '"\\' else
                             c.encode("unicode_escape").decode() if c not in '"\\' else "\\" + c
                             for c in text) + '"'
    return str(value)


def fields(row, *names):
    return " ".join("%s=%s" % (n, row[n]) for n in names if row[n] not in (None, ""))


class Dump:
    def __init__(self, path, cut=False, frames=None):
        self.db = sqlite3.connect("file:%s?mode=ro" % path, uri=True)
        self.db.row_factory = sqlite3.Row
        self.cut = cut
        self.frames = frames
        self.out = []
        self.numbers = {}

    def rows(self, sql, *args):
        return self.db.execute(sql, args).fetchall()

    def say(self, *words):
        self.out.append(" ".join(str(w) for w in words if w not in (None, "")))

    def at(self, row):
        return "@%s" % row["offset"] + ("" if self.cut else " p%s" % row["packet"])

    def renumbered(self, row):
        """Row ids depend on which connection's packet came first: counted flow by flow."""
        if not self.cut:
            return row
        row = dict(row)
        for name in ("parent_id", "successor_id", "layer_id") + (("id",) if "relation" in row else ()):
            if row.get(name) is not None:
                row[name] = self.number("layer", row[name])
        for name in ("hop_of", "other_session_id") + (("id",) if "mechanism" in row else ()):
            if row.get(name) is not None:
                row[name] = self.number("session", row[name])
        return row

    def number(self, table, row_id):
        if table not in self.numbers:
            self.numbers[table] = {r["id"]: n for n, r in enumerate(
                self.rows("SELECT id FROM %s ORDER BY flow_id, id" % table), 1)}
        return self.numbers[table][row_id]

    def flow(self, f):
        self.say("flow %d %s:%d > %s:%d" % (f["id"], f["client_addr"], f["client_port"],
                                            f["server_addr"], f["server_port"]),
                 fields(f, "vlan", "handshake", "end", "client_missing", "server_missing"),
                 "" if self.cut else fields(f, "client_packets", "server_packets", "client_bytes",
                                            "server_bytes", "ndpi_protocol"))
        for l in map(self.renumbered, self.rows("SELECT * FROM layer WHERE flow_id=? ORDER BY id",
                                                f["id"])):
            self.say("  layer %d %s %s" % (l["id"], l["relation"], l["protocol"]),
                     fields(l, "parent_id", "expected"),
                     "@%s/%s" % (l["client_offset"], l["server_offset"]),
                     "" if l["client_head"] is None else "client " + shown(l["client_head"]),
                     "" if l["server_head"] is None else "server " + shown(l["server_head"]),
                     "" if l["detail"] is None else l["detail"])
        for g in self.rows("SELECT * FROM gap WHERE flow_id=? ORDER BY sender, offset", f["id"]):
            self.say("  gap %s @%d %d bytes" % (g["sender"], g["offset"], g["length"]))

    def session(self, s):
        row_id, s = s["id"], self.renumbered(s)
        self.say("session %d flow %d layer %s" % (s["id"], s["flow_id"], s["layer_id"]),
                 fields(s, "successor_id", "hop_of", "mechanism", "outcome", "cause", "status",
                        "end_reason", "end_side"),
                 "" if self.cut else fields(s, "request_packet", "response_packet"))
        for name in ("offered", "accepted", "method", "target", "path", "host", "origin",
                     "user_agent", "forwarded_for", "reason"):
            if s[name] is not None:
                self.say("  %s %s" % (name, shown(s[name], 120)))
        if not self.cut:
            self.say("  verdict", shown(s["verdict"], 400))
        for h in self.rows("SELECT * FROM header WHERE session_id=? ORDER BY message, position",
                           row_id):
            self.say("  %s %s: %s" % (">" if h["message"] == "request" else "<",
                                      shown(h["name"])[1:-1], shown(h["value"], 120)))
        for w in self.rows("SELECT * FROM websocket WHERE session_id=?", row_id):
            self.say("  websocket", " ".join("%s=%s" % (k, shown(w[k])) for k in w.keys()
                                             if k != "session_id" and w[k] is not None))

    def frame_rows(self, s):
        order = "sender, offset" if self.cut else "id"
        rows = self.rows("SELECT * FROM frame WHERE session_id=? ORDER BY " + order, s["id"])
        for n, f in enumerate(rows):
            if self.frames is not None and n >= self.frames:
                self.say("  ... and %d frames more" % (len(rows) - n))
                break
            self.say("  %s %s" % (f["sender"], self.at(f)), OPCODES.get(f["opcode"], f["opcode"]),
                     "fin" if f["fin"] else "", "rsv=%d" % f["rsv"] if f["rsv"] else "",
                     "masked" if f["masked"] else "", "len=%d" % f["length"],
                     "compressed" if f["compressed"] else "",
                     "" if f["message_length"] is None else "| %s of %d in %d%s %s" % (
                         OPCODES.get(f["message_opcode"], f["message_opcode"]),
                         f["message_length"], f["fragments"], " cut" if f["cut"] else "",
                         shown(f["payload"], 40)),
                     "rtt" if f["rtt_ns"] is not None and not self.cut else "")

    def findings(self, where, *args):
        for f in self.rows("SELECT * FROM finding WHERE %s ORDER BY sender, offset, rule" % where,
                           *args):
            if self.cut and f["rule"] in ("server-data-with-101", "capture-duplicate-packets"):
                continue  # about packets, so a matter of how the bytes were cut
            f = self.renumbered(f)
            frame = self.rows("SELECT offset FROM frame WHERE id=?", f["frame_id"])
            self.say("  finding %s %s %s" % (f["rule"], f["sender"], self.at(f)),
                     "x%d" % f["count"] if f["count"] != 1 else "",
                     "frame @%d" % frame[0][0] if frame else "",
                     "" if f["other_session_id"] is None else "other=%d" % f["other_session_id"],
                     self.timeless(shown(f["evidence"], 200)))

    def timeless(self, text):
        return re.sub(r"\d+(\.\d+)? ?(us|ms|s)\b", "T", text) if self.cut else text

    def text(self):
        for f in self.rows("SELECT * FROM flow ORDER BY id"):
            self.flow(f)
            self.findings("flow_id=? AND session_id IS NULL", f["id"])
        for s in self.rows("SELECT * FROM session ORDER BY " + ("flow_id, id" if self.cut else "id")):
            self.session(s)
            self.frame_rows(s)
            self.findings("session_id=?", s["id"])
        self.findings("flow_id IS NULL AND session_id IS NULL")
        return "\n".join(self.out) + "\n"


def brief(path, verdicts=False):
    """Sessions and findings only, for the scripts."""
    d = Dump(path)
    for s in d.rows("SELECT s.*, (SELECT group_concat(protocol, '>') FROM (SELECT protocol FROM "
                    "layer WHERE flow_id=s.flow_id ORDER BY id)) AS layers FROM session s ORDER BY id"):
        d.say("session %d: %s %s" % (s["id"], s["mechanism"], s["outcome"]),
              "" if s["cause"] is None else "(%s)" % s["cause"],
              fields(s, "status", "accepted", "end_reason", "end_side"), s["layers"])
        if verdicts:
            d.say("  verdict", shown(s["verdict"], 400))
        for l in d.rows("SELECT protocol, detail FROM layer WHERE flow_id=? AND detail IS NOT NULL "
                        "AND (SELECT min(id) FROM session WHERE flow_id=layer.flow_id)=? ORDER BY id",
                        s["flow_id"], s["id"]):
            d.say("  layer", l["protocol"], l["detail"])
        d.findings("session_id=?", s["id"])
    for c in d.rows("SELECT flow_id, group_concat(protocol, '>') AS layers, group_concat(detail, ' ') "
                    "AS details FROM (SELECT * FROM layer ORDER BY id) WHERE flow_id NOT IN (SELECT "
                    "flow_id FROM session) GROUP BY flow_id HAVING layers NOT IN ('http1', 'opaque')"):
        d.say("no session: flow %d" % c["flow_id"], c["layers"], c["details"])
    if d.rows("SELECT 1 FROM finding WHERE session_id IS NULL"):
        d.say("outside sessions:")
    d.findings("session_id IS NULL")
    return "\n".join(d.out) + "\n"


if __name__ == "__main__":
    sys.stdout.write(Dump(sys.argv[1], cut="--cut" in sys.argv).text())
