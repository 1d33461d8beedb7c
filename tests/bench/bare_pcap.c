/*
 * The yardstick: a bare libpcap loop that only counts bytes.
 */
#include <inttypes.h>
#include <pcap/pcap.h>
#include <stdio.h>

static void count(u_char *user, const struct pcap_pkthdr *header, const u_char *data)
{
    uint64_t *totals = (uint64_t *)(void *)user;
    (void)data;
    totals[0]++;
    totals[1] += header->caplen;
}

int main(int argc, char **argv)
{
    char error[PCAP_ERRBUF_SIZE];
    uint64_t totals[2] = {0, 0};
    pcap_t *pcap = argc == 2 ? pcap_open_offline(argv[1], error) : NULL;
    if (pcap == NULL)
        return 2;
    pcap_loop(pcap, -1, count, (u_char *)totals);
    pcap_close(pcap);
    printf("%" PRIu64 " packets, %" PRIu64 " bytes\n", totals[0], totals[1]);
    return 0;
}
