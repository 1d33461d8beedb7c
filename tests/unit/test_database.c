/*
 * Reading: what opens and what is refused, that nothing can be written through it, and that a file
 * made to harm does not.
 */
#include <check.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store_rig.h"

Suite *database_suite(void);

static struct error error;

static void setup(void)
{
    rig_setup();
    error.text[0] = '\0';
}

static void make(void)
{
    rig_open(1, 0, 0);
    rig_begin(NULL);
    (void)rig_flow(1);
    (void)rig_session(1, 1, "h", "/");
    (void)rig_answer(1, 1, OUTCOME_SWITCHED, 101);
    rig_websocket(1, 1);
    (void)rig_frame(1, 1, CLIENT, 1, "hello");
    (void)rig_finding(1, 1, CLIENT, RULE_WS_BAD_UTF8);
    (void)rig_flow_close(1, END_FIN, CLIENT);
    ck_assert_int_eq(rig_send(), 0);
    (void)rig_finish();
    rig_close();
}

static struct database *opened(void)
{
    struct database *database = database_open(rig_path, &error);
    ck_assert_msg(database != NULL, "%s", error.text);
    return database;
}

/* The first value of a query, through the reader. */
static int64_t number(struct database *database, const char *sql)
{
    struct query *query = database_query(database, sql, &error);
    ck_assert_msg(query != NULL, "%s", error.text);
    ck_assert_msg(query_step(query, &error) == 1, "%s", error.text);
    int64_t value = query_int(query, 0);
    query_free(query);
    return value;
}

START_TEST(test_rows)
{
    make();
    struct database *database = opened();
    struct query *query = database_query(
        database, "SELECT 1 AS one, 2.5, 'text', x'00ff', NULL, '', x'' ; -- the end\n /* */ ",
        &error);
    ck_assert_msg(query != NULL, "%s", error.text);
    ck_assert_int_eq(query_column_count(query), 7);
    ck_assert_str_eq(query_column_name(query, 0), "one");
    ck_assert_int_eq(query_step(query, &error), 1);
    static const enum column_type types[] = {COLUMN_INTEGER, COLUMN_REAL, COLUMN_TEXT, COLUMN_BLOB,
                                             COLUMN_NULL,    COLUMN_TEXT, COLUMN_BLOB};
    for (int i = 0; i < 7; i++)
        ck_assert_int_eq(query_type(query, i), types[i]);
    ck_assert_int_eq(query_int(query, 0), 1);
    ck_assert_double_eq(query_real(query, 1), 2.5);
    ck_assert_uint_eq(query_text(query, 2).len, 4);
    ck_assert_int_eq(memcmp(query_text(query, 3).data, "\0\xff", 2), 0);
    ck_assert_ptr_null(query_text(query, 4).data);
    for (int i = 5; i < 7; i++) {
        ck_assert_ptr_nonnull(query_text(query, i).data);
        ck_assert_uint_eq(query_text(query, i).len, 0);
    }
    ck_assert_int_eq(query_step(query, &error), 0);
    query_free(query);
    query = database_query(database, "SELECT :a, @a, $b, ?", &error);
    ck_assert_int_eq(query_bind_text(query, "a", "x"), 0);
    ck_assert_int_eq(query_bind_int(query, "b", 7), 0);
    ck_assert_int_eq(query_bind_text(query, "b", NULL), 0);
    ck_assert_int_eq(query_bind_int(query, "b", 8), 0);
    ck_assert_int_eq(query_bind_int(query, "none", 8), -1);
    ck_assert_int_eq(query_bind_text(query, ":a", "x"), -1);
    ck_assert_int_eq(query_parameter_count(query), 4);
    ck_assert_str_eq(query_parameter_name(query, 1), "a");
    ck_assert_ptr_null(query_parameter_name(query, 4));
    ck_assert_int_eq(query_step(query, &error), 1);
    ck_assert_int_eq(query_text(query, 0).data[0], 'x');
    ck_assert_int_eq(query_text(query, 1).data[0], 'x');
    ck_assert_int_eq(query_int(query, 2), 8);
    query_free(query);
    database_close(database);
}
END_TEST

START_TEST(test_named)
{
    static const char *const names[] = {
        "failed-upgrades", "handshake-p95", "reconnects", "silent-deaths", "largest-messages",
        "ping-rtt", "compression", "grep", "open-at", "closed-first", "tls"};
    make();
    struct database *database = opened();
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const struct named_query *named = database_named_queries;
        while (named->name != NULL && strcmp(named->name, names[i]) != 0)
            named++;
        ck_assert_msg(named->name != NULL, "%s", names[i]);
    }
    for (const struct named_query *named = database_named_queries; named->name != NULL; named++) {
        ck_assert_uint_gt(strlen(named->summary), 10);
        size_t lines = 0;
        for (const char *at = named->sql; *at != '\0'; at++)
            lines += *at == '\n';
        ck_assert_uint_le(lines, 10);
        struct query *query = database_query(database, named->sql, &error);
        ck_assert_msg(query != NULL, "%s: %s", named->name, error.text);
        ck_assert_int_gt(query_parameter_count(query), 0);
        ck_assert_msg(query_step(query, &error) >= 0, "%s: %s", named->name, error.text);
        query_free(query);
    }
    ck_assert_int_eq(number(database, "SELECT count(*) FROM session_summary WHERE chain = "
                                      "'http1>websocket' AND worst = 'high' AND findings = 1"), 1);
    database_close(database);
}
END_TEST

START_TEST(test_writing)
{
    static const char *const refused[] = {
        "DELETE FROM session", "INSERT INTO setting VALUES (1, 2)", "UPDATE session SET host = 1",
        "CREATE TABLE x (y)", "CREATE TEMP TABLE x (y)",
        "CREATE TABLE x AS SELECT 1", "CREATE VIRTUAL TABLE x USING fts5(y)",
        "CREATE TEMP VIEW x AS SELECT 1",
        "DROP TABLE frame", "UPDATE sqlite_master SET sql = 1",
        "INSERT INTO sqlite_master VALUES (1, 2, 3, 4, 5)", "ATTACH ':memory:' AS x",
        "ATTACH '/tmp/x.db' AS x", "DETACH main",
        "PRAGMA user_version = 3", "PRAGMA writable_schema = 1", "PRAGMA journal_mode = DELETE",
        "PRAGMA query_only = 0", "PRAGMA trusted_schema = 1", "PRAGMA cache_spill = 1",
        "PRAGMA temp_store_directory = '/tmp'", "PRAGMA wal_checkpoint", "VACUUM",
        "VACUUM INTO '/tmp/switchtap-vacuum'", "REINDEX", "ANALYZE", "BEGIN", "COMMIT",
        "SAVEPOINT x", "SELECT load_extension('x')", "SELECT fts3_tokenizer('simple')",
        "EXPLAIN DELETE FROM session", "ALTER TABLE frame RENAME TO f",
        "SELECT 1; SELECT 2", "SELECT 1; nonsense", "SELECT 1; ;; DELETE FROM rule", "", " -- ",
        "nonsense", "SELECT nothing FROM session", "SELECT * FROM pragma_wal_checkpoint",
    };
    make();
    struct database *database = opened();
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        error.text[0] = '\0';
        ck_assert_msg(database_query(database, refused[i], &error) == NULL, "%s", refused[i]);
        ck_assert_msg(error.text[0] != '\0', "%s", refused[i]);
    }
    static const char *const allowed[] = {
        "PRAGMA table_info(session)", "PRAGMA user_version", "PRAGMA foreign_key_check",
        "PRAGMA integrity_check", "SELECT count(*) FROM pragma_table_info('session')",
        "SELECT * FROM json_each('[1]')",
        "EXPLAIN QUERY PLAN SELECT * FROM session", "WITH x AS (SELECT 1) SELECT * FROM x",
        "VALUES (1)", ";SELECT 1;;",
    };
    for (size_t i = 0; i < sizeof allowed / sizeof allowed[0]; i++) {
        struct query *query = database_query(database, allowed[i], &error);
        ck_assert_msg(query != NULL, "%s: %s", allowed[i], error.text);
        ck_assert_msg(query_step(query, &error) >= 0, "%s: %s", allowed[i], error.text);
        query_free(query);
    }
    database_close(database);
    rig_check();
    ck_assert_int_eq(rig_count("SELECT count(*) FROM session"), 1);
}
END_TEST

static void refused(const char *path, const char *word)
{
    error.text[0] = '\0';
    ck_assert_ptr_null(database_open(path, &error));
    ck_assert_msg(strstr(error.text, word) != NULL && strstr(error.text, path) != NULL, "%s",
                  error.text);
}

START_TEST(test_refused)
{
    refused(rig_path, "no such database");
    ck_assert_int_eq(access(rig_path, F_OK), -1);
    int fd = open(rig_path, O_CREAT | O_WRONLY, 0600);
    ck_assert_int_ge(fd, 0);
    refused(rig_path, "empty");
    ck_assert_int_eq(write(fd, "this is a text that is long enough to be read as a header, or so "
                               "one may think; it goes on and on until a hundred bytes are full",
                           128),
                     128);
    (void)close(fd);
    refused(rig_path, "no SQLite database");
    ck_assert_int_eq(unlink(rig_path), 0);
    rig_exec(rig_path, "CREATE TABLE precious (x)");
    refused(rig_path, "another program");
    rig_exec(rig_path, "PRAGMA application_id = 1400329313; PRAGMA user_version = 2");
    refused(rig_path, "newer");
    rig_exec(rig_path, "PRAGMA user_version = 0");
    refused(rig_path, "no released version");
    refused("/tmp", "folder");
    refused("/dev/null", "no regular file");
}
END_TEST

static struct database *running;

static void interrupt(int signal_number)
{
    (void)signal_number;
    database_interrupt(running);
}

/* Views, triggers and column types are whatever somebody made them. */
START_TEST(test_hostile)
{
    make();
    rig_exec(rig_path,
             "DROP VIEW message;"
             "CREATE VIEW message AS SELECT load_extension('/tmp/evil') AS id;"
             "DROP VIEW chain; CREATE VIEW chain AS WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL "
             "SELECT n + 1 FROM r) SELECT n FROM r;"
             "UPDATE session SET host = x'ff00', status = 'text', request_ns = 1.5, path = 7;"
             "UPDATE layer SET parent_id = id");
    struct database *database = opened();
    struct query *query = database_query(database, "SELECT * FROM message", &error);
    ck_assert_ptr_null(query);
    query = database_query(database, "SELECT host, status, path FROM session", &error);
    ck_assert_int_eq(query_step(query, &error), 1);
    ck_assert_int_eq(query_type(query, 0), COLUMN_BLOB);
    ck_assert_int_eq(query_type(query, 1), COLUMN_TEXT);
    ck_assert_int_eq(query_int(query, 1), 0);
    query_free(query);
    query = database_query(database, "SELECT max(n) FROM chain", &error); /* for ever */
    ck_assert_ptr_nonnull(query);
    running = database;
    (void)signal(SIGALRM, interrupt);
    (void)ualarm(50000, 0);
    ck_assert_int_eq(query_step(query, &error), -1);
    ck_assert_str_eq(error.text, "interrupted");
    query_free(query);
    query = database_query(database, "SELECT zeroblob(500000000)", &error);
    ck_assert_ptr_nonnull(query);
    ck_assert_int_eq(query_step(query, &error), -1); /* larger than a value may be */
    query_free(query);
    database_close(database);
}
END_TEST

/* A page of the file is rubbish: an error, no crash. */
START_TEST(test_damaged)
{
    make();
    struct stat status;
    ck_assert_int_eq(stat(rig_path, &status), 0);
    for (long page = 1; page < status.st_size / 8192; page++) {
        char copy[160], command[400], junk[8192];
        (void)snprintf(copy, sizeof copy, "%s.damaged", rig_path);
        (void)snprintf(command, sizeof command, "cp %s %s", rig_path, copy);
        ck_assert_int_eq(system(command), 0);
        memset(junk, 0xe5, sizeof junk);
        int fd = open(copy, O_WRONLY);
        ck_assert_int_eq(pwrite(fd, junk, sizeof junk, page * 8192), sizeof junk);
        (void)close(fd);
        struct database *database = database_open(copy, &error);
        if (database == NULL)
            continue;
        static const char *const queries[] = {"SELECT * FROM session_summary",
                                              "SELECT * FROM finding_summary",
                                              "SELECT * FROM message",
                                              "SELECT * FROM host_latency"};
        for (size_t i = 0; i < 4; i++) {
            struct query *query = database_query(database, queries[i], &error);
            while (query != NULL && query_step(query, &error) == 1)
                continue;
            query_free(query);
        }
        database_close(database);
    }
}
END_TEST

/* Readers read while a writer writes: both modes. */
START_TEST(test_beside_a_writer)
{
    for (int live = 0; live < 2; live++) {
        (void)unlink(rig_path);
        rig_open(1, live, 0);
        rig_begin(NULL);
        (void)rig_flow(1);
        (void)rig_session(1, 1, "h", "/");
        ck_assert_int_eq(rig_send(), 0);
        struct sink sink = store_sink(rig_store);
        ck_assert_int_eq(sink.flush(sink.arg), 0);
        struct database *database = opened();
        ck_assert_int_eq(number(database, "SELECT count(*) FROM session"), 1);
        (void)rig_session(1, 2, "h", "/");
        ck_assert_int_eq(rig_send(), 0); /* not committed */
        ck_assert_int_eq(number(database, "SELECT count(*) FROM session"), 1);
        ck_assert_int_eq(sink.flush(sink.arg), 0);
        ck_assert_int_eq(number(database, "SELECT count(*) FROM session"), 2);
        (void)rig_finish();
        rig_close();
        database_close(database);
        database = opened();
        ck_assert_int_eq(number(database, "SELECT count(*) FROM session"), 2);
        database_close(database);
    }
}
END_TEST

/* A writer was killed in the middle of a transaction that had reached the file. */
START_TEST(test_after_a_crash)
{
    make();
    pid_t child = fork();
    if (child == 0) {
        sqlite3 *db = NULL;
        (void)sqlite3_open(rig_path, &db);
        (void)sqlite3_exec(db, "PRAGMA cache_size = 2; PRAGMA synchronous = OFF; BEGIN;"
                               "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r "
                               "LIMIT 5000) INSERT INTO gap SELECT 1, 'client', n, n, n FROM r;"
                               "UPDATE session SET host = 'half'", NULL, NULL, NULL);
        (void)kill(getpid(), SIGKILL);
    }
    ck_assert_int_eq(waitpid(child, NULL, 0), child);
    char journal[160];
    (void)snprintf(journal, sizeof journal, "%s-journal", rig_path);
    ck_assert_int_eq(access(journal, F_OK), 0);
    struct database *database = opened();
    ck_assert_int_eq(number(database, "SELECT count(*) FROM gap"), 0);
    database_close(database);
}
END_TEST

/* A WAL database where nothing can be written beside it: the file alone is enough. */
START_TEST(test_lonely_wal)
{
    make();
    rig_exec(rig_path, "PRAGMA journal_mode = WAL; UPDATE session SET host = 'w'");
    char *slash = strrchr(rig_path, '/');
    *slash = '\0';
    ck_assert_int_eq(chmod(rig_path, 0500), 0);
    *slash = '/';
    pid_t child = fork(); /* root may write anywhere; nobody else may here */
    if (child == 0) {
        if (geteuid() == 0 && (chmod(rig_path, 0444) != 0 || chown(rig_path, 65534, 65534) != 0))
            _exit(2);
        *slash = '\0';
        if (geteuid() == 0 && (chown(rig_path, 65534, 65534) != 0 || setuid(65534) != 0))
            _exit(3);
        *slash = '/';
        struct database *database = database_open(rig_path, &error);
        if (database == NULL)
            (void)fprintf(stderr, "%s\n", error.text);
        _exit(database != NULL && number(database, "SELECT count(*) FROM session") == 1 ? 0 : 1);
    }
    int status = 0;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    *slash = '\0';
    (void)chmod(rig_path, 0700);
    *slash = '/';
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %x", (unsigned)status);
}
END_TEST

Suite *database_suite(void)
{
    Suite *suite = suite_create("database");
    TCase *tcase = tcase_create("database");
    tcase_add_checked_fixture(tcase, setup, rig_teardown);
    tcase_set_timeout(tcase, 30);
    tcase_add_test(tcase, test_rows);
    tcase_add_test(tcase, test_named);
    tcase_add_test(tcase, test_writing);
    tcase_add_test(tcase, test_refused);
    tcase_add_test(tcase, test_hostile);
    tcase_add_test(tcase, test_damaged);
    tcase_add_test(tcase, test_beside_a_writer);
    tcase_add_test(tcase, test_after_a_crash);
    tcase_add_test(tcase, test_lonely_wal);
    suite_add_tcase(suite, tcase);
    return suite;
}
