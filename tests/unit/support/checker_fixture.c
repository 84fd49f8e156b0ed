#include "tests/unit/support/checker_fixture.h"

#include <dirent.h>
#include <openssl/evp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

const char *const checker_fixture_databases[3] = { "main", "daily", "bytecode" };
const unsigned checker_fixture_versions[3] = { 62, DAILY, 335 };
static const char *hosts[] = { "db.%c.clamav.net", "database.clamav.net" };

void checker_fixture_fill_cvd(char cvd[BODY], unsigned version)
{
	uint8_t md5[EVP_MAX_MD_SIZE];
	unsigned len;
	char hex[33];
	char text[512];
	memset(cvd, ' ', 512);
	for (size_t i = 512; i < BODY; i++)
		cvd[i] = (char)(i * 7);
	assert_int_equal(EVP_Digest(cvd + 512, BODY - 512, md5, &len, EVP_md5(), NULL), 1);
	for (unsigned i = 0; i < 16; i++)
		snprintf(hex + 2 * i, 3, "%02x", md5[i]);
	int n = snprintf(text, sizeof(text),
	                 "ClamAV-VDB:22 Jun 2021 21-34 -0400:%u:1:90:%s:signature:builder:%u", version, hex,
	                 BUILT);
	memcpy(cvd, text, (size_t)n);
}

const char *checker_fixture_cdiff(unsigned version, char path[64])
{
	snprintf(path, 64, "/daily-%u.cdiff", version);
	return path;
}

static void on_tick(uv_timer_t *tick)
{
	(void)tick;
}

void checker_fixture_start(struct checker_fixture *fx, int family)
{
	char path[64];
	assert_int_equal(uv_loop_init(&fx->loop), 0);
	uv_timer_init(&fx->loop, &fx->tick);
	uv_timer_start(&fx->tick, on_tick, 50, 50);
	fx->fake = http_fake_create(&fx->loop, family);
	fx->conf = (struct conf_checks){ .connect_timeout_ms = 2000,
		                         .timeout_ms = 10000,
		                         .concurrency = 8,
		                         .databases = (const char **)(uintptr_t)checker_fixture_databases,
		                         .databases_n = 3,
		                         .patched = "daily",
		                         .cdiffs = 3,
		                         .hosts = hosts,
		                         .hosts_n = 2,
		                         .deep_max_bytes = 100000,
		                         .sigtool = "" };
	assert_int_equal(checker_create(&fx->loop, &fx->conf, NULL, &fx->checker), 0);
	addr_parse(family == 6 ? "::1" : "127.0.0.1", &fx->request.addr);
	fx->request.host = "m1.example";
	fx->request.country = country_from_code("DE");
	fx->request.now_s = NOW;
	if (!fx->fake)
		return;
	fx->conf.port = http_fake_port(fx->fake);
	snprintf(fx->timestamp, sizeof(fx->timestamp), "%u\n", NOW - 600);
	http_fake_add(fx->fake, "/timestamp", fx->timestamp, strlen(fx->timestamp), NOW - 600);
	for (size_t i = 0; i < 3; i++) {
		checker_fixture_fill_cvd(fx->cvd[i], checker_fixture_versions[i]);
		snprintf(path, sizeof(path), "/%s.cvd", checker_fixture_databases[i]);
		http_fake_add(fx->fake, path, fx->cvd[i], BODY, BUILT);
	}
	for (unsigned i = 0; i < 5; i++)
		http_fake_add(fx->fake, checker_fixture_cdiff(DAILY - i, path), "ClamAV-Diff", 11, BUILT);
}

int checker_fixture_setup(void **state)
{
	struct checker_fixture *fx = calloc(1, sizeof(*fx));
	assert_non_null(fx);
	strcpy(fx->tmp, "/tmp/dnsd-checker-XXXXXX");
	assert_non_null(mkdtemp(fx->tmp));
	setenv("TMPDIR", fx->tmp, 1);
	checker_fixture_start(fx, 4);
	*state = fx;
	return 0;
}

/* What deep checks have left behind. */
size_t checker_fixture_left_n(const struct checker_fixture *fx)
{
	size_t n = 0;
	DIR *dir = opendir(fx->tmp);
	assert_non_null(dir);
	const struct dirent *entry;
	while ((entry = readdir(dir)))
		n += strncmp(entry->d_name, "mirrormon-", 10) == 0;
	closedir(dir);
	return n;
}

void checker_fixture_stop(struct checker_fixture *fx)
{
	checker_close(fx->checker);
	uv_close((uv_handle_t *)&fx->tick, NULL);
	if (fx->fake)
		http_fake_close(fx->fake);
	assert_int_equal(uv_run(&fx->loop, UV_RUN_DEFAULT), 0);
	assert_int_equal(uv_loop_close(&fx->loop), 0);
}

int checker_fixture_teardown(void **state)
{
	struct checker_fixture *fx = *state;
	char command[128];
	checker_fixture_stop(fx);
	assert_int_equal(checker_fixture_left_n(fx), 0);
	snprintf(command, sizeof(command), "rm -r %s", fx->tmp);
	int rc = system(command);
	free(fx);
	return rc;
}

void checker_fixture_done(void *context, const struct check_request *request,
                          const struct check_result *result)
{
	struct checker_fixture *fx = context;
	assert_ptr_equal(request, &fx->request);
	fx->result = *result;
	fx->done_n++;
}

void checker_fixture_run(struct checker_fixture *fx)
{
	unsigned before = fx->done_n;
	assert_int_equal(checker_start(fx->checker, &fx->request, checker_fixture_done, fx), 0);
	assert_int_equal(fx->done_n, before);
	while (fx->done_n == before)
		assert_true(uv_run(&fx->loop, UV_RUN_ONCE) != 0);
	assert_int_equal(fx->done_n, before + 1);
	assert_int_equal(checker_busy_n(fx->checker), 0);
}

void checker_fixture_expect(struct checker_fixture *fx, enum reason reason, const char *detail)
{
	if (fx->result.reason != reason || !strstr(fx->result.detail, detail))
		fail_msg("%s: \"%s\", not %s: \"%s\"", reason_text(fx->result.reason), fx->result.detail,
		         reason_text(reason), detail);
	for (const char *c = fx->result.detail; *c; c++)
		assert_in_range(*c, 0x20, 0x7e);
}
