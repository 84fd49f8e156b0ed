#include "tests/unit/support/pool_fixture.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "conf/conf.h"

static void fail_if_told(const struct diag *diag, const char *what)
{
	if (diag->messages_n)
		fail_msg("%s: %s", what, diag->messages[0].text);
}

static struct conf *read_text(enum conf_text_kind kind, const char *name, const char *text)
{
	struct diag diag;
	struct conf *conf;
	diag_init(&diag);
	int rc = conf_load_text(kind, name, text, strlen(text), &diag, &conf);
	fail_if_told(&diag, name);
	assert_int_equal(rc, 0);
	assert_int_equal(conf->pools_n, 1);
	diag_fini(&diag);
	return conf;
}

void pool_fixture_init(struct pool_fixture *fixture, const char *mirrors, const char *regions)
{
	memset(fixture, 0, sizeof(*fixture));
	arena_init(&fixture->arena);
	fixture->mirrors = read_text(CONF_TEXT_MIRRORS, "mirrors", mirrors);
	fixture->regions = read_text(CONF_TEXT_REGIONS, "regions", regions);
	const struct conf_pool *from = &fixture->regions->pools[0];
	fixture->conf = fixture->mirrors->pools[0];
	fixture->conf.name = "test";
	fixture->conf.ttl_s = 300;
	fixture->conf.regions = from->regions;
	fixture->conf.regions_n = from->regions_n;
	fixture->conf.neighbours = from->neighbours;
	fixture->conf.neighbours_n = from->neighbours_n;
	struct diag diag;
	diag_init(&diag);
	int rc = pool_create(&fixture->conf, &fixture->arena, &diag, &fixture->pool);
	fail_if_told(&diag, "pool");
	assert_int_equal(rc, 0);
	diag_fini(&diag);
}

void pool_fixture_fini(struct pool_fixture *fixture)
{
	arena_fini(&fixture->arena);
	conf_destroy(fixture->mirrors);
	conf_destroy(fixture->regions);
}

struct feed *pool_fixture_feed(const char *text, uint64_t now_s)
{
	struct diag diag;
	struct feed *feed;
	diag_init(&diag);
	int rc = feed_parse(text, strlen(text), "feed", "test", now_s, &diag, &feed);
	fail_if_told(&diag, text);
	assert_int_equal(rc, 0);
	diag_fini(&diag);
	return feed;
}

struct override_set *pool_fixture_overrides(const char *text, uint64_t base_s)
{
	struct override_set *set;
	assert_int_equal(override_set_change(NULL, "", "", NULL, 0, &set), 0);
	char copy[256];
	assert_true(strlen(text) < sizeof(copy));
	strcpy(copy, text);
	char *rest;
	for (char *entry = strtok_r(copy, ";", &rest); entry; entry = strtok_r(NULL, ";", &rest)) {
		char host[32];
		char action[8];
		int64_t from_s;
		int64_t until_s;
		assert_int_equal(
		        sscanf(entry, " %31s %7s %" SCNd64 " %" SCNd64, host, action, &from_s, &until_s), 4);
		struct override add = { .pool = "test",
			                .host = host,
			                .action = override_action_from_text(action),
			                .set_s = base_s,
			                .from_s = base_s + (uint64_t)from_s,
			                .until_s = until_s ? base_s + (uint64_t)until_s : 0,
			                .author = "ann",
			                .reason = "test" };
		assert_int_not_equal(add.action, OVERRIDE_ACTION_N);
		struct override_set *more;
		assert_int_equal(override_set_change(set, "test", host, &add, 0, &more), 0);
		override_set_unref(set);
		set = more;
	}
	return set;
}

struct pool_state pool_fixture_state(const struct pool *pool, const struct feed *feed,
                                     const struct override_set *overrides, uint64_t now_s)
{
	struct diag diag;
	struct pool_state state;
	diag_init(&diag);
	int rc = pool_state_make(pool, feed, overrides, now_s, "feed", &diag, &state);
	fail_if_told(&diag, "state");
	assert_int_equal(rc, 0);
	diag_fini(&diag);
	return state;
}

const char *pool_fixture_describe(const struct pool_decision *decision, char *text, size_t cap)
{
	size_t used = 0;
	for (uint8_t family = 4; family <= 6; family = (uint8_t)(family + 2)) {
		used += (size_t)snprintf(text + used, cap - used, "%sv%u:", family == 4 ? "" : " ", family);
		for (size_t i = 0; i < decision->members_n; i++) {
			for (size_t k = 0; k < decision->members[i].addrs_n; k++) {
				const struct addr *addr = &decision->members[i].addrs[k];
				if (addr->family == family)
					used += (size_t)snprintf(text + used, cap - used, " %u",
					                         addr->bytes[family == 4 ? 3 : 15]);
			}
		}
	}
	return text;
}

uint32_t random_below(uint64_t *random, uint32_t n)
{
	*random = *random * 6364136223846793005U + 1442695040888963407U;
	return (uint32_t)((*random >> 33) % n);
}
