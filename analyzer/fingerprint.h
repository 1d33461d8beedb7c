/*
 * Fingerprints of capture files, so that reading the same file again changes nothing: XXH3 over
 * the size and samples spread over the file, fast for files of any size; SHA-256 of everything on
 * request.
 */
#ifndef SWITCHTAP_FINGERPRINT_H
#define SWITCHTAP_FINGERPRINT_H

#include <stdint.h>

#include "error.h"

enum { FINGERPRINT_SIZE = 80 }; /* "xxh3:" + 32 hex digits or "sha256:" + 64, terminated */

/* 0 with text and size filled, or -1 with a message. Only for regular files. */
int fingerprint_file(const char *path, int sha256, char text[FINGERPRINT_SIZE], uint64_t *size,
                     struct error *error);

/* One fingerprint of several, in order, of the filter and of the options that change results. */
void fingerprint_join(const char *const *texts, int count, char text[FINGERPRINT_SIZE]);

#endif
