/*
 * proxy: the PROXY header, version 2, by which a front end such as dnsdist says who really asks.
 *
 *     signature 12 | version, command 1 | family, protocol 1 | length 2 | addresses, ports | TLVs | message
 *
 * It stands before each message over UDP, and once at the beginning of a connection over TCP. Who sends it
 * chooses who the client is, so it is read from front ends that the configuration lists (proxy-allow) and
 * from nobody else; what those send without one is not taken at all.
 *
 * Source: The PROXY protocol, versions 1 and 2 (HAProxy, doc/proxy-protocol.txt), section 2.2
 */
#ifndef DNSD_NET_PROXY_H
#define DNSD_NET_PROXY_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "answer/data.h"
#include "net/net_context.h"

/** A longer header is refused: addresses take 52 bytes, and what else it may say is of no use here. */
#define PROXY_HEADER_MAX 1024
/** With which each header begins; no TLS handshake does, and a DNS message over TCP would be of 3,338 bytes.
 */
#define PROXY_FIRST_BYTE '\r'

enum proxy_verdict {
	PROXY_OK,
	PROXY_INCOMPLETE, /* a good beginning, the rest has not come */
	PROXY_NONE,       /* something else than a header of version 2 */
	PROXY_BAD,
};

union proxy_addr {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

struct proxy_header {
	size_t len;     /* of the header: here the message begins */
	bool has_addrs; /* else the addresses of the connection itself stand: the command is LOCAL (a check of
	                   the front end's own), or the family is one that no client of ours can have */
	union proxy_addr source;
	union proxy_addr destination;
};

/**
 * Read a header.
 *
 * data        [len] any bytes
 * ret_header  set on PROXY_OK
 * Returns     PROXY_BAD also for what section 2.2 leaves unassigned, a length over PROXY_HEADER_MAX or too
 *             short for the addresses, TLVs that do not end where the header does, a checksum that is wrong
 * Cost        one pass; a second one where there is a checksum
 */
enum proxy_verdict proxy_parse(const uint8_t *data, size_t len, struct proxy_header *ret_header);

/** Has peer to send a header? */
bool proxy_is_front_end(const struct answer_data *data, const struct sockaddr *peer);

/** One that is PROXY_INCOMPLETE is not counted: more may come. */
void proxy_count(struct net_counters *counters, enum proxy_verdict verdict);

#endif
