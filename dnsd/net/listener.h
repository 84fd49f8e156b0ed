/*
 * listener: one address to serve, as a pair of sockets (UDP and TCP) on the same port.
 */
#ifndef DNSD_NET_LISTENER_H
#define DNSD_NET_LISTENER_H

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "base/diag.h"

struct listener {
	struct sockaddr_storage addr; /* as bound: a port of 0 in the request is filled in */
	int udp_fd;                   /* -1: for TLS */
	int tcp_fd;
	bool tls;
	bool wildcard; /* bound to 0.0.0.0 or ::, so answers carry the asked address in a control message */
};

/**
 * Open and bind both sockets, non-blocking, close-on-exec, SO_REUSEPORT, IPV6_V6ONLY; wildcard ones with
 * IP_PKTINFO / IPV6_RECVPKTINFO; UDP with IP_PMTUDISC_PROBE, so that nothing leaves in fragments; TCP
 * listening.
 *
 * addr      port 0: the kernel chooses, the same number for UDP and TCP
 * file, line  for messages; may be NULL, 0
 * Returns   0 or negative errno with diag filled: "cannot listen on 192.0.2.1@53: Address already in use,
 * ..."
 */
int listener_open(const struct sockaddr_storage *addr, const char *file, unsigned line, struct diag *diag,
                  struct listener *ret_listener);
/**
 * A pair of sockets that another process has opened so; udp_fd -1: one for TLS.
 *
 * Returns  0, -EINVAL when they are not what listener_open() makes; the descriptors stay the caller's then
 */
int listener_from_fds(int udp_fd, int tcp_fd, struct listener *ret_listener);
/**
 * The same with sockets that somebody else has bound to addr: options are set as far as they still can be.
 *
 * udp_fd, tcp_fd  owned on success; -1 = open it ourselves
 */
int listener_adopt(const struct sockaddr_storage *addr, int udp_fd, int tcp_fd, const char *file,
                   unsigned line, struct diag *diag, struct listener *ret_listener);
/** The same for TLS: a TCP socket alone. */
int listener_open_tls(const struct sockaddr_storage *addr, const char *file, unsigned line, struct diag *diag,
                      struct listener *ret_listener);
void listener_close(struct listener *listener);
/**
 * Is it left to us? Sockets that share a port say nothing when another server of this user has it as well:
 * the two would take each other's clients.
 *
 * Returns  false: somebody has it. True also for port 0, and where only listener_open() will tell what is
 * wrong
 */
bool listener_is_free(const struct sockaddr_storage *addr, bool tls);

/** Let the sockets be this user's: the kernel lets others that overlap be of the same user only. Where that
 * can't be, all stays as it was. */
void listener_give(const struct listener *listener, uid_t uid);

#endif
