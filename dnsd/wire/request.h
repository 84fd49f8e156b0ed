/*
 * request: a DNS request as a resolver sends it, for tools and tests.
 */
#ifndef DNSD_WIRE_REQUEST_H
#define DNSD_WIRE_REQUEST_H

#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"

#define WIRE_REQUEST_MAX 512

/**
 * Write a request with id 0, one question and an OPT record.
 *
 * name    [name_len] wire form
 * subnet  client subnet option (RFC 7871 section 6); NULL = none
 * req     WIRE_REQUEST_MAX bytes
 * Returns its length
 */
size_t wire_request_make(const uint8_t *name, size_t name_len, uint16_t type, uint16_t class,
                         uint16_t edns_size, const struct prefix *subnet, uint8_t *req);

#endif
