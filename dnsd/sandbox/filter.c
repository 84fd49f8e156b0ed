#include "sandbox/filter.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sandbox/filter_int.h"

struct filter {
	struct sock_fprog program;
	struct sock_filter code[];
};

static int add_rule(scmp_filter_ctx context, const struct filter_rule *rule)
{
	int number = seccomp_syscall_resolve_name(rule->call.name);
	if (number == __NR_SCMP_ERROR)
		return 0; /* too new for this libseccomp */
	struct scmp_arg_cmp limit = {
		.arg = rule->argument,
		.op = SCMP_CMP_MASKED_EQ,
		.datum_a = rule->mask,
		.datum_b = rule->value,
	};
	int rc = seccomp_rule_add_array(context, SCMP_ACT_ALLOW, number, rule->is_limited ? 1 : 0, &limit);
	/* One that this machine's kernel does not have (a 64-bit ARM has no open), or listed before without a
	 * limit. */
	return rc == -EDOM || rc == -EEXIST ? 0 : rc;
}

static int add_list(scmp_filter_ctx context, const struct filter_list *list)
{
	int rc = 0;
	for (size_t i = 0; i < list->rules_n && rc == 0; i++)
		rc = add_rule(context, &list->rules[i]);
	return rc;
}

static int add_denials(scmp_filter_ctx context)
{
	int rc = 0;
	for (size_t i = 0; filter__kill_names[i] && rc == 0; i++) {
		int number = seccomp_syscall_resolve_name(filter__kill_names[i]);
		rc = seccomp_rule_add_array(context, SCMP_ACT_KILL_PROCESS, number, 0, NULL);
		if (rc == -EDOM)
			rc = 0;
	}
	/* What clone3 is asked for stands in memory, where a filter can't look. Without it libc takes clone.
	 */
	int clone3 = seccomp_syscall_resolve_name("clone3");
	if (rc == 0 && clone3 != __NR_SCMP_ERROR)
		rc = seccomp_rule_add_array(context, SCMP_ACT_ERRNO(ENOSYS), clone3, 0, NULL);
	return rc;
}

/* libseccomp 2.5 writes to a file only. */
static int export_code(scmp_filter_ctx context, struct filter **ret_filter)
{
	int fd = memfd_create("filter", MFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	int rc = seccomp_export_bpf(context, fd);
	struct stat st = { 0 };
	if (rc == 0 && fstat(fd, &st) < 0)
		rc = -errno;
	size_t bytes = (size_t)st.st_size;
	struct filter *filter = NULL;
	if (rc == 0) {
		filter = malloc(sizeof(*filter) + bytes);
		if (!filter)
			rc = -ENOMEM;
		else if (pread(fd, filter->code, bytes, 0) != (ssize_t)bytes)
			rc = -EIO;
	}
	close(fd);
	if (rc < 0 || !filter) {
		free(filter);
		return rc < 0 ? rc : -EIO;
	}
	filter->program.len = (unsigned short)(bytes / sizeof(filter->code[0]));
	filter->program.filter = filter->code;
	*ret_filter = filter;
	return 0;
}

int filter_create(enum filter_kind kind, enum filter_mode mode, struct filter **ret_filter)
{
	uint32_t action = SECCOMP_RET_ERRNO;
	if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) < 0)
		return -ENOSYS;
	scmp_filter_ctx context = seccomp_init(mode == FILTER_ON ? SCMP_ACT_ERRNO(EPERM) : SCMP_ACT_LOG);
	if (!context)
		return -ENOMEM;
	/* The 32-bit calls of a 64-bit machine: no compiler of ours makes them. */
	int rc = seccomp_attr_set(context, SCMP_FLTATR_ACT_BADARCH,
	                          mode == FILTER_ON ? SCMP_ACT_KILL_PROCESS : SCMP_ACT_LOG);
	if (rc == 0)
		rc = seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a tree, not a row */
	if (rc == 0 && mode == FILTER_ON)
		rc = add_denials(context);
	/* Before the lists: what a sanitizer needs without a limit is not limited. */
	if (rc == 0)
		rc = add_list(context, &filter__sanitizer_list);
	if (rc == 0 && kind == FILTER_MAIN)
		rc = add_list(context, &filter__main_list);
	if (rc == 0)
		rc = add_list(context, &filter__worker_list);
	if (rc == 0)
		rc = export_code(context, ret_filter);
	seccomp_release(context);
	return rc;
}

void filter_destroy(struct filter *filter)
{
	free(filter);
}

int filter_install(const struct filter *filter)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_LOG, &filter->program) < 0
	               ? -errno
	               : 0;
}

static const char *const mode_words[] = { [FILTER_OFF] = "off", [FILTER_LOG] = "log", [FILTER_ON] = "on" };

const char *filter_mode_text(enum filter_mode mode)
{
	return mode_words[mode];
}

int filter_mode_parse(const char *text, enum filter_mode *ret_mode)
{
	for (size_t i = 0; i < sizeof(mode_words) / sizeof(mode_words[0]); i++) {
		if (strcmp(text, mode_words[i]) == 0) {
			*ret_mode = (enum filter_mode)i;
			return 0;
		}
	}
	return -EINVAL;
}

const struct filter_call *filter_call_at(enum filter_kind kind, size_t number)
{
	const struct filter_list *lists[] = { &filter__worker_list, &filter__main_list,
		                              &filter__sanitizer_list };
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		if (i == 1 && kind != FILTER_MAIN)
			continue;
		if (number < lists[i]->rules_n)
			return &lists[i]->rules[number].call;
		number -= lists[i]->rules_n;
	}
	return NULL;
}

void filter_print(int fd)
{
	static const char *const kinds[FILTER_KINDS] = { [FILTER_WORKER] = "worker", [FILTER_MAIN] = "main" };
	for (int kind = 0; kind < FILTER_KINDS; kind++) {
		const struct filter_call *call;
		for (size_t i = 0; (call = filter_call_at((enum filter_kind)kind, i)); i++)
			dprintf(fd, "%s\t%s\t%s\t%s\n", kinds[kind], call->name,
			        *call->limit ? call->limit : "-", call->why);
	}
	for (size_t i = 0; filter__kill_names[i]; i++)
		dprintf(fd, "killed\t%s\t-\tno library does this by accident\n", filter__kill_names[i]);
}
