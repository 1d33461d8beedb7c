"""permessage-deflate sessions (the suite's 12.x and 13.x): every combination of the parameters,
both sides compressing as agreed, and neighbours that do not keep to it."""
import random
import zlib

from cases import BINARY, CONT, MESSAGES, PING, PONG, TEXT, Frame, close, pieces
from peers import SIDES, Talk


class Deflater:
    """One side. zlib cannot make a window of 8 bits; with 9 it reaches back 250 bytes at most
    (512 less its look-ahead of 262), so what it writes is good for 8 bits too."""

    def __init__(self, bits=15, takeover=True, level=9):
        self.bits, self.takeover, self.level, self.z = max(bits, 9), takeover, level, None

    def message(self, data):
        if self.z is None or not self.takeover:
            self.z = zlib.compressobj(self.level, zlib.DEFLATED, -self.bits)
        return (self.z.compress(data) + self.z.flush(zlib.Z_SYNC_FLUSH))[:-4]


class Inflated:
    """Frames of one compressed message, and what it is."""

    def __init__(self, opcode, plain, wire, fragment, between=()):
        parts = pieces(wire, fragment) if fragment else [wire]
        self.frames = []
        for i, part in enumerate(parts):
            self.frames.append(Frame(CONT if i else opcode, part, fin=int(i == len(parts) - 1),
                                     rsv=0 if i else 4))
            if i < len(parts) - 1:
                self.frames.extend(between)
        self.row = (opcode, len(parts), plain)


def data_sets():
    """Five kinds of data, as the suite has: two pictures and documents, prose, JSON and HTML."""
    r = random.Random(12)
    words = [bytes(r.choices(b"etaoinshrdlu", k=r.randint(2, 9))) for _ in range(700)]
    prose = b" ".join(r.choices(words, k=40000))
    picture = bytes(min(255, max(0, 128 + int(90 * ((i >> 9) % 7 - 3) / 3) + r.randint(-9, 9)))
                    for i in range(131072)) * 2
    document = r.randbytes(262144)
    record = b'{"id": %d, "name": "%s", "tags": ["%s", "%s"], "value": %d.%02d}, '
    json = b"".join(record % (i, r.choice(words), r.choice(words), r.choice(words),
                              r.randint(0, 999), r.randint(0, 99)) for i in range(4000))
    html = b"".join(b'<tr class="%s"><td>%d</td><td>%s</td></tr>\n' % (
        r.choice(words), i, b" ".join(r.choices(words, k=6))) for i in range(4000))
    return [(BINARY, prose), (BINARY, picture), (BINARY, document), (TEXT, json), (TEXT, html)]


class Pair:
    """A session in which the fuzzer sends messages and the peer echoes them, both compressed."""

    def __init__(self, builder, name, fuzzer, offer, answer, takeover=(True, True), bits=(15, 15),
                 really=None):
        self.talk = Talk(builder, name, fuzzer, offer, answer)
        really = really or {}
        self.deflaters = [Deflater(*really.get(s, (bits[s], takeover[s]))) for s in (0, 1)]
        self.sizes = [[0, 0], [0, 0]]

    def message(self, side, opcode, plain, fragment=0, between=()):
        wire = self.deflaters[side].message(plain)
        whole = Inflated(opcode, plain, wire, fragment, between)
        talk = self.talk
        talk.bytes(side, b"".join(talk.wire(side, f) for f in whole.frames))
        for frame in whole.frames:
            talk.broken(side, frame)
            self.talk.messages[side].frames += 1
            self.talk.messages[side].bytes += len(frame.payload)
            if frame.opcode in (PING, PONG):
                self.talk.messages[side].rows.append((frame.opcode, 1, frame.payload))
        self.talk.messages[side].rows.append(whole.row)
        self.sizes[side][0] += len(wire)
        self.sizes[side][1] += len(plain)

    def echo(self, opcode, plain, fragment=0):
        self.message(self.talk.fuzzer, opcode, plain, fragment)
        self.message(self.talk.peer, opcode, plain)

    def end(self):
        talk = self.talk
        for side in (0, 1):
            wire, plain = self.sizes[side]
            if plain >= 128 and wire >= plain:
                talk.find("pmd-useless", side)
        talk.send(talk.fuzzer, close(1000))
        talk.send(talk.peer, close(1000))
        talk.both_fin()
        return talk


def sized(data, size, count):
    """`count` messages of this size, one behind the other in the data."""
    out, at = [], 0
    for _ in range(count):
        piece = data[at:at + size]
        if len(piece) < size:
            piece += data[:size - len(piece)]
        out.append(piece)
        at = (at + size) % len(data)
    return out


def how_many(size):
    return max(2, min(30, 8192 // size))


def all_defaults(builder, data):
    for d, (opcode, body) in enumerate(data, 1):
        for n, (size, fragment) in enumerate(MESSAGES, 1):
            fuzzer = (d + n) % 2
            pair = Pair(builder, "12.%d.%d %s" % (d, n, SIDES[fuzzer]), fuzzer,
                        "permessage-deflate; client_max_window_bits", "permessage-deflate")
            for plain in sized(body, size, how_many(size)):
                pair.echo(opcode, plain, fragment)
            yield pair.end()


# Offers and answers that agree: (offer, answer, (client, server takeover), (client, server bits)).
SUITE = [
    ("permessage-deflate", "permessage-deflate", (1, 1), (15, 15)),
    ("permessage-deflate; server_no_context_takeover",
     "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
     (0, 0), (15, 15)),
    ("permessage-deflate; client_max_window_bits; server_max_window_bits=9",
     "permessage-deflate; server_max_window_bits=9; client_max_window_bits=9", (1, 1), (9, 9)),
    ("permessage-deflate; client_max_window_bits; server_max_window_bits=15",
     "permessage-deflate; server_max_window_bits=15; client_max_window_bits=15", (1, 1), (15, 15)),
    ("permessage-deflate; client_max_window_bits; server_no_context_takeover; "
     "server_max_window_bits=9", "permessage-deflate; server_no_context_takeover; "
     "server_max_window_bits=9; client_no_context_takeover; client_max_window_bits=9",
     (0, 0), (9, 9)),
    ("permessage-deflate; client_max_window_bits; server_no_context_takeover; "
     "server_max_window_bits=15", "permessage-deflate; server_no_context_takeover; "
     "server_max_window_bits=15; client_no_context_takeover; client_max_window_bits=15",
     (0, 0), (15, 15)),
    ("permessage-deflate; server_no_context_takeover; server_max_window_bits=9, "
     "permessage-deflate; server_no_context_takeover, permessage-deflate",
     "permessage-deflate; server_no_context_takeover", (1, 0), (15, 15)),
]


def all_parameters(builder, data):
    opcode, body = data[3]
    for g, (offer, answer, takeover, bits) in enumerate(SUITE, 1):
        for n, (size, fragment) in enumerate(MESSAGES, 1):
            fuzzer = (g + n) % 2
            pair = Pair(builder, "13.%d.%d %s" % (g, n, SIDES[fuzzer]), fuzzer, offer, answer,
                        takeover, bits)
            for plain in sized(body, size, how_many(size)):
                pair.echo(opcode, plain, fragment)
            yield pair.end()


def combination(server_bits, client_bits, server_keeps, client_keeps):
    offer, answer = ["permessage-deflate"], ["permessage-deflate"]
    if not server_keeps:
        offer.append("server_no_context_takeover")
        answer.append("server_no_context_takeover")
    if not client_keeps:
        answer.append("client_no_context_takeover")
    if server_bits:
        offer.append("server_max_window_bits=%d" % server_bits)
        answer.append("server_max_window_bits=%d" % server_bits)
    if client_bits:
        offer.append("client_max_window_bits")
        answer.append("client_max_window_bits=%d" % client_bits)
    return "; ".join(offer), "; ".join(answer)


def all_combinations(builder, data):
    """Messages that repeat themselves at a distance just inside each window, and one another."""
    opcode, body = data[3]
    for server_bits in (0, 8, 9, 12, 15):
        for client_bits in (0, 8, 9, 12, 15):
            for keeps in range(4):
                server_keeps, client_keeps = keeps & 1, keeps >> 1
                offer, answer = combination(server_bits, client_bits, server_keeps, client_keeps)
                pair = Pair(builder, "13 s%d c%d %d%d" % (server_bits, client_bits, server_keeps,
                                                          client_keeps), keeps % 2, offer, answer,
                            (client_keeps, server_keeps), (client_bits or 15, server_bits or 15))
                pair.echo(opcode, b"")
                for plain in (body[:700], body[:700], body[200:6000], body[:40]):
                    pair.echo(opcode, plain, 256)
                pair.message(pair.talk.fuzzer, opcode, body[:900], 100,
                             [Frame(PONG, b"", breaks="ws-pong-unsolicited")])
                yield pair.end()


def broken_promises(builder, data):
    """Who does not keep to what was agreed, on either side, and nobody else."""
    opcode, body = data[3]
    for side in (0, 1):
        who = SIDES[side]
        window = "%s_max_window_bits=9" % who
        offer = "permessage-deflate; client_max_window_bits" + ("; " + window if side else "")
        pair = Pair(builder, "13 window " + who, 0, offer, "permessage-deflate; " + window,
                    bits=(15, 9) if side else (9, 15), really={side: (15, True)})
        for plain in (body[:3000], body[:3000]):
            pair.echo(opcode, plain)
        pair.talk.findings["pmd-window-violated", who] = 2
        yield pair.end()
        keeps = "%s_no_context_takeover" % who
        pair = Pair(builder, "13 context " + who, 0, "permessage-deflate; " + keeps,
                    "permessage-deflate; " + keeps, takeover=(side, 1 - side),
                    really={side: (15, True)})
        for plain in (body[:300], body[:300], body[:300]):
            pair.echo(opcode, plain)
        pair.talk.findings["pmd-context-violated", who] = 2
        yield pair.end()
        for rule, opcode_at in (("pmd-rsv1-on-control-or-continuation", 0),
                                ("pmd-rsv1-on-control-or-continuation", 9)):
            pair = Pair(builder, "13 rsv1 %s %d" % (who, opcode_at), 1 - side, "permessage-deflate",
                        "permessage-deflate")
            talk = pair.talk
            if opcode_at:
                talk.send(side, Frame(PING, b"", rsv=4, breaks=rule))
            else:
                wire = pair.deflaters[side].message(b"in two parts")
                for f in (Frame(TEXT, wire[:5], fin=0, rsv=4),
                          Frame(CONT, wire[5:], rsv=4, breaks=rule)):
                    talk.send(side, f)
                talk.messages[side].rows[-1] = (TEXT, 2, b"in two parts")
            yield pair.end()


def all_sessions(builder):
    data = data_sets()
    yield from all_defaults(builder, data)
    yield from all_parameters(builder, data)
    yield from all_combinations(builder, data)
    yield from broken_promises(builder, data)
