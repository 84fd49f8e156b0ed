/*
 * monitor_int: what the keys of mirrormon.conf (schema_monitor.c) and their reader (monitor.c) share. Inside
 * conf only.
 */
#ifndef DNSD_CONF_MONITOR_INT_H
#define DNSD_CONF_MONITOR_INT_H

#include "conf/monitor.h"
#include "conf/read.h"

#define CONF_REFERENCES_MAX 64

/* One piece of memory: the keys of the group "monitor" fill both. */
struct monitor_document {
	struct conf_monitor conf;
	struct conf_pool pool;
};

/* finish() of the groups: what keys mean together. The first and the last get the document from its
 * conf.place on, and whole. */
void conf_monitor_finish_own(struct conf_reader *reader, void *item, uint64_t given);
void conf_monitor_finish_checks(struct conf_reader *reader, void *item, uint64_t given);
void conf_monitor_finish_decision(struct conf_reader *reader, void *item, uint64_t given);
void conf_monitor_finish_votes(struct conf_reader *reader, void *item, uint64_t given);
void conf_monitor_finish_mail(struct conf_reader *reader, void *item, uint64_t given);
void conf_monitor_finish_all(struct conf_reader *reader, void *item, uint64_t given);

#endif
