/* join: templates good, bad and hostile; the entry and the mirrors file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "mirrormon/join_int.h"
#include "tests/unit/support/folder.h"

/* A line each; ends diag. */
static void take_messages(struct diag *diag, char *messages, size_t cap)
{
	messages[0] = '\0';
	for (size_t i = 0; i < diag->messages_n; i++)
		snprintf(messages + strlen(messages), cap - strlen(messages), "%s\n", diag->messages[i].text);
	diag_fini(diag);
}

static int parse(const char *text, size_t len, struct join_template *ret_template, char *messages, size_t cap)
{
	struct diag diag;
	diag_init(&diag);
	int rc = join_parse(text, len, "t", &diag, ret_template);
	assert_int_equal(rc == 0, diag.errors_n == 0);
	take_messages(&diag, messages, cap);
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

static int append(const char *name, const struct join_template *template, char *messages, size_t cap)
{
	struct diag diag;
	diag_init(&diag);
	int rc = join_append(folder_path(name), template, &diag);
	take_messages(&diag, messages, cap);
	return rc;
}

/* The example pool's file, which is what people have. */
static void test_append(void **state)
{
	(void)state;
	char messages[2048], entry[JOIN_ENTRY_MAX];
	struct stat st;
	struct join_template t = good_template();
	t.addresses_n = 1;
	strcpy(t.addresses[0], "192.0.2.250");
	char *before;
	size_t len;
	const char *why;
	assert_int_equal(file_read("contrib/clamav.net/mirrors.conf", 1 << 20, &before, &len, &why), 0);
	folder_put("mirrors.conf", before);
	assert_int_equal(chmod(folder_path("mirrors.conf"), 0664), 0);
	assert_int_equal(symlink("mirrors.conf", folder_path("link.conf")), 0);
	assert_int_equal(append("link.conf", &t, messages, sizeof(messages)), 0);
	assert_string_equal(messages, "");
	assert_int_equal(lstat(folder_path("link.conf"), &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_int_equal(stat(folder_path("mirrors.conf"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0664);

	char *after = folder_get("mirrors.conf");
	size_t end = len - strlen("\n);\n");
	assert_string_equal(before + end, "\n);\n");
	assert_memory_equal(after, before, end);
	join_entry(&t, entry);
	char expected[JOIN_ENTRY_MAX + 16];
	snprintf(expected, sizeof(expected), ",\n%s\n);\n", entry);
	assert_string_equal(after + end, expected);

	/* Again: the host is there, and the file stays as it is. */
	assert_int_equal(append("mirrors.conf", &t, messages, sizeof(messages)), -EINVAL);
	assert_non_null(strstr(messages, "clamav.example.org"));
	strcpy(t.host, "other.example.org");
	assert_int_equal(append("mirrors.conf", &t, messages, sizeof(messages)), -EINVAL);
	assert_non_null(strstr(messages, "192.0.2.250"));
	char *same = folder_get("mirrors.conf");
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
	char messages[2048], host[64];
	pid_t children[WRITERS];
	folder_put("together.conf",
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
			_exit(append("together.conf", &t, messages, sizeof(messages)) == 0 && !messages[0]
			              ? 0
			              : 1);
	}
	for (unsigned i = 0; i < WRITERS; i++) {
		int status;
		assert_int_equal(waitpid(children[i], &status, 0), children[i]);
		assert_int_equal(status, 0);
	}
	char *after = folder_get("together.conf");
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
	char messages[2048];
	struct join_template t = good_template();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		folder_put("refused.conf", cases[i].text);
		assert_int_equal(append("refused.conf", &t, messages, sizeof(messages)), -EINVAL);
		if (!strstr(messages, cases[i].message))
			fail_msg("case %zu: %s", i, messages);
		char *same = folder_get("refused.conf");
		assert_string_equal(same, cases[i].text);
		free(same);
	}
	assert_int_equal(append("missing.conf", &t, messages, sizeof(messages)), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_insert),
		cmocka_unit_test_setup_teardown(test_append, folder_setup, folder_teardown),
		cmocka_unit_test_setup_teardown(test_append_together, folder_setup, folder_teardown),
		cmocka_unit_test_setup_teardown(test_append_refuses, folder_setup, folder_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
