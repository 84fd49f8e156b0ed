/*
 * Any bytes as a configuration, a mirrors file, a regions file and a configuration of mirrormon. What was
 * refused must be said in lines that name the place and hold no control character; what was read must keep
 * what the keys promise.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "conf/conf.h"
#include "conf/monitor.h"
#include "tests/fuzz/fuzz.h"

static const char name[] = "folder/fuzz.conf";

static void require(bool holds)
{
	if (!holds)
		abort();
}

static void check_text(const char *text)
{
	if (!text || !text[0])
		abort();
	for (; *text; text++)
		require((unsigned char)*text >= 0x20 && *text != 0x7f);
}

static void check_texts(const char *const *texts, size_t texts_n)
{
	for (size_t i = 0; i < texts_n; i++)
		check_text(texts[i]);
}

static void check_place(const struct conf_place *place)
{
	require(place->file != NULL && strcmp(place->file, name) == 0 && place->line > 0);
}

/** Paths are relative to the folder of the file, or absolute. */
static void check_path(const char *path)
{
	check_text(path);
	require(path[0] == '/' || strncmp(path, "folder/", 7) == 0);
}

static void check_geo(const struct conf_geo *geo)
{
	if (geo->database)
		check_path(geo->database);
	if (geo->database_ipv6)
		check_path(geo->database_ipv6);
	require(geo->database || !geo->database_ipv6);
	for (size_t i = 0; i < geo->nets_n; i++) {
		const struct conf_net *net = &geo->nets[i];
		check_place(&net->place);
		require(net->prefix.addr.family == 4 || net->prefix.addr.family == 6);
		require(net->prefix.len <= (net->prefix.addr.family == 4 ? 32 : 128));
		require(net->country[0] >= 'A' && net->country[0] <= 'Z' && net->country[1] >= 'A' &&
		        net->country[1] <= 'Z' && net->country[2] == '\0');
	}
	for (size_t i = 0; i < geo->canaries_n; i++) {
		const struct conf_canary *canary = &geo->canaries[i];
		check_place(&canary->place);
		require(canary->addr.family == 4 || canary->addr.family == 6);
		require(canary->country[0] && canary->country[1] && !canary->country[2]);
	}
	require(geo->max_drift_percent >= 1 && geo->max_drift_percent <= 100);
}

static void check_version(const struct conf_version *version)
{
	check_place(&version->place);
	check_text(version->name);
	check_text(version->software);
	require(!strchr(version->software, ':'));
	if (version->directory)
		check_path(version->directory);
	if (version->feed)
		check_text(version->feed);
	require(!version->directory || !version->feed);
	if (!version->directory && !version->feed)
		require(version->main && version->daily && version->bytecode);
	require(version->safebrowsing && version->flevel && version->renew_s >= 1 &&
	        version->renew_s <= 3600);
	require(version->stale_after_s &&
	        (!version->refuse_after_s || version->refuse_after_s > version->stale_after_s));
	if (version->database_names)
		require(strstr(version->database_names, "%d") != NULL);
}

static void check_zone(const struct conf *conf, const struct conf_zone *zone)
{
	check_place(&zone->place);
	check_text(zone->name);
	check_path(zone->file);
	for (size_t i = 0; i < zone->versions_n; i++)
		check_version(&zone->versions[i]);
	for (size_t i = 0; i < zone->pools_n; i++) {
		const struct conf_zone_pool *use = &zone->pools[i];
		bool found = false;
		check_place(&use->place);
		check_texts(use->world, use->world_n);
		check_texts(use->nearest, use->nearest_n);
		check_texts(use->country, use->country_n);
		check_texts(use->country_ipv6, use->country_ipv6_n);
		check_texts(use->country_all, use->country_all_n);
		check_texts(use->region, use->region_n);
		check_texts(use->ping, use->ping_n);
		require(use->world_n + use->nearest_n + use->country_n + use->country_ipv6_n +
		                use->country_all_n + use->region_n + use->ping_n >
		        0);
		for (size_t k = 0; k < conf->pools_n && !found; k++)
			found = strcmp(conf->pools[k].name, use->pool) == 0;
		require(found);
	}
}

static void check_pool(const struct conf_pool *pool)
{
	check_text(pool->name);
	require(pool->ttl_s >= 1 && pool->ttl_s <= 86400);
	require(pool->max_answers >= 1 && pool->max_answers <= 255);
	require(pool->min_mirrors >= 1 && pool->min_mirrors <= 255);
	for (size_t i = 0; i < pool->mirrors_n; i++) {
		const struct conf_mirror *mirror = &pool->mirrors[i];
		check_place(&mirror->place);
		check_text(mirror->host);
		check_text(mirror->country);
		require(mirror->addrs_n > 0);
		for (size_t k = 0; k < mirror->addrs_n; k++) {
			check_place(&mirror->addrs[k].place);
			require(mirror->addrs[k].addr.family == 4 || mirror->addrs[k].addr.family == 6);
		}
	}
	for (size_t i = 0; i < pool->regions_n; i++) {
		check_place(&pool->regions[i].place);
		check_text(pool->regions[i].name);
		require(pool->regions[i].countries_n > 0);
		check_texts(pool->regions[i].countries, pool->regions[i].countries_n);
	}
	for (size_t i = 0; i < pool->neighbours_n; i++) {
		check_place(&pool->neighbours[i].place);
		check_text(pool->neighbours[i].country);
		require(pool->neighbours[i].near_n > 0);
		check_texts(pool->neighbours[i].near, pool->neighbours[i].near_n);
	}
}

static void check_conf(enum conf_text_kind kind, const struct conf *conf)
{
	require(conf->listen_n >= 1 && conf->workers <= 256);
	require(conf->edns_size >= 512 && conf->edns_size <= 4096);
	require(conf->tcp_idle_ms >= 1000 && conf->tcp_idle_ms <= 600000 && conf->stop_drain_ms <= 600000);
	require(conf->tcp_clients_max >= 1 && conf->tcp_clients_max <= 1000000);
	for (size_t i = 0; i < conf->listen_n; i++)
		require(conf->listen[i].addr.ss_family == AF_INET ||
		        conf->listen[i].addr.ss_family == AF_INET6);
	check_geo(&conf->geo);
	for (size_t i = 0; i < conf->zones_n; i++)
		check_zone(conf, &conf->zones[i]);
	for (size_t i = 0; i < conf->pools_n; i++)
		check_pool(&conf->pools[i]);
	require(kind == CONF_TEXT_MAIN || (conf->pools_n == 1 && conf->zones_n == 0));
	require(kind != CONF_TEXT_MIRRORS || conf->pools[0].mirrors_n > 0);
}

static void check_messages(const struct diag *diag)
{
	for (size_t i = 0; i < diag->messages_n; i++) {
		const char *text = diag->messages[i].text;
		check_text(text);
		require(strncmp(text, name, sizeof(name) - 1) == 0 && text[sizeof(name) - 1] == ':');
		/* That is what libconfig says where source_check.c let something pass. */
		const char *words = text + sizeof(name);
		require(strcmp(words + strspn(words, "0123456789"), ": syntax error") != 0);
	}
	require(diag->suppressed_n == 0 || diag->messages_n == DIAG_MESSAGES_MAX);
}

static void check_url(const char *url, const char *other_scheme)
{
	check_text(url);
	require(strncmp(url, "https://", 8) == 0 || strncmp(url, other_scheme, strlen(other_scheme)) == 0);
	require(!strpbrk(url, " \"<>"));
}

static void check_mail(const char *mail)
{
	check_text(mail);
	require(mail[0] != '-' && strchr(mail, '@') && !strpbrk(mail, " ,;:<>()"));
}

static void check_monitor(const struct conf_monitor *conf)
{
	const struct conf_checks *checks = &conf->checks;
	const struct conf_decision *decision = &conf->decision;
	const struct conf_votes *votes = &conf->votes;
	bool patched = !checks->patched[0];
	check_place(&conf->place);
	check_text(conf->name);
	check_text(conf->pool->name);
	check_path(conf->pool->mirrors_file);
	require(conf->pool->mirrors_n == 0 && conf->pool->regions_n == 0);
	require(conf->feed || !conf->feed_key);
	require(conf->feed_interval_ms >= 100 &&
	        conf->feed_valid_s * UINT64_C(1000) > conf->feed_interval_ms);

	require(checks->interval_ms >= checks->retry_ms && checks->retry_ms >= 100);
	require(checks->timeout_ms >= checks->connect_timeout_ms && checks->connect_timeout_ms >= 100);
	require(checks->port && checks->concurrency && checks->cdiffs <= CONF_CDIFFS_MAX);
	require(checks->databases_n >= 1 && checks->databases_n <= CONF_DATABASES_MAX);
	require(checks->hosts_n >= 1 && checks->hosts_n <= CONF_HOSTS_MAX);
	check_texts(checks->databases, checks->databases_n);
	check_texts(checks->hosts, checks->hosts_n);
	for (size_t i = 0; i < checks->databases_n; i++)
		patched |= strcmp(checks->patched, checks->databases[i]) == 0;
	require(patched);

	require(conf->references_quorum <= conf->references_n &&
	        (conf->references_quorum || !conf->references_n));
	for (size_t i = 0; i < conf->references_n; i++) {
		check_place(&conf->references[i].place);
		check_url(conf->references[i].url, "http://");
	}
	require(decision->old_after_s > decision->late_after_s && decision->late_after_s);
	require(decision->probation_max_s >= decision->probation_s && decision->probation_s);
	require(decision->slow_after >= 1 && decision->slow_after <= CONF_SLOW_AFTER_MAX);
	require(votes->others_n <= CONF_VOTES_MAX);
	require(votes->quorum >= 1 && votes->quorum <= votes->others_n + 1);
	for (size_t i = 0; i < votes->others_n; i++) {
		if (strstr(votes->others[i], "://"))
			check_url(votes->others[i], "https://");
		else
			check_path(votes->others[i]);
	}
	if (conf->mail.team) {
		check_mail(conf->mail.team);
		check_mail(conf->mail.from);
	}
	require(conf->mail.team || !conf->mail.from);
	if (conf->site.url)
		check_url(conf->site.url, "http://");
}

static void run_monitor(const char *text, size_t size)
{
	struct diag diag;
	struct conf_monitor *conf = NULL;
	diag_init(&diag);
	int rc = conf_monitor_load_text(name, text, size, &diag, &conf);
	require(rc == 0 || rc == -EINVAL);
	require((rc == 0) == (conf != NULL) && (rc == 0) == (diag.errors_n == 0));
	check_messages(&diag);
	if (conf)
		check_monitor(conf);
	conf_monitor_destroy(conf);
	diag_fini(&diag);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum conf_text_kind kinds[] = { CONF_TEXT_MAIN, CONF_TEXT_MIRRORS, CONF_TEXT_REGIONS };
	const char *text = size ? (const char *)data : "";
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct diag diag;
		struct conf *conf = NULL;
		diag_init(&diag);
		int rc = conf_load_text(kinds[i], name, text, size, &diag, &conf);
		require(rc == 0 || rc == -EINVAL);
		require((rc == 0) == (conf != NULL) && (rc == 0) == (diag.errors_n == 0));
		check_messages(&diag);
		if (conf)
			check_conf(kinds[i], conf);
		conf_destroy(conf);
		diag_fini(&diag);
	}
	run_monitor(text, size);
	return 0;
}
