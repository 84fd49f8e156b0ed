#include "tests/unit/support/conf_fixture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "tests/unit/support/folder.h"

void conf_fixture_put_folder(const char *name)
{
	assert_int_equal(mkdir(folder_path(name), 0700), 0);
}

/* All messages, a line each, with the folder left out. */
static char *diag_text(const struct diag *diag)
{
	size_t cap = 1;
	for (size_t i = 0; i < diag->messages_n; i++)
		cap += strlen(diag->messages[i].text) + 1;
	char *text = calloc(1, cap);
	assert_non_null(text);
	for (size_t i = 0; i < diag->messages_n; i++) {
		strcat(text, diag->messages[i].text);
		strcat(text, "\n");
	}
	const char *folder = folder_name();
	size_t folder_len = strlen(folder);
	for (char *hit = strstr(text, folder); hit; hit = strstr(hit, folder))
		memmove(hit, hit + folder_len + 1, strlen(hit + folder_len + 1) + 1);
	return text;
}

static void check_messages(const struct diag *diag, const char *name, const char *want)
{
	char *text = diag_text(diag);
	if (strcmp(text, want) != 0)
		fail_msg("%s: got\n%swant\n%s", name, text, want);
	free(text);
}

struct conf *conf_fixture_load(const char *name, const char *want)
{
	struct diag diag;
	struct conf *conf = NULL;
	diag_init(&diag);
	int rc = conf_load(folder_path("dnsd.conf"), &diag, &conf);
	check_messages(&diag, name, want);
	assert_int_equal(rc, diag.errors_n ? -EINVAL : 0);
	assert_true((rc == 0) == (conf != NULL));
	diag_fini(&diag);
	return conf;
}

struct conf *conf_fixture_load_text(enum conf_text_kind kind, const char *text, const char *want)
{
	struct diag diag;
	struct conf *conf = NULL;
	diag_init(&diag);
	int rc = conf_load_text(kind, "text", text, strlen(text), &diag, &conf);
	check_messages(&diag, "text", want);
	assert_int_equal(rc, diag.errors_n ? -EINVAL : 0);
	diag_fini(&diag);
	return conf;
}
