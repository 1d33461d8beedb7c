#!/usr/bin/env python3
"""End to end: the command line as people and scripts use it, and bad input."""
import csv
import gzip
import io
import json
import os
import sqlite3
import struct
import subprocess
import sys

import common
from common import ROOT, run

sys.path.insert(0, os.path.join(ROOT, "tests", "script"))
import build  # noqa: E402

tally = common.Tally("cli")


def capture(name):
    return os.path.join(ROOT, "captures", name, name + ".pcap")


def content(name):
    with open(capture(name), "rb") as file:
        return file.read()


def count(db, sql):
    with sqlite3.connect(db) as c:
        return c.execute(sql).fetchone()[0]


def records(data):
    """A little-endian pcap's records as (seconds, fraction, bytes)."""
    at, out = 24, []
    while at < len(data):
        sec, frac, caplen, _ = struct.unpack("<IIII", data[at:at + 16])
        out.append((sec, frac, data[at + 16:at + 16 + caplen]))
        at += 16 + caplen
    return out


def pcap(data, endian="<", nanoseconds=False, link=1):
    magic = 0xA1B23C4D if nanoseconds else 0xA1B2C3D4
    out = struct.pack(endian + "IHHiIII", magic, 2, 4, 0, 0, 262144, link)
    for sec, frac, frame in records(data):
        out += struct.pack(endian + "IIII", sec, frac * (1000 if nanoseconds else 1), len(frame),
                           len(frame)) + frame
    return out


def block(endian, kind, body):
    body += b"\0" * (-len(body) % 4)
    return struct.pack(endian + "II", kind, len(body) + 12) + body + \
        struct.pack(endian + "I", len(body) + 12)


def pcapng(data, endian="<", resolution=6, two_links=False):
    out = block(endian, 0x0A0D0D0A, struct.pack(endian + "IHHq", 0x1A2B3C4D, 1, 0, -1))
    option = struct.pack(endian + "HHB3xHH", 9, 1, resolution, 0, 0)
    out += block(endian, 1, struct.pack(endian + "HHI", 1, 0, 0) + option)
    if two_links:
        out += block(endian, 1, struct.pack(endian + "HHI", 101, 0, 0) + option)
    for n, (sec, frac, frame) in enumerate(records(data)):
        stamp = (sec * 10**6 + frac) * 10**(resolution - 6)
        interface = 1 if two_links and n % 2 else 0
        if interface:
            frame = frame[14:]  # raw IP
        out += block(endian, 6, struct.pack(endian + "IIIII", interface, stamp >> 32,
                                            stamp & 0xFFFFFFFF, len(frame), len(frame)) + frame)
    return out


def reading(work):
    db = os.path.join(work, "a.db")
    done = run("read", capture("chromium-ws"), "-o", db)
    tally.check("read: status 0", done.returncode == 0, done.err)
    tally.check("read: a summary", "packets" in done.out and "switched" in done.out, done.out)
    tally.check("read: one session", count(db, "SELECT count(*) FROM session") == 1)
    tally.check("read: mode 0600", os.stat(db).st_mode & 0o777 == 0o600)
    tally.check("read: foreign keys", count(db, "SELECT count(*) FROM pragma_foreign_key_check") == 0)
    tally.check("read: integrity", count(db, "PRAGMA integrity_check") == "ok")
    frames = count(db, "SELECT count(*) FROM frame")
    again = run("read", capture("chromium-ws"), "-o", db)
    tally.check("read: again changes nothing", again.returncode == 0 and
                count(db, "SELECT count(*) FROM frame") == frames, again.out + again.err)
    run("read", "-q", "--again", capture("chromium-ws"), "-o", db)
    tally.check("read: --again reads again", count(db, "SELECT count(*) FROM frame") == 2 * frames)
    want = None
    data = content("python-ws")
    forms = {
        "pcap little": pcap(data), "pcap big": pcap(data, ">"),
        "pcap nanoseconds": pcap(data, "<", True), "pcap big nanoseconds": pcap(data, ">", True),
        "pcapng little": pcapng(data), "pcapng big": pcapng(data, ">"),
        "pcapng nanoseconds": pcapng(data, "<", 9), "pcapng two link types":
        pcapng(data, "<", 6, True), "gzip": gzip.compress(pcap(data)),
        "gzip pcapng": gzip.compress(pcapng(data)),
    }
    for name, form in forms.items():
        path = os.path.join(work, "form")
        with open(path, "wb") as out:
            out.write(form)
        common.read(path, db)
        with sqlite3.connect(db) as c:
            rows = c.execute("SELECT sent_ns, sender, packet, offset, opcode, payload FROM frame "
                             "ORDER BY id").fetchall()
        want = want or rows
        tally.check("read: " + name, rows == want and len(rows) > 10, str(rows[:2]))
        with open(path, "rb") as file:
            os.unlink(db)
            done = run("read", "-q", "-", "-o", db, stdin=file)
        tally.check("read: standard input, " + name, done.returncode == 0 and
                    count(db, "SELECT count(*) FROM frame") == len(want), done.err)


def several(work):
    db = os.path.join(work, "b.db")
    data = content("python-ws")
    whole = records(data)
    half = len(whole) // 2
    parts = []
    for n, part in enumerate((whole[:half], whole[half:])):
        path = os.path.join(work, "part%d.pcap" % n)
        with open(path, "wb") as out:
            out.write(data[:24])
            for sec, frac, frame in part:
                out.write(struct.pack("<IIII", sec, frac, len(frame), len(frame)) + frame)
        parts.append(path)
    common.read(parts, db)
    tally.check("several: one capture", count(db, "SELECT count(*) FROM capture") == 1)
    tally.check("several: two files", count(db, "SELECT count(*) FROM capture_file") == 2)
    tally.check("several: one flow over both", count(db, "SELECT count(*) FROM flow") == 1)
    tally.check("several: numbers run through",
                count(db, "SELECT max(packet) FROM frame") > half)
    tally.check("several: the session closed",
                count(db, "SELECT end_reason FROM session") == "close")
    bad = os.path.join(work, "bad.pcap")
    with open(bad, "wb") as out:
        out.write(b"this is no capture at all")
    os.unlink(db)
    done = run("read", bad, parts[0], "-o", db)
    tally.check("several: a bad file gives 3", done.returncode == 3, done.err)
    tally.check("several: and is named", "bad.pcap" in done.err, done.err)
    tally.check("several: the others are read", count(db, "SELECT count(*) FROM session") == 1)


def truncated(work):
    db, path = os.path.join(work, "c.db"), os.path.join(work, "cut.pcap")
    data = content("python-ws")
    with open(path, "wb") as out:
        out.write(data[:-7])
    done = run("read", path, "-o", db)
    tally.check("truncated: status 0", done.returncode == 0, done.err)
    tally.check("truncated: said", "cut" in done.out + done.err or "truncated" in done.out + done.err,
                done.out + done.err)
    tally.check("truncated: marked", count(db, "SELECT truncated FROM capture") == 1)
    for size in range(24, 200):
        with open(path, "wb") as out:
            out.write(data[:size])
        os.unlink(db)
        done = run("read", "-q", path, "-o", db)
        if not tally.check("truncated at %d" % size, done.returncode == 0, done.err):
            break
    for size in range(0, 24):
        with open(path, "wb") as out:
            out.write(data[:size])
        done = run("read", "-q", path, "-o", os.path.join(work, "never.db"))
        if not tally.check("header cut at %d" % size, done.returncode == 3, done.err):
            break
    tally.check("no capture, no database", not os.path.exists(os.path.join(work, "never.db")))


def filters(work):
    db = os.path.join(work, "d.db")
    common.read(capture("nginx-right"), db, "-f", "tcp port 18084")
    tally.check("filter: one hop", count(db, "SELECT count(*) FROM flow") == 1)
    tally.check("filter: recorded", count(db, "SELECT filter FROM capture") == "tcp port 18084")
    tally.check("filter: packet numbers are the file's",
                count(db, "SELECT request_packet FROM session") > 6)
    done = run("read", capture("tls"), "-o", db, "-f", "no such filter")
    tally.check("filter: a wrong one is wrong usage or an error", done.returncode in (2, 3) and
                "filter" in done.err, done.err)


def usage(work):
    for arguments in ([], ["nonsense"], ["read"], ["read", "--nonsense", "x"], ["show"],
                      ["read", "x", "-o"], ["live"], ["sessions"], ["show", "x.db", "one"],
                      ["read", capture("tls"), "--memory", "lots"],
                      ["sessions", "x.db", "--since", "whenever"]):
        done = run(*arguments, cwd=work)
        tally.check("usage %s: 2" % arguments, done.returncode == 2 and done.err, str(
            done.returncode) + done.err)
    for command in ("read", "live", "sessions", "show", "messages", "findings", "lint", "rules", "sql"):
        done = run(command, "--help")
        tally.check("help %s" % command, done.returncode == 0 and command in done.out, done.out)
    tally.check("help", run("--help").returncode == 0)
    tally.check("version", "switchtap" in run("--version").out)
    missing = run("read", os.path.join(work, "missing.pcap"), "-o", os.path.join(work, "m.db"))
    tally.check("missing file: 3", missing.returncode == 3 and "missing.pcap" in missing.err)
    for command in (["sessions"], ["messages"], ["findings"], ["sql"]):
        done = run(*command, os.path.join(work, "missing.db"))
        tally.check("%s of a missing database: 3" % command, done.returncode == 3, done.err)


def databases(work):
    other = os.path.join(work, "other.db")
    with sqlite3.connect(other) as c:
        c.execute("CREATE TABLE precious(x)")
        c.execute("INSERT INTO precious VALUES (42)")
    with open(other, "rb") as file:
        before = file.read()
    done = run("read", capture("tls"), "-o", other)
    with open(other, "rb") as file:
        tally.check("another program's database: refused", done.returncode == 3, done.err)
        tally.check("another program's database: untouched", file.read() == before)
    text = os.path.join(work, "notes.txt")
    with open(text, "w", encoding="utf-8") as out:
        out.write("my notes, long enough to be no header\n" * 20)
    done = run("read", capture("tls"), "-o", text)
    tally.check("a text as database: refused", done.returncode == 3, done.err)
    with open(text, encoding="utf-8") as file:
        tally.check("a text as database: untouched", file.read().startswith("my notes"))
    tally.check("sessions of a text: 3", run("sessions", text).returncode == 3)
    newer = os.path.join(work, "newer.db")
    common.read(capture("tls"), newer)
    with sqlite3.connect(newer) as c:
        c.execute("PRAGMA user_version=9999")
    done = run("sessions", newer)
    tally.check("a newer database: refused", done.returncode == 3 and "newer" in done.err, done.err)
    tally.check("a folder as database",
                run("read", capture("tls"), "-o", work).returncode == 3)
    tally.check("an unwritable place",
                run("read", capture("tls"), "-o", "/proc/nowhere.db").returncode == 3)


def showing(work):
    db = os.path.join(work, "e.db")
    common.read([capture("chromium-ws"), capture("nginx-refuses")], db)
    done = run("sessions", db)
    tally.check("sessions: both", done.returncode == 0 and "/chat" in done.out and "403" in done.out,
                done.out)
    tally.check("sessions: no escape codes into a pipe", "\x1b" not in done.out)
    refused = run("sessions", db, "--outcome", "refused", "--format", "json")
    rows = json.loads(refused.out)
    tally.check("sessions: filtered json", len(rows) == 1, refused.out)
    rows = list(csv.reader(io.StringIO(run("sessions", db, "--format", "csv").out)))
    tally.check("sessions: csv", len(rows) == 3 and len({len(r) for r in rows}) == 1, str(rows))
    lines = run("sessions", db, "--format", "jsonl").out.splitlines()
    tally.check("sessions: jsonl", len([json.loads(x) for x in lines]) == 2)
    done = run("show", db, 1)
    for word in ("chat.v2", "Sec-WebSocket-Key", "that was all", "permessage-deflate",
                 "hello from the page"):
        tally.check("show: " + word, word in done.out, done.out)
    tally.check("show: no such session", run("show", db, 99).returncode == 3)
    done = run("messages", db, "--grep", "repeats itself")
    tally.check("messages: grep", done.out.count("repeats itself") >= 2, done.out)
    done = run("messages", db, 1, "--side", "client", "--opcode", "text", "--format", "json")
    tally.check("messages: side and opcode", len(json.loads(done.out)) == 4, done.out)
    done = run("sql", db, "SELECT count(*) AS n FROM session", "--format", "json")
    tally.check("sql: a query", json.loads(done.out) == [{"n": 2}], done.out)
    done = run("sql", db)
    tally.check("sql: lists the named queries", "ping" in done.out, done.out)
    for line in os.listdir(os.path.join(ROOT, "schema", "queries")):
        name = line[:-4]
        done = run("sql", db, name, "--format", "csv")
        tally.check("sql: " + name, done.returncode == 0, done.err)
        with open(os.path.join(ROOT, "schema", "queries", line), encoding="utf-8") as file:
            shell = subprocess.run(["sqlite3", "-readonly", "-bail", db], stdin=file,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        tally.check("sqlite3 shell: " + name, shell.returncode == 0, shell.stderr.decode())
    for bad in ("DELETE FROM session", "SELECT nothing FROM session",
                "ATTACH '%s/x.db' AS x" % work, "SELECT 1; SELECT 2", "PRAGMA writable_schema=1"):
        done = run("sql", db, bad)
        tally.check("sql refuses: " + bad, done.returncode in (2, 3) and done.err, done.out)
    tally.check("sql changed nothing", count(db, "SELECT count(*) FROM session") == 2)
    tally.check("rules", "ws-accept-wrong" in run("rules").out)
    tally.check("rules: one", "RFC 6455" in run("rules", "ws-accept-wrong").out)
    tally.check("rules: unknown", run("rules", "no-such-rule").returncode == 2)


def judging(work):
    db = os.path.join(work, "f.db")
    common.read(capture("chromium-ws"), db)
    tally.check("findings: healthy is 0", run("findings", db).returncode == 0)
    tally.check("lint: healthy is 0", run("lint", capture("chromium-ws")).returncode == 0)
    done = run("lint", capture("nginx-wrong"))
    tally.check("lint: the stripped upgrade is 1", done.returncode == 1 and
                "upgrade-stripped-by-proxy" in done.out, done.out + done.err)
    tally.check("lint: keeps no database", not os.path.exists(os.path.join(work, "switchtap.db")))
    tally.check("lint: severity", run("lint", capture("nginx-wrong"), "--severity",
                                      "high").returncode == 0)
    done = run("lint", capture("nginx-wrong"), "--format", "sarif")
    sarif = json.loads(done.out)
    tally.check("lint: sarif", sarif["version"] == "2.1.0" and sarif["runs"][0]["results"], done.out)


def killed(work):
    db, pcap = os.path.join(work, "k.db"), os.path.join(work, "k.pcap")
    with open(os.path.join(ROOT, "tests", "scripts", "rule-ws-key-reused.txt"),
              encoding="utf-8") as file:
        build.build(file.read(), pcap)
    common.read([pcap], db)
    with sqlite3.connect(db) as c:  # as a run that was killed leaves it, or one that goes on
        c.execute("UPDATE capture SET ended_ns = NULL")
        c.execute("DELETE FROM finding WHERE rule = 'ws-key-reused'")
    before = open(db, "rb").read()
    done = run("findings", db, "--rule", "ws-key-reused")
    tally.check("killed: findings compares connections", done.returncode == 1 and
                "ws-key-reused" in done.out and not done.err, done.out + done.err)
    tally.check("killed: the file stays as it was", open(db, "rb").read() == before)
    text = os.path.join(work, "v.txt")
    with open(text, "w", encoding="utf-8") as out:
        out.write("nothing")
    tally.check("killed: a text stays one", run("findings", text).returncode == 3)


def healthy(work):
    for name in ("chromium-ws", "python-ws", "nginx-right", "haproxy-right", "node-upgrade",
                 "nginx-ignores", "nginx-refuses", "h2c", "docker-exec", "tls", "plain-http",
                 "firefox-ws", "python-libraries", "apache-right", "nginx-apache", "varnish-right",
                 "caddy-right", "lighttpd-right", "squid-connect"):
        done = run("lint", capture(name))
        tally.check("%s: nothing of medium or above" % name, done.returncode == 0, done.out)
    db = os.path.join(work, "h.db")
    common.read([capture("plain-http"), capture("tls")], db)
    tally.check("ordinary traffic: no session", count(db, "SELECT count(*) FROM session") == 0)


def secrets(work):
    path, db = os.path.join(work, "s.pcap"), os.path.join(work, "s.db")
    build.build('''flow
>>> GET(/chat?room=1&access_token=SECRETTOKEN "Cookie: sid=SECRETCOOKIE"
        "Authorization: Bearer SECRETBEARER"
        "Sec-WebSocket-Protocol: v1, authorization.bearer.SECRETPROTO")
<<< 101("Set-Cookie: a=SECRETSET" "Sec-WebSocket-Protocol: v1")
>>> close(1000)
''', path)
    common.read(path, db)
    with open(db, "rb") as file:
        tally.check("secrets: nowhere in the file", b"SECRET" not in file.read())
    tally.check("secrets: redacted", count(
        db, "SELECT count(*) FROM header WHERE value LIKE '%redacted:%'") == 4)
    common.read(path, db, "--keep-secrets")
    with open(db, "rb") as file:
        tally.check("secrets: kept when asked", b"SECRETCOOKIE" in file.read())


def closed_output(work):
    db = os.path.join(work, "g.db")
    common.read(capture("chromium-ws"), db)
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run([common.PROGRAM, "sessions", db], stdout=full,
                              stderr=subprocess.PIPE, check=False)
    tally.check("a full standard output: 3", done.returncode == 3, done.stderr.decode())


with common.folder() as place:
    for part in (reading, several, truncated, filters, usage, databases, showing, judging, killed, healthy, secrets,
                 closed_output):
        if common.NAMES and part.__name__ not in common.NAMES:
            continue
        folder = os.path.join(place, part.__name__)
        os.mkdir(folder)
        try:
            part(folder)
        except Exception as error:  # a broken part must not hide the others
            import traceback
            tally.check(part.__name__, False, "%s\n%s" % (error, traceback.format_exc()))
tally.end()
