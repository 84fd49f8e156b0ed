#include "zones/zone_lexer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int zone_lexer_init(struct zone_lexer *lexer, struct diag *diag)
{
	*lexer = (struct zone_lexer){ .diag = diag, .tokens_cap = 64 };
	lexer->tokens = malloc(lexer->tokens_cap * sizeof(*lexer->tokens));
	/*
	 * An entry is cut at the limit, and so is its last word: twice the limit. Each word has its NUL, and
	 * an unclosed quote gets closed: at worst twice that.
	 */
	lexer->text = malloc((size_t)ZONE_RECORD_LEN_MAX * 4 + 64);
	return lexer->tokens && lexer->text ? 0 : -ENOMEM;
}

void zone_lexer_fini(struct zone_lexer *lexer)
{
	free(lexer->tokens);
	free(lexer->text);
	*lexer = (struct zone_lexer){ .diag = NULL };
}

static int add_token(struct zone_lexer *lexer, struct zone_entry *entry, const struct zone_token *token)
{
	if (entry->tokens_n == lexer->tokens_cap) {
		size_t cap = lexer->tokens_cap ? lexer->tokens_cap * 2 : 64;
		struct zone_token *grown = realloc(lexer->tokens, cap * sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		lexer->tokens = grown;
		lexer->tokens_cap = cap;
	}
	lexer->tokens[entry->tokens_n++] = *token;
	return 0;
}

/** The first mistake of an entry is told; later ones most often come from it. */
static void entry_error(struct zone_lexer *lexer, const struct zone_input *input, struct zone_entry *entry,
                        unsigned line, const char *what)
{
	if (!entry->is_bad)
		diag_error(lexer->diag, input->name, line, "%s", what);
	entry->is_bad = true;
}

static void skip_line(struct zone_input *input)
{
	const char *newline = memchr(input->at, '\n', (size_t)(input->end - input->at));
	input->at = newline ? newline : input->end;
}

static bool ends_word(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == ';' || c == '(' || c == ')';
}

/**
 * Copy a quoted string, or the quoted part of a word, up to its closing quote; input->at is behind the
 * opening one. Escapes stay as they are. Returns the end of the copy.
 */
static char *read_quoted(struct zone_lexer *lexer, struct zone_input *input, struct zone_entry *entry,
                         char *out)
{
	while (input->at < input->end && *input->at != '"' && *input->at != '\n') {
		if (*input->at == '\0') {
			entry_error(lexer, input, entry, input->line,
			            "NUL byte; remove it, or write \\000 in a string");
		} else if (*input->at == '\\' && input->end - input->at > 1 && input->at[1] != '\n' &&
		           input->at[1] != '\0') {
			*out++ = *input->at++;
		}
		*out++ = *input->at++;
	}
	if (input->at < input->end && *input->at == '"')
		input->at++;
	else if (input->at < input->end || !input->is_cut)
		entry_error(lexer, input, entry, input->line,
		            "a quoted string does not end on its line; close it with \", or write \\\" for a "
		            "quote in it");
	return out;
}

static char *read_bare(struct zone_lexer *lexer, struct zone_input *input, struct zone_entry *entry,
                       char *out, struct zone_token *token)
{
	while (input->at < input->end && !ends_word(*input->at)) {
		char c = *input->at;
		if (c == '"') {
			token->has_quote = true;
			*out++ = *input->at++;
			out = read_quoted(lexer, input, entry, out);
			*out++ = '"';
			continue;
		}
		if (c == '\r') {
			if (input->end - input->at == 1 || input->at[1] == '\n')
				break;
			entry_error(lexer, input, entry, input->line,
			            "a carriage return within a line; end lines with LF or CR LF");
		} else if (c == '\0') {
			entry_error(lexer, input, entry, input->line,
			            "NUL byte; remove it, or write \\000 in a string");
		} else if (c == '\\') {
			if (input->end - input->at == 1 && input->is_cut) {
				; /* the limit is reported by the caller */
			} else if (input->end - input->at == 1 || input->at[1] == '\n' ||
			           input->at[1] == '\r') {
				entry_error(lexer, input, entry, input->line,
				            "a backslash at the end of a line; put the record in parentheses "
				            "to go on on the next");
			} else if (input->at[1] != '\0') {
				*out++ = *input->at++;
			}
		}
		*out++ = *input->at++;
	}
	return out;
}

int zone_lexer_read(struct zone_lexer *lexer, struct zone_input *input, struct zone_entry *entry)
{
	const char *start = input->at;
	unsigned depth = 0;
	unsigned open_line = 0;
	bool is_word_cut = false;
	char *out = lexer->text;

	*entry = (struct zone_entry){ .line = input->line };
	if (start == input->end)
		return 0;
	/* Blank in front of the first word means: owner as before. */
	entry->blank_owner = *start == ' ' || *start == '\t';
	while (input->at < input->end) {
		char c = *input->at;
		bool is_end = c == '\n' && depth == 0; /* a long comment behind a record does no harm */
		if (is_word_cut || (input->at - start > ZONE_RECORD_LEN_MAX && !is_end)) {
			char what[160];
			if (depth)
				snprintf(what, sizeof(what),
				         "this parenthesis is not closed within %d bytes; close it with )",
				         ZONE_RECORD_LEN_MAX);
			else
				snprintf(what, sizeof(what), "record over %d bytes long; split it",
				         ZONE_RECORD_LEN_MAX);
			entry_error(lexer, input, entry, depth ? open_line : entry->line, what);
			/* Resume past the part that was read: from its second line on would be quadratic. */
			skip_line(input);
			return 1;
		}
		if (c == '\n') {
			input->at++;
			input->line++;
			if (depth == 0)
				return 1;
		} else if (c == ' ' || c == '\t' ||
		           (c == '\r' && (input->end - input->at == 1 || input->at[1] == '\n'))) {
			input->at++;
		} else if (c == ';') {
			skip_line(input);
		} else if (c == '(') {
			if (depth++ == 0)
				open_line = input->line;
			input->at++;
		} else if (c == ')') {
			if (depth > 0)
				depth--;
			else
				entry_error(lexer, input, entry, input->line,
				            ") without (; remove it, or open with (");
			input->at++;
		} else {
			const char *longest = input->at + ZONE_RECORD_LEN_MAX;
			struct zone_token token = { .text = out, .quoted = c == '"' };
			struct zone_input limited = *input;
			/* A word, too, ends at the limit, so that the copy fits lexer->text. */
			if (input->end - input->at > ZONE_RECORD_LEN_MAX) {
				limited.end = longest;
				limited.is_cut = true;
			}
			if (entry->tokens_n == 0)
				entry->line = input->line;
			if (token.quoted) {
				limited.at++;
				out = read_quoted(lexer, &limited, entry, out);
			} else {
				out = read_bare(lexer, &limited, entry, out, &token);
			}
			input->at = limited.at;
			is_word_cut = limited.is_cut && limited.at == limited.end;
			token.len = (size_t)(out - token.text);
			*out++ = '\0';
			if (add_token(lexer, entry, &token) < 0)
				return -ENOMEM;
		}
	}
	if (depth)
		entry_error(lexer, input, entry, open_line,
		            "this parenthesis is never closed; close it with ) where the record ends");
	return 1;
}
