/*
 * grow: an array that grows while it is built, then is handed over whole.
 */
#ifndef DNSD_BASE_GROW_H
#define DNSD_BASE_GROW_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct grow {
	void *items;
	size_t n;
	size_t cap;
	size_t item_len;
};

static inline void grow_init(struct grow *grow, size_t item_len)
{
	*grow = (struct grow){ .item_len = item_len };
}

static inline void grow_fini(struct grow *grow)
{
	free(grow->items);
	grow->items = NULL;
	grow->n = grow->cap = 0;
}

/** Room for count more items at the end, zeroed. NULL when out of memory. Earlier pointers into the array are
 * void. */
static inline void *grow_add(struct grow *grow, size_t count)
{
	if (count > grow->cap - grow->n) {
		size_t cap = grow->cap ? grow->cap * 2 : 64;
		while (cap - grow->n < count)
			cap *= 2;
		if (cap > SIZE_MAX / 2 / grow->item_len)
			return NULL;
		void *items = realloc(grow->items, cap * grow->item_len);
		if (!items)
			return NULL;
		grow->items = items;
		grow->cap = cap;
	}
	void *place = (char *)grow->items + grow->n * grow->item_len;
	memset(place, 0, count * grow->item_len);
	grow->n += count;
	return place;
}

/** Hand the items over to the caller, who frees them; cut to size. */
static inline void *grow_take(struct grow *grow)
{
	void *items = grow->items;
	if (items && grow->n && grow->n < grow->cap) {
		void *cut = realloc(items, grow->n * grow->item_len);
		if (cut)
			items = cut;
	}
	grow->items = NULL;
	grow->n = grow->cap = 0;
	return items;
}

#endif
