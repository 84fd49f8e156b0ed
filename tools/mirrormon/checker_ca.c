#include <errno.h>
#include <limits.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>

#include "base/file.h"
#include "mirrormon/checker.h"

#define CA_FILE_MAX (16U << 20)

/* How many certificates there are before the end or the first that is damaged. */
static size_t count_certificates(BIO *bio, bool *ret_is_damaged)
{
	size_t n = 0;
	X509 *certificate;
	ERR_clear_error();
	while ((certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
		X509_free(certificate);
		n++;
	}
	*ret_is_damaged = ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE;
	ERR_clear_error();
	return n;
}

int checker_check_ca_file(const char *path, struct diag *diag)
{
	char *text;
	size_t text_len;
	const char *why;
	int rc = file_read(path, CA_FILE_MAX, &text, &text_len, &why);
	if (rc < 0) {
		diag_error(diag, path, 0, "cannot read the certificates of ca-file: %s", why);
		return rc == -ENOMEM ? rc : -EINVAL;
	}
	BIO *bio = BIO_new_mem_buf(text, (int)text_len);
	if (!bio) {
		free(text);
		return -ENOMEM;
	}
	bool is_damaged;
	size_t n = count_certificates(bio, &is_damaged);
	BIO_free(bio);
	free(text);
	if (is_damaged)
		diag_error(diag, path, 0,
		           "certificate %zu of ca-file is damaged; take it anew from its authority", n + 1);
	else if (n == 0)
		diag_error(diag, path, 0,
		           "ca-file has no certificate in PEM: it begins with -----BEGIN CERTIFICATE-----");
	return is_damaged || n == 0 ? -EINVAL : 0;
}
