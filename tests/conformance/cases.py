"""What the fuzzing endpoint of the Autobahn test suite sends in its cases, told anew: one `Case`
for each, its frames in order, and on each frame what is wrong with it. The case numbers are the
suite's.

A frame that breaks a rule names it (`breaks`) and the code with which a strict peer fails the
connection (`fails`); from there on a strict peer reads nothing more.
"""
import random

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10


class Frame:
    def __init__(self, opcode, payload=b"", fin=1, rsv=0, breaks=(), fails=None, bad_at=None):
        self.opcode, self.payload, self.fin, self.rsv = opcode, payload, fin, rsv
        self.breaks = (breaks,) if isinstance(breaks, str) else tuple(breaks)
        self.fails = fails    # the code of a strict peer's Close
        self.bad_at = bad_at  # so many payload bytes prove it; None: the header does

    def wire(self, key=None):
        """key: four bytes of a masking key; None: not masked."""
        n = len(self.payload)
        head = bytes([self.fin << 7 | self.rsv << 4 | self.opcode])
        bit = 0 if key is None else 0x80
        if n > 65535:
            head += bytes([bit | 127]) + n.to_bytes(8, "big")
        elif n > 125:
            head += bytes([bit | 126]) + n.to_bytes(2, "big")
        else:
            head += bytes([bit | n])
        return head + self.payload if key is None else head + key + masked(self.payload, key)


def masked(payload, key):
    n = len(payload)
    pad = (key * (n // 4 + 1))[:n]
    return (int.from_bytes(payload, "little") ^ int.from_bytes(pad, "little")).to_bytes(n, "little")


class Case:
    """chop: the frames leave in segments of so many bytes. one_way: too much to be echoed here.
    roles: 0 the fuzzer is the client, 1 the server."""

    def __init__(self, name, frames, chop=None, one_way=False, roles=(0, 1), big=False):
        self.name, self.frames, self.chop = name, frames, chop
        self.one_way, self.roles, self.big = one_way, roles, big

    def fatal(self):
        """The index of the frame that a strict peer fails at, or None."""
        for i, frame in enumerate(self.frames):
            if frame.fails is not None:
                return i
        return None


def text(payload, **more):
    return Frame(TEXT, payload if isinstance(payload, bytes) else payload.encode(), **more)


def close(code=None, reason=b"", **more):
    return Frame(CLOSE, b"" if code is None else code.to_bytes(2, "big") + reason, **more)


def fragments(opcode, parts, between=()):
    """One message in these parts; `between` goes behind each but the last."""
    out = []
    for i, part in enumerate(parts):
        out.append(Frame(opcode if i == 0 else CONT, part, fin=int(i == len(parts) - 1)))
        if i < len(parts) - 1:
            out.extend(between)
    return out


def pieces(payload, size):
    return [payload[i:i + size] for i in range(0, len(payload), size)] or [b""]


# --- 1: framing ---

LENGTHS = [(0, None), (125, None), (126, None), (127, None), (128, None), (65535, None),
           (65536, None), (65536, 997)]


def framing():
    for group, opcode, byte in ((1, TEXT, b"*"), (2, BINARY, b"\xfe")):
        for n, (length, chop) in enumerate(LENGTHS, 1):
            yield Case("1.%d.%d" % (group, n), [Frame(opcode, byte * length)], chop=chop)


# --- 2: pings and pongs ---

ODD = b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff"


def pings():
    lone = "ws-pong-unsolicited"
    long = Frame(PING, b"\xfe" * 126, breaks="ws-control-too-long", fails=1002)
    ten = [Frame(PING, b"payload-%d" % i) for i in range(10)]
    yield Case("2.1", [Frame(PING)])
    yield Case("2.2", [Frame(PING, b"Hello, world!")])
    yield Case("2.3", [Frame(PING, ODD)])
    yield Case("2.4", [Frame(PING, b"\xfe" * 125)])
    yield Case("2.5", [long])
    yield Case("2.6", [Frame(PING, b"\xfe" * 125)], chop=1)
    yield Case("2.7", [Frame(PONG, breaks=lone)])
    yield Case("2.8", [Frame(PONG, b"nobody asked", breaks=lone)])
    yield Case("2.9", [Frame(PONG, b"nobody asked", breaks=lone), Frame(PING, b"but I do")])
    yield Case("2.10", ten)
    yield Case("2.11", ten, chop=1)


# --- 3: reserved bits ---

def reserved_bits():
    def bad(opcode, payload, rsv):
        return Frame(opcode, payload, rsv=rsv, breaks="ws-rsv-without-extension", fails=1002)
    small, ping = text("Hello, world!"), Frame(PING)
    yield Case("3.1", [bad(TEXT, small.payload, 1)])
    yield Case("3.2", [small, bad(TEXT, small.payload, 2), ping])
    yield Case("3.3", [small, bad(TEXT, small.payload, 3), ping])
    yield Case("3.4", [small, bad(TEXT, small.payload, 4), ping], chop=1)
    yield Case("3.5", [bad(BINARY, ODD, 5)])
    yield Case("3.6", [bad(PING, b"Hello, world!", 6)])
    yield Case("3.7", [bad(CLOSE, b"", 7)])


# --- 4: opcodes ---

def opcodes():
    small, ping = text("Hello, world!"), Frame(PING)
    for group, first in ((1, 3), (2, 11)):
        def bad(opcode, payload=b""):
            return Frame(opcode, payload, breaks="ws-opcode-reserved", fails=1002)
        yield Case("4.%d.1" % group, [bad(first)])
        yield Case("4.%d.2" % group, [bad(first + 1, b"reserved opcode payload")])
        yield Case("4.%d.3" % group, [small, bad(first + 2), ping])
        yield Case("4.%d.4" % group, [small, bad(first + 3, small.payload), ping])
        yield Case("4.%d.5" % group, [small, bad(first + 4, small.payload), ping], chop=1)


# --- 5: fragments ---

def fragmented_control(opcode):
    # what continues it belongs to the same mistake
    return [Frame(opcode, b"fragment1", fin=0, breaks="ws-control-fragmented", fails=1002),
            Frame(CONT, b"fragment2")]


def fragmentation():
    two, ping = [b"fragment1", b"fragment2"], Frame(PING, b"ping payload")
    five = [b"fragment%d" % i for i in range(1, 6)]

    def orphan(payload, fin):
        return Frame(CONT, payload, fin=fin, breaks="ws-continuation-without-start", fails=1002)
    hello = text("Hello, world!")
    lost = b"non-continuation payload"
    yield Case("5.1", fragmented_control(PING))
    yield Case("5.2", fragmented_control(PONG))
    yield Case("5.3", fragments(TEXT, two))
    yield Case("5.4", fragments(TEXT, two), chop=23)
    yield Case("5.5", fragments(TEXT, two), chop=1)
    yield Case("5.6", fragments(TEXT, two, [ping]))
    yield Case("5.7", fragments(TEXT, two, [ping]), chop=23)
    yield Case("5.8", fragments(TEXT, two, [ping]), chop=1)
    for n, fin in ((9, 1), (12, 0)):
        for i, chop in enumerate((None, 37, 1)):
            yield Case("5.%d" % (n + i), [orphan(lost, fin), hello], chop=chop)
    yield Case("5.15", fragments(TEXT, two) + [orphan(b"fragment3", 0), text("fragment4")])
    for n, fin in ((16, 0), (17, 1)):
        yield Case("5.%d" % n, [orphan(b"fragment1", fin)] + fragments(TEXT, five[1:3]) +
                   [orphan(b"fragment1", fin)] + fragments(TEXT, five[1:3]))
    yield Case("5.18", [text("fragment1", fin=0),
                        text("fragment2", breaks="ws-interleaved-message", fails=1002)])
    slow = fragments(TEXT, five, [])
    slow.insert(2, Frame(PING, b"pongme 1!"))
    slow.insert(5, Frame(PING, b"pongme 2!"))
    yield Case("5.19", slow)
    yield Case("5.20", slow, chop=1)


# --- 6: UTF-8 ---

GREEK = bytes.fromhex("cebae1bdb9cf83cebcceb5")
GOOD_TEXT = "Hello-µ@ßöäüàá-UTF-8!!".encode()
BAD_TEXT = GREEK + b"\xed\xa0\x80edited"
TEN_FFFF = GREEK + b"\xf4\x90\x80\x80edited"


def ill_formed():
    """Byte strings of a well-known decoder test: (bytes, is it UTF-8)."""
    groups = [
        "68656c6c6f24776f726c64 68656c6c6fc2a2776f726c64 68656c6c6fe282ac776f726c64 "
        "68656c6c6ff0a4ada2776f726c64 cebae1bdb9cf83cebcceb5",
        " ".join(GREEK[:i].hex() for i in range(1, len(GREEK) + 1)),
        "00 c280 e0a080 f0908080", "f888808080 fc8480808080",
        "7f dfbf efbfbf f48fbfbf", "f7bfbfbf fbbfbfbfbf fdbfbfbfbfbf",
        "ed9fbf ee8080 efbfbd f48fbfbf f4908080",
        "80 bf 80bf 80bf80 80bf80bf 80bf80bf80 80bf80bf80bf " + bytes(range(0x80, 0xbf)).hex(),
        " ".join("".join("%02x20" % b for b in range(a, z))
                 for a, z in ((0xc0, 0xdf), (0xe0, 0xef), (0xf0, 0xf7), (0xf8, 0xfb),
                              (0xfc, 0xfd))),
        "c0 e080 f08080 f8808080 fc80808080 df efbf f7bfbf fbbfbfbf fdbfbfbfbf",
        "c0e080f08080f8808080fc80808080dfefbff7bfbffbbfbfbffdbfbfbfbf", "fe ff fefeffff",
        "c0af e080af f08080af f8808080af fc80808080af",
        "c1bf e09fbf f08fbfbf f887bfbfbf fc83bfbfbfbf",
        "c080 e08080 f0808080 f880808080 fc8080808080",
        "eda080 edadbf edae80 edafbf edb080 edbe80 edbfbf",
        " ".join(a + b for a in ("eda080", "edadbf", "edae80", "edafbf")
                 for b in ("edb080", "edbfbf")),
        "efbfbe efbfbf " + " ".join(
            "%02x%02xbf%02x" % (a, b, c)
            for a in range(0xf0, 0xf5) for b in (0x8f, 0x9f, 0xaf, 0xbf) for c in (0xbe, 0xbf)
            if (a, b) != (0xf0, 0x8f) and (a != 0xf4 or b == 0x8f)),
        "efbfb9 efbfba efbfbb efbfbc efbfbd efbfbe efbfbf",
    ]
    for group in groups:
        yield [bytes.fromhex(word) for word in group.split()]


def is_utf8(data):
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def bad_from(data):
    """How many bytes prove that it is not UTF-8."""
    for i in range(1, len(data) + 1):
        try:
            data[:i].decode("utf-8")
        except UnicodeDecodeError as error:
            if "unexpected end" not in error.reason:
                return i
    return len(data)


def judged(frames):
    """Marks the frame of a fragmented text that completes the proof."""
    whole = b"".join(f.payload for f in frames)
    if is_utf8(whole):
        return frames
    at, end = bad_from(whole), 0
    for frame in frames:
        end += len(frame.payload)
        if end >= at:
            frame.breaks, frame.fails = ("ws-bad-utf8",), 1007
            frame.bad_at = at - (end - len(frame.payload))
            break
    return frames


def utf8():
    yield Case("6.1.1", [text("")])
    yield Case("6.1.2", fragments(TEXT, [b"", b"", b""]))
    yield Case("6.1.3", fragments(TEXT, [b"", b"middle frame payload", b""]))
    yield Case("6.2.1", [text(GOOD_TEXT)])
    yield Case("6.2.2", fragments(TEXT, [GOOD_TEXT[:12], GOOD_TEXT[12:]]))
    yield Case("6.2.3", fragments(TEXT, pieces(GOOD_TEXT, 1)))
    yield Case("6.2.4", fragments(TEXT, pieces(GREEK, 1)))
    yield Case("6.3.1", judged([text(BAD_TEXT)]))
    yield Case("6.3.2", judged(fragments(TEXT, pieces(BAD_TEXT, 1))))
    yield Case("6.4.1", judged(fragments(TEXT, [GREEK, b"\xf4\x90\x80\x80", b"edited"])))
    yield Case("6.4.2", judged(fragments(TEXT, [GREEK + b"\xf4", b"\x90", b"\x80\x80edited"])))
    yield Case("6.4.3", judged([text(TEN_FFFF)]), chop=17)
    yield Case("6.4.4", judged([text(TEN_FFFF)]), chop=1)
    for i, group in enumerate(ill_formed(), 5):
        for j, data in enumerate(group, 1):
            yield Case("6.%d.%d" % (i, j), judged([text(data)]))


# --- 7: closing ---

def closing():
    def after(opcode, payload=b"", fin=1):
        control = opcode >= CLOSE
        return Frame(opcode, payload, fin=fin,
                     breaks="ws-control-after-close" if control else "ws-data-after-close")
    hello = text("Hello World!")
    yield Case("7.1.1", [hello, close(1000)])
    yield Case("7.1.2", [close(1000), after(CLOSE, b"\x03\xe8")])
    yield Case("7.1.3", [close(1000), after(PING)])
    yield Case("7.1.4", [close(1000), after(TEXT, hello.payload)])
    yield Case("7.1.5", [text("fragment1", fin=0), close(1000), after(CONT, b"fragment2")])
    yield Case("7.1.6", [text(b"BAsd7&jh23" * 26214 + b"BAsd"), hello, close(1000), after(PING)])
    yield Case("7.3.1", [close()])
    yield Case("7.3.2", [Frame(CLOSE, b"a", breaks="ws-close-length-1", fails=1002)])
    yield Case("7.3.3", [close(1000)])
    yield Case("7.3.4", [close(1000, b"Hello World!")])
    yield Case("7.3.5", [close(1000, b"*" * 123)])
    yield Case("7.3.6", [close(1000, b"*" * 124, breaks="ws-control-too-long", fails=1002)])
    yield Case("7.5.1", [close(1000, BAD_TEXT, breaks="ws-close-reason-utf8", fails=1007)])
    for n, code in enumerate((1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999,
                              4000, 4999, 1012, 1013, 1014), 1):
        by_role = {1010: {1: "ws-close-1010-from-server"}, 1011: {0: "ws-close-1011-from-client"},
                   3999: {0: "ws-close-code-unregistered", 1: "ws-close-code-unregistered"}}
        for role in (0, 1):
            rule = by_role.get(code, {}).get(role)
            yield Case("7.7.%d" % n, [close(code, breaks=rule or ())], roles=(role,))
    for group, codes in ((9, (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999)),
                         (13, (5000, 65535))):
        for n, code in enumerate(codes, 1):
            yield Case("7.%d.%d" % (group, n),
                       [close(code, breaks="ws-close-code-forbidden", fails=1002)])


# --- 9, 10: sizes (the fixed sizes of 9.3 to 9.8 are smaller here, the shapes are the suite's) ---

KIB = 1024
MIB = 1024 * 1024


def sizes():
    for group, opcode, roles in ((1, TEXT, (0,)), (2, BINARY, (1,))):
        for n, size in enumerate((64 * KIB, 256 * KIB, MIB, 4 * MIB, 8 * MIB, 16 * MIB), 1):
            payload = (b"BAsd7&jh23" * (size // 10 + 1))[:size]
            yield Case("9.%d.%d" % (group, n), [Frame(opcode, payload)],
                       roles=roles, one_way=n > 3, big=True)
    whole = random.Random(9).randbytes(MIB // 2).hex().encode()  # 1 MiB
    for group, opcode, roles in ((3, TEXT, (0,)), (4, BINARY, (1,))):
        for n, size in enumerate((64, 256, KIB, 4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB, MIB), 1):
            yield Case("9.%d.%d" % (group, n), fragments(opcode, pieces(whole, size)), roles=roles,
                       one_way=True, big=True)
    for group, opcode, roles in ((5, TEXT, (0,)), (6, BINARY, (1,))):
        for n, chop in enumerate((64, 128, 256, 512, KIB, 2 * KIB), 1):
            yield Case("9.%d.%d" % (group, n), [Frame(opcode, whole[:MIB // 4])], chop=chop,
                       roles=roles, one_way=True, big=True)
    for group, opcode, roles in ((7, TEXT, (0,)), (8, BINARY, (1,))):
        for n, size in enumerate((0, 16, 64, 256, KIB, 4 * KIB), 1):
            yield Case("9.%d.%d" % (group, n), [Frame(opcode, b"*" * size)] * 100, roles=roles)
    yield Case("10.1.1", fragments(TEXT, pieces(b"*" * 65536, 1300)))


def table():
    for part in (framing, pings, reserved_bits, opcodes, fragmentation, utf8, closing, sizes):
        yield from part()


# --- 12, 13: compression ---

MESSAGES = [(16, 0), (64, 0), (256, 0), (1024, 0), (4096, 0), (8192, 0), (16384, 0), (32768, 0),
            (65536, 0), (131072, 0), (8192, 256), (16384, 256), (32768, 256), (65536, 256),
            (131072, 256), (131072, 1024), (131072, 4096), (131072, 32768)]
