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
#include "base/log.h"
#include "mirrormon/mail_int.h"

static char dir[64];

static int setup(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/mirrormon-mail-XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	char command[128];
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

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
	char at[128];
	char text[1024];
	snprintf(at, sizeof(at), "%s/sendmail", dir);
	int len = snprintf(text, sizeof(text), "#!/bin/sh\ncd %s\n%s\n", dir, commands);
	assert_int_equal(file_replace(at, text, (size_t)len), 0);
	assert_int_equal(chmod(at, 0700), 0);
}

static void read_file(const char *name, char *text, size_t cap)
{
	char at[256];
	snprintf(at, sizeof(at), "%s/%s", dir, name);
	FILE *file = fopen(at, "r");
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

/* folder NULL: letters that wait are in no file. */
static void start_sending_in(struct sending *sending, const char *folder, unsigned letters_n)
{
	char at[128];
	snprintf(at, sizeof(at), "%s/sendmail", dir);
	memset(sending, 0, sizeof(*sending));
	*log_text = '\0';
	log_set_echo(note_log, NULL);
	assert_int_equal(uv_loop_init(&sending->loop), 0);
	assert_int_equal(mailer_create(&sending->loop, at, folder, &sending->mailer), 0);
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
	mailer_send(sending->mailer, &many, SENT_S);
	assert_int_equal(many.n, 0);
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
	log_set_echo(NULL, NULL);
}

static void test_sends(void **state)
{
	(void)state;
	struct sending sending;
	char text[8192];
	/* One at a time: a second would find the folder. */
	write_sendmail("mkdir lock || exit 1\necho \"$*\" >>args\ncat >>letters\nrmdir lock");
	start_sending(&sending, 10);
	run_until(&sending, 0);
	end_sending(&sending);
	assert_string_equal(log_text, "");
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
	struct sending sending;
	char text[8192];
	write_sendmail("echo x >>tries\n[ $(wc -l <tries) -ge 3 ] || exit 75\ncat >>letters");
	start_sending(&sending, 1);
	run_until(&sending, 0);
	end_sending(&sending);
	assert_int_equal(logged_n("ended with status 75; tried again"), 2);
	read_file("letters", text, sizeof(text));
	assert_string_equal(text, "Subject: 0\n\n.\nend\n");
}

static void test_fails(void **state)
{
	(void)state;
	struct sending sending;
	char text[64];
	/* It does not even read the letter. */
	write_sendmail("echo x >>tries; kill -9 $$");
	start_sending(&sending, 2);
	run_until(&sending, 0);
	end_sending(&sending);
	assert_int_equal(logged_n("ended by signal 9; tried again"), 4);
	assert_int_equal(logged_n("is lost"), 2);
	read_file("tries", text, sizeof(text));
	assert_string_equal(text, "x\nx\nx\nx\nx\nx\n");
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
	char text[64];
	start_sending(&sending, 3);
	uv_timer_init(&sending.loop, &mend);
	uv_timer_start(&mend, on_mend, 300, 0);
	run_until(&sending, 0);
	end_sending(&sending);
	/* Told once, not for each of three letters and six times. */
	assert_int_equal(logged_n("can't be started: no such file"), 1);
	assert_int_equal(logged_n("can be started again"), 1);
	read_file("letters", text, sizeof(text));
	assert_memory_equal(text, "Subject: 0\n\n.\nend\nSubject: 1", 28);
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

static const char *spool_path(void)
{
	static char path[128];
	snprintf(path, sizeof(path), "%s/spool", dir);
	return path;
}

/* Letters in the spool; junk is counted as well. */
static size_t spooled_n(void)
{
	size_t n = 0;
	DIR *spool = opendir(spool_path());
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
	start_sending_in(sending, spool_path(), 0);
	mailer_load(sending->mailer, SENT_S + after_s);
}

static void test_kept_over_a_stop(void **state)
{
	(void)state;
	struct sending sending;
	char text[256];
	write_sendmail("echo x >>tries\nexit 75");
	start_sending_in(&sending, spool_path(), 3);
	mailer_set_times(sending.mailer, 600000, 600000, 20000);
	for (*text = '\0'; strcmp(text, "x\nx\nx\n") != 0; read_file("tries", text, sizeof(text)))
		uv_run(&sending.loop, UV_RUN_ONCE);
	end_sending(&sending);
	assert_int_equal(logged_n("are not sent"), 0);
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
	char text[256], go[128];
	write_sendmail("while [ ! -e go ]; do sleep 0.02; done\ncat >>letters");
	start_sending_in(&sending, spool_path(), 2);
	mailer_set_times(sending.mailer, 20, 50, 20000);
	assert_int_equal(spooled_n(), 2);
	snprintf(go, sizeof(go), "%s/go", dir);
	assert_int_equal(file_replace(go, "", 0), 0);
	end_sending(&sending);
	assert_int_equal(logged_n("1 letters wait for the next start"), 1);
	read_file("letters", text, sizeof(text));
	assert_string_equal(text, "Subject: 0\n\n.\nend\n");
	assert_int_equal(spooled_n(), 1);

	write_sendmail("exec sleep 600");
	start_again(&sending, 60);
	mailer_set_times(sending.mailer, 20, 50, 50);
	end_sending(&sending);
	assert_int_equal(logged_n("it waits for the next start"), 1);
	assert_int_equal(spooled_n(), 1);

	/* After a day it is no news. */
	start_again(&sending, 86401);
	assert_int_equal(mailer_waiting_n(sending.mailer), 0);
	end_sending(&sending);
	assert_int_equal(logged_n("could not be sent for a day"), 1);
	assert_int_equal(spooled_n(), 0);
}

static void put_spool(const char *name, const char *text)
{
	char at[256];
	snprintf(at, sizeof(at), "%s/%s", spool_path(), name);
	assert_int_equal(file_replace(at, text, strlen(text)), 0);
}

static void test_odd_spool(void **state)
{
	(void)state;
	struct sending sending;
	char text[256];
	assert_int_equal(mkdir(spool_path(), 0700), 0);
	put_spool("letter-abc", "not ours");
	put_spool("half-letter-001795244400-000000", "From: a\nTo");
	put_spool("letter-001795244400-000001", "");
	put_spool("letter-001795244400-000007", "From: a@b.example\nTo: c@d.example\n\nx\n");
	write_sendmail("exit 1");
	start_again(&sending, 60);
	assert_int_equal(mailer_waiting_n(sending.mailer), 1);
	run_until(&sending, 0);
	assert_int_equal(logged_n("mail to c@d.example is lost"), 1);
	end_sending(&sending);
	assert_int_equal(spooled_n(), 1);

	/* A folder that can't be one: told once, and sent all the same. */
	write_sendmail("cat >>letters");
	snprintf(text, sizeof(text), "%s/sendmail/spool", dir);
	start_sending_in(&sending, text, 2);
	run_until(&sending, 0);
	end_sending(&sending);
	assert_int_equal(logged_n("can't be kept"), 1);
	read_file("letters", text, sizeof(text));
	assert_string_equal(text, "Subject: 0\n\n.\nend\nSubject: 1\n\n.\nend\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_sends, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fails_then_sends, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fails, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hangs, setup, teardown),
		cmocka_unit_test_setup_teardown(test_missing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_closed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_kept_over_a_stop, setup, teardown),
		cmocka_unit_test_setup_teardown(test_under_way_at_a_stop, setup, teardown),
		cmocka_unit_test_setup_teardown(test_odd_spool, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
