/*
 * filter: which system calls a thread may make, as a seccomp filter of the kernel.
 *
 *     lists (filter_lists.c) ──libseccomp──> struct filter (BPF) ──filter_install()──> this thread, and those
 * it makes
 *
 * A worker's list is what it takes to answer packets. The main thread's, which its pool of background threads
 * inherits, has files and new sockets too. Neither has a way to run a program or to connect to anything.
 *
 * A call that is not on the list fails with EPERM, and the kernel logs it (audit type 1326): a name server
 * has to stay up, and a library that was updated may try a new call first and an old one next. Only what no
 * library tries by accident, to run a program or to look into another process, kills the process.
 * docs/sandbox.md has more.
 */
#ifndef DNSD_SANDBOX_FILTER_H
#define DNSD_SANDBOX_FILTER_H

#include <stdbool.h>
#include <stddef.h>

enum filter_kind { FILTER_WORKER, FILTER_MAIN, FILTER_KINDS };

enum filter_mode {
	FILTER_OFF,
	FILTER_LOG, /* everything is allowed; the kernel logs what would not be */
	FILTER_ON,
};

struct filter;

/**
 * Make a filter, once for all threads of its kind.
 *
 * mode     not FILTER_OFF
 * Returns  0 or negative errno: -ENOSYS when this kernel (or valgrind) has no seccomp filters
 */
int filter_create(enum filter_kind kind, enum filter_mode mode, struct filter **ret_filter);
void filter_destroy(struct filter *filter);

/** In force for the calling thread from here on, for good. Returns 0 or negative errno. */
int filter_install(const struct filter *filter);

/** "on", "log", "off". */
const char *filter_mode_text(enum filter_mode mode);
/** Returns 0 or -EINVAL. */
int filter_mode_parse(const char *text, enum filter_mode *ret_mode);

/** A call on a list: its name in the kernel, the limit of an argument ("" = none), what it is for. */
struct filter_call {
	const char *name;
	const char *limit;
	const char *why;
};

/** The lists as they are built in, NULL past the end; for `dnsd --print-sandbox` and the tests. */
const struct filter_call *filter_call_at(enum filter_kind kind, size_t number);
/** Lines of "worker|main NAME LIMIT|- WHY". */
void filter_print(int fd);

#endif
