/*
 * Reads the packets of a pcap or pcapng file. Knows neither filters nor packet numbers: those are
 * capture.c's. Private to capture.
 */
#ifndef SWITCHTAP_CAPTURE_FILE_H
#define SWITCHTAP_CAPTURE_FILE_H

#include "capture.h"
#include "capture_input.h"
#include "capture_secrets.h"

struct capture_file;

/* Opens path ("-": standard input), reads the file header and, in pcapng, what stands before the
 * first packet. wake is borrowed until close. NULL and a message. */
struct capture_file *capture_file_open(const char *path, struct capture_wake *wake,
                                       struct error *error);

/* As capture_next(), but packet->number is left alone. */
int capture_file_next(struct capture_file *file, struct packet *packet, struct error *error);

/* Fills everything of info but what the filter counts. */
void capture_file_info(const struct capture_file *file, struct capture_info *info);

/* The key logs that it brings along. */
struct capture_secrets *capture_file_secrets(struct capture_file *file);

void capture_file_close(struct capture_file *file);

#endif
