/*
 * The store of secrets: a ring of entries, the newest ones kept, found through a hash table with
 * chains. The hash is keyed, as a capture file may bring secrets for randoms of its choice. Lines
 * are read strictly: a label, a client random and a secret in hex, one blank between them.
 */
#include "tls_keys.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <string.h>
#include <xxhash.h>

enum { FIRST_ENTRIES = 64 };

struct entry {
    uint8_t random[TLS_RANDOM_SIZE];
    uint8_t secret[TLS_SECRET_MAX];
    uint8_t len, label;
    uint32_t next; /* index + 1 in the chain; 0: the last */
};

struct tls_keys {
    struct budget *budget;
    size_t most;
    struct entry *entries;
    uint32_t *buckets; /* as many as entries */
    size_t count, room, oldest;
    uint64_t seed;
    struct tls_keys_counts counts;
    void (*more)(void *arg);
    void *arg;
    struct tls_keys *behind; /* NULL: none */
    pthread_mutex_t lock;    /* taken by the stores in front of this one */
    int lent;
    uint8_t lent_room[TLS_KEYS_ROOM];
};

/* --- entries --- */

struct tls_keys *tls_keys_new(struct budget *budget, size_t most)
{
    struct tls_keys *keys = budget_alloc(budget, sizeof *keys);
    if (keys == NULL)
        return NULL;
    keys->budget = budget;
    keys->most = most;
    (void)pthread_mutex_init(&keys->lock, NULL);
    (void)RAND_bytes((unsigned char *)&keys->seed, sizeof keys->seed);
    return keys;
}

static void drop_entries(struct tls_keys *keys)
{
    if (keys->entries != NULL)
        OPENSSL_cleanse(keys->entries, keys->room * sizeof *keys->entries);
    budget_free(keys->budget, keys->entries);
    budget_free(keys->budget, keys->buckets);
}

void tls_keys_free(struct tls_keys *keys)
{
    if (keys == NULL)
        return;
    drop_entries(keys);
    OPENSSL_cleanse(keys->lent_room, sizeof keys->lent_room);
    (void)pthread_mutex_destroy(&keys->lock);
    budget_free(keys->budget, keys);
}

static uint32_t *bucket(const struct tls_keys *keys, const uint8_t *random)
{
    return &keys->buckets[XXH3_64bits_withSeed(random, TLS_RANDOM_SIZE, keys->seed) %
                          keys->room];
}

static struct entry *find(const struct tls_keys *keys, uint8_t label, const uint8_t *random)
{
    if (keys->room == 0)
        return NULL;
    for (uint32_t at = *bucket(keys, random); at != 0; at = keys->entries[at - 1].next) {
        struct entry *entry = &keys->entries[at - 1];
        if (entry->label == label && memcmp(entry->random, random, TLS_RANDOM_SIZE) == 0)
            return entry;
    }
    return NULL;
}

static void link_entry(struct tls_keys *keys, size_t at)
{
    uint32_t *head = bucket(keys, keys->entries[at].random);
    keys->entries[at].next = *head;
    *head = (uint32_t)at + 1;
}

static void unlink_entry(struct tls_keys *keys, size_t at)
{
    uint32_t *link = bucket(keys, keys->entries[at].random);
    while (*link != at + 1)
        link = &keys->entries[*link - 1].next;
    *link = keys->entries[at].next;
}

/* The old ones are wiped, so that a secret is in one place only. */
static int grow(struct tls_keys *keys)
{
    size_t room = keys->room == 0 ? FIRST_ENTRIES : keys->room * 2;
    if (room > keys->most)
        room = keys->most;
    if (room <= keys->room)
        return -1;
    struct entry *entries = budget_alloc(keys->budget, room * sizeof *entries);
    uint32_t *buckets = budget_alloc(keys->budget, room * sizeof *buckets);
    if (entries == NULL || buckets == NULL) {
        budget_free(keys->budget, entries);
        budget_free(keys->budget, buckets);
        return -1;
    }
    if (keys->count > 0)
        memcpy(entries, keys->entries, keys->count * sizeof *entries);
    drop_entries(keys);
    keys->entries = entries;
    keys->buckets = buckets;
    keys->room = room;
    for (size_t i = 0; i < keys->count; i++)
        link_entry(keys, i);
    return 0;
}

/* A place for a new entry; NULL: there is no memory at all. */
static struct entry *take_place(struct tls_keys *keys, size_t *at)
{
    if (keys->count == keys->room && grow(keys) != 0) {
        if (keys->count == 0)
            return NULL;
        *at = keys->oldest;
        keys->oldest = (keys->oldest + 1) % keys->count;
        keys->counts.dropped++;
        unlink_entry(keys, *at);
    } else {
        *at = keys->count++;
    }
    return &keys->entries[*at];
}

/* Is it known to the store behind this one? What is in both counts once. */
static int is_behind(struct tls_keys *keys, const struct entry *entry)
{
    if (keys->behind == NULL)
        return 0;
    (void)pthread_mutex_lock(&keys->behind->lock);
    int known = find(keys->behind, entry->label, entry->random) != NULL;
    (void)pthread_mutex_unlock(&keys->behind->lock);
    return known;
}

static void add(struct tls_keys *keys, const struct entry *new)
{
    struct entry *entry = find(keys, new->label, new->random);
    size_t at;
    if (entry != NULL) { /* said again: what was said last counts */
        memcpy(entry->secret, new->secret, sizeof entry->secret);
        entry->len = new->len;
        return;
    }
    entry = take_place(keys, &at);
    if (entry == NULL) {
        keys->counts.dropped++;
        return;
    }
    *entry = *new;
    link_entry(keys, at);
    keys->counts.secrets += !is_behind(keys, new);
}

/* --- lines --- */

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Returns how many bytes came of it; 0: it is no hex, or too long. */
static size_t from_hex(const char *text, size_t len, uint8_t *bytes, size_t size)
{
    if (len % 2 != 0 || len / 2 > size)
        return 0;
    for (size_t i = 0; i < len; i += 2) {
        int high = digit(text[i]), low = digit(text[i + 1]);
        if (high < 0 || low < 0)
            return 0;
        bytes[i / 2] = (uint8_t)(high << 4 | low);
    }
    return len / 2;
}

/* By enum tls_label. */
static const char *const labels[] = {
    "CLIENT_RANDOM",
    "CLIENT_EARLY_TRAFFIC_SECRET",
    "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
    "SERVER_HANDSHAKE_TRAFFIC_SECRET",
    "CLIENT_TRAFFIC_SECRET_0",
    "SERVER_TRAFFIC_SECRET_0",
};

static int known_label(const char *text, size_t len)
{
    for (size_t i = 0; i < sizeof labels / sizeof labels[0]; i++)
        if (strlen(labels[i]) == len && memcmp(labels[i], text, len) == 0)
            return (int)i;
    return -1;
}

static int is_label(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!((text[i] >= 'A' && text[i] <= 'Z') || (text[i] >= '0' && text[i] <= '9') ||
              text[i] == '_'))
            return 0;
    return len > 0;
}

static size_t word(const char *text, size_t len)
{
    const char *blank = len > 0 ? memchr(text, ' ', len) : NULL;
    return blank != NULL ? (size_t)(blank - text) : len;
}

/* 0; -1: broken. Labels that are not known here (exporters, RSA, ECH) are passed over. */
static int read_line(struct tls_keys *keys, const char *line, size_t len)
{
    size_t label = word(line, len);
    if (!is_label(line, label))
        return -1;
    int known = known_label(line, label);
    if (known < 0)
        return label < len ? 0 : -1;
    if (label == len)
        return -1;
    line += label + 1;
    len -= label + 1;
    size_t random = word(line, len);
    struct entry entry = {.label = (uint8_t)known};
    if (random == len ||
        from_hex(line, random, entry.random, sizeof entry.random) != TLS_RANDOM_SIZE)
        return -1;
    size_t secret = from_hex(line + random + 1, len - random - 1, entry.secret,
                             sizeof entry.secret);
    entry.len = (uint8_t)secret;
    int good = secret == 48 || (secret == 32 && known != TLS_MASTER_SECRET);
    if (good)
        add(keys, &entry);
    OPENSSL_cleanse(&entry, sizeof entry);
    return good ? 0 : -1;
}

void tls_keys_text(struct tls_keys *keys, const char *text, size_t len)
{
    size_t at = 0;
    while (at < len) {
        const char *lf = memchr(text + at, '\n', len - at);
        size_t end = lf != NULL ? (size_t)(lf - text) : len;
        size_t line = end - at;
        while (line > 0 && (text[at + line - 1] == '\r' || text[at + line - 1] == ' '))
            line--;
        if (line > 0 && text[at] != '#' && read_line(keys, text + at, line) != 0)
            tls_keys_broken(keys);
        at = end + 1;
    }
}

void tls_keys_broken(struct tls_keys *keys)
{
    keys->counts.broken++;
}

/* --- looking up --- */

void tls_keys_source(struct tls_keys *keys, void (*more)(void *arg), void *arg)
{
    keys->more = more;
    keys->arg = arg;
}

void tls_keys_behind(struct tls_keys *keys, struct tls_keys *shared)
{
    keys->behind = shared;
}

int tls_keys_any(const struct tls_keys *keys)
{
    if (keys == NULL)
        return 0;
    int any = keys->count > 0 || keys->more != NULL;
    if (any || keys->behind == NULL)
        return any;
    (void)pthread_mutex_lock(&keys->behind->lock);
    any = tls_keys_any(keys->behind);
    (void)pthread_mutex_unlock(&keys->behind->lock);
    return any;
}

size_t tls_keys_find(struct tls_keys *keys, enum tls_label label,
                     const uint8_t random[TLS_RANDOM_SIZE], uint8_t secret[TLS_SECRET_MAX])
{
    const struct entry *entry = find(keys, (uint8_t)label, random);
    size_t len = 0;
    if (entry == NULL && keys->more != NULL) {
        keys->more(keys->arg);
        entry = find(keys, (uint8_t)label, random);
    }
    if (entry != NULL) {
        memcpy(secret, entry->secret, sizeof entry->secret);
        len = entry->len;
    } else if (keys->behind != NULL) {
        (void)pthread_mutex_lock(&keys->behind->lock);
        len = tls_keys_find(keys->behind, label, random, secret);
        (void)pthread_mutex_unlock(&keys->behind->lock);
    }
    return len;
}

uint8_t *tls_keys_lend(struct tls_keys *keys, size_t len)
{
    if (keys->lent || len > sizeof keys->lent_room)
        return NULL;
    keys->lent = 1;
    return keys->lent_room;
}

int tls_keys_return(struct tls_keys *keys, const uint8_t *room)
{
    if (room != keys->lent_room)
        return 0;
    keys->lent = 0;
    return 1;
}

void tls_keys_get_counts(struct tls_keys *keys, struct tls_keys_counts *counts)
{
    (void)pthread_mutex_lock(&keys->lock);
    *counts = keys->counts;
    (void)pthread_mutex_unlock(&keys->lock);
}
