/*
 * site: the status site, static files that need no server of ours and no JavaScript.
 *
 *     view + history ──> DIRECTORY/mirrors.html, index.html, map.svg, how.html, versions.html, style.css,
 *                        mirror/HOST.html, mirror/HOST.json, mirror/HOST.csv, mirror/HOST.svg (badge),
 *                        mirrors/status/json/index.json (Arch Linux' shape, version 3), pool.json, pool.csv
 *
 * A file is written only when its bytes differ from what is there, by rename. Whatever comes from a mirror or
 * from the configuration is escaped.
 */
#ifndef TOOLS_MIRRORMON_SITE_H
#define TOOLS_MIRRORMON_SITE_H

#include "mirrormon/history.h"
#include "mirrormon/model.h"

struct site;

/** map: path of world.tsv, read once here; NULL, missing or damaged: told in diag, the site is without. */
int site_create(const char *map, struct diag *diag, struct site **ret_site);
void site_destroy(struct site *site);

/**
 * Write all of it below view->conf->site.directory, which is made if it is not there. On a thread of its own:
 * history is a connection of that thread. Pages of mirrors that are gone are removed.
 *
 * Returns 0, or the first error, as negative errno with diag; it goes on with the other files.
 */
int site_write(struct site *site, const struct view *view, struct history *history, struct diag *diag);

#endif
