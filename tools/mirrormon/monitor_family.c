/* Does IPv4, does IPv6 work from here? */
#include <stdio.h>

#include "base/log.h"
#include "mirrormon/monitor_int.h"

#define WITNESSES_MAX 4 /* mirrors; one may be down, and several be of one house */

static struct family *family_of(struct monitor *monitor, unsigned family)
{
	return &monitor->families[family == 6];
}

static const char *family_name(unsigned family)
{
	return family == 6 ? "IPv6" : "IPv4";
}

void monitor_tell_lack(struct monitor *monitor, unsigned family, const char *why)
{
	struct family *one = family_of(monitor, family);
	if (!one->is_lacking)
		log_error("%s addresses can't be checked from here, they stay as they are: %s",
		          family_name(family), why);
	one->is_lacking = true;
}

void monitor_note_answer(struct monitor *monitor, unsigned family)
{
	struct family *one = family_of(monitor, family);
	one->shown_ms = uv_now(&monitor->loop) + 1;
	one->lost_ms = 0;
	if (one->is_lacking)
		log_info("%s addresses are checked again", family_name(family));
	one->is_lacking = false;
	if (one->is_awaited)
		monitor_release_held(monitor);
}

enum family_word monitor_family_says(const struct monitor *monitor, unsigned family, uint64_t since_ms)
{
	const struct family *one = &monitor->families[family == 6];
	if (one->shown_ms > since_ms)
		return FAMILY_WORKS;
	/* While it is lost, not each of those that fail is followed by another search. */
	if (one->lost_ms && since_ms <= one->lost_ms + monitor->settings->conf->checks.retry_ms)
		return FAMILY_LOST;
	return FAMILY_UNCLEAR;
}

/** Nobody answers: what the first says that is held, stands for all. */
static void lose(struct monitor *monitor, unsigned family)
{
	const struct watched *first = NULL; /* none, where the self-test has failed meanwhile */
	for (size_t i = 0; i < monitor->watched_n && !first; i++) {
		if (monitor->watched[i]->held_ms && monitor->watched[i]->addr.family == family)
			first = monitor->watched[i];
	}
	char why[2 * MODEL_DETAIL_MAX + 256];
	snprintf(why, sizeof(why),
	         "nobody answers over it%s%.255s%s%s; where it does work, name a reference that has it",
	         first ? ", as here " : "", first ? first->host : "", first ? ", " : "",
	         first ? first->held.detail : "");
	family_of(monitor, family)->lost_ms = uv_now(&monitor->loop) + 1;
	monitor_tell_lack(monitor, family, why);
}

void monitor_witness_ended(struct monitor *monitor, unsigned family)
{
	struct family *one = family_of(monitor, family);
	if (one->asked_n == 0 || --one->asked_n > 0)
		return;
	if (one->shown_ms < one->asked_ms)
		lose(monitor, family);
	monitor_release_held(monitor);
}

static void reference_ended(struct monitor *monitor, unsigned family, const struct conf_reference *reference,
                            const struct check_result *result)
{
	const struct conf_monitor *conf = monitor->settings->conf;
	/* An answer to the configuration before is nobody's. */
	if (reference < conf->references || reference >= conf->references + conf->references_n)
		return;
	/* A URL with an address in it is asked there, whatever the family. */
	if (result->family == family && result->reason != REASON_UNREACHABLE)
		monitor_note_answer(monitor, family);
	monitor_witness_ended(monitor, family);
}

static void on_reference4(void *context, const struct conf_reference *reference,
                          const struct check_result *result)
{
	reference_ended(context, 4, reference, result);
}

static void on_reference6(void *context, const struct conf_reference *reference,
                          const struct check_result *result)
{
	reference_ended(context, 6, reference, result);
}

/** Those with an address of their own have just been asked, by the self-test. */
static void ask_references(struct monitor *monitor, unsigned family)
{
	const struct conf_monitor *conf = monitor->settings->conf;
	for (size_t i = 0; i < conf->references_n; i++) {
		if (!conf->references[i].address &&
		    checker_start_reference(monitor->checker, &conf->references[i], family,
		                            family == 6 ? on_reference6 : on_reference4, monitor) == 0)
			family_of(monitor, family)->asked_n++;
	}
}

/** Who was well when last seen, in turn; with is_unseen those that were not looked at yet. */
static void ask_mirrors(struct monitor *monitor, unsigned family, bool is_unseen, size_t *witnesses_n)
{
	struct family *one = family_of(monitor, family);
	for (size_t i = 0; i < monitor->watched_n && *witnesses_n < WITNESSES_MAX; i++) {
		struct watched *watched = monitor->watched[one->next++ % monitor->watched_n];
		if (watched->addr.family != family || watched->is_witness || watched->held_ms ||
		    watched->heard != REASON_NONE || watched->standing.failures_n > 0 ||
		    is_unseen != (watched->last.at_s == 0))
			continue;
		watched_check(watched, false);
		/* Or it was under way already, and will show as much. */
		if (!watched->busy)
			continue;
		watched->is_witness = true;
		one->asked_n++;
		(*witnesses_n)++;
	}
}

bool monitor_ask_family(struct monitor *monitor, unsigned family)
{
	struct family *one = family_of(monitor, family);
	size_t witnesses_n = 0;
	if (one->asked_n > 0 || monitor->stopping)
		return false;
	uv_update_time(&monitor->loop);
	one->asked_ms = uv_now(&monitor->loop) + 1;
	ask_references(monitor, family);
	ask_mirrors(monitor, family, false, &witnesses_n);
	ask_mirrors(monitor, family, true, &witnesses_n);
	if (one->asked_n > 0)
		return false;
	lose(monitor, family);
	return true;
}

void monitor_forget_witnesses(struct monitor *monitor)
{
	for (size_t i = 0; i < 2; i++)
		monitor->families[i].asked_n = 0;
	for (size_t i = 0; i < monitor->watched_n; i++)
		monitor->watched[i]->is_witness = false;
}
