/*
 * Reads the bytes of a capture file: plain or gzip (RFC 1952, any number of members), regular file
 * or pipe. A pipe is read as it delivers, never up to a full buffer, and a wait on it can be
 * interrupted. Regular files are read, not mapped: a file that shrinks while it is read is then an
 * early end and not a SIGBUS.
 */
#include "capture_input.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

enum { BUFFER_SIZE = 1 << 20, GZIP_WINDOW = 15 + 16 /* gzip wrapper only */ };

struct capture_inflater {
    z_stream stream;
    uint8_t *packed;
    int between; /* a member ended and the next one has not begun */
};

int capture_wake_taken(struct capture_wake *wake)
{
    uint64_t count;

    if (!atomic_load_explicit(&wake->raised, memory_order_relaxed))
        return 0;
    (void)!read(wake->fd, &count, sizeof count); /* non-blocking: only resets the counter */
    return atomic_exchange(&wake->raised, 0);
}

/* Sleeps until the pipe has bytes. A wake-up whose flag was taken before is swallowed here. */
static enum capture_input_status input_wait(struct capture_input *input)
{
    for (;;) {
        struct pollfd fds[2] = {{.fd = input->fd, .events = POLLIN},
                                {.fd = input->wake->fd, .events = POLLIN}};
        int ready = poll(fds, 2, -1);

        if (capture_wake_taken(input->wake))
            return INPUT_INTERRUPTED;
        if (ready < 0 && errno == EINTR && input->opening)
            return INPUT_INTERRUPTED;
        if (ready < 0 && errno != EINTR) {
            input->failure = errno;
            return INPUT_FAILED;
        }
        if (ready > 0 && fds[0].revents != 0)
            return INPUT_READY;
        if (ready > 0) {
            uint64_t count;
            (void)!read(input->wake->fd, &count, sizeof count);
        }
    }
}

/* One read() from the descriptor; *got is 0 at its end. */
static enum capture_input_status input_read(struct capture_input *input, uint8_t *to, size_t room,
                                            size_t *got)
{
    for (;;) {
        if (input->waits) {
            enum capture_input_status status = input_wait(input);
            if (status != INPUT_READY)
                return status;
        }
        ssize_t count = read(input->fd, to, room);
        if (count >= 0) {
            *got = (size_t)count;
            input->position += *got;
            return INPUT_READY;
        }
        if (errno == EINTR || (errno == EAGAIN && input->waits))
            continue;
        input->failure = errno;
        return INPUT_FAILED;
    }
}

/* More packed bytes where there are none left. */
static enum capture_input_status inflater_refill(struct capture_input *input, int *at_end)
{
    struct capture_inflater *inflater = input->inflater;
    size_t got = 0;

    if (inflater->stream.avail_in == 0) {
        enum capture_input_status status = input_read(input, inflater->packed, BUFFER_SIZE, &got);
        if (status != INPUT_READY)
            return status;
        inflater->stream.next_in = inflater->packed;
        inflater->stream.avail_in = (uInt)got;
    }
    *at_end = inflater->stream.avail_in == 0;
    return INPUT_READY;
}

/* After a member: zeros are padding (tapes, disk images), a new member goes on, and anything else
 * does not belong to the capture. 1: the data end here. */
static int inflater_next_member(struct capture_input *input)
{
    struct capture_inflater *inflater = input->inflater;
    z_stream *stream = &inflater->stream;

    while (stream->avail_in > 0 && *stream->next_in == 0) {
        stream->next_in++;
        stream->avail_in--;
    }
    if (stream->avail_in == 0)
        return 0;
    if (*stream->next_in != 0x1f) {
        input->flaw = "what follows the gzip data is not gzip and was left out";
        return 1;
    }
    inflater->between = 0;
    (void)inflateReset(stream);
    return 0;
}

/* Unpacks at least one byte to `to`, or *got is 0 and cut or flaw say how it ended. */
static enum capture_input_status input_inflate(struct capture_input *input, uint8_t *to,
                                               size_t room, size_t *got)
{
    struct capture_inflater *inflater = input->inflater;
    z_stream *stream = &inflater->stream;

    *got = 0;
    while (*got == 0) {
        int at_end;
        enum capture_input_status status = inflater_refill(input, &at_end);
        if (status != INPUT_READY)
            return status;
        if (at_end) {
            if (!inflater->between)
                input->cut = "the gzip data are cut";
            return INPUT_READY;
        }
        if (inflater->between) {
            if (inflater_next_member(input))
                return INPUT_READY;
            if (inflater->between)
                continue;
        }
        stream->next_out = to;
        stream->avail_out = (uInt)room;
        int code = inflate(stream, Z_NO_FLUSH);
        *got = room - stream->avail_out;
        if (code == Z_STREAM_END) {
            inflater->between = 1;
        } else if (code == Z_MEM_ERROR) {
            input->failure = ENOMEM;
            return INPUT_FAILED;
        } else if (code != Z_OK && code != Z_BUF_ERROR) {
            input->flaw = "the gzip data are damaged";
            input->ended = 1;
            return INPUT_READY;
        }
    }
    return INPUT_READY;
}

/* Room behind `end`, so that n bytes from `start` on can be there one day. The buffer doubles only
 * when it is full of unread bytes: a length that is a lie costs no memory. */
static enum capture_input_status input_make_room(struct capture_input *input, size_t n)
{
    size_t unread = capture_input_available(input);

    if (unread == 0 || input->end == input->capacity || n > input->capacity - input->start) {
        if (unread > 0 && input->start > 0)
            memmove(input->buffer, input->buffer + input->start, unread);
        input->base += input->start;
        input->start = 0;
        input->end = unread;
    }
    if (input->end == input->capacity) {
        size_t capacity = input->capacity * 2;
        uint8_t *buffer = realloc(input->buffer, capacity);
        if (buffer == NULL) {
            input->failure = ENOMEM;
            return INPUT_FAILED;
        }
        input->buffer = buffer;
        input->capacity = capacity;
    }
    return INPUT_READY;
}

enum capture_input_status capture_input_fill(struct capture_input *input, size_t n)
{
    while (capture_input_available(input) < n) {
        size_t got = 0;
        enum capture_input_status status;

        if (input->ended)
            return INPUT_END;
        status = input_make_room(input, n);
        if (status != INPUT_READY)
            return status;
        uint8_t *to = input->buffer + input->end;
        size_t room = input->capacity - input->end;
        status = input->inflater != NULL ? input_inflate(input, to, room, &got)
                                         : input_read(input, to, room, &got);
        if (status != INPUT_READY)
            return status;
        input->end += got;
        if (got == 0)
            input->ended = 1;
    }
    return INPUT_READY;
}

int capture_input_error(const struct capture_input *input, struct error *error)
{
    if (input->failure == ENOMEM)
        return error_set(error, "%s: out of memory at byte %llu", input->name,
                         (unsigned long long)(input->base + input->end));
    return error_set(error, "%s: reading failed at byte %llu: %s", input->name,
                     (unsigned long long)input->position, strerror(input->failure));
}

/* What was read so far is packed: it becomes the inflater's input. */
static int input_start_gzip(struct capture_input *input)
{
    struct capture_inflater *inflater = calloc(1, sizeof *inflater);
    uint8_t *buffer = malloc(BUFFER_SIZE);

    if (inflater == NULL || buffer == NULL ||
        inflateInit2(&inflater->stream, GZIP_WINDOW) != Z_OK) {
        free(inflater);
        free(buffer);
        return -1;
    }
    inflater->packed = input->buffer;
    inflater->stream.next_in = inflater->packed;
    inflater->stream.avail_in = (uInt)input->end;
    input->inflater = inflater;
    input->buffer = buffer;
    input->end = 0;
    input->ended = 0;
    return 0;
}

static int input_open_path(struct capture_input *input, const char *path, struct error *error)
{
    int is_stdin = strcmp(path, "-") == 0;

    input->name = strdup(is_stdin ? "standard input" : path);
    input->buffer = malloc(BUFFER_SIZE);
    if (input->name == NULL || input->buffer == NULL)
        return error_set(error, "%s: out of memory", path);
    input->capacity = BUFFER_SIZE;
    input->owned = !is_stdin;
    input->fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (input->fd >= 0)
        return 0;
    switch (errno) {
    case ENOENT:
        return error_set(error, "%s: no such file", path);
    case EACCES:
    case EPERM:
        return error_set(error, "%s: no permission to read it", path);
    case EINTR:
        return error_set(error, "%s: interrupted before anything arrived", path);
    default:
        return error_set(error, "%s: cannot be opened: %s", path, strerror(errno));
    }
}

static int input_look(struct capture_input *input, struct error *error)
{
    struct stat status;

    if (fstat(input->fd, &status) != 0)
        return error_set(error, "%s: cannot be read: %s", input->name, strerror(errno));
    if (S_ISDIR(status.st_mode))
        return error_set(error, "%s: is a directory, not a capture file", input->name);
    input->waits = !S_ISREG(status.st_mode);
    if (!input->waits) {
        off_t at = lseek(input->fd, 0, SEEK_CUR); /* a shell may have read from standard input */
        input->size = status.st_size > at && at >= 0 ? (uint64_t)(status.st_size - at) : 0;
        (void)posix_fadvise(input->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    }
    enum capture_input_status got = capture_input_need(input, 2);
    if (got == INPUT_FAILED)
        return capture_input_error(input, error);
    if (got == INPUT_INTERRUPTED)
        return error_set(error, "%s: interrupted before anything arrived", input->name);
    if (input->end == 0)
        return error_set(error, "%s: is empty, there is no capture in it", input->name);
    if (got == INPUT_READY && input->buffer[0] == 0x1f && input->buffer[1] == 0x8b &&
        input_start_gzip(input) != 0)
        return error_set(error, "%s: out of memory", input->name);
    return 0;
}

int capture_input_open(struct capture_input *input, const char *path, struct capture_wake *wake,
                       struct error *error)
{
    *input = (struct capture_input){.fd = -1, .opening = 1, .wake = wake};
    if (input_open_path(input, path, error) == 0 && input_look(input, error) == 0)
        return 0;
    capture_input_release(input);
    return -1;
}

void capture_input_release(struct capture_input *input)
{
    if (input->inflater != NULL) {
        (void)inflateEnd(&input->inflater->stream);
        free(input->inflater->packed);
        free(input->inflater);
    }
    if (input->owned && input->fd >= 0)
        (void)close(input->fd);
    free(input->buffer);
    free(input->name);
    *input = (struct capture_input){.fd = -1};
}
