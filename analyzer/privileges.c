/*
 * Users, capabilities (libcap-ng) and the filter of system calls (libseccomp).
 *
 * The filter lists what is needed. Anything else fails with EPERM, which the C library and the
 * others take for a refusal like any other; what would only ever be called by an intruder (another
 * program, another process, the memory of another process) ends the process at once. clone3() is
 * said not to exist, since its arguments cannot be looked at: the C library then uses clone(),
 * which may make threads and nothing else.
 */
#include "privileges.h"

#include <cap-ng.h>
#include <errno.h>
#include <grp.h>
#include <linux/sched.h>
#include <pwd.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "options.h"

/* ---------------------------------------------------------------- users */

static void become(struct privileges *privileges, const struct passwd *entry)
{
    privileges->change = 1;
    privileges->uid = entry->pw_uid;
    privileges->gid = entry->pw_gid;
    (void)snprintf(privileges->name, sizeof privileges->name, "%s", entry->pw_name);
}

int privileges_choose(struct privileges *privileges, const char *user, struct error *error)
{
    const char *caller = getenv("SUDO_UID");
    uint64_t uid;
    *privileges = (struct privileges){0};
    if (user != NULL) {
        const struct passwd *entry = getpwnam(user);
        if (entry == NULL)
            return error_set(error, "-Z %s: there is no such user", user);
        if (geteuid() != 0 && entry->pw_uid != geteuid())
            return error_set(error, "-Z %s: only root can become somebody else", user);
        if (entry->pw_uid != geteuid())
            become(privileges, entry);
        return 0;
    }
    if (geteuid() != 0 || caller == NULL || options_number(caller, &uid) != 0 || uid == 0 ||
        uid > UINT32_MAX)
        return 0;
    const struct passwd *entry = getpwuid((uid_t)uid);
    if (entry != NULL)
        become(privileges, entry);
    return 0;
}

static int change_user(const struct privileges *privileges, struct error *error)
{
    if (initgroups(privileges->name, privileges->gid) != 0 ||
        setresgid(privileges->gid, privileges->gid, privileges->gid) != 0 ||
        setresuid(privileges->uid, privileges->uid, privileges->uid) != 0)
        return error_set(error, "cannot become user %s: %s", privileges->name, strerror(errno));
    return 0;
}

/* ---------------------------------------------------------------- capabilities */

/* The bounding set can be emptied only by those who may (CAP_SETPCAP), and does no harm where no
 * new privileges can be gained. */
static int no_capabilities(void)
{
    capng_clear(CAPNG_SELECT_ALL);
    if (capng_apply(CAPNG_SELECT_ALL) == 0)
        return 0;
    capng_clear(CAPNG_SELECT_ALL);
    return capng_apply(CAPNG_SELECT_CAPS) == 0 ? 0 : -1;
}

int privileges_drop(struct privileges *privileges, struct error *error)
{
    if (privileges->change && change_user(privileges, error) != 0)
        return -1;
    if (no_capabilities() != 0 && geteuid() == 0)
        return error_set(error, "cannot give up capabilities");
    privileges->bare = capng_get_caps_process() == 0 &&
                       capng_have_capabilities(CAPNG_SELECT_CAPS) == CAPNG_NONE;
    privileges->no_new = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
    return 0;
}

/* ---------------------------------------------------------------- the filter */

/* Names that an architecture does not have are passed over. */
static const char *const allowed[] = {
    /* files */
    "read", "readv", "pread64", "preadv", "preadv2", "write", "writev", "pwrite64", "pwritev",
    "pwritev2", "lseek", "_llseek", "open", "openat", "openat2", "close", "stat", "stat64", "lstat",
    "lstat64", "fstat", "fstat64", "newfstatat", "fstatat64", "statx", "access", "faccessat",
    "faccessat2", "readlink", "readlinkat", "unlink", "unlinkat", "rename", "renameat", "renameat2",
    "link", "linkat", "mkdir", "mkdirat", "rmdir", "ftruncate", "ftruncate64", "fallocate",
    "fsync", "fdatasync",
    "sync_file_range", "fcntl", "fcntl64", "flock", "fchmod", "fchown", "fchown32", "umask",
    "getcwd", "getdents", "getdents64", "statfs", "statfs64", "fstatfs", "fstatfs64", "fadvise64",
    "fadvise64_64", "readahead", "ioctl", "dup", "dup2", "dup3", "pipe", "pipe2", "poll", "ppoll",
    "select", "pselect6", "_newselect", "epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait",
    "eventfd2", "inotify_init1", "inotify_add_watch", "inotify_rm_watch",
    /* memory */
    "brk", "mmap", "mmap2", "munmap", "mremap", "mprotect", "madvise", "msync", "mincore", "mlock",
    "munlock",
    /* threads, signals, time */
    "futex", "futex_time64", "set_robust_list", "get_robust_list", "rseq", "membarrier",
    "sched_yield", "sched_getaffinity", "sched_setaffinity", "exit", "exit_group", "rt_sigaction",
    "rt_sigprocmask", "rt_sigreturn", "sigreturn", "rt_sigtimedwait", "rt_sigpending",
    "rt_sigsuspend", "sigaltstack", "restart_syscall", "tgkill", "pause", "alarm", "setitimer",
    "getitimer", "clock_gettime", "clock_gettime64", "clock_getres", "clock_nanosleep",
    "clock_nanosleep_time64", "nanosleep", "gettimeofday", "time", "times", "timerfd_create",
    "timerfd_settime", "timerfd_gettime",
    /* about itself */
    "getpid", "getppid", "gettid", "getpgrp", "getuid", "geteuid", "getgid", "getegid", "getresuid",
    "getresgid", "getgroups", "getuid32", "geteuid32", "getgid32", "getegid32", "prctl",
    "arch_prctl", "getrlimit", "ugetrlimit", "prlimit64", "getrusage", "uname", "sysinfo",
    "getrandom", "getcpu", "set_tid_address",
    /* an open capture device */
    "recvfrom", "recvmsg", "recv", "getsockopt", "setsockopt", "getsockname", "shutdown",
};

static const char *const deadly[] = {
    "execve", "execveat", "fork", "vfork", "ptrace", "process_vm_readv", "process_vm_writev",
    "kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module", "bpf",
    "perf_event_open", "userfaultfd", "mount", "umount2", "pivot_root", "chroot", "setns",
    "unshare", "add_key", "request_key", "keyctl", "open_by_handle_at", "io_uring_setup",
};

static int add_all(scmp_filter_ctx filter, uint32_t action, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int call = seccomp_syscall_resolve_name(names[i]);
        if (call >= 0 && seccomp_rule_add(filter, action, call, 0) != 0)
            return -1;
    }
    return 0;
}

static int add_threads(scmp_filter_ctx filter)
{
    int thread = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
                                  SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
    int clone3 = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    return thread == 0 && clone3 == 0 ? 0 : -1;
}

static int load_filter(void)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    int good = filter != NULL &&
               add_all(filter, SCMP_ACT_ALLOW, allowed, sizeof allowed / sizeof allowed[0]) == 0 &&
               add_all(filter, SCMP_ACT_KILL_PROCESS, deadly, sizeof deadly / sizeof deadly[0]) ==
                   0 &&
               add_threads(filter) == 0 && seccomp_load(filter) == 0;
    if (filter != NULL)
        seccomp_release(filter);
    return good ? 0 : -1;
}

/* What finds faults in memory looks at its own process in ways that nothing else does. */
static int is_checked_build(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return 1;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||                         \
    __has_feature(memory_sanitizer)
    return 1;
#else
    return 0;
#endif
#else
    return 0;
#endif
}

void privileges_confine(struct privileges *privileges)
{
    if (!is_checked_build())
        privileges->confined = load_filter() == 0;
    if (privileges->confined)
        privileges->no_new = 1; /* the kernel asks for it */
}

void privileges_text(const struct privileges *privileges, char text[PRIVILEGES_TEXT])
{
    char user[64] = "";
    if (privileges->change)
        (void)snprintf(user, sizeof user, "user %s (%lu), ", privileges->name,
                       (unsigned long)privileges->uid);
    (void)snprintf(text, PRIVILEGES_TEXT, "%s%s%s%s", user,
                   privileges->bare ? "no capabilities, " : "",
                   privileges->no_new ? "no_new_privs, " : "",
                   privileges->confined ? "seccomp" : "no seccomp here");
}
