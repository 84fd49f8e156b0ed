/*
 * mail: who is told what, once.
 *
 *     view ──mail_plan()──> letters ──mail_send()──> sendmail -t
 *        incidents: one for each mirror that is not well, from its first failed check to its recovery
 *
 * Steps of an incident: the team at once; the mirror's admin after admin_after failed checks; both when it is
 * taken out; both when it is well again, if they had heard of it. When more than digest_over_percent of the
 * pool, and three at least, begin to fail at once, that is within two check intervals, admins hear nothing
 * and the team gets one letter: then it is us. That lasts until few enough of them fail, or a day. Nothing
 * during announced maintenance; that it is well again is told after it. A mirror that only waits for a new
 * version (out-of-sync) is well: each version makes some wait, and one that stays behind gets late. While the
 * monitor itself is not well, nothing is said of mirrors, and after ten minutes the team hears of that.
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
/** Returns 0, also when there is none, or negative errno with diag: it is then begun anew. */
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

/** "Name <a> || <alerts>": alerts if that is an address, else a; only what is an address gets out. Returns 0,
 * -EINVAL. */
int mail_admin_address(const char *admin, char *ret_address, size_t cap);

/** Sends by sendmail -t -i, one letter after the other, on the loop; no shell. A letter that can't be sent is
 * told in the log and tried again, three times in all, after one and ten minutes. Without a sendmail that can
 * be started letters wait for a day. At most 1,000 wait. */
struct mailer;
/** folder: what waits is kept there as well, for the next start; NULL = a stop loses it. Returns 0 or
 * -ENOMEM. */
int mailer_create(uv_loop_t *loop, const char *sendmail, const char *folder, struct mailer **ret_mailer);
/** Letters that waited when the process before ended: they are sent now, those that are a day old are not. */
void mailer_load(struct mailer *mailer, uint64_t now_s);
/** Another program from the next letter on; what waits because there was none is tried at once. Returns 0 or
 * -ENOMEM. */
int mailer_set_sendmail(struct mailer *mailer, const char *sendmail);
/** Takes the letters over. */
void mailer_send(struct mailer *mailer, struct letters *letters, uint64_t now_s);
/** Letters that have not been tried once; none while there is no sendmail. */
size_t mailer_untried_n(const struct mailer *mailer);
/** What waits is not sent, but kept in the folder; the one under way gets some seconds to end. The loop has
 * to run on for it to be freed. NULL is fine. */
void mailer_close(struct mailer *mailer);

#endif
