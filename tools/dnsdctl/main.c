/*
 * dnsdctl: offline work with the libraries of dnsd: check a configuration, ask it a question as if from an
 * address, look an address up. What it says is what the daemon would: the same code.
 */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "tools/dnsdctl/dnsdctl.h"

static const char usage[] =
        "Usage: dnsdctl [-c FILE] COMMAND\n"
        "\n"
        "  checkconf                                       check a configuration and all it names\n"
        "  query NAME [TYPE] [--from ADDR] [--ecs PREFIX]  the answer dnsd would give\n"
        "  geo lookup ADDR                                 country and network of an address\n"
        "\n"
        "  -c, --config FILE   default /etc/dnsd/dnsd.conf\n"
        "  --help, --version\n"
        "\n"
        "Exit status: 0 done, 1 failed, 2 wrong usage.\n";

static int fail_usage(const char *why)
{
	fprintf(stderr, "dnsdctl: %s\n%s", why, usage);
	return EXIT_USAGE;
}

int main(int argc, char **argv)
{
	enum { OPTION_VERSION = 256, OPTION_FROM, OPTION_ECS };
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, OPTION_VERSION },
		{ "from", required_argument, NULL, OPTION_FROM },
		{ "ecs", required_argument, NULL, OPTION_ECS },
		{ NULL, 0, NULL, 0 },
	};
	struct query_options query = { .conf_path = "/etc/dnsd/dnsd.conf", .from = "127.0.0.1" };
	int option;
	while ((option = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
		switch (option) {
		case 'c': query.conf_path = optarg; break;
		case 'h': fputs(usage, stdout); return EXIT_DONE;
		case OPTION_VERSION: printf("dnsdctl %s\n", DNSD_VERSION); return EXIT_DONE;
		case OPTION_FROM: query.from = optarg; break;
		case OPTION_ECS: query.ecs = optarg; break;
		default: fputs(usage, stderr); return EXIT_USAGE;
		}
	}
	char **words = argv + optind;
	int words_n = argc - optind;
	if (words_n == 0)
		return fail_usage("say what to do");
	if (strcmp(words[0], "checkconf") == 0)
		return words_n == 1 ? command_checkconf(query.conf_path)
		                    : fail_usage("checkconf takes no argument");
	if (strcmp(words[0], "query") == 0) {
		if (words_n < 2 || words_n > 3)
			return fail_usage("query takes a name and perhaps a type");
		query.name = words[1];
		query.type = words_n > 2 ? words[2] : "A";
		return command_query(&query);
	}
	if (strcmp(words[0], "geo") == 0) {
		if (words_n != 3 || strcmp(words[1], "lookup") != 0)
			return fail_usage("write: geo lookup ADDR");
		return command_geo_lookup(query.conf_path, words[2]);
	}
	return fail_usage("there is no such command");
}
