#include "mirrormon/checker_get.h"

#include <errno.h>
#include <stdio.h>

#include "mirrormon/checker_int.h"

static int perform(struct transfer *transfer, const struct conf_checks *conf, const struct ask *ask,
                   struct checker_page *ret_page)
{
	struct checker_page page = { 0 };
	if (transfer_prepare(transfer, conf, ask, NULL, NULL) < 0)
		return -ENOMEM;
	transfer_finish(transfer, curl_easy_perform(transfer->easy));
	if (transfer_is_our_fault(transfer))
		return transfer->reply.os_error ? -transfer->reply.os_error : -EIO;
	const struct reply *reply = &transfer->reply;
	/* Here it is asked for a mirror that is not in yet: of a network that is gone nobody would say so. */
	if (reply->code == CURLE_COULDNT_CONNECT && reply->os_error == ENETUNREACH)
		return -ENETUNREACH;
	page.status = reply->status;
	page.reason = transfer_judge(transfer, conf, page.detail, sizeof(page.detail));
	if (page.reason == REASON_NONE)
		snprintf(page.detail, sizeof(page.detail), "%u %s", reply->status, reply->phrase);
	*ret_page = page;
	return 0;
}

int checker_get(const struct conf_checks *conf, const struct addr *addr, const char *host, const char *path,
                struct checker_page *ret_page)
{
	char text[ADDR_TEXT_MAX], connect_to[ADDR_TEXT_MAX + 16], url[CHECKER_URL_MAX];
	addr_format(addr, text, sizeof(text));
	snprintf(connect_to, sizeof(connect_to), addr->family == 6 ? "::[%s]:%u" : "::%s:%u", text,
	         (unsigned)conf->port);
	if (snprintf(url, sizeof(url), "http://check.invalid%s", path) >= (int)sizeof(url))
		return -EIO;
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return -ENOMEM;
	struct transfer *transfer = transfer_create(CHECKER_TIMESTAMP_MAX);
	int rc = -ENOMEM;
	if (transfer)
		rc = perform(transfer, conf,
		             &(struct ask){ .url = url,
		                            .connect_to = connect_to,
		                            .host = host,
		                            .body_max = CHECKER_TIMESTAMP_MAX },
		             ret_page);
	transfer_destroy(transfer);
	curl_global_cleanup();
	return rc;
}
