/* The checker against an HTTP server that is good, and then wrong in every way we know. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <arpa/inet.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "mirrormon/checker_parse.h"
#include "tests/unit/support/checker_fixture.h"

static void test_good(void **state)
{
	struct checker_fixture *fx = *state;
	checker_fixture_run(fx);
	checker_fixture_expect(fx, REASON_NONE, "");
	assert_string_equal(fx->result.detail, "");
	assert_int_equal(fx->result.at_s, NOW);
	assert_int_equal(fx->result.timestamp_s, NOW - 600);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(fx->result.databases[i].version, checker_fixture_versions[i]);
		assert_int_equal(fx->result.databases[i].built_s, BUILT);
		assert_int_equal(fx->result.databases[i].cdiffs, i == 1 ? 7 : 0);
	}
	assert_int_equal(fx->result.warnings, 0);
	assert_false(fx->result.deep);
	assert_true(fx->result.connect_us > 0 && fx->result.first_us >= fx->result.connect_us &&
	            fx->result.total_us >= fx->result.first_us);
	assert_string_equal(http_fake_requests(fx->fake), "GET /timestamp db.de.clamav.net\n"
	                                                  "GET /main.cvd db.de.clamav.net\n"
	                                                  "GET /daily.cvd db.de.clamav.net\n"
	                                                  "GET /bytecode.cvd db.de.clamav.net\n"
	                                                  "HEAD /daily-27500.cdiff db.de.clamav.net\n"
	                                                  "HEAD /daily-27499.cdiff db.de.clamav.net\n"
	                                                  "HEAD /daily-27498.cdiff db.de.clamav.net\n"
	                                                  "GET /timestamp database.clamav.net\n"
	                                                  "GET /daily.cvd db.de.clamav.net\n");
	assert_int_equal(http_fake_counts(fx->fake).connections_n, 1);
	const char *last = http_fake_last(fx->fake);
	assert_non_null(strstr(last, "\r\nUser-Agent: ClamAV-MirrorCheck\r\n"));
	assert_non_null(strstr(last, "\r\nRange: bytes=0-511\r\n"));
	assert_non_null(strstr(last, "\r\nIf-Modified-Since: Wed, 23 Jun 2021 01:34:00 GMT\r\n"));
	assert_null(strstr(last, "Accept-Encoding"));
	/* The next check takes no connection of this one, and asks by the next name. */
	fx->request.turn = 1;
	checker_fixture_run(fx);
	checker_fixture_expect(fx, REASON_NONE, "");
	assert_int_equal(http_fake_counts(fx->fake).connections_n, 2);
	assert_non_null(strstr(http_fake_last(fx->fake), "\r\nHost: database.clamav.net\r\n"));
	assert_true(http_fake_counts(fx->fake).open_n <= 1);
}

static void test_brief(void **state)
{
	struct checker_fixture *fx = *state;
	fx->request.brief = true;
	checker_fixture_run(fx);
	checker_fixture_expect(fx, REASON_NONE, "");
	assert_true(fx->result.brief);
	assert_int_equal(fx->result.databases[1].cdiffs, 1);
	assert_int_equal(fx->result.timestamp_s, 0);
	assert_string_equal(http_fake_requests(fx->fake), "GET /main.cvd db.de.clamav.net\n"
	                                                  "GET /daily.cvd db.de.clamav.net\n"
	                                                  "GET /bytecode.cvd db.de.clamav.net\n"
	                                                  "HEAD /daily-27500.cdiff db.de.clamav.net\n");
}

static void test_ipv6(void **state)
{
	struct checker_fixture *fx = *state;
	checker_fixture_stop(fx);
	checker_fixture_start(fx, 6);
	if (!fx->fake)
		skip();
	checker_fixture_run(fx);
	checker_fixture_expect(fx, REASON_NONE, "");
	assert_int_equal(fx->result.databases[1].version, DAILY);
}

#define LINE64 "X-Filler: 0123456789012345678901234567890123456789012345678901\r\n"
#define RANGE(range)                                                                                         \
	"HTTP/1.1 206 Partial Content\r\nContent-Length: 12\r\nContent-Range: " range "\r\n\r\nClamAV-VDB:a"
#define OK(body) "HTTP/1.1 200 OK\r\n\r\n" body

/* What a mirror does to one path, and what that comes to. */
static const struct {
	const char *path;
	struct http_fake_answer answer;
	enum reason reason;
	const char *detail;
	unsigned warnings;
} faults[] = {
	{ "/timestamp", { .text = OK("2021-06-24T01:50:00Z"), .then = HTTP_FAKE_CLOSE }, REASON_NONE, "", 0 },
	{ "/timestamp",
	  { .text = OK("1624499400 Thu Jun 24 01:50:00 UTC\nmore\n"), .then = HTTP_FAKE_CLOSE },
	  REASON_NONE,
	  "",
	  0 },
	{ "/timestamp",
	  { .text = OK("1624500301\n"), .then = HTTP_FAKE_CLOSE },
	  REASON_WRONG_CONTENT,
	  "2021-06-24T02:05:01Z is in the future, it is 2021-06-24T02:00:00Z",
	  0 },
	{ "/timestamp", { .text = OK("1624500300\n"), .then = HTTP_FAKE_CLOSE }, REASON_NONE, "", 0 },
	{ "/timestamp",
	  { .text = OK("<html>\x01</html>"), .then = HTTP_FAKE_CLOSE },
	  REASON_WRONG_CONTENT,
	  "GET /timestamp (Host db.de.clamav.net): \"<html>?</html>\" is no time",
	  0 },
	{ "/timestamp",
	  { .text = OK(""), .then = HTTP_FAKE_CLOSE },
	  REASON_WRONG_CONTENT,
	  "\"\" is no time",
	  0 },
	{ "/timestamp",
	  { .text = OK("16244\n"), .then = HTTP_FAKE_AGAIN, .again = LINE64 LINE64 },
	  REASON_HTTP_ERROR,
	  "more than 4096 bytes",
	  0 },
	{ "/timestamp",
	  { .text = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n" },
	  REASON_HTTP_ERROR,
	  "GET /timestamp (Host db.de.clamav.net): 404 Not Found",
	  0 },
	{ "/timestamp",
	  { .text = "HTTP/1.1 500 \x1b[31mred \xe4 and a phrase that is much longer than any honest "
	            "one\r\nContent-Length: 0\r\n\r\n" },
	  REASON_HTTP_ERROR,
	  "500 ?[31mred ? and a phrase",
	  0 },
	{ "/timestamp",
	  { .text = "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n" },
	  REASON_REFUSED,
	  "403 Forbidden",
	  0 },
	{ "/daily.cvd",
	  { .text = "HTTP/1.1 429 Slow Down\r\nContent-Length: 0\r\n\r\n" },
	  REASON_REFUSED,
	  "GET /daily.cvd, bytes 0-511 (Host db.de.clamav.net): 429 Slow Down",
	  0 },
	{ "/daily-27500.cdiff",
	  { .text = "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n" },
	  REASON_REFUSED,
	  "HEAD /daily-27500.cdiff",
	  0 },
	{ "/timestamp",
	  { .text = "HTTP/1.1 301 Moved\r\nLocation: https://evil.example/\x02\r\nContent-Length: "
	            "0\r\n\r\n" },
	  REASON_HTTP_ERROR,
	  "301 Moved, to https://evil.example/?",
	  0 },
	{ "/timestamp",
	  { .text = "HTTP/1.1 304 Not Modified\r\n\r\n" },
	  REASON_HTTP_ERROR,
	  "304 Not Modified, but nothing",
	  0 },
	{ "/daily.cvd",
	  { .text = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\n\x1f\x8b\x08zz" },
	  REASON_HTTP_ERROR,
	  "an encoding that nobody asked for: gzip",
	  0 },
	{ "/daily.cvd",
	  { .text = "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" },
	  REASON_HTTP_ERROR,
	  "an encoding that nobody asked for: gzip, chunked",
	  0 },
	{ "/timestamp",
	  { .text = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n1624499400\n\r\n0\r\n\r\n" },
	  REASON_NONE,
	  "",
	  0 },
	{ "/timestamp",
	  { .text = "HTTP/1.1 200 OK\r\n", .then = HTTP_FAKE_AGAIN, .again = LINE64 },
	  REASON_HTTP_ERROR,
	  "more headers than a mirror needs",
	  0 },
	{ "/timestamp",
	  { .text = "HTTP/1.1 200 OK\r\nX: ", .then = HTTP_FAKE_AGAIN, .again = "0123456789abcdef" },
	  REASON_HTTP_ERROR,
	  "",
	  0 },
	{ "/timestamp",
	  { .text = "HTTP/1.1 100 Continue\r\n\r\n",
	    .then = HTTP_FAKE_AGAIN,
	    .again = "HTTP/1.1 100 Continue\r\n\r\n" },
	  REASON_HTTP_ERROR,
	  "more headers than a mirror needs",
	  0 },
	{ "/timestamp", { .text = "1624499400\n", .then = HTTP_FAKE_CLOSE }, REASON_HTTP_ERROR, "", 0 },
	{ "/timestamp",
	  { .text = "HTTP/2 200 OK\r\n\r\n1624499400\n", .then = HTTP_FAKE_CLOSE },
	  REASON_HTTP_ERROR,
	  "",
	  0 },
	{ "/timestamp",
	  { .text = "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n1624499400\n", .then = HTTP_FAKE_CLOSE },
	  REASON_UNREACHABLE,
	  "closed after 11 of 50 bytes",
	  0 },
	{ "/timestamp",
	  { .text = "", .then = HTTP_FAKE_CLOSE },
	  REASON_UNREACHABLE,
	  "closed without an answer",
	  0 },
	{ "/daily.cvd",
	  { .text = "HTTP/1.1 206 Par", .then = HTTP_FAKE_RESET },
	  REASON_UNREACHABLE,
	  "GET /daily.cvd",
	  0 },
	{ "/daily.cvd",
	  { .text = RANGE("bytes 100-111/9000") },
	  REASON_HTTP_ERROR,
	  "Content-Range 100-111, not 0-511",
	  0 },
	{ "/daily.cvd",
	  { .text = RANGE("bytes 0-511/9000") },
	  REASON_HTTP_ERROR,
	  "Content-Range of 512 bytes, but 12 came",
	  0 },
	{ "/daily.cvd",
	  { .text = RANGE("bytes 0-9000/9001") },
	  REASON_HTTP_ERROR,
	  "Content-Range 0-9000, not",
	  0 },
	{ "/daily.cvd",
	  { .text = RANGE("lines 0-511/9000") },
	  REASON_HTTP_ERROR,
	  "206 without a Content-Range",
	  0 },
	{ "/daily.cvd",
	  { .text = RANGE("bytes 0-11/12") },
	  REASON_WRONG_CONTENT,
	  "shorter than the 512 bytes",
	  0 },
	{ "/daily.cvd",
	  { .text = "HTTP/1.1 206 Partial Content\r\nContent-Length: 99\r\nContent-Range: bytes "
	            "0-98/99\r\n\r\nClam",
	    .then = HTTP_FAKE_CLOSE },
	  REASON_UNREACHABLE,
	  "closed after 4 of 99 bytes",
	  0 },
	{ "/daily.cvd",
	  { .text = "HTTP/1.1 204 No Content\r\n\r\n" },
	  REASON_HTTP_ERROR,
	  "204 No Content, not 206 or 200",
	  0 },
	{ "/daily.cvd",
	  { .text = OK("<html>"), .then = HTTP_FAKE_AGAIN, .again = LINE64 LINE64 LINE64 },
	  REASON_WRONG_CONTENT,
	  "no CVD file",
	  0 },
	{ "/daily-27500.cdiff",
	  { .text = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n" },
	  REASON_NONE,
	  "",
	  0 },
	{ "/daily-27500.cdiff",
	  { .text = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" },
	  REASON_NONE,
	  "",
	  0 },
	{ "/daily-27499.cdiff",
	  { .text = "HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n" },
	  REASON_NONE,
	  "",
	  CHECK_WARN_CDIFF_GAP },
	{ "/daily-27498.cdiff",
	  { .text = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" },
	  REASON_NONE,
	  "",
	  CHECK_WARN_CDIFF_GAP },
	{ "/daily-27499.cdiff",
	  { .text = "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n" },
	  REASON_HTTP_ERROR,
	  "503 Busy",
	  0 },
	{ "/timestamp",
	  { .text = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", .host = "database.clamav.net" },
	  REASON_NONE,
	  "",
	  CHECK_WARN_HOST_HEADER },
};

static void test_faults(void **state)
{
	struct checker_fixture *fx = *state;
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		uint64_t before = http_fake_counts(fx->fake).sent_len;
		http_fake_script(fx->fake, faults[i].path, &faults[i].answer);
		checker_fixture_run(fx);
		http_fake_script(fx->fake, faults[i].path, NULL);
		if (fx->result.reason != faults[i].reason || !strstr(fx->result.detail, faults[i].detail) ||
		    fx->result.warnings != faults[i].warnings)
			fail_msg("%s %.60s: %s \"%s\" %x", faults[i].path, faults[i].answer.text,
			         reason_text(fx->result.reason), fx->result.detail, fx->result.warnings);
		checker_fixture_expect(fx, faults[i].reason, faults[i].detail);
		assert_int_equal(fx->result.at_s, NOW);
		/* Sockets have buffers, but nothing is read for long. */
		assert_true(http_fake_counts(fx->fake).sent_len - before < 8 << 20);
	}
}

static void test_missing_patches(void **state)
{
	struct checker_fixture *fx = *state;
	char path[64];
	http_fake_add(fx->fake, checker_fixture_cdiff(DAILY, path), "", 0, BUILT);
	http_fake_remove(fx->fake, checker_fixture_cdiff(DAILY - 2, path));
	const unsigned refused[] = { 0, 405, 501, 200 };
	for (size_t i = 0; i < 4; i++) {
		http_fake_refuse_head(fx->fake, refused[i]);
		checker_fixture_run(fx);
		checker_fixture_expect(fx, REASON_NONE, "");
		assert_int_equal(fx->result.databases[1].cdiffs, 2);
		assert_int_equal(fx->result.warnings, CHECK_WARN_CDIFF_GAP);
	}
	/* A range that is ignored. */
	static const struct http_fake_answer whole = {
		.text = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabcd"
	};
	static const struct http_fake_answer empty = {
		.text = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
	};
	http_fake_refuse_head(fx->fake, 405);
	http_fake_script(fx->fake, checker_fixture_cdiff(DAILY, path), &empty);
	http_fake_script(fx->fake, checker_fixture_cdiff(DAILY - 2, path),
	                 &(struct http_fake_answer){ .text = whole.text, .method = "GET" });
	checker_fixture_run(fx);
	checker_fixture_expect(fx, REASON_NONE, "");
	assert_int_equal(fx->result.databases[1].cdiffs, 6);
}

static void test_bad_header(void **state)
{
	struct checker_fixture *fx = *state;
	fx->cvd[1][400] = '\x1b';
	checker_fixture_run(fx);
	checker_fixture_expect(fx, REASON_WRONG_CONTENT, "bytes that are not text");
	assert_int_equal(fx->result.databases[0].version, 62);
	assert_int_equal(fx->result.databases[1].version, 0);
	checker_fixture_fill_cvd(fx->cvd[1], DAILY);
	memcpy(fx->cvd[1], "ClamAX", 6);
	checker_fixture_run(fx);
	checker_fixture_expect(fx, REASON_WRONG_CONTENT, "does not begin with");
}

static void test_never_304(void **state)
{
	struct checker_fixture *fx = *state;
	http_fake_add(fx->fake, "/daily.cvd", fx->cvd[1], BODY, BUILT + 60);
	checker_fixture_run(fx);
	checker_fixture_expect(fx, REASON_NONE, "");
	assert_int_equal(fx->result.warnings, CHECK_WARN_NO_304);
}

/* A listening socket whose queue is full: the kernel answers no more. */
static void test_slow_connect(void **state)
{
	struct checker_fixture *fx = *state;
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(sin);
	int clients[8];
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&sin, sizeof(sin)), 0);
	assert_int_equal(listen(listener, 0), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&sin, &len), 0);
	for (size_t i = 0; i < 8; i++) {
		clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		int rc = connect(clients[i], (struct sockaddr *)&sin, sizeof(sin));
		assert_true(rc == 0 || errno == EINPROGRESS);
	}
	fx->conf.port = ntohs(sin.sin_port);
	fx->conf.connect_timeout_ms = 60;
	checker_fixture_run(fx);
	checker_fixture_expect(fx, REASON_UNREACHABLE, "no connection within 60 ms");
	for (size_t i = 0; i < 8; i++)
		close(clients[i]);
	close(listener);
	fx->conf.connect_timeout_ms = 5000;
	checker_fixture_run(fx);
	checker_fixture_expect(fx, REASON_UNREACHABLE, "cannot connect: Connection refused");
}

static void test_slow_answer(void **state)
{
	struct checker_fixture *fx = *state;
	static const struct http_fake_answer slow[] = {
		{ .text = "", .then = HTTP_FAKE_HANG },
		{ .text = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n1624499400\n",
		  .then = HTTP_FAKE_HANG },
		{ .text = "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n1624499400\n", .drop_ms = 20 },
	};
	fx->conf.timeout_ms = 80;
	for (size_t i = 0; i < 3; i++) {
		http_fake_script(fx->fake, "/timestamp", &slow[i]);
		checker_fixture_run(fx);
		checker_fixture_expect(fx, REASON_UNREACHABLE, "not finished after ");
		assert_in_range(fx->result.total_us, 80000, 20000000);
	}
}

struct many {
	struct checker *checker;
	unsigned done_n;
	unsigned close_after;
};

static void on_one_of_many(void *context, const struct check_request *request,
                           const struct check_result *result)
{
	struct many *many = context;
	(void)request;
	assert_int_equal(result->reason, REASON_NONE);
	many->done_n++;
	if (many->done_n == many->close_after)
		checker_close(many->checker);
}

static void test_thousands(void **state)
{
	struct checker_fixture *fx = *state;
	struct many many = { .checker = fx->checker };
	fx->request.brief = true;
	fx->conf.databases_n = 1;
	fx->conf.concurrency = 20;
	for (unsigned i = 0; i < 2000; i++)
		assert_int_equal(checker_start(fx->checker, &fx->request, on_one_of_many, &many), 0);
	assert_int_equal(checker_busy_n(fx->checker), 2000);
	while (checker_busy_n(fx->checker))
		assert_true(uv_run(&fx->loop, UV_RUN_ONCE) != 0);
	assert_int_equal(many.done_n, 2000);
	struct http_fake_counts counts = http_fake_counts(fx->fake);
	assert_int_equal(counts.connections_n, 2000);
	assert_true(counts.open_max_n <= 60);
}

/* done() may close it. */
static void test_close_from_done(void **state)
{
	struct checker_fixture *fx = *state;
	struct many many = { .checker = fx->checker, .close_after = 2 };
	fx->request.brief = true;
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(checker_start(fx->checker, &fx->request, on_one_of_many, &many), 0);
	while (many.done_n < 2)
		assert_true(uv_run(&fx->loop, UV_RUN_ONCE) != 0);
	for (unsigned i = 0; i < 20; i++)
		uv_run(&fx->loop, UV_RUN_NOWAIT);
	assert_int_equal(many.done_n, 2);
	assert_int_equal(checker_create(&fx->loop, &fx->conf, NULL, &fx->checker), 0);
}

static void on_reference(void *context, const struct conf_reference *reference,
                         const struct check_result *result)
{
	struct checker_fixture *fx = context;
	assert_non_null(reference->url);
	fx->result = *result;
	fx->done_n++;
}

static void run_reference_over(struct checker_fixture *fx, const char *url, const char *address,
                               unsigned family)
{
	struct conf_reference reference = { .url = url, .address = address };
	unsigned before = fx->done_n;
	assert_int_equal(checker_start_reference(fx->checker, &reference, family, on_reference, fx), 0);
	assert_int_equal(fx->done_n, before);
	while (fx->done_n == before)
		assert_true(uv_run(&fx->loop, UV_RUN_ONCE) != 0);
}

static void run_reference(struct checker_fixture *fx, const char *url, const char *address)
{
	run_reference_over(fx, url, address, 0);
}

static void test_reference(void **state)
{
	struct checker_fixture *fx = *state;
	char url[64];
	char text[64];
	char line[64];
	snprintf(text, sizeof(text), "%llu\n", (unsigned long long)time(NULL));
	http_fake_add(fx->fake, "/timestamp", text, strlen(text), 0);
	http_fake_add(fx->fake, "/mirror/timestamp", "1000\n", 5, 0);
	snprintf(url, sizeof(url), "http://ref.example:%u/", fx->conf.port);
	run_reference(fx, url, "127.0.0.1");
	checker_fixture_expect(fx, REASON_NONE, "");
	assert_int_equal(fx->result.databases[1].version, DAILY);
	snprintf(line, sizeof(line), "GET /bytecode.cvd ref.example:%u\n", fx->conf.port);
	assert_non_null(strstr(http_fake_requests(fx->fake), line));
	/* By name, looked up on curl's thread. */
	snprintf(url, sizeof(url), "http://localhost:%u", fx->conf.port);
	run_reference(fx, url, NULL);
	checker_fixture_expect(fx, REASON_NONE, "");
	assert_int_equal(fx->result.family, 4);
	/* Over one family alone. Nobody is there over IPv6. */
	run_reference_over(fx, url, NULL, 4);
	checker_fixture_expect(fx, REASON_NONE, "");
	run_reference_over(fx, url, NULL, 6);
	assert_int_equal(fx->result.reason, fx->result.at_s ? REASON_UNREACHABLE : REASON_NONE);
	assert_int_equal(fx->result.databases[1].version, 0);
	snprintf(url, sizeof(url), "http://localhost:%u/mirror/", fx->conf.port);
	run_reference(fx, url, NULL);
	checker_fixture_expect(fx, REASON_HTTP_ERROR, "404");
	assert_int_equal(fx->result.timestamp_s, 1000);
	run_reference(fx, "http://nowhere.invalid", NULL);
	checker_fixture_expect(fx, REASON_UNREACHABLE, "its name has no address");
	run_reference(fx, "http://x", "no address");
	checker_fixture_expect(fx, REASON_UNREACHABLE, "no address");
}

struct fetch {
	unsigned done_n;
	int status;
	char why[256];
};

static void on_fetched(void *context, const char *url, int status, const char *text, size_t text_len,
                       const char *why)
{
	struct fetch *fetch = context;
	assert_non_null(url);
	assert_true(status == 0 || (!text && !text_len));
	fetch->status = status;
	snprintf(fetch->why, sizeof(fetch->why), "%s", why);
	fetch->done_n++;
}

/* Only https, whatever is asked for. */
static void test_fetch_refuses(void **state)
{
	struct checker_fixture *fx = *state;
	struct fetch fetch = { 0 };
	char url[64];
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/timestamp", fx->conf.port);
	assert_int_equal(checker_fetch(fx->checker, url, 1000, on_fetched, &fetch), 0);
	while (fetch.done_n == 0)
		assert_true(uv_run(&fx->loop, UV_RUN_ONCE) != 0);
	assert_true(fetch.status < 0);
	assert_int_equal(http_fake_counts(fx->fake).requests_n, 0);
	/* A server that speaks no TLS. */
	static const struct http_fake_answer text = { .text = "HTTP/1.1 400 Bad\r\n\r\n",
		                                      .then = HTTP_FAKE_CLOSE };
	http_fake_script(fx->fake, NULL, &text);
	fx->conf.timeout_ms = 300;
	snprintf(url, sizeof(url), "https://127.0.0.1:%u/vote", fx->conf.port);
	assert_int_equal(checker_fetch(fx->checker, url, 1000, on_fetched, &fetch), 0);
	while (fetch.done_n == 1)
		assert_true(uv_run(&fx->loop, UV_RUN_ONCE) != 0);
	assert_true(fetch.status < 0);
	assert_true(fetch.why[0] != '\0');
}

static void test_parsers(void **state)
{
	static const struct {
		const char *text;
		uint64_t s; /* 0 = refused */
	} times[] = {
		{ "1624499400", 1624499400 },
		{ "1624499400\tx", 1624499400 },
		{ "1624499400x", 0 },
		{ "-5", 0 },
		{ "0", 0 },
		{ " 1624499400", 0 },
		{ "9999999999999", 0 },
		{ "2021-06-24T01:50:00Z\r\n", 1624499400 },
		{ "2021-06-24", 0 },
	};
	(void)state;
	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		uint64_t s = 0;
		int rc = checker_parse_timestamp(times[i].text, strlen(times[i].text), &s);
		if (rc != (times[i].s ? 0 : -EINVAL) || s != times[i].s)
			fail_msg("%s: %d %llu", times[i].text, rc, (unsigned long long)s);
	}
	static const char good[] = "Version: 27500\nVerification OK.\n";
	uint32_t version = 0;
	assert_int_equal(checker_parse_sigtool(good, strlen(good), 0, &version), SIGTOOL_GOOD);
	assert_int_equal(version, 27500);
	assert_int_equal(checker_parse_sigtool(good, strlen(good), 1, &version), SIGTOOL_UNCLEAR);
	char date[CHECKER_DATE_MAX];
	assert_int_equal(checker_format_date(1624388302, date), 0);
	assert_string_equal(date, "Tue, 22 Jun 2021 18:58:22 GMT");
	assert_int_equal(checker_format_date(UINT64_MAX, date), -EINVAL);
}

/* With PATTERN as its argument: only the tests whose name fits. */
int main(int argc, char **argv)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, checker_fixture_setup, checker_fixture_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_good),
		TEST(test_brief),
		TEST(test_ipv6),
		TEST(test_faults),
		TEST(test_missing_patches),
		TEST(test_bad_header),
		TEST(test_never_304),
		TEST(test_slow_connect),
		TEST(test_slow_answer),
		TEST(test_thousands),
		TEST(test_close_from_done),
		TEST(test_reference),
		TEST(test_fetch_refuses),
		cmocka_unit_test(test_parsers),
	};
#undef TEST
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	signal(SIGPIPE, SIG_IGN); /* libuv writes to what has been closed */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
