/*
 * Inside dnsdctl: requests and who answers them.
 *
 *     command line ──main.c──> request ─┬─ control.c ──socket──> dnsd ─┐
 *                                       └─ offline.c ──> inspect ──────┴─> response
 *     response ──print.c──> tables or JSON
 */
#ifndef TOOLS_DNSDCTL_DNSDCTL_H
#define TOOLS_DNSDCTL_DNSDCTL_H

#include <jansson.h>
#include <stdbool.h>

enum exit_status { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_NOT_RUNNING = 3 };

struct control;

/** Connect to a running dnsd. Returns an exit status, what is wrong being told. */
int control_open(const char *path, unsigned timeout_s, struct control **ret_control);
void control_close(struct control *control);
/** Send a request and wait for its response; NULL when it does not come (told). */
json_t *control_ask(struct control *control, const json_t *request);

struct offline;

/** Load a configuration as the daemon would. NULL: told on standard error. */
struct offline *offline_open(const char *conf_path);
void offline_close(struct offline *offline);
json_t *offline_ask(struct offline *offline, const json_t *request);
/** checkconf: returns an exit status. */
int offline_check(const char *conf_path);

/** Put a value on standard output as text, whole or not at all: false is for no memory (told). What can't be
 * written main() sees at the end. */
bool print_json(const json_t *value, size_t flags);

/**
 * Print a response: as JSON, or for people, in the way of the command. Errors and warnings go to standard
 * error. Returns an exit status.
 */
int print_response(const char *command, const json_t *response, bool json);

#endif
