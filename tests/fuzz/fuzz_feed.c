/*
 * Feeds of any bytes: refused or parsed, and then applied to a small pool. Whatever is parsed is complete and
 * in range.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "zones/pool/pool.h"

static void require(bool holds)
{
	if (!holds)
		abort();
}

static struct conf_mirror_addr addrs[3];
static struct conf_mirror mirrors[2] = {
	{ .host = "m1.de.example", .country = "DE", .addrs = &addrs[0], .addrs_n = 2, .weight = 100 },
	{ .host = "m2.fr.example", .country = "FR", .addrs = &addrs[2], .addrs_n = 1, .weight = 1 },
};
static struct conf_pool conf = { .name = "clamav", .mirrors = mirrors, .mirrors_n = 2, .min_mirrors = 1 };

static const struct pool *make_pool(void)
{
	static struct arena arena;
	static struct pool *pool;
	if (pool)
		return pool;
	struct diag diag;
	diag_init(&diag);
	require(addr_parse("192.0.2.1", &addrs[0].addr) == 0 &&
	        addr_parse("2001:db8::1", &addrs[1].addr) == 0 &&
	        addr_parse("192.0.2.2", &addrs[2].addr) == 0);
	require(pool_create(&conf, &arena, &diag, &pool) == 0);
	return pool;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct pool *pool = make_pool();
	struct diag diag;
	diag_init(&diag);
	struct feed *feed = NULL;
	int rc = feed_parse((const char *)data, size, "feed", "clamav", 1795000000, &diag, &feed);
	require((rc == 0) == (feed != NULL) && (rc == 0) == (diag.errors_n == 0));
	if (feed) {
		for (size_t i = 0; i < feed->exclusions_n; i++)
			require((feed->exclusions[i].host != NULL) !=
			                (feed->exclusions[i].addr.family != 0) &&
			        feed->exclusions[i].reason > REASON_NONE &&
			        feed->exclusions[i].reason < REASON_N);
		for (size_t i = 0; i < feed->weights_n; i++)
			require(feed->weights[i].permille >= 1 && feed->weights[i].permille <= 1000);
		struct pool_state state;
		require(pool_state_make(pool, feed, NULL, 1795000000, "feed", &diag, &state) == 0);
		require(state.out_n <= 2);
		pool_state_fini(&state);
		feed_unref(feed);
	}
	diag_fini(&diag);
	return 0;
}
