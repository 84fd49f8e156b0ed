#include "base/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int addr_parse(const char *text, struct addr *ret_addr)
{
	struct addr addr = { 0 };
	if (inet_pton(AF_INET, text, addr.bytes) == 1)
		addr.family = 4;
	else if (inet_pton(AF_INET6, text, addr.bytes) == 1)
		addr.family = 6;
	else
		return -EINVAL;
	*ret_addr = addr;
	return 0;
}

static int parse_number(const char *text, unsigned max, unsigned *ret_number)
{
	if (*text < '0' || *text > '9' || strlen(text) > 5)
		return -EINVAL;
	char *end;
	unsigned long number = strtoul(text, &end, 10);
	if (*end || number > max)
		return -EINVAL;
	*ret_number = (unsigned)number;
	return 0;
}

int prefix_parse(const char *text, struct prefix *ret_prefix)
{
	char copy[ADDR_TEXT_MAX];
	if (strlen(text) >= sizeof(copy))
		return -EINVAL;
	strcpy(copy, text);
	char *slash = strchr(copy, '/');
	if (slash)
		*slash = '\0';
	struct prefix prefix;
	if (addr_parse(copy, &prefix.addr) < 0)
		return -EINVAL;
	unsigned max = prefix.addr.family == 4 ? 32 : 128;
	unsigned len = max;
	if (slash && parse_number(slash + 1, max, &len) < 0)
		return -EINVAL;
	for (unsigned bit = len; bit < max; bit++) {
		if (prefix.addr.bytes[bit / 8] & (0x80U >> (bit % 8)))
			return -EINVAL;
	}
	prefix.len = (uint8_t)len;
	*ret_prefix = prefix;
	return 0;
}

int addr_parse_listen(const char *text, uint16_t default_port, struct sockaddr_storage *ret_sa)
{
	char copy[ADDR_TEXT_MAX];
	if (strlen(text) >= sizeof(copy))
		return -EINVAL;
	strcpy(copy, text);
	unsigned port = default_port;
	char *at = strchr(copy, '@');
	if (at) {
		*at = '\0';
		if (parse_number(at + 1, 65535, &port) < 0)
			return -EINVAL;
	}
	struct addr addr;
	if (addr_parse(copy, &addr) < 0)
		return -EINVAL;
	memset(ret_sa, 0, sizeof(*ret_sa));
	if (addr.family == 4) {
		struct sockaddr_in *sin = (struct sockaddr_in *)ret_sa;
		sin->sin_family = AF_INET;
		sin->sin_port = htons((uint16_t)port);
		memcpy(&sin->sin_addr, addr.bytes, 4);
	} else {
		struct sockaddr_in6 *sin6 = (struct sockaddr_in6 *)ret_sa;
		sin6->sin6_family = AF_INET6;
		sin6->sin6_port = htons((uint16_t)port);
		memcpy(&sin6->sin6_addr, addr.bytes, 16);
	}
	return 0;
}

const char *addr_format(const struct addr *addr, char *text, size_t cap)
{
	if (addr->family == 0 ||
	    !inet_ntop(addr->family == 4 ? AF_INET : AF_INET6, addr->bytes, text, (socklen_t)cap))
		snprintf(text, cap, "none");
	return text;
}

const char *prefix_format(const struct prefix *prefix, char *text, size_t cap)
{
	char addr[ADDR_TEXT_MAX];
	snprintf(text, cap, "%s/%u", addr_format(&prefix->addr, addr, sizeof(addr)), prefix->len);
	return text;
}

const char *addr_format_sockaddr(const struct sockaddr *sa, char *text, size_t cap)
{
	char host[INET6_ADDRSTRLEN] = "?";
	unsigned port = 0;
	if (sa->sa_family == AF_INET) {
		const struct sockaddr_in *sin = (const struct sockaddr_in *)sa;
		inet_ntop(AF_INET, &sin->sin_addr, host, sizeof(host));
		port = ntohs(sin->sin_port);
	} else if (sa->sa_family == AF_INET6) {
		const struct sockaddr_in6 *sin6 = (const struct sockaddr_in6 *)sa;
		inet_ntop(AF_INET6, &sin6->sin6_addr, host, sizeof(host));
		port = ntohs(sin6->sin6_port);
	}
	snprintf(text, cap, "%s@%u", host, port);
	return text;
}

void addr_from_sockaddr(const struct sockaddr *sa, struct addr *ret_addr)
{
	memset(ret_addr, 0, sizeof(*ret_addr));
	if (sa->sa_family == AF_INET) {
		ret_addr->family = 4;
		memcpy(ret_addr->bytes, &((const struct sockaddr_in *)sa)->sin_addr, 4);
	} else if (sa->sa_family == AF_INET6) {
		const uint8_t *bytes = ((const struct sockaddr_in6 *)sa)->sin6_addr.s6_addr;
		static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };
		if (memcmp(bytes, mapped, sizeof(mapped)) == 0) {
			ret_addr->family = 4;
			memcpy(ret_addr->bytes, bytes + 12, 4);
		} else {
			ret_addr->family = 6;
			memcpy(ret_addr->bytes, bytes, 16);
		}
	}
}

bool addr_equal(const struct addr *a, const struct addr *b)
{
	return a->family == b->family && memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

bool prefix_contains(const struct prefix *prefix, const struct addr *addr)
{
	if (prefix->addr.family != addr->family)
		return false;
	unsigned whole = prefix->len / 8;
	unsigned rest = prefix->len % 8;
	if (memcmp(prefix->addr.bytes, addr->bytes, whole) != 0)
		return false;
	if (rest == 0)
		return true;
	uint8_t mask = (uint8_t)(0xff00U >> rest);
	return (prefix->addr.bytes[whole] & mask) == (addr->bytes[whole] & mask);
}

bool prefixes_contain(const struct prefix *prefixes, size_t n, const struct addr *addr)
{
	for (size_t i = 0; i < n; i++) {
		if (prefix_contains(&prefixes[i], addr))
			return true;
	}
	return false;
}

bool addr_is_unicast(const struct addr *addr, const char **ret_why)
{
	static const struct {
		const char *prefix;
		const char *why;
	} refused[] = {
		{ "0.0.0.0/8", "in \"this network\" 0.0.0.0/8" },
		{ "127.0.0.0/8", "a loopback address" },
		{ "169.254.0.0/16", "a link-local address" },
		{ "224.0.0.0/4", "a multicast address" },
		{ "240.0.0.0/4", "in the reserved range 240.0.0.0/4" },
		{ "::/127", "the unspecified or the loopback address" },
		{ "::ffff:0:0/96", "an IPv4 address in IPv6 form" },
		{ "fe80::/10", "a link-local address" },
		{ "ff00::/8", "a multicast address" },
	};
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		struct prefix prefix;
		if (prefix_parse(refused[i].prefix, &prefix) == 0 && prefix_contains(&prefix, addr)) {
			*ret_why = refused[i].why;
			return false;
		}
	}
	return true;
}

void addr_to_sockaddr(const struct addr *addr, uint16_t port, struct sockaddr_storage *ret_sa)
{
	memset(ret_sa, 0, sizeof(*ret_sa));
	if (addr->family == 4) {
		struct sockaddr_in *in = (struct sockaddr_in *)ret_sa;
		in->sin_family = AF_INET;
		in->sin_port = htons(port);
		memcpy(&in->sin_addr, addr->bytes, 4);
	} else {
		struct sockaddr_in6 *in = (struct sockaddr_in6 *)ret_sa;
		in->sin6_family = AF_INET6;
		in->sin6_port = htons(port);
		memcpy(&in->sin6_addr, addr->bytes, 16);
	}
}

void prefix_mask(struct prefix *prefix)
{
	for (unsigned bit = prefix->len; bit < 128; bit++)
		prefix->addr.bytes[bit / 8] &= (uint8_t) ~(0x80U >> (bit % 8));
}
