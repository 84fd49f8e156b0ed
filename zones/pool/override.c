#include "zones/pool/override.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/object.h"
#include "base/utc.h"

#define FORMAT 1

static const char *const action_text[] = { "down", "drain", "up" };

const char *override_action_text(enum override_action action)
{
	return action_text[action];
}

enum override_action override_action_from_text(const char *text)
{
	int action = 0;
	while (action < OVERRIDE_ACTION_N && strcmp(action_text[action], text) != 0)
		action++;
	return (enum override_action)action;
}

struct override_set *override_set_ref(struct override_set *set)
{
	if (set)
		__atomic_add_fetch(&set->refs, 1, __ATOMIC_RELAXED);
	return set;
}

void override_set_unref(struct override_set *set)
{
	if (!set || __atomic_sub_fetch(&set->refs, 1, __ATOMIC_ACQ_REL))
		return;
	arena_fini(&set->arena);
	free(set);
}

static struct override_set *create(size_t most)
{
	struct override_set *set = calloc(1, sizeof(*set));
	if (!set)
		return NULL;
	set->refs = 1;
	arena_init(&set->arena);
	set->items = arena_alloc(&set->arena, (most + 1) * sizeof(*set->items));
	if (!set->items) {
		override_set_unref(set);
		return NULL;
	}
	return set;
}

static int append(struct override_set *set, const struct override *from)
{
	struct override *item = &set->items[set->n];
	*item = *from;
	item->pool = arena_strdup(&set->arena, from->pool);
	item->host = arena_strdup(&set->arena, from->host);
	item->author = arena_strdup(&set->arena, from->author);
	item->reason = arena_strdup(&set->arena, from->reason);
	if (!item->pool || !item->host || !item->author || !item->reason)
		return -ENOMEM;
	set->n++;
	return 0;
}

static bool is_of(const struct override *item, const char *pool, const char *host)
{
	return strcmp(item->pool, pool) == 0 && strcmp(item->host, host) == 0;
}

int override_set_change(const struct override_set *set, const char *pool, const char *host,
                        const struct override *add, uint64_t now_s, struct override_set **ret_set)
{
	struct override_set *changed = create((set ? set->n : 0) + 1);
	int rc = changed ? 0 : -ENOMEM;
	for (size_t i = 0; set && i < set->n && rc == 0; i++) {
		const struct override *item = &set->items[i];
		bool ended = item->until_s && item->until_s <= now_s;
		if (!ended && !is_of(item, pool, host))
			rc = append(changed, item);
	}
	if (add && rc == 0)
		rc = append(changed, add);
	if (rc < 0)
		override_set_unref(changed);
	else
		*ret_set = changed;
	return rc;
}

const struct override *override_set_find(const struct override_set *set, const char *pool, const char *host)
{
	for (size_t i = 0; set && i < set->n; i++) {
		if (is_of(&set->items[i], pool, host))
			return &set->items[i];
	}
	return NULL;
}

/* --- JSON --- */

#define TEXTS_N 5

json_t *override_to_json(const struct override *override)
{
	json_t *object = json_pack("{ss ss ss ss ss}", "pool", override->pool, "mirror", override->host,
	                           "action", override_action_text(override->action), "author",
	                           override->author, "reason", override->reason);
	if (object) {
		object_set_time(object, "set", override->set_s);
		object_set_time(object, "from", override->from_s);
		object_set_time(object, "until", override->until_s);
	}
	/* Without its end it would stay for ever. */
	size_t keys_n = TEXTS_N;
	keys_n += override->set_s != 0;
	keys_n += override->from_s != 0;
	keys_n += override->until_s != 0;
	if (json_object_size(object) == keys_n)
		return object;
	json_decref(object);
	return NULL;
}

json_t *override_set_to_json(const struct override_set *set)
{
	json_t *list = json_array();
	for (size_t i = 0; set && list && i < set->n; i++) {
		if (json_array_append_new(list, override_to_json(&set->items[i])) < 0) {
			json_decref(list);
			return NULL;
		}
	}
	return json_pack("{si so}", "format", FORMAT, "overrides", list);
}

static bool read_time(const json_t *entry, const char *key, uint64_t *ret_s)
{
	const json_t *value = json_object_get(entry, key);
	*ret_s = 0;
	return !value || (json_is_string(value) && utc_parse(json_string_value(value), ret_s) == 0);
}

static bool read_entry(const json_t *entry, struct override *ret)
{
	const char *action = json_string_value(json_object_get(entry, "action"));
	ret->pool = json_string_value(json_object_get(entry, "pool"));
	ret->host = json_string_value(json_object_get(entry, "mirror"));
	ret->author = json_string_value(json_object_get(entry, "author"));
	ret->reason = json_string_value(json_object_get(entry, "reason"));
	if (!action || !ret->pool || !ret->host || !ret->author || !ret->reason)
		return false;
	ret->action = override_action_from_text(action);
	return ret->action != OVERRIDE_ACTION_N && read_time(entry, "set", &ret->set_s) &&
	       read_time(entry, "from", &ret->from_s) && read_time(entry, "until", &ret->until_s);
}

int override_set_parse(const char *text, size_t text_len, const char *file, struct diag *diag,
                       struct override_set **ret_set)
{
	json_error_t error;
	json_t *root = json_loadb(text, text_len, 0, &error);
	const json_t *list = json_object_get(root, "overrides");
	if (!json_is_array(list) || json_integer_value(json_object_get(root, "format")) != FORMAT) {
		diag_error(diag, file, root ? 0 : (unsigned)(error.line > 0 ? error.line : 0),
		           "these are no overrides: %s",
		           root ? "wrong format; dnsdctl mirror writes this file" : error.text);
		json_decref(root);
		return -EINVAL;
	}
	struct override_set *set = create(json_array_size(list));
	int rc = set ? 0 : -ENOMEM;
	for (size_t i = 0; i < json_array_size(list) && rc == 0; i++) {
		struct override item = { 0 };
		if (!read_entry(json_array_get(list, i), &item))
			diag_warning(diag, file, 0, "entry %zu is not understood and left out", i + 1);
		else if (!override_set_find(set, item.pool, item.host))
			rc = append(set, &item);
	}
	json_decref(root);
	if (rc < 0)
		override_set_unref(set);
	else
		*ret_set = set;
	return rc;
}
