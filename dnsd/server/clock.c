#include "server/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

/* Far enough never to come; a timer that is off would not tell that the clock was set. */
#define NEVER_S 4102444800 /* 2100-01-01 */

struct clock {
	uv_poll_t poll;
	int fd;
	void (*reached)(void *context);
	void *context;
};

void clock_set(struct clock *clock, uint64_t at_s)
{
	struct itimerspec when = { .it_value.tv_sec = at_s ? (time_t)at_s : NEVER_S };
	timerfd_settime(clock->fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &when, NULL);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct clock *clock = poll->data;
	uint64_t times;
	(void)status;
	(void)events;
	ssize_t got = read(clock->fd, &times, sizeof(times));
	/* Cancelled: the clock was set, and what the timer waited for may be over or far away. */
	if (got < 0 && errno != ECANCELED)
		return;
	clock_set(clock, 0);
	clock->reached(clock->context);
}

int clock_create(uv_loop_t *loop, void (*reached)(void *context), void *context, struct clock **ret_clock)
{
	struct clock *clock = calloc(1, sizeof(*clock));
	if (!clock)
		return -ENOMEM;
	clock->reached = reached;
	clock->context = context;
	clock->fd = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC);
	int rc = clock->fd < 0 ? -errno : uv_poll_init(loop, &clock->poll, clock->fd);
	if (rc < 0) {
		if (clock->fd >= 0)
			close(clock->fd);
		free(clock);
		return rc;
	}
	clock->poll.data = clock;
	clock_set(clock, 0);
	uv_poll_start(&clock->poll, UV_READABLE, on_readable);
	*ret_clock = clock;
	return 0;
}

static void on_closed(uv_handle_t *handle)
{
	struct clock *clock = handle->data;
	close(clock->fd);
	free(clock);
}

void clock_destroy(struct clock *clock)
{
	if (clock)
		uv_close((uv_handle_t *)&clock->poll, on_closed);
}
