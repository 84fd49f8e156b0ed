/* how.html: the rules, with the numbers that are in force. */
#include "mirrormon/site_int.h"

static void add_rules(const struct conf_monitor *conf, struct site_text *text)
{
	const struct conf_decision *decision = &conf->decision;
	char late[SITE_DURATION_MAX];
	char old[SITE_DURATION_MAX];
	site_add(text, "<section aria-labelledby=\"out\">\n<h2 id=\"out\">When a mirror is taken out</h2>\n"
	               "<p>Each address is judged on its own, so that IPv4 and IPv6 fail apart. A mirror is "
	               "out when all of its addresses are. "
	               "The first rule that applies gives the reason.</p>\n"
	               "<table class=\"lists\">\n<caption>Rules, in the order in which they are looked "
	               "at</caption>\n"
	               "<thead><tr><th scope=\"col\">Reason</th><th "
	               "scope=\"col\">When</th></tr></thead>\n<tbody>\n");
	site_add(text,
	         "<tr><th scope=\"row\">wrong-content</th><td>At once: a file is not what it should "
	         "be.</td></tr>\n"
	         "<tr><th scope=\"row\">refused</th><td>At once: the mirror answers with 403 or "
	         "429.</td></tr>\n"
	         "<tr><th scope=\"row\">unreachable, http-error</th><td>After %u checks in a row have "
	         "failed.</td></tr>\n"
	         "<tr><th scope=\"row\">old</th><td>Its timestamp is %s behind the newest. From %s on it is "
	         "<em>late</em>: still in, "
	         "but its admin is asked to look.</td></tr>\n",
	         decision->unreachable_after, site_duration(decision->old_after_s, old),
	         site_duration(decision->late_after_s, late));
	if (decision->slow_over_ms && decision->slow_after)
		site_add(text,
		         "<tr><th scope=\"row\">slow</th><td>%u of its last %u checks took longer than %g "
		         "s.</td></tr>\n",
		         decision->slow_after, 2 * decision->slow_after - 1, decision->slow_over_ms / 1e3);
	site_add(text, "<tr><th scope=\"row\">out-of-sync</th><td>It lacks the database version that is "
	               "announced in DNS.</td></tr>\n"
	               "<tr><th scope=\"row\">maintenance</th><td>Its admin has announced it.</td></tr>\n"
	               "<tr><th scope=\"row\">admin</th><td>An operator of the pool has taken it out by "
	               "hand.</td></tr>\n"
	               "</tbody>\n</table>\n</section>\n");
}

static void add_return(const struct conf_monitor *conf, struct site_text *text)
{
	const struct conf_decision *decision = &conf->decision;
	char probation[SITE_DURATION_MAX];
	char most[SITE_DURATION_MAX];
	char window[SITE_DURATION_MAX];
	char ramp[SITE_DURATION_MAX];
	site_add(text,
	         "<section aria-labelledby=\"back\">\n<h2 id=\"back\">How it comes back</h2>\n"
	         "<p>By itself, nobody has to be asked: after %u good checks in a row that span its "
	         "<em>probation</em> of %s. "
	         "For each time it went out within %s the probation is twice as long, up to %s. Then it gets "
	         "%u %% of its weight, "
	         "which rises to all of it in %s, so that it is not overrun.</p>\n</section>\n",
	         decision->return_after, site_duration(decision->probation_s, probation),
	         site_duration(decision->flap_window_s, window),
	         site_duration(decision->probation_max_s, most), decision->ramp_percent,
	         site_duration(decision->ramp_s, ramp));
}

static void add_checks(const struct conf_monitor *conf, struct site_text *text)
{
	const struct conf_checks *checks = &conf->checks;
	char interval[SITE_DURATION_MAX];
	char retry[SITE_DURATION_MAX];
	char connect[SITE_DURATION_MAX];
	char request[SITE_DURATION_MAX];
	char deep[SITE_DURATION_MAX];
	site_add(text,
	         "<section aria-labelledby=\"checks\">\n<h2 id=\"checks\">What is checked</h2>\n"
	         "<p>Each address, every %s give or take %u %%; every %s while it is failing or coming back. "
	         "Over HTTP on port %u, as clients ask, with the User-Agent ClamAV-MirrorCheck and the host "
	         "names",
	         site_duration(checks->interval_ms / 1000, interval), checks->spread_percent,
	         site_duration(checks->retry_ms / 1000, retry), checks->port);
	for (size_t i = 0; i < checks->hosts_n; i++)
		site_add(text, "%s <code>%s</code>", i ? "," : "", checks->hosts[i]);
	site_add(
	        text,
	        " (%%c is the country). Connecting may take %s, a request %s.</p>\n<ul>\n"
	        "<li>The file <code>timestamp</code>: how far the mirror is behind.</li>\n<li>The headers of",
	        site_duration(checks->connect_timeout_ms / 1000, connect),
	        site_duration(checks->timeout_ms / 1000, request));
	for (size_t i = 0; i < checks->databases_n; i++)
		site_add(text, "%s <code>%s.cvd</code>", i ? "," : "", checks->databases[i]);
	site_add(text, ": version and build time.</li>\n");
	if (checks->patched && *checks->patched && checks->cdiffs)
		site_add(text, "<li>The last %u patches, <code>%s-N.cdiff</code>.</li>\n", checks->cdiffs,
		         checks->patched);
	site_add(text, "<li>A request with If-Modified-Since, which has to give 304.</li>\n");
	if (checks->deep_interval_ms)
		site_add(text,
		         "<li>Every %s a whole database from one mirror, drawn by lot, and its "
		         "signature.</li>\n",
		         site_duration(checks->deep_interval_ms / 1000, deep));
	site_add(text, "</ul>\n<p>A redirect is a failure, and so is a content encoding or a body that was "
	               "not asked for.</p>\n</section>\n");
}

static void add_votes(const struct conf_monitor *conf, struct site_text *text)
{
	char valid[SITE_DURATION_MAX];
	site_add(text, "<section aria-labelledby=\"votes\">\n<h2 id=\"votes\">Who decides</h2>\n");
	if (conf->references_n)
		site_add(text,
		         "<p>First the monitor checks itself: unless %u of its %zu reference hosts are well, "
		         "it decides nothing, and all "
		         "states stay as they are.</p>\n",
		         conf->references_quorum, conf->references_n);
	if (conf->votes.others_n)
		site_add(text,
		         "<p>%zu monitors vote, and more than half of the votes have to say out. A vote "
		         "counts for %s; with fewer than "
		         "%u votes nothing changes.</p>\n",
		         conf->votes.others_n + 1, site_duration(conf->votes.valid_s, valid),
		         conf->votes.quorum);
	else
		site_add(text, "<p>This monitor alone.</p>\n");
	site_add(text, "<p>Should too few mirrors be left in a country, DNS takes back the least bad of "
	               "those that are out (never one with "
	               "wrong content), or serves neighbours, the region, or all of the pool: the <a "
	               "href=\"index.html#coverage\">coverage</a> "
	               "says where that is so.</p>\n</section>\n");
}

static void add_announce(const struct conf_monitor *conf, struct site_text *text)
{
	const struct conf_announce *announce = &conf->announce;
	char limit[SITE_DURATION_MAX];
	char settle[SITE_DURATION_MAX];
	site_add(text, "<section aria-labelledby=\"announce\">\n<h2 id=\"announce\">When a database version "
	               "is announced</h2>\n");
	if (!announce->enabled)
		site_add(text, "<p>Not by this monitor.</p>\n");
	else
		site_add(text,
		         "<p>A new version is ready when in each country %u %% of the mirrors that are in "
		         "have it, with its patch%s%s%s. From then on a mirror without it is out-of-sync, "
		         "and %s later it goes into DNS. See <a href=\"versions.html\">Databases</a>.</p>\n",
		         announce->quorum_percent, announce->limit_s ? "; after " : "",
		         announce->limit_s ? site_duration(announce->limit_s, limit) : "",
		         announce->limit_s
		                 ? ", when so many of the whole pool have it, whatever the countries"
		                 : "",
		         site_duration(announce->settle_s, settle));
	site_add(text, "</section>\n");
}

static void add_words(struct site_text *text)
{
	static const struct {
		enum site_state state;
		const char *words;
	} words[] = {
		{ SITE_OK, "In the pool, and nothing is wrong." },
		{ SITE_LATE, "In, but its timestamp has not moved for long." },
		{ SITE_WARNED,
		  "In, but its last check failed or was slow; the reason is that of the check." },
		{ SITE_PARTLY, "One of its addresses is out, another one in." },
		{ SITE_OUT, "Not given to clients." },
		{ SITE_PROBATION, "Good again, not back yet." },
		{ SITE_MAINTENANCE, "Out because it was announced; nobody is written to." },
		{ SITE_NEW, "Not checked since the monitor started." },
	};
	site_add(text, "<section aria-labelledby=\"words\">\n<h2 id=\"words\">States</h2>\n<dl>\n");
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		site_add(text, "<dt><span class=\"state %s\">%s</span></dt><dd>%s</dd>\n",
		         site_state_class(words[i].state), site_state_text(words[i].state), words[i].words);
	site_add(text, "</dl>\n</section>\n");
}

static void add_data(struct site_text *text)
{
	site_add(text, "<section aria-labelledby=\"data\">\n<h2 id=\"data\">Data</h2>\n<dl class=\"long\">\n"
	               "<dt><a href=\"pool.json\">pool.json</a></dt><dd>All of it. Its <code>format</code> "
	               "is raised when a field changes "
	               "its meaning; new fields may come at any time.</dd>\n"
	               "<dt><a href=\"pool.csv\">pool.csv</a></dt><dd>One line an address.</dd>\n"
	               "<dt><a href=\"mirrors/status/json/index.json\">mirrors/status/json</a></dt><dd>In "
	               "the shape of Arch Linux' version 3, "
	               "over the last 24 hours: <code>score = (delay in hours + mean duration + its standard "
	               "deviation, both in seconds) / "
	               "completion</code>, less is better.</dd>\n"
	               "<dt>mirror/HOST.csv</dt><dd>Each check of the last days. The score is that of the "
	               "NTP pool: for each address "
	               "<code>score = 0.95 score + step</code>, from 0 at the oldest line, step 1 for a good "
	               "check and -5 for a failed one; "
	               "20 is the most.</dd>\n"
	               "<dt>mirror/HOST.json</dt><dd>One mirror, with its changes and last checks.</dd>\n"
	               "<dt>mirror/HOST.svg, HOST.badge.json</dt><dd>Badges.</dd>\n"
	               "<dt><a href=\"events.atom\">events.atom</a></dt><dd>Changes of state, for feed "
	               "readers.</dd>\n</dl>\n</section>\n");
}

void site_write_how(struct site_run *run)
{
	struct site_text text;
	const struct conf_monitor *conf = run->view->conf;
	site_page_begin(run, &text, 0, "How it is decided", "how.html");
	site_add(&text, "<p>The numbers here are those in force now.</p>\n");
	add_words(&text);
	add_checks(conf, &text);
	add_rules(conf, &text);
	add_return(conf, &text);
	add_votes(conf, &text);
	add_announce(conf, &text);
	add_data(&text);
	site_page_end(run, &text, 0, false);
	site_page_write(run, "how.html", &text);
}
