/*
 * quote: text of strangers as the value of a field in a line of the log, name="value".
 *
 * Details are printable ASCII already, but a quotation mark in one would end its field, and what follows
 * would be read as others: detail="503 x" votes="3/3".
 */
#ifndef TOOLS_MIRRORMON_QUOTE_H
#define TOOLS_MIRRORMON_QUOTE_H

#include <stddef.h>

#include "mirrormon/model.h"

#define QUOTE_DETAIL_MAX (2 * MODEL_DETAIL_MAX) /* of a detail, whatever stands in it, with its final NUL */

/** A backslash before each " and \. Returns ret_quoted; what does not fit in is cut, never within a pair. */
static inline const char *quote_text(const char *text, char *ret_quoted, size_t cap)
{
	size_t len = 0;
	for (; *text; text++) {
		size_t n = *text == '"' || *text == '\\' ? 2 : 1;
		if (len + n >= cap)
			break;
		if (n == 2)
			ret_quoted[len++] = '\\';
		ret_quoted[len++] = *text;
	}
	ret_quoted[len] = '\0';
	return ret_quoted;
}

#endif
