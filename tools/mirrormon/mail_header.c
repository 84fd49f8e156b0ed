#include "mirrormon/mail_int.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#define LOCAL_MAX  64  /* RFC 5321 section 4.5.3.1.1 */
#define DOMAIN_MAX 253 /* RFC 1035 section 2.3.4, as text */
#define TEXT_MAX   400 /* of a line of at most 998 (RFC 5322 section 2.1.1) */
#define WORD_BYTES 45  /* of an encoded word: 60 characters of base 64, of at most 75 in all */

static bool is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool is_atom(char c)
{
	return is_alnum(c) || (c && strchr("!#$%&'*+-/=?^_`{|}~", c));
}

/* Parts between dots, none of them empty. */
static bool is_dotted(const char *text, size_t len, bool is_domain)
{
	size_t part_len = 0;
	for (size_t i = 0; i < len; i++) {
		if (text[i] == '.') {
			if (part_len == 0 || (is_domain && text[i - 1] == '-'))
				return false;
			part_len = 0;
			continue;
		}
		if (is_domain ? !is_alnum(text[i]) && (text[i] != '-' || part_len == 0) : !is_atom(text[i]))
			return false;
		if (++part_len > 63 && is_domain)
			return false;
	}
	return part_len > 0 && !(is_domain && text[len - 1] == '-');
}

bool mail_is_address(const char *text, size_t len)
{
	const char *at = memchr(text, '@', len);
	if (!at)
		return false;
	size_t local_len = (size_t)(at - text);
	size_t domain_len = len - local_len - 1;
	/* One that begins with a dash is an option to some programs. */
	return local_len <= LOCAL_MAX && domain_len <= DOMAIN_MAX && *text != '-' &&
	       is_dotted(text, local_len, false) && is_dotted(at + 1, domain_len, true);
}

/* The address in "Name <a>", "<a>" or "a". */
static bool find_address(const char *text, size_t len, const char **ret_from, size_t *ret_len)
{
	const char *end = text + len;
	const char *open = memchr(text, '<', len);
	const char *close = open ? memchr(open, '>', (size_t)(end - open)) : NULL;
	if (close) {
		text = open + 1;
		end = close;
	}
	while (text < end && (*text == ' ' || *text == '\t'))
		text++;
	while (text < end && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	*ret_from = text;
	*ret_len = (size_t)(end - text);
	return mail_is_address(text, *ret_len);
}

int mail_admin_address(const char *admin, char *ret_address, size_t cap)
{
	const char *alerts = strstr(admin, "||");
	const char *from;
	size_t len;
	if (!(alerts && find_address(alerts + 2, strlen(alerts + 2), &from, &len)) &&
	    !find_address(admin, alerts ? (size_t)(alerts - admin) : strlen(admin), &from, &len))
		return -EINVAL;
	if (len >= cap)
		return -EINVAL;
	memcpy(ret_address, from, len);
	ret_address[len] = '\0';
	return 0;
}

/* --- text of any bytes --- */

/* How long the UTF-8 character is that begins here (RFC 3629 section 4); 0 = it is none, or a control
 * character. */
static size_t utf8_len(const char *text)
{
	const unsigned char *byte = (const unsigned char *)text;
	uint32_t code;
	size_t len;
	if (byte[0] < 0x80)
		return byte[0] >= ' ' && byte[0] != 0x7f;
	if ((byte[0] & 0xe0) == 0xc0)
		len = 2, code = byte[0] & 0x1f;
	else if ((byte[0] & 0xf0) == 0xe0)
		len = 3, code = byte[0] & 0x0f;
	else if ((byte[0] & 0xf8) == 0xf0)
		len = 4, code = byte[0] & 0x07;
	else
		return 0;
	for (size_t i = 1; i < len; i++) {
		if ((byte[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (byte[i] & 0x3f);
	}
	static const uint32_t least[] = { 0, 0, 0xa0, 0x800, 0x10000 };
	bool is_surrogate = code >= 0xd800 && code <= 0xdfff;
	/* Marks that turn the direction of writing make a line look like another. */
	bool turns = (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
	return code < least[len] || code > 0x10ffff || is_surrogate || turns ? 0 : len;
}

void mail_put_text(FILE *out, const char *text)
{
	const char *end = text + TEXT_MAX;
	while (*text && text < end) {
		size_t len = utf8_len(text);
		if (len)
			fwrite(text, 1, len, out);
		else
			fputc('?', out);
		text += len ? len : 1;
	}
	if (*text)
		fputs("...", out);
}

static void put_base64(FILE *out, const unsigned char *bytes, size_t len)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	for (size_t i = 0; i < len; i += 3) {
		uint32_t three = (uint32_t)bytes[i] << 16;
		if (i + 1 < len)
			three |= (uint32_t)bytes[i + 1] << 8;
		if (i + 2 < len)
			three |= bytes[i + 2];
		fputc(digits[three >> 18], out);
		fputc(digits[three >> 12 & 63], out);
		fputc(i + 1 < len ? digits[three >> 6 & 63] : '=', out);
		fputc(i + 2 < len ? digits[three & 63] : '=', out);
	}
}

static bool is_plain(const char *text)
{
	/* What looks like an encoded word would be shown as what it encodes. */
	if (strstr(text, "=?") || strlen(text) > 900)
		return false;
	for (; *text; text++) {
		if (*text < ' ' || *text > '~')
			return false;
	}
	return true;
}

void mail_put_header(FILE *out, const char *name, const char *text)
{
	fprintf(out, "%s:", name);
	if (is_plain(text)) {
		fprintf(out, " %s\n", text);
		return;
	}
	/* Words of whole characters (RFC 2047 section 5), each on a line of its own. */
	while (*text) {
		unsigned char word[WORD_BYTES];
		size_t word_len = 0;
		while (*text) {
			size_t len = utf8_len(text);
			if (word_len + (len ? len : 1) > sizeof(word))
				break;
			if (len)
				memcpy(word + word_len, text, len);
			else
				word[word_len] = '?';
			word_len += len ? len : 1;
			text += len ? len : 1;
		}
		fputs(" =?UTF-8?B?", out);
		put_base64(out, word, word_len);
		fputs("?=\n", out);
	}
}

void mail_put_date(FILE *out, uint64_t at_s)
{
	static const char days[][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
	static const char months[][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
		                          "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
	time_t at = (time_t)at_s;
	struct tm utc;
	if (at_s > 253402300799U || !gmtime_r(&at, &utc))
		return; /* sendmail then adds its own */
	fprintf(out, "Date: %s, %d %s %d %02d:%02d:%02d +0000\n", days[utc.tm_wday], utc.tm_mday,
	        months[utc.tm_mon], utc.tm_year + 1900, utc.tm_hour, utc.tm_min, utc.tm_sec);
}

void mail_put_id(FILE *out, const char *name, uint64_t since_s, const char *what, const char *host,
                 const char *from)
{
	const char *at = strchr(from, '@');
	fprintf(out, "%s<mirrormon.%" PRIu64 ".%s.", name, since_s, what);
	/* Dots are parts' ends, and no part may be empty. */
	for (size_t i = 0; host[i] && i < 200; i++)
		fputc(is_alnum(host[i]) ? host[i] : '-', out);
	fprintf(out, "@%s>", at ? at + 1 : "localhost");
}
