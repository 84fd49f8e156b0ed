/*
 * response: what a request over the control socket is answered with.
 *
 *     {"ok": true, "result": ...}     {"ok": false, "error": "what is wrong, what to write instead"}
 */
#ifndef DNSD_INSPECT_RESPONSE_H
#define DNSD_INSPECT_RESPONSE_H

#include <jansson.h>

/** Takes the result over; NULL (out of memory) gives NULL. */
json_t *response_done(json_t *result);
json_t *response_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
