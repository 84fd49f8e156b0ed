#include "mmdb_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "answer/geo_map.h"

__extension__ typedef unsigned __int128 u128;

/* A half of a node: the number of a node, or nothing, or a record (with the record's index in the lower
 * bits). */
#define HALF_EMPTY  0xffffffffU
#define HALF_RECORD 0x80000000U /* and not HALF_EMPTY */
#define NODES_MAX   0x7fffffffU

#define SEPARATOR_BYTES 16

struct node {
	uint32_t half[2];
};

struct mmdb_writer {
	enum mmdb_layout layout;
	unsigned record_bits;
	unsigned ip_version;
	bool alias_ipv4;
	char *database_type;
	char *description;
	uint64_t build_epoch_s;
	struct node *nodes; /* nodes[0] is the root; node numbers of the file are given when writing */
	uint32_t nodes_n;
	uint32_t nodes_cap;
};

static bool half_is_node(uint32_t half)
{
	return !(half & HALF_RECORD);
}

static int node_create(struct mmdb_writer *writer, uint32_t both, uint32_t *ret_node)
{
	if (writer->nodes_n == writer->nodes_cap) {
		if (writer->nodes_cap > NODES_MAX / 2)
			return -ENOMEM;
		uint32_t cap = writer->nodes_cap ? writer->nodes_cap * 2 : 1024;
		struct node *grown = realloc(writer->nodes, cap * sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		writer->nodes = grown;
		writer->nodes_cap = cap;
	}
	writer->nodes[writer->nodes_n] = (struct node){ .half = { both, both } };
	*ret_node = writer->nodes_n++;
	return 0;
}

struct mmdb_writer *mmdb_writer_create(const struct mmdb_writer_options *options)
{
	unsigned record_bits = options->record_bits ? options->record_bits : 24;
	unsigned ip_version = options->ip_version ? options->ip_version : 6;
	if ((record_bits != 24 && record_bits != 28 && record_bits != 32) ||
	    (ip_version != 4 && ip_version != 6) || options->layout >= MMDB_LAYOUT_N)
		return NULL;
	struct mmdb_writer *writer = calloc(1, sizeof(*writer));
	if (!writer)
		return NULL;
	writer->layout = options->layout;
	writer->record_bits = record_bits;
	writer->ip_version = ip_version;
	writer->alias_ipv4 = options->alias_ipv4 && ip_version == 6;
	writer->build_epoch_s = options->build_epoch_s ? options->build_epoch_s : 1;
	writer->database_type = strdup(options->database_type ? options->database_type : "dnsd-Country");
	writer->description = strdup(options->description ? options->description : "");
	uint32_t root;
	if (!writer->database_type || !writer->description || node_create(writer, HALF_EMPTY, &root) < 0) {
		mmdb_writer_destroy(writer);
		return NULL;
	}
	return writer;
}

void mmdb_writer_destroy(struct mmdb_writer *writer)
{
	if (!writer)
		return;
	free(writer->database_type);
	free(writer->description);
	free(writer->nodes);
	free(writer);
}

void mmdb_writer_set_layout(struct mmdb_writer *writer, enum mmdb_layout layout)
{
	writer->layout = layout;
}

/* ---- tree ---- */

/** Addresses as the tree has them: left-aligned, IPv4 below ::/96 unless the tree is of IPv4. */
static u128 tree_addr(const struct mmdb_writer *writer, const struct addr *addr)
{
	u128 value = 0;
	for (unsigned i = 0; i < 16; i++)
		value = value << 8 | addr->bytes[i];
	return addr->family == 4 && writer->ip_version == 6 ? value >> 96 : value;
}

/** Point the block of `len` bits at addr to `half`, whatever was there. */
static int tree_put(struct mmdb_writer *writer, u128 addr, unsigned len, uint32_t half)
{
	if (len == 0) {
		writer->nodes[0] = (struct node){ .half = { half, half } };
		return 0;
	}
	uint32_t node = 0;
	for (unsigned depth = 0;; depth++) {
		unsigned side = (unsigned)(addr >> (127 - depth)) & 1;
		if (depth == len - 1) {
			writer->nodes[node].half[side] = half;
			return 0;
		}
		uint32_t next = writer->nodes[node].half[side];
		if (!half_is_node(next)) {
			int rc = node_create(writer, next, &next);
			if (rc < 0)
				return rc;
			writer->nodes[node].half[side] = next;
		}
		node = next;
	}
}

static int record_half(const struct mmdb_writer *writer, const char *code, uint32_t *ret_half)
{
	uint16_t country = country_from_code(code);
	if (country == COUNTRY_UNKNOWN)
		return -EINVAL;
	*ret_half = HALF_RECORD | ((uint32_t)writer->layout * COUNTRY_N + country);
	return 0;
}

int mmdb_writer_insert(struct mmdb_writer *writer, const struct prefix *prefix, const char *code)
{
	uint32_t half;
	if (record_half(writer, code, &half) < 0 || (prefix->addr.family == 6 && writer->ip_version == 4))
		return -EINVAL;
	unsigned above = prefix->addr.family == 4 && writer->ip_version == 6 ? 96 : 0;
	return tree_put(writer, tree_addr(writer, &prefix->addr), above + prefix->len, half);
}

int mmdb_writer_insert_range(struct mmdb_writer *writer, const struct addr *first, const struct addr *last,
                             const char *code)
{
	uint32_t half;
	if (first->family != last->family || record_half(writer, code, &half) < 0 ||
	    (first->family == 6 && writer->ip_version == 4))
		return -EINVAL;
	bool short_tree = writer->ip_version == 4;
	u128 at = tree_addr(writer, first) >> (short_tree ? 96 : 0); /* from here on: right-aligned */
	u128 end = tree_addr(writer, last) >> (short_tree ? 96 : 0);
	if (at > end)
		return -EINVAL;
	unsigned bits = short_tree ? 32 : 128;
	for (;;) {
		unsigned host_bits = 0; /* of the largest block that starts here and does not pass the end */
		while (host_bits < bits && !(at >> host_bits & 1)) {
			u128 block_last = at | ((((u128)1 << host_bits) << 1) - 1);
			if (block_last > end)
				break;
			host_bits++;
		}
		int rc = tree_put(writer, short_tree ? at << 96 : at, bits - host_bits, half);
		if (rc < 0)
			return rc;
		u128 block_last = host_bits == 128 ? end : at | (((u128)1 << host_bits) - 1);
		if (block_last >= end)
			return 0;
		at = block_last + 1;
	}
}

/** Fold equal halves into one, from the leaves up. Returns what stands for the node. */
static uint32_t tree_merge(struct mmdb_writer *writer, uint32_t number)
{
	struct node *node = &writer->nodes[number];
	for (unsigned side = 0; side < 2; side++) {
		if (half_is_node(node->half[side]))
			node->half[side] = tree_merge(writer, node->half[side]);
	}
	bool folds = node->half[0] == node->half[1] && !half_is_node(node->half[0]);
	return folds && number != 0 ? node->half[0] : number;
}

static int tree_put_aliases(struct mmdb_writer *writer)
{
	uint32_t ipv4 = 0;
	for (unsigned depth = 0; depth < 96 && half_is_node(ipv4); depth++)
		ipv4 = writer->nodes[ipv4].half[0];
	static const char *const aliases[] = { "::ffff:0:0/96", "2001::/32", "2002::/16" };
	for (size_t i = 0; i < sizeof(aliases) / sizeof(aliases[0]); i++) {
		struct prefix prefix;
		if (prefix_parse(aliases[i], &prefix) < 0)
			return -EINVAL;
		int rc = tree_put(writer, tree_addr(writer, &prefix.addr), prefix.len, ipv4);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* ---- file ---- */

struct bytes {
	uint8_t *data;
	size_t n;
	size_t cap;
	bool failed; /* out of memory once: the rest is ignored, asked at the end */
};

static void put_bytes(struct bytes *out, const void *data, size_t n)
{
	if (out->n + n > out->cap) {
		size_t cap = (out->n + n) * 2;
		uint8_t *grown = out->failed ? NULL : realloc(out->data, cap);
		if (!grown) {
			out->failed = true;
			return;
		}
		out->data = grown;
		out->cap = cap;
	}
	if (n > 0)
		memcpy(out->data + out->n, data, n);
	out->n += n;
}

static void put_byte(struct bytes *out, unsigned byte)
{
	uint8_t one = (uint8_t)byte;
	put_bytes(out, &one, 1);
}

enum { TYPE_STRING = 2, TYPE_UINT16 = 5, TYPE_UINT32 = 6, TYPE_MAP = 7, TYPE_UINT64 = 9, TYPE_ARRAY = 11 };

/** Control byte: type in the top 3 bits, or 0 and the type less 7 in the next byte; size in the low 5 or
 * after. */
static void put_head(struct bytes *out, unsigned type, size_t size)
{
	unsigned small = size < 29 ? (unsigned)size : size < 29 + 256 ? 29 : 30;
	put_byte(out, (type > 7 ? 0 : type << 5) | small);
	if (type > 7)
		put_byte(out, type - 7);
	if (small == 30)
		put_byte(out, (unsigned)((size - 285) >> 8));
	if (small >= 29)
		put_byte(out, (unsigned)(small == 29 ? size - 29 : size - 285) & 0xff);
}

static void put_string(struct bytes *out, const char *text)
{
	size_t len = strnlen(text, 60000); /* what two size bytes can hold, and more than anyone reads */
	put_head(out, TYPE_STRING, len);
	put_bytes(out, text, len);
}

/** Unsigned numbers are as long as they need to be. */
static void put_number(struct bytes *out, unsigned type, uint64_t value)
{
	unsigned size = 0;
	while (size < 8 && value >> (8 * size))
		size++;
	put_head(out, type, size);
	while (size-- > 0)
		put_byte(out, (unsigned)(value >> (8 * size)) & 0xff);
}

/** A key, or a pointer to it once it was written (the first records are at low offsets: 11 bits do). */
static void put_key(struct bytes *out, const char *key, size_t *offset)
{
	if (*offset == SIZE_MAX || *offset > 0x7ff) {
		*offset = out->n;
		put_string(out, key);
	} else {
		put_byte(out, 1U << 5 | (unsigned)(*offset >> 8));
		put_byte(out, (unsigned)*offset & 0xff);
	}
}

struct record_keys {
	size_t outer[MMDB_LAYOUT_N];
	size_t iso_code;
	size_t code;
};

static void put_record(struct bytes *out, struct record_keys *keys, enum mmdb_layout layout, const char *code)
{
	static const char *const outer[MMDB_LAYOUT_N] = { "country", "registered_country", "country_code",
		                                          "continent" };
	put_head(out, TYPE_MAP, 1);
	put_key(out, outer[layout], &keys->outer[layout]);
	if (layout != MMDB_LAYOUT_FLAT) {
		put_head(out, TYPE_MAP, 1);
		if (layout == MMDB_LAYOUT_CONTINENT)
			put_key(out, "code", &keys->code);
		else
			put_key(out, "iso_code", &keys->iso_code);
	}
	put_string(out, code);
}

static void put_metadata(struct bytes *out, const struct mmdb_writer *writer, uint32_t nodes_n)
{
	put_bytes(out, "\xab\xcd\xefMaxMind.com", 14);
	put_head(out, TYPE_MAP, 9);
	put_string(out, "binary_format_major_version");
	put_number(out, TYPE_UINT16, 2);
	put_string(out, "binary_format_minor_version");
	put_number(out, TYPE_UINT16, 0);
	put_string(out, "build_epoch");
	put_number(out, TYPE_UINT64, writer->build_epoch_s);
	put_string(out, "database_type");
	put_string(out, writer->database_type);
	put_string(out, "description");
	put_head(out, TYPE_MAP, 1);
	put_string(out, "en");
	put_string(out, writer->description);
	put_string(out, "ip_version");
	put_number(out, TYPE_UINT16, writer->ip_version);
	put_string(out, "languages");
	put_head(out, TYPE_ARRAY, 1);
	put_string(out, "en");
	put_string(out, "node_count");
	put_number(out, TYPE_UINT32, nodes_n);
	put_string(out, "record_size");
	put_number(out, TYPE_UINT16, writer->record_bits);
}

static void put_node(struct bytes *out, unsigned record_bits, uint32_t left, uint32_t right)
{
	uint8_t raw[8];
	uint8_t *at = raw;
	if (record_bits == 32)
		*at++ = (uint8_t)(left >> 24);
	*at++ = (uint8_t)(left >> 16);
	*at++ = (uint8_t)(left >> 8);
	*at++ = (uint8_t)left;
	if (record_bits == 28)
		*at++ = (uint8_t)((left >> 24 & 0xf) << 4 | (right >> 24 & 0xf));
	if (record_bits == 32)
		*at++ = (uint8_t)(right >> 24);
	*at++ = (uint8_t)(right >> 16);
	*at++ = (uint8_t)(right >> 8);
	*at++ = (uint8_t)right;
	put_bytes(out, raw, (size_t)(at - raw));
}

/** Nodes in the order of the file: a node before its halves, the left half first. */
struct numbering {
	uint32_t *number_of; /* by node; UINT32_MAX = not reached */
	uint32_t *node_of;   /* by number */
	uint32_t n;
};

static void number_nodes(const struct mmdb_writer *writer, struct numbering *numbering, uint32_t node)
{
	if (numbering->number_of[node] != UINT32_MAX)
		return; /* the IPv4 tree, by an alias */
	numbering->node_of[numbering->n] = node;
	numbering->number_of[node] = numbering->n++;
	for (unsigned side = 0; side < 2; side++) {
		if (half_is_node(writer->nodes[node].half[side]))
			number_nodes(writer, numbering, writer->nodes[node].half[side]);
	}
}

/** Record offsets by index, for the records in use. */
static void put_records(struct bytes *out, const struct mmdb_writer *writer,
                        const struct numbering *numbering, size_t offsets[])
{
	struct record_keys keys = { .iso_code = SIZE_MAX, .code = SIZE_MAX };
	for (unsigned i = 0; i < MMDB_LAYOUT_N; i++)
		keys.outer[i] = SIZE_MAX;
	for (uint32_t i = 0; i < numbering->n; i++) {
		for (unsigned side = 0; side < 2; side++) {
			uint32_t half = writer->nodes[numbering->node_of[i]].half[side];
			uint32_t index = half & ~HALF_RECORD;
			if (half_is_node(half) || half == HALF_EMPTY || offsets[index] != SIZE_MAX)
				continue;
			char code[3];
			country_to_code((uint16_t)(index % COUNTRY_N), code);
			offsets[index] = out->n;
			put_record(out, &keys, (enum mmdb_layout)(index / COUNTRY_N), code);
		}
	}
}

static uint64_t file_value(const struct numbering *numbering, const size_t offsets[], uint32_t half)
{
	if (half_is_node(half))
		return numbering->number_of[half];
	if (half == HALF_EMPTY)
		return numbering->n;
	return (uint64_t)numbering->n + SEPARATOR_BYTES + offsets[half & ~HALF_RECORD];
}

static int put_file(struct bytes *out, const struct mmdb_writer *writer, struct numbering *numbering)
{
	size_t offsets[MMDB_LAYOUT_N * COUNTRY_N];
	for (size_t i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++)
		offsets[i] = SIZE_MAX;
	struct bytes records = { 0 };
	number_nodes(writer, numbering, 0);
	put_records(&records, writer, numbering, offsets);
	int rc = 0;
	if ((uint64_t)numbering->n + SEPARATOR_BYTES + records.n > (uint64_t)1 << writer->record_bits)
		rc = -EOVERFLOW;
	for (uint32_t i = 0; i < numbering->n && rc == 0; i++) {
		const struct node *node = &writer->nodes[numbering->node_of[i]];
		put_node(out, writer->record_bits, (uint32_t)file_value(numbering, offsets, node->half[0]),
		         (uint32_t)file_value(numbering, offsets, node->half[1]));
	}
	static const uint8_t separator[SEPARATOR_BYTES];
	put_bytes(out, separator, sizeof(separator));
	put_bytes(out, records.data, records.n);
	put_metadata(out, writer, numbering->n);
	if (records.failed || out->failed)
		rc = -ENOMEM;
	free(records.data);
	return rc;
}

static int write_all(int fd, const uint8_t *data, size_t n)
{
	while (n > 0) {
		ssize_t done = write(fd, data, n);
		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return -errno;
		data += done;
		n -= (size_t)done;
	}
	return 0;
}

static int replace_file(const char *path, const struct bytes *content)
{
	char *temp;
	if (asprintf(&temp, "%s.new-%ld", path, (long)getpid()) < 0)
		return -ENOMEM;
	int fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	int rc = fd < 0 ? -errno : write_all(fd, content->data, content->n);
	if (rc == 0 && fsync(fd) < 0)
		rc = -errno;
	if (fd >= 0 && close(fd) < 0 && rc == 0)
		rc = -errno;
	if (rc == 0 && rename(temp, path) < 0)
		rc = -errno;
	if (rc < 0 && fd >= 0)
		unlink(temp);
	free(temp);
	return rc;
}

int mmdb_writer_write(struct mmdb_writer *writer, const char *path, struct mmdb_writer_result *ret_result)
{
	tree_merge(writer, 0);
	int rc = writer->alias_ipv4 ? tree_put_aliases(writer) : 0;
	if (rc < 0)
		return rc;
	struct bytes out = { 0 };
	struct numbering numbering = { .number_of = malloc(writer->nodes_n * sizeof(uint32_t)),
		                       .node_of = malloc(writer->nodes_n * sizeof(uint32_t)) };
	if (numbering.number_of && numbering.node_of) {
		memset(numbering.number_of, 0xff, writer->nodes_n * sizeof(uint32_t));
		rc = put_file(&out, writer, &numbering);
	} else {
		rc = -ENOMEM;
	}
	if (rc == 0)
		rc = replace_file(path, &out);
	if (rc == 0 && ret_result)
		*ret_result = (struct mmdb_writer_result){ .nodes_n = numbering.n, .bytes = out.n };
	free(numbering.number_of);
	free(numbering.node_of);
	free(out.data);
	return rc;
}
