#include "conf/monitor.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf/monitor_int.h"
#include "conf/schema.h"

#define NAME_FALLBACK "mirrormon" /* of a host that has no good name */
#define MIN_WAIT_MS   100
#define COUNT(array)  (sizeof(array) / sizeof((array)[0]))

static const char *const databases_default[] = { "main", "daily", "bytecode" };
static const char *const hosts_default[] = { "db.%c.clamav.net", "database.clamav.net" };

static bool was_given(const struct conf_reader *reader, uint64_t given, const char *name)
{
	int key = conf_schema_find(reader->group, name);
	return key >= 0 && given & (UINT64_C(1) << key);
}

/* Two durations that must be in order: told by the names of both. */
static void refuse_order(struct conf_reader *reader, struct conf_place place, const char *name, uint64_t ms,
                         const char *must, const char *other, uint64_t other_ms)
{
	char text[CONF_TEXT_MAX];
	char other_text[CONF_TEXT_MAX];
	conf_reader_error(reader, place, "%s is %s, but must be %s %s, which is %s", name,
	                  conf_format_duration(ms, text, sizeof(text)), must, other,
	                  conf_format_duration(other_ms, other_text, sizeof(other_text)));
}

/* A list that was written, but has nothing in it, does not mean its default. */
static void refuse_empty(struct conf_reader *reader, struct conf_place place, uint64_t given,
                         const char *name, size_t n)
{
	int key = conf_schema_find(reader->group, name);
	if (n == 0 && was_given(reader, given, name) && reader->group_good)
		conf_reader_error(reader, place, "%s is empty; write for example %s = %s; or leave it out",
		                  name, name, reader->group->keys[key].example);
}

static void refuse_many(struct conf_reader *reader, struct conf_place place, const char *name, size_t n,
                        size_t max)
{
	if (n > max)
		conf_reader_error(reader, place, "%s has %zu entries, the limit is %zu", name, n, max);
}

/* NULL in a list is an entry that was refused already. */
static void refuse_twice(struct conf_reader *reader, struct conf_place place, const char *name,
                         const char *const *texts, size_t texts_n)
{
	char quoted[CONF_TEXT_MAX];
	for (size_t i = 0; i < texts_n; i++) {
		for (size_t j = 0; j < i && texts[i]; j++) {
			if (!texts[j] || strcmp(texts[i], texts[j]) != 0)
				continue;
			conf_reader_error(reader, place, "%s has \"%s\" twice", name,
			                  conf_quote(texts[i], strlen(texts[i]), quoted, sizeof(quoted)));
			break;
		}
	}
}

void conf_monitor_finish_own(struct conf_reader *reader, void *item, uint64_t given)
{
	const struct conf_monitor *conf =
	        (const void *)((const char *)item - offsetof(struct conf_monitor, place));
	if (!reader->group_good)
		return;
	if (conf->feed_key && !conf->feed)
		conf_reader_error(reader, conf->place,
		                  "feed-key without feed: name the file to sign, or leave it out");
	if (conf->feed_valid_s * UINT64_C(1000) <= conf->feed_interval_ms)
		refuse_order(reader, conf->place, "feed-valid", conf->feed_valid_s * UINT64_C(1000), "over",
		             "feed-interval", conf->feed_interval_ms);
	(void)given;
}

void conf_monitor_finish_checks(struct conf_reader *reader, void *item, uint64_t given)
{
	struct conf_checks *checks = item;
	refuse_empty(reader, checks->place, given, "databases", checks->databases_n);
	refuse_empty(reader, checks->place, given, "hosts", checks->hosts_n);
	refuse_many(reader, checks->place, "databases", checks->databases_n, CONF_DATABASES_MAX);
	refuse_many(reader, checks->place, "hosts", checks->hosts_n, CONF_HOSTS_MAX);
	if (!reader->group_good)
		return;
	refuse_twice(reader, checks->place, "databases", checks->databases, checks->databases_n);

	/* A default is never what is wrong: it gives way to what was written. */
	if (!was_given(reader, given, "retry") && checks->retry_ms > checks->interval_ms)
		checks->retry_ms = checks->interval_ms;
	if (!was_given(reader, given, "connect-timeout") && checks->connect_timeout_ms > checks->timeout_ms)
		checks->connect_timeout_ms = checks->timeout_ms;
	if (checks->retry_ms > checks->interval_ms)
		refuse_order(reader, checks->place, "retry", checks->retry_ms, "at most", "interval",
		             checks->interval_ms);
	if (checks->connect_timeout_ms > checks->timeout_ms)
		refuse_order(reader, checks->place, "connect-timeout", checks->connect_timeout_ms, "at most",
		             "timeout", checks->timeout_ms);
	if (checks->deep_interval_ms && checks->deep_interval_ms < MIN_WAIT_MS)
		conf_reader_error(reader, checks->place,
		                  "deep-interval is %ums, but must be at least 100ms; 0 is never",
		                  checks->deep_interval_ms);

	const char *const *names = checks->databases_n ? checks->databases : databases_default;
	size_t names_n = checks->databases_n ? checks->databases_n : COUNT(databases_default);
	bool found = !checks->patched[0];
	for (size_t i = 0; i < names_n && !found; i++)
		found = strcmp(names[i], checks->patched) == 0;
	if (!found && !was_given(reader, given, "patched"))
		checks->patched = "";
	else if (!found)
		conf_reader_error(reader, checks->place,
		                  "patched is \"%s\", which is not among databases; write one of them, or "
		                  "patched = \"\"; for none",
		                  checks->patched);
}

void conf_monitor_finish_decision(struct conf_reader *reader, void *item, uint64_t given)
{
	struct conf_decision *decision = item;
	if (!reader->group_good)
		return;
	if (!was_given(reader, given, "probation-max") && decision->probation_max_s < decision->probation_s)
		decision->probation_max_s = decision->probation_s;
	if (decision->old_after_s <= decision->late_after_s)
		refuse_order(reader, decision->place, "old-after", decision->old_after_s * UINT64_C(1000),
		             "over", "late-after", decision->late_after_s * UINT64_C(1000));
	if (decision->probation_max_s < decision->probation_s)
		refuse_order(reader, decision->place, "probation-max",
		             decision->probation_max_s * UINT64_C(1000), "at least", "probation",
		             decision->probation_s * UINT64_C(1000));
}

void conf_monitor_finish_votes(struct conf_reader *reader, void *item, uint64_t given)
{
	struct conf_votes *votes = item;
	(void)given;
	refuse_many(reader, votes->place, "others", votes->others_n, CONF_VOTES_MAX);
	if (!reader->group_good || votes->others_n > CONF_VOTES_MAX)
		return;
	for (size_t i = 0; i < votes->others_n; i++) {
		if (!strstr(votes->others[i], "://"))
			votes->others[i] =
			        conf_path_beside(reader->arena, votes->place.file, votes->others[i]);
		if (!votes->others[i]) {
			reader->out_of_memory = true;
			return;
		}
		if (votes->file && strcmp(votes->file, votes->others[i]) == 0)
			conf_reader_error(reader, votes->place,
			                  "others has our own file, whose vote would count twice; leave it "
			                  "out there");
	}
	refuse_twice(reader, votes->place, "others", votes->others, votes->others_n);
	if (votes->quorum > votes->others_n + 1)
		conf_reader_error(reader, votes->place,
		                  "quorum is %u, but there are only %zu votes, ours among them",
		                  votes->quorum, votes->others_n + 1);
}

void conf_monitor_finish_mail(struct conf_reader *reader, void *item, uint64_t given)
{
	struct conf_mail *mail = item;
	(void)given;
	if (!reader->group_good)
		return;
	if (mail->from && !mail->team)
		conf_reader_error(reader, mail->place,
		                  "from without team: no mail is sent; write for example team = \"%s\";",
		                  mail->from);
	if (!mail->from)
		mail->from = mail->team;
}

static void set_texts(struct conf_reader *reader, const char *const *texts, size_t texts_n,
                      const char ***texts_field, size_t *n_field)
{
	if (*n_field)
		return;
	*texts_field = arena_memdup(reader->arena, texts, texts_n * sizeof(*texts));
	if (*texts_field)
		*n_field = texts_n;
	else
		reader->out_of_memory = true;
}

static void set_name(struct conf_reader *reader, struct conf_monitor *conf)
{
	char host[CONF_MONITOR_NAME_LEN + 1] = "";
	if (conf->name)
		return;
	bool good = gethostname(host, sizeof(host) - 1) == 0 && host[0];
	for (size_t i = 0; host[i]; i++)
		good = good && host[i] > ' ' && host[i] <= '~';
	conf->name = good ? arena_strdup(reader->arena, host) : NAME_FALLBACK;
	reader->out_of_memory |= !conf->name;
}

void conf_monitor_finish_all(struct conf_reader *reader, void *item, uint64_t given)
{
	struct monitor_document *document = item;
	struct conf_monitor *conf = &document->conf;
	(void)given;
	set_name(reader, conf);
	set_texts(reader, databases_default, COUNT(databases_default), &conf->checks.databases,
	          &conf->checks.databases_n);
	set_texts(reader, hosts_default, COUNT(hosts_default), &conf->checks.hosts, &conf->checks.hosts_n);
	if (!conf->votes.quorum)
		conf->votes.quorum = (uint32_t)(conf->votes.others_n + 1) / 2 + 1;
	document->pool.place = conf->place;
	refuse_many(reader, conf->place, "references", conf->references_n, CONF_REFERENCES_MAX);
	if (conf->references_quorum > conf->references_n)
		conf_reader_error(reader, conf->place,
		                  "references-quorum is %u, but there are only %zu references",
		                  conf->references_quorum, conf->references_n);
	else if (conf->references_n && !conf->references_quorum)
		conf->references_quorum = (uint32_t)conf->references_n / 2 + 1;
	if (conf->feed && conf->votes.file && strcmp(conf->feed, conf->votes.file) == 0)
		conf_reader_error(reader, conf->votes.place,
		                  "file of votes is that of the feed too; give each a file of its own");
	conf_reader_check_listen(reader, conf->metrics_listen, conf->metrics_listen_n);
}

static int load(const char *path, const char *text, size_t text_len, struct diag *diag,
                struct conf_monitor **ret_conf)
{
	struct monitor_document *document = calloc(1, sizeof(*document));
	if (!document)
		return -ENOMEM;
	struct conf_monitor *conf = &document->conf;
	arena_init(&conf->arena);
	conf->pool = &document->pool;
	struct conf_reader reader = { .arena = &conf->arena, .diag = diag, .errors_before = diag->errors_n };
	conf_reader_defaults(&conf_schema_monitor, document);
	conf_reader_defaults(conf_schema_pool, conf->pool);
	conf_reader_file(&reader, path, text, text_len, &conf_schema_monitor, document);
	if (!text && !reader.out_of_memory)
		conf_reader_pool_files(&reader, conf->pool);
	if (reader.out_of_memory || diag->errors_n > reader.errors_before) {
		conf_monitor_destroy(conf);
		return reader.out_of_memory ? -ENOMEM : -EINVAL;
	}
	*ret_conf = conf;
	return 0;
}

int conf_monitor_load(const char *path, struct diag *diag, struct conf_monitor **ret_conf)
{
	return load(path, NULL, 0, diag, ret_conf);
}

int conf_monitor_load_text(const char *name, const char *text, size_t text_len, struct diag *diag,
                           struct conf_monitor **ret_conf)
{
	return load(name, text, text_len, diag, ret_conf);
}

void conf_monitor_destroy(struct conf_monitor *conf)
{
	if (!conf)
		return;
	arena_fini(&conf->arena);
	free(conf); /* with the document, which it is the first part of */
}
