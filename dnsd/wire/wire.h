/*
 * wire: numbers of the DNS message format and big-endian access to unaligned bytes.
 *
 *      0          2      4      6      8      10     12
 *      | id       | flags| QD   | AN   | NS   | AR   | question, answer, authority, additional ...
 *
 * Source: RFC 1035 section 4.1, RFC 6891 section 6.1, IANA "Domain Name System (DNS) Parameters".
 */
#ifndef DNSD_WIRE_WIRE_H
#define DNSD_WIRE_WIRE_H

#include <stdint.h>
#include <string.h>

#define WIRE_HEADER_LEN  12
#define WIRE_NAME_MAX    255 /* with the root label, RFC 1035 section 2.3.4 */
#define WIRE_LABELS_MAX  127 /* without the root label */
#define WIRE_POINTER     0xc000U
#define WIRE_POINTER_MAX 0x3fffU
#define WIRE_PLAIN_UDP   512 /* largest UDP message without EDNS, RFC 1035 section 2.3.4 */
#define WIRE_MESSAGE_MAX 65535
#define WIRE_OPT_LEN     11 /* OPT record without options */

/* Bits of the second 16-bit word of the header. */
#define WIRE_FLAG_QR       0x8000U
#define WIRE_FLAG_OPCODE   0x7800U
#define WIRE_OPCODE_SHIFT  11
#define WIRE_OPCODE_NOTIFY 4U
#define WIRE_OPCODE_UPDATE 5U
#define WIRE_FLAG_AA       0x0400U
#define WIRE_FLAG_TC       0x0200U
#define WIRE_FLAG_RD       0x0100U

#define WIRE_EDNS_DO 0x8000U

enum wire_rcode {
	WIRE_RCODE_NOERROR = 0,
	WIRE_RCODE_FORMERR = 1,
	WIRE_RCODE_SERVFAIL = 2,
	WIRE_RCODE_NXDOMAIN = 3,
	WIRE_RCODE_NOTIMP = 4,
	WIRE_RCODE_REFUSED = 5,
	WIRE_RCODE_YXDOMAIN = 6,
	WIRE_RCODE_BADVERS = 16,
	WIRE_RCODE_BADCOOKIE = 23,
};

enum wire_type {
	WIRE_TYPE_A = 1,
	WIRE_TYPE_NS = 2,
	WIRE_TYPE_MD = 3,
	WIRE_TYPE_MF = 4,
	WIRE_TYPE_CNAME = 5,
	WIRE_TYPE_SOA = 6,
	WIRE_TYPE_MB = 7,
	WIRE_TYPE_MG = 8,
	WIRE_TYPE_MR = 9,
	WIRE_TYPE_PTR = 12,
	WIRE_TYPE_HINFO = 13,
	WIRE_TYPE_MINFO = 14,
	WIRE_TYPE_MX = 15,
	WIRE_TYPE_TXT = 16,
	WIRE_TYPE_AAAA = 28,
	WIRE_TYPE_SRV = 33,
	WIRE_TYPE_DNAME = 39,
	WIRE_TYPE_OPT = 41,
	WIRE_TYPE_DS = 43,
	WIRE_TYPE_TKEY = 249,
	WIRE_TYPE_TSIG = 250,
	WIRE_TYPE_IXFR = 251,
	WIRE_TYPE_AXFR = 252,
	WIRE_TYPE_MAILB = 253,
	WIRE_TYPE_MAILA = 254,
	WIRE_TYPE_ANY = 255,
};

enum wire_class { WIRE_CLASS_IN = 1, WIRE_CLASS_CH = 3, WIRE_CLASS_NONE = 254, WIRE_CLASS_ANY = 255 };

#define WIRE_OPTION_NSID        3 /* RFC 5001 */
#define WIRE_OPTION_ECS         8
#define WIRE_OPTION_COOKIE      10 /* RFC 7873 */
#define WIRE_OPTION_KEEPALIVE   11 /* RFC 7828 */
#define WIRE_OPTION_PADDING     12 /* RFC 7830 */
#define WIRE_OPTION_EDE         15 /* RFC 8914 */
#define WIRE_OPTION_ZONEVERSION 19 /* RFC 9660 */

/* A zone version option as we send it: code, length, label count, type, serial. */
#define WIRE_ZONEVERSION_LEN 10
/* Cookies (RFC 7873 section 4): what a client makes, what we make (RFC 9018 section 4), and the largest that
 * any server may have made. */
#define WIRE_COOKIE_CLIENT_LEN     8
#define WIRE_COOKIE_SERVER_LEN     16
#define WIRE_COOKIE_SERVER_MIN_LEN 8
#define WIRE_COOKIE_SERVER_MAX_LEN 32
/* Options as we send them, code and length included. */
#define WIRE_COOKIE_LEN    (4 + WIRE_COOKIE_CLIENT_LEN + WIRE_COOKIE_SERVER_LEN)
#define WIRE_KEEPALIVE_LEN 6
#define WIRE_NSID_MAX      (4 + 255)
/* What all options of an answer take at most, so that a full message leaves them room: client subnet, zone
 * version, cookie, keepalive, server id. An extended error and padding are put in only where there is room
 * left. */
#define WIRE_OPTIONS_MAX (24 + WIRE_ZONEVERSION_LEN + WIRE_COOKIE_LEN + WIRE_KEEPALIVE_LEN + WIRE_NSID_MAX)

/** INFO-CODEs of extended errors (RFC 8914 section 4). */
enum wire_ede { WIRE_EDE_PROHIBITED = 18, WIRE_EDE_INVALID_DATA = 24 };

/* Of a SOA's RDATA, what stands behind the two names: serial, refresh, retry, expire, minimum. */
#define WIRE_SOA_FIXED_LEN 20

static inline uint16_t wire_get16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static inline uint32_t wire_get32(const uint8_t *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static inline void wire_put16(uint8_t *at, uint16_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static inline void wire_put32(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 24);
	at[1] = (uint8_t)(value >> 16);
	at[2] = (uint8_t)(value >> 8);
	at[3] = (uint8_t)value;
}

#endif
