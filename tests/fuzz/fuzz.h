/*
 * What the fuzz targets share. A target eats one input and gives all memory back; what it finds
 * wrong ends the program. The name under which the program was started chooses the target:
 * "decode", or "stack-websocket" for a target that has variants.
 */
#ifndef SWITCHTAP_FUZZ_H
#define SWITCHTAP_FUZZ_H

#include <stddef.h>
#include <stdint.h>

struct fuzz_target {
    const char *name;
    const char *const *variants; /* NULL-terminated names behind the dash; NULL: none */
    /* variant: NULL where the target was chosen by its bare name */
    void (*run)(const char *variant, const uint8_t *data, size_t size);
};

extern const struct fuzz_target fuzz_capture, fuzz_database, fuzz_decode, fuzz_pipeline, fuzz_read,
    fuzz_reassembly, fuzz_stack, fuzz_tls;

/* Chooses by name. 0, or -1: there is no such target. */
int fuzz_choose(const char *name);
void fuzz_run(const uint8_t *data, size_t size);
void fuzz_list(void); /* all names, a line each */

/* An invariant does not hold: says which, and aborts. */
void fuzz_broken(const char *what) __attribute__((noreturn));

/* --- reading an input: at its end everything is 0 and empty --- */

struct fuzz_input {
    const uint8_t *data;
    size_t left;
};

uint8_t fuzz_u8(struct fuzz_input *in);
uint16_t fuzz_u16(struct fuzz_input *in); /* little-endian */
uint32_t fuzz_u32(struct fuzz_input *in);
/* The next bytes, len cut to what is left. */
const uint8_t *fuzz_bytes(struct fuzz_input *in, size_t *len);

/* A copy on the heap, so that a read behind its end is seen; free() it. */
uint8_t *fuzz_copy(const uint8_t *data, size_t len);

/* A file in memory with these bytes; its path. */
const char *fuzz_file(const uint8_t *data, size_t len);

/* The path of a database in memory, which is not there yet; fuzz_tidy() removes it and what SQLite
 * puts beside it. Standard output is silenced from the first call on. */
const char *fuzz_database_path(void);
void fuzz_tidy(void);

/* --- memory that fails (fail.c) --- */

enum fuzz_failing { FUZZ_FAIL_ONE, FUZZ_FAIL_ALL_BEHIND };

/* The allocation number `at` (from 1) from now on fails, or that and all behind it; 0: none. */
void fuzz_fail_at(uint64_t at, enum fuzz_failing how);
/* How many there were since. Nothing fails any more. */
uint64_t fuzz_fail_end(void);
/* Did one fail since fuzz_fail_at()? */
int fuzz_failed(void);
/* Makes libcrypto and SQLite ask the same allocator; before anything else. */
void fuzz_fail_init(void);

#endif
