/*
 * store_build: checked records and pool names -> struct answer_store.
 *
 * The caller adds zones, then records and names in any order; store_build() works out what a query will need:
 * which names are delegations and what lies below them, empty non-terminals, wildcards, a child zone served
 * beside its parent, and the bytes of each answer.
 */
#ifndef DNSD_ANSWER_STORE_BUILD_H
#define DNSD_ANSWER_STORE_BUILD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "answer/data.h"
#include "base/addr.h"
#include "base/diag.h"

struct store_builder;

struct store_builder *store_builder_create(void);
void store_builder_destroy(struct store_builder *builder);

#define STORE_ZONES_MAX 65534 /* a zone's number has 16 bits */

/**
 * name in lower-case wire form. Returns the zone's number from 0, -EEXIST when it was added before,
 * -EOVERFLOW when there are STORE_ZONES_MAX already, -ENOMEM.
 */
int store_builder_add_zone(struct store_builder *builder, const uint8_t *name, size_t name_len);

/**
 * One record at or below the zone's apex. The owner is copied, rdata is borrowed until store_build() returns.
 * file, line  for messages; file is borrowed too
 */
int store_builder_add_record(struct store_builder *builder, int zone, const uint8_t *owner, size_t owner_len,
                             uint16_t type, uint32_t ttl_s, const uint8_t *rdata, size_t rdata_len,
                             const char *file, unsigned line);

/** A name whose records of this type come from slot of struct answer_pools. */
int store_builder_add_dynamic(struct store_builder *builder, int zone, const uint8_t *owner, size_t owner_len,
                              uint16_t type, enum store_source source, uint32_t slot, const char *file,
                              unsigned line);

/** A name that tells whoever asks how it is seen: TXT, for clients in one of these networks (copied). */
int store_builder_add_whoami(struct store_builder *builder, int zone, const uint8_t *owner, size_t owner_len,
                             const struct prefix *allow, size_t allow_n, const char *file, unsigned line);

/** A subtree of usage reports. */
int store_builder_add_ping(struct store_builder *builder, int zone, const uint8_t *owner, size_t owner_len);

/**
 * Returns 0, -EINVAL (diag: a pool name that the zone file also has, an RRset that no message can hold),
 * -ENOMEM. The store starts with one reference.
 */
int store_build(struct store_builder *builder, struct diag *diag, struct answer_store **ret_store);

/** Do both say the same of all zones? Tells apart every change of a zone file; not one of whoami's networks.
 */
bool answer_store_equal(const struct answer_store *a, const struct answer_store *b);

struct answer_store *answer_store_ref(struct answer_store *store);
void answer_store_unref(struct answer_store *store);

#endif
