/*
 * Fields of a mirrors file and details of a check, of any bytes, parted by NUL: whatever they hold, a letter
 * has the headers it should have and no other, goes to addresses only, and its body has no control
 * characters.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "mirrormon/mail_int.h"
#include "tests/fuzz/fuzz.h"

#define FIELDS_N 8
#define NOW_S    1795244400U

static void require(bool holds)
{
	if (!holds)
		abort();
}

static void check_line(const char *line, const char *end)
{
	require(end - line <= 998); /* RFC 5322 section 2.1.1 */
	for (; line < end; line++)
		require((unsigned char)*line >= ' ' && *line != 0x7f);
}

static void check_header(const char *line, const char *end, unsigned *seen)
{
	static const char *const known[] = { "From:",         "To:",           "Reply-To:",
		                             "Subject:",      "Date:",         "Message-ID:",
		                             "In-Reply-To:",  "References:",   "Auto-Submitted:",
		                             "MIME-Version:", "Content-Type:", "Content-Transfer-Encoding:" };
	size_t i = 0;
	for (const char *c = line; c < end; c++)
		require(*c >= ' ' && *c <= '~');
	if (*line == ' ')
		return;
	while (i < 12 && strncmp(line, known[i], strlen(known[i])) != 0)
		i++;
	require(i < 12 && !(*seen & 1U << i));
	*seen |= 1U << i;
}

static void check_letter(const struct letter *letter)
{
	unsigned seen = 0;
	bool in_body = false;
	for (const char *line = letter->text; *line;) {
		const char *end = strchr(line, '\n');
		require(end);
		check_line(line, end);
		if (!in_body && line == end)
			in_body = true;
		else if (!in_body)
			check_header(line, end, &seen);
		line = end + 1;
	}
	/* All but In-Reply-To and References are always there. */
	require(in_body && (seen | 0xc0) == 0xfff);
	for (const char *to = letter->to; *to;) {
		size_t len = strcspn(to, ",");
		require(mail_is_address(to, len));
		to += len;
		if (*to)
			to += strspn(to, ", ");
	}
}

static void plan(struct incidents *incidents, const struct view *view)
{
	struct letters letters = { 0 };
	require(mail_plan(incidents, view, NULL, &letters) == 0);
	for (size_t i = 0; i < letters.n; i++)
		check_letter(&letters.items[i]);
	letters_fini(&letters);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = calloc(1, size + FIELDS_N);
	require(text);
	if (size)
		memcpy(text, data, size);
	/* admin, host, detail, pool, team, from, page, host to ask for */
	const char *fields[FIELDS_N];
	const char *end = text + size;
	for (size_t i = 0; i < FIELDS_N; i++) {
		fields[i] = text;
		text += text < end ? strlen(text) + 1 : 0;
	}
	char address[MAIL_ADDRESS_MAX];
	if (mail_admin_address(fields[0], address, sizeof(address)) == 0)
		require(mail_is_address(address, strlen(address)) && !strpbrk(address, " <>,\r\n\";:\\"));

	struct conf_pool pool = { .name = fields[3] };
	struct conf_monitor conf = {
		.pool = &pool,
		.checks = { .interval_ms = 3600000, .hosts = &fields[7], .hosts_n = 1 },
		.mail = { .team = *fields[4] ? fields[4] : "team@example.org",
		          .from = *fields[5] ? fields[5] : NULL,
		          .admin_after = 2,
		          .digest_over_percent = 50 },
		.site = { .url = *fields[6] && strlen(fields[6]) < 300 ? fields[6] : NULL },
	};
	struct address_view addrs[3] = { 0 };
	struct mirror_view mirrors[7] = { 0 };
	for (size_t i = 0; i < 7; i++)
		mirrors[i] =
		        (struct mirror_view){ .host = fields[1], .admin = fields[0], .addrs = &addrs[i % 3] };
	struct view view = {
		.conf = &conf, .now_s = NOW_S, .self_ok = true, .mirrors = mirrors, .mirrors_n = 1
	};
	addrs[0].addr = (struct addr){ .family = 4, .bytes = { 192, 0, 2, 1 } };
	addrs[0].standing.warning = (enum reason)(1 + size % (REASON_N - 1));
	snprintf(addrs[0].standing.detail, MODEL_DETAIL_MAX, "%s", fields[2]);
	snprintf(view.self_detail, MODEL_DETAIL_MAX, "%s", fields[2]);
	mirrors[0].addrs_n = 1;
	struct incidents *incidents = incidents_create();
	require(incidents);
	plan(incidents, &view);
	addrs[0].standing.failures_n = 2;
	plan(incidents, &view);
	mirrors[0].verdict.reason = addrs[0].verdict.reason = addrs[0].standing.warning;
	plan(incidents, &view);
	mirrors[0].verdict.reason = addrs[0].verdict.reason = addrs[0].standing.warning = REASON_NONE;
	plan(incidents, &view);
	for (size_t i = 0; i < 7; i++)
		mirrors[i].warning = REASON_LATE;
	view.mirrors_n = 7;
	view.self_since_s = 1;
	for (int i = 0; i < 4; i++) {
		view.self_ok = i != 1;
		view.now_s += 600;
		plan(incidents, &view);
	}
	incidents_destroy(incidents);
	free((void *)(end - size));
	return 0;
}
