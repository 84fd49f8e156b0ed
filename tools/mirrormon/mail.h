/*
 * mail: who is told what, once.
 *
 *     view ──mail_plan()──> letters ──mail_send()──> sendmail -t
 *        incidents: one for each mirror that is not well, from its first failed check to its recovery
 *
 * Steps of an incident: the team at once; the mirror's admin after admin_after failed checks; both when it is
 * taken out; both when it is well again, if they had heard of it. While more than digest_over_percent of the
 * pool are not well, admins hear nothing and the team gets one letter: then it is us. Nothing during
 * announced maintenance.
 */
#ifndef TOOLS_MIRRORMON_MAIL_H
#define TOOLS_MIRRORMON_MAIL_H

#include <uv.h>

#include "mirrormon/history.h"
#include "mirrormon/model.h"

struct letter {
	char *to;   /* addresses, parted by ", " */
	char *text; /* headers and body, as sendmail -t wants it */
};
struct letters {
	struct letter *items;
	size_t n;
};
void letters_fini(struct letters *letters);

/** What has been told so far. Starts empty; kept over restarts as JSON. */
struct incidents;
struct incidents *incidents_create(void);
void incidents_destroy(struct incidents *incidents);
/** Returns 0 or negative errno with diag; unreadable: begun anew, told. */
int incidents_load(struct incidents *incidents, const char *path, struct diag *diag);
int incidents_save(const struct incidents *incidents, const char *path, struct diag *diag);

/**
 * What has to be said now, and note it as said. Pure but for incidents, and history, of which it quotes.
 *
 * history  for the last checks; may be NULL
 * Returns  0 or -ENOMEM, incidents then being as they were
 */
int mail_plan(struct incidents *incidents, const struct view *view, struct history *history,
              struct letters *ret_letters);

/** "Name <a> || <alerts>": alerts if there are, else a; only what is an address gets out. Returns 0, -EINVAL.
 */
int mail_admin_address(const char *admin, char *ret_address, size_t cap);

/** Send by sendmail -t, one after the other, on the loop. A letter that can't be sent is told in the log and
 * tried again, three times in all. Takes the letters over. */
struct mailer;
int mailer_create(uv_loop_t *loop, const char *sendmail, struct mailer **ret_mailer);
void mailer_send(struct mailer *mailer, struct letters *letters);
/** Letters that are being sent or wait for it. */
size_t mailer_waiting_n(const struct mailer *mailer);
void mailer_close(struct mailer *mailer);

#endif
