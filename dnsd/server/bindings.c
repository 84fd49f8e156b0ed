#include "server/bindings.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

struct bindings {
	struct sockaddr_storage *requested; /* as configured: a port of 0 stays 0 */
	struct listener *listeners;         /* rows by worker */
	size_t n;
	unsigned workers_n;
};

void bindings_destroy(struct bindings *bindings)
{
	if (!bindings)
		return;
	free(bindings->requested);
	free(bindings->listeners);
	free(bindings);
}

const struct listener *bindings_of(const struct bindings *bindings, unsigned worker)
{
	return bindings->listeners + worker * bindings->n;
}

size_t bindings_n(const struct bindings *bindings)
{
	return bindings->n;
}

static size_t find(const struct bindings *bindings, const struct sockaddr_storage *requested)
{
	for (size_t i = 0; bindings && i < bindings->n; i++) {
		if (memcmp(&bindings->requested[i], requested, sizeof(*requested)) == 0)
			return i;
	}
	return (size_t)-1;
}

int bindings_create(const struct bindings *previous, const struct conf_listen *listen, size_t listen_n,
                    unsigned workers_n, struct diag *diag, struct bindings **ret_bindings)
{
	struct bindings *bindings = calloc(1, sizeof(*bindings));
	if (!bindings)
		return -ENOMEM;
	bindings->n = listen_n;
	bindings->workers_n = workers_n;
	bindings->requested = calloc(listen_n + 1, sizeof(*bindings->requested));
	bindings->listeners = calloc(listen_n * workers_n + 1, sizeof(*bindings->listeners));
	int rc = bindings->requested && bindings->listeners ? 0 : -ENOMEM;
	size_t done_n = 0; /* sockets so far, address by address */
	for (size_t i = 0; i < listen_n && rc == 0; i++) {
		bindings->requested[i] = listen[i].addr;
		size_t old = find(previous, &listen[i].addr);
		struct sockaddr_storage addr = listen[i].addr;
		for (unsigned w = 0; w < workers_n && rc == 0; w++) {
			struct listener *listener = &bindings->listeners[w * listen_n + i];
			if (old != (size_t)-1)
				*listener = bindings_of(previous, w)[old];
			else
				rc = listener_open(&addr, listen[i].place.file, listen[i].place.line, diag,
				                   listener);
			if (rc == 0) {
				addr = listener->addr; /* where the kernel chose the port, the other workers
				                          follow */
				done_n++;
			}
		}
	}
	if (rc == 0) {
		*ret_bindings = bindings;
		return 0;
	}
	for (size_t k = 0; k < done_n; k++) {
		size_t i = k / workers_n;
		if (find(previous, &bindings->requested[i]) == (size_t)-1)
			listener_close(&bindings->listeners[(k % workers_n) * listen_n + i]);
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
		           "read the "
		           "others; pass as many as there are workers, or one",
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
	struct conf_listen *given = calloc(listen_n + 1, sizeof(*given));
	int *fds = calloc((size_t)workers_n * 2 + 1, sizeof(*fds));
	struct bindings *bindings = calloc(1, sizeof(*bindings));
	int rc = given && fds && bindings ? 0 : -ENOMEM;
	size_t n = 0;
	for (size_t i = 0; i < listen_n && rc == 0; i++) {
		if (activation_count(activation, &listen[i].addr, SOCK_DGRAM) ||
		    activation_count(activation, &listen[i].addr, SOCK_STREAM))
			given[n++] = listen[i];
	}
	if (rc == 0) {
		bindings->n = n;
		bindings->workers_n = workers_n;
		bindings->requested = calloc(n + 1, sizeof(*bindings->requested));
		bindings->listeners = calloc(n * workers_n + 1, sizeof(*bindings->listeners));
		rc = bindings->requested && bindings->listeners ? 0 : -ENOMEM;
	}
	for (size_t i = 0; i < n && rc == 0; i++) {
		bindings->requested[i] = given[i].addr;
		rc = take_sockets(activation, &given[i], SOCK_DGRAM, workers_n, diag, fds);
		if (rc == 0)
			rc = take_sockets(activation, &given[i], SOCK_STREAM, workers_n, diag,
			                  fds + workers_n);
		for (unsigned w = 0; w < workers_n && rc == 0; w++)
			rc = listener_adopt(&given[i].addr, fds[w], fds[workers_n + w], given[i].place.file,
			                    given[i].place.line, diag, &bindings->listeners[w * n + i]);
	}
	free(given);
	free(fds);
	if (rc < 0)
		bindings_destroy(bindings);
	else
		*ret_bindings = bindings;
	return rc;
}

void bindings_log_changes(const struct bindings *previous, const struct bindings *current)
{
	char text[ADDR_TEXT_MAX];
	for (size_t i = 0; previous && i < previous->n; i++) {
		if (find(current, &previous->requested[i]) == (size_t)-1)
			log_info("no longer listening on %s",
			         addr_format_sockaddr((const struct sockaddr *)&previous->listeners[i].addr,
			                              text, sizeof(text)));
	}
	for (size_t i = 0; i < current->n; i++) {
		if (find(previous, &current->requested[i]) == (size_t)-1)
			log_info("listening on %s",
			         addr_format_sockaddr((const struct sockaddr *)&current->listeners[i].addr,
			                              text, sizeof(text)));
	}
}
