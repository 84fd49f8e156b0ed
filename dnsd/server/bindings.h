/*
 * bindings: the listening sockets of all workers: for each address a pair of sockets a worker, or more.
 *
 *     requested addresses x workers -> struct listener, in rows by worker
 *
 * There are more pairs than workers where another process with more workers has handed them over: each has
 * requests in its queue, and the kernel goes on to share out to all of them. So each is served by some
 * worker.
 */
#ifndef DNSD_SERVER_BINDINGS_H
#define DNSD_SERVER_BINDINGS_H

#include <stddef.h>
#include <sys/types.h>

#include "base/diag.h"
#include "conf/conf.h"
#include "net/listener.h"
#include "service/activation.h"

struct bindings;

/** One address. */
struct binding {
	struct sockaddr_storage requested; /* as configured: a port of 0 stays 0 */
	bool tls;
	struct listener *sockets; /* the k-th is served by worker k modulo the number of workers */
	size_t sockets_n;
};

/**
 * Open what is requested: UDP and TCP at listen, TLS at tls_listen. Sockets of an address that previous has
 * too are taken from it, so nothing queued in them is lost; previous itself is left as it is. On failure
 * everything newly opened is closed again.
 *
 * previous  may be NULL
 * Returns   0 or negative errno with diag filled; -EADDRINUSE when another server has an address: then
 * nothing was opened that could have had its requests
 */
int bindings_create(const struct bindings *previous, const struct conf *conf, unsigned workers_n,
                    struct diag *diag, struct bindings **ret_bindings);
/**
 * What the service manager has opened of what is requested, for bindings_create() as what was there before.
 * An address with fewer sockets than workers is shared by them; it may also have one of UDP and TCP only.
 *
 * activation  its sockets are taken
 * Returns     0 or negative errno with diag filled; then the process is about to end
 */
int bindings_adopt(struct activation *activation, const struct conf_listen *listen, size_t listen_n,
                   unsigned workers_n, struct diag *diag, struct bindings **ret_bindings);
/** Frees the table only: the sockets belong to the workers. */
void bindings_destroy(struct bindings *bindings);

/** An empty table, for bindings_add(); it serves as previous alone. NULL when out of memory. */
struct bindings *bindings_create_empty(void);
/** One more pair for this address. Returns 0 or -ENOMEM. */
int bindings_add(struct bindings *bindings, const struct sockaddr_storage *requested,
                 const struct listener *listener);
/** Let all sockets be this user's, as listener_give() does. */
void bindings_give(const struct bindings *bindings, uid_t uid);
/** Close the sockets of addresses that current has not; NULL: all. */
void bindings_close_others(struct bindings *bindings, const struct bindings *current);

/** The row of one worker, bindings_n() long. */
const struct listener *bindings_of(const struct bindings *bindings, unsigned worker);
size_t bindings_n(const struct bindings *bindings, unsigned worker);

size_t bindings_addresses_n(const struct bindings *bindings);
const struct binding *bindings_address(const struct bindings *bindings, size_t number);

/** "listening on ..." for what current has and previous (may be NULL) has not, and the other way round. */
void bindings_log_changes(const struct bindings *previous, const struct bindings *current);

#endif
