/*
 * arena: memory of one lifetime. Many allocations, one free; used by the loaders for what lives as long as a
 * configuration or a snapshot.
 */
#ifndef DNSD_BASE_ARENA_H
#define DNSD_BASE_ARENA_H

#include <stddef.h>

struct arena_block;

struct arena {
	struct arena_block *blocks;
	size_t used_bytes; /* sum of what was handed out */
};

void arena_init(struct arena *arena);
void arena_fini(struct arena *arena);

/** Zeroed memory, aligned for any type; NULL only when the system is out of memory. */
void *arena_alloc(struct arena *arena, size_t size);
char *arena_strdup(struct arena *arena, const char *text);
void *arena_memdup(struct arena *arena, const void *data, size_t size);

#endif
