/*
 * The search for a record behind a gap. Its costs are bounded: so many numbers for a key, and so
 * many bytes in all for a side.
 */
#include "tls_resync.h"

#include <openssl/crypto.h>

#include "reader.h"

enum {
    NUMBERS = 1024,           /* records that may have been lost */
    GENERATIONS = 2,          /* key updates that may have been */
    BYTES_TRIED = 32 << 20,   /* of a side, in all */
    SEALED_MIN = 17           /* a tag and a type, or more */
};

int tls_resync_head(const struct tls *t, const uint8_t *data, size_t len, size_t *at)
{
    int first = tls_is_13(t->version) ? TLS_APPLICATION_DATA : TLS_CHANGE_CIPHER_SPEC;
    uint16_t version = tls_is_13(t->version) ? 0x0303 : t->version;
    for (; *at + TLS_RECORD_HEAD <= len; (*at)++) {
        struct reader r = reader_of(data + *at, len - *at);
        uint8_t type = reader_u8(&r);
        uint16_t said = reader_u16(&r), length = reader_u16(&r);
        if (type >= first && type <= TLS_APPLICATION_DATA && said == version &&
            length >= SEALED_MIN && length <= TLS_RECORD_MAX)
            return 1;
    }
    return 0;
}

/* The first number from `from` on under which the record opens; -1: none. */
static int64_t find_number(struct tls_crypt_side *s, struct tls_opener *opener, uint64_t from,
                           const struct tls_sealed *sealed, uint8_t *out, struct tls_found *found)
{
    for (uint64_t number = from; number < from + NUMBERS; number++) {
        if (s->tried + sealed->len > BYTES_TRIED)
            return -1;
        s->tried += sealed->len;
        found->type = sealed->type;
        found->len = tls_open_record(opener, number, sealed, out, &found->type);
        if (found->len >= 0)
            return (int64_t)number;
    }
    return -1;
}

/* Keys of TLS 1.3 that may have followed: those of the epochs behind, those of key updates. Made in
 * `next`, one after the other. 0: no more. */
static int next_key(struct tls *t, enum side side, struct tls_crypt_side *next)
{
    if (next->epoch < TLS_EPOCH_TRAFFIC) {
        for (next->epoch++; next->epoch <= TLS_EPOCH_TRAFFIC; next->epoch++)
            if (tls_decrypt_key(t, side, next))
                return 1;
        return 0;
    }
    return next->generation++ < GENERATIONS &&
           tls_next_secret(&next->params.suite, next->secret) == 0 &&
           tls_opener_13(&next->opener, &next->params.suite, next->secret) == 0;
}

static int find_key(struct tls *t, enum side side, const struct tls_sealed *sealed, uint8_t *out,
                    struct tls_found *found)
{
    struct tls_crypt_side *s = &t->crypt->side[side], next = *s;
    int64_t number = -1;
    next.opener = (struct tls_opener){.cipher = NULL};
    next.generation = 0;
    while (number < 0 && next_key(t, side, &next))
        number = find_number(s, &next.opener, 0, sealed, out, found);
    if (number >= 0) {
        tls_opener_release(&s->opener);
        next.tried = s->tried;
        *s = next;
        s->number = (uint64_t)number + 1;
        s->keyed = 1;
        found->skipped = (uint64_t)number;
    } else {
        tls_opener_release(&next.opener);
    }
    OPENSSL_cleanse(&next, sizeof next);
    return number >= 0;
}

int tls_resync_record(struct tls *t, enum side side, const struct tls_sealed *sealed, uint8_t *out,
                      struct tls_found *found)
{
    struct tls_crypt_side *s = &t->crypt->side[side];
    *found = (struct tls_found){.len = -1};
    if (s->keyed || tls_decrypt_key(t, side, s)) {
        int64_t number = find_number(s, &s->opener, s->number, sealed, out, found);
        if (number >= 0) {
            found->same = 1;
            found->skipped = (uint64_t)number - s->number;
            s->keyed = 1;
            s->number = (uint64_t)number + 1;
            return 1;
        }
    }
    return tls_is_13(t->version) && find_key(t, side, sealed, out, found);
}
