/*
 * Memory that fails at a chosen allocation. The linker sends the program's own calls here (--wrap),
 * libcrypto and SQLite are told to ask here, too; zlib and nghttp2 ask the program anyway.
 */
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *pointer, size_t size);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t len);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *pointer, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t len);

static atomic_uint_least64_t count; /* allocations since fuzz_fail_at() */
static atomic_int counting, failed;
static uint64_t failing_at;
static enum fuzz_failing failing;

static int fails(void)
{
    if (!atomic_load_explicit(&counting, memory_order_relaxed))
        return 0;
    uint64_t number = atomic_fetch_add(&count, 1) + 1;
    if (failing_at == 0 || number < failing_at || (number > failing_at && failing == FUZZ_FAIL_ONE))
        return 0;
    atomic_store(&failed, 1);
    return 1;
}

void fuzz_fail_at(uint64_t at, enum fuzz_failing how)
{
    failing_at = at;
    failing = how;
    atomic_store(&count, 0);
    atomic_store(&failed, 0);
    atomic_store(&counting, 1);
}

uint64_t fuzz_fail_end(void)
{
    atomic_store(&counting, 0);
    return atomic_load(&count);
}

int fuzz_failed(void)
{
    return atomic_load(&failed);
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count_, size_t size)
{
    return fails() ? NULL : __real_calloc(count_, size);
}

void *__wrap_realloc(void *pointer, size_t size)
{
    return fails() ? NULL : __real_realloc(pointer, size);
}

char *__wrap_strdup(const char *text)
{
    return fails() ? NULL : __real_strdup(text);
}

char *__wrap_strndup(const char *text, size_t len)
{
    return fails() ? NULL : __real_strndup(text, len);
}

/* --- libcrypto --- */

static void *crypto_malloc(size_t size, const char *file, int line)
{
    (void)file, (void)line;
    return malloc(size);
}

static void *crypto_realloc(void *pointer, size_t size, const char *file, int line)
{
    (void)file, (void)line;
    return realloc(pointer, size);
}

static void crypto_free(void *pointer, const char *file, int line)
{
    (void)file, (void)line;
    free(pointer);
}

/* --- SQLite, which wants to know how large a block is --- */

enum { SIZE_ROOM = 16 };

static void *sqlite_malloc(int size)
{
    char *block = malloc((size_t)size + SIZE_ROOM);
    if (block == NULL)
        return NULL;
    memcpy(block, &size, sizeof size);
    return block + SIZE_ROOM;
}

static void sqlite_free(void *pointer)
{
    free(pointer != NULL ? (char *)pointer - SIZE_ROOM : NULL);
}

static void *sqlite_realloc(void *pointer, int size)
{
    char *block = realloc((char *)pointer - SIZE_ROOM, (size_t)size + SIZE_ROOM);
    if (block == NULL)
        return NULL;
    memcpy(block, &size, sizeof size);
    return block + SIZE_ROOM;
}

static int sqlite_size(void *pointer)
{
    int size = 0;
    if (pointer != NULL)
        memcpy(&size, (char *)pointer - SIZE_ROOM, sizeof size);
    return size;
}

static int sqlite_roundup(int size)
{
    return (size + 7) & ~7;
}

static int sqlite_init(void *arg)
{
    (void)arg;
    return SQLITE_OK;
}

static void sqlite_shutdown(void *arg)
{
    (void)arg;
}

void fuzz_fail_init(void)
{
    static const sqlite3_mem_methods methods = {
        sqlite_malloc,  sqlite_free, sqlite_realloc,  sqlite_size,
        sqlite_roundup, sqlite_init, sqlite_shutdown, NULL};
    if (CRYPTO_set_mem_functions(crypto_malloc, crypto_realloc, crypto_free) != 1 ||
        sqlite3_config(SQLITE_CONFIG_MALLOC, &methods) != SQLITE_OK)
        abort();
    /* What libcrypto makes once has to be there: without, it does not fail but falls. */
    unsigned char digest[EVP_MAX_MD_SIZE];
    EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, "AES-128-GCM", NULL);
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
    if (EVP_Digest("", 0, digest, NULL, EVP_sha1(), NULL) != 1 || cipher == NULL || kdf == NULL)
        abort();
    EVP_CIPHER_free(cipher);
    EVP_KDF_free(kdf);
}
