/*
 * Key log files. A last line without its end is read as it is where the file will not grow, and
 * waited for where it may. Buffers that held secrets are wiped.
 */
#include "keylog.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { CHUNK = 1 << 16 };

static const int64_t look_again_ns = 100000000;

struct keylog_file {
    const char *path;
    int fd; /* -1: not there yet */
    int regular;
    uint64_t position;
    char part[TLS_KEYS_LINE_MAX]; /* of a line whose end was not read yet */
    size_t part_len;
    int too_long; /* ... and is no line */
};

struct keylog {
    struct tls_keys *keys;
    struct keylog_file *files;
    size_t count;
    int follow;
    int64_t looked_ns;
    EVP_MD_CTX *digest;
    char chunk[CHUNK];
};

/* ---------------------------------------------------------------- lines */

static void part_end(struct keylog *keylog, struct keylog_file *file)
{
    if (file->too_long)
        tls_keys_broken(keylog->keys);
    else
        tls_keys_text(keylog->keys, file->part, file->part_len);
    file->too_long = 0;
    file->part_len = 0;
}

static void part_add(struct keylog_file *file, const char *data, size_t len)
{
    if (len > sizeof file->part - file->part_len) {
        file->too_long = 1;
        return;
    }
    memcpy(file->part + file->part_len, data, len);
    file->part_len += len;
}

static void take(struct keylog *keylog, struct keylog_file *file, const char *data, size_t len)
{
    (void)EVP_DigestUpdate(keylog->digest, data, len);
    while (len > 0) {
        const char *lf = memchr(data, '\n', len);
        size_t line = lf != NULL ? (size_t)(lf - data) : len;
        part_add(file, data, line);
        if (lf == NULL)
            return;
        part_end(keylog, file);
        data += line + 1;
        len -= line + 1;
    }
}

/* ---------------------------------------------------------------- files */

/* A pipe is never waited for where packets are. */
static int file_open(struct keylog_file *file, int follow)
{
    struct stat stat_of;
    file->fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | (follow ? O_NONBLOCK : 0));
    if (file->fd < 0)
        return -1;
    if (fstat(file->fd, &stat_of) == 0 && S_ISDIR(stat_of.st_mode)) {
        (void)close(file->fd);
        file->fd = -1;
        errno = EISDIR;
        return -1;
    }
    file->regular = S_ISREG(stat_of.st_mode);
    file->position = 0;
    return 0;
}

/* 0, or -1 with errno. */
static int file_read(struct keylog *keylog, struct keylog_file *file)
{
    for (;;) {
        ssize_t got = read(file->fd, keylog->chunk, sizeof keylog->chunk);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got == 0 || errno == EAGAIN ? 0 : -1;
        file->position += (uint64_t)got;
        take(keylog, file, keylog->chunk, (size_t)got);
    }
}

/* Somebody made it anew, or shorter: from its beginning, then. */
static void file_follow(struct keylog *keylog, struct keylog_file *file)
{
    struct stat now, then;
    if (file->fd >= 0 && file->regular && stat(file->path, &now) == 0 &&
        fstat(file->fd, &then) == 0 &&
        (now.st_ino != then.st_ino || now.st_dev != then.st_dev ||
         (uint64_t)now.st_size < file->position)) {
        (void)close(file->fd);
        file->fd = -1;
        file->part_len = 0;
        file->too_long = 0;
    }
    if (file->fd < 0 && file_open(file, 1) != 0)
        return;
    (void)file_read(keylog, file);
}

/* A secret is missing: is there anything new? Not more often than it can matter. */
static void look_again(void *arg)
{
    struct keylog *keylog = arg;
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    int64_t now_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    if (now_ns - keylog->looked_ns < look_again_ns)
        return;
    keylog->looked_ns = now_ns;
    for (size_t i = 0; i < keylog->count; i++)
        file_follow(keylog, &keylog->files[i]);
    OPENSSL_cleanse(keylog->chunk, sizeof keylog->chunk);
}

/* ---------------------------------------------------------------- beginning and end */

static int file_first(struct keylog *keylog, struct keylog_file *file, struct error *error)
{
    if (file_open(file, keylog->follow) != 0) {
        if (keylog->follow && errno == ENOENT)
            return 0; /* a program that is started later makes it */
        return error_set(error, "--keylog %s: %s", file->path, strerror(errno));
    }
    if (file_read(keylog, file) != 0)
        return error_set(error, "--keylog %s: %s", file->path, strerror(errno));
    if (!keylog->follow)
        part_end(keylog, file);
    return 0;
}

struct keylog *keylog_open(const char *const *paths, size_t count, int follow,
                           struct tls_keys *keys, struct error *error)
{
    struct keylog *keylog = calloc(1, sizeof *keylog);
    struct keylog_file *files = calloc(count, sizeof *files);
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    if (keylog == NULL || files == NULL || digest == NULL ||
        EVP_DigestInit_ex(digest, EVP_sha256(), NULL) <= 0) {
        free(keylog);
        free(files);
        EVP_MD_CTX_free(digest);
        (void)error_set(error, "out of memory");
        return NULL;
    }
    *keylog = (struct keylog){.keys = keys, .files = files, .count = count, .follow = follow,
                              .digest = digest};
    for (size_t i = 0; i < count; i++)
        files[i] = (struct keylog_file){.path = paths[i], .fd = -1};
    for (size_t i = 0; i < count; i++) {
        if (file_first(keylog, &files[i], error) != 0) {
            keylog_close(keylog);
            return NULL;
        }
    }
    OPENSSL_cleanse(keylog->chunk, sizeof keylog->chunk);
    if (follow)
        tls_keys_source(keys, look_again, keylog);
    return keylog;
}

void keylog_close(struct keylog *keylog)
{
    if (keylog == NULL)
        return;
    tls_keys_source(keylog->keys, NULL, NULL);
    for (size_t i = 0; i < keylog->count; i++)
        if (keylog->files[i].fd >= 0)
            (void)close(keylog->files[i].fd);
    OPENSSL_cleanse(keylog->files, keylog->count * sizeof *keylog->files);
    OPENSSL_cleanse(keylog->chunk, sizeof keylog->chunk);
    EVP_MD_CTX_free(keylog->digest);
    free(keylog->files);
    free(keylog);
}

void keylog_digest(const struct keylog *keylog, char text[KEYLOG_DIGEST_SIZE])
{
    uint8_t digest[EVP_MAX_MD_SIZE] = {0};
    EVP_MD_CTX *copy = EVP_MD_CTX_new();
    if (copy != NULL && EVP_MD_CTX_copy_ex(copy, keylog->digest) > 0)
        (void)EVP_DigestFinal_ex(copy, digest, NULL);
    EVP_MD_CTX_free(copy);
    for (size_t i = 0; i < 8; i++)
        (void)snprintf(text + 2 * i, 3, "%02x", digest[i]);
}
