/*
 * Lost bytes between sealed records: where the next record begins and which number, under which
 * key, it has. Both are proven by its tag or MAC, so nothing is guessed.
 */
#ifndef SWITCHTAP_TLS_RESYNC_H
#define SWITCHTAP_TLS_RESYNC_H

#include "tls_flow.h"

struct tls_found {
    long len;         /* of what was in the record */
    uint8_t type;
    uint64_t skipped; /* records in front of it that are lost, where `same` is set */
    int same;         /* it is under the key of the records before */
};

/* Which number does this record have? Tries the next ones under the key in force, then the keys
 * that may have followed it. 1: found, the state of the side is that of this record; 0. */
int tls_resync_record(struct tls *t, enum side side, const struct tls_sealed *sealed, uint8_t *out,
                      struct tls_found *found);

/* Looks for a record's head from *at on, which keeps the place. 1: it is there, 0: more bytes
 * may tell. */
int tls_resync_head(const struct tls *t, const uint8_t *data, size_t len, size_t *at);

#endif
