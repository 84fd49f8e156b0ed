/* What threads may ask of the kernel, and why. docs/sandbox.md shows these lists; t93 compares it with them.
 */
#include <fcntl.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "sandbox/filter_int.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define CALL(name_, why_)                                                                                    \
	{                                                                                                    \
		.call = { #name_, "", why_ }                                                                 \
	}
#define LIMITED(name_, limit_, argument_, mask_, value_, why_)                                               \
	{                                                                                                    \
		.call = { #name_, limit_, why_ }, .is_limited = true, .argument = (argument_),               \
		.mask = (mask_), .value = (value_)                                                           \
	}
#define ALL_BITS UINT64_MAX
/* Arguments that are an int may have anything in their upper half. */
#define INT_BITS UINT32_MAX

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HAS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define HAS_SANITIZER 1
#endif
#endif

static const struct filter_rule worker_rules[] = {
	CALL(recvmmsg, "requests over UDP"),
	LIMITED(sendmmsg, "no TCP fast open", 3, MSG_FASTOPEN, 0, "answers over UDP"),
	CALL(accept4, "TCP connections"),
	CALL(read, "TCP; the wake-up of the loop"),
	CALL(readv, "TCP"),
	CALL(recvfrom, "TCP and TLS"),
	CALL(recvmsg, "TCP and TLS"),
	CALL(write, "TCP; waking the main thread"),
	CALL(writev, "TCP"),
	LIMITED(sendto, "no TCP fast open", 3, MSG_FASTOPEN, 0, "TCP and TLS"),
	LIMITED(sendmsg, "no TCP fast open", 2, MSG_FASTOPEN, 0, "TCP and TLS"),
	CALL(shutdown, "the end of a TCP connection"),
	CALL(close, "sockets"),
	CALL(getpeername, "who has connected"),
	CALL(getsockname, "libuv, of the sockets it is given"),
	CALL(getsockopt, "libuv, of the sockets it is given"),
	CALL(setsockopt, "no delay on TCP connections"),
	CALL(listen, "TCP sockets that somebody has ended"),
	LIMITED(ioctl, "FIONBIO", 1, INT_BITS, FIONBIO, "libuv, of the sockets it is given"),
	LIMITED(ioctl, "FIONREAD", 1, INT_BITS, FIONREAD, "a restart: has a connection anything to read"),
	LIMITED(fcntl, "F_GETFL", 1, INT_BITS, F_GETFL, "libuv, of the sockets it is given"),
	LIMITED(fcntl, "F_SETFL", 1, INT_BITS, F_SETFL, "libuv, of the sockets it is given"),
	LIMITED(fcntl, "F_GETFD", 1, INT_BITS, F_GETFD, "libuv, of the sockets it is given"),
	LIMITED(fcntl, "F_SETFD", 1, INT_BITS, F_SETFD, "libuv, of the sockets it is given"),
	LIMITED(openat, "for reading", 2, INT_BITS, O_RDONLY | O_CLOEXEC,
	        "libuv, when there are no file descriptors left: it gives up a spare one, and wants it back"),
	CALL(epoll_wait, "the loop"),
	CALL(epoll_pwait, "the loop"),
	CALL(epoll_pwait2, "the loop"),
	CALL(epoll_ctl, "the loop"),
	CALL(futex, "locks, the end of a thread"),
	CALL(sched_yield, "locks"),
	CALL(clock_gettime, "time, where the kernel does not give it without a call"),
	CALL(gettimeofday, "time, where the kernel does not give it without a call"),
	CALL(getrandom, "cookies, TLS"),
	CALL(getpid, "TLS: random numbers are not those of another process"),
	LIMITED(mmap, "not executable", 2, PROT_EXEC, 0, "memory"),
	LIMITED(mprotect, "not executable", 2, PROT_EXEC, 0, "memory"),
	CALL(munmap, "memory"),
	CALL(mremap, "memory"),
	CALL(madvise, "memory"),
	CALL(brk, "memory"),
	CALL(rt_sigprocmask, "the end of a thread"),
	CALL(rt_sigreturn, "the end of a signal handler"),
	CALL(restart_syscall, "the kernel's own, after SIGCONT"),
	CALL(exit, "the end of a thread"),
	CALL(exit_group, "the end of the process"),
};

static const struct filter_rule main_rules[] = {
	CALL(open, "files of the configuration, zones, feeds, state"),
	CALL(openat, "files of the configuration, zones, feeds, state"),
	CALL(lseek, "files"),
	CALL(pread64, "files"),
	CALL(fstat, "files"),
	CALL(stat, "files"),
	CALL(lstat, "files"),
	CALL(newfstatat, "files"),
	CALL(statx, "files"),
	CALL(access, "files"),
	CALL(faccessat, "files"),
	CALL(faccessat2, "files"),
	CALL(readlink, "paths"),
	CALL(readlinkat, "paths"),
	CALL(getcwd, "paths"),
	CALL(getdents64, "conf.d, directories of .cvd files, the state directory"),
	CALL(fcntl, "files and sockets"),
	CALL(fsync, "what is kept over a restart"),
	CALL(fdatasync, "what is kept over a restart"),
	CALL(ftruncate, "the journal"),
	CALL(rename, "what is kept over a restart"),
	CALL(renameat, "what is kept over a restart"),
	CALL(renameat2, "what is kept over a restart"),
	CALL(unlink, "old journals; the control socket"),
	CALL(unlinkat, "old journals; the control socket"),
	CALL(umask, "the control socket is made for its group only"),
	CALL(chown, "the group of the control socket"),
	CALL(fchownat, "the group of the control socket"),
	CALL(memfd_create, "a copy of the geo database that nobody else can change"),
	CALL(inotify_init1, "noticing new feeds, databases"),
	CALL(inotify_add_watch, "noticing new feeds, databases"),
	CALL(inotify_rm_watch, "noticing new feeds, databases"),
	CALL(timerfd_create, "the wall clock"),
	CALL(timerfd_settime, "the wall clock"),
	CALL(eventfd2, "waking a loop"),
	CALL(pipe2, "waking a loop"),
	CALL(epoll_create1, "a loop"),
	CALL(poll, "libuv, libmicrohttpd"),
	CALL(ppoll, "libuv, libmicrohttpd"),
	LIMITED(socket, "AF_INET", 0, INT_BITS, AF_INET, "new listeners, at a reload"),
	LIMITED(socket, "AF_INET6", 0, INT_BITS, AF_INET6, "new listeners, at a reload"),
	LIMITED(socket, "AF_UNIX", 0, INT_BITS, AF_UNIX, "the control socket, messages to systemd"),
	LIMITED(socketpair, "AF_UNIX", 0, INT_BITS, AF_UNIX, "a restart: the way to the new process"),
	CALL(bind, "new listeners, at a reload"),
	CALL(ioctl, "libuv"),
	LIMITED(clone, "threads only", 0, CLONE_THREAD, CLONE_THREAD, "the pool of background threads"),
	CALL(set_robust_list, "the beginning of a thread"),
	CALL(rseq, "the beginning of a thread"),
	CALL(set_tid_address, "the beginning of a thread"),
	CALL(prctl, "the name of a thread"),
	CALL(sched_getaffinity, "how many cores there are"),
	CALL(prlimit64, "the size of a stack"),
	CALL(rt_sigaction, "signals"),
	CALL(sigaltstack, "signals"),
	CALL(kill, "a restart: signals are passed on to the new process"),
	CALL(tgkill, "abort()"),
	CALL(gettid, "abort()"),
	CALL(getuid, "names of users"),
	CALL(geteuid, "names of users"),
	CALL(getgid, "names of groups"),
	CALL(getegid, "names of groups"),
	CALL(getgroups, "names of groups"),
	CALL(uname, "the name of the host"),
	CALL(sysinfo, "qsort() asks how much memory there is"),
	CALL(clock_getres, "time"),
	CALL(clock_nanosleep, "time"),
	CALL(nanosleep, "time"),
};

const struct filter_list filter__worker_list = { worker_rules, COUNT(worker_rules) };
const struct filter_list filter__main_list = { main_rules, COUNT(main_rules) };

#ifdef HAS_SANITIZER
static const struct filter_rule sanitizer_rules[] = {
	CALL(mmap, "sanitizer"),
	CALL(mprotect, "sanitizer"),
	CALL(openat, "sanitizer"),
	CALL(open, "sanitizer"),
	CALL(fstat, "sanitizer"),
	CALL(stat, "sanitizer"),
	CALL(newfstatat, "sanitizer"),
	CALL(readlink, "sanitizer"),
	CALL(readlinkat, "sanitizer"),
	CALL(lseek, "sanitizer"),
	CALL(access, "sanitizer"),
	CALL(pipe, "sanitizer"),
	CALL(pipe2, "sanitizer"),
	CALL(dup2, "sanitizer"),
	CALL(clone, "sanitizer"),
	CALL(fork, "sanitizer"),
	CALL(vfork, "sanitizer"),
	CALL(execve, "sanitizer"),
	CALL(wait4, "sanitizer"),
	CALL(ptrace, "sanitizer"),
	CALL(prctl, "sanitizer"),
	CALL(getdents64, "sanitizer"),
	CALL(getdents, "sanitizer"),
	CALL(sigaltstack, "sanitizer"),
	CALL(rt_sigaction, "sanitizer"),
	CALL(tgkill, "sanitizer"),
	CALL(kill, "sanitizer"),
	CALL(getpid, "sanitizer"),
	CALL(gettid, "sanitizer"),
	CALL(getppid, "sanitizer"),
	CALL(prlimit64, "sanitizer"),
	CALL(fcntl, "sanitizer"),
	CALL(getrlimit, "sanitizer"),
	CALL(uname, "sanitizer"),
	CALL(nanosleep, "sanitizer"),
	CALL(clock_nanosleep, "sanitizer"),
	CALL(arch_prctl, "sanitizer"),
	CALL(mincore, "sanitizer"),
	CALL(poll, "sanitizer"),
	CALL(getrusage, "sanitizer"),
	CALL(personality, "sanitizer"),
	CALL(process_vm_readv, "sanitizer"),
	CALL(set_robust_list, "sanitizer"),
	CALL(rseq, "sanitizer"),
	CALL(sched_getaffinity, "sanitizer"),
	CALL(sysinfo, "sanitizer"),
	CALL(waitid, "sanitizer"),
	CALL(getcwd, "sanitizer"),
	CALL(ioctl, "sanitizer"),
	CALL(socketpair, "sanitizer"),
	CALL(unlink, "sanitizer"),
	CALL(ftruncate, "sanitizer"),
};
const struct filter_list filter__sanitizer_list = { sanitizer_rules, COUNT(sanitizer_rules) };
const char *const filter__kill_names[] = { NULL };
#else
const struct filter_list filter__sanitizer_list = { NULL, 0 };
const char *const filter__kill_names[] = {
	"execve", "execveat", "fork", "vfork", "ptrace", "process_vm_readv", "process_vm_writev", NULL,
};
#endif
