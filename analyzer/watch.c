/*
 * Sessions as they open and close. A flow's client is kept until its session opens (in few slots:
 * of very many new flows the older ones give way), an open session's few words until it ends.
 */
#include "watch.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "times.h"

enum {
    FLOWS = 1 << 14,
    SESSIONS = 1 << 16, /* open at the same time; those beyond get no lines */
    PLACE = 160,
    WORD = 48
};

struct watch_flow {
    uint64_t flow; /* 0: free */
    struct address client, server;
    uint16_t port, server_port;
};

enum told { TOLD_NOTHING, TOLD_OPENED, TOLD_ALL };

struct watch_session {
    uint64_t flow;
    uint32_t session;
    uint32_t next; /* index + 1 in the chain of its bucket, or of the free ones; 0: the last */
    int64_t row, opened_ns;
    struct address client; /* family 0: unknown */
    uint16_t port;
    enum told told;
    enum mechanism mechanism;
    int32_t code; /* of the close */
    int has_messages;
    uint64_t messages[2];
    char place[PLACE]; /* host and path, safe */
    char what[WORD];   /* what was asked for, then what was granted; safe */
};

struct watch {
    struct output *out;
    struct watch_flow flows[FLOWS];
    struct watch_session sessions[SESSIONS];
    uint32_t buckets[SESSIONS]; /* by flow: index + 1 */
    uint32_t used, free;        /* slots ever used; index + 1 of the first free one among them */
    uint64_t unsaid;            /* lines that found no room */
};

/* ---------------------------------------------------------------- what is kept */

static uint32_t *bucket(struct watch *watch, uint64_t flow)
{
    return &watch->buckets[flow % SESSIONS];
}

static struct watch_session *session_find(struct watch *watch, const struct event *event)
{
    for (uint32_t at = *bucket(watch, event->flow); at != 0; at = watch->sessions[at - 1].next) {
        struct watch_session *session = &watch->sessions[at - 1];
        if (session->flow == event->flow && session->session == event->session)
            return session;
    }
    return NULL;
}

static struct watch_session *session_new(struct watch *watch, uint64_t flow)
{
    uint32_t at = watch->free;
    if (at != 0)
        watch->free = watch->sessions[at - 1].next;
    else if (watch->used < SESSIONS)
        at = ++watch->used;
    else
        return NULL;
    watch->sessions[at - 1] = (struct watch_session){.flow = flow, .next = *bucket(watch, flow)};
    *bucket(watch, flow) = at;
    return &watch->sessions[at - 1];
}

static void session_forget(struct watch *watch, const struct watch_session *session)
{
    uint32_t at = (uint32_t)(session - watch->sessions) + 1;
    uint32_t *link = bucket(watch, session->flow);
    while (*link != at)
        link = &watch->sessions[*link - 1].next;
    *link = session->next;
    watch->sessions[at - 1].next = watch->free;
    watch->free = at;
}

/* Makes a raw text safe and cuts it to what fits, between two characters. */
static void keep(const struct watch *watch, char *to, size_t size, const struct buffer *raw)
{
    struct buffer safe = {0};
    buffer_safe(&safe, (struct text){buffer_text(raw), raw->len}, output_safety(watch->out));
    size_t fit = safe.len, next = 0;
    if (fit >= size) {
        uint32_t code;
        do {
            fit = next;
            next += text_next(safe.data + next, safe.len - next, &code);
        } while (next + sizeof "..." <= size);
    }
    (void)snprintf(to, size, "%.*s%s", (int)fit, buffer_text(&safe), fit < safe.len ? "..." : "");
    buffer_release(&safe);
}

static void add(struct buffer *buffer, struct text text)
{
    if (text.data != NULL)
        buffer_add(buffer, text.data, text.len);
}

static void add_address(struct buffer *buffer, const struct address *address, uint16_t port)
{
    char text[INET6_ADDRSTRLEN] = "?";
    int six = address->family == 6;
    (void)inet_ntop(six ? AF_INET6 : AF_INET, address->bytes, text, sizeof text);
    buffer_format(buffer, six ? "[%s]:%u" : "%s:%u", text, port);
}

static void session_open(struct watch *watch, const struct event *event)
{
    const struct event_session_open *open = &event->u.session_open;
    const struct watch_flow *flow = &watch->flows[event->flow % FLOWS];
    struct watch_session *session = session_new(watch, event->flow);
    if (session == NULL) {
        watch->unsaid++;
        return;
    }
    session->session = event->session;
    session->row = event->row;
    session->opened_ns = event->time_ns;
    session->code = -1;
    session->mechanism = open->mechanism;
    if (flow->flow == event->flow) {
        session->client = flow->client;
        session->port = flow->port;
    }
    struct buffer text = {0};
    int socks = open->mechanism == MECHANISM_SOCKS; /* its host is without the port */
    if (open->host.len > 0 && !socks)
        add(&text, open->host);
    else if (open->mechanism == MECHANISM_CONNECT || socks)
        add(&text, open->target);
    if (open->mechanism != MECHANISM_CONNECT)
        add(&text, open->path);
    if (text.len == 0 && flow->flow == event->flow)
        add_address(&text, &flow->server, flow->server_port);
    keep(watch, session->place, sizeof session->place, &text);
    buffer_clear(&text);
    if (open->mechanism == MECHANISM_CONNECT)
        buffer_word(&text, "connect");
    else if (open->mechanism == MECHANISM_STARTTLS && open->method.len > 0)
        add(&text, open->method);
    else
        add(&text, open->offered);
    keep(watch, session->what, sizeof session->what, &text);
    buffer_release(&text);
}

/* ---------------------------------------------------------------- lines */

static void line_write(struct watch *watch, const struct buffer *line)
{
    struct output *out = watch->out;
    int fd = fileno(out->file);
    struct pollfd ready = {.fd = fd, .events = POLLOUT};
    if (out->error != 0 || line->failed)
        return;
    if (poll(&ready, 1, 0) != 1 || (ready.revents & (POLLOUT | POLLERR)) == 0) {
        watch->unsaid++;
        return;
    }
    size_t done = 0;
    while (done < line->len) {
        ssize_t wrote = write(fd, line->data + done, line->len - done);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0) {
            out->error = errno;
            return;
        }
        done += (size_t)wrote;
    }
    watch->unsaid = 0;
}

static void styled(const struct watch *watch, struct buffer *line, const char *code,
                   const char *safe)
{
    if (watch->out->colour)
        buffer_format(line, "\033[%sm%s\033[0m", code, safe);
    else
        buffer_word(line, safe);
}

/* "14:00:03  #12  opened    10.0.0.1:5123  example.org/chat  websocket" */
static void line_begin(struct watch *watch, struct buffer *line, const struct event *event,
                       const struct watch_session *session, const char *verb, const char *code)
{
    char time[TIMES_SIZE], word[16];
    if (watch->unsaid > 0) {
        buffer_format(line, "... %" PRIu64 " line%s not shown\n", watch->unsaid,
                      watch->unsaid == 1 ? "" : "s");
        line_write(watch, line);
        buffer_clear(line);
    }
    styled(watch, line, "2", times_clock(event->time_ns, 0, time));
    buffer_format(line, "  #%-5" PRId64 "  ", session->row);
    (void)snprintf(word, sizeof word, "%-10s", verb);
    styled(watch, line, code, word);
    if (session->client.family != 0 && session->told != TOLD_OPENED) {
        buffer_word(line, "  ");
        add_address(line, &session->client, session->port);
    }
    buffer_format(line, "  %s", session->place[0] != '\0' ? session->place : "?");
    if (session->what[0] != '\0' && session->told != TOLD_OPENED)
        buffer_format(line, "  %s", session->what);
}

/* How much of a line fits into that many columns; our colours take none. */
static size_t line_fit(const char *data, size_t len, size_t columns)
{
    size_t at = 0, width = 0;
    while (at < len) {
        uint32_t code;
        if (data[at] == '\033') {
            at += strcspn(data + at, "m") + 1;
            continue;
        }
        size_t size = text_next(data + at, len - at, &code);
        int one = text_code_width(code);
        width += one > 0 ? (size_t)one : 0;
        if (width > columns)
            break;
        at += size;
    }
    return at < len ? at : len;
}

/* One session is one line: what is too long for the terminal is cut. */
static void line_end(struct watch *watch, struct buffer *line)
{
    if (watch->out->width > 0 && line->data != NULL)
        line->len = line_fit(line->data, line->len, watch->out->width);
    buffer_word(line, "\n");
    line_write(watch, line);
    buffer_release(line);
}

static void answered(struct watch *watch, const struct event *event)
{
    static const struct {
        const char *verb, *code;
    } verbs[] = {
        [OUTCOME_UNANSWERED] = {"unanswered", "2"}, [OUTCOME_SWITCHED] = {"opened", "32"},
        [OUTCOME_REFUSED] = {"refused", "33"},      [OUTCOME_IGNORED] = {"ignored", "33"},
        [OUTCOME_UNSOLICITED] = {"unasked", "33"},
    };
    const struct event_session_answer *answer = &event->u.session_answer;
    struct watch_session *session = session_find(watch, event);
    struct buffer line = {0};
    if (session == NULL || session->told != TOLD_NOTHING)
        return;
    if (answer->accepted.len > 0 && session->mechanism == MECHANISM_UPGRADE) {
        struct buffer text = {0};
        add(&text, answer->accepted);
        keep(watch, session->what, sizeof session->what, &text);
        buffer_release(&text);
    }
    line_begin(watch, &line, event, session, verbs[answer->outcome].verb,
               verbs[answer->outcome].code);
    if (answer->status > 0)
        buffer_format(&line, "  %d", answer->status);
    line_end(watch, &line);
    session->told = answer->outcome == OUTCOME_SWITCHED || answer->outcome == OUTCOME_UNSOLICITED
                        ? TOLD_OPENED
                        : TOLD_ALL;
    session->opened_ns = event->time_ns;
}

static void closed(struct watch *watch, const struct event *event,
                   const struct watch_session *session, const char *how, enum side side)
{
    struct buffer line = {0};
    char time[TIMES_SIZE];
    session_forget(watch, session);
    if (session->told == TOLD_ALL)
        return;
    line_begin(watch, &line, event, session, session->told == TOLD_OPENED ? "closed" : "unanswered",
               "2");
    buffer_format(&line, "  after %s",
                  times_duration(times_between(session->opened_ns, event->time_ns), time));
    if (session->has_messages)
        buffer_format(&line, ", messages %" PRIu64 " -> %" PRIu64 " <-", session->messages[CLIENT],
                      session->messages[SERVER]);
    buffer_format(&line, ", %s", how);
    if (session->code >= 0)
        buffer_format(&line, " %d", (int)session->code);
    if (side != NEITHER)
        buffer_format(&line, " by the %s", side == CLIENT ? "client" : "server");
    line_end(watch, &line);
}

/* ---------------------------------------------------------------- events */

static void websocket_close(struct watch *watch, const struct event *event)
{
    struct watch_session *session = session_find(watch, event);
    const struct event_websocket_close *close = &event->u.websocket_close;
    if (session == NULL)
        return;
    session->has_messages = 1;
    for (int side = 0; side < 2; side++) {
        session->messages[side] = close->side[side].messages;
        if (close->side[side].close_code >= 0 && session->code < 0)
            session->code = close->side[side].close_code;
    }
}

static const char *const end_words[] = {
    [SESSION_END_CLOSE] = "close",
    [SESSION_END_CLOSE_UNANSWERED] = "close unanswered",
    [SESSION_END_FIN] = "fin",
    [SESSION_END_RST] = "rst",
    [SESSION_END_IDLE] = "idle",
    [SESSION_END_EVICTED] = "given up for lack of memory",
    [SESSION_END_CAPTURE] = "capture ends",
};

static void session_end(struct watch *watch, const struct event *event)
{
    struct watch_session *session = session_find(watch, event);
    if (session != NULL)
        closed(watch, event, session, end_words[event->u.session_end.reason],
               event->u.session_end.side);
}

/* Sessions without an end of their own end with their flow. */
static void flow_close(struct watch *watch, const struct event *event)
{
    uint32_t at = *bucket(watch, event->flow);
    while (at != 0) {
        const struct watch_session *session = &watch->sessions[at - 1];
        at = session->next;
        if (session->flow == event->flow)
            closed(watch, event, session, end_words[event->u.flow_close.session_end],
                   event->u.flow_close.end_side);
    }
}

static int watch_write(void *arg, struct batch *batch)
{
    struct watch *watch = arg;
    for (size_t i = 0; i < batch->count; i++) {
        const struct event *event = &batch->events[i];
        switch (event->kind) {
        case EVENT_FLOW_OPEN:
            watch->flows[event->flow % FLOWS] = (struct watch_flow){
                event->flow, event->u.flow_open.client, event->u.flow_open.server,
                event->u.flow_open.client_port, event->u.flow_open.server_port};
            break;
        case EVENT_SESSION_OPEN:
            session_open(watch, event);
            break;
        case EVENT_SESSION_ANSWER:
            answered(watch, event);
            break;
        case EVENT_WEBSOCKET_CLOSE:
            websocket_close(watch, event);
            break;
        case EVENT_SESSION_END:
            session_end(watch, event);
            break;
        case EVENT_FLOW_CLOSE:
            flow_close(watch, event);
            break;
        default:
            break;
        }
    }
    return 0;
}

static int watch_flush(void *arg)
{
    (void)arg;
    return 0;
}

struct watch *watch_new(struct output *out)
{
    struct watch *watch = calloc(1, sizeof *watch);
    if (watch != NULL)
        watch->out = out;
    return watch;
}

struct sink watch_sink(struct watch *watch)
{
    return (struct sink){watch, watch_write, watch_flush};
}

void watch_free(struct watch *watch)
{
    free(watch);
}
