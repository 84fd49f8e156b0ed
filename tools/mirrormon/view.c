#include <errno.h>
#include <stdlib.h>

#include "mirrormon/checker.h"
#include "mirrormon/model.h"

int settings_load(const char *path, struct diag *diag, struct settings **ret_settings)
{
	struct settings *settings = calloc(1, sizeof(*settings));
	if (!settings)
		return -ENOMEM;
	settings->refs = 1;
	arena_init(&settings->arena);
	int rc = conf_monitor_load(path, diag, &settings->conf);
	if (rc == 0)
		rc = pool_create(settings->conf->pool, &settings->arena, diag, &settings->pool);
	if (settings->conf && settings->conf->ca_file) {
		int ca_rc = checker_check_ca_file(settings->conf->ca_file, diag);
		rc = rc ? rc : ca_rc;
	}
	if (rc) {
		settings_unref(settings);
		return rc;
	}
	*ret_settings = settings;
	return 0;
}

struct settings *settings_ref(struct settings *settings)
{
	__atomic_add_fetch(&settings->refs, 1, __ATOMIC_RELAXED);
	return settings;
}

void settings_unref(struct settings *settings)
{
	if (!settings || __atomic_sub_fetch(&settings->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	arena_fini(&settings->arena);
	if (settings->conf)
		conf_monitor_destroy(settings->conf);
	free(settings);
}

struct view *view_create(struct settings *settings)
{
	struct view *view = calloc(1, sizeof(*view));
	if (!view)
		return NULL;
	arena_init(&view->arena);
	view->refs = 1;
	view->settings = settings_ref(settings);
	view->conf = settings->conf;
	view->pool = settings->pool;
	return view;
}

struct view *view_ref(struct view *view)
{
	__atomic_add_fetch(&view->refs, 1, __ATOMIC_RELAXED);
	return view;
}

void view_unref(struct view *view)
{
	if (!view || __atomic_sub_fetch(&view->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	settings_unref(view->settings);
	arena_fini(&view->arena);
	free(view);
}
