#!/usr/bin/env python3
"""End to end: what `live` and `read` may still do, asked of the kernel while they run."""
import os
import pwd
import signal
import subprocess
import time

import common

tally = common.Tally("privileges")
CHECKED = os.path.exists("build/asan") and "asan" in common.PROGRAM  # sanitizers need more calls


def status(pid, tid=None):
    with open("/proc/%d/%sstatus" % (pid, "task/%d/" % tid if tid else ""), encoding="utf-8") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


def until(what, seconds=10):
    end = time.time() + seconds
    while time.time() < end:
        if what():
            return True
        time.sleep(0.05)
    return False


def confined(name, pid):
    """Every thread of it."""
    for tid in map(int, os.listdir("/proc/%d/task" % pid)):
        s = status(pid, tid)
        tally.check("%s: seccomp" % name, CHECKED or s["Seccomp"] == "2", s["Seccomp"])
        tally.check("%s: no_new_privs" % name, CHECKED or s["NoNewPrivs"] == "1", s["NoNewPrivs"])


def live(work, name, arguments, user, environment=None):
    folder = os.path.join(work, name)
    os.mkdir(folder)
    if user is not None and os.geteuid() == 0:
        os.chmod(work, 0o755)
        os.chown(folder, user.pw_uid, user.pw_gid)
    db = os.path.join(folder, "live.db")
    process = subprocess.Popen([common.PROGRAM, "live", "-v", "-i", "lo", "-o", db, *arguments],
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               env={**os.environ, **(environment or {})})
    try:
        tally.check("%s: starts" % name, until(lambda: os.path.exists(db + "-wal") or
                                               process.poll() is not None))
        time.sleep(0.3)
        confined(name, process.pid)
        s = status(process.pid)
        for line in ("CapPrm", "CapEff", "CapInh", "CapAmb"):
            tally.check("%s: %s is empty" % (name, line), int(s[line], 16) == 0, s[line])
        if user is not None:
            tally.check("%s: the user" % name, set(s["Uid"].split()) == {str(user.pw_uid)} and
                        set(s["Gid"].split()) == {str(user.pw_gid)}, s["Uid"] + s["Gid"])
            tally.check("%s: groups" % name, "0" not in s.get("Groups", "").split(), s.get("Groups"))
            tally.check("%s: owns the database" % name, os.stat(db).st_uid == user.pw_uid)
        process.send_signal(signal.SIGINT)
        end = process.wait(10)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    text = process.stdout.read().decode()
    tally.check("%s: status 0" % name, end == 0, text)
    tally.check("%s: says so" % name, "privileges: " in text and "no capabilities" in text, text)


def reading(work):
    pipe, db = os.path.join(work, "pipe"), os.path.join(work, "read.db")
    os.mkfifo(pipe)
    process = subprocess.Popen([common.PROGRAM, "read", "-q", "-o", db, pipe],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with open(pipe, "wb") as out, open(os.path.join(common.ROOT, "captures", "h2c", "h2c.pcap"),
                                           "rb") as file:
            data = file.read()
            out.write(data[:300])
            out.flush()
            time.sleep(0.4)
            confined("read", process.pid)
            out.write(data[300:])
        tally.check("read: status 0", process.wait(10) == 0)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


with common.folder() as place:
    reading(place)
    probe = common.run("live", "-i", "lo", "--duration", "0.2", "-o", os.path.join(place, "p.db"))
    if probe.returncode == 3 and "cap_net_raw" in probe.err.lower():
        tally.skip("live", "no permission to capture")
    else:
        live(place, "same-user", [], None, {"SUDO_UID": ""})
        nobody = pwd.getpwnam("nobody")
        if os.geteuid() == 0:
            live(place, "named-user", ["-Z", "nobody"], nobody)
            live(place, "sudo", [], nobody, {"SUDO_UID": str(nobody.pw_uid)})
            os.mkdir(os.path.join(place, "closed"), 0o700)
            done = common.run("live", "-i", "lo", "-Z", "nobody", "--duration", "5", "-o",
                              os.path.join(place, "closed", "x.db"))
            tally.check("a folder that is not its own: said before anything is captured",
                        done.returncode == 3 and "x.db" in done.err and "nobody" in done.err, done.err)
        done = common.run("live", "-i", "lo", "-Z", "no-such-user", "-o", os.path.join(place, "x.db"))
        tally.check("no such user: 3", done.returncode == 3 and "no-such-user" in done.err, done.err)
tally.end()
