#include "mirrormon/mail_int.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "mirrormon/site_files.h"

#define CHECKS_QUOTED 6
#define EVENTS_QUOTED 6
#define LISTED_MAX    1000 /* mirrors of a digest */

static const char *const step_names[MAIL_STEP_N] = { "failing", "admin", "address-out", "out", "well" };

/* "2026-11-21 07:10 UTC" */
static const char *format_minute(uint64_t at_s, char text[32])
{
	time_t at = (time_t)at_s;
	struct tm utc;
	if (at_s == 0 || at_s > 253402300799U || !gmtime_r(&at, &utc) ||
	    strftime(text, 32, "%Y-%m-%d %H:%M UTC", &utc) == 0)
		strcpy(text, "an unknown time");
	return text;
}

/* "2 days", "36 hours": the largest unit of which it is a whole number. */
static const char *format_time_span(uint64_t s, char text[48])
{
	static const struct {
		uint64_t s;
		const char *one, *more;
	} units[] = { { 86400, "day", "days" },
		      { 3600, "hour", "hours" },
		      { 60, "minute", "minutes" },
		      { 1, "second", "seconds" } };
	size_t i = 0;
	while (i < 3 && (s < units[i].s || s % units[i].s))
		i++;
	uint64_t n = s / units[i].s;
	snprintf(text, 48, "%" PRIu64 " %s", n, n == 1 ? units[i].one : units[i].more);
	return text;
}

/* --- one mirror --- */

struct mail_state mail_state_of(const struct mirror_view *mirror)
{
	struct mail_state state = { .reason = REASON_NONE };
	/* Each new version makes mirrors wait for it: that is no failure. Late ones are found by their
	 * timestamp. */
	if (mirror->verdict.reason != REASON_OUT_OF_SYNC && mirror->verdict.reason != REASON_NONE) {
		state.reason = mirror->verdict.reason;
		state.since_s = mirror->verdict.since_s;
		state.is_out = true;
	}
	for (size_t i = 0; i < mirror->addrs_n; i++) {
		const struct address_view *address = &mirror->addrs[i];
		enum reason out = address->verdict.reason;
		if (out == REASON_OUT_OF_SYNC)
			out = REASON_NONE;
		enum reason reason = out ? out : address->standing.warning;
		uint64_t since_s = out ? address->verdict.since_s : address->standing.warning_since_s;
		state.is_part_out = state.is_part_out || out;
		if (address->standing.failures_n > state.failures_n)
			state.failures_n = address->standing.failures_n;
		if (!state.is_out && reason > state.reason)
			state.reason = reason;
		if (reason && since_s && (!state.since_s || since_s < state.since_s))
			state.since_s = since_s;
	}
	if (state.reason == REASON_NONE)
		state.reason = mirror->warning == REASON_OUT_OF_SYNC ? REASON_NONE : mirror->warning;
	return state;
}

/* What is no reason to take it out, but costs its clients or the other mirrors. */
static void put_warnings(FILE *out, unsigned warnings)
{
	static const struct {
		enum check_warning bit;
		const char *words;
	} lines[] = {
		{ CHECK_WARN_NO_304,
		  "a request with If-Modified-Since brings the whole file, not 304. Keep the times of\n"
		  "    files when they are copied (rsync --times)." },
		{ CHECK_WARN_CDIFF_GAP,
		  "an older patch (.cdiff) is missing or empty: clients fetch the whole database.\n"
		  "    Exclude no *.cdiff from what is synchronized." },
		{ CHECK_WARN_HOST_HEADER,
		  "it answers to one of the host names only: give the web server all of them\n"
		  "    (server_name, ServerAlias)." },
	};
	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
		if (warnings & lines[i].bit)
			fprintf(out, "    To be mended: %s\n", lines[i].words);
	}
}

/* Of one that is well again. Returns false when there is nothing. */
static bool put_left_over(FILE *out, const struct mirror_view *mirror)
{
	bool has_any = false;
	for (size_t i = 0; i < mirror->addrs_n; i++) {
		const struct address_view *address = &mirror->addrs[i];
		char text[ADDR_TEXT_MAX];
		if (!address->last.warnings)
			continue;
		if (!has_any)
			fputs("What is left:\n\n", out);
		has_any = true;
		fprintf(out, "  %s: nothing wrong\n", addr_format(&address->addr, text, sizeof(text)));
		put_warnings(out, address->last.warnings);
	}
	return has_any;
}

static void put_evidence(FILE *out, const struct mirror_view *mirror)
{
	fputs("What was found:\n\n", out);
	for (size_t i = 0; i < mirror->addrs_n; i++) {
		const struct address_view *address = &mirror->addrs[i];
		char text[ADDR_TEXT_MAX];
		char since[32];
		fprintf(out, "  %s: ", addr_format(&address->addr, text, sizeof(text)));
		if (address->verdict.reason)
			fprintf(out, "out of DNS, %s since %s", reason_text(address->verdict.reason),
			        format_minute(address->verdict.since_s, since));
		else if (address->standing.warning)
			fprintf(out, "%s since %s, still in DNS", reason_text(address->standing.warning),
			        format_minute(address->standing.warning_since_s, since));
		else
			fputs("nothing wrong", out);
		if (address->standing.failures_n)
			fprintf(out, "; %" PRIu32 " failed checks in a row", address->standing.failures_n);
		if (address->verdict.reason && address->verdict.votes_n > 1)
			fprintf(out, "; so say %" PRIu32 " of %" PRIu32 " monitors",
			        address->verdict.votes_out, address->verdict.votes_n);
		const char *detail = address->verdict.reason && *address->verdict.detail
		                             ? address->verdict.detail
		                             : address->standing.detail;
		if (*detail && (address->verdict.reason || address->standing.warning)) {
			fputs("\n    ", out);
			mail_put_text(out, detail);
		}
		fputc('\n', out);
		put_warnings(out, address->last.warnings);
	}
	fputc('\n', out);
}

static void put_way_back(FILE *out, const struct view *view)
{
	const struct conf_decision *decision = &view->conf->decision;
	char span[48];
	fprintf(out,
	        "It comes back by itself: after %" PRIu32
	        " good checks in a row over at least %s (longer when it\n"
	        "was out several times of late). ",
	        decision->return_after, format_time_span(decision->probation_s, span));
	fprintf(out, "It then gets %" PRIu32 " %% of its share of clients, rising to all of it in\n%s.\n",
	        decision->ramp_percent, format_time_span(decision->ramp_s, span));
}

static void put_next(FILE *out, const struct view *view, const struct mirror_view *mirror,
                     const struct mail_state *state)
{
	const struct conf_decision *decision = &view->conf->decision;
	char at[32];
	char span[48];
	uint64_t next_s = 0;
	uint64_t timestamp_s = 0;
	for (size_t i = 0; i < mirror->addrs_n; i++) {
		const struct address_view *address = &mirror->addrs[i];
		if (address->next_check_s && (!next_s || address->next_check_s < next_s))
			next_s = address->next_check_s;
		if (address->standing.timestamp_s &&
		    (!timestamp_s || address->standing.timestamp_s < timestamp_s))
			timestamp_s = address->standing.timestamp_s;
	}
	fputs("What happens next:\n\n", out);
	if (state->is_out || state->is_part_out) {
		fprintf(out, "%s out of DNS: clients are sent to other mirrors.\n",
		        state->is_out ? "It is" : "The address above is");
		put_way_back(out, view);
	} else {
		switch (state->reason) {
		case REASON_LATE:
		case REASON_OLD:
			fprintf(out, "It is taken out of DNS when its timestamp file is %s behind",
			        format_time_span(decision->old_after_s, span));
			if (timestamp_s)
				fprintf(out, ": at %s,\nunless it is updated before",
				        format_minute(timestamp_s + decision->old_after_s, at));
			fputs(".\n", out);
			break;
		case REASON_SLOW:
			fprintf(out,
			        "It is taken out of DNS when %" PRIu32 " of its last %" PRIu32
			        " checks took longer than %" PRIu32 " ms.\n",
			        decision->slow_after, 2 * decision->slow_after - 1, decision->slow_over_ms);
			break;
		default:
			fprintf(out,
			        "It is taken out of DNS after %" PRIu32
			        " failed checks in a row; there were %" PRIu32 ".\n",
			        decision->unreachable_after, state->failures_n);
		}
	}
	if (next_s)
		fprintf(out, "The next check is at %s.\n", format_minute(next_s, at));
	fputc('\n', out);
}

/* How to mend it: what it nearly always is. */
static void put_hint(FILE *out, const struct view *view, enum reason reason)
{
	static const char *const hints[REASON_N] = {
		[REASON_LATE] =
		        "its databases are no longer synchronised. Look at rsync.log of clam-clientsync, at "
		        "the\n"
		        "space on the disk, and whether our masters can still log in by ssh. The file\n"
		        "\"timestamp\" has to change every three hours.",
		[REASON_OLD] =
		        "its databases are no longer synchronised. Look at rsync.log of clam-clientsync, at "
		        "the\n"
		        "space on the disk, and whether our masters can still log in by ssh. The file\n"
		        "\"timestamp\" has to change every three hours.",
		[REASON_SLOW] = "look at its load, at its uplink, and at limits of connections or bandwidth.",
		[REASON_HTTP_ERROR] = "the web server has to serve /timestamp and the .cvd and .cdiff files "
		                      "with status 200, without\n"
		                      "a redirect, for every host name that clients ask for.",
		[REASON_UNREACHABLE] =
		        "is the web server up, and does it listen at this address? Is its port open in the\n"
		        "firewall for all the world, also over IPv6 if the mirror has such an address?",
		[REASON_WRONG_CONTENT] =
		        "what it serves is not what we distribute. Is the virtual host the right one for\n"
		        "every host name that clients ask for? Was a transfer cut short, or a file changed?",
		[REASON_REFUSED] =
		        "it answers 403 or 429. Does a rule refuse the User-Agent ClamAV-MirrorCheck, our\n"
		        "addresses, or too many requests? It refuses clients as well, then, and a client "
		        "that\n"
		        "is refused asks no other mirror for a day.",
	};
	if (!hints[reason])
		return;
	fprintf(out, "How to mend it: %s\n", hints[reason]);
	if ((reason == REASON_HTTP_ERROR || reason == REASON_WRONG_CONTENT) && view->conf->checks.hosts_n) {
		fputs("The host names are:", out);
		for (size_t i = 0; i < view->conf->checks.hosts_n; i++) {
			fputc(' ', out);
			mail_put_text(out, view->conf->checks.hosts[i]);
		}
		fputs(" (%c: a country).\n", out);
	}
	fputc('\n', out);
}

static void put_log(FILE *out, const char *host, struct history *history)
{
	struct history_check checks[CHECKS_QUOTED];
	struct history_event events[EVENTS_QUOTED];
	char at[32];
	char addr[ADDR_TEXT_MAX];
	size_t checks_n = history_checks(history, host, checks, CHECKS_QUOTED);
	size_t events_n = history_events(history, host, events, EVENTS_QUOTED);
	if (checks_n)
		fputs("Its last checks:\n\n", out);
	for (size_t i = 0; i < checks_n; i++) {
		const struct check_result *result = &checks[i].result;
		fprintf(out, "  %s  %s  %s", format_minute(result->at_s, at),
		        addr_format(&checks[i].addr, addr, sizeof(addr)),
		        result->reason ? reason_text(result->reason) : "good");
		if (*result->detail) {
			fputs(": ", out);
			mail_put_text(out, result->detail);
		}
		fputc('\n', out);
	}
	if (events_n)
		fprintf(out, "%sIts last changes:\n\n", checks_n ? "\n" : "");
	for (size_t i = 0; i < events_n; i++) {
		fprintf(out, "  %s  %s  %s -> %s", format_minute(events[i].at_s, at),
		        events[i].addr.family ? addr_format(&events[i].addr, addr, sizeof(addr))
		                              : "all of it",
		        events[i].from ? reason_text(events[i].from) : "in",
		        events[i].to ? reason_text(events[i].to) : "in");
		if (*events[i].detail) {
			fputs(": ", out);
			mail_put_text(out, events[i].detail);
		}
		fputc('\n', out);
	}
	if (checks_n || events_n)
		fputc('\n', out);
}

/* --- headers --- */

static const char *sender(const struct view *view)
{
	const char *from = view->conf->mail.from;
	return from && mail_is_address(from, strlen(from)) ? from : view->conf->mail.team;
}

static void put_headers(FILE *out, const struct view *view, const char *to, const char *subject)
{
	fprintf(out, "From: %s\nTo: %s\nReply-To: %s\n", sender(view), to, view->conf->mail.team);
	mail_put_header(out, "Subject", subject);
	mail_put_date(out, view->now_s);
	fputs("Auto-Submitted: auto-generated\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n"
	      "Content-Transfer-Encoding: 8bit\n",
	      out);
}

/* The end of a letter: what was written goes to ret_letter. */
static int finish(FILE *out, char **text, const char *to, struct letter *ret_letter)
{
	bool failed = ferror(out);
	char *to_copy = strdup(to);
	if (fclose(out) != 0 || failed || !to_copy || !*text) {
		free(*text);
		free(to_copy);
		return -ENOMEM;
	}
	*ret_letter = (struct letter){ .to = to_copy, .text = *text };
	return 0;
}

int mail_write_step(const struct view *view, const struct mirror_view *mirror,
                    const struct incident *incident, enum mail_step step, const char *to,
                    struct history *history, struct letter *ret_letter)
{
	struct mail_state state = mail_state_of(mirror);
	char subject[512];
	char at[32];
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);
	if (!out)
		return -ENOMEM;
	const char *pool = view->conf->pool->name;
	if (step == MAIL_RECOVERED)
		snprintf(subject, sizeof(subject), "[%.100s mirrors] %.255s: well again (%s since %s)", pool,
		         mirror->host, reason_text(incident->reason), format_minute(incident->since_s, at));
	else
		snprintf(subject, sizeof(subject), "[%.100s mirrors] %.255s: %s%s since %s", pool,
		         mirror->host,
		         state.is_out        ? "out of DNS, "
		         : state.is_part_out ? "an address is out of DNS, "
		                             : "",
		         reason_text(state.reason),
		         format_minute(state.since_s ? state.since_s : incident->since_s, at));
	put_headers(out, view, to, subject);
	mail_put_id(out, "Message-ID: ", incident->since_s, step_names[step], mirror->host, sender(view));
	if (incident->first >= 0) {
		mail_put_id(out, "\nIn-Reply-To: ", incident->since_s, step_names[incident->last],
		            mirror->host, sender(view));
		mail_put_id(out, "\nReferences: ", incident->since_s, step_names[incident->first],
		            mirror->host, sender(view));
		if (incident->last != incident->first)
			mail_put_id(out, "\n ", incident->since_s, step_names[incident->last], mirror->host,
			            sender(view));
	}
	fputs("\n\nThe mirror ", out);
	mail_put_text(out, mirror->host);
	if (step == MAIL_RECOVERED) {
		fprintf(out, " is well again. It was %s from %s on", reason_text(incident->reason),
		        format_minute(incident->since_s, at));
		fprintf(out, "; this is as of\n%s.", format_minute(view->now_s, at));
		if (mirror->ramp_permille < 1000)
			fprintf(out,
			        " It has %u.%u %% of its share of clients, rising to all of it until\n%s.",
			        mirror->ramp_permille / 10, mirror->ramp_permille % 10,
			        format_minute(mirror->ramp_full_s, at));
		fputs("\n\n", out);
		fputs(put_left_over(out, mirror) ? "\n" : "Nothing has to be done.\n\n", out);
	} else {
		fprintf(out, " is %s since %s.\n\n", reason_text(state.reason),
		        format_minute(state.since_s ? state.since_s : incident->since_s, at));
		put_evidence(out, mirror);
		put_next(out, view, mirror, &state);
		put_hint(out, view, state.reason);
	}
	if (history)
		put_log(out, mirror->host, history);
	if (view->conf->site.url) {
		char file[SITE_FILE_MAX];
		fputs("Its page: ", out);
		mail_put_text(out, view->conf->site.url);
		fprintf(out, "/mirror/%s.html\n", site_file_name(mirror->host, file));
	}
	if (step != MAIL_RECOVERED)
		fputs("No reply is needed if it is mended. If it will take longer, tell us: answers to this "
		      "letter go\n"
		      "to the team.\n",
		      out);
	return finish(out, &text, to, ret_letter);
}

/* Who is not well, by reason, the worst first. */
static void put_list(FILE *out, const struct view *view)
{
	size_t listed_n = 0;
	size_t left_out_n = 0;
	for (enum reason reason = REASON_N - 1; reason > REASON_NONE; reason--) {
		bool has_title = false;
		for (size_t i = 0; i < view->mirrors_n; i++) {
			const struct mirror_view *mirror = &view->mirrors[i];
			struct mail_state state = mail_state_of(mirror);
			char at[32];
			if (state.reason != reason || mirror->in_maintenance)
				continue;
			if (listed_n == LISTED_MAX) {
				left_out_n++;
				continue;
			}
			if (!has_title)
				fprintf(out, "%s:\n", reason_text(reason));
			has_title = true;
			fputs("  ", out);
			mail_put_text(out, mirror->host);
			fprintf(out, "%s, since %s\n", state.is_out ? ", out of DNS" : "",
			        format_minute(state.since_s, at));
			listed_n++;
		}
	}
	if (left_out_n)
		fprintf(out, "and %zu more\n", left_out_n);
}

int mail_write_digest(const struct view *view, enum mail_digest digest, uint64_t since_s, size_t at_once_n,
                      struct letter *ret_letter)
{
	static const char *const names[] = { "many", "many-over", "many-last", "self", "self-over" };
	const bool is_of_mirrors =
	        digest == MAIL_STORM || digest == MAIL_STORM_OVER || digest == MAIL_STORM_LASTS;
	const char *pool = view->conf->pool->name;
	char subject[512];
	char at[32];
	char *text = NULL;
	size_t len;
	size_t bad_n = 0;
	for (size_t i = 0; i < view->mirrors_n; i++)
		bad_n += !view->mirrors[i].in_maintenance &&
		         mail_state_of(&view->mirrors[i]).reason != REASON_NONE;
	FILE *out = open_memstream(&text, &len);
	if (!out)
		return -ENOMEM;
	format_minute(since_s, at);
	switch (digest) {
	case MAIL_STORM:
		snprintf(subject, sizeof(subject),
		         "[%.100s mirrors] %zu of %zu mirrors fail at once since %s", pool, at_once_n,
		         view->mirrors_n, at);
		break;
	case MAIL_STORM_OVER:
		snprintf(subject, sizeof(subject),
		         "[%.100s mirrors] most mirrors are well again: %zu of %zu fail", pool, bad_n,
		         view->mirrors_n);
		break;
	case MAIL_STORM_LASTS:
		snprintf(subject, sizeof(subject),
		         "[%.100s mirrors] %zu of %zu mirrors still fail after a day", pool, bad_n,
		         view->mirrors_n);
		break;
	case MAIL_SELF:
		snprintf(subject, sizeof(subject), "[%.100s mirrors] the monitor itself is not well since %s",
		         pool, at);
		break;
	case MAIL_SELF_OVER:
		snprintf(subject, sizeof(subject), "[%.100s mirrors] the monitor itself is well again", pool);
		break;
	}
	put_headers(out, view, view->conf->mail.team, subject);
	mail_put_id(out, "Message-ID: ", since_s, names[digest], pool, sender(view));
	if (digest != MAIL_STORM && digest != MAIL_SELF) {
		const char *first = names[is_of_mirrors ? MAIL_STORM : MAIL_SELF];
		mail_put_id(out, "\nIn-Reply-To: ", since_s, first, pool, sender(view));
		mail_put_id(out, "\nReferences: ", since_s, first, pool, sender(view));
	}
	fputs("\n\n", out);
	if (digest == MAIL_STORM) {
		fprintf(out,
		        "%zu of %zu mirrors began to fail at about the same time, over %" PRIu32
		        " %%. Then it is hardly the\n"
		        "mirrors: look at the monitor, its network, and the masters. Until it is over, for a "
		        "day at most,\n"
		        "the admins of all mirrors hear nothing, and you hear of it once.\n\n",
		        at_once_n, view->mirrors_n, view->conf->mail.digest_over_percent);
		if (bad_n > at_once_n)
			fprintf(out, "%zu more fail for longer: they are in this list too.\n\n",
			        bad_n - at_once_n);
	} else if (digest == MAIL_STORM_OVER)
		fprintf(out,
		        "Most mirrors are well again. Those that are not, %zu of %zu, are treated each by "
		        "itself from now\n"
		        "on.\n\n",
		        bad_n, view->mirrors_n);
	else if (digest == MAIL_STORM_LASTS)
		fprintf(out,
		        "Many mirrors fail since %s, for a day now: that is no longer at\n"
		        "once. Each of these %zu of %zu is treated by itself from now on, and their admins "
		        "hear of it now.\n\n",
		        at, bad_n, view->mirrors_n);
	else if (digest == MAIL_SELF)
		fputs("Its self-test fails: what it finds may be its own fault. It decides nothing until "
		      "that "
		      "passes: all\n"
		      "mirrors stay as they are.\n\n",
		      out);
	else
		fputs("Its self-test passes again, and it decides as before.\n\n", out);
	if (digest == MAIL_SELF && *view->self_detail) {
		mail_put_text(out, view->self_detail);
		fputc('\n', out);
	}
	if (is_of_mirrors)
		put_list(out, view);
	return finish(out, &text, view->conf->mail.team, ret_letter);
}
