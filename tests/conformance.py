#!/usr/bin/env python3
"""The sessions of a WebSocket conformance suite: each of its cases against several kinds of peers,
in both roles, all in one capture; what switchtap says has to be what the bytes prove, row by row.
The cases are in conformance/cases.py and compression.py, the peers in peers.py.

    conformance.py [NAME...]      only sessions whose name begins so ("5.1", "7.9.3 client")
    conformance.py --keep FILE    keep the capture
    conformance.py --against HOST:PORT [--path /] --record FILE.pcap
    conformance.py --serve PORT --record FILE.pcap
                                  by hand: be the suite's client (or server) towards a real program
                                  on this machine, record it with tcpdump, list what was found
"""
import os
import sqlite3
import sys
from collections import Counter, defaultdict

import common

for part in ("script", "conformance"):
    sys.path.insert(0, os.path.join(common.ROOT, "tests", part))
import build  # noqa: E402
import cases  # noqa: E402
import compression  # noqa: E402
import peers  # noqa: E402


def option(name):
    return sys.argv[sys.argv.index(name) + 1] if name in sys.argv else None


class Answers:
    """What the database says, by the client's port and how often it was used before: (port, 0)."""

    def __init__(self, path):
        self.db = sqlite3.connect("file:%s?mode=ro" % path, uri=True)
        self.port, self.sessions = {}, Counter()
        for session, port in self.db.execute(
                "SELECT s.id, f.client_port FROM session s JOIN flow f ON f.id = s.flow_id "
                "ORDER BY s.id"):
            self.port[session] = port, self.sessions[port]
            self.sessions[port] += 1
        self.findings, self.messages = defaultdict(Counter), defaultdict(list)
        for session, rule, sender, count in self.db.execute(
                "SELECT session_id, rule, sender, count FROM finding"):
            self.findings[self.port.get(session)][rule, sender] += count
        for session, sender, opcode, fragments, length, cut, payload in self.db.execute(
                "SELECT session_id, sender, message_opcode, fragments, message_length, cut, "
                "payload FROM frame WHERE message_length IS NOT NULL ORDER BY id"):
            self.messages[self.port[session], sender].append(
                (opcode, fragments, length, cut, payload))
        self.frames = {(self.port[s], sender): rest for s, sender, *rest in self.db.execute(
            "SELECT session_id, sender, count(*), sum(length) FROM frame GROUP BY 1, 2")}
        rows = self.db.execute("SELECT * FROM websocket")
        names = [c[0] for c in rows.description]
        self.websocket = {self.port[row[0]]: dict(zip(names, row)) for row in rows}
        self.ends = {self.port[s]: (reason, side, outcome) for s, reason, side, outcome in
                     self.db.execute("SELECT id, end_reason, end_side, outcome FROM session")}


def message_differs(got, want):
    """One row of the database beside (opcode, fragments, payload)."""
    opcode, fragments, length, cut, payload = got
    payload = payload.encode() if isinstance(payload, str) else payload
    if (opcode, fragments, length) != (want[0], want[1], len(want[2])):
        return True
    return payload != (want[2][:len(payload)] if cut else want[2]) or (cut and length <= 65536)


def differences(talk, answers):
    port, out = (talk.port, 0), []

    def same(what, got, want):
        if got != want:
            out.append("  %s: expected %s, got %s" % (what, want, got))
    same("sessions", answers.sessions[talk.port], 1)
    if out:
        return out
    same("findings", dict(answers.findings[port]), {k: n for k, n in talk.findings.items() if n})
    same("end", answers.ends[port], talk.end_reason() + ("switched",))
    websocket = answers.websocket[port]
    for side, name in enumerate(peers.SIDES):
        wanted = talk.messages[side]
        data = wanted.data()
        same(name + " frames", answers.frames.get((port, name), [0, 0]),
             [wanted.frames, wanted.bytes])
        for column, value in (("frames", wanted.frames), ("bytes", wanted.bytes),
                              ("messages", len(data)),
                              ("message_bytes", sum(len(row[2]) for row in data)),
                              ("close_code", (talk.codes[side] or (0, None))[1])):
            same("%s_%s" % (name, column), websocket["%s_%s" % (name, column)], value)
        got = answers.messages[port, name]
        same(name + " message rows", len(got), len(wanted.rows))
        for n, (a, b) in enumerate(zip(got, wanted.rows)):
            if message_differs(a, b):
                out.append("  %s message %d: expected %s, got %s" % (
                    name, n, (b[0], b[1], len(b[2]), b[2][:40]), a[:4] + (a[4][:40],)))
                break
    return out


def by_model():
    tally = common.Tally("conformance")
    keep = option("--keep")
    names = [n for n in common.NAMES if n != keep]
    with common.folder() as work:
        pcap, database = keep or os.path.join(work, "c.pcap"), os.path.join(work, "c.db")
        builder = build.Builder()
        talks = list(peers.all_sessions(builder, cases.table()))
        talks += list(compression.all_sessions(builder))
        builder.save(pcap)
        common.read(pcap, database)
        answers = Answers(database)
    for talk in talks:
        if not names or any(talk.name.startswith(n) for n in names):
            found = differences(talk, answers)
            tally.check("%s (port %d)" % (talk.name, talk.port), not found, "\n".join(found))
    tally.check("no finding outside of sessions", not answers.findings[None],
                str(dict(answers.findings[None])))
    tally.end()


if option("--against") or option("--serve"):
    import live_peers
    live_peers.run(option("--against"), option("--serve"), option("--path") or "/",
                   option("--record"), Answers)
else:
    by_model()
