#!/usr/bin/env python3
"""A second opinion: sessions, frames and payloads of the recorded captures as tshark sees them. Where
tshark is known to be wrong (measured with 4.0) the case is listed with its reason and not compared."""
import os
import shutil
import sqlite3
import subprocess

import common

# capture -> why tshark shows fewer or other things there
NOT_FOLLOWED = {
    "connect-proxy": "a WebSocket inside CONNECT is raw data to tshark 4.0",
}
# tshark 4.0 shows early data that the server refused; the client says the same again behind it
EARLY_REFUSED = "/1.3-early-refused"
# what is compared frame by frame, but not as messages: tshark 4.0 shows the bytes of a compressed
# message in fragments as they are, and never a message whose last fragment is empty

CAPTURES = ["chromium-ws", "python-ws", "nginx-right", "nginx-wrong",
            "haproxy-right", "node-upgrade",
            "nginx-ignores", "nginx-refuses", "upgrade-required", "docker-exec", "plain-http", "tls",
            "tls-wss", "tls-suites", "h2c"]
tally = common.Tally("tshark")


def tshark(path, display, *fields):
    keys = common.keylog(path)
    command = ["tshark", "-r", path, *(["-o", "tls.keylog_file:" + keys[1]] if keys else []),
               "-Y", display, "-T", "fields", "-E", "aggregator=,"]
    for field in fields:
        command += ["-e", field]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    return [line.split("\t") for line in done.stdout.decode("utf-8", "replace").splitlines()]


def compare(name, work):
    path = os.path.join(common.ROOT, "captures", name, name + ".pcap")
    database = os.path.join(work, name + ".db")
    common.read(path, database)
    db = sqlite3.connect(database)
    asked = [(int(row[0]), row[1]) for row in tshark(
        path, "http.request and (http.upgrade or http.sec_websocket_key)", "frame.number",
        "http.request.uri")]
    refused = [number for number, uri in asked if uri == EARLY_REFUSED][:-1]
    asked = [number for number, _ in asked if number not in refused]
    ours = [r[0] for r in db.execute("SELECT request_packet FROM session WHERE mechanism='upgrade' "
                                     "ORDER BY id")]
    tally.equal(name + ": attempts by packet", str(ours), str(asked))
    frames = []
    for number, opcodes, lengths in tshark(path, "websocket", "frame.number", "websocket.opcode",
                                           "websocket.payload_length"):
        # the 7-bit length field tells 126 and 127 for longer ones: compare up to there
        frames += [(int(number), int(o), min(int(n), 126)) for o, n in
                   zip(opcodes.split(","), lengths.split(","))]
    mine = [(p, o, min(n, 126)) for p, o, n in db.execute(
        "SELECT packet, opcode, length FROM frame ORDER BY id")]
    tally.equal(name + ": frames", "\n".join(map(str, sorted(mine))),
                "\n".join(map(str, sorted(frames))))
    texts = {int(n): t for n, t in tshark(
        path, "websocket.fin == 1 and websocket.opcode == 1 and not websocket.opcode == 0",
        "frame.number", "websocket.payload.text") if t and "," not in t}
    for packet, payload in db.execute("SELECT packet, payload FROM frame WHERE opcode=1 AND fin=1 "
                                      "AND message_length > 0"):
        if packet in texts and "," not in payload:
            tally.equal("%s: text in packet %d" % (name, packet), payload, texts[packet])
    db.close()


if not shutil.which("tshark"):
    tally.skip("all", "tshark is not installed")
else:
    with common.folder() as place:
        for capture in CAPTURES:
            compare(capture, place)
    for capture, why in NOT_FOLLOWED.items():
        tally.skip(capture, why)
tally.end()
