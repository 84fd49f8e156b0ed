/* join: the steps of `mirrormon add`, against a server on a thread of its own, as they wait for it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mirrormon/join_int.h"
#include "tests/unit/support/folder.h"
#include "tests/unit/support/http_fake.h"
#include "tools/geodb/mmdb_writer.h"

#define NOW     1795244400U
#define BUILT   (NOW - 50000U)
#define DAILY   27500U
#define CVD_LEN 1024

static const char *const databases[] = { "main", "daily", "bytecode" };
static const unsigned versions[] = { 62, DAILY, 335 };
static const char *hosts[] = { "db.%c.clamav.net", "database.clamav.net" };

struct fixture {
	uv_loop_t loop;
	uv_async_t stop;
	pthread_t thread;
	struct http_fake *fake;
	char timestamp[32];
	char cvd[3][CVD_LEN];
	struct conf_pool pool;
	struct conf_mirror mirror;
	struct conf_mirror_addr addr;
	struct conf_monitor conf;
	struct join_template template;
	struct join_world world;
	char *out;
};

static const char *resolved = "127.0.0.1";

static int resolve(const char *host, struct addr *addrs, size_t addrs_cap, const char **ret_why)
{
	assert_true(addrs_cap > 1);
	assert_string_equal(host, "m.example.org");
	*ret_why = "no such name";
	return addr_parse(resolved, addrs) < 0 ? -ENOENT : 1;
}

static void on_stop(uv_async_t *handle)
{
	struct fixture *fx = handle->data;
	http_fake_close(fx->fake);
	uv_close((uv_handle_t *)handle, NULL);
}

static void *serve(void *context)
{
	struct fixture *fx = context;
	uv_run(&fx->loop, UV_RUN_DEFAULT);
	return NULL;
}

static void write_cvd(char cvd[CVD_LEN], unsigned version)
{
	memset(cvd, ' ', CVD_LEN);
	int len = snprintf(cvd, 512,
	                   "ClamAV-VDB:22 Jun 2026 21-34 -0400:%u:1:90:"
	                   "00000000000000000000000000000000:signature:builder:%u",
	                   version, BUILT);
	cvd[len] = ' ';
}

static int setup(void **state)
{
	struct fixture *fx = calloc(1, sizeof(*fx));
	char path[64];
	assert_non_null(fx);
	assert_int_equal(uv_loop_init(&fx->loop), 0);
	assert_int_equal(uv_async_init(&fx->loop, &fx->stop, on_stop), 0);
	fx->stop.data = fx;
	fx->fake = http_fake_create(&fx->loop, 4);
	assert_non_null(fx->fake);
	snprintf(fx->timestamp, sizeof(fx->timestamp), "%u\n", NOW - 600);
	http_fake_add(fx->fake, "/timestamp", fx->timestamp, strlen(fx->timestamp), NOW - 600);
	http_fake_add(fx->fake, "/local_test", "any", 3, NOW);
	for (size_t i = 0; i < 3; i++) {
		write_cvd(fx->cvd[i], versions[i]);
		snprintf(path, sizeof(path), "/%s.cvd", databases[i]);
		http_fake_add(fx->fake, path, fx->cvd[i], sizeof(fx->cvd[i]), BUILT);
	}
	for (unsigned i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "/daily-%u.cdiff", DAILY - i);
		http_fake_add(fx->fake, path, "ClamAV-Diff", 11, BUILT);
	}
	fx->conf.checks = (struct conf_checks){ .connect_timeout_ms = 5000,
		                                .timeout_ms = 10000,
		                                .concurrency = 1,
		                                .port = http_fake_port(fx->fake),
		                                .databases = (const char **)(uintptr_t)databases,
		                                .databases_n = 3,
		                                .patched = "daily",
		                                .cdiffs = 3,
		                                .hosts = hosts,
		                                .hosts_n = 2,
		                                .sigtool = "" };
	fx->mirror = (struct conf_mirror){ .host = "m1.example",
		                           .country = "DE",
		                           .addrs = &fx->addr,
		                           .addrs_n = 1,
		                           .place = { "mirrors.conf", 7 } };
	addr_parse("192.0.2.1", &fx->addr.addr);
	fx->pool = (struct conf_pool){ .mirrors = &fx->mirror, .mirrors_n = 1 };
	fx->conf.pool = &fx->pool;
	fx->template = (struct join_template){ .host = "m.example.org",
		                               .addresses = { "127.0.0.1" },
		                               .addresses_n = 1,
		                               .country = "DE",
		                               .admin = "Ann <a@b.example>" };
	fx->world = (struct join_world){ .now_s = NOW, .may_be_loopback = true, .resolve = resolve };
	resolved = "127.0.0.1";
	*state = fx;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fx = *state;
	free(fx->out);
	free(fx);
	return 0;
}

/* Serves as it is set up by then, for one run. */
static int run(struct fixture *fx, bool append_it)
{
	struct diag diag;
	size_t len;
	diag_init(&diag);
	free(fx->out);
	fx->out = NULL;
	FILE *out = open_memstream(&fx->out, &len);
	assert_non_null(out);
	assert_int_equal(pthread_create(&fx->thread, NULL, serve, fx), 0);
	int rc = join_run_in(&fx->conf, &fx->template, &fx->world, append_it, out, &diag);
	uv_async_send(&fx->stop);
	assert_int_equal(pthread_join(fx->thread, NULL), 0);
	assert_int_equal(uv_loop_close(&fx->loop), 0);
	fclose(out);
	for (size_t i = 0; i < diag.messages_n; i++)
		print_message("%s\n", diag.messages[i].text);
	diag_fini(&diag);
	return rc;
}

/* One step failed, and this is what was said of it. */
static void expect_failed(struct fixture *fx, const char *seen, const char *remedy)
{
	int rc = run(fx, false);
	const char *first = strstr(fx->out, "FAILED  ");
	if (rc != 1 || !first || strncmp(first + 8, seen, strlen(seen)) != 0 || !strstr(first, remedy)) {
		fail_msg("returned %d, not \"%s\" and \"%s\":\n%s", rc, seen, remedy, fx->out);
		return;
	}
	if (strstr(first + 8, "FAILED  "))
		fail_msg("more than one failed:\n%s", fx->out);
	assert_non_null(strstr(fx->out, "Nothing was added"));
	assert_null(strstr(fx->out, "{ host"));
}

static void test_all_pass(void **state)
{
	struct fixture *fx = *state;
	int rc = run(fx, false);
	char expected[2048];
	snprintf(expected, sizeof(expected),
	         "ok      template: m.example.org, DE, 1 address\n"
	         "ok      address 127.0.0.1: of no other mirror\n"
	         "ok      name m.example.org: leads to 127.0.0.1\n"
	         "skipped country: monitor.geo names no database\n"
	         "ok      127.0.0.1 port %u: answers, and without a redirect\n"
	         "ok      127.0.0.1 by the name m.example.org: GET /timestamp: 200 OK\n"
	         "ok      127.0.0.1 by the name db.test.clamav.net, as of db.*.clamav.net: GET /local_test: "
	         "200 "
	         "OK\n"
	         "ok      127.0.0.1 by the name database.clamav.net: GET /timestamp: 200 OK\n"
	         "ok      127.0.0.1 timestamp: 2026-11-21T06:50:00Z\n"
	         "ok      127.0.0.1 database main.cvd: version 62\n"
	         "ok      127.0.0.1 database daily.cvd: version 27500\n"
	         "ok      127.0.0.1 database bytecode.cvd: version 335\n"
	         "ok      127.0.0.1 patches: daily-27500.cdiff and those before\n"
	         "ok      127.0.0.1 modification times: 304 for a database that has not changed\n"
	         "\nFor the mirrors file, with a comma before it:\n\n"
	         "\t{ host = \"m.example.org\"; country = \"DE\"; addresses = [ \"127.0.0.1\" ];\n"
	         "\t  admin = \"Ann <a@b.example>\"; }\n",
	         (unsigned)fx->conf.checks.port);
	assert_string_equal(fx->out, expected);
	assert_int_equal(rc, 0);
}

static void test_template_steps(void **state)
{
	struct fixture *fx = *state;
	fx->mirror.host = "M.example.org";
	expect_failed(fx, "template: m.example.org is in the pool already, at mirrors.conf:7",
	              "Change its entry");
}

static void test_address_of_another(void **state)
{
	struct fixture *fx = *state;
	addr_parse("127.0.0.1", &fx->addr.addr);
	expect_failed(fx, "address 127.0.0.1: of m1.example already, at mirrors.conf:7", "count twice");
}

static void test_address_not_unicast(void **state)
{
	struct fixture *fx = *state;
	fx->world.may_be_loopback = false;
	expect_failed(fx, "address 127.0.0.1: a loopback address", "from everywhere");
}

static void test_leads_elsewhere(void **state)
{
	struct fixture *fx = *state;
	resolved = "192.0.2.9";
	expect_failed(fx, "name m.example.org: leads to 192.0.2.9, not to 127.0.0.1", "Add A 127.0.0.1");
}

static void test_leads_nowhere(void **state)
{
	struct fixture *fx = *state;
	resolved = "?";
	expect_failed(fx, "name m.example.org: does not lead anywhere: no such name", "A and AAAA records");
}

/* Says that it is there, and has fx look at it. */
static void put_geo(struct fixture *fx, const char *code)
{
	struct mmdb_writer *writer = mmdb_writer_create(&(struct mmdb_writer_options){ 0 });
	struct prefix prefix;
	assert_non_null(writer);
	assert_int_equal(prefix_parse("127.0.0.0/8", &prefix), 0);
	assert_int_equal(mmdb_writer_insert(writer, &prefix, code), 0);
	fx->conf.geo = folder_path("geo.mmdb");
	assert_int_equal(mmdb_writer_write(writer, fx->conf.geo, NULL), 0);
	mmdb_writer_destroy(writer);
}

static void test_country_differs(void **state)
{
	struct fixture *fx = *state;
	put_geo(fx, "FR");
	expect_failed(fx, "country of 127.0.0.1: the geo database says FR, the template says DE",
	              "write country: FR");
}

static void test_country_agrees(void **state)
{
	struct fixture *fx = *state;
	put_geo(fx, "DE");
	assert_int_equal(run(fx, false), 0);
	assert_non_null(strstr(fx->out, "ok      country of 127.0.0.1: DE\n"));
}

static void test_unreachable(void **state)
{
	struct fixture *fx = *state;
	fx->conf.checks.port = 1; /* nobody listens there */
	expect_failed(fx, "127.0.0.1 port 1: cannot connect: ", "the firewall let it through");
	assert_non_null(strstr(fx->out, "skipped 127.0.0.1: names, timestamp and databases"));
}

static const struct http_fake_answer missing = {
	.text = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
};

static void test_local_test_missing(void **state)
{
	struct fixture *fx = *state;
	http_fake_remove(fx->fake, "/local_test");
	expect_failed(
	        fx,
	        "127.0.0.1 by the name db.test.clamav.net, as of db.*.clamav.net: GET /local_test: 404 Not "
	        "Found",
	        "echo test > local_test");
}

static void test_alias_missing(void **state)
{
	struct fixture *fx = *state;
	struct http_fake_answer answer = missing;
	answer.host = "db.test.clamav.net";
	http_fake_script(fx->fake, "/local_test", &answer);
	http_fake_script(fx->fake, "/timestamp", &answer);
	expect_failed(fx, "127.0.0.1 by the name db.test.clamav.net",
	              "server_name m.example.org ~^db\\..+\\.clamav\\.net$ database.clamav.net;");
	assert_non_null(strstr(fx->out, "ServerAlias db.*.clamav.net database.clamav.net\n"));
}

static void test_virtual_host_missing(void **state)
{
	struct fixture *fx = *state;
	struct http_fake_answer answer = missing;
	answer.host = "database.clamav.net";
	http_fake_script(fx->fake, "/timestamp", &answer);
	expect_failed(fx, "127.0.0.1 by the name database.clamav.net: GET /timestamp: 404 Not Found",
	              "ServerAlias");
}

static void test_redirect(void **state)
{
	struct fixture *fx = *state;
	static const struct http_fake_answer answer = {
		.text = "HTTP/1.1 301 Moved Permanently\r\nLocation: https://m.example.org/\x1b[2J\r\n"
		        "Content-Length: 0\r\n\r\n"
	};
	http_fake_script(fx->fake, NULL, &answer);
	http_fake_script(fx->fake, "/timestamp", &answer);
	assert_int_equal(run(fx, false), 1);
	assert_non_null(strstr(fx->out, "301 Moved Permanently, to https://m.example.org/"));
	assert_non_null(strstr(fx->out, "take `return 301 https://...` out"));
	assert_null(strchr(fx->out, '\x1b'));
}

static void test_refused(void **state)
{
	struct fixture *fx = *state;
	static const struct http_fake_answer answer = {
		.text = "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", .host = "database.clamav.net"
	};
	http_fake_script(fx->fake, "/timestamp", &answer);
	expect_failed(fx, "127.0.0.1 by the name database.clamav.net: GET /timestamp: 403 Forbidden",
	              "User-Agent ClamAV-MirrorCheck");
}

static void test_old_timestamp(void **state)
{
	struct fixture *fx = *state;
	snprintf(fx->timestamp, sizeof(fx->timestamp), "%u\n", NOW - 86400);
	expect_failed(fx, "127.0.0.1 timestamp: 2026-11-20T07:00:00Z, 24 h ago", "clam-clientsync");
}

static void test_wrong_timestamp(void **state)
{
	struct fixture *fx = *state;
	http_fake_add(fx->fake, "/timestamp", "<html>", 6, NOW);
	expect_failed(fx, "127.0.0.1 timestamp: GET /timestamp", "with each push");
}

static void test_wrong_database(void **state)
{
	struct fixture *fx = *state;
	memcpy(fx->cvd[1], "<html>", 6);
	expect_failed(fx, "127.0.0.1 database daily.cvd: GET /daily.cvd", "run");
	assert_non_null(strstr(fx->out, "ok      127.0.0.1 database main.cvd: version 62\n"));
}

static void test_patch_missing(void **state)
{
	struct fixture *fx = *state;
	http_fake_remove(fx->fake, "/daily-27499.cdiff");
	expect_failed(fx, "127.0.0.1 patches: daily-27499.cdiff is missing or empty", "*.cdiff");
}

/* It comes to that request, and says how to mend what is found there. */
static void test_patch_refused(void **state)
{
	struct fixture *fx = *state;
	static const struct http_fake_answer refused = {
		.text = "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"
	};
	http_fake_script(fx->fake, "/daily-27499.cdiff", &refused);
	expect_failed(fx, "127.0.0.1 patches: HEAD /daily-27499.cdiff", "User-Agent ClamAV-MirrorCheck");
	assert_non_null(strstr(fx->out, ": 403 Forbidden\n"));
	assert_non_null(strstr(fx->out, "ok      127.0.0.1 database bytecode.cvd: version 335\n"));
}

static const struct http_fake_answer busy = { .text = "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n" };

static void test_patch_fails(void **state)
{
	struct fixture *fx = *state;
	http_fake_script(fx->fake, "/daily-27500.cdiff", &busy);
	expect_failed(fx, "127.0.0.1 patches: HEAD /daily-27500.cdiff", "web server's error log");
	assert_non_null(strstr(fx->out, ": 503 Busy\n"));
}

static void test_patch_cut_off(void **state)
{
	struct fixture *fx = *state;
	static const struct http_fake_answer cut = { .text = "", .then = HTTP_FAKE_RESET };
	http_fake_script(fx->fake, "/daily-27500.cdiff", &cut);
	expect_failed(fx, "127.0.0.1 patches: HEAD /daily-27500.cdiff", "limits of connections");
}

static void test_unchanged_fails(void **state)
{
	struct fixture *fx = *state;
	struct http_fake_answer answer = busy;
	answer.is_for_newer = true;
	http_fake_script(fx->fake, "/daily.cvd", &answer);
	expect_failed(fx, "127.0.0.1 modification times: GET /daily.cvd", "web server's error log");
	assert_non_null(strstr(fx->out, "ok      127.0.0.1 patches: daily-27500.cdiff and those before\n"));
}

/* Where none is looked for, none is missing; nor is one that leads to the first version. */
static void test_no_patches(void **state)
{
	struct fixture *fx = *state;
	fx->conf.checks.cdiffs = 0;
	assert_int_equal(run(fx, false), 0);
	assert_non_null(strstr(fx->out, "skipped 127.0.0.1 patches: checks.cdiffs is 0\n"));
}

static void test_first_version(void **state)
{
	struct fixture *fx = *state;
	write_cvd(fx->cvd[1], 1);
	assert_int_equal(run(fx, false), 0);
	assert_non_null(strstr(fx->out, "skipped 127.0.0.1 patches: there is none to the first version\n"));
}

static void test_modification_times(void **state)
{
	struct fixture *fx = *state;
	http_fake_add(fx->fake, "/daily.cvd", fx->cvd[1], sizeof(fx->cvd[1]), BUILT + 100);
	expect_failed(fx, "127.0.0.1 modification times: the whole database comes",
	              "if_modified_since before");
}

/* Asked to append, it returns this, and the file stays. */
static void expect_not_appended(struct fixture *fx, int want)
{
	static const char text[] = "mirrors = (\n\t{ host = \"m1.example\"; country = \"DE\"; addresses = "
	                           "\"192.0.2.1\"; }\n);\n";
	folder_put("pool.conf", text);
	fx->pool.mirrors_file = folder_path("pool.conf");
	assert_int_equal(run(fx, true), want);
	char *same = folder_get("pool.conf");
	assert_string_equal(same, text);
	free(same);
}

/* Every step is passed, but a pool takes no loopback address. */
static void test_append_after_steps(void **state)
{
	expect_not_appended(*state, -EINVAL);
}

static void test_never_appends_what_failed(void **state)
{
	struct fixture *fx = *state;
	http_fake_remove(fx->fake, "/local_test");
	expect_not_appended(fx, 1);
}

int main(void)
{
#define STEP(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		STEP(test_all_pass),
		STEP(test_template_steps),
		STEP(test_address_of_another),
		STEP(test_address_not_unicast),
		STEP(test_leads_elsewhere),
		STEP(test_leads_nowhere),
		STEP(test_country_differs),
		STEP(test_country_agrees),
		STEP(test_unreachable),
		STEP(test_local_test_missing),
		STEP(test_alias_missing),
		STEP(test_virtual_host_missing),
		STEP(test_redirect),
		STEP(test_refused),
		STEP(test_old_timestamp),
		STEP(test_wrong_timestamp),
		STEP(test_wrong_database),
		STEP(test_patch_missing),
		STEP(test_patch_refused),
		STEP(test_patch_fails),
		STEP(test_patch_cut_off),
		STEP(test_unchanged_fails),
		STEP(test_no_patches),
		STEP(test_first_version),
		STEP(test_modification_times),
		STEP(test_append_after_steps),
		STEP(test_never_appends_what_failed),
	};
	return cmocka_run_group_tests(tests, folder_setup, folder_teardown);
}
