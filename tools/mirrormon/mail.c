#include "mirrormon/mail_int.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/grow.h"
#include "base/object.h"
#include "base/utc.h"

#define FORMAT          1
#define FILE_MAX_BYTES  (16 << 20)
#define INCIDENTS_MAX   20000
#define STORM_MIRRORS   3     /* in a pool of four, one that fails is no storm */
#define STORM_CHECKS    2     /* who began to fail within so many check intervals did so at once, */
#define STORM_WINDOW_S  600   /* and within this where they are short */
#define STORM_CALM_S    600   /* so long few enough, then it is over */
#define STORM_MAX_S     86400 /* what lasts longer is no longer at once: admins have to hear of it */
#define SELF_PATIENCE_S 600

static const char *const step_words[] = { "team", "admin", "address-out", "out" };

void letters_fini(struct letters *letters)
{
	for (size_t i = 0; i < letters->n; i++) {
		free(letters->items[i].to);
		free(letters->items[i].text);
	}
	free(letters->items);
	*letters = (struct letters){ 0 };
}

struct incidents *incidents_create(void)
{
	return calloc(1, sizeof(struct incidents));
}

void incidents_destroy(struct incidents *incidents)
{
	if (incidents)
		free(incidents->items);
	free(incidents);
}

static int compare_hosts(const void *a, const void *b)
{
	return strcmp(((const struct incident *)a)->host, ((const struct incident *)b)->host);
}

/* --- kept over restarts --- */

static uint64_t get_time(const json_t *object, const char *key)
{
	const char *text = object_get_text(object, key);
	uint64_t at_s;
	return text && utc_parse(text, &at_s) == 0 ? at_s : 0;
}

static int find_step(const char *word)
{
	for (int i = 0; word && i < MAIL_RECOVERED; i++) {
		if (strcmp(step_words[i], word) == 0)
			return i;
	}
	return -1;
}

static int parse_incident(const json_t *object, struct incident *incident)
{
	const char *host = object_get_text(object, "mirror");
	const char *reason = object_get_text(object, "reason");
	const json_t *steps = json_object_get(object, "steps");
	if (!host || !*host || strlen(host) >= sizeof(incident->host) || !reason)
		return -EINVAL;
	*incident = (struct incident){
		.since_s = get_time(object, "since"),
		.reason = reason_from_text(reason),
		.team_heard = json_is_true(json_object_get(object, "team-heard")),
		.admin_heard = json_is_true(json_object_get(object, "admin-heard")),
		.first = find_step(object_get_text(object, "first")),
		.last = find_step(object_get_text(object, "last")),
	};
	strcpy(incident->host, host);
	for (size_t i = 0; i < json_array_size(steps); i++) {
		int step = find_step(json_string_value(json_array_get(steps, i)));
		if (step < 0)
			return -EINVAL;
		incident->steps |= 1U << step;
	}
	bool has_thread = incident->first >= 0;
	if (!incident->since_s || incident->reason == REASON_N || has_thread != (incident->last >= 0))
		return -EINVAL;
	return 0;
}

static int parse_incidents(const json_t *root, struct incidents *incidents)
{
	const json_t *list = json_object_get(root, "incidents");
	size_t n = json_array_size(list);
	if (json_integer_value(json_object_get(root, "format")) != FORMAT || !json_is_array(list) ||
	    n > INCIDENTS_MAX)
		return -EINVAL;
	struct incident *items = calloc(n ? n : 1, sizeof(*items));
	if (!items)
		return -ENOMEM;
	int rc = 0;
	for (size_t i = 0; i < n && rc == 0; i++)
		rc = parse_incident(json_array_get(list, i), &items[i]);
	if (rc == 0)
		qsort(items, n, sizeof(*items), compare_hosts);
	for (size_t i = 1; i < n && rc == 0; i++)
		rc = strcmp(items[i - 1].host, items[i].host) == 0 ? -EINVAL : 0;
	if (rc < 0) {
		free(items);
		return rc;
	}
	free(incidents->items);
	*incidents = (struct incidents){ .items = items,
		                         .n = n,
		                         .storm_s = get_time(root, "many-since"),
		                         .calm_s = get_time(root, "calm-since"),
		                         .self_s = get_time(root, "self-since") };
	return 0;
}

int incidents_load(struct incidents *incidents, const char *path, struct diag *diag)
{
	char *text;
	size_t len;
	const char *why;
	json_error_t error;
	free(incidents->items);
	*incidents = (struct incidents){ 0 };
	int rc = file_read(path, FILE_MAX_BYTES, &text, &len, &why);
	if (rc == -ENOENT)
		return 0;
	if (rc < 0) {
		diag_error(diag, path, 0, "can't be read: %s; what was told by mail may be told once more",
		           why);
		return rc;
	}
	json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);
	free(text);
	if (!root) {
		diag_error(diag, path, error.line > 0 ? (unsigned)error.line : 0,
		           "%s; it is begun anew, and what was told by mail may be told once more",
		           error.text);
		return -EINVAL;
	}
	rc = parse_incidents(root, incidents);
	json_decref(root);
	if (rc < 0)
		diag_error(diag, path, 0,
		           "it does not hold incidents as mirrormon writes them; it is begun anew, and what "
		           "was told by "
		           "mail may be told once more");
	return rc;
}

static json_t *format_incident(const struct incident *incident)
{
	json_t *object = json_object();
	json_t *steps = json_array();
	object_set_text(object, "mirror", incident->host);
	object_set_time(object, "since", incident->since_s);
	object_set_text(object, "reason", reason_text(incident->reason));
	for (int i = 0; i < MAIL_RECOVERED; i++) {
		if (incident->steps & 1U << i)
			json_array_append_new(steps, json_string(step_words[i]));
	}
	json_object_set_new(object, "steps", steps);
	json_object_set_new(object, "team-heard", json_boolean(incident->team_heard));
	json_object_set_new(object, "admin-heard", json_boolean(incident->admin_heard));
	object_set_text(object, "first", incident->first >= 0 ? step_words[incident->first] : NULL);
	object_set_text(object, "last", incident->last >= 0 ? step_words[incident->last] : NULL);
	return object;
}

int incidents_save(const struct incidents *incidents, const char *path, struct diag *diag)
{
	json_t *root = json_object();
	json_t *list = json_array();
	json_object_set_new(root, "format", json_integer(FORMAT));
	object_set_time(root, "many-since", incidents->storm_s);
	object_set_time(root, "calm-since", incidents->calm_s);
	object_set_time(root, "self-since", incidents->self_s);
	for (size_t i = 0; i < incidents->n; i++)
		json_array_append_new(list, format_incident(&incidents->items[i]));
	bool is_whole = json_array_size(list) == incidents->n;
	json_object_set_new(root, "incidents", list);
	size_t len;
	char *text = is_whole ? object_dump(root, JSON_INDENT(1), "", &len) : NULL;
	json_decref(root);
	int rc = text ? file_replace(path, text, len) : -ENOMEM;
	free(text);
	if (rc < 0)
		diag_error(diag, path, 0, "can't be written: %s; after a restart, mails may come once more",
		           strerror(-rc));
	return rc;
}

/* --- the plan --- */

/* A plan that is being made: incidents and letters as they will be. */
struct plan {
	const struct view *view;
	struct history *history;
	const struct incidents *before;
	struct incidents after;
	struct grow incidents;
	struct grow letters;
};

static const struct incident *find_incident(const struct incidents *incidents, const char *host)
{
	struct incident key;
	if (strlen(host) >= sizeof(key.host) || !incidents->n)
		return NULL;
	strcpy(key.host, host);
	return bsearch(&key, incidents->items, incidents->n, sizeof(key), compare_hosts);
}

static int add_letter(struct plan *plan, const struct letter *letter)
{
	struct letter *added = grow_add(&plan->letters, 1);
	if (!added) {
		free(letter->to);
		free(letter->text);
		return -ENOMEM;
	}
	*added = *letter;
	return 0;
}

static int say_digest(struct plan *plan, enum mail_digest digest, uint64_t since_s, size_t at_once_n)
{
	struct letter letter;
	int rc = mail_write_digest(plan->view, digest, since_s, at_once_n, &letter);
	return rc < 0 ? rc : add_letter(plan, &letter);
}

/* One letter to all who hear of this step. */
static int say_step(struct plan *plan, const struct mirror_view *mirror, struct incident *incident,
                    enum mail_step step, bool to_team, bool to_admin)
{
	const char *team = plan->view->conf->mail.team;
	char admin[MAIL_ADDRESS_MAX];
	char to[2 * MAIL_ADDRESS_MAX + 2] = "";
	struct letter letter;
	to_admin = to_admin && mirror->admin && mail_admin_address(mirror->admin, admin, sizeof(admin)) == 0;
	if (to_admin)
		strcpy(to, admin);
	if (to_team && !(to_admin && strcmp(admin, team) == 0))
		strcat(strcat(to, to_admin ? ", " : ""), team);
	if (!to_team && !to_admin)
		return 0;
	int rc = mail_write_step(plan->view, mirror, incident, step, to, plan->history, &letter);
	if (rc < 0 || (rc = add_letter(plan, &letter)) < 0)
		return rc;
	incident->team_heard |= to_team;
	incident->admin_heard |= to_admin;
	incident->last = (int)step;
	if (incident->first < 0)
		incident->first = (int)step;
	return 0;
}

/* What has to be said of a mirror that is not well. */
static int say_next(struct plan *plan, const struct mirror_view *mirror, const struct mail_state *state,
                    struct incident *incident)
{
	const struct conf_monitor *conf = plan->view->conf;
	uint64_t patience_s = (uint64_t)conf->mail.admin_after * conf->checks.interval_ms / 1000;
	/* Lateness shows in checks that do not fail. */
	bool admin_is_due = state->failures_n >= conf->mail.admin_after ||
	                    plan->view->now_s >= incident->since_s + patience_s;
	unsigned out = 1U << MAIL_TEAM | 1U << MAIL_ADMIN | 1U << MAIL_PART_OUT;
	enum mail_step step;
	bool to_team = true;
	bool to_admin = true;
	if (state->is_out && !(incident->steps & 1U << MAIL_OUT)) {
		step = MAIL_OUT;
		incident->steps |= out | 1U << MAIL_OUT;
	} else if (state->is_part_out && !(incident->steps & 1U << MAIL_PART_OUT)) {
		step = MAIL_PART_OUT;
		incident->steps |= out;
	} else if (admin_is_due && !(incident->steps & 1U << MAIL_ADMIN)) {
		step = MAIL_ADMIN;
		to_team = !(incident->steps & 1U << MAIL_TEAM);
		incident->steps |= 1U << MAIL_TEAM | 1U << MAIL_ADMIN;
	} else if (!(incident->steps & 1U << MAIL_TEAM)) {
		step = MAIL_TEAM;
		to_admin = false;
		incident->steps |= 1U << MAIL_TEAM;
	} else {
		return 0;
	}
	return say_step(plan, mirror, incident, step, to_team, to_admin);
}

/** When the trouble of a mirror that is not well began. A clock that went back: now. */
static uint64_t begin_of(const struct plan *plan, const struct mirror_view *mirror,
                         const struct mail_state *state)
{
	const struct incident *before = find_incident(plan->before, mirror->host);
	uint64_t now_s = plan->view->now_s;
	uint64_t since_s = before ? before->since_s : state->since_s;
	return since_s && since_s < now_s ? since_s : now_s;
}

static int plan_mirror(struct plan *plan, const struct mirror_view *mirror, bool was_storm, bool is_storm)
{
	struct mail_state state = mail_state_of(mirror);
	const struct incident *before = find_incident(plan->before, mirror->host);
	struct incident incident = { .reason = state.reason, .first = -1, .last = -1 };
	bool is_well = state.reason == REASON_NONE;
	if (strlen(mirror->host) >= sizeof(incident.host) || (!before && (is_well || mirror->in_maintenance)))
		return 0;
	if (before)
		incident = *before;
	strcpy(incident.host, mirror->host);
	incident.since_s = begin_of(plan, mirror, &state);
	int rc = 0;
	if (is_well && !is_storm && !mirror->in_maintenance) {
		if (incident.team_heard || incident.admin_heard)
			rc = say_step(plan, mirror, &incident, MAIL_RECOVERED, incident.team_heard,
			              incident.admin_heard);
		return rc;
	}
	if (!is_well)
		incident.reason = state.reason;
	if (was_storm && !is_storm && !is_well && !mirror->in_maintenance) {
		/* The letter that it is over names it. */
		incident.steps |= 1U << MAIL_TEAM;
		incident.team_heard = true;
	}
	if (!is_storm && !mirror->in_maintenance)
		rc = say_next(plan, mirror, &state, &incident);
	struct incident *added = rc == 0 ? grow_add(&plan->incidents, 1) : NULL;
	if (!added)
		return -ENOMEM;
	*added = incident;
	return 0;
}

/**
 * Who is not well and began to fail at about that time or since. Those that have failed for longer, one after
 * the other, are no storm, however many they have become.
 */
static size_t count_at_once(const struct plan *plan, uint64_t at_s)
{
	const struct view *view = plan->view;
	uint64_t window_s = STORM_CHECKS * (uint64_t)view->conf->checks.interval_ms / 1000;
	if (window_s < STORM_WINDOW_S)
		window_s = STORM_WINDOW_S;
	size_t n = 0;
	for (size_t i = 0; i < view->mirrors_n; i++) {
		const struct mirror_view *mirror = &view->mirrors[i];
		struct mail_state state = mail_state_of(mirror);
		n += !mirror->in_maintenance && state.reason != REASON_NONE &&
		     begin_of(plan, mirror, &state) + window_s >= at_s;
	}
	return n;
}

/* Have too many begun to fail at once? Sets what holds from now on; its letters. */
static int plan_storm(struct plan *plan)
{
	const struct view *view = plan->view;
	struct incidents *after = &plan->after;
	uint64_t since_s = after->storm_s;
	/* A clock that went back begins each wait anew. */
	if (after->storm_s > view->now_s)
		after->storm_s = view->now_s;
	bool is_too_long = after->storm_s && view->now_s - after->storm_s >= STORM_MAX_S;
	if (is_too_long)
		after->storm_s = after->calm_s = 0;
	size_t n = count_at_once(plan, after->storm_s ? after->storm_s : view->now_s);
	bool are_many = n >= STORM_MIRRORS &&
	                (uint64_t)n * 100 > (uint64_t)view->conf->mail.digest_over_percent * view->mirrors_n;
	if (are_many) {
		after->calm_s = 0;
		if (after->storm_s)
			return 0;
		after->storm_s = view->now_s;
		return say_digest(plan, MAIL_STORM, after->storm_s, n);
	}
	if (is_too_long)
		return say_digest(plan, MAIL_STORM_LASTS, since_s, n);
	if (!after->storm_s)
		return 0;
	if (!after->calm_s || after->calm_s > view->now_s)
		after->calm_s = view->now_s;
	if (view->now_s - after->calm_s < STORM_CALM_S)
		return 0;
	after->storm_s = after->calm_s = 0;
	return say_digest(plan, MAIL_STORM_OVER, since_s, n);
}

static int plan_self(struct plan *plan)
{
	const struct view *view = plan->view;
	if (view->self_ok && plan->after.self_s) {
		uint64_t since_s = plan->after.self_s;
		plan->after.self_s = 0;
		return say_digest(plan, MAIL_SELF_OVER, since_s, 0);
	}
	if (view->self_ok || plan->after.self_s || view->now_s < view->self_since_s + SELF_PATIENCE_S)
		return 0;
	plan->after.self_s = view->self_since_s ? view->self_since_s : view->now_s;
	return say_digest(plan, MAIL_SELF, plan->after.self_s, 0);
}

static int plan_all(struct plan *plan)
{
	const struct view *view = plan->view;
	int rc = plan_self(plan);
	if (rc < 0)
		return rc;
	if (!view->self_ok) {
		/* Nothing was decided: nothing of mirrors is said. */
		struct incident *items = plan->before->n ? grow_add(&plan->incidents, plan->before->n) : NULL;
		if (items)
			memcpy(items, plan->before->items, plan->before->n * sizeof(*items));
		return items || !plan->before->n ? 0 : -ENOMEM;
	}
	bool was_storm = plan->after.storm_s != 0;
	if ((rc = plan_storm(plan)) < 0)
		return rc;
	for (size_t i = 0; i < view->mirrors_n && rc == 0; i++)
		rc = plan_mirror(plan, &view->mirrors[i], was_storm, plan->after.storm_s != 0);
	return rc;
}

int mail_plan(struct incidents *incidents, const struct view *view, struct history *history,
              struct letters *ret_letters)
{
	const char *team = view->conf->mail.team;
	if (!team || !mail_is_address(team, strlen(team))) {
		*ret_letters = (struct letters){ 0 };
		return 0;
	}
	struct plan plan = { .view = view, .history = history, .before = incidents, .after = *incidents };
	grow_init(&plan.incidents, sizeof(struct incident));
	grow_init(&plan.letters, sizeof(struct letter));
	int rc = plan_all(&plan);
	struct letters letters = { .n = plan.letters.n };
	letters.items = grow_take(&plan.letters);
	if (rc < 0) {
		letters_fini(&letters);
		grow_fini(&plan.incidents);
		return rc;
	}
	plan.after.n = plan.incidents.n;
	plan.after.items = grow_take(&plan.incidents);
	if (plan.after.n)
		qsort(plan.after.items, plan.after.n, sizeof(struct incident), compare_hosts);
	free(incidents->items);
	*incidents = plan.after;
	*ret_letters = letters;
	return 0;
}
