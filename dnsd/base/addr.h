/*
 * addr: an IPv4 or IPv6 address, with or without a prefix length or a port, and its text forms.
 *
 *     family 4: bytes[0..3] used, the rest zero      family 6: bytes[0..15]
 */
#ifndef DNSD_BASE_ADDR_H
#define DNSD_BASE_ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define ADDR_TEXT_MAX 64 /* longest text form of any function here, with its final NUL */

struct addr {
	uint8_t family;    /* 4 or 6; 0 = none */
	uint8_t bytes[16]; /* network order */
};

struct prefix {
	struct addr addr; /* bits past len are zero */
	uint8_t len;      /* 0..32 or 0..128 */
};

/** Parse "192.0.2.1" or "2001:db8::1". Returns 0 or -EINVAL. */
int addr_parse(const char *text, struct addr *ret_addr);

/** Parse "192.0.2.0/24"; a bare address is a host prefix. -EINVAL also for a bit set past the length. */
int prefix_parse(const char *text, struct prefix *ret_prefix);

/** Parse "ADDR@PORT" (the port may be left out: default_port) into a sockaddr. Returns 0 or -EINVAL. */
int addr_parse_listen(const char *text, uint16_t default_port, struct sockaddr_storage *ret_sa);

/** Write the text form, always NUL-terminated; cap >= ADDR_TEXT_MAX. Returns text. */
const char *addr_format(const struct addr *addr, char *text, size_t cap);
const char *prefix_format(const struct prefix *prefix, char *text, size_t cap);
/** "192.0.2.1@53" */
const char *addr_format_sockaddr(const struct sockaddr *sa, char *text, size_t cap);

/** The address of a socket peer; an IPv4-mapped IPv6 address becomes IPv4. */
void addr_from_sockaddr(const struct sockaddr *sa, struct addr *ret_addr);

/** The other way round. */
void addr_to_sockaddr(const struct addr *addr, uint16_t port, struct sockaddr_storage *ret_sa);

/** Clear the bits past len. */
void prefix_mask(struct prefix *prefix);

bool addr_equal(const struct addr *a, const struct addr *b);
bool prefix_contains(const struct prefix *prefix, const struct addr *addr);
/** Is the address in one of the n prefixes? */
bool prefixes_contain(const struct prefix *prefixes, size_t n, const struct addr *addr);

/**
 * May a mirror have this address? Refused: unspecified, loopback, multicast, limited broadcast, 0/8, 240/4,
 * link-local. Documentation and private ranges are allowed: test and inside pools need them.
 *
 * ret_why  set when refused, a static phrase such as "a multicast address"
 */
bool addr_is_unicast(const struct addr *addr, const char **ret_why);

#endif
