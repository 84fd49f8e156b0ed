#include <errno.h>
#include <inttypes.h>
#include <openssl/x509_vfy.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "mirrormon/checker_int.h"

#define DEEP_BYTES_A_SECOND_MIN 4096

struct transfer *transfer_create(uint64_t body_max)
{
	struct transfer *transfer = calloc(1, sizeof(*transfer));
	if (!transfer)
		return NULL;
	transfer->easy = curl_easy_init();
	transfer->body_cap = (size_t)body_max;
	transfer->body = malloc(transfer->body_cap + 1);
	if (!transfer->easy || !transfer->body) {
		transfer_destroy(transfer);
		return NULL;
	}
	return transfer;
}

void transfer_destroy(struct transfer *transfer)
{
	if (!transfer)
		return;
	curl_easy_cleanup(transfer->easy);
	curl_slist_free_all(transfer->headers);
	curl_slist_free_all(transfer->connect_to);
	free(transfer->body);
	free(transfer);
}

static void note_status(struct reply *reply, const char *line, size_t len)
{
	reply->has_range = reply->has_length = false;
	reply->encoding[0] = reply->location[0] = '\0';
	if (checker_parse_status(line, len, &reply->status, reply->phrase) < 0)
		reply->fault = "a status line that is none";
}

static void note_header(struct reply *reply, const char *line, size_t len)
{
	const char *value;
	size_t value_len;
	if (checker_header_value(line, len, "Content-Range", &value, &value_len)) {
		reply->has_range = checker_parse_content_range(value, value_len, &reply->range) == 0;
	} else if (checker_header_value(line, len, "Content-Length", &value, &value_len)) {
		reply->has_length = checker_parse_number(value, value_len, INT64_MAX, &reply->length) == 0;
	} else if (checker_header_value(line, len, "Location", &value, &value_len)) {
		checker_copy_printable(value, value_len, reply->location, sizeof(reply->location));
	} else if ((checker_header_value(line, len, "Content-Encoding", &value, &value_len) ||
	            (checker_header_value(line, len, "Transfer-Encoding", &value, &value_len) &&
	             (value_len != 7 || strncasecmp(value, "chunked", 7) != 0))) &&
	           (value_len != 8 || strncasecmp(value, "identity", 8) != 0)) {
		checker_copy_printable(value, value_len, reply->encoding, sizeof(reply->encoding));
		reply->fault = "an encoding";
	}
}

static size_t on_header(char *line, size_t size, size_t n, void *context)
{
	struct transfer *transfer = context;
	struct reply *reply = &transfer->reply;
	size_t len = size * n;
	reply->headers_n++;
	reply->headers_len += len;
	if (reply->headers_n > CHECKER_HEADERS_MAX || reply->headers_len > CHECKER_HEADERS_LEN)
		reply->fault = "more headers than a mirror needs";
	else if (len > 5 && strncasecmp(line, "HTTP/", 5) == 0)
		note_status(reply, line, len);
	else
		note_header(reply, line, len);
	return reply->fault ? 0 : len;
}

static size_t on_body(char *bytes, size_t size, size_t n, void *context)
{
	struct transfer *transfer = context;
	struct reply *reply = &transfer->reply;
	size_t len = size * n;
	size_t taken = len;
	/* The page of an error: read for the connection's sake, not kept. */
	if (reply->status >= 300 && reply->status != 304) {
		reply->page_len += len;
		reply->is_cut = reply->page_len > CHECKER_TIMESTAMP_MAX;
		return reply->is_cut ? 0 : len;
	}
	if (taken > transfer->body_max - reply->body_len) {
		taken = (size_t)(transfer->body_max - reply->body_len);
		reply->is_cut = true;
	}
	if (transfer->deep && deep_write(transfer->deep, bytes, taken) < 0) {
		reply->is_disk_full = true;
		return 0;
	}
	if (!transfer->deep)
		memcpy(transfer->body + reply->body_len, bytes, taken);
	reply->body_len += taken;
	return reply->is_cut ? 0 : len;
}

static int set_headers(struct transfer *transfer, const struct ask *ask)
{
	char line[CHECKER_HOST_MAX + 32];
	struct curl_slist *headers = NULL;
	const char *const values[] = { ask->host, ask->if_modified_since };
	const char *const names[] = { "Host", "If-Modified-Since" };
	for (size_t i = 0; i < 2; i++) {
		if (!values[i])
			continue;
		snprintf(line, sizeof(line), "%s: %s", names[i], values[i]);
		struct curl_slist *more = curl_slist_append(headers, line);
		if (!more) {
			curl_slist_free_all(headers);
			return -ENOMEM;
		}
		headers = more;
	}
	curl_slist_free_all(transfer->headers);
	transfer->headers = headers;
	curl_slist_free_all(transfer->connect_to);
	transfer->connect_to = ask->connect_to ? curl_slist_append(NULL, ask->connect_to) : NULL;
	return ask->connect_to && !transfer->connect_to ? -ENOMEM : 0;
}

int transfer_prepare(struct transfer *transfer, const struct conf_checks *conf, const struct ask *ask,
                     struct deep *deep, struct job *job)
{
	CURL *easy = transfer->easy;
	uint64_t times = ask->is_deep ? CHECKER_DEEP_TIMES : 1;
	uint64_t timeout_ms = conf->timeout_ms * times;
	curl_easy_reset(easy);
	memset(&transfer->reply, 0, sizeof(transfer->reply));
	transfer->deep = deep;
	transfer->body_max = ask->body_max;
	if (!deep && transfer->body_max > transfer->body_cap)
		transfer->body_max = transfer->body_cap;
	if (set_headers(transfer, ask) < 0)
		return -ENOMEM;

	CURLcode rc = CURLE_OK;
#define SET(option, value) (rc = rc ? rc : curl_easy_setopt(easy, CURLOPT_##option, value))
	SET(URL, ask->url);
	SET(PRIVATE, (char *)job);
	SET(HTTPHEADER, transfer->headers);
	SET(CONNECT_TO, transfer->connect_to);
	SET(PROTOCOLS_STR, ask->is_https_only                    ? "https"
	                   : strncmp(ask->url, "https:", 6) == 0 ? "https"
	                                                         : "http");
	SET(FOLLOWLOCATION, 0L);
	SET(HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(HTTP09_ALLOWED, 0L);
	SET(HTTP_CONTENT_DECODING, 0L);
	SET(USERAGENT, CHECKER_USER_AGENT);
	/* One request is all that is asked there, and what is left of a TLS connection costs the next one. */
	SET(FORBID_REUSE, ask->is_https_only ? 1L : 0L);
	SET(SSL_VERIFYPEER, 1L);
	SET(SSL_VERIFYHOST, 2L);
	/* A session that is resumed has no certificate in it, so none is looked at: it may have expired. */
	SET(SSL_SESSIONID_CACHE, 0L);
	if (transfer->ca_file) {
		SET(CAINFO, transfer->ca_file);
		/* Else the system's folder counts too. */
		SET(CAPATH, NULL);
	}
	SET(NOSIGNAL, 1L);
	SET(NOPROXY, "*");
	SET(PROXY, "");
	SET(NETRC, (long)CURL_NETRC_IGNORED);
	/* A look-up that hangs in its thread is left to itself; else curl would wait for it. */
	SET(QUICK_EXIT, 1L);
	SET(IPRESOLVE, ask->family == 4   ? (long)CURL_IPRESOLVE_V4
	               : ask->family == 6 ? (long)CURL_IPRESOLVE_V6
	                                  : (long)CURL_IPRESOLVE_WHATEVER);
	SET(CONNECTTIMEOUT_MS, (long)conf->connect_timeout_ms);
	SET(TIMEOUT_MS, (long)(timeout_ms < INT32_MAX ? timeout_ms : INT32_MAX));
	if (ask->is_deep) {
		SET(LOW_SPEED_LIMIT, (long)DEEP_BYTES_A_SECOND_MIN);
		SET(LOW_SPEED_TIME, (long)(conf->timeout_ms / 1000 + 1));
	} else {
		SET(BUFFERSIZE, 4096L);
	}
	SET(NOBODY, ask->head ? 1L : 0L);
	SET(RANGE, ask->range);
	SET(HEADERFUNCTION, on_header);
	SET(HEADERDATA, transfer);
	SET(WRITEFUNCTION, on_body);
	SET(WRITEDATA, transfer);
#undef SET
	return rc == CURLE_OK ? 0 : -ENOMEM;
}

static uint64_t get_time(CURL *easy, CURLINFO info)
{
	curl_off_t us = 0;
	return curl_easy_getinfo(easy, info, &us) == CURLE_OK && us > 0 ? (uint64_t)us : 0;
}

void transfer_finish(struct transfer *transfer, CURLcode code)
{
	struct reply *reply = &transfer->reply;
	long os_error = 0;
	long request_len = 0;
	char *address = NULL;
	curl_easy_getinfo(transfer->easy, CURLINFO_OS_ERRNO, &os_error);
	curl_easy_getinfo(transfer->easy, CURLINFO_REQUEST_SIZE, &request_len);
	curl_easy_getinfo(transfer->easy, CURLINFO_SSL_VERIFYRESULT, &reply->verify_error);
	reply->code = code;
	reply->os_error = (int)os_error;
	reply->connect_us = get_time(transfer->easy, CURLINFO_CONNECT_TIME_T);
	reply->first_us = get_time(transfer->easy, CURLINFO_STARTTRANSFER_TIME_T);
	reply->total_us = get_time(transfer->easy, CURLINFO_TOTAL_TIME_T);
	reply->was_connected = request_len > 0;
	if (reply->was_connected &&
	    curl_easy_getinfo(transfer->easy, CURLINFO_PRIMARY_IP, &address) == CURLE_OK && address &&
	    *address)
		reply->family = strchr(address, ':') ? 6 : 4;
	if (!transfer->deep)
		transfer->body[reply->body_len] = '\0';
}

bool transfer_is_our_fault(const struct transfer *transfer)
{
	const struct reply *reply = &transfer->reply;
	switch (reply->code) {
	case CURLE_OUT_OF_MEMORY: return !reply->was_connected;
	case CURLE_FAILED_INIT:
	case CURLE_ABORTED_BY_CALLBACK: return true;
	case CURLE_COULDNT_CONNECT:
		/* Not ENETUNREACH: a router anywhere may have said so, of a network that is gone. */
		return reply->os_error == EMFILE || reply->os_error == ENFILE || reply->os_error == ENOMEM ||
		       reply->os_error == ENOBUFS || reply->os_error == EADDRNOTAVAIL;
	default: return false;
	}
}

/*
 * Not by curl's own text (CURLOPT_ERRORBUFFER): that is of the first thing to fail, which may be the good-bye
 * to a connection of before.
 */
static const char *tls_error(const struct reply *reply)
{
	if (reply->code == CURLE_SSL_CACERT_BADFILE)
		return "the certificates of ca-file, or of the system, cannot be read";
	/* UNSPECIFIED is where curl begins, and what it leaves when the name did not fit. */
	if (reply->verify_error != X509_V_OK && reply->verify_error != X509_V_ERR_UNSPECIFIED)
		return X509_verify_cert_error_string(reply->verify_error);
	if (reply->code == CURLE_PEER_FAILED_VERIFICATION)
		return "its certificate is not for this host name";
	return curl_easy_strerror(reply->code);
}

/* What went wrong between two hosts. */
static enum reason judge_code(const struct reply *reply, const struct conf_checks *conf, char *ret_text,
                              size_t cap)
{
	switch (reply->code) {
	case CURLE_COULDNT_CONNECT:
		snprintf(ret_text, cap, "cannot connect: %s",
		         reply->os_error ? strerror(reply->os_error) : "refused");
		return REASON_UNREACHABLE;
	case CURLE_OPERATION_TIMEDOUT:
		if (!reply->was_connected)
			snprintf(ret_text, cap, "no connection within %" PRIu32 " ms",
			         conf->connect_timeout_ms < conf->timeout_ms ? conf->connect_timeout_ms
			                                                     : conf->timeout_ms);
		else
			snprintf(ret_text, cap,
			         "not finished after %" PRIu64 " ms: status %u, %" PRIu64 " bytes of body",
			         reply->total_us / 1000, reply->status, reply->body_len);
		return REASON_UNREACHABLE;
	case CURLE_COULDNT_RESOLVE_HOST:
		snprintf(ret_text, cap, "its name has no address");
		return REASON_UNREACHABLE;
	case CURLE_GOT_NOTHING:
		snprintf(ret_text, cap, "the connection was closed without an answer");
		return REASON_UNREACHABLE;
	case CURLE_PARTIAL_FILE:
		snprintf(ret_text, cap, "the connection was closed after %" PRIu64 " of %" PRIu64 " bytes",
		         reply->body_len, reply->length);
		return REASON_UNREACHABLE;
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
		snprintf(ret_text, cap, "the connection broke: %s",
		         reply->os_error ? strerror(reply->os_error) : curl_easy_strerror(reply->code));
		return REASON_UNREACHABLE;
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_SSL_CACERT_BADFILE:
		snprintf(ret_text, cap, "TLS: %s", tls_error(reply));
		return REASON_UNREACHABLE;
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_WEIRD_SERVER_REPLY:
		snprintf(ret_text, cap, "the answer is not HTTP/1.1");
		return REASON_HTTP_ERROR;
	case CURLE_OUT_OF_MEMORY:
		snprintf(ret_text, cap, "a header that does not end");
		return REASON_HTTP_ERROR;
	default: snprintf(ret_text, cap, "%s", curl_easy_strerror(reply->code)); return REASON_HTTP_ERROR;
	}
}

enum reason transfer_judge(const struct transfer *transfer, const struct conf_checks *conf, char *ret_text,
                           size_t cap)
{
	const struct reply *reply = &transfer->reply;
	if (reply->fault) {
		snprintf(ret_text, cap, "%s%s%s", reply->fault,
		         reply->encoding[0] ? " that nobody asked for: " : "", reply->encoding);
		return REASON_HTTP_ERROR;
	}
	if (reply->code != CURLE_OK && !(reply->code == CURLE_WRITE_ERROR && reply->is_cut))
		return judge_code(reply, conf, ret_text, cap);
	if (reply->status < 300 || reply->status == 304)
		return REASON_NONE;
	snprintf(ret_text, cap, "%u %s%s%s", reply->status, reply->phrase, reply->location[0] ? ", to " : "",
	         reply->location);
	return reply->status == 403 || reply->status == 429 ? REASON_REFUSED : REASON_HTTP_ERROR;
}
