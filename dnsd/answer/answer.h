/*
 * answer: the whole server as one pure function.
 *
 *     request bytes ─┐
 *     who asks ──────┼─> answer_query() ──> response bytes (or none), counters moved
 *     answer_data ───┘     no global, lock, malloc, system call, clock, log
 *
 * UDP, TCP, `dnsdctl query`, fuzzers and unit tests call this one function.
 */
#ifndef DNSD_ANSWER_ANSWER_H
#define DNSD_ANSWER_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "answer/geo_map.h"

struct answer_trace; /* answer/trace.h */
struct answer_data;  /* answer/data.h: all that a query needs, immutable */
struct store_node;

enum transport { TRANSPORT_UDP, TRANSPORT_TCP, TRANSPORT_TLS };

/** Everything a worker knows about who asked; lives for one query. */
struct client {
	const struct sockaddr *peer; /* AF_INET or AF_INET6, borrowed */
	enum transport transport;    /* sets the size limit */
	bool tells_idle;             /* not UDP: idle_ms is known, for keepalive options */
	uint32_t idle_ms; /* after which its connection would be closed; 0 = it should be closed now */
};

/* One counter a line: name, unit-less help text for the docs and the metrics. */
#define ANSWER_COUNTERS(X)                                                                                   \
	X(queries_udp, "requests received over UDP")                                                         \
	X(queries_tcp, "requests received over TCP")                                                         \
	X(queries_tls, "requests received over TLS")                                                         \
	X(dropped_short, "packets too short to hold a header: nothing sent")                                 \
	X(dropped_response, "packets with QR=1: nothing sent, so that no loop can start")                    \
	X(formerr, "answers with FORMERR")                                                                   \
	X(notimp, "answers with NOTIMP: opcodes other than QUERY, types MAILA and MAILB")                    \
	X(refused, "answers with REFUSED: names outside every zone, other classes, whoami, zone transfers")  \
	X(badvers, "answers with BADVERS: EDNS version over 0")                                              \
	X(badcookie,                                                                                         \
	  "answers with BADCOOKIE: a valid cookie is required, or a cookie was all that was asked")          \
	X(servfail, "answers with SERVFAIL")                                                                 \
	X(noerror, "answers with NOERROR, NODATA and referrals included")                                    \
	X(nxdomain, "answers with NXDOMAIN")                                                                 \
	X(truncated, "UDP answers with TC set")                                                              \
	X(edns, "requests with an OPT record")                                                               \
	X(ecs, "requests with a client subnet option")                                                       \
	X(cookie_client, "requests with a client cookie alone")                                              \
	X(cookie_valid, "requests with a valid server cookie")                                               \
	X(cookie_expired, "requests with a server cookie of ours that is too old, or ahead of the clock")    \
	X(cookie_invalid, "requests with a server cookie that is none of ours")                              \
	X(pool, "answers from a mirror pool")                                                                \
	X(pool_geo, "answers chosen by the country of who asks")                                             \
	X(geo_unknown, "of these, the country was unknown")                                                  \
	X(ping_ok, "usage reports of success")                                                               \
	X(ping_failed, "usage reports of failure")

struct answer_counters {
#define ANSWER_COUNTER_FIELD(name, help) uint64_t name;
	ANSWER_COUNTERS(ANSWER_COUNTER_FIELD)
#undef ANSWER_COUNTER_FIELD
};

/* Where each rotated answer continues. Two answers may share a slot: they then merely step together. */
#define ANSWER_ROTATION_N 4096

/** Usage reports about one mirror. */
struct answer_pings {
	uint64_t ok;
	uint64_t failed;
};

/* Mirrors that have counters of their own; reports about others are only summed. */
#define ANSWER_MIRRORS_N 16384

/** What a query changes. One writer: a worker, a tool, a test. Zeroed memory is a valid start. */
struct answer_state {
	struct answer_counters counters;
	uint32_t rotation[ANSWER_ROTATION_N];
	struct answer_pings pings[ANSWER_MIRRORS_N]; /* by the number in pool_address */
	struct answer_trace *trace;                  /* what the answer went by; NULL = nobody asks */
	uint32_t now_s; /* since 1970, for the age of cookies; whoever owns the state sets it now and then */
	uint64_t countries[COUNTRY_N];    /* requests for "nearest" names, by the country of who asks */
	uint64_t first[ANSWER_MIRRORS_N]; /* answers from pools, by the mirror whose address stands first:
	                                     old clients take no other */
};

/** No request needs more room than this over UDP; a UDP response buffer of this size always suffices. */
#define ANSWER_UDP_MAX 4096
#define ANSWER_TCP_MAX 65535

/**
 * Answer one DNS message.
 *
 * Source    RFC 1034 section 4.3.2, RFC 1035 section 4, RFC 6891, RFC 7871; options: options.c
 * req       [req_len] the message without a TCP length prefix; any bytes at all
 * resp      [resp_cap] at least ANSWER_UDP_MAX or ANSWER_TCP_MAX bytes; must not overlap req
 * Returns   bytes written to resp, never over the limit of transport and EDNS; 0 = send nothing
 */
size_t answer_query(const struct answer_data *data, const struct client *client, const uint8_t *req,
                    size_t req_len, uint8_t *resp, size_t resp_cap, struct answer_state *state);

/** What kind of answer it is, for those who limit rates. */
enum answer_kind {
	ANSWER_KIND_ERROR, /* every RCODE but NOERROR and NXDOMAIN */
	ANSWER_KIND_POSITIVE,
	ANSWER_KIND_NODATA,
	ANSWER_KIND_NXDOMAIN,
	ANSWER_KIND_REFERRAL,
};
#define ANSWER_KINDS_N 5

/** What is known of an answer without looking at its bytes. */
struct answer_note {
	uint8_t kind;                  /* enum answer_kind */
	bool cookie_ok;                /* it had a valid server cookie, so its source address is no lie */
	uint16_t type;                 /* of the RRset answered; 0 = none, or a chain of several */
	uint16_t body_off;             /* where the sections begin, behind the question */
	uint16_t opt_off;              /* where the OPT record stands, or would; all options are behind it */
	const struct store_node *node; /* the name, wildcard, DNAME or delegation it is from; NULL = none */
};

/** One of several requests that are answered together. */
struct answer_request {
	struct client client;
	const uint8_t *req;
	size_t req_len;
	uint8_t *resp;           /* set: where in the buffer its answer stands */
	size_t resp_len;         /* set: 0 = send nothing */
	struct answer_note note; /* set */
};

/**
 * Answer requests in order, as answer_query() would each. What the next ones need is fetched into the cache
 * meanwhile, which is most of their cost when names and addresses are many.
 *
 * resp  room for requests_n answers of ANSWER_UDP_MAX bytes; they lie close together in it, so that a batch
 * of usual ones stays in the cache
 */
void answer_queries(const struct answer_data *data, struct answer_request *requests, size_t requests_n,
                    uint8_t *resp, struct answer_state *state);

/** Leave of an answer over UDP its header, with TC and NOERROR, its question and its OPT record: the client
 * comes again over TCP. Once only; resp and note are as answer_queries() has set them, and not resp_len = 0.
 */
void answer_truncate(struct answer_request *request);

#endif
