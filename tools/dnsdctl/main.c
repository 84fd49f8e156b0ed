/*
 * dnsdctl: control of a running dnsd, and offline work with its libraries: what it says is what the daemon
 * would, the same code.
 */
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <ldns/ldns.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/object.h"
#include "tools/dnsdctl/dnsdctl.h"

#define SOCKET_DEFAULT "/run/dnsd/control.sock"
#define CONF_DEFAULT   "/etc/dnsd/dnsd.conf"

static const char usage[] =
        "Usage: dnsdctl [OPTION]... COMMAND\n"
        "\n"
        "Of the running server:\n"
        "  status                              what it serves, and what is wrong\n"
        "  reload                              read the configuration again; wait until it is served\n"
        "  restart                             start the program anew; it takes over without a gap\n"
        "  stats                               counters since the start\n"
        "  mirror down|drain|up|auto NAME      out at once; out ahead of work; in; as the feed says\n"
        "         [--for 2h] [--in 10m|--at TIME] --reason TEXT [--pool POOL]\n"
        "  feed accept|reject [POOL] [--serial N]\n"
        "                                      judge a feed that was held back; only that one\n"
        "  log level [error|warning|info|debug]\n"
        "\n"
        "Of the running server, or with -c of a configuration:\n"
        "  explain NAME [TYPE] [--from ADDR] [--ecs PREFIX] [--at TIME]\n"
        "                                      why the answer is what it is; \"explain -\" reads lines of\n"
        "                                      NAME TYPE ADDR [PREFIX] and writes one of JSON for each\n"
        "  query NAME [TYPE] [--from ADDR] [--ecs PREFIX]\n"
        "                                      the answer as if asked from there\n"
        "  geo lookup ADDR                     country and network of an address\n"
        "  pool show [POOL] [--at TIME]        mirrors and names, now or at a moment of the past\n"
        "  feed show [POOL]                    the feed in force, and one that is held\n"
        "  version show                        the version records\n"
        "\n"
        "Of a configuration:\n"
        "  checkconf                           check it and all it names\n"
        "\n"
        "  -c, --config FILE    work offline with this configuration (checkconf: " CONF_DEFAULT ")\n"
        "  -s, --socket PATH    of the running server (default " SOCKET_DEFAULT ")\n"
        "  -t, --timeout SECS   wait no longer for an answer (default 30)\n"
        "      --json           JSON instead of tables\n"
        "  -h, --help, --version\n"
        "\n"
        "Exit status: 0 done, 1 failed, 2 wrong usage, 3 dnsd is not running.\n";

struct arguments {
	const char *conf_path; /* NULL = the running server is meant */
	const char *socket_path;
	unsigned timeout_s;
	bool json;
	json_t *request;
	char **words;
	int words_n;
};

static int fail_usage(const char *why)
{
	fprintf(stderr, "dnsdctl: %s; \"dnsdctl --help\" lists the commands\n", why);
	return EXIT_USAGE;
}

static void set(json_t *request, const char *key, const char *text)
{
	json_object_set_new(request, key, object_text(text));
}

static bool is_word(const struct arguments *arguments, int i, const char *word)
{
	return i < arguments->words_n && strcmp(arguments->words[i], word) == 0;
}

static int set_type(json_t *request, const char *text)
{
	ldns_rr_type type = ldns_get_rr_type_by_name(text);
	if (type == 0) {
		fprintf(stderr, "dnsdctl: \"%s\" is no record type; write A, AAAA, TXT, TYPE65400 ...\n",
		        text);
		return EXIT_USAGE;
	}
	json_object_set_new(request, "type", json_integer(type));
	return EXIT_DONE;
}

/* --- who answers --- */

#define RETRIES_MAX 3

struct answerer {
	const struct arguments *arguments;
	struct control *control;
	struct offline *offline;
};

static int answerer_open(const struct arguments *arguments, struct answerer *answerer)
{
	*answerer = (struct answerer){ .arguments = arguments };
	if (!arguments->conf_path)
		return control_open(arguments->socket_path, arguments->timeout_s, &answerer->control);
	answerer->offline = offline_open(arguments->conf_path);
	return answerer->offline ? EXIT_DONE : EXIT_FAILED;
}

static json_t *answerer_ask(struct answerer *answerer, const json_t *request)
{
	if (answerer->offline)
		return offline_ask(answerer->offline, request);
	json_t *response = control_ask(answerer->control, request);
	/* It was restarted before it began: the one that serves now has not been asked. */
	for (unsigned i = 0; i < RETRIES_MAX && json_is_true(json_object_get(response, "retry")); i++) {
		json_decref(response);
		control_close(answerer->control);
		answerer->control = NULL;
		if (control_open(answerer->arguments->socket_path, answerer->arguments->timeout_s,
		                 &answerer->control) != EXIT_DONE)
			return NULL;
		response = control_ask(answerer->control, request);
	}
	return response;
}

static void answerer_close(struct answerer *answerer)
{
	control_close(answerer->control);
	offline_close(answerer->offline);
}

static int run_request(const struct arguments *arguments)
{
	struct answerer answerer;
	int status = answerer_open(arguments, &answerer);
	if (status != EXIT_DONE)
		return status;
	json_t *response = answerer_ask(&answerer, arguments->request);
	status = EXIT_FAILED;
	if (response)
		status = print_response(arguments->words[0], response, arguments->json);
	json_decref(response);
	answerer_close(&answerer);
	return status;
}

/* Lines of "NAME TYPE ADDR [PREFIX]": one question each, all with the --at of the command line. */
static int run_lines(const struct arguments *arguments)
{
	struct answerer answerer;
	int status = answerer_open(arguments, &answerer);
	char *line = NULL;
	size_t cap = 0;
	while (status == EXIT_DONE && getline(&line, &cap, stdin) > 0) {
		char *rest = NULL;
		const char *name = strtok_r(line, " \t\n", &rest);
		const char *type = strtok_r(NULL, " \t\n", &rest);
		const char *from = strtok_r(NULL, " \t\n", &rest);
		const char *ecs = strtok_r(NULL, " \t\n", &rest);
		if (!name)
			continue;
		json_t *request = json_copy(arguments->request);
		set(request, "name", name);
		if (type)
			status = set_type(request, type);
		if (from)
			set(request, "from", from);
		if (ecs)
			set(request, "ecs", ecs);
		json_t *response = status == EXIT_DONE ? answerer_ask(&answerer, request) : NULL;
		/* Line by line: a program may wait for the answer before it asks again. */
		if (!response || !print_json(response, JSON_COMPACT) || fflush(stdout) != 0)
			status = EXIT_FAILED;
		json_decref(response);
		json_decref(request);
	}
	free(line);
	answerer_close(&answerer);
	return status;
}

/* --- commands --- */

static int need_server(const struct arguments *arguments)
{
	const char *sudo = getenv("SUDO_USER");
	if (arguments->conf_path)
		return fail_usage("this command is for a running server; leave -c away");
	if (sudo)
		set(arguments->request, "sudo-user", sudo);
	return run_request(arguments);
}

static int run_question(struct arguments *arguments)
{
	bool lines = is_word(arguments, 1, "-") && is_word(arguments, 0, "explain");
	if (arguments->words_n < 2 || arguments->words_n > 3)
		return fail_usage("a name is needed, and perhaps a type");
	if (lines)
		return run_lines(arguments);
	set(arguments->request, "name", arguments->words[1]);
	if (arguments->words_n == 3 && set_type(arguments->request, arguments->words[2]) != EXIT_DONE)
		return EXIT_USAGE;
	return run_request(arguments);
}

/* Options that have no say in what is asked would be taken for granted. */
static int check_options(const struct arguments *arguments, const char *const *takes)
{
	const char *name;
	json_t *value;
	json_object_foreach(arguments->request, name, value)
	{
		size_t i = 0;
		while (takes[i] && strcmp(takes[i], name) != 0)
			i++;
		if (takes[i])
			continue;
		fprintf(stderr,
		        "dnsdctl: --%s is no option of this command; \"dnsdctl --help\" has those it takes\n",
		        name);
		return EXIT_USAGE;
	}
	return EXIT_DONE;
}

static int run_mirror(struct arguments *arguments)
{
	if (arguments->words_n != 3)
		return fail_usage("write: mirror down|drain|up|auto NAME");
	const char *action = arguments->words[1];
	if (strcmp(action, "down") != 0 && strcmp(action, "drain") != 0 && strcmp(action, "up") != 0 &&
	    strcmp(action, "auto") != 0)
		return fail_usage("write: mirror down|drain|up|auto NAME");
	if (strcmp(action, "auto") != 0 && !json_object_get(arguments->request, "reason"))
		return fail_usage("say why, with --reason TEXT");
	bool has_in = json_object_get(arguments->request, "in") != NULL;
	bool has_at = json_object_get(arguments->request, "at") != NULL;
	if (has_in && has_at)
		return fail_usage("say when with --in or with --at, not with both");
	if (strcmp(action, "auto") == 0 && (has_in || has_at || json_object_get(arguments->request, "for")))
		return fail_usage("auto is at once and for good; it takes no --for, --in or --at");
	set(arguments->request, "action", action);
	set(arguments->request, "mirror", arguments->words[2]);
	return need_server(arguments);
}

static int set_serial(json_t *request, const char *text)
{
	char *end;
	errno = 0;
	unsigned long long serial = strtoull(text, &end, 10);
	if (!isdigit((unsigned char)text[0]) || *end || errno || serial > INT64_MAX)
		return fail_usage("a serial is a plain number, as feed show tells it");
	json_object_set_new(request, "serial", json_integer((json_int_t)serial));
	return EXIT_DONE;
}

static int run_feed(struct arguments *arguments)
{
	if (arguments->words_n < 2 || arguments->words_n > 3)
		return fail_usage("write: feed show|accept|reject [POOL]");
	if (arguments->words_n == 3)
		set(arguments->request, "pool", arguments->words[2]);
	const char *serial = json_string_value(json_object_get(arguments->request, "serial"));
	if (is_word(arguments, 1, "show"))
		return serial ? fail_usage("feed show takes no --serial: it shows what there is")
		              : run_request(arguments);
	if (!is_word(arguments, 1, "accept") && !is_word(arguments, 1, "reject"))
		return fail_usage("write: feed show|accept|reject [POOL]");
	if (serial && set_serial(arguments->request, serial) != EXIT_DONE)
		return EXIT_USAGE;
	set(arguments->request, "action", arguments->words[1]);
	return need_server(arguments);
}

static int run_pool(struct arguments *arguments)
{
	if (arguments->words_n > 3 || !is_word(arguments, 1, "show"))
		return fail_usage("write: pool show [POOL]");
	if (arguments->words_n == 3)
		set(arguments->request, "pool", arguments->words[2]);
	return run_request(arguments);
}

static int run_geo(struct arguments *arguments)
{
	if (arguments->words_n != 3 || !is_word(arguments, 1, "lookup"))
		return fail_usage("write: geo lookup ADDR");
	set(arguments->request, "address", arguments->words[2]);
	return run_request(arguments);
}

static int run_log(struct arguments *arguments)
{
	if (arguments->words_n < 2 || arguments->words_n > 3 || !is_word(arguments, 1, "level"))
		return fail_usage("write: log level [error|warning|info|debug]");
	if (arguments->words_n == 3)
		set(arguments->request, "level", arguments->words[2]);
	return need_server(arguments);
}

static int run_checkconf(struct arguments *arguments)
{
	if (arguments->words_n != 1)
		return fail_usage("checkconf takes no argument; name another file with -c FILE");
	return offline_check(arguments->conf_path ? arguments->conf_path : CONF_DEFAULT);
}

static int run_version(struct arguments *arguments)
{
	if (arguments->words_n != 2 || !is_word(arguments, 1, "show"))
		return fail_usage("write: version show");
	return run_request(arguments);
}

static int run_plain(struct arguments *arguments)
{
	if (arguments->words_n != 1)
		return fail_usage("this command takes no argument");
	return need_server(arguments);
}

static int run(struct arguments *arguments)
{
	static const struct {
		const char *word;
		int (*run)(struct arguments *arguments);
		const char *takes[6]; /* of the options that are handed on */
	} commands[] = {
		{ "status", run_plain, { NULL } },
		{ "stats", run_plain, { NULL } },
		{ "reload", run_plain, { NULL } },
		{ "restart", run_plain, { NULL } },
		{ "mirror", run_mirror, { "for", "in", "at", "reason", "pool" } },
		{ "feed", run_feed, { "pool", "serial" } },
		{ "log", run_log, { NULL } },
		{ "explain", run_question, { "from", "ecs", "at" } },
		{ "query", run_question, { "from", "ecs" } },
		{ "geo", run_geo, { NULL } },
		{ "pool", run_pool, { "at", "pool" } },
		{ "version", run_version, { NULL } },
		{ "checkconf", run_checkconf, { NULL } },
	};
	if (arguments->words_n == 0)
		return fail_usage("say what to do");
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (is_word(arguments, 0, commands[i].word)) {
			if (check_options(arguments, commands[i].takes) != EXIT_DONE)
				return EXIT_USAGE;
			set(arguments->request, "command", commands[i].word);
			return commands[i].run(arguments);
		}
	}
	return fail_usage("there is no such command");
}

static int run_arguments(struct arguments *arguments, int argc, char **argv)
{
	enum { OPTION_VERSION = 256, OPTION_JSON, OPTION_TEXT };
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "socket", required_argument, NULL, 's' },
		{ "timeout", required_argument, NULL, 't' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, OPTION_VERSION },
		{ "json", no_argument, NULL, OPTION_JSON },
		/* Handed on under their own names: */
		{ "from", required_argument, NULL, OPTION_TEXT },
		{ "ecs", required_argument, NULL, OPTION_TEXT },
		{ "at", required_argument, NULL, OPTION_TEXT },
		{ "in", required_argument, NULL, OPTION_TEXT },
		{ "for", required_argument, NULL, OPTION_TEXT },
		{ "reason", required_argument, NULL, OPTION_TEXT },
		{ "pool", required_argument, NULL, OPTION_TEXT },
		{ "serial", required_argument, NULL, OPTION_TEXT },
		{ NULL, 0, NULL, 0 },
	};
	int option;
	int index = 0;
	char *end;
	unsigned long timeout_s;
	while ((option = getopt_long(argc, argv, "c:s:t:h", options, &index)) != -1) {
		switch (option) {
		case 'c': arguments->conf_path = optarg; break;
		case 's': arguments->socket_path = optarg; break;
		case 't':
			timeout_s = strtoul(optarg, &end, 10);
			if (*end || timeout_s == 0 || timeout_s > 86400)
				return fail_usage("a timeout is 1 to 86400, a plain number of seconds");
			arguments->timeout_s = (unsigned)timeout_s;
			break;
		case 'h': fputs(usage, stdout); return EXIT_DONE;
		case OPTION_VERSION: printf("dnsdctl %s\n", DNSD_VERSION); return EXIT_DONE;
		case OPTION_JSON: arguments->json = true; break;
		case OPTION_TEXT:
			if (json_object_set_new(arguments->request, options[index].name,
			                        json_string(optarg)) < 0)
				return fail_usage("the value of an option is no UTF-8 text");
			break;
		default: return fail_usage("wrong option");
		}
	}
	arguments->words = argv + optind;
	arguments->words_n = argc - optind;
	return run(arguments);
}

int main(int argc, char **argv)
{
	struct arguments arguments = { .socket_path = SOCKET_DEFAULT,
		                       .timeout_s = 30,
		                       .request = json_object() };
	int status = run_arguments(&arguments, argc, argv);
	json_decref(arguments.request);
	if (fflush(stdout) != 0 || ferror(stdout)) {
		fprintf(stderr, "dnsdctl: cannot write the result: %s%s\n", strerror(errno),
		        status == EXIT_DONE ? "; what was asked for has been done" : "");
		status = EXIT_FAILED;
	}
	return status;
}
