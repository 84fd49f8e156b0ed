/* What may follow what. libconfig would refuse nearly all of this too, but only with "syntax error". */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "conf/source.h"
#include "conf/value.h"

enum want {
	WANT_NAME, /* in a group: the next setting, or its end */
	WANT_EQUALS,
	WANT_VALUE, /* after "=" or a comma */
	WANT_FIRST, /* in a list that has just begun: a value, or its end */
	WANT_END,   /* after a value: a separator, or what may come without one */
};

static const char *const brackets[] = {
	[CONF_TOKEN_GROUP] = "{",     [CONF_TOKEN_GROUP_END] = "}", [CONF_TOKEN_ARRAY] = "[",
	[CONF_TOKEN_ARRAY_END] = "]", [CONF_TOKEN_LIST] = "(",      [CONF_TOKEN_LIST_END] = ")",
};

static struct conf_source_level *source_level(struct conf_source *source)
{
	return &source->levels[source->depth];
}

static void *grow(void *data, size_t *cap, size_t need, size_t size)
{
	size_t fresh = *cap ? *cap : 256;
	while (fresh < need)
		fresh *= 2;
	void *grown = fresh == *cap ? data : realloc(data, fresh * size);
	if (grown)
		*cap = fresh;
	return grown;
}

/* One token, one line: the line numbers that libconfig reports are indexes into tokens. */
static void source_emit(struct conf_source *source, const struct conf_scanned *token)
{
	if (source->tokens_n == CONF_TOKENS_MAX) {
		conf_source_error(source, token->place,
		                  "too much: more than %u words and signs in one document", CONF_TOKENS_MAX);
		source->stop = true;
		return;
	}
	char *text = grow(source->text, &source->text_cap, source->text_len + token->len + 3, 1);
	if (text)
		source->text = text;
	struct conf_token *tokens =
	        grow(source->tokens, &source->tokens_cap, source->tokens_n + 1, sizeof(*tokens));
	if (tokens)
		source->tokens = tokens;
	if (!text || !tokens) {
		source->out_of_memory = true;
		return;
	}
	memcpy(text + source->text_len, token->text, token->len);
	source->text_len += token->len;
	/* libconfig 1.5 cuts integers without this to 32 bits, some silently. */
	if (token->kind == CONF_TOKEN_NUMBER && !memchr(token->text, '.', token->len) &&
	    !memchr(token->text, 'e', token->len) && !memchr(token->text, 'E', token->len))
		text[source->text_len++] = 'L';
	text[source->text_len++] = '\n';
	text[source->text_len] = '\0';
	tokens[source->tokens_n++] = (struct conf_token){
		.line = token->place.line,
		.file = (uint16_t)token->file,
		.kind = (uint8_t)token->kind,
	};
}

/* Remember a name of the group that is open, to refuse it a second time with both places. */
static void source_add_key(struct conf_source *source, const struct conf_scanned *token)
{
	const struct conf_source_level *level = source_level(source);
	for (size_t i = level->keys_start; i < source->keys_n; i++) {
		const struct conf_source_key *key = &source->keys[i];
		if (key->len == token->len &&
		    memcmp(source->text + key->text_off, token->text, key->len) == 0) {
			char quoted[CONF_TEXT_MAX];
			conf_source_error(source, token->place,
			                  "\"%s\" is given twice: it is already set at %s:%u",
			                  conf_quote(token->text, token->len, quoted, sizeof(quoted)),
			                  key->place.file, key->place.line);
			return;
		}
	}
	if (source->keys_n - level->keys_start == CONF_GROUP_KEYS_MAX) {
		conf_source_error(source, token->place, "more than %d settings in one group",
		                  CONF_GROUP_KEYS_MAX);
		source->stop = true;
		return;
	}
	struct conf_source_key *keys =
	        grow(source->keys, &source->keys_cap, source->keys_n + 1, sizeof(*keys));
	if (!keys) {
		source->out_of_memory = true;
		return;
	}
	source->keys = keys;
	source->keys[source->keys_n++] = (struct conf_source_key){
		.text_off = source->text_len,
		.len = token->len,
		.place = token->place,
	};
}

/* The name of the setting that is being read, for "write ttl = ..."; "" inside a list. */
static const char *source_key_name(const struct conf_source *source, char *name, size_t cap)
{
	const struct conf_source_level *level = &source->levels[source->depth];
	name[0] = '\0';
	if (level->kind == CONF_TOKEN_GROUP && source->keys_n > level->keys_start) {
		const struct conf_source_key *key = &source->keys[source->keys_n - 1];
		conf_quote(source->text + key->text_off, key->len, name, cap);
	}
	return name;
}

static void refuse_bare_word(struct conf_source *source, const struct conf_scanned *token)
{
	char word[CONF_TEXT_MAX];
	char name[CONF_TEXT_MAX];
	conf_quote(token->text, token->len, word, sizeof(word));
	source_key_name(source, name, sizeof(name));
	const char *equals = name[0] ? " = " : "";
	static const char *const yes_no[] = { "yes", "no", "on", "off" };
	for (size_t i = 0; i < sizeof(yes_no) / sizeof(yes_no[0]); i++) {
		if (strcmp(word, yes_no[i]) == 0) {
			conf_source_error(source, token->place, "%s is not a value; write %s%s%s", word, name,
			                  equals, i % 2 ? "false" : "true");
			return;
		}
	}
	if (strspn(word, "0123456789-+") == strlen(word))
		conf_source_error(source, token->place, "%s is too large a number or none at all", word);
	else if (strncasecmp(word, "0x", 2) == 0)
		conf_source_error(source, token->place, "%s: write numbers in decimal, without 0x", word);
	else
		conf_source_error(source, token->place, "%s lacks its quotes; write %s%s\"%s\"", word, name,
		                  equals, word);
}

static void want_name(struct conf_source *source, const struct conf_scanned *token)
{
	struct conf_source_level *level = source_level(source);
	char quoted[CONF_TEXT_MAX];
	conf_quote(token->text, token->len, quoted, sizeof(quoted));
	switch (token->kind) {
	case CONF_TOKEN_NAME: source_add_key(source, token); break;
	case CONF_TOKEN_STRING:
		conf_source_error(
		        source, token->place,
		        "%s stands where the name of a setting should; names of settings have no quotes, "
		        "names of hosts and zones are values, as in name = %s",
		        quoted, quoted);
		break;
	case CONF_TOKEN_WORD:
		conf_source_error(
		        source, token->place,
		        "%s cannot be the name of a setting: only letters, digits and hyphens are; names of "
		        "hosts and zones are values, as in name = \"%s\"",
		        quoted, quoted);
		break;
	default:
		conf_source_error(source, token->place, "%s stands where the name of a setting should",
		                  quoted);
		source->stop = true;
		return;
	}
	level->want = WANT_EQUALS;
}

static void refuse_missing_equals(struct conf_source *source, const struct conf_scanned *token)
{
	char name[CONF_TEXT_MAX];
	char quoted[CONF_TEXT_MAX];
	source->stop = true;
	/* After a mistake in the name itself, one message is enough. */
	if (source->errors_n)
		return;
	conf_quote(token->text, token->len, quoted, sizeof(quoted));
	source_key_name(source, name, sizeof(name));
	const struct conf_source_key *key = &source->keys[source->keys_n - 1];
	/* "30 s" was read as the number 30 and a setting named s. */
	if (source->tokens_n >= 2 && source->tokens[source->tokens_n - 2].kind == CONF_TOKEN_NUMBER &&
	    conf_source_place(source, source->tokens_n - 2).line == key->place.line)
		conf_source_error(
		        source, key->place,
		        "%s after a number; write a number with its unit in quotes and without a space, as "
		        "in \"30s\"",
		        name);
	else if (token->kind == CONF_TOKEN_GROUP)
		conf_source_error(source, key->place, "\"=\" or \":\" is missing; write %s: { ... };", name);
	else
		conf_source_error(source, key->place, "\"=\" is missing after %s, found %s; write %s = ...;",
		                  name, quoted, name);
}

static void open_bracket(struct conf_source *source, const struct conf_scanned *token)
{
	if (source->depth == CONF_DEPTH_MAX) {
		conf_source_error(source, token->place, "brackets more than %d deep", CONF_DEPTH_MAX);
		source->stop = true;
		return;
	}
	source_level(source)->want = WANT_END;
	source->depth++;
	*source_level(source) = (struct conf_source_level){
		.kind = token->kind,
		.place = token->place,
		.keys_start = source->keys_n,
		.want = token->kind == CONF_TOKEN_GROUP ? WANT_NAME : WANT_FIRST,
	};
}

static void want_value(struct conf_source *source, const struct conf_scanned *token)
{
	struct conf_source_level *level = source_level(source);
	char name[CONF_TEXT_MAX];
	char quoted[CONF_TEXT_MAX];
	switch (token->kind) {
	case CONF_TOKEN_NAME:
	case CONF_TOKEN_WORD:
		refuse_bare_word(source, token);
		level->want = WANT_END;
		return;
	case CONF_TOKEN_BOOL:
	case CONF_TOKEN_NUMBER:
	case CONF_TOKEN_STRING: level->want = WANT_END; return;
	case CONF_TOKEN_GROUP:
	case CONF_TOKEN_ARRAY:
	case CONF_TOKEN_LIST:
		if (level->kind == CONF_TOKEN_ARRAY) {
			conf_source_error(source, token->place,
			                  "[ ] holds plain values only; write a list of groups as ( { ... }, "
			                  "{ ... } )");
			source->stop = true;
			return;
		}
		open_bracket(source, token);
		return;
	default: break;
	}
	source->stop = true;
	conf_quote(token->text, token->len, quoted, sizeof(quoted));
	source_key_name(source, name, sizeof(name));
	if (token->kind == CONF_TOKEN_EQUALS)
		conf_source_error(
		        source, token->place,
		        "\"%s\" stands where a value should; write addresses and other text in quotes",
		        quoted);
	else
		conf_source_error(source, token->place, "a value is missing%s%s: found \"%s\"",
		                  name[0] ? " after " : "", name, quoted);
}

static void refuse_after_value(struct conf_source *source, const struct conf_scanned *token)
{
	char quoted[CONF_TEXT_MAX];
	conf_quote(token->text, token->len, quoted, sizeof(quoted));
	source->stop = true;
	if (source_level(source)->kind == CONF_TOKEN_GROUP)
		conf_source_error(source, token->place,
		                  "%s after a value; several values are a list: [ \"one\", \"two\" ]",
		                  quoted);
	else if (token->kind == CONF_TOKEN_EQUALS)
		conf_source_error(source, token->place,
		                  "\"%s\" inside a list; settings in a list stand in groups, as in ( { name "
		                  "= \"x\"; } ), "
		                  "and addresses in quotes",
		                  quoted);
	else if (token->kind == CONF_TOKEN_SEMICOLON)
		conf_source_error(source, token->place,
		                  "\";\" inside a list; its values are separated by commas, and the bracket "
		                  "must be closed");
	else
		conf_source_error(source, token->place, "a comma is missing before %s", quoted);
}

static void close_bracket(struct conf_source *source, const struct conf_scanned *token)
{
	struct conf_source_level *level = source_level(source);
	const char *closing = brackets[token->kind];
	if (source->depth == 0) {
		conf_source_error(source, token->place, "\"%s\" closes nothing; one is too many", closing);
		source->stop = true;
	} else if (level->kind + 1 != token->kind) {
		conf_source_error(source, token->place, "\"%s\" does not close the \"%s\" of %s:%u", closing,
		                  brackets[level->kind], level->place.file, level->place.line);
		source->stop = true;
	} else if (level->want == WANT_VALUE) {
		conf_source_error(source, token->place,
		                  level->kind == CONF_TOKEN_GROUP
		                          ? "a value is missing before \"%s\""
		                          : "a comma before \"%s\"; the last one of a list has none",
		                  closing);
	} else if (level->want == WANT_EQUALS) {
		refuse_missing_equals(source, token);
	}
	if (source->stop)
		return;
	source->keys_n = level->keys_start;
	source->depth--;
}

void conf_source_token(struct conf_source *source, const struct conf_scanned *token)
{
	struct conf_source_level *level = source_level(source);
	bool separator = token->kind == CONF_TOKEN_COMMA ||
	                 (token->kind == CONF_TOKEN_SEMICOLON && level->kind == CONF_TOKEN_GROUP);
	if (token->kind == CONF_TOKEN_GROUP_END || token->kind == CONF_TOKEN_ARRAY_END ||
	    token->kind == CONF_TOKEN_LIST_END) {
		close_bracket(source, token);
	} else if (level->want == WANT_END && separator) {
		level->want = level->kind == CONF_TOKEN_GROUP ? WANT_NAME : WANT_VALUE;
	} else if (level->want == WANT_END && level->kind != CONF_TOKEN_GROUP) {
		refuse_after_value(source, token);
	} else if (level->want == WANT_END && token->kind != CONF_TOKEN_NAME) {
		/* "a" "b" is one text; the separator of a group is optional, so a name may follow too. */
		bool joined = token->kind == CONF_TOKEN_STRING && source->tokens_n &&
		              source->tokens[source->tokens_n - 1].kind == CONF_TOKEN_STRING;
		bool new_line =
		        source->tokens_n && source->tokens[source->tokens_n - 1].line != token->place.line;
		if (!joined && new_line)
			want_name(source, token);
		else if (!joined)
			refuse_after_value(source, token);
	} else if (level->want == WANT_EQUALS) {
		if (token->kind == CONF_TOKEN_EQUALS)
			level->want = WANT_VALUE;
		else
			refuse_missing_equals(source, token);
	} else if (level->want == WANT_VALUE || level->want == WANT_FIRST) {
		want_value(source, token);
	} else {
		want_name(source, token);
	}
	if (!source->stop && !source->out_of_memory)
		source_emit(source, token);
}

void conf_source_end(struct conf_source *source)
{
	const struct conf_source_level *level = source_level(source);
	char name[CONF_TEXT_MAX];
	if (source->depth > 0)
		conf_source_error(source, level->place, "this \"%s\" is never closed", brackets[level->kind]);
	else if (level->want == WANT_EQUALS || level->want == WANT_VALUE)
		conf_source_error(source, conf_source_place(source, source->tokens_n),
		                  "the file ends before the value of %s",
		                  source_key_name(source, name, sizeof(name)));
}
