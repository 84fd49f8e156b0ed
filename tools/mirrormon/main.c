/*
 * mirrormon: arguments, then the monitor. See docs/mirrormon.md.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "mirrormon/command_check.h"
#include "mirrormon/join.h"
#include "mirrormon/monitor.h"

#define CONF_DEFAULT       "/etc/dnsd/mirrormon.conf"
#define TEMPLATE_MAX_BYTES 65536

enum exit_status { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

static const char usage[] =
        "Usage: mirrormon [-c FILE]                   check the mirrors, in the foreground\n"
        "       mirrormon [-c FILE] --once            check all of them once, write everything, end: for "
        "cron\n"
        "       mirrormon [-c FILE] check HOST        check one mirror now and show what was found\n"
        "       mirrormon [-c FILE] add [--append] TEMPLATE\n"
        "                                             try whether a new mirror does all that it has to,\n"
        "                                             then print its entry, or append it to the mirrors "
        "file\n"
        "       mirrormon [-c FILE] -t                check the configuration and all it names\n"
        "       mirrormon --print-defaults            every configuration key with its default\n"
        "       mirrormon --version | --help\n"
        "\n"
        "FILE is " CONF_DEFAULT " unless given; TEMPLATE is a file, or - for standard input.\n"
        "Signals: HUP reads the configuration again, TERM and INT stop.\n"
        "Exit status: 0 done, 1 failed or a finding, 2 wrong usage.\n";

static void print_diag(const struct diag *diag)
{
	static const char *const word[] = { "error", "warning", "info" };
	for (size_t i = 0; i < diag->messages_n; i++)
		fprintf(stderr, "%s: %s\n", word[diag->messages[i].level], diag->messages[i].text);
	if (diag->suppressed_n)
		fprintf(stderr, "and %zu more\n", diag->suppressed_n);
}

static int add(const struct conf_monitor *conf, const char *path, bool append)
{
	struct diag diag;
	diag_init(&diag);
	char *text = NULL;
	size_t text_len = 0;
	const char *why;
	struct join_template template;
	const char *file = strcmp(path, "-") == 0 ? "/dev/stdin" : path;
	int rc;
	if (file != path) {
		text = malloc(TEMPLATE_MAX_BYTES);
		text_len = text ? fread(text, 1, TEMPLATE_MAX_BYTES, stdin) : 0;
		rc = text ? 0 : -ENOMEM;
	} else {
		rc = file_read(path, TEMPLATE_MAX_BYTES, &text, &text_len, &why);
		if (rc < 0)
			diag_error(&diag, path, 0, "%s", why);
	}
	if (rc == 0)
		rc = join_parse(text, text_len, path, &diag, &template);
	if (rc == 0)
		rc = join_run(conf, &template, append, stdout, &diag);
	free(text);
	print_diag(&diag);
	diag_fini(&diag);
	return rc == 0 ? EXIT_DONE : EXIT_FAILED;
}

static int fail_usage(const char *why)
{
	fprintf(stderr, "mirrormon: %s\n%s", why, usage);
	return EXIT_USAGE;
}

struct arguments {
	const char *conf_path;
	bool test, once, append;
	char **words;
	int words_n;
};

static int run(const struct arguments *arguments)
{
	const char *command = arguments->words_n > 0 ? arguments->words[0] : NULL;
	bool is_check = command && strcmp(command, "check") == 0;
	bool is_add = command && strcmp(command, "add") == 0;
	if (command && !is_check && !is_add)
		return fail_usage("no such command");
	if (command && arguments->words_n != 2)
		return fail_usage(is_check ? "check wants one host name" : "add wants one template");
	if ((arguments->once || arguments->test) && command)
		return fail_usage("--once and -t go with no command");
	if (arguments->append && !is_add)
		return fail_usage("--append goes with add");

	struct settings *settings = NULL;
	struct diag diag;
	diag_init(&diag);
	int rc = settings_load(arguments->conf_path, &diag, &settings);
	if (rc == 0 && arguments->test && (rc = monitor_check(settings, &diag)) < 0)
		settings_unref(settings);
	if (rc < 0 || arguments->test || command)
		print_diag(&diag);
	else
		log_diag(&diag);
	size_t errors_n = diag.errors_n;
	diag_fini(&diag);
	if (rc < 0) {
		fprintf(stderr, "%s: %zu errors\n", arguments->conf_path, errors_n);
		return EXIT_FAILED;
	}
	if (!arguments->test && !command)
		return monitor_run(arguments->conf_path, settings, arguments->once);
	int status = EXIT_DONE;
	if (arguments->test)
		printf("%s: fine: pool %s with %zu mirrors\n", arguments->conf_path,
		       settings->pool->conf->name, settings->pool->mirrors_n);
	else if (is_check)
		status = command_check(settings->conf, arguments->words[1], stdout) == 0 ? EXIT_DONE
		                                                                         : EXIT_FAILED;
	else
		status = add(settings->conf, arguments->words[1], arguments->append);
	settings_unref(settings);
	return status;
}

int main(int argc, char **argv)
{
	enum { OPTION_VERSION = 256, OPTION_PRINT_DEFAULTS, OPTION_ONCE, OPTION_APPEND };
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "test", no_argument, NULL, 't' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, OPTION_VERSION },
		{ "print-defaults", no_argument, NULL, OPTION_PRINT_DEFAULTS },
		{ "once", no_argument, NULL, OPTION_ONCE },
		{ "append", no_argument, NULL, OPTION_APPEND },
		{ NULL, 0, NULL, 0 },
	};
	struct arguments arguments = { .conf_path = CONF_DEFAULT };
	int option;
	while ((option = getopt_long(argc, argv, "c:th", options, NULL)) != -1) {
		switch (option) {
		case 'c': arguments.conf_path = optarg; break;
		case 't': arguments.test = true; break;
		case 'h': fputs(usage, stdout); return EXIT_DONE;
		case OPTION_VERSION: printf("mirrormon %s\n", DNSD_VERSION); return EXIT_DONE;
		case OPTION_PRINT_DEFAULTS: conf_monitor_print_reference(STDOUT_FILENO); return EXIT_DONE;
		case OPTION_ONCE: arguments.once = true; break;
		case OPTION_APPEND: arguments.append = true; break;
		default: fputs(usage, stderr); return EXIT_USAGE;
		}
	}
	arguments.words = argv + optind;
	arguments.words_n = argc - optind;
	struct rlimit files;
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	signal(SIGPIPE, SIG_IGN); /* a mirror that is gone is an error return, not a signal */
	signal(SIGXFSZ, SIG_IGN);
	/* A reload may be asked for as soon as we are there: it waits until monitor_run() can take it. */
	sigset_t reload;
	sigemptyset(&reload);
	sigaddset(&reload, SIGHUP);
	sigprocmask(SIG_BLOCK, &reload, NULL);
	return run(&arguments);
}
