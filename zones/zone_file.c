#include "zones/zone_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "wire/name.h"
#include "wire/wire.h"
#include "zones/zone_lexer.h"
#include "zones/zone_rdata.h"

#define INCLUDE_DEPTH_MAX 8
#define TYPE_SOA          6

/** One file being read. Files on the way to it hang on parent. */
struct source {
	struct zone_input input;
	const struct source *parent;
	bool is_file;   /* $INCLUDE only works from a file */
	unsigned depth; /* 0 = the zone file itself */
	dev_t dev;
	ino_t ino;
};

enum owner_state { OWNER_NONE, OWNER_BAD, OWNER_GOOD };

/** All state of one load, over all its files. */
struct loader {
	struct diag *diag;
	struct zone_records *records;
	size_t records_max;
	bool is_full; /* records_max was passed and reported: stop everywhere */

	uint8_t origin[WIRE_NAME_MAX];
	size_t origin_len;
	enum owner_state owner_state;
	const uint8_t *owner; /* lower case, in the arena, shared by neighbours */
	uint8_t owner_len;

	bool has_default_ttl; /* $TTL, RFC 2308 section 4 */
	bool has_last_ttl;    /* TTL of the last record that had one, RFC 1035 section 5.1 */
	uint32_t default_ttl_s;
	uint32_t last_ttl_s;

	struct zone_lexer lexer;
	uint8_t *rdata; /* ZONE_RDATA_MAX bytes */
};

static int read_source(struct loader *loader, struct source *source);

/* ---- directives ---- */

static int directive_origin(struct loader *loader, const struct source *source,
                            const struct zone_entry *entry)
{
	uint8_t origin[WIRE_NAME_MAX];
	struct zone_why why;
	if (entry->tokens_n != 2) {
		diag_error(loader->diag, source->input.name, entry->line,
		           "$ORIGIN takes one name; write $ORIGIN NAME.");
		return 0;
	}
	int len = zone_name_from_token(&loader->lexer.tokens[1], loader->origin, loader->origin_len, origin,
	                               &why);
	if (len < 0) {
		diag_error(loader->diag, source->input.name, entry->line, "$ORIGIN: %s", why.text);
		return 0;
	}
	memcpy(loader->origin, origin, (size_t)len);
	loader->origin_len = (size_t)len;
	return 0;
}

static int directive_ttl(struct loader *loader, const struct source *source, const struct zone_entry *entry)
{
	char shown[ZONE_QUOTE_MAX];
	if (entry->tokens_n != 2) {
		diag_error(loader->diag, source->input.name, entry->line,
		           "$TTL takes one time; write $TTL 3600 or $TTL 1h");
		return 0;
	}
	if (zone_ttl_from_text(loader->lexer.tokens[1].text, &loader->default_ttl_s) < 0) {
		diag_error(loader->diag, source->input.name, entry->line,
		           "$TTL: %s is not a time; write $TTL 3600 or $TTL 1h",
		           zone_quote(loader->lexer.tokens[1].text, shown));
		/* Told once here, not again at every record that would have used it. */
		loader->default_ttl_s = 0;
	}
	loader->has_default_ttl = true;
	return 0;
}

/** A whole regular file in memory. Never a device or a FIFO: an include must not hang the loader. */
static int slurp(const char *path, char **ret_text, size_t *ret_len, struct stat *ret_stat)
{
	int rc = 0;
	char *text = NULL;
	size_t len = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return errno == ENOENT ? -ENOENT : -errno;
	if (fstat(fd, ret_stat) < 0) {
		rc = -errno;
		goto out;
	}
	if (!S_ISREG(ret_stat->st_mode)) {
		rc = S_ISDIR(ret_stat->st_mode) ? -EISDIR : -EINVAL;
		goto out;
	}
	size_t cap = (size_t)ret_stat->st_size + 1; /* one more, to see the end without another round */
	text = malloc(cap);
	if (!text) {
		rc = -ENOMEM;
		goto out;
	}
	for (;;) {
		if (len == cap) {
			char *grown = cap < SIZE_MAX / 2 ? realloc(text, cap * 2) : NULL;
			if (!grown) {
				rc = -ENOMEM;
				goto out;
			}
			text = grown;
			cap *= 2;
		}
		ssize_t got = read(fd, text + len, cap - len);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			rc = -errno;
			goto out;
		}
		if (got == 0)
			break;
		len += (size_t)got;
	}
	*ret_text = text;
	*ret_len = len;
	text = NULL;
out:
	free(text);
	close(fd);
	return rc;
}

static const char *read_problem(int rc)
{
	return rc == -EINVAL ? "not a regular file" : strerror(-rc);
}

/** name beside the file that includes it, unless it is absolute. */
static char *include_path(struct loader *loader, const struct source *source, const char *name)
{
	const char *slash = strrchr(source->input.name, '/');
	size_t folder_len = slash && name[0] != '/' ? (size_t)(slash - source->input.name) + 1 : 0;
	size_t name_len_bytes = strlen(name);
	char *path = arena_alloc(&loader->records->arena, folder_len + name_len_bytes + 1);
	if (!path)
		return NULL;
	memcpy(path, source->input.name, folder_len);
	memcpy(path + folder_len, name, name_len_bytes + 1);
	return path;
}

static bool is_being_read(const struct source *source, const struct stat *file_stat)
{
	for (; source; source = source->parent) {
		if (source->dev == file_stat->st_dev && source->ino == file_stat->st_ino)
			return true;
	}
	return false;
}

static int include_file(struct loader *loader, const struct source *source, const struct zone_entry *entry,
                        const char *path)
{
	char *text = NULL;
	size_t len = 0;
	struct stat file_stat;
	int rc = slurp(path, &text, &len, &file_stat);
	if (rc == -ENOMEM)
		return rc;
	if (rc < 0) {
		diag_error(loader->diag, source->input.name, entry->line,
		           "$INCLUDE: cannot read %s: %s; correct the path, which "
		           "counts from the folder of this file",
		           path, read_problem(rc));
		return 0;
	}
	if (is_being_read(source, &file_stat)) {
		diag_error(loader->diag, source->input.name, entry->line,
		           "$INCLUDE: %s is already being read, it would include itself for ever; remove one "
		           "of the $INCLUDE lines",
		           path);
		free(text);
		return 0;
	}
	struct source inner = { .input = { .name = path, .at = text, .end = text + len, .line = 1 },
		                .parent = source,
		                .is_file = true,
		                .depth = source->depth + 1,
		                .dev = file_stat.st_dev,
		                .ino = file_stat.st_ino };
	rc = read_source(loader, &inner);
	free(text);
	return rc;
}

static int directive_include(struct loader *loader, const struct source *source,
                             const struct zone_entry *entry)
{
	uint8_t origin[WIRE_NAME_MAX];
	struct zone_why why;
	int origin_len = (int)loader->origin_len;
	memcpy(origin, loader->origin, loader->origin_len);
	if (entry->tokens_n < 2 || entry->tokens_n > 3) {
		diag_error(loader->diag, source->input.name, entry->line,
		           "$INCLUDE takes a file and perhaps an origin; write $INCLUDE FILE [ORIGIN.]");
		return 0;
	}
	if (!source->is_file) {
		diag_error(loader->diag, source->input.name, entry->line,
		           "$INCLUDE only works in a file; write the records out");
		return 0;
	}
	if (source->depth >= INCLUDE_DEPTH_MAX) {
		diag_error(loader->diag, source->input.name, entry->line,
		           "$INCLUDE more than %d files deep; put the records into fewer files",
		           INCLUDE_DEPTH_MAX);
		return 0;
	}
	if (entry->tokens_n == 3) {
		origin_len = zone_name_from_token(&loader->lexer.tokens[2], loader->origin,
		                                  loader->origin_len, origin, &why);
		if (origin_len < 0) {
			diag_error(loader->diag, source->input.name, entry->line, "$INCLUDE origin: %s",
			           why.text);
			return 0;
		}
	}
	const struct zone_token *token = &loader->lexer.tokens[1];
	char *name = malloc(token->len + 1);
	if (!name)
		return -ENOMEM;
	long name_bytes = zone_token_unescape(token->text, token->len, (uint8_t *)name);
	if (name_bytes <= 0 || memchr(name, '\0', (size_t)name_bytes)) {
		diag_error(loader->diag, source->input.name, entry->line,
		           "$INCLUDE: no file name; write $INCLUDE FILE [ORIGIN.]");
		free(name);
		return 0;
	}
	name[name_bytes] = '\0';
	char *path = include_path(loader, source, name);
	free(name);
	if (!path)
		return -ENOMEM;

	/* RFC 1035 section 5.1: origin of the including file is not changed; nor is, by custom, its last
	 * owner. */
	uint8_t saved_origin[WIRE_NAME_MAX];
	size_t saved_origin_len = loader->origin_len;
	enum owner_state saved_state = loader->owner_state;
	const uint8_t *saved_owner = loader->owner;
	uint8_t saved_owner_len = loader->owner_len;
	memcpy(saved_origin, loader->origin, loader->origin_len);
	memcpy(loader->origin, origin, (size_t)origin_len);
	loader->origin_len = (size_t)origin_len;
	int rc = include_file(loader, source, entry, path);
	memcpy(loader->origin, saved_origin, saved_origin_len);
	loader->origin_len = saved_origin_len;
	loader->owner_state = saved_state;
	loader->owner = saved_owner;
	loader->owner_len = saved_owner_len;
	return rc;
}

static int read_directive(struct loader *loader, const struct source *source, const struct zone_entry *entry)
{
	char shown[ZONE_QUOTE_MAX];
	const char *name = loader->lexer.tokens[0].text;
	if (strcasecmp(name, "$ORIGIN") == 0)
		return directive_origin(loader, source, entry);
	if (strcasecmp(name, "$TTL") == 0)
		return directive_ttl(loader, source, entry);
	if (strcasecmp(name, "$INCLUDE") == 0)
		return directive_include(loader, source, entry);
	if (strcasecmp(name, "$GENERATE") == 0)
		diag_error(loader->diag, source->input.name, entry->line,
		           "$GENERATE is not supported; write the records out");
	else
		diag_error(loader->diag, source->input.name, entry->line,
		           "%s: no such directive; there are $ORIGIN, $TTL and $INCLUDE, and a name that "
		           "starts with $ is written \\$",
		           zone_quote(name, shown));
	return 0;
}

/* ---- records ---- */

/** Set the owner of this record and of the following ones that leave it out. */
static int set_owner(struct loader *loader, const struct source *source, const struct zone_entry *entry)
{
	uint8_t name[WIRE_NAME_MAX];
	struct zone_why why;
	int len = zone_name_from_token(&loader->lexer.tokens[0], loader->origin, loader->origin_len, name,
	                               &why);
	if (len < 0) {
		diag_error(loader->diag, source->input.name, entry->line, "%s", why.text);
		loader->owner_state = OWNER_BAD;
		return 0;
	}
	name_lower(name, (size_t)len);
	if (loader->owner_state == OWNER_GOOD &&
	    name_equal(name, (size_t)len, loader->owner, loader->owner_len))
		return 0;
	loader->owner = arena_memdup(&loader->records->arena, name, (size_t)len);
	if (!loader->owner)
		return -ENOMEM;
	loader->owner_len = (uint8_t)len;
	loader->owner_state = OWNER_GOOD;
	return 0;
}

static bool is_class(const char *text, bool *ret_is_in)
{
	if (strcasecmp(text, "IN") == 0 || strcasecmp(text, "CLASS1") == 0) {
		*ret_is_in = true;
		return true;
	}
	*ret_is_in = false;
	return strcasecmp(text, "CH") == 0 || strcasecmp(text, "HS") == 0 || strcasecmp(text, "CS") == 0 ||
	       (strncasecmp(text, "CLASS", 5) == 0 && text[5] >= '0' && text[5] <= '9');
}

/** What stands between owner and RDATA. */
struct head {
	bool has_ttl;
	uint32_t ttl_s;
	uint16_t type;
	size_t rdata_at; /* first RDATA token */
};

/** [TTL] [class] type, or [class] [TTL] type (RFC 1035 section 5.1). Returns false when a mistake was
 * reported. */
static bool read_head(struct loader *loader, const struct source *source, const struct zone_entry *entry,
                      size_t at, struct head *ret_head)
{
	char shown[ZONE_QUOTE_MAX];
	bool has_class = false;
	*ret_head = (struct head){ .ttl_s = 0 };
	for (; at < entry->tokens_n; at++) {
		const struct zone_token *token = &loader->lexer.tokens[at];
		bool is_in;
		if (token->quoted)
			break;
		if (!has_class && is_class(token->text, &is_in)) {
			has_class = true;
			if (!is_in) {
				diag_error(loader->diag, source->input.name, entry->line,
				           "class %s; only class IN is served, write IN or leave it out",
				           zone_quote(token->text, shown));
				return false;
			}
		} else if (!ret_head->has_ttl && token->text[0] >= '0' && token->text[0] <= '9') {
			if (zone_ttl_from_text(token->text, &ret_head->ttl_s) < 0) {
				diag_error(
				        loader->diag, source->input.name, entry->line,
				        "%s is no TTL; write seconds up to 4294967295, or a time like 1h30m",
				        zone_quote(token->text, shown));
				return false;
			}
			ret_head->has_ttl = true;
		} else {
			break;
		}
	}
	if (at == entry->tokens_n) {
		diag_error(loader->diag, source->input.name, entry->line,
		           "no record type; write [OWNER] [TTL] [IN] TYPE DATA");
		return false;
	}
	const char *type_text = loader->lexer.tokens[at].text;
	uint16_t first_type;
	if (loader->lexer.tokens[at].quoted || zone_type_from_text(type_text, &ret_head->type) < 0) {
		if (entry->blank_owner && type_text[0] == '$')
			diag_error(loader->diag, source->input.name, entry->line,
			           "%s after a blank; write directives from the first column",
			           zone_quote(type_text, shown));
		else if (!entry->blank_owner && at == 1 &&
		         zone_type_from_text(loader->lexer.tokens[0].text, &first_type) == 0)
			diag_error(loader->diag, source->input.name, entry->line,
			           "%s is no record type; write an owner in front, or a blank for the owner "
			           "before",
			           zone_quote(type_text, shown));
		else
			diag_error(loader->diag, source->input.name, entry->line,
			           "%s is no record type; correct it, or write TYPEnnn \\# LENGTH HEX",
			           zone_quote(type_text, shown));
		return false;
	}
	if (zone_type_is_meta(ret_head->type)) {
		diag_error(loader->diag, source->input.name, entry->line,
		           "type %s exists in messages only; remove the record",
		           zone_quote(type_text, shown));
		return false;
	}
	ret_head->rdata_at = at + 1;
	return true;
}

/**
 * The TTL of a record that has none: $TTL (RFC 2308 section 4), else that of the last record with one (RFC
 * 1035 section 5.1), else, for a first SOA, its minimum, as BIND does. Returns false when a mistake was
 * reported.
 */
static bool default_ttl(struct loader *loader, const struct source *source, const struct zone_entry *entry,
                        uint16_t type, size_t rdata_len, uint32_t *ret_ttl_s)
{
	if (loader->has_default_ttl) {
		*ret_ttl_s = loader->default_ttl_s;
		return true;
	}
	if (loader->has_last_ttl) {
		*ret_ttl_s = loader->last_ttl_s;
		return true;
	}
	if (type != TYPE_SOA) {
		diag_error(loader->diag, source->input.name, entry->line,
		           "no TTL and no $TTL above; write $TTL 3600 at the top of the file");
		loader->has_last_ttl = true; /* told once: the file has no TTL */
		return false;
	}
	const uint8_t *minimum = loader->rdata + rdata_len - 4;
	*ret_ttl_s = (uint32_t)minimum[0] << 24 | (uint32_t)minimum[1] << 16 | (uint32_t)minimum[2] << 8 |
	             minimum[3];
	loader->has_last_ttl = true;
	loader->last_ttl_s = *ret_ttl_s;
	diag_warning(
	        loader->diag, source->input.name, entry->line,
	        "no TTL and no $TTL above, the SOA minimum %u is used; write $TTL %u at the top of the file",
	        *ret_ttl_s, *ret_ttl_s);
	return true;
}

static int add_record(struct loader *loader, const struct source *source, const struct zone_entry *entry,
                      uint16_t type, uint32_t ttl_s, size_t rdata_len)
{
	struct zone_records *records = loader->records;
	if (loader->records_max && records->records_n == loader->records_max) {
		diag_error(loader->diag, source->input.name, entry->line,
		           "more than %zu records; raise the limit or split the zone. The rest is not read",
		           loader->records_max);
		loader->is_full = true;
		return 0;
	}
	if (records->records_n == records->records_cap) {
		size_t cap = records->records_cap ? records->records_cap * 2 : 64;
		struct zone_record *grown = cap > SIZE_MAX / 2 / sizeof(*grown)
		                                    ? NULL
		                                    : realloc(records->records, cap * sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		records->records = grown;
		records->records_cap = cap;
	}
	const uint8_t *rdata = arena_memdup(&records->arena, loader->rdata, rdata_len);
	if (!rdata)
		return -ENOMEM;
	records->records[records->records_n++] = (struct zone_record){ .owner = loader->owner,
		                                                       .rdata = rdata,
		                                                       .ttl_s = ttl_s,
		                                                       .type = type,
		                                                       .rdata_len = (uint16_t)rdata_len,
		                                                       .owner_len = loader->owner_len,
		                                                       .file = source->input.name,
		                                                       .line = entry->line };
	return 0;
}

static int read_record(struct loader *loader, const struct source *source, const struct zone_entry *entry)
{
	struct head head;
	struct zone_why why;
	size_t rdata_len = 0;
	if (!entry->blank_owner) {
		int rc = set_owner(loader, source, entry);
		if (rc < 0)
			return rc;
	} else if (loader->owner_state == OWNER_NONE) {
		diag_error(loader->diag, source->input.name, entry->line,
		           "the line starts with a blank and there is no owner before; write the owner, @ "
		           "for the zone");
		loader->owner_state = OWNER_BAD;
	}
	if (!read_head(loader, source, entry, entry->blank_owner ? 0 : 1, &head))
		return 0;
	int rc = zone_rdata_from_tokens(head.type, loader->lexer.tokens + head.rdata_at,
	                                entry->tokens_n - head.rdata_at, loader->origin, loader->origin_len,
	                                loader->rdata, &rdata_len, &why);
	if (rc == -EINVAL)
		diag_error(loader->diag, source->input.name, entry->line, "%s", why.text);
	if (head.has_ttl) {
		loader->has_last_ttl = true;
		loader->last_ttl_s = head.ttl_s;
	}
	if (rc < 0)
		return rc == -EINVAL ? 0 : rc;
	if (!head.has_ttl && !default_ttl(loader, source, entry, head.type, rdata_len, &head.ttl_s))
		return 0;
	if (loader->owner_state != OWNER_GOOD)
		return 0; /* its mistake was told; this record was read for its own */
	return add_record(loader, source, entry, head.type, head.ttl_s, rdata_len);
}

static int read_source(struct loader *loader, struct source *source)
{
	struct zone_entry entry;
	int rc;
	if (source->input.end - source->input.at >= 3 && memcmp(source->input.at, "\xef\xbb\xbf", 3) == 0) {
		diag_warning(loader->diag, source->input.name, 1,
		             "the file starts with a UTF-8 byte order mark, ignored; save it "
		             "without");
		source->input.at += 3;
	}
	while ((rc = zone_lexer_read(&loader->lexer, &source->input, &entry)) > 0) {
		if (entry.is_bad) {
			/* Following records without owner must not go to the one before. */
			if (!entry.blank_owner)
				loader->owner_state = OWNER_BAD;
			continue;
		}
		if (entry.tokens_n == 0)
			continue;
		bool is_directive = !entry.blank_owner && !loader->lexer.tokens[0].quoted &&
		                    loader->lexer.tokens[0].text[0] == '$';
		rc = is_directive ? read_directive(loader, source, &entry)
		                  : read_record(loader, source, &entry);
		if (rc < 0 || loader->is_full)
			return rc;
	}
	return rc;
}

/* ---- entry points ---- */

static int load(struct source *source, const uint8_t *origin, size_t origin_len, size_t records_max,
                struct diag *diag, struct zone_records *records)
{
	size_t errors_before = diag->errors_n;
	struct loader loader = { .diag = diag, .records = records, .records_max = records_max };
	memcpy(loader.origin, origin, origin_len);
	loader.origin_len = origin_len;
	loader.rdata = malloc(ZONE_RDATA_MAX);
	int rc = zone_lexer_init(&loader.lexer, diag);
	if (rc == 0)
		rc = loader.rdata ? read_source(&loader, source) : -ENOMEM;
	zone_lexer_fini(&loader.lexer);
	free(loader.rdata);
	if (rc < 0)
		return rc;
	return diag->errors_n > errors_before ? -EINVAL : 0;
}

static void records_init(struct zone_records *records)
{
	*records = (struct zone_records){ .records = NULL };
	arena_init(&records->arena);
}

int zone_file_load(const char *path, const uint8_t *origin, size_t origin_len, size_t records_max,
                   struct diag *diag, struct zone_records *ret_records)
{
	char *text = NULL;
	size_t len = 0;
	struct stat file_stat;
	records_init(ret_records);
	int rc = slurp(path, &text, &len, &file_stat);
	if (rc < 0) {
		diag_error(diag, path, 0, "cannot read the zone file: %s", read_problem(rc));
		return rc == -ENOENT || rc == -ENOMEM || rc == -EINVAL ? rc : -EIO;
	}
	char *name = arena_strdup(&ret_records->arena, path);
	struct source source = { .input = { .name = name, .at = text, .end = text + len, .line = 1 },
		                 .is_file = true,
		                 .dev = file_stat.st_dev,
		                 .ino = file_stat.st_ino };
	rc = name ? load(&source, origin, origin_len, records_max, diag, ret_records) : -ENOMEM;
	free(text);
	return rc;
}

int zone_text_load(const char *text, size_t text_len, const char *file, const uint8_t *origin,
                   size_t origin_len, size_t records_max, struct diag *diag, struct zone_records *ret_records)
{
	records_init(ret_records);
	char *name = arena_strdup(&ret_records->arena, file);
	struct source source = { .input = { .name = name, .at = text, .end = text + text_len, .line = 1 } };
	return name ? load(&source, origin, origin_len, records_max, diag, ret_records) : -ENOMEM;
}

void zone_records_fini(struct zone_records *records)
{
	free(records->records);
	records->records = NULL;
	records->records_n = records->records_cap = 0;
	arena_fini(&records->arena);
}
