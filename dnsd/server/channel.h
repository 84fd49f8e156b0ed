/*
 * channel: messages between two processes of this machine, with file descriptors beside them.
 *
 *     {"say": "sockets", "fds": 2}\n  + 2 descriptors (SCM_RIGHTS)  ──Unix stream socket──>
 *
 * A message is a JSON object on a line. Descriptors travel with the bytes of the line that announces them in
 * "fds"; the kernel keeps both in order.
 */
#ifndef DNSD_SERVER_CHANNEL_H
#define DNSD_SERVER_CHANNEL_H

#include <jansson.h>
#include <stddef.h>

#define CHANNEL_FDS_MAX  64          /* of one message; the kernel takes 253 */
#define CHANNEL_LINE_MAX (16U << 20) /* a longer one is refused */

struct channel;

struct channel_message {
	json_t *body; /* an object */
	const char *say;
	int fds[CHANNEL_FDS_MAX]; /* owned by the receiver, -1 once taken */
	size_t fds_n;
};

/** Takes fd over, also on failure. NULL when out of memory. */
struct channel *channel_create(int fd);
/** Closes it, with the descriptors that came and were not asked for. NULL is fine. */
void channel_destroy(struct channel *channel);
int channel_fd(const struct channel *channel);

/**
 * Send a message; its reference is taken over (NULL says that memory ran out). Waits for a peer that does not
 * read, but no more than two seconds.
 *
 * fds      [fds_n] stay the caller's; at most CHANNEL_FDS_MAX
 * Returns  0, or negative errno: the channel is of no use then
 */
int channel_send(struct channel *channel, json_t *body, const int *fds, size_t fds_n);

/**
 * Take the next message, without waiting for it.
 *
 * ret_message  channel_message_fini() is the caller's
 * Returns      0; -EAGAIN when none is there yet; -EPIPE when the peer has closed; -EPROTO when what comes is
 *              none of ours; -EMFILE when there was no room for descriptors; another negative errno
 */
int channel_receive(struct channel *channel, struct channel_message *ret_message);
/** Frees the body, closes the descriptors that were not taken. */
void channel_message_fini(struct channel_message *message);

/** Wait for something to receive. Returns 0, or -EAGAIN after timeout_ms (-1: never) or a signal. */
int channel_wait(struct channel *channel, int timeout_ms);

#endif
