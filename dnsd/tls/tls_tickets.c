#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tls/tls_int.h"

/*
 * Tickets as RFC 5077 section 4 recommends them: name of the key, IV, the session encrypted by AES-CBC, and a
 * MAC over it. OpenSSL puts them together, the keys are ours.
 */
struct ticket_key {
	bool made;
	uint8_t name[16];
	uint8_t cipher[32];
	uint8_t mac[32];
};

struct tls_tickets {
	atomic_uint refs;
	pthread_mutex_t lock; /* a handshake holds it while it copies a key */
	uint64_t turned_s;
	struct ticket_key current, before;
};

static uint64_t now_s(void)
{
	struct timespec now;
	clock_gettime(CLOCK_BOOTTIME, &now);
	return (uint64_t)now.tv_sec;
}

static void forget(struct ticket_key *key)
{
	OPENSSL_cleanse(key, sizeof(*key));
}

static void make(struct ticket_key *key)
{
	key->made = RAND_bytes(key->name, sizeof(key->name)) == 1 &&
	            RAND_priv_bytes(key->cipher, sizeof(key->cipher)) == 1 &&
	            RAND_priv_bytes(key->mac, sizeof(key->mac)) == 1;
}

static void turn_locked(struct tls_tickets *tickets, uint64_t at_s)
{
	int64_t age_s = (int64_t)(at_s - tickets->turned_s);
	if (tickets->current.made && age_s < TLS_TICKET_KEY_S)
		return;
	/* After a quiet time, all tickets that the current key has made are out of date too. */
	forget(&tickets->before);
	if (age_s < 2 * TLS_TICKET_KEY_S)
		tickets->before = tickets->current;
	forget(&tickets->current);
	make(&tickets->current);
	tickets->turned_s = at_s;
}

struct tls_tickets *tls_tickets_create(void)
{
	struct tls_tickets *tickets = calloc(1, sizeof(*tickets));
	if (!tickets)
		return NULL;
	atomic_init(&tickets->refs, 1);
	pthread_mutex_init(&tickets->lock, NULL);
	return tickets;
}

struct tls_tickets *tls_tickets_ref(struct tls_tickets *tickets)
{
	atomic_fetch_add(&tickets->refs, 1);
	return tickets;
}

void tls_tickets_unref(struct tls_tickets *tickets)
{
	if (!tickets || atomic_fetch_sub(&tickets->refs, 1) > 1)
		return;
	forget(&tickets->current);
	forget(&tickets->before);
	pthread_mutex_destroy(&tickets->lock);
	free(tickets);
}

void tls_tickets_turn(struct tls_tickets *tickets, uint64_t at_s)
{
	pthread_mutex_lock(&tickets->lock);
	turn_locked(tickets, at_s);
	pthread_mutex_unlock(&tickets->lock);
}

/* --- to and from another process: when the current one was made, and both --- */

#define TURNED_LEN 8
#define KEY_LEN    (1 + 16 + 32 + 32)
_Static_assert(TURNED_LEN + 2 * KEY_LEN == TLS_KEYS_LEN, "two keys and a time");

static uint8_t *write_key(uint8_t *at, const struct ticket_key *key)
{
	*at++ = key->made;
	memcpy(at, key->name, sizeof(key->name));
	at += sizeof(key->name);
	memcpy(at, key->cipher, sizeof(key->cipher));
	at += sizeof(key->cipher);
	memcpy(at, key->mac, sizeof(key->mac));
	return at + sizeof(key->mac);
}

static const uint8_t *read_key(const uint8_t *at, struct ticket_key *ret_key)
{
	ret_key->made = *at++ == 1;
	memcpy(ret_key->name, at, sizeof(ret_key->name));
	at += sizeof(ret_key->name);
	memcpy(ret_key->cipher, at, sizeof(ret_key->cipher));
	at += sizeof(ret_key->cipher);
	memcpy(ret_key->mac, at, sizeof(ret_key->mac));
	return at + sizeof(ret_key->mac);
}

void tls_tickets_write(struct tls_tickets *tickets, uint8_t ret_bytes[TLS_KEYS_LEN])
{
	pthread_mutex_lock(&tickets->lock);
	for (int i = 0; i < TURNED_LEN; i++)
		ret_bytes[i] = (uint8_t)(tickets->turned_s >> 8 * (TURNED_LEN - 1 - i));
	write_key(write_key(ret_bytes + TURNED_LEN, &tickets->current), &tickets->before);
	pthread_mutex_unlock(&tickets->lock);
}

int tls_tickets_read(struct tls_tickets *tickets, const uint8_t *bytes, size_t len)
{
	uint64_t turned_s = 0;
	if (len != TLS_KEYS_LEN)
		return -EINVAL;
	for (int i = 0; i < TURNED_LEN; i++)
		turned_s = turned_s << 8 | bytes[i];
	/* A time to come would keep the key in use for too long. */
	if (turned_s > now_s())
		return -EINVAL;
	pthread_mutex_lock(&tickets->lock);
	tickets->turned_s = turned_s;
	read_key(read_key(bytes + TURNED_LEN, &tickets->current), &tickets->before);
	pthread_mutex_unlock(&tickets->lock);
	return 0;
}

/* --- for OpenSSL --- */

/* The key for a new ticket, or the one of this name. Returns whether there is one. */
static bool copy_key(struct tls_tickets *tickets, const uint8_t *name, struct ticket_key *ret_key,
                     bool *ret_is_current)
{
	const struct ticket_key *found = NULL;
	pthread_mutex_lock(&tickets->lock);
	turn_locked(tickets, now_s());
	if (!name || memcmp(name, tickets->current.name, sizeof(tickets->current.name)) == 0)
		found = &tickets->current;
	else if (memcmp(name, tickets->before.name, sizeof(tickets->before.name)) == 0)
		found = &tickets->before;
	bool usable = found && found->made;
	if (usable) {
		*ret_key = *found;
		*ret_is_current = found == &tickets->current;
	}
	pthread_mutex_unlock(&tickets->lock);
	return usable;
}

static bool set_mac(EVP_MAC_CTX *mac, struct ticket_key *key)
{
	char digest[] = "SHA256";
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key->mac, sizeof(key->mac)),
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
		OSSL_PARAM_construct_end(),
	};
	return EVP_MAC_CTX_set_params(mac, params) == 1;
}

/* What OpenSSL wants to hear about a ticket: SSL_CTX_set_tlsext_ticket_key_evp_cb(3). */
enum { TICKET_FAILED = -1, TICKET_NO_KEY = 0, TICKET_FINE = 1, TICKET_RENEW = 2 };

static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                     EVP_MAC_CTX *mac, int making)
{
	struct tls_tickets *tickets = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
	struct ticket_key key;
	bool is_current = true;
	int verdict = TICKET_FAILED;
	if (!copy_key(tickets, making ? NULL : name, &key, &is_current))
		return TICKET_NO_KEY;
	if (making) {
		memcpy(name, key.name, sizeof(key.name));
		if (RAND_bytes(iv, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) == 1 &&
		    EVP_EncryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, key.cipher, iv) == 1 &&
		    set_mac(mac, &key))
			verdict = TICKET_FINE;
	} else if (set_mac(mac, &key) &&
	           EVP_DecryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, key.cipher, iv) == 1) {
		/* In TLS 1.3 a ticket is good for one connection (RFC 8446 appendix C.4), so another one is
		 * given. */
		verdict = is_current && SSL_version(ssl) < TLS1_3_VERSION ? TICKET_FINE : TICKET_RENEW;
	}
	forget(&key);
	return verdict;
}

int tls_tickets_use(struct tls_tickets *tickets, SSL_CTX *ssl_ctx)
{
	SSL_CTX_set_app_data(ssl_ctx, tickets);
	SSL_CTX_set_timeout(ssl_ctx, TLS_TICKET_KEY_S);
	return SSL_CTX_set_tlsext_ticket_key_evp_cb(ssl_ctx, on_ticket) == 1 ? 0 : -EINVAL;
}
