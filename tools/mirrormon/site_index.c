/* index.html: the pool at a glance; map.svg: which countries have mirrors, and which live on those of others.
 */
#include "mirrormon/site_int.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define EVENTS_SHOWN 20

enum coverage { COVERAGE_OWN, COVERAGE_NEAR, COVERAGE_FAR, COVERAGE_N };
static const struct {
	const char *css, *words;
} coverages[COVERAGE_N] = {
	[COVERAGE_OWN] = { "own", "served by mirrors of their own" },
	[COVERAGE_NEAR] = { "near",
	                    "on fallback: served by neighbours, their region, or mirrors that are out" },
	[COVERAGE_FAR] = { "far", "without a mirror near: served by all of the pool" },
};

static enum coverage coverage_of(const struct site_country *country)
{
	if (country->members_n == 0 || country->level == POOL_LEVEL_WORLD)
		return COVERAGE_FAR;
	return country->level == POOL_LEVEL_COUNTRY && country->in_n > 0 ? COVERAGE_OWN : COVERAGE_NEAR;
}

static void add_shape_title(const struct site_run *run, const struct site_country *country,
                            struct site_text *text)
{
	site_add(text, "<title>%s: ", site_country_name(run, country->country));
	if (country->mirrors_n)
		site_add(text, "%zu of %zu mirrors in", country->in_n, country->mirrors_n);
	else
		site_add(text, "no mirror");
	if (country->via[0])
		site_add(text, "; served by %s", country->via);
	site_add(text, "</title>");
}

void site_write_map(struct site_run *run)
{
	const struct site_world *world = &run->site->world;
	struct site_text text;
	if (world->width == 0)
		return;
	site_text_init(&text, SITE_XML);
	site_add(&text,
	         "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %u %u\" width=\"%u\" height=\"%u\" "
	         "role=\"img\" "
	         "aria-label=\"Countries by coverage\" lang=\"en\">\n",
	         world->width, world->height, world->width, world->height);
	site_add(&text, "<style>path{stroke:#fff;stroke-width:.5;stroke-linejoin:round}.own{fill:#1a7f37}."
	                "near{fill:#b58316}"
	                ".far{fill:#c3c9d0}path:hover{stroke:#000;stroke-width:1}"
	                "@media(prefers-color-scheme:dark){path{stroke:#14171a}.own{fill:#3fb45c}.near{fill:#"
	                "a8740f}.far{fill:#3a424b}"
	                "path:hover{stroke:#fff}}</style>\n<title>Countries by coverage</title>\n");
	for (size_t i = 0; i < run->countries_n; i++) {
		const struct site_country *country = &run->countries[i];
		if (!world->paths[country->country])
			continue;
		site_add(&text, "<path class=\"%s\" d=\"%s\">", coverages[coverage_of(country)].css,
		         world->paths[country->country]);
		add_shape_title(run, country, &text);
		site_add(&text, "</path>\n");
	}
	site_add(&text, "</svg>\n");
	site_page_write(run, "map.svg", &text);
}

static void add_numbers(const struct site_run *run, struct site_text *text)
{
	site_add(text, "<ul class=\"numbers\">\n");
	for (int state = SITE_STATE_N - 1; state >= 0; state--) {
		if (run->state_n[state])
			site_add(text, "<li class=\"%s\"><strong>%zu</strong> %s</li>\n",
			         site_state_class((enum site_state)state), run->state_n[state],
			         site_state_text((enum site_state)state));
	}
	site_add(text,
	         "</ul>\n<p><strong>%zu of %zu mirrors</strong> are in the pool. The newest timestamp is of ",
	         run->in_n, run->view->mirrors_n);
	site_add_time(text, run->view->newest_timestamp_s);
	site_add(text, ". <a href=\"mirrors.html\">All mirrors by country</a>.</p>\n");
}

/* Mirrors that need somebody to look at them. */
static void add_troubled(const struct site_run *run, struct site_text *text)
{
	size_t n = 0;
	for (int state = 0; state < SITE_MAINTENANCE; state++) {
		for (size_t i = 0; i < run->view->mirrors_n; i++) {
			const struct site_mirror *mirror = &run->mirrors[i];
			if (mirror->judgement.state != (enum site_state)state)
				continue;
			if (n++ == 0)
				site_add(text, "<section aria-labelledby=\"look\">\n<h2 id=\"look\">Not well "
				               "now</h2>\n"
				               "<ul class=\"plain\">\n");
			site_add(text,
			         "<li><a href=\"mirror/%s.html\">%s</a> <span class=\"quiet\">%s</span> ",
			         mirror->file, mirror->view->host,
			         site_country_name(run, mirror->view->country));
			site_add_state(text, &mirror->judgement, true);
			if (mirror->judgement.detail && *mirror->judgement.detail)
				site_add(text, " <span class=\"detail\">%s</span>", mirror->judgement.detail);
			site_add(text, "</li>\n");
		}
	}
	if (n)
		site_add(text, "</ul>\n</section>\n");
}

static void add_coverage_list(const struct site_run *run, struct site_text *text)
{
	bool *done = calloc(run->countries_n + 1, sizeof(*done));
	if (!done) {
		text->failed = true;
		return;
	}
	site_add(text, "<table class=\"lists\">\n<caption>Countries without enough mirrors of their own, and "
	               "who serves them"
	               "</caption>\n<thead><tr><th scope=\"col\">Served by</th><th "
	               "scope=\"col\">Countries</th></tr></thead>\n<tbody>\n");
	/* From the nearest help to the farthest. */
	for (size_t turn = 0; turn < 3 * run->countries_n; turn++) {
		static const enum pool_level levels[] = { POOL_LEVEL_NEIGHBOUR, POOL_LEVEL_REGION,
			                                  POOL_LEVEL_WORLD };
		size_t i = turn % run->countries_n;
		const struct site_country *first = &run->countries[i];
		if (done[i] || first->level != levels[turn / run->countries_n])
			continue;
		const char *comma = "";
		site_add(text, "<tr><th scope=\"row\">%s%s</th><td>",
		         first->level == POOL_LEVEL_NEIGHBOUR ? "neighbours: " : "",
		         first->members_n ? first->via : "nobody: the pool is empty");
		for (size_t k = i; k < run->countries_n; k++) {
			const struct site_country *one = &run->countries[k];
			if (one->level != first->level || strcmp(one->via, first->via) != 0)
				continue;
			done[k] = true;
			site_add(text, "%s%s", comma, site_country_name(run, one->country));
			if (one->mirrors_n)
				site_add(text, " <strong>(%zu of %zu mirrors in)</strong>", one->in_n,
				         one->mirrors_n);
			comma = ", ";
		}
		site_add(text, "</td></tr>\n");
	}
	site_add(text, "</tbody>\n</table>\n");
	free(done);
}

static void add_coverage(const struct site_run *run, struct site_text *text)
{
	size_t count[COVERAGE_N] = { 0 };
	size_t fallback_n = 0;
	for (size_t i = 0; i < run->countries_n; i++) {
		count[coverage_of(&run->countries[i])]++;
		fallback_n += run->countries[i].level != POOL_LEVEL_COUNTRY;
	}
	site_add(text, "<section aria-labelledby=\"coverage\">\n<h2 id=\"coverage\">Coverage</h2>\n");
	if (run->site->world.width)
		site_add(text,
		         "<p class=\"map\"><a href=\"map.svg\"><img src=\"map.svg\" width=\"%u\" "
		         "height=\"%u\" alt=\"Map of the world: "
		         "countries with mirrors of their own, on fallback, and with no mirror near. The "
		         "same is told below in words.\">"
		         "</a></p>\n",
		         run->site->world.width, run->site->world.height);
	site_add(text, "<ul class=\"legend\">\n");
	for (int i = 0; i < COVERAGE_N; i++)
		site_add(text, "<li><span class=\"key c-%s\"></span> %zu %s %s</li>\n", coverages[i].css,
		         count[i], count[i] == 1 ? "country" : "countries", coverages[i].words);
	site_add(text, "</ul>\n");
	if (fallback_n)
		add_coverage_list(run, text);
	site_add(text, "</section>\n");
}

static void add_events(const struct site_run *run, struct site_text *text)
{
	struct history_event *events = run->site->events;
	size_t n = history_events(run->history, NULL, events, EVENTS_SHOWN);
	site_add(text, "<section aria-labelledby=\"changes\">\n<h2 id=\"changes\">Last changes</h2>\n");
	if (n == 0)
		site_add(text, "<p>None yet.</p>\n");
	else
		site_add(text,
		         "<table class=\"cards\">\n<caption>Changes of state, newest "
		         "first</caption>\n<thead><tr><th scope=\"col\">When</th>"
		         "<th scope=\"col\">What</th><th scope=\"col\">From</th><th scope=\"col\">To</th>"
		         "<th scope=\"col\">Evidence</th></tr></thead>\n<tbody>\n");
	for (size_t i = 0; i < n; i++) {
		const struct history_event *event = &events[i];
		char addr[ADDR_TEXT_MAX];
		char file[SITE_FILE_MAX];
		site_add(text, "<tr><td data-label=\"When\">");
		site_add_time(text, event->at_s);
		site_add(text, "</td><th scope=\"row\">");
		if (!event->host[0])
			site_add(text, "the monitor");
		else if (site_has_host(run, event->host))
			site_add(text, "<a href=\"mirror/%s.html\">%s</a>", site_file_name(event->host, file),
			         event->host);
		else
			site_add(text, "%s", event->host);
		if (event->addr.family)
			site_add(text, " <span class=\"quiet\">%s</span>",
			         addr_format(&event->addr, addr, sizeof(addr)));
		site_add(text,
		         "</th><td data-label=\"From\">%s</td><td data-label=\"To\">%s</td><td "
		         "data-label=\"Evidence\">%s</td></tr>\n",
		         event->from == REASON_NONE ? "in" : reason_text(event->from),
		         event->to == REASON_NONE ? "in" : reason_text(event->to), event->detail);
	}
	if (n)
		site_add(text, "</tbody>\n</table>\n");
	site_add(text, "</section>\n");
}

static void add_monitors(const struct site_run *run, struct site_text *text)
{
	const struct view *view = run->view;
	if (view->monitors_n == 0)
		return;
	site_add(text, "<section aria-labelledby=\"monitors\">\n<h2 id=\"monitors\">Monitors</h2>\n<table "
	               "class=\"cards\">\n"
	               "<caption>Monitors whose votes are counted</caption>\n<thead><tr><th "
	               "scope=\"col\">Monitor</th>"
	               "<th scope=\"col\">Vote</th><th scope=\"col\">Of</th></tr></thead>\n<tbody>\n");
	site_add(text, "<tr><th scope=\"row\">%s</th><td data-label=\"Vote\">%s</td><td data-label=\"Of\">",
	         view->conf->name, view->self_ok ? "counts" : "does not count");
	site_add_time(text, view->now_s);
	site_add(text, "</td></tr>\n");
	for (size_t i = 0; i < view->monitors_n; i++) {
		const struct monitor_view *monitor = &view->monitors[i];
		site_add(text,
		         "<tr><th scope=\"row\">%s</th><td data-label=\"Vote\">%s%s%s</td><td "
		         "data-label=\"Of\">",
		         monitor->name, monitor->counts ? "counts" : "does not count",
		         *monitor->detail ? ": " : "", monitor->detail);
		site_add_time(text, monitor->generated_s);
		site_add(text, "</td></tr>\n");
	}
	site_add(text, "</tbody>\n</table>\n</section>\n");
}

void site_write_index(struct site_run *run)
{
	struct site_text text;
	site_page_begin(run, &text, 0, run->view->conf->site.title, "index.html");
	add_numbers(run, &text);
	add_troubled(run, &text);
	add_coverage(run, &text);
	add_events(run, &text);
	add_monitors(run, &text);
	site_page_end(run, &text, 0, true);
	site_page_write(run, "index.html", &text);
}
