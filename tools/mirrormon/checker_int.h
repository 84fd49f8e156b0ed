/*
 * Inside checker: a job goes from the queue through its steps, one transfer at a time.
 *
 *     checker.c           queue, loop, curl's sockets and timer
 *     checker_transfer.c  one request over curl: its options, bounds, and what came of it
 *     checker_steps.c     what is asked next, and what an answer means
 *     checker_deep.c      a whole database on disk: MD5, sigtool
 *     checker_ca.c        the file of authorities for https://
 */
#ifndef TOOLS_MIRRORMON_CHECKER_INT_H
#define TOOLS_MIRRORMON_CHECKER_INT_H

#include <curl/curl.h>

#include "mirrormon/checker.h"
#include "mirrormon/checker_parse.h"

#define CHECKER_TIMESTAMP_MAX 4096
#define CHECKER_HEADERS_MAX   64
#define CHECKER_HEADERS_LEN   16384
#define CHECKER_HOST_MAX      256
#define CHECKER_URL_MAX       1024
/* Whole databases are a thousand times longer than what else is asked for. */
#define CHECKER_DEEP_TIMES 60

enum job_kind { JOB_CHECK, JOB_REFERENCE, JOB_FETCH };

enum step { STEP_TIMESTAMP, STEP_HEADER, STEP_CDIFF, STEP_OTHER_HOST, STEP_UNCHANGED, STEP_DEEP, STEP_END };

/** What came of one request. */
struct reply {
	CURLcode code;
	long verify_error; /* X509_V_... */
	int os_error;
	unsigned status; /* 0 = none came */
	char phrase[CHECKER_PHRASE_MAX];
	char location[80];
	bool has_range;
	struct content_range range;
	bool has_length;
	uint64_t length;
	char encoding[24]; /* Content-Encoding, or a Transfer-Encoding but chunked; "" = none */
	const char *fault; /* of the headers: they were not read on; static */
	size_t headers_n, headers_len;
	uint64_t body_len; /* bytes that came, up to the bound */
	bool is_cut;       /* more came than was asked for, and was not read */
	uint64_t page_len; /* of the page that came with an error, not kept */
	bool is_disk_full; /* ours: the body could not be kept */
	uint64_t connect_us, first_us, total_us;
	bool was_connected;
	unsigned family; /* 4 or 6: of the connection; 0 = there was none */
};

/** What to ask. */
struct ask {
	const char *url;        /* whole */
	const char *connect_to; /* for CURLOPT_CONNECT_TO; NULL = where the URL says */
	const char *host;       /* Host header; NULL = the URL's */
	const char *if_modified_since;
	const char *range; /* "0-511" */
	bool head;
	bool is_https_only;
	bool is_deep;
	unsigned family; /* 4 or 6: of the addresses of the URL's name only these; 0 = all */
	uint64_t body_max;
};

struct deep;

struct transfer {
	CURL *easy;
	struct curl_slist *headers;
	struct curl_slist *connect_to;
	struct reply reply;
	uint64_t body_max;
	char *body; /* [body_max], NULL: it goes to deep */
	size_t body_cap;
	struct deep *deep;   /* borrowed */
	const char *ca_file; /* borrowed; NULL = the system's */
};

struct job {
	struct job *next, *prev;
	struct checker *checker;
	enum job_kind kind;
	const struct check_request *request;
	const struct conf_reference *reference;
	unsigned family; /* JOB_REFERENCE: 4 or 6 = over that one alone */
	checker_done_fn *done;
	checker_reference_fn *reference_done;
	checker_fetched_fn *fetched;
	void *context;
	char *url; /* JOB_FETCH */
	size_t fetch_max;

	struct check_result result;
	struct transfer *transfer; /* while it runs */
	struct deep *deep;
	enum step step;
	unsigned index;                   /* of the database or the patch */
	bool head_refused;                /* no lengths by HEAD: patches are asked for by a byte of them */
	bool was_connected;               /* result.connect_us is set */
	char what[CHECKER_HOST_MAX + 96]; /* "GET /daily.cvd (Host db.de.clamav.net)" */
	char host[CHECKER_HOST_MAX];
	char base[CHECKER_HOST_MAX];
	char connect_to[ADDR_TEXT_MAX + 16];
	uint64_t number; /* of the job */
};

struct checker {
	uv_loop_t *loop;
	const struct conf_checks *conf;
	const char *ca_file; /* borrowed; NULL = the system's */
	CURLM *multi;
	uv_timer_t timer; /* curl's */
	uv_timer_t kick;  /* starts what waits, from the loop */
	struct job *running, *queue, *queue_last;
	size_t running_n, checks_n, queued_n;
	uint64_t numbers;
	size_t handles_n; /* of libuv, that are not closed yet */
	bool is_closing;
	bool is_told; /* that sigtool can't be used */
};

/** A handle of libuv has been closed; the last one frees a checker that is closing. */
void checker_handle_closed(struct checker *checker);

/** NULL when out of memory. */
struct transfer *transfer_create(uint64_t body_max);
/** Cleans up the easy handle, which is in no multi any more. NULL is fine. */
void transfer_destroy(struct transfer *transfer);
/** Set up the easy handle for a request. Returns 0 or -ENOMEM. */
int transfer_prepare(struct transfer *transfer, const struct conf_checks *conf, const struct ask *ask,
                     struct deep *deep, struct job *job);
/** It has ended: take over what curl knows. */
void transfer_finish(struct transfer *transfer, CURLcode code);
/**
 * What holds for any request: it could not be made, came with an encoding, ... Sets text and returns the
 * reason; REASON_NONE when the answer is whole and of a status below 300, or 304.
 */
enum reason transfer_judge(const struct transfer *transfer, const struct conf_checks *conf, char *ret_text,
                           size_t cap);
/** Failed for want of something of ours: says nothing about the other side. */
bool transfer_is_our_fault(const struct transfer *transfer);

/** Put the first request of a job under way. Returns 0, or negative errno: it ends now. */
int job_begin(struct job *job);
/** Its transfer has ended. Returns true when another is under way, or something else that will call
 * checker_job_end(). */
bool job_step(struct job *job);
/** Report and free it. */
void checker_job_end(struct job *job);
/** Ask: puts the job's transfer into the multi handle. Returns 0 or -ENOMEM. */
int checker_job_ask(struct job *job, const struct ask *ask);

/** A file to take a database. NULL with errno set. */
struct deep *deep_create(struct job *job);
/** Returns 0, or -1: the disk is full. */
int deep_write(struct deep *deep, const void *bytes, size_t len);
/** The file is whole: judge it. Sets reason and detail of the job's result, or starts sigtool and returns
 * true; it calls checker_job_end() then. */
bool deep_finish(struct deep *deep);
/** Stops sigtool, removes the file. NULL is fine. */
void deep_destroy(struct deep *deep);

/** Note a finding. detail is "WHAT: " and the text. */
void job_fail(struct job *job, enum reason reason, const char *fmt, ...)
        __attribute__((format(printf, 3, 4)));

#endif
