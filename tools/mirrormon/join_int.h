/*
 * Inside join:
 *
 *     join.c         the template, the entry
 *     join_steps.c   what is asked of the mirror, and how what fails is mended
 *     join_append.c  the entry into the mirrors file
 */
#ifndef TOOLS_MIRRORMON_JOIN_INT_H
#define TOOLS_MIRRORMON_JOIN_INT_H

#include "mirrormon/join.h"

#define JOIN_ENTRY_MAX  3072
#define JOIN_ADDRS_MAX  64
#define JOIN_FILE_MAX   (64U * 1024 * 1024)
#define JOIN_LATE_MAX_S 86400

/** The world around it, for tests. */
struct join_world {
	uint64_t now_s;
	bool may_be_loopback;
	/** The addresses of a host name, as many as fit. Returns their number, or negative with why. */
	int (*resolve)(const char *host, struct addr *addrs, size_t addrs_cap, const char **ret_why);
};

/** As join_run(), without the entry. */
int join_check(const struct conf_monitor *conf, const struct join_template *template,
               const struct join_world *world, FILE *out, struct diag *diag);
int join_run_in(const struct conf_monitor *conf, const struct join_template *template,
                const struct join_world *world, bool append, FILE *out, struct diag *diag);

/** The entry for the mirrors file, without a comma or newline at its end. Of a template that was parsed. */
void join_entry(const struct join_template *template, char ret_entry[JOIN_ENTRY_MAX]);

/**
 * The text of a mirrors file with one entry more at the end of its list; comments stay where they are.
 * ret_text  the caller frees
 * ret_why   static, set when it is refused
 * Returns   0, -EINVAL: there is no such list, or what stands there is not understood; -ENOMEM
 */
int join_insert(const char *text, size_t text_len, const char *entry, char **ret_text, size_t *ret_len,
                const char **ret_why);

/** Add the entry to the file, by rename, once the result reads as the old mirrors and this one; waits while
 * another process does. Returns 0 or negative errno with diag. */
int join_append(const char *path, const struct join_template *template, struct diag *diag);

#endif
