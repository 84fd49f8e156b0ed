#include "zones/pool/feed.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/grow.h"
#include "base/object.h"
#include "base/utc.h"

#define DEPTH_MAX    16
#define HOST_MAX     253
#define DETAIL_MAX   200
#define FUTURE_MAX_S 300 /* clocks of monitor and server may differ by so much */
#define VERSIONS_MAX 64

/* One feed on its way in. */
struct parse {
	struct feed *feed;
	const char *file;
	struct diag *diag;
	struct grow exclusions;
	struct grow weights;
	struct grow versions;
	bool failed; /* refused as a whole */
	bool no_memory;
};

struct feed *feed_ref(struct feed *feed)
{
	if (feed)
		__atomic_add_fetch(&feed->refs, 1, __ATOMIC_RELAXED);
	return feed;
}

void feed_unref(struct feed *feed)
{
	if (!feed || __atomic_sub_fetch(&feed->refs, 1, __ATOMIC_ACQ_REL))
		return;
	arena_fini(&feed->arena);
	free(feed->exclusions);
	free(feed->weights);
	free(feed->versions);
	free(feed);
}

/* The whole feed is refused. place: line, 0 = none. */
static void refuse(struct parse *parse, unsigned place, const char *fmt, ...)
        __attribute__((format(printf, 3, 4)));
static void refuse(struct parse *parse, unsigned place, const char *fmt, ...)
{
	char text[512];
	va_list args;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	diag_error(parse->diag, parse->file, place,
	           "%s; the feed is refused, the last good one stays in force", text);
	parse->failed = true;
}

/* Text from outside, as it may appear in a log: printable, bounded. */
static const char *keep_text(struct parse *parse, const char *text, size_t most)
{
	char copy[256];
	size_t len = 0;
	for (; text[len] && len < most && len < sizeof(copy) - 1; len++) {
		unsigned char c = (unsigned char)text[len];
		copy[len] = (char)(c < 0x20 || c == 0x7f ? ' ' : c);
	}
	/* Not in the middle of a character: half of one is no UTF-8. */
	while (text[len] && len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80)
		len--;
	copy[len] = '\0';
	const char *kept = arena_strdup(&parse->feed->arena, copy);
	parse->no_memory |= !kept;
	return kept;
}

static bool is_host(const char *text)
{
	size_t len = strlen(text);
	bool letter = false;
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];
		letter |= isalpha(c) != 0;
		if (!isalnum(c) && c != '-' && c != '.' && c != '_')
			return false;
	}
	return letter && len <= HOST_MAX;
}

static void add_exclusion(struct parse *parse, const char *who, const char *reason_word, uint64_t since_s,
                          const char *detail, unsigned place)
{
	struct feed_exclusion exclusion = { .since_s = since_s, .place = place };
	exclusion.reason = reason_from_text(reason_word);
	if (exclusion.reason == REASON_N) {
		diag_warning(parse->diag, parse->file, place,
		             "unknown reason \"%.40s\" for \"%.80s\"; this entry is ignored, docs/feed.md "
		             "lists the reasons",
		             reason_word, who);
		return;
	}
	if (addr_parse(who, &exclusion.addr) < 0) {
		if (!is_host(who)) {
			diag_warning(parse->diag, parse->file, place,
			             "\"%.80s\" is neither a host name nor an address; this entry is ignored",
			             who);
			return;
		}
		exclusion.host = keep_text(parse, who, HOST_MAX);
	}
	if (detail && *detail)
		exclusion.detail = keep_text(parse, detail, DETAIL_MAX);
	struct feed_exclusion *place_in = grow_add(&parse->exclusions, 1);
	if (place_in)
		*place_in = exclusion;
	else
		parse->no_memory = true;
}

/* --- the plain form --- */

/* Digits up to what the other form can say. */
static int parse_serial(const char *text, uint64_t *ret_serial)
{
	if (*text < '0' || *text > '9')
		return -EINVAL;
	char *rest;
	errno = 0;
	unsigned long long serial = strtoull(text, &rest, 10);
	if (*rest || errno || serial > INT64_MAX)
		return -EINVAL;
	*ret_serial = serial;
	return 0;
}

/* "serial N", "generated T", "valid-until T". Returns false when the line is not one of these. */
static bool read_setting(struct parse *parse, const char *key, const char *value, unsigned line)
{
	uint64_t *target = NULL;
	if (strcmp(key, "serial") == 0)
		target = &parse->feed->serial;
	else if (strcmp(key, "generated") == 0)
		target = &parse->feed->generated_s;
	else if (strcmp(key, "valid-until") == 0)
		target = &parse->feed->valid_until_s;
	if (!target)
		return false;
	bool is_serial = target == &parse->feed->serial;
	if ((is_serial ? parse_serial(value, target) : utc_parse(value, target)) < 0)
		refuse(parse, line, "\"%.40s\" is no %s", value,
		       is_serial ? "number from 0 to 9223372036854775807"
		                 : "time; write 2026-11-21T07:00:00Z or seconds since 1970");
	return true;
}

static void read_line(struct parse *parse, char *line, unsigned number)
{
	char *comment = strchr(line, '#');
	if (comment)
		*comment = '\0';
	char *rest = NULL;
	const char *who = strtok_r(line, " \t\r", &rest);
	const char *word = strtok_r(NULL, " \t\r", &rest);
	if (!who)
		return;
	if (!word) {
		refuse(parse, number, "\"%.80s\" stands without a reason; write \"%.80s unreachable\"", who,
		       who);
		return;
	}
	while (rest && (*rest == ' ' || *rest == '\t'))
		rest++;
	if (!read_setting(parse, who, word, number))
		add_exclusion(parse, who, word, 0, rest, number);
}

static void parse_plain(struct parse *parse, const char *text, size_t text_len)
{
	/* A file that was cut off can't be told by its form, but for this: every line ends. */
	if (text_len && text[text_len - 1] != '\n') {
		refuse(parse, 0, "its last line does not end: was it cut off?");
		return;
	}
	unsigned number = 0;
	for (const char *at = text, *end = text + text_len; at < end && !parse->failed;) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		size_t len = (size_t)(newline - at);
		char line[1024];
		number++;
		if (len >= sizeof(line) || memchr(at, '\0', len)) {
			refuse(parse, number,
			       "a line that is too long or holds a zero byte: this is no feed");
			return;
		}
		memcpy(line, at, len);
		line[len] = '\0';
		read_line(parse, line, number);
		at = newline + 1;
	}
}

/* --- JSON --- */

static const char *get_text(struct parse *parse, const json_t *object, const char *key, unsigned place)
{
	const json_t *value = json_object_get(object, key);
	if (value && !json_is_string(value)) {
		refuse(parse, place, "\"%s\" is no text", key);
		return NULL;
	}
	return value ? json_string_value(value) : NULL;
}

static uint64_t get_time(struct parse *parse, const json_t *object, const char *key, unsigned place)
{
	const json_t *value = json_object_get(object, key);
	uint64_t time_s = 0;
	if (!value)
		return 0;
	if (json_is_integer(value) && json_integer_value(value) >= 0 &&
	    json_integer_value(value) <= (json_int_t)UTC_MAX_S)
		return (uint64_t)json_integer_value(value);
	if (!json_is_string(value) || utc_parse(json_string_value(value), &time_s) < 0)
		refuse(parse, place,
		       "\"%s\" is no time; write \"2026-11-21T07:00:00Z\" or seconds since 1970", key);
	return time_s;
}

/* Keys nobody knows are told: a misspelt one would silently do nothing. */
static void check_keys(struct parse *parse, json_t *object, const char *const *known, unsigned place)
{
	const char *key;
	json_t *value;
	json_object_foreach(object, key, value)
	{
		size_t i = 0;
		while (known[i] && strcmp(known[i], key) != 0)
			i++;
		if (!known[i])
			diag_warning(parse->diag, parse->file, place, "unknown key \"%.40s\" is ignored",
			             key);
	}
}

static void read_excluded(struct parse *parse, json_t *entry, unsigned place)
{
	static const char *const known[] = { "mirror", "address", "reason", "since", "detail", NULL };
	if (!json_is_object(entry)) {
		refuse(parse, 0, "entry %u of \"excluded\" is no object", place);
		return;
	}
	check_keys(parse, entry, known, place);
	const char *mirror = get_text(parse, entry, "mirror", place);
	const char *address = get_text(parse, entry, "address", place);
	const char *reason = get_text(parse, entry, "reason", place);
	const char *detail = get_text(parse, entry, "detail", place);
	uint64_t since_s = get_time(parse, entry, "since", place);
	if (parse->failed)
		return;
	if (!mirror == !address || !reason)
		refuse(parse, 0,
		       "entry %u of \"excluded\" needs a \"reason\" and either \"mirror\" or \"address\"",
		       place);
	else
		add_exclusion(parse, mirror ? mirror : address, reason, since_s, detail, place);
}

static void read_weight(struct parse *parse, json_t *entry, unsigned place)
{
	static const char *const known[] = { "mirror", "factor", "from", "full-at", NULL };
	if (!json_is_object(entry)) {
		refuse(parse, 0, "entry %u of \"weights\" is no object", place);
		return;
	}
	check_keys(parse, entry, known, place);
	const char *mirror = get_text(parse, entry, "mirror", place);
	const json_t *factor = json_object_get(entry, "factor");
	uint64_t from_s = get_time(parse, entry, "from", place);
	uint64_t full_s = get_time(parse, entry, "full-at", place);
	if (parse->failed)
		return;
	if (from_s == 0)
		from_s = parse->feed->generated_s;
	if (full_s && (from_s == 0 || full_s <= from_s)) {
		refuse(parse, 0,
		       "entry %u of \"weights\": \"full-at\" needs an earlier \"from\" or \"generated\"",
		       place);
		return;
	}
	if (!mirror || !json_is_number(factor)) {
		refuse(parse, 0, "entry %u of \"weights\" needs \"mirror\" and a number \"factor\"", place);
		return;
	}
	double value = json_number_value(factor);
	if (!(value > 0 && value <= 1) || !is_host(mirror)) {
		diag_warning(parse->diag, parse->file, place,
		             "the weight of \"%.80s\" is ignored: a factor is over 0 and at most 1", mirror);
		return;
	}
	struct feed_weight *weight = grow_add(&parse->weights, 1);
	if (!weight) {
		parse->no_memory = true;
		return;
	}
	uint32_t permille = (uint32_t)(value * 1000 + 0.5);
	*weight = (struct feed_weight){ .host = keep_text(parse, mirror, HOST_MAX),
		                        .permille = permille ? permille : 1,
		                        .from_s = from_s,
		                        .full_s = full_s,
		                        .place = place };
}

static void read_versions(struct parse *parse, json_t *versions)
{
	if (!json_is_object(versions)) {
		refuse(parse, 0, "\"versions\" is no object");
		return;
	}
	parse->feed->versions_verified_s = get_time(parse, versions, "verified", 0);
	const char *key;
	json_t *value;
	json_object_foreach(versions, key, value)
	{
		if (strcmp(key, "verified") == 0)
			continue;
		json_int_t number = json_is_integer(value) ? json_integer_value(value) : 0;
		if (number < 1 || number > UINT32_MAX || parse->versions.n == VERSIONS_MAX) {
			refuse(parse, 0, "the version of \"%.40s\" is no number of at least 1", key);
			return;
		}
		struct feed_version *version = grow_add(&parse->versions, 1);
		if (!version) {
			parse->no_memory = true;
			return;
		}
		*version = (struct feed_version){ .database = keep_text(parse, key, 40),
			                          .version = (uint32_t)number };
	}
}

static void read_list(struct parse *parse, json_t *root, const char *key,
                      void (*read_entry)(struct parse *parse, json_t *entry, unsigned place))
{
	json_t *list = json_object_get(root, key);
	if (!list)
		return;
	if (!json_is_array(list)) {
		refuse(parse, 0, "\"%s\" is no list", key);
		return;
	}
	for (size_t i = 0; i < json_array_size(list) && !parse->failed; i++)
		read_entry(parse, json_array_get(list, i), (unsigned)i + 1);
}

static void read_root(struct parse *parse, json_t *root)
{
	static const char *const known[] = { "format",  "pool",     "serial",  "generated", "valid-until",
		                             "monitor", "excluded", "weights", "versions",  NULL };
	struct feed *feed = parse->feed;
	const json_t *format = json_object_get(root, "format");
	const json_t *serial = json_object_get(root, "serial");
	if (!json_is_integer(format) || json_integer_value(format) != FEED_FORMAT) {
		refuse(parse, 0, "\"format\" is not %d, the only one there is", FEED_FORMAT);
		return;
	}
	if (!json_is_integer(serial) || json_integer_value(serial) < 1) {
		refuse(parse, 0, "no \"serial\"; write a number that rises with each feed");
		return;
	}
	check_keys(parse, root, known, 0);
	feed->serial = (uint64_t)json_integer_value(serial);
	feed->generated_s = get_time(parse, root, "generated", 0);
	feed->valid_until_s = get_time(parse, root, "valid-until", 0);
	const char *pool = get_text(parse, root, "pool", 0);
	const char *monitor = get_text(parse, root, "monitor", 0);
	if (pool)
		feed->pool = keep_text(parse, pool, HOST_MAX);
	if (monitor)
		feed->monitor = keep_text(parse, monitor, HOST_MAX);
	if (!parse->failed)
		read_list(parse, root, "excluded", read_excluded);
	if (!parse->failed)
		read_list(parse, root, "weights", read_weight);
	json_t *versions = json_object_get(root, "versions");
	if (!parse->failed && versions)
		read_versions(parse, versions);
}

static void parse_json(struct parse *parse, const char *text, size_t text_len)
{
	if (object_is_deep(text, text_len, DEPTH_MAX)) {
		refuse(parse, 0, "brackets deeper than %d: this is no feed", DEPTH_MAX);
		return;
	}
	json_error_t error;
	json_t *root = json_loadb(text, text_len, JSON_REJECT_DUPLICATES, &error);
	if (!root) {
		refuse(parse, error.line > 0 ? (unsigned)error.line : 0, "no JSON, or cut off: %s",
		       error.text);
		return;
	}
	if (json_is_object(root))
		read_root(parse, root);
	else
		refuse(parse, 0, "no JSON object");
	json_decref(root);
}

/* --- both --- */

static void check_feed(struct parse *parse, const char *pool, uint64_t now_s)
{
	const struct feed *feed = parse->feed;
	if (feed->pool && strcmp(feed->pool, pool) != 0)
		refuse(parse, 0, "it is for pool \"%s\", this is pool \"%s\"", feed->pool, pool);
	else if (feed->generated_s > now_s + FUTURE_MAX_S)
		refuse(parse, 0,
		       "it was generated in the future (%" PRIu64 ", now it is %" PRIu64 "): a wrong clock",
		       feed->generated_s, now_s);
	else if (feed->valid_until_s && feed->valid_until_s < feed->generated_s)
		refuse(parse, 0, "\"valid-until\" is before \"generated\"");
}

int feed_parse(const char *text, size_t text_len, const char *file, const char *pool, uint64_t now_s,
               struct diag *diag, struct feed **ret_feed)
{
	struct parse parse = { .feed = calloc(1, sizeof(*parse.feed)), .file = file, .diag = diag };
	if (!parse.feed)
		return -ENOMEM;
	parse.feed->refs = 1;
	arena_init(&parse.feed->arena);
	grow_init(&parse.exclusions, sizeof(struct feed_exclusion));
	grow_init(&parse.weights, sizeof(struct feed_weight));
	grow_init(&parse.versions, sizeof(struct feed_version));
	if (text_len && text[0] == '{')
		parse_json(&parse, text, text_len);
	else if (text_len)
		parse_plain(&parse, text, text_len);
	else
		refuse(&parse, 0,
		       "the file is empty; a plain feed that excludes nobody is a single comment line");
	if (!parse.failed)
		check_feed(&parse, pool, now_s);
	parse.feed->text = arena_memdup(&parse.feed->arena, text, text_len);
	parse.feed->text_len = text_len;
	parse.no_memory |= !parse.feed->text;
	struct feed *feed = parse.feed;
	feed->exclusions_n = parse.exclusions.n;
	feed->exclusions = grow_take(&parse.exclusions);
	feed->weights_n = parse.weights.n;
	feed->weights = grow_take(&parse.weights);
	feed->versions_n = parse.versions.n;
	feed->versions = grow_take(&parse.versions);
	if (parse.failed || parse.no_memory) {
		feed_unref(feed);
		return parse.failed ? -EINVAL : -ENOMEM;
	}
	*ret_feed = feed;
	return 0;
}
