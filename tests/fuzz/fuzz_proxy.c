/*
 * Any bytes as the beginning of a connection of a front end. However they are cut, the verdict may not change
 * its mind; and a header that is good, written again from what was read, says the same.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "net/proxy.h"
#include "tests/fuzz/fuzz.h"
#include "wire/wire.h"

static void require(bool holds)
{
	if (!holds)
		abort();
}

/* On a copy of exact size, so that a sanitizer sees a read past the end. */
static enum proxy_verdict parse(const uint8_t *data, size_t len, struct proxy_header *ret_header)
{
	uint8_t *copy = malloc(len + (len == 0));
	if (!copy)
		exit(0);
	memcpy(copy, data, len);
	enum proxy_verdict verdict = proxy_parse(copy, len, ret_header);
	free(copy);
	return verdict;
}

static bool is_same_addr(const union proxy_addr *a, const union proxy_addr *b)
{
	/* Padding too: what is not set is zero. */
	return memcmp((const uint8_t *)a, (const uint8_t *)b, sizeof(*a)) == 0;
}

static bool is_same(const struct proxy_header *a, const struct proxy_header *b)
{
	return a->len == b->len && a->has_addrs == b->has_addrs && is_same_addr(&a->source, &b->source) &&
	       is_same_addr(&a->destination, &b->destination);
}

/* What was read, as the shortest header that says so. */
static void check_again(const uint8_t *data, const struct proxy_header *header)
{
	uint8_t bytes[16 + 36];
	bool is_inet6 = header->source.sa.sa_family == AF_INET6;
	size_t addr_len = is_inet6 ? 16 : 4;
	require(is_inet6 || header->source.sa.sa_family == AF_INET);
	require(header->destination.sa.sa_family == header->source.sa.sa_family);
	memcpy(bytes, data, 14);
	wire_put16(bytes + 14, (uint16_t)(2 * addr_len + 4));
	const union proxy_addr *addrs[2] = { &header->source, &header->destination };
	for (size_t i = 0; i < 2; i++) {
		const void *addr = is_inet6 ? (const void *)&addrs[i]->in6.sin6_addr
		                            : (const void *)&addrs[i]->in.sin_addr;
		memcpy(bytes + 16 + i * addr_len, addr, addr_len);
		/* sin_port and sin6_port stand at the same place */
		memcpy(bytes + 16 + 2 * addr_len + i * 2, &addrs[i]->in.sin_port, 2);
	}
	struct proxy_header again;
	require(parse(bytes, 20 + 2 * addr_len, &again) == PROXY_OK);
	require(again.len == 20 + 2 * addr_len);
	again.len = header->len;
	require(is_same(&again, header));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct proxy_header header;
	struct proxy_header cut;
	enum proxy_verdict verdict = parse(data, size, &header);
	if (verdict == PROXY_OK) {
		require(header.len >= 16 && header.len <= PROXY_HEADER_MAX && header.len <= size);
		require(parse(data, header.len, &cut) == PROXY_OK && is_same(&cut, &header));
		if (header.has_addrs)
			check_again(data, &header);
	}
	/* Once it is decided, it stays so; before, it is only incomplete. */
	bool decided = false;
	for (size_t len = 0; len <= size && len <= PROXY_HEADER_MAX + 1; len++) {
		enum proxy_verdict now = parse(data, len, &cut);
		require(now == PROXY_INCOMPLETE ? !decided : now == verdict);
		require(now != PROXY_OK || len >= header.len);
		decided = now != PROXY_INCOMPLETE;
	}
	return 0;
}
