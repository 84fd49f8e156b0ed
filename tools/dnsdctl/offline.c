#include <stdio.h>
#include <stdlib.h>

#include "base/utc.h"
#include "inspect/inspect.h"
#include "load/load.h"
#include "tools/dnsdctl/dnsdctl.h"

struct offline {
	struct load *load;
	struct snap *snap;
};

static void print_diag(const struct diag *diag)
{
	static const char *const word[] = { "error", "warning", "info" };
	for (size_t i = 0; i < diag->messages_n; i++)
		fprintf(stderr, "%s: %s\n", word[diag->messages[i].level], diag->messages[i].text);
	if (diag->suppressed_n)
		fprintf(stderr, "and %zu more\n", diag->suppressed_n);
}

struct offline *offline_open(const char *conf_path)
{
	struct diag diag;
	diag_init(&diag);
	struct offline *offline = calloc(1, sizeof(*offline));
	int rc = offline ? load_create(conf_path, NULL, &diag, &offline->load) : -1;
	if (rc == 0)
		rc = load_make_snap(offline->load, 1, NULL, utc_now(), &offline->snap);
	print_diag(&diag);
	if (rc < 0) {
		fprintf(stderr, "%s: %zu errors\n", conf_path, diag.errors_n);
		offline_close(offline);
		offline = NULL;
	}
	diag_fini(&diag);
	return offline;
}

void offline_close(struct offline *offline)
{
	if (!offline)
		return;
	snap_destroy(offline->snap);
	load_destroy(offline->load);
	free(offline);
}

json_t *offline_ask(struct offline *offline, const json_t *request)
{
	struct inspect inspect = { .load = offline->load, .data = &offline->snap->data };
	bool known;
	json_t *response = inspect_run(&inspect, request, &known);
	if (!response)
		fprintf(stderr, "dnsdctl: out of memory\n");
	return response;
}

int offline_check(const char *conf_path)
{
	struct offline *offline = offline_open(conf_path);
	if (!offline)
		return EXIT_FAILED;
	char text[1024];
	load_describe(offline->load, text, sizeof(text));
	printf("%s: fine: %s\n", conf_path, text);
	offline_close(offline);
	return EXIT_DONE;
}
