/*
 * Any bytes to the control socket, in pieces of any size: each line gets one response, in order, and that is
 * an object that says "ok", or what is wrong. Behind the socket requests are carried out as in the daemon, on
 * a small pool; only reloading, and what needs workers or a state directory, is not there.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "base/utc.h"
#include "server/server_int.h"
#include "tests/fuzz/fuzz.h"

static const struct {
	const char *name;
	const char *text;
} files[] = {
	{ "dnsd.conf",
	  "zones = ( { name = \"clamav.test\"; file = \"zone\";\n"
	  "  whoami = { name = \"whoami\"; };\n"
	  "  pools = ( { pool = \"p\"; world = \"database\"; nearest = \"db.local\"; country = \"db.%c\";\n"
	  "    region = \"db.%r\"; ping = \"ping\"; } );\n"
	  "  versions = ( { name = \"current.cvd\"; software = \"1.0\"; main = 1; daily = 2; bytecode = 3; } "
	  "); } );\n"
	  "geo: { nets = ( { net = \"192.0.2.0/24\"; country = \"DE\"; } ); };\n"
	  "pools = ( { name = \"p\"; mirrors = \"mirrors\"; regions = \"regions\"; feed = \"feed\"; },\n"
	  "  { name = \"q\"; mirrors = \"mirrors\"; } );\n" },
	{ "zone",
	  "@ 300 SOA ns h 1 3600 600 86400 60\n@ 300 NS ns\nns 300 A 192.0.2.53\nwww 300 CNAME db.de\n" },
	{ "mirrors",
	  "mirrors = ( { host = \"a.de\"; country = \"DE\"; addresses = \"192.0.2.1\"; },\n"
	  "  { host = \"b.de\"; country = \"DE\"; addresses = [ \"192.0.2.2\", \"2001:db8::2\" ]; },\n"
	  "  { host = \"c.fr\"; country = \"FR\"; addresses = \"192.0.2.3\"; weight = 7; } );\n" },
	{ "regions", "regions = ( { name = \"europe\"; countries = [ \"DE\", \"FR\" ]; } );\n"
	             "neighbours = ( { country = \"FR\"; near = [ \"DE\" ]; } );\n" },
	{ "feed", "{\"format\": 1, \"pool\": \"p\", \"serial\": 7,\n"
	          " \"excluded\": [{\"mirror\": \"c.fr\", \"reason\": \"stale\"}]}\n" },
};

static char folder[] = "/tmp/fuzz-control-XXXXXX";
static struct server server; /* as much of it as commands look at */
static struct ctl *ctl;

static void require(bool holds)
{
	if (!holds)
		abort();
}

static void path_of(const char *name, char path[128])
{
	snprintf(path, 128, "%s/%s", folder, name);
}

static void clean_up(void)
{
	char path[128];
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		path_of(files[i].name, path);
		unlink(path);
	}
	path_of("socket", path);
	unlink(path);
	rmdir(folder);
}

/* --- carrying out, as a job does --- */

static void make_snap(void)
{
	struct snap *snap;
	require(load_make_snap(server.load, server.generation + 1, server.snap, utc_now(), &snap) == 0);
	snap_destroy(server.snap);
	server.snap = snap;
	server.generation++;
}

static void check_line(const char *text)
{
	for (; *text; text++)
		require((unsigned char)*text >= 0x20 && *text != 0x7f);
}

static void on_request(void *context, struct ctl_request *request)
{
	(void)context;
	struct command command = { .request = request };
	struct job job = { .server = &server, .kind = JOB_COMMAND, .command = &command };
	diag_init(&job.diag);
	command_run(&job);
	for (size_t i = 0; i < job.diag.messages_n; i++)
		check_line(job.diag.messages[i].text); /* they go to the log */
	diag_fini(&job.diag);
	if (job.rc == 0 && job.changed)
		make_snap();
	json_decref(zones_take_news(server.load->zones));
	ctl_reply(request, job.response);
}

static void on_kept(void *context)
{
	(void)context;
}

static void set_up(void)
{
	char path[128];
	struct diag diag;
	require(mkdtemp(folder) != NULL);
	atexit(clean_up);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		path_of(files[i].name, path);
		FILE *file = fopen(path, "w");
		require(file && fputs(files[i].text, file) >= 0);
		fclose(file);
	}
	log_set_level(LOG_LEVEL_ERROR);
	path_of("dnsd.conf", path);
	server.conf_path = strdup(path);
	diag_init(&diag);
	int rc = load_create(path, NULL, &diag, &server.load);
	for (size_t i = 0; rc < 0 && i < diag.messages_n; i++)
		fprintf(stderr, "%s\n", diag.messages[i].text);
	diag_fini(&diag);
	require(rc == 0);
	make_snap();
	require(uv_loop_init(&server.loop) == 0);
	server.keeping = keeping_create(&server.loop, on_kept, NULL);
	path_of("socket", path);
	require(server.keeping && ctl_create(&server.loop, path, NULL, on_request, NULL, &ctl) == 0);
}

/* As it was before the input: what is found can be found again. */
static void reset(void)
{
	struct zones *zones = server.load->zones;
	if (zones->overrides && zones->overrides->n) {
		struct override_set *none = calloc(1, sizeof(*none));
		require(none != NULL);
		none->refs = 1;
		require(zones_set_overrides(zones, none, utc_now()) == 0);
		override_set_unref(none);
		make_snap();
	}
	json_decref(zones_take_news(zones));
	log_set_level(LOG_LEVEL_ERROR);
}

/* --- the client --- */

struct responses {
	char *text; /* [len] the last one, not ended yet */
	size_t len;
	size_t cap;
	size_t n;
};

static void check_response(const char *text, size_t len)
{
	json_error_t error;
	json_t *response = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);
	require(json_is_object(response));
	const json_t *ok = json_object_get(response, "ok");
	require(json_is_boolean(ok));
	require(json_is_true(ok) ? json_object_get(response, "result") != NULL
	                         : json_string_length(json_object_get(response, "error")) > 0);
	json_decref(response);
}

/* Take what has come back. Returns false once the socket is closed. */
static bool receive(int fd, struct responses *responses)
{
	for (;;) {
		if (responses->cap - responses->len < 65536) {
			responses->cap = 2 * responses->cap + 65536;
			responses->text = realloc(responses->text, responses->cap);
			require(responses->text != NULL);
		}
		ssize_t got = recv(fd, responses->text + responses->len, responses->cap - responses->len,
		                   MSG_DONTWAIT);
		if (got <= 0)
			return got < 0 && (errno == EAGAIN || errno == EINTR);
		responses->len += (size_t)got;
		size_t begin = 0;
		const char *newline;
		while ((newline = memchr(responses->text + begin, '\n', responses->len - begin))) {
			size_t end = (size_t)(newline - responses->text);
			check_response(responses->text + begin, end - begin);
			responses->n++;
			begin = end + 1;
		}
		responses->len -= begin;
		memmove(responses->text, responses->text + begin, responses->len);
	}
}

static int connect_client(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	require(fd >= 0);
	strcpy(address.sun_path, ctl_path(ctl));
	/* The fuzzer's alarm interrupts it. */
	while (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 && errno != EISCONN)
		require(errno == EINTR);
	return fd;
}

static void send_all(int fd, const uint8_t *data, size_t len, size_t step, struct responses *responses)
{
	while (len > 0) {
		ssize_t sent = send(fd, data, len < step ? len : step, MSG_DONTWAIT | MSG_NOSIGNAL);
		require(sent > 0 || errno == EAGAIN || errno == EINTR);
		data += sent > 0 ? sent : 0;
		len -= sent > 0 ? (size_t)sent : 0;
		uv_run(&server.loop, UV_RUN_NOWAIT);
		require(receive(fd, responses));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct responses responses;
	static uint8_t spaces[CTL_REQUEST_MAX - 32];
	if (!ctl)
		set_up();
	if (size == 0)
		return 0;
	/* The first byte says in pieces of which size the others come, and whether the first line is long. */
	size_t step = (size_t)1 << (data[0] & 15);
	bool is_long = data[0] & 16;
	if (size / step > 512)
		step = size / 512;
	data++;
	size--;
	responses.len = responses.n = 0;
	size_t lines_n = 0;
	for (size_t i = 0; i < size; i++)
		lines_n += data[i] == '\n';
	int fd = connect_client();
	if (is_long) {
		memset(spaces, ' ', sizeof(spaces));
		send_all(fd, spaces, sizeof(spaces), sizeof(spaces), &responses);
	}
	send_all(fd, data, size, step, &responses);
	shutdown(fd, SHUT_WR);
	while (receive(fd, &responses))
		uv_run(&server.loop, UV_RUN_NOWAIT);
	close(fd);
	/* What has no end of line is told so. */
	bool is_cut = size ? data[size - 1] != '\n' : is_long;
	require(responses.n == lines_n + is_cut && responses.len == 0);
	reset();
	return 0;
}
