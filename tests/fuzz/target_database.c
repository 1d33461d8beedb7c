/*
 * A database that may be anybody's, given to all commands that read one. The exit status has to be
 * a documented one. The file is changed page by page, so that it stays one that SQLite opens.
 *
 * Input: the file; or, where its first byte is below 32: SQL that changes a database made of our
 * schema (its rows, its tables, its views), before the commands see it.
 */
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../analyzer/commands.h"
#include "../../analyzer/store.h"
#include "fuzz.h"

enum { SQL_MOST = 4096, OPERATIONS_MOST = 2000000 };

static const char *path;

static const struct {
    const struct command *command;
    const char *words[6];
} calls[] = {
    {&command_sessions, {"DB", NULL}},
    {&command_show, {"DB", "1", NULL}},
    {&command_messages, {"DB", NULL}},
    {&command_findings, {"DB", "-v", NULL}},
    {&command_findings, {"DB", "--format", "sarif", NULL}},
    {&command_sql, {"DB", NULL}},
    {&command_sql, {"DB", "tls", NULL}},
    {&command_sql, {"DB", "SELECT * FROM session_summary", "--format", "csv", NULL}},
    {&command_sql, {"DB", "SELECT * FROM failed_switch, chain", "--format", "json", NULL}},
    {&command_messages, {"DB", "1", "--format", "jsonl", NULL}},
};

enum { CALLS = sizeof calls / sizeof calls[0] };

static void call(size_t number)
{
    char words[8][256];
    char *argv[8];
    int argc = 0;
    for (; calls[number].words[argc] != NULL; argc++) {
        const char *word =
            strcmp(calls[number].words[argc], "DB") == 0 ? path : calls[number].words[argc];
        (void)snprintf(words[argc], sizeof words[argc], "%s", word);
        argv[argc] = words[argc];
    }
    struct options options;
    struct error error = {""};
    if (options_parse(calls[number].command, argc, argv, &options, &error) != OPTIONS_RUN)
        fuzz_broken("the command line is refused");
    int status = calls[number].command->run(&options);
    if (status != STATUS_DONE && status != STATUS_FAILED &&
        !(status == STATUS_FINDINGS && calls[number].command == &command_findings) &&
        !(status == STATUS_USAGE && calls[number].command == &command_sql))
        fuzz_broken("an exit status that is not documented");
}

static void write_file(const uint8_t *data, size_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    (void)close(fd);
}

/* 0, or -1. */
static int sql(const char *text)
{
    int result = SQLITE_ERROR;
    sqlite3 *db = NULL;
    if (sqlite3_open(path, &db) == SQLITE_OK) {
        (void)sqlite3_limit(db, SQLITE_LIMIT_LENGTH, 1 << 20);
        (void)sqlite3_limit(db, SQLITE_LIMIT_VDBE_OP, 25000);
        (void)sqlite3_limit(db, SQLITE_LIMIT_ATTACHED, 0);
        (void)sqlite3_exec(db, "PRAGMA writable_schema = ON; PRAGMA ignore_check_constraints = ON",
                           NULL, NULL, NULL);
        result = sqlite3_exec(db, text, NULL, NULL, NULL);
        if (result != SQLITE_OK && getenv("FUZZ_SAY") != NULL)
            (void)fprintf(stderr, "sql: %s\n", sqlite3_errmsg(db));
    }
    (void)sqlite3_close(db);
    return result == SQLITE_OK ? 0 : -1;
}

/* A row of everything that a session has. */
static const char rows[] =
    "INSERT INTO flow(id, capture_id, client_addr, client_port, server_addr, server_port,"
    " community_id, first_ns, last_ns) VALUES (1, 1, '10.0.0.1', 1, '10.0.0.2', 80, '1:x', 1, 2);"
    "INSERT INTO layer(id, flow_id, relation, protocol, first_ns, client_offset, server_offset)"
    " VALUES (1, 1, 'root', 'http1', 1, 0, 0);"
    "INSERT INTO session(id, flow_id, layer_id, mechanism, outcome, request_ns, verdict)"
    " VALUES (1, 1, 1, 'upgrade', 'switched', 1, 'v');"
    "INSERT INTO header VALUES (1, 'request', 0, 'Host', 'a');"
    "INSERT INTO websocket(session_id) VALUES (1);"
    "INSERT INTO frame(id, session_id, sender, sent_ns, packet, offset, fin, rsv, opcode, masked,"
    " length, compressed, message_opcode, message_length, payload) VALUES (1, 1, 'client', 1, 1, 0,"
    " 1, 0, 1, 1, 1, 0, 1, 1, 'a');"
    "INSERT INTO finding(id, capture_id, rule, session_id, flow_id, found_ns)"
    " VALUES (1, 1, 'ws-accept-wrong', 1, 1, 1);"
    "INSERT INTO gap VALUES (1, 'client', 1, 1, 1);";

struct image {
    uint8_t *bytes;
    size_t size;
};

static struct image read_image(void)
{
    struct image image = {NULL, 0};
    FILE *file = fopen(path, "rbe");
    if (file == NULL || fseek(file, 0, SEEK_END) != 0)
        abort();
    long size = ftell(file);
    rewind(file);
    image.bytes = malloc((size_t)size);
    if (image.bytes == NULL || fread(image.bytes, 1, (size_t)size, file) != (size_t)size)
        abort();
    image.size = (size_t)size;
    (void)fclose(file);
    return image;
}

/* The bytes of a database of ours with those rows. */
static const struct image *model(void)
{
    static struct image image;
    struct store_options options = {.all_flows = 1};
    struct error error = {""};
    if (image.bytes != NULL)
        return &image;
    (void)unlink(path);
    struct store *store = store_open(path, &options, &error);
    struct store_source source = {.source = "x"};
    struct capture_info info = {0};
    struct store_summary summary;
    if (store == NULL || store_begin(store, &source, &error) != 0 ||
        store_finish(store, &info, 0, 0, &summary, &error) != 0)
        abort();
    store_close(store);
    if (sql(rows) != 0)
        fuzz_broken("the rows do not fit the schema");
    image = read_image();
    return &image;
}

/* A view may count forever, which is the right of who made it: a person stops that. */
static int enough(void *arg)
{
    (void)arg;
    return 1;
}

static int restrain(sqlite3 *db, char **message, const void *api)
{
    (void)message, (void)api;
    sqlite3_progress_handler(db, OPERATIONS_MOST, enough, NULL);
    return SQLITE_OK;
}

static void prepare(void)
{
    static int done;
    if (done)
        return;
    done = 1;
    if (sqlite3_auto_extension((void (*)(void))restrain) != SQLITE_OK)
        abort();
    path = fuzz_database_path();
}

static void run(const char *variant, const uint8_t *data, size_t size)
{
    (void)variant;
    if (size == 0)
        return;
    prepare();
    if (data[0] < 32) {
        char text[SQL_MOST + 1];
        size_t len = size - 1 < SQL_MOST ? size - 1 : SQL_MOST;
        memcpy(text, data + 1, len);
        text[len] = '\0';
        const struct image *image = model();
        write_file(image->bytes, image->size);
        (void)sql(text);
    } else {
        write_file(data, size);
    }
    for (size_t i = 0; i < CALLS; i++)
        call(i);
    fuzz_tidy();
}

const struct fuzz_target fuzz_database = {"database", NULL, run};
