/*
 * client_counts: how many connections each client has open.
 *
 *     IPv4 address (in IPv6 form too), or the /64 of an IPv6 address ──keyed hash──> count
 *
 * One block of memory, made for so many clients at once as there may be connections: nothing is allocated
 * for a client, and the counts are exact.
 */
#ifndef DNSD_NET_CLIENT_COUNTS_H
#define DNSD_NET_CLIENT_COUNTS_H

#include <stdint.h>
#include <sys/socket.h>

struct client_counts;

/** Room for so many connections; 16 to 32 bytes each. Returns NULL when there is no memory. */
struct client_counts *client_counts_create(uint32_t connections_max);
void client_counts_destroy(struct client_counts *counts);

uint32_t client_counts_get(const struct client_counts *counts, const struct sockaddr *peer);
/** At most connections_max more often than client_counts_remove(). */
void client_counts_add(struct client_counts *counts, const struct sockaddr *peer);
/** One that was added. */
void client_counts_remove(struct client_counts *counts, const struct sockaddr *peer);

#endif
