/*
 * Tables, csv, json and jsonl. A table keeps its first rows until it knows how wide its columns
 * are; from then on rows are printed as they come, so that no size of result needs memory.
 */
#include "rows.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    ROWS_HELD = 500,      /* rows that decide the widths of a table */
    BYTES_HELD = 1 << 22, /* ... or bytes of cells */
    PAD_MOST = 60,        /* where there is no terminal, cells are padded up to here */
    GAP = 2               /* blanks between columns */
};

struct cell {
    size_t start, len, width; /* in the buffer of cells */
    enum style style;
};

struct rows {
    struct output *out;
    enum format format;
    struct column *columns; /* names are ours */
    size_t count;
    size_t *widths;
    int fixed; /* the widths are decided, the heading is printed */
    size_t at; /* the next cell of the row */
    uint64_t total;
    struct buffer text; /* cells that are held, or the line of the row */
    struct cell *cells; /* of the rows that are held */
    size_t held, room;  /* rows */
};

/* ---------------------------------------------------------------- beginning */

/* A name that an earlier column has gets a number, so that a json object has each name once. */
static char *column_name(const struct rows *rows, const char *name, size_t index)
{
    struct buffer safe = {0};
    unsigned same = 1;
    buffer_safe(&safe, text_of(name), SAFE_LINE);
    size_t len = safe.len;
    for (size_t i = 0; i < index; i++) {
        if (rows->format == FORMAT_TABLE || strcmp(rows->columns[i].name, buffer_text(&safe)) != 0)
            continue;
        safe.len = len;
        buffer_format(&safe, ":%u", same++);
        i = SIZE_MAX; /* compare the new name with all of them */
    }
    if (safe.data == NULL)
        return strdup("");
    return safe.data;
}

struct rows *rows_new(struct output *out, enum format format, const struct column *columns,
                      size_t count)
{
    struct rows *rows = calloc(1, sizeof *rows);
    if (rows == NULL)
        return NULL;
    *rows = (struct rows){.out = out, .format = format, .count = count};
    rows->columns = calloc(count > 0 ? count : 1, sizeof *rows->columns);
    rows->widths = calloc(count > 0 ? count : 1, sizeof *rows->widths);
    rows->room = format == FORMAT_TABLE ? ROWS_HELD : 1;
    rows->cells = calloc(rows->room * (count > 0 ? count : 1), sizeof *rows->cells);
    int failed = rows->columns == NULL || rows->widths == NULL || rows->cells == NULL;
    for (size_t i = 0; !failed && i < count; i++) {
        rows->columns[i] = columns[i];
        rows->columns[i].name = column_name(rows, columns[i].name, i);
        failed = rows->columns[i].name == NULL;
    }
    if (failed) {
        (void)rows_finish(rows);
        return NULL;
    }
    if (format == FORMAT_JSON)
        output_word(out, "[");
    if (format == FORMAT_CSV) {
        for (size_t i = 0; i < count; i++)
            rows_text(rows, text_of(rows->columns[i].name));
        rows_end(rows);
        rows->total = 0;
    }
    return rows;
}

/* ---------------------------------------------------------------- cells */

static void cell_begin(struct rows *rows)
{
    if (rows->format == FORMAT_CSV) {
        if (rows->at > 0)
            buffer_word(&rows->text, ",");
    } else if (rows->format != FORMAT_TABLE) {
        buffer_word(&rows->text, rows->at > 0 ? "," : "{");
        buffer_json(&rows->text, text_of(rows->columns[rows->at].name));
        buffer_word(&rows->text, ":");
    } else {
        rows->cells[rows->held * rows->count + rows->at] = (struct cell){.start = rows->text.len};
    }
}

static void cell_end(struct rows *rows)
{
    if (rows->format == FORMAT_TABLE) {
        struct cell *cell = &rows->cells[rows->held * rows->count + rows->at];
        cell->len = rows->text.len - cell->start;
        cell->width = text_width(buffer_text(&rows->text) + cell->start, cell->len);
    }
    rows->at++;
}

void rows_null(struct rows *rows)
{
    if (rows->at == rows->count)
        return;
    cell_begin(rows);
    if (rows->format == FORMAT_JSON || rows->format == FORMAT_JSONL)
        buffer_word(&rows->text, "null");
    cell_end(rows);
}

void rows_int(struct rows *rows, int64_t value)
{
    if (rows->at == rows->count)
        return;
    cell_begin(rows);
    buffer_format(&rows->text, "%" PRId64, value);
    cell_end(rows);
}

void rows_real(struct rows *rows, double value)
{
    if (rows->at == rows->count)
        return;
    cell_begin(rows);
    char text[40];
    if (isinf(value)) {
        (void)snprintf(text, sizeof text, "%s1e999", value < 0 ? "-" : "");
    } else {
        (void)snprintf(text, sizeof text, "%.15g", value);
        if (strtod(text, NULL) < value || strtod(text, NULL) > value)
            (void)snprintf(text, sizeof text, "%.17g", value);
        if (strpbrk(text, ".eE") == NULL)
            (void)strncat(text, ".0", sizeof text - strlen(text) - 1);
    }
    buffer_word(&rows->text, isnan(value) ? "null" : text);
    cell_end(rows);
}

static void csv_text(struct buffer *buffer, struct text text)
{
    struct buffer safe = {0};
    buffer_safe(&safe, text, SAFE_NEWLINES);
    const char *data = buffer_text(&safe);
    int edges = safe.len > 0 && (data[0] == ' ' || data[safe.len - 1] == ' ');
    if (safe.len > 0 && !edges && strpbrk(data, ",\"\n\t") == NULL) {
        buffer_add(buffer, data, safe.len);
    } else {
        buffer_word(buffer, "\"");
        for (size_t i = 0; i < safe.len; i++)
            buffer_add(buffer, data[i] == '"' ? "\"\"" : &data[i], data[i] == '"' ? 2 : 1);
        buffer_word(buffer, "\"");
    }
    buffer->failed |= safe.failed;
    buffer_release(&safe);
}

void rows_text(struct rows *rows, struct text text)
{
    if (rows->at == rows->count)
        return;
    if (text.data == NULL) {
        rows_null(rows);
        return;
    }
    if (rows->format != FORMAT_TABLE && !text_valid(text)) {
        rows_blob(rows, text);
        return;
    }
    cell_begin(rows);
    if (rows->format == FORMAT_TABLE)
        buffer_safe(&rows->text, text, output_safety(rows->out));
    else if (rows->format == FORMAT_CSV)
        csv_text(&rows->text, text);
    else
        buffer_json(&rows->text, text);
    cell_end(rows);
}

void rows_blob(struct rows *rows, struct text bytes)
{
    if (rows->at == rows->count)
        return;
    int json = rows->format == FORMAT_JSON || rows->format == FORMAT_JSONL;
    cell_begin(rows);
    buffer_word(&rows->text, json ? "{\"hex\":\"" : "x'");
    buffer_hex(&rows->text, bytes);
    buffer_word(&rows->text, json ? "\"}" : "'");
    cell_end(rows);
}

void rows_cell(struct rows *rows, struct query *query, int column)
{
    switch (query_type(query, column)) {
    case COLUMN_INTEGER:
        rows_int(rows, query_int(query, column));
        break;
    case COLUMN_REAL:
        rows_real(rows, query_real(query, column));
        break;
    case COLUMN_TEXT:
        rows_text(rows, query_text(query, column));
        break;
    case COLUMN_BLOB:
        rows_blob(rows, query_text(query, column));
        break;
    case COLUMN_NULL:
        rows_null(rows);
        break;
    }
}

void rows_style(struct rows *rows, enum style style)
{
    if (rows->format == FORMAT_TABLE && rows->at > 0)
        rows->cells[rows->held * rows->count + rows->at - 1].style = style;
}

/* ---------------------------------------------------------------- tables */

static size_t table_width(const struct rows *rows)
{
    size_t width = 0;
    for (size_t i = 0; i < rows->count; i++) {
        if (rows->widths[i] > 0)
            width += rows->widths[i] + (width > 0 ? GAP : 0);
    }
    return width;
}

static void table_natural(struct rows *rows, size_t most)
{
    for (size_t i = 0; i < rows->count; i++) {
        size_t width = text_width(rows->columns[i].name, strlen(rows->columns[i].name));
        for (size_t r = 0; r < rows->held; r++) {
            if (rows->cells[r * rows->count + i].width > width)
                width = rows->cells[r * rows->count + i].width;
        }
        rows->widths[i] = width > most ? most : width > 0 ? width : 1;
    }
}

/* Takes from the widest column that may be cut, again and again. 1: it fits. */
static int table_shrink(struct rows *rows)
{
    for (size_t total = table_width(rows); total > rows->out->width; total--) {
        size_t widest = rows->count;
        for (size_t i = 0; i < rows->count; i++) {
            if (rows->columns[i].least == 0 || rows->widths[i] <= rows->columns[i].least)
                continue;
            if (widest == rows->count || rows->widths[i] > rows->widths[widest])
                widest = i;
        }
        if (widest == rows->count)
            return 0;
        rows->widths[widest]--;
    }
    return 1;
}

static void table_fix(struct rows *rows)
{
    size_t width = rows->out->width;
    table_natural(rows, width > 0 ? width : PAD_MOST);
    while (width > 0 && !table_shrink(rows)) {
        int highest = 0;
        for (size_t i = 0; i < rows->count; i++) {
            if (rows->widths[i] > 0 && rows->columns[i].drop > highest)
                highest = rows->columns[i].drop;
        }
        if (highest == 0)
            break;
        for (size_t i = 0; i < rows->count; i++) {
            if (rows->columns[i].drop >= highest)
                rows->columns[i].drop = INT32_MAX; /* left out from now on */
        }
        table_natural(rows, width);
        for (size_t i = 0; i < rows->count; i++) {
            if (rows->columns[i].drop == INT32_MAX)
                rows->widths[i] = 0;
        }
    }
    rows->fixed = 1;
}

/* Prints a safe text in a column, cut to its width on a terminal. `last`: no blanks behind it. */
static void table_put(struct rows *rows, size_t column, const char *text, size_t len, size_t width,
                      enum style style, int last)
{
    struct output *out = rows->out;
    size_t room = rows->widths[column], fit = len;
    const char *more = "";
    if (width > room && out->width > 0 && (rows->columns[column].least > 0 || width > out->width)) {
        more = out->ascii ? ".." : "\xe2\x80\xa6";
        size_t mark = out->ascii ? 2 : 1;
        fit = text_fit(text, len, room > mark ? room - mark : 0);
        width = text_width(text, fit) + mark;
    }
    size_t pad = width < room ? room - width : 0;
    int right = (rows->columns[column].flags & COLUMN_RIGHT) != 0;
    if (right)
        output_format(out, "%*s", (int)pad, "");
    if (style != STYLE_PLAIN)
        output_style(out, style);
    output_write(out, text, fit);
    output_word(out, more);
    if (style != STYLE_PLAIN)
        output_style(out, STYLE_PLAIN);
    if (!right && !last)
        output_format(out, "%*s", (int)pad, "");
}

static size_t table_last(const struct rows *rows, const struct cell *cells)
{
    size_t last = 0;
    for (size_t i = 0; i < rows->count; i++) {
        if (rows->widths[i] > 0 && (cells == NULL || cells[i].len > 0))
            last = i;
    }
    return last;
}

static void table_line(struct rows *rows, const struct cell *cells)
{
    size_t last = table_last(rows, cells);
    int first = 1;
    for (size_t i = 0; i <= last && i < rows->count; i++) {
        if (rows->widths[i] == 0)
            continue;
        if (!first)
            output_format(rows->out, "%*s", GAP, "");
        first = 0;
        const char *name = rows->columns[i].name;
        if (cells != NULL)
            table_put(rows, i, buffer_text(&rows->text) + cells[i].start, cells[i].len,
                      cells[i].width, cells[i].style, i == last);
        else
            table_put(rows, i, name, strlen(name), text_width(name, strlen(name)), STYLE_DIM,
                      i == last);
    }
    output_word(rows->out, "\n");
}

static void table_flush(struct rows *rows)
{
    if (rows->held == 0)
        return;
    if (!rows->fixed) {
        table_fix(rows);
        table_line(rows, NULL);
    }
    if (rows->text.failed)
        rows->out->error = ENOMEM;
    for (size_t r = 0; r < rows->held && !rows->text.failed; r++)
        table_line(rows, rows->cells + r * rows->count);
    rows->held = 0;
    buffer_clear(&rows->text);
}

/* ---------------------------------------------------------------- rows */

static void line_end(struct rows *rows)
{
    if (rows->format == FORMAT_CSV) {
        buffer_word(&rows->text, "\n");
    } else {
        buffer_word(&rows->text, rows->count > 0 ? "}" : "{}");
        if (rows->format == FORMAT_JSONL)
            buffer_word(&rows->text, "\n");
        else
            output_word(rows->out, rows->total > 0 ? ",\n" : "\n");
    }
    if (rows->text.failed)
        rows->out->error = ENOMEM;
    output_write(rows->out, buffer_text(&rows->text), rows->text.len);
    buffer_clear(&rows->text);
}

void rows_end(struct rows *rows)
{
    while (rows->at < rows->count)
        rows_null(rows);
    rows->at = 0;
    if (rows->format != FORMAT_TABLE) {
        line_end(rows);
    } else {
        rows->held++;
        if (rows->fixed || rows->held == rows->room || rows->text.len > BYTES_HELD)
            table_flush(rows);
    }
    rows->total++;
}

void rows_flush(struct rows *rows)
{
    if (rows->format == FORMAT_TABLE)
        table_flush(rows);
    output_flush(rows->out);
}

uint64_t rows_finish(struct rows *rows)
{
    uint64_t total = rows->total;
    if (rows->columns != NULL && rows->cells != NULL && rows->widths != NULL) {
        if (rows->format == FORMAT_TABLE)
            table_flush(rows);
        if (rows->format == FORMAT_JSON)
            output_word(rows->out, total > 0 ? "\n]\n" : "]\n");
    }
    for (size_t i = 0; rows->columns != NULL && i < rows->count; i++)
        free((void *)(uintptr_t)rows->columns[i].name);
    free(rows->columns);
    free(rows->widths);
    free(rows->cells);
    buffer_release(&rows->text);
    free(rows);
    return total;
}

int rows_of_query(struct output *out, enum format format, struct query *query, struct error *error)
{
    int count = query_column_count(query);
    struct column *columns = calloc((size_t)count + 1, sizeof *columns);
    if (columns == NULL)
        return error_set(error, "out of memory");
    for (int i = 0; i < count; i++) {
        const char *name = query_column_name(query, i);
        columns[i] = (struct column){.name = name != NULL ? name : "", .least = 8};
    }
    struct rows *rows = rows_new(out, format, columns, (size_t)count);
    free(columns);
    if (rows == NULL)
        return error_set(error, "out of memory");
    int result = 0;
    while (out->error == 0 && (result = query_step(query, error)) == 1) {
        for (int i = 0; i < count; i++)
            rows_cell(rows, query, i);
        rows_end(rows);
    }
    (void)rows_finish(rows);
    return result < 0 ? -1 : 0;
}
