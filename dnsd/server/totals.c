#include "server/totals.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/object.h"
#include "server/server_int.h"

struct totals {
	union totals_counters counters;
	uint64_t countries[COUNTRY_N];
	struct answer_pings pings[ANSWER_MIRRORS_N];
	uint64_t first[ANSWER_MIRRORS_N];
	uint64_t by_worker[WORKERS_MAX];
	size_t by_worker_n;
	uint64_t up_s;
	uint16_t *numbers; /* here, by the number there */
	size_t numbers_n;
};

const struct totals_counter totals_counters[TOTALS_COUNTERS_N] = {
#define COUNTER(name, help) { #name, help },
	ANSWER_COUNTERS(COUNTER) NET_COUNTERS(COUNTER)
#undef COUNTER
};

/* How many of them are those of answer.h. */
#define ANSWERS_N (sizeof(struct answer_counters) / sizeof(uint64_t))

struct totals *totals_create(void)
{
	return calloc(1, sizeof(struct totals));
}

void totals_destroy(struct totals *totals)
{
	if (!totals)
		return;
	free(totals->numbers);
	free(totals);
}

void totals_note_end(struct totals *totals)
{
	totals->counters.net.tcp_open = 0;
}

/* --- sums --- */

static void add_all(uint64_t *sums, const uint64_t *from, size_t n)
{
	for (size_t i = 0; i < n; i++)
		sums[i] += from[i];
}

void totals_read_counters(const struct server *server, union totals_counters *sum)
{
	for (unsigned i = 0; i < server->workers_n; i++)
		worker_read_counters(server->workers[i], &sum->answers, &sum->net);
	if (server->totals)
		add_all(sum->values, server->totals->counters.values, TOTALS_COUNTERS_N);
}

void totals_read_pings(const struct server *server, size_t n, struct answer_pings *sums)
{
	for (unsigned i = 0; i < server->workers_n; i++)
		worker_read_pings(server->workers[i], n, sums);
	for (size_t i = 0; server->totals && i < n; i++) {
		sums[i].ok += server->totals->pings[i].ok;
		sums[i].failed += server->totals->pings[i].failed;
	}
}

void totals_read_countries(const struct server *server, uint64_t *sums)
{
	for (unsigned i = 0; i < server->workers_n; i++)
		worker_read_countries(server->workers[i], sums);
	if (server->totals)
		add_all(sums, server->totals->countries, COUNTRY_N);
}

void totals_read_first(const struct server *server, size_t n, uint64_t *sums)
{
	for (unsigned i = 0; i < server->workers_n; i++)
		worker_read_first(server->workers[i], n, sums);
	if (server->totals)
		add_all(sums, server->totals->first, n);
}

size_t totals_workers_n(const struct server *server)
{
	size_t before = server->totals ? server->totals->by_worker_n : 0;
	return before > server->workers_n ? before : server->workers_n;
}

uint64_t totals_worker_queries(const struct server *server, size_t worker)
{
	union totals_counters sum = { .values = { 0 } };
	if (worker < server->workers_n)
		worker_read_counters(server->workers[worker], &sum.answers, &sum.net);
	uint64_t before = server->totals && worker < server->totals->by_worker_n
	                          ? server->totals->by_worker[worker]
	                          : 0;
	return before + sum.answers.queries_udp + sum.answers.queries_tcp + sum.answers.queries_tls;
}

uint64_t totals_up_s(const struct server *server)
{
	return server->totals ? server->totals->up_s : 0;
}

/* --- to JSON --- */

json_t *totals_names_to_json(const struct zones *zones)
{
	json_t *names = json_array();
	for (size_t i = 0; i < zones->mirror_hosts_n; i++)
		json_array_append_new(names,
		                      json_pack("[ss]", zones->mirror_pools[i], zones->mirror_hosts[i]));
	return names;
}

/* Those with the numbers from first up to end. */
static json_t *counters_to_json(const union totals_counters *counters, size_t first, size_t end)
{
	json_t *object = json_object();
	for (size_t i = first; i < end; i++)
		object_set_number(object, totals_counters[i].name, counters->values[i]);
	return object;
}

static json_t *countries_to_json(const struct server *server)
{
	uint64_t sums[COUNTRY_N] = { 0 };
	json_t *object = json_object();
	totals_read_countries(server, sums);
	for (uint16_t country = 0; country < COUNTRY_N; country++) {
		char code[3];
		country_to_code(country, code);
		if (sums[country])
			object_set_number(object, code, sums[country]);
	}
	return object;
}

/* [[number, first, ok, failed], ...] of those that have any */
static json_t *mirrors_to_json(const struct server *server)
{
	uint64_t *first = calloc(ANSWER_MIRRORS_N, sizeof(*first));
	struct answer_pings *pings = calloc(ANSWER_MIRRORS_N, sizeof(*pings));
	json_t *list = first && pings ? json_array() : NULL;
	if (list) {
		totals_read_first(server, ANSWER_MIRRORS_N, first);
		totals_read_pings(server, ANSWER_MIRRORS_N, pings);
	}
	for (size_t i = 0; list && i < ANSWER_MIRRORS_N; i++) {
		if (first[i] || pings[i].ok || pings[i].failed)
			json_array_append_new(list, json_pack("[IIII]", (json_int_t)i, (json_int_t)first[i],
			                                      (json_int_t)pings[i].ok,
			                                      (json_int_t)pings[i].failed));
	}
	free(first);
	free(pings);
	return list;
}

json_t *totals_to_json(const struct server *server)
{
	union totals_counters sum = { .values = { 0 } };
	json_t *object = json_object();
	json_t *workers = json_array();
	totals_read_counters(server, &sum);
	json_object_set_new(object, "answers", counters_to_json(&sum, 0, ANSWERS_N));
	json_object_set_new(object, "net", counters_to_json(&sum, ANSWERS_N, TOTALS_COUNTERS_N));
	json_object_set_new(object, "countries", countries_to_json(server));
	json_object_set_new(object, "mirrors", mirrors_to_json(server));
	for (size_t i = 0; i < totals_workers_n(server); i++)
		json_array_append_new(workers, json_integer((json_int_t)totals_worker_queries(server, i)));
	json_object_set_new(object, "workers", workers);
	object_set_number(object, "up", totals_up_s(server) + server_metrics_up_s(server));
	return object;
}

/* --- from JSON --- */

static uint64_t number_of(const json_t *value)
{
	json_int_t number = json_integer_value(value);
	return number > 0 ? (uint64_t)number : 0;
}

int totals_names_from_json(struct totals *totals, const json_t *names, struct zones *zones)
{
	size_t n = json_array_size(names);
	struct zones_mirror_name *list = calloc(n + 1, sizeof(*list));
	totals->numbers = calloc(n + 1, sizeof(*totals->numbers));
	totals->numbers_n = n;
	int rc = list && totals->numbers ? 0 : -ENOMEM;
	for (size_t i = 0; i < n && rc == 0; i++) {
		list[i].pool = json_string_value(json_array_get(json_array_get(names, i), 0));
		list[i].host = json_string_value(json_array_get(json_array_get(names, i), 1));
		if (!list[i].pool || !list[i].host)
			rc = -EINVAL;
	}
	if (rc == 0)
		rc = zones_number_names(zones, list, n, totals->numbers);
	free(list);
	return rc;
}

static void counters_from_json(const json_t *object, size_t first, size_t end,
                               union totals_counters *counters)
{
	for (size_t i = first; i < end; i++)
		counters->values[i] = number_of(json_object_get(object, totals_counters[i].name));
}

static void mirrors_from_json(struct totals *totals, const json_t *list)
{
	size_t i;
	const json_t *entry;
	memset(totals->first, 0, sizeof(totals->first));
	memset(totals->pings, 0, sizeof(totals->pings));
	json_array_foreach(list, i, entry)
	{
		uint64_t there = number_of(json_array_get(entry, 0));
		/* Those without a name share the last number. */
		size_t here = there < totals->numbers_n ? totals->numbers[there] : ANSWER_MIRRORS_N - 1;
		totals->first[here] += number_of(json_array_get(entry, 1));
		totals->pings[here].ok += number_of(json_array_get(entry, 2));
		totals->pings[here].failed += number_of(json_array_get(entry, 3));
	}
}

void totals_from_json(struct totals *totals, const json_t *json)
{
	counters_from_json(json_object_get(json, "answers"), 0, ANSWERS_N, &totals->counters);
	counters_from_json(json_object_get(json, "net"), ANSWERS_N, TOTALS_COUNTERS_N, &totals->counters);
	const json_t *countries = json_object_get(json, "countries");
	for (uint16_t country = 0; country < COUNTRY_N; country++) {
		char code[3];
		country_to_code(country, code);
		totals->countries[country] = number_of(json_object_get(countries, code));
	}
	mirrors_from_json(totals, json_object_get(json, "mirrors"));
	const json_t *workers = json_object_get(json, "workers");
	totals->by_worker_n = json_array_size(workers) < WORKERS_MAX ? json_array_size(workers) : WORKERS_MAX;
	for (size_t i = 0; i < totals->by_worker_n; i++)
		totals->by_worker[i] = number_of(json_array_get(workers, i));
	totals->up_s = number_of(json_object_get(json, "up"));
}
