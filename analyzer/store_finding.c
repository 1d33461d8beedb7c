/*
 * Findings and gaps. The first finding of a rule, side and session makes a row, repeats are counted
 * in memory. What is only worth knowing about a flow that may never get a row waits until it does.
 */
#include <stdlib.h>
#include <string.h>

#include "store_private.h"

enum { PENDING_FINDINGS = 16, PENDING_GAPS = 64 };

static int is_info(enum rule rule)
{
    return strcmp(rule_table[rule].severity, "info") == 0;
}

/* ---------------------------------------------------------------- gaps */

static int gap_insert(struct store *store, const struct store_flow *flow, const struct event *event)
{
    sqlite3_stmt *insert = store_statement(store, INSERT_GAP);
    const char *sender = store_side(event->sender);
    if (insert == NULL)
        return -1;
    (void)sqlite3_bind_int64(insert, 1, flow->row);
    store_bind_word(insert, 2, sender != NULL ? sender : "client");
    store_bind_count(insert, 3, event->offset);
    store_bind_count(insert, 4, event->u.gap.length);
    (void)sqlite3_bind_int64(insert, 5, event->time_ns);
    return store_run(store, insert);
}

/* ---------------------------------------------------------------- waiting */

static struct store_pending *pending_add(struct store *store, struct store_flow *flow,
                                         const struct event *event)
{
    struct text evidence = event->kind == EVENT_FINDING ? event->u.finding.evidence : TEXT_NONE;
    struct store_pending *pending = calloc(1, sizeof *pending + evidence.len);
    if (pending == NULL) {
        (void)store_no_memory(store);
        return NULL;
    }
    pending->event = *event;
    pending->count = 1;
    if (evidence.len > 0)
        memcpy(pending->evidence, evidence.data, evidence.len);
    if (event->kind == EVENT_FINDING && evidence.data != NULL)
        pending->event.u.finding.evidence = (struct text){pending->evidence, evidence.len};
    if (flow->pending_last != NULL)
        flow->pending_last->next = pending;
    else
        flow->pending = pending;
    flow->pending_last = pending;
    return pending;
}

static int pending_finding(struct store *store, struct store_flow *flow, const struct event *event)
{
    for (struct store_pending *p = flow->pending; p != NULL; p = p->next) {
        if (p->event.kind == EVENT_FINDING && p->event.sender == event->sender &&
            p->event.u.finding.rule == event->u.finding.rule) {
            p->count++;
            return 0;
        }
    }
    if (flow->pending_findings == PENDING_FINDINGS)
        return 0;
    flow->pending_findings++;
    return pending_add(store, flow, event) != NULL ? 0 : -1;
}

/* ---------------------------------------------------------------- rows of findings */

static int finding_insert(struct store *store, const struct store_flow *flow, int64_t session,
                          int64_t frame, const struct event *event, uint64_t count, int64_t row)
{
    sqlite3_stmt *insert = store_statement(store, INSERT_FINDING);
    struct buffer *scratch = &store->scratch[0];
    struct text evidence = event->u.finding.evidence;
    if (insert == NULL)
        return -1;
    buffer_clear(scratch);
    if (redact_words(&store->redact, evidence, scratch)) {
        if (scratch->failed)
            return store_no_memory(store);
        evidence = (struct text){buffer_text(scratch), scratch->len};
    }
    (void)sqlite3_bind_int64(insert, 1, row);
    (void)sqlite3_bind_int64(insert, 2, store->capture);
    store_bind_word(insert, 3, rule_table[event->u.finding.rule].name);
    store_bind_unless(insert, 4, session, 0);
    store_bind_unless(insert, 5, flow != NULL ? store_layer_row(flow, event->layer) : 0, 0);
    store_bind_unless(insert, 6, flow != NULL ? flow->row : 0, 0);
    store_bind_unless(insert, 7, frame, 0);
    store_bind_word(insert, 8, store_side(event->sender));
    if (event->packet != 0)
        store_bind_count(insert, 9, event->packet);
    store_bind_count(insert, 10, event->offset);
    (void)sqlite3_bind_int64(insert, 11, event->time_ns);
    store_bind_text(insert, 12, evidence);
    store_bind_count(insert, 13, count);
    return store_run(store, insert);
}

static struct store_finding *finding_find(struct store_finding *list, const struct event *event)
{
    while (list != NULL &&
           (list->rule != event->u.finding.rule || list->sender != event->sender))
        list = list->next;
    return list;
}

static int count_write(struct store *store, struct store_finding *finding)
{
    sqlite3_stmt *update = store_statement(store, UPDATE_FINDING_COUNT);
    if (update == NULL)
        return -1;
    store_bind_count(update, 1, finding->count);
    (void)sqlite3_bind_int64(update, 2, finding->row);
    finding->written = finding->count;
    return store_run(store, update);
}

int store_finding_counts(struct store *store, struct store_finding *findings)
{
    for (; findings != NULL; findings = findings->next) {
        if (findings->count != findings->written && count_write(store, findings) != 0)
            return -1;
    }
    return 0;
}

/* A new row in a list, or one more in a row. `session` is NULL for the flow's and the capture's. */
static int finding_add(struct store *store, struct store_flow *flow, struct store_session *session,
                       struct event *event, uint64_t count)
{
    struct store_finding **list = session != NULL ? &session->findings
                                  : flow != NULL  ? &flow->findings
                                                  : &store->findings;
    struct store_finding *finding = finding_find(*list, event);
    if (finding != NULL) {
        finding->count += count;
        event->row = finding->row;
        /* Live, somebody may be looking: at 2, 4, 8 ... */
        int look = store->options.live && (finding->count & (finding->count - 1)) == 0;
        return look ? count_write(store, finding) : 0;
    }
    finding = calloc(1, sizeof *finding);
    if (finding == NULL)
        return store_no_memory(store);
    uint64_t serial = event->u.finding.frame;
    int64_t frame = session != NULL ? store_session_frame_row(session, serial) : 0;
    *finding = (struct store_finding){
        .next = *list,
        .rule = event->u.finding.rule,
        .sender = event->sender,
        .row = store->next_finding++,
        .count = count,
        .written = count,
        .frame = frame == 0 ? serial : 0,
    };
    *list = finding;
    event->row = finding->row;
    return finding_insert(store, flow, session != NULL ? session->row : 0, frame, event, count,
                          finding->row);
}

/* About a session whose entry was given up: the database knows what was found about it. */
static int finding_forgotten(struct store *store, struct store_flow *flow, int64_t session,
                             struct event *event)
{
    sqlite3_stmt *update = store_statement(store, ADD_FINDING_COUNT);
    if (update == NULL)
        return -1;
    (void)sqlite3_bind_int64(update, 1, session);
    store_bind_word(update, 2, rule_table[event->u.finding.rule].name);
    store_bind_word(update, 3, store_side(event->sender));
    if (store_run(store, update) != 0)
        return -1;
    if (sqlite3_changes(store->db) > 0)
        return 0;
    event->row = store->next_finding++;
    return finding_insert(store, flow, session, 0, event, 1, event->row);
}

/* "frames-shed=12", as the queue says it. */
static uint64_t shed_frames(const struct event *event)
{
    static const char words[] = "frames-shed=";
    struct text evidence = event->u.finding.evidence;
    uint64_t frames = 0;
    if (event->u.finding.rule != RULE_ANALYSIS_LIMIT_HIT || evidence.len < sizeof words ||
        memcmp(evidence.data, words, sizeof words - 1) != 0)
        return 0;
    for (size_t i = sizeof words - 1; i < evidence.len && i < sizeof words + 17; i++) {
        if (evidence.data[i] < '0' || evidence.data[i] > '9')
            break;
        frames = frames * 10 + (uint64_t)(evidence.data[i] - '0');
    }
    return frames;
}

/* What the session's sentence tells of it. */
static int verdict_note(struct store_session *session, const struct event *event)
{
    struct verdict *verdict = &session->verdict;
    if (event->u.finding.rule == RULE_STARTTLS_REFUSED_THEN_PLAINTEXT) {
        session->stale = 1;
        return store_session_text(&verdict->clear, event->u.finding.evidence);
    }
    if (event->u.finding.rule == RULE_STARTTLS_NO_CLIENTHELLO)
        session->stale = verdict->no_hello = 1;
    return 0;
}

int store_finding_event(struct store *store, struct store_flow *flow, struct event *event)
{
    if ((unsigned)event->u.finding.rule >= RULE_COUNT)
        return 0;
    if (flow == NULL)
        return finding_add(store, NULL, NULL, event, 1);
    if (!flow->inserted && !store->options.all_flows && is_info(event->u.finding.rule))
        return pending_finding(store, flow, event);
    if (!flow->inserted && store_publish(store, flow, NULL) != 0)
        return -1;
    if (event->session == 0)
        return finding_add(store, flow, NULL, event, 1);
    struct store_session *session = store_session_find(flow, event->session);
    if (session == NULL) {
        int64_t row = store_session_row(store, flow, event->session);
        return row != 0 ? finding_forgotten(store, flow, row, event)
                        : finding_add(store, flow, NULL, event, 1);
    }
    if (verdict_note(session, event) != 0)
        return store_no_memory(store);
    uint64_t shed = shed_frames(event);
    session->shed_found += shed;
    if (shed > 0 && store_frames_shed(store, session) != 0)
        return -1;
    return finding_add(store, flow, session, event, 1);
}

int store_gap_event(struct store *store, struct store_flow *flow, struct event *event)
{
    if (flow == NULL)
        return 0;
    if (!flow->inserted && !store->options.all_flows) {
        if (flow->pending_gaps == PENDING_GAPS) {
            store->gaps_dropped++;
            return 0;
        }
        flow->pending_gaps++;
        return pending_add(store, flow, event) != NULL ? 0 : -1;
    }
    if (!flow->inserted && store_publish(store, flow, NULL) != 0)
        return -1;
    return gap_insert(store, flow, event);
}

int store_pending_write(struct store *store, struct store_flow *flow)
{
    int result = 0;
    while (flow->pending != NULL) {
        struct store_pending *pending = flow->pending;
        if (result == 0 && pending->event.kind == EVENT_GAP)
            result = gap_insert(store, flow, &pending->event);
        else if (result == 0)
            result = finding_add(store, flow, NULL, &pending->event, pending->count);
        flow->pending = pending->next;
        free(pending);
    }
    flow->pending_last = NULL;
    return result;
}

int store_finding_frame(struct store *store, struct store_session *session, uint64_t serial,
                        int64_t row)
{
    for (struct store_finding *f = session->findings; f != NULL; f = f->next) {
        if (f->frame != serial)
            continue;
        sqlite3_stmt *update = store_statement(store, UPDATE_FINDING_FRAME);
        if (update == NULL)
            return -1;
        (void)sqlite3_bind_int64(update, 1, row);
        (void)sqlite3_bind_int64(update, 2, f->row);
        f->frame = 0;
        if (store_run(store, update) != 0)
            return -1;
    }
    return 0;
}
