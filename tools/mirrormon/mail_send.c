#include "mirrormon/mail_int.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"

#define WAITING_MAX 1000
#define TRIES_MAX   3
#define WAIT_MS     60000U    /* before the second try; ten times that before the third */
#define MISSING_MS  600000U   /* sendmail can't be started: all wait */
#define LIMIT_MS    60000U    /* then it is ended */
#define AGE_MAX_MS  86400000U /* a letter that waited a day is no news */
#define CLOSE_MS    5000U     /* at a stop, for the one under way */

struct waiting {
	struct letter letter;
	char name[MAIL_SPOOL_NAME_MAX]; /* of its file; "" = it has none */
	unsigned tries_n;
	uint64_t added_ms, due_ms; /* of the loop's clock */
};

struct mailer {
	uv_loop_t *loop;
	char *sendmail;
	char *folder; /* NULL: none */
	uint32_t numbers;
	bool folder_failed; /* as told */
	uv_timer_t timer;   /* the next try, or the end of one that takes too long */
	uv_process_t process;
	bool is_busy, is_closing, was_ended;
	bool is_missing; /* as told */
	unsigned handles_n;
	uint64_t wait_ms, missing_ms, limit_ms, close_ms;
	struct waiting *waiting; /* the first is under way while is_busy */
	size_t waiting_n, waiting_cap;
};

static void send_next(struct mailer *mailer);

int mailer_create(uv_loop_t *loop, const char *sendmail, const char *folder, struct mailer **ret_mailer)
{
	struct mailer *mailer = calloc(1, sizeof(*mailer));
	if (!mailer)
		return -ENOMEM;
	mailer->sendmail = strdup(sendmail);
	mailer->folder = folder ? strdup(folder) : NULL;
	if (!mailer->sendmail || (folder && !mailer->folder)) {
		free(mailer->sendmail);
		free(mailer->folder);
		free(mailer);
		return -ENOMEM;
	}
	mailer->loop = loop;
	uv_timer_init(loop, &mailer->timer);
	mailer->timer.data = mailer;
	mailer->handles_n = 1;
	mailer_set_times(mailer, WAIT_MS, MISSING_MS, LIMIT_MS);
	mailer->close_ms = CLOSE_MS;
	*ret_mailer = mailer;
	return 0;
}

int mailer_set_sendmail(struct mailer *mailer, const char *sendmail)
{
	bool is_other = strcmp(mailer->sendmail, sendmail) != 0;
	char *copy = strdup(sendmail);
	if (!copy)
		return -ENOMEM;
	free(mailer->sendmail);
	mailer->sendmail = copy;
	if (!is_other || !mailer->is_missing)
		return 0;
	/* Of this one nothing has been told yet. */
	mailer->is_missing = false;
	for (size_t i = 0; i < mailer->waiting_n; i++)
		mailer->waiting[i].due_ms = uv_now(mailer->loop);
	send_next(mailer);
	return 0;
}

void mailer_set_times(struct mailer *mailer, uint64_t wait_ms, uint64_t missing_ms, uint64_t limit_ms)
{
	mailer->wait_ms = wait_ms;
	mailer->missing_ms = missing_ms;
	mailer->limit_ms = mailer->close_ms = limit_ms;
}

size_t mailer_waiting_n(const struct mailer *mailer)
{
	return mailer->waiting_n;
}

size_t mailer_untried_n(const struct mailer *mailer)
{
	size_t n = 0;
	for (size_t i = 0; i < mailer->waiting_n && !mailer->is_missing; i++)
		n += mailer->waiting[i].tries_n == 0;
	return n;
}

static void free_letter(struct letter *letter)
{
	free(letter->to);
	free(letter->text);
}

/** From memory only. */
static void forget_waiting(struct mailer *mailer, size_t i)
{
	free_letter(&mailer->waiting[i].letter);
	mailer->waiting_n--;
	memmove(&mailer->waiting[i], &mailer->waiting[i + 1],
	        (mailer->waiting_n - i) * sizeof(*mailer->waiting));
}

static void remove_waiting(struct mailer *mailer, size_t i)
{
	if (mailer->waiting[i].name[0])
		mail_spool_remove(mailer->folder, mailer->waiting[i].name);
	forget_waiting(mailer, i);
}

static void on_closed(uv_handle_t *handle)
{
	struct mailer *mailer = handle->data;
	if (--mailer->handles_n == 0) {
		while (mailer->waiting_n)
			forget_waiting(mailer, mailer->waiting_n - 1);
		free(mailer->waiting);
		free(mailer->sendmail);
		free(mailer->folder);
		free(mailer);
	}
}

static void on_process_closed(uv_handle_t *handle)
{
	struct mailer *mailer = handle->data;
	mailer->is_busy = false;
	if (mailer->is_closing)
		uv_close((uv_handle_t *)&mailer->timer, on_closed);
	else
		send_next(mailer);
	on_closed(handle);
}

static void on_timer(uv_timer_t *timer)
{
	struct mailer *mailer = timer->data;
	if (mailer->is_busy && mailer->is_closing && !mailer->waiting[0].name[0]) {
		/* It has the letter, which nobody else has, and ends by itself. */
		uv_close((uv_handle_t *)&mailer->process, on_process_closed);
	} else if (mailer->is_busy) {
		mailer->was_ended = true;
		uv_process_kill(&mailer->process, SIGKILL);
	} else {
		send_next(mailer);
	}
}

/* The first letter was not sent: it goes to the end of the line. */
static void put_off(struct mailer *mailer, const char *why, int number)
{
	struct waiting *first = &mailer->waiting[0];
	if (++first->tries_n == TRIES_MAX) {
		log_error("mail to %s is lost: %s %s %d, three times", first->letter.to, mailer->sendmail,
		          why, number);
		remove_waiting(mailer, 0);
		return;
	}
	uint64_t wait_ms = first->tries_n == 1 ? mailer->wait_ms : mailer->wait_ms * 10;
	log_warning("mail to %s is not sent: %s %s %d; tried again in %u s", first->letter.to,
	            mailer->sendmail, why, number, (unsigned)(wait_ms / 1000));
	struct waiting again = *first;
	again.due_ms = uv_now(mailer->loop) + wait_ms;
	memmove(first, first + 1, (mailer->waiting_n - 1) * sizeof(*first));
	mailer->waiting[mailer->waiting_n - 1] = again;
}

static void on_ended(uv_process_t *process, int64_t status, int term_signal)
{
	struct mailer *mailer = process->data;
	uv_timer_stop(&mailer->timer);
	if (mailer->is_closing && (mailer->was_ended || term_signal || status))
		log_warning("mail to %s is not sent%s", mailer->waiting[0].letter.to,
		            mailer->waiting[0].name[0] ? ": it waits for the next start" : "");
	else if (mailer->was_ended)
		put_off(mailer, "took longer than so many seconds:", (int)(mailer->limit_ms / 1000));
	else if (term_signal)
		put_off(mailer, "ended by signal", term_signal);
	else if (status)
		put_off(mailer, "ended with status", (int)status);
	else
		remove_waiting(mailer, 0);
	uv_close((uv_handle_t *)process, on_process_closed);
}

/* A file without a name that holds the letter: unlike a pipe it needs nobody to write on. */
static int make_stdin(const char *text)
{
	int fd = memfd_create("letter", MFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	int rc = mail_spool_write(fd, text);
	if (rc == 0 && lseek(fd, 0, SEEK_SET) < 0)
		rc = -errno;
	if (rc < 0)
		close(fd);
	return rc < 0 ? rc : fd;
}

static int start(struct mailer *mailer, const char *text)
{
	/* -i: a line with nothing but a dot does not end the letter. */
	char *args[] = { mailer->sendmail, (char[]){ "-t" }, (char[]){ "-i" }, NULL };
	int fd = make_stdin(text);
	if (fd < 0)
		return fd;
	uv_stdio_container_t stdio[3] = {
		{ .flags = UV_INHERIT_FD, .data.fd = fd },
		{ .flags = UV_IGNORE },
		{ .flags = UV_INHERIT_FD, .data.fd = STDERR_FILENO },
	};
	uv_process_options_t options = {
		.file = mailer->sendmail,
		.args = args,
		.exit_cb = on_ended,
		.stdio = stdio,
		.stdio_count = 3,
	};
	mailer->process.data = mailer;
	mailer->handles_n++;
	mailer->is_busy = true;
	mailer->was_ended = false;
	int rc = uv_spawn(mailer->loop, &mailer->process, &options);
	close(fd);
	return rc;
}

/* The letter that is due next, put first; -1 = none is. */
static int take_due(struct mailer *mailer, uint64_t now_ms, uint64_t *ret_next_ms)
{
	uint64_t next_ms = UINT64_MAX;
	size_t i = 0;
	while (i < mailer->waiting_n) {
		struct waiting *waiting = &mailer->waiting[i];
		if (now_ms - waiting->added_ms > AGE_MAX_MS) {
			log_error("mail to %s is lost: it could not be sent for a day", waiting->letter.to);
			remove_waiting(mailer, i);
			continue;
		}
		if (waiting->due_ms <= now_ms) {
			struct waiting due = *waiting;
			memmove(&mailer->waiting[1], &mailer->waiting[0], i * sizeof(due));
			mailer->waiting[0] = due;
			return 0;
		}
		if (waiting->due_ms < next_ms)
			next_ms = waiting->due_ms;
		i++;
	}
	*ret_next_ms = next_ms;
	return -1;
}

static void send_next(struct mailer *mailer)
{
	uint64_t next_ms;
	uint64_t now_ms = uv_now(mailer->loop);
	if (mailer->is_busy || mailer->is_closing)
		return;
	/* Due in this same moment, it would end a sendmail that can't be started: what has no pid is kill(0).
	 */
	uv_timer_stop(&mailer->timer);
	if (take_due(mailer, now_ms, &next_ms) < 0) {
		if (next_ms != UINT64_MAX)
			uv_timer_start(&mailer->timer, on_timer, next_ms - now_ms, 0);
		return;
	}
	int rc = start(mailer, mailer->waiting[0].letter.text);
	if (rc == 0) {
		if (mailer->is_missing)
			log_info("%s can be started again", mailer->sendmail);
		mailer->is_missing = false;
		uv_timer_start(&mailer->timer, on_timer, mailer->limit_ms, 0);
		return;
	}
	/* Not the letter's fault: it is no try. */
	if (!mailer->is_missing)
		log_error("mail can't be sent, %s can't be started: %s; tried again every %u s",
		          mailer->sendmail, uv_strerror(rc), (unsigned)(mailer->missing_ms / 1000));
	mailer->is_missing = true;
	for (size_t i = 0; i < mailer->waiting_n; i++) {
		if (mailer->waiting[i].due_ms < now_ms + mailer->missing_ms)
			mailer->waiting[i].due_ms = now_ms + mailer->missing_ms;
	}
	if (mailer->is_busy)
		uv_close((uv_handle_t *)&mailer->process, on_process_closed);
	else
		uv_timer_start(&mailer->timer, on_timer, mailer->missing_ms, 0);
}

static int add_waiting(struct mailer *mailer, const struct letter *letter)
{
	if (mailer->waiting_n == WAITING_MAX)
		return -ENOBUFS;
	if (mailer->waiting_n == mailer->waiting_cap) {
		size_t cap = mailer->waiting_cap ? mailer->waiting_cap * 2 : 16;
		struct waiting *waiting = realloc(mailer->waiting, cap * sizeof(*waiting));
		if (!waiting)
			return -ENOMEM;
		mailer->waiting = waiting;
		mailer->waiting_cap = cap;
	}
	uint64_t now_ms = uv_now(mailer->loop);
	mailer->waiting[mailer->waiting_n++] =
	        (struct waiting){ .letter = *letter, .added_ms = now_ms, .due_ms = now_ms };
	return 0;
}

/** On disk as well. Where that fails, it is sent all the same. */
static void keep(struct mailer *mailer, struct waiting *waiting, uint64_t now_s)
{
	if (!mailer->folder)
		return;
	int rc =
	        mail_spool_add(mailer->folder, now_s, mailer->numbers++, waiting->letter.text, waiting->name);
	if (rc < 0 && !mailer->folder_failed)
		log_error("%s: letters that wait can't be kept: %s; a stop loses them", mailer->folder,
		          strerror(-rc));
	mailer->folder_failed = rc < 0;
}

void mailer_load(struct mailer *mailer, uint64_t now_s)
{
	struct mail_spooled *items = NULL;
	size_t n = 0, loaded_n = 0;
	int rc = mailer->folder ? mail_spool_load(mailer->folder, &items, &n) : 0;
	if (rc < 0 && rc != -ENOENT)
		log_error("%s: letters that wait can't be read: %s", mailer->folder, strerror(-rc));
	for (size_t i = 0; i < n; i++) {
		uint64_t age_ms = now_s > items[i].at_s ? (now_s - items[i].at_s) * 1000 : 0;
		if (add_waiting(mailer, &items[i].letter) < 0) {
			free_letter(&items[i].letter);
			continue;
		}
		struct waiting *waiting = &mailer->waiting[mailer->waiting_n - 1];
		memcpy(waiting->name, items[i].name, sizeof(waiting->name));
		waiting->added_ms -= age_ms; /* only the difference is looked at */
		loaded_n++;
		if (items[i].number >= mailer->numbers)
			mailer->numbers = items[i].number + 1;
	}
	free(items);
	if (loaded_n)
		log_info("%zu letters waited for this start", loaded_n);
	send_next(mailer);
}

void mailer_send(struct mailer *mailer, struct letters *letters, uint64_t now_s)
{
	size_t lost_n = 0;
	uv_update_time(mailer->loop);
	for (size_t i = 0; i < letters->n; i++) {
		if (add_waiting(mailer, &letters->items[i]) == 0) {
			keep(mailer, &mailer->waiting[mailer->waiting_n - 1], now_s);
			continue;
		}
		free_letter(&letters->items[i]);
		lost_n++;
	}
	if (lost_n)
		log_error("%zu letters are lost: %zu wait for %s already", lost_n, mailer->waiting_n,
		          mailer->sendmail);
	free(letters->items);
	*letters = (struct letters){ 0 };
	send_next(mailer);
}

void mailer_close(struct mailer *mailer)
{
	if (!mailer)
		return;
	size_t left_n = 0, kept_n = 0;
	for (; mailer->waiting_n > mailer->is_busy; left_n++) {
		kept_n += mailer->waiting[mailer->waiting_n - 1].name[0] != '\0';
		forget_waiting(mailer, mailer->waiting_n - 1);
	}
	if (kept_n)
		log_info("%zu letters wait for the next start", kept_n);
	if (left_n > kept_n)
		log_warning("%zu letters are not sent", left_n - kept_n);
	mailer->is_closing = true;
	if (!mailer->is_busy)
		uv_close((uv_handle_t *)&mailer->timer, on_closed);
	else if (!uv_is_closing((uv_handle_t *)&mailer->process))
		uv_timer_start(&mailer->timer, on_timer, mailer->close_ms, 0);
}
