/*
 * faults: a library that goes between dnsd and the kernel (LD_PRELOAD) and makes system calls fail as they do
 * on a machine in need. Built by t95_faults.py, which says by DNSD_FAULTS what is to fail:
 *
 *     recv     two of three recvmmsg() calls: EAGAIN, ENOBUFS, EINTR in turn
 *
 *     send     sendmmsg(): one message at a time at most; some calls EAGAIN (once and twice running),
 *              ENOBUFS, EINTR
 *
 *     short    read() and write() of TCP: a few bytes at a time, EAGAIN in between
 *
 *     dead     recvmmsg(): EIO, DEAD_CALLS_N times
 *
 *     watch    the first WATCH_CALLS_N times that epoll is to watch a socket of 127.0.0.9: ENOSPC
 *
 *     reuse    the number of a socket that is closed becomes a file's at once, as by another thread;
 *              told, and so is an epoll_ctl() that meets a file
 *
 *     hang     open() of a file beside which there is one called FILE.hangs waits until that is gone, as on a
 *              disk that does not answer; told
 *
 *     poor     open() of a file beside which there is one called FILE.poor: ENOMEM
 *
 *     inotify  inotify_init1(): EMFILE, INOTIFY_CALLS_N times
 *
 *     late     a file NAME.late of a folder gets its name just before the folder is watched
 *
 *     bits     read(), pread() and write() of files: at most 100 bytes at a time, one of seven EINTR; told
 *
 * Of sockets only those of the internet are touched; "reuse" takes those of any kind. Of files those with a
 * name: memfd are memory, and come whole. What libc does inside for stdio does not pass here.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#pragma GCC diagnostic ignored "-Wmissing-prototypes"

#define DEAD_CALLS_N    100
#define WATCH_CALLS_N   5
#define INOTIFY_CALLS_N 3
#define BITS_CALLS_N    10 /* so many are told once they are done */

static bool wants(const char *word)
{
	const char *all = getenv("DNSD_FAULTS");
	return all && strstr(all, word);
}

static bool is_tcp(int fd)
{
	struct sockaddr_storage addr = { 0 };
	socklen_t len = sizeof(addr);
	int type = 0;
	socklen_t type_len = sizeof(type);
	int saved = errno;
	bool is = getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_len) == 0 && type == SOCK_STREAM &&
	          getsockname(fd, (struct sockaddr *)&addr, &len) == 0 &&
	          (addr.ss_family == AF_INET || addr.ss_family == AF_INET6);
	errno = saved;
	return is;
}

/* Is it a socket of this IPv4 address? */
static bool is_of(int fd, uint32_t address)
{
	struct sockaddr_in addr = { 0 };
	socklen_t len = sizeof(addr);
	return getsockname(fd, (struct sockaddr *)&addr, &len) == 0 && addr.sin_family == AF_INET &&
	       ntohl(addr.sin_addr.s_addr) == address;
}

static int fail(int error)
{
	errno = error;
	return -1;
}

/* The next call for TCP: at most so many bytes of len, or -1 and errno. */
static int shorten(int fd, atomic_uint *calls, unsigned most, size_t *len)
{
	if (!wants("short") || !is_tcp(fd))
		return 0;
	unsigned call = atomic_fetch_add(calls, 1);
	if (call % 5 == 4)
		return fail(call % 2 ? EAGAIN : EINTR);
	if (*len > 1 + call % most)
		*len = 1 + call % most;
	return 0;
}

/* The same for files. */
static int split(int fd, const char *what, atomic_uint *calls, size_t *len)
{
	struct stat st;
	int saved = errno;
	bool is_file = wants("bits") && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink;
	errno = saved;
	if (!is_file)
		return 0;
	unsigned call = atomic_fetch_add(calls, 1);
	if (call == BITS_CALLS_N)
		fprintf(stderr, "faults: files are %s in bits\n", what);
	if (call % 7 == 3)
		return fail(EINTR);
	size_t most = 1 + call * 37 % 100;
	if (*len > most)
		*len = most;
	return 0;
}

int recvmmsg(int fd, struct mmsghdr *messages, unsigned n, int flags, struct timespec *timeout)
{
	static int (*real)(int, struct mmsghdr *, unsigned, int, struct timespec *);
	static atomic_uint calls;
	static const int errors[] = { EAGAIN, ENOBUFS, 0, EINTR, ENOMEM, 0 };
	if (!real)
		real = (int (*)(int, struct mmsghdr *, unsigned, int, struct timespec *))dlsym(RTLD_NEXT,
		                                                                               "recvmmsg");
	if (wants("recv")) {
		int error = errors[atomic_fetch_add(&calls, 1) % 6];
		if (error)
			return fail(error);
	}
	if (wants("dead") && atomic_fetch_add(&calls, 1) < DEAD_CALLS_N)
		return fail(EIO);
	return real(fd, messages, n, flags, timeout);
}

int sendmmsg(int fd, struct mmsghdr *messages, unsigned n, int flags)
{
	static int (*real)(int, struct mmsghdr *, unsigned, int);
	static atomic_uint calls;
	/* The second of two EAGAIN loses an answer, ENOBUFS one each. */
	static const int errors[] = { 0, EAGAIN, 0, ENOBUFS, 0, EINTR, 0, EAGAIN, EAGAIN, 0 };
	if (!real)
		real = (int (*)(int, struct mmsghdr *, unsigned, int))dlsym(RTLD_NEXT, "sendmmsg");
	if (wants("send")) {
		int error = errors[atomic_fetch_add(&calls, 1) % 10];
		if (error)
			return fail(error);
		n = n > 1 ? 1 : n;
	}
	return real(fd, messages, n, flags);
}

ssize_t read(int fd, void *data, size_t len)
{
	static ssize_t (*real)(int, void *, size_t);
	static atomic_uint calls;
	static atomic_uint bits;
	if (!real)
		real = (ssize_t(*)(int, void *, size_t))dlsym(RTLD_NEXT, "read");
	if (shorten(fd, &calls, 3, &len) < 0 || split(fd, "read", &bits, &len) < 0)
		return -1;
	return real(fd, data, len);
}

ssize_t write(int fd, const void *data, size_t len)
{
	static ssize_t (*real)(int, const void *, size_t);
	static atomic_uint calls;
	static atomic_uint bits;
	if (!real)
		real = (ssize_t(*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");
	if (shorten(fd, &calls, 7, &len) < 0 || split(fd, "written", &bits, &len) < 0)
		return -1;
	return real(fd, data, len);
}

static ssize_t pread_as(const char *name, int fd, void *data, size_t len, off_t off)
{
	static atomic_uint bits;
	ssize_t (*real)(int, void *, size_t, off_t) =
	        (ssize_t(*)(int, void *, size_t, off_t))dlsym(RTLD_NEXT, name);
	return split(fd, "read", &bits, &len) < 0 ? -1 : real(fd, data, len, off);
}

ssize_t pread(int fd, void *data, size_t len, off_t off)
{
	return pread_as("pread", fd, data, len, off);
}

ssize_t pread64(int fd, void *data, size_t len, off_t off)
{
	return pread_as("pread64", fd, data, len, off);
}

ssize_t writev(int fd, const struct iovec *parts, int n)
{
	static ssize_t (*real)(int, const struct iovec *, int);
	if (!real)
		real = (ssize_t(*)(int, const struct iovec *, int))dlsym(RTLD_NEXT, "writev");
	if (wants("short") && is_tcp(fd) && n > 0)
		return write(fd, parts[0].iov_base, parts[0].iov_len);
	return real(fd, parts, n);
}

int close(int fd)
{
	static int (*real)(int);
	int type = 0;
	socklen_t type_len = sizeof(type);
	if (!real)
		real = (int (*)(int))dlsym(RTLD_NEXT, "close");
	bool is_socket = wants("reuse") && getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_len) == 0;
	int rc = real(fd);
	if (!is_socket)
		return rc;
	int file = memfd_create("reused", MFD_CLOEXEC);
	if (file != fd) {
		dup3(file, fd, O_CLOEXEC);
		real(file);
	}
	fprintf(stderr, "faults: socket %d is a file now\n", fd);
	return rc;
}

int epoll_ctl(int epoll_fd, int op, int fd, struct epoll_event *event)
{
	static int (*real)(int, int, int, struct epoll_event *);
	static atomic_uint calls;
	if (!real)
		real = (int (*)(int, int, int, struct epoll_event *))dlsym(RTLD_NEXT, "epoll_ctl");
	if (op == EPOLL_CTL_ADD && wants("watch") && is_of(fd, 0x7f000009) &&
	    atomic_fetch_add(&calls, 1) < WATCH_CALLS_N)
		return fail(ENOSPC);
	int rc = real(epoll_fd, op, fd, event);
	if (rc < 0 && errno == EPERM && wants("reuse")) {
		fprintf(stderr, "faults: epoll_ctl(%d) of %d, which is a file\n", op, fd);
		errno = EPERM;
	}
	return rc;
}

static void hang(const char *path)
{
	static const struct timespec step = { .tv_nsec = 5000000 };
	char sign[PATH_MAX];
	if (!wants("hang") || snprintf(sign, sizeof(sign), "%s.hangs", path) >= (int)sizeof(sign) ||
	    access(sign, F_OK) < 0)
		return;
	fprintf(stderr, "faults: open of %s hangs\n", path);
	while (access(sign, F_OK) == 0)
		nanosleep(&step, NULL);
}

static bool is_poor(const char *path)
{
	char sign[PATH_MAX];
	return wants("poor") && snprintf(sign, sizeof(sign), "%s.poor", path) < (int)sizeof(sign) &&
	       access(sign, F_OK) == 0;
}

/* Only some calls have a mode. */
static int open_as(const char *name, const char *path, int flags, va_list more)
{
	int (*real)(const char *, int, ...) = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, name);
	mode_t mode = flags & O_CREAT ? va_arg(more, mode_t) : 0;
	hang(path);
	if (is_poor(path))
		return fail(ENOMEM);
	return real(path, flags, mode);
}

int open(const char *path, int flags, ...)
{
	va_list more;
	va_start(more, flags);
	int fd = open_as("open", path, flags, more);
	va_end(more);
	return fd;
}

int open64(const char *path, int flags, ...)
{
	va_list more;
	va_start(more, flags);
	int fd = open_as("open64", path, flags, more);
	va_end(more);
	return fd;
}

int inotify_init1(int flags)
{
	static int (*real)(int);
	static atomic_uint calls;
	if (!real)
		real = (int (*)(int))dlsym(RTLD_NEXT, "inotify_init1");
	if (wants("inotify") && atomic_fetch_add(&calls, 1) < INOTIFY_CALLS_N)
		return fail(EMFILE);
	return real(flags);
}

/* What is called NAME.late in this folder is called NAME from here on. */
static void rename_late(const char *folder)
{
	DIR *entries = opendir(folder);
	if (!entries)
		return;
	for (struct dirent *entry; (entry = readdir(entries));) {
		size_t len = strlen(entry->d_name);
		if (len > 5 && strcmp(entry->d_name + len - 5, ".late") == 0) {
			char name[NAME_MAX + 1];
			snprintf(name, sizeof(name), "%.*s", (int)(len - 5), entry->d_name);
			(void)renameat(dirfd(entries), entry->d_name, dirfd(entries), name);
		}
	}
	closedir(entries);
}

int inotify_add_watch(int fd, const char *path, uint32_t mask)
{
	static int (*real)(int, const char *, uint32_t);
	if (!real)
		real = (int (*)(int, const char *, uint32_t))dlsym(RTLD_NEXT, "inotify_add_watch");
	if (wants("late"))
		rename_late(path);
	return real(fd, path, mask);
}
