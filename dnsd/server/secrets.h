/*
 * secrets: what a process that takes over goes on with and that stands in no file: keys of TLS tickets, a
 * cookie secret of our own.
 *
 *     old ──bytes in memory of the kernel (memfd), as a descriptor──> new
 *
 * They are in no message: what a parser of text has held stays in freed memory.
 */
#ifndef DNSD_SERVER_SECRETS_H
#define DNSD_SERVER_SECRETS_H

#include "load/load.h"

/** Returns a descriptor, which the caller closes, or negative errno. */
int secrets_pack(const struct load *load);

/**
 * Put those into force that the configuration of load has a use for. Before load is used.
 *
 * fd       of secrets_pack(), in any process; stays the caller's
 * Returns  0 or negative errno: some are as they were
 */
int secrets_unpack(int fd, struct load *load);

#endif
