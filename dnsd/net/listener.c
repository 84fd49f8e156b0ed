#include "net/listener.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

#include "base/addr.h"
#include "loop/accept.h"

#define SOCKET_BUFFER_BYTES (1 << 20)
/* What a client that never reads can hold in the kernel; accepted sockets inherit it. The largest answer
 * fits. */
#define TCP_SEND_BUFFER_BYTES (128 * 1024)
#define PORT_TRIES            16

static socklen_t addr_len(const struct sockaddr_storage *addr)
{
	return addr->ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
}

static in_port_t *port_of(struct sockaddr_storage *addr)
{
	return addr->ss_family == AF_INET ? &((struct sockaddr_in *)addr)->sin_port
	                                  : &((struct sockaddr_in6 *)addr)->sin6_port;
}

static bool is_wildcard(const struct sockaddr_storage *addr)
{
	if (addr->ss_family == AF_INET)
		return ((const struct sockaddr_in *)addr)->sin_addr.s_addr == htonl(INADDR_ANY);
	return IN6_IS_ADDR_UNSPECIFIED(&((const struct sockaddr_in6 *)addr)->sin6_addr);
}

static int set_option(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) < 0 ? -errno : 0;
}

/* One that a service manager has made as large stays: it may go past the system's limit, and we, without
 * FORCE, would make it smaller. */
static void enlarge_buffer(int fd, int option, int option_force)
{
	int has = 0;
	socklen_t len = sizeof(has);
	/* The kernel tells twice of what was asked for. */
	if (getsockopt(fd, SOL_SOCKET, option, &has, &len) == 0 && has >= 2 * SOCKET_BUFFER_BYTES)
		return;
	if (set_option(fd, SOL_SOCKET, option_force, SOCKET_BUFFER_BYTES) < 0)
		set_option(fd, SOL_SOCKET, option, SOCKET_BUFFER_BYTES);
}

/* A socket that holds a burst; FORCE goes past the system's limit where we may. */
static void enlarge_buffers(int fd)
{
	enlarge_buffer(fd, SO_RCVBUF, SO_RCVBUFFORCE);
	enlarge_buffer(fd, SO_SNDBUF, SO_SNDBUFFORCE);
}

static int set_udp_options(int fd, int family, bool wildcard)
{
	enlarge_buffers(fd);
	/*
	 * Never in pieces, whatever a forged "fragmentation needed" says (RFC 9715 3.1 R1, R2): those of a
	 * packet can be replaced on their way. What the interface does not take whole is refused, see udp.c.
	 * It also saves the kernel a number for each packet, which costs it 3 % of an answer.
	 */
	int rc = family == AF_INET ? set_option(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE)
	                           : set_option(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE);
	if (rc == 0 && wildcard)
		rc = family == AF_INET ? set_option(fd, IPPROTO_IP, IP_PKTINFO, 1)
		                       : set_option(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
	return rc;
}

static int open_socket(const struct sockaddr_storage *addr, int type, bool wildcard, int *ret_fd)
{
	int family = addr->ss_family;
	int fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	int rc = set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	if (rc == 0 && type == SOCK_STREAM)
		rc = set_option(fd, SOL_SOCKET, SO_REUSEADDR,
		                1); /* connections in TIME_WAIT do not block a restart */
	if (rc == 0 && family == AF_INET6)
		rc = set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	if (rc == 0 && type == SOCK_DGRAM)
		rc = set_udp_options(fd, family, wildcard);
	if (rc == 0 && type == SOCK_STREAM)
		rc = set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	if (rc == 0 && type == SOCK_STREAM)
		rc = set_option(fd, SOL_SOCKET, SO_SNDBUF, TCP_SEND_BUFFER_BYTES);
	if (rc == 0 && bind(fd, (const struct sockaddr *)addr, addr_len(addr)) < 0)
		rc = -errno;
	if (rc == 0 && type == SOCK_STREAM && listen(fd, ACCEPT_BACKLOG) < 0)
		rc = -errno;
	if (rc < 0)
		close(fd);
	else
		*ret_fd = fd;
	return rc;
}

static const char *advice(int rc)
{
	switch (rc) {
	case -EACCES:
	case -EPERM: return "; ports under 1024 need root or CAP_NET_BIND_SERVICE";
	case -EADDRINUSE: return "; another server has this address and port, stop it or choose another port";
	case -EADDRNOTAVAIL: return "; no interface of this machine has this address";
	default: return "";
	}
}

/* Bind without sharing, so that it only works where nobody else is. Returns 0 with the socket open. */
static int probe_port(struct sockaddr_storage *addr, int type, int *ret_fd)
{
	int fd = socket(addr->ss_family, type | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	int rc = 0;
	if (addr->ss_family == AF_INET6)
		rc = set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	socklen_t len = sizeof(*addr);
	if (rc == 0 && (bind(fd, (const struct sockaddr *)addr, addr_len(addr)) < 0 ||
	                getsockname(fd, (struct sockaddr *)addr, &len) < 0))
		rc = -errno;
	if (rc < 0)
		close(fd);
	else
		*ret_fd = fd;
	return rc;
}

/*
 * A port that is free for UDP and TCP, for now: who opens it must look whether it still is. A socket with
 * SO_REUSEPORT may be given one that another such socket has: then two servers would take each other's
 * clients. So sockets without it look first.
 */
static int choose_port(struct sockaddr_storage *addr)
{
	int rc = -EADDRINUSE;
	for (unsigned tries = PORT_TRIES; tries > 0 && rc == -EADDRINUSE; tries--) {
		int udp_fd = -1;
		int tcp_fd = -1;
		*port_of(addr) = 0;
		rc = probe_port(addr, SOCK_DGRAM, &udp_fd);
		if (rc < 0)
			continue;
		rc = probe_port(addr, SOCK_STREAM, &tcp_fd);
		if (rc == 0)
			close(tcp_fd);
		close(udp_fd);
	}
	return rc;
}

/* Both of its sockets, or none. */
static int open_sockets(struct listener *listener)
{
	int rc = 0;
	if (!listener->tls)
		rc = open_socket(&listener->addr, SOCK_DGRAM, listener->wildcard, &listener->udp_fd);
	if (rc < 0)
		return rc;
	rc = open_socket(&listener->addr, SOCK_STREAM, listener->wildcard, &listener->tcp_fd);
	if (rc < 0 && !listener->tls) {
		close(listener->udp_fd);
		listener->udp_fd = -1;
	}
	return rc;
}

static void tell_failure(const struct sockaddr_storage *addr, const char *file, unsigned line, int rc,
                         struct diag *diag)
{
	char text[ADDR_TEXT_MAX];
	diag_error(diag, file, line, "cannot listen on %s: %s%s",
	           addr_format_sockaddr((const struct sockaddr *)addr, text, sizeof(text)), strerror(-rc),
	           advice(rc));
}

static int open_listener(const struct sockaddr_storage *addr, bool tls, const char *file, unsigned line,
                         struct diag *diag, struct listener *ret_listener)
{
	struct listener listener = {
		.addr = *addr, .udp_fd = -1, .tcp_fd = -1, .tls = tls, .wildcard = is_wildcard(addr)
	};
	bool any_port = *port_of(&listener.addr) == 0;
	int rc = -EADDRINUSE;
	for (unsigned tries = any_port ? PORT_TRIES : 1; tries > 0 && rc == -EADDRINUSE; tries--) {
		rc = any_port ? choose_port(&listener.addr) : 0;
		if (rc == 0)
			rc = open_sockets(&listener);
	}
	if (rc < 0) {
		tell_failure(&listener.addr, file, line, rc, diag);
		return rc;
	}
	*ret_listener = listener;
	return 0;
}

/* A service manager may have bound it without sharing. Then nothing could be opened beside it: no socket of
 * one more worker at a restart, none of an address that overlaps at a reload. */
static int adopt_udp(int fd, int family, bool wildcard)
{
	int rc = set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	return rc == 0 ? set_udp_options(fd, family, wildcard) : rc;
}

static int adopt_tcp(int fd)
{
	int rc = set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	if (rc == 0)
		rc = set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	if (rc == 0)
		rc = set_option(fd, SOL_SOCKET, SO_SNDBUF, TCP_SEND_BUFFER_BYTES);
	return rc == 0 && listen(fd, ACCEPT_BACKLOG) < 0 ? -errno : rc;
}

int listener_adopt(const struct sockaddr_storage *addr, int udp_fd, int tcp_fd, const char *file,
                   unsigned line, struct diag *diag, struct listener *ret_listener)
{
	struct listener listener = {
		.addr = *addr, .udp_fd = udp_fd, .tcp_fd = tcp_fd, .wildcard = is_wildcard(addr)
	};
	int rc = udp_fd < 0 ? open_socket(addr, SOCK_DGRAM, listener.wildcard, &listener.udp_fd)
	                    : adopt_udp(udp_fd, addr->ss_family, listener.wildcard);
	if (rc == 0)
		rc = tcp_fd < 0 ? open_socket(addr, SOCK_STREAM, listener.wildcard, &listener.tcp_fd)
		                : adopt_tcp(tcp_fd);
	if (rc < 0) {
		if (udp_fd < 0 && listener.udp_fd >= 0)
			close(listener.udp_fd);
		tell_failure(addr, file, line, rc, diag);
		return rc;
	}
	*ret_listener = listener;
	return 0;
}

static bool is_bound(int fd, int type, struct sockaddr_storage *ret_addr)
{
	int got = 0;
	socklen_t got_len = sizeof(got);
	socklen_t len = sizeof(*ret_addr);
	memset(ret_addr, 0, sizeof(*ret_addr));
	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &got, &got_len) == 0 && got == type &&
	       getsockname(fd, (struct sockaddr *)ret_addr, &len) == 0 &&
	       (ret_addr->ss_family == AF_INET || ret_addr->ss_family == AF_INET6);
}

int listener_from_fds(int udp_fd, int tcp_fd, struct listener *ret_listener)
{
	struct listener listener = { .udp_fd = udp_fd, .tcp_fd = tcp_fd, .tls = udp_fd < 0 };
	struct sockaddr_storage udp_addr;
	if (!is_bound(tcp_fd, SOCK_STREAM, &listener.addr))
		return -EINVAL;
	if (!listener.tls && (!is_bound(udp_fd, SOCK_DGRAM, &udp_addr) ||
	                      memcmp(&listener.addr, &udp_addr, sizeof(udp_addr)) != 0))
		return -EINVAL;
	listener.wildcard = is_wildcard(&listener.addr);
	*ret_listener = listener;
	return 0;
}

int listener_open(const struct sockaddr_storage *addr, const char *file, unsigned line, struct diag *diag,
                  struct listener *ret_listener)
{
	return open_listener(addr, false, file, line, diag, ret_listener);
}

int listener_open_tls(const struct sockaddr_storage *addr, const char *file, unsigned line, struct diag *diag,
                      struct listener *ret_listener)
{
	return open_listener(addr, true, file, line, diag, ret_listener);
}

void listener_give(const struct listener *listener, uid_t uid)
{
	if (listener->udp_fd >= 0)
		(void)!fchown(listener->udp_fd, uid, (gid_t)-1);
	(void)!fchown(listener->tcp_fd, uid, (gid_t)-1);
}

void listener_close(struct listener *listener)
{
	if (listener->udp_fd >= 0)
		close(listener->udp_fd);
	close(listener->tcp_fd);
	listener->udp_fd = listener->tcp_fd = -1;
}

/* Returns 0 or negative errno. */
static int try_alone(const struct sockaddr_storage *addr, bool tls)
{
	int on = 1;
	int fd = socket(addr->ss_family, (tls ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	/* Also an address that is not there. */
	int rc = addr->ss_family == AF_INET ? set_option(fd, IPPROTO_IP, IP_FREEBIND, on)
	                                    : set_option(fd, IPPROTO_IPV6, IPV6_FREEBIND, on);
	if (rc == 0 && addr->ss_family == AF_INET6)
		rc = set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, on);
	/* Connections that end are nobody's server. */
	if (rc == 0 && tls)
		rc = set_option(fd, SOL_SOCKET, SO_REUSEADDR, on);
	if (rc == 0 && bind(fd, (const struct sockaddr *)addr, addr_len(addr)) < 0)
		rc = -errno;
	close(fd);
	return rc;
}

/* Only who has the port of all addresses is in the way of one of documentation (RFC 5737, 3849). */
static bool is_taken_for_all(const struct sockaddr_storage *addr, bool tls)
{
	struct sockaddr_storage nobody = *addr;
	if (addr->ss_family == AF_INET)
		((struct sockaddr_in *)&nobody)->sin_addr.s_addr = htonl(0xc0000235);
	else
		((struct sockaddr_in6 *)&nobody)->sin6_addr =
		        (struct in6_addr){ .s6_addr = { 0x20, 0x01, 0x0d, 0xb8, [15] = 0x35 } };
	return try_alone(&nobody, tls) == -EADDRINUSE;
}

bool listener_is_free(const struct sockaddr_storage *addr, bool tls)
{
	struct sockaddr_storage wanted = *addr;
	if (*port_of(&wanted) == 0)
		return true;
	bool all_taken = is_taken_for_all(addr, tls);
	if (is_wildcard(addr))
		return !all_taken;
	/* One for all addresses leaves single ones to others. */
	return all_taken || try_alone(addr, tls) != -EADDRINUSE;
}
