"""Sessions of the fuzzing endpoint with several kinds of peers, written into one capture by the
script builder, and for each the rows and findings that its bytes prove: no more and no fewer.

The expectation is made while the bytes are: what the fuzzer breaks stands in the table of cases,
what a peer or the end of the connection adds stands beside the lines that send it.
"""
import random
from collections import Counter

from cases import BINARY, CLOSE, CONT, PING, PONG, TEXT, Frame, close

SIDES = ("client", "server")


class Messages:
    """What a receiver makes of one side's frames (RFC 6455 5.4), as RULES reads on after errors."""

    def __init__(self):
        self.rows, self.open, self.frames, self.bytes = [], None, 0, 0

    def take(self, frame):
        """Returns the data message that the frame completes, or None."""
        self.frames += 1
        self.bytes += len(frame.payload)
        if frame.opcode in (CLOSE, PING, PONG):
            skip = 2 if frame.opcode == CLOSE else 0
            self.rows.append((frame.opcode, 1, frame.payload[skip:] if len(frame.payload) > 1 or
                              not skip else b""))
            return None
        if frame.opcode in (TEXT, BINARY):
            self.open = [frame.opcode, 0, []]
        elif frame.opcode != CONT or self.open is None:
            return None
        self.open[1] += 1
        self.open[2].append(frame.payload)
        if not frame.fin:
            return None
        opcode, fragments, parts = self.open
        self.open = None
        self.rows.append((opcode, fragments, b"".join(parts)))
        return opcode, b"".join(parts)

    def data(self):
        return [row for row in self.rows if row[0] in (TEXT, BINARY)]


class Talk:
    """One connection. fuzzer: 0 the client, 1 the server."""

    def __init__(self, builder, name, fuzzer, offer=None, answer=None):
        self.b, self.name, self.fuzzer, self.peer = builder, name, fuzzer, 1 - fuzzer
        self.random = random.Random(name)
        builder.new_flow([])
        self.flow = builder.flow
        self.port = self.flow["port"][0]
        for side, name, value in ((0, "GET", offer), (1, "101", answer)):
            field = '"Sec-WebSocket-Extensions: %s"' % value
            self.bytes(side, builder.head(name, [] if value is None else [field]))
        self.findings = Counter()
        self.messages = (Messages(), Messages())
        self.codes = [None, None]
        self.first_close = None
        self.ended = None  # (how, by)
        self.acks = [0, 0]

    # --- bytes ---

    def bytes(self, side, data, cut=None, flags=24, old=False):
        """old: acknowledges nothing new."""
        options = {"flags": flags, "bare": True, "cut": cut or 1400 * 40}
        if old:
            options["seen"] = "old"
        self.b.flow = self.flow
        self.b.segments(side, data, options)

    def key(self, side):
        return None if side else self.random.randbytes(4)

    def wire(self, side, frame):
        return frame.wire(self.key(side))

    def note(self, side, frame):
        """All of the frame is on the wire."""
        if frame.opcode == CLOSE and self.codes[side] is None:
            code = int.from_bytes(frame.payload[:2], "big")
            self.codes[side] = ("code", None if len(frame.payload) == 1 else
                                code if frame.payload else 1005)
            if self.first_close is None:
                self.first_close = side
        return self.messages[side].take(frame)

    def broken(self, side, frame):
        for rule in frame.breaks:
            self.find(rule, side)

    def find(self, rule, side):
        self.findings[(rule, SIDES[side])] += 1

    def send(self, side, *frames, cut=None, flags=24, old=False):
        data = b"".join(self.wire(side, f) for f in frames)
        for f in frames:
            self.note(side, f)
            self.broken(side, f)
        self.bytes(side, data, cut, flags, old)

    # --- ends ---

    def fin(self, side, old=False):
        if self.ended is None:
            self.ended = ("fin", side)
            if side == 0 and None not in self.codes:
                self.find("ws-client-closed-tcp-first", 0)
            self.abnormal(side)
        self.bytes(side, b"", flags=17, old=old)

    def rst(self, side):
        if self.ended is None:
            self.ended = ("rst", side)
            self.abnormal(side)
        self.bytes(side, b"", flags=20)

    def abnormal(self, side):
        if self.codes == [None, None]:
            self.find("ws-abnormal-close", side)

    def both_fin(self, first=1):
        self.fin(first)
        self.fin(1 - first)
        self.bytes(first, b"", flags=16)

    # --- what is expected ---

    def end_reason(self):
        if None not in self.codes:
            return "close", SIDES[self.first_close]
        if self.first_close is not None:
            return "close-unanswered", SIDES[self.first_close]
        return self.ended[0], SIDES[self.ended[1]]


def replies(talk, frames, echo=True):
    """Pongs and echoes of frames that were sent whole: what a correct peer answers."""
    out, reader = [], Messages()
    for frame in frames:
        if frame.opcode == PING:
            out.append(Frame(PONG, frame.payload))
        whole = reader.take(frame)
        if whole is not None and echo:
            out.append(Frame(whole[0], whole[1]))
    return out


def closed_by(frames):
    """The index of the fuzzer's own Close."""
    return next((i for i, f in enumerate(frames) if f.opcode == CLOSE), None)


def echo_of(frame):
    """How a correct peer answers a good Close. The code is the fuzzer's choice, and one that is not
    registered is seen in both frames."""
    again = [rule for rule in frame.breaks if rule == "ws-close-code-unregistered"]
    return Frame(CLOSE, frame.payload[:2], breaks=again)


# --- peers of cases in which everything is legal up to the fuzzer's Close ---

def turns(talk, case):
    """Each frame is answered before the next one is sent."""
    frames, at = case.frames, closed_by(case.frames)
    reader = Messages()
    for i, frame in enumerate(frames):
        talk.send(talk.fuzzer, frame, cut=case.chop)
        whole = reader.take(frame)
        if at is not None and i >= at:
            if i == at:
                talk.send(talk.peer, echo_of(frame))
            continue
        if frame.opcode == PING:
            talk.send(talk.peer, Frame(PONG, frame.payload))
        elif whole is not None and not case.one_way:
            talk.send(talk.peer, Frame(*whole))
    if at is None:
        talk.send(talk.fuzzer, close(1000))
        talk.send(talk.peer, close(1000))
    if case.one_way and talk.fuzzer == 0 and sum(len(f.payload) for f in frames) >= 1 << 20:
        talk.find("exfil-ratio", 0)  # 20 times what came back
    talk.both_fin()


def burst(talk, case):
    """Everything at once, then the answers; the Close among them."""
    frames, at = list(case.frames), closed_by(case.frames)
    if at is None:
        at = len(frames)
        frames.append(close(1000))
    talk.send(talk.fuzzer, *frames, cut=case.chop)
    answers = replies(talk, frames[:at], echo=not case.one_way)
    talk.send(talk.peer, *answers, echo_of(frames[at]))
    talk.both_fin()


def client_first(talk, case):
    """The same, and the client does not wait for the server's FIN."""
    frames, at = list(case.frames), closed_by(case.frames)
    talk.send(talk.fuzzer, *frames, cut=case.chop)
    if at is None:
        talk.send(talk.peer, *replies(talk, frames), close(1001))
        talk.send(talk.fuzzer, close(1001))
    else:
        talk.send(talk.peer, echo_of(frames[at]))
    talk.both_fin(0)


def gone(how):
    def peer(talk, case):
        """Answers nothing and drops the connection: true, the missing Close is its own doing."""
        frames, at = list(case.frames), closed_by(case.frames)
        talk.send(talk.fuzzer, *frames, cut=case.chop)
        if at is not None and how is Talk.fin:  # what a reset acknowledges is not taken for read
            talk.find("ws-close-not-echoed", talk.peer)
        how(talk, talk.peer)
        if talk.ended[0] == "fin":
            talk.fin(talk.fuzzer)
    peer.__name__ = "gone_" + how.__name__
    return peer


def fuzzer_gone(talk, case):
    """The fuzzer has seen enough and drops the connection without a Close."""
    frames = case.frames
    talk.send(talk.fuzzer, *frames, cut=case.chop)
    answers = replies(talk, frames, echo=not case.one_way)
    if answers:
        talk.send(talk.peer, *answers)
    talk.both_fin(talk.fuzzer)


def late_echo(talk, case):
    """The fuzzer closes while the echo is on its way: legal until the peer's own Close."""
    frames = list(case.frames)
    talk.send(talk.fuzzer, *frames, cut=case.chop)
    answers = replies(talk, frames)
    data = b"".join(talk.wire(talk.peer, f) for f in answers)
    half = len(data) // 2
    talk.bytes(talk.peer, data[:half])
    talk.send(talk.fuzzer, close(1000), old=True)
    talk.bytes(talk.peer, data[half:], old=True)
    for f in answers:
        talk.note(talk.peer, f)
    talk.send(talk.peer, close(1000))
    talk.both_fin()


# --- peers of cases that break something: all of them read until there and no further ---

def fail_turns(talk, case):
    """Fails at once, in time to stop the fuzzer, which answers the Close."""
    bad = case.fatal()
    before = case.frames[:bad]
    for i, frame in enumerate(before):
        talk.send(talk.fuzzer, frame, cut=case.chop)
        answers = replies(talk, before[:i + 1])[len(replies(talk, before[:i])):]
        if answers:
            talk.send(talk.peer, *answers)
    talk.send(talk.fuzzer, case.frames[bad], cut=case.chop)
    talk.send(talk.peer, close(case.frames[bad].fails))
    if talk.codes[talk.fuzzer] is None:
        talk.send(talk.fuzzer, close(case.frames[bad].fails))
    talk.both_fin()


def fail_burst(talk, case):
    """The kernel took everything; the program echoes what came before, and fails."""
    bad = case.fatal()
    talk.send(talk.fuzzer, *case.frames, cut=case.chop)
    talk.send(talk.peer, *replies(talk, case.frames[:bad]), close(case.frames[bad].fails))
    if talk.codes[talk.fuzzer] is None:
        talk.send(talk.fuzzer, close(case.frames[bad].fails))
    talk.both_fin()


def fail_and_leave(talk, case):
    """Close and FIN in one segment; the fuzzer's Close meets a closed socket."""
    bad = case.fatal()
    talk.send(talk.fuzzer, *case.frames, cut=case.chop)
    answers = replies(talk, case.frames[:bad])
    if answers:
        talk.send(talk.peer, *answers)
    talk.ended = ("fin", talk.peer)
    talk.send(talk.peer, close(case.frames[bad].fails), flags=25)
    if talk.codes[talk.fuzzer] is None:
        talk.send(talk.fuzzer, close(case.frames[bad].fails))
    talk.rst(talk.peer)


def fail_and_reset(talk, case):
    """Close, and the reset that unread bytes in the socket bring about."""
    bad = case.fatal()
    talk.send(talk.fuzzer, *case.frames, cut=case.chop)
    talk.send(talk.peer, close(case.frames[bad].fails))
    talk.rst(talk.peer)


def fail_early(talk, case):
    """Fails in the middle of the frame; the rest of it and what follows was on its way already."""
    bad = case.fatal()
    if case.frames[:bad]:
        talk.send(talk.fuzzer, *case.frames[:bad], cut=case.chop)
        answers = replies(talk, case.frames[:bad])
        if answers:
            talk.send(talk.peer, *answers)
    first, rest = split(talk, case.frames[bad])
    talk.bytes(talk.fuzzer, first, cut=case.chop)
    talk.ended = ("fin", talk.peer)
    talk.broken(talk.fuzzer, case.frames[bad])
    if not rest:
        talk.note(talk.fuzzer, case.frames[bad])
    talk.send(talk.peer, close(case.frames[bad].fails), flags=25)
    if rest:
        talk.bytes(talk.fuzzer, rest, cut=case.chop, old=True)
        talk.note(talk.fuzzer, case.frames[bad])
    if case.frames[bad + 1:]:
        talk.send(talk.fuzzer, *case.frames[bad + 1:], cut=case.chop, old=True)
    talk.rst(talk.peer)


def fail_cut(talk, case):
    """The same, and the rest is never sent: the fuzzer's frame stays cut."""
    bad = case.fatal()
    frame = case.frames[bad]
    if case.frames[:bad]:
        talk.send(talk.fuzzer, *case.frames[:bad], cut=case.chop)
    first, rest = split(talk, frame)
    talk.bytes(talk.fuzzer, first, cut=case.chop)
    if rest and frame.opcode == CLOSE:
        frame = Frame(CLOSE, frame.payload)  # what breaks is behind the cut, or in its body
        if case.frames[bad].breaks == ("ws-control-too-long",):
            frame.breaks = case.frames[bad].breaks
    talk.broken(talk.fuzzer, frame)
    if not rest:
        talk.note(talk.fuzzer, frame)
    talk.ended = ("fin", talk.peer)
    talk.send(talk.peer, close(case.frames[bad].fails), flags=25)
    if rest:
        talk.find("ws-frame-truncated-at-close", talk.fuzzer)
    talk.fin(talk.fuzzer)


def fail_at_two(talk, case):
    """Two bytes of the header were enough for the peer, and they are all that was sent."""
    bad = case.fatal()
    frame = case.frames[bad]
    if case.frames[:bad]:
        talk.send(talk.fuzzer, *case.frames[:bad], cut=case.chop)
    wire = talk.wire(talk.fuzzer, frame)
    talk.bytes(talk.fuzzer, wire[:2], cut=case.chop)
    if frame.bad_at is None and frame.breaks[0] not in NOT_IN_TWO:
        talk.broken(talk.fuzzer, frame)
    if len(wire) == 2:
        talk.note(talk.fuzzer, frame)
    else:
        talk.find("ws-frame-truncated-at-close", talk.fuzzer)
    talk.ended = ("fin", talk.peer)
    talk.send(talk.peer, close(frame.fails), flags=25)
    talk.fin(talk.fuzzer)


NOT_IN_TWO = ("ws-control-too-long", "ws-close-length-1", "ws-close-reason-utf8",
              "ws-close-code-forbidden")


def fail_close_inside(talk, case):
    """The fuzzer answers the Close in the middle of its own frame: bytes of it, and no Close."""
    bad = case.fatal()
    frame = case.frames[bad]
    if case.frames[:bad]:
        talk.send(talk.fuzzer, *case.frames[:bad], cut=case.chop)
    first, rest = split(talk, frame)
    answer = talk.wire(talk.fuzzer, close(frame.fails))
    if frame.opcode == CLOSE or len(rest) <= len(answer):
        return fail_turns(talk, Rest(case, bad))
    talk.bytes(talk.fuzzer, first, cut=case.chop)
    talk.broken(talk.fuzzer, frame)
    talk.send(talk.peer, close(frame.fails))
    talk.bytes(talk.fuzzer, answer)
    if frame.breaks == ("ws-interleaved-message",) and talk.fuzzer == 1:
        talk.find("ws-bad-utf8", 1)  # a text with 88 in it, which is what a Close begins with
    talk.find("ws-frame-truncated-at-close", talk.fuzzer)
    return talk.both_fin(talk.peer)


class Rest:
    """A case of which the first frames were played."""

    def __init__(self, case, bad):
        self.frames, self.chop = case.frames[bad:], case.chop

    def fatal(self):
        return 0


def split(talk, frame):
    """The frame's bytes, cut where they prove what is wrong with it, or as early as they can."""
    wire = talk.wire(talk.fuzzer, frame)
    size = len(wire) - len(frame.payload)
    at = size + frame.bad_at if frame.bad_at is not None else \
        size + min(1, len(frame.payload)) if frame.opcode != CLOSE else size
    return wire[:at], wire[at:]


def drop(how, answer):
    def peer(talk, case):
        """Fails the connection without a Close, which RFC 6455 7.1.7 leaves to it."""
        bad = case.fatal()
        talk.send(talk.fuzzer, *case.frames, cut=case.chop)
        answers = replies(talk, case.frames[:bad])
        if answer and answers:
            talk.send(talk.peer, *answers)
        how(talk, talk.peer)
        if talk.ended[0] == "fin":
            talk.fin(talk.fuzzer)
    peer.__name__ = "drop_%s%s" % (how.__name__, "_echo" if answer else "")
    return peer


def lenient_close(talk, case):
    """Sends a bad Close back as it came: then it breaks the same rule."""
    frames = case.frames
    talk.send(talk.fuzzer, *frames, cut=case.chop)
    talk.send(talk.peer, frames[-1])
    talk.both_fin()


LEGAL = (turns, burst, client_first, late_echo, fuzzer_gone, gone(Talk.fin), gone(Talk.rst))
FAILING = (fail_turns, fail_burst, fail_and_leave, fail_and_reset, fail_early, fail_cut,
           fail_at_two, fail_close_inside,
           drop(Talk.fin, 0), drop(Talk.fin, 1), drop(Talk.rst, 0), drop(Talk.rst, 1))


def peers_of(case):
    if case.big:
        return (turns,)
    if case.fatal() is not None:
        extra = (lenient_close,) if case.frames[-1].opcode == CLOSE and \
            case.frames[-1].rsv == 0 and len(case.frames) == 1 else ()
        return FAILING + extra
    if closed_by(case.frames) is not None:
        return LEGAL[:3] + LEGAL[5:]
    return LEGAL


def all_sessions(builder, cases):
    for case in cases:
        for fuzzer in case.roles:
            for peer in peers_of(case):
                name = "%s %s %s" % (case.name, SIDES[fuzzer], peer.__name__)
                talk = Talk(builder, name, fuzzer)
                peer(talk, case)
                yield talk
