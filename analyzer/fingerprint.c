/*
 * Fingerprints of capture files: XXH3 (128 bits) over the size, both ends and samples in between,
 * or SHA-256 over everything. Two files that differ only between the samples have the same fast
 * fingerprint; who must tell those apart asks for SHA-256.
 */
#include "fingerprint.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

enum {
    EDGE_SIZE = 64 << 10, /* at both ends */
    SAMPLE_SIZE = 4 << 10,
    SAMPLES = 64, /* spread between the ends */
    WHOLE_SIZE = 2 * EDGE_SIZE + SAMPLES * SAMPLE_SIZE
};

struct source {
    int fd;
    const char *path;
    uint64_t size;
};

static void hex_write(char *text, const unsigned char *bytes, size_t len)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < len; i++) {
        *text++ = digits[bytes[i] >> 4];
        *text++ = digits[bytes[i] & 15];
    }
    *text = '\0';
}

static void xxh3_write(char text[FINGERPRINT_SIZE], XXH128_hash_t hash)
{
    XXH128_canonical_t canonical;

    XXH128_canonicalFromHash(&canonical, hash);
    memcpy(text, "xxh3:", 5);
    hex_write(text + 5, canonical.digest, sizeof canonical.digest);
}

static int source_open(struct source *source, const char *path, struct error *error)
{
    struct stat status;

    /* Never wait for the writer of a pipe: only regular files have a fingerprint. */
    *source = (struct source){.path = path};
    source->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (source->fd < 0)
        return error_set(error, "%s: cannot be opened: %s", path, strerror(errno));
    if (fstat(source->fd, &status) != 0 || !S_ISREG(status.st_mode)) {
        (void)close(source->fd);
        return error_set(error, "%s: is no regular file", path);
    }
    source->size = (uint64_t)status.st_size;
    return 0;
}

/* Reads exactly len bytes at offset. */
static int source_read(const struct source *source, uint64_t offset, unsigned char *to, size_t len,
                       struct error *error)
{
    while (len > 0) {
        ssize_t got = pread(source->fd, to, len, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_set(error, "%s: reading failed at byte %llu: %s", source->path,
                             (unsigned long long)offset, strerror(errno));
        if (got == 0)
            return error_set(error, "%s: became shorter while it was read", source->path);
        to += got;
        len -= (size_t)got;
        offset += (uint64_t)got;
    }
    return 0;
}

static int xxh3_range(const struct source *source, XXH3_state_t *state, uint64_t offset, size_t len,
                      struct error *error)
{
    unsigned char buffer[SAMPLE_SIZE];

    while (len > 0) {
        size_t now = len < sizeof buffer ? len : sizeof buffer;
        if (source_read(source, offset, buffer, now, error) != 0)
            return -1;
        (void)XXH3_128bits_update(state, buffer, now);
        offset += now;
        len -= now;
    }
    return 0;
}

static int xxh3_samples(const struct source *source, XXH3_state_t *state, struct error *error)
{
    unsigned char size[8];

    for (unsigned i = 0; i < sizeof size; i++)
        size[i] = (unsigned char)(source->size >> (8 * i));
    (void)XXH3_128bits_reset(state);
    (void)XXH3_128bits_update(state, size, sizeof size);
    if (source->size <= WHOLE_SIZE)
        return xxh3_range(source, state, 0, (size_t)source->size, error);

    uint64_t last = source->size - EDGE_SIZE;
    uint64_t stride = (last - EDGE_SIZE - SAMPLE_SIZE) / (SAMPLES - 1);
    if (xxh3_range(source, state, 0, EDGE_SIZE, error) != 0)
        return -1;
    for (unsigned i = 0; i < SAMPLES; i++) {
        if (xxh3_range(source, state, EDGE_SIZE + i * stride, SAMPLE_SIZE, error) != 0)
            return -1;
    }
    return xxh3_range(source, state, last, EDGE_SIZE, error);
}

static int xxh3_file(const struct source *source, char text[FINGERPRINT_SIZE], struct error *error)
{
    XXH3_state_t *state = XXH3_createState();
    int result = -1;

    if (state == NULL)
        return error_set(error, "%s: out of memory", source->path);
    if (xxh3_samples(source, state, error) == 0) {
        xxh3_write(text, XXH3_128bits_digest(state));
        result = 0;
    }
    (void)XXH3_freeState(state);
    return result;
}

static int sha256_everything(const struct source *source, EVP_MD_CTX *context,
                             char text[FINGERPRINT_SIZE], struct error *error)
{
    unsigned char buffer[EDGE_SIZE], digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    int good = EVP_DigestInit_ex(context, EVP_sha256(), NULL);

    for (uint64_t offset = 0; good && offset < source->size;) {
        uint64_t left = source->size - offset;
        size_t now = left < sizeof buffer ? (size_t)left : sizeof buffer;
        if (source_read(source, offset, buffer, now, error) != 0)
            return -1;
        good = EVP_DigestUpdate(context, buffer, now);
        offset += now;
    }
    if (!good || !EVP_DigestFinal_ex(context, digest, &len) || len != 32)
        return error_set(error, "%s: SHA-256 failed in OpenSSL", source->path);
    memcpy(text, "sha256:", 7);
    hex_write(text + 7, digest, len);
    return 0;
}

static int sha256_file(const struct source *source, char text[FINGERPRINT_SIZE],
                       struct error *error)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();

    if (context == NULL)
        return error_set(error, "%s: out of memory", source->path);
    (void)posix_fadvise(source->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    int result = sha256_everything(source, context, text, error);
    EVP_MD_CTX_free(context);
    return result;
}

int fingerprint_file(const char *path, int sha256, char text[FINGERPRINT_SIZE], uint64_t *size,
                     struct error *error)
{
    struct source source;
    int result;

    if (source_open(&source, path, error) != 0)
        return -1;
    result = sha256 ? sha256_file(&source, text, error) : xxh3_file(&source, text, error);
    *size = source.size;
    (void)close(source.fd);
    return result;
}

/* A chain: each link hashes the one before it with the next text, and a missing text is not an
 * empty one. So neither order nor borders nor absence can be confused. */
void fingerprint_join(const char *const *texts, int count, char text[FINGERPRINT_SIZE])
{
    struct {
        XXH128_canonical_t before, own;
        unsigned char present;
    } link;

    memset(&link, 0, sizeof link);
    for (int i = 0; i < count; i++) {
        const char *one = texts[i] != NULL ? texts[i] : "";
        link.present = texts[i] != NULL;
        XXH128_canonicalFromHash(&link.own, XXH3_128bits(one, strlen(one)));
        XXH128_canonicalFromHash(&link.before, XXH3_128bits(&link, sizeof link));
    }
    xxh3_write(text, XXH3_128bits(&link.before, sizeof link.before));
}
