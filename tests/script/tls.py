"""TLS items of the text scripts.

    clienthello(sni=NAME alpn=h2,http/1.1 version=1.3)   one record; version: the highest offered
    serverhello(version=1.3 alpn=h2 cipher=1301)         one record; retry=0018: a HelloRetryRequest
                                                         that wants this group
                    records=N: the hello in records of N bytes
    record(TYPE "..")                                    a record of any type with these bytes
"""
import struct

RETRY = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")
VERSIONS = {"1.0": 0x0301, "1.1": 0x0302, "1.2": 0x0303, "1.3": 0x0304}


def vector(size, data):
    return len(data).to_bytes(size, "big") + data


def extension(kind, data):
    return struct.pack("!H", kind) + vector(2, data)


def record(kind, data, version=0x0301):
    return struct.pack("!BH", kind, version) + vector(2, data)


def hello(kind, words, side_fields):
    o = dict(w.split("=", 1) for w in words)
    version = VERSIONS[o.get("version", "1.3")]
    legacy = min(version, 0x0303)
    random = RETRY if "retry" in o else bytes(range(32))
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


ITEMS = {
    "clienthello": lambda builder, side, words: hello(1, words, client),
    "serverhello": lambda builder, side, words: hello(2, words, server),
    "record": lambda builder, side, words: record(
        int(words[0]), b"".join(builder.bytes_of(w) for w in words[1:])),
}
