"""Items of the text scripts for LDAP, PostgreSQL, MySQL and RDP.

    ldap(ID bind "DN" "password")   ldap(ID sasl PLAIN)       ldap(ID bind-done CODE)
    ldap(ID starttls)               ldap(ID extended-done CODE "message" "matched DN")
    ldap(ID search)                 ldap(ID root OID...)      ldap(ID search-done)   ldap(ID unbind)
    ldap(ID entry "DN" N)           an entry with a value of N bytes
    pg(ssl) pg(gssenc) pg(cancel) pg(startup user=U ...)      what a client begins with
    pg(TYPE items...)               a message of that type; items: "text", hex:, 32-bit numbers
    mysql(greeting version=V nossl mariadb)  mysql(sslrequest mariadb)  mysql(login ssl)
    mysql(SEQUENCE items...)        any packet
    rdp(request cookie=C protocols=N)   rdp(confirm N)   rdp(confirm)   rdp(failure N)
"""
import struct

STARTTLS = b"1.3.6.1.4.1.1466.20037"


def ber(tag, *parts):
    data = b"".join(parts)
    if len(data) < 128:
        return bytes([tag, len(data)]) + data
    size = (len(data).bit_length() + 7) // 8
    return bytes([tag, 0x80 | size]) + len(data).to_bytes(size, "big") + data


def number(value, tag=2):
    return ber(tag, value.to_bytes(max(1, value.bit_length() // 8 + 1), "big"))


def result(tag, code, message=b"", matched=b"", name=None):
    more = [] if name is None else [ber(0x8A, name)]
    return ber(tag, number(code, 10), ber(4, matched), ber(4, message), *more)


def entry(name, attributes):
    return ber(0x64, ber(4, name), ber(0x30, *[
        ber(0x30, ber(4, kind), ber(0x31, *[ber(4, v) for v in values]))
        for kind, values in attributes]))


def ldap(builder, side, words):
    ident, what, rest = int(words[0]), words[1], words[2:]
    text = [builder.bytes_of(w) for w in rest if w.startswith('"')]
    if what == "bind":
        op = ber(0x60, number(3), ber(4, text[0]), ber(0x80, text[1]))
    elif what == "sasl":
        op = ber(0x60, number(3), ber(4), ber(0xA3, ber(4, rest[0].encode()), ber(4, b"\0a\0b")))
    elif what == "bind-done":
        op = result(0x61, int(rest[0]))
    elif what == "starttls":
        op = ber(0x77, ber(0x80, STARTTLS))
    elif what == "extended-done":
        op = result(0x78, int(rest[0]), *text, name=STARTTLS if rest[0] == "0" else None)
    elif what == "search":
        op = ber(0x63, ber(4), number(0, 10), number(0, 10), number(0), number(0), ber(1, b"\0"),
                 ber(0x87, b"objectClass"), ber(0x30, ber(4, b"supportedExtension")))
    elif what == "root":
        op = entry(b"", [(b"objectClass", [b"top"]),
                         (b"supportedExtension", [w.encode() for w in rest])])
    elif what == "entry":
        op = entry(text[0], [(b"jpegPhoto", [bytes(int(rest[1]))])])
    elif what == "search-done":
        op = result(0x65, 0)
    elif what == "unbind":
        op = b"\x42\0"
    else:
        raise ValueError("ldap: what is " + what)
    return ber(0x30, number(ident), op)


def postgresql(builder, side, words):
    codes = {"cancel": 80877102, "ssl": 80877103, "gssenc": 80877104}
    what, rest = words[0], words[1:]
    if what in codes:
        body = struct.pack("!I", codes[what]) + (struct.pack("!II", 7, 9) if what == "cancel"
                                                 else b"")
    elif what == "startup":
        body = struct.pack("!I", 196608)
        body += b"".join(w.replace("=", "\0").encode() + b"\0" for w in rest) + b"\0"
    else:
        body = b"".join(struct.pack("!I", int(w)) if w.isdigit() else builder.bytes_of(w)
                        for w in rest)
    kind = what.encode() if len(what) == 1 else b""
    return kind + struct.pack("!I", len(body) + 4) + body


def packet(sequence, body):
    return struct.pack("<I", len(body))[:3] + bytes([sequence]) + body


def mysql(builder, side, words):
    what, rest = words[0], words[1:]
    ssl, mariadb = 0x800 if "nossl" not in rest else 0, "mariadb" in rest
    if what == "greeting":
        version = next((w[8:] for w in rest if w.startswith("version=")), "8.0.33")
        low, high = 0xF7FE | (0 if mariadb else 1), 0xC1FF
        low = low & ~0x800 | ssl
        body = b"\x0a" + version.encode() + b"\0" + struct.pack("<I", 42) + b"abcdefgh\0"
        body += struct.pack("<HBHHB", low, 45, 2, high, 21)
        body += bytes(6) + struct.pack("<I", 29 if mariadb else 0)
        return packet(0, body + b"ijklmnopqrst\0mysql_native_password\0")
    if what in ("sslrequest", "login"):
        asks = what == "sslrequest" or "ssl" in rest
        caps = 0x81BEA205 | (0x800 if asks else 0)
        body = struct.pack("<IIB", caps, 1 << 24, 45) + bytes(19)
        body += struct.pack("<I", 29 if mariadb else 0)
        if what == "login":
            body += b"root\0\x14" + bytes(range(20)) + b"mysql_native_password\0"
        return packet(1, body)
    return packet(int(what), b"".join(builder.bytes_of(w) for w in rest))


def rdp(builder, side, words):
    what, rest = words[0], words[1:]
    kinds = {"request": 1, "confirm": 2, "failure": 3}
    body = b""
    value = next((w for w in rest if w.isdigit()), None)
    for w in rest:
        name, _, given = w.partition("=")
        if name == "cookie":
            body += b"Cookie: mstshash=" + given.encode() + b"\r\n"
        elif name == "protocols":
            value = given
    if value is not None:
        body += struct.pack("<BBHI", kinds[what], 0, 8, int(value))
    x224 = bytes([0xE0 if what == "request" else 0xD0]) + bytes(5) + body
    return struct.pack("!BBHB", 3, 0, len(x224) + 5, len(x224)) + x224


ITEMS = {"ldap": ldap, "pg": postgresql, "mysql": mysql, "rdp": rdp}
