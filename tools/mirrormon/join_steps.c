#include <errno.h>
#include <inttypes.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/utc.h"
#include "geo/mmdb_load.h"
#include "mirrormon/checker.h"
#include "mirrormon/checker_get.h"
#include "mirrormon/join_int.h"
#include "zones/pool/country.h"

#define NAME_MAX_LEN 256

/* One run: what all steps need. */
struct run {
	const struct conf_monitor *conf;
	const struct join_template *template;
	const struct join_world *world;
	FILE *out;
	struct diag *diag;
	struct addr addrs[16];
	unsigned failed_n;
};

static void passed(struct run *run, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void skipped(struct run *run, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void failed(struct run *run, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void mend(struct run *run, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void tell(struct run *run, const char *word, const char *fmt, va_list args)
{
	fprintf(run->out, "%-8s", word);
	vfprintf(run->out, fmt, args);
	fputc('\n', run->out);
}

static void passed(struct run *run, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	tell(run, "ok", fmt, args);
	va_end(args);
}

static void skipped(struct run *run, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	tell(run, "skipped", fmt, args);
	va_end(args);
}

static void failed(struct run *run, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	tell(run, "FAILED", fmt, args);
	va_end(args);
	run->failed_n++;
}

/* A line of how to mend what failed. */
static void mend(struct run *run, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	tell(run, "", fmt, args);
	va_end(args);
}

/* The template and the addresses, against the pool. */

static void check_template(struct run *run)
{
	const struct conf_pool *pool = run->conf->pool;
	for (size_t i = 0; i < pool->mirrors_n; i++) {
		const struct conf_place *place = &pool->mirrors[i].place;
		if (strcasecmp(pool->mirrors[i].host, run->template->host) != 0)
			continue;
		failed(run, "template: %s is in the pool already, at %s:%u", run->template->host,
		       place->file ? place->file : "?", place->line);
		mend(run, "Change its entry there, or give the new mirror a name of its own.");
		return;
	}
	passed(run, "template: %s, %s, %zu %s", run->template->host, run->template->country,
	       run->template->addresses_n, run->template->addresses_n == 1 ? "address" : "addresses");
}

static const struct conf_mirror *user_of(const struct run *run, const struct addr *addr)
{
	const struct conf_pool *pool = run->conf->pool;
	for (size_t i = 0; i < pool->mirrors_n; i++) {
		for (size_t k = 0; k < pool->mirrors[i].addrs_n; k++) {
			if (addr_equal(&pool->mirrors[i].addrs[k].addr, addr))
				return &pool->mirrors[i];
		}
	}
	return NULL;
}

static void check_addresses(struct run *run)
{
	for (size_t i = 0; i < run->template->addresses_n; i++) {
		const char *why = NULL;
		const char *text = run->template->addresses[i];
		const struct conf_mirror *user = user_of(run, &run->addrs[i]);
		bool is_loopback = run->world->may_be_loopback;
		if (!is_loopback && !addr_is_unicast(&run->addrs[i], &why)) {
			failed(run, "address %s: %s", text, why);
			mend(run, "Clients need an address that leads to this mirror from everywhere.");
		} else if (user) {
			failed(run, "address %s: of %s already, at %s:%u", text, user->host,
			       user->place.file ? user->place.file : "?", user->place.line);
			mend(run,
			     "An address belongs to one mirror: with another entry it would count twice.");
		} else {
			passed(run, "address %s: of no other mirror", text);
		}
	}
}

static bool is_among(const struct addr *addr, const struct addr *addrs, size_t addrs_n)
{
	for (size_t i = 0; i < addrs_n; i++) {
		if (addr_equal(addr, &addrs[i]))
			return true;
	}
	return false;
}

static void list_addresses(const struct addr *addrs, size_t addrs_n, char *ret_text, size_t cap)
{
	char text[ADDR_TEXT_MAX];
	size_t len = 0;
	ret_text[0] = '\0';
	for (size_t i = 0; i < addrs_n && len + ADDR_TEXT_MAX + 8 < cap; i++)
		len += (size_t)snprintf(ret_text + len, cap - len, "%s%s", i ? ", " : "",
		                        addr_format(&addrs[i], text, sizeof(text)));
}

static void check_resolves(struct run *run)
{
	const struct join_template *template = run->template;
	struct addr found[JOIN_ADDRS_MAX];
	char list[512];
	const char *why = "it has no address";
	bool is_complete = true;
	int n = run->world->resolve(template->host, found, JOIN_ADDRS_MAX, &why);
	if (n <= 0) {
		failed(run, "name %s: does not lead anywhere: %s", template->host, why);
		mend(run, "Give it A and AAAA records with the addresses of the template.");
		return;
	}
	list_addresses(found, (size_t)n, list, sizeof(list));
	for (size_t i = 0; i < template->addresses_n; i++) {
		if (is_among(&run->addrs[i], found, (size_t)n))
			continue;
		is_complete = false;
		failed(run, "name %s: leads to %s, not to %s", template->host, list, template->addresses[i]);
		mend(run, "Add %s %s to its name, or leave the address out of the template.",
		     run->addrs[i].family == 6 ? "AAAA" : "A", template->addresses[i]);
	}
	if (is_complete)
		passed(run, "name %s: leads to %s", template->host, list);
}

static void check_country_of(struct run *run, const struct geo_map *map, size_t number)
{
	struct geo_match match;
	char code[3];
	const char *text = run->template->addresses[number];
	const char *country = run->template->country;
	geo_map_find(map, &run->addrs[number], &match);
	country_to_code(match.country, code);
	if (match.country == COUNTRY_UNKNOWN) {
		passed(run, "country of %s: not in the geo database; %s is taken on trust", text, country);
	} else if (country_canonical(match.country) == country_from_text(country)) {
		passed(run, "country of %s: %s", text, code);
	} else {
		failed(run, "country of %s: the geo database says %s, the template says %s", text, code,
		       country);
		mend(run, "Clients near the mirror are to find it: write country: %s if it stands there.",
		     code);
		mend(run, "If the database is wrong, have it corrected by whoever makes it.");
	}
}

static int check_country(struct run *run)
{
	struct mmdb_load_options options = { .path = run->conf->geo };
	struct mmdb_load_info info;
	struct geo_map *map;
	if (!run->conf->geo) {
		skipped(run, "country: monitor.geo names no database");
		return 0;
	}
	int rc = mmdb_load(&options, run->diag, &info, &map);
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < run->template->addresses_n; i++)
		check_country_of(run, map, i);
	geo_map_unref(map);
	return 0;
}

/* The web server, by name and address. */

/* The pattern of a Host header, with %c filled: by a country for asking, by a sign for server settings. */
static void fill_host(const char *pattern, const char *country, bool is_regex, char *ret_host, size_t cap)
{
	size_t len = 0;
	for (const char *p = pattern; *p && len + 8 < cap; p++) {
		if (p[0] == '%' && p[1] == 'c') {
			len += (size_t)snprintf(ret_host + len, cap - len, "%s", country);
			p++;
		} else if (is_regex && *p == '.') {
			ret_host[len++] = '\\';
			ret_host[len++] = '.';
		} else {
			ret_host[len++] = *p;
		}
	}
	ret_host[len] = '\0';
}

static bool has_country(const char *pattern)
{
	return strstr(pattern, "%c") != NULL;
}

static void mend_names(struct run *run)
{
	const struct conf_checks *checks = &run->conf->checks;
	char host[NAME_MAX_LEN];
	mend(run, "The web server has to serve the databases by all of its names.");
	fprintf(run->out, "        nginx, in server { }:          server_name %s", run->template->host);
	for (size_t i = 0; i < checks->hosts_n; i++) {
		bool is_regex = has_country(checks->hosts[i]);
		fill_host(checks->hosts[i], ".+", is_regex, host, sizeof(host));
		fprintf(run->out, is_regex ? " ~^%s$" : " %s", host);
	}
	fprintf(run->out, ";\n        Apache, in <VirtualHost *:80>: ServerName %s\n", run->template->host);
	fprintf(run->out, "                                       ServerAlias");
	for (size_t i = 0; i < checks->hosts_n; i++) {
		fill_host(checks->hosts[i], "*", false, host, sizeof(host));
		fprintf(run->out, " %s", host);
	}
	fputc('\n', run->out);
}

static void mend_refused(struct run *run)
{
	mend(run, "The database is for everybody: take away what refuses clients here, and let the");
	mend(run, "User-Agent " CHECKER_USER_AGENT " through.");
}

static void mend_page(struct run *run, const struct checker_page *page)
{
	if (page->status == 0) {
		mend(run,
		     "Let the web server listen on this address, port %u, and the firewall let it through",
		     (unsigned)run->conf->checks.port);
		mend(run, "from everywhere. nginx: listen %u; listen [::]:%u;   Apache: Listen %u",
		     (unsigned)run->conf->checks.port, (unsigned)run->conf->checks.port,
		     (unsigned)run->conf->checks.port);
	} else if (page->reason == REASON_REFUSED) {
		mend_refused(run);
	} else if (page->status >= 300 && page->status < 400) {
		mend(run, "Old clients do not follow: serve the files on port %u itself, by all names.",
		     (unsigned)run->conf->checks.port);
		mend(run, "nginx: take `return 301 https://...` out of this server { }.");
		mend(run, "Apache: take Redirect and RewriteRule out of this <VirtualHost>.");
	} else {
		mend_names(run);
	}
}

/* Returns 1 when the page came, 0 when not, negative errno. */
static int check_page(struct run *run, size_t number, const char *host, const char *path)
{
	struct checker_page page;
	const char *text = run->template->addresses[number];
	int rc = checker_get(&run->conf->checks, &run->addrs[number], host, path, &page);
	if (rc < 0)
		return rc;
	if (page.reason == REASON_NONE && page.status == 200) {
		passed(run, "%s by the name %s: GET %s: %s", text, host, path, page.detail);
		return 1;
	}
	failed(run, "%s by the name %s: GET %s: %s", text, host, path, page.detail);
	mend_page(run, &page);
	return 0;
}

/* Port 80 is there and does not send elsewhere: whatever else it says. Returns as check_page(). */
static int check_port(struct run *run, size_t number)
{
	struct checker_page page;
	const char *text = run->template->addresses[number];
	unsigned port = run->conf->checks.port;
	int rc = checker_get(&run->conf->checks, &run->addrs[number], run->template->host, "/timestamp",
	                     &page);
	if (rc < 0)
		return rc;
	bool is_redirect = page.status >= 300 && page.status < 400;
	if (page.status > 0 && !is_redirect) {
		passed(run, "%s port %u: answers, and without a redirect", text, port);
		return 1;
	}
	failed(run, "%s port %u: %s", text, port, page.detail);
	mend_page(run, &page);
	return is_redirect;
}

/* A file that only the mirror's admin can have made there: that name leads to this mirror's folder. */
static int check_local(struct run *run, size_t number, const char *host, const char *alias)
{
	struct checker_page local, timestamp;
	const struct conf_checks *checks = &run->conf->checks;
	const char *text = run->template->addresses[number];
	int rc = checker_get(checks, &run->addrs[number], host, "/local_test", &local);
	if (rc < 0)
		return rc;
	if (local.reason == REASON_NONE && local.status == 200) {
		passed(run, "%s by the name %s, as of %s: GET /local_test: %s", text, host, alias,
		       local.detail);
		return 0;
	}
	failed(run, "%s by the name %s, as of %s: GET /local_test: %s", text, host, alias, local.detail);
	rc = checker_get(checks, &run->addrs[number], host, "/timestamp", &timestamp);
	if (rc < 0)
		return rc;
	if (local.status == 404 && timestamp.status == 200) {
		mend(run, "The name is served, and the file is not there. Make it in the folder of the");
		mend(run, "databases, with any content: echo test > local_test. The synchronization leaves");
		mend(run, "files alone whose names begin with local_.");
	} else if (local.status == 404) {
		mend_names(run);
		mend(run,
		     "The * stands for itself, too: any name of that form has to be served. And make the");
		mend(run, "file local_test, of any content, in the folder of the databases.");
	} else {
		mend_page(run, &local);
	}
	return 0;
}

/* The databases, as the monitor will check them. */

struct waiting {
	bool done;
	struct check_result result;
};

static void on_checked(void *context, const struct check_request *request, const struct check_result *result)
{
	(void)request;
	struct waiting *waiting = context;
	waiting->result = *result;
	waiting->done = true;
}

/* Returns 0 or negative errno. */
static int check_whole(struct run *run, size_t number, struct check_result *ret_result)
{
	uv_loop_t loop;
	struct checker *checker;
	struct waiting waiting = { 0 };
	struct check_request request = { .host = run->template->host,
		                         .addr = run->addrs[number],
		                         .country = country_from_text(run->template->country),
		                         .now_s = run->world->now_s };
	int rc = uv_loop_init(&loop);
	if (rc < 0)
		return rc;
	rc = checker_create(&loop, &run->conf->checks, run->conf->ca_file, &checker);
	if (rc == 0) {
		rc = checker_start(checker, &request, on_checked, &waiting);
		while (rc == 0 && !waiting.done && uv_run(&loop, UV_RUN_ONCE))
			;
		checker_close(checker);
		uv_run(&loop, UV_RUN_DEFAULT);
	}
	uv_loop_close(&loop);
	if (rc == 0 && (!waiting.done || waiting.result.at_s == 0))
		rc = -EIO;
	if (rc == 0)
		*ret_result = waiting.result;
	return rc;
}

static void check_timestamp(struct run *run, const char *text, const struct check_result *result)
{
	char date[UTC_TEXT_MAX];
	uint64_t now_s = run->world->now_s;
	uint64_t age_s = now_s > result->timestamp_s ? now_s - result->timestamp_s : 0;
	if (age_s < JOIN_LATE_MAX_S) {
		passed(run, "%s timestamp: %s", text, utc_format(result->timestamp_s, date));
		return;
	}
	failed(run, "%s timestamp: %s, %" PRIu64 " h ago", text, utc_format(result->timestamp_s, date),
	       age_s / 3600);
	mend(run, "It comes with the databases every three hours. Look at rsync.log of clam-clientsync, and");
	mend(run, "ask the team whether this mirror is notified.");
}

/* Which step does a finding of the checker belong to? It ends with the first one. */
static void check_databases(struct run *run, const char *text, const struct check_result *result)
{
	const struct conf_checks *checks = &run->conf->checks;
	for (size_t i = 0; i < checks->databases_n && i < MODEL_DATABASES_MAX; i++) {
		if (result->databases[i].version == 0) {
			failed(run, "%s database %s.cvd: %s", text, checks->databases[i], result->detail);
			mend(run,
			     "All of %zu databases have to be in the folder, as the master has them: run",
			     checks->databases_n);
			mend(run,
			     "clam-clientsync once by hand, and let no filter or compression change them.");
			return;
		}
		passed(run, "%s database %s.cvd: version %" PRIu32, text, checks->databases[i],
		       result->databases[i].version);
	}
}

static bool has_databases(const struct run *run, const struct check_result *result)
{
	for (size_t i = 0; i < run->conf->checks.databases_n && i < MODEL_DATABASES_MAX; i++) {
		if (result->databases[i].version == 0)
			return false;
	}
	return true;
}

static void check_patches(struct run *run, const char *text, const struct check_result *result)
{
	const struct conf_checks *checks = &run->conf->checks;
	for (size_t i = 0; i < checks->databases_n && i < MODEL_DATABASES_MAX; i++) {
		if (strcmp(checks->databases[i], checks->patched) != 0)
			continue;
		const struct seen_database *seen = &result->databases[i];
		/* None leads to the first version. */
		if (checks->cdiffs == 0 || seen->version <= 1) {
			skipped(run, "%s patches: %s", text,
			        checks->cdiffs ? "there is none to the first version" : "checks.cdiffs is 0");
			return;
		}
		if (seen->cdiffs & 1 && !(result->warnings & CHECK_WARN_CDIFF_GAP)) {
			passed(run, "%s patches: %s-%" PRIu32 ".cdiff and those before", text,
			       checks->patched, seen->version);
			return;
		}
		uint32_t missing = seen->version;
		while (missing && seen->cdiffs >> (seen->version - missing) & 1)
			missing--;
		failed(run, "%s patches: %s-%" PRIu32 ".cdiff is missing or empty", text, checks->patched,
		       missing);
		mend(run, "Patches are synchronized with the databases: exclude no *.cdiff.");
	}
}

static void check_unchanged(struct run *run, const char *text, const struct check_result *result)
{
	if (!(result->warnings & CHECK_WARN_NO_304)) {
		passed(run, "%s modification times: 304 for a database that has not changed", text);
		return;
	}
	failed(run, "%s modification times: the whole database comes, though it has not changed", text);
	mend(run, "Clients ask with the time at which the database was built. Keep the files' times when");
	mend(run, "copying (rsync --times).   nginx: if_modified_since before;");
	mend(run, "Apache does it by itself.");
}

/* After the headers of the databases: the checker has ended with a finding, or come to its end. */
static void check_rest(struct run *run, const char *text, const struct check_result *result)
{
	bool is_last = !(result->untried & CHECK_PART_UNCHANGED);
	bool is_name =
	        !is_last && run->conf->checks.hosts_n > 1 && !(result->untried & CHECK_PART_OTHER_HOST);
	if (result->reason == REASON_NONE || is_last || is_name)
		check_patches(run, text, result);
	if (result->reason == REASON_NONE) {
		check_unchanged(run, text, result);
		return;
	}
	failed(run, "%s %s: %s", text,
	       is_last   ? "modification times"
	       : is_name ? "names"
	                 : "patches",
	       result->detail);
	if (result->reason == REASON_REFUSED) {
		mend_refused(run);
	} else if (result->reason == REASON_UNREACHABLE) {
		mend(run,
		     "It has answered before: look at its load, and at limits of connections or of time");
		mend(run, "in the web server and the firewall.");
	} else {
		mend(run, "Clients ask the same, and take a plain answer only, without a redirect: look for");
		mend(run, "this request in the web server's error log.");
	}
}

static int check_content(struct run *run, size_t number)
{
	struct check_result result = { 0 };
	const char *text = run->template->addresses[number];
	int rc = check_whole(run, number, &result);
	if (rc < 0)
		return rc;
	if (result.timestamp_s == 0) {
		failed(run, "%s timestamp: %s", text, result.detail);
		mend(run,
		     "The file comes with each push: ask the team whether there was one, and let nothing");
		mend(run, "change it.");
		return 0;
	}
	check_timestamp(run, text, &result);
	check_databases(run, text, &result);
	if (!has_databases(run, &result))
		return 0;
	check_rest(run, text, &result);
	return 0;
}

static int check_names(struct run *run, size_t number)
{
	const struct conf_checks *checks = &run->conf->checks;
	char host[NAME_MAX_LEN], alias[NAME_MAX_LEN];
	int rc = check_page(run, number, run->template->host, "/timestamp");
	for (size_t i = 0; rc >= 0 && i < checks->hosts_n; i++) {
		fill_host(checks->hosts[i], "test", false, host, sizeof(host));
		fill_host(checks->hosts[i], "*", false, alias, sizeof(alias));
		rc = has_country(checks->hosts[i]) ? check_local(run, number, host, alias)
		                                   : check_page(run, number, host, "/timestamp");
	}
	return rc < 0 ? rc : 0;
}

static int check_server(struct run *run, size_t number)
{
	int rc = check_port(run, number);
	if (rc == -ENETUNREACH || rc == -EADDRNOTAVAIL) {
		const char *family = run->addrs[number].family == 6 ? "IPv6" : "IPv4";
		failed(run, "%s: cannot be asked from here: %s", run->template->addresses[number],
		       strerror(-rc));
		mend(run, "Run this on a host that has %s, or leave the address out of the template.",
		     family);
		return 0;
	}
	if (rc == 0)
		skipped(run, "%s: names, timestamp and databases", run->template->addresses[number]);
	if (rc <= 0)
		return rc;
	rc = check_names(run, number);
	return rc < 0 ? rc : check_content(run, number);
}

int join_check(const struct conf_monitor *conf, const struct join_template *template,
               const struct join_world *world, FILE *out, struct diag *diag)
{
	struct run run = { .conf = conf, .template = template, .world = world, .out = out, .diag = diag };
	for (size_t i = 0; i < template->addresses_n; i++) {
		if (addr_parse(template->addresses[i], &run.addrs[i]) < 0)
			return -EINVAL;
	}
	check_template(&run);
	check_addresses(&run);
	check_resolves(&run);
	int rc = check_country(&run);
	if (rc < 0)
		return rc;
	for (size_t i = 0; rc == 0 && i < template->addresses_n; i++)
		rc = check_server(&run, i);
	if (rc < 0)
		diag_error(diag, NULL, 0, "the mirror could not be asked, for want of something here: %s",
		           rc == -EIO ? "memory or sockets" : strerror(-rc));
	return rc < 0 ? rc : run.failed_n > 0;
}

/* Blocks: this is a command, and its only work. */
static int resolve(const char *host, struct addr *addrs, size_t addrs_cap, const char **ret_why)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *list;
	size_t n = 0;
	int rc = getaddrinfo(host, NULL, &hints, &list);
	if (rc != 0) {
		*ret_why = gai_strerror(rc);
		return -EINVAL;
	}
	for (const struct addrinfo *item = list; item && n < addrs_cap; item = item->ai_next) {
		if (item->ai_family == AF_INET || item->ai_family == AF_INET6)
			addr_from_sockaddr(item->ai_addr, &addrs[n++]);
	}
	freeaddrinfo(list);
	return (int)n;
}

int join_run(const struct conf_monitor *conf, const struct join_template *template, bool append, FILE *out,
             struct diag *diag)
{
	struct join_world world = { .now_s = utc_now(), .resolve = resolve };
	return join_run_in(conf, template, &world, append, out, diag);
}
