#include "snap/snap.h"

#include <errno.h>
#include <stdlib.h>

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

void snap_set_options(struct snap *snap, const struct answer_cookies *cookies, uint32_t tcp_idle_ms)
{
	if (cookies)
		snap->cookies = *cookies;
	snap->data.cookies = cookies ? &snap->cookies : NULL;
	snap->data.tcp_idle_ms = tcp_idle_ms;
}

void snap_destroy(struct snap *snap)
{
	if (!snap)
		return;
	answer_store_unref(snap->store);
	answer_pools_unref(snap->pools);
	geo_map_unref(snap->geo);
	free(snap);
}
