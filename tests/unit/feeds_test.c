/* Feeds over time: the breaker, an operator's word on what it holds, and what windows and reloads do to it.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "zones/feeds.h"
#include "zones/zones.h"

#define MIRRORS_MAX 20
#define START_S     1795000000
#define HOLD_S      600

/* Mirrors m0, m1, ... of Germany; a feed may take out 30 % of them at once. */
struct world {
	struct conf conf;
	struct conf_pool pool_conf;
	struct conf_mirror mirrors[MIRRORS_MAX];
	struct conf_mirror_addr addrs[MIRRORS_MAX][2]; /* IPv4; IPv6 with give_ipv6() */
	char hosts[MIRRORS_MAX][24];
	char feed_file[64];
	struct zones zones;
	struct zones_feed feed;
	struct pool *pool;
	struct diag diag; /* of the last look */
};

static void begin(struct world *world, size_t mirrors_n, const char *feed_file)
{
	memset(world, 0, sizeof(*world));
	for (size_t i = 0; i < mirrors_n; i++) {
		snprintf(world->hosts[i], sizeof(world->hosts[i]), "m%zu", i);
		world->addrs[i][0].addr =
		        (struct addr){ .family = 4, .bytes = { 192, 0, 2, (uint8_t)(i + 1) } };
		world->mirrors[i] = (struct conf_mirror){ .host = world->hosts[i],
			                                  .country = "DE",
			                                  .weight = 100,
			                                  .addrs = world->addrs[i],
			                                  .addrs_n = 1 };
	}
	snprintf(world->feed_file, sizeof(world->feed_file), "%s", feed_file);
	world->pool_conf = (struct conf_pool){ .name = "test",
		                               .min_mirrors = 1,
		                               .feed_file = world->feed_file,
		                               .feed_max_bytes = 100000,
		                               .max_removal_percent = 30,
		                               .feed_hold_s = HOLD_S,
		                               .mirrors = world->mirrors,
		                               .mirrors_n = mirrors_n };
	world->conf = (struct conf){ .pools = &world->pool_conf, .pools_n = 1 };
	world->zones = (struct zones){
		.conf = &world->conf, .pools = &world->pool, .feeds = &world->feed, .news = json_array()
	};
	arena_init(&world->zones.arena);
	diag_init(&world->diag);
}

/* To all of them; before prepare(). */
static void give_ipv6(struct world *world)
{
	for (size_t i = 0; i < world->pool_conf.mirrors_n; i++) {
		world->addrs[i][1].addr =
		        (struct addr){ .family = 6,
			               .bytes = { 0x20, 0x01, 0x0d, 0xb8, [15] = (uint8_t)(i + 1) } };
		world->mirrors[i].addrs_n = 2;
	}
}

static void prepare(struct world *world, const struct world *previous, uint64_t now_s)
{
	assert_int_equal(pool_create(&world->pool_conf, &world->zones.arena, &world->diag, &world->pool), 0);
	assert_int_equal(
	        zones_carry_feeds(&world->zones, previous ? &previous->zones : NULL, now_s, &world->diag), 0);
}

static void end(struct world *world)
{
	pool_state_fini(&world->feed.state);
	feed_unref(world->feed.feed);
	feed_unref(world->feed.held);
	free(world->feed.outs);
	json_decref(world->zones.news);
	override_set_unref(world->zones.overrides);
	arena_fini(&world->zones.arena);
	diag_fini(&world->diag);
}

static char feed_file[] = "/tmp/dnsd-feeds-XXXXXX";

static int setup(void **state)
{
	(void)state;
	int fd = mkstemp(feed_file);
	close(fd);
	return fd < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	(void)state;
	return unlink(feed_file);
}

/* A feed that takes out the first so many mirrors. */
static void put(unsigned serial, size_t out_n)
{
	FILE *file = fopen(feed_file, "w");
	assert_non_null(file);
	fprintf(file, "serial %u\n", serial);
	for (size_t i = 0; i < out_n; i++)
		fprintf(file, "m%zu unreachable\n", i);
	assert_int_equal(fclose(file), 0);
}

/* Returns how many mirrors are out then. */
static size_t look(struct world *world, uint64_t now_s)
{
	diag_fini(&world->diag);
	diag_init(&world->diag);
	assert_int_equal(zones_read_feeds(&world->zones, now_s, &world->diag), 0);
	return world->feed.state.out_n;
}

static bool told(const struct world *world, const char *part)
{
	for (size_t i = 0; i < world->diag.messages_n; i++) {
		if (strstr(world->diag.messages[i].text, part))
			return true;
	}
	return false;
}

static uint64_t next_change(const struct world *world, uint64_t now_s)
{
	return zones_next_change(&world->zones, (struct version_clock){ .now_s = now_s });
}

/* One feed is in force, which takes out nobody; another, which takes out half of the pool, is held. */
static void begin_held(struct world *world, unsigned serial, unsigned held_serial)
{
	begin(world, 10, feed_file);
	put(serial, 0);
	prepare(world, NULL, START_S);
	put(held_serial, 5);
	assert_int_equal(look(world, START_S), 0);
	assert_non_null(world->feed.held);
}

/* The next feed of a monitor that was judged to be wrong is held as long as the first. */
static void test_rejected(void **state)
{
	(void)state;
	struct world world;
	begin_held(&world, 1, 2);
	assert_int_equal(zones_reject_feed(&world.zones, 0, "me", START_S + 10), 0);
	assert_int_equal(look(&world, START_S + HOLD_S + 60), 0);
	put(3, 5);
	assert_int_equal(look(&world, START_S + HOLD_S + 120), 0);
	assert_true(told(&world, "serial 3 takes out 5 of 10"));
	assert_int_equal(next_change(&world, START_S + HOLD_S + 120), START_S + 2 * HOLD_S + 120);
	assert_int_equal(look(&world, START_S + 2 * HOLD_S + 119), 0);
	put(4, 5); /* says so still */
	assert_int_equal(look(&world, START_S + 2 * HOLD_S + 120), 5);
	end(&world);
}

/* Back from a held feed to the one that was rejected: nothing is held, and nobody waits for a moment that is
 * over.
 */
static void test_rejected_again(void **state)
{
	(void)state;
	struct world world;
	begin_held(&world, 1, 2);
	assert_int_equal(zones_reject_feed(&world.zones, 0, "me", START_S), 0);
	put(3, 5);
	assert_int_equal(look(&world, START_S + 10), 0);
	put(2, 5);
	assert_int_equal(look(&world, START_S + 20), 0);
	uint64_t now_s = START_S + 2 * HOLD_S;
	assert_int_equal(look(&world, now_s), 0);
	uint64_t next_s = next_change(&world, now_s);
	if (next_s && next_s <= now_s)
		fail_msg("a look at once, and again: next %llu, now %llu", (unsigned long long)next_s,
		         (unsigned long long)now_s);
	end(&world);
}

/* A feed without a serial can't be rejected, so it comes into force like any other, without being asked to.
 */
static void test_no_serial(void **state)
{
	(void)state;
	struct world world;
	begin_held(&world, 0, 0);
	assert_int_equal(zones_reject_feed(&world.zones, 0, "me", START_S), -EINVAL);
	assert_false(zones_feed_is_rejected(&world.feed));
	assert_int_equal(next_change(&world, START_S), START_S + HOLD_S);
	assert_int_equal(look(&world, START_S + HOLD_S), 5);
	end(&world);
}

/* A feed that was rejected is put right under the same serial: it counts. */
static void test_rejected_mended(void **state)
{
	(void)state;
	struct world world;
	begin_held(&world, 1, 2);
	assert_int_equal(zones_reject_feed(&world.zones, 0, "me", START_S), 0);
	put(2, 1);
	assert_int_equal(look(&world, START_S + 10), 1);
	end(&world);
}

/* The file goes away while one is held: the hold begins anew when it comes back. */
static void test_vanished(void **state)
{
	(void)state;
	struct world world;
	begin_held(&world, 1, 2);
	assert_int_equal(unlink(feed_file), 0);
	assert_int_equal(look(&world, START_S + 10), 0);
	assert_null(world.feed.held);
	assert_int_equal(zones_accept_feed(&world.zones, 0, "me", START_S + 11), -ENOENT);
	assert_int_equal(next_change(&world, START_S + 10), 0);
	put(2, 5);
	assert_int_equal(look(&world, START_S + HOLD_S + 5), 0);
	assert_int_equal(look(&world, START_S + 2 * HOLD_S + 5), 5);
	/* And one that is in force stays. */
	assert_int_equal(unlink(feed_file), 0);
	assert_int_equal(look(&world, START_S + 3 * HOLD_S), 5);
	put(2, 5);
	end(&world);
}

/* Planned maintenance is none of the monitor's doing: its feed is followed as ever. */
static void test_windows(void **state)
{
	(void)state;
	struct world world;
	struct conf_window window = { .from_s = START_S + 100, .until_s = START_S + 200, .reason = "power" };
	begin(&world, 10, feed_file);
	for (size_t i = 4; i < 10; i++) {
		world.mirrors[i].windows = &window;
		world.mirrors[i].windows_n = 1;
	}
	put(1, 0);
	prepare(&world, NULL, START_S);
	assert_int_equal(look(&world, START_S + 100), 6);
	put(2, 1);
	assert_int_equal(look(&world, START_S + 110), 7);
	assert_null(world.feed.held);
	/* Nor is a mirror that the feed takes out meanwhile forgotten. */
	put(3, 6);
	assert_int_equal(look(&world, START_S + 120), 7);
	assert_true(told(&world, "serial 3 takes out 6 of 10"));
	end(&world);
}

/* Mirrors that a reload brings are no news to a feed that has had them out all the time. */
static void test_new_mirrors(void **state)
{
	(void)state;
	struct world before;
	struct world world;
	begin(&before, 5, feed_file);
	begin(&world, 10, feed_file);
	for (size_t i = 0; i < 5; i++) /* the first five of the new list are new */
		snprintf(before.hosts[i], sizeof(before.hosts[i]), "m%zu", i + 5);
	put(1, 5);
	prepare(&before, NULL, START_S);
	prepare(&world, &before, START_S + 10);
	assert_null(world.feed.held);
	assert_int_equal(world.feed.state.out_n, 5);
	put(2, 6);
	assert_int_equal(look(&world, START_S + 20), 6);
	put(3, 10);
	assert_int_equal(look(&world, START_S + 30), 6);
	assert_non_null(world.feed.held);
	end(&world);
	end(&before);
}

/* Nor are the first IPv6 addresses of mirrors that are out; else the next feed was held, better as it is. */
static void test_new_family(void **state)
{
	(void)state;
	struct world before;
	struct world after;
	begin(&before, 10, feed_file);
	put(1, 5);
	prepare(&before, NULL, START_S);
	begin(&after, 10, feed_file);
	give_ipv6(&after);
	prepare(&after, &before, START_S + 60);
	assert_false(told(&after, "held back"));
	assert_null(after.feed.held);
	put(2, 4);
	assert_int_equal(look(&after, START_S + 70), 4);
	/* What is taken out from now on counts. */
	put(3, 8);
	assert_int_equal(look(&after, START_S + 80), 4);
	assert_true(told(&after, "serial 3 takes out 4 of 10"));
	end(&after);
	end(&before);
}

/* A feed that has expired is told once. */
static void test_expired(void **state)
{
	(void)state;
	struct world world;
	begin(&world, 10, feed_file);
	put(1, 1);
	FILE *file = fopen(feed_file, "a");
	assert_non_null(file);
	fprintf(file, "valid-until %d\n", START_S + 10);
	fclose(file);
	prepare(&world, NULL, START_S);
	assert_int_equal(look(&world, START_S + 11), 1);
	assert_true(told(&world, "there is no newer one"));
	assert_int_equal(look(&world, START_S + 12), 1);
	assert_false(told(&world, "there is no newer one"));
	assert_true(world.feed.stale_told);
	put(2, 1);
	look(&world, START_S + 13);
	assert_false(world.feed.stale_told);
	end(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rejected),        cmocka_unit_test(test_rejected_again),
		cmocka_unit_test(test_rejected_mended), cmocka_unit_test(test_vanished),
		cmocka_unit_test(test_no_serial),       cmocka_unit_test(test_windows),
		cmocka_unit_test(test_new_mirrors),     cmocka_unit_test(test_new_family),
		cmocka_unit_test(test_expired),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
