#include "wire/request.h"

#include <string.h>

#include "wire/wire.h"

size_t wire_request_make(const uint8_t *name, size_t name_len, uint16_t type, uint16_t class,
                         uint16_t edns_size, const struct prefix *subnet, uint8_t *req)
{
	memset(req, 0, WIRE_HEADER_LEN);
	req[5] = 1;
	req[11] = 1;
	uint8_t *at = req + WIRE_HEADER_LEN;
	memcpy(at, name, name_len);
	at += name_len;
	wire_put16(at, type);
	wire_put16(at + 2, class);
	at += 4;
	memset(at, 0, WIRE_OPT_LEN);
	wire_put16(at + 1, WIRE_TYPE_OPT);
	wire_put16(at + 3, edns_size);
	uint8_t *options_len = at + 9;
	at += WIRE_OPT_LEN;
	if (subnet) {
		size_t addr_len = (subnet->len + 7U) / 8;
		wire_put16(options_len, (uint16_t)(8 + addr_len));
		wire_put16(at, WIRE_OPTION_ECS);
		wire_put16(at + 2, (uint16_t)(4 + addr_len));
		wire_put16(at + 4, subnet->addr.family == 4 ? 1 : 2);
		at[6] = subnet->len;
		at[7] = 0;
		memcpy(at + 8, subnet->addr.bytes, addr_len);
		at += 8 + addr_len;
	}
	return (size_t)(at - req);
}
