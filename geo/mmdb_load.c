#include "geo/mmdb_load.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <maxminddb.h>

#include "geo/mmdb_check.h"

/* Larger files aren't country data; and offsets of this size can't overflow the 32 bits of libmaxminddb. */
#define FILE_BYTES_MAX (1ULL << 30)
#define PATH_PARTS_MAX 8
/* Fewer leaves than this share with a code: not a country database, or the wrong path. In percent. */
#define CODED_PERCENT_MIN 1

#define LAYOUT_AUTO_N 3

struct layout {
	const char *name;
	const char *paths[2][PATH_PARTS_MAX + 1]; /* the second where the first is missing */
};

static const struct layout auto_layouts[LAYOUT_AUTO_N] = {
	{ "country.iso_code, else registered_country.iso_code",
	  { { "country", "iso_code" }, { "registered_country", "iso_code" } } },
	{ "registered_country.iso_code", { { "registered_country", "iso_code" } } },
	{ "country_code", { { "country_code" } } },
};

/** A data record that leaves of the tree point at. */
struct record {
	uint32_t offset_1;               /* into the data section, plus 1; 0 = free place */
	uint16_t country[LAYOUT_AUTO_N]; /* by layout; with a configured path only [0] */
	uint8_t direct;                  /* a bit by layout: the code stands at its first path */
	uint64_t leaves_n;
};

/** Open hash by offset; the number of places is a power of two. */
struct records {
	struct record *items;
	size_t n;
	size_t cap;
};

struct file {
	const char *path;
	struct diag *diag;
	const uint8_t *bytes; /* private copy, mapped; the library has a mapping of its own of it */
	size_t size;
	int fd;
	MMDB_s mmdb;
	bool is_open;

	struct mmdb_part data; /* data section, without the separator before and the metadata after it */
	uint32_t nodes_n;
	uint32_t record_bits;
	uint32_t ip_version;
	uint32_t ipv4_value; /* what stands for ::/96: a node, nodes_n (empty), or a record */
	unsigned ipv4_depth; /* 96, or less where the tree ends before */

	const struct layout *layouts;
	unsigned layouts_n;
	unsigned layout; /* the one that won */
	struct records records;
	uint8_t *node_seen; /* a bit each */
	uint32_t nodes_seen_n;
	uint64_t leaves_n;
};

/* ---- private copy ---- */

static int file_error(const struct file *file, int rc, const char *why)
{
	diag_error(file->diag, file->path, 0, "%s", why);
	return rc;
}

static int read_whole(const struct file *file, int fd, uint8_t *target, size_t size)
{
	size_t done = 0;
	while (done < size) {
		ssize_t n = read(fd, target + done, size - done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			diag_error(file->diag, file->path, 0, "can't read: %s", strerror(errno));
			return -EIO;
		}
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return done == size ? 0 : -EAGAIN;
}

static bool same_content(const struct stat *before, const struct stat *after)
{
	return before->st_size == after->st_size && before->st_mtim.tv_sec == after->st_mtim.tv_sec &&
	       before->st_mtim.tv_nsec == after->st_mtim.tv_nsec;
}

/** Copy the file into a memfd: libmaxminddb opens by name only, and a copy can't be cut or rewritten under
 * it. */
static int copy_from(struct file *file, int fd, const struct stat *st)
{
	file->size = (size_t)st->st_size;
	file->fd = memfd_create("mmdb", MFD_CLOEXEC);
	if (file->fd < 0 || ftruncate(file->fd, st->st_size) < 0)
		return file_error(file, -ENOMEM, "no memory for a private copy");
	uint8_t *bytes = mmap(NULL, file->size, PROT_READ | PROT_WRITE, MAP_SHARED, file->fd, 0);
	if (bytes == MAP_FAILED)
		return file_error(file, -ENOMEM, "no memory for a private copy");
	file->bytes = bytes;
	int rc = read_whole(file, fd, bytes, file->size);
	struct stat after;
	if (rc == 0 && (fstat(fd, &after) < 0 || !same_content(st, &after)))
		rc = -EAGAIN;
	if (rc == -EAGAIN)
		return file_error(
		        file, -EIO,
		        "changed while it was read; write a new file beside it and rename that into place");
	mprotect(bytes, file->size, PROT_READ);
	return rc;
}

static int file_read(struct file *file)
{
	int fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not hold us up */
	if (fd < 0) {
		int rc = errno == ENOENT || errno == ENOTDIR ? -ENOENT : errno == ENOMEM ? -ENOMEM : -EIO;
		diag_error(file->diag, file->path, 0, "can't open: %s", strerror(errno));
		return rc;
	}
	struct stat st;
	int rc;
	if (fstat(fd, &st) < 0)
		rc = file_error(file, -EIO, strerror(errno));
	else if (S_ISDIR(st.st_mode))
		rc = file_error(file, -EINVAL, "is a directory; name the .mmdb file in it");
	else if (!S_ISREG(st.st_mode))
		rc = file_error(file, -EINVAL, "is not a regular file; name a MaxMind DB file (.mmdb)");
	else if (st.st_size == 0)
		rc = file_error(file, -EINVAL, "is empty; download or build the database again");
	else if ((uint64_t)st.st_size > FILE_BYTES_MAX)
		rc = file_error(file, -EINVAL, "is larger than 1 GiB; use a country database");
	else
		rc = copy_from(file, fd, &st);
	close(fd);
	return rc;
}

/* ---- metadata ---- */

/** The library reads the metadata itself, but trusts its nesting: so that is checked before the library sees
 * it. */
static int check_metadata_bytes(const struct file *file, struct mmdb_part *ret_metadata)
{
	if (!mmdb_metadata_find(file->bytes, file->size, ret_metadata))
		return file_error(
		        file, -EINVAL,
		        "is not a MaxMind DB file, or its end is missing (no metadata); fetch it again");
	if (!mmdb_metadata_is_sound(ret_metadata))
		return file_error(file, -EINVAL, "is damaged (metadata); fetch it again");
	return 0;
}

static int open_library(struct file *file)
{
	char name[32];
	snprintf(name, sizeof(name), "/proc/self/fd/%d", file->fd);
	int status = MMDB_open(name, MMDB_MODE_MMAP, &file->mmdb);
	if (status == MMDB_SUCCESS) {
		file->is_open = true;
		return 0;
	}
	int rc = status == MMDB_OUT_OF_MEMORY_ERROR ? -ENOMEM : status == MMDB_IO_ERROR ? -EIO : -EINVAL;
	if (status == MMDB_FILE_OPEN_ERROR)
		diag_error(file->diag, file->path, 0, "can't open the private copy: %s; is /proc mounted?",
		           strerror(errno));
	else
		diag_error(file->diag, file->path, 0, "is damaged or no MaxMind DB file: %s; fetch it again",
		           MMDB_strerror(status));
	return rc;
}

/** Tree, separator, data and metadata must lie one after the other within the file. */
static int check_sections(struct file *file, const struct mmdb_part *metadata)
{
	const MMDB_metadata_s *meta = &file->mmdb.metadata;
	file->nodes_n = meta->node_count;
	file->record_bits = meta->record_size;
	file->ip_version = meta->ip_version;
	if ((file->record_bits != 24 && file->record_bits != 28 && file->record_bits != 32) ||
	    (file->ip_version != 4 && file->ip_version != 6) || file->nodes_n == 0)
		return file_error(file, -EINVAL, "is damaged (metadata); fetch it again");
	if (file->mmdb.metadata_section_size != metadata->size)
		return file_error(file, -EINVAL,
		                  "is damaged (metadata); fetch it again"); /* we'd talk of two places */
	uint64_t tree_bytes = (uint64_t)file->nodes_n * file->record_bits / 4;
	uint64_t data_end = (uint64_t)(metadata->base - file->bytes) - MMDB_MARKER_BYTES;
	if (tree_bytes + MMDB_SEPARATOR_BYTES > data_end)
		return file_error(file, -EINVAL,
		                  "is cut short or damaged (no room for its tree); fetch it again");
	const uint8_t *separator = file->bytes + tree_bytes;
	for (unsigned i = 0; i < MMDB_SEPARATOR_BYTES; i++) {
		if (separator[i] != 0)
			return file_error(file, -EINVAL,
			                  "is damaged (tree and data do not meet); fetch it again");
	}
	file->data.base = separator + MMDB_SEPARATOR_BYTES;
	file->data.size = (size_t)(data_end - tree_bytes - MMDB_SEPARATOR_BYTES);
	return 0;
}

/* ---- tree ---- */

static uint32_t node_half(const struct file *file, uint32_t node, unsigned side)
{
	const uint8_t *at = file->bytes + (size_t)node * (file->record_bits / 4);
	switch (file->record_bits) {
	case 24: at += side * 3; return (uint32_t)at[0] << 16 | (uint32_t)at[1] << 8 | at[2];
	case 28: {
		uint32_t top = side ? at[3] & 0xfU : at[3] >> 4;
		at += side * 4;
		return top << 24 | (uint32_t)at[0] << 16 | (uint32_t)at[1] << 8 | at[2];
	}
	default:
		at += side * 4;
		return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
	}
}

/** Of a record that is no node and not empty. */
static int data_offset(const struct file *file, uint32_t value, uint32_t *ret_offset)
{
	uint64_t start = (uint64_t)file->nodes_n + MMDB_SEPARATOR_BYTES;
	if (value < start || value - start >= file->data.size)
		return file_error(file, -EINVAL,
		                  "is damaged (a network points outside the data); fetch it again");
	*ret_offset = (uint32_t)(value - start);
	return 0;
}

static size_t record_place(const struct records *records, uint32_t offset_1)
{
	size_t place = (offset_1 * 0x9e3779b1U) & (records->cap - 1);
	while (records->items[place].offset_1 && records->items[place].offset_1 != offset_1)
		place = (place + 1) & (records->cap - 1);
	return place;
}

static int records_grow(struct records *records)
{
	struct records grown = { .n = records->n, .cap = records->cap ? records->cap * 2 : 1024 };
	grown.items = calloc(grown.cap, sizeof(*grown.items));
	if (!grown.items)
		return -ENOMEM;
	for (size_t i = 0; i < records->cap; i++) {
		if (records->items[i].offset_1)
			grown.items[record_place(&grown, records->items[i].offset_1)] = records->items[i];
	}
	free(records->items);
	*records = grown;
	return 0;
}

static int records_count_leaf(struct records *records, uint32_t offset)
{
	if (records->n * 2 >= records->cap && records_grow(records) < 0)
		return -ENOMEM;
	struct record *record = &records->items[record_place(records, offset + 1)];
	if (!record->offset_1) {
		record->offset_1 = offset + 1;
		records->n++;
	}
	record->leaves_n++;
	return 0;
}

/** A walk through the tree, depth first, so that the leaves come in the order of their addresses. */
struct walk {
	struct file *file;
	struct geo_map_builder *builder; /* NULL: the first walk, that checks and counts */
	uint8_t family;
	unsigned depth_max;
	uint32_t skip_node; /* the IPv4 tree, when walking IPv6 */
	unsigned depth;     /* bits of addr in use */
	uint8_t addr[16];
};

static int walk_leaf(struct walk *walk, uint32_t value)
{
	struct file *file = walk->file;
	uint32_t offset;
	if (value == file->nodes_n)
		return 0;
	int rc = data_offset(file, value, &offset);
	if (rc < 0)
		return rc;
	if (!walk->builder) {
		file->leaves_n++;
		return records_count_leaf(&file->records, offset);
	}
	const struct record *record = &file->records.items[record_place(&file->records, offset + 1)];
	if (record->country[file->layout] == COUNTRY_UNKNOWN)
		return 0;
	struct prefix block = { .addr.family = walk->family, .len = (uint8_t)walk->depth };
	memcpy(block.addr.bytes, walk->addr, sizeof(block.addr.bytes));
	return geo_map_builder_add(walk->builder, &block, record->country[file->layout]);
}

/** Each node is reached once: twice would be a loop or the work of a flipped bit, and could take for ever. */
static int walk_enter(struct walk *walk, uint32_t node)
{
	struct file *file = walk->file;
	if (walk->depth >= walk->depth_max)
		return file_error(file, -EINVAL, "is damaged (its tree is too deep); fetch it again");
	if (walk->builder)
		return 0; /* the first walk has looked */
	uint8_t mask = (uint8_t)(1U << node % 8);
	if (file->node_seen[node / 8] & mask)
		return file_error(file, -EINVAL, "is damaged (its tree has a loop); fetch it again");
	file->node_seen[node / 8] |= mask;
	file->nodes_seen_n++;
	return 0;
}

static int walk_value(struct walk *walk, uint32_t value)
{
	if (value >= walk->file->nodes_n)
		return walk_leaf(walk, value);
	if (value == walk->skip_node)
		return 0;
	int rc = walk_enter(walk, value);
	uint8_t *byte = &walk->addr[walk->depth / 8]; /* depth < depth_max, or rc < 0 */
	uint8_t mask = (uint8_t)(0x80U >> walk->depth % 8);
	walk->depth++;
	for (unsigned side = 0; side < 2 && rc == 0; side++) {
		if (side)
			*byte |= mask;
		rc = walk_value(walk, node_half(walk->file, value, side));
	}
	walk->depth--;
	if (rc == 0)
		*byte &= (uint8_t)~mask;
	return rc;
}

/** What stands for ::/96. In a damaged tree this may be any node: the walk finds out. */
static void find_ipv4(struct file *file)
{
	file->ipv4_value = 0;
	file->ipv4_depth = 0;
	if (file->ip_version == 4)
		return;
	while (file->ipv4_depth < 96 && file->ipv4_value < file->nodes_n) {
		file->ipv4_value = node_half(file, file->ipv4_value, 0);
		file->ipv4_depth++;
	}
}

/**
 * IPv6 leaves the IPv4 tree out, wherever it is reached: at ::/96 and at its aliases (::ffff:0:0/96,
 * 2001::/32, 2002::/16). Those stay unknown in the table of IPv6; an IPv4-mapped address is looked up as
 * IPv4.
 */
static int walk_family(struct file *file, uint8_t family, struct geo_map_builder *builder)
{
	struct walk walk = { .file = file,
		             .builder = builder,
		             .family = family,
		             .depth_max = family == 4 ? 32 : 128,
		             .skip_node = UINT32_MAX };
	if (family == 4)
		return walk_value(&walk, file->ipv4_value);
	if (file->ip_version == 4)
		return 0;
	if (file->ipv4_value < file->nodes_n && file->ipv4_value != 0)
		walk.skip_node = file->ipv4_value;
	return walk_value(&walk, 0);
}

static int check_tree(struct file *file)
{
	file->node_seen = calloc(1, file->nodes_n / 8 + 1);
	if (!file->node_seen)
		return -ENOMEM;
	find_ipv4(file);
	int rc = walk_family(file, 6, NULL);
	/* Where the tree ends before ::/96 the walk of IPv6 has seen that leaf. */
	if (rc == 0 && (file->ip_version == 4 || file->ipv4_value < file->nodes_n))
		rc = walk_family(file, 4, NULL);
	if (rc == 0 && file->nodes_seen_n != file->nodes_n)
		rc = file_error(file, -EINVAL, "is damaged (a part of its tree is cut off); fetch it again");
	return rc;
}

/* ---- records ---- */

/** The code at one path; COUNTRY_UNKNOWN when there is none. The value was found sound before. */
static uint16_t decode_code(const struct file *file, uint32_t offset, const char *const *path)
{
	MMDB_entry_s entry = { .mmdb = &file->mmdb, .offset = offset };
	MMDB_entry_data_s value;
	if (!path[0] || MMDB_aget_value(&entry, &value, path) != MMDB_SUCCESS || !value.has_data ||
	    value.type != MMDB_DATA_TYPE_UTF8_STRING || value.data_size != 2)
		return COUNTRY_UNKNOWN;
	char code[3] = { value.utf8_string[0], value.utf8_string[1], '\0' };
	return country_from_code(code);
}

static void decode_record(const struct file *file, struct record *record)
{
	for (unsigned i = 0; i < file->layouts_n; i++) {
		const struct layout *layout = &file->layouts[i];
		record->country[i] = decode_code(file, record->offset_1 - 1, layout->paths[0]);
		if (record->country[i] != COUNTRY_UNKNOWN)
			record->direct |= (uint8_t)(1U << i);
		else
			record->country[i] = decode_code(file, record->offset_1 - 1, layout->paths[1]);
	}
}

static int decode_records(struct file *file)
{
	/* Records share parts by pointers, within reason; records that multiply each other are an attack. */
	uint64_t steps = 100000 + 16 * (uint64_t)file->size;
	for (size_t i = 0; i < file->records.cap; i++) {
		struct record *record = &file->records.items[i];
		if (!record->offset_1)
			continue;
		if (!mmdb_value_is_sound(&file->data, record->offset_1 - 1, &steps))
			return file_error(file, -EINVAL,
			                  "is damaged (a record can't be read); fetch it again");
		decode_record(file, record);
	}
	return 0;
}

/** The first layout that fits; with a configured path there is only the one. */
static int choose_layout(struct file *file)
{
	if (file->leaves_n == 0)
		return file_error(file, -EINVAL, "has no network in it; fetch it again");
	for (unsigned layout = 0; layout < file->layouts_n; layout++) {
		uint64_t coded_n = 0;
		for (size_t i = 0; i < file->records.cap; i++) {
			const struct record *record = &file->records.items[i];
			coded_n += record->direct >> layout & 1 ? record->leaves_n : 0;
		}
		if (coded_n > 0 && coded_n * 100 >= file->leaves_n * CODED_PERCENT_MIN) {
			file->layout = layout;
			return 0;
		}
	}
	if (file->layouts == auto_layouts)
		return file_error(
		        file, -EINVAL,
		        "no country in it: neither country.iso_code, registered_country.iso_code nor "
		        "country_code gives two letters; use a country or city database, or set "
		        "country-path");
	diag_error(file->diag, file->path, 0,
	           "no country in it: %s gives two letters for fewer than %u %% of its networks; "
	           "correct country-path, or leave it out to have it found",
	           file->layouts[0].name, CODED_PERCENT_MIN);
	return -EINVAL;
}

/* ---- whole files ---- */

static void file_close(struct file *file)
{
	if (file->is_open)
		MMDB_close(&file->mmdb);
	if (file->bytes)
		munmap((void *)(uintptr_t)file->bytes, file->size);
	if (file->fd >= 0)
		close(file->fd);
	free(file->records.items);
	free(file->node_seen);
}

static int file_load(struct file *file)
{
	struct mmdb_part metadata = { 0 };
	int rc = file_read(file);
	if (rc == 0)
		rc = check_metadata_bytes(file, &metadata);
	if (rc == 0)
		rc = open_library(file);
	if (rc == 0)
		rc = check_sections(file, &metadata);
	if (rc == 0)
		rc = check_tree(file);
	if (rc == 0)
		rc = decode_records(file);
	if (rc == 0)
		rc = choose_layout(file);
	return rc;
}

/** "a.b" -> { "a", "b" }, in `text`, which is cut up. */
static int parse_country_path(char *text, struct layout *ret_layout)
{
	unsigned n = 0;
	for (char *part = text; part;) {
		char *dot = strchr(part, '.');
		if (dot)
			*dot = '\0';
		if (!*part || n == PATH_PARTS_MAX)
			return -EINVAL;
		ret_layout->paths[0][n++] = part;
		part = dot ? dot + 1 : NULL;
	}
	return 0;
}

static void info_add(struct mmdb_load_info *info, const struct file *file, const bool country_seen[])
{
	for (size_t i = 0; i < file->records.cap; i++) {
		const struct record *record = &file->records.items[i];
		if (record->offset_1 && record->country[file->layout] != COUNTRY_UNKNOWN)
			info->blocks_n += record->leaves_n;
	}
	const char *layout = file->layouts[file->layout].name;
	if (info->nodes_n == 0) {
		const char *type = file->mmdb.metadata.database_type;
		for (size_t i = 0; type[i] && i + 1 < sizeof(info->database_type); i++)
			info->database_type[i] = (char)(type[i] >= ' ' && type[i] <= '~' ? type[i] : '?');
		snprintf(info->layout, sizeof(info->layout), "%s", layout);
		info->built_s = file->mmdb.metadata.build_epoch;
		info->ip_version = file->ip_version;
		info->record_bits = file->record_bits;
	} else if (strcmp(info->layout, layout) != 0) {
		size_t len = strlen(info->layout);
		snprintf(info->layout + len, sizeof(info->layout) - len, "; IPv6: %s", layout);
	}
	if (file->mmdb.metadata.build_epoch < info->built_s)
		info->built_s = file->mmdb.metadata.build_epoch;
	info->nodes_n += file->nodes_n;
	info->countries_n = 0;
	for (unsigned country = 1; country < COUNTRY_N; country++)
		info->countries_n += country_seen[country];
}

struct load {
	const struct mmdb_load_options *options;
	struct diag *diag;
	struct layout own_layout;
	struct geo_map_builder *builder;
	struct mmdb_load_info info;
	bool country_seen[COUNTRY_N];
};

static int load_file(struct load *load, const char *path, bool want_ipv4, bool want_ipv6)
{
	struct file file = { .path = path, .diag = load->diag, .fd = -1 };
	file.layouts = load->own_layout.name ? &load->own_layout : auto_layouts;
	file.layouts_n = load->own_layout.name ? 1 : LAYOUT_AUTO_N;
	int rc = file_load(&file);
	if (rc == 0 && !want_ipv4 && file.ip_version == 4)
		rc = file_error(&file, -EINVAL,
		                "holds IPv4 only; for IPv6 name a file that holds it, or none");
	if (rc == 0 && want_ipv4)
		rc = walk_family(&file, 4, load->builder);
	if (rc == 0 && want_ipv6)
		rc = walk_family(&file, 6, load->builder);
	if (rc == 0) {
		for (size_t i = 0; i < file.records.cap; i++)
			load->country_seen[file.records.items[i].country[file.layout]] = true;
		info_add(&load->info, &file, load->country_seen);
	}
	file_close(&file);
	return rc;
}

static int load_all(struct load *load, struct geo_map **ret_map)
{
	const struct mmdb_load_options *options = load->options;
	int rc = load_file(load, options->path, true, !options->path_ipv6);
	if (rc == 0 && options->path_ipv6)
		rc = load_file(load, options->path_ipv6, false, true);
	for (size_t i = 0; i < options->nets_n && rc == 0; i++) {
		rc = geo_map_builder_override(load->builder, &options->nets[i].prefix,
		                              options->nets[i].country);
		if (rc == -EINVAL)
			diag_error(load->diag, NULL, 0, "override %zu is not a network with a country",
			           i + 1);
	}
	return rc == 0 ? geo_map_build(load->builder, ret_map) : rc;
}

static uint64_t now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

int mmdb_load(const struct mmdb_load_options *options, struct diag *diag, struct mmdb_load_info *ret_info,
              struct geo_map **ret_map)
{
	uint64_t start_ms = now_ms();
	struct load load = { .options = options, .diag = diag, .builder = geo_map_builder_create() };
	char *country_path = options->country_path ? strdup(options->country_path) : NULL;
	int rc = !load.builder || (options->country_path && !country_path) ? -ENOMEM : 0;
	if (rc == 0 && country_path) {
		load.own_layout.name = options->country_path;
		rc = parse_country_path(country_path, &load.own_layout);
		if (rc < 0)
			diag_error(diag, NULL, 0,
			           "'%s' is not a path to a country; write names with dots between, such as "
			           "country.iso_code",
			           options->country_path);
	}
	struct geo_map *map = NULL;
	if (rc == 0)
		rc = load_all(&load, &map);
	if (rc == -ENOMEM)
		diag_error(diag, options->path, 0, "no memory to load it");
	free(country_path);
	geo_map_builder_destroy(load.builder);
	if (rc < 0)
		return rc;
	load.info.load_ms = (uint32_t)(now_ms() - start_ms);
	if (ret_info)
		*ret_info = load.info;
	*ret_map = map;
	return 0;
}
