/*
 * One dissector on the real engine, without what comes before it on the wire: a conversation is
 * noted down step by step, then played, whole or cut into pieces, and what the dissector emits is
 * recorded as lines of text.
 */
#ifndef SWITCHTAP_FAKE_LAYER_H
#define SWITCHTAP_FAKE_LAYER_H

#include "../../dissectors/stack.h"

enum { FAKE_STEPS = 512, FAKE_HINTS = 12, FAKE_ACKED_ALL = -1, FAKE_ACKED_NONE = -2 };

enum fake_kind { FAKE_DATA, FAKE_GAP, FAKE_FIN };

struct fake_step {
    enum fake_kind kind;
    enum side side;
    size_t at, len; /* of the bytes */
    uint64_t packet;
    int64_t time_ns;
    int64_t acked; /* of the peer's stream; FAKE_ACKED_ALL: what was sent before */
};

struct fake {
    struct dissect_options options; /* set before playing; generous defaults */
    const char *table, *token;      /* which dissector: "http.upgrade", "websocket" */
    struct hint hints[FAKE_HINTS];
    size_t hint_count;
    uint32_t session; /* 0: none */
    int granted;      /* by a switch, whose grant ended at grant_end of the server's stream */
    uint64_t grant_end;
    const enum rule *mismatch_rule; /* of that switch */
    size_t memory;    /* of the flow's budget */
    enum session_end end;
    enum side end_side;
    int64_t idle_ns;

    struct fake_step steps[FAKE_STEPS];
    size_t step_count;
    uint8_t *bytes;
    size_t len, cap;
    uint64_t packet;
    int64_t now_ns, acked;

    char *log; /* of the last play */
    size_t log_len, log_cap;
    size_t leaked; /* bytes of the budget that were not given back */
    size_t peak;   /* ... and the most that were taken */
    struct budget *budget; /* while playing */
};

/* Never fails; ends the test when there is no memory. */
struct fake *fake_new(const char *table, const char *token);
void fake_free(struct fake *fake);
void fake_hint(struct fake *fake, const char *name, const char *value);
void fake_data(struct fake *fake, enum side side, const void *data, size_t len);
void fake_gap(struct fake *fake, enum side side, size_t len);
void fake_fin(struct fake *fake, enum side side);
void fake_wait(struct fake *fake, int64_t ms);

/* Plays all steps with bytes in pieces of `cut` (0: each step as one). Returns the log. */
const char *fake_play(struct fake *fake, size_t cut);

/* Plays whole, byte by byte and in odd pieces; fails the test where the logs differ or memory is
 * not given back. Returns the findings: "C:rule-name S:rule-name", in the order told. */
const char *fake_rules(struct fake *fake);

#endif
