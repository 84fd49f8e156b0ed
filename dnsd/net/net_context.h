/*
 * net_context: what the sockets of one worker share: the data to answer from, the worker's state, its
 * counters.
 */
#ifndef DNSD_NET_NET_CONTEXT_H
#define DNSD_NET_NET_CONTEXT_H

#include <stdint.h>

#include "answer/answer.h"
#include "answer/data.h"

/** Counters beside those of answer.h. One writer: the worker. */
#define NET_COUNTERS(X)                                                                                      \
	X(udp_receive_errors, "recvmmsg failures other than an empty queue")                                 \
	X(udp_send_errors, "answers over UDP that the kernel refused to send")                               \
	X(tcp_accepted, "TCP connections accepted")                                                          \
	X(tcp_refused, "TCP connections closed at once: tcp-clients reached, nobody idle")                   \
	X(tcp_displaced, "idle TCP connections closed to make room for new ones")                            \
	X(tcp_accept_errors, "TCP connections that had to wait: no descriptor or memory to accept them")     \
	X(tcp_idle_closed, "TCP connections closed after the idle limit")                                    \
	X(tcp_open, "TCP connections open now")

struct net_counters {
#define NET_COUNTER_FIELD(name, help) uint64_t name;
	NET_COUNTERS(NET_COUNTER_FIELD)
#undef NET_COUNTER_FIELD
};

struct net_context {
	const struct answer_data *data; /* changes only in between_batches() */
	/** Called before each batch of UDP requests and before each read of a TCP connection. */
	void (*between_batches)(struct net_context *net);
	struct net_counters counters;
	struct answer_state state;
};

#endif
