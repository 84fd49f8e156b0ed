/*
 * source: files -> one text that libconfig cannot stumble over, and where each token of it came from.
 *
 *     server: {   # comment          line 1   server
 *       @include "idle.conf"   ->    line 2   :              tokens[n] = file and line of what stands
 *     };                             line 3   {                          on line n + 1 of the text
 *                                    line 4   tcp-idle ...
 *
 * Why not let libconfig 1.5 read files: its scanner ends the process when a read fails (an @include of a
 * folder is enough), it goes as deep as the input asks, compares each name of a group with all before, joins
 * "a" "b" where a comma was forgotten, cuts large numbers to 32 bits, places strings of a list on the
 * line after them, and says "syntax error" to everything. So the tokens and brackets are checked here, with
 * words for the usual slips; libconfig gets one token a line, which turns its line numbers into token
 * numbers. Inside conf only.
 */
#ifndef DNSD_CONF_SOURCE_H
#define DNSD_CONF_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/diag.h"
#include "conf/conf.h"

#define CONF_FILE_BYTES_MAX (64U * 1024 * 1024) /* of a file, and of a document with all it includes */
#define CONF_TOKENS_MAX     4000000U            /* of a document: some 100,000 mirrors */
#define CONF_DEPTH_MAX      32                  /* brackets in brackets; our own format needs 5 */
#define CONF_GROUP_KEYS_MAX 256                 /* in one group: the check for duplicates is quadratic */
#define CONF_INCLUDES_MAX   1000
#define CONF_INCLUDE_DEPTH  10

enum conf_token_kind {
	CONF_TOKEN_NAME,
	CONF_TOKEN_BOOL,
	CONF_TOKEN_NUMBER,
	CONF_TOKEN_STRING,
	CONF_TOKEN_WORD,   /* none of the above: text that lacks its quotes */
	CONF_TOKEN_EQUALS, /* "=" or ":" */
	CONF_TOKEN_SEMICOLON,
	CONF_TOKEN_COMMA,
	CONF_TOKEN_GROUP, /* { */
	CONF_TOKEN_GROUP_END,
	CONF_TOKEN_ARRAY, /* [ */
	CONF_TOKEN_ARRAY_END,
	CONF_TOKEN_LIST, /* ( */
	CONF_TOKEN_LIST_END,
};

struct conf_token {
	uint32_t line;
	uint16_t file; /* index into files */
	uint8_t kind;  /* enum conf_token_kind */
};

/** A name given in a group that is still open. */
struct conf_source_key {
	size_t text_off; /* into conf_source.text, where it stands as a line */
	size_t len;
	struct conf_place place;
};

/** An open bracket; entry 0 is the document itself. */
struct conf_source_level {
	enum conf_token_kind kind;
	struct conf_place place;
	size_t keys_start; /* its names are keys[keys_start..] */
	unsigned want;     /* enum in source_check.c: what may come next */
};

struct conf_source {
	struct arena *arena; /* of file names, which outlive this struct */
	struct diag *diag;
	bool may_include;

	const char **files;
	size_t files_n;
	size_t bytes; /* read so far, all files */

	char *text; /* what libconfig gets */
	size_t text_len;
	size_t text_cap;
	struct conf_token *tokens;
	size_t tokens_n;
	size_t tokens_cap;

	struct conf_source_level levels[CONF_DEPTH_MAX + 1];
	size_t depth;
	struct conf_source_key *keys;
	size_t keys_n;
	size_t keys_cap;

	size_t errors_n; /* the text is of no use when not 0 */
	bool stop;       /* what follows would only repeat the last message */
	bool out_of_memory;
};

void conf_source_init(struct conf_source *source, struct arena *arena, struct diag *diag);
void conf_source_fini(struct conf_source *source);

/**
 * Read a file and what it includes.
 *
 * from     the setting that names the file, which gets the message when it cannot be opened; may have no file
 * Returns  0, -EINVAL (see diag) or -ENOMEM
 */
int conf_source_read_file(struct conf_source *source, const char *path, struct conf_place from);
/** The same for bytes at hand, called name in messages; @include is refused. */
int conf_source_read_text(struct conf_source *source, const char *name, const char *text, size_t text_len);

/** Where token number `index` stands. */
struct conf_place conf_source_place(const struct conf_source *source, size_t index);

/** path as seen from the folder of from_file. In the arena; NULL when out of memory. */
const char *conf_path_beside(struct arena *arena, const char *from_file, const char *path);

/** Report a mistake at a place of the source. */
void conf_source_error(struct conf_source *source, struct conf_place place, const char *fmt, ...)
        __attribute__((format(printf, 3, 4)));

/** A token as the scanner found it; text is as written, with the quotes of a string. */
struct conf_scanned {
	enum conf_token_kind kind;
	struct conf_place place;
	unsigned file;
	const char *text;
	size_t len;
};

/** source_check.c: may this token stand here? Reports what is wrong, else adds it to text and tokens. */
void conf_source_token(struct conf_source *source, const struct conf_scanned *token);
/** source_check.c: is everything closed? Call at the end of the document. */
void conf_source_end(struct conf_source *source);

#endif
