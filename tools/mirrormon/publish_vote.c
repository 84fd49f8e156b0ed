/* Votes of other monitors: as little to be trusted as a mirror. */
#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/grow.h"
#include "base/object.h"
#include "base/utc.h"
#include "mirrormon/publish.h"
#include "mirrormon/publish_int.h"

#define DEPTH_MAX    16
#define HOST_MAX     253
#define FUTURE_MAX_S 300 /* clocks of two monitors may differ by so much */

/* One vote on its way in. */
struct parse {
	struct vote *vote;
	const char *file;
	struct diag *diag;
	struct grow entries;
	bool failed; /* refused as a whole */
	bool no_memory;
};

void vote_destroy(struct vote *vote)
{
	if (!vote)
		return;
	arena_fini(&vote->arena);
	free(vote->entries);
	free(vote);
}

static void refuse(struct parse *parse, unsigned line, const char *fmt, ...)
        __attribute__((format(printf, 3, 4)));
static void refuse(struct parse *parse, unsigned line, const char *fmt, ...)
{
	char text[512];
	va_list args;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	diag_error(parse->diag, parse->file, line, "%s; this vote is refused", text);
	parse->failed = true;
}

static void ignore(struct parse *parse, size_t number, const char *what, const char *text)
{
	char copy[64];
	diag_warning(parse->diag, parse->file, 0, "entry %zu of \"opinions\": %s \"%s\"; it is ignored",
	             number, what, publish_clean(text, copy, sizeof(copy)));
}

static const char *keep_text(struct parse *parse, const char *text, size_t cap)
{
	char copy[256];
	const char *kept = arena_strdup(&parse->vote->arena,
	                                publish_clean(text, copy, cap < sizeof(copy) ? cap : sizeof(copy)));
	parse->no_memory |= !kept;
	return kept;
}

/* NULL when it is not there, or no text: then the vote is refused. */
static const char *get_text(struct parse *parse, const json_t *object, const char *key, size_t number)
{
	const json_t *value = json_object_get(object, key);
	if (value && !json_is_string(value)) {
		if (number)
			refuse(parse, 0, "entry %zu of \"opinions\": \"%s\" is no text", number, key);
		else
			refuse(parse, 0, "\"%s\" is no text", key);
	}
	return json_string_value(value);
}

/* 0 when it is not there. */
static uint64_t get_time(struct parse *parse, const json_t *object, const char *key, size_t number)
{
	const json_t *value = json_object_get(object, key);
	uint64_t time_s = 0;
	if (!value || parse->failed)
		return 0;
	if (json_is_integer(value) && json_integer_value(value) >= 0 &&
	    json_integer_value(value) <= (json_int_t)UTC_MAX_S)
		return (uint64_t)json_integer_value(value);
	if (json_is_string(value) && utc_parse(json_string_value(value), &time_s) == 0)
		return time_s;
	if (number)
		refuse(parse, 0, "entry %zu of \"opinions\": \"%s\" is no time", number, key);
	else
		refuse(parse, 0, "\"%s\" is no time; write \"2026-11-21T07:00:00Z\" or seconds since 1970",
		       key);
	return 0;
}

static void check_keys(struct parse *parse, json_t *object, const char *const *known)
{
	char copy[64];
	const char *key;
	json_t *value;
	json_object_foreach(object, key, value)
	{
		size_t i = 0;
		while (known[i] && strcmp(known[i], key) != 0)
			i++;
		if (!known[i])
			diag_warning(parse->diag, parse->file, 0, "unknown key \"%s\" is ignored",
			             publish_clean(key, copy, sizeof(copy)));
	}
}

static void read_entry(struct parse *parse, json_t *object, size_t number)
{
	static const char *const known[] = { "mirror", "address", "reason", "since", "detail", NULL };
	struct vote_entry entry = { .host = NULL };
	if (!json_is_object(object)) {
		refuse(parse, 0, "entry %zu of \"opinions\" is no object", number);
		return;
	}
	check_keys(parse, object, known);
	const char *mirror = get_text(parse, object, "mirror", number);
	const char *address = get_text(parse, object, "address", number);
	const char *reason = get_text(parse, object, "reason", number);
	const char *detail = get_text(parse, object, "detail", number);
	entry.opinion.since_s = get_time(parse, object, "since", number);
	if (parse->failed)
		return;
	if (!mirror || !address || !reason) {
		refuse(parse, 0, "entry %zu of \"opinions\" needs \"mirror\", \"address\" and \"reason\"",
		       number);
		return;
	}
	entry.opinion.reason = reason_from_text(reason);
	if (entry.opinion.reason == REASON_N) {
		ignore(parse, number, "unknown reason", reason);
		return;
	}
	if (addr_parse(address, &entry.addr) < 0) {
		ignore(parse, number, "no address:", address);
		return;
	}
	/* Since when is for people; but the earliest counts, so one that was never said must not be it. */
	if (entry.opinion.since_s == 0 || entry.opinion.since_s > parse->vote->generated_s)
		entry.opinion.since_s = parse->vote->generated_s;
	entry.host = keep_text(parse, mirror, HOST_MAX + 1);
	if (detail && *detail)
		entry.opinion.detail = keep_text(parse, detail, MODEL_DETAIL_MAX);
	struct vote_entry *place = grow_add(&parse->entries, 1);
	if (place)
		*place = entry;
	else
		parse->no_memory = true;
}

static bool monitor_is_good(const char *name)
{
	size_t len = strlen(name);
	for (size_t i = 0; i < len; i++) {
		if (name[i] < ' ' || name[i] > '~')
			return false;
	}
	return len >= 1 && len <= CONF_MONITOR_NAME_LEN;
}

static void read_head(struct parse *parse, const json_t *root, const char *pool, uint64_t now_s)
{
	char copy[64];
	struct vote *vote = parse->vote;
	const json_t *format = json_object_get(root, "format");
	if (!json_is_integer(format) || json_integer_value(format) != PUBLISH_FORMAT) {
		refuse(parse, 0, "\"format\" is not %d, the only one there is", PUBLISH_FORMAT);
		return;
	}
	const char *kind = get_text(parse, root, "kind", 0);
	const char *of_pool = get_text(parse, root, "pool", 0);
	const char *monitor = get_text(parse, root, "monitor", 0);
	const json_t *self_ok = json_object_get(root, "self-ok");
	vote->generated_s = get_time(parse, root, "generated", 0);
	if (parse->failed)
		return;
	if (!kind || strcmp(kind, VOTE_KIND) != 0)
		refuse(parse, 0, "\"kind\" is not \"" VOTE_KIND "\"");
	else if (!of_pool || strcmp(of_pool, pool) != 0)
		refuse(parse, 0, "it is for pool \"%s\", this is pool \"%s\"",
		       of_pool ? publish_clean(of_pool, copy, sizeof(copy)) : "", pool);
	else if (!monitor || !monitor_is_good(monitor))
		refuse(parse, 0, "no \"monitor\": up to %d characters of printable ASCII",
		       CONF_MONITOR_NAME_LEN);
	else if (!json_is_boolean(self_ok))
		refuse(parse, 0, "\"self-ok\" is neither true nor false");
	else if (vote->generated_s == 0)
		refuse(parse, 0, "no \"generated\": when was it made?");
	else if (vote->generated_s > now_s + FUTURE_MAX_S)
		refuse(parse, 0, "it was generated in the future: a wrong clock");
	if (parse->failed)
		return;
	vote->monitor = keep_text(parse, monitor, CONF_MONITOR_NAME_LEN + 1);
	vote->self_ok = json_is_true(self_ok);
}

static int compare_entries(const void *a, const void *b)
{
	return memcmp(&((const struct vote_entry *)a)->addr, &((const struct vote_entry *)b)->addr,
	              sizeof(struct addr));
}

/* Two opinions of one address: which of them is meant? */
static void sort_entries(struct parse *parse)
{
	struct vote *vote = parse->vote;
	char text[ADDR_TEXT_MAX];
	if (vote->entries_n)
		qsort(vote->entries, vote->entries_n, sizeof(*vote->entries), compare_entries);
	for (size_t i = 1; i < vote->entries_n && !parse->failed; i++) {
		if (addr_equal(&vote->entries[i - 1].addr, &vote->entries[i].addr))
			refuse(parse, 0, "\"opinions\" has address %s twice",
			       addr_format(&vote->entries[i].addr, text, sizeof(text)));
	}
}

static void read_root(struct parse *parse, json_t *root, const char *pool, uint64_t now_s)
{
	static const char *const known[] = { "format",    "kind",    "pool",     "monitor",
		                             "generated", "self-ok", "opinions", NULL };
	const json_t *opinions = json_object_get(root, "opinions");
	check_keys(parse, root, known);
	read_head(parse, root, pool, now_s);
	if (!parse->failed && !json_is_array(opinions))
		refuse(parse, 0, "no list \"opinions\"");
	for (size_t i = 0; i < json_array_size(opinions) && !parse->failed && !parse->no_memory; i++)
		read_entry(parse, json_array_get(opinions, i), i + 1);
}

static void read_text(struct parse *parse, const char *text, size_t text_len, const char *pool,
                      uint64_t now_s)
{
	json_error_t error;
	if (text_len > VOTE_BYTES_MAX) {
		refuse(parse, 0, "it is larger than %u bytes", VOTE_BYTES_MAX);
		return;
	}
	if (object_is_deep(text, text_len, DEPTH_MAX)) {
		refuse(parse, 0, "brackets deeper than %d: this is no vote", DEPTH_MAX);
		return;
	}
	json_t *root = json_loadb(text, text_len, JSON_REJECT_DUPLICATES, &error);
	if (!root) {
		char why[128];
		refuse(parse, error.line > 0 ? (unsigned)error.line : 0, "no JSON, or cut off: %s",
		       publish_clean(error.text, why, sizeof(why)));
		return;
	}
	if (json_is_object(root))
		read_root(parse, root, pool, now_s);
	else
		refuse(parse, 0, "no JSON object");
	json_decref(root);
}

int vote_parse(const char *text, size_t text_len, const char *file, const char *pool, uint64_t now_s,
               struct diag *diag, struct vote **ret_vote)
{
	struct parse parse = { .vote = calloc(1, sizeof(*parse.vote)), .file = file, .diag = diag };
	struct vote *vote = parse.vote;
	if (!vote)
		return -ENOMEM;
	arena_init(&vote->arena);
	grow_init(&parse.entries, sizeof(struct vote_entry));
	read_text(&parse, text, text_len, pool, now_s);
	vote->entries_n = parse.entries.n;
	vote->entries = grow_take(&parse.entries);
	if (!parse.failed && !parse.no_memory)
		sort_entries(&parse);
	if (parse.failed || parse.no_memory) {
		vote_destroy(vote);
		return parse.failed ? -EINVAL : -ENOMEM;
	}
	*ret_vote = vote;
	return 0;
}

struct opinion vote_find(const struct vote *vote, const struct addr *addr)
{
	struct vote_entry wanted = { .addr = *addr };
	const struct vote_entry *found = vote->entries_n ? bsearch(&wanted, vote->entries, vote->entries_n,
	                                                           sizeof(wanted), compare_entries)
	                                                 : NULL;
	return found ? found->opinion : (struct opinion){ .reason = REASON_NONE };
}
