/*
 * schema: which keys exist, as tables. The reader, the messages and the printed reference all come from them.
 *
 *     group "pool" ── key "ttl": duration in seconds, at offset of ttl_s, default "5m", 1s..1d, one sentence
 *                  ── key "mirrors": path, required ...
 *
 * Inside conf only.
 */
#ifndef DNSD_CONF_SCHEMA_H
#define DNSD_CONF_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/value.h"

enum conf_type {
	CONF_NUMBER,      /* uint16_t, uint32_t or int64_t by `size` */
	CONF_DURATION_S,  /* uint32_t */
	CONF_DURATION_MS, /* uint32_t */
	CONF_BOOL,
	CONF_TIME,      /* uint64_t, seconds since 1970 */
	CONF_TEXT,      /* const char * */
	CONF_PATH,      /* const char *, resolved */
	CONF_COUNTRY,   /* char[3], made upper case */
	CONF_PREFIX,    /* struct prefix */
	CONF_ADDRESS,   /* struct addr */
	CONF_TEXTS,     /* const char **, and the count at n_off, as in all lists */
	CONF_PREFIXES,  /* struct prefix * */
	CONF_LISTEN,    /* struct conf_listen * */
	CONF_ADDRESSES, /* struct conf_mirror_addr * */
	CONF_GROUP,     /* keys of `group`, in a struct at off */
	CONF_GROUPS,    /* array of such structs; each begins with its struct conf_place */
};

struct conf_group;

struct conf_key {
	const char *name;
	enum conf_type type;
	bool required; /* lists: also not empty */
	size_t off;    /* in the struct of the group */
	size_t n_off;
	size_t size;
	const char *fallback; /* value when not given; NULL = none (zero) */
	int64_t min, max;     /* numbers; durations in ms */
	uint16_t port;        /* of addresses to listen on: when left out */
	conf_check_fn *check; /* of texts */
	const struct conf_group *group;
	const char *example; /* the right side of "=", as one would write it */
	bool shown; /* the example is good to stand in the printed reference as a setting, not a comment */
	const char *help;  /* one sentence */
	bool may_be_empty; /* a text: "" has a meaning */
};

struct conf_reader;

struct conf_group {
	const char *noun;  /* "pool", as in "this pool lacks ..." */
	const char *where; /* "pools: ( { } )", for "belongs into ..."; NULL = the top level of a document */
	const struct conf_key *keys;
	size_t keys_n;
	size_t size; /* of one struct in a list */
	bool placed; /* the struct begins with its struct conf_place */
	/* What keys mean together; given has bit n set when keys[n] was in the file. */
	void (*finish)(struct conf_reader *reader, void *item, uint64_t given);
};

extern const struct conf_group conf_schema_main;        /* into struct conf */
extern const struct conf_group conf_schema_mirrors;     /* the mirrors file, into struct conf_pool */
extern const struct conf_group conf_schema_regions;     /* the regions file, into struct conf_pool */
extern const struct conf_group *const conf_schema_pool; /* one item of pools */
extern const struct conf_group conf_schema_monitor;     /* mirrormon.conf, into struct monitor_document */

/** Position of a key in a group, or -1. */
int conf_schema_find(const struct conf_group *group, const char *name);

/** Another group of the same document that has this key, or NULL. */
const struct conf_group *conf_schema_owner(const struct conf_group *root, const char *name);

/** "ADDRESS@PORT" defaults of server.listen, where they are made into addresses. */
#define CONF_LISTEN_PORT  53
#define CONF_METRICS_PORT 9153
#define CONF_TLS_PORT     853
#define CONF_MONITOR_PORT 9154
extern const char *const conf_listen_default[2];

/** What a type is called in messages, as in "wants a whole number". */
const char *conf_type_noun(enum conf_type type);

/** Is the value of this type written in quotes? */
bool conf_type_is_quoted(enum conf_type type);

#endif
