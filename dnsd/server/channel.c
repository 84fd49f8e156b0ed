#include "server/channel.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/object.h"

#define SEND_WAIT_MS 2000
#define READ_BYTES   65536

struct channel {
	int fd;
	char *in;
	size_t in_len;
	size_t in_cap;
	size_t searched_len; /* of in, without an end of line */
	int fds[CHANNEL_FDS_MAX];
	size_t fds_n;
};

union control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(CHANNEL_FDS_MAX * sizeof(int))];
};

struct channel *channel_create(int fd)
{
	struct channel *channel = calloc(1, sizeof(*channel));
	if (!channel) {
		close(fd);
		return NULL;
	}
	channel->fd = fd;
	return channel;
}

void channel_destroy(struct channel *channel)
{
	if (!channel)
		return;
	for (size_t i = 0; i < channel->fds_n; i++)
		close(channel->fds[i]);
	close(channel->fd);
	free(channel->in);
	free(channel);
}

int channel_fd(const struct channel *channel)
{
	return channel->fd;
}

int channel_wait(struct channel *channel, int timeout_ms)
{
	struct pollfd entry = { .fd = channel->fd, .events = POLLIN };
	return poll(&entry, 1, timeout_ms) > 0 ? 0 : -EAGAIN;
}

/* --- sending --- */

static void attach_fds(struct msghdr *header, union control *control, const int *fds, size_t fds_n)
{
	memset(control, 0, sizeof(*control));
	header->msg_control = control;
	header->msg_controllen = CMSG_SPACE(fds_n * sizeof(int));
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(header);
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(fds_n * sizeof(int));
	memcpy(CMSG_DATA(cmsg), fds, fds_n * sizeof(int));
}

static int send_text(struct channel *channel, const char *text, size_t len, const int *fds, size_t fds_n)
{
	union control control;
	size_t done = 0;
	while (done < len) {
		struct iovec part = { .iov_base = (char *)text + done, .iov_len = len - done };
		struct msghdr header = { .msg_iov = &part, .msg_iovlen = 1 };
		if (done == 0 && fds_n)
			attach_fds(&header, &control, fds, fds_n);
		ssize_t sent = sendmsg(channel->fd, &header, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (sent > 0) {
			done += (size_t)sent;
			continue;
		}
		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0 && errno != EAGAIN)
			return -errno;
		struct pollfd entry = { .fd = channel->fd, .events = POLLOUT };
		int ready = poll(&entry, 1, SEND_WAIT_MS);
		if (ready == 0)
			return -ETIMEDOUT;
		if (ready < 0 && errno != EINTR)
			return -errno;
	}
	return 0;
}

int channel_send(struct channel *channel, json_t *body, const int *fds, size_t fds_n)
{
	if (fds_n)
		object_set_number(body, "fds", fds_n);
	size_t len;
	char *text = object_dump(body, JSON_COMPACT, "\n", &len);
	json_decref(body);
	if (!text)
		return -ENOMEM;
	int rc = send_text(channel, text, len, fds, fds_n);
	free(text);
	return rc;
}

/* --- receiving --- */

static int keep_fds(struct channel *channel, struct msghdr *header)
{
	int rc = header->msg_flags & MSG_CTRUNC ? -EMFILE : 0;
	for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(header); cmsg; cmsg = CMSG_NXTHDR(header, cmsg)) {
		if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
			continue;
		size_t n = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(int), sizeof(int));
			if (channel->fds_n < CHANNEL_FDS_MAX) {
				channel->fds[channel->fds_n++] = fd;
			} else {
				close(fd);
				rc = -EPROTO;
			}
		}
	}
	return rc;
}

/* One read. Whole lines are taken before more is read, so that descriptors never pile up. */
static int read_more(struct channel *channel)
{
	if (channel->in_cap - channel->in_len < READ_BYTES) {
		size_t cap = channel->in_cap * 2 + READ_BYTES;
		char *in = channel->in_len < CHANNEL_LINE_MAX ? realloc(channel->in, cap) : NULL;
		if (!in)
			return channel->in_len < CHANNEL_LINE_MAX ? -ENOMEM : -EPROTO;
		channel->in = in;
		channel->in_cap = cap;
	}
	union control control;
	struct iovec part = { .iov_base = channel->in + channel->in_len, .iov_len = READ_BYTES };
	struct msghdr header = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)
	};
	ssize_t got = recvmsg(channel->fd, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (got < 0)
		return errno == EINTR ? -EAGAIN : -errno;
	if (got == 0)
		return -EPIPE;
	channel->in_len += (size_t)got;
	return keep_fds(channel, &header);
}

static int take_line(struct channel *channel, size_t len, struct channel_message *ret_message)
{
	struct channel_message message = { .body = json_loadb(channel->in, len, JSON_REJECT_DUPLICATES,
		                                              NULL) };
	channel->in_len -= len + 1;
	memmove(channel->in, channel->in + len + 1, channel->in_len);
	channel->searched_len = 0;
	message.say = object_get_text(message.body, "say");
	json_int_t fds_n = json_integer_value(json_object_get(message.body, "fds"));
	if (!message.body || fds_n < 0 || (size_t)fds_n > channel->fds_n) {
		json_decref(message.body);
		return -EPROTO;
	}
	message.fds_n = (size_t)fds_n;
	memcpy(message.fds, channel->fds, message.fds_n * sizeof(int));
	channel->fds_n -= message.fds_n;
	memmove(channel->fds, channel->fds + message.fds_n, channel->fds_n * sizeof(int));
	if (!message.say)
		message.say = "";
	*ret_message = message;
	return 0;
}

int channel_receive(struct channel *channel, struct channel_message *ret_message)
{
	for (;;) {
		const char *end = channel->in_len ? memchr(channel->in + channel->searched_len, '\n',
		                                           channel->in_len - channel->searched_len)
		                                  : NULL;
		if (end)
			return take_line(channel, (size_t)(end - channel->in), ret_message);
		channel->searched_len = channel->in_len;
		int rc = read_more(channel);
		if (rc < 0)
			return rc == -ECONNRESET ? -EPIPE : rc;
	}
}

void channel_message_fini(struct channel_message *message)
{
	for (size_t i = 0; i < message->fds_n; i++) {
		if (message->fds[i] >= 0)
			close(message->fds[i]);
	}
	json_decref(message->body);
}
