/* mmdb_load: files of our own writer, whole and damaged; libmaxminddb's own lookup is the second opinion. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <maxminddb.h>

#include "geo/mmdb_check.h"
#include "geo/mmdb_load.h"
#include "tools/geodb/mmdb_writer.h"

static char dir[] = "/tmp/mmdb_load_test.XXXXXX";
static char path[64]; /* the one file most tests write */
static char path6[64];

static uint64_t random_state = 0x2545f4914f6cdd1d;

static uint32_t random_below(uint32_t n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t)(random_state >> 33) % n;
}

static const struct {
	const char *prefix, *code;
} nets4[] = {
	{ "10.0.0.0/8", "DE" },     { "10.1.0.0/16", "FR" },    { "10.1.2.0/24", "DE" },
	{ "192.0.2.0/25", "US" },   { "192.0.2.128/25", "DE" }, { "198.51.100.7/32", "SE" },
	{ "203.0.113.0/24", "JP" }, { "224.0.0.0/3", "ZZ" },
};
static const struct {
	const char *prefix, *code;
} nets6[] = {
	{ "2001:db8:1::/48", "US" }, { "2001:db8:2::/48", "DE" }, { "2001:db8:2:3:4:5:6:7/128", "NL" },
	{ "2a00::/12", "GB" },       { "fd00::/8", "IT" },
};
#define N(array) (sizeof(array) / sizeof((array)[0]))

static const char *const probes[] = {
	"0.0.0.0",        "9.255.255.255",   "10.0.0.0",     "10.1.1.1",       "10.1.2.3",
	"10.255.255.255", "11.0.0.0",        "192.0.2.127",  "192.0.2.128",    "198.51.100.7",
	"198.51.100.8",   "203.0.113.255",   "223.1.1.1",    "224.0.0.0",      "255.255.255.255",
	"2001:db8:1::",   "2001:db8:2:3::1", "2001:db8:3::", "2a00:1450::1",   "2a0f:ffff::",
	"2a10::",         "fd00::1",         "fe00::1",      "ffff:ffff:f::1", "2001:db8:2:3:4:5:6:7",
};

static struct mmdb_writer *writer_create(const struct mmdb_writer_options *options)
{
	struct mmdb_writer *writer = mmdb_writer_create(options);
	assert_non_null(writer);
	return writer;
}

static void insert(struct mmdb_writer *writer, const char *text, const char *code)
{
	struct prefix prefix;
	assert_int_equal(prefix_parse(text, &prefix), 0);
	assert_int_equal(mmdb_writer_insert(writer, &prefix, code), 0);
}

static void finish(struct mmdb_writer *writer, const char *out)
{
	assert_int_equal(mmdb_writer_write(writer, out, NULL), 0);
	mmdb_writer_destroy(writer);
}

static void write_nets(const struct mmdb_writer_options *options, const char *out)
{
	struct mmdb_writer *writer = writer_create(options);
	for (size_t i = 0; i < N(nets4); i++)
		insert(writer, nets4[i].prefix, nets4[i].code);
	for (size_t i = 0; i < N(nets6) && options->ip_version != 4; i++)
		insert(writer, nets6[i].prefix, nets6[i].code);
	finish(writer, out);
}

static uint8_t *read_file(const char *from, size_t *ret_size)
{
	FILE *file = fopen(from, "re");
	assert_non_null(file);
	uint8_t *bytes = malloc(1 << 20);
	assert_non_null(bytes);
	*ret_size = fread(bytes, 1, 1 << 20, file);
	fclose(file);
	return bytes;
}

static void write_file(const char *to, const uint8_t *bytes, size_t size)
{
	FILE *file = fopen(to, "we");
	assert_non_null(file);
	if (size) /* an empty file has no bytes to point to */
		assert_int_equal(fwrite(bytes, 1, size, file), size);
	assert_int_equal(fclose(file), 0);
}

/** Load; a refusal must say the file and why. `want` NULL: any words will do. */
static int load(const struct mmdb_load_options *options, struct mmdb_load_info *info,
                struct geo_map **ret_map, const char *want)
{
	struct diag diag;
	diag_init(&diag);
	*ret_map = NULL;
	int rc = mmdb_load(options, &diag, info, ret_map);
	if (rc == 0) {
		assert_int_equal(diag.errors_n, 0);
		assert_non_null(*ret_map);
	} else {
		assert_null(*ret_map);
		assert_true(diag.errors_n > 0);
		if (want && !strstr(diag.messages[0].text, want))
			fail_msg("said: %s; want: %s", diag.messages[0].text, want);
	}
	diag_fini(&diag);
	return rc;
}

static void check_refused(const char *file, const char *why)
{
	struct mmdb_load_options options = { .path = file };
	struct geo_map *map;
	int rc = load(&options, NULL, &map, why);
	if (rc == 0)
		fail_msg("%s was loaded; want: %s", file, why);
	assert_int_equal(rc, strstr(why, "No such file") ? -ENOENT : -EINVAL);
}

static void check_find(const struct geo_map *map, const char *text, const char *code, unsigned len)
{
	struct addr addr;
	struct geo_match match;
	char got[3];
	assert_int_equal(addr_parse(text, &addr), 0);
	geo_map_find(map, &addr, &match);
	country_to_code(match.country, got);
	if (strcmp(got, code) != 0 || match.prefix_len != len)
		fail_msg("%s: got %s/%u, want %s/%u", text, got, match.prefix_len, code, len);
}

static void library_code(const MMDB_s *mmdb, const char *text, const char *const *keys, char ret_code[3])
{
	strcpy(ret_code, "--");
	int gai;
	int status;
	MMDB_lookup_result_s result = MMDB_lookup_string(mmdb, text, &gai, &status);
	MMDB_entry_data_s value;
	if (gai == 0 && status == MMDB_SUCCESS && result.found_entry &&
	    MMDB_aget_value(&result.entry, &value, keys) == MMDB_SUCCESS && value.has_data)
		memcpy(ret_code, value.utf8_string, 2);
}

static void check_same_as_library(const struct geo_map *map, const char *const *keys, bool has_ipv6)
{
	MMDB_s mmdb;
	assert_int_equal(MMDB_open(path, MMDB_MODE_MMAP, &mmdb), MMDB_SUCCESS);
	for (size_t i = 0; i < N(probes); i++) {
		if (strchr(probes[i], ':') && !has_ipv6)
			continue;
		char want[3];
		char got[3];
		struct addr addr;
		struct geo_match match;
		library_code(&mmdb, probes[i], keys, want);
		assert_int_equal(addr_parse(probes[i], &addr), 0);
		geo_map_find(map, &addr, &match);
		country_to_code(match.country, got);
		assert_string_equal(got, want);
	}
	MMDB_close(&mmdb);
}

static void test_round_trip(void **state)
{
	(void)state;
	static const struct {
		enum mmdb_layout layout;
		const char *keys[3];
		const char *name;
	} layouts[] = {
		{ MMDB_LAYOUT_GEOIP2,
		  { "country", "iso_code" },
		  "country.iso_code, else registered_country.iso_code" },
		{ MMDB_LAYOUT_REGISTERED,
		  { "registered_country", "iso_code" },
		  "registered_country.iso_code" },
		{ MMDB_LAYOUT_FLAT, { "country_code" }, "country_code" },
	};
	for (unsigned i = 0; i < N(layouts) * 3 * 2 * 2; i++) {
		unsigned layout = i / 12;
		struct mmdb_writer_options options = { .layout = layouts[layout].layout,
			                               .record_bits = 24 + i % 3 * 4,
			                               .ip_version = i / 3 % 2 ? 4 : 6,
			                               .alias_ipv4 = i / 6 % 2,
			                               .database_type = "Test\x01-Country",
			                               .build_epoch_s = 1767225600 };
		write_nets(&options, path);
		struct mmdb_load_options load_options = { .path = path };
		struct mmdb_load_info info;
		struct geo_map *map;
		assert_int_equal(load(&load_options, &info, &map, NULL), 0);
		bool has_ipv6 = options.ip_version == 6;
		check_same_as_library(map, layouts[layout].keys, has_ipv6);
		check_find(map, "10.1.2.3", "DE", 24);
		check_find(map, "10.1.3.3", "FR", 24);
		check_find(map, "198.51.100.7", "SE", 32);
		check_find(map, "255.1.2.3", "ZZ", 3);
		check_find(map, "2a00::1", has_ipv6 ? "GB" : "--", has_ipv6 ? 12 : 0);
		check_find(map, "2001:db8:2:3:4:5:6:7", has_ipv6 ? "NL" : "--", has_ipv6 ? 128 : 0);
		check_find(map, "2002:a01:101::", "--", has_ipv6 ? 15 : 0); /* an alias is left unknown */
		assert_string_equal(info.layout, layouts[layout].name);
		assert_string_equal(info.database_type, "Test?-Country");
		assert_int_equal(info.built_s, 1767225600);
		assert_int_equal(info.ip_version, options.ip_version);
		assert_int_equal(info.record_bits, options.record_bits);
		assert_int_equal(info.countries_n, has_ipv6 ? 9 : 6);
		geo_map_unref(map);
	}
}

/** Many random networks, all looked up in both ways. */
static void test_random_trees(void **state)
{
	(void)state;
	static const char *const keys[] = { "country", "iso_code", NULL };
	for (unsigned round = 0; round < 10; round++) {
		struct mmdb_writer_options options = { .record_bits = 24 + round % 3 * 4,
			                               .alias_ipv4 = round & 1 };
		struct mmdb_writer *writer = writer_create(&options);
		for (unsigned i = 0; i < 400; i++) {
			struct addr ends[2] = { { .family = i % 2 ? 4 : 6 }, { .family = i % 2 ? 4 : 6 } };
			ends[0].bytes[0] = ends[1].bytes[0] = (uint8_t)(i % 2 ? 10 + random_below(5) : 0x2a);
			for (unsigned j = 1; j < (i % 2 ? 4 : 16); j++) {
				ends[0].bytes[j] = (uint8_t)random_below(j < 3 ? 4 : 256);
				ends[1].bytes[j] =
				        random_below(3) ? ends[0].bytes[j] : (uint8_t)random_below(256);
			}
			bool swap = memcmp(ends[0].bytes, ends[1].bytes, 16) > 0;
			char code[3] = { 'A', (char)('A' + random_below(5)), '\0' };
			assert_int_equal(mmdb_writer_insert_range(writer, &ends[swap], &ends[!swap], code),
			                 0);
		}
		finish(writer, path);
		struct mmdb_load_options load_options = { .path = path };
		struct geo_map *map;
		assert_int_equal(load(&load_options, NULL, &map, NULL), 0);
		MMDB_s mmdb;
		assert_int_equal(MMDB_open(path, MMDB_MODE_MMAP, &mmdb), MMDB_SUCCESS);
		for (unsigned i = 0; i < 2000; i++) {
			struct addr addr = { .family = i % 2 ? 4 : 6 };
			addr.bytes[0] = (uint8_t)(i % 2 ? 10 + random_below(5) : 0x2a);
			for (unsigned j = 1; j < (i % 2 ? 4 : 16); j++)
				addr.bytes[j] = (uint8_t)random_below(j < 3 ? 4 : 256);
			char text[ADDR_TEXT_MAX];
			char want[3];
			char got[3];
			struct geo_match match;
			geo_map_find(map, &addr, &match);
			country_to_code(match.country, got);
			library_code(&mmdb, addr_format(&addr, text, sizeof(text)), keys, want);
			assert_string_equal(got, want);
		}
		MMDB_close(&mmdb);
		geo_map_unref(map);
	}
}

static void test_overrides(void **state)
{
	(void)state;
	write_nets(&(struct mmdb_writer_options){ .alias_ipv4 = true }, path);
	static const char *const prefixes[] = { "10.1.0.0/17", "10.1.2.0/25", "2a00:5::/32" };
	struct mmdb_net nets[N(prefixes)];
	for (size_t i = 0; i < N(prefixes); i++) {
		assert_int_equal(prefix_parse(prefixes[i], &nets[i].prefix), 0);
		nets[i].country = country_from_code(i == 0 ? "AU" : i == 1 ? "NZ" : "US");
	}
	struct mmdb_load_options options = { .path = path, .nets = nets, .nets_n = N(nets) };
	struct geo_map *map;
	assert_int_equal(load(&options, NULL, &map, NULL), 0);
	check_find(map, "10.1.2.127", "NZ", 25);
	check_find(map, "10.1.2.128", "AU", 25);
	check_find(map, "10.1.128.0", "FR", 17);
	check_find(map, "2a00:5::9", "US", 32);
	check_find(map, "2a00:4::9", "GB", 32);
	geo_map_unref(map);

	nets[1].prefix.len = 77;
	assert_int_equal(load(&options, NULL, &map, "override 2"), -EINVAL);
}

static void test_two_files(void **state)
{
	(void)state;
	write_nets(&(struct mmdb_writer_options){ .ip_version = 4 }, path);
	write_nets(&(struct mmdb_writer_options){ .layout = MMDB_LAYOUT_FLAT }, path6);
	struct mmdb_load_options options = { .path = path, .path_ipv6 = path6 };
	struct mmdb_load_info info;
	struct geo_map *map;
	assert_int_equal(load(&options, &info, &map, NULL), 0);
	check_find(map, "10.1.2.3", "DE", 24);
	check_find(map, "2a00::1", "GB", 12);
	assert_non_null(strstr(info.layout, "; IPv6: country_code"));
	geo_map_unref(map);

	options.path_ipv6 = path; /* no IPv6 in it */
	assert_int_equal(load(&options, &info, &map, "IPv4 only"), -EINVAL);
}

static void test_layouts(void **state)
{
	(void)state;
	/* A record without country.iso_code falls back to where its network is registered. */
	struct mmdb_writer *writer = writer_create(&(struct mmdb_writer_options){ 0 });
	insert(writer, "10.0.0.0/8", "DE");
	mmdb_writer_set_layout(writer, MMDB_LAYOUT_REGISTERED);
	insert(writer, "11.0.0.0/8", "FR");
	mmdb_writer_set_layout(writer, MMDB_LAYOUT_CONTINENT);
	insert(writer, "12.0.0.0/8", "EU");
	finish(writer, path);
	struct mmdb_load_options options = { .path = path };
	struct geo_map *map;
	assert_int_equal(load(&options, NULL, &map, NULL), 0);
	check_find(map, "10.1.1.1", "DE", 8);
	check_find(map, "11.1.1.1", "FR", 8);
	check_find(map, "12.1.1.1", "--", 6);
	geo_map_unref(map);

	options.country_path = "continent.code";
	assert_int_equal(load(&options, NULL, &map, NULL), 0);
	check_find(map, "12.1.1.1", "EU", 8);
	check_find(map, "10.1.1.1", "--", 6);
	geo_map_unref(map);

	static const struct {
		const char *path, *why;
	} bad[] = {
		{ "", "not a path" },
		{ ".", "not a path" },
		{ "a..b", "not a path" },
		{ "a.", "not a path" },
		{ "a.b.c.d.e.f.g.h.i", "not a path" },
		{ "country", "no country in it" },
		{ "country.names.en", "no country in it" },
		{ "country.iso_code.x", "no country in it" },
	};
	for (size_t i = 0; i < N(bad); i++) {
		options.country_path = bad[i].path;
		assert_int_equal(load(&options, NULL, &map, bad[i].why), -EINVAL);
	}
}

static void test_no_country(void **state)
{
	(void)state;
	write_nets(&(struct mmdb_writer_options){ .layout = MMDB_LAYOUT_CONTINENT }, path);
	check_refused(path, "no country in it");
	finish(writer_create(&(struct mmdb_writer_options){ 0 }), path);
	check_refused(path, "no network in it");

	/* One network with a code among n: 1 % is the border. */
	for (unsigned n = 99; n <= 101; n++) {
		struct mmdb_writer *writer = writer_create(&(struct mmdb_writer_options){ 0 });
		insert(writer, "10.0.0.0/32", "DE");
		mmdb_writer_set_layout(writer, MMDB_LAYOUT_CONTINENT);
		for (unsigned i = 1; i < n; i++) {
			struct prefix host = { .addr = { .family = 4, .bytes = { 11, 0, 0, 0 } }, .len = 32 };
			host.addr.bytes[3] = (uint8_t)(2 * i);
			host.addr.bytes[2] = (uint8_t)i;
			assert_int_equal(mmdb_writer_insert(writer, &host, "EU"), 0);
		}
		finish(writer, path);
		struct mmdb_load_options options = { .path = path };
		struct geo_map *map;
		assert_int_equal(load(&options, NULL, &map, "no country in it"), n <= 100 ? 0 : -EINVAL);
		geo_map_unref(map);
	}
}

static void test_not_a_database(void **state)
{
	(void)state;
	check_refused(dir, "is a directory");
	check_refused("/nonexistent/country.mmdb", "No such file");
	write_file(path, NULL, 0);
	check_refused(path, "is empty");
	write_file(path, (const uint8_t *)"127.0.0.0/8 DE\n", 15);
	check_refused(path, "is not a MaxMind DB file");
	unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	check_refused(path, "not a regular file"); /* and does not hang */
	unlink(path);
	check_refused("/dev/null", "not a regular file");
}

static void test_truncated(void **state)
{
	(void)state;
	write_nets(&(struct mmdb_writer_options){ .alias_ipv4 = true }, path);
	size_t size;
	uint8_t *bytes = read_file(path, &size);
	for (size_t cut = 1; cut < size; cut++) {
		write_file(path, bytes, cut);
		check_refused(path, path);
	}
	/* The middle missing: metadata and tree do not fit together. */
	uint8_t *shorter = malloc(size);
	for (size_t cut = 1; cut < 400; cut += 7) {
		memcpy(shorter, bytes, 100);
		memcpy(shorter + 100, bytes + 100 + cut, size - 100 - cut);
		write_file(path, shorter, size - cut);
		check_refused(path, path);
	}
	free(shorter);
	free(bytes);
}

/** Refused or loaded, and if loaded then whole: each lookup gives something. */
static bool load_whatever(const char *file)
{
	struct mmdb_load_options options = { .path = file };
	struct mmdb_load_info info;
	struct geo_map *map;
	int rc = load(&options, &info, &map, NULL);
	if (rc < 0) {
		assert_int_equal(rc, -EINVAL);
		return false;
	}
	for (size_t i = 0; i < N(probes); i++) {
		struct addr addr;
		struct geo_match match;
		assert_int_equal(addr_parse(probes[i], &addr), 0);
		geo_map_find(map, &addr, &match);
		assert_true(match.country < COUNTRY_N && match.prefix_len <= (addr.family == 4 ? 32 : 128));
	}
	geo_map_unref(map);
	return true;
}

static void test_bit_flips(void **state)
{
	(void)state;
	for (unsigned variant = 0; variant < 3; variant++) {
		struct mmdb_writer_options options = { .record_bits = 24 + 4 * variant, .alias_ipv4 = true };
		write_nets(&options, path);
		size_t size;
		uint8_t *bytes = read_file(path, &size);
		for (unsigned round = 0; round < 1000; round++) {
			size_t at[4];
			unsigned flips_n = 1 + random_below(4);
			for (unsigned i = 0; i < flips_n; i++) {
				/* Half of them in the last part, where records and metadata are. */
				at[i] = random_below(2) ? random_below((uint32_t)size)
				                        : size - 1 - random_below(320);
				bytes[at[i]] ^= (uint8_t)(1U << (round + i) % 8);
			}
			write_file(path, bytes, size);
			load_whatever(path);
			for (unsigned i = flips_n; i-- > 0;)
				bytes[at[i]] ^= (uint8_t)(1U << (round + i) % 8);
		}
		write_file(path, bytes, size);
		assert_true(load_whatever(path));
		free(bytes);
	}
}

/** A file of one node of IPv4, whose left half leads to the start of `data`. */
static void write_one_node(const uint8_t *data, size_t data_size, uint32_t left, uint32_t right)
{
	struct mmdb_writer *writer = writer_create(&(struct mmdb_writer_options){ .ip_version = 4 });
	insert(writer, "0.0.0.0/1", "US");
	finish(writer, path);
	size_t size;
	uint8_t *bytes = read_file(path, &size);
	struct mmdb_part metadata;
	assert_true(mmdb_metadata_find(bytes, size, &metadata));
	size_t tail = metadata.size + MMDB_MARKER_BYTES;
	uint8_t *made = calloc(1, 22 + data_size + tail);
	assert_non_null(made);
	for (unsigned i = 0; i < 3; i++) {
		made[i] = (uint8_t)(left >> (16 - 8 * i));
		made[3 + i] = (uint8_t)(right >> (16 - 8 * i));
	}
	memcpy(made + 22, data, data_size);
	memcpy(made + 22 + data_size, bytes + size - tail, tail);
	write_file(path, made, 22 + data_size + tail);
	free(made);
	free(bytes);
}

static void test_crafted(void **state)
{
	(void)state;
	static const uint8_t good[] = "\xe1\x4c"
	                              "country_code\x42"
	                              "DE";
	enum { GOOD_BYTES = sizeof(good) - 1, DATA = 17, EMPTY = 1 };
	write_one_node(good, GOOD_BYTES, DATA, EMPTY);
	assert_true(load_whatever(path));
	write_one_node(good, GOOD_BYTES, DATA, 0);
	check_refused(path, "loop");
	write_one_node(good, GOOD_BYTES, DATA, 5);
	check_refused(path, "outside the data");
	write_one_node(good, GOOD_BYTES, DATA, DATA + GOOD_BYTES);
	check_refused(path, "outside the data");
	write_one_node(good, GOOD_BYTES, DATA, DATA + GOOD_BYTES - 1); /* the last byte begins a double */
	check_refused(path, "record");

	/* Arrays in arrays, deeper than a stack: as a record and as metadata. */
	size_t deep_bytes = 120000;
	uint8_t *deep = malloc(deep_bytes);
	assert_non_null(deep);
	for (size_t i = 0; i < deep_bytes; i += 2) {
		deep[i] = 1;
		deep[i + 1] = 4;
	}
	write_one_node(deep, deep_bytes, DATA, EMPTY);
	check_refused(path, "record");
	memcpy(deep, "\xab\xcd\xefMaxMind.com", 14);
	write_file(path, deep, deep_bytes);
	check_refused(path, "metadata");
	free(deep);

	/* A map in itself, a pointer to itself, to a pointer, and past the end. */
	static const uint8_t in_itself[] = "\xe1\x41"
	                                   "a\x20\x00";
	write_one_node(in_itself, sizeof(in_itself) - 1, DATA, EMPTY);
	check_refused(path, "record");
	static const uint8_t pointers[] = "\x20\x00\x20\x00\x20\xff";
	for (uint32_t i = 0; i < 6; i += 2) {
		write_one_node(pointers, sizeof(pointers) - 1, DATA + i, EMPTY);
		check_refused(path, "record");
	}

	/* Each array holds the next one many times by pointers: 20^10 values in 500 bytes. */
	uint8_t bomb[1024];
	size_t n = 0;
	for (unsigned level = 0; level < 10; level++) {
		bomb[n++] = 20;
		bomb[n++] = 4;
		size_t next = n + 40;
		for (unsigned i = 0; i < 20; i++) {
			bomb[n++] = (uint8_t)(0x20 | next >> 8);
			bomb[n++] = (uint8_t)next;
		}
	}
	memcpy(bomb + n, good, GOOD_BYTES);
	write_one_node(bomb, n + GOOD_BYTES, DATA, EMPTY);
	check_refused(path, "record");
}

/** Random bytes of exact size: with a sanitizer, any step past the end is seen. */
static void test_check_random(void **state)
{
	(void)state;
	static const uint8_t likely[] = { 0xe1, 0x42, 0x20, 0x00, 0x01, 0x04, 0x41, 'a' };
	for (unsigned round = 0; round < 20000; round++) {
		size_t size = 1 + random_below(60);
		uint8_t *bytes = malloc(size);
		assert_non_null(bytes);
		for (size_t i = 0; i < size; i++)
			bytes[i] = random_below(3) ? likely[random_below(8)] : (uint8_t)random_below(256);
		struct mmdb_part part = { bytes, size };
		uint64_t steps = 10000;
		mmdb_value_is_sound(&part, random_below((uint32_t)size + 2), &steps);
		mmdb_metadata_find(bytes, size, &part);
		free(bytes);
	}
}

static int setup(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/a.mmdb", dir);
	snprintf(path6, sizeof(path6), "%s/b.mmdb", dir);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(path);
	unlink(path6);
	return rmdir(dir);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),     cmocka_unit_test(test_random_trees),
		cmocka_unit_test(test_overrides),      cmocka_unit_test(test_two_files),
		cmocka_unit_test(test_layouts),        cmocka_unit_test(test_no_country),
		cmocka_unit_test(test_not_a_database), cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_bit_flips),      cmocka_unit_test(test_crafted),
		cmocka_unit_test(test_check_random),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
