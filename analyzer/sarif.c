/*
 * Findings as SARIF 2.1.0 (OASIS): one run, the whole catalogue as its rules, one result per
 * finding. A finding is a place in a packet stream, not in a file of text, so a result names the
 * capture file as its artifact and the connection, session and side as logical location; packet
 * and offset are properties.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "findings.h"

#ifndef SWITCHTAP_VERSION
#define SWITCHTAP_VERSION "0"
#endif

static const char *level(const char *severity)
{
    return strcmp(severity, "high") == 0     ? "error"
           : strcmp(severity, "medium") == 0 ? "warning"
                                             : "note";
}

static void json_word(struct buffer *text, const char *name, const char *value)
{
    buffer_format(text, "\"%s\":", name);
    buffer_json(text, text_of(value));
}

/* What is no UTF-8 (a hostile file only) is shown escaped. */
static void json_column(struct buffer *text, struct query *query, int column)
{
    struct buffer raw = {0}, safe = {0};
    listing_text(&raw, query, column);
    struct text value = {buffer_text(&raw), raw.len};
    if (!text_valid(value)) {
        buffer_safe(&safe, value, SAFE_NEWLINES);
        value = (struct text){buffer_text(&safe), safe.len};
    }
    buffer_json(text, value);
    buffer_release(&raw);
    buffer_release(&safe);
}

/* RFC 3986: what is not unreserved or a slash is percent-encoded. */
static void json_uri(struct buffer *text, struct query *query, int column)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "-._~/";
    struct buffer raw = {0};
    listing_text(&raw, query, column);
    const char *path = buffer_text(&raw);
    buffer_word(text, raw.len > 0 && path[0] == '/' ? "\"file://" : "\"");
    for (size_t i = 0; i < raw.len; i++) {
        if (path[i] != '\0' && strchr(plain, path[i]) != NULL)
            buffer_add(text, &path[i], 1);
        else
            buffer_format(text, "%%%02X", (unsigned)(unsigned char)path[i]);
    }
    buffer_word(text, "\"");
    buffer_release(&raw);
}

static void driver(struct buffer *text)
{
    buffer_word(text, "{\"driver\":{");
    json_word(text, "name", "switchtap");
    buffer_word(text, ",");
    json_word(text, "version", SWITCHTAP_VERSION);
    buffer_word(text, ",\"rules\":[");
    for (int i = 0; i < RULE_COUNT; i++) {
        const struct rule_info *rule = &rule_table[i];
        struct buffer help = {0};
        buffer_word(text, i > 0 ? ",\n{" : "\n{");
        json_word(text, "id", rule->name);
        buffer_word(text, ",\"shortDescription\":{");
        json_word(text, "text", rule->summary);
        buffer_word(text, "},\"help\":{");
        buffer_format(&help, "%s %s Source: %s.", rule_advice[i].why, rule_advice[i].fix,
                      rule->source);
        json_word(text, "text", buffer_text(&help));
        buffer_release(&help);
        buffer_word(text, "},\"defaultConfiguration\":{");
        json_word(text, "level", level(rule->severity));
        buffer_word(text, "},\"properties\":{");
        json_word(text, "severity", rule->severity);
        buffer_word(text, ",");
        json_word(text, "source", rule->source);
        buffer_word(text, "}}");
    }
    buffer_word(text, "\n]}}");
}

enum sarif_column {
    S_RULE,
    S_SEVERITY,
    S_SESSION,
    S_FLOW,
    S_SENDER,
    S_PACKET,
    S_OFFSET,
    S_COUNT,
    S_EVIDENCE,
    S_SUMMARY,
    S_FILE,
    S_HOST,
    S_PATH,
    S_CLIENT,
    S_CLIENT_PORT,
    S_SERVER,
    S_SERVER_PORT
};

static int rule_index(struct query *query)
{
    for (int i = 0; i < RULE_COUNT; i++) {
        if (listing_is(query, S_RULE, rule_table[i].name))
            return i;
    }
    return -1;
}

static void logical(struct buffer *text, struct query *query)
{
    struct buffer name = {0};
    buffer_format(&name, "flow %" PRId64, listing_int(query, S_FLOW, 0));
    if (!listing_is_null(query, S_SESSION))
        buffer_format(&name, "/session %" PRId64, listing_int(query, S_SESSION, 0));
    if (listing_is(query, S_SENDER, "client") || listing_is(query, S_SENDER, "server")) {
        buffer_word(&name, "/");
        listing_text(&name, query, S_SENDER);
    }
    buffer_word(text, "\"logicalLocations\":[{");
    json_word(text, "fullyQualifiedName", buffer_text(&name));
    buffer_word(text, "}]");
    buffer_release(&name);
}

static void property_int(struct buffer *text, struct query *query, int column, const char *name)
{
    if (!listing_is_null(query, column))
        buffer_format(text, ",\"%s\":%" PRId64, name, listing_int(query, column, 0));
}

static void properties(struct buffer *text, struct query *query)
{
    struct buffer address = {0};
    buffer_format(text, "\"properties\":{\"count\":%" PRId64, listing_int(query, S_COUNT, 1));
    property_int(text, query, S_SESSION, "session");
    property_int(text, query, S_FLOW, "flow");
    property_int(text, query, S_PACKET, "packet");
    property_int(text, query, S_OFFSET, "offset");
    for (int column = S_HOST; column <= S_PATH; column++) {
        if (listing_is_null(query, column))
            continue;
        buffer_word(text, column == S_HOST ? ",\"host\":" : ",\"path\":");
        json_column(text, query, column);
    }
    for (int column = S_CLIENT; column <= S_SERVER; column += 2) {
        listing_address(&address, query, column);
        struct text value = {buffer_text(&address), address.len};
        if (value.len > 0 && text_valid(value)) {
            buffer_word(text, column == S_CLIENT ? ",\"client\":" : ",\"server\":");
            buffer_json(text, value);
        }
        buffer_clear(&address);
    }
    buffer_word(text, "}");
    buffer_release(&address);
}

static void result(struct buffer *text, struct query *query)
{
    int index = rule_index(query);
    buffer_word(text, "{\"ruleId\":");
    json_column(text, query, S_RULE);
    if (index >= 0)
        buffer_format(text, ",\"ruleIndex\":%d", index);
    buffer_format(text, ",\"level\":\"%s\"",
                  listing_is(query, S_SEVERITY, "high")     ? "error"
                  : listing_is(query, S_SEVERITY, "medium") ? "warning"
                                                            : "note");
    buffer_word(text, ",\"message\":{\"text\":");
    json_column(text, query,
                listing_is_null(query, S_EVIDENCE) || query_text(query, S_EVIDENCE).len == 0
                    ? S_SUMMARY
                    : S_EVIDENCE);
    buffer_word(text, "},\"locations\":[{");
    if (!listing_is_null(query, S_FILE) && !listing_is(query, S_FILE, "-")) {
        buffer_word(text, "\"physicalLocation\":{\"artifactLocation\":{\"uri\":");
        json_uri(text, query, S_FILE);
        buffer_word(text, "}},");
    }
    logical(text, query);
    buffer_word(text, "}],");
    properties(text, query);
    buffer_word(text, "}");
}

static void flush(struct output *out, struct buffer *text)
{
    if (text->failed)
        out->error = ENOMEM;
    output_write(out, buffer_text(text), text->len);
    buffer_clear(text);
}

int sarif_print(struct output *out, struct database *database, const struct options *options)
{
    struct buffer sql = {0}, text = {0};
    buffer_word(&sql,
                "SELECT x.rule, coalesce(x.severity, r.severity), x.session_id, "
                "coalesce(x.flow_id, s.flow_id), "
                "x.sender, x.packet, x.offset, x.count, x.evidence, coalesce(r.summary, x.rule), "
                "(SELECT p.path FROM capture_file p WHERE p.capture_id = f.capture_id AND "
                "p.first_packet <= coalesce(x.packet, 1) ORDER BY p.first_packet DESC LIMIT 1), "
                "s.host, s.path, f.client_addr, f.client_port, f.server_addr, f.server_port");
    findings_from(&sql, options);
    buffer_word(&sql, " ORDER BY x.id");
    struct query *query = listing_query(database, buffer_text(&sql));
    buffer_release(&sql);
    if (query == NULL)
        return -1;
    findings_bind(query, options);
    buffer_word(&text, "{\"$schema\":\"https://json.schemastore.org/sarif-2.1.0.json\","
                       "\"version\":\"2.1.0\",\"runs\":[{\"tool\":");
    driver(&text);
    buffer_word(&text, ",\"columnKind\":\"unicodeCodePoints\",\"results\":[");
    int more;
    for (int first = 1; (more = listing_step(query)) == 1 && out->error == 0; first = 0) {
        buffer_word(&text, first ? "\n" : ",\n");
        result(&text, query);
        flush(out, &text);
    }
    buffer_word(&text, "\n]}]}\n");
    flush(out, &text);
    buffer_release(&text);
    query_free(query);
    return more < 0 ? -1 : 0;
}
