"""Puts the TCP connections of a capture into TLS 1.3: the same packets at the same times, each with
its bytes sealed, behind a handshake. The keys go into a key log."""
import ctypes
import ctypes.util
import struct

import chacha
import packets
import tls

NAME = "wrapped.example"  # in the hellos
PIECE = 16000  # bytes of a packet at most: what a record holds, and an IPv4 packet with it


class LibCrypto:
    """chacha.seal() by OpenSSL where it is found: the same bytes, a thousand times as fast."""

    def __init__(self):
        self.lib = None
        try:
            self.lib = ctypes.CDLL(ctypes.util.find_library("crypto"))
            for name in ("EVP_CIPHER_CTX_new", "EVP_chacha20_poly1305"):
                getattr(self.lib, name).restype = ctypes.c_void_p
            self.context = ctypes.c_void_p(self.lib.EVP_CIPHER_CTX_new())
            self.cipher = ctypes.c_void_p(self.lib.EVP_chacha20_poly1305())
        except (AttributeError, OSError, TypeError):
            self.lib = None

    def seal(self, key, nonce, plain, aad):
        if self.lib is None:
            return chacha.seal(key, nonce, plain, aad)
        out, tag, size = ctypes.create_string_buffer(len(plain) + 1), (ctypes.c_char * 16)(), \
            ctypes.c_int()
        self.lib.EVP_EncryptInit_ex(self.context, self.cipher, None, key, nonce)
        self.lib.EVP_EncryptUpdate(self.context, None, ctypes.byref(size), aad, len(aad))
        self.lib.EVP_EncryptUpdate(self.context, out, ctypes.byref(size), plain, len(plain))
        self.lib.EVP_EncryptFinal_ex(self.context, tag, ctypes.byref(size))
        self.lib.EVP_CIPHER_CTX_ctrl(self.context, 16, 16, tag)  # EVP_CTRL_AEAD_GET_TAG
        return out.raw[:len(plain)] + tag.raw


LIBCRYPTO = LibCrypto()


class Sealer:
    """What tls.py wants to know of its builder, and the two streams of one connection."""

    def __init__(self, number, keys):
        self.keys, self.flows, self.flow = keys, 1000000 + number, {}

    def handshake(self, alpn):
        words = ["alpn=" + alpn] if alpn else []
        yield 0, tls.client_hello(self, 0, ["keyed", "sni=" + NAME] + words)
        self.flow["tls"].aead = LIBCRYPTO.seal
        yield 1, tls.tls_server(self, 1, words)
        yield 0, tls.tls_client(self, 0, [])

    def seal(self, side, plain, pad):
        return self.flow["tls"].seal(side, 23, plain, pad)

    def close_notify(self, side):
        return self.flow["tls"].seal(side, 21, b"\1\0")


class Stream:
    """One direction: where its plain bytes are among the sealed ones."""

    def __init__(self):
        self.isn = None
        self.plain = self.sealed = 0  # lengths so far
        self.places = [(0, 0)]
        self.sent = {}  # offset: bytes as sent
        self.edges = set()  # what the peer acknowledged, where records end for this reason

    def grow(self, plain, sealed):
        self.plain += plain
        self.sealed += sealed
        self.places.append((self.plain, self.sealed))

    def place(self, offset):
        """A byte in the middle of a record is there when the whole record is."""
        if offset >= self.plain:
            return self.sealed + offset - self.plain
        if offset < 0:
            return offset
        return max(sealed for plain, sealed in self.places if plain <= offset)

    def offset(self, seq):
        return (seq - self.isn - 1 + 2**31) % 2**32 - 2**31


class Flow:
    def __init__(self):
        self.client, self.wrapped, self.begun, self.first = None, True, False, b""
        self.streams = [Stream(), Stream()]
        self.ended = [False, False]

    def side(self, packet):
        return 0 if packet.flow == self.client else 1


def ends(packet):
    at = packet.at
    ends = [packet.raw[at + 12:at + 16] + packet.raw[packet.tcp:packet.tcp + 2],
            packet.raw[at + 16:at + 20] + packet.raw[packet.tcp + 2:packet.tcp + 4]]
    return packet.raw[12:at] + b"".join(sorted(ends))  # in another VLAN it is another flow


def survey(capture):
    """Each packet's flow (None: no TCP). Only those whose packets came in order, whole, from the
    SYN on, can be wrapped."""
    found, open_flows = [], {}
    for p in capture:
        if p.tcp is None:
            found.append(None)
            continue
        if p.flags & packets.SYN and not p.flags & 16 and (
                ends(p) not in open_flows or open_flows[ends(p)].begun):
            open_flows[ends(p)] = Flow()
            open_flows[ends(p)].client = p.flow
        flow = open_flows.setdefault(ends(p), Flow())
        found.append(flow)
        flow.wrapped &= look(flow, p)
        flow.begun |= len(p.payload) > 0
    for flow in {id(f): f for f in found if f is not None}.values():
        flow.wrapped &= flow.begun
        flow.begun = False
        for stream in flow.streams:
            stream.plain = 0
            stream.sent = {}
    return found


def look(flow, p):
    """Is this packet one that can be wrapped?"""
    stream = flow.streams[flow.side(p)]
    total = struct.unpack("!H", p.raw[p.at + 2:p.at + 4])[0]
    if p.flags & packets.SYN:
        stream.isn = p.seq
        return not p.payload
    if flow.client is None or None in (flow.streams[0].isn, flow.streams[1].isn) or \
            len(p.raw) < p.at + total:
        return False
    peer = flow.streams[1 - flow.side(p)]
    if p.flags & 16:
        ack = peer.offset(struct.unpack("!I", p.head[p.tcp + 8:p.tcp + 12])[0])
        if ack > peer.plain + 1:  # a FIN has a number, too
            return False
        peer.edges.add(ack)
    if not p.payload:
        return True
    offset = stream.offset(p.seq)
    if offset == stream.plain:
        stream.plain += len(p.payload)
        stream.sent[offset] = p.payload
        flow.first = flow.first or p.payload
        return True
    return stream.sent.get(offset) == p.payload  # the same again


def rewritten(flow, p, payload, offset=None):
    """The packet with another payload, and numbers that fit."""
    side = flow.side(p)
    own, peer = flow.streams[side], flow.streams[1 - side]
    head = bytearray(p.head)
    seq = own.place(own.offset(p.seq)) if offset is None else offset
    struct.pack_into("!I", head, p.tcp + 4, (own.isn + 1 + seq) & 0xFFFFFFFF)
    if p.flags & 16 and flow.begun:
        ack = struct.unpack("!I", p.head[p.tcp + 8:p.tcp + 12])[0]
        place = peer.place(peer.offset(ack))
        struct.pack_into("!I", head, p.tcp + 8, (peer.isn + 1 + place) & 0xFFFFFFFF)
    struct.pack_into("!H", head, p.at + 2, len(head) - p.at + len(payload))
    struct.pack_into("!H", head, p.at + 10, 0)
    struct.pack_into("!H", head, p.tcp + 16, 0)
    head[p.tcp + 13] = p.flags | (8 if payload else 0)
    return packets.Packet(p.time, bytes(head) + payload)


def opening(flow, p, sealer, alpn):
    """The packets of the TLS handshake, in front of the first one with data."""
    flow.begun = True
    models = {flow.side(p): p.head}
    swapped = bytearray(p.head)
    at, tcp = p.at, p.tcp
    swapped[:12] = p.head[6:12] + p.head[:6]
    swapped[at + 12:at + 20] = p.head[at + 16:at + 20] + p.head[at + 12:at + 16]
    swapped[tcp:tcp + 4] = p.head[tcp + 2:tcp + 4] + p.head[tcp:tcp + 2]
    models[1 - flow.side(p)] = bytes(swapped)
    for n, (side, data) in enumerate(sealer.handshake(alpn)):
        own, peer = flow.streams[side], flow.streams[1 - side]
        head = bytearray(models[side][:tcp + 20])
        head[tcp + 12] = 5 << 4  # no options: they are of one side, its time stamps above all
        struct.pack_into("!II", head, tcp + 4, (own.isn + 1 + own.sealed) & 0xFFFFFFFF,
                         (peer.isn + 1 + peer.sealed) & 0xFFFFFFFF)
        head[tcp + 13] = 24
        struct.pack_into("!H", head, at + 2, len(head) - at + len(data))
        struct.pack_into("!H", head, at + 10, 0)
        struct.pack_into("!H", head, tcp + 16, 0)
        yield packets.Packet(p.time - 3 + n, bytes(head) + data)
        own.sealed += len(data)
    for stream in flow.streams:
        stream.places = [(0, stream.sealed)]


class Wrapping:
    """`alpn(first bytes)` names the protocol in the hellos or is None; `sizes()` is the length of
    the next record; `notify`: close_notify in front of each FIN."""

    def __init__(self, alpn, sizes, notify, pad=0):
        self.alpn, self.sizes, self.notify, self.pad = alpn, sizes, notify, pad
        self.keys = []  # lines of the key log
        self.origin = [0]  # by packet number: what it was in the clear
        self.wrapped = 0  # connections

    def wrap(self, capture):
        """Captures given one after the other are one: the packet numbers run through."""
        out = []
        sealers = {}
        before = self.origin[-1]
        for number, (p, flow) in enumerate(zip(capture, survey(capture)), before + 1):
            made = [p]
            if flow is not None and flow.wrapped:
                if id(flow) not in sealers:
                    self.wrapped += 1
                    sealers[id(flow)] = Sealer(self.wrapped, self.keys)
                made = list(self.packet(flow, p, sealers[id(flow)]))
            out += made
            self.origin += [number] * len(made)
        return out

    def records(self, stream, side, payload, sealer):
        start, out = stream.plain, b""
        while payload:
            size = min([self.sizes(), len(payload)] +
                       [edge - stream.plain for edge in stream.edges if edge > stream.plain])
            record = sealer.seal(side, payload[:size], self.pad)
            stream.grow(size, len(record))
            payload, out = payload[size:], out + record
        if out:
            stream.sent[start] = out
        return out

    def packet(self, flow, p, sealer):
        stream, side = flow.streams[flow.side(p)], flow.side(p)
        if p.flags & packets.SYN:
            yield p
            return
        if p.payload and not flow.begun:
            yield from opening(flow, p, sealer, self.alpn(flow.first))
        offset = stream.offset(p.seq)
        if p.payload and offset < stream.plain:
            yield rewritten(flow, p, stream.sent[offset])
            return
        while len(p.payload) > PIECE:
            piece = p.piece(0, PIECE, False)
            yield from self.packet(flow, piece, sealer)
            p = p.piece(PIECE, len(p.payload), True)
        at, pieces = stream.sealed, self.records(stream, side, p.payload, sealer)
        if p.flags & packets.FIN and self.notify and flow.begun and not flow.ended[side]:
            flow.ended[side] = True
            notify = sealer.close_notify(side)
            pieces += notify
            stream.grow(0, len(notify))
            yield rewritten(flow, p, pieces, at)
            return
        yield rewritten(flow, p, pieces, at if p.payload else None)
