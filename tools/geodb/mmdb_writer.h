/*
 * mmdb_writer: makes MaxMind DB files (format 2.0) of countries; for dnsd-geodb and for the tests.
 *
 *     prefix, code ──> binary tree in memory ──merge equal halves──> nodes
 *     nodes | 16 zero bytes | records | metadata
 *
 * Only what a country database needs: one record for each code, written once, its keys shared by pointers as
 * MaxMind's own files do.
 */
#ifndef GEODB_MMDB_WRITER_H
#define GEODB_MMDB_WRITER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"

/** Where a record holds the code. */
enum mmdb_layout {
	MMDB_LAYOUT_GEOIP2,     /* country.iso_code */
	MMDB_LAYOUT_REGISTERED, /* registered_country.iso_code */
	MMDB_LAYOUT_FLAT,       /* country_code */
	MMDB_LAYOUT_CONTINENT,  /* continent.code and no country: what a reader must refuse */
	MMDB_LAYOUT_N,
};

struct mmdb_writer_options {
	enum mmdb_layout layout;
	unsigned record_bits; /* 24, 28 or 32; 0 = 24 */
	unsigned ip_version;  /* 4 or 6; 0 = 6, with IPv4 at ::/96 */
	bool alias_ipv4; /* ip_version 6: ::ffff:0:0/96, 2001::/32 and 2002::/16 lead to the IPv4 tree too */
	const char *database_type; /* NULL = "dnsd-Country" */
	const char *description;   /* NULL = none */
	uint64_t build_epoch_s;    /* 0 becomes 1: readers take 0 for missing */
};

struct mmdb_writer;

/** NULL: out of memory, or options that the format does not have. The options' strings are copied. */
struct mmdb_writer *mmdb_writer_create(const struct mmdb_writer_options *options);
void mmdb_writer_destroy(struct mmdb_writer *writer);

/** Layout of the records inserted from now on. */
void mmdb_writer_set_layout(struct mmdb_writer *writer, enum mmdb_layout layout);

/**
 * The later insertion wins where two overlap; what lies in an alias of IPv4 is given up for the alias.
 * Returns 0, -EINVAL (code is not two letters, first after last, or IPv6 for an ip_version 4 file), -ENOMEM.
 */
int mmdb_writer_insert(struct mmdb_writer *writer, const struct prefix *prefix, const char *code);
int mmdb_writer_insert_range(struct mmdb_writer *writer, const struct addr *first, const struct addr *last,
                             const char *code);

struct mmdb_writer_result {
	uint32_t nodes_n;
	uint64_t bytes;
};

/**
 * Write to a temporary file beside path, then rename it into place: a reader sees the old file or the new one
 * whole. Returns 0, -EOVERFLOW (too many nodes for the record size), -ENOMEM, or the negative errno of the
 * file operation.
 */
int mmdb_writer_write(struct mmdb_writer *writer, const char *path, struct mmdb_writer_result *ret_result);

#endif
