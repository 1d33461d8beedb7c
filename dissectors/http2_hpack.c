/*
 * Header compression of HTTP/2 (RFC 7541): one direction's decoder. The decoding is nghttp2's, with
 * its memory from the flow's budget. Blocks are decoded as they come, so that nothing is kept of
 * one, however long it is.
 */
#include "http2_private.h"

#include <nghttp2/nghttp2.h>

/* What an encoder may make of its dynamic table. Its peer's SETTINGS allow it, mostly 4 to 64 KiB;
 * when they begin to count only the encoder's own update says. */
enum { TABLE_MAX = 256 * 1024 };

struct http2_hpack {
    struct budget *budget;
    nghttp2_mem mem; /* the inflater keeps a pointer to it, whatever its documentation says */
    nghttp2_hd_inflater *inflater;
};

static void *mem_malloc(size_t size, void *budget)
{
    return budget_alloc(budget, size);
}

static void mem_free(void *pointer, void *budget)
{
    budget_free(budget, pointer);
}

static void *mem_calloc(size_t count, size_t size, void *budget)
{
    return size != 0 && count > SIZE_MAX / size ? NULL : budget_alloc(budget, count * size);
}

static void *mem_realloc(void *pointer, size_t size, void *budget)
{
    return budget_realloc(budget, pointer, size);
}

struct http2_hpack *http2_hpack_new(struct budget *budget)
{
    struct http2_hpack *hpack = budget_alloc(budget, sizeof *hpack);
    if (hpack == NULL)
        return NULL;
    hpack->budget = budget;
    hpack->mem = (nghttp2_mem){budget, mem_malloc, mem_free, mem_calloc, mem_realloc};
    if (nghttp2_hd_inflate_new2(&hpack->inflater, &hpack->mem) != 0 ||
        nghttp2_hd_inflate_change_table_size(hpack->inflater, TABLE_MAX) != 0) {
        http2_hpack_free(hpack);
        return NULL;
    }
    return hpack;
}

void http2_hpack_free(struct http2_hpack *hpack)
{
    if (hpack == NULL)
        return;
    if (hpack->inflater != NULL)
        nghttp2_hd_inflate_del(hpack->inflater);
    budget_free(hpack->budget, hpack);
}

int http2_hpack_feed(struct http2_hpack *hpack, const uint8_t *data, size_t len, int last,
                     http2_hpack_field *field, void *context)
{
    size_t at = 0;
    for (;;) {
        nghttp2_nv nv = {0};
        int flags = 0;
        ssize_t read = nghttp2_hd_inflate_hd2(hpack->inflater, &nv, &flags, data + at, len - at,
                                              last);
        if (read < 0)
            return read == NGHTTP2_ERR_NOMEM ? HTTP2_HPACK_MEMORY : HTTP2_HPACK_ERROR;
        at += (size_t)read;
        if ((flags & NGHTTP2_HD_INFLATE_EMIT) != 0)
            field(context, (struct text){(const char *)nv.name, nv.namelen},
                  (struct text){(const char *)nv.value, nv.valuelen}, at);
        if ((flags & NGHTTP2_HD_INFLATE_FINAL) != 0) {
            (void)nghttp2_hd_inflate_end_headers(hpack->inflater);
            return 0;
        }
        if ((flags & NGHTTP2_HD_INFLATE_EMIT) == 0 && at == len)
            return 0;
    }
}
