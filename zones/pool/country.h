/*
 * country: which two-letter codes there are, and which of them are top-level domains.
 *
 * Source: ISO 3166-1 alpha-2 and the IANA root zone's country-code TLDs (November 2026). Beside the ISO codes
 * the root has ac, eu, su and uk; bl, bq, eh, mf and um are ISO codes without a TLD. Geo databases also use
 * AP (Asia/Pacific, no country known), EU in that sense, and XK (Kosovo).
 */
#ifndef ZONES_POOL_COUNTRY_H
#define ZONES_POOL_COUNTRY_H

#include <stdbool.h>
#include <stdint.h>

#include "answer/geo_map.h"

/** Is it a code that a mirror, a region or a geo database may name? */
bool country_is_known(uint16_t country);
/** Does the IANA root zone have this code as a top-level domain? */
bool country_is_tld(uint16_t country);
/** UK is GB; every other country is itself. */
uint16_t country_canonical(uint16_t country);
/**
 * A code as an operator writes it, in either case, to its canonical country.
 * Returns COUNTRY_UNKNOWN when there is no such country.
 */
uint16_t country_from_text(const char *text);

#endif
