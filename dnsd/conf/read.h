/*
 * read: a document that libconfig has parsed -> structs, as the schema says. Inside conf only.
 */
#ifndef DNSD_CONF_READ_H
#define DNSD_CONF_READ_H

#include "conf/conf.h"
#include "conf/schema.h"
#include "conf/source.h"

#define CONF_SEEN_MAX 64 /* settings that may stand once in all files: those of server and geo */

struct conf_reader {
	struct conf *conf;
	struct arena *arena; /* of conf */
	struct diag *diag;
	const struct conf_source *source; /* of the document at hand */
	const struct conf_group *root;    /* its schema */
	const struct conf_group *group;   /* whose finish() runs */
	bool group_good;                  /* nothing was wrong in it so far */
	struct {
		const struct conf_key *key;
		struct conf_place place;
	} seen[CONF_SEEN_MAX];
	size_t seen_n;
	size_t errors_before; /* of diag, when we began */
	bool broken;          /* a document could not be read at all: what it defines is not known */
	bool out_of_memory;
};

/** Read one document into the struct at base. Mistakes go to diag. */
void conf_reader_document(struct conf_reader *reader, const struct conf_source *source,
                          const struct conf_group *root, void *base);

/** Write the defaults of a group, and of groups in it, into the struct at base. */
void conf_reader_defaults(const struct conf_group *group, void *base);

/** Read a main file into the struct at base, or the text at hand when there is one. */
void conf_reader_file(struct conf_reader *reader, const char *path, const char *text, size_t text_len,
                      const struct conf_group *root, void *base);
/** Read the mirrors and regions files that a pool names. */
void conf_reader_pool_files(struct conf_reader *reader, struct conf_pool *pool);
/** Refuse the second of two equal addresses, and too many. */
void conf_reader_check_listen(struct conf_reader *reader, const struct conf_listen *listens,
                              size_t listens_n);

void conf_reader_error(struct conf_reader *reader, struct conf_place place, const char *fmt, ...)
        __attribute__((format(printf, 3, 4)));

#endif
