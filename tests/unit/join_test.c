/* join: templates good, bad and hostile; the entry and the mirrors file; the steps against a server. */
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
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "mirrormon/join_int.h"
#include "tests/unit/support/http_fake.h"
#include "tools/geodb/mmdb_writer.h"

#define NOW   1795244400U
#define BUILT (NOW - 50000U)
#define DAILY 27500U

static char dir[] = "/tmp/join_test.XXXXXX";

static int parse(const char *text, size_t len, struct join_template *ret_template, char *messages, size_t cap)
{
	struct diag diag;
	diag_init(&diag);
	int rc = join_parse(text, len, "t", &diag, ret_template);
	assert_int_equal(rc == 0, diag.errors_n == 0);
	messages[0] = '\0';
	for (size_t i = 0; i < diag.messages_n; i++)
		snprintf(messages + strlen(messages), cap - strlen(messages), "%s\n", diag.messages[i].text);
	diag_fini(&diag);
	return rc;
}

static const char good[] = "Host:  ClamAV.Example.ORG\r\n"
                           "# two of them\n"
                           "IP Address: 192.0.2.77, 2001:DB8:0::77\n"
                           "\n"
                           "ip address:\t192.0.2.78\n"
                           "  admin : J\xc3\xb6rg Admin <ann@example.org> || <alerts@example.org>  \n"
                           "COUNTRY: de";

static struct join_template good_template(void)
{
	struct join_template template;
	char messages[512];
	assert_int_equal(parse(good, strlen(good), &template, messages, sizeof(messages)), 0);
	return template;
}

static void test_good(void **state)
{
	(void)state;
	struct join_template t = good_template();
	assert_string_equal(t.host, "clamav.example.org");
	assert_int_equal(t.addresses_n, 3);
	assert_string_equal(t.addresses[0], "192.0.2.77");
	assert_string_equal(t.addresses[1], "2001:db8::77");
	assert_string_equal(t.addresses[2], "192.0.2.78");
	assert_string_equal(t.country, "DE");
	assert_string_equal(t.admin, "J\xc3\xb6rg Admin <ann@example.org> || <alerts@example.org>");
	char entry[JOIN_ENTRY_MAX];
	join_entry(&t, entry);
	assert_string_equal(
	        entry, "\t{ host = \"clamav.example.org\"; country = \"DE\"; addresses = [ \"192.0.2.77\", "
	               "\"2001:db8::77\", \"192.0.2.78\" ];\n"
	               "\t  admin = \"J\xc3\xb6rg Admin <ann@example.org> || <alerts@example.org>\"; }");
}

#define HOST "host: m.example.org\n"
#define ADDR "ip address: 192.0.2.1\n"
#define LAND "country: DE\n"
#define WHOM "admin: A <a@b.example>\n"

static void test_bad(void **state)
{
	(void)state;
	static const struct {
		const char *text, *message;
	} cases[] = {
		{ "", "t: no host; write host: clamav.example.org\nt: no ip address; write" },
		{ ADDR LAND WHOM, "t: no host" },
		{ HOST LAND WHOM, "t: no ip address" },
		{ HOST ADDR WHOM, "t: no country" },
		{ HOST ADDR LAND, "t: no admin" },
		{ HOST ADDR LAND WHOM "mail: x", "t:5: \"mail: x\" is not understood" },
		{ HOST ADDR LAND WHOM "hello", "t:5: \"hello\" is not understood" },
		{ HOST ADDR LAND WHOM ":", "t:5: \":\" is not understood" },
		{ HOST ADDR LAND WHOM HOST, "t:5: host is given twice: first in line 1" },
		{ HOST ADDR LAND LAND WHOM, "t:4: country is given twice" },
		{ HOST ADDR ADDR LAND WHOM, "t:3: 192.0.2.1 is given twice" },
		{ "host: m\n" ADDR LAND WHOM, "t:1: host \"m\" has no domain" },
		{ "host: 192.0.2.1\n" ADDR LAND WHOM, "is an address, not a host name" },
		{ "host: m_x.example.org/a\n" ADDR LAND WHOM, "t:1: host \"m_x.example.org/a\"" },
		{ "host: m.example.org\"; }\n" ADDR LAND WHOM, "t:1: host" },
		{ "host:\n" ADDR LAND WHOM, "t:1: host" },
		{ HOST "ip address:\n" LAND WHOM, "t:2: no address; write" },
		{ HOST "ip address: 192.0.2.256\n" LAND WHOM, "t:2: \"192.0.2.256\" is no address" },
		{ HOST "ip address: m.example.org\n" LAND WHOM, "t:2: \"m.example.org\" is no address" },
		{ HOST "ip address: 192.0.2.0/24\n" LAND WHOM, "is no address" },
		{ HOST "ip address: 1.1.1.1 1.1.1.2 1.1.1.3 1.1.1.4 1.1.1.5 1.1.1.6 1.1.1.7 1.1.1.8 1.1.1.9 "
		       "1.1.1.10 1.1.1.11 1.1.1.12 1.1.1.13 1.1.1.14 1.1.1.15 1.1.1.16 1.1.1.17\n" LAND WHOM,
		  "t:2: more than 16 addresses" },
		{ HOST ADDR "country: Germany\n" WHOM, "t:3: \"Germany\" is no country" },
		{ HOST ADDR "country: ZZ\n" WHOM, "t:3: \"ZZ\" is no country" },
		{ HOST ADDR LAND "admin: Ann\n", "t:4: admin \"Ann\" is not understood" },
		{ HOST ADDR LAND "admin: Ann <ann>\n", "is not understood" },
		{ HOST ADDR LAND "admin: Ann <@example.org>\n", "is not understood" },
		{ HOST ADDR LAND "admin: Ann <a@>\n", "is not understood" },
		{ HOST ADDR LAND "admin: Ann <a@b@c>\n", "is not understood" },
		{ HOST ADDR LAND "admin: Ann <a@b> <c@d>\n", "is not understood" },
		{ HOST ADDR LAND "admin: Ann <a@b> ||\n", "is not understood" },
		{ HOST ADDR LAND "admin: Ann || <a@b>\n", "is not understood" },
		{ HOST ADDR LAND "admin: Ann <a@b> || <c@d> || <e@f>\n", "is not understood" },
		{ HOST ADDR LAND "admin: Ann <a@b, c@d>\n", "is not understood" },
		{ HOST ADDR LAND "admin: A\"; weight = 9; x = \" <a@b>\n", "has a quote" },
		{ HOST ADDR LAND "admin: A\\ <a@b>\n", "has a quote" },
		{ HOST ADDR LAND "admin: A\x1b[2J <a@b>\n", "control character" },
		{ HOST ADDR LAND "admin: A\xc2\x9b <a@b>\n", "control character" },
		{ HOST ADDR LAND "admin: A\xe2\x80\xae <a@b>\n", "control character" },
		{ HOST ADDR LAND "admin: A\xc3 <a@b>\n", "control character" },
		{ HOST ADDR LAND "admin: <a@b>\xc3\n", "control character" },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct join_template t;
		char messages[4096];
		memset(&t, 0x55, sizeof(t));
		int rc = parse(cases[i].text, strlen(cases[i].text), &t, messages, sizeof(messages));
		if (rc != -EINVAL || !strstr(messages, cases[i].message))
			fail_msg("case %zu: %s", i, messages);
		assert_int_equal(t.addresses_n, (size_t)0x5555555555555555U); /* written on success only */
		for (const char *c = messages; *c; c++)
			assert_true((*c >= ' ' && *c < 0x7f) || *c == '\n');
	}
}

static void test_hostile(void **state)
{
	(void)state;
	struct join_template t;
	char messages[4096];
	size_t len = 65537;
	char *text = malloc(len);
	assert_non_null(text);
	memset(text, 'x', len);
	assert_int_equal(parse(text, len, &t, messages, sizeof(messages)), -EINVAL);
	assert_string_equal(messages, "t: longer than 65536 bytes: this is no template\n");
	/* As long as may be: one word, and a hundred thousand things to say. */
	assert_int_equal(parse(text, len - 1, &t, messages, sizeof(messages)), -EINVAL);
	for (size_t i = 0; i < len - 1; i++)
		text[i] = i % 2 ? '\n' : 'x';
	assert_int_equal(parse(text, len - 1, &t, messages, sizeof(messages)), -EINVAL);
	memset(text, ',', len);
	memcpy(text, "ip address:", 11);
	for (size_t i = 11; i < len; i += 2)
		text[i] = '1';
	assert_int_equal(parse(text, len - 1, &t, messages, sizeof(messages)), -EINVAL);
	free(text);
	static const char zero[] = "host: m.example.org\0.evil\nip address: 192.0.2.1\0\ncountry: DE\n" WHOM;
	assert_int_equal(parse(zero, sizeof(zero) - 1, &t, messages, sizeof(messages)), -EINVAL);
	assert_non_null(strstr(messages, "has a byte of zero"));
	assert_non_null(strstr(messages, "is no address"));
}

static void test_insert(void **state)
{
	(void)state;
	static const struct {
		const char *before, *after; /* after NULL: refused, why in message */
		const char *why;
	} cases[] = {
		{ "mirrors = (\n\t{ a = 1; },\n\t{ b = 2; }\n);\n",
		  "mirrors = (\n\t{ a = 1; },\n\t{ b = 2; },\nNEW\n);\n", NULL },
		{ "mirrors = ( { a = 1; } );", "mirrors = ( { a = 1; }, \nNEW\n);", NULL },
		{ "mirrors = (\n);", "mirrors = (\nNEW\n);", NULL },
		{ "mirrors: (\n\t{ } # last )\n\t# none ){ below\n  )\n# end )",
		  "mirrors: (\n\t{ }, # last )\n\t# none ){ below\nNEW\n  )\n# end )", NULL },
		{ "// mirrors = (\n/* mirrors = ( { } ) */ mirrors = ( { h = \")\\\"}\"; } )",
		  "// mirrors = (\n/* mirrors = ( { } ) */ mirrors = ( { h = \")\\\"}\"; }, \nNEW\n)", NULL },
		{ "x = { mirrors = ( { } ); }; mirrors = (\n{ m = ( { }, { } ); }\n);",
		  "x = { mirrors = ( { } ); }; mirrors = (\n{ m = ( { }, { } ); },\nNEW\n);", NULL },
		{ "mirrors = ( { }, );", NULL, "its list does not end with a mirror" },
		{ "mirrors = ( 5 );", NULL, "its list does not end with a mirror" },
		{ "mirrors = ( { };", NULL, "a bracket is not closed" },
		{ "mirrors = ( {", NULL, "a bracket is not closed" },
		{ "}", NULL, "a bracket is closed that was not opened" },
		{ "mirrors = [ ];", NULL, "it has no mirrors = ( ... ) of its own" },
		{ "", NULL, "it has no mirrors = ( ... ) of its own" },
		{ "@include \"more.conf\"\nmirrors = ( { } );", NULL, "it includes other files" },
		{ "mirrors = (\n@include \"more.conf\"\n);", NULL, "it includes other files" },
		{ "mirrors = ( { h = \"x } );", NULL, "a string that does not end" },
		{ "mirrors = ( { } /* );", NULL, "a comment that does not end" },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *text = NULL;
		size_t len = 0;
		const char *why = NULL;
		int rc = join_insert(cases[i].before, strlen(cases[i].before), "NEW", &text, &len, &why);
		if (cases[i].after) {
			assert_int_equal(rc, 0);
			assert_int_equal(len, strlen(cases[i].after));
			assert_memory_equal(text, cases[i].after, len);
		} else {
			assert_int_equal(rc, -EINVAL);
			assert_non_null(strstr(why, cases[i].why));
			assert_null(text);
		}
		free(text);
	}
}

static const char *in_dir(const char *name, char path[256])
{
	snprintf(path, 256, "%s/%s", dir, name);
	return path;
}

static void write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	assert_int_equal(fclose(file), 0);
}

static char *read_whole(const char *path)
{
	char *text;
	size_t len;
	const char *why;
	assert_int_equal(file_read(path, 1 << 20, &text, &len, &why), 0);
	return text;
}

static int append(const char *path, const struct join_template *template, char *messages, size_t cap)
{
	struct diag diag;
	diag_init(&diag);
	int rc = join_append(path, template, &diag);
	messages[0] = '\0';
	for (size_t i = 0; i < diag.messages_n; i++)
		snprintf(messages + strlen(messages), cap - strlen(messages), "%s\n", diag.messages[i].text);
	diag_fini(&diag);
	return rc;
}

/* The example pool's file, which is what people have. */
static void test_append(void **state)
{
	(void)state;
	char path[256], link[256], messages[2048], entry[JOIN_ENTRY_MAX];
	struct stat st;
	struct join_template t = good_template();
	in_dir("mirrors.conf", path);
	in_dir("link.conf", link);
	t.addresses_n = 1;
	strcpy(t.addresses[0], "192.0.2.250");
	char *before = read_whole("contrib/clamav.net/mirrors.conf");
	write_file(path, before);
	assert_int_equal(chmod(path, 0664), 0);
	assert_int_equal(symlink("mirrors.conf", link), 0);
	assert_int_equal(append(link, &t, messages, sizeof(messages)), 0);
	assert_string_equal(messages, "");
	assert_int_equal(lstat(link, &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0664);

	char *after = read_whole(path);
	size_t len = strlen(before), end = len - strlen("\n);\n");
	assert_string_equal(before + end, "\n);\n");
	assert_memory_equal(after, before, end);
	join_entry(&t, entry);
	char expected[JOIN_ENTRY_MAX + 16];
	snprintf(expected, sizeof(expected), ",\n%s\n);\n", entry);
	assert_string_equal(after + end, expected);

	/* Again: the host is there, and the file stays as it is. */
	assert_int_equal(append(path, &t, messages, sizeof(messages)), -EINVAL);
	assert_non_null(strstr(messages, "clamav.example.org"));
	strcpy(t.host, "other.example.org");
	assert_int_equal(append(path, &t, messages, sizeof(messages)), -EINVAL);
	assert_non_null(strstr(messages, "192.0.2.250"));
	char *same = read_whole(path);
	assert_string_equal(same, after);
	free(same);
	free(after);
	free(before);
}

/* At the same time, as two people would: none of them is lost. */
static void test_append_together(void **state)
{
	enum { WRITERS = 8 };
	(void)state;
	char path[256], messages[2048], host[64];
	pid_t children[WRITERS];
	in_dir("together.conf", path);
	write_file(path,
	           "mirrors = (\n\t{ host = \"a.example\"; country = \"DE\"; addresses = \"192.0.2.1\"; }\n"
	           ");\n");
	for (unsigned i = 0; i < WRITERS; i++) {
		struct join_template t = good_template();
		t.addresses_n = 1;
		snprintf(t.host, sizeof(t.host), "m%u.example", i);
		snprintf(t.addresses[0], sizeof(t.addresses[0]), "192.0.2.%u", 10 + i);
		children[i] = fork();
		assert_true(children[i] >= 0);
		if (children[i] == 0)
			_exit(append(path, &t, messages, sizeof(messages)) == 0 && !messages[0] ? 0 : 1);
	}
	for (unsigned i = 0; i < WRITERS; i++) {
		int status;
		assert_int_equal(waitpid(children[i], &status, 0), children[i]);
		assert_int_equal(status, 0);
	}
	char *after = read_whole(path);
	for (unsigned i = 0; i < WRITERS; i++) {
		snprintf(host, sizeof(host), "host = \"m%u.example\"", i);
		if (!strstr(after, host))
			fail_msg("%s is lost:\n%s", host, after);
	}
	free(after);
}

static void test_append_refuses(void **state)
{
	(void)state;
	static const struct {
		const char *text, *message;
	} cases[] = {
		{ "mirrors = (\n);\n", "no mirrors" },
		{ "mirrors = ( { host = \"a.example\"; country = \"DE\"; addresses = \"192.0.2.1\"; }, );",
		  "a comma before" },
		{ "@include \"x.conf\"\n", "include" },
		{ "mirrors = ( { host = \"a.example\"; country = \"DE\"; addresses = \"192.0.2.1\"; } ); x = "
		  "1;",
		  "\"x\"" },
		{ "nonsense", "nonsense" },
	};
	char path[256], messages[2048];
	struct join_template t = good_template();
	in_dir("refused.conf", path);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		write_file(path, cases[i].text);
		assert_int_equal(append(path, &t, messages, sizeof(messages)), -EINVAL);
		if (!strstr(messages, cases[i].message))
			fail_msg("case %zu: %s", i, messages);
		char *same = read_whole(path);
		assert_string_equal(same, cases[i].text);
		free(same);
	}
	in_dir("missing.conf", path);
	assert_int_equal(append(path, &t, messages, sizeof(messages)), -ENOENT);
}

/* The steps. A server on a thread of its own, as the steps wait for it. */

static const char *const databases[] = { "main", "daily", "bytecode" };
static const unsigned versions[] = { 62, DAILY, 335 };
static const char *hosts[] = { "db.%c.clamav.net", "database.clamav.net" };

struct fixture {
	uv_loop_t loop;
	uv_async_t stop;
	pthread_t thread;
	struct http_fake *fake;
	char timestamp[32];
	char cvd[3][1024];
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
		memset(fx->cvd[i], ' ', sizeof(fx->cvd[i]));
		int len = snprintf(fx->cvd[i], 512,
		                   "ClamAV-VDB:22 Jun 2026 21-34 -0400:%u:1:90:"
		                   "00000000000000000000000000000000:signature:builder:%u",
		                   versions[i], BUILT);
		fx->cvd[i][len] = ' ';
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
	char messages[512];
	const char *text =
	        "host: m.example.org\nip address: 127.0.0.1\ncountry: DE\nadmin: Ann <a@b.example>";
	assert_int_equal(parse(text, strlen(text), &fx->template, messages, sizeof(messages)), 0);
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

static void write_geo(const char *code, char path[256])
{
	struct mmdb_writer *writer = mmdb_writer_create(&(struct mmdb_writer_options){ 0 });
	struct prefix prefix;
	assert_non_null(writer);
	assert_int_equal(prefix_parse("127.0.0.0/8", &prefix), 0);
	assert_int_equal(mmdb_writer_insert(writer, &prefix, code), 0);
	assert_int_equal(mmdb_writer_write(writer, in_dir("geo.mmdb", path), NULL), 0);
	mmdb_writer_destroy(writer);
}

static void test_country_differs(void **state)
{
	struct fixture *fx = *state;
	char path[256];
	write_geo("FR", path);
	fx->conf.geo = path;
	expect_failed(fx, "country of 127.0.0.1: the geo database says FR, the template says DE",
	              "write country: FR");
}

static void test_country_agrees(void **state)
{
	struct fixture *fx = *state;
	char path[256];
	write_geo("DE", path);
	fx->conf.geo = path;
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

static void test_modification_times(void **state)
{
	struct fixture *fx = *state;
	http_fake_add(fx->fake, "/daily.cvd", fx->cvd[1], sizeof(fx->cvd[1]), BUILT + 100);
	expect_failed(fx, "127.0.0.1 modification times: the whole database comes",
	              "if_modified_since before");
}

static void test_append_after_steps(void **state)
{
	struct fixture *fx = *state;
	char path[256];
	const char *text = "mirrors = (\n\t{ host = \"m1.example\"; country = \"DE\"; addresses = "
	                   "\"192.0.2.1\"; }\n);\n";
	in_dir("pool.conf", path);
	write_file(path, text);
	fx->pool.mirrors_file = path;
	/* Every step is passed, but a pool takes no loopback address: the file stays. */
	assert_int_equal(run(fx, true), -EINVAL);
	char *same = read_whole(path);
	assert_string_equal(same, text);
	free(same);
}

static void test_never_appends_what_failed(void **state)
{
	struct fixture *fx = *state;
	char path[256];
	const char *text = "mirrors = (\n\t{ host = \"m1.example\"; country = \"DE\"; addresses = "
	                   "\"192.0.2.1\"; }\n);\n";
	in_dir("pool.conf", path);
	write_file(path, text);
	fx->pool.mirrors_file = path;
	strcpy(fx->template.addresses[0], "127.0.0.1");
	http_fake_remove(fx->fake, "/local_test");
	assert_int_equal(run(fx, true), 1);
	char *same = read_whole(path);
	assert_string_equal(same, text);
	free(same);
}

static int make_dir(void **state)
{
	(void)state;
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	(void)state;
	char command[128];
	snprintf(command, sizeof(command), "rm -r %s", dir);
	return system(command);
}

int main(void)
{
#define STEP(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_insert),
		cmocka_unit_test(test_append),
		cmocka_unit_test(test_append_together),
		cmocka_unit_test(test_append_refuses),
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
		STEP(test_modification_times),
		STEP(test_append_after_steps),
		STEP(test_never_appends_what_failed),
	};
	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
