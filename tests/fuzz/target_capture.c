/*
 * The reader of capture files: pcap, pcapng and gzip. Each packet that is delivered has to lie
 * within memory, numbers run through, and the counts at the end are those of what was delivered.
 */
#include <stdlib.h>
#include <string.h>

#include "../../analyzer/capture.h"
#include "fuzz.h"

enum { PACKETS_MOST = 100000 };

static uint64_t touched; /* so that the reads are not left out */

static void secrets(void *arg, const char *text, size_t len)
{
    (void)arg;
    for (size_t i = 0; i < len; i++)
        touched += (uint8_t)text[i];
}

static void check_packet(const struct packet *packet, uint64_t number)
{
    if (packet->number != number)
        fuzz_broken("a packet's number");
    if (packet->wire_len < packet->len)
        fuzz_broken("a packet is shorter than what was captured of it");
    for (size_t i = 0; i < packet->len; i++)
        touched += packet->data[i];
}

static void check_info(const struct capture_info *info, uint64_t packets, uint64_t bytes)
{
    if (info->packets != packets || info->bytes != bytes)
        fuzz_broken("the counts are not those of the packets");
    if (info->damaged > 0 && info->damage[0] == '\0')
        fuzz_broken("a damage without words");
    if (memchr(info->damage, '\0', sizeof info->damage) == NULL)
        fuzz_broken("the words have no end");
}

static void run(const char *variant, const uint8_t *data, size_t size)
{
    struct error error = {""};
    struct capture_info info;
    struct packet packet;
    uint64_t packets = 0, bytes = 0;
    int more;
    (void)variant;
    struct capture *capture = capture_open_file(fuzz_file(data, size), NULL, &error);
    if (capture == NULL) {
        if (error.text[0] == '\0')
            fuzz_broken("refused without a word");
        return;
    }
    capture_on_secrets(capture, secrets, NULL);
    while ((more = capture_next(capture, &packet, &error)) == 1 && packets < PACKETS_MOST) {
        check_packet(&packet, ++packets);
        bytes += packet.len;
    }
    capture_get_info(capture, &info);
    if (more == 0)
        check_info(&info, packets, bytes);
    capture_close(capture);
}

const struct fuzz_target fuzz_capture = {"capture", NULL, run};
