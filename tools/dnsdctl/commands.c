#include "tools/dnsdctl/dnsdctl.h"

#include <ldns/ldns.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "answer/answer.h"
#include "load/load.h"
#include "wire/name.h"
#include "wire/wire.h"

static void print_diag(const struct diag *diag)
{
	static const char *const word[] = { "error", "warning", "info" };
	for (size_t i = 0; i < diag->messages_n; i++)
		fprintf(stderr, "%s: %s\n", word[diag->messages[i].level], diag->messages[i].text);
	if (diag->suppressed_n)
		fprintf(stderr, "and %zu more\n", diag->suppressed_n);
}

/* Load a configuration as the daemon would. NULL: told on standard error. */
static struct load *load_or_tell(const char *conf_path, struct snap **ret_snap)
{
	struct diag diag;
	diag_init(&diag);
	struct load *load = NULL;
	int rc = load_create(conf_path, NULL, &diag, &load);
	if (rc == 0)
		rc = load_make_snap(load, 1, NULL, (uint64_t)time(NULL), ret_snap);
	print_diag(&diag);
	if (rc < 0) {
		fprintf(stderr, "%s: %zu errors\n", conf_path, diag.errors_n);
		load_destroy(load);
		load = NULL;
	}
	diag_fini(&diag);
	return load;
}

int command_checkconf(const char *conf_path)
{
	struct snap *snap = NULL;
	struct load *load = load_or_tell(conf_path, &snap);
	if (!load)
		return EXIT_FAILED;
	char text[1024];
	load_describe(load, text, sizeof(text));
	printf("%s: fine: %s\n", conf_path, text);
	snap_destroy(snap);
	load_destroy(load);
	return EXIT_DONE;
}

/* A request as a resolver sends it, with EDNS. Returns its length, 0 when the name or subnet is wrong (told).
 */
static size_t make_request(const struct query_options *options, uint8_t *req)
{
	uint8_t name[WIRE_NAME_MAX];
	int name_len = name_from_text(options->name, NULL, 0, name);
	ldns_rr_type type = ldns_get_rr_type_by_name(options->type);
	if (name_len < 0) {
		fprintf(stderr, "dnsdctl: \"%s\" is no domain name\n", options->name);
		return 0;
	}
	if (type == 0) {
		fprintf(stderr, "dnsdctl: \"%s\" is no record type; write A, AAAA, TXT, TYPE65400 ...\n",
		        options->type);
		return 0;
	}
	memset(req, 0, WIRE_HEADER_LEN);
	req[5] = 1;
	req[11] = 1;
	uint8_t *at = req + WIRE_HEADER_LEN;
	memcpy(at, name, (size_t)name_len);
	at += name_len;
	wire_put16(at, (uint16_t)type);
	wire_put16(at + 2, WIRE_CLASS_IN);
	at += 4;
	memset(at, 0, WIRE_OPT_LEN);
	wire_put16(at + 1, WIRE_TYPE_OPT);
	wire_put16(at + 3, ANSWER_UDP_MAX);
	uint8_t *options_len = at + 9;
	at += WIRE_OPT_LEN;
	if (options->ecs) {
		struct prefix prefix;
		if (prefix_parse(options->ecs, &prefix) < 0) {
			fprintf(stderr, "dnsdctl: \"%s\" is no prefix; write something like 192.0.2.0/24\n",
			        options->ecs);
			return 0;
		}
		size_t addr_len = (prefix.len + 7U) / 8;
		wire_put16(options_len, (uint16_t)(8 + addr_len));
		wire_put16(at, WIRE_OPTION_ECS);
		wire_put16(at + 2, (uint16_t)(4 + addr_len));
		wire_put16(at + 4, prefix.addr.family == 4 ? 1 : 2);
		at[6] = prefix.len;
		at[7] = 0;
		memcpy(at + 8, prefix.addr.bytes, addr_len);
		at += 8 + addr_len;
	}
	return (size_t)(at - req);
}

int command_query(const struct query_options *options)
{
	uint8_t req[512];
	struct sockaddr_storage peer;
	size_t req_len = make_request(options, req);
	if (req_len == 0)
		return EXIT_USAGE;
	if (addr_parse_listen(options->from, 53, &peer) < 0) {
		fprintf(stderr, "dnsdctl: \"%s\" is no address\n", options->from);
		return EXIT_USAGE;
	}
	struct snap *snap = NULL;
	struct load *load = load_or_tell(options->conf_path, &snap);
	if (!load)
		return EXIT_FAILED;
	int status = EXIT_FAILED;
	struct answer_state *state = calloc(1, sizeof(*state));
	uint8_t *resp = malloc(ANSWER_TCP_MAX);
	ldns_pkt *pkt = NULL;
	if (state && resp) {
		/* Over TCP, so that nothing is cut off. */
		struct client client = { .peer = (const struct sockaddr *)&peer, .transport = TRANSPORT_TCP };
		size_t len = answer_query(&snap->data, &client, req, req_len, resp, ANSWER_TCP_MAX, state);
		if (len && ldns_wire2pkt(&pkt, resp, len) == LDNS_STATUS_OK) {
			ldns_pkt_print(stdout, pkt);
			status = EXIT_DONE;
		}
	}
	ldns_pkt_free(pkt);
	free(resp);
	free(state);
	snap_destroy(snap);
	load_destroy(load);
	return status;
}

int command_geo_lookup(const char *conf_path, const char *text)
{
	struct addr addr;
	if (addr_parse(text, &addr) < 0) {
		fprintf(stderr, "dnsdctl: \"%s\" is no address\n", text);
		return EXIT_USAGE;
	}
	struct snap *snap = NULL;
	struct load *load = load_or_tell(conf_path, &snap);
	if (!load)
		return EXIT_FAILED;
	struct geo_match match;
	geo_map_find(load->geo, &addr, &match);
	char country[3];
	country_to_code(match.country, country);
	struct prefix prefix = { .addr = addr, .len = match.prefix_len };
	for (unsigned bit = match.prefix_len; bit < (addr.family == 4 ? 32U : 128U); bit++)
		prefix.addr.bytes[bit / 8] &= (uint8_t) ~(0x80U >> (bit % 8));
	char network[ADDR_TEXT_MAX];
	printf("%s %s %s\n", text, country, prefix_format(&prefix, network, sizeof(network)));
	snap_destroy(snap);
	load_destroy(load);
	return EXIT_DONE;
}
