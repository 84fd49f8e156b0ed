/* Responses for people: tables of plain columns, one fact a line. */
#include <ldns/ldns.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/object.h"
#include "tools/dnsdctl/dnsdctl.h"

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));
	return text ? text : "";
}

static long long number_of(const json_t *object, const char *key)
{
	return (long long)json_integer_value(json_object_get(object, key));
}

static bool is_true(const json_t *object, const char *key)
{
	return json_is_true(json_object_get(object, key));
}

/* "  feed-serial        42": nothing when there is no such key. */
static void print_fact(const char *label, const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);
	if (json_is_string(value))
		printf("  %-16s %s\n", label, json_string_value(value));
	else if (json_is_integer(value))
		printf("  %-16s %lld\n", label, (long long)json_integer_value(value));
	else if (json_is_boolean(value))
		printf("  %-16s %s\n", label, json_is_true(value) ? "yes" : "no");
}

/* Why a mirror is as it is, on one line. */
static void print_why(const json_t *mirror)
{
	const json_t *permille = json_object_get(mirror, "permille");
	const char *address;
	json_t *reason;
	if (permille)
		printf("  at %.1f %% of its weight", (double)json_integer_value(permille) / 10);
	json_object_foreach(json_object_get(mirror, "addresses"), address, reason)
	        printf("  %s %s", address, json_string_value(reason));
	if (*text_of(mirror, "cause"))
		printf("  by %s", text_of(mirror, "cause"));
	if (*text_of(mirror, "author"))
		printf(" of %s", text_of(mirror, "author"));
	if (*text_of(mirror, "since"))
		printf("  since %s", text_of(mirror, "since"));
	if (*text_of(mirror, "until"))
		printf("  until %s", text_of(mirror, "until"));
	if (*text_of(mirror, "out-at"))
		printf("  leaves at %s", text_of(mirror, "out-at"));
	if (*text_of(mirror, "detail"))
		printf("  (%s)", text_of(mirror, "detail"));
}

static void print_mirror(const json_t *mirror, const char *mark)
{
	printf("  %-2s%-32s %-3s %-14s", mark, text_of(mirror, "mirror"), text_of(mirror, "country"),
	       text_of(mirror, "state"));
	print_why(mirror);
	putchar('\n');
}

static void print_status(const json_t *result)
{
	size_t i;
	json_t *entry;
	const json_t *problems = json_object_get(result, "problems");
	printf("dnsd %s, pid %lld, since %s\n", text_of(result, "version"), number_of(result, "pid"),
	       text_of(result, "started"));
	print_fact("generation", result, "generation");
	print_fact("configuration", result, "config");
	print_fact("last reload", result, "last-reload");
	print_fact("reload went well", result, "last-reload-ok");
	print_fact("workers", result, "workers");
	print_fact("zones", result, "zones");
	print_fact("names", result, "names");
	print_fact("geo database", result, "geo");
	print_fact("state directory", result, "state-directory");
	json_array_foreach(json_object_get(result, "pools"), i, entry)
	{
		printf("  pool %-11s %lld of %lld mirrors out", text_of(entry, "pool"),
		       number_of(entry, "out"), number_of(entry, "mirrors"));
		if (json_object_get(entry, "feed-serial"))
			printf(", feed serial %lld", number_of(entry, "feed-serial"));
		putchar('\n');
	}
	json_array_foreach(json_object_get(result, "versions"), i, entry)
	{
		printf("  %s.%s %s, verified %s\n", text_of(entry, "name"), text_of(entry, "zone"),
		       text_of(entry, "text"), text_of(entry, "verified"));
	}
	json_array_foreach(problems, i, entry)
	{
		printf("problem: %s\n", json_string_value(entry));
	}
	if (json_array_size(problems) == 0)
		printf("no problems\n");
}

static void print_stats(const json_t *result)
{
	const char *name;
	json_t *value;
	json_object_foreach((json_t *)(size_t)result, name, value)
	        printf("%-24s %lld\n", name, (long long)json_integer_value(value));
}

static void print_pool(const json_t *pools)
{
	size_t p;
	size_t i;
	json_t *pool;
	json_t *entry;
	json_array_foreach(pools, p, pool)
	{
		printf("pool %s at %s: %lld of %lld mirrors out\n", text_of(pool, "pool"),
		       text_of(pool, "at"), number_of(pool, "mirrors-out"), number_of(pool, "mirrors-total"));
		json_array_foreach(json_object_get(pool, "mirrors"), i, entry)
		{
			print_mirror(entry, strcmp(text_of(entry, "state"), "in") == 0 ? "" : "-");
		}
		size_t others_n = 0;
		json_array_foreach(json_object_get(pool, "names"), i, entry)
		{
			const char *kind = text_of(entry, "kind");
			const char *own = strncmp(kind, "country", 7) == 0 ? "country" : kind;
			if (strcmp(text_of(entry, "level"), own) == 0)
				continue;
			if (number_of(entry, "own-mirrors") == 0) {
				others_n++;
				continue;
			}
			printf("  name %-32s from  %s%s%s, %lld mirrors, ttl %lld\n", text_of(entry, "name"),
			       text_of(entry, "level"), *text_of(entry, "neighbour") ? " " : "",
			       text_of(entry, "neighbour"), number_of(entry, "mirrors"),
			       number_of(entry, "ttl"));
		}
		if (others_n)
			printf("  %zu names of countries without a mirror of their own borrow\n", others_n);
	}
}

static void print_feed_entry(const json_t *feed, const char *label)
{
	size_t i;
	json_t *entry;
	if (!feed)
		return;
	printf("  %s: serial %lld, generated %s%s%s\n", label, number_of(feed, "serial"),
	       *text_of(feed, "generated") ? text_of(feed, "generated") : "(not said)",
	       *text_of(feed, "monitor") ? " by " : "", text_of(feed, "monitor"));
	json_array_foreach(json_object_get(feed, "excluded"), i, entry)
	{
		printf("    %-36s %-14s %s %s\n",
		       *text_of(entry, "mirror") ? text_of(entry, "mirror") : text_of(entry, "address"),
		       text_of(entry, "reason"), text_of(entry, "since"), text_of(entry, "detail"));
	}
}

/* One object after a judgement, a list otherwise. */
static void print_feed(const json_t *result)
{
	size_t n = json_is_array(result) ? json_array_size(result) : 1;
	for (size_t i = 0; i < n; i++) {
		const json_t *feed = json_is_array(result) ? json_array_get(result, i) : result;
		const json_t *held = json_object_get(feed, "held");
		printf("pool %s: %s\n", text_of(feed, "pool"),
		       *text_of(feed, "file") ? text_of(feed, "file") : "no feed configured");
		print_feed_entry(json_object_get(feed, "in-force"), "in force");
		if (is_true(feed, "expired"))
			printf("  it has expired; its last state is kept\n");
		print_feed_entry(held, "held back");
		if (!held)
			continue;
		printf("    would take out %lld mirrors%s%s since %s; ", number_of(held, "takes-out"),
		       *text_of(held, "empties") ? ", all of " : "", text_of(held, "empties"),
		       text_of(held, "held-since"));
		if (is_true(held, "rejected"))
			printf("rejected\n");
		else
			printf("in force at %s if it still says so\n", text_of(held, "comes-into-force"));
	}
}

static void print_mirror_result(const json_t *result)
{
	const json_t *override = json_object_get(result, "override");
	print_mirror(result, "");
	if (!json_is_object(override))
		return;
	printf("  %s by %s from %s until %s: %s\n", text_of(override, "action"), text_of(override, "author"),
	       text_of(override, "from"),
	       *text_of(override, "until") ? text_of(override, "until") : "it is taken back",
	       text_of(override, "reason"));
}

static void print_client(const json_t *client)
{
	printf("asked by %s", text_of(client, "address"));
	if (*text_of(client, "subnet"))
		printf(" for clients in %s", text_of(client, "subnet"));
	putchar('\n');
	if (*text_of(client, "used"))
		printf("by its %s: country %s, network %s\n", text_of(client, "used"),
		       text_of(client, "country"), text_of(client, "network"));
}

static void print_decision(const json_t *result)
{
	size_t i;
	json_t *entry;
	printf("pool %s, name of kind %s", text_of(result, "pool"), text_of(result, "kind"));
	if (*text_of(result, "asked-country"))
		printf(", country %s", text_of(result, "asked-country"));
	if (*text_of(result, "asked-region"))
		printf(", region %s", text_of(result, "asked-region"));
	printf(", at least %lld mirrors wanted\n", number_of(result, "min-mirrors"));
	printf("members from: %s%s%s%s%s", text_of(result, "level"), *text_of(result, "neighbour") ? " " : "",
	       text_of(result, "neighbour"), *text_of(result, "region") ? " " : "",
	       text_of(result, "region"));
	if (*text_of(result, "level-ipv4"))
		printf(", IPv4 from: %s", text_of(result, "level-ipv4"));
	if (*text_of(result, "taken-back-up-to"))
		printf(", taken back up to: %s", text_of(result, "taken-back-up-to"));
	printf("\nttl %lld", number_of(result, "ttl"));
	if (*text_of(result, "ttl-lowered-for"))
		printf(", lowered because %s leaves at %s", text_of(result, "ttl-lowered-for"),
		       text_of(result, "ttl-lowered-until"));
	putchar('\n');
	json_array_foreach(json_object_get(result, "mirrors"), i, entry)
	        print_mirror(entry, is_true(entry, "taken-back") ? "<"
	                            : is_true(entry, "used")     ? "+"
	                                                         : "-");
	if (number_of(result, "mirrors-not-asked"))
		printf("  and %lld mirrors elsewhere, which were not asked\n",
		       number_of(result, "mirrors-not-asked"));
	if (json_is_false(json_object_get(result, "agrees")))
		printf("this does not fit the answer: please report it as a bug\n");
}

static void print_explain(const json_t *result)
{
	size_t i;
	json_t *entry;
	printf("%s %s at %s: %s, %s\n", text_of(result, "name"), text_of(result, "type"),
	       text_of(result, "time"), text_of(result, "rcode"), text_of(result, "result"));
	print_client(json_object_get(result, "client"));
	if (*text_of(result, "pool"))
		print_decision(result);
	if (json_object_get(result, "scope"))
		printf("scope of the answer: /%lld\n", number_of(result, "scope"));
	json_array_foreach(json_object_get(result, "answer"), i, entry)
	{
		printf("answer: %s\n", json_string_value(entry));
	}
	json_array_foreach(json_object_get(result, "authority"), i, entry)
	{
		printf("authority: %s\n", json_string_value(entry));
	}
}

static void print_versions(const json_t *result)
{
	size_t i;
	json_t *entry;
	json_array_foreach(result, i, entry)
	{
		printf("%s.%s\n", text_of(entry, "name"), text_of(entry, "zone"));
		print_fact("text", entry, "text");
		print_fact("source", entry, "source");
		print_fact("verified", entry, "verified");
		print_fact("state", entry, "state");
	}
}

static unsigned hex_digit(char c)
{
	return c <= '9' ? (unsigned)(c - '0') : (unsigned)(c - 'a') + 10;
}

static void print_message(const json_t *result)
{
	const char *text = text_of(result, "message");
	size_t len = strlen(text) / 2;
	uint8_t *bytes = malloc(len + 1);
	ldns_pkt *pkt = NULL;
	for (size_t i = 0; i < len && bytes; i++)
		bytes[i] = (uint8_t)(hex_digit(text[i * 2]) << 4 | hex_digit(text[i * 2 + 1]));
	if (bytes && ldns_wire2pkt(&pkt, bytes, len) == LDNS_STATUS_OK)
		ldns_pkt_print(stdout, pkt);
	ldns_pkt_free(pkt);
	free(bytes);
}

static void print_geo(const json_t *result)
{
	printf("%s %s %s\n", text_of(result, "address"), text_of(result, "country"),
	       text_of(result, "network"));
}

static void print_reload(const json_t *result)
{
	printf("reloaded, generation %lld is served\n", number_of(result, "generation"));
}

static void print_restart(const json_t *result)
{
	printf("restarted, pid %lld serves in place of %lld\n", number_of(result, "pid"),
	       number_of(result, "pid-before"));
}

static void print_log(const json_t *result)
{
	printf("log level %s\n", text_of(result, "level"));
}

static void print_messages(const json_t *list)
{
	size_t i;
	json_t *entry;
	json_array_foreach(list, i, entry)
	        fprintf(stderr, "%s: %s\n", text_of(entry, "level"), text_of(entry, "text"));
}

bool print_json(const json_t *value, size_t flags)
{
	size_t len = 0;
	char *text = object_dump(value, flags, "\n", &len);
	if (text)
		(void)fwrite(text, 1, len, stdout);
	else
		fprintf(stderr, "dnsdctl: out of memory\n");
	free(text);
	return text != NULL;
}

int print_response(const char *command, const json_t *response, bool json)
{
	static const struct {
		const char *command;
		void (*print)(const json_t *result);
	} printers[] = {
		{ "status", print_status },
		{ "stats", print_stats },
		{ "pool", print_pool },
		{ "feed", print_feed },
		{ "mirror", print_mirror_result },
		{ "explain", print_explain },
		{ "query", print_message },
		{ "geo", print_geo },
		{ "version", print_versions },
		{ "reload", print_reload },
		{ "restart", print_restart },
		{ "log", print_log },
	};
	const json_t *result = json_object_get(response, "result");
	bool ok = is_true(response, "ok");
	print_messages(json_object_get(response, "messages"));
	print_messages(json_object_get(result, "messages"));
	if (json && !print_json(ok ? result : response, JSON_INDENT(2) | JSON_ENCODE_ANY))
		return EXIT_FAILED;
	if (*text_of(response, "warning"))
		fprintf(stderr, "warning: %s\n", text_of(response, "warning"));
	if (!ok) {
		fprintf(stderr, "dnsdctl: %s\n", text_of(response, "error"));
		return EXIT_FAILED;
	}
	for (size_t i = 0; !json && i < sizeof(printers) / sizeof(printers[0]); i++) {
		if (strcmp(command, printers[i].command) == 0)
			printers[i].print(result);
	}
	return EXIT_DONE;
}
