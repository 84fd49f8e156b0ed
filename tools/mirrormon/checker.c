#include "mirrormon/checker.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "mirrormon/checker_int.h"

/* What curl waits for on one socket. */
struct watch {
	uv_poll_t poll;
	struct checker *checker;
	curl_socket_t fd;
};

void checker_handle_closed(struct checker *checker)
{
	checker->handles_n--;
	if (checker->handles_n || !checker->is_closing)
		return;
	free(checker);
	curl_global_cleanup();
}

static void close_timer(uv_handle_t *handle)
{
	checker_handle_closed(handle->data);
}

static void close_watch(uv_handle_t *handle)
{
	struct watch *watch = handle->data;
	struct checker *checker = watch->checker;
	free(watch);
	checker_handle_closed(checker);
}

static void list_remove(struct job **list, struct job *job)
{
	if (*list == job)
		*list = job->next;
	else
		job->prev->next = job->next;
	if (job->next)
		job->next->prev = job->prev;
	job->next = job->prev = NULL;
}

static void list_add(struct job **list, struct job *job)
{
	job->next = *list;
	job->prev = NULL;
	if (*list)
		(*list)->prev = job;
	*list = job;
}

static void job_free(struct job *job)
{
	if (job->transfer && job->checker->multi)
		curl_multi_remove_handle(job->checker->multi, job->transfer->easy);
	transfer_destroy(job->transfer);
	deep_destroy(job->deep);
	free(job->url);
	free(job);
}

static void fetched(const struct job *job)
{
	const struct transfer *transfer = job->transfer;
	char why[MODEL_DETAIL_MAX];
	int status = -ENOMEM;
	strcpy(why, "out of memory");
	if (transfer) {
		enum reason reason = transfer_judge(transfer, job->checker->conf, why, sizeof(why));
		status = 0;
		if (reason != REASON_NONE) {
			status = reason == REASON_UNREACHABLE ? -EHOSTUNREACH : -EPROTO;
		} else if (transfer->reply.is_cut) {
			status = -EMSGSIZE;
			snprintf(why, sizeof(why), "longer than %zu bytes", job->fetch_max);
		} else if (transfer->reply.status != 200) {
			status = -EPROTO;
			snprintf(why, sizeof(why), "%u %s, not 200", transfer->reply.status,
			         transfer->reply.phrase);
		}
	}
	bool is_good = status == 0;
	job->fetched(job->context, job->url, status, is_good ? transfer->body : NULL,
	             is_good ? (size_t)transfer->reply.body_len : 0, is_good ? "" : why);
}

static void kick(struct checker *checker);

/* It is in no list any more. What is called may close the checker, or start another job. */
static void report(struct job *job)
{
	switch (job->kind) {
	case JOB_CHECK: job->done(job->context, job->request, &job->result); break;
	case JOB_REFERENCE: job->reference_done(job->context, job->reference, &job->result); break;
	case JOB_FETCH: fetched(job); break;
	}
	job_free(job);
}

void checker_job_end(struct job *job)
{
	struct checker *checker = job->checker;
	list_remove(&checker->running, job);
	checker->running_n--;
	if (job->kind == JOB_CHECK)
		checker->checks_n--;
	if (checker->queue)
		kick(checker);
	report(job);
}

int checker_job_ask(struct job *job, const struct ask *ask)
{
	struct checker *checker = job->checker;
	if (!job->transfer) {
		job->transfer =
		        transfer_create(job->kind == JOB_FETCH ? job->fetch_max : CHECKER_TIMESTAMP_MAX);
		if (!job->transfer)
			return -ENOMEM;
		job->transfer->ca_file = checker->ca_file;
	}
	int rc = transfer_prepare(job->transfer, checker->conf, ask, ask->is_deep ? job->deep : NULL, job);
	if (rc == 0 && curl_multi_add_handle(checker->multi, job->transfer->easy) != CURLM_OK)
		rc = -ENOMEM;
	return rc;
}

static void transfer_ended(struct job *job, CURLcode code)
{
	struct checker *checker = job->checker;
	curl_socket_t fd = CURL_SOCKET_BAD;
	transfer_finish(job->transfer, code);
	curl_easy_getinfo(job->transfer->easy, CURLINFO_ACTIVESOCKET, &fd);
	curl_multi_remove_handle(checker->multi, job->transfer->easy);
	if (job_step(job))
		return;
	/* Its connection is of no use to any other job, but curl would keep it. */
	if (fd != CURL_SOCKET_BAD)
		shutdown(fd, SHUT_RDWR);
	checker_job_end(job);
}

static void read_messages(struct checker *checker)
{
	int left;
	CURLMsg *message;
	while (!checker->is_closing && (message = curl_multi_info_read(checker->multi, &left))) {
		struct job *job = NULL;
		CURLcode code = message->data.result;
		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&job);
		transfer_ended(job, code);
	}
}

static void on_socket(uv_poll_t *poll, int status, int events)
{
	struct watch *watch = poll->data;
	struct checker *checker = watch->checker;
	int flags = status < 0 ? CURL_CSELECT_ERR : 0;
	int running;
	if (events & UV_READABLE)
		flags |= CURL_CSELECT_IN;
	if (events & UV_WRITABLE)
		flags |= CURL_CSELECT_OUT;
	curl_multi_socket_action(checker->multi, watch->fd, flags, &running);
	read_messages(checker);
}

static void on_timer(uv_timer_t *timer)
{
	struct checker *checker = timer->data;
	int running;
	curl_multi_socket_action(checker->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	read_messages(checker);
}

static int socket_changed(CURL *easy, curl_socket_t fd, int what, void *context, void *socket_context)
{
	struct checker *checker = context;
	struct watch *watch = socket_context;
	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (watch) {
			curl_multi_assign(checker->multi, fd, NULL);
			uv_poll_stop(&watch->poll);
			uv_close((uv_handle_t *)&watch->poll, close_watch);
		}
		return 0;
	}
	if (!watch) {
		watch = calloc(1, sizeof(*watch));
		if (!watch)
			return -1;
		watch->checker = checker;
		watch->fd = fd;
		watch->poll.data = watch;
		if (uv_poll_init_socket(checker->loop, &watch->poll, fd) < 0) {
			free(watch);
			return -1;
		}
		checker->handles_n++;
		curl_multi_assign(checker->multi, fd, watch);
	}
	int events = (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
	return uv_poll_start(&watch->poll, events, on_socket) < 0 ? -1 : 0;
}

static int timer_changed(CURLM *multi, long wait_ms, void *context)
{
	struct checker *checker = context;
	(void)multi;
	if (wait_ms < 0)
		uv_timer_stop(&checker->timer);
	else
		uv_timer_start(&checker->timer, on_timer, (uint64_t)wait_ms, 0);
	return 0;
}

static struct job *queue_take(struct checker *checker)
{
	struct job *job = checker->queue;
	if (!job || (job->kind == JOB_CHECK && checker->checks_n >= checker->conf->concurrency))
		return NULL;
	checker->queue = job->next;
	if (!checker->queue)
		checker->queue_last = NULL;
	else
		checker->queue->prev = NULL;
	checker->queued_n--;
	return job;
}

static void on_kick(uv_timer_t *timer)
{
	struct checker *checker = timer->data;
	struct job *job;
	while (!checker->is_closing && (job = queue_take(checker))) {
		if (job_begin(job) < 0) {
			report(job);
			continue;
		}
		list_add(&checker->running, job);
		checker->running_n++;
		checker->checks_n += job->kind == JOB_CHECK;
	}
}

static void kick(struct checker *checker)
{
	if (!uv_is_active((const uv_handle_t *)&checker->kick))
		uv_timer_start(&checker->kick, on_kick, 0, 0);
}

int checker_create(uv_loop_t *loop, const struct conf_checks *conf, const char *ca_file,
                   struct checker **ret_checker)
{
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return -ENOMEM;
	struct checker *checker = calloc(1, sizeof(*checker));
	CURLM *multi = curl_multi_init();
	if (!checker || !multi) {
		curl_multi_cleanup(multi);
		free(checker);
		curl_global_cleanup();
		return -ENOMEM;
	}
	checker->loop = loop;
	checker->conf = conf;
	checker->ca_file = ca_file;
	checker->multi = multi;
	uv_timer_init(loop, &checker->timer);
	uv_timer_init(loop, &checker->kick);
	checker->timer.data = checker->kick.data = checker;
	checker->handles_n = 2;
	curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, socket_changed);
	curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, checker);
	curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, timer_changed);
	curl_multi_setopt(multi, CURLMOPT_TIMERDATA, checker);
	curl_multi_setopt(multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
	curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long)conf->concurrency);
	*ret_checker = checker;
	return 0;
}

static struct job *job_create(struct checker *checker, enum job_kind kind, void *context)
{
	struct job *job = calloc(1, sizeof(*job));
	if (!job)
		return NULL;
	job->checker = checker;
	job->kind = kind;
	job->context = context;
	job->number = checker->numbers++;
	return job;
}

/* What is not a check of a mirror does not wait behind them. */
static void enqueue(struct job *job)
{
	struct checker *checker = job->checker;
	if (job->kind == JOB_CHECK && checker->queue_last) {
		job->prev = checker->queue_last;
		checker->queue_last->next = job;
		checker->queue_last = job;
	} else {
		list_add(&checker->queue, job);
		if (!checker->queue_last)
			checker->queue_last = job;
	}
	checker->queued_n++;
	kick(checker);
}

int checker_start(struct checker *checker, const struct check_request *request, checker_done_fn *done,
                  void *context)
{
	struct job *job = job_create(checker, JOB_CHECK, context);
	if (!job)
		return -ENOMEM;
	job->request = request;
	job->done = done;
	enqueue(job);
	return 0;
}

int checker_start_reference(struct checker *checker, const struct conf_reference *reference, unsigned family,
                            checker_reference_fn *done, void *context)
{
	struct job *job = job_create(checker, JOB_REFERENCE, context);
	if (!job)
		return -ENOMEM;
	job->reference = reference;
	job->family = family;
	job->reference_done = done;
	enqueue(job);
	return 0;
}

int checker_fetch(struct checker *checker, const char *url, size_t max_bytes, checker_fetched_fn *done,
                  void *context)
{
	struct job *job = job_create(checker, JOB_FETCH, context);
	if (!job)
		return -ENOMEM;
	job->url = strdup(url);
	job->fetched = done;
	job->fetch_max = max_bytes;
	if (!job->url) {
		free(job);
		return -ENOMEM;
	}
	enqueue(job);
	return 0;
}

size_t checker_busy_n(const struct checker *checker)
{
	return checker->running_n + checker->queued_n;
}

static void free_all(struct job **list)
{
	struct job *job;
	while ((job = *list)) {
		*list = job->next;
		if (*list)
			(*list)->prev = NULL;
		job_free(job);
	}
}

void checker_close(struct checker *checker)
{
	if (!checker)
		return;
	checker->is_closing = true;
	free_all(&checker->running);
	free_all(&checker->queue);
	curl_multi_cleanup(checker->multi);
	checker->multi = NULL;
	uv_close((uv_handle_t *)&checker->timer, close_timer);
	uv_close((uv_handle_t *)&checker->kick, close_timer);
}
