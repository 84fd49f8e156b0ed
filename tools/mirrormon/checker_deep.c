#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "base/log.h"
#include "mirrormon/checker_int.h"

#define OUTPUT_MAX    4096
#define SIGTOOL_TIMES 4 /* of the timeout of a request */
/* COPYING comes first, 18 kB; then the member we look for. */
#define TAR_BEGIN_MAX 65536

/* What it says on standard output, or on standard error. */
struct output {
	struct deep *deep;
	uv_pipe_t pipe;
	char text[OUTPUT_MAX];
	size_t len;
	bool has_ended;
};

struct deep {
	struct job *job; /* NULL: it has ended, only handles are left to close */
	struct checker *checker;
	char folder[96];
	char path[112];
	int fd;
	uint64_t len;
	uint8_t header[CVD_HEADER_LEN];
	EVP_MD_CTX *md5;
	struct cvd_header parsed;

	uv_process_t process;
	struct output outputs[2];
	uv_timer_t limit;
	unsigned handles_n;
	bool is_running;
	bool is_late;
	bool has_exited;
	int64_t exit_status;
	int signal;
};

struct deep *deep_create(struct job *job)
{
	struct deep *deep = calloc(1, sizeof(*deep));
	const char *tmp = getenv("TMPDIR");
	if (!deep)
		return NULL;
	deep->job = job;
	deep->checker = job->checker;
	deep->fd = -1;
	if (snprintf(deep->folder, sizeof(deep->folder), "%s/mirrormon-XXXXXX", tmp && *tmp ? tmp : "/tmp") >=
	    (int)sizeof(deep->folder))
		strcpy(deep->folder, "/tmp/mirrormon-XXXXXX");
	if (!mkdtemp(deep->folder)) {
		log_warning("no whole database is verified: cannot make a folder %s: %s", deep->folder,
		            strerror(errno));
		free(deep);
		return NULL;
	}
	/* sigtool goes by the end of the name. */
	snprintf(deep->path, sizeof(deep->path), "%s/fetched.cvd", deep->folder);
	deep->fd = open(deep->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	deep->md5 = EVP_MD_CTX_new();
	if (deep->fd < 0 || !deep->md5 || EVP_DigestInit_ex(deep->md5, EVP_md5(), NULL) != 1) {
		deep_destroy(deep);
		errno = ENOMEM;
		return NULL;
	}
	return deep;
}

static int write_all(int fd, const char *bytes, size_t len)
{
	while (len) {
		ssize_t n = write(fd, bytes, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		bytes += n;
		len -= (size_t)n;
	}
	return 0;
}

int deep_write(struct deep *deep, const void *bytes, size_t len)
{
	const uint8_t *at = bytes;
	size_t header_len = 0;
	if (deep->len < CVD_HEADER_LEN) {
		size_t room = CVD_HEADER_LEN - (size_t)deep->len;
		header_len = len < room ? len : room;
		memcpy(deep->header + deep->len, at, header_len);
	}
	deep->len += len;
	EVP_DigestUpdate(deep->md5, at + header_len, len - header_len);
	if (write_all(deep->fd, bytes, len) < 0) {
		log_warning("%s: cannot keep the database of %s: %s; it is not verified", deep->path,
		            deep->job->request->host, strerror(errno));
		return -1;
	}
	return 0;
}

static void remove_file(struct deep *deep)
{
	if (deep->fd >= 0)
		close(deep->fd);
	deep->fd = -1;
	unlink(deep->path);
	rmdir(deep->folder);
}

static void free_deep(struct deep *deep)
{
	EVP_MD_CTX_free(deep->md5);
	free(deep);
}

static void closed(struct deep *deep)
{
	struct checker *checker = deep->checker;
	if (--deep->handles_n == 0)
		free_deep(deep);
	checker_handle_closed(checker);
}

static void on_closed(uv_handle_t *handle)
{
	closed(handle->data);
}

static void on_pipe_closed(uv_handle_t *handle)
{
	const struct output *output = handle->data;
	closed(output->deep);
}

void deep_destroy(struct deep *deep)
{
	if (!deep)
		return;
	deep->job = NULL;
	remove_file(deep);
	if (deep->handles_n == 0) {
		free_deep(deep);
		return;
	}
	if (deep->is_running && !deep->has_exited)
		uv_process_kill(&deep->process, SIGKILL);
	for (size_t i = 0; i < 2; i++)
		uv_close((uv_handle_t *)&deep->outputs[i].pipe, on_pipe_closed);
	uv_close((uv_handle_t *)&deep->limit, on_closed);
	/* A child whose handle is closed would stay a zombie: this one is closed when it has exited. */
	if (!deep->is_running || deep->has_exited)
		uv_close((uv_handle_t *)&deep->process, on_closed);
}

/* Of the tar behind the header, the beginning. */
static size_t unpack_beginning(const struct deep *deep, uint8_t *tar, size_t cap)
{
	uint8_t packed[16384];
	z_stream stream = { 0 };
	off_t off = CVD_HEADER_LEN;
	int rc = Z_OK;
	if (inflateInit2(&stream, MAX_WBITS + 16) != Z_OK)
		return 0;
	stream.next_out = tar;
	stream.avail_out = (uInt)cap;
	while (rc == Z_OK && stream.avail_out) {
		ssize_t n = pread(deep->fd, packed, sizeof(packed), off);
		if (n <= 0)
			break;
		off += n;
		stream.next_in = packed;
		stream.avail_in = (uInt)n;
		rc = inflate(&stream, Z_SYNC_FLUSH);
	}
	inflateEnd(&stream);
	return cap - stream.avail_out;
}

/* The signature covers what is inside; is it what the outside says? */
static void compare_inside(struct deep *deep)
{
	struct job *job = deep->job;
	const char *want = job->checker->conf->databases[job->request->deep_database];
	char name[VERSION_NAME_MAX];
	struct cvd_header inside;
	uint8_t *tar = malloc(TAR_BEGIN_MAX);
	if (!tar)
		return;
	size_t len = unpack_beginning(deep, tar, TAR_BEGIN_MAX);
	if (checker_parse_info(tar, len, name, &inside) < 0)
		job_fail(job, REASON_WRONG_CONTENT, "no description (%s.info) of the database inside", want);
	else if (strcmp(name, want) != 0)
		job_fail(job, REASON_WRONG_CONTENT, "the database inside is \"%s\", not \"%s\"", name, want);
	else if (inside.version != deep->parsed.version)
		job_fail(job, REASON_WRONG_CONTENT, "version %u inside, %u in its header", inside.version,
		         deep->parsed.version);
	else
		job->result.deep = true;
	free(tar);
}

static void tell_sigtool(struct deep *deep, const char *why)
{
	if (deep->checker->is_told)
		return;
	deep->checker->is_told = true;
	log_warning("sigtool (%s): %s; databases that are fetched whole are not verified until it works, and "
	            "mirrors that had wrong content stay out",
	            deep->checker->conf->sigtool, why);
}

static void judge_sigtool(struct deep *deep)
{
	struct job *job = deep->job;
	uint32_t version = 0;
	if (deep->is_late) {
		tell_sigtool(deep, "not finished in time");
		return;
	}
	if (deep->signal) {
		tell_sigtool(deep, "ended by a signal");
		return;
	}
	char text[2 * OUTPUT_MAX + 1];
	size_t len = deep->outputs[0].len;
	memcpy(text, deep->outputs[0].text, len);
	text[len++] = '\n';
	memcpy(text + len, deep->outputs[1].text, deep->outputs[1].len);
	len += deep->outputs[1].len;
	switch (checker_parse_sigtool(text, len, deep->exit_status, &version)) {
	case SIGTOOL_BAD:
		job_fail(job, REASON_WRONG_CONTENT,
		         "sigtool says it is damaged or not signed (version %u by its header)",
		         deep->parsed.version);
		break;
	case SIGTOOL_UNCLEAR: tell_sigtool(deep, "fails for a reason that is not the file"); break;
	case SIGTOOL_GOOD:
		deep->checker->is_told = false;
		if (version != deep->parsed.version)
			job_fail(job, REASON_WRONG_CONTENT, "sigtool says version %u, its header %u", version,
			         deep->parsed.version);
		else
			compare_inside(deep);
		break;
	}
}

/* It has exited and all it wrote is read. */
static void end_if_done(struct deep *deep)
{
	struct job *job = deep->job;
	if (!job || !deep->has_exited || !deep->outputs[0].has_ended || !deep->outputs[1].has_ended)
		return;
	judge_sigtool(deep);
	checker_job_end(job);
}

static void on_exit_of(uv_process_t *process, int64_t exit_status, int signal)
{
	struct deep *deep = process->data;
	deep->has_exited = true;
	deep->exit_status = exit_status;
	deep->signal = signal;
	if (!deep->job) {
		uv_close((uv_handle_t *)process, on_closed);
		return;
	}
	end_if_done(deep);
}

static void on_limit(uv_timer_t *timer)
{
	struct deep *deep = timer->data;
	deep->is_late = true;
	/* What it has started may hold the pipes open. */
	for (size_t i = 0; i < 2; i++) {
		deep->outputs[i].has_ended = true;
		uv_read_stop((uv_stream_t *)&deep->outputs[i].pipe);
	}
	if (!deep->has_exited)
		uv_process_kill(&deep->process, SIGKILL);
	end_if_done(deep);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	static char surplus[1024];
	struct output *output = handle->data;
	(void)suggested;
	if (output->len < OUTPUT_MAX)
		*buf = uv_buf_init(output->text + output->len, (unsigned)(OUTPUT_MAX - output->len));
	else
		*buf = uv_buf_init(surplus, sizeof(surplus));
}

static void on_output(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct output *output = stream->data;
	(void)buf;
	if (n > 0) {
		if (output->len < OUTPUT_MAX)
			output->len += (size_t)n;
		return;
	}
	if (n == 0)
		return;
	uv_read_stop(stream);
	output->has_ended = true;
	end_if_done(output->deep);
}

/* Returns 0 or negative errno; handles are then to be closed by deep_destroy(). */
static int start_sigtool(struct deep *deep)
{
	struct checker *checker = deep->checker;
	uv_loop_t *loop = checker->loop;
	char *argv[] = { (char *)(uintptr_t)checker->conf->sigtool, (char *)(uintptr_t) "-i", deep->path,
		         NULL };
	uv_stdio_container_t stdio[3] = { { .flags = UV_IGNORE } };
	uv_timer_init(loop, &deep->limit);
	deep->process.data = deep->limit.data = deep;
	for (size_t i = 0; i < 2; i++) {
		struct output *output = &deep->outputs[i];
		uv_pipe_init(loop, &output->pipe, 0);
		output->pipe.data = output;
		output->deep = deep;
		stdio[i + 1] = (uv_stdio_container_t){ .flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE,
			                               .data.stream = (uv_stream_t *)&output->pipe };
	}
	uv_process_options_t options = { .file = checker->conf->sigtool,
		                         .args = argv,
		                         .cwd = deep->folder,
		                         .exit_cb = on_exit_of,
		                         .stdio = stdio,
		                         .stdio_count = 3 };
	int rc = uv_spawn(loop, &deep->process, &options);
	deep->handles_n = 4;
	checker->handles_n += 4;
	deep->is_running = rc == 0;
	if (rc == 0)
		rc = uv_timer_start(&deep->limit, on_limit,
		                    (uint64_t)checker->conf->timeout_ms * SIGTOOL_TIMES, 0);
	for (size_t i = 0; i < 2 && rc == 0; i++)
		rc = uv_read_start((uv_stream_t *)&deep->outputs[i].pipe, on_alloc, on_output);
	return rc;
}

static void hex_md5(struct deep *deep, char text[33])
{
	uint8_t md5[EVP_MAX_MD_SIZE];
	unsigned len = 0;
	EVP_DigestFinal_ex(deep->md5, md5, &len);
	for (unsigned i = 0; i < 16; i++)
		snprintf(text + 2 * i, 3, "%02x", md5[i]);
}

bool deep_finish(struct deep *deep)
{
	struct job *job = deep->job;
	struct seen_database *seen = &job->result.databases[job->request->deep_database];
	char want[33];
	char got[33];
	const char *why;
	if (cvd_header_parse(deep->header, (size_t)(deep->len < CVD_HEADER_LEN ? deep->len : CVD_HEADER_LEN),
	                     &deep->parsed, &why) < 0) {
		job_fail(job, REASON_WRONG_CONTENT, "%s", why);
		return false;
	}
	if (deep->parsed.version < seen->version) {
		job_fail(job, REASON_WRONG_CONTENT, "version %u, its header alone said %u",
		         deep->parsed.version, seen->version);
		return false;
	}
	hex_md5(deep, got);
	if (checker_parse_md5(deep->header, want) < 0) {
		job_fail(job, REASON_WRONG_CONTENT, "a damaged CVD header: its MD5 is not 32 hex digits");
		return false;
	}
	if (strcmp(want, got) != 0) {
		job_fail(job, REASON_WRONG_CONTENT, "version %u has MD5 %s, its header says %s",
		         deep->parsed.version, got, want);
		return false;
	}
	if (!deep->checker->conf->sigtool || !deep->checker->conf->sigtool[0]) {
		job->result.deep = true;
		return false;
	}
	int rc = start_sigtool(deep);
	if (rc < 0) {
		tell_sigtool(deep, uv_strerror(rc));
		return false;
	}
	return true;
}
