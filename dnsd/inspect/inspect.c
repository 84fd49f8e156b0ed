#include "inspect/inspect.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "answer/answer.h"
#include "answer/pools_build.h"
#include "base/object.h"
#include "base/utc.h"
#include "inspect/response.h"
#include "wire/name.h"
#include "wire/request.h"
#include "wire/wire.h"
#include "zones/explain.h"

/* --- now and in the past --- */

/* The zones and answers of a moment. */
struct view {
	struct zones *zones;
	struct answer_data data;
	uint64_t at_s;
	struct zones past;
	struct answer_pools *past_pools; /* NULL: it is now */
};

static json_t *diag_response(const struct diag *diag, int rc)
{
	for (size_t i = 0; i < diag->messages_n; i++) {
		if (diag->messages[i].level == DIAG_ERROR)
			return response_error("%s", diag->messages[i].text);
	}
	return response_error("cannot look back: %s", strerror(-rc));
}

/* Returns NULL or what is wrong. */
static json_t *view_begin(const struct inspect *inspect, const json_t *body, struct view *view)
{
	const struct load *load = inspect->load;
	const char *at = object_get_text(body, "at");
	*view = (struct view){ .zones = load->zones, .data = *inspect->data, .at_s = utc_now() };
	if (!at)
		return NULL;
	if (utc_parse(at, &view->at_s) < 0 || view->at_s > utc_now())
		return response_error("at is a time that has been, such as 2026-11-21T07:00:00Z");
	if (!load->conf->state_dir)
		return response_error("there is no journal: server.state-directory is not set");
	struct diag diag;
	diag_init(&diag);
	int rc = explain_past_begin(load->zones, load->conf->state_dir, view->at_s, &diag, &view->past);
	json_t *wrong = rc < 0 ? diag_response(&diag, rc) : NULL;
	diag_fini(&diag);
	if (wrong)
		return wrong;
	rc = zones_compile(&view->past, version_clock_now(), &view->past_pools);
	if (rc < 0) {
		explain_past_end(&view->past);
		return response_error("cannot look back: %s", strerror(-rc));
	}
	view->zones = &view->past;
	view->data.pools = view->past_pools;
	return NULL;
}

static void view_end(struct view *view)
{
	if (!view->past_pools)
		return;
	answer_pools_unref(view->past_pools);
	explain_past_end(&view->past);
}

static json_t *show_pool(const struct inspect *inspect, const json_t *body)
{
	struct view view;
	const char *name = object_get_text(body, "pool");
	const struct zones *zones = inspect->load->zones;
	if (name && zones_find_pool(zones, name) < 0)
		return response_error("there is no pool \"%.80s\"", name);
	json_t *wrong = view_begin(inspect, body, &view);
	if (wrong)
		return wrong;
	json_t *list = json_array();
	for (size_t i = 0; i < zones->conf->pools_n; i++) {
		if (!name || strcmp(zones->conf->pools[i].name, name) == 0)
			json_array_append_new(list, explain_pool(view.zones, i));
	}
	view_end(&view);
	return response_done(list);
}

/* --- questions --- */

/* Name, type, who asks. Returns NULL or what is wrong. */
static json_t *read_question(const json_t *body, uint8_t name[WIRE_NAME_MAX], struct prefix *subnet,
                             struct explain_question *ret)
{
	const char *text = object_get_text(body, "name");
	const char *from = object_get_text(body, "from");
	const char *ecs = object_get_text(body, "ecs");
	const json_t *type = json_object_get(body, "type");
	int len = text ? name_from_text(text, NULL, 0, name) : -1;
	if (len < 0)
		return response_error("\"%.300s\" is no domain name", text ? text : "");
	name_lower(name, (size_t)len);
	*ret = (struct explain_question){ .name = name, .name_len = (size_t)len, .type = WIRE_TYPE_A };
	if (type &&
	    (!json_is_integer(type) || json_integer_value(type) < 1 || json_integer_value(type) > 65535))
		return response_error("type is the number of a record type");
	if (type)
		ret->type = (uint16_t)json_integer_value(type);
	if (addr_parse(from ? from : "127.0.0.1", &ret->from) < 0)
		return response_error("\"%.80s\" is no address", from);
	if (ecs && prefix_parse(ecs, subnet) < 0)
		return response_error("\"%.80s\" is no prefix; write something like 192.0.2.0/24", ecs);
	ret->subnet = ecs ? subnet : NULL;
	return NULL;
}

static json_t *explain(const struct inspect *inspect, const json_t *body)
{
	uint8_t name[WIRE_NAME_MAX];
	struct prefix subnet;
	struct explain_question question = { .name = NULL };
	struct view view;
	json_t *result = NULL;
	json_t *wrong = read_question(body, name, &subnet, &question);
	if (wrong || !question.name) /* without memory there is not even a message */
		return wrong;
	wrong = view_begin(inspect, body, &view);
	if (wrong)
		return wrong;
	int rc = explain_question(view.zones, &view.data, &question, &result);
	if (rc == 0) {
		object_set_time(result, "time", view.at_s);
		if (!view.past_pools && inspect->generation)
			object_set_number(result, "generation", inspect->generation);
	}
	view_end(&view);
	return rc == 0 ? response_done(result) : NULL;
}

static json_t *hex_text(const uint8_t *bytes, size_t len)
{
	static const char digits[] = "0123456789abcdef";
	char *text = malloc(len * 2 + 1);
	if (!text)
		return NULL;
	for (size_t i = 0; i < len; i++) {
		text[i * 2] = digits[bytes[i] >> 4];
		text[i * 2 + 1] = digits[bytes[i] & 15];
	}
	json_t *value = json_stringn(text, len * 2);
	free(text);
	return value;
}

/* The answer's bytes, for the client to print as it likes. */
static json_t *query(const struct inspect *inspect, const json_t *body)
{
	uint8_t name[WIRE_NAME_MAX];
	uint8_t req[WIRE_REQUEST_MAX];
	struct prefix subnet;
	struct explain_question question = { .name = NULL };
	struct sockaddr_storage peer;
	json_t *wrong = read_question(body, name, &subnet, &question);
	if (wrong || !question.name) /* without memory there is not even a message */
		return wrong;
	struct answer_state *state = calloc(1, sizeof(*state));
	uint8_t *resp = malloc(ANSWER_TCP_MAX);
	json_t *response = NULL;
	if (state && resp) {
		size_t req_len = wire_request_make(name, question.name_len, question.type, WIRE_CLASS_IN,
		                                   ANSWER_UDP_MAX, question.subnet, req);
		addr_to_sockaddr(&question.from, 53, &peer);
		struct client client = { .peer = (const struct sockaddr *)&peer, .transport = TRANSPORT_TCP };
		size_t len = answer_query(inspect->data, &client, req, req_len, resp, ANSWER_TCP_MAX, state);
		response = response_done(json_pack("{so}", "message", hex_text(resp, len)));
	}
	free(state);
	free(resp);
	return response;
}

static json_t *look_up(const struct inspect *inspect, const json_t *body)
{
	const char *text = object_get_text(body, "address");
	struct addr addr;
	struct geo_match match;
	if (!text || addr_parse(text, &addr) < 0)
		return response_error("\"%.80s\" is no address", text ? text : "");
	geo_map_find(inspect->load->geo, &addr, &match);
	struct prefix network = { .addr = addr, .len = match.prefix_len };
	prefix_mask(&network);
	char country[3];
	char network_text[ADDR_TEXT_MAX];
	country_to_code(match.country, country);
	return response_done(json_pack("{ssssss}", "address", text, "country", country, "network",
	                               prefix_format(&network, network_text, sizeof(network_text))));
}

static json_t *show_feed(const struct inspect *inspect, const json_t *body)
{
	const struct zones *zones = inspect->load->zones;
	const char *name = object_get_text(body, "pool");
	if (name && zones_find_pool(zones, name) < 0)
		return response_error("there is no pool \"%.80s\"", name);
	json_t *list = json_array();
	for (size_t i = 0; i < zones->conf->pools_n; i++) {
		if (!name || strcmp(zones->conf->pools[i].name, name) == 0)
			json_array_append_new(list, explain_feed(zones, i));
	}
	return response_done(list);
}

static json_t *show_version(const struct inspect *inspect, const json_t *body)
{
	(void)body;
	return response_done(explain_versions(inspect->load->zones));
}

json_t *inspect_run(const struct inspect *inspect, const json_t *body, bool *ret_known)
{
	static const struct {
		const char *command;
		json_t *(*run)(const struct inspect *inspect, const json_t *body);
	} commands[] = {
		{ "explain", explain }, { "query", query },    { "geo", look_up },
		{ "pool", show_pool },  { "feed", show_feed }, { "version", show_version },
	};
	const char *command = object_get_text(body, "command");
	for (size_t i = 0; command && i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(command, commands[i].command) == 0) {
			*ret_known = true;
			return commands[i].run(inspect, body);
		}
	}
	*ret_known = false;
	return NULL;
}
