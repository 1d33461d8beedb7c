/*
 * Sentences are put together from clauses: what was answered and when, why, what was spoken, and
 * how it ended.
 */
#include "verdict.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include "times.h"

enum { QUOTE_MOST = 80 };

static const int64_t second_ns = 1000000000;

static void quote(struct buffer *out, struct text text)
{
    struct text shown = text;
    if (shown.len > QUOTE_MOST)
        shown.len = QUOTE_MOST;
    if (shown.len > 0)
        buffer_safe(out, shown, SAFE_ASCII);
    if (shown.len < text.len)
        buffer_word(out, "...");
}

static void duration(struct buffer *out, int64_t ns)
{
    char text[TIMES_SIZE];
    buffer_word(out, times_duration(ns, text));
}

static const char *side_word(enum side side)
{
    return side == CLIENT ? "the client" : side == SERVER ? "the server" : "one side";
}

/* " 12 ms after the request" */
static void wait(struct buffer *out, const struct verdict *verdict)
{
    if (verdict->wait_ns < 0)
        return;
    buffer_word(out, " ");
    duration(out, verdict->wait_ns);
    buffer_word(out, " after the request");
}

/* The reason phrase says no more than the status does; where there is none, it is all there is. */
static void status(struct buffer *out, const struct verdict *verdict)
{
    if (verdict->status > 0)
        buffer_format(out, "%d", verdict->status);
    else
        quote(out, verdict->reason);
}

/* ---------------------------------------------------------------- why */

static struct text origin_host(struct text origin)
{
    for (size_t i = 0; i + 2 < origin.len; i++) {
        if (memcmp(origin.data + i, "://", 3) == 0)
            return (struct text){origin.data + i + 3, origin.len - i - 3};
    }
    return origin;
}

/* Without the default ports, which browsers leave out of Origin and Host. */
static struct text without_port(struct text host)
{
    static const char *const ports[] = {":80", ":443"};
    for (size_t i = 0; i < 2; i++) {
        size_t len = strlen(ports[i]);
        if (host.len > len && memcmp(host.data + host.len - len, ports[i], len) == 0)
            host.len -= len;
    }
    return host;
}

static void cause_origin(struct buffer *out, const struct verdict *verdict)
{
    struct text host = without_port(origin_host(verdict->origin));
    struct text asked = without_port(verdict->host);
    if (verdict->origin.len == 0) {
        buffer_word(out, "; forbidden, to a request without Origin");
        return;
    }
    buffer_word(out, "; the Origin ");
    quote(out, verdict->origin);
    int same = host.len == asked.len && asked.len > 0 &&
               strncasecmp(host.data, asked.data, host.len) == 0;
    buffer_word(out, asked.len > 0 && !same ? " differs from the Host"
                                                    : " was not accepted");
}

static void cause(struct buffer *out, const struct verdict *verdict)
{
    static const char *const words[] = {
        [CAUSE_NONE] = "",
        [CAUSE_ORIGIN] = "",
        [CAUSE_AUTH] = "; credentials are missing or were not accepted",
        [CAUSE_REDIRECT] = "", /* without Location it names no other place */
        [CAUSE_ROUTE] = "; nothing there takes this request",
        [CAUSE_VERSION] = "; another version or protocol is required",
        [CAUSE_STRIPPED_HEADER] =
            ("; Upgrade or its Connection option did not reach the server, as behind a proxy that "
             "removes them"),
        [CAUSE_BAD_REQUEST] = "; the request was found to be malformed",
        [CAUSE_UPSTREAM] = "; the server, or what is behind it, failed",
        [CAUSE_TIMEOUT] = "; waiting took too long",
        [CAUSE_UNKNOWN] = "",
    };
    if (verdict->cause == CAUSE_ORIGIN) {
        cause_origin(out, verdict);
    } else if (verdict->cause == CAUSE_REDIRECT && verdict->location.len > 0) {
        buffer_word(out, "; it redirects to ");
        quote(out, verdict->location);
    } else if (verdict->cause == CAUSE_ROUTE && verdict->outcome == OUTCOME_IGNORED) {
        buffer_word(out, "; it was answered as an ordinary request, this path takes no Upgrade");
    } else if (verdict->cause == CAUSE_ROUTE && verdict->mechanism == MECHANISM_CONNECT) {
        buffer_word(out, "; the proxy does not open a tunnel to there");
    } else if (verdict->cause == CAUSE_ROUTE && verdict->path.len > 0) {
        buffer_word(out, "; nothing at ");
        quote(out, verdict->path);
        buffer_word(out, " takes this request");
    } else if ((size_t)verdict->cause < sizeof words / sizeof words[0]) {
        buffer_word(out, words[verdict->cause]);
    }
}

/* ---------------------------------------------------------------- how it ended */

static void close_codes(struct buffer *out, const struct verdict *verdict)
{
    enum side first = verdict->end_side == SERVER ? SERVER : CLIENT;
    int32_t code = verdict->close_code[first], other = verdict->close_code[side_peer(first)];
    if (code < 0 && verdict->end_side == NEITHER)
        code = other;
    if (code == 1005 || code < 0)
        buffer_word(out, " without a code");
    else
        buffer_format(out, " with %" PRId32, code);
    if (verdict->end == SESSION_END_CLOSE && other >= 0 && code >= 0 && other != code &&
        other != 1005)
        buffer_format(out, ", answered with %" PRId32, other);
}

static void end_close(struct buffer *out, const struct verdict *verdict)
{
    if (verdict->end_side == NEITHER)
        buffer_word(out, ", closed");
    else
        buffer_format(out, ", closed by %s", side_word(verdict->end_side));
    if (verdict->websocket)
        close_codes(out, verdict);
    if (verdict->end == SESSION_END_CLOSE_UNANSWERED)
        buffer_word(out, ", which was not answered");
}

/* What a session of its own stream of HTTP/2 ended with, or any other. */
static const char *carrier(const struct verdict *verdict)
{
    return verdict->mechanism == MECHANISM_EXTENDED_CONNECT ? "stream" : "connection";
}

/* FIN or RST where no Close was seen. */
static void end_connection(struct buffer *out, const struct verdict *verdict)
{
    const char *verb = verdict->end == SESSION_END_RST ? "reset" : "ended";
    int silent = verdict->idle_ns >= second_ns;
    if (silent) {
        buffer_word(out, "; after ");
        duration(out, verdict->idle_ns);
        buffer_word(out, " of silence");
    } else {
        buffer_word(out, ";");
    }
    if (verdict->end_side == NEITHER)
        buffer_format(out, " the %s was %s", carrier(verdict), verb);
    else
        buffer_format(out, " %s %s the %s", side_word(verdict->end_side), verb, carrier(verdict));
    if (verdict->websocket && verdict->close_code[CLIENT] < 0 && verdict->close_code[SERVER] < 0)
        buffer_word(out, " without a close frame");
}

static void end(struct buffer *out, const struct verdict *verdict)
{
    if (!verdict->ended) {
        buffer_word(out, "; still open");
        return;
    }
    switch (verdict->end) {
    case SESSION_END_CLOSE:
    case SESSION_END_CLOSE_UNANSWERED:
        end_close(out, verdict);
        break;
    case SESSION_END_FIN:
    case SESSION_END_RST:
        end_connection(out, verdict);
        break;
    case SESSION_END_IDLE:
        buffer_word(out, "; given up after ");
        duration(out, verdict->idle_ns);
        buffer_word(out, " of silence");
        break;
    case SESSION_END_EVICTED:
        buffer_word(out, "; no longer followed, a limit was reached");
        break;
    case SESSION_END_CAPTURE:
        buffer_word(out, "; still open when the capture ended");
        break;
    }
}

/* Where nobody says why it ended: was it the network or who should have answered? */
static void blame(struct buffer *out, const struct verdict *verdict)
{
    enum { MANY = 3 };
    int by_itself = verdict->end == SESSION_END_IDLE || verdict->end == SESSION_END_RST;
    int closed = verdict->close_code[CLIENT] >= 0 || verdict->close_code[SERVER] >= 0;
    if (!verdict->network || !verdict->ended || closed ||
        (verdict->outcome != OUTCOME_UNANSWERED && !by_itself))
        return;
    enum side worse = verdict->resent[CLIENT] >= verdict->resent[SERVER] ? CLIENT : SERVER;
    if (verdict->resent[worse] >= MANY) {
        buffer_format(out,
                      "; %s had to send %" PRIu64 " packets again, which points at the network",
                      side_word(worse), verdict->resent[worse]);
    } else if (verdict->rtt_ns >= 0 && verdict->resent[CLIENT] + verdict->resent[SERVER] == 0) {
        buffer_word(out, "; the network answered within ");
        duration(out, verdict->rtt_ns);
        buffer_word(out, " and lost nothing");
    }
}

/* ---------------------------------------------------------------- what happened */

static void failed(struct buffer *out, const struct verdict *verdict)
{
    if (verdict->failure.len > 0) {
        buffer_word(out, verdict->mechanism == MECHANISM_CONNECT ? ", but in it " : ", but ");
        quote(out, verdict->failure);
    }
}

static void spoken(struct buffer *out, const struct verdict *verdict)
{
    failed(out, verdict);
    if (verdict->failure.len > 0) {
        end(out, verdict);
        return;
    }
    if (verdict->websocket && (verdict->ended || verdict->messages > 0))
        buffer_format(out, ", %" PRIu64 " message%s", verdict->messages,
                      verdict->messages == 1 ? "" : "s");
    if (verdict->ended && verdict->duration_ns >= 0) {
        buffer_word(out, verdict->websocket ? " in " : " for ");
        duration(out, verdict->duration_ns);
    }
    end(out, verdict);
    blame(out, verdict);
    if (verdict->frames_lost > 0)
        buffer_format(out, " (%" PRIu64 " frames were too many to be stored)",
                      verdict->frames_lost);
}

static void switched(struct buffer *out, const struct verdict *verdict)
{
    struct text what = verdict->accepted.len > 0 ? verdict->accepted : verdict->offered;
    int unsolicited = verdict->outcome == OUTCOME_UNSOLICITED;
    buffer_word(out, unsolicited ? "unsolicited: the server switched" : "switched");
    if (verdict->mechanism == MECHANISM_CONNECT) {
        buffer_word(out, " to a tunnel");
    } else if (what.len > 0) {
        buffer_word(out, " to ");
        quote(out, what);
    }
    if (unsolicited)
        buffer_word(out, " though nobody had asked for it");
    spoken(out, verdict);
}

static void unanswered(struct buffer *out, const struct verdict *verdict)
{
    static const char *const words[] = {
        [SESSION_END_CLOSE] = "; the connection was closed",
        [SESSION_END_CLOSE_UNANSWERED] = "; the connection was closed",
        [SESSION_END_FIN] = " ended the ",
        [SESSION_END_RST] = " reset the ",
        [SESSION_END_IDLE] = "; nothing more came",
        [SESSION_END_EVICTED] = "; no longer followed, a limit was reached",
        [SESSION_END_CAPTURE] = "; the capture ended before an answer",
    };
    buffer_word(out, "unanswered");
    if (!verdict->ended) {
        buffer_word(out, " so far");
        return;
    }
    if (verdict->end == SESSION_END_FIN || verdict->end == SESSION_END_RST)
        buffer_format(out, "; %s", side_word(verdict->end_side));
    buffer_word(out, words[verdict->end]);
    if (verdict->end == SESSION_END_FIN || verdict->end == SESSION_END_RST)
        buffer_word(out, carrier(verdict));
    if (verdict->duration_ns >= 0) {
        buffer_word(out, verdict->end == SESSION_END_IDLE ? " for " : " ");
        duration(out, verdict->duration_ns);
        buffer_word(out, verdict->end == SESSION_END_IDLE ? "" : " after the request");
    }
    cause(out, verdict);
    blame(out, verdict);
}

static void answered(struct buffer *out, const struct verdict *verdict, const char *word)
{
    buffer_word(out, word);
    if (verdict->status > 0 || verdict->reason.len > 0) {
        buffer_word(out, ": ");
        status(out, verdict);
        buffer_word(out, " from the server");
    } else {
        buffer_word(out, " by the server");
    }
    wait(out, verdict);
    cause(out, verdict);
}

/* " 12 ms after STARTTLS" */
static void starttls_wait(struct buffer *out, const struct verdict *verdict)
{
    if (verdict->wait_ns < 0)
        return;
    buffer_word(out, " ");
    duration(out, verdict->wait_ns);
    buffer_word(out, " after ");
    if (verdict->method.len > 0)
        quote(out, verdict->method);
    else
        buffer_word(out, "the request");
}

static void starttls_refused(struct buffer *out, const struct verdict *verdict)
{
    struct text reason = verdict->reason;
    while (reason.len > 1 && reason.data[reason.len - 1] == '.') /* the sentence goes on */
        reason.len--;
    buffer_word(out, verdict->outcome == OUTCOME_IGNORED ? "ignored" : "refused");
    if (verdict->status > 0 || reason.len > 0) {
        buffer_word(out, ": ");
        if (verdict->status > 0)
            buffer_format(out, "%d%s", verdict->status, reason.len > 0 ? " " : "");
        quote(out, reason);
        buffer_word(out, verdict->wait_ns >= 0 ? "," : "");
    }
    starttls_wait(out, verdict);
    if (verdict->cause == CAUSE_ROUTE)
        buffer_word(out, "; the server does not take this command");
    else if (verdict->cause == CAUSE_BAD_REQUEST)
        buffer_word(out, "; the command was malformed or not expected there");
    else if (verdict->cause == CAUSE_UPSTREAM)
        buffer_word(out, "; the server cannot start it now");
    else
        cause(out, verdict);
    if (verdict->clear.len > 0) {
        buffer_word(out, "; the client went on in the clear with ");
        quote(out, verdict->clear);
    }
}

/* A protocol that goes on protected. What is refused has its reason: it is all there is to know. */
static void starttls(struct buffer *out, const struct verdict *verdict)
{
    if (verdict->outcome == OUTCOME_UNANSWERED) {
        unanswered(out, verdict);
        return;
    }
    if (verdict->outcome == OUTCOME_REFUSED || verdict->outcome == OUTCOME_IGNORED) {
        starttls_refused(out, verdict);
        return;
    }
    buffer_word(out, "switched to ");
    quote(out, verdict->accepted.len > 0 ? verdict->accepted : verdict->offered);
    starttls_wait(out, verdict);
    if (verdict->no_hello) {
        buffer_word(out, ", but the client sent something else");
    } else if (verdict->failure.len > 0) {
        failed(out, verdict);
    } else if (verdict->ended && verdict->duration_ns >= 0) {
        buffer_word(out, ", spoken for ");
        duration(out, verdict->duration_ns);
    }
    end(out, verdict);
}

/* ---------------------------------------------------------------- tunnels and streams */

static void used(struct buffer *out, const struct verdict *verdict, const char *words)
{
    if (verdict->ended && verdict->duration_ns > 0) {
        buffer_word(out, words);
        duration(out, verdict->duration_ns);
    }
    end(out, verdict);
    blame(out, verdict);
}

/* The words of a reply in the middle of a sentence: "host unreachable", but "TTL expired". */
static void reply_words(struct buffer *out, struct text words)
{
    char first[2] = {words.len > 0 ? words.data[0] : '\0', '\0'};
    int capital = words.len > 1 && first[0] >= 'A' && first[0] <= 'Z' && words.data[1] >= 'a' &&
                  words.data[1] <= 'z';
    if (capital) {
        first[0] = (char)(first[0] - 'A' + 'a');
        buffer_word(out, first);
        words = (struct text){words.data + 1, words.len - 1};
    }
    quote(out, words);
}

static int is_method(const struct verdict *verdict, const char *method)
{
    return verdict->method.len == strlen(method) &&
           memcmp(verdict->method.data, method, verdict->method.len) == 0;
}

/* "tunnel to example.org:443" */
static void socks_what(struct buffer *out, const struct verdict *verdict)
{
    if (is_method(verdict, "UDP ASSOCIATE")) {
        buffer_word(out, "UDP association");
        return;
    }
    int bind = is_method(verdict, "BIND");
    buffer_word(out, bind ? "connection" : "tunnel");
    if (verdict->target.len > 0) {
        buffer_word(out, bind ? " from " : " to ");
        quote(out, verdict->target);
    }
}

static void socks(struct buffer *out, const struct verdict *verdict)
{
    if (verdict->outcome == OUTCOME_UNANSWERED) {
        unanswered(out, verdict);
    } else if (verdict->outcome == OUTCOME_SWITCHED) {
        socks_what(out, verdict);
        buffer_word(out, is_method(verdict, "BIND") ? " accepted" : " opened");
        wait(out, verdict);
        used(out, verdict, ", used for ");
    } else {
        buffer_word(out, "refused: ");
        reply_words(out, verdict->reason);
        buffer_word(out, verdict->wait_ns >= 0 ? "," : "");
        wait(out, verdict);
        if (verdict->target.len > 0) {
            buffer_word(out, "; no ");
            socks_what(out, verdict);
        }
    }
}

/* Three heads: the server takes up what the client offers, the client confirms that. */
static void gnutella(struct buffer *out, const struct verdict *verdict)
{
    int client = verdict->answered_by == CLIENT;
    switch (verdict->outcome) {
    case OUTCOME_UNANSWERED:
        unanswered(out, verdict);
        return;
    case OUTCOME_SWITCHED:
    case OUTCOME_UNSOLICITED:
        buffer_word(out, "switched to ");
        quote(out, verdict->accepted.len > 0 ? verdict->accepted : verdict->offered);
        wait(out, verdict);
        used(out, verdict, ", spoken for ");
        return;
    case OUTCOME_IGNORED:
        buffer_word(out, client ? "ignored: the client did not confirm what the server took up"
                                : "ignored: the server did not take it up");
        break;
    case OUTCOME_REFUSED:
        buffer_format(out, "refused by %s: ", side_word(verdict->answered_by));
        if (verdict->status > 0)
            buffer_format(out, "%d ", verdict->status);
        quote(out, verdict->reason);
        break;
    }
    buffer_word(out, verdict->wait_ns >= 0 ? "," : "");
    wait(out, verdict);
}

/* Behind a 200, which is why it is said what it was. */
static void docker(struct buffer *out, const struct verdict *verdict)
{
    buffer_word(out, "switched to a raw stream");
    if (verdict->accepted.len > 0) {
        buffer_word(out, " (");
        quote(out, verdict->accepted);
        buffer_word(out, ")");
    }
    if (verdict->status > 0)
        buffer_format(out, " behind a %d", verdict->status);
    wait(out, verdict);
    used(out, verdict, ", used for ");
}

void verdict_write(const struct verdict *verdict, struct buffer *out)
{
    switch (verdict->mechanism) {
    case MECHANISM_SOCKS:
        socks(out, verdict);
        return;
    case MECHANISM_GNUTELLA:
        gnutella(out, verdict);
        return;
    case MECHANISM_DOCKER:
        if (verdict->outcome == OUTCOME_SWITCHED) {
            docker(out, verdict);
            return;
        }
        break;
    default:
        break;
    }
    if (verdict->mechanism == MECHANISM_STARTTLS) {
        starttls(out, verdict);
        return;
    }
    switch (verdict->outcome) {
    case OUTCOME_UNANSWERED:
        unanswered(out, verdict);
        break;
    case OUTCOME_REFUSED:
        answered(out, verdict, "refused");
        break;
    case OUTCOME_IGNORED:
        answered(out, verdict, "ignored");
        break;
    case OUTCOME_SWITCHED:
    case OUTCOME_UNSOLICITED:
        switched(out, verdict);
        break;
    }
}
