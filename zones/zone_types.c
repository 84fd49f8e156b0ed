/*
 * The record types a zone file may name, how their RDATA is made up, and what may not be in a zone.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <ldns/ldns.h>

#include "zones/zone_rdata.h"
#include "zones/zone_rdata_int.h"

/* Usual types first: the table is searched from its top. The field letters are explained in zone_rdata_int.h.
 */
static const struct zone_type_info types[] = {
	{ 1, "A", "a", "ADDRESS" },
	{ 28, "AAAA", "6", "IPV6-ADDRESS" },
	{ 2, "NS", "n", "HOST" },
	{ 5, "CNAME", "n", "NAME" },
	{ 16, "TXT", "S", "\"TEXT\" ..." },
	{ 15, "MX", "2n", "PREFERENCE HOST" },
	{ 12, "PTR", "n", "NAME" },
	{ 6, "SOA", "nn4pppp", "MNAME RNAME SERIAL REFRESH RETRY EXPIRE MINIMUM" },
	{ 33, "SRV", "222n", "PRIORITY WEIGHT PORT HOST" },
	{ 257, "CAA", "1Kk", "FLAGS TAG \"VALUE\"" },
	{ 43, "DS", "2g1x", "KEY-TAG ALGORITHM DIGEST-TYPE HEX" },
	{ 52, "TLSA", "UDMx", "USAGE SELECTOR MATCHING-TYPE HEX" },
	{ 64, "SVCB", "2nv", "PRIORITY TARGET KEY=VALUE ..." },
	{ 65, "HTTPS", "2nv", "PRIORITY TARGET KEY=VALUE ..." },
	{ 39, "DNAME", "n", "NAME" },
	{ 35, "NAPTR", "22sssn", "ORDER PREFERENCE \"FLAGS\" \"SERVICE\" \"REGEXP\" REPLACEMENT" },
	{ 44, "SSHFP", "11x", "ALGORITHM TYPE HEX" },
	{ 46, "RRSIG", "tg14TT2nb", "TYPE ALGORITHM LABELS TTL EXPIRATION INCEPTION KEY-TAG SIGNER BASE64" },
	{ 47, "NSEC", "nm", "NEXT-NAME TYPE ..." },
	{ 48, "DNSKEY", "21gb", "FLAGS 3 ALGORITHM BASE64" },
	{ 50, "NSEC3", "1123hm", "HASH FLAGS ITERATIONS SALT NEXT-HASH TYPE ..." },
	{ 51, "NSEC3PARAM", "1123", "HASH FLAGS ITERATIONS SALT" },
	{ 29, "LOC", "l", "52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000m 10m" },
	{ 13, "HINFO", "ss", "\"CPU\" \"OS\"" },
	{ 99, "SPF", "S", "\"TEXT\" ..." },
	{ 3, "MD", "n", "HOST" },
	{ 4, "MF", "n", "HOST" },
	{ 7, "MB", "n", "HOST" },
	{ 8, "MG", "n", "NAME" },
	{ 9, "MR", "n", "NAME" },
	{ 14, "MINFO", "nn", "MAILBOX MAILBOX" },
	{ 17, "RP", "nn", "MAILBOX TXT-NAME" },
	{ 18, "AFSDB", "2n", "SUBTYPE HOST" },
	{ 19, "X25", "s", "\"ADDRESS\"" },
	{ 20, "ISDN", "so", "\"ADDRESS\" \"SUBADDRESS\"" },
	{ 21, "RT", "2n", "PREFERENCE HOST" },
	{ 25, "KEY", "21gb", "FLAGS 3 ALGORITHM BASE64" },
	{ 26, "PX", "2nn", "PREFERENCE MAP822 MAPX400" },
	{ 27, "GPOS", "sss", "\"LONGITUDE\" \"LATITUDE\" \"ALTITUDE\"" },
	{ 36, "KX", "2n", "PREFERENCE HOST" },
	{ 37, "CERT", "c2gb", "TYPE KEY-TAG ALGORITHM BASE64" },
	{ 42, "APL", "L", "1:192.0.2.0/24 !2:2001:db8::/32 ..." },
	{ 45, "IPSECKEY", "G", "PRECEDENCE GATEWAY-TYPE ALGORITHM GATEWAY BASE64" },
	{ 49, "DHCID", "b", "BASE64" },
	{ 53, "SMIMEA", "UDMx", "USAGE SELECTOR MATCHING-TYPE HEX" },
	{ 56, "NINFO", "S", "\"TEXT\" ..." },
	{ 58, "TALINK", "nn", "PREVIOUS NEXT" },
	{ 59, "CDS", "2g1x", "KEY-TAG ALGORITHM DIGEST-TYPE HEX" },
	{ 60, "CDNSKEY", "21gb", "FLAGS 3 ALGORITHM BASE64" },
	{ 61, "OPENPGPKEY", "b", "BASE64" },
	{ 62, "CSYNC", "42m", "SERIAL FLAGS TYPE ..." },
	{ 63, "ZONEMD", "411x", "SERIAL SCHEME HASH HEX" },
	{ 104, "NID", "2i", "PREFERENCE 0014:4fff:ff20:ee64" },
	{ 105, "L32", "2a", "PREFERENCE ADDRESS" },
	{ 106, "L64", "2i", "PREFERENCE 2001:0db8:1140:1000" },
	{ 107, "LP", "2n", "PREFERENCE NAME" },
	{ 108, "EUI48", "e", "00-00-5e-00-53-2a" },
	{ 109, "EUI64", "E", "00-00-5e-ef-10-00-00-2a" },
	{ 256, "URI", "22k", "PRIORITY WEIGHT \"TARGET\"" },
	{ 258, "AVC", "S", "\"TEXT\" ..." },
	{ 260, "AMTRELAY", "R", "PRECEDENCE DISCOVERY TYPE RELAY" },
	{ 261, "RESINFO", "S", "\"TEXT\" ..." },
	{ 32768, "TA", "2g1x", "KEY-TAG ALGORITHM DIGEST-TYPE HEX" },
	{ 32769, "DLV", "2g1x", "KEY-TAG ALGORITHM DIGEST-TYPE HEX" },
};

const struct zone_type_info *zone_type_find(uint16_t type)
{
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		if (types[i].type == type)
			return &types[i];
	}
	return NULL;
}

int zone_type_from_text(const char *text, uint16_t *ret_type)
{
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		if (strcasecmp(types[i].name, text) == 0) {
			*ret_type = types[i].type;
			return 0;
		}
	}
	if (strncasecmp(text, "TYPE", 4) == 0 && text[4] >= '0' && text[4] <= '9') {
		uint64_t number;
		if (zone_number_from_text(text + 4, 65535, &number) < 0)
			return -EINVAL;
		*ret_type = (uint16_t)number;
		return 0;
	}
	/* The rest of the names ldns knows: old types, and those to be refused by name. */
	if (strlen(text) >= ZONE_TYPE_TEXT_MAX)
		return -EINVAL;
	ldns_rr_type type = ldns_get_rr_type_by_name(text);
	if (type <= 0 || type > 65535)
		return -EINVAL;
	*ret_type = (uint16_t)type;
	return 0;
}

const char *zone_type_to_text(uint16_t type, char text[ZONE_TYPE_TEXT_MAX])
{
	const struct zone_type_info *info = zone_type_find(type);
	if (info)
		snprintf(text, ZONE_TYPE_TEXT_MAX, "%s", info->name);
	else
		snprintf(text, ZONE_TYPE_TEXT_MAX, "TYPE%u", type);
	return text;
}

bool zone_type_is_meta(uint16_t type)
{
	return type == 0 || type == LDNS_RR_TYPE_OPT || (type >= 128 && type <= 255) || type == 65535;
}

int zone_rdata_target_off(uint16_t type)
{
	switch (type) {
	case LDNS_RR_TYPE_NS:
	case LDNS_RR_TYPE_CNAME:
	case LDNS_RR_TYPE_PTR:
	case LDNS_RR_TYPE_DNAME: return 0;
	case LDNS_RR_TYPE_MX:
	case LDNS_RR_TYPE_AFSDB:
	case LDNS_RR_TYPE_RT:
	case LDNS_RR_TYPE_KX: return 2;
	case LDNS_RR_TYPE_SRV: return 6;
	default: return -1;
	}
}
