/*
 * ctl: the control socket: one JSON object a line each way, over a Unix socket.
 *
 *     client ──{"command": "status"}\n──> ctl ──struct ctl_request──> whoever carries it out
 *            <──{"ok": true, ...}\n─────      <──ctl_reply()──────────
 *
 * A client has one request under way at a time; its next ones wait in the socket. Nothing a client does
 * delays another or the loop: requests are limited in length, nesting and time, and one that does not read
 * its answer is cut off. So are clients in number: who comes when there are CTL_CLIENTS_MAX waits for a
 * place, and those who hold one without a request under way have a second left.
 */
#ifndef DNSD_CTL_CTL_H
#define DNSD_CTL_CTL_H

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>
#include <uv.h>

#define CTL_REQUEST_MAX 65536
#define CTL_CLIENTS_MAX 64

struct ctl;

/** A request under way. */
struct ctl_request {
	json_t *body; /* an object */
	uid_t uid;    /* of the client, from the kernel */
	pid_t pid;
};

/** Gets each request; must call ctl_reply() on it, now or later, on the loop's thread. */
typedef void ctl_handler(void *context, struct ctl_request *request);

/**
 * Listen on path with mode 0660. A socket file that nobody listens on is replaced.
 *
 * group    may use the socket too; NULL = the process's group
 * Returns  0 or negative errno: -EADDRINUSE when another process answers there, -EACCES also when the socket
 *          that is there is not ours to ask, -ENOENT when there is no such group
 */
int ctl_create(uv_loop_t *loop, const char *path, const char *group, ctl_handler *handler, void *context,
               struct ctl **ret_ctl);
/** The same with a socket on path that another process has listened on; takes fd over, also on failure. */
int ctl_adopt(uv_loop_t *loop, const char *path, int fd, ctl_handler *handler, void *context,
              struct ctl **ret_ctl);
/** The socket that is listened on, to be handed to another process. */
int ctl_fd(const struct ctl *ctl);
/** Another process listens on the socket now: as ctl_retire(), but the file stays. Clients without a request
 * under way have a second left for one. NULL is fine. */
void ctl_release(struct ctl *ctl);
/** Remove the socket file, if it is still ours, and take no more clients; requests under way are still
 * answered. */
void ctl_retire(struct ctl *ctl);
/** Closes all and removes the socket file; freed later by the loop. Requests under way may still be replied
 * to. NULL is fine. */
void ctl_destroy(struct ctl *ctl);

const char *ctl_path(const struct ctl *ctl);
/** Is the file at its path still this socket's? Somebody may have removed it, or put another one there. */
bool ctl_is_there(const struct ctl *ctl);

/** End the request without a response and keep the connection: a duplicate of its socket, owned by the
 * caller. Returns it or negative errno, the request going on then. */
int ctl_take_socket(struct ctl_request *request);

/** Send a response that is a line already (freed later), and end the request. */
void ctl_reply_text(struct ctl_request *request, char *text, size_t len);
/** Send a response (its reference is taken over; NULL says that memory ran out) and end the request. */
void ctl_reply(struct ctl_request *request, json_t *response);

#endif
