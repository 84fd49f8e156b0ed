/* mirrormon's letters on their way: a sendmail that fails, hangs, is not there; one at a time, none lost
 * silently. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/log.h"
#include "mirrormon/mail_int.h"
#include "tests/unit/support/folder.h"

static char log_text[8192];

static void note_log(void *context, enum log_level level, const char *text)
{
	(void)context;
	(void)level;
	if (strlen(log_text) + strlen(text) + 2 < sizeof(log_text))
		strcat(strcat(log_text, text), "\n");
}

static size_t logged_n(const char *what)
{
	size_t n = 0;
	for (const char *at = log_text; (at = strstr(at, what)); at++)
		n++;
	return n;
}

/* A sendmail that does this, with its letters in the folder. */
static void write_sendmail(const char *commands)
{
	char text[1024];
	int len = snprintf(text, sizeof(text), "#!/bin/sh\ncd %s\n%s\n", folder_name(), commands);
	/* By rename: one that runs can't be written to. */
	assert_int_equal(file_replace(folder_path("sendmail"), text, (size_t)len), 0);
	assert_int_equal(chmod(folder_path("sendmail"), 0700), 0);
}

static void expect_file(const char *name, const char *want)
{
	char *text = folder_get(name);
	assert_string_equal(text, want);
	free(text);
}

/* So many letters have come to it, in their order. */
static void expect_letters(unsigned n)
{
	char want[512] = "";
	for (unsigned i = 0; i < n; i++)
		snprintf(want + strlen(want), sizeof(want) - strlen(want), "Subject: %u\n\n.\nend\n", i);
	expect_file("letters", want);
}

struct sending {
	uv_loop_t loop;
	struct mailer *mailer;
	uv_timer_t deadline;
	bool is_late;
};

static void on_deadline(uv_timer_t *timer)
{
	((struct sending *)timer->data)->is_late = true;
}

static void start_sending(struct sending *sending, unsigned letters_n)
{
	memset(sending, 0, sizeof(*sending));
	*log_text = '\0';
	log_set_echo(note_log, NULL);
	assert_int_equal(uv_loop_init(&sending->loop), 0);
	assert_int_equal(mailer_create(&sending->loop, folder_path("sendmail"), &sending->mailer), 0);
	mailer_set_times(sending->mailer, 20, 50, 30000);
	uv_timer_init(&sending->loop, &sending->deadline);
	sending->deadline.data = sending;
	uv_timer_start(&sending->deadline, on_deadline, 60000, 0);
	struct letters many = { .items = calloc(letters_n, sizeof(struct letter)), .n = letters_n };
	assert_non_null(many.items);
	for (unsigned i = 0; i < letters_n; i++) {
		assert_true(asprintf(&many.items[i].to, "a%u@b.example", i) > 0);
		assert_true(asprintf(&many.items[i].text, "Subject: %u\n\n.\nend\n", i) > 0);
	}
	mailer_send(sending->mailer, &many);
	assert_int_equal(many.n, 0);
}

/* Until so few wait. */
static void run_until(struct sending *sending, size_t waiting_n)
{
	while (mailer_waiting_n(sending->mailer) > waiting_n && !sending->is_late)
		uv_run(&sending->loop, UV_RUN_ONCE);
	assert_false(sending->is_late);
}

static void end_sending(struct sending *sending)
{
	mailer_close(sending->mailer);
	uv_close((uv_handle_t *)&sending->deadline, NULL);
	uv_run(&sending->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&sending->loop), 0);
	log_set_echo(NULL, NULL);
}

static void test_sends(void **state)
{
	(void)state;
	struct sending sending;
	/* One at a time: a second would find the folder. */
	write_sendmail("mkdir lock || exit 1\necho \"$*\" >>args\ncat >>letters\nrmdir lock");
	start_sending(&sending, 10);
	run_until(&sending, 0);
	end_sending(&sending);
	assert_string_equal(log_text, "");
	expect_letters(10);
	char args[10 * 6 + 1] = "";
	for (unsigned i = 0; i < 10; i++)
		strcat(args, "-t -i\n");
	expect_file("args", args);
}

static void test_fails_then_sends(void **state)
{
	(void)state;
	struct sending sending;
	write_sendmail("echo x >>tries\n[ $(wc -l <tries) -ge 3 ] || exit 75\ncat >>letters");
	start_sending(&sending, 1);
	run_until(&sending, 0);
	end_sending(&sending);
	assert_int_equal(logged_n("ended with status 75; tried again"), 2);
	expect_letters(1);
}

static void test_fails(void **state)
{
	(void)state;
	struct sending sending;
	/* It does not even read the letter. */
	write_sendmail("echo x >>tries; kill -9 $$");
	start_sending(&sending, 2);
	run_until(&sending, 0);
	end_sending(&sending);
	assert_int_equal(logged_n("ended by signal 9; tried again"), 4);
	assert_int_equal(logged_n("is lost"), 2);
	expect_file("tries", "x\nx\nx\nx\nx\nx\n");
}

static void test_hangs(void **state)
{
	(void)state;
	struct sending sending;
	write_sendmail("exec sleep 600");
	start_sending(&sending, 1);
	mailer_set_times(sending.mailer, 20, 50, 50);
	run_until(&sending, 0);
	end_sending(&sending);
	assert_int_equal(logged_n("took longer"), 3);
}

static void on_mend(uv_timer_t *timer)
{
	write_sendmail("cat >>letters");
	uv_close((uv_handle_t *)timer, NULL);
}

static void test_missing(void **state)
{
	(void)state;
	struct sending sending;
	uv_timer_t mend;
	start_sending(&sending, 3);
	uv_timer_init(&sending.loop, &mend);
	uv_timer_start(&mend, on_mend, 300, 0);
	run_until(&sending, 0);
	end_sending(&sending);
	/* Told once, not for each of three letters and six times. */
	assert_int_equal(logged_n("can't be started: no such file"), 1);
	assert_int_equal(logged_n("can be started again"), 1);
	expect_letters(3);
}

/* Closed with one under way and others that wait; bounded before. */
static void test_closed(void **state)
{
	(void)state;
	struct sending sending;
	write_sendmail("exec sleep 1");
	start_sending(&sending, 1200);
	assert_int_equal(mailer_waiting_n(sending.mailer), 1000);
	assert_int_equal(logged_n("200 letters are lost"), 1);
	end_sending(&sending);
	assert_int_equal(logged_n("999 letters are not sent"), 1);
	mailer_close(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_sends, folder_setup, folder_teardown),
		cmocka_unit_test_setup_teardown(test_fails_then_sends, folder_setup, folder_teardown),
		cmocka_unit_test_setup_teardown(test_fails, folder_setup, folder_teardown),
		cmocka_unit_test_setup_teardown(test_hangs, folder_setup, folder_teardown),
		cmocka_unit_test_setup_teardown(test_missing, folder_setup, folder_teardown),
		cmocka_unit_test_setup_teardown(test_closed, folder_setup, folder_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
