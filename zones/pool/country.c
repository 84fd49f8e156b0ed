#include "zones/pool/country.h"

#include <string.h>

/* Sorted, three bytes each. */
static const char tlds[] =
        "AC AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BM BN BO BR "
        "BS BT BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO "
        "DZ EC EE EG ER ES ET EU FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT "
        "GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP "
        "KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MG MH MK ML MM MN MO MP MQ MR MS "
        "MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR "
        "PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SU SV SX "
        "SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UK US UY UZ VA VC VE VG VI VN "
        "VU WF WS YE YT ZA ZM ZW";
static const char others[] = "AP BL BQ EH MF UM XK";

static bool is_listed(const char *list, size_t list_len, uint16_t country)
{
	char code[3];
	country_to_code(country, code);
	size_t low = 0;
	size_t high = list_len / 3;
	while (low < high) {
		size_t middle = (low + high) / 2;
		int order = memcmp(code, list + middle * 3, 2);
		if (order == 0)
			return true;
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return false;
}

bool country_is_tld(uint16_t country)
{
	return is_listed(tlds, sizeof(tlds), country);
}

bool country_is_known(uint16_t country)
{
	return is_listed(tlds, sizeof(tlds), country) || is_listed(others, sizeof(others), country);
}

uint16_t country_canonical(uint16_t country)
{
	return country == country_from_code("UK") ? country_from_code("GB") : country;
}

uint16_t country_from_text(const char *text)
{
	uint16_t country = strlen(text) == 2 ? country_from_code(text) : COUNTRY_UNKNOWN;
	return country_is_known(country) ? country_canonical(country) : COUNTRY_UNKNOWN;
}
