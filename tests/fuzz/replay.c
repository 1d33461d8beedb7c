/*
 * Runs targets over files without libFuzzer: replay TARGET PATH..., where a folder stands for the
 * files in it. Says each file that fails, and at the end how many did. What takes longer than
 * SECONDS_MOST of processor time fails, too.
 *
 * replay --exhaust [--step=N] TARGET PATH...: each file again and again with the first, second,
 * third ... (or each Nth) allocation failing, until there is none left to fail; --exhaust-all: that
 * and all behind it.
 */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fuzz.h"

enum { SECONDS_MOST = 20, EXHAUST_SECONDS = 240, FILE_MOST = 16 << 20, EXHAUST_MOST = 1000000 };

static int passed, broken;
static int exhaust; /* 1: one allocation fails, 3: all behind it, too */
static uint64_t step = 1;

static uint8_t *load(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rbe");
    uint8_t *bytes = malloc(FILE_MOST);
    if (file == NULL || bytes == NULL)
        abort();
    *size = fread(bytes, 1, FILE_MOST, file);
    (void)fclose(file);
    return bytes;
}

static void one(const char *path)
{
    size_t size;
    uint8_t *bytes = load(path, &size);
    if (!exhaust) {
        uint8_t *copy = fuzz_copy(bytes, size);
        fuzz_run(copy, size);
        free(copy);
    }
    for (uint64_t at = 1; exhaust && at < EXHAUST_MOST; at += step) {
        fuzz_fail_at(at, (exhaust & 2) != 0 ? FUZZ_FAIL_ALL_BEHIND : FUZZ_FAIL_ONE);
        fuzz_run(bytes, size);
        (void)fuzz_fail_end();
        if (!fuzz_failed())
            break;
    }
    free(bytes);
}

/* In a process of its own, so that the others are still run. */
static void run_file(const char *path)
{
    int status = 0;
    (void)fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        rlim_t seconds = exhaust ? EXHAUST_SECONDS : SECONDS_MOST;
        struct rlimit limit = {seconds, seconds};
        (void)setrlimit(RLIMIT_CPU, &limit);
        one(path);
        exit(EXIT_SUCCESS); /* where the leak checker has its say */
    }
    if (child < 0 || waitpid(child, &status, 0) != child)
        abort();
    if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS) {
        passed++;
        return;
    }
    broken++;
    (void)fprintf(stderr, "replay: %s: %s %d\n", path, WIFSIGNALED(status) ? "signal" : "exit",
                  WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}

static void run_path(const char *path)
{
    struct stat status;
    struct dirent **names = NULL;
    if (stat(path, &status) != 0) {
        broken++;
        perror(path);
        return;
    }
    if (!S_ISDIR(status.st_mode)) {
        run_file(path);
        return;
    }
    int count = scandir(path, &names, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        char inner[4096];
        (void)snprintf(inner, sizeof inner, "%s/%s", path, names[i]->d_name);
        if (names[i]->d_name[0] != '.')
            run_file(inner);
        free(names[i]);
    }
    free(names);
}

int main(int argc, char **argv)
{
    fuzz_fail_init();
    if (argc == 2 && strcmp(argv[1], "--targets") == 0) {
        fuzz_list();
        return EXIT_SUCCESS;
    }
    int at = 1;
    for (; at < argc && argv[at][0] == '-'; at++) {
        if (strncmp(argv[at], "--step=", 7) == 0)
            step = strtoull(argv[at] + 7, NULL, 10);
        else
            exhaust = strcmp(argv[at], "--exhaust-all") == 0 ? 3 : 1;
    }
    if (at + 1 >= argc || fuzz_choose(argv[at]) != 0) {
        (void)fprintf(stderr,
                      "replay [--exhaust[-all] [--step=N]] TARGET PATH...; the targets are:\n");
        fuzz_list();
        return EXIT_FAILURE;
    }
    for (at++; at < argc; at++)
        run_path(argv[at]);
    printf("%d passed, %d failed\n", passed, broken);
    return broken == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
