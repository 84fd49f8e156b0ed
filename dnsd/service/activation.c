#include "service/activation.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/addr.h"

#define FDS_MAX 4096

static const char *format(const struct sockaddr_storage *addr, char *text)
{
	return addr_format_sockaddr((const struct sockaddr *)addr, text, ADDR_TEXT_MAX);
}

static bool is_same(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
	if (a->ss_family != b->ss_family)
		return false;
	if (a->ss_family == AF_INET) {
		const struct sockaddr_in *a4 = (const struct sockaddr_in *)a;
		const struct sockaddr_in *b4 = (const struct sockaddr_in *)b;
		return a4->sin_port == b4->sin_port && a4->sin_addr.s_addr == b4->sin_addr.s_addr;
	}
	const struct sockaddr_in6 *a6 = (const struct sockaddr_in6 *)a;
	const struct sockaddr_in6 *b6 = (const struct sockaddr_in6 *)b;
	return a6->sin6_port == b6->sin6_port &&
	       memcmp(&a6->sin6_addr, &b6->sin6_addr, sizeof(a6->sin6_addr)) == 0;
}

static int option_of(int fd, int level, int option)
{
	int value = -1;
	socklen_t len = sizeof(value);
	return getsockopt(fd, level, option, &value, &len) < 0 ? -1 : value;
}

/* What is wrong with it, or NULL. */
static const char *find_fault(const struct activation_socket *socket)
{
	if (socket->type != SOCK_DGRAM && socket->type != SOCK_STREAM)
		return "is neither UDP nor TCP; use ListenDatagram= and ListenStream= with addresses";
	if (socket->addr.ss_family != AF_INET && socket->addr.ss_family != AF_INET6)
		return "is no internet socket; use ListenDatagram= and ListenStream= with addresses, the "
		       "control socket is opened by dnsd";
	if (socket->type == SOCK_STREAM && option_of(socket->fd, SOL_SOCKET, SO_ACCEPTCONN) != 1)
		return "is a connection, not a listener; write Accept=no";
	if (socket->addr.ss_family == AF_INET6 &&
	    IN6_IS_ADDR_UNSPECIFIED(&((const struct sockaddr_in6 *)&socket->addr)->sin6_addr) &&
	    option_of(socket->fd, IPPROTO_IPV6, IPV6_V6ONLY) != 1)
		return "takes IPv4 as well; write BindIPv6Only=ipv6-only, and 0.0.0.0 on a line of its own";
	return NULL;
}

static int look_at(int fd, struct diag *diag, struct activation_socket *ret_socket)
{
	struct activation_socket socket = { .fd = fd };
	socklen_t len = sizeof(socket.addr);
	socket.type = option_of(fd, SOL_SOCKET, SO_TYPE);
	const char *fault = NULL;
	if (socket.type < 0 || getsockname(fd, (struct sockaddr *)&socket.addr, &len) < 0)
		fault = errno == EBADF ? "is not open; $LISTEN_FDS says more than there are" : "is no socket";
	else
		fault = find_fault(&socket);
	if (!fault && (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 || fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK) < 0))
		fault = strerror(errno);
	if (fault) {
		diag_error(diag, NULL, 0, "descriptor %d, passed by the service manager, %s", fd, fault);
		return -EINVAL;
	}
	*ret_socket = socket;
	return 0;
}

int activation_init(const char *pid, const char *fds, int first_fd, struct diag *diag,
                    struct activation *ret_activation)
{
	*ret_activation = (struct activation){ 0 };
	if (!pid || !fds || strtol(pid, NULL, 10) != (long)getpid())
		return 0;
	char *end;
	errno = 0;
	long n = strtol(fds, &end, 10);
	if (errno || end == fds || *end || n < 0 || n > FDS_MAX) {
		diag_error(diag, NULL, 0,
		           "$LISTEN_FDS is \"%s\", no number up to %d; it is set by the service manager", fds,
		           FDS_MAX);
		return -EINVAL;
	}
	struct activation activation = { .sockets = calloc((size_t)n + 1, sizeof(*activation.sockets)) };
	if (!activation.sockets)
		return -ENOMEM;
	int rc = 0;
	for (int i = 0; i < (int)n; i++) {
		if (look_at(first_fd + i, diag, &activation.sockets[activation.sockets_n]) == 0)
			activation.sockets_n++;
		else
			rc = -EINVAL;
	}
	if (rc < 0)
		activation_fini(&activation);
	else
		*ret_activation = activation;
	return rc;
}

void activation_fini(struct activation *activation)
{
	for (size_t i = 0; i < activation->sockets_n; i++) {
		if (activation->sockets[i].fd >= 0)
			close(activation->sockets[i].fd);
	}
	free(activation->sockets);
	*activation = (struct activation){ 0 };
}

static struct activation_socket *find(const struct activation *activation,
                                      const struct sockaddr_storage *addr, int type, size_t *count)
{
	struct activation_socket *first = NULL;
	for (size_t i = 0; i < activation->sockets_n; i++) {
		struct activation_socket *socket = &activation->sockets[i];
		if (socket->fd < 0 || socket->type != type || !is_same(&socket->addr, addr))
			continue;
		if (!first)
			first = socket;
		++*count;
	}
	return first;
}

size_t activation_count(const struct activation *activation, const struct sockaddr_storage *addr, int type)
{
	size_t count = 0;
	find(activation, addr, type, &count);
	return count;
}

int activation_take(struct activation *activation, const struct sockaddr_storage *addr, int type)
{
	size_t count = 0;
	struct activation_socket *socket = find(activation, addr, type, &count);
	if (!socket)
		return -1;
	int fd = socket->fd;
	socket->fd = -1;
	return fd;
}

int activation_check_taken(const struct activation *activation, struct diag *diag)
{
	int rc = 0;
	for (size_t i = 0; i < activation->sockets_n; i++) {
		const struct activation_socket *socket = &activation->sockets[i];
		if (socket->fd < 0)
			continue;
		char text[ADDR_TEXT_MAX];
		format(&socket->addr, text);
		bool udp = socket->type == SOCK_DGRAM;
		diag_error(diag, NULL, 0,
		           "descriptor %d, passed by the service manager, is %s %s, which server.listen does "
		           "not have%s; add \"%s\" there, or take the line out of the socket unit",
		           socket->fd, udp ? "UDP" : "TCP", text,
		           udp ? "" : ", nor metrics.listen, which takes one socket", text);
		rc = -EINVAL;
	}
	return rc;
}
