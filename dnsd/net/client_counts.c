#include "net/client_counts.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/addr.h"

struct entry {
	uint64_t prefix;
	uint32_t family;
	uint32_t count; /* 0 = empty */
};

/* Open addressing with linear probing, at most half full. */
struct client_counts {
	uint64_t seed[2]; /* strangers choose the addresses, and should not choose where they end up */
	uint32_t mask;
	struct entry entries[];
};

struct client_counts *client_counts_create(uint32_t connections_max)
{
	uint32_t entries_n = 16;
	while (entries_n < (UINT32_C(1) << 31) && entries_n / 2 < connections_max)
		entries_n *= 2;
	struct client_counts *counts = calloc(1, sizeof(*counts) + entries_n * sizeof(counts->entries[0]));
	if (!counts)
		return NULL;
	if (getrandom(counts->seed, sizeof(counts->seed), 0) != (ssize_t)sizeof(counts->seed)) {
		free(counts);
		return NULL;
	}
	counts->mask = entries_n - 1;
	return counts;
}

void client_counts_destroy(struct client_counts *counts)
{
	free(counts);
}

static struct entry entry_of(const struct sockaddr *peer)
{
	struct addr addr;
	/* An IPv4 address in IPv6 form is that address: else all of them would be in one /64. */
	addr_from_sockaddr(peer, &addr);
	struct entry entry = { .family = addr.family };
	memcpy(&entry.prefix, addr.bytes, sizeof(entry.prefix));
	return entry;
}

static uint32_t home_of(const struct client_counts *counts, const struct entry *entry)
{
	uint64_t hash = (entry->prefix ^ counts->seed[0]) + entry->family;
	hash *= counts->seed[1] | 1;
	hash ^= hash >> 32;
	hash *= UINT64_C(0x9e3779b97f4a7c15) ^ counts->seed[0] << 1;
	return (uint32_t)(hash >> 32) & counts->mask;
}

/* Where the client is, or the empty place where it would be. */
static uint32_t find(const struct client_counts *counts, const struct entry *entry)
{
	uint32_t at = home_of(counts, entry);
	while (counts->entries[at].count &&
	       (counts->entries[at].prefix != entry->prefix || counts->entries[at].family != entry->family))
		at = (at + 1) & counts->mask;
	return at;
}

uint32_t client_counts_get(const struct client_counts *counts, const struct sockaddr *peer)
{
	struct entry entry = entry_of(peer);
	return counts->entries[find(counts, &entry)].count;
}

void client_counts_add(struct client_counts *counts, const struct sockaddr *peer)
{
	struct entry entry = entry_of(peer);
	uint32_t at = find(counts, &entry);
	entry.count = counts->entries[at].count + 1;
	counts->entries[at] = entry;
}

/* Close the gap, so that no probe ends before what stood behind it. */
static void remove_entry(struct client_counts *counts, uint32_t gap)
{
	uint32_t at = gap;
	for (;;) {
		at = (at + 1) & counts->mask;
		if (counts->entries[at].count == 0)
			break;
		uint32_t home = home_of(counts, &counts->entries[at]);
		/* May it move to the gap? Only if that is not before its home. */
		if (((at - home) & counts->mask) < ((at - gap) & counts->mask))
			continue;
		counts->entries[gap] = counts->entries[at];
		gap = at;
	}
	counts->entries[gap].count = 0;
}

void client_counts_remove(struct client_counts *counts, const struct sockaddr *peer)
{
	struct entry entry = entry_of(peer);
	uint32_t at = find(counts, &entry);
	if (counts->entries[at].count > 1)
		counts->entries[at].count--;
	else if (counts->entries[at].count == 1)
		remove_entry(counts, at);
}
