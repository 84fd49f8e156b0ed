#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/file.h"
#include "tls/tls_int.h"

#define PEM_BYTES_MAX (1024 * 1024)
/* Told before it has ended. */
#define EXPIRES_SOON_S (7 * 86400)

static const unsigned char alpn_dot[] = { 3, 'd', 'o', 't' };

/* What went wrong last inside OpenSSL. */
static const char *reason(void)
{
	unsigned long code = ERR_peek_last_error();
	const char *text = code ? ERR_reason_error_string(code) : NULL;
	return text ? text : "unknown reason";
}

/* RFC 7301 section 3.2: no common protocol is the end, so that nobody's HTTP request is taken for DNS. */
static int on_alpn(SSL *ssl, const unsigned char **ret_out, unsigned char *ret_out_len,
                   const unsigned char *in, unsigned in_len, void *context)
{
	(void)ssl;
	(void)context;
	for (unsigned at = 0; at < in_len; at += 1U + in[at]) {
		if (in_len - at >= sizeof(alpn_dot) && memcmp(in + at, alpn_dot, sizeof(alpn_dot)) == 0) {
			*ret_out = in + at + 1;
			*ret_out_len = 3;
			return SSL_TLSEXT_ERR_OK;
		}
	}
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static SSL_CTX *make_ssl_ctx(void)
{
	static const unsigned char id[] = "dnsd";
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	if (!ctx)
		return NULL;
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
	                                 SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
	/* An idle session gives its buffers back. */
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_alpn_select_cb(ctx, on_alpn, NULL);
	tls_session_watch(ctx);
	bool fine = SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1 &&
	            SSL_CTX_set_cipher_list(ctx, "ECDHE+AESGCM:ECDHE+CHACHA20") == 1 &&
	            SSL_CTX_set1_groups_list(ctx, "X25519:P-256:P-384") == 1 &&
	            SSL_CTX_set_session_id_context(ctx, id, sizeof(id) - 1) == 1 &&
	            SSL_CTX_set_num_tickets(ctx, 1) == 1;
	if (!fine) {
		SSL_CTX_free(ctx);
		return NULL;
	}
	return ctx;
}

/* A key with a passphrase can't be used: nobody is there to be asked for it. */
static int on_passphrase(char *text, int cap, int writing, void *context)
{
	(void)text;
	(void)cap;
	(void)writing;
	*(bool *)context = true;
	return -1;
}

static BIO *open_pem(const char *path, const char *what, struct diag *diag, char **ret_text, size_t *ret_len)
{
	const char *why;
	int rc = file_read(path, PEM_BYTES_MAX, ret_text, ret_len, &why);
	if (rc < 0) {
		diag_error(diag, path, 0, "cannot read the %s of TLS: %s", what, why);
		return NULL;
	}
	return BIO_new_mem_buf(*ret_text, (int)*ret_len);
}

static uint64_t seconds_of(const ASN1_TIME *at)
{
	struct tm tm;
	return ASN1_TIME_to_tm(at, &tm) == 1 ? (uint64_t)timegm(&tm) : 0;
}

static void check_dates(const char *path, const X509 *certificate, struct diag *diag, uint64_t *ret_expires_s)
{
	time_t soon_s = time(NULL) + EXPIRES_SOON_S;
	const ASN1_TIME *end = X509_get0_notAfter(certificate);
	*ret_expires_s = seconds_of(end);
	if (X509_cmp_current_time(end) < 0)
		diag_warning(
		        diag, path, 0,
		        "the certificate has expired: clients that check it turn away; renew it and reload");
	else if (X509_cmp_time(end, &soon_s) < 0)
		diag_warning(diag, path, 0, "the certificate expires within a week; renew it and reload");
	else if (X509_cmp_current_time(X509_get0_notBefore(certificate)) > 0)
		diag_warning(diag, path, 0, "the certificate is not valid yet: is the clock right?");
}

static int use_certificate(SSL_CTX *ctx, const char *path, struct diag *diag, uint64_t *ret_expires_s)
{
	char *text;
	size_t len;
	BIO *bio = open_pem(path, "certificate", diag, &text, &len);
	if (!bio)
		return -EINVAL;
	int rc = 0;
	X509 *certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL);
	if (!certificate) {
		diag_error(diag, path, 0,
		           "there is no certificate in it; write the server's in PEM (\"-----BEGIN "
		           "CERTIFICATE-----\"), then those that lead from it to the root's");
		rc = -EINVAL;
	} else if (SSL_CTX_use_certificate(ctx, certificate) != 1) {
		diag_error(diag, path, 0, "this certificate cannot be used: %s", reason());
		rc = -EINVAL;
	} else {
		check_dates(path, certificate, diag, ret_expires_s);
	}
	X509 *issuer = NULL;
	while (rc == 0 && (issuer = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
		if (SSL_CTX_add0_chain_cert(ctx, issuer) != 1) {
			diag_error(diag, path, 0, "a certificate behind the first cannot be used: %s",
			           reason());
			X509_free(issuer);
			rc = -EINVAL;
		}
	}
	/* No more of them is how a file should end; one that is damaged is not. */
	if (rc == 0 && ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE) {
		diag_error(diag, path, 0, "a certificate behind the first is damaged: %s", reason());
		rc = -EINVAL;
	}
	X509_free(certificate);
	BIO_free(bio);
	free(text);
	return rc;
}

static void check_rights(const char *path, struct diag *diag)
{
	struct stat st;
	if (stat(path, &st) == 0 && st.st_mode & S_IROTH)
		diag_warning(diag, path, 0, "everybody on this machine can read this key; chmod o-r it");
}

static int use_key(SSL_CTX *ctx, const char *path, const char *certificate, bool has_certificate,
                   struct diag *diag)
{
	char *text;
	size_t len;
	BIO *bio = open_pem(path, "key", diag, &text, &len);
	if (!bio)
		return -EINVAL;
	bool is_locked = false;
	int rc = -EINVAL;
	EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, on_passphrase, &is_locked);
	if (is_locked)
		diag_error(diag, path, 0,
		           "this key has a passphrase, which nobody can be asked for; write it without one: "
		           "openssl pkey -in OLD -out NEW");
	else if (!key)
		diag_error(
		        diag, path, 0,
		        "there is no private key in it; write the certificate's in PEM (\"-----BEGIN PRIVATE "
		        "KEY-----\")");
	else if (has_certificate && (X509_check_private_key(SSL_CTX_get0_certificate(ctx), key) != 1 ||
	                             SSL_CTX_use_PrivateKey(ctx, key) != 1))
		diag_error(diag, path, 0,
		           "this key cannot be used with %s: %s; give the key that this certificate was made "
		           "for",
		           certificate, reason());
	else
		rc = 0;
	if (rc == 0)
		check_rights(path, diag);
	EVP_PKEY_free(key);
	BIO_free(bio);
	OPENSSL_cleanse(text, len);
	free(text);
	return rc;
}

int tls_context_create(const char *certificate, const char *key, const struct tls_context *previous,
                       struct diag *diag, struct tls_context **ret_context)
{
	struct tls_context *context = calloc(1, sizeof(*context));
	if (!context)
		return -ENOMEM;
	atomic_init(&context->refs, 1);
	ERR_clear_error();
	context->ssl_ctx = make_ssl_ctx();
	context->tickets = previous ? tls_tickets_ref(previous->tickets) : tls_tickets_create();
	int rc = context->ssl_ctx && context->tickets ? tls_tickets_use(context->tickets, context->ssl_ctx)
	                                              : -ENOMEM;
	if (rc == 0) {
		rc = use_certificate(context->ssl_ctx, certificate, diag, &context->expires_s);
		int key_rc = use_key(context->ssl_ctx, key, certificate, rc == 0, diag);
		if (rc == 0)
			rc = key_rc;
	}
	ERR_clear_error();
	if (rc < 0)
		tls_context_unref(context);
	else
		*ret_context = context;
	return rc;
}

struct tls_context *tls_context_ref(struct tls_context *context)
{
	if (context)
		atomic_fetch_add(&context->refs, 1);
	return context;
}

void tls_context_unref(struct tls_context *context)
{
	if (!context || atomic_fetch_sub(&context->refs, 1) > 1)
		return;
	SSL_CTX_free(context->ssl_ctx);
	tls_tickets_unref(context->tickets);
	free(context);
}

uint64_t tls_context_expires_s(const struct tls_context *context)
{
	return context->expires_s;
}

void tls_context_export_keys(const struct tls_context *context, uint8_t ret_bytes[TLS_KEYS_LEN])
{
	tls_tickets_write(context->tickets, ret_bytes);
}

int tls_context_import_keys(struct tls_context *context, const uint8_t *bytes, size_t len)
{
	return tls_tickets_read(context->tickets, bytes, len);
}

void tls_context_turn_keys(struct tls_context *context, uint64_t now_s)
{
	tls_tickets_turn(context->tickets, now_s);
}
