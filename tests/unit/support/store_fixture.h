/*
 * store_fixture: small zones and pools built from text, for tests of answer_query() without files.
 */
#ifndef TESTS_UNIT_SUPPORT_STORE_FIXTURE_H
#define TESTS_UNIT_SUPPORT_STORE_FIXTURE_H

#include <stdint.h>

#include "answer/answer.h"
#include "answer/data.h"

struct fixture {
	struct answer_store *store;
	struct answer_pools *pools;
	struct geo_map *geo;
	struct answer_data data;
	struct answer_state *state;
};

/* The time in RFC 9018 appendix A.2, whose secret makes the cookies of every fixture. */
#define FIXTURE_NOW_S 1559734385

#define FIXTURE_REQUEST_MAX 1024

/* Slots of the pools in every fixture. */
enum {
	FIXTURE_SLOT_COUNTRY,
	FIXTURE_SLOT_NEAREST,
	FIXTURE_SLOT_VERSION,
	FIXTURE_SLOT_BIG,
	FIXTURE_SLOT_FAIL,
	FIXTURE_SLOTS_N
};

/**
 * The zones are "example.net" (zone_text) and, when child_text is given, "child.example.net". In example.net:
 * db.de (4 mirrors, one of weight 3 in slot order), db.local (by country: 127.1/16 US, 127.2/16 DE, rest
 * unknown), current.cvd TXT, db.big (all of 40 mirrors), ping, broken.cvd TXT (no source),
 * whoami (for 127.2.0.0/16 and ::1). The serial of example.net is 7, whatever its text says. Fails the test
 * when something can't be built.
 */
void fixture_init(struct fixture *fixture, const char *zone_text, const char *child_text);
void fixture_fini(struct fixture *fixture);

/** The same in memory of its own, for cmocka: a setup function puts it into *state, this frees it. */
struct fixture *fixture_create(const char *zone_text, const char *child_text);
int fixture_teardown(void **state);

/** Ask over UDP with an EDNS size (0 = no OPT) from 127.2.0.1. Returns the answer's length. */
size_t fixture_ask(struct fixture *fixture, const char *name, uint16_t type, uint16_t edns_size,
                   uint8_t *resp);
/** A question with all that can be said of it. Fields of zero: class IN, no OPT, from 127.2.0.1, over UDP. */
struct fixture_question {
	const char *name; /* NULL = a message without a question */
	uint16_t type;
	uint16_t class;
	uint16_t edns_size;
	const uint8_t *options; /* [options_len] RDATA of the OPT record */
	size_t options_len;
	const struct sockaddr *peer;
	enum transport transport;
};
/** The message alone. Returns its length. */
size_t fixture_make_request(const struct fixture_question *question, uint8_t req[FIXTURE_REQUEST_MAX]);
/** resp has ANSWER_TCP_MAX bytes for TCP and TLS, else ANSWER_UDP_MAX. */
size_t fixture_send(struct fixture *fixture, const struct fixture_question *question, uint8_t *resp);

/** The answer as ldns prints it, without comments on time and size; the caller frees. */
char *fixture_ask_text(struct fixture *fixture, const char *name, uint16_t type);

#endif
