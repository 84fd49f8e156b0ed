/*
 * inspect: requests that only look: explain, query, pool, geo, version, feed. The daemon answers them from
 * what it serves, dnsdctl from a configuration it has loaded itself, both through here.
 *
 *     {"command": "explain", "name": "db.local.clamav.net", "from": "192.0.2.1"} ─┐
 *     load, answer_data ─────────────────────────────────────────────────────────┴─> {"ok": true, "result":
 * ...}
 */
#ifndef DNSD_INSPECT_INSPECT_H
#define DNSD_INSPECT_INSPECT_H

#include <jansson.h>
#include <stdint.h>

#include "answer/data.h"
#include "load/load.h"

/** What there is to look at; all borrowed. */
struct inspect {
	const struct load *load;
	const struct answer_data *data; /* made from load */
	uint64_t generation;            /* 0 = of no running daemon */
};

/**
 * Answer a request.
 * ret_known  false when the command is none of these; the return value is then NULL
 * Returns    a response (caller calls json_decref()), or NULL when out of memory
 */
json_t *inspect_run(const struct inspect *inspect, const json_t *body, bool *ret_known);

#endif
