/*
 * zone_lexer: the words of a master file (RFC 1035 section 5.1), one logical line at a time.
 *
 *     www 3600 ( IN TXT   ; a comment      ->  { www }{ 3600 }{ IN }{ TXT }{ "a b" }, blank_owner = false,
 *                "a b" )                       line of the first word
 *
 * Comments, parentheses and line ends are gone, escapes are still there: what they mean depends on the field.
 */
#ifndef ZONES_ZONE_LEXER_H
#define ZONES_ZONE_LEXER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/diag.h"
#include "zones/zone_rdata.h"

#define ZONE_RECORD_LEN_MAX                                                                                  \
	(128 * 1024) /* bytes of text from the first word to the line end that closes it */

/** Text being read. */
struct zone_input {
	const char *name; /* for messages */
	const char *at;
	const char *end;
	unsigned line; /* of at */
	bool is_cut;   /* inside the lexer: end is the record limit, not the end of the text */
};

/** One logical line: a record or a directive, with all its words. */
struct zone_entry {
	unsigned line;    /* where its first word is */
	bool blank_owner; /* it starts with a blank: the owner is that of the record before */
	bool is_bad;      /* a mistake was reported; the words are not to be used */
	size_t tokens_n;  /* 0: a line with a comment or nothing */
};

struct zone_lexer {
	struct diag *diag;
	struct zone_token *tokens; /* of the entry read last */
	size_t tokens_cap;
	char *text; /* what the tokens point to */
};

/** Returns 0 or -ENOMEM; zone_lexer_fini() is due in both cases. */
int zone_lexer_init(struct zone_lexer *lexer, struct diag *diag);
void zone_lexer_fini(struct zone_lexer *lexer);

/**
 * Read one entry, up to the line end that closes it; at most one mistake of an entry is reported.
 * Returns  1, 0 = the text ends, or -ENOMEM
 * Cost     one pass: text is never read twice, whatever is wrong with it
 */
int zone_lexer_read(struct zone_lexer *lexer, struct zone_input *input, struct zone_entry *entry);

#endif
