#include "net/proxy.h"

#include <string.h>

#include "base/addr.h"
#include "wire/wire.h"

#define FIXED_LEN     16 /* before the addresses */
#define TLV_FIXED_LEN 3  /* type 1, length 2 */
#define TLV_CRC32C    0x03

enum { COMMAND_LOCAL, COMMAND_PROXY };
enum { FAMILY_UNSPEC, FAMILY_INET, FAMILY_INET6, FAMILY_UNIX };
enum { PROTOCOL_UNSPEC, PROTOCOL_STREAM, PROTOCOL_DGRAM };

static const uint8_t signature[12] = "\r\n\r\n\0\r\nQUIT\n";

/* CRC32c (RFC 9260 appendix A), half a byte a step, from where crc stands. */
static uint32_t crc32c(uint32_t crc, const uint8_t *data, size_t len)
{
	static const uint32_t steps[16] = {
		0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3,
		0x61c69362, 0x7198540d, 0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
		0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
	};
	for (size_t i = 0; i < len; i++) {
		crc ^= data[i];
		crc = crc >> 4 ^ steps[crc & 15];
		crc = crc >> 4 ^ steps[crc & 15];
	}
	return crc;
}

/* Section 2.2.3: over the whole header, the checksum's own bytes taken as zero. */
static bool checksum_is_right(const uint8_t *header, size_t len, const uint8_t *value)
{
	static const uint8_t zero[4];
	const uint8_t *after = value + sizeof(zero);
	uint32_t crc = crc32c(0xffffffff, header, (size_t)(value - header));
	crc = crc32c(crc, zero, sizeof(zero));
	crc = crc32c(crc, after, (size_t)(header + len - after));
	return ~crc == wire_get32(value);
}

static bool tlvs_are_good(const uint8_t *header, size_t len, size_t at)
{
	const uint8_t *checksum = NULL;
	while (at < len) {
		if (len - at < TLV_FIXED_LEN)
			return false;
		size_t value_len = wire_get16(header + at + 1);
		const uint8_t *value = header + at + TLV_FIXED_LEN;
		if (len - at - TLV_FIXED_LEN < value_len)
			return false;
		if (header[at] == TLV_CRC32C) {
			if (checksum || value_len != 4)
				return false;
			checksum = value;
		}
		at += TLV_FIXED_LEN + value_len;
	}
	return !checksum || checksum_is_right(header, len, checksum);
}

/* Source, destination and their ports, in this order. Returns where they end. */
static const uint8_t *read_addrs(const uint8_t *at, bool is_inet6, struct proxy_header *header)
{
	size_t addr_len = is_inet6 ? 16 : 4;
	const uint8_t *ports = at + 2 * addr_len;
	union proxy_addr *addrs[2] = { &header->source, &header->destination };
	for (unsigned i = 0; i < 2; i++) {
		if (is_inet6) {
			addrs[i]->in6.sin6_family = AF_INET6;
			memcpy(&addrs[i]->in6.sin6_addr, at + i * addr_len, addr_len);
			memcpy(&addrs[i]->in6.sin6_port, ports + i * 2, 2);
		} else {
			addrs[i]->in.sin_family = AF_INET;
			memcpy(&addrs[i]->in.sin_addr, at + i * addr_len, addr_len);
			memcpy(&addrs[i]->in.sin_port, ports + i * 2, 2);
		}
	}
	return ports + 4;
}

enum proxy_verdict proxy_parse(const uint8_t *data, size_t len, struct proxy_header *ret_header)
{
	if (memcmp(data, signature, len < sizeof(signature) ? len : sizeof(signature)) != 0)
		return PROXY_NONE;
	/* What is wrong already is said before the rest has come. */
	unsigned command = len > 12 ? data[12] & 0x0f : COMMAND_LOCAL;
	if (len > 12 && (data[12] >> 4 != 2 || command > COMMAND_PROXY))
		return PROXY_BAD;
	unsigned family = len > 13 && command == COMMAND_PROXY ? data[13] >> 4 : FAMILY_UNSPEC;
	unsigned protocol = len > 13 && command == COMMAND_PROXY ? data[13] & 0x0f : PROTOCOL_UNSPEC;
	if (family > FAMILY_UNIX || protocol > PROTOCOL_DGRAM)
		return PROXY_BAD;
	if (len < FIXED_LEN)
		return PROXY_INCOMPLETE;
	static const uint8_t addrs_len[] = { 0, 12, 36, 216 };
	struct proxy_header header = { .len = FIXED_LEN + (size_t)wire_get16(data + 14) };
	if (header.len > PROXY_HEADER_MAX || header.len < FIXED_LEN + (size_t)addrs_len[family])
		return PROXY_BAD;
	if (len < header.len)
		return PROXY_INCOMPLETE;
	/* The others fall back to the connection's own addresses, and their block is skipped unread: of LOCAL
	 * and UNSPEC the specification wants it, for UNIX it allows it. A protocol other than our socket's is
	 * right: a question may come to the front end over UDP and from there over TCP. */
	header.has_addrs = (family == FAMILY_INET || family == FAMILY_INET6) && protocol != PROTOCOL_UNSPEC;
	if (header.has_addrs) {
		const uint8_t *tlvs = read_addrs(data + FIXED_LEN, family == FAMILY_INET6, &header);
		if (!tlvs_are_good(data, header.len, (size_t)(tlvs - data)))
			return PROXY_BAD;
	}
	*ret_header = header;
	return PROXY_OK;
}

bool proxy_is_front_end(const struct answer_data *data, const struct sockaddr *peer)
{
	struct addr addr;
	if (data->front_ends_n == 0)
		return false;
	addr_from_sockaddr(peer, &addr);
	return prefixes_contain(data->front_ends, data->front_ends_n, &addr);
}

void proxy_count(struct net_counters *counters, enum proxy_verdict verdict)
{
	switch (verdict) {
	case PROXY_OK: counters->proxy_ok++; break;
	case PROXY_NONE: counters->proxy_missing++; break;
	case PROXY_BAD: counters->proxy_bad++; break;
	case PROXY_INCOMPLETE: break;
	}
}
