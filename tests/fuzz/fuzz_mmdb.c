/*
 * Any bytes as a country database. A file that is taken must answer every address in bounds, one answer for
 * the whole of the prefix it is given for, and for the same country as libmaxminddb finds.
 *
 *     '=' OPTIONS FILE                 the file as it is
 *     BASE OPTIONS { SECTION AT AT VALUE }...   a sound file of our own writer, then edited:
 *
 *     BASE     which of the bases, a character each: '0' + layout + 5 * record size + 15 * addresses
 *     OPTIONS  '0' + bits: 1 also as the file for IPv6; 2 overrides; 4, 8 a country path
 *     SECTION  what AT AT, two digits to the base of 64 from '0' on, count from:
 *              t  the tree        d  the data        m  the metadata: the byte there is XORed with VALUE
 *              T  D  M            the same with the complement of VALUE
 *              r  R               as many bytes as VALUE says are left out, of the tree or of the data
 *              e                  so many bytes are cut from the end
 *
 * So the seeds are short texts. When libFuzzer mutates, some recipes are written out as files.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <maxminddb.h>

#include "geo/mmdb_load.h"
#include "tests/fuzz/fuzz.h"
#include "tools/geodb/mmdb_writer.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))

/* libFuzzer's own mutation: not there in a replay. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size) __attribute__((weak));
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);

static void require(bool holds)
{
	if (!holds)
		abort();
}

/* ---- sound files to start from ---- */

enum {
	LAYOUTS_N = MMDB_LAYOUT_N + 1, /* the last: several in one file */
	BITS_N = 3,
	ADDRESSES_N = 4, /* IPv6, with aliases, IPv4 alone, and with all codes there are */
	BASES_N = LAYOUTS_N * BITS_N * ADDRESSES_N,
	BASE_BYTES_MAX = 1 << 16,
};

struct base {
	uint8_t *bytes;
	size_t size;
	size_t data_at;
	size_t metadata_at;
};

static const struct {
	const char *prefix, *code;
} nets[] = {
	{ "10.0.0.0/8", "DE" },      { "10.1.2.0/24", "FR" },     { "192.0.2.128/25", "US" },
	{ "198.51.100.7/32", "SE" }, { "224.0.0.0/3", "ZZ" },     { "2001:db8:2::/48", "DE" },
	{ "2a00::/12", "GB" },       { "2a00:0:0:1::/64", "NL" }, { "fd00::/8", "IT" },
};

static size_t read_whole(const char *path, uint8_t *bytes, size_t cap)
{
	FILE *file = fopen(path, "rb");
	require(file != NULL);
	size_t size = fread(bytes, 1, cap, file);
	require(size > 0 && size < cap);
	fclose(file);
	return size;
}

static void base_make(struct base *base, unsigned number)
{
	static uint8_t bytes[BASE_BYTES_MAX];
	unsigned layout = number % LAYOUTS_N;
	unsigned addresses = number / LAYOUTS_N / BITS_N;
	struct mmdb_writer_options options = { .layout = layout % MMDB_LAYOUT_N,
		                               .record_bits = 24 + 4 * (number / LAYOUTS_N % BITS_N),
		                               .ip_version = addresses >= 2 ? 4 : 6,
		                               .alias_ipv4 = addresses == 1,
		                               .build_epoch_s = 1767225600 };
	struct mmdb_writer *writer = mmdb_writer_create(&options);
	require(writer != NULL);
	for (size_t i = 0; i < N(nets); i++) {
		struct prefix prefix;
		require(prefix_parse(nets[i].prefix, &prefix) == 0);
		if (layout == MMDB_LAYOUT_N)
			mmdb_writer_set_layout(writer, (enum mmdb_layout)(i % MMDB_LAYOUT_N));
		if (prefix.addr.family == 4 || addresses < 2)
			require(mmdb_writer_insert(writer, &prefix, nets[i].code) == 0);
	}
	/* More records than the loader's table of them has room for at first. */
	for (unsigned i = 1; i < COUNTRY_N && addresses == 3; i++) {
		struct prefix prefix = { .addr = { .family = 4, .bytes = { 16, 0, (uint8_t)i } }, .len = 24 };
		char code[3];
		prefix.addr.bytes[1] = (uint8_t)(i >> 8);
		country_to_code((uint16_t)i, code);
		require(mmdb_writer_insert(writer, &prefix, code) == 0);
	}
	/* In memory, where there is such a place: the writer waits for the disk. */
	char folder[32] = "/dev/shm/fuzz_mmdb.XXXXXX";
	char path[sizeof(folder) + 8];
	struct mmdb_writer_result result;
	if (!mkdtemp(folder)) {
		strcpy(folder, "/tmp/fuzz_mmdb.XXXXXX");
		require(mkdtemp(folder) != NULL);
	}
	snprintf(path, sizeof(path), "%s/mmdb", folder);
	require(mmdb_writer_write(writer, path, &result) == 0);
	mmdb_writer_destroy(writer);
	base->size = read_whole(path, bytes, sizeof(bytes));
	unlink(path);
	rmdir(folder);
	base->data_at = (size_t)result.nodes_n * options.record_bits / 4 + 16;
	const uint8_t *marker = memmem(bytes, base->size, "\xab\xcd\xefMaxMind.com", 14);
	require(marker != NULL);
	base->metadata_at = (size_t)(marker - bytes);
	base->bytes = malloc(base->size);
	require(base->bytes != NULL);
	memcpy(base->bytes, bytes, base->size);
}

/** Made when first wanted, and kept. */
static const struct base *base_get(uint8_t character)
{
	static struct base bases[BASES_N];
	unsigned number = (uint8_t)(character - '0') % BASES_N;
	if (!bases[number].bytes)
		base_make(&bases[number], number);
	return &bases[number];
}

/* ---- recipes ---- */

static size_t leave_out(uint8_t *file, size_t size, size_t at, size_t n)
{
	if (at >= size)
		return size;
	if (n > size - at)
		n = size - at;
	memmove(file + at, file + at + n, size - at - n);
	return size - n;
}

/** Returns the size of the file that the input stands for. */
static size_t make_file(const uint8_t *data, size_t size, uint8_t *file, size_t cap)
{
	if (size < 2)
		return 0;
	if (data[0] == '=') {
		size_t n = size - 2 < cap ? size - 2 : cap;
		memcpy(file, data + 2, n);
		return n;
	}
	const struct base *base = base_get(data[0]);
	require(base->size <= cap);
	memcpy(file, base->bytes, base->size);
	size_t file_size = base->size;
	for (const uint8_t *edit = data + 2; data + size - edit >= 4; edit += 4) {
		size_t at = (size_t)((edit[1] - '0') & 63) << 6 | ((edit[2] - '0') & 63);
		uint8_t value = edit[0] & 0x20 ? edit[3] : (uint8_t)~edit[3];
		switch (edit[0] | 0x20) {
		case 't': break;
		case 'd': at += base->data_at; break;
		case 'm': at += base->metadata_at; break;
		case 'r':
			at += edit[0] == 'R' ? base->data_at : 0;
			file_size = leave_out(file, file_size, at, edit[3]);
			continue;
		case 'e': file_size = at < file_size ? file_size - at : 0; continue;
		default: continue;
		}
		if (at < file_size)
			file[at] ^= value;
	}
	return file_size;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
	static uint8_t file[BASE_BYTES_MAX];
	if (!LLVMFuzzerMutate)
		return size;
	if (seed % 64 == 0 && size >= 2 && data[0] != '=') {
		size_t file_size = make_file(data, size, file, sizeof(file));
		if (file_size + 2 <= max_size) {
			data[0] = '=';
			memcpy(data + 2, file, file_size);
			size = file_size + 2;
		}
	}
	return LLVMFuzzerMutate(data, size, max_size);
}

/* ---- second opinion ---- */

static bool library_code_at(MMDB_entry_s *entry, const char *const *path, char ret_code[3])
{
	MMDB_entry_data_s value;
	if (MMDB_aget_value(entry, &value, path) != MMDB_SUCCESS || !value.has_data ||
	    value.type != MMDB_DATA_TYPE_UTF8_STRING || value.data_size != 2)
		return false;
	char code[3] = { value.utf8_string[0], value.utf8_string[1], '\0' };
	country_to_code(country_from_code(code), ret_code);
	return ret_code[0] != '-';
}

/** What libmaxminddb finds; layout is the one that mmdb_load() chose. */
static void library_find(const MMDB_s *mmdb, const char *layout, const struct addr *addr, char ret_code[3])
{
	static const struct {
		const char *layout;
		const char *paths[2][3];
	} known[] = {
		{ "country.iso_code, else registered_country.iso_code",
		  { { "country", "iso_code" }, { "registered_country", "iso_code" } } },
		{ "registered_country.iso_code", { { "registered_country", "iso_code" } } },
		{ "country_code", { { "country_code" } } },
		{ "continent.code", { { "continent", "code" } } },
		{ "country.iso_code", { { "country", "iso_code" } } },
		{ "country_code.0", { { "country_code", "0" } } },
	};
	struct sockaddr_in sin = { .sin_family = AF_INET };
	struct sockaddr_in6 sin6 = { .sin6_family = AF_INET6 };
	memcpy(&sin.sin_addr, addr->bytes, 4);
	memcpy(&sin6.sin6_addr, addr->bytes, 16);
	int status;
	MMDB_lookup_result_s result = MMDB_lookup_sockaddr(
	        mmdb, addr->family == 4 ? (const struct sockaddr *)&sin : (const struct sockaddr *)&sin6,
	        &status);
	size_t i = 0;
	while (i < N(known) && strcmp(known[i].layout, layout) != 0)
		i++;
	require(i < N(known));
	country_to_code(COUNTRY_UNKNOWN, ret_code);
	if (status != MMDB_SUCCESS || !result.found_entry)
		return;
	if (!library_code_at(&result.entry, known[i].paths[0], ret_code) && known[i].paths[1][0])
		library_code_at(&result.entry, known[i].paths[1], ret_code);
}

/* ---- what was loaded ---- */

static const char *const probes[] = {
	"0.0.0.0",
	"10.0.0.0",
	"10.1.2.3",
	"10.255.255.255",
	"11.0.0.0",
	"192.0.2.129",
	"198.51.100.6",
	"198.51.100.7",
	"223.255.255.255",
	"224.0.0.0",
	"255.255.255.255",
	"::",
	"::1.2.3.4",
	"::ffff:10.1.2.3",
	"2001::1",
	"2001:db8:2::1",
	"2001:db8:3::",
	"2002:a01:203::1",
	"2a00::1",
	"2a00:0:0:1::ffff",
	"2a0f:ffff::",
	"2a10::",
	"8000::",
	"fd00::1",
	"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
};

/** The first or the last address that shares the prefix. */
static struct addr prefix_end(const struct addr *addr, unsigned len, bool last)
{
	struct addr end = *addr;
	for (unsigned bit = len; bit < (addr->family == 4 ? 32U : 128U); bit++) {
		uint8_t mask = (uint8_t)(0x80U >> bit % 8);
		end.bytes[bit / 8] = (uint8_t)(last ? end.bytes[bit / 8] | mask : end.bytes[bit / 8] & ~mask);
	}
	return end;
}

static void check_find(const struct geo_map *map, const struct addr *addr, struct geo_match *ret_match)
{
	geo_map_find(map, addr, ret_match);
	require(ret_match->country < COUNTRY_N && ret_match->prefix_len <= (addr->family == 4 ? 32 : 128));
	for (int last = 0; last <= 1; last++) {
		struct addr end = prefix_end(addr, ret_match->prefix_len, last);
		struct geo_match match;
		geo_map_find(map, &end, &match);
		require(match.country == ret_match->country && match.prefix_len == ret_match->prefix_len);
	}
}

static void check_map(const struct geo_map *map, const struct mmdb_load_info *info, const char *path,
                      bool has_overrides)
{
	MMDB_s mmdb;
	require(MMDB_open(path, MMDB_MODE_MMAP, &mmdb) == MMDB_SUCCESS);
	char layout[sizeof(info->layout)];
	snprintf(layout, sizeof(layout), "%s", info->layout);
	for (size_t i = 0; i < N(probes); i++) {
		struct addr addr;
		struct geo_match match;
		char got[3];
		char want[3];
		require(addr_parse(probes[i], &addr) == 0);
		check_find(map, &addr, &match);
		if (has_overrides || (addr.family == 6 && info->ip_version == 4))
			continue;
		country_to_code(match.country, got);
		library_find(&mmdb, layout, &addr, want);
		/* An alias of IPv4 is left unknown in IPv6. */
		require(strcmp(got, want) == 0 || (addr.family == 6 && match.country == COUNTRY_UNKNOWN));
	}
	MMDB_close(&mmdb);
}

static void check_info(const struct mmdb_load_info *info, size_t file_size)
{
	require(info->ip_version == 4 || info->ip_version == 6);
	require(info->record_bits == 24 || info->record_bits == 28 || info->record_bits == 32);
	require(info->nodes_n > 0 && (uint64_t)info->nodes_n * info->record_bits / 4 < 2 * file_size);
	require(info->countries_n <= info->blocks_n && info->countries_n < COUNTRY_N);
	require(memchr(info->database_type, '\0', sizeof(info->database_type)) != NULL);
	for (const char *at = info->database_type; *at; at++)
		require(*at >= ' ' && *at <= '~');
}

/** Is it a base without an edit, which must be taken with these options? */
static bool must_load(const uint8_t *data, size_t size, const struct mmdb_load_options *options)
{
	if (size < 2 || size >= 6 || data[0] == '=')
		return false;
	unsigned number = (uint8_t)(data[0] - '0') % BASES_N;
	unsigned layout = number % LAYOUTS_N;
	unsigned addresses = number / LAYOUTS_N / BITS_N;
	const char *country_path = options->country_path;
	if (options->path_ipv6 && addresses >= 2)
		return false;
	if (!country_path)
		return layout != MMDB_LAYOUT_CONTINENT;
	if (strcmp(country_path, "country.iso_code") == 0)
		return layout == MMDB_LAYOUT_GEOIP2 || layout == MMDB_LAYOUT_N;
	return strcmp(country_path, "continent.code") == 0 && layout == MMDB_LAYOUT_CONTINENT;
}

static void check_load(const struct mmdb_load_options *options, bool must, size_t file_size)
{
	struct diag diag;
	struct mmdb_load_info info;
	struct geo_map *map = NULL;
	diag_init(&diag);
	int rc = mmdb_load(options, &diag, &info, &map);
	require(rc == 0 || (rc == -EINVAL && !must));
	require((rc == 0) == (map != NULL) && (rc == 0) == (diag.errors_n == 0));
	if (rc == 0) {
		check_info(&info, file_size);
		/* Of two files info names both layouts. */
		check_map(map, &info, options->path, options->nets_n > 0);
	}
	geo_map_unref(map);
	diag_fini(&diag);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t file[1 << 20];
	static const char *const country_paths[] = { NULL, "continent.code", "country.iso_code",
		                                     "country_code.0" };
	static struct mmdb_net overrides[2];
	if (!overrides[0].country) {
		require(prefix_parse("10.1.0.0/17", &overrides[0].prefix) == 0);
		require(prefix_parse("2a00::/11", &overrides[1].prefix) == 0);
		overrides[0].country = country_from_code("AU");
		overrides[1].country = country_from_code("NZ");
	}
	size_t file_size = make_file(data, size, file, sizeof(file));
	unsigned bits = size >= 2 ? (unsigned)(data[1] - '0') : 0;

	char path[32];
	int fd = memfd_create("fuzz_mmdb", MFD_CLOEXEC);
	require(fd >= 0 && write(fd, file, file_size) == (ssize_t)file_size);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	struct mmdb_load_options options = { .path = path,
		                             .path_ipv6 = bits & 1 ? path : NULL,
		                             .country_path = country_paths[bits >> 2 & 3],
		                             .nets = overrides,
		                             .nets_n = bits & 2 ? N(overrides) : 0 };
	check_load(&options, must_load(data, size, &options), file_size);
	close(fd);
	return 0;
}
