#include "conf/conf.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "conf/read.h"
#include "conf/schema.h"
#include "conf/source.h"

#define CONF_D      "conf.d"
#define LISTEN_MAX  256  /* the check for duplicates is quadratic */
#define NEAREST_MAX 1000 /* more names than this are not searched for a similar one */

#define NOWHERE ((struct conf_place){ .file = NULL, .line = 0 })

/* Something with a name that may stand only once. */
struct named {
	const char *name;
	const struct conf_place *place;
	const struct conf_place *first; /* of the same name, before this one */
	size_t index;
};

/* Names are compared as DNS does: without case, and a final dot means nothing. */
static int compare_names(const char *a, const char *b)
{
	size_t a_len = strlen(a);
	size_t b_len = strlen(b);
	if (a_len > 1 && a[a_len - 1] == '.')
		a_len--;
	if (b_len > 1 && b[b_len - 1] == '.')
		b_len--;
	int order = strncasecmp(a, b, a_len < b_len ? a_len : b_len);
	return order ? order : (a_len > b_len) - (a_len < b_len);
}

static int compare_named(const void *a, const void *b)
{
	const struct named *x = a;
	const struct named *y = b;
	int order = compare_names(x->name, y->name);
	return order ? order : (x->index > y->index) - (x->index < y->index);
}

static int compare_index(const void *a, const void *b)
{
	const struct named *x = a;
	const struct named *y = b;
	return (x->index > y->index) - (x->index < y->index);
}

/*
 * Refuse the second of two names, in the order of the files, naming both places.
 *
 * what   "zone", for the message
 * items  [n] structs of item_size, the place first, the name at name_off (NULL = reported already)
 */
static void refuse_duplicates(struct conf_reader *reader, const char *what, const void *items, size_t n,
                              size_t item_size, size_t name_off)
{
	if (n < 2)
		return;
	struct named *named = calloc(n, sizeof(*named));
	if (!named) {
		reader->out_of_memory = true;
		return;
	}
	size_t named_n = 0;
	for (size_t i = 0; i < n; i++) {
		const char *item = (const char *)items + i * item_size;
		const char *name;
		memcpy(&name, item + name_off, sizeof(name));
		if (name)
			named[named_n++] =
			        (struct named){ name, (const struct conf_place *)(const void *)item, NULL,
				                i };
	}
	qsort(named, named_n, sizeof(*named), compare_named);
	for (size_t i = 1; i < named_n; i++) {
		const struct named *before = &named[i - 1];
		if (compare_names(before->name, named[i].name) == 0)
			named[i].first = before->first ? before->first : before->place;
	}
	qsort(named, named_n, sizeof(*named), compare_index);
	for (size_t i = 0; i < named_n; i++) {
		if (named[i].first)
			conf_reader_error(reader, *named[i].place,
			                  "%s \"%s\" is given twice: it is already at %s:%u", what,
			                  named[i].name, named[i].first->file, named[i].first->line);
	}
	free(named);
}

#define REFUSE_DUPLICATES(reader, what, items, n, type, field)                                               \
	refuse_duplicates((reader), (what), (items), (n), sizeof(struct type), offsetof(struct type, field))

/* Read the document at path, which `from` names, or the text at hand when there is one. */
static void read_document(struct conf_reader *reader, const char *path, struct conf_place from,
                          const char *text, size_t text_len, const struct conf_group *root, void *base)
{
	struct conf_source source;
	conf_source_init(&source, reader->arena, reader->diag);
	int rc = text ? conf_source_read_text(&source, path, text, text_len)
	              : conf_source_read_file(&source, path, from);
	if (rc == 0)
		conf_reader_document(reader, &source, root, base);
	else if (rc == -ENOMEM)
		reader->out_of_memory = true;
	else
		reader->broken = true;
	conf_source_fini(&source);
}

void conf_reader_file(struct conf_reader *reader, const char *path, const char *text, size_t text_len,
                      const struct conf_group *root, void *base)
{
	read_document(reader, path, NOWHERE, text, text_len, root, base);
}

static int is_conf_file(const struct dirent *entry)
{
	size_t len = strlen(entry->d_name);
	return entry->d_name[0] != '.' && len > strlen(".conf") &&
	       strcmp(entry->d_name + len - strlen(".conf"), ".conf") == 0;
}

/* By bytes, not by the collation of whatever locale the server was started in. */
static int compare_entries(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static void read_folder(struct conf_reader *reader, const char *main_path)
{
	const char *folder = conf_path_beside(reader->arena, main_path, CONF_D);
	if (!folder) {
		reader->out_of_memory = true;
		return;
	}
	struct dirent **entries = NULL;
	int n = scandir(folder, &entries, is_conf_file, compare_entries);
	if (n < 0 && errno != ENOENT) {
		conf_reader_error(reader, (struct conf_place){ .file = folder },
		                  "cannot read this folder of configuration files: %s", strerror(errno));
		reader->broken = true;
	}
	for (int i = 0; i < n; i++) {
		char *path = NULL;
		if (asprintf(&path, "%s/%s", folder, entries[i]->d_name) < 0) {
			reader->out_of_memory = true;
		} else {
			read_document(reader, path, NOWHERE, NULL, 0, &conf_schema_main, reader->conf);
			free(path);
		}
		free(entries[i]);
	}
	free(entries);
}

static void set_listen_default(struct conf_reader *reader, const char *main_path)
{
	struct conf *conf = reader->conf;
	size_t n = sizeof(conf_listen_default) / sizeof(conf_listen_default[0]);
	if (conf->listen_n)
		return;
	conf->listen = arena_alloc(reader->arena, n * sizeof(*conf->listen));
	const char *file = arena_strdup(reader->arena, main_path);
	if (!conf->listen || !file) {
		reader->out_of_memory = true;
		return;
	}
	for (size_t i = 0; i < n; i++) {
		conf->listen[i].place.file = file;
		addr_parse_listen(conf_listen_default[i], CONF_LISTEN_PORT, &conf->listen[i].addr);
	}
	conf->listen_n = n;
}

/* Two sockets on one address would share its queries, and nobody would notice. Port 0 is a free one each
 * time. */
void conf_reader_check_listen(struct conf_reader *reader, const struct conf_listen *listens, size_t listens_n)
{
	if (listens_n > LISTEN_MAX) {
		conf_reader_error(reader, listens[LISTEN_MAX].place,
		                  "listen has %zu addresses, the limit is %d", listens_n, LISTEN_MAX);
		return;
	}
	for (size_t i = 0; i < listens_n; i++) {
		char text[ADDR_TEXT_MAX];
		char other[ADDR_TEXT_MAX];
		const struct conf_listen *listen = &listens[i];
		if (listen->addr.ss_family == 0)
			continue;
		addr_format_sockaddr((const struct sockaddr *)&listen->addr, text, sizeof(text));
		if (strcmp(strrchr(text, '@'), "@0") == 0)
			continue;
		for (size_t j = 0; j < i; j++) {
			const struct conf_listen *earlier = &listens[j];
			addr_format_sockaddr((const struct sockaddr *)&earlier->addr, other, sizeof(other));
			if (strcmp(text, other) == 0) {
				conf_reader_error(reader, listen->place,
				                  "listen \"%s\" is given twice: it is already at %s:%u",
				                  text, earlier->place.file, earlier->place.line);
				break;
			}
		}
	}
}

/* TCP alone can't tell whether a client will begin with TLS. */
static void check_tls(struct conf_reader *reader, const struct conf *conf)
{
	conf_reader_check_listen(reader, conf->tls_listen, conf->tls_listen_n);
	for (size_t i = 0; i < conf->tls_listen_n; i++) {
		const struct conf_listen *tls = &conf->tls_listen[i];
		char text[ADDR_TEXT_MAX];
		char other[ADDR_TEXT_MAX];
		addr_format_sockaddr((const struct sockaddr *)&tls->addr, text, sizeof(text));
		for (size_t j = 0; j < conf->listen_n && strcmp(strrchr(text, '@'), "@0") != 0; j++) {
			addr_format_sockaddr((const struct sockaddr *)&conf->listen[j].addr, other,
			                     sizeof(other));
			if (strcmp(text, other) == 0)
				conf_reader_error(
				        reader, tls->place,
				        "tls-listen \"%s\" is taken: it is in listen at %s:%u; give "
				        "TLS a port of its own, usually 853",
				        text, conf->listen[j].place.file, conf->listen[j].place.line);
		}
	}
	if (conf->tls_listen_n && !(conf->tls_certificate && conf->tls_key))
		conf_reader_error(
		        reader, conf->tls_listen[0].place,
		        "tls-listen needs tls-certificate and tls-key; write for example "
		        "tls-certificate = \"/etc/dnsd/tls.crt\"; tls-key = \"/etc/dnsd/tls.key\";");
}

static int compare_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void check_pool_name(struct conf_reader *reader, struct conf_place place, const char *pool,
                            const char **names, size_t names_n)
{
	if (!pool || bsearch(&pool, names, names_n, sizeof(*names), compare_text))
		return;
	const char *near = names_n <= NEAREST_MAX ? conf_nearest(pool, names, names_n) : NULL;
	if (near)
		conf_reader_error(reader, place, "there is no pool \"%s\"; did you mean \"%s\"?", pool, near);
	else
		conf_reader_error(reader, place, "there is no pool \"%s\"; define it in pools", pool);
}

static void check_version_feed(struct conf_reader *reader, const struct conf_version *version)
{
	const struct conf *conf = reader->conf;
	for (size_t i = 0; version->feed && i < conf->pools_n; i++) {
		const struct conf_pool *pool = &conf->pools[i];
		if (pool->name && strcmp(pool->name, version->feed) == 0 && !pool->feed_file)
			conf_reader_error(reader, version->place,
			                  "pool \"%s\" has no feed; write feed = \"FILE\"; in that pool",
			                  version->feed);
	}
}

/* A zone uses pools by name. */
static void check_pool_names(struct conf_reader *reader)
{
	const struct conf *conf = reader->conf;
	const char **names = calloc(conf->pools_n + 1, sizeof(*names));
	if (!names) {
		reader->out_of_memory = true;
		return;
	}
	size_t names_n = 0;
	for (size_t i = 0; i < conf->pools_n; i++) {
		if (conf->pools[i].name)
			names[names_n++] = conf->pools[i].name;
	}
	qsort(names, names_n, sizeof(*names), compare_text);
	for (size_t i = 0; i < conf->zones_n; i++) {
		for (size_t j = 0; j < conf->zones[i].pools_n; j++)
			check_pool_name(reader, conf->zones[i].pools[j].place, conf->zones[i].pools[j].pool,
			                names, names_n);
		for (size_t j = 0; j < conf->zones[i].versions_n; j++) {
			const struct conf_version *version = &conf->zones[i].versions[j];
			check_pool_name(reader, version->place, version->feed, names, names_n);
			check_version_feed(reader, version);
		}
	}
	free(names);
}

static void check_all(struct conf_reader *reader, const char *main_path)
{
	const struct conf *conf = reader->conf;
	conf_reader_check_listen(reader, conf->listen, conf->listen_n);
	conf_reader_check_listen(reader, conf->metrics_listen, conf->metrics_listen_n);
	check_tls(reader, conf);
	REFUSE_DUPLICATES(reader, "zone", conf->zones, conf->zones_n, conf_zone, name);
	REFUSE_DUPLICATES(reader, "pool", conf->pools, conf->pools_n, conf_pool, name);
	for (size_t i = 0; i < conf->zones_n; i++)
		REFUSE_DUPLICATES(reader, "version record", conf->zones[i].versions,
		                  conf->zones[i].versions_n, conf_version, name);
	/* In a document that could not be read there may be what seems to be missing. */
	if (reader->broken)
		return;
	check_pool_names(reader);
	if (conf->geo.database_ipv6 && !conf->geo.database)
		conf_reader_error(reader, conf->geo.place,
		                  "database-ipv6 without database; name a single file as "
		                  "database");
	/* After a mistake in zones, this would only confuse. */
	if (conf->zones_n == 0 && reader->diag->errors_n == reader->errors_before)
		diag_warning(reader->diag, main_path, 0, "no zones: every query will be refused");
}

static void check_mirrors(struct conf_reader *reader, const struct conf_pool *pool, const char *path)
{
	if (pool->mirrors_n == 0 && !reader->broken)
		conf_reader_error(reader, (struct conf_place){ .file = path },
		                  "no mirrors; write mirrors = ( { host = \"...\"; country = \"..\"; "
		                  "addresses = [ \"...\" "
		                  "]; } );");
	REFUSE_DUPLICATES(reader, "host", pool->mirrors, pool->mirrors_n, conf_mirror, host);
}

static void check_regions(struct conf_reader *reader, const struct conf_pool *pool)
{
	REFUSE_DUPLICATES(reader, "region", pool->regions, pool->regions_n, conf_region, name);
	REFUSE_DUPLICATES(reader, "entry of neighbours for", pool->neighbours, pool->neighbours_n,
	                  conf_neighbours, country);
}

void conf_reader_pool_files(struct conf_reader *reader, struct conf_pool *pool)
{
	if (pool->mirrors_file) {
		reader->broken = false;
		read_document(reader, pool->mirrors_file, pool->place, NULL, 0, &conf_schema_mirrors, pool);
		check_mirrors(reader, pool, pool->mirrors_file);
	}
	if (pool->regions_file) {
		read_document(reader, pool->regions_file, pool->place, NULL, 0, &conf_schema_regions, pool);
		check_regions(reader, pool);
	}
}

static int reader_start(struct conf_reader *reader, struct diag *diag)
{
	memset(reader, 0, sizeof(*reader));
	reader->conf = calloc(1, sizeof(*reader->conf));
	if (!reader->conf)
		return -ENOMEM;
	arena_init(&reader->conf->arena);
	reader->arena = &reader->conf->arena;
	reader->diag = diag;
	reader->errors_before = diag->errors_n;
	conf_reader_defaults(&conf_schema_main, reader->conf);
	return 0;
}

static int reader_finish(struct conf_reader *reader, struct conf **ret_conf)
{
	if (reader->out_of_memory || reader->diag->errors_n > reader->errors_before) {
		conf_destroy(reader->conf);
		return reader->out_of_memory ? -ENOMEM : -EINVAL;
	}
	*ret_conf = reader->conf;
	return 0;
}

int conf_load(const char *path, struct diag *diag, struct conf **ret_conf)
{
	struct conf_reader reader;
	if (reader_start(&reader, diag) < 0)
		return -ENOMEM;
	read_document(&reader, path, NOWHERE, NULL, 0, &conf_schema_main, reader.conf);
	read_folder(&reader, path);
	set_listen_default(&reader, path);
	check_all(&reader, path);
	for (size_t i = 0; i < reader.conf->pools_n && !reader.out_of_memory; i++)
		conf_reader_pool_files(&reader, &reader.conf->pools[i]);
	return reader_finish(&reader, ret_conf);
}

int conf_load_text(enum conf_text_kind kind, const char *name, const char *text, size_t text_len,
                   struct diag *diag, struct conf **ret_conf)
{
	struct conf_reader reader;
	if (reader_start(&reader, diag) < 0)
		return -ENOMEM;
	if (kind == CONF_TEXT_MAIN) {
		read_document(&reader, name, NOWHERE, text, text_len, &conf_schema_main, reader.conf);
		set_listen_default(&reader, name);
		check_all(&reader, name);
		return reader_finish(&reader, ret_conf);
	}

	struct conf_pool *pool = arena_alloc(reader.arena, sizeof(*pool));
	const char *pool_name = arena_strdup(reader.arena, name);
	set_listen_default(&reader, name);
	if (!pool || !pool_name || reader.out_of_memory) {
		reader.out_of_memory = true;
		return reader_finish(&reader, ret_conf);
	}
	reader.conf->pools = pool;
	reader.conf->pools_n = 1;
	pool->name = pool_name;
	pool->place.file = pool_name;
	conf_reader_defaults(conf_schema_pool, pool);
	if (kind == CONF_TEXT_MIRRORS) {
		pool->mirrors_file = pool_name;
		read_document(&reader, name, NOWHERE, text, text_len, &conf_schema_mirrors, pool);
		check_mirrors(&reader, pool, name);
	} else {
		pool->regions_file = pool_name;
		read_document(&reader, name, NOWHERE, text, text_len, &conf_schema_regions, pool);
		check_regions(&reader, pool);
	}
	return reader_finish(&reader, ret_conf);
}

void conf_destroy(struct conf *conf)
{
	if (!conf)
		return;
	arena_fini(&conf->arena);
	free(conf);
}
