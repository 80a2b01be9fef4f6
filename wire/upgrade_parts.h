/* upgrade_parts.h - what upgrade.c and upgrade_read.c share; nobody else includes it. */
#pragma once
#include "base/base.h"

static inline uint8_t upgrade_lower(char c)
{
	return (uint8_t)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
}

static inline bool upgrade_same(struct str a, struct str b) /* without case, ASCII */
{
	if (a.n != b.n)
		return false;
	for (size_t i = 0; i < a.n; i++) {
		if (upgrade_lower(a.p[i]) != upgrade_lower(b.p[i]))
			return false;
	}
	return true;
}

static inline struct str upgrade_trim(struct str s) /* OWS, RFC 9110 5.6.3 */
{
	while (s.n && (s.p[0] == ' ' || s.p[0] == '\t'))
		s = str_skip(s, 1);
	while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
		s.n--;
	return s;
}
