/* What the pages have in common. */
#include "mirrormon/site_int.h"

#include <errno.h>
#include <string.h>

static const struct {
	const char *file, *name;
} pages[] = {
	{ "index.html", "Overview" },
	{ "mirrors.html", "Mirrors" },
	{ "versions.html", "Databases" },
	{ "how.html", "How it is decided" },
};

void site_page_begin(const struct site_run *run, struct site_text *text, int depth, const char *title,
                     const char *current)
{
	const struct conf_site *conf = &run->view->conf->site;
	const char *up = depth ? "../" : "";
	site_text_init(text, SITE_XML);
	/* The policy lets nothing run and nothing in from elsewhere, should anything slip in after all. */
	site_add(text, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
	               "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
	               "<meta name=\"color-scheme\" content=\"light dark\">\n"
	               "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
	               "'self'; "
	               "img-src 'self'; base-uri 'none'; form-action 'none'\">\n");
	site_add(text, "<title>%s%s%s</title>\n", title, strcmp(title, conf->title) ? " – " : "",
	         strcmp(title, conf->title) ? conf->title : "");
	site_add(text,
	         "<link rel=\"stylesheet\" href=\"%sstyle.css\">\n<link rel=\"icon\" href=\"%sicon.svg\" "
	         "type=\"image/svg+xml\">\n"
	         "<link rel=\"alternate\" type=\"application/atom+xml\" title=\"Changes of state\" "
	         "href=\"%sevents.atom\">\n"
	         "</head>\n<body>\n<a class=\"skip\" href=\"#main\">Skip to the content</a>\n",
	         up, up, up);
	site_add(text, "<header>\n<p class=\"site\">%s</p>\n<nav aria-label=\"Pages\">\n<ul>\n", conf->title);
	for (size_t i = 0; i < sizeof(pages) / sizeof(*pages); i++) {
		bool here = strcmp(pages[i].file, current) == 0;
		site_add(text, "<li><a href=\"%s%s\"", up, pages[i].file);
		if (here)
			site_add(text, " aria-current=\"page\"");
		site_add(text, ">%s</a></li>\n", pages[i].name);
	}
	site_add(text, "</ul>\n</nav>\n</header>\n<main id=\"main\">\n<h1>%s</h1>\n", title);
	if (run->view->self_ok)
		return;
	site_add(text, "<p class=\"banner\"><strong>The monitor itself is not well</strong> since ");
	site_add_time(text, run->view->self_since_s);
	site_add(text, "%s%s. Until it is, nothing is decided: all states are those from before.</p>\n",
	         *run->view->self_detail ? ": " : "", run->view->self_detail);
}

void site_page_end(const struct site_run *run, struct site_text *text, int depth, bool with_time)
{
	const char *up = depth ? "../" : "";
	site_add(text, "</main>\n<footer>\n<p>All times are UTC. Monitor %s, pool %s", run->view->conf->name,
	         run->view->conf->pool->name);
	if (with_time) {
		site_add(text, ", written ");
		site_add_time(text, run->view->now_s);
	}
	site_add(
	        text,
	        ".</p>\n<p>Data: <a href=\"%spool.json\">pool.json</a>, <a href=\"%spool.csv\">pool.csv</a>, "
	        "<a href=\"%smirrors/status/json/index.json\">mirrors/status/json</a>, "
	        "<a href=\"%sevents.atom\">changes as a feed</a>.</p>\n</footer>\n</body>\n</html>\n",
	        up, up, up, up);
}

void site_page_write(struct site_run *run, const char *path, struct site_text *text)
{
	if (!text->failed) {
		site_files_write(&run->files, path, text->bytes, text->len);
	} else if (run->files.status == 0) {
		run->files.status = -ENOMEM;
		diag_error(run->files.diag, path, 0, "out of memory; the site goes on with its other files");
	}
	site_text_fini(text);
}

void site_add_state(struct site_text *text, const struct site_judgement *judgement, bool with_since)
{
	site_add(text, "<span class=\"state %s\">%s</span>", site_state_class(judgement->state),
	         site_state_text(judgement->state));
	bool says_more = judgement->reason != REASON_NONE && judgement->state != SITE_MAINTENANCE &&
	                 judgement->state != SITE_LATE;
	if (says_more)
		site_add(text, " <span class=\"reason\">%s</span>", reason_text(judgement->reason));
	if (with_since && judgement->since_s) {
		site_add(text, " <span class=\"quiet\">since ");
		site_add_time(text, judgement->since_s);
		site_add(text, "</span>");
	}
}
