#include "base/arena.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_BYTES (64 * 1024)

struct arena_block {
	struct arena_block *next;
	size_t used;
	size_t cap;
	alignas(max_align_t) unsigned char data[];
};

void arena_init(struct arena *arena)
{
	arena->blocks = NULL;
	arena->used_bytes = 0;
}

void arena_fini(struct arena *arena)
{
	struct arena_block *block = arena->blocks;
	while (block) {
		struct arena_block *next = block->next;
		free(block);
		block = next;
	}
	arena_init(arena);
}

void *arena_alloc(struct arena *arena, size_t size)
{
	size_t align = alignof(max_align_t);
	if (size > (size_t)-1 - BLOCK_BYTES)
		return NULL;
	size = (size + align - 1) / align * align;
	struct arena_block *block = arena->blocks;
	if (!block || block->cap - block->used < size) {
		size_t cap = size > BLOCK_BYTES ? size : BLOCK_BYTES;
		struct arena_block *fresh = calloc(1, sizeof(*fresh) + cap);
		if (!fresh)
			return NULL;
		fresh->cap = cap;
		/* A large block goes behind the current one, whose free space stays in use. */
		if (block && size > BLOCK_BYTES) {
			fresh->next = block->next;
			block->next = fresh;
		} else {
			fresh->next = block;
			arena->blocks = fresh;
		}
		block = fresh;
	}
	void *data = block->data + block->used;
	block->used += size;
	arena->used_bytes += size;
	return data;
}

void *arena_memdup(struct arena *arena, const void *data, size_t size)
{
	void *copy = arena_alloc(arena, size);
	if (copy && size)
		memcpy(copy, data, size);
	return copy;
}

char *arena_strdup(struct arena *arena, const char *text)
{
	return arena_memdup(arena, text, strlen(text) + 1);
}
