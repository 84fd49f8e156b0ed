/*
 * schema_table: what the tables of schema.c and schema_pool_files.c are written with.
 */
#ifndef DNSD_CONF_SCHEMA_TABLE_H
#define DNSD_CONF_SCHEMA_TABLE_H

#include "conf/conf.h"
#include "conf/schema.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define SECOND       INT64_C(1000)
#define MINUTE       (60 * SECOND)
#define HOUR         (60 * MINUTE)
#define DAY          (24 * HOUR)

/* Where a field lives, and for lists where its count does. */
#define AT(type, field)   .off = offsetof(struct type, field), .size = sizeof(((struct type *)0)->field)
#define LIST(type, field) AT(type, field), .n_off = offsetof(struct type, field##_n)

#endif
