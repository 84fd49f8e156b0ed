/*
 * activation: sockets that a service manager has opened for us, as in sd_listen_fds(3), without its library.
 *
 *     $LISTEN_PID, $LISTEN_FDS ──> descriptors 3, 4, ... ──each with its kind and address──> taken by the
 * listeners
 *
 * The process then needs no right to bind port 53, and a restart loses no packet: they wait in the manager's
 * socket.
 */
#ifndef DNSD_SERVICE_ACTIVATION_H
#define DNSD_SERVICE_ACTIVATION_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "base/diag.h"

struct activation_socket {
	int fd; /* -1 = taken */
	int type;
	struct sockaddr_storage addr;
};

struct activation {
	struct activation_socket *sockets;
	size_t sockets_n;
};

/**
 * Look at the sockets we were given.
 *
 * pid, fds  $LISTEN_PID and $LISTEN_FDS; may be NULL
 * first_fd  the number of the first: ACTIVATION_FIRST_FD, but for tests
 * Returns   0 (also when there are none), or negative errno with diag filled: one is no UDP or listening TCP
 *           socket, or is bound to IPv4 and IPv6 together
 */
#define ACTIVATION_FIRST_FD 3
int activation_init(const char *pid, const char *fds, int first_fd, struct diag *diag,
                    struct activation *ret_activation);
/** Closes what nobody has taken. */
void activation_fini(struct activation *activation);

/** How many are left of this type (SOCK_DGRAM, SOCK_STREAM) and address. */
size_t activation_count(const struct activation *activation, const struct sockaddr_storage *addr, int type);
/** Take one of them, which is the caller's from then on; -1 = none is left. */
int activation_take(struct activation *activation, const struct sockaddr_storage *addr, int type);

/** An error for each that nobody has taken. Returns 0 or -EINVAL. */
int activation_check_taken(const struct activation *activation, struct diag *diag);

#endif
