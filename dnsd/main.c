/*
 * dnsd: arguments, then the server. See docs/design.md for how the parts hang together.
 */
#include <fcntl.h>
#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "load/load.h"
#include "sandbox/filter.h"
#include "sandbox/launcher.h"
#include "server/server.h"
#include "server/startup.h"
#include "server/takeover.h"

#define CONF_DEFAULT "/etc/dnsd/dnsd.conf"

enum exit_status { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

static const char usage[] =
        "Usage: dnsd [-c FILE]            serve in the foreground\n"
        "       dnsd [-c FILE] --takeover the same in place of a running one, without a gap\n"
        "       dnsd [-c FILE] -t         check the configuration and all it names, bind nothing\n"
        "       dnsd --print-defaults     every configuration key with its default\n"
        "       dnsd --print-sandbox      the system calls that each kind of thread may make\n"
        "       dnsd --version | --help\n"
        "\n"
        "FILE is " CONF_DEFAULT " unless given. Signals: HUP reloads, TERM and INT stop,\n"
        "USR1 logs the counters, USR2 switches debug messages.\n";

static int check(const char *conf_path)
{
	struct diag diag;
	diag_init(&diag);
	struct load *load = NULL;
	struct snap *snap = NULL;
	struct privileges privileges;
	int rc = startup_load(conf_path, NULL, &privileges, &diag, &load);
	if (rc == 0)
		rc = load_make_snap(load, 1, NULL, (uint64_t)time(NULL), &snap);
	for (size_t i = 0; i < diag.messages_n; i++) {
		static const char *const word[] = { "error", "warning", "info" };
		fprintf(stderr, "%s: %s\n", word[diag.messages[i].level], diag.messages[i].text);
	}
	if (diag.suppressed_n)
		fprintf(stderr, "and %zu more\n", diag.suppressed_n);
	if (rc == 0) {
		char text[1024];
		load_describe(load, text, sizeof(text));
		printf("%s: fine: %s\n", conf_path, text);
	} else {
		fprintf(stderr, "%s: %zu errors\n", conf_path, diag.errors_n);
	}
	snap_destroy(snap);
	load_destroy(load);
	diag_fini(&diag);
	return rc == 0 ? EXIT_DONE : EXIT_FAILED;
}

static int print_defaults(void)
{
	int rc = conf_print_reference(STDOUT_FILENO);
	if (rc < 0)
		fprintf(stderr, "dnsd: cannot write the defaults: %s\n", strerror(-rc));
	return rc < 0 ? EXIT_FAILED : EXIT_DONE;
}

/* Where one of them is closed, the next file or socket would get its number, and the log be written into it.
 */
static void open_standard_files(void)
{
	int fd;
	do {
		fd = open("/dev/null", O_RDWR);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

int main(int argc, char **argv)
{
	enum { OPTION_VERSION = 256, OPTION_PRINT_DEFAULTS, OPTION_PRINT_SANDBOX, OPTION_TAKEOVER };
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "test", no_argument, NULL, 't' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, OPTION_VERSION },
		{ "print-defaults", no_argument, NULL, OPTION_PRINT_DEFAULTS },
		{ "takeover", no_argument, NULL, OPTION_TAKEOVER },
		{ "print-sandbox", no_argument, NULL, OPTION_PRINT_SANDBOX },
		{ NULL, 0, NULL, 0 },
	};
	open_standard_files();
	const char *conf_path = CONF_DEFAULT;
	bool test = false;
	bool takeover = false;
	int option;
	while ((option = getopt_long(argc, argv, "c:th", options, NULL)) != -1) {
		switch (option) {
		case 'c': conf_path = optarg; break;
		case 't': test = true; break;
		case 'h': fputs(usage, stdout); return EXIT_DONE;
		case OPTION_VERSION: printf("dnsd %s\n", DNSD_VERSION); return EXIT_DONE;
		case OPTION_TAKEOVER: takeover = true; break;
		case OPTION_PRINT_DEFAULTS: return print_defaults();
		case OPTION_PRINT_SANDBOX: filter_print(STDOUT_FILENO); return EXIT_DONE;
		default: fputs(usage, stderr); return EXIT_USAGE;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "dnsd: unexpected argument \"%s\"\n%s", argv[optind], usage);
		return EXIT_USAGE;
	}
	if (test)
		return check(conf_path);

	/*
	 * One heap for all threads. What a load has made in one thread is freed in another; with a heap for
	 * each thread all of them grow, full of holes, to what a load needs. Answers over UDP do not
	 * allocate.
	 */
	(void)mallopt(M_ARENA_MAX, 1);
	/* Before anything is open or read; the sandbox, which alone needs it, is known later. */
	struct launcher *launcher = NULL;
	int rc = launcher_create(argv, TAKEOVER_VARIABLE, &launcher);
	if (rc < 0)
		log_warning("no launcher: %s; in the sandbox \"dnsdctl restart\" will be refused",
		            strerror(-rc));
	server_hold_signals();
	signal(SIGPIPE, SIG_IGN); /* a TCP client that is gone is an error return, not a signal */
	signal(SIGXFSZ, SIG_IGN); /* so is a file that may not grow */
	struct server *server;
	struct server_start start = {
		.conf_path = conf_path, .argv = argv, .takeover = takeover, .launcher = launcher
	};
	if (server_create(&start, &server) < 0)
		return EXIT_FAILED;
	int status = server_run(server);
	server_destroy(server);
	return status;
}
