#include "snap/snap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "answer/pools_build.h"
#include "answer/store_build.h"

int snap_create(struct answer_store *store, struct answer_pools *pools, struct geo_map *geo,
                uint16_t edns_size, uint64_t generation, uint32_t serial, const struct answer_ident *ident,
                struct snap **ret_snap)
{
	struct snap *snap = calloc(1, sizeof(*snap));
	if (!snap)
		return -ENOMEM;
	snap->store = answer_store_ref(store);
	snap->pools = answer_pools_ref(pools);
	snap->geo = geo_map_ref(geo);
	snap->generation = generation;
	if (ident)
		snap->ident = *ident;
	snap->data = (struct answer_data){ .store = store,
		                           .pools = pools,
		                           .geo = geo,
		                           .edns_size = edns_size,
		                           .serial = serial,
		                           .ident = ident ? &snap->ident : NULL };
	*ret_snap = snap;
	return 0;
}

int snap_set_front_ends(struct snap *snap, const struct prefix *front_ends, size_t front_ends_n)
{
	if (front_ends_n == 0)
		return 0;
	struct prefix *prefixes = calloc(front_ends_n, sizeof(*prefixes));
	if (!prefixes)
		return -ENOMEM;
	memcpy(prefixes, front_ends, front_ends_n * sizeof(*prefixes));
	snap->front_ends = prefixes;
	snap->data.front_ends = prefixes;
	snap->data.front_ends_n = front_ends_n;
	return 0;
}

int snap_set_access(struct snap *snap, const struct answer_access *access)
{
	struct prefix *prefixes = calloc((size_t)access->chaos_n + access->any_n + 1, sizeof(*prefixes));
	if (!prefixes)
		return -ENOMEM;
	if (access->chaos_n)
		memcpy(prefixes, access->chaos, access->chaos_n * sizeof(*prefixes));
	if (access->any_n)
		memcpy(prefixes + access->chaos_n, access->any, access->any_n * sizeof(*prefixes));
	free(snap->prefixes);
	snap->prefixes = prefixes;
	snap->data.access = *access;
	snap->data.access.chaos = prefixes;
	snap->data.access.any = prefixes + access->chaos_n;
	return 0;
}

void snap_set_cookies(struct snap *snap, const struct answer_cookies *cookies)
{
	if (cookies)
		snap->cookies = *cookies;
	snap->data.cookies = cookies ? &snap->cookies : NULL;
}

void snap_destroy(struct snap *snap)
{
	if (!snap)
		return;
	answer_store_unref(snap->store);
	answer_pools_unref(snap->pools);
	geo_map_unref(snap->geo);
	free(snap->front_ends);
	free(snap->prefixes);
	free(snap);
}
