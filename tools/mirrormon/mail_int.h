/*
 * mail_int: what the files of mail share.
 *
 *     mail.c          incidents, and who has to be told what
 *     mail_letter.c   the words
 *     mail_header.c   addresses and headers: whatever a field holds, it stays in its field
 *     mail_send.c     sendmail -t
 *     mail_spool.c    letters that wait, as files
 */
#ifndef TOOLS_MIRRORMON_MAIL_INT_H
#define TOOLS_MIRRORMON_MAIL_INT_H

#include <stdio.h>

#include "mirrormon/mail.h"

#define MAIL_ADDRESS_MAX 320 /* RFC 5321 section 4.5.3.1, with its final NUL */

/** What of an incident has been told; each once. */
enum mail_step { MAIL_TEAM, MAIL_ADMIN, MAIL_PART_OUT, MAIL_OUT, MAIL_RECOVERED, MAIL_STEP_N };

struct incident {
	char host[256];
	uint64_t since_s;
	enum reason reason;
	unsigned steps; /* bit of enum mail_step: it is done with, told or not */
	bool team_heard, admin_heard;
	int first, last; /* steps of the first and the last letter, for the thread; -1 = none yet */
};

struct incidents {
	struct incident *items; /* by host */
	size_t n;
	uint64_t storm_s; /* too many have failed at once since; 0 = they have not */
	uint64_t calm_s;  /* there were few enough since; 0 = there are not */
	uint64_t self_s;  /* the monitor itself is not well since, as told; 0 = it is */
};

/** What is wrong with a mirror at the moment, all its addresses and votes together. */
struct mail_state {
	enum reason reason; /* REASON_NONE: nothing */
	uint64_t since_s;
	uint32_t failures_n;
	bool is_out, is_part_out;
};
struct mail_state mail_state_of(const struct mirror_view *mirror);

/** The kinds of letters to the team alone that are about no single mirror. */
enum mail_digest { MAIL_STORM, MAIL_STORM_OVER, MAIL_STORM_LASTS, MAIL_SELF, MAIL_SELF_OVER };

/** Write a letter. Return 0 or -ENOMEM. */
int mail_write_step(const struct view *view, const struct mirror_view *mirror,
                    const struct incident *incident, enum mail_step step, const char *to,
                    struct history *history, struct letter *ret_letter);
/** at_once_n: of those that are not well, who began to fail at about the same time. */
int mail_write_digest(const struct view *view, enum mail_digest digest, uint64_t since_s, size_t at_once_n,
                      struct letter *ret_letter);

/** Is it an address as dot-atom@host (RFC 5322 section 3.4.1), and nothing else? */
bool mail_is_address(const char *text, size_t len);

/** A header field with a text of any bytes: RFC 2047 encoded words unless it is printable ASCII. */
void mail_put_header(FILE *out, const char *name, const char *text);
/** "Date: Sat, 21 Nov 2026 07:00:00 +0000" (RFC 5322 section 3.3). */
void mail_put_date(FILE *out, uint64_t at_s);
/** "<PARTS@domain of from>", of characters that need no quoting. */
void mail_put_id(FILE *out, const char *name, uint64_t since_s, const char *what, const char *host,
                 const char *from);
/** Text of any bytes for the body: UTF-8 stays, control characters and all else become a mark; cut
 * after 400 bytes. */
void mail_put_text(FILE *out, const char *text);

/**
 * A file for each letter that waits, so that a stop or a crash in between loses none. Not written through to
 * the disk: a power cut may take those of the last seconds.
 */
#define MAIL_SPOOL_NAME_MAX 40
struct mail_spooled {
	char name[MAIL_SPOOL_NAME_MAX];
	uint64_t at_s; /* since when it waits */
	uint32_t number;
	struct letter letter;
};
/** Makes the folder if need be. number tells those of one second apart. Returns 0 or negative errno. */
int mail_spool_add(const char *folder, uint64_t at_s, uint32_t number, const char *text,
                   char ret_name[MAIL_SPOOL_NAME_MAX]);
void mail_spool_remove(const char *folder, const char *name);
/** The oldest first; the caller frees items and letters. What is half or damaged is removed. Returns 0 or
 * negative errno; with -ENOMEM, some of them. -ENOENT: there is no folder. */
int mail_spool_load(const char *folder, struct mail_spooled **ret_items, size_t *ret_n);

/** All of a letter to a file. Returns 0 or negative errno. */
int mail_spool_write(int fd, const char *text);

/** For tests: waits before the second and third try, and before the next after sendmail was missing; how long
 * one may take, at a stop as well. */
void mailer_set_times(struct mailer *mailer, uint64_t wait_ms, uint64_t missing_ms, uint64_t limit_ms);
size_t mailer_waiting_n(const struct mailer *mailer);

#endif
