#include "mirrormon/join.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "conf/value.h"
#include "mirrormon/checker_parse.h"
#include "mirrormon/join_int.h"
#include "zones/pool/country.h"

#define TEMPLATE_LEN_MAX 65536
#define QUOTED_MAX       80

enum field { FIELD_HOST, FIELD_ADDRESS, FIELD_COUNTRY, FIELD_ADMIN, FIELD_N };

static const struct {
	const char *key, *more, *example;
} fields[FIELD_N] = {
	[FIELD_HOST] = { "host", "host", "host: clamav.example.org" },
	[FIELD_ADDRESS] = { "ip address", "ip addresses", "ip address: 192.0.2.1 2001:db8::1" },
	[FIELD_COUNTRY] = { "country", "country", "country: DE" },
	[FIELD_ADMIN] = { "admin", "admin", "admin: Ann Admin <ann@example.org> || <alerts@example.org>" },
};

struct parse {
	struct diag *diag;
	const char *file;
	unsigned line;
	unsigned seen_at[FIELD_N]; /* line; 0 = not yet */
	struct join_template template;
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static void trim(const char **text, size_t *len)
{
	while (*len && is_blank(**text)) {
		(*text)++;
		(*len)--;
	}
	while (*len && is_blank((*text)[*len - 1]))
		(*len)--;
}

static const char *quote(const char *text, size_t len, char quoted[QUOTED_MAX])
{
	checker_copy_printable(text, len, quoted, QUOTED_MAX);
	return quoted;
}

static void parse_host(struct parse *parse, const char *value, size_t len)
{
	char *host = parse->template.host;
	char quoted[QUOTED_MAX];
	if (len >= sizeof(parse->template.host)) {
		diag_error(parse->diag, parse->file, parse->line, "host is longer than 253 characters");
		return;
	}
	for (size_t i = 0; i < len; i++)
		host[i] = (char)tolower((unsigned char)value[i]);
	host[len] = '\0';
	const char *wrong = strlen(host) == len ? conf_check_host(host) : "has a byte of zero";
	if (!wrong && !strchr(host, '.'))
		wrong = "has no domain";
	if (wrong)
		diag_error(parse->diag, parse->file, parse->line,
		           "host \"%s\" %s; write the mirror's own name, such as clamav.example.org",
		           quote(value, len, quoted), wrong);
}

static void parse_address(struct parse *parse, const char *word, size_t len)
{
	struct join_template *template = &parse->template;
	size_t cap = sizeof(template->addresses) / sizeof(template->addresses[0]);
	char text[ADDR_TEXT_MAX], quoted[QUOTED_MAX];
	struct addr addr;
	snprintf(text, sizeof(text), "%.*s", (int)(len < sizeof(text) ? len : sizeof(text) - 1), word);
	if (len >= sizeof(text) || strlen(text) != len || addr_parse(text, &addr) < 0) {
		diag_error(parse->diag, parse->file, parse->line,
		           "\"%s\" is no address; write 192.0.2.1 or 2001:db8::1", quote(word, len, quoted));
		return;
	}
	addr_format(&addr, text, sizeof(text));
	for (size_t i = 0; i < template->addresses_n; i++) {
		if (strcmp(template->addresses[i], text) == 0) {
			diag_error(parse->diag, parse->file, parse->line, "%s is given twice", text);
			return;
		}
	}
	if (template->addresses_n == cap) {
		diag_error(parse->diag, parse->file, parse->line, "more than %zu addresses", cap);
		return;
	}
	strcpy(template->addresses[template->addresses_n++], text);
}

static void parse_addresses(struct parse *parse, const char *value, size_t len)
{
	size_t start = 0;
	for (size_t i = 0; i <= len && parse->diag->suppressed_n == 0; i++) {
		if (i < len && !is_blank(value[i]) && value[i] != ',')
			continue;
		if (i > start)
			parse_address(parse, value + start, i - start);
		start = i + 1;
	}
}

static void parse_country(struct parse *parse, const char *value, size_t len)
{
	char code[3] = "", quoted[QUOTED_MAX];
	if (len == 2)
		memcpy(code, value, 2);
	uint16_t country = len == 2 ? country_from_text(code) : COUNTRY_UNKNOWN;
	if (country == COUNTRY_UNKNOWN)
		diag_error(parse->diag, parse->file, parse->line,
		           "\"%s\" is no country; write its code of two letters, such as DE",
		           quote(value, len, quoted));
	else
		country_to_code(country, parse->template.country);
}

/* "<a@b>" at text; returns what is behind it, NULL when that does not stand there. */
static const char *skip_mailbox(const char *text)
{
	const char *end = *text == '<' ? strchr(text, '>') : NULL;
	if (!end)
		return NULL;
	const char *at = NULL;
	for (const char *p = text + 1; p < end; p++) {
		if ((unsigned char)*p <= ' ' || strchr("<(),;:\"\\[]", *p))
			return NULL;
		if (*p == '@' && at)
			return NULL;
		if (*p == '@')
			at = p;
	}
	return at && at > text + 1 && at + 1 < end && at[1] != '-' ? end + 1 : NULL;
}

/* Name <a>, and after || another <b>. */
static bool is_admin(const char *text)
{
	const char *rest = strchr(text, '<');
	if (!rest || strstr(text, "||") < rest)
		rest = strstr(text, "||") ? NULL : rest;
	rest = rest ? skip_mailbox(rest) : NULL;
	if (!rest)
		return false;
	rest += strspn(rest, " \t");
	if (*rest == '\0')
		return true;
	if (strncmp(rest, "||", 2) != 0)
		return false;
	rest += 2;
	rest = skip_mailbox(rest + strspn(rest, " \t"));
	return rest && *rest == '\0';
}

/* UTF-8 without control characters; names are not all ASCII. */
static bool is_plain_text(const char *text, size_t len)
{
	for (size_t i = 0; i < len;) {
		unsigned char c = (unsigned char)text[i];
		size_t more = c < 0x80 ? 0 : c >= 0xc2 && c < 0xe0 ? 1 : c >= 0xe0 && c < 0xf0 ? 2 : 9;
		if (c < ' ' || c == 0x7f || more == 9 || i + more >= len)
			return false;
		for (size_t k = 1; k <= more; k++) {
			if (((unsigned char)text[i + k] & 0xc0) != 0x80)
				return false;
		}
		unsigned char next = more ? (unsigned char)text[i + 1] : 0;
		/* C1 controls, overlong forms, surrogates. */
		if ((c == 0xc2 && next < 0xa0) || (c == 0xe0 && next < 0xa0) || (c == 0xed && next >= 0xa0))
			return false;
		/* Marks that turn the direction of what follows, or end the line. */
		if (c == 0xe2 && next == 0x80 && (unsigned char)text[i + 2] >= 0xa8 &&
		    (unsigned char)text[i + 2] <= 0xae)
			return false;
		i += more + 1;
	}
	return true;
}

static void parse_admin(struct parse *parse, const char *value, size_t len)
{
	char *admin = parse->template.admin;
	char quoted[QUOTED_MAX];
	if (len >= sizeof(parse->template.admin)) {
		diag_error(parse->diag, parse->file, parse->line, "admin is longer than %zu bytes",
		           sizeof(parse->template.admin) - 1);
		return;
	}
	memcpy(admin, value, len);
	admin[len] = '\0';
	if (!is_plain_text(value, len) || strpbrk(admin, "\"\\"))
		diag_error(parse->diag, parse->file, parse->line,
		           "admin \"%s\" has a quote, a backslash or a control character; leave them out",
		           quote(value, len, quoted));
	else if (!is_admin(admin))
		diag_error(parse->diag, parse->file, parse->line, "admin \"%s\" is not understood; write %s",
		           quote(value, len, quoted), fields[FIELD_ADMIN].example);
}

static enum field field_of(const char *key, size_t len)
{
	for (unsigned i = 0; i < FIELD_N; i++) {
		if ((strlen(fields[i].key) == len && strncasecmp(fields[i].key, key, len) == 0) ||
		    (strlen(fields[i].more) == len && strncasecmp(fields[i].more, key, len) == 0))
			return (enum field)i;
	}
	return FIELD_N;
}

static void parse_line(struct parse *parse, const char *line, size_t len)
{
	char quoted[QUOTED_MAX];
	trim(&line, &len);
	if (len == 0 || line[0] == '#')
		return;
	const char *colon = memchr(line, ':', len);
	size_t key_len = colon ? (size_t)(colon - line) : 0;
	const char *key = line;
	trim(&key, &key_len);
	enum field field = colon ? field_of(key, key_len) : FIELD_N;
	if (!colon || field == FIELD_N) {
		diag_error(parse->diag, parse->file, parse->line,
		           "\"%s\" is not understood; write host:, ip address:, country: and admin:",
		           quote(line, len, quoted));
		return;
	}
	if (field != FIELD_ADDRESS && parse->seen_at[field]) {
		diag_error(parse->diag, parse->file, parse->line, "%s is given twice: first in line %u",
		           fields[field].key, parse->seen_at[field]);
		return;
	}
	parse->seen_at[field] = parse->line;
	const char *value = colon + 1;
	size_t value_len = len - (size_t)(value - line);
	trim(&value, &value_len);
	switch (field) {
	case FIELD_HOST: parse_host(parse, value, value_len); break;
	case FIELD_ADDRESS: parse_addresses(parse, value, value_len); break;
	case FIELD_COUNTRY: parse_country(parse, value, value_len); break;
	case FIELD_ADMIN: parse_admin(parse, value, value_len); break;
	case FIELD_N: break;
	}
}

int join_parse(const char *text, size_t text_len, const char *file, struct diag *diag,
               struct join_template *ret_template)
{
	struct parse parse = { .diag = diag, .file = file };
	size_t errors_before = diag->errors_n;
	if (text_len > TEMPLATE_LEN_MAX) {
		diag_error(diag, file, 0, "longer than %d bytes: this is no template", TEMPLATE_LEN_MAX);
		return -EINVAL;
	}
	for (size_t start = 0; start < text_len;) {
		const char *newline = memchr(text + start, '\n', text_len - start);
		size_t len = newline ? (size_t)(newline - text) - start : text_len - start;
		parse.line++;
		parse_line(&parse, text + start, len);
		start += len + 1;
	}
	for (unsigned i = 0; i < FIELD_N; i++) {
		if (!parse.seen_at[i])
			diag_error(diag, file, 0, "no %s; write %s", fields[i].key, fields[i].example);
	}
	if (parse.seen_at[FIELD_ADDRESS] && parse.template.addresses_n == 0 &&
	    diag->errors_n == errors_before)
		diag_error(diag, file, parse.seen_at[FIELD_ADDRESS], "no address; write %s",
		           fields[FIELD_ADDRESS].example);
	if (diag->errors_n > errors_before)
		return -EINVAL;
	*ret_template = parse.template;
	return 0;
}

void join_entry(const struct join_template *template, char ret_entry[JOIN_ENTRY_MAX])
{
	size_t len = (size_t)snprintf(ret_entry, JOIN_ENTRY_MAX,
	                              "\t{ host = \"%s\"; country = \"%s\"; addresses = [ ", template->host,
	                              template->country);
	for (size_t i = 0; i < template->addresses_n; i++)
		len += (size_t)snprintf(ret_entry + len, JOIN_ENTRY_MAX - len, "%s\"%s\"", i ? ", " : "",
		                        template->addresses[i]);
	snprintf(ret_entry + len, JOIN_ENTRY_MAX - len, " ];\n\t  admin = \"%s\"; }", template->admin);
}

int join_run_in(const struct conf_monitor *conf, const struct join_template *template,
                const struct join_world *world, bool append, FILE *out, struct diag *diag)
{
	char entry[JOIN_ENTRY_MAX];
	int rc = join_check(conf, template, world, out, diag);
	if (rc < 0)
		return rc;
	if (rc > 0) {
		fprintf(out, "\nNothing was added: %s has to be mended first. Then run this again.\n",
		        template->host);
		return 1;
	}
	if (append) {
		rc = join_append(conf->pool->mirrors_file, template, diag);
		if (rc == 0)
			fprintf(out, "\nAdded to %s.\n", conf->pool->mirrors_file);
		return rc;
	}
	join_entry(template, entry);
	fprintf(out, "\nFor the mirrors file, with a comma before it:\n\n%s\n", entry);
	return 0;
}
