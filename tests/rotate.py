#!/usr/bin/env python3
"""End to end: `live` for longer than one file lasts. Files that follow one another, and how many of
them stay; one file kept bounded by size and by age, also under a reader that never ends; counters on
request."""
import glob
import os
import signal
import sqlite3
import time

import common
from loopback import Live, Server, Session, query, until

tally = common.Tally("rotate")


def end(live):
    status, text = live.end()
    tally.check("%s: status 0" % os.path.basename(live.db), status == 0, text)
    return text


def sound(name, files):
    for path in files:
        tally.check("%s: %s is sound" % (name, os.path.basename(path)),
                    query(path, "PRAGMA integrity_check") == [("ok",)] and
                    query(path, "PRAGMA foreign_key_check") == [],
                    str(query(path, "PRAGMA foreign_key_check")))


def series(work, server):
    live = Live(work, "series", server.port, "--rotate", "1M")
    long = Session(server.port, "/long")
    sent = 0
    for n in range(30):
        short = Session(server.port, "/short/%d" % n)
        short.say(20000, 6)
        long.say(1000)
        sent += 1
        short.end()
        time.sleep(0.03)
    time.sleep(1.3)
    long.say(1000)
    sent += 1
    long.end()
    time.sleep(0.5)
    text, files = end(live), live.files()
    tally.check("files follow one another", len(files) >= 3, str(files))
    tally.check("it says where it goes on", text.count("going on in") == len(files) - 1, text)
    sound("series", files)
    ids, frames, shorts = [], 0, set()
    for path in files:
        ids += query(path, "SELECT id FROM session WHERE path = '/long'")
        frames += query(path, "SELECT count(*) FROM frame f JOIN session s ON s.id = f.session_id "
                              "WHERE s.path = '/long' AND f.opcode = 2")[0][0]
        shorts |= {p for p, in query(path, "SELECT path FROM session WHERE path LIKE '/short/%' AND "
                                           "end_reason = 'close'")}
    tally.check("no session is lost", shorts == {"/short/%d" % n for n in range(30)}, str(shorts))
    tally.check("a session that spans files is in each, under one id", len(ids) == len(files) and
                len(set(ids)) == 1, str(ids))
    tally.check("and its frames are there once", frames == sent, "%d of %d" % (frames, sent))
    marks = [(path, query(path, "SELECT direction, c.file FROM continuation c JOIN session s ON "
                                "s.id = c.session_id WHERE s.path = '/long' ORDER BY 1"))
             for path in files]
    by_start = sorted(files, key=lambda p: query(p, "SELECT count(*) FROM continuation WHERE "
                                                    "direction = 'from'")[0][0] > 0)
    tally.check("marked in both", all(
        ("to" in dict(m)) != (p == max(files, key=lambda q: (len(q), q))) for p, m in marks) and
        all(("from" in dict(m)) != (p == live.db) for p, m in marks), str(marks) + str(by_start))
    tally.check("each capture has its end", all(
        query(p, "SELECT count(*) FROM capture WHERE ended_ns IS NULL") == [(0,)] for p in files))
    done = common.run("show", live.db, str(ids[0][0]))
    tally.check("show says where it goes on", "series-000001.db" in done.out, done.out)
    again = Live(work, "series", server.port, "--rotate", "1M")
    end(again)
    tally.check("started again, it goes on in the newest", live.files() == files and query(
        max(files, key=lambda q: (len(q), q)), "SELECT count(*) FROM capture") == [(2,)], str(files))


def kept(work, server):
    stranger = os.path.join(work, "kept-000000001.db")
    with open(stranger, "wb") as out:
        out.write(b"of somebody else" * 100)
    live = Live(work, "kept", server.port, "--rotate", "1s", "--keep", "2")
    until_then = time.time() + 4.5
    n = 0
    while time.time() < until_then:
        s = Session(server.port, "/k/%d" % n)
        s.say(100)
        s.end()
        n += 1
        time.sleep(0.1)
    end(live)
    files = [f for f in live.files() if f != stranger]
    tally.check("only the newest stay", len(files) == 2 and live.db not in files, str(files))
    tally.check("what is not ours stays", os.path.exists(stranger))
    sound("kept", files)


def bounded(work, server):
    live = Live(work, "bounded", server.port, "--max-size", "4M")
    open_one = Session(server.port, "/open")
    peak = 0
    for n in range(80):  # connections are only over when nothing late can come any more
        s = Session(server.port, "/b/%d" % n)
        s.say(10000, 8)
        s.end()
        time.sleep(0.05)
        peak = max(peak, os.path.getsize(live.db))
    time.sleep(1.2)
    tally.check("the size is bounded", peak <= 7 * 2**20 and os.path.getsize(live.db) < 4.2 * 2**20,
                "%d %d" % (peak, os.path.getsize(live.db)))
    open_one.end()
    time.sleep(0.4)
    end(live)
    got = [p for p, in query(live.db, "SELECT path FROM session ORDER BY id")]
    tally.check("the oldest went, what was open and the newest stay", "/open" in got and
                "/b/79" in got and "/b/0" not in got and 15 < len(got) < 60, str(got))
    removed = dict(query(live.db, "SELECT name, value FROM counter WHERE name LIKE 'retain.%'"))
    tally.check("removed ones are counted", removed.get("retain.sessions") == 81 - len(got),
                "%s %d" % (removed, len(got)))
    sound("bounded", [live.db])


def aged(work, server):
    live = Live(work, "aged", server.port, "--max-age", "1s")
    for n in range(3):
        s = Session(server.port, "/old/%d" % n)
        s.say(100)
        s.end()
    s = Session(server.port, "/open")
    until(lambda: query(live.db, "SELECT count(*) FROM session") == [(4,)])
    gone = until(lambda: (s.say(10), query(live.db, "SELECT count(*) FROM session WHERE path LIKE "
                                                    "'/old/%'"))[1] == [(0,)], 15)
    tally.check("old ones go, open ones stay", gone and query(
        live.db, "SELECT path FROM session") == [("/open",)], str(query(live.db, "SELECT path FROM session")))
    s.end()
    end(live)
    sound("aged", [live.db])


def stuck_reader(work, server):
    live = Live(work, "stuck", server.port, "--max-size", "100M")
    reader = sqlite3.connect("file:%s?mode=ro" % live.db, uri=True, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM session").fetchall()
    peak = 0
    for n in range(40):
        s = Session(server.port, "/s/%d" % n)
        s.say(60000, 18)
        s.end()
        peak = max([peak] + [os.path.getsize(f) for f in glob.glob(live.db[:-3] + "*-wal")])
        time.sleep(0.02)
    time.sleep(1.2)
    tally.check("the log stays bounded under a reader that does not end", peak < 48 * 2**20, str(peak))
    tally.check("the reader still has its view", reader.execute(
        "SELECT count(*) FROM session").fetchall() == [(0,)])
    text = end(live)
    reader.close()
    paths = set()
    for path in live.files():
        paths |= {p for p, in query(path, "SELECT path FROM session")}
    tally.check("it goes on in another file", len(live.files()) == 2 and "going on in" in text,
                str(live.files()) + text)
    tally.check("and nothing is lost", paths == {"/s/%d" % n for n in range(40)}, str(len(paths)))
    sound("stuck", live.files())


def asked(work, server):
    live = Live(work, "asked", server.port)
    s = Session(server.port, "/x")
    until(lambda: query(live.db, "SELECT count(*) FROM session") == [(1,)])
    live.process.send_signal(signal.SIGUSR1)
    time.sleep(0.6)
    s.end()
    time.sleep(0.3)
    text = end(live)
    tally.check("SIGUSR1 prints counters", "capture.packets" in text and "memory.peak" in text and
                "flow.opened" in text, text)
    now = {words[0]: int(words[1]) for words in map(str.split, text.splitlines()) if len(words) == 2 and
           words[1].isdigit()}
    tally.check("and how it stands", now.get("sessions") == 1 and now.get("findings", -1) >= 0 and
                now.get("bus.queued", 99) < 99 and now.get("database.bytes", 0) > 100000, text)
    tally.check("and it goes on", query(live.db, "SELECT path FROM session WHERE end_reason = 'close'") ==
                [("/x",)])


def wrong(work):
    for options in (["--rotate", "64"], ["--rotate", "10K"], ["--rotate", "x"], ["--rotate", "-1G"],
                    ["--rotate", "0s"]):
        done = common.run("live", "-i", "lo", "-o", os.path.join(work, "w.db"), *options)
        tally.check("refused: %s" % options, done.returncode == 2 and "--rotate" in done.err, done.err)
    for options in (["--keep", "2"], ["--rotate", "1G", "--max-size", "1G"], ["--max-size", "1K"]):
        done = common.run("live", "-i", "lo", "-o", os.path.join(work, "w.db"), *options)
        tally.check("refused: %s" % options, done.returncode == 2, done.err)


with common.folder() as place:
    probe = common.run("live", "-i", "lo", "--duration", "0.2", "-o", os.path.join(place, "p.db"))
    if probe.returncode == 3 and "cap_net_raw" in probe.err.lower():
        tally.skip("live", "no permission to capture")
    else:
        echo = Server()
        for test in (series, kept, bounded, aged, stuck_reader, asked):
            if not common.NAMES or test.__name__ in common.NAMES:
                test(place, echo)
        echo.close()
        wrong(place)
tally.end()
