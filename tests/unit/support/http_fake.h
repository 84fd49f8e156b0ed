/*
 * http_fake: an HTTP server on the test's own loop that serves a few files rightly, and wrongly by script.
 *
 *     http_fake_add(path, bytes)      200, 206, 304, HEAD, 404 as a good mirror's
 *     http_fake_script(path, answer)  any bytes instead: short, endless, by the drop, cut off
 */
#ifndef TESTS_UNIT_SUPPORT_HTTP_FAKE_H
#define TESTS_UNIT_SUPPORT_HTTP_FAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct http_fake;

/** What follows the bytes of an answer. */
enum http_fake_then {
	HTTP_FAKE_KEEP,  /* the next request */
	HTTP_FAKE_CLOSE, /* the end */
	HTTP_FAKE_RESET,
	HTTP_FAKE_HANG,  /* nothing, ever */
	HTTP_FAKE_AGAIN, /* `again`, for ever */
};

struct http_fake_answer {
	const char *text; /* status line, headers, body */
	size_t text_len;  /* 0: strlen(text) */
	enum http_fake_then then;
	const char *again;
	uint64_t drop_ms;   /* a byte at a time, so far apart; 0 = at once */
	const char *host;   /* only for this Host header; NULL = any */
	const char *method; /* only for this method; NULL = any */
	bool is_for_whole;  /* only for requests without a range */
	bool is_for_newer;  /* only for requests with If-Modified-Since */
};

/** family 4 or 6; loopback, a port of the kernel's choice. NULL when there is no such family. */
struct http_fake *http_fake_create(uv_loop_t *loop, int family);
/** The loop has to run on. */
void http_fake_close(struct http_fake *fake);
uint16_t http_fake_port(const struct http_fake *fake);

/** Bytes are borrowed. A path that is there is replaced. */
void http_fake_add(struct http_fake *fake, const char *path, const void *bytes, size_t len, uint64_t mtime_s);
void http_fake_remove(struct http_fake *fake, const char *path);
/** Borrowed; path NULL: all that have none of their own. answer NULL: no longer. */
void http_fake_script(struct http_fake *fake, const char *path, const struct http_fake_answer *answer);
void http_fake_refuse_head(struct http_fake *fake, unsigned status);

struct http_fake_counts {
	size_t requests_n, connections_n, open_n, open_max_n;
	uint64_t sent_len;
};
struct http_fake_counts http_fake_counts(const struct http_fake *fake);
/** All requests so far, one a line: "GET /timestamp db.de.clamav.net". */
const char *http_fake_requests(const struct http_fake *fake);
/** The last request as it came. */
const char *http_fake_last(const struct http_fake *fake);

#endif
