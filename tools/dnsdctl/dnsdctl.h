/*
 * Commands of dnsdctl. Each prints its result on standard output, what is wrong on standard error, and
 * returns the exit status.
 */
#ifndef TOOLS_DNSDCTL_DNSDCTL_H
#define TOOLS_DNSDCTL_DNSDCTL_H

enum exit_status { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

struct query_options {
	const char *conf_path;
	const char *name;
	const char *type; /* "AAAA", "TYPE65400" */
	const char *from; /* source address */
	const char *ecs;  /* "192.0.2.0/24"; NULL = no client subnet option */
};

int command_checkconf(const char *conf_path);
int command_query(const struct query_options *options);
int command_geo_lookup(const char *conf_path, const char *addr);

#endif
