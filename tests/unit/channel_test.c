#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/object.h"
#include "server/channel.h"

struct pair {
	struct channel *channel;
	int peer;
};

static int setup(void **state)
{
	static struct pair pair;
	int fds[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		return -1;
	pair.channel = channel_create(fds[0]);
	pair.peer = fds[1];
	*state = &pair;
	return 0;
}

static int teardown(void **state)
{
	struct pair *pair = *state;
	channel_destroy(pair->channel);
	if (pair->peer >= 0)
		close(pair->peer);
	return 0;
}

static void say(const struct pair *pair, const char *text)
{
	assert_int_equal(write(pair->peer, text, strlen(text)), strlen(text));
}

/* In pieces, several at once, and nothing yet. */
static void test_lines(void **state)
{
	struct pair *pair = *state;
	struct channel_message message;
	assert_int_equal(channel_receive(pair->channel, &message), -EAGAIN);
	say(pair, "{\"say\":\"lo");
	assert_int_equal(channel_receive(pair->channel, &message), -EAGAIN);
	say(pair, "aded\"}\n{\"x\":1}\n{");
	assert_int_equal(channel_receive(pair->channel, &message), 0);
	assert_string_equal(message.say, "loaded");
	channel_message_fini(&message);
	assert_int_equal(channel_receive(pair->channel, &message), 0);
	assert_string_equal(message.say, "");
	channel_message_fini(&message);
	assert_int_equal(channel_receive(pair->channel, &message), -EAGAIN);
	close(pair->peer);
	pair->peer = -1;
	assert_int_equal(channel_receive(pair->channel, &message), -EPIPE);
	assert_int_equal(channel_send(pair->channel, json_pack("{ss}", "say", "x"), NULL, 0), -EPIPE);
}

/* What is none of ours, and descriptors that nobody has sent. */
static void test_nonsense(void **state)
{
	struct pair *pair = *state;
	struct channel_message message;
	static const char *const texts[] = { "nonsense\n", "[1,\n", "\n", "{\"say\":\"sockets\",\"fds\":2}\n",
		                             "{\"fds\":-1}\n" };
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		say(pair, texts[i]);
		assert_int_equal(channel_receive(pair->channel, &message), -EPROTO);
	}
}

/* Descriptors come with the message that has them, however many messages wait. */
static void test_fds(void **state)
{
	struct pair *pair = *state;
	struct channel *other = channel_create(dup(pair->peer));
	struct channel_message message;
	int fds[CHANNEL_FDS_MAX];
	int ends[2];
	char got = 0;
	assert_int_equal(pipe(ends), 0);
	for (size_t i = 0; i < CHANNEL_FDS_MAX; i++)
		fds[i] = ends[1];
	assert_int_equal(channel_send(other, json_pack("{ss}", "say", "none"), NULL, 0), 0);
	assert_int_equal(channel_send(other, json_pack("{ss}", "say", "all"), fds, CHANNEL_FDS_MAX), 0);
	assert_int_equal(channel_send(other, json_pack("{ss}", "say", "one"), &ends[1], 1), 0);
	close(ends[1]);
	assert_int_equal(channel_receive(pair->channel, &message), 0);
	assert_int_equal(message.fds_n, 0);
	channel_message_fini(&message);
	assert_int_equal(channel_receive(pair->channel, &message), 0);
	assert_string_equal(message.say, "all");
	assert_int_equal(message.fds_n, CHANNEL_FDS_MAX);
	assert_int_equal(write(message.fds[CHANNEL_FDS_MAX - 1], "x", 1), 1);
	assert_int_equal(read(ends[0], &got, 1), 1);
	assert_int_equal(got, 'x');
	channel_message_fini(&message);
	assert_int_equal(channel_receive(pair->channel, &message), 0);
	assert_int_equal(message.fds_n, 1);
	channel_message_fini(&message);
	/* All were closed with their messages: the pipe has no writer left. */
	assert_int_equal(read(ends[0], &got, 1), 0);
	close(ends[0]);
	channel_destroy(other);
}

/* A peer that does not read is waited for, but not for ever. */
static void test_full(void **state)
{
	struct pair *pair = *state;
	int rc = 0;
	for (unsigned i = 0; i < 100000 && rc == 0; i++)
		rc = channel_send(pair->channel, json_pack("{ss}", "say", "and so on, and so on"), NULL, 0);
	assert_int_equal(rc, -ETIMEDOUT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_lines, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nonsense, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fds, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
