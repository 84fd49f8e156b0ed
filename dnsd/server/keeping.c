#include "server/keeping.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/object.h"
#include "base/utc.h"
#include "zones/journal.h"
#include "zones/keep.h"

/* News that can't be written wait, but not without end. */
#define NEWS_WAITING_MAX 10000

/* The feed of a pool that is on disk, or to be. */
struct kept_feed {
	char *pool;
	struct feed *feed;
};

struct batch {
	uv_work_t work;
	json_t *news; /* NULL = none */
	json_t *base; /* the whole state, NULL = not wanted */
	bool rotate;  /* before the base */
	struct override_set *overrides;
	bool has_overrides;
	char *versions; /* text, NULL = not wanted */
	struct kept_feed *feeds;
	size_t feeds_n;
	size_t feeds_written_n;
	char *directory;
	uint32_t max_bytes;
	uint32_t files_n;
	uint64_t asked; /* up to which number it goes */
	bool base_written;
	const char *base_why;
	bool was_gone; /* the journal, and who knows what else */
	bool full;     /* the journal is, now */
	int rc;
};

struct keeping {
	uv_loop_t *loop;
	void (*written)(void *context);
	void *context;
	struct batch batch;
	bool running;
	struct journal *journal; /* NULL: not open. Touched by the batch alone */
	char *journal_dir;       /* where it is open */
	struct kept_feed *feeds; /* on disk */
	size_t feeds_n;
	json_t *news;
	uint64_t asked, done;
	const char *base_why; /* NULL = no base is wanted */
	bool rotate;
	bool wants_overrides;
	bool wants_versions;
	bool paused; /* it failed: wait for the next change or renewal */
	int error;
};

struct keeping *keeping_create(uv_loop_t *loop, void (*written)(void *context), void *context)
{
	struct keeping *keeping = calloc(1, sizeof(*keeping));
	if (!keeping)
		return NULL;
	keeping->loop = loop;
	keeping->written = written;
	keeping->context = context;
	return keeping;
}

static void free_feeds(struct kept_feed *feeds, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(feeds[i].pool);
		feed_unref(feeds[i].feed);
	}
	free(feeds);
}

void keeping_destroy(struct keeping *keeping)
{
	if (!keeping)
		return;
	json_decref(keeping->news);
	journal_close(keeping->journal);
	free(keeping->journal_dir);
	free_feeds(keeping->feeds, keeping->feeds_n);
	free(keeping);
}

void keeping_add(struct keeping *keeping, json_t *news)
{
	if (!news)
		return;
	if (!keeping->news)
		keeping->news = json_array();
	if (keeping->news)
		json_array_extend(keeping->news, news);
	json_decref(news);
	keeping->asked++;
	keeping->paused = false;
	if (json_array_size(keeping->news) > NEWS_WAITING_MAX) {
		/* What is lost can't be replayed; so the journal goes on from the whole state. */
		json_decref(keeping->news);
		keeping->news = NULL;
		keeping->base_why = "records were lost";
	}
}

void keeping_want_base(struct keeping *keeping, const char *why)
{
	keeping->base_why = why;
	/* Whoever asks at once hears nothing that a crash could still take back. */
	keeping->asked++;
}

void keeping_want_overrides(struct keeping *keeping)
{
	keeping->wants_overrides = true;
	keeping->asked++;
	keeping->paused = false;
}

void keeping_want_versions(struct keeping *keeping)
{
	keeping->wants_versions = true;
}

void keeping_retry(struct keeping *keeping)
{
	keeping->paused = false;
}

uint64_t keeping_asked(const struct keeping *keeping)
{
	return keeping->asked;
}

uint64_t keeping_done(const struct keeping *keeping)
{
	return keeping->done;
}

int keeping_error(const struct keeping *keeping)
{
	return keeping->error;
}

/* --- a batch, on the thread pool --- */

static int open_journal(struct keeping *keeping, struct batch *batch)
{
	if (keeping->journal && strcmp(keeping->journal_dir, batch->directory) == 0) {
		if (journal_is_there(keeping->journal))
			return 0;
		batch->was_gone = true;
	}
	journal_close(keeping->journal);
	keeping->journal = NULL;
	free(keeping->journal_dir);
	keeping->journal_dir = strdup(batch->directory);
	if (!keeping->journal_dir)
		return -ENOMEM;
	return journal_open(batch->directory, batch->max_bytes, batch->files_n, &keeping->journal);
}

static int write_journal(struct keeping *keeping, struct batch *batch)
{
	int rc = open_journal(keeping, batch);
	if (rc == 0 && batch->news) {
		rc = journal_append(keeping->journal, batch->news);
		if (rc == 0) {
			json_decref(batch->news);
			batch->news = NULL;
		}
	}
	if (rc == 0 && batch->rotate) {
		rc = journal_rotate(keeping->journal);
		batch->rotate = rc != 0;
	}
	if (rc == 0 && batch->base) {
		rc = journal_append(keeping->journal, batch->base);
		batch->base_written = rc == 0;
	}
	if (rc == 0)
		/* One may be full by its base alone: the next would be too, and so without end. */
		batch->full = !batch->base_written && journal_is_full(keeping->journal);
	return rc;
}

static void write_batch(struct keeping *keeping, struct batch *batch)
{
	int rc = 0;
	/* What is confirmed to operators comes first: a journal that can't be written does not cost them
	 * that. */
	if (batch->has_overrides) {
		rc = keep_write_overrides(batch->directory, batch->overrides);
		batch->has_overrides = rc != 0;
	}
	int journal_rc = write_journal(keeping, batch);
	if (rc == 0)
		rc = journal_rc;
	for (size_t i = 0; i < batch->feeds_n && rc == 0; i++) {
		rc = keep_write_feed(batch->directory, batch->feeds[i].pool, batch->feeds[i].feed);
		batch->feeds_written_n += rc == 0;
	}
	if (rc == 0 && batch->versions) {
		rc = keep_write_versions(batch->directory, batch->versions);
		if (rc == 0) {
			free(batch->versions);
			batch->versions = NULL;
		}
	}
	batch->rc = rc;
}

static void on_work(uv_work_t *work)
{
	struct keeping *keeping = work->data;
	write_batch(keeping, &keeping->batch);
}

/* --- what goes into a batch --- */

static struct kept_feed *find_kept(struct keeping *keeping, const char *pool)
{
	for (size_t i = 0; i < keeping->feeds_n; i++) {
		if (strcmp(keeping->feeds[i].pool, pool) == 0)
			return &keeping->feeds[i];
	}
	return NULL;
}

static bool is_kept(struct keeping *keeping, const struct load *load, size_t pool)
{
	const struct feed *feed = load->zones->feeds[pool].feed;
	const struct kept_feed *kept = find_kept(keeping, load->conf->pools[pool].name);
	return !feed || (kept && kept->feed == feed);
}

/* Does the configuration name another directory than the one that was written to? */
static bool is_elsewhere(const struct keeping *keeping, const struct load *load)
{
	return keeping->journal_dir && strcmp(keeping->journal_dir, load->conf->state_dir) != 0;
}

static void want_all(struct keeping *keeping, const char *why)
{
	free_feeds(keeping->feeds, keeping->feeds_n);
	keeping->feeds = NULL;
	keeping->feeds_n = 0;
	keeping->base_why = why;
	keeping->rotate = false;
	keeping->wants_overrides = keeping->wants_versions = true;
}

/* A new directory has no past: it gets all there is. */
static void begin_anew(struct keeping *keeping)
{
	json_decref(keeping->news);
	keeping->news = NULL;
	want_all(keeping, "new directory");
}

static bool has_work(struct keeping *keeping, const struct load *load)
{
	if (!load->conf->state_dir || keeping->running || keeping->paused)
		return false;
	bool work = is_elsewhere(keeping, load) || keeping->news || keeping->base_why || keeping->rotate ||
	            keeping->wants_overrides || keeping->wants_versions;
	for (size_t i = 0; i < load->conf->pools_n && !work; i++)
		work = !is_kept(keeping, load, i);
	return work;
}

bool keeping_is_settled(struct keeping *keeping, const struct load *load)
{
	return !keeping->running && !has_work(keeping, load);
}

static void add_feeds(struct keeping *keeping, const struct load *load, struct batch *batch)
{
	batch->feeds = calloc(load->conf->pools_n + 1, sizeof(*batch->feeds));
	for (size_t i = 0; i < load->conf->pools_n && batch->feeds; i++) {
		if (is_kept(keeping, load, i))
			continue;
		struct kept_feed *entry = &batch->feeds[batch->feeds_n];
		entry->pool = strdup(load->conf->pools[i].name);
		if (!entry->pool)
			return; /* with the next batch */
		entry->feed = feed_ref(load->zones->feeds[i].feed);
		batch->feeds_n++;
	}
}

static char *versions_text(const struct zones *zones)
{
	json_t *json = zones_versions_to_json(zones);
	size_t len;
	char *text = object_dump(json, JSON_INDENT(2), "", &len);
	json_decref(json);
	return text;
}

static bool fill_batch(struct keeping *keeping, const struct load *load)
{
	struct batch *batch = &keeping->batch;
	memset(batch, 0, sizeof(*batch));
	batch->directory = strdup(load->conf->state_dir);
	if (!batch->directory)
		return false;
	batch->max_bytes = load->conf->journal_max_bytes;
	batch->files_n = load->conf->journal_files;
	batch->asked = keeping->asked;
	if (is_elsewhere(keeping, load))
		begin_anew(keeping);
	batch->rotate = keeping->rotate;
	if (keeping->base_why && zones_note_base(load->zones, keeping->base_why, utc_now()) == 0)
		batch->base = zones_take_news(load->zones);
	/* Without pools there is none, and none to wait for. While one is written records may be lost, and
	 * then another is needed. */
	if (load->conf->pools_n == 0)
		keeping->base_why = NULL;
	if (batch->base) {
		batch->base_why = keeping->base_why;
		keeping->base_why = NULL;
	}
	batch->news = keeping->news;
	keeping->news = NULL;
	if (keeping->wants_overrides) {
		batch->has_overrides = true;
		batch->overrides = override_set_ref(load->zones->overrides);
	}
	if (keeping->wants_versions)
		batch->versions = versions_text(load->zones);
	keeping->wants_overrides = keeping->wants_versions = false;
	add_feeds(keeping, load, batch);
	keeping->running = true;
	return true;
}

/* --- its end --- */

static void note_kept(struct keeping *keeping, struct kept_feed *entry)
{
	struct kept_feed *kept = find_kept(keeping, entry->pool);
	if (!kept) {
		struct kept_feed *feeds = realloc(keeping->feeds, (keeping->feeds_n + 1) * sizeof(*feeds));
		if (!feeds)
			return; /* written once more than needed */
		keeping->feeds = feeds;
		kept = &feeds[keeping->feeds_n++];
		kept->pool = entry->pool;
		kept->feed = NULL;
		entry->pool = NULL;
	}
	feed_unref(kept->feed);
	kept->feed = entry->feed;
	entry->feed = NULL;
}

/* What was not written goes in front of what has come up meanwhile. */
static void take_back(struct keeping *keeping, struct batch *batch)
{
	if (batch->news) {
		json_t *later = keeping->news;
		keeping->news = batch->news;
		batch->news = NULL;
		if (later)
			json_array_extend(keeping->news, later);
		json_decref(later);
	}
	keeping->wants_overrides |= batch->has_overrides;
	keeping->wants_versions |= batch->versions != NULL;
}

static void tell(struct keeping *keeping, const struct batch *batch)
{
	if (batch->rc < 0 && keeping->error != -batch->rc)
		log_error("%s: cannot keep the state: %s; answers go on, but a restart would forget "
		          "overrides and the journal has a gap until this is mended",
		          batch->directory, strerror(-batch->rc));
	else if (batch->rc == 0 && keeping->error)
		log_info("%s: the state is kept again", batch->directory);
	keeping->error = -batch->rc;
	keeping->paused = batch->rc < 0;
}

static void end_batch(struct keeping *keeping)
{
	struct batch *batch = &keeping->batch;
	tell(keeping, batch);
	take_back(keeping, batch);
	for (size_t i = 0; i < batch->feeds_written_n; i++)
		note_kept(keeping, &batch->feeds[i]);
	if (!batch->base_written && !keeping->base_why)
		keeping->base_why = batch->base_why;
	keeping->rotate = batch->rotate || batch->full;
	if (keeping->rotate)
		keeping->base_why = "new journal";
	if (batch->was_gone)
		want_all(keeping, "journal was gone");
	/* Also when it failed: whoever waits is told so. */
	keeping->done = batch->asked;
	json_decref(batch->base);
	override_set_unref(batch->overrides);
	free(batch->versions);
	free(batch->directory);
	free_feeds(batch->feeds, batch->feeds_n);
	keeping->running = false;
}

static void on_written(uv_work_t *work, int status)
{
	struct keeping *keeping = work->data;
	if (status < 0)
		keeping->batch.rc = -ECANCELED;
	end_batch(keeping);
	keeping->written(keeping->context);
}

void keeping_run(struct keeping *keeping, const struct load *load)
{
	if (!load->conf->state_dir) {
		/* Nowhere to go. */
		json_decref(keeping->news);
		keeping->news = NULL;
		keeping->done = keeping->asked;
		keeping->error = 0;
		return;
	}
	if (!has_work(keeping, load) || !fill_batch(keeping, load))
		return;
	keeping->batch.work.data = keeping;
	int rc = uv_queue_work(keeping->loop, &keeping->batch.work, on_work, on_written);
	if (rc < 0) {
		keeping->batch.rc = rc;
		end_batch(keeping);
	}
}
