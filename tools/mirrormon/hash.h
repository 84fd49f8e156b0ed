/*
 * hash: is it what it was? FNV-1a, 64 bits. Who chooses the bytes can make two alike: for what would then
 * only be done later or once too often.
 */
#ifndef TOOLS_MIRRORMON_HASH_H
#define TOOLS_MIRRORMON_HASH_H

#include <stddef.h>
#include <stdint.h>

#define HASH_START 0xcbf29ce484222325U

/** hash: HASH_START, or of what comes before. */
static inline uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t len)
{
	const uint8_t *at = bytes;
	for (size_t i = 0; i < len; i++)
		hash = (hash ^ at[i]) * 0x100000001b3U;
	return hash;
}

static inline uint64_t hash_number(uint64_t hash, uint64_t number)
{
	return hash_bytes(hash, &number, sizeof(number));
}

#endif
