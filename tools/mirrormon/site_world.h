/*
 * site_world: the shapes and English names of countries, from world.tsv.
 *
 *     # viewBox="0 0 1000 437" ...
 *     DE<TAB>Germany<TAB>M500.1,90l1.2,3z
 *
 * Read once; what is in it is checked, so that a path can hold nothing but a path.
 */
#ifndef TOOLS_MIRRORMON_SITE_WORLD_H
#define TOOLS_MIRRORMON_SITE_WORLD_H

#include "answer/geo_map.h"
#include "base/arena.h"
#include "base/diag.h"

struct site_world {
	struct arena arena;           /* holds everything below */
	const char *names[COUNTRY_N]; /* NULL = not in the file */
	const char *paths[COUNTRY_N];
	unsigned width, height; /* of the view box, which begins at 0 0; 0 = there is no map */
};

/** Returns 0, or negative errno with diag: the world is then empty. */
int site_world_load(struct site_world *world, const char *path, struct diag *diag);
void site_world_fini(struct site_world *world);

#endif
