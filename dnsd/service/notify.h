/*
 * notify: what a service manager is told, as in sd_notify(3), without its library.
 *
 *     $NOTIFY_SOCKET ──> one datagram of lines: "READY=1\nSTATUS=..."
 */
#ifndef DNSD_SERVICE_NOTIFY_H
#define DNSD_SERVICE_NOTIFY_H

#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

struct notify {
	int fd; /* -1 = nobody wants to be told */
	struct sockaddr_un address;
	socklen_t address_len;
};

/**
 * path     of $NOTIFY_SOCKET: "/run/...", or "@..." for an abstract one; NULL or "" = nobody
 * Returns  0, or negative errno with nobody to be told
 */
int notify_open(const char *path, struct notify *ret_notify);
void notify_close(struct notify *notify);

/** Send lines. Never waits. Returns 0 or negative errno. */
int notify_send(const struct notify *notify, const char *format, ...) __attribute__((format(printf, 2, 3)));

/**
 * How often we have to say WATCHDOG=1, from $WATCHDOG_USEC and $WATCHDOG_PID.
 *
 * Returns  microseconds; 0 = never
 */
uint64_t notify_watchdog_us(const char *usec, const char *pid);

#endif
