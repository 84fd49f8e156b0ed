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
	X(udp_receive_no_memory, "of these, the kernel had no memory")                                       \
	X(udp_socket_errors, "of these, errors reported at the socket, by ICMP say")                         \
	X(udp_rests, "times a UDP socket was left alone for 50 ms: receiving failed again and again")        \
	X(udp_send_errors, "answers over UDP that the kernel refused to send")                               \
	X(udp_too_large, "answers over UDP that the interface does not take whole, sent truncated")          \
	X(listen_failures, "times a new listener could not be watched; tried again after a second")          \
	X(rrl_slipped, "answers over their rate that were sent truncated; errors, as they were")             \
	X(rrl_dropped, "answers over their rate that were not sent")                                         \
	X(rrl_would_drop, "answers over their rate that were sent all the same: log-only")                   \
	X(rrl_positive, "of these three, with records")                                                      \
	X(rrl_nodata, "of these three, no such type")                                                        \
	X(rrl_nxdomain, "of these three, no such name")                                                      \
	X(rrl_referral, "of these three, referrals")                                                         \
	X(rrl_error, "of these three, errors")                                                               \
	X(rrl_all, "of these three, of any kind, over the rate of all together")                             \
	X(tcp_accepted, "TCP connections accepted")                                                          \
	X(tcp_refused, "TCP connections closed at once: tcp-clients reached, nobody idle")                   \
	X(tcp_displaced, "idle TCP connections closed to make room for new ones")                            \
	X(tcp_accept_errors, "TCP connections that had to wait: no descriptor or memory to accept them")     \
	X(tcp_revived, "TCP sockets that somebody had ended (\"ss -K -l\", say) and that listen again")      \
	X(tcp_idle_closed, "TCP connections closed after the idle limit")                                    \
	X(proxy_ok, "PROXY headers of front ends, over UDP and TCP")                                         \
	X(proxy_bad, "packets and connections of front ends given up: their PROXY header is malformed")      \
	X(proxy_missing,                                                                                     \
	  "packets and connections of front ends given up: they begin without a PROXY header")               \
	X(tcp_refused_prefix, "TCP connections closed at once: tcp-clients-per-prefix reached")              \
	X(tcp_stuck_closed, "TCP connections closed because too much waited for clients that do not read")   \
	X(tcp_bad_frames, "TCP connections ended by a message of length 0, or in the middle of one")         \
	X(tls_handshakes, "TLS handshakes done")                                                             \
	X(tls_handshake_failures, "connections that ended before their TLS handshake was done")              \
	X(tls_resumed, "TLS handshakes that resumed a session by a ticket")                                  \
	X(tls_errors,                                                                                        \
	  "TLS connections closed after the handshake: damaged records, or new keys without end")            \
	X(tcp_open, "TCP connections open now")

struct net_counters {
#define NET_COUNTER_FIELD(name, help) uint64_t name;
	NET_COUNTERS(NET_COUNTER_FIELD)
#undef NET_COUNTER_FIELD
};

struct rrl;

struct net_context {
	const struct answer_data *data; /* changes only in between_batches() */
	/** Called before each batch of UDP requests and before each read of a TCP connection. */
	void (*between_batches)(struct net_context *net);
	struct net_counters counters;
	struct rrl *rrl; /* limits of answers over UDP, net/rrl.h; NULL = none */
	struct answer_state state;
};

#endif
