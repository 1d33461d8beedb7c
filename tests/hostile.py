#!/usr/bin/env python3
"""Bytes from the wire that want to steer a terminal, break a format or a query, in every text that they
can reach: each command, each format, into a pipe and on a terminal."""
import csv
import io
import json
import os
import pty
import re
import select
import shutil
import sqlite3
import subprocess
import sys

import common

sys.path.insert(0, os.path.join(common.ROOT, "tests", "script"))
import build  # noqa: E402

tally = common.Tally("hostile")
# a title, a screen cleared, C1's CSI raw and as UTF-8, DEL, right-to-left, isolates, bytes that are no
# UTF-8, a formula, quotes, SQL
EVIL = r"\x1b]0;owned\x07\x1b[2J\x9b31m\xc2\x9b31m\x7f\xe2\x80\xae\xe2\x81\xa6\xd8\x9c\xff\xfe=1+1|'\x22,;'); DROP TABLE session;--"
TARGET = r"/\xe2\x80\xae\xc2\x9b31m\xff'\x22,;=1+1');DROP--"
SCRIPT = r'''flow
>>> "GET {T} HTTP/1.1\r\nHost: h{E}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nOrigin: http://{E}\r\nUser-Agent: {E}\r\nX-Forwarded-For: {E}\r\nSec-WebSocket-Protocol: a{E}\r\n{E}: {E}\r\n\r\n"
<<< "HTTP/1.1 101 {E}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: b{E}\r\nServer: {E}\r\n\r\n"
>>> text("\x1b]0;owned\x07\x1b[2J\xc2\x9b31m\x7f\xe2\x80\xae\xe2\x81\xa6=1+1,'\x22\r\n\t")
<<< text("\x1b[31m\xff\xfe" nomask)
<<< binary("\x1b[31m\x00\x9b" nomask)
>>> text("=HYPERLINK(1)")
>>> text("-1+1")
>>> ping("\x1b[2J\x9b")
>>> close(1000 "\x1b[2J\xc2\x9b31m\xe2\x80\xae=1+1")
<<< close(1000 "\x1b[2J\xc2\x9b\x7f" nomask)
flow
>>> "GET /refused HTTP/1.1\r\nHost: {E}\r\nUpgrade: {E}\r\nConnection: Upgrade\r\n\r\n"
<<< "HTTP/1.1 403 {E}\r\nContent-Length: 0\r\nLocation: {E}\r\nX: {E}\r\n\r\n"
flow
>>> "CONNECT {T}:443 HTTP/1.1\r\nHost: {E}\r\n\r\n"
<<< "HTTP/1.1 200 {E}\r\n\r\n"
>>> "SSH-2.0-{E}\r\n"
<<< "SSH-2.0-{E}\r\n"
flow
<<< "220 {E} ESMTP {E}\r\n"
>>> "EHLO {E}\r\n"
<<< "250-{E}\r\n250 STARTTLS\r\n"
>>> "STARTTLS\r\n"
<<< "454 {E}\r\n"
>>> "MAIL FROM:<{E}>\r\n"
flow
>>> clienthello(sni=\x1b[2J.example)
<<< record(21 hex:0228)
flow
>>> "GET /unknown HTTP/1.1\r\nHost: a\r\nUpgrade: {E}\r\nConnection: Upgrade\r\n\r\n"
<<< "HTTP/1.1 101 {E}\r\nUpgrade: {E}\r\nConnection: Upgrade\r\n\r\n"
<<< "{E}"
>>> "{E}"
'''.replace("{E}", EVIL).replace("{T}", TARGET)
BIDI = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c"
OURS = re.compile(rb"\x1b\[[0-9;]*m|\x1b\[[0-9]*[GK]|\x1b\[\?25[hl]")  # what switchtap itself writes


def unsafe(data, terminal=False):
    """What must not be there; empty: it is safe."""
    if terminal:
        data = OURS.sub(b"", data).replace(b"\r\n", b"\n").replace(b"\r", b"")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        return "no UTF-8: %s" % error
    bad = {c for c in text if (c < " " and c not in "\n\t") or "\x7f" <= c <= "\x9f" or c in BIDI}
    return " ".join("U+%04X" % ord(c) for c in sorted(bad))


def on_terminal(arguments):
    master, slave = pty.openpty()
    process = subprocess.Popen([common.PROGRAM, *arguments], stdin=slave, stdout=slave, stderr=slave,
                               env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "100"})
    os.close(slave)
    out = b""
    while True:
        ready, _, _ = select.select([master], [], [], 20)
        try:
            part = os.read(master, 65536) if ready else b""
        except OSError:
            part = b""
        if not part:
            break
        out += part
    os.close(master)
    process.wait(20)
    return out


def commands(db, pcap):
    ids = [i for i, in sqlite3.connect(db).execute("SELECT id FROM session")]
    out = [["read", "--again", "-o", db + "2", pcap], ["lint", pcap], ["lint", "--format", "sarif", pcap]]
    for which in ["sessions"], ["messages"], ["findings"], ["findings", "-v"]:
        for form in ("table", "csv", "json", "jsonl"):
            out.append([which[0], db, *which[1:], "--format", form])
    out.append(["findings", db, "--format", "sarif"])
    for i in ids:
        out.append(["show", db, str(i)])
    tables = [t for t, in sqlite3.connect(db).execute(
        "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite%' "
        "AND name <> 'setting'")]
    for table in tables:
        for form in ("table", "csv", "json", "jsonl"):
            out.append(["sql", db, "SELECT * FROM " + table, "--format", form])
    for name in sorted(os.listdir(os.path.join(common.ROOT, "schema", "queries"))):
        out.append(["sql", db, name[:-4]])
    return out


def parses(arguments, data):
    form = arguments[arguments.index("--format") + 1] if "--format" in arguments else "table"
    text = data.decode("utf-8")
    if form == "json":
        json.loads(text)
    elif form == "jsonl":
        for line in text.splitlines():
            json.loads(line)
    elif form == "sarif":
        log = json.loads(text)
        assert log["version"] == "2.1.0" and log["runs"][0]["tool"]["driver"]["name"] == "switchtap"
        for result in log["runs"][0]["results"]:
            assert result["ruleId"] and result["message"]["text"]
    elif form == "csv":
        rows = list(csv.reader(io.StringIO(text, newline="")))
        assert all(len(row) == len(rows[0]) for row in rows), "rows of different length"


def texts(work, db, pcap):
    for arguments in commands(db, pcap):
        done = subprocess.run([common.PROGRAM, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              stdin=subprocess.DEVNULL, timeout=60, check=False)
        name = " ".join(a.replace(work + "/", "") for a in arguments)
        tally.check("%s: status" % name, done.returncode in (0, 1), done.stderr.decode("utf-8", "replace"))
        tally.check("%s: into a pipe" % name, not unsafe(done.stdout) and not unsafe(done.stderr),
                    unsafe(done.stdout) + unsafe(done.stderr))
        try:
            parses(arguments, done.stdout)
            tally.check("%s: parses" % name, True)
        except (ValueError, AssertionError, KeyError) as error:
            tally.check("%s: parses" % name, False, repr(error))
    for arguments in commands(db, pcap)[:30]:
        name = " ".join(a.replace(work + "/", "") for a in arguments)
        tally.check("%s: on a terminal" % name, not unsafe(on_terminal(arguments), True),
                    unsafe(on_terminal(arguments), True))


def same_values(db):
    """What the formats for programs say is what the database says."""
    connection = sqlite3.connect(db)
    connection.text_factory = bytes
    want = connection.execute("SELECT host, user_agent, reason, verdict FROM session ORDER BY id").fetchall()
    done = common.run("sql", db, "SELECT host, user_agent, reason, verdict FROM session ORDER BY id",
                      "--format", "json")
    got = [list(row.values()) for row in json.loads(done.out)]
    for w, g in zip(want, got):
        for a, b in zip(w, g):
            if isinstance(a, bytes):
                try:
                    tally.check("json has the value", b == a.decode("utf-8"), "%r %r" % (a, b))
                except UnicodeDecodeError:
                    pass  # stored as BLOB
    tally.check("as many rows", len(want) == len(got) >= 4, str(len(got)))


def names(work, pcap):
    evil = os.path.join(work, "a\x1b[2J\n\u202eb\x7f.pcap")
    shutil.copy(pcap, evil)
    for arguments in (["read", "-o", os.path.join(work, "n.db"), evil], ["read", evil + "none"],
                      ["read", "-o", evil, pcap], ["show", evil, "1"], ["lint", evil],
                      ["read", "--keylog", evil + "none", pcap], ["sessions", os.path.join(work, "n.db")],
                      ["show", os.path.join(work, "n.db"), "1"], ["live", "-i", "x\x1b[2J\n"],
                      ["read", "-f", "x\x1b[2J", pcap], ["\x1b[2J"], ["read", "--\x1b[2J"],
                      ["sql", os.path.join(work, "n.db"), "SELECT '\x1b[2J'"],
                      ["sql", os.path.join(work, "n.db"), "SELECT \x1b[2J"],
                      ["messages", os.path.join(work, "n.db"), "--grep", "\x1b[2J"],
                      ["rules", "\x1b[2J"], ["sessions", os.path.join(work, "n.db"), "--since", "\x1b[2J"]):
        done = subprocess.run([common.PROGRAM, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              stdin=subprocess.DEVNULL, timeout=60, check=False)
        tally.check("names: %r" % arguments[:2], not unsafe(done.stdout) and not unsafe(done.stderr),
                    unsafe(done.stdout) + unsafe(done.stderr) + done.stderr.decode("utf-8", "replace"))
    left = {f for f in os.listdir(work)}
    tally.check("nothing is made elsewhere", not [f for f in left if f.startswith(("etc", "-"))], str(left))


def others_databases(work, db):
    """The same schema, but what is in it is somebody else's: other types, huge texts, other views."""
    evil = os.path.join(work, "evil.db")
    shutil.copy(db, evil)
    c = sqlite3.connect(evil)
    c.execute("PRAGMA writable_schema = ON")
    c.execute("UPDATE session SET host = zeroblob(100000), status = 'x', request_ns = 'never', "
              "outcome = x'1b5b324a', mechanism = 1.5, verdict = printf('%.*c', 300000, char(27))")
    c.execute("UPDATE frame SET opcode = 'x', payload = 1e999, sent_ns = -9223372036854775808, length = -1")
    c.execute("UPDATE layer SET parent_id = id, detail = '{\"a\": ' || char(27)")
    c.execute("UPDATE finding SET rule = char(27) || '[2J', count = 'many', offset = -5")
    c.execute("UPDATE flow SET client_addr = x'00ff', client_port = 'p', vlan = char(8238)")
    c.commit()
    c.execute("DROP VIEW session_summary")
    c.execute("CREATE VIEW session_summary AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n "
              "LIMIT 100000) SELECT i AS id, char(27) AS host FROM n")
    c.execute("CREATE TRIGGER t AFTER INSERT ON session BEGIN DELETE FROM session; END")
    c.commit()
    c.close()
    with open(evil, "rb") as file:
        before = file.read()
    for arguments in (["sessions", evil], ["show", evil, "1"], ["messages", evil], ["findings", evil],
                      ["findings", evil, "--format", "sarif"], ["sql", evil, "failed-upgrades"],
                      ["sql", evil, "SELECT * FROM session_summary LIMIT 5"],
                      ["sql", evil, "ATTACH 'x.db' AS y"], ["sql", evil, "SELECT load_extension('x')"],
                      ["sql", evil, "PRAGMA writable_schema=1"], ["sql", evil, "DELETE FROM session"],
                      ["sql", evil, "SELECT writefile('x', 'y')"], ["sql", evil, "SELECT readfile('/etc/passwd')"]):
        done = common.run(*arguments, cwd=work)
        tally.check("others' databases: %s" % " ".join(arguments).replace(work + "/", ""),
                    done.returncode in (0, 1, 2, 3) and not unsafe(done.stdout) and not unsafe(done.stderr),
                    "%d %s %s" % (done.returncode, unsafe(done.stdout), done.err[:300]))
    with open(evil, "rb") as file:
        tally.check("others' databases: nothing was written", file.read() == before and not
                    os.path.exists(os.path.join(work, "x.db")) and not os.path.exists(os.path.join(work, "x")))


with common.folder() as place:
    pcap, db = os.path.join(place, "evil.pcap"), os.path.join(place, "evil-texts.db")
    build.build(SCRIPT, pcap)
    common.read(pcap, db)
    found = sqlite3.connect(db).execute("SELECT count(*) FROM session").fetchone()[0]
    tally.check("there are sessions", found >= 4, str(found))
    texts(place, db, pcap)
    same_values(db)
    names(place, pcap)
    others_databases(place, db)
tally.end()
