#!/usr/bin/env python3
"""End to end: secrets of TLS connections, from key logs and from pcapng, in time and late; that they
stay secret; what is said where they are missing."""
import base64
import hashlib
import os
import signal
import socket
import sqlite3
import ssl
import struct
import subprocess
import threading
import time

import common
import dump

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CAPTURE = os.path.join(common.ROOT, "captures", "tls-suites", "tls-suites.pcap")
KEYS = os.path.join(common.ROOT, "captures", "tls-suites", "tls-suites.keys")
tally = common.Tally("keys")


def block(kind, body):
    body += bytes(-len(body) % 4)
    return struct.pack("<II", kind, len(body) + 12) + body + struct.pack("<I", len(body) + 12)


def pcapng(pcap, secrets, late):
    """The same packets as pcapng, the secrets in front of the first packet or of the last third."""
    with open(pcap, "rb") as file:
        data = file.read()
    nano = struct.unpack("<I", data[:4])[0] == 0xa1b23c4d
    out = [block(0x0a0d0d0a, struct.pack("<IHHq", 0x1a2b3c4d, 1, 0, -1))]
    out.append(block(1, struct.pack("<HHI", struct.unpack("<I", data[20:24])[0], 0, 0) +
                     struct.pack("<HHB3xHH", 9, 1, 9, 0, 0)))
    at, packets = 24, []
    while at < len(data):
        seconds, part, captured, length = struct.unpack("<IIII", data[at:at + 16])
        ns = seconds * 10**9 + part * (1 if nano else 1000)
        packets.append(block(6, struct.pack("<IIIII", 0, ns >> 32, ns & 0xffffffff, captured, length)
                             + data[at + 16:at + 16 + captured]))
        at += 16 + captured
    place = len(packets) * 2 // 3 if late else 0
    packets.insert(place, block(10, struct.pack("<II", 0x544c534b, len(secrets)) + secrets))
    return b"".join(out + packets)


def query(db, sql):
    connection = sqlite3.connect("file:%s?mode=ro" % db, uri=True, timeout=5)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def until(what, seconds=8):
    end = time.time() + seconds
    while time.time() < end:
        try:
            if what():
                return True
        except sqlite3.OperationalError:
            pass
        time.sleep(0.05)
    return False


def table(db):
    """All that was found, but for the name and the size of the capture file."""
    return dump.Dump(db).text()


def from_files(work):
    with open(KEYS, "rb") as file:
        secrets = file.read()
    db, other = os.path.join(work, "a.db"), os.path.join(work, "b.db")
    common.read(CAPTURE, db, "--keylog", KEYS)
    want = table(db)
    tally.check("sessions behind TLS", "websocket" in want)
    inside = os.path.join(work, "inside.pcapng")
    with open(inside, "wb") as out:
        out.write(pcapng(CAPTURE, secrets, False))
    common.read(inside, other)
    tally.equal("a Decryption Secrets Block says the same", table(other), want)
    with open(inside, "wb") as out:
        out.write(pcapng(CAPTURE, secrets, True))
    common.read(inside, other)
    found = query(other, "SELECT count(*) FROM session")[0][0]
    tally.check("one behind the packets is too late for them", 0 < found < 25, str(found))
    # in two files, with broken lines between
    lines = secrets.splitlines(True)
    parts = [os.path.join(work, "1.keys"), os.path.join(work, "2.keys")]
    with open(parts[0], "wb") as one, open(parts[1], "wb") as two:
        one.write(b"CLIENT_RANDOM 00\n\xff\xfe\n" + b"".join(lines[::2]) + b"# comment\n" + b"x" * 5000)
        two.write(b"".join(lines[1::2]))
    done = common.run("read", "-o", os.path.join(work, "c.db"), "--keylog", parts[0], "--keylog",
                      parts[1], CAPTURE)
    tally.equal("two key logs", table(os.path.join(work, "c.db")), want)
    tally.check("broken lines are counted", "3  lines of key logs are broken" in
                done.out.replace("3 lines", "3  lines"), done.out)
    tally.check("decrypted connections are counted", "TLS connections\n" in done.out, done.out)
    done = common.run("read", "-o", os.path.join(work, "d.db"), CAPTURE)
    tally.check("without keys the summary says so", "30 TLS connections" in done.out and
                "--keylog" in done.out, done.out)
    with open(parts[0], "wb") as one:
        one.write(b"".join(lines[:30]))
    done = common.run("read", "-o", os.path.join(work, "e.db"), "--keylog", parts[0], CAPTURE)
    tally.check("with some keys it tells what they do not open",
                "TLS connections that the keys do not open" in done.out, done.out)
    stay_secret(work, db, secrets)
    done = common.run("read", "-o", os.path.join(work, "f.db"), "--keylog", work + "/none", CAPTURE)
    tally.check("no such key log: 3", done.returncode == 3 and "/none" in done.err, done.err)
    done = common.run("read", "-o", os.path.join(work, "f.db"), "--keylog", work, CAPTURE)
    tally.check("a folder: 3", done.returncode == 3 and "irectory" in done.err, done.err)
    done = common.run("read", "-o", os.path.join(work, "f.db"), "--keylog", "", CAPTURE)
    tally.check("an empty name: 2", done.returncode == 2, done.err)


def stay_secret(work, db, secrets):
    words = {w for line in secrets.split(b"\n") for w in line.split(b" ")[2:] if len(w) > 60}
    shown = b""
    for arguments in (["read", "-v", "--again", "-o", db, "--keylog", KEYS, CAPTURE],
                      ["show", db, "1"], ["sql", db, "SELECT * FROM layer"], ["findings", "-v", db]):
        done = common.run(*arguments)
        shown += done.stdout + done.stderr
    for name in os.listdir(work):
        if name.startswith("a.db"):
            with open(os.path.join(work, name), "rb") as file:
                shown += file.read()
    tally.check("secrets are neither stored nor printed", len(words) > 50 and
                not any(w in shown or bytes.fromhex(w.decode()) in shown for w in words))


def passwords(work):
    """What people log in with behind STARTTLS is read, and not kept."""
    db = os.path.join(work, "mail.db")
    common.read(os.path.join(common.ROOT, "captures", "tls-starttls", "tls-starttls.pcap"), db,
                "--payload", "1000")
    with open(db, "rb") as file:
        stored = file.read()
    chains = [c for c, in query(db, "SELECT chain FROM chain ORDER BY 1")]
    tally.equal("behind STARTTLS it is read on", " ".join(chains),
                "imap>tls>imap pop3>tls>pop3 sieve>tls>sieve smtp>tls>smtp")
    tally.check("passwords are not stored", not any(
        w in stored for w in (b"LOGIN anna", b"PASS secret", b"AGFubmEAc2VjcmV0")))


# --- live ---

def frame(opcode, body, mask=False):
    out = bytes([0x80 | opcode, (0x80 if mask else 0) | len(body)])
    return out + (b"\1\2\3\4" + bytes(b ^ (1, 2, 3, 4)[i % 4] for i, b in enumerate(body)) if mask
                  else body)


def serve(listener, context, go_on, between):
    peer, _ = listener.accept()
    with context.wrap_socket(peer, server_side=True) as s:
        head = b""
        while b"\r\n\r\n" not in head:
            head += s.recv(4096)
        key = head.split(b"Sec-WebSocket-Key: ")[1].split(b"\r\n")[0]
        s.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                  b"Sec-WebSocket-Accept: " + base64.b64encode(hashlib.sha1(key + GUID).digest()) +
                  b"\r\n\r\n" + frame(1, b"early"))
        if between:
            time.sleep(between)
            s.sendall(frame(1, b"between"))
        go_on.wait(10)
        s.sendall(frame(1, b"late") + frame(8, b"\x03\xe8"))
        s.recv(4096)


def talk(port, context, go_on):
    with socket.create_connection(("127.0.0.1", port)) as tcp:
        with context.wrap_socket(tcp, server_hostname="live.example") as s:
            s.sendall(b"GET /live HTTP/1.1\r\nHost: live.example\r\nUpgrade: websocket\r\n"
                      b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " +
                      base64.b64encode(os.urandom(16)) + b"\r\n\r\n")
            s.recv(4096)
            go_on.wait(10)
            s.recv(4096)
            s.sendall(frame(8, b"\x03\xe8", True))


def live(work, name, wait, delay, version, between=0, workers=1):
    """One wss connection whose secrets come `delay` seconds after its first packets; another frame is
    sent `between` these."""
    db, keys, real = (os.path.join(work, name + end) for end in (".db", ".keys", ".real"))
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    server.load_cert_chain(os.path.join(work, "c.pem"), os.path.join(work, "k.pem"))
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    client.maximum_version = version
    client.keylog_filename = real
    go_on = threading.Event()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        process = subprocess.Popen(
            [common.PROGRAM, "live", "-q", "-i", "lo", "-f", "tcp port %d" % port, "-o", db, "--payload",
             "100", "--keylog", keys, "--keylog-wait", wait, "--workers", str(workers)], stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT)
        try:
            until(lambda: query(db, "SELECT id FROM capture"))
            time.sleep(0.3)
            threads = [threading.Thread(target=serve, args=(listener, server, go_on, between)),
                       threading.Thread(target=talk, args=(port, client, go_on))]
            for thread in threads:
                thread.start()
            time.sleep(delay)
            with open(real, "rb") as file:
                secrets = file.read()
            with open(keys, "ab") as out:  # a line is cut where it is looked at
                out.write(secrets[:200])
                out.flush()
                time.sleep(0.2)
                out.write(secrets[200:])
            go_on.set()
            for thread in threads:
                thread.join()
            time.sleep(0.3)
            process.send_signal(signal.SIGINT)
            status = process.wait(10)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        text = process.stdout.read().decode()
    tally.check(name + ": status 0", status == 0, text)
    return db


def in_time(work):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                    "-nodes", "-days", "2", "-subj", "/CN=live.example", "-keyout", work + "/k.pem",
                    "-out", work + "/c.pem"], check=True, stderr=subprocess.DEVNULL)
    for workers, name, version in ((1, "1.3", ssl.TLSVersion.TLSv1_3),
                                   (3, "1.2", ssl.TLSVersion.TLSv1_2)):
        db = live(work, "late-" + name, "5s", 0.6, version, workers=workers)
        got = query(db, "SELECT sender, payload FROM message WHERE opcode = 'text' ORDER BY id")
        tally.check("TLS %s: secrets that come late are waited for" % name,
                    got == [("server", "early"), ("server", "late")], str(got))
        got = query(db, "SELECT chain FROM chain WHERE chain LIKE 'tls%'")
        tally.check("TLS %s: the chain" % name, got == [("tls>http1>websocket",)], str(got))
        got = query(db, "SELECT rule FROM finding JOIN rule ON rule.name = rule "
                        "WHERE rule.severity NOT IN ('info', 'low')")
        tally.check("TLS %s: nothing is accused" % name, not got, str(got))
    db = live(work, "too-late", "100ms", 0.9, ssl.TLSVersion.TLSv1_3, 0.4)
    tally.check("and given up where that takes too long",
                query(db, "SELECT count(*) FROM session") == [(0,)] and
                query(db, "SELECT value FROM counter WHERE name = 'tls.closed'") == [(1,)],
                str(query(db, "SELECT name, value FROM counter")))


with common.folder() as place:
    from_files(place)
    passwords(place)
    probe = common.run("live", "-i", "lo", "--duration", "0.2", "-o", os.path.join(place, "p.db"))
    if probe.returncode == 3 and "cap_net_raw" in probe.err.lower():
        tally.skip("live", "no permission to capture")
    else:
        in_time(place)
tally.end()
