/* uids.c - the setting trusted_uids, and asking it (uids.h). */
#include "base/base.h"
#include "base/uids.h"

#include <unistd.h>

int uids_read(struct uids *u, const char *text, const char **why)
{
	struct str rest = str_c(text);

	u->count = 0;
	while (rest.n) {
		const char *comma = memchr(rest.p, ',', rest.n);
		struct str word = comma ? str_make(rest.p, (size_t)(comma - rest.p)) : rest;
		uint64_t uid;

		rest = comma ? str_skip(rest, word.n + 1) : STR_NONE;
		if (!str_to_u64(word, &uid) || uid >= UINT32_MAX) {
			*why = "user ids are numbers with commas between them";
			return -E_INVALID;
		}
		if (u->count == UIDS_MAX) {
			*why = "at most 16 user ids in one setting";
			return -E_INVALID;
		}
		u->at[u->count++] = (uid_t)uid;
	}
	return 0;
}

bool uids_trust(const struct uids *u, uid_t uid)
{
	if (uid == 0 || uid == geteuid())
		return true;
	for (size_t i = 0; i < u->count; i++) {
		if (u->at[i] == uid)
			return true;
	}
	return false;
}
