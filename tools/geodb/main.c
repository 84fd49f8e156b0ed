/* dnsd-geodb: text lists of networks and countries -> a MaxMind DB file. */
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "mmdb_writer.h"

#define EXIT_USAGE 2
/* After this many bad lines it is the wrong file, not a bad line. */
#define ERRORS_MAX 20

static const char usage[] =
        "usage: dnsd-geodb [options] OUT.mmdb [IN...]\n"
        "\n"
        "Make a MaxMind DB file of countries from text. Without IN, or with IN -, standard input is read.\n"
        "Lines of IN:\n"
        "  START,END,CC   a range, as in the geoip and geoip6 files of tor-geoipdb (IPv4 also as decimal "
        "numbers)\n"
        "  PREFIX CC      a network, such as 192.0.2.0/24 DE\n"
        "  # comment\n"
        "CC is a code of two letters; UK means GB; ranges of ?? are left out. The later line wins.\n"
        "\n"
        "  --layout L        where a record holds the code: geoip2 (country.iso_code, the default),\n"
        "                    registered (registered_country.iso_code) or flat (country_code)\n"
        "  --record-size N   24 (default), 28 or 32 bits\n"
        "  --ip-version V    6 (default, holds both families) or 4\n"
        "  --no-alias        don't let ::ffff:0:0/96, 2001::/32 and 2002::/16 lead to IPv4\n"
        "  --type T          database type in the metadata\n"
        "  --description D   description in the metadata, such as the source and its licence\n"
        "  --help, --version\n"
        "\n"
        "The build time is now, or SOURCE_DATE_EPOCH. Exit: 0 done, 1 an error in a file, 2 wrong usage.\n";

struct input {
	const char *name;
	unsigned line;
	unsigned errors_n;
	unsigned ranges_n;
};

__attribute__((format(printf, 2, 3))) static void line_error(struct input *input, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	fprintf(stderr, "%s:%u: ", input->name, input->line);
	vfprintf(stderr, fmt, args);
	fputc('\n', stderr);
	va_end(args);
	input->errors_n++;
}

/** An address, or IPv4 as a decimal number. */
static int parse_end(const char *text, struct addr *ret_addr)
{
	size_t digits = strspn(text, "0123456789");
	if (digits == 0 || text[digits] || digits > 10)
		return addr_parse(text, ret_addr);
	unsigned long long number = strtoull(text, NULL, 10);
	if (number > UINT32_MAX)
		return -EINVAL;
	*ret_addr = (struct addr){ .family = 4 };
	for (unsigned i = 0; i < 4; i++)
		ret_addr->bytes[i] = (uint8_t)(number >> (24 - 8 * i));
	return 0;
}

/** The country code as we write it; NULL: not two letters; "" : unknown, leave out. */
static const char *parse_code(const char *text)
{
	static char code[3];
	if (strcmp(text, "??") == 0)
		return "";
	for (unsigned i = 0; i < 2; i++) {
		char letter = text[i];
		if (letter >= 'a' && letter <= 'z')
			letter = (char)(letter - 'a' + 'A');
		if (letter < 'A' || letter > 'Z')
			return NULL;
		code[i] = letter;
	}
	if (text[2])
		return NULL;
	return strcmp(code, "UK") == 0 ? "GB" : code;
}

static int insert_line(struct mmdb_writer *writer, struct input *input, char *first, char *last,
                       char *code_text)
{
	const char *code = parse_code(code_text);
	if (!code) {
		line_error(input, "'%s' is not a country code; write two letters, or ?? for unknown",
		           code_text);
		return 0;
	}
	struct prefix prefix;
	struct addr end = { 0 };
	if (last ? parse_end(first, &prefix.addr) : prefix_parse(first, &prefix)) {
		line_error(input, "'%s' is not %s", first,
		           last ? "an address"
		                : "a network; write ADDRESS/LENGTH with no bit set past the length");
		return 0;
	}
	if (last && parse_end(last, &end)) {
		line_error(input, "'%s' is not an address", last);
		return 0;
	}
	if (!*code)
		return 0;
	int rc = last ? mmdb_writer_insert_range(writer, &prefix.addr, &end, code)
	              : mmdb_writer_insert(writer, &prefix, code);
	if (rc == -EINVAL) {
		line_error(input, "the range ends before it starts, mixes IPv4 with IPv6, or is IPv6 with "
		                  "--ip-version 4");
		return 0;
	}
	input->ranges_n += rc == 0;
	return rc;
}

static int read_line(struct mmdb_writer *writer, struct input *input, char *text)
{
	text[strcspn(text, "\r\n#")] = '\0';
	char *save = NULL;
	bool is_range = strchr(text, ',') != NULL;
	const char *separators = is_range ? ", \t" : " \t";
	char *first = strtok_r(text, separators, &save);
	if (!first)
		return 0;
	char *last = is_range ? strtok_r(NULL, separators, &save) : NULL;
	char *code = strtok_r(NULL, separators, &save);
	if (!code || strtok_r(NULL, separators, &save)) {
		line_error(input, "write START,END,CC or PREFIX CC");
		return 0;
	}
	return insert_line(writer, input, first, last, code);
}

/** Returns 0, or -1 when it has said what is wrong. */
static int read_input(struct mmdb_writer *writer, const char *path, unsigned *ranges_n)
{
	bool is_stdin = strcmp(path, "-") == 0;
	struct input input = { .name = is_stdin ? "standard input" : path };
	FILE *file = is_stdin ? stdin : fopen(path, "re");
	if (!file) {
		fprintf(stderr, "%s: can't open: %s\n", path, strerror(errno));
		return -1;
	}
	char *text = NULL;
	size_t cap = 0;
	int rc = 0;
	while (rc == 0 && input.errors_n < ERRORS_MAX && getline(&text, &cap, file) >= 0) {
		input.line++;
		rc = read_line(writer, &input, text);
	}
	if (rc < 0)
		fprintf(stderr, "%s:%u: %s\n", input.name, input.line, strerror(-rc));
	else if (ferror(file))
		fprintf(stderr, "%s: can't read: %s\n", input.name, strerror(errno));
	if (ferror(file) || input.errors_n > 0)
		rc = -1;
	*ranges_n += input.ranges_n;
	free(text);
	if (!is_stdin)
		fclose(file);
	return rc < 0 ? -1 : 0;
}

static int bad_usage(const char *option, const char *value)
{
	if (option)
		fprintf(stderr, "dnsd-geodb: --%s can't be '%s'; see dnsd-geodb --help\n", option, value);
	else
		fputs("dnsd-geodb: name the file to write; see dnsd-geodb --help\n", stderr);
	return EXIT_USAGE;
}

static int run(const struct mmdb_writer_options *options, const char *out_path, char **inputs, int inputs_n)
{
	struct mmdb_writer *writer = mmdb_writer_create(options);
	if (!writer) {
		fprintf(stderr, "dnsd-geodb: %s\n", strerror(ENOMEM));
		return EXIT_FAILURE;
	}
	unsigned ranges_n = 0;
	int rc = inputs_n == 0 ? read_input(writer, "-", &ranges_n) : 0;
	for (int i = 0; i < inputs_n; i++)
		rc |= read_input(writer, inputs[i], &ranges_n);
	if (rc == 0 && ranges_n == 0) {
		fprintf(stderr, "dnsd-geodb: no network with a country in the input; %s is not written\n",
		        out_path);
		rc = -1;
	}
	struct mmdb_writer_result result;
	if (rc == 0) {
		rc = mmdb_writer_write(writer, out_path, &result);
		if (rc == -EOVERFLOW)
			fprintf(stderr,
			        "%s: too many networks for records of %u bits; give a larger --record-size\n",
			        out_path, options->record_bits);
		else if (rc < 0)
			fprintf(stderr, "%s: can't write: %s\n", out_path, strerror(-rc));
		else
			printf("%s: %u ranges, %u nodes, %llu bytes\n", out_path, ranges_n, result.nodes_n,
			       (unsigned long long)result.bytes);
	}
	mmdb_writer_destroy(writer);
	return rc < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	enum {
		OPT_LAYOUT = 256,
		OPT_RECORD_SIZE,
		OPT_IP_VERSION,
		OPT_NO_ALIAS,
		OPT_TYPE,
		OPT_DESCRIPTION,
		OPT_VERSION
	};
	static const struct option long_options[] = {
		{ "layout", required_argument, NULL, OPT_LAYOUT },
		{ "record-size", required_argument, NULL, OPT_RECORD_SIZE },
		{ "ip-version", required_argument, NULL, OPT_IP_VERSION },
		{ "no-alias", no_argument, NULL, OPT_NO_ALIAS },
		{ "type", required_argument, NULL, OPT_TYPE },
		{ "description", required_argument, NULL, OPT_DESCRIPTION },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, OPT_VERSION },
		{ 0 },
	};
	static const char *const layouts[] = { "geoip2", "registered", "flat" };
	struct mmdb_writer_options options = { .record_bits = 24, .ip_version = 6, .alias_ipv4 = true };
	const char *epoch = getenv("SOURCE_DATE_EPOCH");
	options.build_epoch_s = epoch ? strtoull(epoch, NULL, 10) : (uint64_t)time(NULL);
	for (int option; (option = getopt_long(argc, argv, "h", long_options, NULL)) != -1;) {
		switch (option) {
		case OPT_LAYOUT: {
			unsigned i = 0;
			while (i < 3 && strcmp(optarg, layouts[i]) != 0)
				i++;
			if (i == 3)
				return bad_usage("layout", optarg);
			options.layout = (enum mmdb_layout)i;
			break;
		}
		case OPT_RECORD_SIZE:
			options.record_bits = (unsigned)strtoul(optarg, NULL, 10);
			if (options.record_bits != 24 && options.record_bits != 28 &&
			    options.record_bits != 32)
				return bad_usage("record-size", optarg);
			break;
		case OPT_IP_VERSION:
			if (strcmp(optarg, "4") != 0 && strcmp(optarg, "6") != 0)
				return bad_usage("ip-version", optarg);
			options.ip_version = (unsigned)(*optarg - '0');
			break;
		case OPT_NO_ALIAS: options.alias_ipv4 = false; break;
		case OPT_TYPE: options.database_type = optarg; break;
		case OPT_DESCRIPTION: options.description = optarg; break;
		case 'h': return fputs(usage, stdout) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
		case OPT_VERSION: return puts("dnsd-geodb " DNSD_VERSION) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
		default:
			fputs("see dnsd-geodb --help\n", stderr);
			return EXIT_USAGE; /* getopt_long has said what is wrong */
		}
	}
	if (optind >= argc)
		return bad_usage(NULL, NULL);
	return run(&options, argv[optind], argv + optind + 1, argc - optind - 1);
}
