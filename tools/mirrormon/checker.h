/*
 * checker: asks mirrors what clients would ask, over libcurl's multi interface on a libuv loop.
 *
 *     checker_start(address) ──> timestamp ──> NAME.cvd, first 512 bytes, each ──> NAME-N.cdiff, each
 *                  ──> If-Modified-Since ──> [deep: a whole database, sigtool] ──> done(result)
 *
 * Each request goes to the address that is checked (CURLOPT_CONNECT_TO), with a Host header as clients send
 * it and the User-Agent ClamAV-MirrorCheck. Nothing a mirror does costs more than conf_checks allows:
 * connections, bytes of headers and body, time. A redirect, an encoding, a body where none was asked for is a
 * finding. The requests of one check share a connection.
 *
 * Sources: ClamAV's freshclam (what is asked, and how); RFC 9110 14 (Range), 13.1.3 (If-Modified-Since).
 */
#ifndef TOOLS_MIRRORMON_CHECKER_H
#define TOOLS_MIRRORMON_CHECKER_H

#include <uv.h>

#include "mirrormon/model.h"

#define CHECKER_USER_AGENT "ClamAV-MirrorCheck"

struct checker;

/** One check to make. Borrowed until done() is called. */
struct check_request {
	const char *host; /* the mirror's, for messages */
	struct addr addr;
	uint16_t country; /* for %c of the Host header */
	unsigned turn;    /* which of conf_checks.hosts; modulo their number */
	bool brief;       /* headers of databases only */
	bool deep;        /* also fetch and verify this database: */
	unsigned deep_database;
	uint64_t now_s; /* 0 = the clock; for tests */
};

typedef void checker_done_fn(void *context, const struct check_request *request,
                             const struct check_result *result);

/** Is it a file of certificates in PEM, for checker_create()? Returns 0, -EINVAL with diag, -ENOMEM. */
int checker_check_ca_file(const char *path, struct diag *diag);

/**
 * conf and ca_file are borrowed. ca_file: who must have signed certificates of https://; NULL = the system's.
 * Returns 0 or negative errno.
 */
int checker_create(uv_loop_t *loop, const struct conf_checks *conf, const char *ca_file,
                   struct checker **ret_checker);

/**
 * done is called from the loop, once, later; never from within. A result with at_s 0: there was no check, for
 * want of memory or file descriptors of ours, which says nothing about the mirror; detail may say why. deep
 * is set only when all of it could be verified; a sigtool that is missing or fails is told in the log, once.
 * Returns 0 or -ENOMEM.
 */
int checker_start(struct checker *checker, const struct check_request *request, checker_done_fn *done,
                  void *context);

/** How many are under way. */
size_t checker_busy_n(const struct checker *checker);

/**
 * Check a reference: its timestamp and the headers of the databases, at its own name or address. Like a
 * mirror's result. family 4 or 6: over that one alone, where it goes by its name; 0 = whichever is there.
 */
typedef void checker_reference_fn(void *context, const struct conf_reference *reference,
                                  const struct check_result *result);
int checker_start_reference(struct checker *checker, const struct conf_reference *reference, unsigned family,
                            checker_reference_fn *done, void *context);

/** Fetch a text of at most max_bytes from an https:// URL: votes of others. status 0 or negative errno. */
typedef void checker_fetched_fn(void *context, const char *url, int status, const char *text, size_t text_len,
                                const char *why);
int checker_fetch(struct checker *checker, const char *url, size_t max_bytes, checker_fetched_fn *done,
                  void *context);

/** End all: done() is not called for what is under way. The loop has to run on for it to be freed. NULL is
 * fine. */
void checker_close(struct checker *checker);

#endif
