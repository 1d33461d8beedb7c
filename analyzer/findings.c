/*
 * Findings, grouped by rule for people and one by one for programs.
 */
#include "findings.h"

#include <inttypes.h>
#include <string.h>

#include "summary.h"
#include "times.h"

enum { SHOWN = 3 }; /* of each rule, without -v */

/* ---------------------------------------------------------------- which */

void findings_from(struct buffer *sql, const struct options *options)
{
    buffer_word(sql, " FROM finding x LEFT JOIN rule r ON r.name = x.rule "
                     "LEFT JOIN session s ON s.id = x.session_id "
                     "LEFT JOIN flow f ON f.id = coalesce(x.flow_id, s.flow_id) WHERE 1");
    if (options->least_severity > 0)
        buffer_format(sql, " AND " FINDINGS_RANK " >= %d", options->least_severity);
    if (options->rule != NULL)
        buffer_word(sql, " AND x.rule = :rule");
    if (options->session > 0)
        buffer_word(sql, " AND x.session_id = :session");
}

void findings_bind(struct query *query, const struct options *options)
{
    if (options->rule != NULL)
        (void)query_bind_text(query, "rule", options->rule);
    if (options->session > 0)
        (void)query_bind_int(query, "session", (int64_t)options->session);
}

int findings_check_rule(const char *command, const struct options *options)
{
    const char *names[RULE_COUNT + 1];
    if (options->rule == NULL)
        return 0;
    for (int i = 0; i < RULE_COUNT; i++) {
        names[i] = rule_table[i].name;
        if (strcmp(names[i], options->rule) == 0)
            return 0;
    }
    names[RULE_COUNT] = NULL;
    const char *hint = closest(options->rule, names);
    complain("%s: there is no rule '%s'%s%s%s", command, options->rule,
             hint != NULL ? "; did you mean '" : "; 'switchtap rules' lists them",
             hint != NULL ? hint : "", hint != NULL ? "'?" : "");
    return -1;
}

static struct query *prepare(struct database *database, const struct options *options,
                             const char *columns, const char *rest)
{
    struct buffer sql = {0};
    buffer_word(&sql, columns);
    findings_from(&sql, options);
    buffer_word(&sql, rest);
    struct query *query = listing_query(database, buffer_text(&sql));
    buffer_release(&sql);
    if (query != NULL)
        findings_bind(query, options);
    return query;
}

/* How many of each severity, by enum severity. 0 or -1. */
static int count(struct database *database, const struct options *options, uint64_t counts[4])
{
    struct query *query =
        prepare(database, options, "SELECT " FINDINGS_RANK ", count(*)", " GROUP BY 1");
    int result;
    memset(counts, 0, 4 * sizeof counts[0]);
    if (query == NULL)
        return -1;
    while ((result = listing_step(query)) == 1)
        counts[listing_int(query, 0, 0) & 3] += (uint64_t)listing_int(query, 1, 0);
    query_free(query);
    return result;
}

/* ---------------------------------------------------------------- for people */

enum group { G_RULE, G_RANK, G_ROWS, G_TIMES, G_SESSIONS, G_SUMMARY, G_SOURCE };
enum one { O_SESSION, O_FLOW, O_SENDER, O_PACKET, O_OFFSET, O_COUNT, O_EVIDENCE, O_OTHER };

static enum style rank_style(int64_t rank)
{
    return rank == SEVERITY_HIGH     ? STYLE_RED
           : rank == SEVERITY_MEDIUM ? STYLE_YELLOW
           : rank == SEVERITY_LOW    ? STYLE_PLAIN
                                     : STYLE_DIM;
}

static void explain(struct output *out, struct query *group, int column)
{
    struct buffer safe = {0};
    if (listing_is_null(group, column))
        return;
    buffer_safe(&safe, query_text(group, column), output_safety(out));
    output_word(out, "        ");
    output_wrapped(out, buffer_text(&safe), 8);
    buffer_release(&safe);
}

/* How to mend what the rule found; the database may be of a version with other rules. */
static void advise(struct output *out, struct text rule)
{
    for (int i = 0; i < RULE_COUNT; i++) {
        if (rule.len != strlen(rule_table[i].name) ||
            memcmp(rule.data, rule_table[i].name, rule.len) != 0)
            continue;
        output_word(out, "        fix: ");
        output_wrapped(out, rule_advice[i].fix, 8);
        return;
    }
}

static void group_title(struct output *out, struct query *group, int explained)
{
    int64_t rank = listing_int(group, G_RANK, 0) & 3;
    int64_t times = listing_int(group, G_TIMES, 0), sessions = listing_int(group, G_SESSIONS, 0);
    char word[16];
    (void)snprintf(word, sizeof word, "%-6s", severity_names[rank]);
    output_styled(out, rank_style(rank), word);
    output_word(out, "  ");
    output_style(out, STYLE_BOLD);
    output_safe(out, query_text(group, G_RULE));
    output_style(out, STYLE_PLAIN);
    output_format(out, "  %" PRId64 " time%s", times, PLURAL(times));
    if (sessions > 0)
        output_format(out, " in %" PRId64 " session%s", sessions, PLURAL(sessions));
    output_word(out, "\n");
    if (!explained)
        return;
    explain(out, group, G_SUMMARY);
    explain(out, group, G_SOURCE);
    advise(out, query_text(group, G_RULE));
}

static void one(struct output *out, struct query *query)
{
    struct buffer text = {0}, safe = {0};
    output_word(out, "        ");
    output_style(out, STYLE_DIM);
    if (!listing_is_null(query, O_SESSION))
        buffer_format(&text, "session %" PRId64, listing_int(query, O_SESSION, 0));
    else if (!listing_is_null(query, O_FLOW))
        buffer_format(&text, "flow %" PRId64, listing_int(query, O_FLOW, 0));
    else
        buffer_word(&text, "capture");
    if (!listing_is_null(query, O_OTHER))
        buffer_format(&text, " and %" PRId64, listing_int(query, O_OTHER, 0));
    if (!listing_is_null(query, O_SENDER)) {
        buffer_word(&text, "  ");
        listing_text(&text, query, O_SENDER);
    }
    if (!listing_is_null(query, O_PACKET))
        buffer_format(&text, "  packet %" PRId64, listing_int(query, O_PACKET, 0));
    if (!listing_is_null(query, O_OFFSET))
        buffer_format(&text, " @%" PRId64, listing_int(query, O_OFFSET, 0));
    if (listing_int(query, O_COUNT, 1) > 1)
        buffer_format(&text, "  %" PRId64 " times, the first:", listing_int(query, O_COUNT, 1));
    output_safe(out, (struct text){buffer_text(&text), text.len});
    output_style(out, STYLE_PLAIN);
    if (!listing_is_null(query, O_EVIDENCE)) {
        buffer_safe(&safe, query_text(query, O_EVIDENCE), output_safety(out));
        output_word(out, "\n          ");
        output_wrapped(out, buffer_text(&safe), 10);
    } else {
        output_word(out, "\n");
    }
    buffer_release(&text);
    buffer_release(&safe);
}

static int group_rows(struct output *out, struct database *database, const struct options *options,
                      struct query *group)
{
    struct query *query = prepare(
        database, options,
        "SELECT x.session_id, x.flow_id, x.sender, x.packet, x.offset, x.count, x.evidence, "
        "x.other_session_id",
        " AND x.rule = :this ORDER BY x.id");
    int64_t total = listing_int(group, G_ROWS, 0), shown = 0;
    struct buffer rule = {0};
    int result = 0;
    if (query == NULL)
        return -1;
    listing_text(&rule, group, G_RULE);
    (void)query_bind_text(query, "this", buffer_text(&rule));
    buffer_release(&rule);
    while ((options->verbose || shown < SHOWN) && out->error == 0 &&
           (result = listing_step(query)) == 1) {
        one(out, query);
        shown++;
    }
    query_free(query);
    if (shown == SHOWN && total > shown)
        output_format(out, "        ... and %" PRId64 " more (-v)\n", total - shown);
    return result < 0 ? -1 : 0;
}

static void last_line(struct output *out, const uint64_t counts[4])
{
    static const char *const names[] = {"high", "medium", "low", "info"};
    uint64_t order[4] = {counts[3], counts[2], counts[1], counts[0]};
    uint64_t sum = counts[0] + counts[1] + counts[2] + counts[3];
    struct buffer words = {0};
    char number[32];
    summary_kinds(&words, order, names, 4);
    if (sum == 0)
        output_word(out, "no findings\n");
    else
        output_format(out, "\n%s finding%s: %s\n", output_count(sum, number), PLURAL(sum),
                      buffer_text(&words));
    buffer_release(&words);
}

static int print_groups(struct output *out, struct database *database,
                        const struct options *options)
{
    struct query *group = prepare(database, options,
                                  "SELECT x.rule, " FINDINGS_RANK
                                  ", count(*), sum(x.count), count(DISTINCT x.session_id), "
                                  "r.summary, r.source",
                                  " GROUP BY x.rule ORDER BY 2 DESC, 3 DESC, 1");
    int result;
    if (group == NULL)
        return -1;
    for (int first = 1; (result = listing_step(group)) == 1 && out->error == 0; first = 0) {
        if (!first && options->verbose)
            output_word(out, "\n");
        group_title(out, group, options->verbose);
        if (group_rows(out, database, options, group) != 0) {
            result = -1;
            break;
        }
    }
    query_free(group);
    return result < 0 ? -1 : 0;
}

/* ---------------------------------------------------------------- for programs */

static int print_rows(struct output *out, struct database *database, const struct options *options)
{
    struct query *query = prepare(
        database, options,
        "SELECT x.id AS id, x.rule, coalesce(x.severity, r.severity) AS severity, r.level, "
        "x.session_id, x.flow_id, x.layer_id, "
        "x.frame_id, x.other_session_id, x.sender, x.packet, x.offset, "
        "printf('%s.%09dZ', strftime('%Y-%m-%dT%H:%M:%S', x.found_ns/1000000000, 'unixepoch'), "
        "x.found_ns%1000000000) AS time, x.found_ns, x.count, x.evidence, s.host, s.path, "
        "f.client_addr, f.client_port, f.server_addr, f.server_port, r.source, r.summary",
        " ORDER BY x.id");
    if (query == NULL)
        return -1;
    int status = listing_print(out, (enum format)options->format, query);
    query_free(query);
    return status == STATUS_DONE ? 0 : -1;
}

int findings_print(struct output *out, struct database *database, const struct options *options)
{
    uint64_t counts[4];
    int result = count(database, options, counts);
    if (result == 0 && !options->quiet) {
        if (options->format == FORMAT_SARIF) {
            result = sarif_print(out, database, options);
        } else if (options->format != FORMAT_TABLE) {
            result = print_rows(out, database, options);
        } else {
            result = print_groups(out, database, options);
            if (result == 0)
                last_line(out, counts);
        }
    }
    if (result != 0)
        return STATUS_FAILED;
    for (int severity = options->severity; severity <= SEVERITY_HIGH; severity++) {
        if (counts[severity] > 0)
            return STATUS_FINDINGS;
    }
    return STATUS_DONE;
}
