/* The files that a pool names: its mirrors, and the regions and neighbours of countries. */
#include "conf/read.h"
#include "conf/schema_table.h"

/* The reader writes the place of a list item to its first bytes. */
_Static_assert(offsetof(struct conf_mirror, place) == 0, "place first");
_Static_assert(offsetof(struct conf_region, place) == 0, "place first");
_Static_assert(offsetof(struct conf_window, place) == 0, "place first");
_Static_assert(offsetof(struct conf_neighbours, place) == 0, "place first");

static void window_finish(struct conf_reader *reader, void *item, uint64_t given)
{
	const struct conf_window *window = item;
	(void)given;
	if (!reader->group_good)
		return;
	if (window->until_s <= window->from_s)
		conf_reader_error(reader, window->place,
		                  "this window ends before it begins; make until later");
	else if (window->every_s && window->every_s < window->until_s - window->from_s)
		conf_reader_error(reader, window->place,
		                  "this window is longer than every; it would never be closed");
}

static const struct conf_key window_keys[] = {
	{ "from", CONF_TIME, true, AT(conf_window, from_s), .example = "\"2026-12-01T02:00:00Z\"",
	  .help = "When the mirror leaves the pool; answers are kept for less and less before." },
	{ "until", CONF_TIME, true, AT(conf_window, until_s), .example = "\"2026-12-01T04:00:00Z\"",
	  .help = "When it comes back." },
	{ "every", CONF_DURATION_S, AT(conf_window, every_s), .min = HOUR, .max = 366 * DAY,
	  .example = "\"7d\"", .help = "The window comes again after this long; once only when left out." },
	{ "reason", CONF_TEXT, AT(conf_window, reason), .example = "\"new disks\"",
	  .help = "What for, as explain and the journal tell it." },
};

static const struct conf_group window_group = {
	.noun = "maintenance window",
	.where = "mirrors: ( { maintenance = ( { } ) } )",
	.keys = window_keys,
	.keys_n = COUNT(window_keys),
	.size = sizeof(struct conf_window),
	.placed = true,
	.finish = window_finish,
};

static const struct conf_key mirror_keys[] = {
	{ "host", CONF_TEXT, true, AT(conf_mirror, host), .check = conf_check_host,
	  .example = "\"clamav.example.org\"",
	  .help = "The host name, by which feeds and operators call the mirror." },
	{ "country", CONF_TEXT, true, AT(conf_mirror, country), .check = conf_check_label,
	  .example = "\"DE\"", .help = "The two-letter code of the country it is in." },
	{ "addresses", CONF_ADDRESSES, true, LIST(conf_mirror, addrs),
	  .example = "[ \"192.0.2.1\", \"2001:db8::1\" ]", .help = "Its IPv4 and IPv6 addresses." },
	{ "weight", CONF_NUMBER, AT(conf_mirror, weight), .fallback = "100", .min = INT64_MIN,
	  .max = INT64_MAX, .example = "100",
	  .help = "Its share of the load against the others of the same answer." },
	{ "admin", CONF_TEXT, AT(conf_mirror, admin),
	  .example = "\"Name <a@example.org> || <alerts@example.org>\"",
	  .help = "Whom to write to; after || for automatic mails." },
	{ "maintenance", CONF_GROUPS, LIST(conf_mirror, windows), .group = &window_group,
	  .example = "( { ... } )", .shown = true, .help = "Planned times in which it is out of the pool." },
};

static const struct conf_group mirror_group = {
	.noun = "mirror",
	.where = "mirrors: ( { } )",
	.keys = mirror_keys,
	.keys_n = COUNT(mirror_keys),
	.size = sizeof(struct conf_mirror),
	.placed = true,
};

static const struct conf_key mirrors_keys[] = {
	{ "mirrors", CONF_GROUPS, LIST(conf_pool, mirrors), .group = &mirror_group, .example = "( { ... } )",
	  .shown = true, .help = "The mirrors of a pool." },
};

const struct conf_group conf_schema_mirrors = {
	.noun = "mirrors file",
	.keys = mirrors_keys,
	.keys_n = COUNT(mirrors_keys),
};

static const struct conf_key region_keys[] = {
	{ "name", CONF_TEXT, true, AT(conf_region, name), .check = conf_check_label, .example = "\"europe\"",
	  .help = "The name of the region, which takes the place of %r." },
	{ "countries", CONF_TEXTS, true, LIST(conf_region, countries), .check = conf_check_label,
	  .example = "[ \"DE\", \"FR\" ]", .help = "The codes of its countries." },
};

static const struct conf_group region_group = {
	.noun = "region",
	.where = "regions: ( { } )",
	.keys = region_keys,
	.keys_n = COUNT(region_keys),
	.size = sizeof(struct conf_region),
	.placed = true,
};

static const struct conf_key neighbours_keys[] = {
	{ "country", CONF_TEXT, true, AT(conf_neighbours, country), .check = conf_check_label,
	  .example = "\"LI\"", .help = "The code of a country with few mirrors." },
	{ "near", CONF_TEXTS, true, LIST(conf_neighbours, near), .check = conf_check_label,
	  .example = "[ \"CH\", \"AT\" ]",
	  .help = "The codes of the countries it borrows from, nearest first." },
};

static const struct conf_group neighbours_group = {
	.noun = "entry of neighbours",
	.where = "neighbours: ( { } )",
	.keys = neighbours_keys,
	.keys_n = COUNT(neighbours_keys),
	.size = sizeof(struct conf_neighbours),
	.placed = true,
};

static const struct conf_key regions_keys[] = {
	{ "regions", CONF_GROUPS, LIST(conf_pool, regions), .group = &region_group, .example = "( { ... } )",
	  .shown = true, .help = "Regions: names for several countries." },
	{ "neighbours", CONF_GROUPS, LIST(conf_pool, neighbours), .group = &neighbours_group,
	  .example = "( { ... } )", .shown = true,
	  .help = "From whom a country borrows mirrors before its region is asked." },
};

const struct conf_group conf_schema_regions = {
	.noun = "regions file",
	.keys = regions_keys,
	.keys_n = COUNT(regions_keys),
};
