/*
 * What held before a start, as our last feed says.
 *
 * Where several monitors decide, our own standings are one opinion of several: until the votes of enough
 * others are there, nothing changes. And a mirror that lacked what is announced is not back before it has
 * shown that it has it.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/object.h"
#include "base/utc.h"
#include "mirrormon/monitor_int.h"
#include "mirrormon/publish_int.h"

#define FEED_MAX_BYTES (16 << 20)
#define DEPTH_MAX      16

struct json_t *monitor_read_feed(const struct conf_monitor *conf)
{
	char *text;
	size_t text_len;
	const char *why;
	if (!conf->feed || file_read(conf->feed, FEED_MAX_BYTES, &text, &text_len, &why) < 0)
		return NULL;
	json_t *feed = object_is_deep(text, text_len, DEPTH_MAX) ? NULL : json_loadb(text, text_len, 0, NULL);
	free(text);
	return feed;
}

/** An entry of "excluded". */
struct excluded {
	const char *who; /* a mirror's host or an address */
	const json_t *entry;
};
struct exclusions {
	struct excluded *items; /* by who */
	size_t n;
};

static int compare(const void *a, const void *b)
{
	return strcmp(((const struct excluded *)a)->who, ((const struct excluded *)b)->who);
}

static const json_t *find(const struct exclusions *exclusions, const char *who)
{
	const struct excluded key = { .who = who };
	const struct excluded *found =
	        exclusions->n ? bsearch(&key, exclusions->items, exclusions->n, sizeof(key), compare) : NULL;
	return found ? found->entry : NULL;
}

/** Returns false when it is no feed of this pool, or memory is short. */
static bool index_feed(const json_t *feed, const char *pool, struct exclusions *ret_exclusions)
{
	const json_t *list = json_object_get(feed, "excluded");
	const char *of_pool = object_get_text(feed, "pool");
	size_t entries_n = json_array_size(list), n = 0;
	if (!json_is_array(list) || !of_pool || strcmp(of_pool, pool) != 0)
		return false;
	struct excluded *items = calloc(entries_n ? entries_n : 1, sizeof(*items));
	if (!items)
		return false;
	for (size_t i = 0; i < entries_n; i++) {
		const json_t *entry = json_array_get(list, i);
		const char *mirror = object_get_text(entry, "mirror");
		const char *who = mirror ? mirror : object_get_text(entry, "address");
		if (who)
			items[n++] = (struct excluded){ .who = who, .entry = entry };
	}
	qsort(items, n, sizeof(*items), compare);
	*ret_exclusions = (struct exclusions){ .items = items, .n = n };
	return true;
}

/** entry NULL, or without a reason that we know: it is in. */
static struct verdict read_entry(const json_t *entry)
{
	const char *reason = object_get_text(entry, "reason");
	const char *since = object_get_text(entry, "since");
	const char *detail = object_get_text(entry, "detail");
	struct verdict verdict = { .reason = reason ? reason_from_text(reason) : REASON_N };
	if (verdict.reason == REASON_N || verdict.reason == REASON_NONE)
		return (struct verdict){ 0 };
	if (since && utc_parse(since, &verdict.since_s) < 0)
		verdict.since_s = 0;
	if (detail)
		publish_clean(detail, verdict.detail, sizeof(verdict.detail));
	return verdict;
}

void monitor_restore_verdicts(const struct conf_monitor *conf, const struct json_t *feed,
                              struct watched *const *list, size_t n)
{
	struct exclusions exclusions;
	if (conf->votes.others_n == 0 || !index_feed(feed, conf->pool->name, &exclusions))
		return;
	for (size_t i = 0; i < n; i++) {
		char text[ADDR_TEXT_MAX];
		/* On probation, as new: the others may not know of it yet. */
		if (list[i]->standing.reason == REASON_OUT_OF_SYNC)
			continue;
		const json_t *entry = find(&exclusions, addr_format(&list[i]->addr, text, sizeof(text)));
		list[i]->verdict = read_entry(entry ? entry : find(&exclusions, list[i]->host));
		/* That one is out of sync the gate has said, and says anew. */
		if (list[i]->verdict.reason == REASON_OUT_OF_SYNC)
			list[i]->verdict = (struct verdict){ 0 };
	}
	free(exclusions.items);
}

void monitor_restore_told(const struct settings *settings, const struct json_t *feed, struct verdict *told)
{
	struct exclusions exclusions;
	if (!index_feed(feed, settings->pool->conf->name, &exclusions))
		return;
	for (size_t i = 0; i < settings->pool->mirrors_n; i++) {
		struct verdict verdict = read_entry(find(&exclusions, settings->pool->mirrors[i].host));
		if (told[i].reason == REASON_NONE && verdict.reason == REASON_OUT_OF_SYNC)
			told[i] = verdict;
	}
	free(exclusions.items);
}
