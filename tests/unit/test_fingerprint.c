/*
 * Fingerprints: what changes them, what does not, and the known value of SHA-256.
 */
#include "../../analyzer/fingerprint.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

Suite *fingerprint_suite(void);

static char directory[64], first[96], second[96];

static void setup(void)
{
    (void)snprintf(directory, sizeof directory, "/tmp/switchtap-fingerprint-XX" "XX" "XX");
    ck_assert_ptr_nonnull(mkdtemp(directory));
    (void)snprintf(first, sizeof first, "%s/first", directory);
    (void)snprintf(second, sizeof second, "%s/second", directory);
}

static void teardown(void)
{
    (void)unlink(first);
    (void)unlink(second);
    (void)rmdir(directory);
}

static void save(const char *path, const void *data, size_t len)
{
    FILE *file = fopen(path, "wb");

    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(data, 1, len, file), len);
    ck_assert_int_eq(fclose(file), 0);
}

static void take(const char *path, int sha256, char text[FINGERPRINT_SIZE])
{
    struct error error = {""};
    struct stat status;
    uint64_t size;

    ck_assert_msg(fingerprint_file(path, sha256, text, &size, &error) == 0, "%s", error.text);
    ck_assert_int_eq(stat(path, &status), 0);
    ck_assert_uint_eq(size, (uint64_t)status.st_size);
}

START_TEST(test_sha256)
{
    char text[FINGERPRINT_SIZE];

    save(first, "abc", 3);
    take(first, 1, text);
    ck_assert_str_eq(text,
                     "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    save(first, "", 0);
    take(first, 1, text);
    ck_assert_str_eq(text,
                     "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}
END_TEST

START_TEST(test_samples)
{
    static const size_t len = (2 << 20) + 17;
    static const size_t seen[] = {0, 65535, 65536, 69000, (2 << 20) + 17 - 65636,
                                  (2 << 20) + 17 - 65536, (2 << 20) + 16};
    uint8_t *data = calloc(1, len);
    char original[FINGERPRINT_SIZE], text[FINGERPRINT_SIZE];

    ck_assert_ptr_nonnull(data);
    for (size_t i = 0; i < len; i++)
        data[i] = (uint8_t)(i * 31 >> 3);
    save(first, data, len);
    take(first, 0, original);
    ck_assert_uint_eq(strlen(original), 5 + 32);
    ck_assert_mem_eq(original, "xxh3:", 5);
    save(second, data, len);
    take(second, 0, text);
    ck_assert_str_eq(text, original);
    for (unsigned i = 0; i < sizeof seen / sizeof seen[0]; i++) {
        data[seen[i]] ^= 1;
        save(second, data, len);
        take(second, 0, text);
        ck_assert_msg(strcmp(text, original) != 0, "byte %zu makes no difference", seen[i]);
        data[seen[i]] ^= 1;
    }
    unsigned changes = 0;
    for (unsigned i = 0; i < 64; i++) { /* a damage of 32 KiB anywhere meets a sample */
        size_t at = i * (len / 64);
        for (size_t k = 0; k < 32 << 10 && at + k < len; k++)
            data[at + k] ^= 0x40;
        save(second, data, len);
        take(second, 0, text);
        changes += strcmp(text, original) != 0;
        for (size_t k = 0; k < 32 << 10 && at + k < len; k++)
            data[at + k] ^= 0x40;
    }
    ck_assert_uint_eq(changes, 64);
    memset(data, 0, len);
    save(first, data, len);
    take(first, 0, original);
    save(second, data, len - 1); /* the same samples */
    take(second, 0, text);
    ck_assert_str_ne(text, original);
    free(data);
}
END_TEST

/* Up to a limit a file is hashed as a whole. */
START_TEST(test_small_files)
{
    static const size_t sizes[] = {1, 4096, 65536, 200000, 393216};
    uint8_t *data = calloc(1, 393216);
    char original[FINGERPRINT_SIZE], text[FINGERPRINT_SIZE];

    ck_assert_ptr_nonnull(data);
    for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        save(first, data, sizes[i]);
        take(first, 0, original);
        for (size_t at = 0; at < sizes[i]; at += 4093) {
            data[at] = 1;
            save(second, data, sizes[i]);
            take(second, 0, text);
            ck_assert_str_ne(text, original);
            data[at] = 0;
        }
    }
    free(data);
}
END_TEST

START_TEST(test_refused)
{
    struct error error = {""};
    char text[FINGERPRINT_SIZE];
    uint64_t size;

    ck_assert_int_eq(fingerprint_file(first, 0, text, &size, &error), -1);
    ck_assert_ptr_nonnull(strstr(error.text, first));
    ck_assert_int_eq(fingerprint_file(directory, 0, text, &size, &error), -1);
    ck_assert_int_eq(mkfifo(first, 0600), 0);
    ck_assert_int_eq(fingerprint_file(first, 1, text, &size, &error), -1); /* and does not wait */
    ck_assert_ptr_nonnull(strstr(error.text, "regular"));
}
END_TEST

START_TEST(test_join)
{
    static const char *const lists[][3] = {
        {"a", "b", NULL}, {"b", "a", NULL}, {"ab", "", NULL}, {"", "ab", NULL},
        {"a", "b", ""},   {NULL, "a", "b"}, {"", "a", "b"},
    };
    enum { LISTS = sizeof lists / sizeof lists[0] };
    char texts[LISTS + 2][FINGERPRINT_SIZE], again[FINGERPRINT_SIZE];

    for (int i = 0; i < LISTS; i++)
        fingerprint_join(lists[i], 3, texts[i]);
    fingerprint_join(lists[0], 2, texts[LISTS]);
    fingerprint_join(lists[0], 0, texts[LISTS + 1]);
    for (int i = 0; i < LISTS + 2; i++) {
        ck_assert_uint_eq(strlen(texts[i]), 5 + 32);
        for (int k = 0; k < i; k++)
            ck_assert_msg(strcmp(texts[i], texts[k]) != 0, "%d and %d are equal", i, k);
    }
    fingerprint_join(lists[0], 3, again);
    ck_assert_str_eq(again, texts[0]);
}
END_TEST

Suite *fingerprint_suite(void)
{
    Suite *suite = suite_create("fingerprint");
    TCase *files = tcase_create("files");

    tcase_add_checked_fixture(files, setup, teardown);
    tcase_add_test(files, test_sha256);
    tcase_add_test(files, test_samples);
    tcase_add_test(files, test_small_files);
    tcase_add_test(files, test_refused);
    tcase_add_test(files, test_join);
    suite_add_tcase(suite, files);
    return suite;
}
