/*
 * tcp_fixture: the TCP side of a worker in a loop of its own, with a zone and a listener on 127.0.0.1.
 */
#ifndef TESTS_UNIT_SUPPORT_TCP_FIXTURE_H
#define TESTS_UNIT_SUPPORT_TCP_FIXTURE_H

#include <netinet/in.h>

#include "net/tcp.h"
#include "tests/unit/support/store_fixture.h"

struct tcp_fixture {
	struct fixture fixture;
	uv_loop_t loop;
	struct net_context *net;
	struct tcp_server *server;
	struct tcp_listener listener;
	struct sockaddr_in addr; /* of the listener */
	struct tls_context *tls; /* taken over; NULL = plain TCP */
};

/**
 * Fails the test when it can't be done.
 *
 * zone         its text
 * tls          the fixture's from here on; NULL = plain TCP
 * send_buffer  of accepted sockets, in bytes: what does not fit has to be kept; 0 = the system's
 */
void tcp_fixture_init(struct tcp_fixture *fixture, const char *zone, struct tls_context *tls,
                      int send_buffer);
/** Close everything and let the loop end. */
void tcp_fixture_fini(struct tcp_fixture *fixture);

#endif
