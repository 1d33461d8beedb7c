/*
 * What a confined process can and cannot do, asked of the kernel in a child.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../analyzer/privileges.h"

Suite *privileges_suite(void);

/* Runs `act` under the filter; returns the wait status, -1: there is no filter here. */
static int confined(int (*act)(void))
{
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        struct privileges privileges = {0};
        privileges_confine(&privileges);
        _exit(privileges.confined ? act() : 77);
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    return WIFEXITED(status) && WEXITSTATUS(status) == 77 ? -1 : status;
}

#define REQUIRE_FILTER(status)                                                                     \
    if ((status) == -1)                                                                            \
    return

static int other_program(void)
{
    char name[] = "true", *arguments[] = {name, NULL};
    (void)execv("/bin/true", arguments);
    return 1;
}

static int other_memory(void)
{
    (void)ptrace(PTRACE_TRACEME, 0, NULL, NULL);
    return 1;
}

static int other_process(void)
{
    return fork() < 0 ? 0 : 1;
}

static int network(void)
{
    return socket(AF_INET, SOCK_STREAM, 0) < 0 && errno == EPERM ? 0 : 1;
}

static int signal_others(void)
{
    return kill(getppid(), 0) < 0 && errno == EPERM ? 0 : 1;
}

static int owner(void)
{
    return chown("/", 0, 0) < 0 && errno == EPERM && chmod("/", 0755) < 0 && errno == EPERM ? 0 : 1;
}

static void *nothing(void *arg)
{
    return arg;
}

static int what_is_needed(void)
{
    pthread_t thread;
    int fd = open("/dev/null", O_RDWR);
    char *memory = malloc(1 << 22);
    int good = fd >= 0 && write(fd, "x", 1) == 1 && memory != NULL &&
               pthread_create(&thread, NULL, nothing, NULL) == 0 &&
               pthread_join(thread, NULL) == 0;
    free(memory);
    return good ? 0 : 1;
}

START_TEST(test_ends_at_once)
{
    int (*const acts[])(void) = {other_program, other_memory};
    for (size_t i = 0; i < sizeof acts / sizeof acts[0]; i++) {
        int status = confined(acts[i]);
        REQUIRE_FILTER(status);
        ck_assert(WIFSIGNALED(status));
        ck_assert_int_eq(WTERMSIG(status), SIGSYS);
    }
}
END_TEST

START_TEST(test_refused)
{
    int (*const acts[])(void) = {other_process, network, signal_others, owner};
    for (size_t i = 0; i < sizeof acts / sizeof acts[0]; i++) {
        int status = confined(acts[i]);
        REQUIRE_FILTER(status);
        ck_assert(WIFEXITED(status));
        ck_assert_int_eq(WEXITSTATUS(status), 0);
    }
}
END_TEST

START_TEST(test_goes_on)
{
    int status = confined(what_is_needed);
    REQUIRE_FILTER(status);
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), 0);
}
END_TEST

START_TEST(test_choice)
{
    struct privileges privileges;
    struct error error = {""};
    char text[PRIVILEGES_TEXT];
    ck_assert_int_eq(privileges_choose(&privileges, "no-such-user-anywhere", &error), -1);
    ck_assert_ptr_nonnull(strstr(error.text, "no such user"));
    (void)unsetenv("SUDO_UID");
    ck_assert_int_eq(privileges_choose(&privileges, NULL, &error), 0);
    ck_assert(!privileges.change);
    (void)setenv("SUDO_UID", "65534", 1);
    ck_assert_int_eq(privileges_choose(&privileges, NULL, &error), 0);
    ck_assert_int_eq(privileges.change, geteuid() == 0);
    (void)setenv("SUDO_UID", "65534; rm", 1);
    ck_assert_int_eq(privileges_choose(&privileges, NULL, &error), 0);
    ck_assert(!privileges.change);
    (void)unsetenv("SUDO_UID");
    privileges = (struct privileges){.change = 1, .uid = 7, .name = "lp", .bare = 1, .no_new = 1};
    privileges_text(&privileges, text);
    ck_assert_str_eq(text, "user lp (7), no capabilities, no_new_privs, no seccomp here");
}
END_TEST

Suite *privileges_suite(void)
{
    Suite *suite = suite_create("privileges");
    TCase *tcase = tcase_create("privileges");
    tcase_add_test(tcase, test_ends_at_once);
    tcase_add_test(tcase, test_refused);
    tcase_add_test(tcase, test_goes_on);
    tcase_add_test(tcase, test_choice);
    suite_add_tcase(suite, tcase);
    return suite;
}
