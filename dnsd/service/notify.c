#include "service/notify.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int notify_open(const char *path, struct notify *ret_notify)
{
	struct notify notify = { .fd = -1, .address = { .sun_family = AF_UNIX } };
	*ret_notify = notify;
	if (!path || !*path)
		return 0;
	size_t len = strlen(path);
	/* Others there are, "vsock:" to the host of a virtual machine, are for its init alone. */
	if ((path[0] != '/' && path[0] != '@') || len < 2)
		return -EAFNOSUPPORT;
	if (len >= sizeof(notify.address.sun_path))
		return -ENAMETOOLONG;
	memcpy(notify.address.sun_path, path, len);
	/* An abstract name begins with a zero byte and has no other at its end. */
	if (path[0] == '@')
		notify.address.sun_path[0] = '\0';
	notify.address_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (path[0] == '/'));
	notify.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (notify.fd < 0)
		return -errno;
	*ret_notify = notify;
	return 0;
}

void notify_close(struct notify *notify)
{
	if (notify->fd >= 0)
		close(notify->fd);
	notify->fd = -1;
}

int notify_send(const struct notify *notify, const char *format, ...)
{
	if (notify->fd < 0)
		return 0;
	char text[1024];
	va_list arguments;
	va_start(arguments, format);
	int len = vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (len < 0 || (size_t)len >= sizeof(text))
		return -EMSGSIZE;
	/* To its address each time: a manager that was restarted has a new socket there. */
	ssize_t sent = sendto(notify->fd, text, (size_t)len, MSG_NOSIGNAL,
	                      (const struct sockaddr *)&notify->address, notify->address_len);
	return sent < 0 ? -errno : 0;
}

/* Decimal digits only. 0 = none. */
static uint64_t parse_number(const char *text)
{
	if (!text || *text < '0' || *text > '9')
		return 0;
	char *end;
	errno = 0;
	unsigned long long number = strtoull(text, &end, 10);
	return errno || *end ? 0 : number;
}

uint64_t notify_watchdog_us(const char *usec, const char *pid)
{
	/* The variables may have been meant for a process we come from. */
	if (pid && parse_number(pid) != (uint64_t)getpid())
		return 0;
	return parse_number(usec);
}
