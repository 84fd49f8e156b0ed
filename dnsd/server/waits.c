/* Commands that wait for long: told in the log, for whoever has sent them hears nothing yet. */
#include <inttypes.h>
#include <stdio.h>

#include "base/log.h"
#include "server/server_int.h"

#define TELL_AFTER_MS 5000
#define LOOK_MS       200

const char *server_job_text(enum job_kind kind)
{
	static const char *const texts[] = { [JOB_COMMAND] = "a command",
		                             [JOB_RENEW] = "a look at feeds, databases and the like",
		                             [JOB_RELOAD] = "a reload" };
	return texts[kind];
}

/* They are answered in the order in which they came. */
static const struct command *oldest(const struct server *server)
{
	if (server->answered.first)
		return server->answered.first;
	if (server->job_running != JOB_NONE && server->job.command)
		return server->job.command;
	return server->commands.first;
}

/* For what it waits, as a text. */
static const char *reason(const struct server *server, char *text, size_t cap)
{
	if (server->job_running != JOB_NONE)
		snprintf(text, cap,
		         "%s has not ended; perhaps one of the files it reads, or the disk, does "
		         "not answer",
		         server_job_text(server->job_running));
	else if (keeping_done(server->keeping) != keeping_asked(server->keeping))
		snprintf(text, cap, "what has changed is not in %.400s yet; perhaps the disk does not answer",
		         server->load->conf->state_dir ? server->load->conf->state_dir : "its file");
	else if (server->handover)
		snprintf(text, cap, "a restart is under way");
	else
		snprintf(text, cap, "a worker has not taken over what has changed");
	return text;
}

static void on_look(uv_timer_t *timer)
{
	struct server *server = timer->data;
	const struct command *command = oldest(server);
	uint64_t waited_ms = command ? uv_now(&server->loop) - command->since_ms : 0;
	if (!command)
		uv_timer_stop(timer);
	if (waited_ms < TELL_AFTER_MS) {
		server->wait_told = false;
		return;
	}
	char text[600];
	if (!server->wait_told)
		log_warning("control: a command has waited for %" PRIu64 " s: %s", waited_ms / 1000,
		            reason(server, text, sizeof(text)));
	server->wait_told = true;
}

void server_watch_waits(struct server *server)
{
	if (!uv_is_active((uv_handle_t *)&server->waits))
		uv_timer_start(&server->waits, on_look, TELL_AFTER_MS, LOOK_MS);
}
