/*
 * Unconsumed bytes of one side of a layer, with gaps and marks. The number of runs is capped: past
 * the cap a run is merged into the one before it, which costs exactness of packet and time, never
 * bytes.
 */
#include "input.h"

#include <assert.h>
#include <string.h>

enum { RUNS_MAX = 4096, HELD_FIRST = 512 };

static struct input_run *last_run(struct input *input)
{
    return &input->runs[input->run_at + input->run_count - 1];
}

/* Makes room behind the last run. What is left is moved to the front where at least as much was
 * consumed before it, so that a byte or run is moved less than once, on average, in its life. */
static int grow_runs(struct input *input, struct budget *budget)
{
    size_t cap = input->run_cap > 0 ? input->run_cap * 2 : 4;
    struct input_run *runs = input->run_at >= input->run_count && input->run_at > 0
                                 ? NULL
                                 : budget_realloc(budget, input->runs, cap * sizeof *runs);
    if (runs != NULL) {
        input->runs = runs;
        input->run_cap = cap;
    } else if (input->run_at == 0) {
        return -1;
    }
    if (input->run_at > 0)
        memmove(input->runs, input->runs + input->run_at,
                input->run_count * sizeof *input->runs);
    input->run_at = 0;
    return 0;
}

/* Appends a run. Where that is impossible the last one of the same kind is made longer; the very
 * first run cannot be merged, and then -1 is returned. */
static int push_run(struct input *input, struct budget *budget, const struct input_run *run)
{
    if (input->run_count > 0 && last_run(input)->gap && run->gap) {
        last_run(input)->len += run->len;
        return 0;
    }
    int full = input->run_at + input->run_count == input->run_cap;
    if (input->run_count >= RUNS_MAX || (full && grow_runs(input, budget) != 0)) {
        if (input->run_count == 0 || last_run(input)->gap != run->gap)
            return -1;
        last_run(input)->len += run->len;
        return 0;
    }
    if (run->gap && input->gaps++ == 0) {
        input->before_bytes = input->held_len;
        input->before_runs = input->run_count;
    }
    input->runs[input->run_at + input->run_count++] = *run;
    return 0;
}

static int reserve_held(struct input *input, struct budget *budget, size_t limit, size_t more)
{
    if (input->held_len + more > limit)
        return -1;
    if (input->held_at + input->held_len + more <= input->held_cap)
        return 0;
    int fits = input->held_len + more <= input->held_cap;
    size_t cap = input->held_cap > 0 ? input->held_cap : HELD_FIRST;
    while (cap < input->held_at + input->held_len + more)
        cap *= 2;
    uint8_t *held = fits && input->held_at >= input->held_len
                        ? NULL
                        : budget_realloc(budget, input->held, cap);
    if (held != NULL) {
        input->held = held;
        input->held_cap = cap;
    } else if (!fits) {
        return -1;
    }
    if (input->held_at > 0 && input->held_len > 0)
        memmove(input->held, input->held + input->held_at, input->held_len);
    input->held_at = 0;
    return 0;
}

/* Bytes that cannot be held become a gap; where not even that can be noted, the offsets at least
 * stay right: the gap before is made longer, or all that is unconsumed turns into one gap. */
static void add_gap(struct input *input, struct budget *budget, const struct input_run *bytes)
{
    struct input_run gap = *bytes;
    gap.gap = 1;
    if (push_run(input, budget, &gap) == 0)
        return;
    if (input->run_cap == 0) { /* nothing is held, and not one run fits: as if it was consumed */
        input->offset = input->end;
        return;
    }
    gap.offset = input->offset;
    gap.len = input->end - input->offset;
    input->held_len = 0;
    input->run_at = 0;
    input->run_count = 1;
    input->gaps = 1;
    input->before_bytes = 0;
    input->before_runs = 0;
    input->runs[0] = gap;
}

int input_data(struct input *input, struct budget *budget, size_t limit, const uint8_t *data,
               size_t len, const struct mark *mark, int exact)
{
    assert(input->current_len == 0);
    struct input_run run = {
        .offset = input->end, .len = len, .mark = *mark, .gap = 0, .exact = exact};
    input->newest = run;
    input->any = 1;
    input->end += len;
    if (input->run_count == 0) {
        input->current = data;
        input->current_len = len;
        return 0;
    }
    if (reserve_held(input, budget, limit, len) != 0 || push_run(input, budget, &run) != 0) {
        add_gap(input, budget, &run);
        return -1;
    }
    memcpy(input->held + input->held_at + input->held_len, data, len);
    input->held_len += len;
    return 0;
}

void input_gap(struct input *input, struct budget *budget, uint64_t len, const struct mark *mark)
{
    assert(input->current_len == 0);
    struct input_run run = {
        .offset = input->end, .len = len, .mark = *mark, .gap = 1, .exact = 1};
    input->newest = run;
    input->any = 1;
    input->end += len;
    add_gap(input, budget, &run);
}

/* Walks to the next gap; each run is passed once in its life. */
static void find_gap(struct input *input)
{
    input->before_bytes = 0;
    input->before_runs = 0;
    if (input->gaps == 0)
        return;
    const struct input_run *run = &input->runs[input->run_at];
    for (; !run->gap; run++) {
        input->before_bytes += (size_t)run->len;
        input->before_runs++;
    }
}

struct slice input_view(const struct input *input)
{
    struct slice view = {.data = input->current, .len = input->current_len,
                         .offset = input->offset};
    if (input->run_count == 0)
        return view;
    view.data = input->held != NULL ? input->held + input->held_at : NULL;
    view.len = input->gaps > 0 ? input->before_bytes : input->held_len;
    return view;
}

uint64_t input_gap_behind(const struct input *input)
{
    if (input->gaps == 0)
        return 0;
    return input->runs[input->run_at + input->before_runs].len;
}

static void consume_runs(struct input *input, uint64_t len)
{
    while (len > 0 && input->run_count > 0) {
        struct input_run *run = &input->runs[input->run_at];
        if (run->len > len) {
            run->offset += len;
            run->len -= len;
            if (run->exact)
                run->mark.root_offset += len;
            return;
        }
        len -= run->len;
        if (run->gap)
            input->gaps--;
        else
            input->before_runs--;
        input->run_at++;
        input->run_count--;
    }
    if (input->run_count == 0)
        input->run_at = 0;
}

void input_consume(struct input *input, size_t len)
{
    input->offset += len;
    if (input->run_count == 0) {
        assert(len <= input->current_len);
        input->current_len -= len;
        if (input->current_len > 0)
            input->current += len;
        return;
    }
    assert(len <= input->held_len);
    input->held_len -= len;
    input->before_bytes -= len; /* means nothing while there is no gap */
    input->held_at = input->held_len > 0 ? input->held_at + len : 0;
    consume_runs(input, len);
}

void input_skip_gap(struct input *input)
{
    assert(input->gaps > 0);
    input_consume(input, input->before_bytes);
    uint64_t len = input->runs[input->run_at].len;
    input->offset += len;
    consume_runs(input, len);
    find_gap(input);
}

int input_keep(struct input *input, struct budget *budget, size_t limit)
{
    size_t len = input->current_len;
    if (len == 0)
        return 0;
    const uint8_t *data = input->current;
    struct input_run run = input->newest;
    uint64_t consumed = run.len - len;
    run.offset += consumed;
    run.len = len;
    if (run.exact)
        run.mark.root_offset += consumed;
    input->current = NULL;
    input->current_len = 0;
    if (reserve_held(input, budget, limit, len) != 0 || push_run(input, budget, &run) != 0) {
        add_gap(input, budget, &run);
        return -1;
    }
    memcpy(input->held + input->held_at, data, len);
    input->held_len = len;
    return 0;
}

void input_drop(struct input *input)
{
    input->offset = input->end;
    input->current_len = 0;
    input->held_len = 0;
    input->held_at = 0;
    input->run_at = 0;
    input->run_count = 0;
    input->gaps = 0;
}

const struct input_run *input_run_of(const struct input *input, uint64_t offset)
{
    size_t low = input->run_at, high = input->run_at + input->run_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct input_run *run = &input->runs[middle];
        if (offset < run->offset)
            high = middle;
        else if (offset - run->offset >= run->len)
            low = middle + 1;
        else
            return run;
    }
    if (input->any && offset >= input->newest.offset &&
        offset - input->newest.offset < input->newest.len)
        return &input->newest;
    return NULL;
}

struct mark input_mark(const struct input *input, uint64_t offset)
{
    const struct input_run *run = input_run_of(input, offset);
    if (run != NULL) {
        struct mark mark = run->mark;
        if (run->exact)
            mark.root_offset += offset - run->offset;
        return mark;
    }
    if (input->run_count > 0 && offset < input->runs[input->run_at].offset)
        return input->runs[input->run_at].mark;
    if (!input->any)
        return (struct mark){0};
    struct mark mark = input->newest.mark;
    if (input->newest.exact && offset >= input->newest.offset && input->newest.len > 0)
        mark.root_offset += input->newest.len - 1;
    return mark;
}

void input_release(struct input *input, struct budget *budget)
{
    budget_free(budget, input->held);
    budget_free(budget, input->runs);
    input->held = NULL;
    input->runs = NULL;
    input->held_cap = input->run_cap = 0;
    input_drop(input);
}
