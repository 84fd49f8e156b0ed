/*
 * text: the Prometheus text exposition format, version 0.0.4, into a growing buffer.
 *
 *     metrics_text_family("dnsd_pings_total", METRICS_COUNTER, "usage reports")
 *     metrics_text_sample(3, "mirror", "m1.example", "result", "ok", NULL)
 *
 *         # HELP dnsd_pings_total usage reports
 *         # TYPE dnsd_pings_total counter
 *         dnsd_pings_total{mirror="m1.example",result="ok"} 3
 *
 * Out of memory is kept in `failed`: one check at the end, everything until then does nothing.
 */
#ifndef DNSD_METRICS_TEXT_H
#define DNSD_METRICS_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define METRICS_TEXT_TYPE "text/plain; version=0.0.4; charset=utf-8"

enum metrics_kind { METRICS_COUNTER, METRICS_GAUGE };

struct metrics_text {
	char *bytes; /* [len], no final NUL; freed by metrics_text_fini() */
	size_t len;
	size_t cap;
	const char *family; /* of the samples that follow; borrowed */
	bool failed;
};

void metrics_text_init(struct metrics_text *text);
void metrics_text_fini(struct metrics_text *text);

/**
 * Start a family: its HELP and TYPE lines. Once for each name of a whole text, with all its samples behind
 * it: the format wants them together.
 *
 * name  [a-z_]+, borrowed until the last of its samples
 * help  one sentence; any bytes
 */
void metrics_text_family(struct metrics_text *text, const char *name, enum metrics_kind kind,
                         const char *help);

/**
 * One sample of the family. Behind value pairs of a label's name and its value, then NULL. In values a
 * backslash, a quote and a newline are escaped; what is no printable ASCII becomes "?": a scrape with bad
 * UTF-8 in it is refused whole.
 */
void metrics_text_sample(struct metrics_text *text, uint64_t value, ...) __attribute__((sentinel));

/** The same of a number with a fraction or a sign, with six significant digits; times are in seconds. */
void metrics_text_sample_real(struct metrics_text *text, double value, ...) __attribute__((sentinel));

/** Text that is already in the format, families whole. */
void metrics_text_append(struct metrics_text *text, const char *bytes, size_t len);

/** The text, which is then the caller's to free; NULL when out of memory. The writer is empty afterwards. */
char *metrics_text_take(struct metrics_text *text, size_t *ret_len);

#endif
