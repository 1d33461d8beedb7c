/*
 * Lines, literals, texts and owed replies of text protocols.
 */
#include "talk.h"

#include "text.h"

int talk_take(struct talk *t, enum side side, const struct slice *slice, struct talk_line *line)
{
    size_t window = slice->len < TALK_LINE ? slice->len : TALK_LINE;
    const uint8_t *lf = memchr(slice->data, '\n', window);
    if (lf == NULL && slice->len < TALK_LINE)
        return 0;
    /* The end of a line that is cut stays, so that what it announces is seen whole. */
    size_t len = lf != NULL ? (size_t)(lf - slice->data) : TALK_LINE - TALK_KEPT;
    int cr = lf != NULL && len > 0 && slice->data[len - 1] == '\r';
    *line = (struct talk_line){.line = {.text = {(const char *)slice->data, len - (size_t)cr},
                                        .offset = slice->offset,
                                        .len = len + (lf != NULL),
                                        .bare_lf = lf != NULL && !cr},
                               .first = !t->inside[side],
                               .last = lf != NULL};
    t->inside[side] = lf == NULL;
    return 1;
}

int talk_skip(struct talk *t, enum side side, const struct slice *slice, struct result *result)
{
    if (t->skip[side] == 0)
        return 0;
    size_t len = slice->len < t->skip[side] ? slice->len : (size_t)t->skip[side];
    t->skip[side] -= len;
    *result = (struct result){.verdict = V_OK, .consumed = len};
    return 1;
}

int talk_literal(const struct talk_line *line, uint64_t *len, int *plus)
{
    struct text text = line->line.text;
    size_t at = text.len;
    if (!line->last || at < 3 || text.data[at - 1] != '}')
        return 0;
    at--;
    *plus = text.data[at - 1] == '+';
    at -= (size_t)*plus;
    uint64_t value = 0, unit = 1;
    size_t digits = 0;
    for (; at > 0 && text.data[at - 1] >= '0' && text.data[at - 1] <= '9' && digits < 18;
         digits++) {
        value += unit * (uint64_t)(text.data[--at] - '0');
        unit *= 10;
    }
    *len = value;
    return digits > 0 && at > 0 && text.data[at - 1] == '{';
}

void talk_expect(struct talk *t, enum side side, uint64_t len)
{
    t->skip[side] = len;
    t->inside[side] = 1;
}

/* A line that is a single dot: its length, 0 where it is none, -1 where more bytes must tell. */
static int dot_line(struct text text, int bare)
{
    if (text.len == 0 || text.data[0] != '.')
        return 0;
    if (text.len < 2)
        return -1;
    if (text.data[1] == '\n')
        return bare ? 2 : 0;
    if (text.data[1] != '\r')
        return 0;
    return text.len < 3 ? -1 : text.data[2] == '\n' ? 3 : 0;
}

struct result talk_text(struct talk *t, enum side side, const struct slice *slice, int *ended)
{
    size_t at = 0;
    *ended = 0;
    while (at < slice->len) {
        struct text rest = {(const char *)slice->data + at, slice->len - at};
        int dot = t->inside[side] ? 0 : dot_line(rest, t->bare[side]);
        if (dot > 0) {
            *ended = 1;
            at += (size_t)dot;
        }
        if (dot != 0)
            break;
        const char *lf = memchr(rest.data, '\n', rest.len);
        t->inside[side] = lf == NULL;
        at += lf != NULL ? (size_t)(lf - rest.data) + 1 : rest.len;
    }
    return at > 0 ? (struct result){.verdict = V_OK, .consumed = at} : line_wanted(slice);
}

int talk_greets(const struct talk *t, const struct handover *handover)
{
    return !t->unsure && handover_hint(handover, "starttls").data == NULL;
}

void talk_ask(struct talk *t, int kind, uint64_t tag)
{
    if (t->count >= TALK_OWED)
        return;
    t->kind[t->count] = (uint8_t)kind;
    t->tag[t->count++] = tag;
}

int talk_full(const struct talk *t)
{
    return t->count >= TALK_OWED;
}

static void drop(struct talk *t, size_t i)
{
    size_t behind = --t->count - i;
    memmove(&t->kind[i], &t->kind[i + 1], behind * sizeof t->kind[0]);
    memmove(&t->tag[i], &t->tag[i + 1], behind * sizeof t->tag[0]);
}

void talk_forget(struct talk *t)
{
    if (t->count > 0)
        drop(t, 0);
}

int talk_next(const struct talk *t)
{
    return t->count > 0 ? t->kind[0] : -1;
}

int talk_owes(const struct talk *t, int kind)
{
    return memchr(t->kind, kind, t->count) != NULL;
}

int talk_answer(struct talk *t, uint64_t tag)
{
    for (size_t i = 0; i < t->count; i++) {
        if (t->tag[i] != tag)
            continue;
        int kind = t->kind[i];
        drop(t, i);
        return kind;
    }
    return -1;
}

uint64_t talk_tag(struct text tag)
{
    uint64_t hash = 14695981039346656037u; /* FNV-1a */
    for (size_t i = 0; i < tag.len; i++)
        hash = (hash ^ (uint8_t)tag.data[i]) * 1099511628211u;
    return hash != 0 ? hash : 1;
}

int talk_early(const struct talk *t)
{
    return t->count == 0 && !t->unsure;
}

int talk_behind(const struct talk *t)
{
    return t->count > 0 && !t->unsure;
}

int talk_heard(struct talk *t, const struct layer *layer)
{
    if (!t->blind)
        return 0;
    t->blind = 0;
    if (layer_held(layer, CLIENT) == 0)
        t->inside[CLIENT] = 0;
    return 1;
}

int talk_gap(struct talk *t, enum side side, uint64_t len)
{
    if (len <= t->skip[side]) {
        t->skip[side] -= len;
        return 1;
    }
    t->skip[side] = 0;
    t->inside[side] = side == CLIENT;
    t->unsure = 1;
    t->count = 0;
    t->blind |= side == CLIENT;
    return 0;
}

struct text talk_mechanism(char *out, size_t size, const char *command, struct text name)
{
    size_t len = strlen(command);
    memcpy(out, command, len);
    if (name.len > 0 && len + 1 + name.len <= size) {
        size_t at = len;
        out[at++] = ' ';
        for (size_t i = 0; i < name.len; i++) {
            char c = name.data[i];
            int letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
            if (!letter && !(c >= '0' && c <= '9') && c != '-' && c != '_')
                return (struct text){out, len};
            out[at++] = (char)(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
        }
        len = at;
    }
    return (struct text){out, len};
}

struct text talk_login(char *out, size_t size, const char *command, struct text name)
{
    if (text_is(name, "EXTERNAL") || text_is(name, "ANONYMOUS"))
        return TEXT_NONE;
    return talk_mechanism(out, size, command, name);
}

size_t talk_keep(char *out, size_t size, struct text text)
{
    size_t len = text.len < size ? text.len : size;
    if (len > 0)
        memcpy(out, text.data, len);
    return len;
}

struct text talk_kept(const char *kept, size_t len)
{
    return len > 0 ? (struct text){kept, len} : TEXT_NONE;
}

static int is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Two labels or more, and the last one of letters: no number, no version. */
struct text talk_host(struct text text)
{
    struct text word = line_word(&text);
    size_t label = 0, labels = 0, letters = 0;
    for (size_t i = 0; i < word.len; i++) {
        char c = word.data[i];
        if (c == '.' ? label == 0 : c != '-' && !is_letter(c) && !(c >= '0' && c <= '9'))
            return TEXT_NONE;
        labels += c == '.';
        label = c == '.' ? 0 : label + 1;
        letters = c == '.' ? 0 : letters + (is_letter(c) != 0);
    }
    return labels > 0 && label >= 2 && letters == label && word.len <= 253 ? word : TEXT_NONE;
}

int talk_printable(struct text bytes, size_t most, size_t *end)
{
    *end = 0;
    for (size_t i = 0; i < bytes.len; i++) {
        unsigned char c = (unsigned char)bytes.data[i];
        if (c == '\n') {
            *end = i + 1;
            return 0;
        }
        if (i >= most || c == 127 || (c < ' ' && c != '\t' && c != '\r'))
            return -1;
    }
    return 0;
}
