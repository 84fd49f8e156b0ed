/* Whole databases, sigtool, a checker that is closed in the middle, and `mirrormon check`. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <arpa/inet.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "mirrormon/command_check.h"
#include "tests/unit/support/checker_fixture.h"

static void test_deep(void **state)
{
	struct checker_fixture *fx = *state;
	fx->request.deep = true;
	fx->request.deep_database = 1;
	checker_fixture_run(fx);
	checker_fixture_expect(fx, REASON_NONE, "");
	assert_true(fx->result.deep);
	/* A byte of the body. */
	fx->cvd[1][BODY - 1] ^= 1;
	checker_fixture_run(fx);
	checker_fixture_expect(fx, REASON_WRONG_CONTENT,
	                       "GET /daily.cvd (Host db.de.clamav.net): version 27500 has MD5 ");
	assert_false(fx->result.deep);
	fx->cvd[1][BODY - 1] ^= 1;
	fx->conf.deep_max_bytes = BODY - 1;
	checker_fixture_run(fx);
	checker_fixture_expect(fx, REASON_HTTP_ERROR, "longer than 2999 bytes");
	fx->conf.deep_max_bytes = BODY;
	checker_fixture_run(fx);
	checker_fixture_expect(fx, REASON_NONE, "");
	assert_true(fx->result.deep);
	assert_int_equal(checker_fixture_left_n(fx), 0);
}

/* A mirror that shows a good header and another file behind it. */
static void test_deep_switches(void **state)
{
	struct checker_fixture *fx = *state;
	char *text = malloc(BODY + 64);
	char old[BODY];
	assert_non_null(text);
	checker_fixture_fill_cvd(old, DAILY - 100);
	int len = snprintf(text, 64, "HTTP/1.1 200 OK\r\nContent-Length: %u\r\n\r\n", BODY);
	memcpy(text + len, old, BODY);
	static const char *const only[] = { "daily" };
	fx->conf.databases = (const char **)(uintptr_t)only;
	fx->conf.databases_n = 1;
	fx->request.deep = true;
	http_fake_script(fx->fake, "/daily.cvd",
	                 &(struct http_fake_answer){
	                         .text = text, .text_len = (size_t)len + BODY, .is_for_whole = true });
	checker_fixture_run(fx);
	checker_fixture_expect(fx, REASON_WRONG_CONTENT, "version 27400, its header alone said 27500");
	free(text);
}

/* Our own disk is full, as a limit on the size of files shows it: nothing against the mirror. */
static void test_deep_disk_full(void **state)
{
	struct checker_fixture *fx = *state;
	static const rlim_t sizes[] = { 0, 100, 1000, BODY - 1 };
	struct rlimit before;
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	signal(SIGXFSZ, SIG_IGN);
	fx->request.deep = true;
	fx->request.deep_database = 1;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		const struct rlimit full = { .rlim_cur = sizes[i], .rlim_max = before.rlim_max };
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &full), 0);
		checker_fixture_run(fx);
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
		checker_fixture_expect(fx, REASON_NONE, "");
		assert_false(fx->result.deep);
		assert_int_equal(fx->result.at_s, NOW);
		assert_int_equal(fx->result.databases[1].version, DAILY);
		assert_int_equal(fx->result.databases[1].cdiffs, 7);
		assert_int_equal(checker_fixture_left_n(fx), 0);
	}
	signal(SIGXFSZ, SIG_DFL);
	checker_fixture_run(fx);
	checker_fixture_expect(fx, REASON_NONE, "");
	assert_true(fx->result.deep);
}

struct file {
	char *bytes;
	size_t len;
};

static struct file read_signed(const char *name)
{
	char path[512];
	struct file file = { 0 };
	const char *dir = getenv("DNSD_SIGNED_CVD_DIR");
	struct stat st;
	if (!dir)
		return file;
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0) {
		fail_msg("%s: %s", path, strerror(errno));
		return file;
	}
	file.len = (size_t)st.st_size;
	file.bytes = malloc(file.len);
	assert_non_null(file.bytes);
	assert_int_equal(read(fd, file.bytes, file.len), file.len);
	close(fd);
	return file;
}

static void test_signed(void **state)
{
	struct checker_fixture *fx = *state;
	struct file test = read_signed("test-6.cvd");
	struct file old = read_signed("test-1.cvd");
	static const char *const names[] = { "test", "daily" };
	if (!test.bytes || !old.bytes) {
		print_message("skipped: DNSD_SIGNED_CVD_DIR is not set\n");
		skip();
		return;
	}
	fx->conf.sigtool = "sigtool";
	fx->conf.databases = (const char **)(uintptr_t)names;
	fx->conf.databases_n = 2;
	fx->conf.patched = "";
	fx->request.deep = true;
	http_fake_add(fx->fake, "/test.cvd", test.bytes, test.len, BUILT);
	http_fake_add(fx->fake, "/daily.cvd", old.bytes, old.len, BUILT);
	checker_fixture_run(fx);
	checker_fixture_expect(fx, REASON_NONE, "");
	assert_true(fx->result.deep);
	assert_int_equal(fx->result.databases[0].version, 6);
	/* Truly signed, but another database. */
	fx->request.deep_database = 1;
	checker_fixture_run(fx);
	checker_fixture_expect(fx, REASON_WRONG_CONTENT, "the database inside is \"test\", not \"daily\"");
	assert_false(fx->result.deep);
	/* Truly signed, but an old one with a new number: the header is not covered by the signature. */
	char *colon = memmem(old.bytes, 512, "-0400:1:", 8);
	assert_non_null(colon);
	colon[6] = '7';
	http_fake_add(fx->fake, "/test.cvd", old.bytes, old.len, BUILT);
	fx->request.deep_database = 0;
	checker_fixture_run(fx);
	checker_fixture_expect(fx, REASON_WRONG_CONTENT, "version 7");
	/* MD5 is right, the signature is not. */
	fx->conf.databases = (const char **)(uintptr_t)checker_fixture_databases;
	http_fake_add(fx->fake, "/daily.cvd", fx->cvd[1], BODY, BUILT);
	fx->request.deep_database = 1;
	checker_fixture_run(fx);
	checker_fixture_expect(fx, REASON_WRONG_CONTENT, "sigtool says it is damaged or not signed");
	free(test.bytes);
	free(old.bytes);
}

/* A sigtool of ours that does not work says nothing about a mirror. */
static void test_sigtool_fails(void **state)
{
	struct checker_fixture *fx = *state;
	static const char *const scripts[] = {
		"exit 1",
		"exit 127",
		"echo Verification OK.",
		"kill -9 $$",
		"exec sleep 1000",
		"sleep 1000 & exit 0",
		"while :; do echo 0123456789012345678901234567890123456789; done",
		"while :; do echo 0123456789012345678901234567890123456789 >&2; done",
	};
	char path[128];
	snprintf(path, sizeof(path), "%s/sigtool", fx->tmp);
	fx->conf.sigtool = path;
	fx->conf.timeout_ms = 500; /* of each request, which a busy machine may hold up */
	fx->request.deep = true;
	checker_fixture_run(fx); /* there is none */
	checker_fixture_expect(fx, REASON_NONE, "");
	assert_false(fx->result.deep);
	for (size_t i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++) {
		FILE *file = fopen(path, "w");
		assert_non_null(file);
		fprintf(file, "#!/bin/sh\n%s\n", scripts[i]);
		assert_int_equal(fclose(file), 0);
		assert_int_equal(chmod(path, 0700), 0);
		checker_fixture_run(fx);
		checker_fixture_expect(fx, REASON_NONE, "");
		assert_false(fx->result.deep);
		assert_int_equal(fx->result.at_s, NOW);
	}
}

static void test_close_in_the_middle(void **state)
{
	struct checker_fixture *fx = *state;
	static const struct http_fake_answer drops = {
		"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n1624499400\n", .drop_ms = 1
	};
	char path[128];
	snprintf(path, sizeof(path), "%s/sigtool", fx->tmp);
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	fprintf(file, "#!/bin/sh\nexec sleep 1000\n");
	assert_int_equal(fclose(file), 0);
	assert_int_equal(chmod(path, 0700), 0);
	/* After so many turns of the loop, so that each step is interrupted in some run. */
	for (unsigned turns = 0; turns < 90; turns += turns < 30 ? 1 : 6) {
		checker_close(fx->checker);
		assert_int_equal(checker_create(&fx->loop, &fx->conf, NULL, &fx->checker), 0);
		fx->conf.sigtool = path;
		fx->conf.concurrency = 3;
		fx->request.deep = true;
		fx->request.brief = turns % 2;
		http_fake_script(fx->fake, "/timestamp", turns % 4 ? NULL : &drops);
		for (unsigned i = 0; i < 5; i++)
			assert_int_equal(checker_start(fx->checker, &fx->request, checker_fixture_done, fx),
			                 0);
		for (unsigned i = 0; i < turns; i++)
			uv_run(&fx->loop, UV_RUN_NOWAIT);
	}
	assert_int_equal(fx->done_n, 0);
}

static void test_command(void **state)
{
	struct checker_fixture *fx = *state;
	struct conf_mirror_addr addrs[2] = { { .addr = fx->request.addr }, { .addr = fx->request.addr } };
	struct conf_mirror mirror = { .host = "m1.example", .country = "DE", .addrs = addrs, .addrs_n = 2 };
	struct conf_pool pool = { .name = "clamav", .mirrors = &mirror, .mirrors_n = 1 };
	struct conf_monitor conf = { .pool = &pool, .checks = fx->conf };
	char *text = NULL;
	size_t len = 0;
	/* It runs a loop of its own, so nobody serves meanwhile: a port where nobody listens. */
	FILE *out = open_memstream(&text, &len);
	assert_non_null(out);
	int closed = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t sin_len = sizeof(sin);
	assert_int_equal(bind(closed, (struct sockaddr *)&sin, sizeof(sin)), 0);
	assert_int_equal(getsockname(closed, (struct sockaddr *)&sin, &sin_len), 0);
	conf.checks.port = ntohs(sin.sin_port);
	assert_int_equal(command_check(&conf, "M1.example", out), 1);
	assert_int_equal(command_check(&conf, "m2.example", out), -ENOENT);
	assert_int_equal(fclose(out), 0);
	close(closed);
	assert_non_null(strstr(text,
	                       "127.0.0.1  unreachable\n  GET /timestamp (Host db.de.clamav.net): cannot "
	                       "connect: Connection refused\n"
	                       "  not tried  main.cvd, daily.cvd, bytecode.cvd, patches of daily, another "
	                       "Host header, If-Modified-Since, a whole daily: a check ends with its first "
	                       "finding\n"));
	assert_null(strstr(text, "  whole "));
	assert_non_null(strstr(text, "m2.example: no mirror of pool clamav has this name\n"));
	free(text);
}

/* The server needs a loop that runs: here one on a thread, with the command on the test's. */
static void run_server(void *context)
{
	struct checker_fixture *fx = context;
	uv_run(&fx->loop, UV_RUN_DEFAULT);
}

static void on_stop(uv_async_t *async)
{
	uv_stop(async->loop);
	uv_close((uv_handle_t *)async, NULL);
}

static int run_command(struct checker_fixture *fx, const struct conf_checks *checks, char **ret_text)
{
	struct conf_mirror_addr addr = { .addr = fx->request.addr };
	struct conf_mirror mirror = { .host = "m1.example", .country = "DE", .addrs = &addr, .addrs_n = 1 };
	struct conf_pool pool = { .name = "clamav", .mirrors = &mirror, .mirrors_n = 1 };
	struct conf_monitor conf = { .pool = &pool,
		                     .checks = *checks,
		                     .decision = { .late_after_s = 86400, .old_after_s = 2 * 86400 } };
	uv_async_t async;
	uv_thread_t thread;
	size_t len = 0;
	assert_int_equal(uv_async_init(&fx->loop, &async, on_stop), 0);
	assert_int_equal(uv_thread_create(&thread, run_server, fx), 0);
	FILE *out = open_memstream(ret_text, &len);
	assert_non_null(out);
	int rc = command_check(&conf, "m1.example", out);
	assert_int_equal(fclose(out), 0);
	uv_async_send(&async);
	uv_thread_join(&thread);
	uv_run(&fx->loop, UV_RUN_NOWAIT);
	return rc;
}

static void put_timestamp(struct checker_fixture *fx, unsigned age_s, char text[32])
{
	snprintf(text, 32, "%llu\n", (unsigned long long)time(NULL) - age_s);
	http_fake_add(fx->fake, "/timestamp", text, strlen(text), 0);
}

static void test_command_good(void **state)
{
	struct checker_fixture *fx = *state;
	char timestamp[32];
	char path[64];
	char *text = NULL;
	for (unsigned round = 0; round < 2; round++) {
		put_timestamp(fx, round ? 28 * 3600 : 3600, timestamp);
		assert_int_equal(run_command(fx, &fx->conf, &text), round);
		assert_non_null(strstr(text, "127.0.0.1  good\n"));
		assert_non_null(strstr(text, "daily      version 27500, built 2021-06-23T01:34:00Z, "));
		assert_non_null(strstr(text, "daily fetched and verified\n"));
		assert_non_null(strstr(text, round ? "2 of the last 3 patches, not the newest"
		                                   : "3 of the last 3 patches\n"));
		assert_true((strstr(text, "28 h 0 min old: late\n") != NULL) == (round == 1));
		assert_null(strstr(text, "not tried"));
		free(text);
		http_fake_remove(fx->fake, checker_fixture_cdiff(DAILY, path));
	}
}

/* What came after the first finding is named, and nothing is said of it. */
static void test_command_untried(void **state)
{
	struct checker_fixture *fx = *state;
	static const struct http_fake_answer refused = {
		.text = "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"
	};
	char timestamp[32];
	char cdiff[64];
	const struct {
		const char *path;
		unsigned cdiffs;
		const char *not_tried, *said, *unsaid;
	} cases[] = {
		{ "/main.cvd", 3,
		  "daily.cvd, bytecode.cvd, patches of daily, another Host header, If-Modified-Since, a "
		  "whole "
		  "daily",
		  "refused\n", " version" },
		{ "/bytecode.cvd", 3,
		  "patches of daily, another Host header, If-Modified-Since, a whole daily",
		  "daily      version 27500, built 2021-06-23T01:34:00Z\n", "patches," },
		{ "/bytecode.cvd", 0, "another Host header, If-Modified-Since, a whole daily",
		  "daily      version 27500, built 2021-06-23T01:34:00Z\n", "patches" },
		{ checker_fixture_cdiff(DAILY - 1, cdiff), 3,
		  "patches of daily, another Host header, If-Modified-Since, a whole daily",
		  "daily      version 27500, built 2021-06-23T01:34:00Z\n", "of the last" },
		{ cdiff, 2, "another Host header, If-Modified-Since, a whole daily",
		  "1 of the last 2 patches", "patches of" },
	};
	put_timestamp(fx, 3600, timestamp);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char line[256];
		char *text = NULL;
		struct conf_checks checks = fx->conf;
		checks.cdiffs = cases[i].cdiffs;
		http_fake_script(fx->fake, cases[i].path, &refused);
		assert_int_equal(run_command(fx, &checks, &text), 1);
		snprintf(line, sizeof(line), "\n  not tried  %s: a check ends with its first finding\n",
		         cases[i].not_tried);
		if (!strstr(text, line) || !strstr(text, cases[i].said) || strstr(text, cases[i].unsaid) ||
		    strstr(text, "  whole "))
			fail_msg("case %zu: %s", i, text);
		free(text);
		http_fake_script(fx->fake, cases[i].path, NULL);
	}
}

/* With PATTERN as its argument: only the tests whose name fits. */
int main(int argc, char **argv)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, checker_fixture_setup, checker_fixture_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_deep),          TEST(test_deep_switches),       TEST(test_signed),
		TEST(test_sigtool_fails), TEST(test_close_in_the_middle), TEST(test_command),
		TEST(test_command_good),  TEST(test_command_untried),     TEST(test_deep_disk_full),
	};
#undef TEST
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	signal(SIGPIPE, SIG_IGN); /* libuv writes to what has been closed */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
