"""TLS items of the text scripts.

    clienthello(sni=NAME alpn=h2,http/1.1 version=1.3)   one record; version: the highest offered
    serverhello(version=1.3 alpn=h2 cipher=1301)         one record; retry=0018: a HelloRetryRequest
                                                         that wants this group
                    records=N: the hello in records of N bytes
    record(TYPE "..")                                    a record of any type with these bytes

With `keyed` in a clienthello the connection's secrets go into a key log beside the capture, and its
records can be sealed (TLS 1.3, ChaCha20-Poly1305):

    tlsserver(alpn=h2)    ServerHello, and sealed EncryptedExtensions and Finished
    tlsclient()           the client's Finished
    app(items...)         a record of application data, or under the keys of the handshake in front
                          of tlsclient(); options: type=21 pad=N, bad: a byte of it is
                          altered, split=N: in records of N bytes
    early(items...)       the same as early data (earlydata in both hellos), earlyend() its end
    keyupdate()           and the keys that follow
    keyed=CLIENT_TRAFFIC_SECRET_0,..: without these labels in the key log; keyed=wrong: all wrong
"""
import hashlib
import struct

import chacha

RETRY = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")
VERSIONS = {"1.0": 0x0301, "1.1": 0x0302, "1.2": 0x0303, "1.3": 0x0304}


def vector(size, data):
    return len(data).to_bytes(size, "big") + data


def extension(kind, data):
    return struct.pack("!H", kind) + vector(2, data)


def record(kind, data, version=0x0301):
    return struct.pack("!BH", kind, version) + vector(2, data)


def options(words):
    return {w.partition("=")[0]: w.partition("=")[2] for w in words}


def hello(kind, words, side_fields, random=None):
    o = options(words)
    if random is not None:
        o["random"] = random
    version = VERSIONS[o.get("version", "1.3")]
    legacy = min(version, 0x0303)
    random = RETRY if "retry" in o else o.get("random", bytes(range(32)))
    body = struct.pack("!H", legacy) + random + vector(1, b"")
    body += side_fields(o, version)
    message = bytes([kind]) + vector(3, body)
    size = int(o.get("records", len(message)))
    return b"".join(record(22, message[at:at + size]) for at in range(0, len(message), size))


def client(o, version):
    out = vector(2, b"\x13\x01\x13\x02\xc0\x2f\x00\x9c") + vector(1, b"\0")
    more = b""
    if "sni" in o:
        more += extension(0, vector(2, b"\0" + vector(2, o["sni"].encode())))
    more += extension(10, vector(2, b"\x00\x1d\x00\x17"))
    more += extension(13, vector(2, b"\x04\x03\x08\x04"))
    if "alpn" in o:
        more += extension(16, vector(2, b"".join(vector(1, p.encode())
                                                 for p in o["alpn"].split(","))))
    if "earlydata" in o:
        more += extension(42, b"")
    if version >= 0x0304:
        more += extension(43, vector(1, b"\x03\x04\x03\x03"))
        more += extension(51, vector(2, b"\x00\x1d" + vector(2, bytes(32))))
    return out + vector(2, more)


def server(o, version):
    out = bytes.fromhex(o.get("cipher", "1301" if version >= 0x0304 else "c02f")) + b"\0"
    more = b""
    if "alpn" in o:
        more += extension(16, vector(2, vector(1, o["alpn"].encode())))
    if version >= 0x0304:
        share = bytes.fromhex(o["retry"]) if "retry" in o else b"\x00\x1d" + vector(2, bytes(32))
        more += extension(43, b"\x03\x04") + extension(51, share)
    return out + vector(2, more)


# --- sealed records ---

LABELS = {"early": ["CLIENT_EARLY_TRAFFIC_SECRET"] * 2,
          "handshake": ["CLIENT_HANDSHAKE_TRAFFIC_SECRET", "SERVER_HANDSHAKE_TRAFFIC_SECRET"],
          "traffic": ["CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0"]}


class Keys:
    """What one connection has: a secret for each epoch and side, and the records' numbers."""

    aead = staticmethod(chacha.seal)

    def __init__(self, builder, number, without):
        self.random = hashlib.sha256(b"random %d" % number).digest()
        self.number = number
        self.side = [["handshake", 0, None], ["handshake", 0, None]]
        for names in LABELS.values():
            for label in sorted(set(names)):
                secret = self.secret(label) if without != "wrong" else bytes(32)
                if label not in without.split(","):
                    builder.keys.append("%s %s %s" % (label, self.random.hex(), secret.hex()))

    def secret(self, label):
        return hashlib.sha256(b"%s %d" % (label.encode(), self.number)).digest()

    def epoch(self, side, name):
        self.side[side] = [name, 0, self.secret(LABELS[name][side])]

    def update(self, side):
        self.side[side][1:] = 0, chacha.expand(self.side[side][2], b"traffic upd", 32)

    def seal(self, side, kind, plain, pad=0, bad=False):
        state = self.side[side]
        nonce = int.from_bytes(chacha.expand(state[2], b"iv", 12), "big") ^ state[1]
        inner = plain + bytes([kind]) + bytes(pad)
        head = struct.pack("!BHH", 23, 0x0303, len(inner) + 16)
        out = self.aead(chacha.expand(state[2], b"key", 32), nonce.to_bytes(12, "big"), inner, head)
        state[1] += 1
        if bad:
            out = out[:-1] + bytes([out[-1] ^ 1])
        return head + out


def message(kind, body):
    return bytes([kind]) + vector(3, body)


def client_hello(builder, side, words):
    o = options(words)
    if "keyed" not in o:
        return hello(1, words, client)
    keys = builder.flow["tls"] = Keys(builder, builder.flows, o["keyed"])
    return hello(1, words, client, keys.random)


def tls_server(builder, side, words):
    o = options(words)
    keys = builder.flow["tls"]
    more = extension(16, vector(2, vector(1, o["alpn"].encode()))) if "alpn" in o else b""
    more += extension(42, b"") if "earlydata" in o else b""
    out = hello(2, ["cipher=1303"], server, hashlib.sha256(keys.random).digest())
    out += record(20, b"\1", 0x0303)
    keys.epoch(side, "handshake")
    flight = message(8, vector(2, more)) + message(20, bytes(32))
    size = int(o.get("records", len(flight)))
    for at in range(0, len(flight), size):
        out += keys.seal(side, 22, flight[at:at + size])
    keys.epoch(side, "traffic")
    return out


def tls_client(builder, side, words):
    keys = builder.flow["tls"]
    keys.epoch(side, "handshake")
    out = record(20, b"\1", 0x0303) + keys.seal(side, 22, message(20, bytes(32)))
    keys.epoch(side, "traffic")
    return out


def app(builder, side, words):
    o, plain, at = {}, b"", 0
    while at < len(words):
        name, _, value = words[at].partition("=")
        if name in ("bad", "pad", "type", "split"):
            o[name] = int(value or 1)
            at += 1
        else:
            piece, at = builder.piece(side, words, at)
            plain += piece
    size = o.get("split", len(plain)) or 1
    if builder.flow["tls"].side[side][2] is None:
        builder.flow["tls"].epoch(side, "handshake")
    return b"".join(builder.flow["tls"].seal(side, o.get("type", 23), plain[k:k + size],
                                             o.get("pad", 0), "bad" in o)
                    for k in range(0, len(plain) or 1, size))


def early(builder, side, words):
    if builder.flow["tls"].side[side][0] != "early":
        builder.flow["tls"].epoch(side, "early")
    return app(builder, side, words)


def early_end(builder, side, words):
    return builder.flow["tls"].seal(side, 22, message(5, b""))


def key_update(builder, side, words):
    out = builder.flow["tls"].seal(side, 22, message(24, b"\0"))
    builder.flow["tls"].update(side)
    return out


ITEMS = {
    "clienthello": client_hello,
    "tlsserver": tls_server,
    "tlsclient": tls_client,
    "app": app,
    "early": early,
    "earlyend": early_end,
    "keyupdate": key_update,
    "serverhello": lambda builder, side, words: hello(2, words, server),
    "record": lambda builder, side, words: record(
        int(words[0]), b"".join(builder.bytes_of(w) for w in words[1:])),
}
