/*
 * The end of a run in a few lines. Honest first of all: each reason for which something may be
 * missing is counted somewhere, and whatever is not zero is said here in plain words.
 */
#include "summary.h"

#include <inttypes.h>
#include <string.h>

#include "times.h"

void summary_kinds(struct buffer *text, const uint64_t *counts, const char *const *names,
                   size_t kinds)
{
    char number[32];
    for (size_t i = 0; i < kinds; i++) {
        if (counts[i] > 0)
            buffer_format(text, "%s%s %s", text->len > 0 ? ", " : "",
                          output_count(counts[i], number), names[i]);
    }
}

/* ---------------------------------------------------------------- what was not seen */

struct reason {
    const char *counter;
    const char *one, *many; /* behind the number */
};

/* Counters that stand for something that may be missing from the result. */
static const struct reason reasons[] = {
    {"tls.flows", "TLS connection: what it carries is encrypted (--keylog)",
     "TLS connections: what they carry is encrypted (--keylog)"},
    {"tls.closed", "TLS connection that the keys do not open (why: layer.detail)",
     "TLS connections that the keys do not open (why: layer.detail)"},
    {"tls.failed", "TLS handshake failed, nothing followed (why: layer.detail)",
     "TLS handshakes failed, nothing followed (why: layer.detail)"},
    {"keylog.broken", "line of a key log is broken", "lines of key logs are broken"},
    {"keylog.dropped", "secret was dropped: there are too many",
     "secrets were dropped: there are too many"},
    {"flow.midstream", "connection began before the capture",
     "connections began before the capture"},
    {"flow.one-sided", "connection was captured in one direction only",
     "connections were captured in one direction only"},
    {"skip.udp.quic", "QUIC packet: not analysed, and encrypted",
     "QUIC packets: not analysed, and encrypted"},
    {"flow.evicted", "connection was given up early for lack of memory (--memory)",
     "connections were given up early for lack of memory (--memory)"},
    {"flow.refused", "packet was not followed for lack of memory (--memory)",
     "packets were not followed for lack of memory (--memory)"},
    {"flow.unanalysed", "connection was not analysed for lack of memory (--memory)",
     "connections were not analysed for lack of memory (--memory)"},
    {"reassembly.limit", "time, a limit of reassembly was reached",
     "times, a limit of reassembly was reached"},
    {"checksum.bad", "segment with a wrong checksum was not used (-k none uses it)",
     "segments with wrong checksums were not used (-k none uses them)"},
    {"skip.fragment-bad-checksum", "fragment with a wrong checksum was not used (-k none uses it)",
     "fragments with wrong checksums were not used (-k none uses them)"},
    {"defrag.expired", "fragmented packet was never complete",
     "fragmented packets were never complete"},
    {"defrag.waiting", "fragmented packet was not complete at the end",
     "fragmented packets were not complete at the end"},
    {"defrag.evicted", "fragmented packet was given up for lack of memory (--memory)",
     "fragmented packets were given up for lack of memory (--memory)"},
    {"skip.wlan-encrypted", "encrypted wireless frame", "encrypted wireless frames"},
    {"skip.macsec", "MACsec frame: encrypted", "MACsec frames: encrypted"},
    {"skip.esp", "IPsec packet: encrypted", "IPsec packets: encrypted"},
    {"skip.too-deep", "packet with too many headers inside one another",
     "packets with too many headers inside one another"},
    {"capture.kernel-dropped", "packet was dropped by the kernel (a larger buffer helps: -B)",
     "packets were dropped by the kernel (a larger buffer helps: -B)"},
    {"workers.dropped", "of them was dropped because the workers were too slow",
     "of them were dropped because the workers were too slow"},
    {"capture.interface-dropped", "packet was dropped by the interface",
     "packets were dropped by the interface"},
    {"bus.payloads-shed", "payload was not stored: the disk was too slow",
     "payloads were not stored: the disk was too slow"},
    {"bus.frames-shed", "frame was not stored: the disk was too slow",
     "frames were not stored: the disk was too slow"},
};

struct unseen {
    struct output *out;
    int lines;
};

static void unseen_line(struct unseen *unseen, uint64_t number, const char *words)
{
    char count[32];
    output_word(unseen->out, unseen->lines++ == 0 ? "\n  not seen " : "           ");
    output_format(unseen->out, "%9s ", output_count(number, count));
    output_word(unseen->out, words);
    output_word(unseen->out, "\n");
}

static int begins(const char *name, const char *prefix)
{
    return strncmp(name, prefix, strlen(prefix)) == 0;
}

static int has_reason(const char *name)
{
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++) {
        if (strcmp(reasons[i].counter, name) == 0)
            return 1;
    }
    return 0;
}

static void unseen_links(struct unseen *unseen, const struct run *run)
{
    for (size_t i = 0; i < run->counter_count; i++) {
        const char *name = run->counters[i].name;
        struct buffer words = {0};
        char type[32];
        uint64_t number;
        if (!begins(name, "skip.link-type."))
            continue;
        buffer_format(&words, "packet%s of a link type that is not decoded",
                      PLURAL(run->counters[i].value));
        if (options_number(name + strlen("skip.link-type."), &number) == 0 && number < INT32_MAX)
            buffer_format(&words, ": %s", capture_link_type_name((int)number, type));
        unseen_line(unseen, run->counters[i].value, buffer_text(&words));
        buffer_release(&words);
    }
}

/* Sums all counters with a prefix that have no line of their own, and names the largest. */
static void unseen_sum(struct unseen *unseen, const struct run *run, const char *prefix,
                       const char *one, const char *many)
{
    enum { NAMED = 3 };
    const struct run_counter *top[NAMED] = {NULL};
    uint64_t sum = 0;
    for (size_t i = 0; i < run->counter_count; i++) {
        const struct run_counter *counter = &run->counters[i];
        if (!begins(counter->name, prefix) || begins(counter->name, "skip.link-type.") ||
            has_reason(counter->name))
            continue;
        sum += counter->value;
        for (size_t t = 0; t < NAMED && counter != NULL; t++) {
            if (top[t] == NULL || counter->value > top[t]->value) {
                const struct run_counter *smaller = top[t];
                top[t] = counter;
                counter = smaller;
            }
        }
    }
    if (sum == 0)
        return;
    struct buffer words = {0};
    char number[32];
    buffer_word(&words, sum == 1 ? one : many);
    for (size_t t = 0; t < NAMED && top[t] != NULL; t++) {
        const char *name = top[t]->name + strlen(prefix);
        buffer_format(&words, "%s%s %s", t == 0 ? ": " : ", ", output_count(top[t]->value, number),
                      begins(name, "udp.") ? name + 4 : name);
    }
    unseen_line(unseen, sum, buffer_text(&words));
    buffer_release(&words);
}

void summary_unseen(struct output *out, const struct summary *summary)
{
    const struct run *run = summary->run;
    struct unseen unseen = {out, 0};
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++) {
        uint64_t value = run_counted(run, reasons[i].counter);
        if (value > 0)
            unseen_line(&unseen, value, value == 1 ? reasons[i].one : reasons[i].many);
    }
    if (run->tally.gaps > 0) {
        struct buffer words = {0};
        char bytes[32];
        buffer_format(&words, "gap%s: %s that were never captured", PLURAL(run->tally.gaps),
                      output_bytes(run->tally.gap_bytes, bytes));
        unseen_line(&unseen, run->tally.gaps, buffer_text(&words));
        buffer_release(&words);
    }
    unseen_links(&unseen, run);
    unseen_sum(&unseen, run, "truncated.", "packet was cut by the snaplen within its headers",
               "packets were cut by the snaplen within their headers");
    unseen_sum(&unseen, run, "malformed.", "packet with a malformed header",
               "packets with malformed headers");
    unseen_sum(&unseen, run, "skip.", "packet that is not TCP", "packets that are not TCP");
    if (summary->info->filtered > 0)
        unseen_line(&unseen, summary->info->filtered,
                    summary->info->filtered == 1 ? "packet did not pass the filter"
                                                 : "packets did not pass the filter");
    if (summary->info->damaged > 0)
        unseen_line(&unseen, summary->info->damaged,
                    summary->info->damaged == 1 ? "damaged record was skipped"
                                                : "damaged records were skipped");
    if (summary->info->truncated)
        unseen_line(&unseen, 1, "record was cut at the end of the capture");
}

/* ---------------------------------------------------------------- what was found */

static void line(struct output *out, const char *name, uint64_t number, const char *words)
{
    char count[32];
    output_format(out, words[0] != '\0' ? "  %-9s%9s  %s\n" : "  %-9s%9s\n", name,
                  output_count(number, count), words);
}

static void packets_line(struct output *out, const struct summary *summary)
{
    const struct run *run = summary->run;
    struct buffer words = {0};
    char bytes[32], text[TIMES_SIZE];
    output_bytes(summary->info->bytes, bytes);
    buffer_word(&words, bytes);
    if (summary->files > 1)
        buffer_format(&words, " in %" PRIu64 " files", summary->files);
    if (run->first_ns != INT64_MIN) {
        buffer_format(&words, ", %s",
                      times_duration(times_between(run->first_ns, run->last_ns), text));
        buffer_format(&words, " from %s", times_local(run->first_ns, 0, text));
    }
    line(out, "packets", summary->info->packets, buffer_text(&words));
    buffer_release(&words);
}

static void sessions_line(struct output *out, const struct store_summary *store)
{
    static const enum outcome order[] = {OUTCOME_SWITCHED, OUTCOME_REFUSED, OUTCOME_IGNORED,
                                         OUTCOME_UNANSWERED, OUTCOME_UNSOLICITED};
    uint64_t counts[5];
    struct buffer words = {0};
    for (size_t i = 0; i < 5; i++)
        counts[i] = store->outcomes[order[i]];
    summary_kinds(&words, counts, outcome_choices, 5);
    line(out, "sessions", store->sessions, buffer_text(&words));
    buffer_release(&words);
}

static void findings_line(struct output *out, const struct store_summary *store)
{
    static const char *const names[] = {"high", "medium", "low", "info"};
    uint64_t sum = 0;
    struct buffer words = {0};
    for (size_t i = 0; i < 4; i++)
        sum += store->findings[i];
    summary_kinds(&words, store->findings, names, 4);
    line(out, "findings", sum, buffer_text(&words));
    buffer_release(&words);
}

static void decrypted_line(struct output *out, const struct run *run)
{
    uint64_t flows = run_counted(run, "tls.decrypted");
    if (flows > 0)
        line(out, "decrypted", flows, flows == 1 ? "TLS connection" : "TLS connections");
}

void summary_print(struct output *out, const struct summary *summary)
{
    const struct store_summary *store = &summary->run->summary;
    if (summary->database != NULL) {
        output_style(out, STYLE_BOLD);
        output_safe(out, text_of(summary->database));
        output_style(out, STYLE_PLAIN);
        output_format(out, ", capture %" PRId64 "\n\n", store->capture_id);
    }
    packets_line(out, summary);
    line(out, "flows", store->flows, "");
    sessions_line(out, store);
    findings_line(out, store);
    decrypted_line(out, summary->run);
    summary_unseen(out, summary);
    if (!summary->all_counters)
        return;
    output_word(out, "\n  counters\n");
    for (size_t i = 0; i < summary->run->counter_count; i++)
        output_format(out, "    %-32s %12" PRIu64 "\n", summary->run->counters[i].name,
                      summary->run->counters[i].value);
}
