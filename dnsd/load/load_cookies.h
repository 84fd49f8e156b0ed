/*
 * load_cookies: the secrets that server cookies are made with.
 *
 *     # newest first                      made by the first,
 *     e5e973e5a6b2a43f48e7dc849e37bfcf     accepted by all
 *     445536bcd2513298075a5d379663c962
 */
#ifndef DNSD_LOAD_LOAD_COOKIES_H
#define DNSD_LOAD_LOAD_COOKIES_H

#include <stddef.h>

#include "load/load.h"

/**
 * Read the text of a file of secrets: 32 hex digits a line, comments and empty lines between.
 *
 * path     for messages, which never quote what might be a secret
 * text     [text_len] any bytes
 * Returns  0, or -EINVAL with every mistake in diag
 */
int load_cookie_secrets(const char *path, const char *text, size_t text_len, struct diag *diag,
                        struct answer_cookies *ret_cookies);

/** Fill load->cookies: from the file of the configuration, else those that previous had at random, else new
 * ones. Returns 0 or negative errno, diag filled. */
int load__cookies(struct load *load, const struct load *previous, struct diag *diag);

#endif
