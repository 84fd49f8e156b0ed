#include "load/load_cookies.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "base/file.h"

#define FILE_MAX   4096
#define DIGITS_N   (2 * COOKIE_SECRET_LEN)
#define HOW_TO_GET "make one with: openssl rand -hex 16"

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static bool read_secret(const char *text, uint8_t secret[COOKIE_SECRET_LEN])
{
	for (size_t i = 0; i < COOKIE_SECRET_LEN; i++) {
		int high = hex_digit(text[2 * i]);
		int low = hex_digit(text[2 * i + 1]);
		if (high < 0 || low < 0)
			return false;
		secret[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

/* One line without blanks around it. */
static void add_line(const char *path, unsigned line, const char *text, size_t len, struct diag *diag,
                     struct answer_cookies *cookies)
{
	uint8_t secret[COOKIE_SECRET_LEN];
	if (len == 0 || text[0] == '#')
		return;
	if (len != DIGITS_N) {
		diag_error(diag, path, line, "a cookie secret is %d hex digits, but %zu bytes stand here; %s",
		           DIGITS_N, len, HOW_TO_GET);
		return;
	}
	if (!read_secret(text, secret)) {
		diag_error(diag, path, line, "a cookie secret is hex digits, and something else is in it; %s",
		           HOW_TO_GET);
		return;
	}
	for (unsigned i = 0; i < cookies->secrets_n; i++) {
		if (memcmp(cookies->secrets[i], secret, sizeof(secret)) == 0) {
			diag_error(diag, path, line,
			           "this cookie secret stands further up too; leave it out");
			return;
		}
	}
	if (cookies->secrets_n == COOKIE_SECRETS_MAX) {
		diag_error(diag, path, line,
		           "more than %d cookie secrets; leave out the oldest, whose cookies have expired",
		           COOKIE_SECRETS_MAX);
		return;
	}
	memcpy(cookies->secrets[cookies->secrets_n++], secret, sizeof(secret));
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

int load_cookie_secrets(const char *path, const char *text, size_t text_len, struct diag *diag,
                        struct answer_cookies *ret_cookies)
{
	struct answer_cookies cookies = { .secrets_n = 0 };
	const char *end = text + text_len;
	size_t errors_n = diag->errors_n;
	unsigned line = 1;
	for (const char *at = text; at < end; line++) {
		const char *line_end = memchr(at, '\n', (size_t)(end - at));
		if (!line_end)
			line_end = end;
		const char *last = line_end;
		while (at < last && is_blank(*at))
			at++;
		while (at < last && is_blank(last[-1]))
			last--;
		add_line(path, line, at, (size_t)(last - at), diag, &cookies);
		at = line_end + 1;
	}
	if (cookies.secrets_n == 0 && diag->errors_n == errors_n)
		diag_error(diag, path, 0, "there is no cookie secret; %s", HOW_TO_GET);
	if (diag->errors_n != errors_n)
		return -EINVAL;
	*ret_cookies = cookies;
	return 0;
}

static int read_file(const char *path, struct diag *diag, struct answer_cookies *ret_cookies)
{
	char *text;
	size_t len;
	const char *why;
	struct stat file;
	int rc = file_read(path, FILE_MAX, &text, &len, &why);
	if (rc < 0) {
		diag_error(diag, path, 0, "cannot read the cookie secrets: %s", why);
		return rc == -ENOMEM ? rc : -EINVAL;
	}
	if (stat(path, &file) == 0 && (file.st_mode & S_IROTH))
		diag_warning(diag, path, 0,
		             "every user of this machine can read the cookie secrets; chmod o-r");
	rc = load_cookie_secrets(path, text, len, diag, ret_cookies);
	explicit_bzero(text, len);
	free(text);
	return rc;
}

int load__cookies(struct load *load, const struct load *previous, struct diag *diag)
{
	const struct conf *conf = load->conf;
	struct answer_cookies *cookies = &load->cookies;
	int rc = 0;
	if (conf->cookie_secret_file) {
		rc = read_file(conf->cookie_secret_file, diag, cookies);
	} else {
		load->cookies_are_random = true;
		cookies->secrets_n = 1;
		if (previous && previous->cookies_are_random)
			memcpy(cookies->secrets[0], previous->cookies.secrets[0], COOKIE_SECRET_LEN);
		else if (getrandom(cookies->secrets[0], COOKIE_SECRET_LEN, 0) != COOKIE_SECRET_LEN)
			rc = -EIO;
	}
	cookies->required = strcmp(conf->cookies, "require") == 0;
	return rc;
}
