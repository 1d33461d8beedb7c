/*
 * What is remembered about open flows, so that events that name them by serials find their rows.
 * An entry is freed when its flow closes; what one flow can make it remember is bounded.
 */
#include <stdlib.h>
#include <string.h>

#include "store_private.h"

enum {
    BUCKETS_LEAST = 1024,
    SESSIONS_MOST = 256, /* that one flow has entries for */
    TEXT_MOST = 96,      /* bytes of a text kept for the verdict */
    SERIAL_STEP = 4096   /* a serial further beyond the last is no serial */
};

/* ---------------------------------------------------------------- flows */

static size_t bucket_of(const struct store *store, uint64_t serial)
{
    return (size_t)(serial & (store->bucket_count - 1)); /* serials count up: no hash is better */
}

struct store_flow *store_flow_find(struct store *store, uint64_t serial)
{
    if (store->last != NULL && store->last->serial == serial)
        return store->last;
    if (store->bucket_count == 0 || serial == 0)
        return NULL;
    struct store_flow *flow = store->buckets[bucket_of(store, serial)];
    while (flow != NULL && flow->serial != serial)
        flow = flow->next;
    if (flow != NULL)
        store->last = flow;
    return flow;
}

static int grow(struct store *store)
{
    size_t before = store->bucket_count;
    size_t count = before > 0 ? before * 2 : BUCKETS_LEAST;
    struct store_flow **buckets = calloc(count, sizeof *buckets);
    if (buckets == NULL)
        return before > 0 ? 0 : -1; /* longer chains are no failure */
    struct store_flow **old = store->buckets;
    store->buckets = buckets;
    store->bucket_count = count;
    for (size_t i = 0; i < before; i++) {
        while (old[i] != NULL) {
            struct store_flow *flow = old[i];
            old[i] = flow->next;
            struct store_flow **bucket = &buckets[bucket_of(store, flow->serial)];
            flow->next = *bucket;
            *bucket = flow;
        }
    }
    free(old);
    return 0;
}

struct store_flow *store_flow_add(struct store *store, const struct event *event)
{
    if (store->flow_count >= store->bucket_count && grow(store) != 0)
        return NULL;
    struct store_flow *flow = calloc(1, sizeof *flow);
    if (flow == NULL)
        return NULL;
    flow->serial = event->flow;
    flow->open = event->u.flow_open;
    flow->first_ns = event->time_ns;
    struct store_flow **bucket = &store->buckets[bucket_of(store, flow->serial)];
    flow->next = *bucket;
    *bucket = flow;
    store->flow_count++;
    store->last = flow;
    return flow;
}

void store_findings_free(struct store_finding *finding)
{
    while (finding != NULL) {
        struct store_finding *next = finding->next;
        free(finding);
        finding = next;
    }
}

static void flow_free(struct store_flow *flow)
{
    while (flow->waiting != NULL) {
        struct store_layer *next = flow->waiting->next;
        store_layer_free(flow->waiting);
        flow->waiting = next;
    }
    while (flow->pending != NULL) {
        struct store_pending *next = flow->pending->next;
        free(flow->pending);
        flow->pending = next;
    }
    while (flow->sessions != NULL) {
        struct store_session *next = flow->sessions->next;
        store_session_free(flow->sessions);
        flow->sessions = next;
    }
    store_findings_free(flow->findings);
    free(flow->layers);
    free(flow);
}

void store_flow_remove(struct store *store, struct store_flow *flow)
{
    struct store_flow **link = &store->buckets[bucket_of(store, flow->serial)];
    while (*link != flow)
        link = &(*link)->next;
    *link = flow->next;
    store->flow_count--;
    if (store->last == flow)
        store->last = NULL;
    flow_free(flow);
}

void store_flow_remove_all(struct store *store)
{
    for (size_t i = 0; i < store->bucket_count; i++) {
        while (store->buckets[i] != NULL) {
            struct store_flow *next = store->buckets[i]->next;
            flow_free(store->buckets[i]);
            store->buckets[i] = next;
        }
    }
    free(store->buckets);
    store->buckets = NULL;
    store->bucket_count = store->flow_count = 0;
    store->last = NULL;
}

/* ---------------------------------------------------------------- layers */

int64_t store_layer_row(const struct store_flow *flow, uint32_t serial)
{
    return serial == 0 || serial > flow->layer_count ? 0 : flow->layers[serial - 1];
}

int store_layer_number(struct store_flow *flow, uint32_t serial, int64_t row)
{
    if (serial == 0 || serial > flow->layer_count + SERIAL_STEP)
        return -1;
    if (serial > flow->layer_room) {
        uint32_t room = flow->layer_room > 0 ? flow->layer_room * 2 : 4;
        if (room < serial)
            room = serial;
        int64_t *layers = realloc(flow->layers, room * sizeof *layers);
        if (layers == NULL)
            return -1;
        flow->layers = layers;
        flow->layer_room = room;
    }
    while (flow->layer_count < serial)
        flow->layers[flow->layer_count++] = 0;
    flow->layers[serial - 1] = row;
    return 0;
}

void store_layer_forget(struct store_flow *flow, int64_t row)
{
    for (uint32_t i = 0; i < flow->layer_count; i++) {
        if (flow->layers[i] == row)
            flow->layers[i] = 0;
    }
}

void store_layer_free(struct store_layer *layer)
{
    free(layer->strings);
    free(layer);
}

/* Copies the texts into one block. The old block is freed behind that: `texts` may be in it. */
static int layer_texts(struct store_layer *layer, const struct text texts[LAYER_TEXTS])
{
    size_t total = 0;
    for (size_t i = 0; i < LAYER_TEXTS; i++)
        total += texts[i].len;
    char *strings = malloc(total > 0 ? total : 1);
    if (strings == NULL)
        return -1;
    struct text copies[LAYER_TEXTS];
    char *to = strings;
    for (size_t i = 0; i < LAYER_TEXTS; i++) {
        copies[i] = TEXT_NONE;
        if (texts[i].data == NULL)
            continue;
        copies[i] = (struct text){to, texts[i].len};
        if (texts[i].len > 0)
            memcpy(to, texts[i].data, texts[i].len);
        to += texts[i].len;
    }
    memcpy(layer->text, copies, sizeof copies);
    free(layer->strings);
    layer->strings = strings;
    return 0;
}

int store_layer_wait(struct store_flow *flow, const struct event *event, int64_t row)
{
    const struct event_layer_open *open = &event->u.layer_open;
    struct store_layer *layer = calloc(1, sizeof *layer);
    if (layer == NULL)
        return -1;
    layer->row = row;
    layer->serial = event->layer;
    layer->parent = open->parent;
    layer->relation = open->relation;
    layer->first_ns = event->time_ns;
    layer->packet = event->packet;
    layer->offset[CLIENT] = open->offset[CLIENT];
    layer->offset[SERVER] = open->offset[SERVER];
    struct text texts[LAYER_TEXTS] = {[LAYER_PROTOCOL] = open->protocol,
                                      [LAYER_EXPECTED] = open->expected};
    if (layer_texts(layer, texts) != 0) {
        store_layer_free(layer);
        return -1;
    }
    if (flow->waiting_last != NULL)
        flow->waiting_last->next = layer;
    else
        flow->waiting = layer;
    flow->waiting_last = layer;
    flow->waiting_count++;
    return 0;
}

struct store_layer *store_layer_waiting(struct store_flow *flow, uint32_t serial)
{
    struct store_layer *layer = flow->waiting;
    while (layer != NULL && layer->serial != serial)
        layer = layer->next;
    return layer;
}

int store_layer_settle(struct store_layer *layer, const struct event_layer_close *close)
{
    const struct text texts[LAYER_TEXTS] = {
        [LAYER_PROTOCOL] = close->protocol.data != NULL ? close->protocol
                                                        : layer->text[LAYER_PROTOCOL],
        [LAYER_EXPECTED] = layer->text[LAYER_EXPECTED],
        [LAYER_CLIENT_HEAD] = close->head[CLIENT],
        [LAYER_SERVER_HEAD] = close->head[SERVER],
        [LAYER_DETAIL] = close->detail,
        [LAYER_NDPI_PROTOCOL] = close->ndpi.protocol,
        [LAYER_NDPI_CATEGORY] = close->ndpi.category,
        [LAYER_NDPI_RISK] = close->ndpi.risk,
    };
    return layer_texts(layer, texts);
}

/* ---------------------------------------------------------------- sessions */

struct store_session *store_session_find(struct store_flow *flow, uint32_t serial)
{
    struct store_session **link = &flow->sessions;
    while (*link != NULL && (*link)->serial != serial)
        link = &(*link)->next;
    struct store_session *session = *link;
    if (session != NULL && session != flow->sessions) {
        *link = session->next;
        session->next = flow->sessions;
        flow->sessions = session;
    }
    return session;
}

struct store_session *store_session_add(struct store_flow *flow, uint32_t serial)
{
    struct store_session *session = calloc(1, sizeof *session);
    if (session == NULL)
        return NULL;
    session->serial = serial;
    session->request_ns = session->answer_ns = INT64_MIN;
    session->verdict.close_code[CLIENT] = session->verdict.close_code[SERVER] = -1;
    session->next = flow->sessions;
    flow->sessions = session;
    flow->session_count++;
    return session;
}

struct store_session *store_session_surplus(struct store_flow *flow)
{
    if (flow->session_count <= SESSIONS_MOST)
        return NULL;
    struct store_session **best = NULL, **last = NULL;
    for (struct store_session **link = &flow->sessions; *link != NULL; link = &(*link)->next) {
        const struct verdict *verdict = &(*link)->verdict;
        int over = verdict->ended || verdict->outcome == OUTCOME_REFUSED ||
                   verdict->outcome == OUTCOME_IGNORED;
        if (over)
            best = link; /* the last one: used the longest ago */
        last = link;
    }
    if (best == NULL)
        best = last;
    struct store_session *session = *best;
    *best = session->next;
    flow->session_count--;
    flow->sessions_forgotten = 1;
    return session;
}

void store_session_removed(struct store_flow *flow, int64_t row)
{
    flow->sessions_removed = 1;
    struct store_session **link = &flow->sessions;
    while (*link != NULL && (*link)->row != row)
        link = &(*link)->next;
    struct store_session *session = *link;
    if (session == NULL)
        return;
    *link = session->next;
    flow->session_count--;
    store_session_free(session);
}

void store_session_free(struct store_session *session)
{
    struct text *texts[] = {&session->verdict.offered, &session->verdict.accepted,
                            &session->verdict.reason,  &session->verdict.host,
                            &session->verdict.origin,  &session->verdict.path,
                            &session->verdict.location, &session->verdict.method,
                            &session->verdict.clear,    &session->verdict.target,
                            &session->verdict.failure};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        (void)store_session_text(texts[i], TEXT_NONE);
    store_findings_free(session->findings);
    free(session->frames);
    free(session);
}

int store_session_text(struct text *text, struct text value)
{
    char *copy = NULL;
    size_t len = value.len < TEXT_MOST ? value.len : TEXT_MOST;
    if (len > 0) {
        copy = malloc(len);
        if (copy == NULL)
            return -1;
        memcpy(copy, value.data, len);
    }
    free((void *)(uintptr_t)text->data);
    *text = (struct text){copy, len};
    return 0;
}

int store_session_frame(struct store_session *session, uint64_t serial, int64_t row, int control)
{
    if (session->frames == NULL)
        session->frames = calloc(1, sizeof *session->frames);
    struct store_frames *frames = session->frames;
    if (frames == NULL)
        return -1;
    if (frames->first_count < FRAMES_FIRST) {
        frames->first[frames->first_count].serial = serial;
        frames->first[frames->first_count++].row = row;
    }
    frames->recent[frames->recent_at].serial = serial;
    frames->recent[frames->recent_at].row = row;
    frames->recent_at = (frames->recent_at + 1) % FRAMES_RECENT;
    if (control) {
        frames->control[frames->control_at].serial = serial;
        frames->control[frames->control_at].row = row;
        frames->control_at = (frames->control_at + 1) % FRAMES_CONTROL;
    }
    return 0;
}

int64_t store_session_frame_row(const struct store_session *session, uint64_t serial)
{
    const struct store_frames *frames = session->frames;
    if (frames == NULL || serial == 0)
        return 0;
    for (size_t i = 0; i < FRAMES_RECENT; i++) {
        if (frames->recent[i].serial == serial)
            return frames->recent[i].row;
    }
    for (size_t i = 0; i < FRAMES_CONTROL; i++) {
        if (frames->control[i].serial == serial)
            return frames->control[i].row;
    }
    for (size_t i = 0; i < FRAMES_FIRST; i++) {
        if (frames->first[i].serial == serial)
            return frames->first[i].row;
    }
    return 0;
}
