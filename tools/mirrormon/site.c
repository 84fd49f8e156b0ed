#include "mirrormon/site.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mirrormon/hash.h"
#include "mirrormon/site_graphs.h"

int site_create(const char *map, struct diag *diag, struct site **ret_site)
{
	struct site *site = calloc(1, sizeof(*site));
	if (!site)
		return -ENOMEM;
	site->spans = calloc(SITE_HOURS, sizeof(*site->spans));
	site->sums = calloc(SITE_HOURS, sizeof(*site->sums));
	site->weeks = calloc(SITE_WEEKS_OLD, sizeof(*site->weeks));
	site->checks = calloc(SITE_CHECKS, sizeof(*site->checks));
	site->events = calloc(SITE_EVENTS, sizeof(*site->events));
	if (!site->spans || !site->sums || !site->weeks || !site->checks || !site->events ||
	    (map && site_world_load(&site->world, map, diag) == -ENOMEM)) {
		site_destroy(site);
		return -ENOMEM;
	}
	*ret_site = site;
	return 0;
}

void site_destroy(struct site *site)
{
	if (!site)
		return;
	site_world_fini(&site->world);
	free(site->memos);
	free(site->spans);
	free(site->sums);
	free(site->weeks);
	free(site->checks);
	free(site->events);
	free(site->arrivals);
	free(site);
}

static uint64_t hash_text(uint64_t hash, const char *text)
{
	return text ? hash_bytes(hash, text, strlen(text) + 1) : hash_bytes(hash, "", 1);
}

/* All that a mirror's files are made from. Its history may come later than its check: what could not be
 * written or read meanwhile. */
static uint64_t hash_mirror(const struct site_run *run, const struct mirror_view *mirror)
{
	const struct view *view = run->view;
	const struct conf_monitor *conf = view->conf;
	uint64_t hash = hash_text(hash_text(HASH_START, conf->site.title), conf->site.url);
	hash = hash_number(hash_text(hash, conf->site.directory), conf->decision.slow_over_ms);
	for (size_t i = 0; i < conf->checks.databases_n; i++)
		hash = hash_text(hash, conf->checks.databases[i]);
	hash = hash_text(hash_text(hash, conf->name), conf->pool->name);
	hash = hash_number(hash_number(hash, conf->decision.late_after_s), conf->decision.old_after_s);
	hash = hash_number(hash_number(hash, run->until_s), view->newest_timestamp_s);
	hash = hash_number(hash, view->self_ok ? 0 : view->self_since_s + 1);
	hash = hash_text(hash_text(hash, mirror->host), mirror->admin);
	hash = hash_number(hash_number(hash, mirror->country), mirror->weight);
	hash = hash_number(hash_number(hash, mirror->ramp_permille), mirror->ramp_from_s);
	hash = hash_number(hash_number(hash, mirror->ramp_full_s), mirror->in_maintenance);
	hash = hash_number(hash_number(hash, mirror->probation), mirror->warning);
	hash = hash_number(hash, history_state(run->history, mirror->host));
	hash = hash_bytes(hash, &mirror->verdict, sizeof(mirror->verdict));
	for (size_t i = 0; i < mirror->addrs_n; i++) {
		const struct address_view *address = &mirror->addrs[i];
		hash = hash_bytes(hash, &address->addr, sizeof(address->addr));
		hash = hash_bytes(hash, &address->standing, sizeof(address->standing));
		hash = hash_bytes(hash, &address->verdict, sizeof(address->verdict));
		hash = hash_number(hash_number(hash, address->last.at_s), address->next_check_s);
	}
	return hash;
}

static int memo_order(const void *a_item, const void *b_item)
{
	const struct site_memo *a = a_item;
	const struct site_memo *b = b_item;
	return (a->host_hash > b->host_hash) - (a->host_hash < b->host_hash);
}

static void write_mirror_pages(struct site_run *run)
{
	struct site *site = run->site;
	size_t n = run->view->mirrors_n;
	struct site_memo *memos = calloc(n + 1, sizeof(*memos));
	for (size_t i = 0; i < n; i++) {
		struct site_mirror *mirror = &run->mirrors[i];
		struct site_memo key = { .host_hash = hash_text(HASH_START, mirror->file),
			                 .made_from = hash_mirror(run, mirror->view) };
		const struct site_memo *old =
		        site->memos_n ? bsearch(&key, site->memos, site->memos_n, sizeof(key), memo_order)
		                      : NULL;
		size_t failed_n = run->files.failed_n;
		if (old && old->made_from == key.made_from)
			mirror->row = old->row;
		else
			site_write_mirror(run, mirror);
		if (run->files.failed_n > failed_n || run->files.status == -ENOMEM)
			key.made_from = 0; /* again next time */
		key.row = mirror->row;
		if (memos)
			memos[i] = key;
	}
	free(site->memos);
	site->memos = memos;
	site->memos_n = memos ? n : 0;
	if (memos)
		qsort(memos, n, sizeof(*memos), memo_order);
}

static void clear_mirror_pages(struct site_run *run)
{
	size_t n = run->view->mirrors_n;
	const char **names = calloc(n + 1, sizeof(*names));
	if (!names)
		return;
	for (size_t i = 0; i < n; i++)
		names[i] = run->mirrors[i].file;
	qsort(names, n, sizeof(*names), site_files_order);
	site_files_clear(&run->files, "mirror", names, n);
	free(names);
}

int site_write(struct site *site, const struct view *view, struct history *history, struct diag *diag)
{
	struct site_run run = { .site = site, .view = view, .history = history };
	if (!view->conf->site.directory)
		return 0;
	int rc = site_facts_make(&run);
	if (rc < 0) {
		diag_error(diag, view->conf->site.directory, 0, "out of memory; the site stays as it is");
		site_facts_fini(&run);
		return rc;
	}
	site_files_begin(&run.files, view->conf->site.directory, diag);
	if (run.files.status == 0) {
		site_write_style(&run);
		write_mirror_pages(&run);
		site_write_map(&run);
		site_write_index(&run);
		site_write_mirrors(&run);
		site_write_how(&run);
		site_write_versions(&run);
		site_write_pool_data(&run);
		site_write_atom(&run);
		clear_mirror_pages(&run);
	}
	site_files_end(&run.files);
	site_facts_fini(&run);
	return run.files.status;
}
