#include "server/startup.h"

#include <errno.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#include "base/log.h"

/* How long another server may take to give up its addresses. */
#define FREE_STEP_MS 50
#define FREE_STEPS_N 60

/* --- reading --- */

/* conf: what was read already, since start_ns, taken over; NULL = read it. */
static int load(const char *conf_path, struct conf *conf, uint64_t start_ns, const struct load *unused,
                struct diag *diag, struct load **ret_load)
{
	int rc = conf ? 0 : conf_load(conf_path, diag, &conf);
	if (rc < 0)
		return rc;
	return load_create_of(conf, (uint32_t)((uv_hrtime() - start_ns) / 1000000), unused, diag, ret_load);
}

static int load_as_user(const char *conf_path, struct conf *conf, uint64_t start_ns,
                        const struct load *unused, const struct privileges *privileges, struct diag *diag,
                        struct load **ret_load)
{
	int rc = privileges_borrow(privileges);
	if (rc == 0) {
		rc = load(conf_path, conf, start_ns, unused, diag, ret_load);
		if (rc < 0 && privileges->changes)
			diag_info(diag,
			          "all of this was read with the rights of user \"%s\" (server.user), as a "
			          "reload will",
			          privileges->user);
		else if (rc == 0 && privileges->user[0] && (*ret_load)->conf->state_dir &&
		         privileges_check_state(privileges, (*ret_load)->conf->state_dir, diag) < 0)
			rc = -EINVAL;
		int back_rc = privileges_return(privileges);
		if (back_rc < 0)
			rc = back_rc;
	} else {
		conf_destroy(conf);
		diag_error(diag, NULL, 0, "cannot become user \"%s\": %s", privileges->user, strerror(-rc));
	}
	if (rc < 0) {
		load_destroy(*ret_load);
		*ret_load = NULL;
	}
	return rc;
}

int startup_load(const char *conf_path, const struct load *unused, struct privileges *ret_privileges,
                 struct diag *diag, struct load **ret_load)
{
	struct privileges privileges = { 0 };
	struct conf *conf = NULL;
	struct diag first;
	uint64_t start_ns = uv_hrtime();
	diag_init(&first);
	*ret_load = NULL;
	int rc = conf_load(conf_path, &first, &conf);
	if (rc == 0)
		rc = privileges_find(conf->user, conf->group, &first, &privileges);
	if (rc == 0 && privileges.changes) {
		/* Now who we are to become is known. What counts is read with the rights of that user. */
		conf_destroy(conf);
		conf = NULL;
	} else {
		diag_move(&first, diag);
	}
	diag_fini(&first);
	if (rc < 0) {
		conf_destroy(conf);
		return rc;
	}
	rc = load_as_user(conf_path, conf, start_ns, unused, &privileges, diag, ret_load);
	if (rc == 0)
		*ret_privileges = privileges;
	return rc;
}

/* --- listeners --- */

/* before: sockets that somebody else has opened, or NULL. */
static int bind_beside(const struct bindings *before, const struct conf *conf, unsigned workers_n,
                       const struct privileges *privileges, struct diag *diag, struct bindings **ret_bindings)
{
	if (before && geteuid() == 0)
		bindings_give(before, privileges->changes ? privileges->uid : 0);
	privileges_begin_sockets(privileges);
	int rc = bindings_create(before, conf, workers_n, diag, ret_bindings);
	privileges_end_sockets(privileges);
	return rc;
}

/* One that has just been told to stop has closed its sockets in a moment; another is still there then, and an
 * error. */
static int bind_in_time(const struct bindings *before, const struct conf *conf, unsigned workers_n,
                        const struct privileges *privileges, struct diag *diag,
                        struct bindings **ret_bindings)
{
	static const struct timespec step = { .tv_nsec = FREE_STEP_MS * 1000000L };
	for (unsigned i = 0;; i++) {
		struct diag told;
		diag_init(&told);
		int rc = bind_beside(before, conf, workers_n, privileges, &told, ret_bindings);
		bool again = rc == -EADDRINUSE && i < FREE_STEPS_N;
		if (!again)
			diag_move(&told, diag);
		diag_fini(&told);
		if (!again)
			return rc;
		nanosleep(&step, NULL);
	}
}

int startup_bind(const struct conf *conf, unsigned workers_n, const struct bindings *passed,
                 struct activation *given, const struct privileges *privileges, struct diag *diag,
                 struct bindings **ret_bindings)
{
	struct bindings *adopted = NULL;
	if (passed)
		return bind_beside(passed, conf, workers_n, privileges, diag, ret_bindings);
	int rc = 0;
	if (given->sockets_n)
		rc = bindings_adopt(given, conf->listen, conf->listen_n, workers_n, diag, &adopted);
	if (rc == 0)
		rc = activation_check_taken(given, diag);
	if (rc == 0)
		rc = bind_in_time(adopted, conf, workers_n, privileges, diag, ret_bindings);
	bindings_destroy(adopted);
	return rc;
}

/* --- rights --- */

static int make_filters(struct confinement *confinement)
{
	int rc = 0;
	for (int kind = 0; kind < FILTER_KINDS && rc == 0; kind++)
		rc = filter_create((enum filter_kind)kind, confinement->mode, &confinement->filters[kind]);
	if (rc < 0)
		startup_free(confinement);
	return rc;
}

int startup_drop(const struct conf *conf, struct confinement *confinement, struct diag *diag)
{
	const struct privileges *privileges = &confinement->privileges;
	int rc = privileges_drop(privileges, conf->keep_bind_capability);
	if (rc < 0) {
		diag_error(diag, NULL, 0, "cannot give up the rights of the start: %s", strerror(-rc));
		return rc;
	}
	/* No core file and no debugger of the same user: memory may hold keys. */
	if (privileges->user[0])
		(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	(void)filter_mode_parse(conf->sandbox, &confinement->mode);
	rc = confinement->mode == FILTER_OFF ? 0 : make_filters(confinement);
	if (rc < 0) {
		/* A server that must answer does not stay away for that. */
		confinement->is_unavailable = true;
		diag_warning(diag, NULL, 0,
		             "no sandbox: %s; set server.sandbox = \"off\" if this system is to go without",
		             rc == -ENOSYS ? "this kernel has no seccomp filters" : strerror(-rc));
	}
	if (geteuid() == 0)
		diag_warning(diag, NULL, 0,
		             "the server runs as root; set server.user, and it gives that up once its "
		             "sockets are bound");
	return 0;
}

int startup_confine(const struct confinement *confinement)
{
	if (!confinement->filters[FILTER_MAIN])
		return 0;
	int rc = filter_install(confinement->filters[FILTER_MAIN]);
	if (rc < 0)
		log_error("cannot install the sandbox of the main thread: %s", strerror(-rc));
	return rc;
}

void startup_free(struct confinement *confinement)
{
	for (int kind = 0; kind < FILTER_KINDS; kind++) {
		filter_destroy(confinement->filters[kind]);
		confinement->filters[kind] = NULL;
	}
}

/* --- told --- */

static bool differs(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "") != 0;
}

void startup_tell_changes(const struct conf *before, const struct conf *now)
{
	if (differs(before->user, now->user) || differs(before->group, now->group) ||
	    before->keep_bind_capability != now->keep_bind_capability)
		log_warning("server.user, group or keep-bind-capability has changed: it takes effect at the "
		            "next start");
	if (differs(before->sandbox, now->sandbox))
		log_warning("server.sandbox has changed: it takes effect at the next start");
}

void startup_show(const struct confinement *confinement, json_t *status)
{
	json_object_set_new(status, "uid", json_integer((json_int_t)geteuid()));
	json_object_set_new(status, "sandbox",
	                    json_string(confinement->is_unavailable ? "unavailable"
	                                                            : filter_mode_text(confinement->mode)));
}
