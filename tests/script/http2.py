"""HTTP/2 items of the text scripts.

    preface()                     the client's connection preface, without its SETTINGS
    settings(8=1 3=100 ack)       a SETTINGS frame
    headers(STREAM ":method=GET" "name=value" ... end more pad=N prio index)
                                  end: END_STREAM; more: CONTINUATION follows; pad: bytes of padding;
                                  prio: priority fields; index: fields enter the dynamic table
    continuation(STREAM "name=value" ... more)
    push(STREAM PROMISED "name=value" ... pad=N)
    data(STREAM items... end pad=N)      any other items, as they stand in a line
    rst(STREAM CODE)              RST_STREAM
    goaway(LAST CODE "text")
    window(STREAM INCREMENT)  ping("8 bytes") of HTTP/2 is h2ping("8 bytes")
    h2frame(TYPE FLAGS STREAM items... len=N)   any frame; len: what its header claims
"""
import re
import struct

STATIC = [
    (":authority", ""), (":method", "GET"), (":method", "POST"), (":path", "/"),
    (":path", "/index.html"), (":scheme", "http"), (":scheme", "https"), (":status", "200"),
    (":status", "204"), (":status", "206"), (":status", "304"), (":status", "400"),
    (":status", "404"), (":status", "500"),
]
CODES = {"NO_ERROR": 0, "PROTOCOL_ERROR": 1, "INTERNAL_ERROR": 2, "REFUSED_STREAM": 7, "CANCEL": 8,
         "CONNECT_ERROR": 10, "HTTP_1_1_REQUIRED": 13}
FIRST_DYNAMIC = 62


def frame(kind, flags, stream, payload, length=None):
    length = len(payload) if length is None else length
    return length.to_bytes(3, "big") + struct.pack("!BBI", kind, flags, stream) + payload


def integer(bits, value, first):
    """RFC 7541 5.1"""
    most = (1 << bits) - 1
    if value < most:
        return bytes([first | value])
    out = bytearray([first | most])
    value -= most
    while value >= 128:
        out.append(value % 128 + 128)
        value //= 128
    out.append(value)
    return bytes(out)


def text(value):
    return integer(7, len(value), 0) + value


def table(builder, side):
    """What this side's encoder has in its dynamic table, the newest first."""
    return builder.flow.setdefault("hpack", [[], []])[side]


def field(builder, side, name, value, index):
    dynamic = table(builder, side)
    if (name, value) in STATIC:
        return integer(7, STATIC.index((name, value)) + 1, 0x80)
    if (name, value) in dynamic:
        return integer(7, dynamic.index((name, value)) + FIRST_DYNAMIC, 0x80)
    raw = text(name.encode("latin-1")) + text(value.encode("latin-1"))
    if index:
        dynamic.insert(0, (name, value))
        return b"\x40" + raw
    return b"\x00" + raw


def padded(words, payload):
    """(flag, payload) with the padding that pad=N asks for."""
    for w in words:
        if w.startswith("pad="):
            pad = int(w[4:])
            return 8, bytes([pad]) + payload + bytes(pad)
    return 0, payload


def block(builder, side, words):
    """The fields of a block, and the words that are none."""
    out, rest = b"", []
    for w in words:
        if w.startswith('"') or w.startswith("hex:"):
            raw = builder.bytes_of(w)
            if w.startswith("hex:"):
                out += raw
                continue
            name, _, value = raw.decode("latin-1").partition("=")
            out += field(builder, side, name, value, "index" in words)
        else:
            rest.append(w)
    return out, rest


def headers(builder, side, words):
    fields, rest = block(builder, side, words[1:])
    flags = 0 if "more" in rest else 4
    flags |= 1 if "end" in rest else 0
    if "prio" in rest:
        flags |= 32
        fields = struct.pack("!IB", 0, 15) + fields
    more, payload = padded(rest, fields)
    return frame(1, flags | more, int(words[0]), payload)


def continuation(builder, side, words):
    fields, rest = block(builder, side, words[1:])
    return frame(9, 0 if "more" in rest else 4, int(words[0]), fields)


def push(builder, side, words):
    fields, rest = block(builder, side, words[2:])
    more, payload = padded(rest, struct.pack("!I", int(words[1])) + fields)
    return frame(5, 4 | more, int(words[0]), payload)


def items(builder, side, words):
    out, i = b"", 0
    while i < len(words):
        piece, i = builder.piece(side, words, i)
        out += piece
    return out


def data(builder, side, words):
    options = [w for w in words if w == "end" or w.startswith("pad=")]
    body = items(builder, side, [w for w in words[1:] if w not in options])
    more, payload = padded(options, body)
    return frame(0, more | ("end" in options), int(words[0]), payload)


def settings(builder, side, words):
    if "ack" in words:
        return frame(4, 1, 0, b"")
    return frame(4, 0, 0, b"".join(struct.pack("!HI", *(int(x) for x in w.split("=")))
                                   for w in words))


def code(word):
    return CODES[word] if word in CODES else int(word)


def any_frame(builder, side, words):
    claimed = [int(w[4:]) for w in words if re.fullmatch(r"len=\d+", w)]
    body = items(builder, side, [w for w in words[3:] if not w.startswith("len=")])
    return frame(int(words[0]), int(words[1]), int(words[2]), body, *claimed)


def goaway(builder, side, words):
    return frame(7, 0, 0, struct.pack("!II", int(words[0]), code(words[1])) +
                 items(builder, side, words[2:]))


ITEMS = {
    "preface": lambda builder, side, words: b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "settings": settings,
    "headers": headers,
    "continuation": continuation,
    "push": push,
    "data": data,
    "rst": lambda builder, side, words: frame(3, 0, int(words[0]), struct.pack("!I", code(words[1]))),
    "goaway": goaway,
    "window": lambda builder, side, words: frame(8, 0, int(words[0]), struct.pack("!I", int(words[1]))),
    "h2ping": lambda builder, side, words: frame(6, 0, 0, items(builder, side, words)),
    "h2frame": any_frame,
}
