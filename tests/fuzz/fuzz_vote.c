/*
 * Votes of any bytes: refused with a message that can stand in a log, or parsed. Whatever is parsed is in
 * range, printable and found again.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "mirrormon/publish.h"
#include "tests/fuzz/fuzz.h"

#define NOW_S 1795000000

static void require(bool holds)
{
	if (!holds)
		abort();
}

static void check_text(const char *text, size_t most)
{
	require(strlen(text) <= most);
	for (; *text; text++)
		require(*text >= ' ' && *text <= '~');
}

static void check_vote(const struct vote *vote)
{
	check_text(vote->monitor, CONF_MONITOR_NAME_LEN);
	require(vote->monitor[0] && vote->generated_s && vote->generated_s <= NOW_S + 300);
	for (size_t i = 0; i < vote->entries_n; i++) {
		const struct vote_entry *entry = &vote->entries[i];
		struct opinion found = vote_find(vote, &entry->addr);
		check_text(entry->host, 253);
		if (entry->opinion.detail)
			check_text(entry->opinion.detail, MODEL_DETAIL_MAX - 1);
		require(entry->addr.family == 4 || entry->addr.family == 6);
		require(entry->opinion.reason > REASON_NONE && entry->opinion.reason < REASON_N);
		require(entry->opinion.since_s && entry->opinion.since_s <= vote->generated_s);
		require(found.reason == entry->opinion.reason && found.detail == entry->opinion.detail);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct diag diag;
	struct vote *vote = NULL;
	diag_init(&diag);
	int rc = vote_parse((const char *)data, size, "vote", "clamav", NOW_S, &diag, &vote);
	require(rc == 0 || rc == -EINVAL);
	require((rc == 0) == (vote != NULL) && (rc == 0) == (diag.errors_n == 0));
	for (size_t i = 0; i < diag.messages_n; i++)
		check_text(diag.messages[i].text, 1000);
	if (vote)
		check_vote(vote);
	vote_destroy(vote);
	diag_fini(&diag);
	return 0;
}
