#include "conf/read.h"

#include <libconfig.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utc.h"

static void read_group(struct conf_reader *reader, const struct conf_group *group, config_setting_t *setting,
                       struct conf_place place, void *base, bool shared);

void conf_reader_error(struct conf_reader *reader, struct conf_place place, const char *fmt, ...)
{
	char *text = NULL;
	va_list args;
	va_start(args, fmt);
	int len = vasprintf(&text, fmt, args);
	va_end(args);
	if (len < 0) {
		reader->out_of_memory = true;
		return;
	}
	diag_error(reader->diag, place.file, place.line, "%s", text);
	free(text);
}

static enum conf_token_kind token_kind(const config_setting_t *setting)
{
	if (setting->name)
		return CONF_TOKEN_NAME;
	switch (setting->type) {
	case CONFIG_TYPE_STRING: return CONF_TOKEN_STRING;
	case CONFIG_TYPE_BOOL: return CONF_TOKEN_BOOL;
	case CONFIG_TYPE_GROUP: return CONF_TOKEN_GROUP;
	case CONFIG_TYPE_LIST: return CONF_TOKEN_LIST;
	case CONFIG_TYPE_ARRAY: return CONF_TOKEN_ARRAY;
	default: return CONF_TOKEN_NUMBER;
	}
}

/*
 * Where a setting stands. Its line is the number of a token; that of a string in a list is one too high,
 * because the parser looks at the next token first, so we go back to the nearest token of the right kind.
 */
static struct conf_place place_of(const struct conf_reader *reader, const config_setting_t *setting)
{
	const struct conf_source *source = reader->source;
	enum conf_token_kind kind = token_kind(setting);
	size_t line = config_setting_source_line(setting);
	size_t index = line ? line - 1 : 0;
	if (index >= source->tokens_n)
		index = source->tokens_n ? source->tokens_n - 1 : 0;
	while (index > 0 && source->tokens[index].kind != kind)
		index--;
	return conf_source_place(source, index);
}

/* What was found instead, for messages. */
static const char *describe(const config_setting_t *setting, char *text, size_t cap)
{
	char quoted[CONF_TEXT_MAX];
	switch (config_setting_type(setting)) {
	case CONFIG_TYPE_STRING: {
		const char *value = config_setting_get_string(setting);
		conf_quote(value, strlen(value), quoted, sizeof(quoted));
		snprintf(text, cap, "the text \"%s\"", quoted);
		break;
	}
	case CONFIG_TYPE_INT:
	case CONFIG_TYPE_INT64:
		snprintf(text, cap, "the number %lld",
		         config_setting_type(setting) == CONFIG_TYPE_INT ? config_setting_get_int(setting)
		                                                         : config_setting_get_int64(setting));
		break;
	case CONFIG_TYPE_FLOAT:
		snprintf(text, cap, "the fraction %g", config_setting_get_float(setting));
		break;
	case CONFIG_TYPE_BOOL:
		snprintf(text, cap, "%s", config_setting_get_bool(setting) ? "true" : "false");
		break;
	case CONFIG_TYPE_GROUP: snprintf(text, cap, "a group { }"); break;
	case CONFIG_TYPE_ARRAY: snprintf(text, cap, "a list [ ]"); break;
	default: snprintf(text, cap, "a list ( )"); break;
	}
	return text;
}

static const char *assignment(const struct conf_key *key)
{
	return key->type == CONF_GROUP ? ": " : " = ";
}

static void refuse_type(struct conf_reader *reader, const struct conf_key *key,
                        const config_setting_t *setting)
{
	char found[2 * CONF_TEXT_MAX];
	conf_reader_error(reader, place_of(reader, setting),
	                  "%s wants %s, found %s; write for example %s%s%s;", key->name,
	                  conf_type_noun(key->type), describe(setting, found, sizeof(found)), key->name,
	                  assignment(key), key->example);
}

static void refuse_text(struct conf_reader *reader, const struct conf_key *key, struct conf_place place,
                        const char *value, const char *why)
{
	char quoted[CONF_TEXT_MAX];
	conf_reader_error(reader, place, "%s: \"%s\" %s; write for example %s%s%s;", key->name,
	                  conf_quote(value, strlen(value), quoted, sizeof(quoted)), why, key->name,
	                  assignment(key), key->example);
}

/* Text for any use: no control characters (it may end up in a log or a message), not empty. */
static bool text_is_good(struct conf_reader *reader, const struct conf_key *key, struct conf_place place,
                         const char *value)
{
	const char *why = value[0] || key->may_be_empty ? NULL : "is empty";
	for (size_t i = 0; value[i]; i++) {
		if ((unsigned char)value[i] < 0x20 || value[i] == 0x7f)
			why = "has a control character";
	}
	if (!why && key->check)
		why = key->check(value);
	if (why)
		refuse_text(reader, key, place, value, why);
	return !why;
}

static const char *keep_text(struct conf_reader *reader, const char *value)
{
	char *copy = arena_strdup(reader->arena, value);
	if (!copy)
		reader->out_of_memory = true;
	return copy;
}

static void store_number(const struct conf_key *key, void *field, int64_t value)
{
	if (key->size == sizeof(uint16_t))
		*(uint16_t *)field = (uint16_t)value;
	else if (key->size == sizeof(uint32_t))
		*(uint32_t *)field = (uint32_t)value;
	else
		*(int64_t *)field = value;
}

static bool get_integer(const config_setting_t *setting, int64_t *ret_value)
{
	if (config_setting_type(setting) == CONFIG_TYPE_INT)
		*ret_value = config_setting_get_int(setting);
	else if (config_setting_type(setting) == CONFIG_TYPE_INT64)
		*ret_value = config_setting_get_int64(setting);
	else
		return false;
	return true;
}

static void read_number(struct conf_reader *reader, const struct conf_key *key,
                        const config_setting_t *setting, void *field)
{
	int64_t value;
	if (!get_integer(setting, &value))
		refuse_type(reader, key, setting);
	else if (value < key->min || value > key->max)
		conf_reader_error(reader, place_of(reader, setting), "%s is %lld, but must be %lld to %lld",
		                  key->name, (long long)value, (long long)key->min, (long long)key->max);
	else
		store_number(key, field, value);
}

static void read_duration(struct conf_reader *reader, const struct conf_key *key,
                          const config_setting_t *setting, void *field)
{
	char text[CONF_TEXT_MAX];
	char min[CONF_TEXT_MAX];
	char max[CONF_TEXT_MAX];
	const char *written = text;
	struct conf_place place = place_of(reader, setting);
	int64_t seconds;
	uint64_t ms;
	if (get_integer(setting, &seconds)) {
		snprintf(text, sizeof(text), "%lld", (long long)seconds);
	} else if (config_setting_type(setting) == CONFIG_TYPE_STRING) {
		written = config_setting_get_string(setting);
	} else {
		refuse_type(reader, key, setting);
		return;
	}
	if (conf_parse_duration(written, &ms) < 0) {
		refuse_text(
		        reader, key, place, written,
		        "is no duration: a number of seconds, or a text of a number and ms, s, m, h or d");
	} else if (ms < (uint64_t)key->min || ms > (uint64_t)key->max) {
		conf_reader_error(reader, place, "%s is %s, but must be %s to %s", key->name,
		                  conf_format_duration(ms, text, sizeof(text)),
		                  conf_format_duration((uint64_t)key->min, min, sizeof(min)),
		                  conf_format_duration((uint64_t)key->max, max, sizeof(max)));
	} else if (key->type == CONF_DURATION_S && ms % 1000 != 0) {
		refuse_text(reader, key, place, written, "is not a number of whole seconds");
	} else {
		*(uint32_t *)field = (uint32_t)(key->type == CONF_DURATION_S ? ms / 1000 : ms);
	}
}

/* As a plain number: seconds since 1970. As text, read_text() has both forms. */
static void read_seconds(struct conf_reader *reader, const struct conf_key *key,
                         const config_setting_t *setting, int64_t seconds, uint64_t *field)
{
	if (seconds < 0 || (uint64_t)seconds > UTC_MAX_S)
		conf_reader_error(
		        reader, place_of(reader, setting),
		        "%s is %lld, but must be 0 to %llu seconds since 1970; write for example %s = %s;",
		        key->name, (long long)seconds, (unsigned long long)UTC_MAX_S, key->name,
		        key->example);
	else
		*field = (uint64_t)seconds;
}

static void read_prefix(struct conf_reader *reader, const struct conf_key *key, struct conf_place place,
                        const char *value, struct prefix *field)
{
	if (prefix_parse(value, field) < 0)
		refuse_text(reader, key, place, value,
		            "is no network, or has a bit set past the length of its prefix");
}

static void read_text(struct conf_reader *reader, const struct conf_key *key, const config_setting_t *setting,
                      void *field)
{
	int64_t seconds;
	if (key->type == CONF_TIME && get_integer(setting, &seconds)) {
		read_seconds(reader, key, setting, seconds, field);
		return;
	}
	if (config_setting_type(setting) != CONFIG_TYPE_STRING) {
		refuse_type(reader, key, setting);
		return;
	}
	struct conf_place place = place_of(reader, setting);
	const char *value = config_setting_get_string(setting);
	if (!text_is_good(reader, key, place, value))
		return;
	if (key->type == CONF_TEXT) {
		*(const char **)field = keep_text(reader, value);
	} else if (key->type == CONF_PATH) {
		*(const char **)field = conf_path_beside(reader->arena, place.file, value);
		reader->out_of_memory |= !*(const char **)field;
	} else if (key->type == CONF_TIME) {
		if (utc_parse(value, field) < 0)
			refuse_text(reader, key, place, value,
			            "is no time; write it like 2026-12-01T02:00:00Z");
	} else if (key->type == CONF_ADDRESS) {
		if (addr_parse(value, field) < 0)
			refuse_text(reader, key, place, value, "is no IPv4 or IPv6 address");
	} else if (key->type == CONF_PREFIX) {
		read_prefix(reader, key, place, value, field);
	} else {
		char *country = field;
		for (size_t i = 0; i < 2; i++) {
			char upper = (char)(value[i] & ~0x20);
			country[i] = upper >= 'A' && upper <= 'Z' ? upper : '\0';
			if (!country[i])
				break;
		}
		if (!country[0] || !country[1] || value[2])
			refuse_text(reader, key, place, value, "is not a code of two letters");
	}
}

/*
 * Make room for `more` items after those that an earlier file brought. Pointers to all kinds of items are
 * stored through memcpy(): they are different types, of one size.
 */
static void *list_grow(struct conf_reader *reader, const struct conf_key *key, void *base, size_t item_size,
                       size_t more)
{
	char *field = (char *)base + key->off;
	size_t *n = (size_t *)(void *)((char *)base + key->n_off);
	void *old;
	memcpy(&old, field, sizeof(old));
	char *items = arena_alloc(reader->arena, (*n + more) * item_size);
	if (!items) {
		reader->out_of_memory = true;
		return NULL;
	}
	if (*n)
		memcpy(items, old, *n * item_size);
	void *stored = items;
	memcpy(field, &stored, sizeof(stored));
	void *first = items + *n * item_size;
	*n += more;
	return first;
}

static void read_list_text(struct conf_reader *reader, const struct conf_key *key, config_setting_t *setting,
                           void *item)
{
	struct conf_place place = place_of(reader, setting);
	const char *value = config_setting_get_string(setting);
	if (!text_is_good(reader, key, place, value))
		return;
	if (key->type == CONF_TEXTS) {
		*(const char **)item = keep_text(reader, value);
	} else if (key->type == CONF_PREFIXES) {
		read_prefix(reader, key, place, value, item);
	} else if (key->type == CONF_LISTEN) {
		struct conf_listen *listen = item;
		listen->place = place;
		if (addr_parse_listen(value, key->port, &listen->addr) < 0)
			refuse_text(reader, key, place, value, "is no address with an optional @ and port");
	} else {
		struct conf_mirror_addr *addr = item;
		addr->place = place;
		if (addr_parse(value, &addr->addr) < 0)
			refuse_text(reader, key, place, value, "is no IPv4 or IPv6 address");
	}
}

/* A list of plain texts; one alone may stand without its brackets. */
static void read_texts(struct conf_reader *reader, const struct conf_key *key, config_setting_t *setting,
                       void *base)
{
	size_t item_size = key->type == CONF_TEXTS      ? sizeof(const char *)
	                   : key->type == CONF_PREFIXES ? sizeof(struct prefix)
	                   : key->type == CONF_LISTEN   ? sizeof(struct conf_listen)
	                                                : sizeof(struct conf_mirror_addr);
	int type = config_setting_type(setting);
	bool single = type == CONFIG_TYPE_STRING;
	if (!single && type != CONFIG_TYPE_ARRAY && type != CONFIG_TYPE_LIST) {
		refuse_type(reader, key, setting);
		return;
	}
	unsigned n = single ? 1 : (unsigned)config_setting_length(setting);
	/* Every server listens somewhere: an empty list is a mistake, the way to the default is to say
	 * nothing. */
	if (n == 0 && (key->required || key->type == CONF_LISTEN))
		conf_reader_error(reader, place_of(reader, setting),
		                  "%s is empty; write for example %s = %s;", key->name, key->name,
		                  key->example);
	if (n == 0)
		return;
	/* First see that all are texts, so that an item of a good list is never left empty. */
	for (unsigned i = 0; !single && i < n; i++) {
		const config_setting_t *element = config_setting_get_elem(setting, i);
		if (config_setting_type(element) != CONFIG_TYPE_STRING) {
			refuse_type(reader, key, element);
			return;
		}
	}
	char *items = list_grow(reader, key, base, item_size, n);
	for (unsigned i = 0; items && i < n; i++)
		read_list_text(reader, key, single ? setting : config_setting_get_elem(setting, i),
		               items + i * item_size);
}

static void read_groups(struct conf_reader *reader, const struct conf_key *key, config_setting_t *setting,
                        void *base)
{
	const struct conf_group *group = key->group;
	int type = config_setting_type(setting);
	unsigned n = 0;
	if (type == CONFIG_TYPE_LIST || type == CONFIG_TYPE_ARRAY)
		n = (unsigned)config_setting_length(setting);
	if (type != CONFIG_TYPE_LIST && !(type == CONFIG_TYPE_ARRAY && n == 0)) {
		refuse_type(reader, key, setting);
		return;
	}
	if (n == 0)
		return;
	char *items = list_grow(reader, key, base, group->size, n);
	for (unsigned i = 0; items && i < n; i++) {
		config_setting_t *element = config_setting_get_elem(setting, i);
		void *item = items + i * group->size;
		conf_reader_defaults(group, item);
		if (config_setting_type(element) != CONFIG_TYPE_GROUP)
			refuse_type(reader, key, element);
		else
			read_group(reader, group, element, place_of(reader, element), item, false);
	}
}

/* A setting of server or geo may stand in any file, but only in one. */
static bool is_first(struct conf_reader *reader, const struct conf_key *key, struct conf_place place)
{
	for (size_t i = 0; i < reader->seen_n; i++) {
		if (reader->seen[i].key == key) {
			conf_reader_error(reader, place, "%s is given twice: it is already set at %s:%u",
			                  key->name, reader->seen[i].place.file, reader->seen[i].place.line);
			return false;
		}
	}
	if (reader->seen_n < CONF_SEEN_MAX) {
		reader->seen[reader->seen_n].key = key;
		reader->seen[reader->seen_n++].place = place;
	}
	return true;
}

static void read_value(struct conf_reader *reader, const struct conf_key *key, config_setting_t *setting,
                       void *base, bool shared)
{
	void *field = (char *)base + key->off;
	bool merged = key->type == CONF_TEXTS || key->type == CONF_PREFIXES || key->type == CONF_LISTEN ||
	              key->type == CONF_ADDRESSES || key->type == CONF_GROUP || key->type == CONF_GROUPS;
	if (shared && !merged && !is_first(reader, key, place_of(reader, setting)))
		return;
	switch (key->type) {
	case CONF_NUMBER: read_number(reader, key, setting, field); break;
	case CONF_DURATION_S:
	case CONF_DURATION_MS: read_duration(reader, key, setting, field); break;
	case CONF_BOOL:
		if (config_setting_type(setting) != CONFIG_TYPE_BOOL)
			refuse_type(reader, key, setting);
		else
			*(bool *)field = config_setting_get_bool(setting);
		break;
	case CONF_TIME:
	case CONF_TEXT:
	case CONF_PATH:
	case CONF_COUNTRY:
	case CONF_ADDRESS:
	case CONF_PREFIX: read_text(reader, key, setting, field); break;
	case CONF_TEXTS:
	case CONF_PREFIXES:
	case CONF_LISTEN:
	case CONF_ADDRESSES: read_texts(reader, key, setting, base); break;
	case CONF_GROUPS: read_groups(reader, key, setting, base); break;
	case CONF_GROUP:
		if (config_setting_type(setting) != CONFIG_TYPE_GROUP)
			refuse_type(reader, key, setting);
		else
			read_group(reader, key->group, setting, place_of(reader, setting), field, shared);
		break;
	}
}

/* Unknown: a slip of the hand, a setting of another group, or something we never had. */
static void refuse_unknown(struct conf_reader *reader, const struct conf_group *group,
                           const config_setting_t *setting)
{
	char name[CONF_TEXT_MAX];
	const char *names[64]; /* as many as read_group() has bits for */
	char list[512] = "";
	size_t used = 0;
	struct conf_place place = place_of(reader, setting);
	conf_quote(setting->name, strlen(setting->name), name, sizeof(name));
	for (size_t i = 0; i < group->keys_n; i++) {
		names[i] = group->keys[i].name;
		int len = snprintf(list + used, sizeof(list) - used, "%s%s", i ? ", " : "", names[i]);
		used += len > 0 && (size_t)len < sizeof(list) - used ? (size_t)len : 0;
	}
	const char *near = conf_nearest(setting->name, names, group->keys_n);
	const struct conf_group *owner = near ? NULL : conf_schema_owner(reader->root, setting->name);
	if (near)
		conf_reader_error(reader, place, "unknown setting \"%s\" in this %s; did you mean \"%s\"?",
		                  name, group->noun, near);
	else if (owner)
		conf_reader_error(reader, place,
		                  "unknown setting \"%s\" in this %s; it belongs %s%s, here are: %s", name,
		                  group->noun, owner->where ? "into " : "to the top level of the file",
		                  owner->where ? owner->where : "", list);
	else
		conf_reader_error(reader, place, "unknown setting \"%s\" in this %s; there are: %s", name,
		                  group->noun, list);
}

/*
 * shared: the struct belongs to the whole configuration and may get settings from several files, so it must
 * not start from its defaults again, and lacks nothing before the last file.
 */
static void read_group(struct conf_reader *reader, const struct conf_group *group, config_setting_t *setting,
                       struct conf_place place, void *base, bool shared)
{
	uint64_t given = 0;
	size_t errors_before = reader->diag->errors_n;
	if (group->placed) {
		struct conf_place *stored = base;
		if (!stored->file)
			*stored = place;
	}
	unsigned n = (unsigned)config_setting_length(setting);
	for (unsigned i = 0; i < n; i++) {
		config_setting_t *member = config_setting_get_elem(setting, i);
		int key = conf_schema_find(group, member->name);
		if (key < 0) {
			refuse_unknown(reader, group, member);
			continue;
		}
		given |= UINT64_C(1) << key;
		read_value(reader, &group->keys[key], member, base, shared);
	}
	for (size_t i = 0; i < group->keys_n; i++) {
		const struct conf_key *key = &group->keys[i];
		if (key->required && !(given & (UINT64_C(1) << i)))
			conf_reader_error(reader, place, "this %s lacks %s; write for example %s = %s;",
			                  group->noun, key->name, key->name, key->example);
	}
	reader->group = group;
	reader->group_good = reader->diag->errors_n == errors_before;
	if (group->finish)
		group->finish(reader, base, given);
}

void conf_reader_defaults(const struct conf_group *group, void *base)
{
	for (size_t i = 0; i < group->keys_n; i++) {
		const struct conf_key *key = &group->keys[i];
		void *field = (char *)base + key->off;
		uint64_t ms = 0;
		if (key->type == CONF_GROUP)
			conf_reader_defaults(key->group, field);
		if (!key->fallback)
			continue;
		switch (key->type) {
		case CONF_NUMBER: store_number(key, field, strtoll(key->fallback, NULL, 10)); break;
		case CONF_DURATION_S:
		case CONF_DURATION_MS:
			conf_parse_duration(key->fallback, &ms);
			*(uint32_t *)field = (uint32_t)(key->type == CONF_DURATION_S ? ms / 1000 : ms);
			break;
		case CONF_BOOL: *(bool *)field = strcmp(key->fallback, "true") == 0; break;
		case CONF_TEXT: *(const char **)field = key->fallback; break;
		default: break; /* the lists that have defaults are made in conf.c */
		}
	}
}

void conf_reader_document(struct conf_reader *reader, const struct conf_source *source,
                          const struct conf_group *root, void *base)
{
	config_t config;
	config_init(&config);
	reader->source = source;
	reader->root = root;
	if (config_read_string(&config, source->text ? source->text : "")) {
		struct conf_place place = { .file = source->files[0], .line = 1 };
		read_group(reader, root, config_root_setting(&config), place, base, true);
	} else {
		/* source_check.c knows the grammar, so this is a case that it should learn about. */
		int line = config_error_line(&config);
		const char *text = config_error_text(&config);
		reader->broken = true;
		conf_reader_error(
		        reader, conf_source_place(source, line > 0 ? (size_t)line - 1 : 0), "%s%s",
		        text ? text : "syntax error",
		        text && strstr(text, "array") ? "; the values in [ ] must all be of one type" : "");
	}
	config_destroy(&config);
	reader->source = NULL;
}
