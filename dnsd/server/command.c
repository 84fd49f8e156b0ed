/* What operators may ask for over the control socket, and what they may change. docs/control.md lists all. */
#include <errno.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/object.h"
#include "base/utc.h"
#include "conf/value.h"
#include "inspect/inspect.h"
#include "inspect/response.h"
#include "server/server_int.h"
#include "zones/explain.h"
#include "zones/history.h"

#define REASON_TEXT_MAX 200
#define FOR_MAX_S       (UINT64_C(366) * 86400)

/* Names of accounts, those of a domain among them: what they may stand in is a line of the log, in quotes. */
static bool is_account(const char *text)
{
	static const char allowed[] =
	        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-+@$\\";
	return *text && !text[strspn(text, allowed)];
}

/* Who asks: the user the kernel names; for root, who became root with sudo, as the client says. */
const char *command_author(const struct ctl_request *request, char text[COMMAND_AUTHOR_MAX])
{
	struct passwd entry;
	struct passwd *found = NULL;
	char buffer[4096];
	const char *sudo = object_get_text(request->body, "sudo-user");
	getpwuid_r(request->uid, &entry, buffer, sizeof(buffer), &found);
	if (!found)
		snprintf(text, COMMAND_AUTHOR_MAX, "uid %u", (unsigned)request->uid);
	else if (request->uid == 0 && sudo && is_account(sudo))
		snprintf(text, COMMAND_AUTHOR_MAX, "%.60s (as %.30s)", sudo, found->pw_name);
	else
		snprintf(text, COMMAND_AUTHOR_MAX, "%.90s", found->pw_name);
	return text;
}

static void log_request(struct job *job, const char *author, const char *what)
{
	const struct ctl_request *request = job->command->request;
	diag_info(&job->diag, "control: user=\"%s\" pid=%d %s", author, (int)request->pid, what);
}

/* --- mirrors --- */

/* A mirror by its host: in the pool that is named, or in whichever has it. Returns its pool, or -1. */
static int find_mirror(const struct zones *zones, const char *pool_name, const char *host)
{
	for (size_t i = 0; i < zones->conf->pools_n; i++) {
		if (pool_name && strcmp(zones->conf->pools[i].name, pool_name) != 0)
			continue;
		if (pool_find_mirror(zones->pools[i], host) >= 0)
			return (int)i;
	}
	return -1;
}

/* Names like the one that nobody has. */
static json_t *unknown_mirror(const struct zones *zones, const char *host)
{
	char near[512] = "";
	size_t used = 0;
	unsigned n = 0;
	size_t len = strlen(host);
	for (size_t i = 0; i < zones->conf->pools_n; i++) {
		for (size_t k = 0; k < zones->pools[i]->mirrors_n && n < 3; k++) {
			const char *other = zones->pools[i]->mirrors[k].host;
			if (conf_distance(host, other) > 3 && (len < 3 || !strstr(other, host)))
				continue;
			int more = snprintf(near + used, sizeof(near) - used, "%s%s", n ? ", " : "", other);
			if (more < 0 || (size_t)more >= sizeof(near) - used)
				break;
			used += (size_t)more;
			n++;
		}
	}
	near[used] = '\0';
	return response_error("there is no mirror \"%.253s\"%s%s%s", host, n ? "; did you mean " : "", near,
	                      n ? "?" : "; \"dnsdctl pool show\" lists them");
}

/* A length of time given as text; 0 when the key is not there. Returns false when it is no duration. */
static bool get_duration(const json_t *body, const char *key, uint64_t *ret_s)
{
	const char *text = object_get_text(body, key);
	uint64_t ms = 0;
	*ret_s = 0;
	if (!json_object_get(body, key))
		return true;
	if (!text || conf_parse_duration(text, &ms) < 0 || ms < 1000 || ms / 1000 > FOR_MAX_S)
		return false;
	*ret_s = ms / 1000;
	return true;
}

/* When it begins and ends. Returns NULL or what is wrong. */
static json_t *read_times(const json_t *body, const struct pool *pool, uint64_t now_s, struct override *ret)
{
	uint64_t for_s;
	uint64_t in_s;
	const char *at = object_get_text(body, "at");
	if (!get_duration(body, "for", &for_s) || !get_duration(body, "in", &in_s))
		return response_error(
		        "for and in are lengths of time from 1s to 366d, such as 90s, 2h or 1d");
	ret->from_s = now_s;
	if (ret->action == OVERRIDE_DRAIN)
		ret->from_s += pool->conf->ttl_s;
	if (in_s)
		ret->from_s = now_s + in_s;
	if (at && (utc_parse(at, &ret->from_s) < 0 || ret->from_s < now_s || ret->from_s > now_s + FOR_MAX_S))
		return response_error("at is a time to come such as 2026-12-01T02:00:00Z");
	ret->until_s = for_s ? ret->from_s + for_s : 0;
	return NULL;
}

/* It ends up in the log, where a line is a record, and on terminals. */
static bool has_control(const char *text)
{
	for (; *text; text++) {
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			return true;
	}
	return false;
}

/* What an override says, checked. Returns NULL or what is wrong. */
static json_t *read_override(const struct zones *zones, const json_t *body, const char *author,
                             uint64_t now_s, size_t *ret_pool, struct override *ret)
{
	const char *host = object_get_text(body, "mirror");
	const char *reason = object_get_text(body, "reason");
	const char *action = object_get_text(body, "action");
	if (!host || !action)
		return response_error("a mirror and what to do with it are needed");
	int pool = find_mirror(zones, object_get_text(body, "pool"), host);
	if (pool < 0)
		return unknown_mirror(zones, host);
	*ret_pool = (size_t)pool;
	*ret = (struct override){ .pool = zones->conf->pools[pool].name,
		                  .host = host,
		                  .action = override_action_from_text(action),
		                  .set_s = now_s,
		                  .author = author,
		                  .reason = reason };
	if (strcmp(action, "auto") == 0)
		return NULL;
	if (ret->action == OVERRIDE_ACTION_N)
		return response_error("\"%.40s\" is none of down, drain, up, auto", action);
	if (!reason || !*reason || strlen(reason) > REASON_TEXT_MAX)
		return response_error("say why with a reason of 1 to %d bytes: others will want to know",
		                      REASON_TEXT_MAX);
	if (has_control(reason))
		return response_error("a reason has no control character; write it on one line");
	return read_times(body, zones->pools[pool], now_s, ret);
}

static json_t *mirror_response(const struct zones *zones, size_t pool, const struct override *override,
                               bool is_auto, const char *warning)
{
	const struct pool *p = zones->pools[pool];
	int number = pool_find_mirror(p, override->host);
	json_t *result = history_mirror_state(&p->mirrors[number], &zones->feeds[pool].state.mirrors[number]);
	if (!result)
		return NULL;
	const struct mirror_state *state = &zones->feeds[pool].state.mirrors[number];
	json_object_set_new(result, "pool", json_string(p->conf->name));
	json_object_set_new(result, "mirror", json_string(override->host));
	json_object_set_new(result, "state",
	                    json_string(state->reason == REASON_NONE ? "in" : reason_text(state->reason)));
	json_object_set_new(result, "override", is_auto ? json_null() : override_to_json(override));
	json_t *response = response_done(result);
	if (response && warning)
		json_object_set_new(response, "warning", json_string(warning));
	return response;
}

static json_t *command_mirror(struct job *job, const json_t *body)
{
	const struct server *server = job->server;
	struct zones *zones = server->load->zones;
	uint64_t now_s = utc_now();
	char author[COMMAND_AUTHOR_MAX];
	size_t pool = 0;
	struct override override = { .host = NULL };
	command_author(job->command->request, author);
	json_t *wrong = read_override(zones, body, author, now_s, &pool, &override);
	if (wrong || !override.host) /* without memory there is not even a message */
		return wrong;
	bool is_auto = override.action == OVERRIDE_ACTION_N;
	const struct override *before = override_set_find(zones->overrides, override.pool, override.host);
	struct override_set *set;
	job->rc = override_set_change(zones->overrides, override.pool, override.host,
	                              is_auto ? NULL : &override, now_s, &set);
	if (job->rc < 0)
		return NULL;
	size_t noted_n = json_array_size(zones->news);
	if (is_auto && before)
		history_note_override(zones->news, before, "taken back", author, now_s);
	else if (!is_auto)
		history_note_override(zones->news, &override, "set", author, now_s);
	job->rc = zones_set_overrides(zones, set, now_s);
	override_set_unref(set);
	if (job->rc < 0) {
		/* What did not come to pass is not in the journal either. */
		while (json_array_size(zones->news) > noted_n)
			json_array_remove(zones->news, json_array_size(zones->news) - 1);
		return NULL;
	}
	job->changed = true;
	job->overrides_changed = true;
	char what[600];
	snprintf(what, sizeof(what), "mirror %s: %s%s%s", override.host,
	         is_auto ? "auto" : override_action_text(override.action), is_auto ? "" : ": ",
	         is_auto ? "" : override.reason);
	log_request(job, author, what);
	const char *warning = server->load->conf->state_dir
	                              ? NULL
	                              : "not kept over a restart: server.state-directory is not set";
	return mirror_response(zones, pool, &override, is_auto, warning);
}

/* --- feeds --- */

/* The pool that is named, or the only one. Returns its number, or -1 with what is wrong. */
static int choose_pool(const struct zones *zones, const json_t *body, json_t **ret_wrong)
{
	const char *name = object_get_text(body, "pool");
	int pool = name ? zones_find_pool(zones, name) : zones->conf->pools_n == 1 ? 0 : -1;
	if (pool >= 0)
		return pool;
	if (name)
		*ret_wrong = response_error("there is no pool \"%.80s\"", name);
	else
		*ret_wrong = response_error(zones->conf->pools_n ? "there are several pools: say which"
		                                                 : "there is no pool");
	return -1;
}

/* Another feed may have come since the operator looked. Returns NULL, or what is wrong. */
static json_t *check_serial(const json_t *body, const char *pool, const struct feed *held)
{
	const json_t *wanted = json_object_get(body, "serial");
	if (wanted && !json_is_integer(wanted))
		return response_error("\"serial\" is the number that \"feed show\" tells");
	if (wanted && held && (uint64_t)json_integer_value(wanted) != held->serial)
		return response_error("the feed of pool %s that is held back has serial %" PRIu64
		                      " by now; look at it with \"dnsdctl feed show\"",
		                      pool, held->serial);
	return NULL;
}

static json_t *command_feed(struct job *job, const json_t *body, const char *action)
{
	bool accept = strcmp(action, "accept") == 0;
	if (!accept && strcmp(action, "reject") != 0)
		return response_error("\"%.40s\" is none of show, accept, reject", action);
	struct zones *zones = job->server->load->zones;
	uint64_t now_s = utc_now();
	char author[COMMAND_AUTHOR_MAX];
	json_t *wrong = NULL;
	int pool = choose_pool(zones, body, &wrong);
	if (pool < 0)
		return wrong;
	command_author(job->command->request, author);
	const struct zones_feed *entry = &zones->feeds[pool];
	uint64_t serial = entry->held ? entry->held->serial : 0;
	wrong = check_serial(body, zones->conf->pools[pool].name, entry->held);
	if (wrong)
		return wrong;
	int rc = accept ? zones_accept_feed(zones, (size_t)pool, author, now_s)
	                : zones_reject_feed(zones, (size_t)pool, author, now_s);
	if (rc == -ENOENT)
		return response_error("no feed of pool %s is held back", zones->conf->pools[pool].name);
	if (rc == -EINVAL)
		return response_error(
		        "this feed has no serial by which to know it again; mend the feed itself");
	job->rc = rc;
	if (rc < 0)
		return NULL;
	job->changed = true;
	char what[160];
	snprintf(what, sizeof(what), "feed of pool %s serial %" PRIu64 " %s", zones->conf->pools[pool].name,
	         serial, accept ? "accepted" : "rejected");
	log_request(job, author, what);
	return response_done(explain_feed(zones, (size_t)pool));
}

/* --- the rest --- */

static json_t *command_log(struct job *job, const json_t *body)
{
	static const char *const word[] = { "error", "warning", "info", "debug" };
	const char *level = object_get_text(body, "level");
	if (level) {
		int number = 0;
		while (number < 4 && strcmp(word[number], level) != 0)
			number++;
		if (number == 4)
			return response_error("\"%.40s\" is none of error, warning, info, debug", level);
		char author[COMMAND_AUTHOR_MAX];
		char what[64];
		snprintf(what, sizeof(what), "log level %s", level);
		log_request(job, command_author(job->command->request, author), what);
		log_set_level((enum log_level)number);
	}
	return response_done(json_pack("{ss}", "level", word[log_get_level()]));
}

json_t *command_reload_response(const struct server *server, const struct diag *diag, int rc)
{
	static const char *const word[] = { "error", "warning", "info" };
	json_t *messages = json_array();
	for (size_t i = 0; i < diag->messages_n; i++) {
		json_array_append_new(messages, json_pack("{ssso}", "level", word[diag->messages[i].level],
		                                          "text", object_text(diag->messages[i].text)));
	}
	if (rc < 0)
		return json_pack("{sbssso}", "ok", 0, "error",
		                 rc == -EINVAL ? "the configuration has errors, nothing has changed"
		                               : strerror(-rc),
		                 "messages", messages);
	return json_pack("{sbs{sIso}}", "ok", 1, "result", "generation", (json_int_t)server->generation,
	                 "messages", messages);
}

/* A value of another type is not there for who reads it: "at" as a number would mean now. Returns NULL or
 * what is wrong. */
static json_t *check_types(const json_t *body)
{
	static const char *const texts[] = { "command", "action", "mirror", "pool",     "reason",
		                             "at",      "for",    "in",     "name",     "address",
		                             "from",    "ecs",    "level",  "sudo-user" };
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		const json_t *value = json_object_get(body, texts[i]);
		if (value && !json_is_string(value))
			return response_error("\"%s\" is text; write it in quotes", texts[i]);
	}
	return NULL;
}

void command_run(struct job *job)
{
	const struct server *server = job->server;
	const json_t *body = job->command->request->body;
	const char *name = object_get_text(body, "command");
	const char *action = object_get_text(body, "action");
	struct inspect inspect = { .load = server->load,
		                   .data = &server->snap->data,
		                   .generation = server->generation };
	bool known = true;
	json_t *wrong = check_types(body);
	if (wrong)
		job->response = wrong;
	else if (!name)
		job->response = response_error("a request names a \"command\"");
	else if (strcmp(name, "status") == 0)
		job->response = response_done(command_status(server));
	else if (strcmp(name, "stats") == 0)
		job->response = response_done(command_stats(server));
	else if (strcmp(name, "mirror") == 0)
		job->response = command_mirror(job, body);
	else if (strcmp(name, "feed") == 0 && action && strcmp(action, "show") != 0)
		job->response = command_feed(job, body, action);
	else if (strcmp(name, "log") == 0)
		job->response = command_log(job, body);
	else
		job->response = inspect_run(&inspect, body, &known);
	if (!known)
		job->response = response_error("there is no command \"%.40s\"", name);
}
