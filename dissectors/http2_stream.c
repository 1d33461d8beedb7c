/*
 * The streams that ask, or were granted, another protocol, by their number. All the others have no
 * place here: a frame of a stream that is not found is passed over.
 */
#include <stdlib.h>

#include "http2_private.h"

enum { BUCKETS_FIRST = 16 };

/* Streams of a client are odd. */
static struct http2_stream **bucket(const struct http2_streams *streams, uint32_t id)
{
    return &streams->buckets[(id >> 1) & (streams->size - 1)];
}

struct http2_stream *http2_stream_find(const struct http2 *http, uint32_t id)
{
    if (http->streams.count == 0)
        return NULL;
    struct http2_stream *stream = *bucket(&http->streams, id);
    while (stream != NULL && stream->id != id)
        stream = stream->next;
    return stream;
}

static int grow(struct http2 *http)
{
    struct http2_streams *old = &http->streams;
    if (old->count < old->size)
        return 0;
    struct http2_streams new = {.size = old->size > 0 ? old->size * 2 : BUCKETS_FIRST,
                                .count = old->count, .attempts = old->attempts};
    new.buckets = budget_alloc(layer_budget(http->layer), new.size * sizeof(*new.buckets));
    if (new.buckets == NULL)
        return old->size > 0 ? 0 : -1; /* longer chains are no harm */
    for (size_t i = 0; i < old->size; i++) {
        while (old->buckets[i] != NULL) {
            struct http2_stream *stream = old->buckets[i];
            old->buckets[i] = stream->next;
            stream->next = *bucket(&new, stream->id);
            *bucket(&new, stream->id) = stream;
        }
    }
    budget_free(layer_budget(http->layer), old->buckets);
    *old = new;
    return 0;
}

struct http2_stream *http2_stream_add(struct http2 *http, uint32_t id)
{
    struct budget *budget = layer_budget(http->layer);
    if (http->streams.count >= HTTP2_STREAMS_MAX) {
        layer_limit(http->layer, "http2-streams", HTTP2_STREAMS_MAX);
        return NULL;
    }
    struct http2_stream *stream = grow(http) == 0 ? budget_alloc(budget, sizeof *stream) : NULL;
    struct http2_attempt *attempt =
        stream != NULL ? budget_alloc(budget, sizeof *attempt) : NULL;
    if (attempt == NULL) {
        budget_free(budget, stream);
        layer_limit(http->layer, "flow-memory", budget->limit);
        return NULL;
    }
    *stream = (struct http2_stream){.id = id, .attempt = attempt, .first_end = NEITHER};
    stream->next = *bucket(&http->streams, id);
    *bucket(&http->streams, id) = stream;
    http->streams.count++;
    http->streams.attempts++;
    return stream;
}

void http2_attempt_free(struct http2 *http, struct http2_stream *stream)
{
    struct budget *budget = layer_budget(http->layer);
    if (stream->attempt == NULL)
        return;
    budget_free(budget, stream->attempt->block);
    budget_free(budget, stream->attempt);
    stream->attempt = NULL;
    http->streams.attempts--;
}

void http2_stream_remove(struct http2 *http, struct http2_stream *stream)
{
    struct http2_stream **link = bucket(&http->streams, stream->id);
    while (*link != stream)
        link = &(*link)->next;
    *link = stream->next;
    http->streams.count--;
    http2_attempt_free(http, stream);
    budget_free(layer_budget(http->layer), stream);
}

static int compare_ids(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    return left < right ? -1 : left > right;
}

uint32_t *http2_stream_ids(struct http2 *http, uint32_t above, int attempts, size_t *count)
{
    const struct http2_streams *streams = &http->streams;
    struct budget *budget = layer_budget(http->layer);
    *count = 0;
    size_t most = attempts ? streams->attempts : streams->count;
    if (most == 0)
        return NULL;
    uint32_t *ids = budget_alloc(budget, most * sizeof *ids);
    if (ids == NULL) {
        layer_limit(http->layer, "flow-memory", budget->limit);
        return NULL;
    }
    for (size_t i = 0; i < streams->size; i++)
        for (const struct http2_stream *s = streams->buckets[i]; s != NULL; s = s->next)
            if (s->id > above && (s->attempt != NULL || !attempts))
                ids[(*count)++] = s->id;
    qsort(ids, *count, sizeof *ids, compare_ids);
    return ids;
}

void http2_streams_release(struct http2 *http)
{
    for (size_t i = 0; i < http->streams.size; i++)
        while (http->streams.buckets[i] != NULL)
            http2_stream_remove(http, http->streams.buckets[i]);
    budget_free(layer_budget(http->layer), http->streams.buckets);
    http->streams = (struct http2_streams){0};
}
