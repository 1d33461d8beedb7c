/*
 * The list of targets, and what they share. As a libFuzzer program it takes its target from the
 * name it was started under, or from FUZZ_TARGET; --targets lists them.
 */
#include "fuzz.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

void *__real_malloc(size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct fuzz_target *const targets[] = {
    &fuzz_capture, &fuzz_database,   &fuzz_decode, &fuzz_pipeline,
    &fuzz_read,    &fuzz_reassembly, &fuzz_stack,  &fuzz_tls,
};

enum { TARGETS = sizeof targets / sizeof targets[0] };

static const struct fuzz_target *target;
static const char *variant;

static int choose_variant(const struct fuzz_target *of, const char *name)
{
    for (size_t i = 0; of->variants != NULL && of->variants[i] != NULL; i++) {
        if (strcmp(of->variants[i], name) == 0) {
            target = of;
            variant = of->variants[i];
            return 0;
        }
    }
    return -1;
}

int fuzz_choose(const char *name)
{
    for (size_t i = 0; i < TARGETS; i++) {
        size_t len = strlen(targets[i]->name);
        if (strncmp(name, targets[i]->name, len) != 0)
            continue;
        if (name[len] == '\0') {
            target = targets[i];
            variant = NULL;
            return 0;
        }
        if (name[len] == '-' && choose_variant(targets[i], name + len + 1) == 0)
            return 0;
    }
    return -1;
}

void fuzz_run(const uint8_t *data, size_t size)
{
    target->run(variant, data, size);
}

void fuzz_list(void)
{
    for (size_t i = 0; i < TARGETS; i++) {
        puts(targets[i]->name);
        for (size_t v = 0; targets[i]->variants != NULL && targets[i]->variants[v] != NULL; v++)
            printf("%s-%s\n", targets[i]->name, targets[i]->variants[v]);
    }
}

void fuzz_broken(const char *what)
{
    (void)fprintf(stderr, "invariant: %s\n", what);
    abort();
}

/* --- inputs --- */

uint8_t fuzz_u8(struct fuzz_input *in)
{
    if (in->left == 0)
        return 0;
    in->left--;
    return *in->data++;
}

uint16_t fuzz_u16(struct fuzz_input *in)
{
    unsigned low = fuzz_u8(in);
    return (uint16_t)(low | (unsigned)fuzz_u8(in) << 8);
}

uint32_t fuzz_u32(struct fuzz_input *in)
{
    uint32_t low = fuzz_u16(in);
    return low | (uint32_t)fuzz_u16(in) << 16;
}

const uint8_t *fuzz_bytes(struct fuzz_input *in, size_t *len)
{
    const uint8_t *at = in->data;
    if (*len > in->left)
        *len = in->left;
    in->data += *len;
    in->left -= *len;
    return at;
}

uint8_t *fuzz_copy(const uint8_t *data, size_t len)
{
    uint8_t *copy = __real_malloc(len > 0 ? len : 1); /* this one never fails on purpose */
    if (copy == NULL)
        abort();
    if (len > 0)
        memcpy(copy, data, len);
    return copy;
}

const char *fuzz_file(const uint8_t *data, size_t len)
{
    static char path[64];
    static int fd = -1;
    if (fd < 0)
        fd = memfd_create("fuzz", 0);
    if (fd < 0 || ftruncate(fd, 0) != 0 || pwrite(fd, data, len, 0) != (ssize_t)len)
        abort();
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return path;
}

static char database[64];

const char *fuzz_database_path(void)
{
    if (database[0] != '\0')
        return database;
    if (freopen("/dev/null", "w", stdout) == NULL)
        abort();
    (void)snprintf(database, sizeof database, "/dev/shm/switchtap-fuzz-%d.db", (int)getpid());
    return database;
}

void fuzz_tidy(void)
{
    static const char *const ends[] = {"", "-journal", "-wal", "-shm"};
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        char name[sizeof database + 16];
        (void)snprintf(name, sizeof name, "%s%s", database, ends[i]);
        (void)unlink(name);
    }
}

/* --- libFuzzer's two doors --- */

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    fuzz_fail_init();
    if (*argc > 1 && strcmp((*argv)[1], "--targets") == 0) {
        fuzz_list();
        exit(EXIT_SUCCESS);
    }
    const char *name = getenv("FUZZ_TARGET"), *slash = strrchr((*argv)[0], '/');
    if (name == NULL)
        name = slash != NULL ? slash + 1 : (*argv)[0];
    if (fuzz_choose(name) != 0) {
        (void)fprintf(stderr, "no target '%s'; these are:\n", name);
        fuzz_list();
        exit(EXIT_FAILURE);
    }
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_run(data, size);
    return 0;
}
