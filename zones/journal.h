/*
 * journal: records kept on disk, one JSON object a line, for ever but for a limit.
 *
 *     journal.jsonl    the one being written        when it is full: renamed to .1, .1 to .2, ...
 *     journal.jsonl.1  the one before               each begins with base records (zones/history.h)
 *
 * A line that was cut off by a crash is taken away when the journal is opened again: nobody had been told
 * that it was written.
 */
#ifndef ZONES_JOURNAL_H
#define ZONES_JOURNAL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/diag.h"

struct journal;

/** Open or create the journal of a directory. Returns 0 or negative errno. */
int journal_open(const char *directory, size_t max_bytes, unsigned files_n, struct journal **ret_journal);
void journal_close(struct journal *journal);

/**
 * Append an array of records and wait until they are on disk. All or nothing: on failure (disk full) the
 * journal is as it was. Returns 0 or negative errno.
 */
int journal_append(struct journal *journal, const json_t *records);

/** Is the file still the one of its name? Somebody may have removed it, or its directory. */
bool journal_is_there(const struct journal *journal);

/** Is it time for a new file? */
bool journal_is_full(const struct journal *journal);
/** Set the file aside and begin a new one; the caller writes base records to it. Returns 0 or negative errno,
 * the journal going on in the old file then. */
int journal_rotate(struct journal *journal);

/**
 * Read records in the order they were written, beginning with the last file that has a base of from_s or
 * before. each() gets a borrowed object and returns false to stop. Lines that are no JSON are told and
 * stepped over. Returns 0; -EAGAIN when the journal was set aside meanwhile, so that records may be missing:
 * read again; another negative errno when there is no journal (told in diag).
 */
int journal_read(const char *directory, uint64_t from_s, bool (*each)(const json_t *record, void *context),
                 void *context, struct diag *diag);

#endif
