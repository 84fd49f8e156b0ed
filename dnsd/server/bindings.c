#include "server/bindings.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "base/log.h"

struct bindings {
	struct binding *addresses;
	size_t n;
	struct listener *rows; /* by worker, each of a length of its own */
	size_t *row_off;       /* [workers_n + 1] in rows */
};

struct bindings *bindings_create_empty(void)
{
	return calloc(1, sizeof(struct bindings));
}

void bindings_destroy(struct bindings *bindings)
{
	if (!bindings)
		return;
	for (size_t i = 0; i < bindings->n; i++)
		free(bindings->addresses[i].sockets);
	free(bindings->addresses);
	free(bindings->rows);
	free(bindings->row_off);
	free(bindings);
}

const struct listener *bindings_of(const struct bindings *bindings, unsigned worker)
{
	return bindings->rows + bindings->row_off[worker];
}

size_t bindings_n(const struct bindings *bindings, unsigned worker)
{
	return bindings->row_off[worker + 1] - bindings->row_off[worker];
}

size_t bindings_addresses_n(const struct bindings *bindings)
{
	return bindings->n;
}

const struct binding *bindings_address(const struct bindings *bindings, size_t number)
{
	return &bindings->addresses[number];
}

static struct binding *find(const struct bindings *bindings, const struct sockaddr_storage *requested,
                            bool tls)
{
	for (size_t i = 0; bindings && i < bindings->n; i++) {
		if (bindings->addresses[i].tls == tls &&
		    memcmp(&bindings->addresses[i].requested, requested, sizeof(*requested)) == 0)
			return &bindings->addresses[i];
	}
	return NULL;
}

int bindings_add(struct bindings *bindings, const struct sockaddr_storage *requested,
                 const struct listener *listener)
{
	struct binding *address = find(bindings, requested, listener->tls);
	if (!address) {
		struct binding *addresses =
		        realloc(bindings->addresses, (bindings->n + 1) * sizeof(*addresses));
		if (!addresses)
			return -ENOMEM;
		bindings->addresses = addresses;
		address = &addresses[bindings->n++];
		*address = (struct binding){ .requested = *requested, .tls = listener->tls };
	}
	struct listener *sockets = realloc(address->sockets, (address->sockets_n + 1) * sizeof(*sockets));
	if (!sockets)
		return -ENOMEM;
	address->sockets = sockets;
	sockets[address->sockets_n++] = *listener;
	return 0;
}

void bindings_give(const struct bindings *bindings, uid_t uid)
{
	for (size_t i = 0; i < bindings->n; i++) {
		for (size_t k = 0; k < bindings->addresses[i].sockets_n; k++)
			listener_give(&bindings->addresses[i].sockets[k], uid);
	}
}

void bindings_close_others(struct bindings *bindings, const struct bindings *current)
{
	for (size_t i = 0; i < bindings->n; i++) {
		struct binding *address = &bindings->addresses[i];
		if (find(current, &address->requested, address->tls))
			continue;
		for (size_t k = 0; k < address->sockets_n; k++)
			listener_close(&address->sockets[k]);
	}
}

static int make_rows(struct bindings *bindings, unsigned workers_n)
{
	size_t all_n = 0;
	for (size_t i = 0; i < bindings->n; i++)
		all_n += bindings->addresses[i].sockets_n;
	bindings->rows = calloc(all_n + 1, sizeof(*bindings->rows));
	bindings->row_off = calloc((size_t)workers_n + 1, sizeof(*bindings->row_off));
	if (!bindings->rows || !bindings->row_off)
		return -ENOMEM;
	size_t at = 0;
	for (unsigned w = 0; w < workers_n; w++) {
		for (size_t i = 0; i < bindings->n; i++) {
			const struct binding *address = &bindings->addresses[i];
			for (size_t k = w; k < address->sockets_n; k += workers_n)
				bindings->rows[at++] = address->sockets[k];
		}
		bindings->row_off[w + 1] = at;
	}
	return 0;
}

static in_port_t port_of(const struct sockaddr_storage *addr)
{
	/* sin_port and sin6_port stand at the same place. */
	return ((const struct sockaddr_in *)addr)->sin_port;
}

/* Is a socket of ours on this port, whatever its address? */
static bool has_port(const struct bindings *bindings, const struct sockaddr_storage *addr)
{
	for (size_t i = 0; bindings && i < bindings->n; i++) {
		const struct binding *address = &bindings->addresses[i];
		if (address->sockets_n && address->requested.ss_family == addr->ss_family &&
		    port_of(&address->sockets[0].addr) == port_of(addr))
			return true;
	}
	return false;
}

/* The addresses of the configuration by number: those with TLS are the last. */
static const struct conf_listen *listen_at(const struct conf *conf, size_t number, bool *ret_tls)
{
	*ret_tls = number >= conf->listen_n;
	return *ret_tls ? &conf->tls_listen[number - conf->listen_n] : &conf->listen[number];
}

/* All of them, before a socket is opened: it would take requests from whoever has the address. Beside sockets
 * of our own, looking would tell nothing. */
static int check_free(const struct bindings *previous, const struct conf *conf, struct diag *diag)
{
	int rc = 0;
	for (size_t i = 0; i < conf->listen_n + conf->tls_listen_n; i++) {
		bool tls;
		char text[ADDR_TEXT_MAX];
		const struct conf_listen *listen = listen_at(conf, i, &tls);
		if (has_port(previous, &listen->addr) || listener_is_free(&listen->addr, tls))
			continue;
		diag_error(diag, listen->place.file, listen->place.line,
		           "cannot listen on %s: another server has this address and port, perhaps a dnsd "
		           "that is running already; stop it, or take over from it with --takeover",
		           addr_format_sockaddr((const struct sockaddr *)&listen->addr, text, sizeof(text)));
		rc = -EADDRINUSE;
	}
	return rc;
}

/* Those of before, and new ones for the workers that have none. */
static int fill_address(struct binding *address, const struct binding *before,
                        const struct conf_listen *listen, bool tls, unsigned workers_n, struct diag *diag)
{
	size_t before_n = before ? before->sockets_n : 0;
	size_t wanted_n = before_n > workers_n ? before_n : workers_n;
	address->requested = listen->addr;
	address->tls = tls;
	address->sockets = calloc(wanted_n + 1, sizeof(*address->sockets));
	if (!address->sockets)
		return -ENOMEM;
	for (size_t k = 0; k < before_n; k++)
		address->sockets[k] = before->sockets[k];
	address->sockets_n = before_n;
	while (address->sockets_n < wanted_n) {
		/* Where the kernel chose the port, the others follow the first. */
		const struct sockaddr_storage *addr =
		        address->sockets_n ? &address->sockets[0].addr : &listen->addr;
		int rc = (tls ? listener_open_tls : listener_open)(addr, listen->place.file,
		                                                   listen->place.line, diag,
		                                                   &address->sockets[address->sockets_n]);
		if (rc < 0)
			return rc;
		address->sockets_n++;
	}
	return 0;
}

int bindings_create(const struct bindings *previous, const struct conf *conf, unsigned workers_n,
                    struct diag *diag, struct bindings **ret_bindings)
{
	size_t listen_n = conf->listen_n + conf->tls_listen_n;
	struct bindings *bindings = bindings_create_empty();
	if (!bindings)
		return -ENOMEM;
	bindings->addresses = calloc(listen_n + 1, sizeof(*bindings->addresses));
	int rc = bindings->addresses ? check_free(previous, conf, diag) : -ENOMEM;
	for (size_t i = 0; i < listen_n && rc == 0; i++) {
		bool tls;
		const struct conf_listen *listen = listen_at(conf, i, &tls);
		const struct binding *before = find(previous, &listen->addr, tls);
		rc = fill_address(&bindings->addresses[i], before, listen, tls, workers_n, diag);
		bindings->n++;
	}
	if (rc == 0)
		rc = make_rows(bindings, workers_n);
	if (rc == 0) {
		*ret_bindings = bindings;
		return 0;
	}
	for (size_t i = 0; i < bindings->n; i++) {
		struct binding *address = &bindings->addresses[i];
		const struct binding *before = find(previous, &address->requested, address->tls);
		for (size_t k = before ? before->sockets_n : 0; k < address->sockets_n; k++)
			listener_close(&address->sockets[k]);
	}
	bindings_destroy(bindings);
	return rc;
}

/* The sockets of one type for all workers, -1 for those they open themselves. */
static int take_sockets(struct activation *activation, const struct conf_listen *listen, int type,
                        unsigned workers_n, struct diag *diag, int *fds)
{
	char text[ADDR_TEXT_MAX];
	const char *word = type == SOCK_DGRAM ? "UDP" : "TCP";
	size_t n = activation_count(activation, &listen->addr, type);
	addr_format_sockaddr((const struct sockaddr *)&listen->addr, text, sizeof(text));
	for (unsigned w = 0; w < workers_n; w++)
		fds[w] = -1;
	if (n > workers_n) {
		diag_error(diag, listen->place.file, listen->place.line,
		           "the service manager passes %zu %s sockets for %s to %u workers, and nobody would "
		           "read the others; pass as many as there are workers, or one",
		           n, word, text, workers_n);
		return -EINVAL;
	}
	for (unsigned w = 0; w < workers_n && n > 0; w++) {
		fds[w] = w < n ? activation_take(activation, &listen->addr, type)
		               : fcntl(fds[w % n], F_DUPFD_CLOEXEC, 0);
		if (fds[w] < 0)
			return -errno;
	}
	if (n > 0)
		log_info("%s %s: %zu sockets of the service manager for %u workers", word, text, n,
		         workers_n);
	return 0;
}

int bindings_adopt(struct activation *activation, const struct conf_listen *listen, size_t listen_n,
                   unsigned workers_n, struct diag *diag, struct bindings **ret_bindings)
{
	int *fds = calloc((size_t)workers_n * 2 + 1, sizeof(*fds));
	struct bindings *bindings = bindings_create_empty();
	int rc = fds && bindings ? 0 : -ENOMEM;
	for (size_t i = 0; i < listen_n && rc == 0; i++) {
		const struct conf_listen *given = &listen[i];
		if (activation_count(activation, &given->addr, SOCK_DGRAM) == 0 &&
		    activation_count(activation, &given->addr, SOCK_STREAM) == 0)
			continue;
		rc = take_sockets(activation, given, SOCK_DGRAM, workers_n, diag, fds);
		if (rc == 0)
			rc = take_sockets(activation, given, SOCK_STREAM, workers_n, diag, fds + workers_n);
		for (unsigned w = 0; w < workers_n && rc == 0; w++) {
			struct listener listener;
			rc = listener_adopt(&given->addr, fds[w], fds[workers_n + w], given->place.file,
			                    given->place.line, diag, &listener);
			if (rc == 0)
				rc = bindings_add(bindings, &given->addr, &listener);
		}
	}
	free(fds);
	if (rc < 0)
		bindings_destroy(bindings);
	else
		*ret_bindings = bindings;
	return rc;
}

static void log_address(const char *what, const struct binding *address)
{
	char text[ADDR_TEXT_MAX];
	log_info("%s %s%s", what,
	         addr_format_sockaddr((const struct sockaddr *)&address->sockets[0].addr, text, sizeof(text)),
	         address->tls ? " for TLS" : "");
}

void bindings_log_changes(const struct bindings *previous, const struct bindings *current)
{
	for (size_t i = 0; previous && i < previous->n; i++) {
		if (!find(current, &previous->addresses[i].requested, previous->addresses[i].tls))
			log_address("no longer listening on", &previous->addresses[i]);
	}
	for (size_t i = 0; i < current->n; i++) {
		if (!find(previous, &current->addresses[i].requested, current->addresses[i].tls))
			log_address("listening on", &current->addresses[i]);
	}
}
