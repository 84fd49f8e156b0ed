#include "geo/geo_guard.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOVES_TOLD_MAX 5

__extension__ typedef unsigned __int128 u128;

/** Global unicast IPv6, RFC 4291 section 2.4. */
#define IPV6_FIRST ((u128)0x20 << 120)
#define IPV6_LAST  (((u128)0x40 << 120) - 1)
#define IPV4_LAST  ((u128)0xffffffff)

struct drift {
	u128 base;   /* addresses of known country in the old table */
	u128 moved;  /* of these, with another country in the new one */
	u128 *moves; /* by from * COUNTRY_N + to */
};

static u128 addr_number(const struct addr *addr)
{
	u128 number = 0;
	for (unsigned i = 0; i < (addr->family == 4 ? 4U : 16U); i++)
		number = number << 8 | addr->bytes[i];
	return number;
}

/** Both tables side by side, each piece in which neither changes. */
static void drift_measure(const struct geo_map *old, const struct geo_map *new, uint8_t family,
                          struct drift *drift)
{
	struct geo_map_ranges old_ranges;
	struct geo_map_ranges new_ranges;
	struct geo_range was;
	struct geo_range is;
	geo_map_ranges_init(old, family, &old_ranges);
	geo_map_ranges_init(new, family, &new_ranges);
	geo_map_ranges_next(&old_ranges, &was);
	geo_map_ranges_next(&new_ranges, &is);
	u128 window_first = family == 4 ? 0 : IPV6_FIRST;
	u128 window_last = family == 4 ? IPV4_LAST : IPV6_LAST;
	u128 at = 0;
	while (at <= window_last) {
		u128 was_last = addr_number(&was.last);
		u128 is_last = addr_number(&is.last);
		u128 last = was_last < is_last ? was_last : is_last;
		u128 from = at > window_first ? at : window_first;
		u128 to = last < window_last ? last : window_last;
		if (was.country != COUNTRY_UNKNOWN && from <= to) {
			drift->base += to - from + 1;
			if (was.country != is.country) {
				drift->moved += to - from + 1;
				drift->moves[(size_t)was.country * COUNTRY_N + is.country] += to - from + 1;
			}
		}
		if ((was_last == last && !geo_map_ranges_next(&old_ranges, &was)) ||
		    (is_last == last && !geo_map_ranges_next(&new_ranges, &is)))
			return; /* the end of the address space, of both */
		at = last + 1;
	}
}

/** moved / base > limit / 1000, without a product that could overflow. */
static bool is_over(const struct drift *drift, unsigned permille)
{
	return drift->moved > drift->base / 1000 * permille + drift->base % 1000 * permille / 1000;
}

static double percent_of(const struct drift *drift, u128 part)
{
	return (double)part * 100 / (double)drift->base;
}

/** In tenths of a per cent, rounded up: "2.0 % is over 2 %" would explain nothing. */
static unsigned permille_told(const struct drift *drift)
{
	double permille = percent_of(drift, drift->moved) * 10 - 1e-6;
	return (unsigned)permille + (permille > (unsigned)permille);
}

/** The largest moves that are left; what is told is taken out. */
static void describe_moves(struct drift *drift, char *text, size_t cap)
{
	size_t used = 0;
	text[0] = '\0';
	for (unsigned told = 0; told < MOVES_TOLD_MAX; told++) {
		size_t largest = 0;
		for (size_t i = 0; i < (size_t)COUNTRY_N * COUNTRY_N; i++) {
			if (drift->moves[i] > drift->moves[largest])
				largest = i;
		}
		double percent = percent_of(drift, drift->moves[largest]);
		if (drift->moves[largest] == 0 || (told > 0 && percent < 0.05))
			return;
		char from[3];
		char to[3];
		country_to_code((uint16_t)(largest / COUNTRY_N), from);
		country_to_code((uint16_t)(largest % COUNTRY_N), to);
		int len = snprintf(text + used, cap - used, "%s%s -> %s %.1f %%", told ? ", " : "", from, to,
		                   percent);
		if (len < 0 || (size_t)len >= cap - used)
			return;
		used += (size_t)len;
		drift->moves[largest] = 0;
	}
}

static int check_drift(const struct geo_map *old, const struct geo_map *new, uint8_t family,
                       unsigned max_permille, const char *file, struct diag *diag)
{
	struct drift drift = { .moves = calloc((size_t)COUNTRY_N * COUNTRY_N, sizeof(*drift.moves)) };
	if (!drift.moves)
		return -ENOMEM;
	drift_measure(old, new, family, &drift);
	int rc = 0;
	if (is_over(&drift, max_permille)) {
		char moves[MOVES_TOLD_MAX * 24];
		describe_moves(&drift, moves, sizeof(moves));
		unsigned permille = permille_told(&drift);
		diag_error(diag, file, 0,
		           "%u.%u %% of the IPv%u address space moves to another country: %s; over max-drift "
		           "%g %%; if that is right, set max-drift = 100 and reload",
		           permille / 10, permille % 10, family, moves, max_permille / 10.0);
		rc = -EINVAL;
	}
	free(drift.moves);
	return rc;
}

static int check_canary(const struct geo_canary *canary, const struct geo_map *map, const char *which,
                        const char *file, struct diag *diag)
{
	struct geo_match match;
	geo_map_find(map, &canary->addr, &match);
	if (match.country == canary->country)
		return 0;
	char addr[ADDR_TEXT_MAX];
	char is[3];
	char want[3];
	country_to_code(match.country, is);
	country_to_code(canary->country, want);
	diag_error(
	        diag, file, 0,
	        "canary %s (from %s:%u) is %s in the %s, not %s; put a good database there, or correct the "
	        "canary",
	        addr_format(&canary->addr, addr, sizeof(addr)), canary->file, canary->line,
	        match.country == COUNTRY_UNKNOWN ? "of unknown country" : is, which, want);
	return -EINVAL;
}

int geo_guard_check(const struct geo_map *old, const struct geo_map *new, const struct geo_canary *canaries,
                    size_t canaries_n, unsigned max_drift_permille, const char *file, struct diag *diag)
{
	const char *which = old ? "new database" : "database";
	int rc = 0;
	for (size_t i = 0; i < canaries_n; i++) {
		if (check_canary(&canaries[i], new, which, file, diag) < 0)
			rc = -EINVAL;
	}
	for (uint8_t family = 4; old && family <= 6; family += 2) {
		int family_rc = check_drift(old, new, family, max_drift_permille, file, diag);
		if (family_rc < 0 && rc != -ENOMEM)
			rc = family_rc;
	}
	return rc;
}
