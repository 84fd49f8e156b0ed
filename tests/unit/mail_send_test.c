/* Letters on their way: sendmail as it should be and as it should not, and what waits over a stop. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "mirrormon/mail_int.h"
#include "tests/unit/support/folder.h"
#include "tests/unit/support/log_notes.h"

/* A sendmail that does this, with its letters in the folder. */
static void write_sendmail(const char *commands)
{
	char text[1024];
	int len = snprintf(text, sizeof(text), "#!/bin/sh\ncd %s\n%s\n", folder_name(), commands);
	assert_int_equal(file_replace(folder_path("sendmail"), text, (size_t)len), 0);
	assert_int_equal(chmod(folder_path("sendmail"), 0700), 0);
}

static void read_file(const char *name, char *text, size_t cap)
{
	FILE *file = fopen(folder_path(name), "r");
	size_t len = file ? fread(text, 1, cap - 1, file) : 0;
	text[len] = '\0';
	if (file)
		fclose(file);
}

#define SENT_S 1795244400U

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

static void send_letters(struct sending *sending, unsigned letters_n)
{
	struct letters many = { .items = calloc(letters_n, sizeof(struct letter)), .n = letters_n };
	assert_non_null(many.items);
	for (unsigned i = 0; i < letters_n; i++) {
		assert_true(asprintf(&many.items[i].to, "a%u@b.example", i) > 0);
		assert_true(asprintf(&many.items[i].text, "Subject: %u\n\n.\nend\n", i) > 0);
	}
	mailer_send(sending->mailer, &many, SENT_S);
	assert_int_equal(many.n, 0);
}

/* folder NULL: letters that wait are in no file. */
static void start_sending_in(struct sending *sending, const char *folder, unsigned letters_n)
{
	memset(sending, 0, sizeof(*sending));
	log_notes_begin();
	assert_int_equal(uv_loop_init(&sending->loop), 0);
	assert_int_equal(mailer_create(&sending->loop, folder_path("sendmail"), folder, &sending->mailer), 0);
	mailer_set_times(sending->mailer, 20, 50, 30000);
	uv_timer_init(&sending->loop, &sending->deadline);
	sending->deadline.data = sending;
	uv_timer_start(&sending->deadline, on_deadline, 60000, 0);
	send_letters(sending, letters_n);
}

static void start_sending(struct sending *sending, unsigned letters_n)
{
	start_sending_in(sending, NULL, letters_n);
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
	log_notes_end();
}

static void send_all(unsigned letters_n)
{
	struct sending sending;
	start_sending(&sending, letters_n);
	run_until(&sending, 0);
	end_sending(&sending);
}

static void test_sends(void **state)
{
	(void)state;
	char text[8192];
	/* One at a time: a second would find the folder. */
	write_sendmail("mkdir lock || exit 1\necho \"$*\" >>args\ncat >>letters\nrmdir lock");
	send_all(10);
	assert_string_equal(log_notes(), "");
	read_file("letters", text, sizeof(text));
	char want[8192] = "";
	for (unsigned i = 0; i < 10; i++)
		snprintf(want + strlen(want), sizeof(want) - strlen(want), "Subject: %u\n\n.\nend\n", i);
	assert_string_equal(text, want);
	read_file("args", text, sizeof(text));
	assert_memory_equal(text, "-t -i\n", 6);
}

static void test_fails_then_sends(void **state)
{
	(void)state;
	char text[8192];
	write_sendmail("echo x >>tries\n[ $(wc -l <tries) -ge 3 ] || exit 75\ncat >>letters");
	send_all(1);
	assert_int_equal(log_notes_n("ended with status 75; tried again"), 2);
	read_file("letters", text, sizeof(text));
	assert_string_equal(text, "Subject: 0\n\n.\nend\n");
}

static void test_fails(void **state)
{
	(void)state;
	char text[64];
	/* It does not even read the letter. */
	write_sendmail("echo x >>tries; kill -9 $$");
	send_all(2);
	assert_int_equal(log_notes_n("ended by signal 9; tried again"), 4);
	assert_int_equal(log_notes_n("is lost"), 2);
	read_file("tries", text, sizeof(text));
	assert_string_equal(text, "x\nx\nx\nx\nx\nx\n");
}

static void test_hangs(void **state)
{
	(void)state;
	struct sending sending;
	write_sendmail("exec sleep 600");
	start_sending(&sending, 0);
	/* Before the first is begun: it has its limit from then on. */
	mailer_set_times(sending.mailer, 20, 50, 50);
	send_letters(&sending, 1);
	run_until(&sending, 0);
	end_sending(&sending);
	assert_int_equal(log_notes_n("took longer"), 3);
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
	char text[64];
	start_sending(&sending, 3);
	uv_timer_init(&sending.loop, &mend);
	uv_timer_start(&mend, on_mend, 300, 0);
	run_until(&sending, 0);
	end_sending(&sending);
	/* Told once, not for each of three letters and six times. */
	assert_int_equal(log_notes_n("can't be started: no such file"), 1);
	assert_int_equal(log_notes_n("can be started again"), 1);
	read_file("letters", text, sizeof(text));
	assert_memory_equal(text, "Subject: 0\n\n.\nend\nSubject: 1", 28);
}

static void on_next_letter(uv_timer_t *timer)
{
	struct sending *sending = timer->data;
	struct letters letters = { .items = calloc(1, sizeof(struct letter)), .n = 1 };
	assert_non_null(letters.items);
	letters.items[0] =
	        (struct letter){ .to = strdup("c@d.example"), .text = strdup("Subject: c\n\nend\n") };
	/* Till the time of the next try has come as well. */
	for (uint64_t end_ms = uv_now(&sending->loop) + 60; uv_now(&sending->loop) < end_ms;) {
		uv_sleep(5);
		uv_update_time(&sending->loop);
	}
	mailer_send(sending->mailer, &letters, SENT_S);
	uv_close((uv_handle_t *)timer, NULL);
}

/* A letter that can't be sent comes when the next try is due: nobody is ended for it, least of all we. */
static void test_missing_when_due(void **state)
{
	(void)state;
	struct sending sending;
	uv_timer_t next, mend;
	char text[64];
	/* Who is killed with the group takes nobody along. */
	setpgid(0, 0);
	start_sending(&sending, 1);
	uv_run(&sending.loop, UV_RUN_NOWAIT);
	uv_timer_init(&sending.loop, &next);
	next.data = &sending;
	uv_timer_start(&next, on_next_letter, 0, 0);
	uv_run(&sending.loop, UV_RUN_ONCE);
	assert_int_equal(mailer_waiting_n(sending.mailer), 2);
	uv_timer_init(&sending.loop, &mend);
	uv_timer_start(&mend, on_mend, 0, 0);
	run_until(&sending, 0);
	end_sending(&sending);
	read_file("letters", text, sizeof(text));
	assert_string_equal(text, "Subject: 0\n\n.\nend\nSubject: c\n\nend\n");
}

/* A configuration names another: what waits is tried at once, and what is wrong with that one is told. */
static void test_other_program(void **state)
{
	(void)state;
	struct sending sending;
	char text[64];
	start_sending(&sending, 2);
	mailer_set_times(sending.mailer, 20, 600000, 30000);
	assert_int_equal(mailer_set_sendmail(sending.mailer, folder_path("other")), 0);
	while (log_notes_n("other can't be started") == 0 && !sending.is_late)
		uv_run(&sending.loop, UV_RUN_ONCE);
	assert_int_equal(mailer_waiting_n(sending.mailer), 2);
	write_sendmail("cat >>letters");
	assert_int_equal(mailer_set_sendmail(sending.mailer, folder_path("sendmail")), 0);
	run_until(&sending, 0);
	end_sending(&sending);
	read_file("letters", text, sizeof(text));
	assert_string_equal(text, "Subject: 0\n\n.\nend\nSubject: 1\n\n.\nend\n");
}

/* Closed with one under way and others that wait; bounded before. */
static void test_closed(void **state)
{
	(void)state;
	struct sending sending;
	write_sendmail("exec sleep 1");
	start_sending(&sending, 1200);
	assert_int_equal(mailer_waiting_n(sending.mailer), 1000);
	assert_int_equal(log_notes_n("200 letters are lost"), 1);
	end_sending(&sending);
	assert_int_equal(log_notes_n("999 letters are not sent"), 1);
	mailer_close(NULL);
}

/* Letters in the spool; junk is counted as well. */
static size_t spooled_n(void)
{
	size_t n = 0;
	DIR *spool = opendir(folder_path("spool"));
	if (!spool)
		return 0;
	const struct dirent *entry;
	while ((entry = readdir(spool)))
		n += entry->d_name[0] != '.';
	closedir(spool);
	return n;
}

/* What another process finds, so much later. */
static void start_again(struct sending *sending, uint64_t after_s)
{
	start_sending_in(sending, folder_path("spool"), 0);
	mailer_load(sending->mailer, SENT_S + after_s);
}

static void test_kept_over_a_stop(void **state)
{
	(void)state;
	struct sending sending;
	char text[256];
	write_sendmail("echo x >>tries\nexit 75");
	start_sending_in(&sending, folder_path("spool"), 3);
	mailer_set_times(sending.mailer, 600000, 600000, 20000);
	for (*text = '\0'; strcmp(text, "x\nx\nx\n") != 0; read_file("tries", text, sizeof(text)))
		uv_run(&sending.loop, UV_RUN_ONCE);
	end_sending(&sending);
	assert_int_equal(log_notes_n("are not sent"), 0);
	assert_int_equal(spooled_n(), 3);

	write_sendmail("cat >>letters");
	start_again(&sending, 60);
	assert_int_equal(mailer_waiting_n(sending.mailer), 3);
	run_until(&sending, 0);
	end_sending(&sending);
	read_file("letters", text, sizeof(text));
	assert_string_equal(text, "Subject: 0\n\n.\nend\nSubject: 1\n\n.\nend\nSubject: 2\n\n.\nend\n");
	assert_int_equal(spooled_n(), 0);
}

/* One under way gets its time: it is not sent twice. One that hangs is kept. */
static void test_under_way_at_a_stop(void **state)
{
	(void)state;
	struct sending sending;
	char text[256];
	write_sendmail("while [ ! -e go ]; do sleep 0.02; done\ncat >>letters");
	start_sending_in(&sending, folder_path("spool"), 2);
	mailer_set_times(sending.mailer, 20, 50, 20000);
	assert_int_equal(spooled_n(), 2);
	folder_put("go", "");
	end_sending(&sending);
	assert_int_equal(log_notes_n("1 letters wait for the next start"), 1);
	read_file("letters", text, sizeof(text));
	assert_string_equal(text, "Subject: 0\n\n.\nend\n");
	assert_int_equal(spooled_n(), 1);

	write_sendmail("exec sleep 600");
	start_again(&sending, 60);
	mailer_set_times(sending.mailer, 20, 50, 50);
	end_sending(&sending);
	assert_int_equal(log_notes_n("it waits for the next start"), 1);
	assert_int_equal(spooled_n(), 1);

	/* After a day it is no news. */
	start_again(&sending, 86401);
	assert_int_equal(mailer_waiting_n(sending.mailer), 0);
	end_sending(&sending);
	assert_int_equal(log_notes_n("could not be sent for a day"), 1);
	assert_int_equal(spooled_n(), 0);
}

static void test_odd_spool(void **state)
{
	(void)state;
	struct sending sending;
	char text[256];
	assert_int_equal(mkdir(folder_path("spool"), 0700), 0);
	folder_put("spool/letter-abc", "not ours");
	folder_put("spool/half-letter-001795244400-000000", "From: a\nTo");
	folder_put("spool/letter-001795244400-000001", "");
	folder_put("spool/letter-001795244400-000007", "From: a@b.example\nTo: c@d.example\n\nx\n");
	write_sendmail("exit 1");
	start_again(&sending, 60);
	assert_int_equal(mailer_waiting_n(sending.mailer), 1);
	run_until(&sending, 0);
	assert_int_equal(log_notes_n("mail to c@d.example is lost"), 1);
	end_sending(&sending);
	assert_int_equal(spooled_n(), 1);

	/* A folder that can't be one: told once, and sent all the same. */
	write_sendmail("cat >>letters");
	start_sending_in(&sending, folder_path("sendmail/spool"), 2);
	run_until(&sending, 0);
	end_sending(&sending);
	assert_int_equal(log_notes_n("can't be kept"), 1);
	read_file("letters", text, sizeof(text));
	assert_string_equal(text, "Subject: 0\n\n.\nend\nSubject: 1\n\n.\nend\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_sends, folder_setup, folder_teardown),
		cmocka_unit_test_setup_teardown(test_fails_then_sends, folder_setup, folder_teardown),
		cmocka_unit_test_setup_teardown(test_fails, folder_setup, folder_teardown),
		cmocka_unit_test_setup_teardown(test_hangs, folder_setup, folder_teardown),
		cmocka_unit_test_setup_teardown(test_missing, folder_setup, folder_teardown),
		cmocka_unit_test_setup_teardown(test_missing_when_due, folder_setup, folder_teardown),
		cmocka_unit_test_setup_teardown(test_other_program, folder_setup, folder_teardown),
		cmocka_unit_test_setup_teardown(test_closed, folder_setup, folder_teardown),
		cmocka_unit_test_setup_teardown(test_kept_over_a_stop, folder_setup, folder_teardown),
		cmocka_unit_test_setup_teardown(test_under_way_at_a_stop, folder_setup, folder_teardown),
		cmocka_unit_test_setup_teardown(test_odd_spool, folder_setup, folder_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
