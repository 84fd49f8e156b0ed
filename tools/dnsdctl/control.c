#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/object.h"
#include "tools/dnsdctl/dnsdctl.h"

struct control {
	FILE *in;
	int fd;
	unsigned timeout_s;
	char *line;
	size_t line_cap;
};

int control_open(const char *path, unsigned timeout_s, struct control **ret_control)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof(address.sun_path)) {
		fprintf(stderr, "dnsdctl: %s: this path is too long for a socket\n", path);
		return EXIT_USAGE;
	}
	memcpy(address.sun_path, path, strlen(path));
	struct timeval limit = { .tv_sec = timeout_s };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0) {
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	}
	if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
		int error = errno;
		if (fd >= 0)
			close(fd);
		fprintf(stderr, "dnsdctl: %s: %s%s\n", path, strerror(error),
		        error == EACCES ? "; be root or of the group of this socket"
		                        : "; is dnsd running, with \"control\" set in its configuration?");
		return error == ENOENT || error == ECONNREFUSED ? EXIT_NOT_RUNNING : EXIT_FAILED;
	}
	struct control *control = calloc(1, sizeof(*control));
	if (control)
		control->in = fdopen(fd, "r");
	if (!control || !control->in) {
		free(control);
		close(fd);
		fprintf(stderr, "dnsdctl: out of memory\n");
		return EXIT_FAILED;
	}
	control->fd = fd;
	control->timeout_s = timeout_s;
	*ret_control = control;
	return EXIT_DONE;
}

void control_close(struct control *control)
{
	if (!control)
		return;
	fclose(control->in);
	free(control->line);
	free(control);
}

static bool send_line(struct control *control, const json_t *request)
{
	size_t len;
	size_t done = 0;
	char *text = object_dump(request, JSON_COMPACT, "\n", &len);
	if (!text)
		return false;
	while (done < len) {
		ssize_t sent = send(control->fd, text + done, len - done, MSG_NOSIGNAL);
		if (sent < 0 && errno != EINTR)
			break;
		done += sent > 0 ? (size_t)sent : 0;
	}
	free(text);
	return done == len;
}

json_t *control_ask(struct control *control, const json_t *request)
{
	json_error_t error;
	if (!send_line(control, request)) {
		fprintf(stderr, "dnsdctl: cannot send: %s\n", strerror(errno));
		return NULL;
	}
	errno = 0;
	ssize_t len = getline(&control->line, &control->line_cap, control->in);
	if (len < 0) {
		if (errno == EAGAIN)
			fprintf(stderr,
			        "dnsdctl: no answer within %u s; the change may come into force all the "
			        "same, see \"dnsdctl status\"\n",
			        control->timeout_s);
		else
			fprintf(stderr, "dnsdctl: dnsd closed the connection: %s\n",
			        errno ? strerror(errno) : "did it stop?");
		return NULL;
	}
	json_t *response = json_loadb(control->line, (size_t)len, 0, &error);
	if (!response)
		fprintf(stderr, "dnsdctl: the answer is no JSON: %s\n", error.text);
	return response;
}
