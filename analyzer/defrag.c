/*
 * A datagram in waiting is a table of pages that are allocated as data arrives for them. A page
 * knows for each 8-byte unit (offsets are multiples of 8) which fragment it came from, as the unit
 * in which that fragment began, plus one; 0 is a hole. So an overlap is found and settled unit by
 * unit, with no list of fragments that a hostile sender could make long, and a lone fragment far
 * out costs one page.
 */
#include "defrag.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "checksum.h"

enum {
    UNIT = 8,
    PAGE_UNITS = 256,
    PAGE_COUNT = 65536 / (PAGE_UNITS * UNIT),
    BUCKETS = 4096,       /* a power of two */
    DATAGRAM_LIMIT = 8192, /* in waiting, and remembered as done with */
    IP_LIMIT = 65535,
    IPV6_HEADER = 40,
    HEADER_LIMIT = 2048,
    TINY = 64 /* bytes: no link is that small, only an evasion cuts so finely */
};

#define EXPIRY_IPV4_NS INT64_C(30000000000)
#define EXPIRY_IPV6_NS INT64_C(60000000000)
/* How long a completed datagram is remembered, so that the copies of its fragments which a mirror
 * port makes do not begin a datagram that never ends. Far below the time in which ids repeat. */
#define DONE_NS INT64_C(100000000)

struct page {
    uint16_t owner[PAGE_UNITS];
    uint8_t data[PAGE_UNITS * UNIT];
};

struct key {
    uint8_t source[16], target[16];
    uint64_t context;
    uint32_t id;
    uint8_t protocol; /* IPv4; 0 for IPv6, where fragments may differ in it */
    uint8_t family;
    uint8_t zero[2];
};

enum state {
    STATE_WAITING,
    STATE_DONE,  /* completed a moment ago */
    STATE_KILLED /* an overlap killed it: what still comes is thrown away */
};

struct datagram {
    struct datagram *chain;         /* of its bucket */
    struct datagram *older, *newer; /* of its list */
    struct key key;
    int64_t since_ns;
    enum state state;
    uint32_t total;   /* bytes, 0: the last fragment has not come */
    uint32_t highest; /* the end of what came, bytes */
    uint32_t units;   /* that came */
    uint8_t *header;  /* of the first fragment, NULL until it came */
    size_t header_len, next_at;
    uint8_t protocol;
    struct page *pages[PAGE_COUNT];
};

struct list {
    struct datagram *oldest, *newest;
    size_t count;
};

struct completed {
    struct completed *next;
    uint8_t data[];
};

struct defrag {
    struct budget *budget;
    enum defrag_policy policy;
    uint64_t seed;
    struct list waiting; /* in the order of their first fragments */
    struct list settled; /* in the order in which they were done with */
    struct completed *completed;
    uint64_t counters[DEFRAG_COUNTER_COUNT];
    struct datagram *buckets[BUCKETS];
};

struct defrag *defrag_new(struct budget *budget, enum defrag_policy policy)
{
    struct defrag *defrag = calloc(1, sizeof *defrag);
    if (defrag == NULL)
        return NULL;
    defrag->budget = budget;
    defrag->policy = policy;
    /* Without a secret a sender could fill one bucket; with a poor one it is merely slower. */
    if (getrandom(&defrag->seed, sizeof defrag->seed, GRND_NONBLOCK) != sizeof defrag->seed)
        defrag->seed = (uint64_t)(uintptr_t)defrag;
    return defrag;
}

static uint64_t mix(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * UINT64_C(0x9e3779b97f4a7c15);
    hash ^= hash >> 29;
    hash *= UINT64_C(0xbf58476d1ce4e5b9);
    return hash ^ hash >> 32;
}

static struct datagram **bucket_of(struct defrag *defrag, const struct key *key)
{
    uint64_t words[sizeof *key / 8], hash = defrag->seed;
    _Static_assert(sizeof *key % 8 == 0, "the key is whole words, without padding");
    memcpy(words, key, sizeof words);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        hash = mix(hash + defrag->seed, words[i]);
    return &defrag->buckets[hash & (BUCKETS - 1)];
}

static void datagram_clear(struct defrag *defrag, struct datagram *d)
{
    for (size_t i = 0; i < PAGE_COUNT; i++) {
        budget_free(defrag->budget, d->pages[i]);
        d->pages[i] = NULL;
    }
    budget_free(defrag->budget, d->header);
    d->header = NULL;
}

static struct list *list_of(struct defrag *defrag, const struct datagram *d)
{
    return d->state == STATE_WAITING ? &defrag->waiting : &defrag->settled;
}

static void list_append(struct list *list, struct datagram *d)
{
    d->older = list->newest;
    d->newer = NULL;
    if (list->newest != NULL)
        list->newest->newer = d;
    else
        list->oldest = d;
    list->newest = d;
    list->count++;
}

static void list_remove(struct list *list, struct datagram *d)
{
    if (d->older != NULL)
        d->older->newer = d->newer;
    else
        list->oldest = d->newer;
    if (d->newer != NULL)
        d->newer->older = d->older;
    else
        list->newest = d->older;
    list->count--;
}

/* Nothing more is collected, but the datagram is remembered. */
static void datagram_settle(struct defrag *defrag, struct datagram *d, enum state state,
                            int64_t now_ns)
{
    assert(d->state == STATE_WAITING && state != STATE_WAITING);
    datagram_clear(defrag, d);
    list_remove(&defrag->waiting, d);
    d->state = state;
    d->since_ns = now_ns;
    list_append(&defrag->settled, d);
}

static void datagram_remove(struct defrag *defrag, struct datagram *d)
{
    struct datagram **link = bucket_of(defrag, &d->key);
    while (*link != d)
        link = &(*link)->chain;
    *link = d->chain;
    list_remove(list_of(defrag, d), d);
    datagram_clear(defrag, d);
    budget_free(defrag->budget, d);
}

void defrag_clear(struct defrag *defrag)
{
    while (defrag->completed != NULL) {
        struct completed *next = defrag->completed->next;
        budget_free(defrag->budget, defrag->completed);
        defrag->completed = next;
    }
}

void defrag_free(struct defrag *defrag)
{
    if (defrag == NULL)
        return;
    defrag_clear(defrag);
    while (defrag->waiting.oldest != NULL)
        datagram_remove(defrag, defrag->waiting.oldest);
    while (defrag->settled.oldest != NULL)
        datagram_remove(defrag, defrag->settled.oldest);
    free(defrag);
}

/* What is only remembered goes first, then the oldest that waits, but not `keep`. 0: none left. */
static int evict(struct defrag *defrag, const struct datagram *keep)
{
    struct datagram *victim = defrag->settled.oldest;
    if (victim == NULL) {
        victim = defrag->waiting.oldest;
        if (victim != NULL && victim == keep)
            victim = victim->newer;
        if (victim == NULL)
            return 0;
        defrag->counters[DEFRAG_EVICTED]++;
    }
    datagram_remove(defrag, victim);
    return 1;
}

static void *allocate(struct defrag *defrag, const struct datagram *keep, size_t size)
{
    for (;;) {
        void *block = budget_alloc(defrag->budget, size);
        if (block != NULL || !evict(defrag, keep))
            return block;
    }
}

static int is_expired(const struct datagram *d, int64_t now_ns)
{
    int64_t limit_ns = d->key.family == 4 ? EXPIRY_IPV4_NS : EXPIRY_IPV6_NS;
    if (d->state == STATE_DONE)
        limit_ns = DONE_NS;
    return now_ns > d->since_ns && (uint64_t)now_ns - (uint64_t)d->since_ns > (uint64_t)limit_ns;
}

static void expire(struct defrag *defrag, struct datagram *d)
{
    if (d->state == STATE_WAITING)
        defrag->counters[DEFRAG_EXPIRED]++;
    datagram_remove(defrag, d);
}

static void expire_list(struct defrag *defrag, const struct list *list, int64_t now_ns)
{
    while (list->oldest != NULL && is_expired(list->oldest, now_ns))
        expire(defrag, list->oldest);
}

static struct key key_of(const struct defrag_fragment *f)
{
    struct key key = {.context = f->context, .id = f->id, .family = f->family};
    size_t len = f->family == 4 ? 4 : 16;
    memcpy(key.source, f->source, len);
    memcpy(key.target, f->target, len);
    if (f->family == 4)
        key.protocol = f->protocol;
    return key;
}

/* The datagram of this fragment, a new one where none waits. NULL: no memory. */
static struct datagram *datagram_get(struct defrag *defrag, const struct defrag_fragment *f)
{
    expire_list(defrag, &defrag->waiting, f->time_ns);
    expire_list(defrag, &defrag->settled, f->time_ns);
    struct key key = key_of(f);
    struct datagram **bucket = bucket_of(defrag, &key);
    for (struct datagram *d = *bucket; d != NULL; d = d->chain) {
        if (memcmp(&d->key, &key, sizeof key) != 0)
            continue;
        if (!is_expired(d, f->time_ns))
            return d;
        expire(defrag, d);
        break;
    }
    if (defrag->waiting.count + defrag->settled.count >= DATAGRAM_LIMIT)
        (void)evict(defrag, NULL);
    struct datagram *d = allocate(defrag, NULL, sizeof *d);
    if (d == NULL)
        return NULL;
    d->key = key;
    d->since_ns = f->time_ns;
    d->chain = *bucket;
    *bucket = d;
    list_append(&defrag->waiting, d);
    return d;
}

/* The owner mark of a unit whose page exists. */
static uint16_t *owner_at(struct datagram *d, uint32_t unit)
{
    return &d->pages[unit / PAGE_UNITS]->owner[unit % PAGE_UNITS];
}

static uint16_t owner_of(const struct datagram *d, uint32_t unit)
{
    const struct page *page = unit < PAGE_COUNT * PAGE_UNITS ? d->pages[unit / PAGE_UNITS] : NULL;
    return page != NULL ? page->owner[unit % PAGE_UNITS] : 0;
}

static uint8_t *unit_at(struct datagram *d, uint32_t unit)
{
    return d->pages[unit / PAGE_UNITS]->data + (size_t)(unit % PAGE_UNITS) * UNIT;
}

/* The bytes of a fragment that fall into its unit number `at`; the last may be shorter. */
static size_t unit_len(const struct defrag_fragment *f, uint32_t at)
{
    size_t left = f->len - (size_t)at * UNIT;
    return left < UNIT ? left : UNIT;
}

static void unit_put(struct datagram *d, const struct defrag_fragment *f, uint32_t at,
                     uint32_t begin)
{
    uint32_t unit = f->offset / UNIT + at;
    uint16_t *owner = owner_at(d, unit);
    if (*owner == 0)
        d->units++;
    *owner = (uint16_t)(begin + 1);
    memcpy(unit_at(d, unit), f->data + (size_t)at * UNIT, unit_len(f, at));
}

/* What the fragment meets in its place. */
struct meeting {
    uint32_t taken; /* units that are there already */
    int differs;    /* and not all of them say the same */
    int foreign;    /* not all of them came from a fragment that began where this one begins */
};

static struct meeting meet(struct datagram *d, const struct defrag_fragment *f, uint32_t count)
{
    struct meeting m = {0, 0, 0};
    uint32_t first = f->offset / UNIT;
    for (uint32_t at = 0; at < count; at++) {
        uint16_t owner = owner_of(d, first + at);
        if (owner == 0)
            continue;
        m.taken++;
        m.foreign |= owner != first + 1;
        m.differs |= memcmp(unit_at(d, first + at), f->data + (size_t)at * UNIT,
                            unit_len(f, at)) != 0;
    }
    return m;
}

/* As the BSD queue does it: the front is cut off by the fragment that began no later, then those
 * that began behind lose what they share with the rest. Returns whether anything was stored. */
static int put_bsd(struct datagram *d, const struct defrag_fragment *f, uint32_t count)
{
    uint32_t first = f->offset / UNIT, end = first + count, at = 0;
    while (at < count && owner_of(d, first + at) != 0 && owner_of(d, first + at) <= first + 1)
        at++;
    if (at == count)
        return 0;
    uint16_t behind = owner_of(d, end);
    uint32_t begin = first + at;
    for (; at < count; at++)
        unit_put(d, f, at, begin);
    /* One that lost its front only begins where this fragment ends from now on. */
    if (behind != 0 && behind - 1U < end) {
        for (uint32_t unit = end; owner_of(d, unit) == behind; unit++)
            *owner_at(d, unit) = (uint16_t)(end + 1);
    }
    return 1;
}

static int put_first(struct datagram *d, const struct defrag_fragment *f, uint32_t count)
{
    uint32_t first = f->offset / UNIT, before = d->units;
    for (uint32_t at = 0; at < count; at++) {
        if (owner_of(d, first + at) == 0)
            unit_put(d, f, at, first);
    }
    return d->units != before;
}

static int make_pages(struct defrag *defrag, struct datagram *d, const struct defrag_fragment *f)
{
    uint32_t from = f->offset / UNIT / PAGE_UNITS;
    uint32_t to = (uint32_t)(f->offset + f->len - 1) / UNIT / PAGE_UNITS;
    for (uint32_t i = from; i <= to; i++) {
        if (d->pages[i] == NULL)
            d->pages[i] = allocate(defrag, d, sizeof *d->pages[i]);
        if (d->pages[i] == NULL)
            return -1;
    }
    return 0;
}

static int keep_header(struct defrag *defrag, struct datagram *d, const struct defrag_fragment *f)
{
    if (f->offset != 0 || d->header != NULL)
        return 0;
    d->header = allocate(defrag, d, f->header_len);
    if (d->header == NULL)
        return -1;
    memcpy(d->header, f->header, f->header_len);
    d->header_len = f->header_len;
    d->next_at = f->next_at;
    d->protocol = f->protocol;
    return 0;
}

/* The first fragment's header over the whole, as if nothing had been cut. */
static void finish_header(const struct datagram *d, uint8_t *ip)
{
    memcpy(ip, d->header, d->header_len);
    size_t len = d->header_len + d->total - (d->key.family == 4 ? 0 : IPV6_HEADER);
    uint8_t *length = ip + (d->key.family == 4 ? 2 : 4);
    length[0] = (uint8_t)(len >> 8);
    length[1] = (uint8_t)len;
    if (d->key.family == 6) {
        ip[d->next_at] = d->protocol;
        return;
    }
    memset(ip + 6, 0, 2);
    memset(ip + 10, 0, 2);
    uint16_t sum = (uint16_t)~checksum_fold(checksum_add(0, ip, d->header_len));
    ip[10] = (uint8_t)(sum >> 8);
    ip[11] = (uint8_t)sum;
}

static int complete(struct defrag *defrag, struct datagram *d, const struct defrag_fragment *f,
                    struct defrag_datagram *out)
{
    size_t len = d->header_len + d->total;
    size_t most = d->key.family == 4 ? IP_LIMIT : IP_LIMIT + IPV6_HEADER;
    if (len > most) { /* the first fragment's header is longer than the last one's */
        defrag->counters[DEFRAG_MALFORMED]++;
        datagram_remove(defrag, d);
        return 0;
    }
    struct completed *whole = allocate(defrag, d, sizeof *whole + len);
    if (whole == NULL) {
        defrag->counters[DEFRAG_NO_MEMORY]++;
        datagram_remove(defrag, d);
        return 0;
    }
    finish_header(d, whole->data);
    for (uint32_t at = 0; at < d->total; at += PAGE_UNITS * UNIT) {
        uint32_t left = d->total - at;
        memcpy(whole->data + d->header_len + at, d->pages[at / (PAGE_UNITS * UNIT)]->data,
               left < PAGE_UNITS * UNIT ? left : PAGE_UNITS * UNIT);
    }
    whole->next = defrag->completed;
    defrag->completed = whole;
    defrag->counters[DEFRAG_REASSEMBLED]++;
    *out = (struct defrag_datagram){whole->data, len, d->header_len, d->protocol};
    datagram_settle(defrag, d, STATE_DONE, f->time_ns);
    return 1;
}

static int is_malformed(const struct defrag_fragment *f)
{
    size_t front = f->family == 4 ? f->header_len : f->header_len - IPV6_HEADER;
    return f->len == 0 || (f->more && f->len % UNIT != 0) ||
           front + f->offset + f->len > IP_LIMIT || f->header_len > HEADER_LIMIT;
}

/* Does the fragment end where the others say the datagram ends, or leave it open? */
static int fits(const struct datagram *d, const struct defrag_fragment *f)
{
    uint32_t end = f->offset + (uint32_t)f->len;
    if (f->more) /* behind it must be more */
        return d->total == 0 || end < d->total;
    return d->total != 0 ? end == d->total : end > d->highest;
}

/* An overlap in IPv6: 1, and the datagram is dead or the fragment was a copy; 0: there is none. */
static int overlap_ipv6(struct defrag *defrag, struct datagram *d,
                        const struct defrag_fragment *f, const struct meeting *m, uint32_t count)
{
    int fitting = fits(d, f);
    uint32_t first = f->offset / UNIT;
    if (fitting && m->taken == 0)
        return 0;
    if (fitting && m->taken == count && !m->foreign && !m->differs &&
        owner_of(d, first + count) != first + 1) {
        defrag->counters[DEFRAG_DUPLICATE]++;
        return 1;
    }
    defrag->counters[DEFRAG_OVERLAPPED]++;
    datagram_settle(defrag, d, STATE_KILLED, f->time_ns);
    return 1;
}

/* Puts the fragment in its place: 1 when it went there, 0 where not, counted. */
static int store(struct defrag *defrag, struct datagram *d, const struct defrag_fragment *f)
{
    uint32_t count = (uint32_t)((f->len + UNIT - 1) / UNIT);
    struct meeting m = meet(d, f, count);
    defrag->counters[DEFRAG_OVERLAPS] += m.taken != 0;
    defrag->counters[DEFRAG_CONFLICTS] += m.differs != 0;
    if (f->family == 6 && overlap_ipv6(defrag, d, f, &m, count))
        return 0;
    if (!fits(d, f)) {
        defrag->counters[DEFRAG_MALFORMED]++;
        return 0;
    }
    if (make_pages(defrag, d, f) != 0 || keep_header(defrag, d, f) != 0) {
        defrag->counters[DEFRAG_NO_MEMORY]++;
        datagram_remove(defrag, d);
        return 0;
    }
    uint32_t end = f->offset + (uint32_t)f->len;
    if (!f->more)
        d->total = end;
    if (end > d->highest)
        d->highest = end;
    if (defrag->policy == DEFRAG_BSD ? put_bsd(d, f, count) : put_first(d, f, count))
        return 1;
    defrag->counters[DEFRAG_DUPLICATE]++;
    return 0;
}

int defrag_add(struct defrag *defrag, const struct defrag_fragment *f,
               struct defrag_datagram *datagram)
{
    defrag->counters[DEFRAG_FRAGMENTS]++;
    if (is_malformed(f)) {
        defrag->counters[DEFRAG_MALFORMED]++;
        return 0;
    }
    defrag->counters[DEFRAG_TINY] += f->more && f->len < TINY;
    struct datagram *d = datagram_get(defrag, f);
    if (d == NULL) {
        defrag->counters[DEFRAG_NO_MEMORY]++;
        return 0;
    }
    if (d->state != STATE_WAITING) {
        defrag->counters[d->state == STATE_DONE ? DEFRAG_DUPLICATE : DEFRAG_OVERLAPPED]++;
        return 0;
    }
    if (!store(defrag, d, f))
        return 0;
    if (d->total != 0 && d->units == (d->total + UNIT - 1) / UNIT)
        return complete(defrag, d, f, datagram);
    defrag->counters[DEFRAG_HELD]++;
    return 0;
}

size_t defrag_waiting(const struct defrag *defrag)
{
    return defrag->waiting.count;
}

uint64_t defrag_count(const struct defrag *defrag, enum defrag_counter counter)
{
    return defrag->counters[counter];
}

const char *defrag_counter_name(enum defrag_counter counter)
{
    static const char *const names[DEFRAG_COUNTER_COUNT] = {
#define X(id, name) [DEFRAG_##id] = name,
        DEFRAG_COUNTERS(X)
#undef X
    };
    return names[counter];
}
