/*
 * One flow's layers, played: which side says what, what is lost, who ends. The events are watched.
 */
#ifndef SWITCHTAP_FUZZ_PLAY_H
#define SWITCHTAP_FUZZ_PLAY_H

#include "../../dissectors/stack_private.h"
#include "watch.h"

enum { PLAY_STEPS = 4096 };

enum play_flag {                     /* of the first byte of an input */
                 PLAY_MIDSTREAM = 1, /* the beginning was not seen */
                 PLAY_TIGHT = 2,     /* little memory */
                 PLAY_SHALLOW = 4,   /* few layers */
                 PLAY_NO_FRAMES = 8,
                 PLAY_FAILING = 16 /* an allocation fails: see play_begin() */
};

struct play {
    struct watch watch;
    struct budget budget;
    struct dissect_options options;
    struct stack_host host;
    struct stack *stack; /* NULL: there was no memory */
    size_t cut;          /* bytes of a piece, 0: whole */
    uint64_t sent[2], packet;
    int ended[2];
    int gaps; /* bytes were lost */
};

/* keys may be NULL. failing_at: with PLAY_FAILING, the allocation from which on there is none. */
void play_begin(struct play *play, unsigned flags, uint64_t failing_at, struct tls_keys *keys);

/* What a step says beside its bytes. */
enum play_ack { PLAY_ACK_ALL, PLAY_ACK_NOTHING, PLAY_ACK_UNKNOWN };

void play_data(struct play *play, enum side side, enum play_ack ack, const uint8_t *data,
               size_t len);
void play_gap(struct play *play, enum side side, enum play_ack ack, uint64_t len);
void play_eof(struct play *play, enum side side, enum play_ack ack);

/* Closes, frees, and checks that nothing is left. */
void play_end(struct play *play);

#endif
