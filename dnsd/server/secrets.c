#include "server/secrets.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Two fields, each a byte of length before it; 0 = not there. */
#define SECRETS_LEN_MAX (1 + COOKIE_SECRET_LEN + 1 + TLS_KEYS_LEN)

int secrets_pack(const struct load *load)
{
	uint8_t bytes[SECRETS_LEN_MAX];
	size_t len = 0;
	bytes[len++] = load->cookies_are_random ? COOKIE_SECRET_LEN : 0;
	memcpy(bytes + len, load->cookies.secrets[0], bytes[0]);
	len += bytes[0];
	bytes[len++] = load->tls ? TLS_KEYS_LEN : 0;
	if (load->tls) {
		tls_context_export_keys(load->tls, bytes + len);
		len += TLS_KEYS_LEN;
	}
	int fd = memfd_create("secrets", MFD_CLOEXEC);
	if (fd < 0)
		fd = -errno;
	if (fd >= 0 && write(fd, bytes, len) != (ssize_t)len) {
		close(fd);
		fd = -ENOMEM;
	}
	explicit_bzero(bytes, sizeof(bytes));
	return fd;
}

/* The next field. Returns NULL when the bytes end before it does. */
static const uint8_t *take_field(const uint8_t **at, const uint8_t *end, size_t *ret_len)
{
	if (*at == end || end - *at - 1 < **at)
		return NULL;
	const uint8_t *field = *at + 1;
	*ret_len = **at;
	*at = field + *ret_len;
	return field;
}

static int take_all(const uint8_t *bytes, size_t bytes_len, struct load *load)
{
	const uint8_t *at = bytes;
	const uint8_t *end = bytes + bytes_len;
	size_t cookie_len = 0;
	size_t keys_len = 0;
	const uint8_t *cookie = take_field(&at, end, &cookie_len);
	const uint8_t *keys = cookie ? take_field(&at, end, &keys_len) : NULL;
	if (!keys || (cookie_len && cookie_len != COOKIE_SECRET_LEN))
		return -EPROTO;
	if (cookie_len && load->cookies_are_random)
		memcpy(load->cookies.secrets[0], cookie, COOKIE_SECRET_LEN);
	return keys_len && load->tls ? tls_context_import_keys(load->tls, keys, keys_len) : 0;
}

int secrets_unpack(int fd, struct load *load)
{
	uint8_t bytes[SECRETS_LEN_MAX];
	ssize_t len = pread(fd, bytes, sizeof(bytes), 0);
	int rc = len < 0 ? -errno : take_all(bytes, (size_t)len, load);
	explicit_bzero(bytes, sizeof(bytes));
	return rc;
}
