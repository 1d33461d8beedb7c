/*
 * The Internet checksum (RFC 1071): sums over bytes, made in steps.
 */
#ifndef SWITCHTAP_CHECKSUM_H
#define SWITCHTAP_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

/* Adds bytes to a sum that begins with 0. Only the last of several pieces may have an odd length.
 * The sum is good for 2^32 bytes. */
uint64_t checksum_add(uint64_t sum, const uint8_t *data, size_t len);

/* The 16-bit one's complement sum: 0xffff over bytes that contain their right checksum. */
uint16_t checksum_fold(uint64_t sum);

#endif
