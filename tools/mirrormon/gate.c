#include <stdio.h>
#include <string.h>

#include "mirrormon/decide.h"

static bool has(const struct gate_mirror *mirror, uint32_t version)
{
	return mirror->is_in &&
	       (mirror->version > version || (mirror->version == version && mirror->has_patch));
}

static uint32_t share_up(uint32_t n, uint32_t percent)
{
	uint32_t needed = (uint32_t)(((uint64_t)n * percent + 99) / 100);
	return needed > 0 ? needed : 1;
}

/** Mirrors of a country that count, and those that have the version; COUNTRY_N: of all countries. */
struct share {
	uint32_t have_n, of_n;
};

static void count(const struct gate_mirror *mirrors, size_t mirrors_n, uint32_t version,
                  struct share shares[COUNTRY_N + 1])
{
	memset(shares, 0, (COUNTRY_N + 1) * sizeof(*shares));
	for (size_t i = 0; i < mirrors_n; i++) {
		if (!mirrors[i].is_in)
			continue;
		bool has_it = has(&mirrors[i], version);
		shares[mirrors[i].country].of_n++;
		shares[mirrors[i].country].have_n += has_it;
		shares[COUNTRY_N].of_n++;
		shares[COUNTRY_N].have_n += has_it;
	}
}

static bool is_reached(const struct share *share, uint32_t percent)
{
	return share->of_n == 0 || share->have_n >= share_up(share->of_n, percent);
}

static bool has_quorum(const struct share shares[COUNTRY_N + 1], uint32_t percent, bool limit_passed)
{
	if (shares[COUNTRY_N].have_n == 0)
		return false;
	if (limit_passed)
		return is_reached(&shares[COUNTRY_N], percent);
	for (unsigned country = 0; country < COUNTRY_N; country++) {
		if (!is_reached(&shares[country], percent))
			return false;
	}
	return true;
}

/** The highest version below `below` that counts; 0 = none above the announced one. */
static uint32_t next_version(const struct gate_mirror *mirrors, size_t mirrors_n, uint32_t reference,
                             uint32_t announced, uint32_t below)
{
	uint32_t best = 0, in_n = 0;
	for (size_t i = 0; i < mirrors_n; i++)
		in_n += mirrors[i].is_in;
	for (size_t i = 0; i < mirrors_n; i++) {
		uint32_t version = mirrors[i].version;
		if (!mirrors[i].is_in || version <= announced || version >= below || version <= best)
			continue;
		if (reference > 0 && version > reference)
			continue;
		if (reference == 0 && in_n > 1) {
			uint32_t seen_n = 0;
			for (size_t k = 0; k < mirrors_n; k++)
				seen_n += mirrors[k].is_in && mirrors[k].version >= version;
			if (seen_n < 2)
				continue;
		}
		best = version;
	}
	return best;
}

static void tell_waiting(const struct share shares[COUNTRY_N + 1], uint32_t percent, char *text, size_t cap)
{
	size_t len = 0;
	text[0] = '\0';
	for (unsigned country = 0; country < COUNTRY_N; country++) {
		if (is_reached(&shares[country], percent))
			continue;
		char code[3], part[48];
		country_to_code((uint16_t)country, code);
		int part_len = snprintf(part, sizeof(part), "%s%s %u of %u", len ? ", " : "", code,
		                        shares[country].have_n, shares[country].of_n);
		if (len + (size_t)part_len + sizeof(", ...") > cap) {
			memcpy(text + len, ", ...", sizeof(", ..."));
			return;
		}
		memcpy(text + len, part, (size_t)part_len + 1);
		len += (size_t)part_len;
	}
}

/** Has what is ready been lost again, by mirrors that went out or back to an older version? */
static bool is_lost(const struct conf_announce *conf, const struct gate_mirror *mirrors, size_t mirrors_n,
                    uint32_t version)
{
	struct share shares[COUNTRY_N + 1];
	count(mirrors, mirrors_n, version, shares);
	return !has_quorum(shares, conf->quorum_percent, true);
}

void gate_pass(const struct conf_announce *conf, const struct gate_mirror *mirrors, size_t mirrors_n,
               uint32_t reference, uint64_t now_s, struct announced *announced, bool *ret_lacks)
{
	struct share shares[COUNTRY_N + 1];
	if (announced->candidate_since_s > now_s)
		announced->candidate_since_s = now_s;
	if (announced->ready_since_s > now_s)
		announced->ready_since_s = now_s;
	if (announced->ready && is_lost(conf, mirrors, mirrors_n, announced->ready)) {
		announced->ready = 0;
		announced->ready_since_s = 0;
	}
	uint32_t held = announced->ready ? announced->ready : announced->version;
	uint32_t newest = next_version(mirrors, mirrors_n, reference, held, UINT32_MAX);
	if (reference > held && reference > newest)
		newest = reference; /* nobody has it yet, and it waits all the same */
	if (newest > 0 && announced->candidate == 0)
		announced->candidate_since_s = now_s;
	announced->candidate = newest;

	bool limit_passed =
	        newest > 0 && conf->limit_s > 0 && now_s - announced->candidate_since_s >= conf->limit_s;
	for (uint32_t version = newest; version > 0;
	     version = next_version(mirrors, mirrors_n, reference, held, version)) {
		count(mirrors, mirrors_n, version, shares);
		if (!has_quorum(shares, conf->quorum_percent, limit_passed))
			continue;
		/* One that overtakes another starts its time anew: for it, other mirrors have left. */
		announced->ready = version;
		announced->ready_since_s = now_s;
		if (version == newest)
			announced->candidate = 0;
		announced->candidate_since_s = now_s;
		break;
	}
	if (announced->candidate == 0)
		announced->candidate_since_s = 0;
	if (announced->ready && now_s - announced->ready_since_s >= conf->settle_s) {
		announced->version = announced->ready;
		announced->since_s = now_s;
		announced->ready = 0;
		announced->ready_since_s = 0;
	}

	uint32_t wanted = announced->ready ? announced->ready : announced->version;
	uint32_t shown = announced->candidate ? announced->candidate : wanted;
	count(mirrors, mirrors_n, shown, shares);
	announced->have_n = shares[COUNTRY_N].have_n;
	announced->of_n = shares[COUNTRY_N].of_n;
	announced->waiting_for[0] = '\0';
	if (announced->candidate)
		tell_waiting(shares, conf->quorum_percent, announced->waiting_for,
		             sizeof(announced->waiting_for));
	for (size_t i = 0; i < mirrors_n; i++)
		ret_lacks[i] = mirrors[i].is_in && wanted > 0 && !has(&mirrors[i], wanted);
}
