#include "mirrormon/site_text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/utc.h"

void site_text_init(struct site_text *text, enum site_escape escape)
{
	*text = (struct site_text){ .escape = escape };
}

void site_text_fini(struct site_text *text)
{
	free(text->bytes);
	text->bytes = NULL;
	text->len = text->cap = 0;
}

static void add_bytes(struct site_text *text, const char *bytes, size_t len)
{
	if (text->failed || len == 0)
		return;
	if (len > text->cap - text->len) {
		size_t cap = text->cap ? text->cap * 2 : 4096;
		while (cap - text->len < len)
			cap *= 2;
		char *grown = realloc(text->bytes, cap);
		if (!grown) {
			text->failed = true;
			return;
		}
		text->bytes = grown;
		text->cap = cap;
	}
	memcpy(text->bytes + text->len, bytes, len);
	text->len += len;
}

void site_text_join(struct site_text *text, const struct site_text *part)
{
	add_bytes(text, part->bytes, part->len);
	text->failed |= part->failed;
}

/* Bytes of the character that begins here, when it is UTF-8 (RFC 3629 section 4) and may be shown; else 0. */
static size_t shown_len(const unsigned char *at)
{
	if (at[0] < 0x80)
		return at[0] >= 0x20 && at[0] != 0x7f;
	size_t len = at[0] >= 0xf0 ? 4 : at[0] >= 0xe0 ? 3 : 2;
	if (at[0] < 0xc2 || at[0] > 0xf4)
		return 0;
	uint32_t point = at[0] & (0x7fU >> len);
	for (size_t i = 1; i < len; i++) {
		if ((at[i] & 0xc0) != 0x80)
			return 0;
		point = point << 6 | (at[i] & 0x3fU);
	}
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	bool is_control = point < 0xa0 || (point >= 0x200b && point <= 0x200f) ||
	                  (point >= 0x2028 && point <= 0x202e) || (point >= 0x2060 && point <= 0x206f) ||
	                  point == 0xfeff || (point & 0xfffe) == 0xfffe;
	return point < least[len] || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff) || is_control
	               ? 0
	               : len;
}

static const char *escape_of(enum site_escape escape, char c)
{
	if (escape == SITE_CSV)
		return c == '"' ? "\"\"" : NULL;
	switch (c) {
	case '&': return "&amp;";
	case '<': return "&lt;";
	case '>': return "&gt;";
	case '"': return "&quot;";
	case '\'': return "&#39;";
	default: return NULL;
	}
}

static void add_escaped(struct site_text *text, const char *value)
{
	if (text->escape == SITE_CSV && *value && strchr("=+-@", *value))
		add_bytes(text, "'", 1);
	const char *plain = value;
	while (*value) {
		size_t len = shown_len((const unsigned char *)value);
		const char *instead = len ? escape_of(text->escape, *value) : "?";
		if (instead) {
			add_bytes(text, plain, (size_t)(value - plain));
			add_bytes(text, instead, strlen(instead));
			plain = value + 1;
		}
		value += len && !instead ? len : 1;
	}
	add_bytes(text, plain, (size_t)(value - plain));
}

static void add_decimal(struct site_text *text, uint64_t number)
{
	char digits[24];
	size_t at = sizeof(digits);
	do {
		digits[--at] = (char)('0' + number % 10);
		number /= 10;
	} while (number);
	add_bytes(text, digits + at, sizeof(digits) - at);
}

/* "%.1f" of what is not large: graphs are made of these, and printf() would take most of a page's time. */
static bool add_fixed(struct site_text *text, const char *spec, size_t spec_len, double number)
{
	if (spec_len != 4 || spec[1] != '.' || spec[2] < '1' || spec[2] > '3' ||
	    !(number >= 0 && number < 1e9))
		return false;
	uint64_t scale = spec[2] == '1' ? 10 : spec[2] == '2' ? 100 : 1000;
	uint64_t scaled = (uint64_t)(number * (double)scale + 0.5);
	add_decimal(text, scaled / scale);
	add_bytes(text, ".", 1);
	for (scaled %= scale; scale > 1; scaled %= scale) {
		scale /= 10;
		add_bytes(text, &"0123456789"[scaled / scale], 1);
	}
	return true;
}

/* One number, by the format from its % to its letter. */
static void add_number(struct site_text *text, const char *spec, size_t spec_len, va_list *args)
{
	char format[16];
	char number[64];
	char letter = spec[spec_len - 1];
	bool is_float = strchr("fFeEgG", letter) != NULL;
	bool is_long = memchr(spec, 'l', spec_len) || memchr(spec, 'z', spec_len);
	double real = is_float ? va_arg(*args, double) : 0;
	/* An int that is given for %d comes as the unsigned of the same bits. */
	unsigned long whole = is_float ? 0 : is_long ? va_arg(*args, unsigned long) : va_arg(*args, unsigned);
	bool is_plain = spec[1] == letter || ((spec[1] == 'l' || spec[1] == 'z') && spec[2] == letter);
	if (is_float && add_fixed(text, spec, spec_len, real))
		return;
	if (!is_float && is_plain && (letter == 'u' || (letter == 'd' && (int)whole >= 0 && !is_long))) {
		add_decimal(text, whole);
		return;
	}
	if (spec_len >= sizeof(format))
		return;
	memcpy(format, spec, spec_len);
	format[spec_len] = '\0';
	int len = is_float  ? snprintf(number, sizeof(number), format, real)
	          : is_long ? snprintf(number, sizeof(number), format, whole)
	                    : snprintf(number, sizeof(number), format, (unsigned)whole);
	if (len > 0)
		add_bytes(text, number, (size_t)len < sizeof(number) ? (size_t)len : sizeof(number) - 1);
}

void site_text_add(struct site_text *text, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	while (*fmt) {
		size_t plain_n = (size_t)(strchrnul(fmt, '%') - fmt);
		add_bytes(text, fmt, plain_n);
		fmt += plain_n;
		if (!*fmt)
			break;
		size_t spec_len = 1 + strcspn(fmt + 1, "scdiuxXfFeEgG%") + 1;
		char letter = fmt[spec_len - 1];
		if (letter == '%') {
			add_bytes(text, "%", 1);
		} else if (letter == 's') {
			const char *value = va_arg(args, const char *);
			add_escaped(text, value ? value : "");
		} else if (letter == 'c') {
			add_escaped(text, (char[]){ (char)va_arg(args, int), '\0' });
		} else {
			add_number(text, fmt, spec_len, &args);
		}
		fmt += spec_len;
	}
	va_end(args);
}

void site_add_time(struct site_text *text, uint64_t s)
{
	char utc[UTC_TEXT_MAX];
	if (s == 0 || s > 253402300799U) { /* the last second that RFC 3339 can say */
		site_add(text, "%s", s ? "after the year 9999" : "never");
		return;
	}
	utc_format(s, utc);
	site_add(text, "<time datetime=\"%s\">", utc);
	utc[10] = ' ';
	utc[16] = '\0';
	site_add(text, "%s</time>", utc);
}

const char *site_duration(uint64_t s, char text[SITE_DURATION_MAX])
{
	if (s < 120)
		snprintf(text, SITE_DURATION_MAX, "%" PRIu64 " s", s);
	else if (s < 7200)
		snprintf(text, SITE_DURATION_MAX, "%" PRIu64 " min", s / 60);
	else if (s < 172800 && s / 60 % 60)
		snprintf(text, SITE_DURATION_MAX, "%" PRIu64 " h %" PRIu64 " min", s / 3600, s / 60 % 60);
	else if (s < 172800)
		snprintf(text, SITE_DURATION_MAX, "%" PRIu64 " h", s / 3600);
	else if (s / 3600 % 24)
		snprintf(text, SITE_DURATION_MAX, "%" PRIu64 " d %" PRIu64 " h", s / 86400, s / 3600 % 24);
	else
		snprintf(text, SITE_DURATION_MAX, "%" PRIu64 " d", s / 86400);
	return text;
}
