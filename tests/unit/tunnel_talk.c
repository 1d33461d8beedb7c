/*
 * Plays tables of conversations; see tunnel_talk.h.
 */
#include <stdarg.h>
#include "tunnel_talk.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fake *talk_prepare(const struct talk *talk)
{
    struct fake *fake = fake_new(NULL, "");
    for (size_t i = 0; i < TALK_STEPS; i++) {
        const struct talk_step *step = &talk->steps[i];
        if (step->fin)
            fake_fin(fake, step->side);
        else if (step->gap > 0)
            fake_gap(fake, step->side, step->gap);
        else if (step->bytes.data != NULL)
            fake_data(fake, step->side, step->bytes.data, step->bytes.len);
    }
    return fake;
}

struct summary {
    char text[4096];
    size_t len;
    char names[8][32]; /* of the layers, as they opened */
};

static void add(struct summary *out, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void add(struct summary *out, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (out->len > 0 && out->len < sizeof out->text - 1)
        out->text[out->len++] = ' ';
    int len = vsnprintf(out->text + out->len, sizeof out->text - out->len, format, args);
    va_end(args);
    ck_assert_int_ge(len, 0);
    out->len += (size_t)len;
    ck_assert_uint_lt(out->len, sizeof out->text);
}

/* The quoted texts of a line, without their quotes; "none" stays. */
static void add_texts(struct summary *out, const char *word, const char *line, const char *end)
{
    char text[1024];
    size_t len = 0;
    for (const char *at = line; at < end && len < sizeof text - 1; at++)
        if (*at != '"')
            text[len++] = *at;
    text[len] = '\0';
    add(out, "%s%s", word, text);
}

static void add_answer(struct summary *out, const char *line, const char *end)
{
    static const char *const causes[] = {"none", "origin", "auth", "redirect", "route", "version",
                                         "stripped", "bad-request", "upstream", "timeout",
                                         "unknown"};
    int outcome, cause, status, at;
    ck_assert_int_eq(
        sscanf(line, "answer outcome=%d cause=%d status=%d%n", &outcome, &cause, &status, &at), 3);
    char word[64];
    (void)snprintf(word, sizeof word, "%s %s %d",
                   outcome == OUTCOME_SWITCHED  ? "grants"
                   : outcome == OUTCOME_REFUSED ? "refuses"
                                                : "ignores",
                   causes[cause], status);
    add_texts(out, word, line + at, end);
}

/* `1 "NAME"`, or `1 closed "NAME" {detail}`: the name again only where it has changed. */
static void add_layer(struct summary *out, const char *what, const char *end)
{
    unsigned serial;
    char closed[32], opened[32];
    int is_open = sscanf(what, "layer %u \"%31[^\"]\"", &serial, opened) == 2;
    if (!is_open)
        ck_assert_int_eq(sscanf(what, "layer %u closed \"%31[^\"]\"", &serial, closed), 2);
    ck_assert_uint_lt(serial, 8);
    if (is_open) {
        memcpy(out->names[serial], opened, sizeof opened);
        add(out, "%s", opened);
        return;
    }
    if (strcmp(out->names[serial], closed) != 0)
        add(out, "is %s", closed);
    const char *detail = memchr(what, '{', (size_t)(end - what));
    if (detail != NULL && strcmp(closed, "tls") != 0)
        add(out, "%.*s", (int)(end - detail), detail);
}

static void add_line(struct summary *out, const char *line, const char *end)
{
    int at = 0;
    const char *what = line;
    for (int i = 0; i < 5; i++) /* side, offset, packet, time, session */
        what = strchr(what, ' ') + 1;
    if (strncmp(what, "layer ", 6) == 0)
        add_layer(out, what, end);
    else if (sscanf(what, "asks mechanism=%*d%n", &at) == 0 && at > 0)
        add_texts(out, "asks", what + at, end);
    else if (strncmp(what, "answer ", 7) == 0)
        add_answer(out, what, end);
    else if (strncmp(what, "header ", 7) == 0)
        add_texts(out, "", what, end);
    else if (strncmp(what, "finding ", 8) == 0)
        add(out, "%c:%.*s", line[0], (int)strcspn(what + 8, " "), what + 8);
}

void talk_is_understood(const struct talk *talk)
{
    struct fake *fake = talk_prepare(talk);
    struct summary out = {.len = 0};
    (void)fake_rules(fake);
    for (const char *line = fake->log, *end; (end = strchr(line, '\n')) != NULL; line = end + 1)
        add_line(&out, line, end);
    ck_assert_msg(strcmp(out.text, talk->said) == 0, "%s:\n said %s\n want %s", talk->what,
                  out.text, talk->said);
    fake_free(fake);
}

static void survive(struct fake *fake, size_t cut)
{
    (void)fake_play(fake, cut);
    ck_assert_uint_eq(fake->leaked, 0);
}

void talk_survives(const struct talk *talk)
{
    static const uint8_t flips[] = {0x01, 0x80, 0xff, 0x7f};
    struct fake *fake = talk_prepare(talk);
    for (size_t at = 0; at < fake->len; at++) {
        uint8_t kept = fake->bytes[at];
        for (size_t i = 0; i < sizeof flips; i++) {
            fake->bytes[at] = kept ^ flips[i];
            survive(fake, i % 2);
        }
        fake->bytes[at] = kept;
    }
    while (fake->step_count > 0) { /* the end missing */
        struct fake_step *last = &fake->steps[fake->step_count - 1];
        survive(fake, 0);
        if (last->kind == FAKE_DATA && last->len > 1)
            last->len--;
        else
            fake->step_count--;
    }
    fake_free(fake);
}

int talk_probe(const char *protocol, enum side side, const char *data, size_t len)
{
    uint8_t *copy = malloc(len + 1); /* a read past the end is seen */
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, data, len);
    int sure = layer_probe(NULL, protocol, side, len > 0 ? copy : (const uint8_t *)"", len);
    free(copy);
    return sure < 0 ? -1 : sure == 0 ? 0 : sure <= PROBE_WEAK ? 1 : 2;
}

int talk_probe_bytewise(const char *protocol, enum side side, const struct talk_bytes *bytes)
{
    int before = 0;
    for (size_t len = 0; len <= bytes->len; len++) {
        int now = talk_probe(protocol, side, bytes->data, len);
        ck_assert_msg(before >= 0 || now < 0, "%s: from no to %d at %zu", protocol, now, len);
        ck_assert_msg(before < 2 || now == before, "%s: from yes to %d at %zu", protocol, now, len);
        before = now;
    }
    return before;
}
