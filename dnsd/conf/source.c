#include "conf/source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/value.h"

/* One file on its way through the scanner; linked to the file that includes it. */
struct scan {
	struct conf_source *source;
	const struct scan *from;
	unsigned depth;
	unsigned file;
	dev_t dev; /* with ino, to notice a file that includes itself */
	ino_t ino;
	const char *data;
	size_t len;
	size_t pos;
	unsigned line;
	bool line_start; /* only blanks since the line began */
};

void conf_source_init(struct conf_source *source, struct arena *arena, struct diag *diag)
{
	memset(source, 0, sizeof(*source));
	source->arena = arena;
	source->diag = diag;
	source->levels[0].kind = CONF_TOKEN_GROUP;
}

void conf_source_fini(struct conf_source *source)
{
	free(source->files);
	free(source->text);
	free(source->tokens);
	free(source->keys);
	memset(source, 0, sizeof(*source));
}

void conf_source_error(struct conf_source *source, struct conf_place place, const char *fmt, ...)
{
	char *text = NULL;
	va_list args;
	va_start(args, fmt);
	int len = vasprintf(&text, fmt, args);
	va_end(args);
	source->errors_n++;
	diag_error(source->diag, place.file, place.line, "%s", len < 0 ? "out of memory" : text);
	if (len >= 0)
		free(text);
}

struct conf_place conf_source_place(const struct conf_source *source, size_t index)
{
	if (source->tokens_n == 0)
		return (struct conf_place){ .file = source->files[0], .line = 0 };
	if (index >= source->tokens_n)
		index = source->tokens_n - 1;
	const struct conf_token *token = &source->tokens[index];
	return (struct conf_place){ .file = source->files[token->file], .line = token->line };
}

const char *conf_path_beside(struct arena *arena, const char *from_file, const char *path)
{
	const char *slash = strrchr(from_file, '/');
	if (path[0] == '/' || !slash)
		return arena_strdup(arena, path);
	size_t folder_len = (size_t)(slash - from_file) + 1;
	size_t path_len = strlen(path);
	char *joined = arena_alloc(arena, folder_len + path_len + 1);
	if (!joined)
		return NULL;
	memcpy(joined, from_file, folder_len);
	memcpy(joined + folder_len, path, path_len + 1);
	return joined;
}

static int source_add_file(struct conf_source *source, const char *name, unsigned *ret_file)
{
	const char **grown = realloc(source->files, (source->files_n + 1) * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	source->files = grown;
	const char *copy = arena_strdup(source->arena, name);
	if (!copy)
		return -ENOMEM;
	source->files[source->files_n] = copy;
	*ret_file = (unsigned)source->files_n++;
	return 0;
}

static struct conf_place scan_place(const struct scan *scan)
{
	return (struct conf_place){ .file = scan->source->files[scan->file], .line = scan->line };
}

static void scan_token(struct scan *scan, enum conf_token_kind kind, size_t len)
{
	struct conf_scanned token = {
		.kind = kind,
		.place = scan_place(scan),
		.file = scan->file,
		.text = scan->data + scan->pos,
		.len = len,
	};
	conf_source_token(scan->source, &token);
	scan->pos += len;
	scan->line_start = false;
}

static bool scan_has(const struct scan *scan, const char *text)
{
	size_t len = strlen(text);
	return scan->len - scan->pos >= len && memcmp(scan->data + scan->pos, text, len) == 0;
}

static void scan_line_comment(struct scan *scan)
{
	const char *end = memchr(scan->data + scan->pos, '\n', scan->len - scan->pos);
	scan->pos = end ? (size_t)(end - scan->data) : scan->len;
}

static void scan_block_comment(struct scan *scan)
{
	struct conf_place start = scan_place(scan);
	for (scan->pos += 2; scan->pos < scan->len; scan->pos++) {
		if (scan_has(scan, "*/")) {
			scan->pos += 2;
			return;
		}
		if (scan->data[scan->pos] == '\n') {
			scan->line++;
			/* libconfig knows no @include in the line where a comment ends either. */
			scan->line_start = false;
		}
	}
	conf_source_error(scan->source, start, "this comment is never closed; write */ where it ends");
	scan->source->stop = true;
}

/* A string ends on its line: the quote that is missing is reported where it is missing, not at the next
 * string. */
static void scan_string(struct scan *scan)
{
	size_t end = scan->pos + 1;
	while (end < scan->len && scan->data[end] != '"' && scan->data[end] != '\n') {
		bool escape = scan->data[end] == '\\' && end + 1 < scan->len &&
		              (scan->data[end + 1] == '"' || scan->data[end + 1] == '\\');
		end += escape ? 2 : 1;
	}
	if (end >= scan->len || scan->data[end] == '\n') {
		char quoted[CONF_TEXT_MAX];
		conf_quote(scan->data + scan->pos, end - scan->pos, quoted, sizeof(quoted));
		conf_source_error(scan->source, scan_place(scan), "the closing \" is missing: %s", quoted);
		scan->source->stop = true;
		return;
	}
	scan_token(scan, CONF_TOKEN_STRING, end + 1 - scan->pos);
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool word_is_name(const char *word, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		bool good = is_letter(word[i]) || word[i] == '*' ||
		            (i > 0 && (is_digit(word[i]) || word[i] == '-' || word[i] == '_'));
		if (!good)
			return false;
	}
	return true;
}

/* Decimal only: what libconfig does to long hexadecimal numbers nobody wants. */
static bool word_is_number(const char *word, size_t len)
{
	char copy[64];
	if (len >= sizeof(copy))
		return false;
	memcpy(copy, word, len);
	copy[len] = '\0';
	if (strspn(copy, "0123456789.eE+-") != len || strcspn(copy, "0123456789") == len)
		return false;
	char *end;
	errno = 0;
	if (copy[strcspn(copy, ".eE")]) {
		strtod(copy, &end);
		return *end == '\0';
	}
	strtoll(copy, &end, 10);
	return *end == '\0' && errno == 0;
}

static void scan_word(struct scan *scan)
{
	const char *word = scan->data + scan->pos;
	size_t rest = scan->len - scan->pos;
	size_t len = 1;
	while (len < rest && !strchr(" \t\r\n\f=:,;{}[]()\"#", word[len])) {
		if (word[len] == '/' && len + 1 < rest && (word[len + 1] == '/' || word[len + 1] == '*'))
			break;
		len++;
	}
	enum conf_token_kind kind = CONF_TOKEN_WORD;
	if ((len == 4 && strncasecmp(word, "true", 4) == 0) ||
	    (len == 5 && strncasecmp(word, "false", 5) == 0))
		kind = CONF_TOKEN_BOOL;
	else if (word_is_name(word, len))
		kind = CONF_TOKEN_NAME;
	else if (word_is_number(word, len))
		kind = CONF_TOKEN_NUMBER;
	scan_token(scan, kind, len);
}

static void scan_include(struct scan *scan);

static void scan_run(struct scan *scan)
{
	static const struct {
		char sign;
		enum conf_token_kind kind;
	} signs[] = {
		{ '=', CONF_TOKEN_EQUALS },   { ':', CONF_TOKEN_EQUALS },    { ';', CONF_TOKEN_SEMICOLON },
		{ ',', CONF_TOKEN_COMMA },    { '{', CONF_TOKEN_GROUP },     { '}', CONF_TOKEN_GROUP_END },
		{ '[', CONF_TOKEN_ARRAY },    { ']', CONF_TOKEN_ARRAY_END }, { '(', CONF_TOKEN_LIST },
		{ ')', CONF_TOKEN_LIST_END },
	};

	/* Left by some editors in front of UTF-8. */
	if (scan_has(scan, "\xef\xbb\xbf"))
		scan->pos += 3;
	while (scan->pos < scan->len && !scan->source->stop && !scan->source->out_of_memory) {
		char c = scan->data[scan->pos];
		if (c == '\n') {
			scan->line++;
			scan->line_start = true;
			scan->pos++;
			continue;
		}
		if (c == ' ' || c == '\t' || c == '\r' || c == '\f') {
			scan->pos++;
			continue;
		}
		if (c == '#' || scan_has(scan, "//")) {
			scan_line_comment(scan);
			continue;
		}
		if (scan_has(scan, "/*")) {
			scan_block_comment(scan);
			continue;
		}
		if (c == '"') {
			scan_string(scan);
			continue;
		}
		if (scan->line_start && scan_has(scan, "@include")) {
			scan_include(scan);
			continue;
		}
		size_t i = 0;
		while (i < sizeof(signs) / sizeof(signs[0]) && signs[i].sign != c)
			i++;
		if (i < sizeof(signs) / sizeof(signs[0]))
			scan_token(scan, signs[i].kind, 1);
		else
			scan_word(scan);
	}
}

/*
 * Read a whole file into *ret_data (free() it). Only regular files: a pipe could make a reload wait for ever.
 * from is the place of what names the file, or has no file; both texts of a message must tell what to look
 * at.
 */
static int file_read(struct conf_source *source, const char *path, struct conf_place from,
                     struct stat *ret_stat, char **ret_data, size_t *ret_len)
{
	char *data = NULL;
	size_t len = 0;
	const char *why = NULL;
	struct stat st = { 0 };
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 || fstat(fd, &st) < 0) {
		why = strerror(errno);
	} else if (S_ISDIR(st.st_mode)) {
		why = "it is a folder, not a file";
	} else if (!S_ISREG(st.st_mode)) {
		why = "it is not a regular file";
	} else if (st.st_size > (off_t)(CONF_FILE_BYTES_MAX - source->bytes)) {
		why = "it is too large: 64 MB is the limit for a file with all it includes";
	} else {
		/* A file that grows meanwhile is read up to the size it had. */
		size_t cap = (size_t)st.st_size;
		data = malloc(cap + 1);
		if (!data) {
			close(fd);
			return -ENOMEM;
		}
		while (len < cap) {
			ssize_t got = read(fd, data + len, cap - len);
			if (got < 0 && errno == EINTR)
				continue;
			if (got < 0)
				why = strerror(errno);
			if (got <= 0)
				break;
			len += (size_t)got;
		}
	}
	if (why) {
		char quoted[CONF_TEXT_MAX];
		if (from.file)
			conf_source_error(source, from, "cannot read \"%s\": %s",
			                  conf_quote(path, strlen(path), quoted, sizeof(quoted)), why);
		else
			conf_source_error(source, (struct conf_place){ .file = path }, "cannot read it: %s",
			                  why);
	}
	if (fd >= 0)
		close(fd);
	if (why) {
		free(data);
		return -EINVAL;
	}
	source->bytes += len;
	*ret_stat = st;
	*ret_data = data;
	*ret_len = len;
	return 0;
}

static void scan_bytes(struct scan *scan, const char *data, size_t len)
{
	scan->data = data;
	scan->len = len;
	scan->line = 1;
	scan->line_start = true;
	const char *zero = len ? memchr(data, '\0', len) : NULL;
	if (zero) {
		for (const char *p = data; p < zero; p++)
			scan->line += *p == '\n';
		conf_source_error(scan->source, scan_place(scan), "a zero byte: this is not a text file");
		scan->source->stop = true;
		return;
	}
	scan_run(scan);
}

static void scan_file(struct scan *scan, const char *path, struct conf_place from)
{
	struct conf_source *source = scan->source;
	struct stat st = { 0 };
	char *data = NULL;
	size_t len = 0;
	int rc = source_add_file(source, path, &scan->file);
	if (rc == 0)
		rc = file_read(source, path, from, &st, &data, &len);
	if (rc == -ENOMEM)
		source->out_of_memory = true;
	if (rc < 0)
		return;
	scan->dev = st.st_dev;
	scan->ino = st.st_ino;
	for (const struct scan *above = scan->from; above; above = above->from) {
		if (above->dev == scan->dev && above->ino == scan->ino) {
			conf_source_error(source, from,
			                  "this @include goes in a circle: \"%s\" is being read already",
			                  source->files[above->file]);
			source->stop = true;
		}
	}
	if (!source->stop)
		scan_bytes(scan, data, len);
	free(data);
}

static void scan_include(struct scan *scan)
{
	struct conf_source *source = scan->source;
	struct conf_place place = scan_place(scan);
	const char *name = scan->data + scan->pos + strlen("@include");
	const char *end = scan->data + scan->len;
	const char *first = name;
	while (name < end && (*name == ' ' || *name == '\t'))
		name++;
	const char *close_quote = name < end && *name == '"' ? name + 1 : NULL;
	while (close_quote && close_quote < end && *close_quote != '"' && *close_quote != '\n')
		close_quote++;
	char path[1024];
	size_t path_len = close_quote ? (size_t)(close_quote - name - 1) : 0;
	source->stop = true;
	if (name == first || !close_quote || close_quote == end || *close_quote != '"' || path_len == 0 ||
	    path_len >= sizeof(path)) {
		conf_source_error(source, place, "write @include \"other.conf\", alone on its line");
		return;
	}
	if (!source->may_include) {
		conf_source_error(source, place, "@include is not possible here: this text is not in a file");
		return;
	}
	if (scan->depth + 1 >= CONF_INCLUDE_DEPTH || source->files_n > CONF_INCLUDES_MAX) {
		conf_source_error(source, place, "too many @include: the limit is %d, %d deep",
		                  CONF_INCLUDES_MAX, CONF_INCLUDE_DEPTH);
		return;
	}
	source->stop = false;
	memcpy(path, name + 1, path_len);
	path[path_len] = '\0';
	scan->pos = (size_t)(close_quote + 1 - scan->data);
	const char *beside = conf_path_beside(source->arena, place.file, path);
	if (!beside) {
		source->out_of_memory = true;
		return;
	}
	struct scan inner = { .source = source, .from = scan, .depth = scan->depth + 1 };
	scan_file(&inner, beside, place);
}

static int source_result(struct conf_source *source)
{
	if (!source->stop && !source->out_of_memory && source->errors_n == 0)
		conf_source_end(source);
	if (source->out_of_memory)
		return -ENOMEM;
	return source->errors_n ? -EINVAL : 0;
}

int conf_source_read_file(struct conf_source *source, const char *path, struct conf_place from)
{
	source->may_include = true;
	struct scan scan = { .source = source };
	scan_file(&scan, path, from);
	return source_result(source);
}

int conf_source_read_text(struct conf_source *source, const char *name, const char *text, size_t text_len)
{
	struct scan scan = { .source = source };
	if (source_add_file(source, name, &scan.file) < 0)
		return -ENOMEM;
	if (text_len > CONF_FILE_BYTES_MAX)
		conf_source_error(source, scan_place(&scan), "it is too large: 64 MB is the limit");
	else
		scan_bytes(&scan, text, text_len);
	return source_result(source);
}
