#include "zones/version.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"

static const char magic[] = "ClamAV-VDB:";

/* Decimal digits only, up to a colon or the end. */
static int parse_number(const char *text, size_t len, uint64_t max, uint64_t *ret_number)
{
	uint64_t number = 0;
	if (len == 0 || len > 19)
		return -EINVAL;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return -EINVAL;
		number = number * 10 + (uint64_t)(text[i] - '0');
	}
	if (number > max)
		return -EINVAL;
	*ret_number = number;
	return 0;
}

int cvd_header_parse(const uint8_t *bytes, size_t len, struct cvd_header *ret_header, const char **ret_why)
{
	enum {
		FIELD_MAGIC,
		FIELD_BUILT,
		FIELD_VERSION,
		FIELD_SIGNATURES,
		FIELD_FLEVEL,
		FIELD_MD5,
		FIELD_SIGNATURE,
		FIELD_BUILDER,
		FIELD_STIME
	};
	if (len < CVD_HEADER_LEN) {
		*ret_why = "shorter than the 512 bytes of a CVD header";
		return -EINVAL;
	}
	const char *text = (const char *)bytes;
	if (memcmp(text, magic, sizeof(magic) - 1) != 0) {
		*ret_why = "no CVD file: it does not begin with \"ClamAV-VDB:\"";
		return -EINVAL;
	}
	/* Clients that fetch the header over HTTP refuse anything but text (the line ends included). */
	size_t line_len = CVD_HEADER_LEN;
	for (size_t i = CVD_HEADER_LEN; i-- > 0;) {
		if (bytes[i] == '\n' || bytes[i] == '\r') {
			line_len = i;
		} else if (bytes[i] < 0x20 || bytes[i] > 0x7e) {
			*ret_why = "a damaged CVD header: it holds bytes that are not text";
			return -EINVAL;
		}
	}
	while (line_len && text[line_len - 1] == ' ')
		line_len--;

	const char *field[FIELD_STIME + 1];
	size_t field_len[FIELD_STIME + 1];
	unsigned fields_n = 0;
	const char *at = text;
	const char *end = text + line_len;
	while (fields_n <= FIELD_STIME) {
		const char *colon = memchr(at, ':', (size_t)(end - at));
		field[fields_n] = at;
		field_len[fields_n++] = (size_t)((colon ? colon : end) - at);
		if (!colon)
			break;
		at = colon + 1;
	}
	uint64_t version;
	uint64_t signatures_n;
	uint64_t flevel;
	uint64_t built_s = 0;
	if (fields_n <= FIELD_BUILDER) {
		*ret_why = "a damaged CVD header: fewer than eight fields";
		return -EINVAL;
	}
	if (parse_number(field[FIELD_VERSION], field_len[FIELD_VERSION], UINT32_MAX, &version) < 0 ||
	    version == 0 ||
	    parse_number(field[FIELD_SIGNATURES], field_len[FIELD_SIGNATURES], UINT32_MAX, &signatures_n) <
	            0 ||
	    parse_number(field[FIELD_FLEVEL], field_len[FIELD_FLEVEL], UINT32_MAX, &flevel) < 0) {
		*ret_why = "a damaged CVD header: version, number of signatures or level is no number";
		return -EINVAL;
	}
	if (fields_n > FIELD_STIME &&
	    parse_number(field[FIELD_STIME], field_len[FIELD_STIME], UINT64_MAX, &built_s) < 0)
		built_s = 0;
	*ret_header = (struct cvd_header){ .version = (uint32_t)version,
		                           .signatures_n = (uint32_t)signatures_n,
		                           .flevel = (uint32_t)flevel,
		                           .built_s = built_s };
	return 0;
}

static struct version_database *find_database(struct version *version, const char *name)
{
	for (size_t i = 0; i < version->databases_n; i++) {
		if (strcmp(version->databases[i].name, name) == 0)
			return &version->databases[i];
	}
	return NULL;
}

static struct version_database *add_database(struct version *version, const char *name)
{
	struct version_database *database = find_database(version, name);
	if (database || version->databases_n == VERSION_DATABASES_MAX)
		return database;
	database = &version->databases[version->databases_n++];
	memset(database, 0, sizeof(*database));
	snprintf(database->name, sizeof(database->name), "%s", name);
	return database;
}

static const char *const standard[] = { "main", "daily", "bytecode", "safebrowsing" };

static uint32_t configured(const struct conf_version *conf, const char *name)
{
	const uint32_t numbers[] = { conf->main, conf->daily, conf->bytecode, conf->safebrowsing };
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		if (strcmp(standard[i], name) == 0)
			return numbers[i];
	}
	return 0;
}

static bool is_standard(const char *name)
{
	for (size_t i = 0; i < sizeof(standard) / sizeof(standard[0]); i++) {
		if (strcmp(standard[i], name) == 0)
			return true;
	}
	return false;
}

/* A database name becomes a DNS label and part of a record: letters, digits, hyphen, underscore. */
static bool is_database_name(const char *name, size_t len)
{
	if (len == 0 || len >= VERSION_NAME_MAX)
		return false;
	for (size_t i = 0; i < len; i++) {
		char c = name[i];
		bool fits = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
		if (!fits)
			return false;
	}
	return true;
}

static bool is_database_file(const char *file, char name[VERSION_NAME_MAX])
{
	size_t len = strlen(file);
	if (len <= 4 || strcmp(file + len - 4, ".cvd") != 0 || !is_database_name(file, len - 4))
		return false;
	memcpy(name, file, len - 4);
	name[len - 4] = '\0';
	return true;
}

/* Read and judge one file. Returns 0 or -EINVAL with diag filled. */
static int read_database(const char *path, int dir_fd, const char *file, const char *name,
                         struct version *version, struct diag *diag)
{
	char where[512];
	snprintf(where, sizeof(where), "%s/%s", path, file);
	/* O_NONBLOCK: opening a FIFO must not wait for somebody to write to it. */
	int fd = openat(dir_fd, file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0) {
		diag_error(diag, where, 0, "cannot open: %s; the record keeps its last value",
		           strerror(errno));
		return -EINVAL;
	}
	struct stat st;
	uint8_t bytes[CVD_HEADER_LEN];
	ssize_t len = -1;
	const char *why = "not a regular file";
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
		len = file_read_all(fd, bytes, sizeof(bytes));
		why = len < 0 ? strerror((int)-len) : NULL;
	}
	close(fd);
	struct cvd_header header;
	if (why || cvd_header_parse(bytes, (size_t)len, &header, &why) < 0) {
		diag_error(diag, where, 0,
		           "%s; the record keeps its last value, put a whole .cvd file here by rename", why);
		return -EINVAL;
	}
	const struct version_database *known = find_database(version, name);
	if (known && known->from_source && header.version < known->version) {
		diag_error(diag, where, 0,
		           "version %" PRIu32 " is lower than %" PRIu32
		           ", which is being served; the record keeps its last value (to go back on purpose "
		           "stop the server, remove versions.json from its state-directory, start it)",
		           header.version, known->version);
		return -EINVAL;
	}
	struct version_database *database = add_database(version, name);
	if (!database) {
		diag_error(diag, where, 0, "more than %d databases in one directory; this one is left out",
		           VERSION_DATABASES_MAX);
		return -EINVAL;
	}
	database->version = header.version;
	database->from_source = true;
	return 0;
}

/* Databases announced from a file must still have one: else this is not the source it was. */
static int check_lost(const char *path, const struct version *version, const bool *seen, struct diag *diag)
{
	int rc = 0;
	for (size_t i = 0; i < version->databases_n; i++) {
		const struct version_database *database = &version->databases[i];
		if (!database->from_source || seen[i] || !is_standard(database->name))
			continue;
		diag_error(diag, path, 0,
		           "%s.cvd is gone; the record keeps its last value and is not renewed",
		           database->name);
		rc = -EINVAL;
	}
	return rc;
}

static int read_directory(const char *path, struct version *version, struct diag *diag)
{
	bool seen[VERSION_DATABASES_MAX] = { false };
	DIR *dir = opendir(path);
	if (!dir) {
		diag_error(diag, path, 0, "cannot read the database directory: %s; the record is not renewed",
		           strerror(errno));
		return -EINVAL;
	}
	int rc = 0;
	bool any = false;
	const struct dirent *entry;
	while ((entry = readdir(dir))) {
		char name[VERSION_NAME_MAX];
		if (!is_database_file(entry->d_name, name))
			continue;
		any = true;
		const struct version_database *known = find_database(version, name);
		if (known)
			seen[known - version->databases] = true;
		if (read_database(path, dirfd(dir), entry->d_name, name, version, diag) < 0 &&
		    is_standard(name))
			rc = -EINVAL;
	}
	closedir(dir);
	if (any && check_lost(path, version, seen, diag) < 0)
		rc = -EINVAL;
	if (!any) {
		diag_error(diag, path, 0,
		           "no .cvd file in the database directory; the record is not renewed");
		rc = -EINVAL;
	}
	return rc;
}

/* One number of the feed. Returns 0, or -EINVAL when it would go back. */
static int take_number(const struct conf_version *conf, const struct feed_version *said,
                       struct version *version, struct diag *diag)
{
	if (!is_database_name(said->database, strlen(said->database))) {
		diag_warning(diag, NULL, 0,
		             "feed of pool %s: \"%s\" is no name of a database and is left out; write names "
		             "such as \"daily\"",
		             conf->feed, said->database);
		return 0;
	}
	struct version_database *database = add_database(version, said->database);
	if (!database) {
		diag_warning(diag, NULL, 0, "feed of pool %s: more than %d databases; \"%s\" is left out",
		             conf->feed, VERSION_DATABASES_MAX, said->database);
		return 0;
	}
	if (said->version < database->version) {
		diag_warning(diag, NULL, 0,
		             "feed of pool %s: version %" PRIu32 " of %s is lower than %" PRIu32
		             ", which is being served; the record keeps its last value",
		             conf->feed, said->version, said->database, database->version);
		return is_standard(said->database) ? -EINVAL : 0;
	}
	database->version = said->version;
	database->from_source = true;
	return 0;
}

static bool has_all_numbers(const struct version *version)
{
	for (size_t i = 0; i < version->databases_n; i++) {
		if (version->databases[i].version == 0)
			return false;
	}
	return true;
}

/* Returns 0 with ret_verified_s, or -EINVAL with diag filled. */
static int read_feed(const struct conf_version *conf, const struct feed *feed, uint64_t now_s,
                     struct version *version, struct diag *diag, uint64_t *ret_verified_s)
{
	if (!feed || feed->versions_n == 0) {
		diag_error(diag, NULL, 0, "feed of pool %s: it has no versions; the record is not renewed",
		           conf->feed);
		return -EINVAL;
	}
	if (feed->versions_verified_s == 0) {
		diag_error(diag, NULL, 0,
		           "feed of pool %s: its versions do not say when they were verified, write "
		           "\"verified\": \"2026-11-21T07:00:00Z\" beside them; the record is not renewed",
		           conf->feed);
		return -EINVAL;
	}
	int rc = 0;
	for (size_t i = 0; i < feed->versions_n; i++) {
		if (take_number(conf, &feed->versions[i], version, diag) < 0)
			rc = -EINVAL;
	}
	for (size_t i = 0; i < version->databases_n; i++) {
		if (version->databases[i].version)
			continue;
		diag_error(diag, conf->place.file, conf->place.line,
		           "version record %s: no version of database \"%s\" in the feed of pool %s; set "
		           "\"%s\" to a number",
		           conf->name, version->databases[i].name, conf->feed, version->databases[i].name);
		rc = -EINVAL;
	}
	/* Of a time in the future we only know when we first read it: else such a feed would be fresh for
	 * ever.
	 */
	uint64_t verified_s = feed->versions_verified_s < now_s ? feed->versions_verified_s : now_s;
	if (feed->versions_verified_s == version->stated_s && version->verified_s < verified_s)
		verified_s = version->verified_s;
	if (rc == 0) {
		version->stated_s = feed->versions_verified_s;
		*ret_verified_s = verified_s;
	}
	return rc;
}

static void renew_time(const struct conf_version *conf, uint64_t verified_s, struct version_clock clock,
                       struct version *version, struct diag *diag)
{
	version->verified_boot_s = clock.boot_s - (int64_t)(clock.now_s - verified_s);
	if (version->verified_s <= clock.now_s)
		version->ahead_told = false;
	if (version->verified_s > clock.now_s + VERSION_AHEAD_MAX_S) {
		diag_warning(diag, NULL, 0,
		             "version record %s: its time %" PRIu64
		             " came from a clock that was far ahead; it is corrected down to %" PRIu64,
		             conf->name, version->verified_s, verified_s);
		version->verified_s = verified_s;
	} else if (version->verified_s > clock.now_s && !version->ahead_told) {
		version->ahead_told = true;
		diag_warning(diag, NULL, 0,
		             "version record %s: the clock went back; the record keeps its time %" PRIu64
		             " until the clock has caught up",
		             conf->name, version->verified_s);
	} else if (verified_s > version->verified_s) {
		version->verified_s = verified_s;
	}
}

int version_verify(const struct conf_version *conf, const struct version *previous, const struct feed *feed,
                   struct version_clock clock, struct diag *diag, struct version *ret_version,
                   bool *ret_names_changed)
{
	struct version version = { 0 };
	if (previous)
		version = *previous;
	size_t before_n = version.databases_n;
	bool fixed = !conf->directory && !conf->feed;
	/* Numbers of the configuration stand in wherever the source has not told better. */
	for (size_t i = 0; i < sizeof(standard) / sizeof(standard[0]); i++) {
		struct version_database *database = add_database(&version, standard[i]);
		uint32_t number = configured(conf, standard[i]);
		if (database && (!database->from_source || fixed)) {
			/* A feed need not be there yet: what was served before it was asked for stays. */
			database->version = number || !conf->feed ? number : database->version;
			database->from_source = false;
		}
	}
	int rc = 0;
	uint64_t verified_s = clock.now_s;
	if (conf->directory)
		rc = read_directory(conf->directory, &version, diag);
	else if (conf->feed)
		rc = read_feed(conf, feed, clock.now_s, &version, diag, &verified_s);
	/* The operator vouches for start values once; from then on they age like any others. */
	bool start = conf->feed && rc < 0 && version.verified_s == 0 && has_all_numbers(&version);
	if (rc == 0 || start)
		renew_time(conf, verified_s, clock, &version, diag);
	*ret_names_changed = version.databases_n != before_n;
	*ret_version = version;
	return rc;
}

int version_set_number(struct version *version, const char *database, uint32_t number)
{
	struct version_database *entry =
	        is_database_name(database, strlen(database)) ? add_database(version, database) : NULL;
	if (!entry)
		return -EINVAL;
	entry->version = number;
	entry->from_source = true;
	return 0;
}

void version_restore(struct version *version, const struct version *kept, struct version_clock clock)
{
	bool lower = false;
	for (size_t i = 0; i < kept->databases_n; i++) {
		const struct version_database *then = &kept->databases[i];
		const struct version_database *now = find_database(version, then->name);
		if (now && now->version >= then->version)
			continue;
		lower |= now && is_standard(then->name);
		version_set_number(version, then->name, then->version);
	}
	uint64_t verified_s = kept->verified_s < clock.now_s ? kept->verified_s : clock.now_s;
	if (version->verified_s && (!lower || verified_s >= version->verified_s))
		return;
	version->verified_s = verified_s;
	version->verified_boot_s = clock.boot_s - (int64_t)(clock.now_s - verified_s);
}

struct version_clock version_clock_now(void)
{
	struct timespec now;
	struct timespec boot;
	clock_gettime(CLOCK_REALTIME, &now);
	clock_gettime(CLOCK_BOOTTIME, &boot);
	return (struct version_clock){ .now_s = (uint64_t)now.tv_sec, .boot_s = boot.tv_sec };
}

int64_t version_age_s(const struct conf_version *conf, const struct version *version,
                      struct version_clock clock)
{
	return conf->feed ? (int64_t)clock.now_s - (int64_t)version->verified_s
	                  : clock.boot_s - version->verified_boot_s;
}

enum version_freshness version_freshness(const struct conf_version *conf, const struct version *version,
                                         struct version_clock clock)
{
	if (version->verified_s == 0)
		return VERSION_REFUSED;
	int64_t age_s = version_age_s(conf, version, clock);
	if (conf->refuse_after_s && age_s >= conf->refuse_after_s)
		return VERSION_REFUSED;
	return conf->stale_after_s && age_s >= conf->stale_after_s ? VERSION_STALE : VERSION_FRESH;
}

uint64_t version_next_s(const struct conf_version *conf, const struct version *version,
                        struct version_clock clock)
{
	const uint32_t after_s[] = { conf->stale_after_s, conf->refuse_after_s };
	if (version->verified_s == 0)
		return 0;
	int64_t age_s = version_age_s(conf, version, clock);
	for (size_t i = 0; i < sizeof(after_s) / sizeof(after_s[0]); i++) {
		if (after_s[i] && age_s < after_s[i])
			return clock.now_s + (uint64_t)(after_s[i] - age_s);
	}
	return 0;
}

void version_text(const struct conf_version *conf, const struct version *version, char *text)
{
	uint32_t number[4] = { 0 };
	for (size_t k = 0; k < version->databases_n; k++) {
		for (size_t i = 0; i < 4; i++) {
			if (strcmp(version->databases[k].name, standard[i]) == 0)
				number[i] = version->databases[k].version;
		}
	}
	snprintf(text, VERSION_TEXT_MAX,
	         "%s:%" PRIu32 ":%" PRIu32 ":%" PRIu64 ":%d:%" PRIu32 ":%" PRIu32 ":%" PRIu32, conf->software,
	         number[0], number[1], version->verified_s, conf->warning, conf->flevel, number[3],
	         number[2]);
}

bool version_database_text(const struct version *version, const char *database, char *text)
{
	for (size_t i = 0; i < version->databases_n; i++) {
		if (strcmp(version->databases[i].name, database) != 0)
			continue;
		snprintf(text, VERSION_TEXT_MAX, "%" PRIu32 ":%" PRIu64, version->databases[i].version,
		         version->verified_s);
		return true;
	}
	return false;
}
