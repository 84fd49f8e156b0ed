#include "mirrormon/publish.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/object.h"
#include "base/utc.h"
#include "mirrormon/publish_int.h"

/* What the configuration lets in has room in the model. */
_Static_assert(CONF_DATABASES_MAX == MODEL_DATABASES_MAX, "as many databases");
_Static_assert(CONF_CDIFFS_MAX == MODEL_CDIFFS_MAX, "as many patches");
_Static_assert(CONF_DATABASE_NAME_LEN == VERSION_NAME_MAX - 1, "names as long");
_Static_assert(CONF_MONITOR_NAME_LEN == sizeof(((struct monitor_view *)0)->name) - 1, "names as long");

/*
 * JSON in the making. A feed that lacks an entry for want of memory would put a bad mirror back, so that any
 * failure makes the whole void.
 */
struct writer {
	bool failed;
};

const char *publish_clean(const char *text, char *copy, size_t cap)
{
	size_t len = 0;
	for (; text[len] && len < cap - 1; len++)
		copy[len] = (char)(text[len] < ' ' || text[len] > '~' ? '?' : text[len]);
	copy[len] = '\0';
	return copy;
}

static void set(struct writer *writer, json_t *object, const char *key, json_t *value)
{
	if (json_object_set_new(object, key, value) < 0)
		writer->failed = true;
}

/* "" and NULL leave the key out. */
static void set_text(struct writer *writer, json_t *object, const char *key, const char *text)
{
	char copy[256];
	if (text && *text)
		set(writer, object, key, json_string(publish_clean(text, copy, sizeof(copy))));
}

static void set_time(struct writer *writer, json_t *object, const char *key, uint64_t time_s)
{
	char text[UTC_TEXT_MAX];
	if (time_s)
		set(writer, object, key, json_string(utc_format(time_s, text)));
}

static json_t *append(struct writer *writer, json_t *list)
{
	json_t *object = json_object();
	if (json_array_append_new(list, object) < 0) {
		writer->failed = true;
		return NULL;
	}
	return object;
}

/* Consumes root. The caller frees the text. */
static char *finish(const struct writer *writer, json_t *root, size_t *ret_len)
{
	const size_t flags = JSON_INDENT(1) | JSON_REAL_PRECISION(3);
	char *text = writer->failed ? NULL : object_dump(root, flags, "\n", ret_len);
	json_decref(root);
	return text;
}

/* --- the feed --- */

static void add_exclusion(struct writer *writer, json_t *list, const char *host, const struct addr *addr,
                          const struct verdict *verdict)
{
	char text[ADDR_TEXT_MAX];
	json_t *entry = append(writer, list);
	if (host)
		set_text(writer, entry, "mirror", host);
	else
		set_text(writer, entry, "address", addr_format(addr, text, sizeof(text)));
	set_text(writer, entry, "reason", reason_text(verdict->reason));
	set_time(writer, entry, "since", verdict->since_s);
	set_text(writer, entry, "detail", verdict->detail);
}

/* What is out with all of it, and why: as it says itself, else by the least bad of its addresses. */
static const struct verdict *mirror_verdict(const struct mirror_view *mirror)
{
	const struct verdict *least = &mirror->verdict;
	if (least->reason != REASON_NONE || mirror->addrs_n == 0)
		return least;
	least = &mirror->addrs[0].verdict;
	for (size_t i = 1; i < mirror->addrs_n; i++) {
		if (mirror->addrs[i].verdict.reason < least->reason)
			least = &mirror->addrs[i].verdict;
	}
	return least;
}

/*
 * An address that is worse than its mirror is named beside it: dnsd takes a late mirror back when too few are
 * left, but not its address with wrong content.
 */
static void add_exclusions(struct writer *writer, json_t *list, const struct mirror_view *mirror)
{
	const struct verdict *whole = mirror_verdict(mirror);
	if (whole->reason != REASON_NONE)
		add_exclusion(writer, list, mirror->host, NULL, whole);
	for (size_t i = 0; i < mirror->addrs_n; i++) {
		const struct address_view *address = &mirror->addrs[i];
		if (address->verdict.reason > whole->reason)
			add_exclusion(writer, list, NULL, &address->addr, &address->verdict);
	}
}

static void add_weight(struct writer *writer, json_t *list, const struct mirror_view *mirror, uint64_t now_s)
{
	if (mirror->ramp_permille >= 1000 || (mirror->ramp_full_s && mirror->ramp_full_s <= now_s) ||
	    mirror_verdict(mirror)->reason != REASON_NONE)
		return;
	uint32_t permille = mirror->ramp_permille ? mirror->ramp_permille : 1;
	uint64_t from_s = mirror->ramp_from_s ? mirror->ramp_from_s : now_s;
	json_t *entry = append(writer, list);
	set_text(writer, entry, "mirror", mirror->host);
	set(writer, entry, "factor", json_real(permille / 1000.0));
	set_time(writer, entry, "from", from_s);
	if (mirror->ramp_full_s > from_s)
		set_time(writer, entry, "full-at", mirror->ramp_full_s);
}

/* Without the time of their verification dnsd would take none of them. */
static void add_versions(struct writer *writer, json_t *root, const struct view *view)
{
	json_t *versions = json_object();
	if (!versions)
		writer->failed = true;
	for (size_t i = 0; i < view->databases_n; i++) {
		const struct announced *database = &view->databases[i];
		if (database->version)
			set(writer, versions, database->name, json_integer(database->version));
	}
	if (view->conf->announce.enabled && view->verified_s && json_object_size(versions)) {
		set_time(writer, versions, "verified", view->verified_s);
		set(writer, root, "versions", versions);
	} else {
		json_decref(versions);
	}
}

char *feed_format(const struct view *view, size_t *ret_len)
{
	struct writer writer = { .failed = false };
	json_t *root = json_object();
	json_t *excluded = json_array();
	json_t *weights = json_array();
	set(&writer, root, "format", json_integer(PUBLISH_FORMAT));
	set_text(&writer, root, "pool", view->conf->pool->name);
	set(&writer, root, "serial", json_integer((json_int_t)view->serial));
	set_time(&writer, root, "generated", view->now_s);
	set_time(&writer, root, "valid-until", view->now_s + view->conf->feed_valid_s);
	set_text(&writer, root, "monitor", view->conf->name);
	set(&writer, root, "excluded", excluded);
	set(&writer, root, "weights", weights);
	for (size_t i = 0; i < view->mirrors_n && !writer.failed; i++) {
		add_exclusions(&writer, excluded, &view->mirrors[i]);
		add_weight(&writer, weights, &view->mirrors[i], view->now_s);
	}
	if (!writer.failed)
		add_versions(&writer, root, view);
	return finish(&writer, root, ret_len);
}

/* --- the vote --- */

static void add_opinion(struct writer *writer, json_t *list, const char *host,
                        const struct address_view *address)
{
	char text[ADDR_TEXT_MAX];
	json_t *entry = append(writer, list);
	set_text(writer, entry, "mirror", host);
	set_text(writer, entry, "address", addr_format(&address->addr, text, sizeof(text)));
	set_text(writer, entry, "reason", reason_text(address->standing.reason));
	set_time(writer, entry, "since", address->standing.since_s);
	set_text(writer, entry, "detail", address->standing.detail);
}

char *vote_format(const struct view *view, size_t *ret_len)
{
	struct writer writer = { .failed = false };
	json_t *root = json_object();
	json_t *opinions = json_array();
	set(&writer, root, "format", json_integer(PUBLISH_FORMAT));
	set_text(&writer, root, "kind", VOTE_KIND);
	set_text(&writer, root, "pool", view->conf->pool->name);
	set_text(&writer, root, "monitor", view->conf->name);
	set_time(&writer, root, "generated", view->now_s);
	set(&writer, root, "self-ok", json_boolean(view->self_ok));
	set(&writer, root, "opinions", opinions);
	for (size_t i = 0; i < view->mirrors_n; i++) {
		const struct mirror_view *mirror = &view->mirrors[i];
		for (size_t k = 0; k < mirror->addrs_n && !writer.failed; k++) {
			if (mirror->addrs[k].standing.reason != REASON_NONE)
				add_opinion(&writer, opinions, mirror->host, &mirror->addrs[k]);
		}
	}
	return finish(&writer, root, ret_len);
}
